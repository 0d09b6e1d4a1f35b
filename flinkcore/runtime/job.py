# SPDX-License-Identifier: Apache-2.0
"""JobRun: a job that runs or has run: its state, its counts, why its windows wait; and the way to stop it."""

from __future__ import annotations

import enum
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Protocol

from flinkcore.errors import (
    CheckpointError,
    FlinkcoreError,
    JobCancelledError,
    JobExecutionError,
    StateMigrationError,
    described,
)
from flinkcore.graph.job_graph import JobGraph
from flinkcore.metrics import OperatorMetrics
from flinkcore.operators.base import OperatorContext
from flinkcore.operators.timestamps import AssignTimestamps
from flinkcore.runtime.coordinator import CheckpointHistory, CheckpointStats, Coordinator
from flinkcore.runtime.task import OperatorRunner, Task
from flinkcore.time.clock import Clock
from flinkcore.time.watermarks import WatermarkFacts

log = logging.getLogger(__name__)

# How long the main thread waits without a look at signals. Some libraries (Polars) install handlers that do not
# interrupt a wait, and Ctrl-C would be heard only at its end.
WAIT_S_MAX = 0.2


class JobStatus(enum.Enum):
    """Names as in PyFlink's JobStatus."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    RESTARTING = "RESTARTING"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    FINISHED = "FINISHED"


class Attempt(Protocol):
    """One start of the tasks of a job."""

    @property
    def coordinator(self) -> Coordinator: ...
    def wake_all(self) -> None: ...


class JobListener(Protocol):
    """Told when jobs of this process start and end; the command line listens."""

    def job_started(self, job: JobRun) -> None: ...
    def job_ended(self, job: JobRun) -> None: ...


class JobRun:
    """One run of a job graph. Made by an executor, which reports to it; used by everyone else to look and to stop."""

    def __init__(self, graph: JobGraph, clock: Clock) -> None:
        self.job_id = uuid.uuid4().hex
        self.graph = graph
        self.clock = clock
        self.tasks: list[Task] = []
        self.attempt: Attempt | None = None  # the current one
        self.restarts = 0
        self.status = JobStatus.CREATED
        self.failure: BaseException | None = None
        self.started_ns = clock.now_ns()
        self.ended_ns: int | None = None
        self.cancelled = threading.Event()
        self.keeps_checkpoints = False  # when it is cancelled
        self.end_told = False  # someone waited for the end, and knows of a failure
        self._ended = threading.Event()
        self._when_ended: list[Callable[[JobRun], None]] = []
        self._wake: Callable[[], None] = lambda: None

    # -- looking ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.graph.name

    @property
    def is_running(self) -> bool:
        return not self._ended.is_set()

    def elapsed_ns(self) -> int:
        return (self.clock.now_ns() if self.ended_ns is None else self.ended_ns) - self.started_ns

    def runners(self) -> Iterator[OperatorRunner]:
        """Every operator of every subtask, sources included."""
        for task in self.tasks:
            yield from task.runners

    def operator_metrics(self) -> list[tuple[OperatorContext, OperatorMetrics]]:
        """(context, counts) of each operator in each subtask, in the order of the graph."""
        return [(runner.context, runner.metrics) for runner in self.runners()]

    def checkpoint_history(self) -> CheckpointHistory:
        """How many checkpoints completed and failed, through all restarts."""
        return CheckpointHistory() if self.attempt is None else self.attempt.coordinator.history

    def checkpoint_stats(self) -> list[CheckpointStats]:
        """What the last thousand checkpoints and savepoints that completed took, the newest last."""
        return list(self.checkpoint_history().recent)

    def count(self, name: str) -> int:
        """The sum over all operators of one of their named counts, or of late_dropped."""
        if name == "late_dropped":
            return sum(runner.metrics.late_dropped for runner in self.runners())
        return sum(runner.metrics.counts[name] for runner in self.runners())

    def watermark_facts(self) -> dict[str, WatermarkFacts]:
        """For each place where watermarks are made, "operator (subtask)" or "source (subtask) split": what its
        watermark stands on."""
        facts: dict[str, WatermarkFacts] = {}
        for task in self.tasks:
            place = f"{task.subtask_index + 1}/{task.parallelism}"
            if task.source is not None:
                for split_id, fact in task.source.watermark_facts().items():
                    facts[f"{task.head.context.name} ({place}) split {split_id}"] = fact
            for runner in task.runners:
                if isinstance(runner.operator, AssignTimestamps):
                    facts[f"{runner.context.name} ({place})"] = runner.operator.facts()
        return facts

    def unfired(self) -> dict[str, str]:
        """Operators that hold something that waits for a watermark: "operator (subtask)" -> what, in words."""
        waiting = {}
        for runner in self.runners():
            what = runner.operator.unfired()
            if what is not None:
                context = runner.context
                waiting[f"{context.name} ({context.subtask_index + 1}/{context.parallelism})"] = what
        return waiting

    # -- savepoints ---------------------------------------------------------------------------------------

    def savepoint(self, folder: str | None = None, *, stop: bool = False, drain: bool = False) -> Future[str]:
        """Writes a savepoint while the job runs. -> its path, or what failed

        folder : where, None for execution.checkpointing.savepoint-dir;  stop : the job ends with it, and has then
            FINISHED: the path is there when it has;  drain : before that all event time passes, as at the end of a
            bounded input
        """
        if self.attempt is None or self.status is not JobStatus.RUNNING:
            failed: Future[str] = Future()
            failed.set_exception(CheckpointError(
                f"job '{self.name}' does not run now, it is {self.status.value}; there is no state to save"))
            return failed
        asked = self.attempt.coordinator.savepoint(folder, stop or drain, drain)
        return self._once_ended(asked) if stop or drain else asked

    def _once_ended(self, savepoint: Future[str]) -> Future[str]:
        """The path of a savepoint that ends the job, when the job has ended as it should."""
        future: Future[str] = Future()

        def ended(job: JobRun) -> None:
            if job.status is JobStatus.FINISHED:
                future.set_result(savepoint.result())
            else:
                error = CheckpointError(
                    f"the savepoint is complete, '{savepoint.result()}', but job '{job.name}', which was to finish "
                    f"with it, is {job.status.value}"
                )
                error.__cause__ = job.failure
                future.set_exception(error)

        def complete(savepoint: Future[str]) -> None:
            error = savepoint.exception()
            if error is not None:
                future.set_exception(error)
            else:
                self.when_ended(ended)

        savepoint.add_done_callback(complete)
        return future

    # -- stopping -----------------------------------------------------------------------------------------

    def cancel(self, *, keep_checkpoints: bool = False) -> None:
        """Asks the job to stop; wait() then raises JobCancelledError. Nothing happens when it has ended.

        keep_checkpoints : they stay, to go on from; else that is for
            execution.checkpointing.externalized-checkpoint-retention to say
        """
        self.keeps_checkpoints = self.keeps_checkpoints or keep_checkpoints
        self.cancelled.set()
        self._wake()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Waits for the end. -> False when `timeout_s` passed first

        JobExecutionError : the job failed; its cause is what was raised
        JobCancelledError : the job was cancelled
        """
        if timeout_s is None:
            while not self._ended.wait(WAIT_S_MAX):
                pass
        elif not self._ended.wait(timeout_s):
            return False
        self.end_told = True
        if self.status is JobStatus.CANCELED:
            raise JobCancelledError(f"job '{self.name}' was cancelled")
        if self.failure is not None:
            raise self.failure
        return True

    def when_ended(self, callback: Callable[[JobRun], None]) -> None:
        """Calls `callback` once, when the job has ended; at once when it has."""
        self._when_ended.append(callback)
        if self._ended.is_set():
            self._call_back()

    def _call_back(self) -> None:
        while self._when_ended:
            try:
                callback = self._when_ended.pop()
            except IndexError:  # the other thread took it
                return
            callback(self)

    # -- for the executor ---------------------------------------------------------------------------------

    def started(self, wake: Callable[[], None]) -> None:
        """The executor begins; `wake` makes its tasks look at `cancelled`."""
        self._wake = wake
        self.status = JobStatus.RUNNING
        for listener in list(listeners):
            listener.job_started(self)

    def ended(self) -> None:
        """The executor is done: finished, or `failure` or `cancelled` is set."""
        self.ended_ns = self.clock.now_ns()
        if self.failure is not None:
            self.status = JobStatus.FAILED
        elif self.cancelled.is_set():
            self.status = JobStatus.CANCELED
        else:
            self.status = JobStatus.FINISHED
        try:
            for listener in list(listeners):
                listener.job_ended(self)
        finally:  # whatever a listener does, those who wait are told
            self._ended.set()
            self._call_back()

    def failed(self, task: Task | None, error: BaseException) -> None:
        """The first failure decides; what fails after it is a consequence. task : None when it was none's."""
        if self.failure is None and not self.cancelled.is_set():
            text = str(error) if isinstance(error, FlinkcoreError) else described(error)
            place = ""
            if task is not None:
                where = task.current.context.name if task.current is not None else task.name
                if f"operator '{where}'" not in text:
                    text = f"operator '{where}': {text}"
                place = f" in {task.label}"
            failure = JobExecutionError(f"job '{self.name}' failed{place}\n{text}")
            failure.__cause__ = error
            self.failure = failure

    @property
    def failed_for_good(self) -> bool:
        """Whether the failure is one that starting again cannot mend."""
        cause = None if self.failure is None else self.failure.__cause__
        return isinstance(cause, StateMigrationError) or not isinstance(cause, Exception)

    @property
    def cancelled_for_good(self) -> bool:
        """Whether it is the job that was to end, and not merely the process that runs it."""
        return self.cancelled.is_set() and not self.keeps_checkpoints

    def restarting(self, delay_ms: int) -> None:
        """The job starts again after a while; what failed is told to the log."""
        log.warning("%s\njob '%s' starts again in %d ms", self.failure, self.name, delay_ms)
        self.failure = None  # one that is cancelled from here on has not failed
        self.status = JobStatus.RESTARTING
        self.restarts += 1

    def restarted(self) -> None:
        """The tasks run again."""
        self.status = JobStatus.RUNNING


listeners: list[JobListener] = []
