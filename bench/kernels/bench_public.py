# SPDX-License-Identifier: Apache-2.0
"""The kernels as other libraries call them (flinkcore.kernels): what a call costs, and what a batch does."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bench import data
from bench.kernels.batches import BATCH_ROWS
from flinkcore.kernels import (
    Accumulators,
    GroupIndex,
    KeyedAggregates,
    group_by,
    hash_columns,
    hash_partition,
    scatter,
)

CALLS = 1000


def batches(rows: int) -> list[pa.RecordBatch]:
    table = data.events(rows, 100_000).combine_chunks()
    four = pa.table([table["key"], table["value"], table["value"], table["key"]], names=list("abcd"))
    return four.to_batches(max_chunksize=BATCH_ROWS)


def given_batches(rows: int, where: str) -> list[pa.RecordBatch]:
    """`rows` in batches: of their own, or one batch over and over, which stays in the cache."""
    given = batches(rows if where == "memory" else BATCH_ROWS)
    return given if where == "memory" else given * max(1, rows // BATCH_ROWS)


@pytest.mark.parametrize("where", ["cache", "memory"])
@pytest.mark.parametrize("count", [2, 16, 100, 128])
def bench_scatter(timed, size, count, where):
    """Batches of four int64 columns to partitions by the hash of one; what is made is dropped at the next batch."""
    given = given_batches(size(smoke=BATCH_ROWS, full=10_000_000), where)
    rows = sum(batch.num_rows for batch in given)

    def run() -> tuple[pa.RecordBatch, np.ndarray]:
        for batch in given:
            made = scatter(batch, "a", count)
        return made

    made, bounds = timed(run, rows=rows, bytes=2 * 32 * rows)
    targets = hash_columns(made["a"]) % np.uint64(count)
    np.testing.assert_array_equal(targets, np.repeat(np.arange(count), np.diff(bounds)))
    assert made["b"].to_numpy().sum() == given[-1]["b"].to_numpy().sum()


@pytest.mark.parametrize("count", [2, 16, 100, 128])
def bench_hash_partition(timed, size, count):
    """The order of rows by partition, for callers that move them; of one batch over and over."""
    given = given_batches(size(smoke=BATCH_ROWS, full=10_000_000), "cache")
    rows = sum(batch.num_rows for batch in given)

    def run() -> tuple[np.ndarray, np.ndarray]:
        for batch in given:
            made = hash_partition(batch["a"], count=count)
        return made

    order, bounds = timed(run, rows=rows, bytes=16 * rows)
    targets = hash_columns(given[-1]["a"])[order] % np.uint64(count)
    np.testing.assert_array_equal(targets, np.repeat(np.arange(count), np.diff(bounds)))


@pytest.mark.parametrize("threads", [1, 2])
def bench_group_by(timed, size, threads):
    """count and sum by a key of 100,000, and the same by two threads that merge."""
    import threading

    rows = size(smoke=10_000, full=10_000_000)
    given = batches(rows)
    aggregates = {"n": "count_star", "total": ("sum", "b")}

    def run() -> pa.Table:
        if threads == 1:
            return group_by(given, "a", aggregates)
        states = [KeyedAggregates(given[0].schema, "a", aggregates) for _ in range(threads)]
        workers = [
            threading.Thread(target=state.update, args=(given[i::threads],)) for i, state in enumerate(states)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        states[0].merge(states[1])
        return states[0].to_table()

    table = timed(run, rows=rows, bytes=16 * rows)
    assert table["n"].to_numpy().sum() == rows
    assert table["total"].to_numpy().sum() == sum(batch["b"].to_numpy().sum() for batch in given)


@pytest.mark.parametrize(
    "call", ["hash_columns", "intern", "intern of two", "update", "results", "scatter of four"]
)
def bench_call(timed, call):
    """One row at a time: what a call itself costs. Rows per second are calls per second."""
    one, word, ids = np.array([5]), pa.array(["a"]), np.array([0], np.int32)
    index, two = GroupIndex(pa.int64()), GroupIndex(pa.int64(), pa.string())
    sums = Accumulators(("count_star",), ("sum", pa.int64()))
    batch = pa.record_batch({name: [1] for name in "abcd"})
    calls = {
        "hash_columns": lambda: hash_columns(one),
        "intern": lambda: index.intern(one),
        "intern of two": lambda: two.intern(one, word),
        "update": lambda: sums.update(ids, one),
        "results": lambda: sums.results(ids),
        "scatter of four": lambda: scatter(batch, "a", 2),
    }
    once = calls[call]
    timed(lambda: [once() for _ in range(CALLS)], rows=CALLS, bytes=8 * CALLS)
    assert (
        len(index) == (call == "intern")
        and len(two) == (call == "intern of two")
        and len(sums) == (call == "update")
    )
