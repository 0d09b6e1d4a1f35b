# SPDX-License-Identifier: Apache-2.0
"""Accumulators updated by id, in batches as operators see them."""

from __future__ import annotations

import numpy as np
import pytest

from bench import data
from bench.kernels.batches import batches_of
from flinkcore._native.agg import Accumulators
from flinkcore._native.column import F64, I64, Column

ROWS = {"smoke": 20_000, "full": 10_000_000}


def inputs(rows: int, groups: int) -> tuple[list[np.ndarray], list[Column], np.ndarray, np.ndarray]:
    ids = data.key_positions(rows, groups, "uniform").astype(np.int32)
    values = np.random.default_rng(data.SEED).integers(0, 10_000, rows)
    batches = batches_of([Column.from_numpy(values)])
    cuts = np.cumsum([len(batch[0]) for batch in batches])[:-1]
    return np.split(ids, cuts), [batch[0] for batch in batches], ids, values


@pytest.mark.parametrize("groups", [1_000, 100_000, 1_000_000, 10_000_000])
def bench_update_count_sum_max(timed, size, groups):
    rows = size(**ROWS)
    groups = min(groups, size(smoke=rows, full=groups))
    id_batches, value_batches, ids, values = inputs(rows, groups)

    def run() -> Accumulators:
        accumulators = Accumulators([("count_star", I64, 0), ("sum", I64, 0), ("max", I64, 0)])
        for batch_ids, batch in zip(id_batches, value_batches):
            accumulators.update(batch_ids, [(), (batch,), (batch,)])
        return accumulators

    accumulators = timed(run, rows=rows, bytes=12 * rows, limit=f"update:{groups}")
    used = accumulators.used_ids()
    counts, sums, tops = (column.to_numpy() for column in accumulators.results(used))
    np.testing.assert_array_equal(counts, np.bincount(ids, minlength=groups)[used])
    np.testing.assert_array_equal(sums, np.bincount(ids, values, minlength=groups)[used].astype(np.int64))
    expected = np.zeros(groups, np.int64)
    np.maximum.at(expected, ids, values)
    np.testing.assert_array_equal(tops, expected[used])


@pytest.mark.parametrize("op", ["count", "sum", "min", "max", "avg", "first", "last"])
@pytest.mark.parametrize("kind", [I64, F64])
def bench_update_one(timed, size, op, kind):
    rows = size(**ROWS)
    id_batches, value_batches, ids, values = inputs(rows, 1_000)
    if kind == F64:
        value_batches = [Column.from_numpy(batch.to_numpy().astype(np.float64)) for batch in value_batches]

    def run() -> Accumulators:
        accumulators = Accumulators([(op, kind, 0)])
        for batch_ids, batch in zip(id_batches, value_batches):
            accumulators.update(batch_ids, [(batch,)])
        return accumulators

    accumulators = timed(run, rows=rows, bytes=12 * rows)
    (result,) = accumulators.results(np.array([int(ids[0])], np.int32))
    mine = values[ids == ids[0]]
    mean = mine.mean() if kind == F64 else mine.sum() // len(mine)
    expected = {
        "count": len(mine),
        "sum": mine.sum(),
        "min": mine.min(),
        "max": mine.max(),
        "avg": mean,
        "first": mine[0],
        "last": mine[-1],
    }[op]
    assert result.to_pylist()[0] == pytest.approx(expected)


@pytest.mark.parametrize("groups", [1_000, 1_000_000])
def bench_update_running(timed, size, groups):
    """Before and after each record: what a changelog needs."""
    rows = size(**ROWS)
    id_batches, value_batches, ids, values = inputs(rows, groups)

    def run() -> list:
        accumulators = Accumulators([("count_star", I64, 0), ("sum", I64, 0)])
        return [
            accumulators.update_running(batch_ids, [(), (batch,)])
            for batch_ids, batch in zip(id_batches, value_batches)
        ]

    steps = timed(run, rows=rows, bytes=(12 + 33) * rows)
    new = np.concatenate([was_new for _, _, was_new in steps])
    assert int(new.sum()) == len(np.unique(ids))
    _, after, _ = steps[-1]
    counts, sums = (column.to_numpy() for column in after)
    assert counts[-1] == np.count_nonzero(ids == ids[-1])
    assert sums[-1] == values[ids == ids[-1]].sum()


@pytest.mark.parametrize("panes", [2, 16])
def bench_update_panes(timed, size, panes):
    """Each row to one of several panes, chosen row by row."""
    rows = size(**ROWS)
    id_batches, value_batches, _, values = inputs(rows, 100_000)
    pane_of_row = (np.random.default_rng(3).integers(0, panes, rows)).astype(np.int32)
    pane_batches = np.split(pane_of_row, np.cumsum([len(batch) for batch in id_batches])[:-1])

    def run() -> list[Accumulators]:
        accumulators = [Accumulators([("count_star", I64, 0), ("sum", I64, 0)]) for _ in range(panes)]
        for batch_panes, batch_ids, batch in zip(pane_batches, id_batches, value_batches):
            Accumulators.update_panes(accumulators, batch_panes, batch_ids, [(), (batch,)])
        return accumulators

    accumulators = timed(run, rows=rows, bytes=16 * rows)
    for pane, accumulator in enumerate(accumulators):
        counts, sums = (column.to_numpy() for column in accumulator.results(accumulator.used_ids()))
        assert counts.sum() == np.count_nonzero(pane_of_row == pane)
        assert sums.sum() == values[pane_of_row == pane].sum()


def bench_merge(timed, size):
    groups = size(smoke=1_000, full=1_000_000)
    ids = np.arange(groups, dtype=np.int32)
    column = Column.from_numpy(np.arange(groups))

    def filled() -> Accumulators:
        accumulators = Accumulators([("count_star", I64, 0), ("sum", I64, 0), ("max", I64, 0)])
        accumulators.update(ids, [(), (column,), (column,)])
        return accumulators

    total, pane = filled(), filled()

    def run() -> Accumulators:
        total.clear_all()
        total.merge(pane, ids, ids)
        total.merge(pane, ids, ids)
        return total

    counts, sums, tops = (
        column.to_numpy() for column in timed(run, rows=2 * groups, bytes=48 * groups).results(ids)
    )
    assert (counts == 2).all()
    np.testing.assert_array_equal(sums, 2 * np.arange(groups))
    np.testing.assert_array_equal(tops, np.arange(groups))
