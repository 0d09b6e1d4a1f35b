# SPDX-License-Identifier: Apache-2.0
"""The local executor: threads that step tasks, over kernels that release the GIL."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from flinkcore import options
from flinkcore._native.slabs import use_slabs
from flinkcore.errors import ConfigurationError, JobCancelledError
from flinkcore.graph.job_graph import JobGraph
from flinkcore.runtime.coordinator import Job
from flinkcore.runtime.deploy import deploy
from flinkcore.runtime.garbage import older_objects_left_alone
from flinkcore.runtime.job import JobRun
from flinkcore.runtime.python_dependencies import PythonDependencies
from flinkcore.runtime.recovery import Recovery
from flinkcore.runtime.restart import RestartStrategy, restart_strategy
from flinkcore.runtime.task import Progress, Task
from flinkcore.time.clock import Clock, SystemClock

# How long an idle source may wait inside read(): short enough that a cancel is prompt.
READ_TIMEOUT_MS = 50
# How long an idle thread sleeps when nobody wakes it; everything that matters wakes it sooner.
PARK_S_MAX = 0.5
# How long an idle source whose reader does not wait sleeps before it looks again.
SOURCE_PAUSE_S = 0.002


# How many threads write snapshots: one more than cores would only take time from the tasks.
WRITERS = 2


def tasks_of_threads(tasks: Sequence[Task], threads: str, processors: int) -> list[list[Task]]:
    """The tasks that each thread steps, in their order.

    Tasks of one slot, which are those with one subtask index, share a thread when there are enough slots for every
    processor: more threads would only take turns, at the price of a switch for every batch and of fighting for the
    GIL. W1 takes 17.9 ns a row with two threads for its four tasks on two processors, and 20.4 with four; a count by
    text keys 29.3 and 34.6. A task that may wait for something else has a thread to itself (Task.waits).

    threads : "TASK" for a thread each, "SLOT" for shared ones whatever the processors, or "AUTO"
    """
    slots = max(task.parallelism for task in tasks)
    if threads == "TASK" or (threads == "AUTO" and slots < processors):
        return [[task] for task in tasks]
    alone = [[task] for task in tasks if task.waits]
    shared = [[task for task in tasks if task.subtask_index == slot and not task.waits] for slot in range(slots)]
    return [crew for crew in (*alone, *shared) if crew]


def execute(graph: JobGraph, clock: Clock | None = None) -> JobRun:
    """Starts a job in threads of this process and returns at once.

    What cannot be restored is said here, before anything runs; a job that fails later starts again as its restart
    strategy says, from its newest complete checkpoint.
    """
    job = JobRun(graph, clock or SystemClock())
    with ExitStack() as stack:
        stack.callback(PythonDependencies.of(graph.config).provide())
        recovery = Recovery(graph, job.job_id)
        job.job_id = recovery.job_id  # one that resumes is the job that wrote its checkpoints
        strategy = restart_strategy(graph.config)
        attempt = _Attempt(job, recovery)
        job.started(lambda: job.attempt.wake_all() if job.attempt is not None else None)
        threading.Thread(
            target=_supervise,
            args=(job, recovery, strategy, attempt, stack.pop_all()),
            name=f"{graph.name} supervisor",
            daemon=True,
        ).start()
    return job


def _supervise(
    job: JobRun, recovery: Recovery, strategy: RestartStrategy, attempt: _Attempt, held: ExitStack
) -> None:
    """Runs the tasks, again and again if need be, and says how the job ended. held : what the job gives back then"""
    with older_objects_left_alone():
        _supervised(job, recovery, strategy, attempt, held)


def _supervised(
    job: JobRun, recovery: Recovery, strategy: RestartStrategy, attempt: _Attempt, held: ExitStack
) -> None:
    try:
        while True:
            attempt.run()
            if job.failure is None or job.cancelled.is_set():
                return
            usual_ms = None if job.failed_for_good else strategy.on_failure(job.clock.now_ms())
            delay_ms = recovery.delay_ms(job.failure, usual_ms)
            if delay_ms is None:
                return
            job.restarting(delay_ms)
            if job.cancelled.wait(delay_ms / 1000):
                return
            job.restarted()
            try:
                recovery.to_latest(attempt.coordinator)
                attempt = _Attempt(job, recovery)
            except Exception as error:
                job.failed(None, error)
                return
    finally:
        recovery.close(job.cancelled_for_good, job.failure is not None)
        try:
            held.close()
        finally:
            job.ended()


class _Attempt:
    """One start of the tasks of a job, with what writes their snapshots."""

    def __init__(self, job: JobRun, recovery: Recovery) -> None:
        self.job = job
        self.stopped = False
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix=f"{job.name} snapshots")
        job.tasks = deploy(job.graph, job.clock, self.interrupted, recovery.facts(job.restarts))
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        crews = tasks_of_threads(job.tasks, job.graph.config.get(options.THREADS), processors)
        self.workers = [_Worker(self, tasks) for tasks in crews]
        self._opening = threading.Barrier(len(self.workers))
        worker_of = {task: worker for worker in self.workers for task in worker.tasks}
        self.coordinator = recovery.coordinator(
            job.tasks, job.clock, self._submit, lambda task: worker_of[task].wake(), self._fail, self._stop
        )
        job.attempt = self
        for task, worker in worker_of.items():
            task.listener = self.coordinator
            for channel in task.channels_out:
                channel.wake_producer = worker.wake
            if task.gate is not None:
                for channel in task.gate.channels:
                    channel.wake_consumer = worker.wake

    def interrupted(self) -> bool:
        return self.stopped or self.job.cancelled.is_set() or self.job.failure is not None

    def opened(self) -> None:
        """A thread has opened its tasks: waits until all have. So nothing is read by a job that cannot be opened, and
        no source is far ahead of the others only because it was opened first."""
        try:
            self._opening.wait()
        except threading.BrokenBarrierError:
            pass  # the job has ended

    def wake_all(self) -> None:
        if self.interrupted():
            self._opening.abort()
        for worker in self.workers:
            worker.wake()
        self.coordinator.on_event()

    def run(self) -> None:
        """Until the tasks have finished, or the job is cancelled or has failed."""
        started: list[_Worker] = []
        for worker in self.workers:
            try:
                worker.start()
            except RuntimeError as error:  # the system has no more threads
                text = f"the tasks need {len(self.workers)} threads, and there were {len(started)}: {error}; " \
                    "lower the parallelism"
                self.job.failed(worker.tasks[0], ConfigurationError(text))
                self.wake_all()
                break
            started.append(worker)
        try:
            self._coordinate(started)
        except Exception as error:  # of the engine's own: no task may run on behind a job that has ended
            self._fail(error)
        for worker in started:
            worker.join()
        self._writers.shutdown(wait=True, cancel_futures=True)
        self.coordinator.close(self.job.failure or JobCancelledError(f"job '{self.job.name}' has ended"))

    def _coordinate(self, workers: list[_Worker]) -> None:
        """Steps the coordinator while tasks run."""
        coordinator, awake = self.coordinator, threading.Event()
        coordinator.on_event = awake.set
        while any(worker.is_alive() for worker in workers):
            awake.clear()
            if self.interrupted():
                return
            if coordinator.step():
                continue
            wake_ms = coordinator.next_wake_ms()
            pause_s = PARK_S_MAX if wake_ms is None else (wake_ms - self.job.clock.now_ms()) / 1000
            awake.wait(max(0.0, min(PARK_S_MAX, pause_s)))

    def _submit(self, work: Job) -> None:
        def run() -> None:
            try:
                for _ in work:
                    pass
            except BaseException as error:
                self._fail(error)

        self._writers.submit(run)

    def _fail(self, error: BaseException) -> None:
        self.job.failed(None, error)
        self.wake_all()

    def _stop(self) -> None:
        """The savepoint that ends the job is complete."""
        self.stopped = True
        self.wake_all()


class _Worker(threading.Thread):
    """Steps its tasks in turn until all have finished, the job is cancelled, or something failed."""

    def __init__(self, attempt: _Attempt, tasks: Sequence[Task]) -> None:
        super().__init__(name=", ".join(task.label for task in tasks), daemon=True)
        self.attempt = attempt
        self.job = attempt.job
        self.tasks = tasks
        self._running = list(reversed(tasks))  # consumers first: what waits is in the cache, and makes room
        self._awake = threading.Event()

    def wake(self) -> None:
        if not self._awake.is_set():
            self._awake.set()
            loop = self.tasks[0].loop
            if loop is not None:
                loop.wake()

    def run(self) -> None:
        use_slabs()
        current = self.tasks[0]
        try:
            for current in self._running:
                current.open()
            self.attempt.opened()
            while self._running:
                self._awake.clear()  # before the steps, so that no wake is lost
                pause_s = PARK_S_MAX
                for current in tuple(self._running):
                    progress = self._turn(current)
                    if progress is Progress.FINISHED:
                        self._running.remove(current)
                        self._close(current)
                    if progress is Progress.IDLE:
                        pause_s = min(pause_s, self._pause_s(current))
                    elif progress is not Progress.BLOCKED:
                        pause_s = 0.0
                if pause_s:
                    self._park(pause_s)
        except BaseException as error:
            self.job.failed(current, error)
            self.attempt.wake_all()
        finally:
            for task in self._running:
                self._close(task)
            self.attempt.coordinator.on_event()  # it runs as long as tasks do

    def _close(self, task: Task) -> None:
        for failure in task.close():
            self.job.failed(task, failure)

    def _turn(self, task: Task) -> Progress:
        """Steps for what waits for the task now, so that no other of its thread waits for more than that."""
        worked, timeout_ms = False, self._timeout_ms(task)
        for _ in range(task.backlog + 1):
            if self._interrupted(task):
                return Progress.FINISHED
            progress = task.step(timeout_ms=timeout_ms)
            if progress is Progress.FINISHED:
                return progress
            if progress is not Progress.WORKED:
                return Progress.WORKED if worked else progress
            worked = True
        return Progress.WORKED

    def _park(self, pause_s: float) -> None:
        """Waits until somebody wakes it; coroutines of the task go on meanwhile."""
        loop = self.tasks[0].loop
        if loop is None:
            self._awake.wait(pause_s)
        elif not self._awake.is_set():
            loop.turn(pause_s)

    def _interrupted(self, task: Task) -> bool:
        """Whether to stop here: what a stopping savepoint committed is still to be done."""
        attempt = self.attempt
        if attempt.stopped and not task.requests:
            return True
        return self.job.cancelled.is_set() or self.job.failure is not None

    def _timeout_ms(self, task: Task) -> int:
        """How long a source may wait for its next record: not beyond the task's next timer, nor while others wait."""
        if task.source is None or task.loop is not None or len(self._running) > 1:
            return 0
        wake_ms = task.timers.next_ms()
        if wake_ms is None:
            return READ_TIMEOUT_MS
        return max(0, min(READ_TIMEOUT_MS, wake_ms - task.clock.now_ms()))

    def _pause_s(self, task: Task) -> float:
        """How long an idle task may sleep: until something is due."""
        wake_ms = task.next_wake_ms()
        pause_s = PARK_S_MAX if task.source is None else SOURCE_PAUSE_S
        if wake_ms is None:
            return pause_s
        return max(0.0, min(pause_s, (wake_ms - task.clock.now_ms()) / 1000))
