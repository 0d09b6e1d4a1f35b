# SPDX-License-Identifier: Apache-2.0
"""The simulation: the same tasks in one thread, in an order that a seed decides, on a clock that stands still.

Same graph, same seed, same run. What the threads of the local executor may do in any order, a seed does in one: tasks,
the checkpoint coordinator, and the writers of snapshots take their steps in turn. A process can be left at any step, as
a crash leaves it, and another one go on from what was stored.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from flinkcore.checkpoint.store import Store
from flinkcore.errors import JobCancelledError, JobExecutionError
from flinkcore.graph.job_graph import JobGraph
from flinkcore.runtime.coordinator import Coordinator, Job
from flinkcore.runtime.deploy import deploy
from flinkcore.runtime.job import JobRun
from flinkcore.runtime.recovery import Recovery
from flinkcore.runtime.restart import ExponentialDelay, restart_strategy
from flinkcore.runtime.task import Progress, Task
from flinkcore.time.clock import ManualClock

# A source that has nothing to read now may have something the next time; how often it is asked in a row.
POLLS_IN_VAIN_MAX = 10_000
POLL_AGAIN_MS = 2
STEPS_MAX = 1_000_000


def simulate(
    graph: JobGraph, seed: int = 0, clock: ManualClock | None = None, steps_max: int = STEPS_MAX
) -> JobRun:
    """Runs a bounded job to its end and returns it; raises what JobRun.wait raises.

    The clock advances, to the next time that something waits for, only when nothing else can be done, and now and then
    by a random while, so that timers also fire among records.
    JobExecutionError : also when no task can ever go on, when sources have nothing to read for POLLS_IN_VAIN_MAX
        rounds, or after `steps_max` steps
    """
    process = Process(graph, clock or ManualClock(now_ms=1_000_000), random.Random(seed), f"seed {seed}")
    process.run(steps_max)
    process.job.wait()
    return process.job


class Process:
    """One process that runs one job. Until run() has returned True, it may be left as it is: then it has crashed.

    name : for errors: what to call it with to see the same again
    root : the checkpoint directory; by default that of the configuration
    trace : takes down each step that was tried
    drift : (the likelihood that the clock advances behind a step, by how many milliseconds less than this)
    """

    def __init__(
        self,
        graph: JobGraph,
        clock: ManualClock,
        rng: random.Random,
        name: str,
        root: Store | None = None,
        trace: list[str] | None = None,
        drift: tuple[float, int] = (0.02, 300),
    ) -> None:
        self.job = JobRun(graph, clock)
        self.name = name
        self.steps = 0
        self.stopped = False
        self.coordinator: Coordinator
        self._clock = clock
        self._rng = rng
        self._trace = trace
        self._drift = drift
        self._strategy = restart_strategy(graph.config)
        if isinstance(self._strategy, ExponentialDelay):
            self._strategy.random = rng
        self._recovery = Recovery(graph, self.job.job_id, root)
        self._writers: list[Job] = []
        self._running: list[Task] = []
        self._current: Task | None = None
        self._polls_in_vain = 0
        self._ended = False
        self._start()
        self.job.started(lambda: None)

    def run(self, steps_max: int) -> bool:
        """So many steps at most. -> whether the job has ended; otherwise it can go on, or be left"""
        until = self.steps + steps_max
        while not self._ended:
            if self.steps >= until:
                return False
            try:
                self._step()
            except Exception as error:
                self.job.failed(self._current, error)
            if not self._running or self.stopped or self.job.failure is not None or self.job.cancelled.is_set():
                self._stop()
        return True

    def crash(self) -> None:
        """The process is gone: nothing is closed, flushed or told; what another process may see stays as it is."""
        self._ended = True
        self._recovery.home.close()  # the operating system gives back the lock of a dead process

    # ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        job = self.job
        job.tasks = deploy(job.graph, self._clock, self._interrupted, self._recovery.facts(job.restarts))
        self.coordinator = self._recovery.coordinator(
            job.tasks, self._clock, self._writers.append, lambda task: None, self._fail, self._suspend
        )
        job.attempt = self
        self._running = list(job.tasks)
        for task in job.tasks:
            task.listener = self.coordinator
        try:
            for self._current in job.tasks:
                self._current.open()
        except Exception as error:
            job.failed(self._current, error)

    def wake_all(self) -> None:
        """Nothing sleeps here."""

    def _interrupted(self) -> bool:
        return self.stopped or self.job.cancelled.is_set() or self.job.failure is not None

    def _fail(self, error: BaseException) -> None:
        self.job.failed(None, error)

    def _suspend(self) -> None:
        self.stopped = True

    def _step(self) -> None:
        """One thing that can be done, chosen at random; the clock moves when there is none."""
        if self.job.failure is not None:
            return
        choices: list[Callable[[], bool]] = [lambda task=task: self._step_task(task) for task in self._running]  # type: ignore[misc]
        choices += [lambda writer=writer: self._step_writer(writer) for writer in self._writers]  # type: ignore[misc]
        choices.append(self._step_coordinator)
        while choices:
            self.steps += 1
            if choices.pop(self._rng.randrange(len(choices)))():
                self._polls_in_vain = 0
                if self._rng.random() < self._drift[0]:
                    self._clock.advance(self._rng.randrange(1, self._drift[1]))
                return
        self._wait()

    def _step_task(self, task: Task) -> bool:
        self._current = task
        self._note(task.label)
        progress = task.step(choose=self._rng.choice)
        if progress is Progress.FINISHED:
            self._running.remove(task)
        self._current = None
        return progress in (Progress.WORKED, Progress.FINISHED)

    def _step_writer(self, writer: Job) -> bool:
        self._note("writer")
        try:
            next(writer)
        except StopIteration:
            self._writers.remove(writer)
        return True

    def _step_coordinator(self) -> bool:
        self._note("coordinator")
        return self.coordinator.step()

    def _note(self, what: str) -> None:
        if self._trace is not None:
            self._trace.append(f"{self._clock.now_ms()} {what}")

    def _wait(self) -> None:
        """Nothing can be done now: time passes."""
        wakes = [wake for task in self._running if (wake := task.next_wake_ms()) is not None]
        reads = any(task.source is not None and not task.over for task in self._running)
        if self._polls_in_vain < POLLS_IN_VAIN_MAX and reads:
            self._polls_in_vain += 1
            wakes.append(self._clock.now_ms() + POLL_AGAIN_MS)
        checkpoint_ms = self.coordinator.next_wake_ms()
        if checkpoint_ms is not None and (wakes or not reads):
            wakes.append(checkpoint_ms)
        if not wakes:
            raise JobExecutionError(
                f"job '{self.job.name}': no task can go on after {self.steps} steps ({self.name}): "
                + ", ".join(task.label for task in self._running)
            )
        self._clock.advance(max(1, min(wakes) - self._clock.now_ms()))

    def _stop(self) -> None:
        """The tasks have ended, one way or the other: the job ends, or starts again."""
        job = self.job
        if job.failure is None:
            while self._writers or self._rest_of_requests():
                for writer in list(self._writers):
                    self._step_writer(writer)
        for task in job.tasks:
            for failure in task.close():
                job.failed(task, failure)
        self._writers.clear()
        self.coordinator.close(job.failure or JobCancelledError(f"job '{job.name}' has ended"))
        if job.failure is not None and not job.cancelled.is_set():
            usual_ms = None if job.failed_for_good else self._strategy.on_failure(self._clock.now_ms())
            delay_ms = self._recovery.delay_ms(job.failure, usual_ms)
            if delay_ms is not None:
                job.restarting(delay_ms)
                self._clock.advance(delay_ms)
                job.restarted()
                self._recovery.to_latest(self.coordinator)
                self._start()
                return
        self._ended = True
        self._recovery.close(job.cancelled_for_good, job.failure is not None)
        job.ended()

    def _rest_of_requests(self) -> bool:
        """What tasks were still asked for, as committing what a last savepoint holds. -> whether there was any"""
        asked = [task for task in self._running if task.requests]
        for task in asked:
            self._current = task
            task.step()
        self._current = None
        return bool(asked)
