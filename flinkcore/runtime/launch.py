# SPDX-License-Identifier: Apache-2.0
"""Which executor runs the jobs of this process: the local one, unless someone put another in its place."""

from __future__ import annotations

from collections.abc import Callable

from flinkcore.graph.job_graph import JobGraph
from flinkcore.runtime import local
from flinkcore.runtime.job import JobRun

Executor = Callable[[JobGraph], JobRun]

#: Set by `flinkcore explain`, which prints graphs instead of running them, and by tests, which simulate.
executor: Executor = local.execute


def launch(graph: JobGraph) -> JobRun:
    """Starts a job with the executor of this process."""
    return executor(graph)
