# SPDX-License-Identifier: Apache-2.0
"""Nexmark queries as whole jobs: the generator runs inside the job, as in the published benchmark.

Rows are events of all kinds, as there; 46 of 50 are bids. Rates per core compare with its throughput/cores.
"""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from bench.jobs.collect import KeptBatches
from bench.nexmark import answers
from bench.nexmark.queries import QUERIES
from flinkcore.datastream import StreamExecutionEnvironment

EVENT_BYTES = {"q0": 100, "q1": 100, "q2": 16, "q5": 16, "q7": 16, "q11": 16, "q12": 8}  # of the columns read


def run(query: str, events: int, parallelism: int) -> KeptBatches:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    sink = KeptBatches()
    QUERIES[query](env, events).sink_to(sink)
    env.execute(f"nexmark-{query}")
    return sink


def totals(table: pa.Table, names: set[str]) -> dict[str, int]:
    found = {"rows": table.num_rows}
    for name in names & set(table.column_names):
        column = table[name].combine_chunks()
        if pa.types.is_timestamp(column.type):
            column = column.view(pa.int64())
        found[name] = pc.sum(column).as_py()
    return {name: found[name] for name in names}


@pytest.mark.parametrize("parallelism", sorted({1, min(2, os.cpu_count() or 1)}))
@pytest.mark.parametrize("query", list(QUERIES))
def bench_query(timed, size, query, parallelism):
    events = size(smoke=200_000, full=10_000_000)
    kept = timed(run, query, events, parallelism, rows=events, bytes=events * EVENT_BYTES[query])
    if query == "q12":  # what is counted depends on the clock; what is still open at the end is not counted
        counted = sum(int(batch.column("bid_count").to_numpy().sum()) for batch in kept.batches())
        assert counted <= events * 46 // 50
        return
    expected = getattr(answers, "q0" if query == "q1" else query)(events)
    if query == "q1":
        expected["price"] = pytest.approx(expected["price"] * 0.908)
    assert totals(kept.table(), set(expected)) == expected
