# SPDX-License-Identifier: Apache-2.0
"""JobStatus: where a job is in its life."""

from __future__ import annotations

from enum import Enum

__all__ = ["JobStatus"]


class JobStatus(Enum):
    """The states of a job, as Flink numbers them.

    CREATED : no task has started;  RUNNING : tasks run
    FAILING, CANCELLING : it is being stopped;  FAILED, CANCELED, FINISHED : it has ended
    RESTARTING, RECONCILING : it recovers;  SUSPENDED : this process let go of it
    """

    CREATED = 0
    RUNNING = 1
    FAILING = 2
    FAILED = 3
    CANCELLING = 4
    CANCELED = 5
    FINISHED = 6
    RESTARTING = 7
    SUSPENDED = 8
    RECONCILING = 9

    def is_globally_terminal_state(self) -> bool:
        """Whether the job has ended for good."""
        return self in (JobStatus.FAILED, JobStatus.CANCELED, JobStatus.FINISHED)

    def is_terminal_state(self) -> bool:
        """Whether nothing more will happen to the job in this process."""
        return self is JobStatus.SUSPENDED or self.is_globally_terminal_state()
