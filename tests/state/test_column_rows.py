# SPDX-License-Identifier: Apache-2.0
"""Rows that wait in columns: increments, what a snapshot holds while more come, and what is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.schema import Schema
from flinkcore.errors import StateFormatError, StateMigrationError
from flinkcore.state.column_rows import CHUNK_ROWS, ColumnRows, rows_of
from flinkcore.state.parts import make_part
from tests.state.snapshots import being_written, load, written

SCHEMA = Schema(("k", "v", "tags"), (pa.string(), pa.int32(), pa.list_(pa.string())))
KEY = Schema(("k",), (pa.string(),), "value")
OBJECTS = Schema.of_objects()


def batch(keys, first=0, row_kinds=None):
    arrow = pa.record_batch(
        {
            "k": pa.array(keys, pa.string()),
            "v": pa.array(range(first, first + len(keys)), pa.int32()),
            "tags": pa.array([[key] if key else None for key in keys], pa.list_(pa.string())),
        }
    )
    made = Batch.from_arrow(arrow, SCHEMA).with_timestamps(np.arange(first, first + len(keys)))
    made = made.with_row_kinds(row_kinds)
    key = (made.column("k"),)
    return made.with_keys(key, hash_keys(key))


def rows(timed=True):
    return ColumnRows(SCHEMA, KEY, (0,), timed)


def content(part):
    found = []
    for each in part.batches:
        stamps = each.timestamps_ms.tolist() if part.timed else [None] * each.num_rows
        assert hash_keys(each.keys).tolist() == each.key_hashes.tolist()
        found += zip(*(column.to_pylist() for column in each.columns), stamps, each.kinds().tolist())
    return found


def test_an_increment_is_what_came_since_and_all_together_are_the_rows():
    part = rows()
    part.append(batch(["a", None, "b"]))
    blocks = written(part.freeze(0, 1))
    part.append(batch(["c"], 3, np.array([3], np.uint8)))
    increment = written(part.freeze(1, 2))
    assert sum(map(len, increment)) < sum(map(len, blocks))
    restored = make_part("rows", part.describe())
    load(restored, blocks + increment, 2)
    restored.fit(rows())
    assert content(restored) == content(part)
    assert content(part)[3] == ("c", 3, ["c"], 3, 3)
    restored.append(batch(["d"], 4))
    assert len(written(restored.freeze(2, 3))) == 1 and written(restored.freeze(3, 4)) == []


def test_a_snapshot_holds_what_there_was_though_more_comes_while_it_is_written():
    part = rows()
    part.append(batch(["a"]))
    frozen = part.freeze(0, 1)
    part.append(batch(["b"], 1))
    blocks = being_written(frozen).result()
    restored = load(make_part("rows", part.describe()), blocks)
    assert content(restored) == content(part)[:1]


def test_single_records_become_few_batches_in_their_order():
    part = rows(timed=False)
    for i in range(1000):
        part.append(batch([str(i)], i))
    assert len(part.batches) < 12 and part.row_count == 1000
    assert [each for one in part.batches for each in one.column("v").to_pylist()] == list(range(1000))
    assert CHUNK_ROWS > 1000


def test_rows_of_several_batches_come_in_the_order_asked_for():
    batches = [batch(["a", "b"]), batch(["c"], 2), batch(["d", "e"], 3)]
    for places in ([4, 0, 2, 2, 1], [3], [0, 1], []):
        found = rows_of(batches, np.array(places, np.int64))
        assert found.column("v").to_pylist() == places
        assert found.num_rows == len(places)


def test_another_subtask_takes_the_rows_of_its_key_groups():
    part = rows()
    part.append(batch([str(i) for i in range(100)]))
    blocks, halves = written(part.freeze(0, 1)), []
    for groups in (range(50), range(50, 128)):
        stored = load(make_part("rows", part.describe()), blocks, 0)
        halves.append(make_part("rows", part.describe()))
        halves[-1].absorb(stored, groups, 128)
        halves[-1].fit(rows())
    assert all(half.row_count for half in halves)
    assert sorted(content(halves[0]) + content(halves[1])) == sorted(content(part))
    other = ColumnRows(OBJECTS, KEY)
    with pytest.raises(StateMigrationError, match="restore with the parallelism"):
        halves[0].absorb(other, range(128), 128)


def test_objects_stay_pickles_until_the_program_claims_them():
    part = ColumnRows(OBJECTS, OBJECTS)
    keys = (Column.from_objects([("a", 1), None]),)
    values = [{"x": [1]}, {1, 2}]
    part.append(Batch(OBJECTS, [Column.from_objects(values)], 2).with_keys(keys, hash_keys(keys)))
    stored = load(make_part("rows", part.describe()), written(part.freeze(0, 1)))
    assert all(isinstance(each, bytes) for each in stored.batches[0].column(0).to_pylist())
    again = load(make_part("rows", part.describe()), written(stored.freeze(0, 2)), 2)
    again.fit(ColumnRows(OBJECTS, OBJECTS))
    assert again.batches[0].column(0).to_pylist() == values
    assert again.batches[0].key_hashes.tolist() == hash_keys(keys).tolist()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (ColumnRows(Schema(("k",), (pa.string(),)), KEY, (0,), True), "the record is .*tags"),
        (ColumnRows(SCHEMA, Schema(("k",), (pa.int64(),)), None, True), "the key is"),
        (ColumnRows(SCHEMA, KEY, None, True), "the key columns is"),
        (ColumnRows(SCHEMA, KEY, (0,)), "the timed is"),
    ],
)
def test_rows_of_another_program_do_not_fit(program, message):
    with pytest.raises(ValueError, match=message):
        rows().fit(program)


def test_what_is_no_block_of_such_rows_is_refused():
    part = rows()
    part.append(batch(["a"]))
    (block,) = written(part.freeze(0, 1))
    with pytest.raises(StateFormatError):
        make_part("rows", rows(timed=False).describe()).load(memoryview(block))
    with pytest.raises(StateFormatError):
        make_part("rows", part.describe()).load(memoryview(block[:-9]))
    for broken in ({}, {**part.describe(), "key_columns": [7]}, {**part.describe(), "record": {"schema": "?"}}):
        with pytest.raises(ValueError, match="not the description of rows"):
            make_part("rows", broken)
