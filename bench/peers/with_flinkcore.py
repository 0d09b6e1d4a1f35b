# SPDX-License-Identifier: Apache-2.0
"""The jobs in flinkcore: the pipelines of bench.jobs over an Arrow table, a subtask per thread."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

import flinkcore
from bench.jobs.collect import KeptBatches, final_table, run
from bench.jobs.pipelines import PIPELINES


def version() -> str:
    return flinkcore.__version__


def prepare(
    job: str, table: pa.Table, threads: int
) -> tuple[Callable[[], KeptBatches], Callable[[KeptBatches], pa.Table]]:
    return lambda: run(PIPELINES[job], table, threads), lambda kept: final_table(job, kept)
