# SPDX-License-Identifier: Apache-2.0
"""Snapshots of the group index: what was frozen is what is loaded, whatever happened meanwhile."""

from __future__ import annotations

import math
import random
import threading

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native import group
from flinkcore._native.column import BYTES, I64, Column, physical_kind
from flinkcore._native.group import GroupIndex
from flinkcore._native.hash import hash_columns
from tests.kernels.allocations import again, failing, written_again

INT, FLOAT, BOOL, TEXT = pa.int64(), pa.float64(), pa.bool_(), pa.string()
FORMS = {
    "word": (INT,), "float": (FLOAT,), "bool": (BOOL,), "words": (INT, BOOL, FLOAT), "bytes": (TEXT,),
    "rows": (INT, TEXT, FLOAT),
}
forms = pytest.mark.parametrize("types", FORMS.values(), ids=FORMS.keys())


def i32(values):
    return np.asarray(list(values), np.int32)


def value(type, rng):
    if rng.random() < 0.1:
        return None
    number = rng.randrange(400)
    return {
        INT: number - 200, FLOAT: rng.choice((number / 4, -0.0, math.inf, math.nan)), BOOL: number % 2 == 0,
        TEXT: f"{number}" * rng.choice((0, 1, 4, 9, 60)),
    }[type]  # fmt: skip


class Index:
    """A GroupIndex, and the key of each live id as the test knows it."""

    def __init__(self, types):
        self.types = types
        self.index = GroupIndex([physical_kind(type) for type in types])
        self.keys = {}

    def intern(self, rows):
        columns = [Column.from_arrow(pa.array(c, type)) for c, type in zip(zip(*rows), self.types)]
        ids = self.index.intern(columns, hash_columns(columns)).tolist()
        for id, row in zip(ids, rows):
            assert repr(self.keys.setdefault(id, row)) == repr(row)
        return ids

    def release(self, ids):
        self.index.release(i32(ids))
        for id in ids:
            del self.keys[id]

    def clear(self):
        self.index.clear()
        self.keys.clear()


def contents(index, types):
    """{id: key}, in text, since NaN is not equal to itself."""
    ids = index.live_ids()
    columns = [column.to_pylist() for column in index.key_columns(ids, types)]
    return {id: repr(row) for id, row in zip(ids.tolist(), zip(*columns))}


def load(types, segments, epoch):
    index = GroupIndex([physical_kind(type) for type in types])
    for blocks in segments:
        for block in blocks:
            index.load(memoryview(block))
    index.loaded(epoch)
    return index


def check_usable(index, types, keys):
    """Every key is found under its id; a new one gets a free id first."""
    if keys:
        rows = list(keys.values())
        columns = [Column.from_arrow(pa.array(c, type)) for c, type in zip(zip(*rows), types)]
        hashes = hash_columns(columns)
        assert index.find(columns, hashes).tolist() == list(keys)
        assert index.hashes(i32(keys)).tolist() == hashes.tolist()
    free = sorted(set(range(index.id_bound)) - set(keys))
    if types == (INT,) and free:
        column = [Column.from_numpy(np.arange(10**6, 10**6 + len(free)))]
        assert index.intern(column, hash_columns(column)).tolist() == free


def texts(keys):
    return {id: repr(row) for id, row in keys.items()}


@forms
@pytest.mark.parametrize("seed", range(12))
def test_what_was_frozen_is_what_is_loaded_whatever_happens_meanwhile(types, seed):
    """Random steps, with frozen parts alive in any order; their blocks are read early, late and in parts."""
    rng = random.Random(seed)
    index = Index(types)
    epoch = 0
    states = {0: {}}  # by epoch
    pending, segments, forgotten = [], {}, 0

    def read(some):
        entry = pending[rng.randrange(len(pending))]
        for block in entry["blocks"]:
            entry["read"].append(block)
            if some:
                return
        segments[entry["epoch"]] = (entry["since"], entry["read"])
        entry["frozen"].release()
        pending.remove(entry)

    for _ in range(140):
        action = rng.random()
        if action < 0.45:
            index.intern([tuple(value(type, rng) for type in types) for _ in range(rng.randrange(1, 60))])
        elif action < 0.65 and index.keys:
            ids = sorted(index.keys)
            index.release(rng.sample(ids, rng.randrange(len(ids)) // rng.choice((1, 4)) + 1))
        elif action < 0.67:
            index.clear()
        elif action < 0.8 and len(pending) < 4:
            epoch += rng.choice((1, 1, 3))
            since = rng.choice([0, *(e for e in segments if e >= forgotten)])
            frozen = index.index.freeze(since, epoch)
            states[epoch] = texts(index.keys)
            entry = {"epoch": epoch, "since": since, "frozen": frozen, "blocks": frozen.blocks(), "read": []}
            pending.append(entry)
        elif action < 0.95 and pending:
            read(some=rng.random() < 0.4)
        elif action < 0.97 and pending:  # a snapshot that failed
            pending.pop(rng.randrange(len(pending)))["frozen"].release()
        elif segments and rng.random() < 0.5:
            forgotten = rng.choice(list(segments))
            index.index.forget(forgotten)
        assert index.index.live_count == len(index.keys)
    while pending:
        read(some=False)
    assert contents(index.index, types) == texts(index.keys)

    for last in segments:
        chain, at = [], last
        while at:
            since, blocks = segments[at]
            chain.insert(0, blocks)
            at = since
        loaded = load(types, chain, last)
        assert contents(loaded, types) == states[last]
        assert loaded.live_count == loaded.row_count == len(states[last])


@forms
def test_a_loaded_index_goes_on_like_the_one_that_was_frozen(types):
    rng = random.Random(5)
    index = Index(types)
    rows = list({repr(row): row for row in (tuple(value(t, rng) for t in types) for _ in range(500))}.values())
    index.intern(rows)
    index.release(sorted(index.keys)[::3])
    base = list(index.index.freeze(0, 1).blocks())
    loaded = load(types, [base], 1)
    check_usable(loaded, types, index.keys)

    twin = Index(types)
    twin.index, twin.keys = load(types, [base], 1), dict(index.keys)
    twin.intern(rows)
    twin.release(sorted(twin.keys)[::2])
    frozen = twin.index.freeze(1, 2)
    assert contents(load(types, [base, frozen.blocks()], 2), types) == texts(twin.keys)


@forms
def test_another_thread_writes_while_the_index_goes_on(types):
    rng = random.Random(9)
    index = Index(types)
    for round in range(6):
        for _ in range(5):
            index.intern([tuple(value(type, rng) for type in types) for _ in range(200)])
        frozen, state, read = index.index.freeze(0, round + 1), texts(index.keys), []
        thread = threading.Thread(target=lambda frozen=frozen, read=read: read.extend(frozen.blocks()))
        thread.start()
        while thread.is_alive():
            ids = sorted(index.keys)
            index.release(rng.sample(ids, len(ids) // 2))
            index.intern([tuple(value(type, rng) for type in types) for _ in range(300)])
        thread.join()
        frozen.release()
        assert contents(load(types, [read], round + 1), types) == state


def interned(count, index=None):
    index = GroupIndex([I64]) if index is None else index
    column = [Column.from_numpy(np.arange(count))]
    return index, index.intern(column, hash_columns(column))


def test_numbers_close_together_are_looked_up_directly_behind_a_load_too():
    index, ids = interned(2000)
    index.release(ids[:500].copy())
    frozen = index.freeze(0, 1)
    loaded = load((INT,), [list(frozen.blocks())], 1)
    frozen.release()
    assert not loaded.is_direct  # what the map holds is not in a snapshot
    _, again = interned(2000, loaded)
    assert loaded.is_direct
    assert again[500:].tolist() == ids[500:].tolist()
    assert sorted(again[:500].tolist()) == ids[:500].tolist()
    assert interned(2000, loaded)[1].tolist() == again.tolist()


def test_a_snapshot_of_changes_has_the_size_of_the_changes():
    index, ids = interned(100_000)
    frozen = index.freeze(0, 1)
    assert sum(map(len, frozen.blocks())) == pytest.approx(index.state_bytes, rel=0.02)
    frozen.release()
    index.release(ids[10:20].copy())
    interned(100_005, index)
    (block,) = index.freeze(1, 2).blocks()
    assert len(block) == 24 + 15 * 12 + 2  # ten ids given anew, five more
    assert list(index.freeze(2, 3).blocks()) == []


def test_the_log_is_never_much_longer_than_the_keys():
    """Keys that come and go: a snapshot then gives the few that are there, and says that the others are not."""
    index, ids = interned(100)
    frozen = index.freeze(0, 1)
    base = list(frozen.blocks())
    frozen.release()
    for _ in range(500):
        index.release(ids[50:].copy())
        interned(100, index)
    index.release(ids[:50].copy())
    frozen = index.freeze(1, 2)
    blocks = list(frozen.blocks())
    frozen.release()
    assert sum(map(len, blocks)) < 1000
    loaded = load((INT,), [base, blocks], 2)
    assert contents(loaded, (INT,)) == contents(index, (INT,)) and len(loaded) == 50
    index.release(ids[50:60].copy())  # the log starts again
    (block,) = index.freeze(2, 3).blocks()
    assert len(block) == 24 + 2


def test_blocks_are_about_a_megabyte_unless_one_key_is_longer():
    index = Index((TEXT,))
    index.intern([(f"{i:0300d}",) for i in range(9000)] + [("x" * 3_000_000,), ("y",)])
    sizes = [len(block) for block in index.index.freeze(0, 1).blocks()]
    assert sum(sizes) > 5_000_000 and max(sizes) > 3_000_000
    assert sorted(sizes)[-2] <= 1 << 20
    wide = Index((INT,) * 8)
    wide.intern([(i,) * 8 for i in range(50_000)])
    assert max(map(len, wide.index.freeze(0, 1).blocks())) <= 1 << 20


def test_released_ids_wait_only_for_snapshots_that_hold_them():
    index, ids = interned(10)
    index.release(ids[:2].copy())
    frozen = index.freeze(0, 1)
    index.release(ids[5:8].copy())
    new = [Column.from_numpy(np.arange(100, 103))]
    given = index.intern(new, hash_columns(new))
    assert given.tolist() == [1, 0, 10]  # free before the freeze; those of after it wait
    index.release(given)
    assert index.intern(new, hash_columns(new)).tolist() == [10, 0, 1]  # was in no snapshot: given at once
    frozen.release()
    more = [Column.from_numpy(np.arange(200, 204))]
    assert sorted(index.intern(more, hash_columns(more)).tolist()) == [5, 6, 7, 11]


def test_an_empty_index_and_one_that_lost_all_its_keys():
    index = GroupIndex([BYTES])
    base = list(index.freeze(0, 1).blocks())
    assert len(load((TEXT,), [base], 1)) == 0
    column = [Column.from_arrow(pa.array(["a", None, "b" * 40]))]
    index.intern(column, hash_columns(column))
    full = list(index.freeze(1, 2).blocks())
    index.clear()
    gone = list(index.freeze(2, 3).blocks())
    assert contents(load((TEXT,), [base, full], 2), (TEXT,)) == {0: "('a',)", 1: "(None,)", 2: f"('{'b' * 40}',)"}
    assert len(load((TEXT,), [base, full, gone], 3)) == 0
    assert len(load((TEXT,), [], 3)) == 0


def test_the_null_key_may_move_to_another_id():
    index = Index((TEXT,))
    index.intern([("a",), (None,), ("b",), ("c",)])
    frozen = index.index.freeze(0, 1)
    base = list(frozen.blocks())
    frozen.release()
    for epoch, rows in ((2, [(None,), ("z",)]), (3, [("y",), (None,)])):  # to a lower id and back
        index.release([1, 0])
        assert index.intern(rows) == [0, 1]
        frozen = index.index.freeze(1, epoch)
        changes = list(frozen.blocks())
        frozen.release()
        assert contents(load((TEXT,), [base, changes], 3), (TEXT,)) == texts(index.keys)


def test_epochs_only_grow():
    index, _ = interned(3)
    for since, epoch in ((-1, 1), (1, 1), (2, 1), (0, 0)):
        with pytest.raises(ValueError, match="epoch"):
            index.freeze(since, epoch)
    index.freeze(0, 5)
    with pytest.raises(ValueError, match="last epoch was 5"):
        index.freeze(0, 5)


def test_a_part_is_released_once_and_an_index_is_loaded_once():
    index, _ = interned(3)
    frozen = index.freeze(0, 1)
    blocks = list(frozen.blocks())
    frozen.release()
    with pytest.raises(RuntimeError, match="released"):
        list(frozen.blocks())
    with pytest.raises(RuntimeError, match="released once"):
        frozen.release()
    with pytest.raises(RuntimeError, match="in use"):
        index.load(blocks[0])
    other = GroupIndex([I64])
    other.load(blocks[0])
    with pytest.raises(RuntimeError, match="being loaded"):
        other.live_ids()
    index.freeze(1, 2)  # never released: goes with the index


def test_a_description_makes_the_index_again():
    index = GroupIndex([I64, BYTES], 1000)
    assert index.describe() == {"kinds": ["int64", "bytes"], "ids_max": 1000}
    again = GroupIndex.of_description(index.describe())
    assert again.describe() == index.describe() and again.kinds == (I64, BYTES)
    for wrong in ({}, {"kinds": ["int"], "ids_max": 1}, {"kinds": [], "ids_max": 1}, [], {"kinds": "int64"},
                  {"kinds": ["bool"], "ids_max": 2**70}, {"kinds": ["bool"], "ids_max": "7"}):  # fmt: skip
        with pytest.raises(ValueError, match="not the description"):
            GroupIndex.of_description(wrong)


@forms
def test_any_allocation_may_fail(types):
    """In whichever step memory runs out: the step can be repeated, and nothing is lost."""
    rng = random.Random(2)
    rows = [tuple(value(type, rng) for type in types) for _ in range(300)]

    def run():
        index = Index(types)
        again(index.intern, rows[:100])
        base_epoch, base = written_again(index.index, 0, 1)
        held = again(index.index.freeze, 0, 10)
        index.release(sorted(index.keys)[::2])  # cannot fail
        again(index.intern, rows[100:])
        index.release(sorted(index.keys)[1::3])
        epoch, changes = written_again(index.index, base_epoch, 20)
        loaded = GroupIndex([physical_kind(type) for type in types])
        for block in base + changes:
            again(loaded.load, block)
        again(loaded.loaded, epoch)
        held.release()
        assert contents(loaded, types) == contents(index.index, types) == texts(index.keys)

    assert sum(1 for _ in failing(group, run)) > 20


@pytest.mark.parametrize("type", [INT, TEXT], ids=str)
def test_a_large_index_grows_and_comes_back(type):
    """Past 4 MB its buffers lie in large pages, and its table is built anew stretch by stretch."""
    count = 300_000
    numbers = np.random.default_rng(3).permutation(count)
    keys = pa.array(numbers).cast(type) if type == INT else pa.array([f"a key in the arena: {n}" for n in numbers])
    keys = pa.concat_arrays([keys, pa.nulls(1, type)])
    index = GroupIndex([physical_kind(type)])
    for start in range(0, count + 1, 65_536):
        columns = [Column.from_arrow(keys.slice(start, 65_536))]
        ids = index.intern(columns, hash_columns(columns))
        assert np.array_equal(ids, np.arange(start, start + len(ids)))
    index.release(np.arange(5, count, 7, dtype=np.int32))
    blocks = index.freeze(0, 1).blocks()
    back = load((type,), [blocks], 1)
    live = np.setdiff1d(np.arange(count + 1), np.arange(5, count, 7)).astype(np.int32)
    assert np.array_equal(back.live_ids(), live)
    columns = [Column.from_arrow(keys.take(pa.array(live)))]
    assert np.array_equal(back.find(columns, hash_columns(columns)), live)
    (column,) = back.key_columns(live, [type])
    assert column.to_arrow().equals(keys.take(pa.array(live)))


def test_two_far_ids_with_one_key_are_refused():
    index, _ = interned(200_000)
    twice = GroupIndex([I64])
    for block in index.freeze(0, 1).blocks():
        twice.load(block)
    twice.load(block_of([17], first=200_000))
    with pytest.raises(ValueError, match="two ids have one key"):
        twice.loaded(1)


# -- bytes that no snapshot has ------------------------------------------------------------------------------


def block_of(keys=(), form=1, ids=None, first=0, n=None, k=None, null=2**32 - 1, bits=None, reset=0, version=1,
             kind=None, reserved=0):  # fmt: skip
    """A block of int64 keys, or whatever the arguments say."""
    n = len(keys) if n is None else n
    kind = kind or (1 if ids is None else 2)
    if bits is None:
        bits = bytes(np.packbits(np.ones(n, bool), bitorder="little"))
    header = np.array([first, n, len(keys) if k is None else k, null], np.uint32).tobytes()
    head = version.to_bytes(2, "little") + bytes([form, kind, reset, reserved, 0, 0])
    body = b"" if ids is None else np.array(ids, np.int64).astype(np.uint32).tobytes()
    return head + header + body + bits + np.array(keys, np.int64).tobytes()


@pytest.mark.parametrize("block, reason", [
    (b"", "shorter than a header"),
    (block_of([1])[:-1], "its length"),
    (block_of([1]) + b"\0", "its length"),
    (block_of([1], version=2), "format version"),
    (block_of([1], form=2), "another form"),
    (block_of([1], kind=3), "unknown kind"),
    (block_of([1], reserved=1), "reserved"),
    (block_of([1], reset=2), "reserved"),
    (block_of([1, 2], ids=[0, -1]), "ascend"),
    (block_of([1, 2], ids=[0, 0]), "ascend"),
    (block_of([1], ids=[2**31]), "ascend"),
    (block_of([1], first=1), "beyond"),
    (block_of([1], ids=[5]), "beyond"),
    (block_of([1], ids=[0], first=1), "first id"),
    (block_of([1], n=2**32 - 1, bits=b"\1"), "shorter than its ids"),
    (block_of([1], n=2**32 - 1, bits=b"\1", ids=[0]), "shorter than its ids"),
    (block_of([1, 2], bits=b"\x01"), "bitmap"),
    (block_of([1], bits=b"\x02"), "bitmap"),
    (block_of([0], null=1), "null key has no id"),
    (block_of([0], null=2**31), "null key has no id"),
    (block_of([7], null=0), "null key has a value"),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_a_block_that_no_snapshot_has_is_refused_and_changes_nothing(block, reason):
    index = GroupIndex([I64])
    with pytest.raises(ValueError, match=reason):
        index.load(block)
    index.load(block_of([5, 6], reset=1))
    index.loaded(1)
    assert contents(index, (INT,)) == {0: "(5,)", 1: "(6,)"}


def test_keys_that_no_column_holds_are_refused():
    for type, word in ((FLOAT, 0x7FF8000000000001), (BOOL, 2)):
        with pytest.raises(ValueError, match="no value of its column"):
            GroupIndex([physical_kind(type)]).load(block_of([word]))
    for words in ((4, 0, 0), (1, 5, 0), (0, 0, 2)):
        with pytest.raises(ValueError, match="no value of its columns"):
            GroupIndex([I64, physical_kind(BOOL)]).load(block_of(words, form=2, n=1, k=1))
    rows = GroupIndex([I64, BYTES])
    for row in (b"", b"\1", b"\1\1\1", b"\3\1", b"\1\2\xff\xff\xff\x7f", b"\2" + bytes(8)):
        lengths = np.array([len(row)], np.uint32).tobytes()
        with pytest.raises(ValueError, match="no row of the key columns"):
            rows.load(block_of(form=4, n=1, k=1) + lengths + row)
    texts = GroupIndex([BYTES])
    for length, data in ((-1, b""), (3, b"ab"), (1, b"ab")):
        with pytest.raises(ValueError, match=r"longer than the block|left after"):
            texts.load(block_of(form=3, n=1, k=1) + np.array([length], np.int32).tobytes() + data)


def test_two_ids_with_one_key_are_refused_when_all_is_loaded():
    for keys, null in (([3, 4, 3], 2**32 - 1), ([3, 4], 2**32 - 1)):
        index = GroupIndex([I64])
        index.load(block_of(keys, null=null))
        index.load(block_of([4], first=len(keys)))
        with pytest.raises(ValueError, match="two ids have one key"):
            index.loaded(1)
        with pytest.raises(RuntimeError, match="being loaded"):
            index.live_ids()
    for blocks in ([block_of([0], null=0), block_of([0], first=1, null=1)],):
        index = GroupIndex([I64])
        for block in blocks:
            index.load(block)
        with pytest.raises(ValueError, match="several ids have the null key"):
            index.load(block_of([0], first=2, null=2))
        with pytest.raises(ValueError, match="two ids have one key"):
            index.loaded(1)
    long = Index((TEXT,))
    long.intern([("a long key, for the arena " * 3,)])
    (block,) = long.index.freeze(0, 1).blocks()
    twice = GroupIndex([BYTES])
    twice.load(block)
    twice.load(block[:4] + b"\0" * 4 + (1).to_bytes(4, "little") + block[12:])
    with pytest.raises(ValueError, match="two ids have one key"):
        twice.loaded(1)


@forms
@pytest.mark.parametrize("seed", range(4))
def test_mutated_blocks_are_refused_or_make_an_index(types, seed):
    """No crash and no read outside; run under a sanitizer it says so."""
    rng = random.Random(seed)
    index = Index(types)
    index.intern([tuple(value(type, rng) for type in types) for _ in range(60)])
    index.release(sorted(index.keys)[::4])
    base = list(index.index.freeze(0, 1).blocks())
    index.release(sorted(index.keys)[::5])
    index.intern([tuple(value(type, rng) for type in types) for _ in range(20)])
    blocks = base + list(index.index.freeze(1, 2).blocks())
    for _ in range(300):
        mutated = [bytearray(block) for block in blocks]
        for _ in range(rng.choice((1, 1, 2, 8))):
            block = rng.choice(mutated)
            place = rng.randrange(min(len(block), rng.choice((28, 60, 10**9))))
            if rng.random() < 0.9:
                block[place] = rng.choice((0, 1, 2, 127, 128, 255, rng.randrange(256)))
            else:
                del block[place:]
                block += b"\0" * rng.randrange(3)
            if not block:
                block += b"\1"
        loaded = GroupIndex([physical_kind(type) for type in types])
        try:
            for block in mutated:
                loaded.load(block)
            loaded.loaded(2)
        except ValueError:
            continue
        ids = loaded.live_ids()
        columns = loaded.key_columns(ids, [pa.binary() if type == TEXT else type for type in types])
        assert loaded.find(columns, hash_columns(columns)).tolist() == ids.tolist()
