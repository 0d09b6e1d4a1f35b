# SPDX-License-Identifier: Apache-2.0
"""Rows to subtasks: key groups, places, and the scatter of a batch to them."""

from __future__ import annotations

import numpy as np
import pytest

from bench import data
from bench.kernels.batches import batches_of
from flinkcore._native.column import Column
from flinkcore._native.hash import hash_columns
from flinkcore._native.partition import places, subtasks


@pytest.mark.parametrize("count", [2, 16, 128])
def bench_partition(timed, size, count):
    """Target subtasks, places, and the scatter of four 8-byte columns."""
    rows = size(smoke=10_000, full=10_000_000)
    table = data.events(rows, 100_000)
    key, value = Column.from_arrow(table["key"]), Column.from_arrow(table["value"])
    batches = batches_of([key, value, value, key])
    hashes = [hash_columns(batch[:1]) for batch in batches]

    def run() -> list:
        scattered = []
        for batch, batch_hashes in zip(batches, hashes):
            to, bounds = places(subtasks(batch_hashes, 128, count), count)
            scattered.append(([column.scatter(to) for column in batch], bounds))
        return scattered

    scattered = timed(run, rows=rows, bytes=2 * 32 * rows)
    total = sum(int(columns[1].to_numpy().sum()) for columns, _ in scattered)
    assert total == int(value.to_numpy().sum())
    columns, bounds = scattered[0]
    targets = subtasks(hash_columns(columns[:1]), 128, count)
    assert len(bounds) == count + 1
    np.testing.assert_array_equal(targets, np.repeat(np.arange(count), np.diff(bounds)))
