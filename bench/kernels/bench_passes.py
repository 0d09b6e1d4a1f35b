# SPDX-License-Identifier: Apache-2.0
"""Passes: a condition, and columns of the rows that it leaves."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pytest

from bench import data
from bench.kernels.batches import BATCH_ROWS, batches_of
from flinkcore._native.column import Column
from flinkcore._native.passes import BITS, I64, MASK, OPS, VALIDITY, VALUES, Pass, mask_rows

VALUES_MAX = 10_000  # of data.events
KEPT_PERCENT = pytest.mark.parametrize("kept_percent", [1, 10, 50, 99])


def below(kept_percent: int) -> Pass:
    """A mask of the rows whose column 0 is small enough."""
    limit = VALUES_MAX * kept_percent // 100
    return Pass([(OPS["LT"], 2, 0, 1, -1)], [(0, 0, VALUES)], [(1, limit, I64)], [(2, MASK)], registers=3)


def taken(values: np.ndarray, kept_percent: int) -> np.ndarray:
    return values < VALUES_MAX * kept_percent // 100


def select(condition: Pass, columns: Pass, batches: list[list[Column]]) -> tuple[int, list[np.ndarray]]:
    """How many rows are left, and the columns of the last batch."""
    total, made = 0, None
    for batch in batches:
        (mask,) = condition.run(batch, len(batch[0])) or ()
        count = int(np.count_nonzero(mask))
        made = columns.run(batch, len(batch[0]), mask, count)
        total += count
    assert made is not None
    return total, made


@KEPT_PERCENT
def bench_filter(timed, size, kept_percent):
    """value * 3 + 1, key and time: the passes of W5."""
    rows = size(smoke=10_000, full=10_000_000)
    table = data.events(rows, 100_000)
    batches = batches_of([Column.from_arrow(table[name]) for name in ("value", "key", "date_time")])
    columns = Pass(
        [(OPS["MUL"], 5, 0, 3, -1), (OPS["ADD"], 5, 5, 4, -1)],
        [(i, i, VALUES) for i in range(3)],
        [(3, 3, I64), (4, 1, I64)],
        [(5, I64), (1, I64), (2, I64)],
        registers=6,
    )
    moved = 24 * rows + 24 * rows * kept_percent // 100
    total, made = timed(select, below(kept_percent), columns, batches, rows=rows, bytes=moved)
    assert total == taken(table["value"].to_numpy(), kept_percent).sum()
    value, key, time = (column.to_numpy() for column in batches[-1])
    mask = taken(value, kept_percent)
    np.testing.assert_array_equal(made[0], value[mask] * 3 + 1)
    np.testing.assert_array_equal(made[1], key[mask])
    np.testing.assert_array_equal(made[2], time[mask].view(np.int64))


@KEPT_PERCENT
def bench_filter_bits(timed, size, kept_percent):
    """A column with nulls and one of booleans."""
    rows = size(smoke=10_000, full=10_000_000)
    table = data.events(rows, 100_000)
    even = pc.equal(pc.bit_wise_and(table["key"], 1), 0)
    nullable = pc.if_else(even, table["key"], None)
    batches = batches_of([Column.from_arrow(column) for column in (table["value"], nullable, even)])
    inputs = [(0, 1, VALUES), (1, 1, VALIDITY), (2, 2, BITS)]
    columns = Pass([], inputs, [], [(0, I64), (1, MASK), (2, MASK)], registers=3)
    moved = 17 * rows + 10 * rows * kept_percent // 100
    total, made = timed(select, below(kept_percent), columns, batches, rows=rows, bytes=moved)
    assert total == taken(table["value"].to_numpy(), kept_percent).sum()
    last = batches[-1][2].to_numpy()[taken(batches[-1][0].to_numpy(), kept_percent)]
    np.testing.assert_array_equal(made[1], last)
    np.testing.assert_array_equal(made[2], last)


@KEPT_PERCENT
def bench_rows_of_mask(timed, size, kept_percent):
    """Positions of the rows that a condition leaves."""
    rows = size(smoke=10_000, full=10_000_000)
    mask = taken(data.events(rows, 100_000)["value"].to_numpy(), kept_percent).view(np.uint8)
    batches = [mask[start : start + BATCH_ROWS] for start in range(0, rows, BATCH_ROWS)]

    def run() -> int:
        return sum(len(mask_rows(batch)) for batch in batches)

    assert timed(run, rows=rows, bytes=rows + 8 * rows * kept_percent // 100) == mask.sum()
