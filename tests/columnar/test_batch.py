# SPDX-License-Identifier: Apache-2.0
"""Selections of a batch compose, whatever was read in between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore._native.hash import hash_columns
from flinkcore._native.partition import places
from flinkcore.columnar.batch import Batch


def batch_of(n):
    data = pa.RecordBatch.from_pydict(
        {"a": list(range(n)), "b": [str(i) for i in range(n)], "c": [i / 2 for i in range(n)]}
    )
    return Batch.from_arrow(data).with_timestamps(np.arange(n) * 10)


@pytest.mark.parametrize("seed", range(60))
def test_any_sequence_of_selections_gives_the_rows_of_its_twin(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    batch, twin = batch_of(n), list(range(n))
    for _ in range(6):
        action = rng.choice(["take", "filter", "slice", "read", "key", "permute", "repeat", "scatter", "times"])
        count = len(twin)
        if action == "read":
            batch.column(str(rng.choice(["a", "b", "c"])))
            continue
        if action == "key":
            keys = (batch.column("b"),)
            batch = batch.with_keys(keys, hash_columns(keys) if rng.random() < 0.5 else None)
            continue
        if action == "times" and count:
            assert batch.time_bounds() == (10 * min(twin), 10 * max(twin))
            continue
        if action == "slice":
            start, end = sorted(rng.integers(0, count + 1, 2).tolist())
            batch, twin = batch.slice(start, end - start), twin[start:end]
            continue
        if action == "scatter":
            targets = rng.integers(0, 3, count).astype(np.int32)
            shares = dict(batch.scatter(*places(targets, 3)))
            assert sorted(shares) == sorted(set(targets.tolist()))
            if shares:
                chosen = int(rng.choice(sorted(shares)))
                batch, twin = shares[chosen], [row for row, target in zip(twin, targets) if target == chosen]
            continue
        if action == "filter":
            mask = rng.random(count) < 0.6
            batch, twin = batch.filter(mask), [row for row, kept in zip(twin, mask) if kept]
            continue
        if action == "permute":
            rows = rng.permutation(count)
        elif count:
            rows = rng.integers(0, count, count if action == "repeat" else int(rng.integers(0, 2 * count)))
        else:
            rows = np.empty(0, np.int64)
        batch, twin = batch.take(rows), [twin[row] for row in rows]
    assert batch.num_rows == len(twin)
    assert batch.timestamps_ms.tolist() == [10 * row for row in twin]
    if batch.keys is not None:
        assert batch.keys[0].to_pylist() == [str(row) for row in twin]
        assert batch.hashes().tolist() == hash_columns(batch.keys).tolist()
    for time_ms in (10 * row + add for row in (*twin, 0) for add in (-1, 0)):
        assert batch.has_time_until(time_ms) == any(10 * row <= time_ms for row in twin)
    assert batch.column("c").to_pylist() == [row / 2 for row in twin]
    assert batch.to_arrow().to_pydict() == {
        "a": twin,
        "b": [str(row) for row in twin],
        "c": [row / 2 for row in twin],
    }


def test_readers_of_shares_may_be_threads():
    """Each of them may be the first to read a column, which is scattered once."""
    targets = np.random.default_rng(0).integers(0, 8, 10_000).astype(np.int32)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            shares = list(batch_of(len(targets)).scatter(*places(targets, 8)))
            found = list(threads.map(lambda share: share[1].to_arrow()["a"].to_pylist(), shares))
            assert found == [np.flatnonzero(targets == target).tolist() for target, _ in shares]


def test_what_nobody_reads_is_never_made():
    batch = batch_of(4).take(np.array([3, 2, 1, 0]))
    (_, first), (_, second) = batch.scatter(*places(np.array([0, 1, 1, 0], np.int32), 2))
    assert second.column("a").to_pylist() == [2, 1]
    assert first.select([0, 1]).column("b").to_pylist() == ["3", "0"]
    assert not any(isinstance(each._columns[2], Column) for each in (batch, first, second))
