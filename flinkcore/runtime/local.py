# SPDX-License-Identifier: Apache-2.0
"""The local executor: one thread for each task, over kernels that release the GIL."""

from __future__ import annotations

import threading

from flinkcore.errors import ConfigurationError
from flinkcore.graph.job_graph import JobGraph
from flinkcore.runtime.deploy import deploy
from flinkcore.runtime.job import JobRun
from flinkcore.runtime.task import Progress, Task
from flinkcore.time.clock import Clock, SystemClock

# How long an idle source may wait inside read(): short enough that a cancel is prompt.
READ_TIMEOUT_MS = 50
# How long an idle thread sleeps when nobody wakes it; everything that matters wakes it sooner.
PARK_S_MAX = 0.5
# How long an idle source whose reader does not wait sleeps before it looks again.
SOURCE_PAUSE_S = 0.002


def execute(graph: JobGraph, clock: Clock | None = None) -> JobRun:
    """Starts a job in threads of this process and returns at once."""
    job = JobRun(graph, clock or SystemClock())
    job.tasks = deploy(graph, job.clock, lambda: job.cancelled.is_set() or job.failure is not None)
    workers = [_Worker(job, task) for task in job.tasks]

    def wake_all() -> None:
        for worker in workers:
            worker.wake()

    by_task = {worker.task: worker for worker in workers}
    for worker in workers:
        for channel in worker.task.channels_out:
            channel.wake_producer = worker.wake
        if worker.task.gate is not None:
            for channel in worker.task.gate.channels:
                channel.wake_consumer = by_task[worker.task].wake
    job.started(wake_all)
    threading.Thread(
        target=_supervise, args=(job, workers), name=f"{graph.name} supervisor", daemon=True
    ).start()
    return job


def _supervise(job: JobRun, workers: list[_Worker]) -> None:
    """Opens nothing and processes nothing: starts the threads, waits for them, and says how the job ended."""
    started = 0
    try:
        for worker in workers:
            worker.start()
            started += 1
    except RuntimeError as error:  # the system has no more threads
        failed = workers[started].task
        text = f"{len(workers)} tasks need a thread each, and there were {started}: {error}; lower the parallelism"
        job.failed(failed, ConfigurationError(text))
        job._wake()
    for worker in workers[:started]:
        worker.join()
    job.ended()


class _Worker(threading.Thread):
    """Steps one task until it is finished, the job is cancelled, or something failed."""

    def __init__(self, job: JobRun, task: Task) -> None:
        super().__init__(name=task.label, daemon=True)
        self.job = job
        self.task = task
        self._awake = threading.Event()

    def wake(self) -> None:
        if not self._awake.is_set():
            self._awake.set()

    def run(self) -> None:
        job, task = self.job, self.task
        try:
            task.open()
            self._loop()
        except BaseException as error:
            job.failed(task, error)
            job._wake()
        finally:
            for failure in task.close():
                job.failed(task, failure)

    def _loop(self) -> None:
        job, task, awake = self.job, self.task, self._awake
        stopped = job.cancelled.is_set
        while not stopped() and job.failure is None:
            awake.clear()  # before the step, so that no wake is lost
            progress = task.step(timeout_ms=self._timeout_ms())
            if progress is Progress.FINISHED:
                return
            if progress is Progress.IDLE:
                awake.wait(self._pause_s())
            elif progress is Progress.BLOCKED:
                awake.wait(PARK_S_MAX)

    def _timeout_ms(self) -> int:
        """How long a source may wait for its next record: not beyond the task's next timer."""
        if self.task.source is None:
            return 0
        wake_ms = self.task.timers.next_ms()
        if wake_ms is None:
            return READ_TIMEOUT_MS
        return max(0, min(READ_TIMEOUT_MS, wake_ms - self.task.clock.now_ms()))

    def _pause_s(self) -> float:
        wake_ms = self.task.next_wake_ms()
        pause_s = PARK_S_MAX if self.task.source is None else SOURCE_PAUSE_S
        if wake_ms is None:
            return pause_s
        return max(0.0, min(pause_s, (wake_ms - self.task.clock.now_ms()) / 1000))
