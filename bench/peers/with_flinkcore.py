# SPDX-License-Identifier: Apache-2.0
"""The jobs in flinkcore: the pipelines of bench.jobs over an Arrow table, a subtask per thread."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

import flinkcore
from bench.jobs.collect import FoldedChanges, KeptBatches, result_table, run
from bench.jobs.pipelines import PIPELINES


def version() -> str:
    return flinkcore.__version__


Made = KeptBatches | FoldedChanges


def prepare(job: str, table: pa.Table, threads: int) -> tuple[Callable[[], Made], Callable[[Made], pa.Table]]:
    build = PIPELINES[job]
    return lambda: run(job, build, table, threads), lambda made: result_table(job, made, build, table)
