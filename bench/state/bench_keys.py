# SPDX-License-Identifier: Apache-2.0
"""Snapshots of keys: the pause of a freeze, what a snapshot of changes takes, and the way back from the bytes."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from bench import data
from bench.kernels.batches import batches_of
from flinkcore._native.column import BYTES, I64, Column
from flinkcore._native.group import GroupIndex
from flinkcore._native.hash import hash_columns


def filled(keys: int) -> GroupIndex:
    """An index of int64 keys, spread over all of int64; the key of id i is sparse(i)."""
    index = GroupIndex([I64])
    index.reserve(keys)
    for batch in batches_of([Column.from_numpy(data.sparse(np.arange(keys)))]):
        index.intern(batch, hash_columns(batch))
    return index


def snapshot(index: GroupIndex, since: int, epoch: int) -> list[bytes]:
    frozen = index.freeze(since, epoch)
    blocks = list(frozen.blocks())
    frozen.release()
    return blocks


def loaded(kind: int, blocks: list[bytes]) -> GroupIndex:
    index = GroupIndex([kind])
    for block in blocks:
        index.load(block)
    index.loaded(1)
    return index


def bench_freeze(timed, size):
    """What the task waits for. Nothing is written here; the part is given back at once."""
    keys = size(smoke=20_000, full=10_000_000)
    index, epochs = filled(keys), count(1)

    def freeze() -> None:
        index.freeze(0, next(epochs)).release()

    timed(freeze, rows=keys, bytes=keys // 8)
    assert index.live_count == keys


@pytest.mark.parametrize("share", [0.0001, 0.01])
def bench_changes(timed, size, share):
    """A share of the keys was released and given to others since the last snapshot; bytes are those written."""
    keys = size(smoke=20_000, full=10_000_000)
    index, epochs = filled(keys), count(2)
    snapshot(index, 0, 1)
    gone = np.random.default_rng(data.SEED).permutation(keys)[: int(keys * share)].astype(np.int32)
    index.release(gone)
    others = [Column.from_numpy(data.sparse(np.arange(keys, keys + len(gone))))]
    index.intern(others, hash_columns(others))
    expected = len(gone) * (4 + 8 + 1 / 8)  # an id, a key, a bit
    blocks = timed(lambda: snapshot(index, 1, next(epochs)), rows=len(gone), bytes=int(expected))
    assert sum(map(len, blocks)) == pytest.approx(expected, rel=0.2, abs=100)


def bench_load_i64(timed, size):
    """As many keys as rows of 32 bytes in 1 GB: blocks to slots, slots to the table."""
    keys = size(smoke=20_000, full=33_500_000)
    blocks = snapshot(filled(keys), 0, 1)
    index = timed(loaded, I64, blocks, rows=keys, bytes=sum(map(len, blocks)))
    assert index.live_count == keys
    some = np.random.default_rng(data.SEED).integers(0, keys, 1000)
    columns = [Column.from_numpy(data.sparse(some))]
    np.testing.assert_array_equal(index.find(columns, hash_columns(columns)), some)


def bench_load_url(timed, size):
    rows, keys = size(smoke=20_000, full=10_000_000), size(smoke=5_000, full=1_000_000)
    columns = [Column.from_arrow(data.urls(rows, keys, "uniform")["url"])]
    index = GroupIndex([BYTES])
    for batch in batches_of(columns):
        index.intern(batch, hash_columns(batch))
    blocks = snapshot(index, 0, 1)
    back = timed(loaded, BYTES, blocks, rows=index.live_count, bytes=sum(map(len, blocks)))
    ids = index.live_ids()
    types = [columns[0].type]
    assert back.key_columns(ids, types)[0].to_arrow().equals(index.key_columns(ids, types)[0].to_arrow())
