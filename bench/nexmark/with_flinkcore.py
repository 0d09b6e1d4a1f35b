# SPDX-License-Identifier: Apache-2.0
"""The queries in flinkcore, with the generator in the job, into a sink that reads every column and lets go of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import flinkcore
from bench.jobs.collect import FoldedTotals
from bench.nexmark.queries import QUERIES
from flinkcore.datastream import StreamExecutionEnvironment


@dataclass(frozen=True)
class Ran:
    """totals : of the result: rows, and the sum of each column (of text its bytes)"""

    seconds: float
    totals: dict[str, float]


def version() -> str:
    return flinkcore.__version__


def run(query: str, events: int, threads: int) -> Ran:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(threads)
    sink = FoldedTotals()
    QUERIES[query](env, events).sink_to(sink)
    start_ns = time.perf_counter_ns()
    env.execute(f"nexmark-{query}")
    return Ran((time.perf_counter_ns() - start_ns) / 1e9, sink.totals())
