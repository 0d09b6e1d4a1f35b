# SPDX-License-Identifier: Apache-2.0
"""JobExecutionResult: what is known of a job that has finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flinkcore.common.job_id import JobID

if TYPE_CHECKING:
    from flinkcore.runtime.job import JobRun

__all__ = ["JobExecutionResult"]


class JobExecutionResult:
    """The identity and run time of a job, and its accumulators.

    Python functions cannot register accumulators, in Flink either; see flinkcore.metrics for counters.
    """

    def __init__(
        self, job_id: JobID, net_runtime_ms: int, accumulators: dict[str, Any] | None = None
    ) -> None:
        self._job_id = job_id
        self._net_runtime_ms = net_runtime_ms
        self._accumulators = accumulators or {}

    @staticmethod
    def of_run(run: JobRun) -> JobExecutionResult:
        """The result of a run that has ended."""
        return JobExecutionResult(JobID(run.job_id), run.elapsed_ns() // 1_000_000)

    def get_job_id(self) -> JobID:
        return self._job_id

    def get_net_runtime(self) -> int:
        """How long the job ran, in milliseconds."""
        return self._net_runtime_ms

    def get_accumulator_result(self, accumulator_name: str) -> Any:
        """The value of an accumulator, None when there is none of this name."""
        return self._accumulators.get(accumulator_name)

    def get_all_accumulator_results(self) -> dict[str, Any]:
        return dict(self._accumulators)

    def __str__(self) -> str:
        return (
            f"Program execution finished\nJob with JobID {self._job_id} has finished.\n"
            f"Job Runtime: {self._net_runtime_ms} ms\n"
        )
