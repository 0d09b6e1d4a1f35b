# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import struct
import threading

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column, physical_kind
from flinkcore._native.group import GroupIndex
from flinkcore._native.hash import hash_columns


class NaiveIndex:
    """The same promises, kept by a dict."""

    def __init__(self):
        self.ids, self.keys, self.released = {}, {}, []
        self.id_bound = 0

    @staticmethod
    def canonical(row):
        """A float by its bits, so that -0.0 and 0.0 are two keys and all NaNs one."""
        return tuple(
            ("f", "nan" if math.isnan(v) else struct.pack("<d", v)) if isinstance(v, float) else (type(v), v)
            for v in row
        )

    def intern(self, rows):
        result = []
        for row in rows:
            key = self.canonical(row)
            if key not in self.ids:
                if self.released:
                    self.ids[key] = self.released.pop()
                else:
                    self.ids[key] = self.id_bound
                    self.id_bound += 1
                self.keys[self.ids[key]] = row
            result.append(self.ids[key])
        return result

    def find(self, rows):
        return [self.ids.get(self.canonical(row), -1) for row in rows]

    def release(self, ids):
        for id in ids:
            del self.ids[self.canonical(self.keys.pop(id))]
            self.released.append(id)


def same_rows(left, right):
    return [NaiveIndex.canonical(row) for row in left] == [NaiveIndex.canonical(row) for row in right]


def i32(values):
    return np.asarray(values, np.int32)


class Index:
    """A GroupIndex over rows of Python values. Every other call leaves it to the index to hash them."""

    def __init__(self, types, **options):
        self.types = types
        self.hash_at_hand = True
        self.index = GroupIndex([physical_kind(type) for type in types], **options)

    def columns(self, rows, offset=0):
        """The rows as Columns; with an offset, as slices of longer arrays: bitmaps start mid-byte."""
        values = zip(*([rows[0]] * offset + rows)) if rows else [[] for _ in self.types]
        arrays = [pa.array(list(column), type) for column, type in zip(values, self.types)]
        return [Column.from_arrow(array.slice(offset if rows else 0)) for array in arrays]

    def intern(self, rows, offset=0):
        columns = self.columns(rows, offset)
        return self.index.intern(columns, self.hashes(columns)).tolist()

    def find(self, rows, offset=0):
        columns = self.columns(rows, offset)
        return self.index.find(columns, self.hashes(columns)).tolist()

    def hashes(self, columns):
        self.hash_at_hand = not self.hash_at_hand
        return hash_columns(columns) if self.hash_at_hand else None

    def keys(self, ids):
        columns = self.index.key_columns(i32(ids), self.types)
        assert all(column.type == type for column, type in zip(columns, self.types))
        return list(zip(*(column.to_pylist() for column in columns)))


INT, FLOAT, BOOL, TEXT, BINARY = pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.binary()
FORMS = {
    "int64": (INT,), "float64": (FLOAT,), "bool": (BOOL,), "string": (TEXT,), "binary": (BINARY,),
    "int64 float64": (INT, FLOAT),
    "8 fixed": (INT, BOOL, FLOAT, INT, INT, BOOL, FLOAT, INT),
    "9 fixed": (INT, BOOL, FLOAT, INT, INT, BOOL, FLOAT, INT, BOOL),
    "int64 string": (INT, TEXT),
    "string string bool": (TEXT, TEXT, BOOL),
    "float64 string int64": (FLOAT, TEXT, INT),
}
forms = pytest.mark.parametrize("types", FORMS.values(), ids=FORMS.keys())

VALUES = {
    INT: [0, 1, -1, 2**63 - 1, -(2**63), None],
    FLOAT: [0.0, -0.0, math.nan, math.inf, 1.5, None],
    BOOL: [False, True, None],
    TEXT: ["", "\0", "a", "a\0", "abcd", "abcd\0", "abcdefgh", "abcdefghijkl", "abcdefghijklm",
           "日本語", "日本語" * 9, "x" * 300, None],
    BINARY: [b"", *(bytes([i]) * n for n in (1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 17, 40) for i in (0, 65)),
             None],
}


def random_rows(types, n, rng, distinct=10**9):
    """Rows with edge values among them; a bounded number of distinct other values."""
    def value(type):
        edges = VALUES[type]
        if rng.random() < 0.2:
            return edges[rng.integers(len(edges))]
        number = int(rng.integers(distinct))
        if type == TEXT:
            return f"{number}" * (number % 7)
        if type == BINARY:
            return number.to_bytes(8, "big") * (number % 5)
        return {INT: number, FLOAT: number / 4, BOOL: number % 2 == 0}[type]

    return [tuple(value(type) for type in types) for _ in range(n)]


@forms
@pytest.mark.parametrize("n", [0, 1, 2, 127, 128, 129, 1500])
def test_ids_are_dense_in_order_of_first_appearance_and_lead_back_to_keys(types, n):
    rows = random_rows(types, n, np.random.default_rng(n), distinct=400)
    index, naive = Index(types), NaiveIndex()
    assert index.find(rows) == [-1] * n
    assert index.intern(rows) == naive.intern(rows)
    assert index.find(rows) == naive.find(rows)
    assert index.index.live_count == len(index.index) == index.index.id_bound == len(naive.ids)
    assert same_rows(index.keys(naive.find(rows)), rows)
    assert index.index.live_ids().tolist() == sorted(naive.keys)


@forms
def test_batch_size_does_not_change_the_ids(types):
    rows = random_rows(types, 500, np.random.default_rng(7), distinct=200)
    whole = Index(types).intern(rows)
    for size in (1, 3, 130):
        index = Index(types)
        assert [id for i in range(0, 500, size) for id in index.intern(rows[i : i + size])] == whole


@forms
@pytest.mark.parametrize("offset", [1, 7, 8, 13])
def test_slices_are_read_from_where_they_start(types, offset):
    rows = random_rows(types, 300, np.random.default_rng(offset), distinct=100)
    index, naive = Index(types), NaiveIndex()
    assert index.intern(rows, offset) == naive.intern(rows)
    assert index.find(rows, offset) == naive.find(rows)


@pytest.mark.parametrize("type", [INT, FLOAT, BOOL, TEXT, BINARY], ids=str)
def test_every_edge_value_is_a_key_of_its_own(type):
    index = Index((type,))
    rows = [(value,) for value in VALUES[type]]
    assert index.intern(rows) == list(range(len(rows)))
    assert index.intern(rows[::-1]) == list(range(len(rows)))[::-1]
    assert same_rows(index.keys(range(len(rows))), rows)


def test_all_nans_are_one_key_and_come_back_as_nan():
    bits = np.array([0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001], np.uint64)
    nans = [Column.from_numpy(bits.view(np.float64))]
    index = GroupIndex([physical_kind(FLOAT)])
    assert index.intern(nans, hash_columns(nans)).tolist() == [0, 0, 0]
    assert math.isnan(index.key_columns(i32([0]), [FLOAT])[0].to_pylist()[0])


def test_the_integer_that_hashes_like_null_is_not_null():
    null_word = 0xA0761D6478BD642F - 2**64
    for width in (1, 2):
        types, rows = (INT,) * width, [(value, 0)[:width] for value in (null_word, None, 0)]
        index = Index(types)
        assert index.intern(rows) == [0, 1, 2]
        assert index.keys([0, 1, 2]) == rows


def test_equal_hashes_do_not_make_equal_keys():
    """A caller's bad hashes cost time, never an answer: neither lookups nor release trust them."""
    rows = [(i,) for i in range(300)]
    for types in [(INT,), (TEXT,), (INT, INT), (INT, TEXT)]:
        index = Index(types)
        columns = index.columns([tuple(i if t == INT else f"key number {i}" for t in types) for (i,) in rows])
        same = np.full(300, 2**64 - 1, np.uint64)
        assert index.index.intern(columns, same).tolist() == list(range(300))
        assert index.index.find(columns, same).tolist() == list(range(300))
        index.index.release(i32(range(0, 300, 2)))
        assert index.index.find(columns, same).tolist() == [i if i % 2 else -1 for i in range(300)]


def test_equal_tags_at_the_end_of_the_table_wrap_around():
    index = GroupIndex([physical_kind(INT)])
    column = [Column.from_numpy(np.arange(60))]
    hashes = (np.uint64(2**32 - 1) - np.arange(60, dtype=np.uint64) % np.uint64(3)) << np.uint64(32)
    index.intern(column, hashes)
    for id in (0, 59, 30, 1, 2, 58):
        index.release(i32([id]))
    gone = {0, 59, 30, 1, 2, 58}
    assert index.find(column, hashes).tolist() == [-1 if i in gone else i for i in range(60)]


@forms
def test_growth_keeps_every_key(types):
    """One key at a time through the first growth points of table, slots and arena, then by blocks."""
    rng = np.random.default_rng(3)
    rows = random_rows(types, 700, rng) + random_rows(types, 6000, rng)
    index, naive = Index(types), NaiveIndex()
    for i in range(0, 700, 10):
        assert index.intern(rows[i : i + 10]) == naive.intern(rows[i : i + 10])
    assert index.intern(rows) == naive.intern(rows)
    assert index.find(rows) == naive.find(rows)
    assert same_rows(index.keys(naive.find(rows)), rows)


@pytest.mark.parametrize("types", [(INT,), (TEXT,), (INT, INT)], ids=["int64", "string", "int64 int64"])
def test_beyond_the_cache_the_prefetching_loop_gives_the_same_ids(types):
    n = 200_000
    numbers = np.random.default_rng(4).integers(0, 150_000, n)
    strings = [f"{k} padded to forty bytes, more or less" for k in numbers]
    arrays = [pa.array(numbers) if type == INT else pa.array(strings) for type in types]
    columns = [Column.from_arrow(array) for array in arrays]
    hashes = hash_columns(columns)
    index = GroupIndex([physical_kind(t) for t in types])
    ids = index.intern(columns, hashes)
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    assert (ids == np.argsort(np.argsort(first))[inverse]).all()
    assert (index.find(columns, hashes) == ids).all()
    assert (index.hashes(ids) == hashes).all()
    assert index.key_columns(ids, types)[0].to_arrow().equals(arrays[0])
    gone = np.unique(ids)[::2].copy()
    index.release(gone)
    assert (index.find(columns, hashes) == np.where(np.isin(ids, gone), -1, ids)).all()


@forms
@pytest.mark.parametrize("seed", range(3))
def test_a_long_life_of_keys_follows_the_model(types, seed):
    """Steps of intern, find and release against a dict; few distinct keys, so that ids are reused."""
    rng = np.random.default_rng(seed)
    index, naive = Index(types), NaiveIndex()
    for step in range(400):
        rows = random_rows(types, int(rng.integers(1, 40)), rng, distinct=150)
        action = rng.random()
        if action < 0.5:
            assert index.intern(rows, step % 9) == naive.intern(rows)
        elif action < 0.7:
            assert index.find(rows) == naive.find(rows)
        elif naive.keys:
            live = sorted(naive.keys)
            count = len(live) if action > 0.98 else int(rng.integers(0, len(live) // 2 + 1))
            ids = rng.permutation(live)[:count].tolist()
            assert same_rows(index.keys(ids), [naive.keys[id] for id in ids])
            index.index.release(i32(ids))
            naive.release(ids)
        assert index.index.live_count == len(naive.keys)
        assert index.index.id_bound == naive.id_bound
    live = sorted(naive.keys)
    assert index.index.live_ids().tolist() == live
    assert same_rows(index.keys(live), [naive.keys[id] for id in live])


@pytest.mark.parametrize("origin", [0, -500, 2**63 - 3000, -(2**63), 10**12])
@pytest.mark.parametrize("seed", range(3))
def test_a_long_life_of_numbers_close_together_follows_the_model(origin, seed):
    """They have a map of their own: it comes, grows, goes when an outlier or releases spread them, and comes again."""
    rng = np.random.default_rng(seed)
    index, naive = Index((INT,)), NaiveIndex()
    seen = set()
    first = 0  # of the numbers in use, which move on
    for step in range(300):
        numbers = origin + first + rng.integers(0, 900, int(rng.integers(1, 400)))
        rows = [(int(np.clip(number, -(2**63), 2**63 - 1)),) for number in numbers.astype(object)]
        if rng.random() < 0.05:
            rows.append((int(rng.integers(-(2**62), 2**62)),))
        if rng.random() < 0.1:
            rows.append((None,))
        action = rng.random()
        if action < 0.6:
            assert index.intern(rows, step % 9) == naive.intern(rows)
        elif action < 0.8:
            assert index.find(rows) == naive.find(rows)
        elif naive.keys:
            far = [id for id, (key,) in naive.keys.items() if key is None or not 0 <= key - origin - first < 900]
            some = [id for id in naive.keys if rng.random() < 0.1]
            ids = rng.permutation(sorted({*far, *some})).tolist()
            index.index.release(i32(ids))
            naive.release(ids)
            first = min(first + int(rng.integers(0, 200)), 2000)
        seen.add(index.index.is_direct)
        if step == 200:
            index.index.clear()
            naive = NaiveIndex()
    assert seen == {True, False}
    live = sorted(naive.keys)
    assert same_rows(index.keys(live), [naive.keys[id] for id in live])


def test_numbers_far_apart_have_no_map():
    for spread, is_direct in ((1, True), (4, True), (5, False)):
        index = Index((INT,))
        rows = [(spread * number,) for number in range(1000)]
        for _ in range(2):
            assert index.intern(rows) == list(range(1000))
        assert index.index.is_direct is is_direct, spread
    other = Index((FLOAT,))
    for _ in range(2):
        other.intern([(float(number),) for number in range(1000)])
    assert not other.index.is_direct


@forms
def test_hashes_by_id_are_those_of_hash_columns(types):
    rows = random_rows(types, 300, np.random.default_rng(8), distinct=100)
    index = Index(types)
    ids = index.intern(rows)
    assert index.index.hashes(i32(ids)).tolist() == hash_columns(index.columns(rows)).tolist()


def test_the_arena_forgets_released_strings_and_keeps_the_rest():
    index = Index((TEXT,))
    rows = [(f"{i:040d}",) for i in range(2000)]
    ids = index.intern(rows)
    index.index.release(i32([id for id in ids if id % 10]))
    assert index.keys(ids[::10]) == rows[::10]
    assert index.find(rows) == [id if id % 10 == 0 else -1 for id in ids]
    assert sorted(index.intern(rows)) == ids                        # released ids first, no new ones
    assert sorted(index.keys(ids)) == rows


def test_clear_starts_from_zero():
    index = Index((TEXT,))
    index.intern([("a string of more than twelve",), (None,), ("b",)])
    index.index.clear()
    assert index.find([("b",), (None,)]) == [-1, -1]
    assert (index.index.live_count, index.index.id_bound, index.index.live_ids().tolist()) == (0, 0, [])
    assert index.intern([(None,), ("b",), ("c",)]) == [0, 1, 2]


def test_reserved_room_changes_nothing_else():
    index = Index((INT,))
    index.index.reserve(100_000)
    assert (index.index.live_count, index.index.id_bound) == (0, 0)
    assert index.intern([(i,) for i in range(1000)]) == list(range(1000))
    with pytest.raises(OverflowError, match="-1 keys"):
        index.index.reserve(-1)


@pytest.mark.parametrize("types, rows", [
    ((INT,), [(i,) for i in range(10)]),
    ((TEXT,), [(f"a string of more than twelve {i}",) for i in range(10)]),
    ((INT,), [(None,), *((i,) for i in range(9))]), ((INT, INT), [(i, i) for i in range(10)]),
])
def test_a_full_index_says_so_and_stays_usable(types, rows):
    index = Index(types, ids_max=8)
    with pytest.raises(OverflowError, match="ids_max is 8"):
        index.intern(rows)
    assert index.index.live_count == index.index.id_bound == 8
    assert index.intern(rows[:8]) == list(range(8))                 # known keys need no room
    assert index.find(rows) == [*range(8), -1, -1]
    index.index.release(i32([3]))
    assert index.intern(rows[8:9]) == [3]
    with pytest.raises(OverflowError):
        index.intern([rows[3]])


def test_keys_of_no_ids_are_empty_columns():
    index = Index((INT, TEXT, BOOL, FLOAT))
    assert index.keys([]) == []
    assert [len(column) for column in index.index.key_columns(i32([]), index.types)] == [0, 0, 0, 0]
    assert Index((TEXT,)).index.key_columns(i32([]), [TEXT])[0].to_arrow().equals(pa.array([], TEXT))


def test_keys_come_back_in_their_logical_type():
    for array in (pa.array([3, None], pa.int8()), pa.array([0, 86_400_000_000], pa.timestamp("us")),
                  pa.array([1.5, None], pa.float32()), pa.array([b"\xff", b""], pa.binary())):
        column = Column.from_arrow(array)
        index = GroupIndex([column.kind])
        ids = index.intern([column], hash_columns([column]))
        assert index.key_columns(ids, [array.type])[0].to_arrow().equals(array)


def test_ids_without_a_key_are_refused_before_memory_is_touched():
    index = Index((TEXT,))
    index.intern([("a",), ("b",), ("c",)])
    index.index.release(i32([1]))
    calls = (index.index.release, index.index.hashes, lambda ids: index.index.key_columns(ids, [TEXT]))
    for bad in (-1, 1, 3, 2**31 - 1, -(2**31)):
        for call in calls:
            with pytest.raises(ValueError, match=f"id {bad} at position 1 has no key"):
                call(i32([0, bad]))
    with pytest.raises(ValueError, match="stands twice"):
        index.index.release(i32([0, 2, 0]))
    assert index.find([("a",), ("c",)]) == [0, 2]                   # nothing was released
    assert index.index.live_count == 2


def test_columns_that_do_not_fit_are_refused():
    index = Index((INT, TEXT))
    rows = [(1, "a"), (2, "b")]
    columns = index.columns(rows)
    hashes = hash_columns(columns)
    for call in (index.index.intern, index.index.find):
        with pytest.raises(TypeError, match="key column 0 holds string or binary, the index holds int64"):
            call(columns[::-1], hashes)
        with pytest.raises(ValueError, match="1 key columns, the index has 2"):
            call(columns[:1], hashes)
        with pytest.raises(ValueError, match="1 hashes for 2 key rows"):
            call(columns, hashes[:1])
        with pytest.raises(ValueError, match="key column 1 has 1 rows, column 0 has 2"):
            call([columns[0], columns[1].slice(0, 1)], hashes)
        with pytest.raises(TypeError, match="Python objects"):
            call([columns[0], Column.from_objects(["a", "b"])], hashes)
        with pytest.raises(ValueError, match="dtype mismatch"):
            call(columns, hashes.view(np.int64))
    with pytest.raises(ValueError, match="1 types for 2 key columns"):
        index.index.key_columns(i32([]), [INT])
    with pytest.raises(TypeError, match="cannot be read as double"):
        index.index.key_columns(i32([]), [FLOAT, TEXT])
    for kinds, error in (((), ValueError), ((5,), TypeError), ((0,), TypeError)):
        with pytest.raises(error):
            GroupIndex(kinds)
    for ids_max in (0, 2**31):
        with pytest.raises(ValueError, match="ids_max"):
            GroupIndex([1], ids_max=ids_max)
    with pytest.raises(RuntimeError, match="once"):
        index.index.__init__([1])


def test_two_threads_at_once_do_not_break_the_index():
    index = GroupIndex([physical_kind(INT)])
    columns = [Column.from_numpy(np.arange(200_000))]
    hashes = hash_columns(columns)
    refusals = []

    def work():
        for _ in range(20):
            try:
                index.intern(columns, hashes)
            except RuntimeError as error:
                refusals.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("two threads at once" in refusal for refusal in refusals)
    assert index.find(columns, hashes).tolist() == list(range(200_000))
