# SPDX-License-Identifier: Apache-2.0
"""JobClient: looks at a job that runs, and stops it."""

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


def _settle(future: Future[Any], value: Any, error: Exception | None) -> None:
    try:
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
    except InvalidStateError:  # the caller cancelled it
        pass
