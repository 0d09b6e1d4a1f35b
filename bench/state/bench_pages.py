# SPDX-License-Identifier: Apache-2.0
"""Snapshots of accumulators: 1e7 rows of 32 bytes, updated at random while they are written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from bench import data
from bench.kernels.batches import BATCH_ROWS
from flinkcore._native.agg import Accumulators, FrozenAccumulators
from flinkcore._native.column import I64, Column

AGGREGATES = [("count_star", I64, 0), ("sum", I64, 0), ("max", I64, 0)]
ROW_BYTES, PAGE_BYTES = 32, 16_384
ROWS = {"smoke": 20_000, "full": 10_000_000}
SHARES = [0.01, 0.1, 1.0]
FORK_SECONDS = 0.3  # how long a forked process needs its memory: about what writing 320 MB takes


def filled(rows: int) -> Accumulators:
    """Rows 0 to `rows`, each with one record of its id."""
    accumulators = Accumulators(AGGREGATES)
    for start in range(0, rows, BATCH_ROWS):
        ids = np.arange(start, min(start + BATCH_ROWS, rows))
        values = Column.from_numpy(ids)
        accumulators.update(ids.astype(np.int32), [(), (values,), (values,)])
    return accumulators


def scattered(rows: int, share: float, count: int) -> list[np.ndarray]:
    """`count` batches of ids, drawn from a share of the rows that is spread over all pages."""
    rng = np.random.default_rng(data.SEED)
    hot = rng.permutation(rows)[: int(rows * share)].astype(np.int32)
    return [hot[rng.integers(0, len(hot), BATCH_ROWS)] for _ in range(count)]


def updater(accumulators: Accumulators) -> Callable[[np.ndarray], None]:
    ones = Column.from_numpy(np.ones(BATCH_ROWS, np.int64))
    return lambda ids: accumulators.update(ids, [(), (ones,), (ones,)])


def assert_counts(accumulators: Accumulators, rows: int, updates: int) -> None:
    """That `updates` records came to rows that had one each."""
    counts, sums, _ = (column.to_numpy() for column in accumulators.results(np.arange(rows, dtype=np.int32)))
    assert counts.sum() == rows + updates
    assert sums.sum() == rows * (rows - 1) // 2 + updates


class Alone:
    """No snapshot: what the others are measured by."""

    def __init__(self, accumulators: Accumulators, is_full: bool) -> None:
        self.accumulators, self.is_full = accumulators, is_full

    def snapshot(self) -> None:
        pass

    def finish(self) -> None:
        pass

    def check(self, rows: int, updates: int) -> None:
        """What was written has to hold all updates."""


class Pages(Alone):
    """Pages are frozen, and another thread writes what changed."""

    def __init__(self, accumulators: Accumulators, is_full: bool) -> None:
        super().__init__(accumulators, is_full)
        self.epoch = 0
        self.blocks: list[bytes] = []
        self.writer = ThreadPoolExecutor(1)
        self.pending: tuple[FrozenAccumulators, Future[None]] | None = None
        self.snapshot()
        self.finish()

    def _write(self, frozen: FrozenAccumulators) -> None:
        for block in frozen.blocks():
            if not self.is_full:  # else it would be the whole state many times
                self.blocks.append(block)

    def snapshot(self) -> None:
        self.finish()
        frozen = self.accumulators.freeze(self.epoch, self.epoch + 1)
        self.epoch += 1
        self.pending = frozen, self.writer.submit(self._write, frozen)

    def finish(self) -> None:
        if self.pending is not None:
            frozen, written = self.pending
            written.result()
            frozen.release()
            self.pending = None

    def check(self, rows: int, updates: int) -> None:
        if not self.is_full:
            restored = Accumulators(AGGREGATES)
            for block in self.blocks:
                restored.load(block)
            assert_counts(restored, rows, updates)


class Copy(Alone):
    """Everything is copied between two batches."""

    epoch = 0

    def snapshot(self) -> None:
        self.epoch += 1
        frozen = self.accumulators.freeze(0, self.epoch)
        for _ in frozen.blocks():
            pass
        frozen.release()


class Fork(Alone):
    """The system copies pages of 4 KB as they are written, while another process has them."""

    child = 0

    def snapshot(self) -> None:
        self.finish()
        self.child = os.fork()
        if self.child == 0:
            time.sleep(FORK_SECONDS if self.is_full else 0)
            os._exit(0)

    def finish(self) -> None:
        if self.child:
            os.waitpid(self.child, 0)
            self.child = 0


@pytest.mark.parametrize("way", [Alone, Pages, Copy, Fork], ids=lambda way: way.__name__.lower())
@pytest.mark.parametrize("share", SHARES)
def bench_update_with_a_snapshot_every_second(timed, size, is_full, share, way):
    """Bytes are those of the rows that are updated, once for each update."""
    rows, batches = size(**ROWS), size(smoke=4, full=1500)
    accumulators = filled(rows)
    update, snapshots = updater(accumulators), way(accumulators, is_full)
    ids = scattered(rows, share, min(batches, 100))
    updates = 0

    def run() -> None:
        nonlocal updates
        due = time.monotonic() + 0.5
        for batch in range(batches):
            update(ids[batch % len(ids)])
            updates += BATCH_ROWS
            if time.monotonic() >= due or not is_full:
                due += 1.0
                snapshots.snapshot()
        snapshots.finish()

    timed(run, rows=batches * BATCH_ROWS, bytes=batches * BATCH_ROWS * ROW_BYTES)
    assert_counts(accumulators, rows, updates)
    snapshots.check(rows, updates)


@pytest.mark.parametrize("share", SHARES)
def bench_pause_of_a_freeze(timed, note, size, share):
    """What the task waits for; rows are those of the state, bytes what a snapshot takes."""
    rows, rounds = size(**ROWS), size(smoke=3, full=100)
    accumulators = filled(rows)
    update, epoch, pauses_ns = updater(accumulators), 1, []
    base = accumulators.freeze(0, epoch)
    base.release()
    ids = scattered(rows, share, 16)

    def run() -> list[bytes]:
        nonlocal epoch
        for turn in range(rounds):
            for batch in ids:
                update(batch)
            start_ns = time.perf_counter_ns()
            frozen = accumulators.freeze(epoch, epoch + 1)
            pauses_ns.append(time.perf_counter_ns() - start_ns)
            epoch += 1
            blocks = list(frozen.blocks()) if turn == rounds - 1 else []
            frozen.release()
        return blocks

    written = sum(map(len, timed(run, rows=rows * rounds, bytes=rows * rounds * ROW_BYTES)))
    p50, p99 = np.percentile(pauses_ns, [50, 99]) / 1000
    note(f"freeze: p50 {p50:.0f} us, p99 {p99:.0f} us")
    touched = np.unique(np.concatenate(ids))
    assert len(touched) * ROW_BYTES <= written


@pytest.mark.parametrize("share", [0.0001, 0.001, 0.01, 0.1, 1.0])
def bench_write_an_increment(timed, note, size, share):
    """Each of a share of the rows was updated once; rows and bytes are what is written."""
    rows = size(**ROWS)
    accumulators = filled(rows)
    touched = np.random.default_rng(data.SEED).permutation(rows)[: int(rows * share)].astype(np.int32)
    values = Column.from_numpy(np.ones(len(touched), np.int64))
    accumulators.freeze(0, 1).release()
    accumulators.update(touched, [(), (values,), (values,)])
    epoch = 1

    def run() -> list[bytes]:
        nonlocal epoch
        epoch += 1
        frozen = accumulators.freeze(1, epoch)
        blocks = list(frozen.blocks())
        frozen.release()
        return blocks

    least = len(touched) * ROW_BYTES
    written = sum(map(len, timed(run, rows=len(touched), bytes=least)))
    page_rows = PAGE_BYTES // ROW_BYTES
    dirty = len(np.unique(touched // page_rows)) * PAGE_BYTES
    note(
        f"written: {written / 1e6:.2f} MB; touched rows {least / 1e6:.2f} MB, their pages {dirty / 1e6:.2f} MB"
    )
    assert least <= written <= min(dirty * 1.001, least * 1.0625 + dirty / PAGE_BYTES * 12) + 1024


def bench_restore(timed, size):
    """From blocks in memory; rows and bytes are those of the state."""
    rows = size(**ROWS)
    frozen = filled(rows).freeze(0, 1)
    blocks = list(frozen.blocks())
    frozen.release()

    def run() -> Accumulators:
        accumulators = Accumulators(AGGREGATES)
        for block in blocks:
            accumulators.load(block)
        accumulators.loaded(1)
        return accumulators

    accumulators = timed(run, rows=rows, bytes=sum(map(len, blocks)))
    assert accumulators.row_count == rows
    assert_counts(accumulators, rows, 0)


def bench_restore_by_rows(timed, size):
    """The same from increments that gave every row on its own."""
    rows = size(**ROWS)
    accumulators, blocks, epoch = filled(rows), [], 0
    ids = np.random.default_rng(data.SEED).permutation(rows).astype(np.int32)
    for part in np.array_split(ids, 10):
        values = Column.from_numpy(np.ones(len(part), np.int64))
        accumulators.freeze(epoch, epoch + 1).release()
        epoch += 1
        accumulators.update(part, [(), (values,), (values,)])
        frozen = accumulators.freeze(epoch, epoch + 1)
        epoch += 1
        blocks += frozen.blocks()
        frozen.release()

    def run() -> Accumulators:
        restored = Accumulators(AGGREGATES)
        for block in blocks:
            restored.load(block)
        return restored

    restored = timed(run, rows=rows, bytes=sum(map(len, blocks)))
    assert_counts(restored, rows, rows)
