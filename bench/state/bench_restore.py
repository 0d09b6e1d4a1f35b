# SPDX-License-Identifier: Apache-2.0
"""A savepoint of a keyed operator to a local disk, and the way back: keys with their index, and accumulators.

The state is a count, a sum and a maximum for each int64 key: a row of 32 bytes, and a slot of 8 for the key. It is
restored as a process that is started again at once finds things: files in the page cache, and memory that was in use
just before. Beside that, what it takes in memory that the machine has not used for a while, which under a hypervisor
may have to come from the host first.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bench.memory import put_in_use
from flinkcore._native.agg import Accumulators
from flinkcore._native.column import I64, Column
from flinkcore._native.hash import hash_columns
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.segment import SegmentRef, SegmentWriter, read_segment
from flinkcore.checkpoint.store import Store
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
    write_s, at_once_s, later_s = [], [], []
    for i in range(4 if is_full else 1):
        manager = filled(keys)
        store = open_store(tmp_path / f"{i}")
        started_ns = time.perf_counter_ns()
        frozen = manager.freeze(0)
        segment = write(frozen, store)
        write_s.append((time.perf_counter_ns() - started_ns) / 1e9)
        for block in read_segment(store, segment):  # into the page cache
            assert block
        stored = Stored(store, segment, frozen)
        sample = np.arange(0, keys, max(1, keys // 1000), dtype=np.int32)
        before = [column.to_numpy() for column in manager.find("rows").results(sample)]
        if is_full:
            time.sleep(5)  # hypervisors take memory back that nothing has used for some seconds
            later_s.append(timed_restore(stored, keys, sample, before))
        del manager
        if is_full:
            put_in_use(2 * segment.bytes)
        at_once_s.append(timed_restore(stored, keys, sample, before))
    benchmark.extra_info.update(rows=keys, bytes=segment.bytes)
    benchmark.pedantic(lambda: None)
    gigabytes = segment.bytes / 1e9
    note(
        f"{gigabytes:.2f} GB, s per GB (best, median): savepoint {_per(write_s, gigabytes)}; restore "
        f"{_per(at_once_s, gigabytes)}" + (f"; in memory long unused {_per(later_s, gigabytes)}" if later_s else "")
    )


def timed_restore(stored: Stored, keys: int, sample: np.ndarray, before: Sequence[np.ndarray]) -> float:
    """Seconds, after a look at what was restored."""
    started_ns = time.perf_counter_ns()
    back = restored(stored)
    seconds = (time.perf_counter_ns() - started_ns) / 1e9
    assert [(e.name, e.rows) for e in back.entries()] == [(KEYS, keys), ("rows", keys)]
    for column, values in zip(back.find("rows").results(sample), before):
        assert np.array_equal(column.to_numpy(), values)
    return seconds


def _per(seconds: list[float], gigabytes: float) -> str:
    return f"{min(seconds) / gigabytes:.2f}, {statistics.median(seconds) / gigabytes:.2f}"
