# SPDX-License-Identifier: Apache-2.0
"""JobClient: looks at a job that runs, has it write a savepoint, and stops it."""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any

from flinkcore.common.completable_future import CompletableFuture
from flinkcore.common.job_execution_result import JobExecutionResult
from flinkcore.common.job_id import JobID
from flinkcore.common.job_status import JobStatus

if TYPE_CHECKING:
    from flinkcore.runtime.job import JobRun

__all__ = ["JobClient"]


class JobClient:
    """One job that execute_async started."""

    def __init__(self, run: JobRun) -> None:
        self._run = run

    @staticmethod
    def of_run(run: JobRun) -> JobClient:
        return JobClient(run)

    def get_job_id(self) -> JobID:
        return JobID(self._run.job_id)

    def get_job_status(self) -> CompletableFuture[JobStatus]:
        return CompletableFuture.completed(JobStatus[self._run.status.name])

    def cancel(self) -> CompletableFuture[None]:
        """Stop the job; done when it has stopped."""
        future: Future[None] = Future()
        self._run.cancel()
        self._run.when_ended(lambda run: _settle(future, None, None))
        return CompletableFuture(future)

    def trigger_savepoint(self, savepoint_directory: str | None = None) -> CompletableFuture[str]:
        """Have the job write a savepoint and run on. The result is its path.

        savepoint_directory : where to put it, None for execution.checkpointing.savepoint-dir
        """
        return _following(self._run.savepoint(savepoint_directory))

    def stop_with_savepoint(
        self, advance_to_end_of_event_time: bool, savepoint_directory: str | None = None
    ) -> CompletableFuture[str]:
        """Have the job write a savepoint and end with it. The result, when it has ended, is the savepoint's path.

        advance_to_end_of_event_time : before the savepoint the watermark goes to its end, so that every window fires
            and every timer too: for a job that is not to go on
        """
        return _following(
            self._run.savepoint(savepoint_directory, stop=True, drain=bool(advance_to_end_of_event_time))
        )

    def get_accumulators(self) -> CompletableFuture[dict[str, Any]]:
        """Python functions register none; see flinkcore.metrics."""
        return CompletableFuture.completed({})

    def get_job_execution_result(self) -> CompletableFuture[JobExecutionResult]:
        """Done when the job has ended; its result() raises what made the job fail."""
        future: Future[JobExecutionResult] = Future()

        def settle(run: JobRun) -> None:
            try:
                run.wait(0)
            except Exception as error:
                _settle(future, None, error)
            else:
                _settle(future, JobExecutionResult.of_run(run), None)

        self._run.when_ended(settle)
        return CompletableFuture(future)


def _following(source: Future[str]) -> CompletableFuture[str]:
    """A future that can be given up while its source goes on."""
    future: Future[str] = Future()

    def settle(source: Future[str]) -> None:
        error = source.exception()
        _settle(future, None if error is not None else source.result(), error)

    source.add_done_callback(settle)
    return CompletableFuture(future)


def _settle(future: Future[Any], value: Any, error: BaseException | None) -> None:
    try:
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
    except InvalidStateError:  # the caller cancelled it
        pass
