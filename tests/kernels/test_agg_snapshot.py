# SPDX-License-Identifier: Apache-2.0
"""Snapshots of accumulators against a naive twin, which copies the records of every row when it is frozen."""

from __future__ import annotations

import gc
import json
import random
import struct
import threading

import numpy as np
import pytest

from flinkcore._native import agg
from flinkcore._native.agg import RETRACTABLE, ROUND_F32, Accumulators
from flinkcore._native.column import BOOL, BYTES, F64, I64, Column
from tests.kernels.aggregates import (
    Twin,
    assert_same,
    column,
    columns_of,
    cut,
    ids_of,
    random_exact_args,
    random_ids,
)
from tests.kernels.allocations import failing

NUMBERS = [
    ("count_star", I64, 0),
    ("count", I64, 0),
    ("sum", I64, 0),
    ("sum", F64, ROUND_F32),
    ("sum0", F64, 0),
    ("sum", I64, RETRACTABLE),
    ("avg", F64, 0),
    ("min", I64, 0),
    ("max", BOOL, 0),
    ("first", F64, 0),
    ("last", I64, 0),
    ("max_by", F64, 0, I64),
]
STRINGS = [
    ("min", BYTES, 0),
    ("last", BYTES, 0),
    ("count_star", I64, 0),
    ("max_by", BYTES, 0, I64),
    ("min_by", I64, 0, BYTES),
    ("max_by", BYTES, 0, BYTES),
]
PLAIN = [("count_star", I64, 0), ("sum", I64, 0), ("max", I64, 0)]  # rows of 32 bytes, 512 in a page
SPECS = {"numbers": NUMBERS, "strings": STRINGS, "plain": PLAIN}


def blocks_of(accumulators, since, epoch):
    frozen = accumulators.freeze(since, epoch)
    blocks = list(frozen.blocks())
    frozen.release()
    return blocks


def loaded(specs, blocks, epoch=1):
    accumulators = Accumulators(specs)
    for block in blocks:
        accumulators.load(memoryview(block))
    accumulators.loaded(epoch)
    return accumulators


def assert_holds(accumulators, rows, specs, bound):
    """That `accumulators` have `rows`, lists of records by id."""
    twin = Twin(specs)
    twin.rows = rows
    assert accumulators.used_ids().tolist() == sorted(rows)
    assert accumulators.row_count == len(rows)
    asked = ids_of(range(bound))
    assert_same(accumulators.results(asked), twin.results(asked))


def copied(rows):
    return {row: list(records) for row, records in rows.items()}


class Snapshot:
    """A frozen part, what it has to hold, and later its blocks."""

    def __init__(self, frozen, since, epoch, rows):
        self.frozen, self.since, self.epoch, self.rows = frozen, since, epoch, rows
        self.blocks = []
        self.reader = frozen.blocks()

    def write(self, count=-1):
        for block in self.reader:
            self.blocks.append(block)
            count -= 1
            if count == 0:
                return


class Changes:
    """Random changes to accumulators and their twin, over a few pages of ids with holes between them."""

    def __init__(self, rng, specs, accumulators, bound):
        self.rng, self.specs, self.bound = rng, specs, bound
        self.accumulators, self.twin = accumulators, Twin(specs)

    def ids(self, n):
        bound = self.rng.choice((self.bound, self.bound, max(1, self.bound // 10)))
        ids = random_ids(self.rng, n, bound)
        return np.where(ids % 7 == 3, ids // 2, ids).astype(np.int32)

    def __call__(self):
        kinds = ("update",) * 4 + ("running", "clear", "clear", "merge", "merge_all", "rarely")
        getattr(self, self.rng.choice(kinds))(self.rng.choice((1, 5, 80)))

    def update(self, n):
        ids, args = self.ids(n), random_exact_args(self.rng, self.specs, n)
        self.accumulators.update(ids, columns_of(self.specs, args))
        self.twin.update(ids, args)

    def running(self, n):
        ids, args = self.ids(n), random_exact_args(self.rng, self.specs, n)
        self.accumulators.update_running(ids, columns_of(self.specs, args))
        self.twin.update(ids, args)

    def clear(self, n):
        ids = self.ids(n)
        self.accumulators.clear(ids)
        for row in ids.tolist():
            self.twin.rows.pop(row, None)

    def merge(self, n):
        targets, sources = self.ids(n), self.ids(n)
        self.accumulators.merge(self.accumulators, targets, sources)
        for target, source in zip(targets.tolist(), sources.tolist()):
            if target != source and source in self.twin.rows:
                self.twin.rows[target] = self.twin.rows.get(target, []) + self.twin.rows[source]

    def merge_all(self, n):
        other = Accumulators(self.specs)
        ids, args = self.ids(n), random_exact_args(self.rng, self.specs, n)
        if n == 5:
            ids = (ids + self.bound).astype(np.int32)  # pages of its own
        other.update(ids, columns_of(self.specs, args))
        self.accumulators.merge_all(other)
        self.twin.update(ids, args)

    def rarely(self, n):
        if self.rng.random() < 0.3:
            self.accumulators.clear_all()
            self.twin.rows.clear()


def chain_to(written, epoch):
    """The blocks from which the state at the end of `epoch` is made, oldest first."""
    blocks = []
    while epoch > 0:
        snapshot = written[epoch]
        blocks = snapshot.blocks + blocks
        epoch = snapshot.since
    return blocks


@pytest.mark.parametrize("start", [0, 65_530, 2**40 - 3])
@pytest.mark.parametrize("specs", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("seed", range(4))
def test_base_and_increments_give_the_state_as_it_was(seed, specs, start):
    """Several snapshots are pending at a time, are written late or in part, fail, and go in any order."""
    rng = random.Random(f"{seed} {start} {len(specs)}")
    accumulators = Accumulators(specs)
    if start:
        accumulators.loaded(start)
    bound = 1200 if specs is PLAIN else 400
    change = Changes(rng, specs, accumulators, bound)
    epoch, written, pending = start, {}, []
    for _ in range(120):
        action = rng.random()
        if action < 0.55:
            change()
        elif action < 0.75 and len(pending) < 4:
            epoch += rng.choice((1, 1, 1, 3))
            since = rng.choice([0, *written][-3:])
            pending.append(
                Snapshot(accumulators.freeze(since, epoch), since, epoch, copied(change.twin.rows))
            )
        elif pending:
            snapshot = pending.pop(rng.randrange(len(pending)))
            if rng.random() < 0.7:
                snapshot.write()
                written[snapshot.epoch] = snapshot
            elif rng.random() < 0.5:
                snapshot.write(1)  # fails: its epochs are in the next one
            snapshot.frozen.release()
        written = dict(sorted(written.items()))
    assert_holds(accumulators, change.twin.rows, specs, 2 * bound + 10)
    for epoch in rng.sample(sorted(written), min(4, len(written))):
        restored = loaded(specs, chain_to(written, epoch), epoch)
        assert_holds(restored, written[epoch].rows, specs, 2 * bound + 10)

        # It goes on from there: what was not results was restored as well, and increments follow.
        change = Changes(rng, specs, restored, bound)
        change.twin.rows = copied(written[epoch].rows)
        change.update(80)
        change.merge(30)
        change.clear(20)
        increment = blocks_of(restored, epoch, epoch + 1)
        again = loaded(specs, chain_to(written, epoch) + increment, epoch + 1)
        assert_holds(again, change.twin.rows, specs, 2 * bound + 10)


@pytest.mark.parametrize("specs", SPECS.values(), ids=SPECS)
def test_another_thread_writes_while_rows_change(specs):
    rng = random.Random(len(specs))
    accumulators = Accumulators(specs)
    change = Changes(rng, specs, accumulators, 30_000)
    ids = ids_of(range(20_000))
    args = random_exact_args(rng, specs, len(ids))
    accumulators.update(ids, columns_of(specs, args))
    change.twin.update(ids, args)
    expected, segments = {}, {}

    def write(snapshot):
        snapshot.write()
        segments[snapshot.epoch] = snapshot.blocks

    for epoch in range(1, 9):
        snapshot = Snapshot(accumulators.freeze(epoch - 1, epoch), epoch - 1, epoch, None)
        expected[epoch] = [result.to_pylist() for result in accumulators.results(accumulators.used_ids())]
        writer = threading.Thread(target=write, args=(snapshot,))
        writer.start()
        rounds = 0
        while writer.is_alive() or rounds < 3:
            # Rows of all pages, so that every page that is not written yet is copied.
            few = ids_of(range(rng.randrange(50), 20_000, 50))
            accumulators.update(few, columns_of(specs, cut(args, 0, len(few))))
            accumulators.clear(ids_of([rng.randrange(20_000)]))
            rounds += 1
        writer.join()
        snapshot.frozen.release()
    restored = Accumulators(specs)
    for epoch in range(1, 9):
        for block in segments[epoch]:
            restored.load(block)
        assert_same(restored.results(restored.used_ids()), expected[epoch])


def test_an_increment_takes_the_bytes_of_the_rows_that_changed():
    accumulators = Accumulators(PLAIN)
    n = 512 * 400
    values = Column.from_numpy(np.arange(n))
    accumulators.update(ids_of(range(n)), [(), (values,), (values,)])
    base = blocks_of(accumulators, 0, 1)
    assert n * 32 <= sum(map(len, base)) <= n * 32 * 1.01
    assert max(map(len, base)) <= 1 << 20
    rng = np.random.default_rng(5)
    for epoch, share in enumerate((0.001, 0.01, 0.1, 0.5, 1.0), 2):
        ids = rng.permutation(n)[: int(n * share)].astype(np.int32)
        few = Column.from_numpy(np.arange(len(ids)))
        accumulators.update(ids, [(), (few,), (few,)])
        increment = sum(map(len, blocks_of(accumulators, epoch - 1, epoch)))
        pages = len(np.unique(ids // 512))
        assert len(ids) * 32 <= increment <= min(len(ids) * 34 + pages * 12, n * 32 + pages * 12) + 2048
    assert blocks_of(accumulators, 6, 7) == []


def test_ids_far_apart_cost_the_rows_that_are_there():
    accumulators = Accumulators(PLAIN)
    ids = ids_of([0, 1_000_000, 2**31 - 1])
    values = column(I64, [1, 2, 3])
    accumulators.update(ids, [(), (values,), (values,)])
    blocks = blocks_of(accumulators, 0, 1)
    assert sum(map(len, blocks)) == 16 + 3 * (12 + 2 + 32)
    restored = loaded(PLAIN, blocks)
    assert restored.used_ids().tolist() == ids.tolist()
    assert_same(restored.results(ids), [[1, 1, 1], [1, 2, 3], [1, 2, 3]])


def header(is_reset, row_words, bytes_slots, page_rows, sections):
    return struct.pack("<HBBHHII", 1, is_reset, 0, row_words, bytes_slots, page_rows, sections)


def section(page, rows, removed, tag):
    return struct.pack("<IHHB3x", page, rows, removed, tag)


IN_USE, SEEN = 1 << 63, 1 << 16


def test_a_block_is_the_bytes_that_are_drawn_in_the_header():
    accumulators = Accumulators([("sum", I64, 0), ("last", BYTES, 0)])  # rows of 3 words, 512 in a page
    ids = ids_of([3, 512 + 7])
    accumulators.update(ids, [(column(I64, [5, -1]),), (column(BYTES, [b"abc", None]),)])
    base = (
        header(0, 3, 1, 512, 2)
        + section(0, 1, 0, 2)
        + struct.pack("<HQqQ", 3, IN_USE | 3 * SEEN, 5, 3)
        + b"abc"
        + section(1, 1, 0, 2)
        + struct.pack("<HQqQ", 7, IN_USE | SEEN, -1, 0)
    )
    assert blocks_of(accumulators, 0, 1) == [base]
    accumulators.clear(ids[:1])
    accumulators.update(ids_of([1]), [(column(I64, [2]),), (column(BYTES, [b"x"]),)])
    increment = (
        header(0, 3, 1, 512, 1)
        + section(0, 1, 1, 2)
        + struct.pack("<HHQqQ", 1, 3, IN_USE | 3 * SEEN, 2, 1)
        + b"x"
    )
    assert blocks_of(accumulators, 1, 2) == [increment]
    accumulators.clear_all()
    assert blocks_of(accumulators, 2, 3) == [header(1, 3, 1, 512, 0)]
    restored = loaded([("sum", I64, 0), ("last", BYTES, 0)], [base, increment])
    assert restored.used_ids().tolist() == [1, 519]
    restored.load(header(1, 3, 1, 512, 0))
    assert restored.row_count == 0

    full = Accumulators([("count_star", I64, 0)])
    full.update(ids_of(range(1024)), [()])
    page = struct.pack("<QQ", IN_USE, 1) * 1024
    assert blocks_of(full, 0, 1) == [header(0, 2, 0, 1024, 1) + section(0, 1024, 0, 1) + page]


def test_values_longer_than_a_block_and_pages_longer_than_one():
    specs = [("last", BYTES, 0)]
    accumulators = Accumulators(specs)
    words = [bytes([k]) * (3_000_000 if k == 2 else 30_000) for k in range(200)]
    accumulators.update(ids_of(range(200)), [(column(BYTES, words),)])
    accumulators.clear(ids_of([5, 7]))
    blocks = blocks_of(accumulators, 0, 1)
    assert [len(block) > 1 << 20 for block in blocks].count(True) == 1
    expected = [None if k in (5, 7) else words[k] for k in range(200)]
    restored = loaded(specs, blocks)
    assert_same(restored.results(ids_of(range(200))), [expected])

    # The page is cut in an increment as well, with what was removed in it.
    accumulators.update(ids_of(range(100, 200)), [(column(BYTES, words[:100]),)])
    accumulators.clear(ids_of(range(50)))
    for block in blocks_of(accumulators, 1, 2):
        restored.load(block)
    used = accumulators.used_ids()
    assert restored.used_ids().tolist() == used.tolist()
    assert_same(restored.results(used), [accumulators.results(used)[0].to_pylist()])


def test_strings_stay_as_they_were_while_the_heap_is_overwritten_grown_and_compacted():
    specs = [("last", BYTES, 0), ("min", BYTES, 0)]
    rng = random.Random(3)
    accumulators, pending = Accumulators(specs), []
    ids = ids_of(range(300))
    for epoch in range(1, 40):
        for _ in range(20):
            words = column(BYTES, [bytes(rng.choices(b"xyz", k=rng.randrange(1, 60))) for _ in range(300)])
            accumulators.update(ids, [(words,), (words,)])
        now = [result.to_pylist() for result in accumulators.results(ids)]
        pending.append((accumulators.freeze(0, epoch), now))
        if len(pending) == 6:
            for frozen, was in rng.sample(pending, 6):
                restored = loaded(specs, frozen.blocks())
                assert_same(restored.results(ids), was)
                frozen.release()
            pending.clear()
    for frozen, _ in pending:
        frozen.release()
    accumulators.update(ids, [(words,), (words,)])
    assert accumulators.memory_bytes < 2_000_000  # 780 batches of 9 KB went through


def test_strings_stay_as_they_were_when_all_rows_are_emptied():
    specs = [("last", BYTES, 0)]
    ids = ids_of(range(500))
    for size in (1, 8, 9, 100, 1000):
        accumulators = Accumulators(specs)
        words = [bytes([65 + k % 26]) * size for k in range(500)]
        accumulators.update(ids, [(column(BYTES, words),)])
        frozen = accumulators.freeze(0, 1)
        accumulators.clear_all()
        accumulators.update(ids, [(column(BYTES, [b"-" * size] * 500),)])
        assert_same(loaded(specs, frozen.blocks()).results(ids), [words])
        frozen.release()


def test_a_snapshot_finds_strings_that_a_compaction_has_moved():
    specs = [("last", BYTES, 0)]
    accumulators = Accumulators(specs)
    still, busy = ids_of(range(0, 4000, 3)), ids_of(range(5000, 5400))
    words = [b"%d" % k * 7 for k in still]
    first = column(BYTES, [b"x" * 100] * len(busy))
    accumulators.update(busy, [(first,)])
    accumulators.update(still, [(column(BYTES, words),)])
    frozen = accumulators.freeze(0, 1)
    for size in range(100, 200):
        accumulators.update(busy, [(column(BYTES, [b"y" * size] * len(busy)),)])
    assert accumulators.memory_bytes < 2_000_000  # 6 MB went through
    restored = loaded(specs, frozen.blocks())
    assert_same(restored.results(still), [words])
    assert_same(restored.results(busy), [first.to_pylist()])
    assert_same(accumulators.results(still), [words])
    later = accumulators.freeze(1, 2)  # moving is no change
    assert sum(map(len, later.blocks())) < len(busy) * 230


def test_pages_given_back_are_used_for_the_next_copies():
    accumulators = Accumulators(PLAIN)
    ids = ids_of(range(100_000))
    values = Column.from_numpy(np.arange(len(ids)))
    sizes = []
    for epoch in range(1, 12):
        accumulators.update(ids, [(), (values,), (values,)])
        frozen = accumulators.freeze(epoch - 1, epoch)
        accumulators.update(ids, [(), (values,), (values,)])  # copies every page
        frozen.release()
        sizes.append(accumulators.memory_bytes)
    assert sizes[-1] == sizes[2]
    assert sizes[-1] < 4 * accumulators.state_bytes  # each page twice, in slabs
    accumulators.clear_all()
    accumulators.update(ids, [(), (values,), (values,)])
    assert accumulators.memory_bytes <= sizes[-1]


def test_what_is_dropped_without_a_release_is_given_back_by_the_next_freeze():
    accumulators = Accumulators(PLAIN)
    ids = ids_of(range(100_000))
    values = Column.from_numpy(np.arange(len(ids)))
    sizes = []
    for epoch in range(1, 12):
        accumulators.update(ids, [(), (values,), (values,)])
        frozen = accumulators.freeze(0, epoch)
        accumulators.update(ids, [(), (values,), (values,)])
        del frozen
        sizes.append(accumulators.memory_bytes)
    assert sizes[-1] == sizes[3]


def test_pages_that_are_written_are_not_copied():
    accumulators = Accumulators(PLAIN)
    ids = ids_of(range(100_000))
    values = Column.from_numpy(np.arange(len(ids)))
    accumulators.update(ids, [(), (values,), (values,)])
    frozen = accumulators.freeze(0, 1)
    blocks = list(frozen.blocks())
    memory = accumulators.memory_bytes
    accumulators.update(ids, [(), (values,), (values,)])
    assert accumulators.memory_bytes == memory
    frozen.release()
    assert len(blocks) == 4


def test_a_part_that_is_new_gives_everything_whatever_it_is_asked():
    accumulators = Accumulators(PLAIN)
    values = column(I64, [4])
    accumulators.update(ids_of([9]), [(), (values,), (values,)])
    (block,) = blocks_of(accumulators, 6, 7)
    assert block[2] == 1  # after a reset: who asks does not know that there was nothing before
    assert loaded(PLAIN, [block]).used_ids().tolist() == [9]
    assert blocks_of(accumulators, 7, 8) == []


def test_what_was_loaded_is_in_no_increment_but_in_one_that_begins_earlier():
    accumulators = Accumulators(PLAIN)
    ids = ids_of(range(5000))
    values = Column.from_numpy(np.arange(len(ids)))
    accumulators.update(ids, [(), (values,), (values,)])
    base = blocks_of(accumulators, 0, 4)
    restored = loaded(PLAIN, base, 4)
    assert blocks_of(restored, 4, 5) == []
    assert blocks_of(restored, 0, 6) == base
    assert blocks_of(restored, 5, 7) == []
    assert sum(map(len, blocks_of(restored, 3, 8))) == sum(map(len, base))


def test_rows_that_are_loaded_over_others_are_changes():
    source, accumulators = Accumulators(PLAIN), Accumulators(PLAIN)
    values = column(I64, [1, 2])
    source.update(ids_of([3, 600]), [(), (values,), (values,)])
    accumulators.update(ids_of([3, 4]), [(), (values,), (values,)])
    base = blocks_of(accumulators, 0, 1)
    for block in blocks_of(source, 0, 1):
        accumulators.load(block)
    restored = loaded(PLAIN, base + blocks_of(accumulators, 1, 2))
    assert restored.used_ids().tolist() == [3, 4, 600]


def test_strings_that_are_loaded_over_others_do_not_pile_up():
    accumulators = Accumulators(STRINGS)
    ids = ids_of(range(2000))
    columns = columns_of(STRINGS, random_exact_args(random.Random(2), STRINGS, 2000))
    accumulators.update(ids, columns)
    blocks, size = blocks_of(accumulators, 0, 1), accumulators.state_bytes
    expected = [result.to_pylist() for result in accumulators.results(ids)]
    for _ in range(100):
        for block in blocks:
            accumulators.load(block)
    assert_same(accumulators.results(ids), expected)
    assert accumulators.memory_bytes < 10 * size


def test_epochs_only_grow():
    accumulators = Accumulators(PLAIN)
    frozen = accumulators.freeze(0, 5)
    for since, epoch in ((0, 5), (4, 4), (7, 6), (-1, 6), (0, 2**63 - 1)):
        with pytest.raises(ValueError, match="epochs only grow"):
            accumulators.freeze(since, epoch)
    with pytest.raises(ValueError, match="epoch 4"):
        accumulators.loaded(4)
    accumulators.loaded(5)
    accumulators.forget(5)
    frozen.release()


def test_what_is_frozen_may_go_in_any_order():
    accumulators = Accumulators(STRINGS)
    rng = random.Random(1)
    change = Changes(rng, STRINGS, accumulators, 500)
    for epoch in range(1, 30):
        change.update(80)
        frozen = accumulators.freeze(0, epoch)
        reader = frozen.blocks()
        kind = epoch % 5
        if kind == 0:
            frozen.release()
            frozen.release()
            with pytest.raises(ValueError, match="released"):
                next(reader)
        elif kind == 1:
            next(reader)  # neither finished nor released
        elif kind == 2:
            threading.Thread(target=lambda part=frozen: list(part.blocks())).start()
        elif kind == 3:
            cycle = [frozen, accumulators]
            cycle.append(cycle)
        del frozen, reader
    gc.collect()
    assert_holds(accumulators, change.twin.rows, STRINGS, 510)
    frozen = accumulators.freeze(0, 40)
    expected = copied(change.twin.rows)
    del accumulators
    change.accumulators = None
    gc.collect()
    assert_holds(loaded(STRINGS, frozen.blocks()), expected, STRINGS, 510)


def test_a_description_makes_the_same_accumulators():
    for specs in SPECS.values():
        description = json.loads(json.dumps(Accumulators(specs).describe()))
        twin = Accumulators.of_description(description)
        assert twin.aggregates == tuple(specs)
        assert twin.describe() == description
    assert Accumulators(STRINGS).describe() == {
        "aggregates": [
            ["min", "BYTES", 0, None],
            ["last", "BYTES", 0, None],
            ["count_star", "I64", 0, None],
            ["max_by", "BYTES", 0, "I64"],
            ["min_by", "I64", 0, "BYTES"],
            ["max_by", "BYTES", 0, "BYTES"],
        ]
    }


def test_learned_comparands_are_described_and_adopted():
    accumulators = Accumulators([("max_by", I64, 0)])
    early = blocks_of(accumulators, 0, 1)
    assert accumulators.describe() == {"aggregates": [["max_by", "I64", 0, None]]}
    values, words = column(I64, [1, 2]), column(BYTES, [b"b", b"a"])
    accumulators.update(ids_of([0, 0]), [(values, words)])
    description = accumulators.describe()
    assert description == {"aggregates": [["max_by", "I64", 0, "BYTES"]]}
    blocks = early + blocks_of(accumulators, 1, 2)
    fresh = Accumulators([("max_by", I64, 0)])
    with pytest.raises(ValueError, match="other aggregates"):
        fresh.load(blocks[-1])
    fresh.adopt(description)
    for block in blocks:
        fresh.load(block)
    fresh.update(ids_of([0]), [(column(I64, [7]), column(BYTES, [b"ab"]))])
    assert_same(fresh.results(ids_of([0])), [[1]])
    fresh.adopt({"aggregates": [["max_by", "I64", 0, None]]})
    for other in ([["max_by", "I64", 0, "F64"]], [["min_by", "I64", 0, "BYTES"]], []):
        with pytest.raises(ValueError, match="does not fit"):
            fresh.adopt({"aggregates": other})


@pytest.mark.parametrize(
    "description",
    [
        None,
        [],
        {},
        {"aggregates": 3},
        {"aggregates": [["sum", "I64", 0]]},
        {"aggregates": [["sum", "I32", 0, None]]},
        {"aggregates": [["median", "I64", 0, None]]},
        {"aggregates": [["sum", "BYTES", 0, None]]},
        {"aggregates": [["sum", "OBJECT", 0, None]]},
        {"aggregates": [["sum", "I64", -1, None]]},
        {"aggregates": [["sum", "I64", "0", None]]},
        {"aggregates": [["sum", ["I64"], 0, None]]},
        {"aggregates": [["min", "I64", 0, None]] * 60},
        {"aggregates": [["min", "I64", 0, None]] * 600},
    ],
)
def test_a_description_that_makes_no_sense_is_refused(description):
    with pytest.raises(ValueError, match="no description of accumulators"):
        Accumulators.of_description(description)


def one_row(value=5, bits=IN_USE | SEEN):
    return struct.pack("<Qq", bits, value)


def sum_block(*sections, is_reset=0, row_words=2, count=None):
    return header(is_reset, row_words, 0, 1024, len(sections) if count is None else count) + b"".join(
        sections
    )


GOOD = section(0, 1, 0, 2) + struct.pack("<H", 4) + one_row()


@pytest.mark.parametrize(
    "block, fault",
    [
        (b"", "shorter than its header"),
        (sum_block()[:15], "shorter than its header"),
        (b"\x02" + sum_block()[1:], "format"),
        (bytes(16), "format"),
        (sum_block(is_reset=2), "reserved"),
        (sum_block(GOOD, row_words=3), "other aggregates"),
        (sum_block(GOOD, count=2), "ends before its last section"),
        (sum_block(GOOD, b"x", count=1), "bytes follow"),
        (sum_block(GOOD[:-1]), "ends within its rows"),
        (sum_block(section(0, 1, 0, 0) + GOOD[12:]), "unknown tag"),
        (sum_block(section(0, 1, 0, 3) + GOOD[12:]), "unknown tag"),
        (sum_block(GOOD[:11] + b"\x01" + GOOD[12:]), "reserved"),
        (sum_block(section(2**21, 1, 0, 2) + GOOD[12:]), "past the last id"),
        (sum_block(section(2**32 - 1, 1, 0, 2) + GOOD[12:]), "past the last id"),
        (sum_block(section(0, 0, 0, 2)), "section is empty"),
        (sum_block(section(0, 0, 0, 1) + bytes(16384)), "section is empty"),
        (sum_block(section(0, 1025, 0, 2) + bytes(20000)), "more rows than a page"),
        (sum_block(section(0, 0, 1025, 2) + bytes(20000)), "more rows than a page"),
        (sum_block(section(0, 1, 1, 1) + bytes(16384)), "removes rows"),
        (sum_block(section(0, 1, 0, 1) + bytes(16384)), "number of rows in use"),
        (sum_block(section(0, 1, 0, 1) + one_row() + one_row(7, 0) + bytes(16352)), "not in use holds"),
        (sum_block(section(0, 1, 0, 2) + struct.pack("<H", 1024) + one_row()), "positions"),
        (sum_block(section(0, 2, 0, 2) + struct.pack("<HH", 4, 4) + 2 * one_row()), "positions"),
        (sum_block(section(0, 2, 0, 2) + struct.pack("<HH", 4, 3) + 2 * one_row()), "positions"),
        (sum_block(section(0, 0, 2, 2) + struct.pack("<HH", 9, 8)), "positions"),
        (sum_block(section(0, 1, 0, 2) + struct.pack("<H", 4) + one_row(bits=SEEN)), "not in use holds"),
        (sum_block(section(0, 1, 0, 2) + struct.pack("<H", 4) + one_row(0, 0)), "number of rows in use"),
        (sum_block(section(0, 1, 0, 2) + struct.pack("<H", 4) + one_row(bits=IN_USE | 1)), "mean nothing"),
        (
            sum_block(section(0, 1, 0, 2) + struct.pack("<H", 4) + one_row(bits=IN_USE | 2 * SEEN)),
            "mean nothing",
        ),
    ],
)
def test_bytes_that_are_no_block_are_refused(block, fault):
    accumulators = Accumulators([("sum", I64, 0)])
    accumulators.load(sum_block(GOOD))
    with pytest.raises(ValueError, match=fault):
        accumulators.load(block)
    assert_same(accumulators.results(ids_of([4])), [[5]])
    assert accumulators.used_ids().tolist() == [4]


@pytest.mark.parametrize(
    "length, values, fault",
    [(4, b"abc", "within its byte values"), (2, b"abc", "bytes follow"), (1 << 32, b"", "past 2"),
     (2**32 - 1, b"abc", "within its byte values")],
)  # fmt: skip
def test_byte_values_that_are_not_there_are_refused(length, values, fault):
    accumulators = Accumulators([("last", BYTES, 0)])
    block = (
        header(0, 2, 1, 1024, 1)
        + section(0, 1, 0, 2)
        + struct.pack("<HQQ", 4, IN_USE | SEEN, length)
        + values
    )
    with pytest.raises(ValueError, match=fault):
        accumulators.load(block)


def fuzzed(rng, blocks):
    """The blocks of a snapshot after something happened to them."""
    blocks = [bytearray(block) for block in blocks]
    for _ in range(rng.choice((1, 1, 2, 5))):
        block = rng.choice(blocks)
        kind = rng.randrange(6)
        if not block or kind == 0:
            blocks.append(bytearray(rng.choice(blocks)))
        elif kind == 1:
            block[rng.randrange(min(len(block), rng.choice((16, 64, 10**9))))] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del block[rng.randrange(len(block)) :]
        elif kind == 3:
            start = rng.randrange(len(block))
            del block[start : start + rng.choice((1, 2, 8, 12, 100))]
        elif kind == 4:
            start, size = rng.randrange(len(block)), rng.choice((1, 2, 4, 8, 12, 300))
            source = rng.randrange(len(block))
            block[start:start] = block[source : source + size]
        else:
            start = rng.randrange(len(block))
            fill = rng.choice((b"\x00", b"\xff", b"\x80"))
            size = min(rng.choice((1, 2, 4, 8)), len(block) - start)
            block[start : start + size] = fill * size
    rng.shuffle(blocks)
    return blocks


@pytest.mark.parametrize("specs", SPECS.values(), ids=SPECS)
def test_damaged_blocks_are_refused_or_are_some_state(specs):
    rng = random.Random(77)
    accumulators = Accumulators(specs)
    change = Changes(rng, specs, accumulators, 60)
    blocks, outcomes = [], {True: 0, False: 0}
    for epoch in range(1, 5):
        for _ in range(6):
            change()
        blocks += blocks_of(accumulators, epoch - 1, epoch)
    for _ in range(1500):
        victim = Accumulators(specs)
        was_refused = False
        for block in fuzzed(rng, blocks):
            try:
                victim.load(bytes(block))
            except ValueError:
                was_refused = True
        outcomes[was_refused] += 1
        used = victim.used_ids()
        assert len(used) == victim.row_count
        assert np.all(np.diff(used) > 0)
        victim.results(used[:200])
        ids, args = random_ids(rng, 20, 60), random_exact_args(rng, specs, 20)
        victim.update(ids, columns_of(specs, args))
        victim.clear(used[: len(used) // 2])
        victim.merge(victim, ids, ids[::-1].copy())
        again = loaded(specs, blocks_of(victim, 0, 1))
        assert again.used_ids().tolist() == victim.used_ids().tolist()
    assert min(outcomes.values()) > 50, outcomes


ROWS = 3000
FAILING = {
    "update": lambda part, ids, columns: part.update(ids, columns),
    "update_running": lambda part, ids, columns: part.update_running(ids, columns),
    "merge": lambda part, ids, columns: part.merge(part, ids_of(range(ROWS, 2 * ROWS)), ids),
    "merge_all": lambda part, ids, columns: part.merge_all(filled(part.aggregates, ids, columns)),
    "clear": lambda part, ids, columns: part.clear(ids[::2].copy()),
    "clear_all": lambda part, ids, columns: part.clear_all(),
    "load": lambda part, ids, columns: [part.load(block) for block in filled_blocks(part, ids, columns)],
}


def filled(specs, ids, columns):
    accumulators = Accumulators(specs)
    accumulators.update(ids, columns)
    return accumulators


def filled_blocks(part, ids, columns):
    return blocks_of(filled(part.aggregates, ids, columns), 0, 1)


@pytest.mark.parametrize("is_filled", [False, True], ids=["empty", "filled"])
@pytest.mark.parametrize("specs", [PLAIN, STRINGS], ids=["plain", "strings"])
@pytest.mark.parametrize("change", FAILING.values(), ids=FAILING)
def test_every_allocation_may_fail_while_a_snapshot_is_pending(change, specs, is_filled):
    ids = ids_of(range(ROWS))
    columns = columns_of(specs, random_exact_args(random.Random(8), specs, ROWS))
    asked = ids[::7].copy()
    expected = [result.to_pylist() for result in filled(specs, ids, columns).results(asked)]
    parts = []

    def run():
        accumulators = filled(specs, ids, columns) if is_filled else Accumulators(specs)
        parts.append((accumulators, accumulators.freeze(0, 1)))
        change(accumulators, ids, columns)

    for _ in failing(agg, run):
        if not parts:
            continue  # it was not even made
        accumulators, frozen = parts.pop()
        restored = loaded(specs, frozen.blocks())
        assert restored.row_count == (ROWS if is_filled else 0)
        assert_same(restored.results(asked), expected if is_filled else Twin(specs).results(asked))
        used = accumulators.used_ids()
        assert len(used) == accumulators.row_count
        accumulators.results(used)
        frozen.release()
        accumulators.clear_all()
        accumulators.update(ids, columns)
        assert_same(accumulators.results(asked), expected)


def test_a_snapshot_that_gets_no_memory_changes_nothing():
    ids = ids_of(range(ROWS))
    columns = columns_of(STRINGS, random_exact_args(random.Random(8), STRINGS, ROWS))
    accumulators = filled(STRINGS, ids, columns)
    taken = []
    for failed in failing(agg, lambda: taken.append(accumulators.freeze(0, len(taken) + 1))):
        assert failed == (not taken)
    assert blocks_of(accumulators, 0, 5) == list(taken[-1].blocks())
