# SPDX-License-Identifier: Apache-2.0
"""Accumulators that draw on a budget of a few pages, against those that have all the memory they want."""

from __future__ import annotations

import errno
import gc
import os
import random
import sys
import tempfile
import threading

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native import agg
from flinkcore._native.agg import RETRACTABLE, Accumulators
from flinkcore._native.column import BYTES, F64, I64, Column
from flinkcore._native.memory import PAGE_BYTES, MemoryPool, MemoryShare
from flinkcore.errors import StateSpillError
from tests.kernels.allocations import failing

SPECS = [("count_star", I64, 0), ("sum", I64, RETRACTABLE), ("max", I64, 0), ("last", F64, 0)]
RETRACTABLES = [("count_star", I64, 0), ("sum", I64, RETRACTABLE), ("avg", I64, 0)]
BOUND = 20_000  # ids, in 80 pages
BLOCK_PAGES = 256  # what a kernel may have in memory beyond the budget


def pool_of(pages: int) -> MemoryPool:
    fd, path = tempfile.mkstemp()
    os.unlink(path)
    return MemoryPool(fd, pages * PAGE_BYTES, tempfile.gettempdir())


def budgeted(specs, share: MemoryShare) -> Accumulators:
    accumulators = Accumulators(specs)
    accumulators.draw_on(share)
    return accumulators


def arguments(rng: np.random.Generator, specs, n: int):
    return [
        () if spec[0] == "count_star"
        else (Column.from_numpy(rng.integers(-99, 99, n).astype(np.float64 if spec[1] == F64 else np.int64)),)
        for spec in specs
    ]


def ids_of(rng: np.random.Generator, n: int) -> np.ndarray:
    """Ids of which some pages have more than others."""
    return (BOUND * rng.random(n) ** 3).astype(np.int32)


def results(accumulators: Accumulators) -> list[list[object]]:
    return [column.to_pylist() for column in accumulators.results(np.arange(BOUND, dtype=np.int32))]


def assert_same(accumulators: Accumulators, twin: Accumulators) -> None:
    assert accumulators.row_count == twin.row_count
    assert accumulators.used_ids().tolist() == twin.used_ids().tolist()
    assert results(accumulators) == results(twin)


def loaded(specs, blocks, share: MemoryShare | None = None) -> Accumulators:
    accumulators = Accumulators(specs) if share is None else budgeted(specs, share)
    for block in blocks:
        accumulators.load(block)
    accumulators.loaded(1)
    return accumulators


class Pair:
    """Accumulators under a budget, and their twin, which do the same."""

    def __init__(self, seed: int, pool: MemoryPool, specs=SPECS) -> None:
        self.rng = np.random.default_rng(seed)
        self.pool, self.specs, self.share = pool, specs, MemoryShare(pool)
        self.small, self.twin = budgeted(specs, self.share), Accumulators(specs)
        self.epoch = 0
        self.frozen: list[tuple[object, list[bytes]]] = []  # what is pending, and what it has to hold

    def do(self, name: str, *args) -> list[object]:
        return [getattr(each, name)(*args) for each in (self.small, self.twin)]

    def step(self, what: str) -> None:
        n = int(self.rng.integers(1, 400))
        ids = ids_of(self.rng, n)
        if what == "update":
            self.do("update", ids, arguments(self.rng, self.specs, n))
        elif what == "running":
            small, twin = self.do("update_running", ids, arguments(self.rng, self.specs, n))
            for ours, theirs in zip(small[:2], twin[:2]):
                assert [column.to_pylist() for column in ours] == [column.to_pylist() for column in theirs]
            assert small[2].tolist() == twin[2].tolist()
        elif what == "results":
            small, twin = self.do("results", ids)
            assert [column.to_pylist() for column in small] == [column.to_pylist() for column in twin]
        elif what == "clear":
            self.do("clear", ids)
        elif what == "clear_all":
            self.do("clear_all")
        elif what == "merge":
            into = ids_of(self.rng, n)
            self.small.merge(self.small, into, ids)
            self.twin.merge(self.twin, into, ids)
        elif what == "merge_all":
            other = Accumulators(self.specs)
            other.update(ids, arguments(self.rng, self.specs, n))
            self.do("merge_all", other)
        elif what == "freeze":
            since = 0 if self.rng.random() < 0.5 else max(0, self.epoch - 1)
            self.epoch += 1
            small, twin = self.do("freeze", since, self.epoch)
            expected = list(twin.blocks())
            twin.release()
            self.frozen.append((small, expected))
        elif what == "write" and self.frozen:
            small, expected = self.frozen.pop(int(self.rng.integers(len(self.frozen))))
            if self.rng.random() < 0.8:
                assert list(small.blocks()) == expected
            small.release()
        assert self.pool.resident_bytes <= self.pool.budget_bytes + 2 * BLOCK_PAGES * PAGE_BYTES


STEPS = ["update"] * 6 + ["running", "results", "clear", "merge", "merge_all"] + ["freeze"] * 2 + ["write"] * 2


@pytest.mark.parametrize("pages", [1, 5, 40])
@pytest.mark.parametrize("seed", range(8))
def test_a_budget_does_not_change_an_answer(pages, seed):
    pair = Pair(seed, pool_of(pages))
    steps = random.Random(seed).choices([*STEPS, *(["clear_all"] if seed % 4 == 0 else [])], k=60)
    for what in steps:
        pair.step(what)
    assert_same(pair.small, pair.twin)
    while pair.frozen:
        pair.step("write")
    assert_same(pair.small, pair.twin)
    assert pair.pool.pages_written > 0
    del pair.small
    assert (pair.pool.resident_bytes, pair.pool.spilled_bytes) == (0, 0)


def test_retract_reaches_pages_that_are_out():
    rng, pool = np.random.default_rng(1), pool_of(3)
    small, twin = budgeted(RETRACTABLES, MemoryShare(pool)), Accumulators(RETRACTABLES)
    for method in ("update", "update", "retract", "update"):
        ids, args = ids_of(rng, 5000), arguments(rng, RETRACTABLES, 5000)
        for each in (small, twin):
            getattr(each, method)(ids, args)
    assert_same(small, twin)


def all_updated(pool: MemoryPool) -> tuple[Accumulators, Accumulators]:
    """Accumulators of which most pages are out, and their twin."""
    small, twin = budgeted(SPECS, MemoryShare(pool)), Accumulators(SPECS)
    args = arguments(np.random.default_rng(1), SPECS, BOUND)
    for each in (small, twin):
        each.update(np.arange(BOUND, dtype=np.int32), args)
        each.results(np.zeros(1, np.int32))  # what waited is added
    return small, twin


def test_pages_that_are_out_are_worked_on_where_they_lie():
    pool = pool_of(4)
    small, twin = all_updated(pool)
    moved = pool.pages_read, pool.pages_written
    ids = np.arange(0, BOUND, 50, dtype=np.int32)
    args = arguments(np.random.default_rng(2), SPECS, len(ids))
    for each in (small, twin):
        each.update_running(ids, args)
        each.clear(ids[:100])
    assert_same(small, twin)
    assert (pool.pages_read, pool.pages_written) == moved


def test_a_page_in_demand_comes_back():
    pool = pool_of(4)
    small, twin = all_updated(pool)
    before = pool.pages_read
    for turn in range(4):
        ids = np.full(100, 3, np.int32)
        args = arguments(np.random.default_rng(turn), SPECS, 100)
        for each in (small, twin):
            each.update_running(ids, args)
    assert pool.pages_read == before + 1
    assert pool.resident_bytes <= 5 * PAGE_BYTES
    assert_same(small, twin)


def test_pages_that_are_all_written_to_alike_do_not_take_turns():
    pool = pool_of(4)
    small, twin = all_updated(pool)
    before = pool.pages_read
    ids = np.arange(0, BOUND, 16, dtype=np.int32)
    for turn in range(100):
        args = arguments(np.random.default_rng(turn), SPECS, len(ids))
        for each in (small, twin):
            each.update_running(ids, args)
    writes = 100 * len(ids)
    assert pool.pages_read - before < writes / 128 / 2
    assert_same(small, twin)


@pytest.mark.parametrize("hot", range(0, BOUND, 1024))
def test_records_that_wait_are_added_before_newer_ones(hot):
    """A page may be wanted back since before: it comes back before it is settled which records wait for theirs."""
    specs = [("last", I64, 0), ("first", I64, 0)]
    small, twin = budgeted(specs, MemoryShare(pool_of(8))), Accumulators(specs)

    def do(method: str, ids: list[int] | np.ndarray, values: list[int] | np.ndarray) -> None:
        column = Column.from_numpy(np.asarray(values, np.int64))
        for each in (small, twin):
            getattr(each, method)(np.asarray(ids, np.int32), [(column,), (column,)])

    do("update", np.arange(BOUND), np.arange(BOUND))
    for each in (small, twin):
        each.clear(np.array([hot + 3], np.int32))
    small.freeze(0, 1).release()
    do("update_running", np.full(200, hot + 4), np.full(200, 7))  # now its page is wanted
    do("update", [hot + 3, BOUND + 1000], [1, 0])
    do("update", [hot + 3], [2])
    assert_same(small, twin)


@pytest.mark.parametrize("merges", [False, True])
def test_threads_of_one_pool_do_not_reach_each_others_rows(merges):
    """One thread takes pages and gives them all back, so that there is room now and then for those of the other."""
    pool, over = pool_of(60), threading.Event()
    rng, interval_s = np.random.default_rng(1), sys.getswitchinterval()

    def fill_and_clear() -> None:
        other = budgeted(RETRACTABLES, MemoryShare(pool))
        ids, args = np.arange(BOUND, dtype=np.int32), arguments(np.random.default_rng(2), RETRACTABLES, BOUND)
        while not over.is_set():
            other.update_running(ids, args)
            other.clear_all()

    thread = threading.Thread(target=fill_and_clear)
    thread.start()
    sys.setswitchinterval(1e-4)
    try:
        small, twin = budgeted(RETRACTABLES, MemoryShare(pool)), Accumulators(RETRACTABLES)
        for _ in range(400):
            ids = rng.integers(0, BOUND, 2000).astype(np.int32)
            args = arguments(rng, RETRACTABLES, len(ids))
            for each in (small, twin):
                if merges:
                    each.merge(each, ids, ids[::-1].copy())
                each.update_running(ids, args)
        assert_same(small, twin)
    finally:
        sys.setswitchinterval(interval_s)
        over.set()
        thread.join()


def test_panes_of_one_thread_put_out_each_others_pages():
    rng, pool = np.random.default_rng(1), pool_of(10)
    share = MemoryShare(pool)
    panes, twins = [budgeted(SPECS, share) for _ in range(7)], [Accumulators(SPECS) for _ in range(7)]
    for _ in range(5):
        ids, pane_of_row = ids_of(rng, 3000), rng.integers(0, 7, 3000).astype(np.int32)
        args = arguments(rng, SPECS, 3000)
        Accumulators.update_panes(panes, pane_of_row, ids, args)
        Accumulators.update_panes(twins, pane_of_row, ids, args)
    del panes[2], twins[2]
    for pane, twin in zip(panes, twins):
        assert_same(pane, twin)
    assert share.resident_bytes == pool.resident_bytes <= (10 + BLOCK_PAGES) * PAGE_BYTES


def test_a_thread_gives_back_what_another_is_entitled_to():
    pool = pool_of(40)
    ids = np.arange(BOUND, dtype=np.int32)
    args = arguments(np.random.default_rng(1), SPECS, BOUND)
    first, second = MemoryShare(pool), MemoryShare(pool)
    early, late = budgeted(SPECS, first), budgeted(SPECS, second)
    early.update(ids, args)
    assert first.resident_bytes >= 39 * PAGE_BYTES
    for _ in range(3):
        late.update(ids, args)
        early.update(ids[:100], [arg and (arg[0].slice(0, 100),) for arg in args])
    late.update(ids[:100], [arg and (arg[0].slice(0, 100),) for arg in args])
    assert first.resident_bytes <= 21 * PAGE_BYTES
    assert pool.resident_bytes <= 42 * PAGE_BYTES


def test_pages_with_byte_values_stay():
    pool = pool_of(2)
    small = budgeted([("last", BYTES, 0)], MemoryShare(pool))
    values = Column.from_arrow(pa.array([f"value {i}".encode() for i in range(5000)]))
    small.update(np.arange(5000, dtype=np.int32), [(values,)])
    assert pool.spilled_bytes == 0
    assert small.results(np.arange(5000, dtype=np.int32))[0].to_pylist() == values.to_pylist()


def test_a_snapshot_that_another_thread_writes_holds_what_was_there():
    pair = Pair(3, pool_of(6))
    for turn in range(6):
        for _ in range(5):
            pair.step("update")
        pair.step("freeze")
        frozen, expected = pair.frozen.pop()
        blocks: list[bytes] = []
        writer = threading.Thread(target=lambda into, part: into.extend(part.blocks()), args=(blocks, frozen))
        writer.start()
        while writer.is_alive():
            pair.step("update")
        writer.join()
        frozen.release()
        assert blocks == expected, turn
    assert_same(pair.small, pair.twin)


def test_a_snapshot_is_loaded_within_the_budget():
    pair = Pair(4, pool_of(6))
    pair.step("update")
    pair.do("update", np.arange(BOUND, dtype=np.int32), arguments(pair.rng, SPECS, BOUND))
    frozen = pair.small.freeze(0, 1)
    blocks = list(frozen.blocks())
    frozen.release()
    pool = pool_of(5)
    assert_same(loaded(SPECS, blocks, MemoryShare(pool)), pair.twin)
    assert pool.resident_bytes <= 6 * PAGE_BYTES
    assert_same(loaded(SPECS, blocks), pair.twin)


# -- what fails ----------------------------------------------------------------------------------------------


def worked(share: MemoryShare) -> Accumulators:
    """A bit of everything that reads and writes pages."""
    rng = np.random.default_rng(5)
    accumulators = budgeted(SPECS, share)
    for epoch in range(1, 3):
        accumulators.update(ids_of(rng, 300), arguments(rng, SPECS, 300))
        frozen = accumulators.freeze(epoch - 1, epoch)
        accumulators.update(ids_of(rng, 300), arguments(rng, SPECS, 300))
        list(frozen.blocks())
        frozen.release()
    accumulators.merge(accumulators, ids_of(rng, 50), ids_of(rng, 50))
    results(accumulators)
    accumulators.clear(ids_of(rng, 50))
    return accumulators


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_any_read_or_write_may_fail_and_no_memory_is_lost(error):
    nth, left, failures = 0, 0, 0
    expected = results(worked(MemoryShare(pool_of(8))))
    while left == 0:
        nth += 1
        pool = pool_of(8)
        pool.fail_nth(nth, error)
        try:
            assert results(worked(MemoryShare(pool))) == expected
        except StateSpillError as failure:
            failures += 1
            assert os.strerror(error) in str(failure)
            assert "taskmanager.memory.managed.size" in str(failure)
            failure.__traceback__ = None
        left = pool.fail_nth(0, 0)
        gc.collect()  # a share knows whose records wait
        assert (pool.resident_bytes, pool.spilled_bytes) == (0, 0)
        nth += nth // 20  # not every one of the later ones
    assert failures > 20


def test_a_read_or_write_in_two_halves_is_none_of_anybodys_business():
    expected = results(worked(MemoryShare(pool_of(8))))
    for nth in (1, 2, 3, 50, 100):
        pool = pool_of(8)
        pool.fail_nth(nth, 0)
        assert results(worked(MemoryShare(pool))) == expected


def test_a_page_that_cannot_be_written_is_still_there():
    pool = pool_of(8)
    small, twin = budgeted(SPECS, MemoryShare(pool)), Accumulators(SPECS)
    ids, args = np.arange(0, BOUND, 500, dtype=np.int32), arguments(np.random.default_rng(1), SPECS, BOUND // 500)
    for each in (small, twin):
        each.update(ids, args)
    pool.fail_nth(1, errno.ENOSPC)
    with pytest.raises(StateSpillError, match="No space left on device"):
        small.results(ids)
    assert_same(small, twin)


def test_any_allocation_may_fail():
    expected = results(worked(MemoryShare(pool_of(8))))

    def run() -> None:
        assert results(worked(MemoryShare(pool_of(8)))) == expected

    assert sum(failing(agg, run)) > 5


def test_accumulators_that_have_pages_cannot_change_where_they_come_from():
    used = Accumulators(SPECS)
    used.update(np.zeros(1, np.int32), arguments(np.random.default_rng(1), SPECS, 1))
    with pytest.raises(ValueError, match="has pages already"):
        used.draw_on(MemoryShare(pool_of(4)))
    drawn = budgeted(SPECS, MemoryShare(pool_of(4)))
    with pytest.raises(ValueError):
        drawn.draw_on(MemoryShare(pool_of(4)))
