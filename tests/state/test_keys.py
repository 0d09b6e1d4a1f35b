# SPDX-License-Identifier: Apache-2.0
"""The keys of an operator: ids for them, objects and columns from them, snapshots, and the move to another index."""

from __future__ import annotations

import datetime as dt
import enum
import json
import random
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.row import Row
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.state.keys import KeyIndex


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


ZONED = pa.timestamp("us", "UTC")
POINT = pa.struct([("x", pa.int64()), ("at", ZONED)])
CASES = {
    "long": (Schema(["k"], [pa.int64()], "value"), [[1, -5, None, 2**40]]),
    "date": (Schema(["d"], [pa.date32()], "value"), [[dt.date(2020, 1, 1), dt.date(1969, 12, 31)]]),
    "text": (Schema(["k"], [pa.string()], "value"), [["a", "", None, "long enough for the arena", "中"]]),
    "tuple": (Schema(["f0", "f1"], [pa.int32(), pa.bool_()], "tuple"), [[1, 1, 2], [True, False, True]]),
    "row": (Schema(["a", "b"], [pa.string(), pa.float64()], "row"), [["x", "x", None], [0.0, -0.0, 1.5]]),
    "decimal": (Schema(["k"], [pa.decimal128(30, 2)], "value"), [[Decimal("1.10"), Decimal("1.11"), None]]),
    "nested": (
        Schema(["p", "n"], [POINT, pa.list_(pa.string())], "row"),
        [[{"x": 1, "at": 5}, {"x": 1, "at": 6}, None], [["a", "b"], [], None]],
    ),
    "mixed": (Schema(["k", "m"], [pa.int64(), pa.map_(pa.string(), pa.int64())], "tuple"),
              [[1, 1, 2], [[("a", 1)], [("b", 1)], []]]),
    "objects": (Schema.of_objects(), [[1, 1.0, True, "1", (1, "a"), None, Row(a=1), Decimal("1"), Instant(1, 2)]]),
    "pickles": (Schema.of_objects(), [[Colour.RED, Colour.BLUE, (Colour.RED, 1), "plain"]]),
    "objects and numbers": (Schema(["o", "k"], [None, pa.int64()], "tuple"), [[(1, 2), "x", 3.5], [1, 1, 1]]),
}  # fmt: skip
cases = pytest.mark.parametrize("schema, values", CASES.values(), ids=CASES.keys())
unpickled = {"pickles"}


def columns_of(schema, values):
    return [
        Column.from_objects(list(v)) if type is None else Column.from_arrow(pa.array(v, type))
        for v, type in zip(values, schema.types)
    ]


def intern(index, columns):
    return index.intern(columns, hash_keys(columns))


def i32(ids):
    return np.asarray(list(ids), np.int32)


def snapshot(index, since, epoch):
    frozen = index.freeze(since, epoch)
    blocks = list(frozen.blocks())
    frozen.release()
    return blocks


def load(index, segments, epoch, allow_pickle=False):
    description = json.loads(json.dumps(index.describe()))
    loaded = KeyIndex.of_description(description, allow_pickle)
    for blocks in segments:
        for block in blocks:
            loaded.load(memoryview(block))
    loaded.loaded(epoch)
    return loaded


def texts(column):
    return [repr(value) for value in column.to_pylist()]


@cases
def test_ids_lead_back_to_keys_as_objects_and_as_columns(schema, values):
    columns = columns_of(schema, values)
    index = KeyIndex.of_keys(columns, schema)
    ids = intern(index, columns)
    count = len(columns[0])
    assert ids.dtype == np.int32 and ids.tolist() == list(range(count)) == index.live_ids().tolist()
    assert intern(index, columns).tolist() == ids.tolist()
    assert index.hashes(ids).tolist() == hash_keys(columns).tolist()
    assert len(index) == index.row_count == index.id_bound == count
    keys = to_rows(Batch(schema, columns, count))
    assert [repr(index.key(id)) for id in ids.tolist()] == list(map(repr, keys))
    for back, column in zip(index.key_columns(ids), columns):
        assert back.type == column.type and texts(back) == texts(column)


@cases
def test_a_snapshot_holds_the_keys_and_says_of_which_types_they_are(schema, values, request):
    columns = columns_of(schema, values)
    index = KeyIndex(schema)
    half = len(columns[0]) // 2
    first = intern(index, [column.slice(0, half + 1) for column in columns])
    base = snapshot(index, 0, 1)
    index.release(first[:1].copy())
    ids = intern(index, [column.slice(half, len(column) - half) for column in columns])
    pickles = request.node.callspec.id in unpickled
    increment = snapshot(index, 1, 2)
    loaded = load(index, [base, increment], 2, allow_pickle=pickles)
    assert loaded.schema == schema and loaded.live_ids().tolist() == index.live_ids().tolist()
    live = loaded.live_ids()
    assert [repr(loaded.key(id)) for id in live.tolist()] == [repr(index.key(id)) for id in live.tolist()]
    assert intern(loaded, [column.slice(half, len(column) - half) for column in columns]).tolist() == ids.tolist()
    for back, expected in zip(loaded.key_columns(live), index.key_columns(live)):
        assert back.type == expected.type and texts(back) == texts(expected)
    with pytest.raises(ValueError, match="has no key"):
        loaded.key(loaded.id_bound)
    assert index.describe()["pickled"] == pickles
    if pickles:
        unread = load(index, [base, increment], 2, allow_pickle=False)
        with pytest.raises(ValueError, match="pickled Python object"):
            unread.key(int(live[0]))


@cases
def test_keys_move_to_another_index(schema, values, request):
    columns = columns_of(schema, values)
    old, new = KeyIndex(schema), KeyIndex(schema, allow_pickle=request.node.callspec.id in unpickled)
    ids = intern(old, columns)
    intern(new, [column.slice(1, 1) for column in columns])
    keep = ids[::-1][:-1].copy()
    moved = new.absorb(old, keep)
    assert moved.tolist() == intern(new, columns)[keep].tolist()
    assert moved[-1] == 0 and [repr(new.key(id)) for id in moved.tolist()] == [
        repr(old.key(id)) for id in keep.tolist()
    ]
    assert new.absorb(old, keep[:0]).tolist() == []
    with pytest.raises(ValueError, match="cannot be put among keys of"):
        KeyIndex(Schema(["k"], [pa.uint8()], "value")).absorb(old, keep)


def test_pickles_move_only_where_they_may_be_unpickled():
    columns = [Column.from_objects([Colour.RED])]
    old = KeyIndex(Schema.of_objects())
    ids = intern(old, columns)
    assert old.key(0) is Colour.RED  # its own object, not a pickle of it
    moved = KeyIndex(Schema.of_objects())
    moved.absorb(old, ids)
    with pytest.raises(ValueError, match="pickled Python object"):
        moved.key(0)
    moved.fit(KeyIndex(Schema.of_objects()))  # a program that declares such keys
    assert moved.key(0) is Colour.RED
    lying = {**old.describe(), "pickled": False}
    loaded = KeyIndex.of_description(lying)
    for block in snapshot(old, 0, 1):
        loaded.load(block)
    loaded.loaded(1)
    with pytest.raises(ValueError, match="pickled Python object"):
        loaded.key(0)


def test_columns_of_keys_take_the_types_that_are_asked_for():
    """As results need them: nested keys as objects, objects as a column of a type."""
    columns = columns_of(Schema(["p"], [POINT]), [[{"x": 1, "at": 5}, None]])
    index = KeyIndex.of_keys(columns)
    ids = intern(index, columns)
    (objects,) = index.key_columns(ids, [None])
    assert objects.to_pylist() == columns[0].to_pylist()
    numbers = [Column.from_objects([3, 4])]
    index = KeyIndex.of_keys(numbers)
    (typed,) = index.key_columns(intern(index, numbers), [pa.int16()])
    assert typed.to_arrow().equals(pa.array([3, 4], pa.int16()))
    with pytest.raises(ValueError, match="types"):
        index.key_columns(i32([0]), [None, None])


def test_all_records_have_one_key_when_the_schema_has_no_columns():
    index = KeyIndex(Schema([], []))
    zeros = [Column.from_numpy(np.zeros(3, np.int64))]
    ids = intern(index, zeros)
    assert ids.tolist() == [0, 0, 0] and index.key_columns(ids) == [] and list(index.key(0)) == []
    loaded = load(index, [snapshot(index, 0, 1)], 1)
    assert intern(loaded, zeros).tolist() == [0, 0, 0]


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_objects_are_those_of_the_keys_that_have_the_ids_now(typed, seed):
    rng = random.Random(seed)
    schema = Schema(["k"], [pa.string()], "value") if typed else Schema.of_objects()
    index, keys = KeyIndex(schema), {}
    for _ in range(200):
        rows = [f"key {rng.randrange(900)}" for _ in range(rng.randrange(1, 50))]
        for id, row in zip(intern(index, columns_of(schema, [rows])).tolist(), rows):
            assert keys.setdefault(id, row) == row
        for id in rng.sample(sorted(keys), min(5, len(keys))):
            assert index.key(id) == keys[id]
        gone = rng.sample(sorted(keys), rng.randrange(len(keys)) // 3)
        index.release(i32(gone))
        for id in gone:
            del keys[id]
        assert len(index) == len(keys)
    assert {id: index.key(id) for id in index.live_ids().tolist()} == keys


@pytest.mark.parametrize("change", [
    {"schema": "AAAA"}, {"schema": "?"}, {"schema": None}, {"names": ["other"]}, {"form": "list"}, {"form": "object"},
    {"form": None}, None,
], ids=str)  # fmt: skip
def test_a_description_of_something_else_is_refused(change):
    description = KeyIndex(Schema(["a", "b"], [pa.int64(), pa.string()], "tuple")).describe()
    with pytest.raises(ValueError, match="not the description"):
        KeyIndex.of_description({} if change is None else {**description, **change})
