# SPDX-License-Identifier: Apache-2.0
"""The group index: keys to dense ids, found or inserted. Hashes are made beforehand, where there are any."""

from __future__ import annotations

import numpy as np
import pytest

from bench import data
from bench.kernels.batches import batches_of, bytes_of
from flinkcore._native.column import BYTES, I64, Column
from flinkcore._native.group import GroupIndex
from flinkcore._native.hash import hash_columns


def intern_all(kinds: list[int], batches: list, hashes: list[np.ndarray | None]) -> tuple[GroupIndex, list[np.ndarray]]:
    index = GroupIndex(kinds)
    return index, [index.intern(batch, batch_hashes) for batch, batch_hashes in zip(batches, hashes)]


@pytest.mark.parametrize("distribution", ["uniform", "zipf"])
@pytest.mark.parametrize("keys", [1_000, 100_000, 1_000_000, 10_000_000])
def bench_intern_i64(timed, size, keys, distribution):
    rows = size(smoke=min(keys, 20_000), full=10_000_000)
    positions = data.key_positions(rows, keys, distribution)
    columns = [Column.from_numpy(data.sparse(positions))]
    batches = batches_of(columns)
    hashes = [hash_columns(batch) for batch in batches]
    limit = f"intern:{keys}:{distribution}"
    index, ids = timed(intern_all, [I64], batches, hashes, rows=rows, bytes=bytes_of(columns), limit=limit)
    check(positions, np.concatenate(ids), index)


@pytest.mark.parametrize("keys", [1_000, 100_000, 1_000_000, 10_000_000])
def bench_intern_close_together(timed, size, keys):
    """Numbers from 0 on, which are looked up without a hash from the second batch on."""
    rows, keys = size(smoke=20_000, full=10_000_000), size(smoke=min(keys, 20_000), full=keys)
    positions = data.key_positions(rows, keys, "uniform")
    columns = [Column.from_numpy(positions)]
    batches = batches_of(columns)
    index, ids = timed(intern_all, [I64], batches, [None] * len(batches), rows=rows, bytes=bytes_of(columns))
    check(positions, np.concatenate(ids), index)
    index.intern(batches[0])
    assert index.is_direct


@pytest.mark.parametrize("distribution", ["uniform", "zipf"])
def bench_intern_url(timed, size, distribution):
    rows, keys = size(smoke=20_000, full=10_000_000), size(smoke=5_000, full=1_000_000)
    table = data.urls(rows, keys, distribution)
    columns = [Column.from_arrow(table["url"])]
    batches = batches_of(columns)
    hashes = [hash_columns(batch) for batch in batches]
    limit = f"texts:{keys}:{distribution}"
    index, ids = timed(intern_all, [BYTES], batches, hashes, rows=rows, bytes=bytes_of(columns), limit=limit)
    check(data.key_positions(rows, keys, distribution), np.concatenate(ids), index)


@pytest.mark.parametrize("keys", [1_000, 1_000_000])
def bench_intern_two_columns(timed, size, keys):
    rows = size(smoke=20_000, full=10_000_000)
    positions = data.key_positions(rows, keys, "uniform")
    columns = [Column.from_numpy(data.sparse(positions // 8)), Column.from_numpy(positions % 8)]
    batches = batches_of(columns)
    hashes = [hash_columns(batch) for batch in batches]
    index, ids = timed(intern_all, [I64, I64], batches, hashes, rows=rows, bytes=bytes_of(columns))
    check(positions, np.concatenate(ids), index)


@pytest.mark.parametrize("keys", [1_000, 1_000_000])
def bench_keys_back(timed, size, keys):
    rows = size(smoke=min(keys, 20_000), full=keys)
    positions = np.arange(rows)
    columns = [Column.from_numpy(data.sparse(positions))]
    index = GroupIndex([I64])
    ids = index.intern(columns, hash_columns(columns))
    (back,) = timed(index.key_columns, ids, [columns[0].type], rows=rows, bytes=8 * rows)
    np.testing.assert_array_equal(back.to_numpy(), columns[0].to_numpy())


def check(positions: np.ndarray, ids: np.ndarray, index: GroupIndex) -> None:
    """Same key, same id; other key, other id; ids are dense."""
    distinct, first = np.unique(positions, return_index=True)
    id_of = np.full(int(positions.max()) + 1, -1, np.int64)
    id_of[distinct] = ids[first]
    np.testing.assert_array_equal(ids, id_of[positions])
    assert index.live_count == len(distinct) == len(np.unique(ids[first]))
    assert int(ids.max()) == len(distinct) - 1
