# SPDX-License-Identifier: Apache-2.0
"""A savepoint of a keyed operator to a local disk, and the way back: keys with their index, and accumulators.

The state is a count, a sum and a maximum for each int64 key: a row of 32 bytes, and a slot of 8 for the key. Files are
read from the page cache, as a process that is started again at once finds them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import I64, Column
from flinkcore._native.hash import hash_columns
from flinkcore.checkpoint.segment import SegmentRef, SegmentWriter, read_segment
from flinkcore.checkpoint.store import Store, open_store
from flinkcore.columnar.schema import Schema
from flinkcore.state.keys import KeyIndex
from flinkcore.state.manager import StateManager
from flinkcore.state.part import FrozenState, PartState, RestoredState
from flinkcore.state.parts import KEYS

BATCH = 65_536

def filled(keys: int) -> StateManager:
    """A manager with so many keys, each of which was updated once."""
    manager = StateManager("bench")
    schema = Schema(["key"], [pa.int64()], "value")
    index = manager.part(KEYS, lambda: KeyIndex(schema))
    rows = manager.part("rows", _accumulators)
    numbers = np.random.default_rng(1).permutation(keys).astype(np.int64) * 0x9E3779B1
    for start in range(0, keys, BATCH):
        column = Column.from_numpy(numbers[start : start + BATCH])
        ids = index.intern((column,), hash_columns((column,)))
        rows.update(ids, [(), (column,), (column,)])
    return manager


def _accumulators() -> Accumulators:
    return Accumulators([("count_star", I64, 0), ("sum0", I64, 0), ("max", I64, 0)])


def write(frozen: FrozenState, store: Store) -> SegmentRef:
    writer = SegmentWriter(store, "all.seg", since=frozen.since, epoch=frozen.epoch)
    for number, payload in frozen.blocks():
        writer.write(number, payload)
    segment = writer.finish()
    frozen.release()
    return segment


class Stored:
    """A segment as the state of a subtask (state.part.StoredState)."""

    def __init__(self, store: Store, segment: SegmentRef, frozen: FrozenState) -> None:
        self.store, self.segment = store, segment
        self.key_groups, self.epoch = frozen.key_groups, frozen.epoch
        self.entries: list[PartState] = frozen.entries

    def blocks(self, parts: Container[int]) -> Iterator[tuple[int, memoryview]]:
        return read_segment(self.store, self.segment, parts)


def restored(stored: Stored) -> StateManager:
    manager = StateManager("bench")
    manager.restore(RestoredState([stored], [], {}, False, "a bench"))
    return manager


@pytest.mark.parametrize("keys", [10_000_000])
def bench_a_savepoint_and_the_way_back(
    benchmark, size, is_full: bool, note: Callable[[str], None], tmp_path: Path, keys: int
) -> None:
    keys = size(smoke=5_000, full=keys)
    manager = filled(keys)
    write_s, restore_s = [], []
    for i in range(4 if is_full else 1):
        store = open_store(tmp_path / f"{i}")
        started_ns = time.perf_counter_ns()
        frozen = manager.freeze(0)
        segment = write(frozen, store)
        write_s.append((time.perf_counter_ns() - started_ns) / 1e9)
        for block in read_segment(store, segment):  # into the page cache
            assert block
        stored = Stored(store, segment, frozen)
        started_ns = time.perf_counter_ns()
        back = restored(stored)
        restore_s.append((time.perf_counter_ns() - started_ns) / 1e9)
        assert [(e.name, e.rows) for e in back.entries()] == [(KEYS, keys), ("rows", keys)]
        sample = np.arange(0, keys, max(1, keys // 1000), dtype=np.int32)
        for before, after in zip(manager.find("rows").results(sample), back.find("rows").results(sample)):
            assert np.array_equal(before.to_numpy(), after.to_numpy())
        del back
    benchmark.extra_info.update(rows=keys, bytes=segment.bytes)
    benchmark.pedantic(lambda: None)
    gigabytes = segment.bytes / 1e9
    note(
        f"{gigabytes:.2f} GB; savepoint {min(write_s) / gigabytes:.2f} s per GB at best, "
        f"median {sorted(write_s)[len(write_s) // 2] / gigabytes:.2f}; restore {min(restore_s) / gigabytes:.2f} s per GB "
        f"at best, median {sorted(restore_s)[len(restore_s) // 2] / gigabytes:.2f}"
    )
