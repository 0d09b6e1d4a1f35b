# SPDX-License-Identifier: Apache-2.0
"""Running aggregates by key in a Bytewax dataflow, on Arrow batches instead of Python objects.

    pip install 'flinkcore[examples]'
    python examples/bytewax_aggregate.py [--rows 1000000] [--keys 10000]

Bytewax routes and folds each record as a Python object. `aggregate_batches` is an operator on a stream of
pyarrow.RecordBatches: it cuts each batch into as many parts as there are partitions by the hash of its keys (scatter),
so that Bytewax routes a few parts instead of many records, and adds them to one flinkcore.kernels.KeyedAggregates for
each. State is part of Bytewax's recovery: a snapshot of a partition is its export.

Prints the time of this and of Bytewax's own fold_final over the same batches, and their ratio, having checked that the
results are equal.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable

import bytewax.operators as op
import numpy as np
import pyarrow as pa
from bytewax.dataflow import Dataflow, Stream, operator
from bytewax.operators import StatefulBatchLogic
from bytewax.testing import TestingSink, TestingSource, run_main

from flinkcore.kernels import KeyedAggregates, scatter

Aggregates = dict[str, tuple[str, ...]]


class PartitionOfAggregates(StatefulBatchLogic[pa.RecordBatch, pa.Table, bytes]):
    """The aggregates of one partition's keys: told when the stream ends."""

    def __init__(self, keys: list[str], aggregates: Aggregates, exported: bytes | None) -> None:
        self.keys = keys
        self.aggregates = aggregates
        self.state = None if exported is None else KeyedAggregates.restore(exported)

    def on_batch(self, values: list[pa.RecordBatch]) -> tuple[Iterable[pa.Table], bool]:
        if self.state is None:
            self.state = KeyedAggregates(values[0].schema, self.keys, self.aggregates)
        self.state.update(values)
        return [], False

    def on_eof(self) -> tuple[Iterable[pa.Table], bool]:
        return [] if self.state is None else [self.state.to_table()], True

    def snapshot(self) -> bytes:
        assert self.state is not None      # Bytewax asks after a batch
        return b"".join(self.state.freeze().export())


@operator
def aggregate_batches(
    step_id: str, up: Stream[pa.RecordBatch], keys: list[str], aggregates: Aggregates, partitions: int = 8
) -> Stream[pa.Table]:
    """The aggregates of each key of a stream of batches: a table for each partition, when the stream ends."""

    def parts(batch: pa.RecordBatch) -> Iterable[tuple[str, pa.RecordBatch]]:
        whole, bounds = scatter(batch, keys, partitions)
        return [(str(p), whole.slice(bounds[p], bounds[p + 1] - bounds[p])) for p in np.flatnonzero(np.diff(bounds))]

    routed = op.flat_map("scatter", up, parts)
    told = op.stateful_batch("aggregate", routed, lambda kept: PartitionOfAggregates(keys, aggregates, kept))
    return op.map("unkey", told, lambda pair: pair[1])


def with_kernels(batches: list[pa.RecordBatch]) -> pa.Table:
    flow, found = Dataflow("with_kernels"), []
    stream = op.input("input", flow, TestingSource(batches))
    sums = aggregate_batches("sums", stream, ["user"], {
        "n": ("count_star",), "total": ("sum", "price"), "highest": ("max", "price")})
    op.output("output", sums, TestingSink(found))
    run_main(flow)
    return pa.concat_tables(found)


def with_fold(batches: list[pa.RecordBatch]) -> pa.Table:
    flow, found = Dataflow("with_fold"), []
    stream = op.input("input", flow, TestingSource(batches))
    rows = op.flat_map("rows", stream, lambda batch: zip(batch["user"].to_pylist(), batch["price"].to_pylist()))

    def add(so_far: tuple[int, int, int], price: int) -> tuple[int, int, int]:
        n, total, highest = so_far
        return n + 1, total + price, max(highest, price)

    sums = op.fold_final("sums", rows, lambda: (0, 0, -(2**63)), add)
    op.output("output", sums, TestingSink(found))
    run_main(flow)
    return pa.table({"user": [user for user, _ in found], **{
        name: [sums[i] for _, sums in found] for i, name in enumerate(("n", "total", "highest"))}})


def some_batches(rows: int, keys: int, batch_rows: int) -> list[pa.RecordBatch]:
    rng = np.random.default_rng(42)
    users = pa.array([f"user-{i}" for i in range(keys)])
    batches = []
    for start in range(0, rows, batch_rows):
        count = min(batch_rows, rows - start)
        batches.append(pa.record_batch({"user": users.take(pa.array(rng.integers(0, keys, count))),
                                        "price": rng.integers(0, 1000, count)}))
    return batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--batch-rows", type=int, default=65_536)
    options = parser.parse_args()
    batches = some_batches(options.rows, options.keys, options.batch_rows)
    seconds, results = [], []
    for run in (with_kernels, with_fold):
        start = time.perf_counter()
        results.append(run(batches).sort_by("user").combine_chunks())
        seconds.append(time.perf_counter() - start)
    assert results[0].equals(results[1])
    ours, theirs = seconds
    print(f"{results[0].num_rows} keys: {options.rows / ours / 1e6:.2f} M rows/s with flinkcore.kernels, "
          f"{options.rows / theirs / 1e6:.2f} M rows/s with fold_final: {theirs / ours:.0f} times as fast")


if __name__ == "__main__":
    main()
