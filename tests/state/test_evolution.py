# SPDX-License-Identifier: Apache-2.0
"""What becomes of stored state when its type changes: verdicts, and the values after a migration."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.row import Row, RowKind
from flinkcore.columnar.typeinfo import BasicType, BasicTypeInfo
from flinkcore.common.time import Duration
from flinkcore.errors import StateFormatError, StateMigrationError
from flinkcore.state.codec import codec_of
from flinkcore.state.content import Shape, content_of_description
from flinkcore.state.evolution import Verdict, type_compatibility
from flinkcore.state.expiry import Expiry
from flinkcore.state.stored import StoredRows
from flinkcore.state.ttl import StateTtlConfig
from flinkcore.time.window_codec import TimeWindows
from tests.state.snapshots import load, rows_of, table, written

AS_IS, MIGRATE, INCOMPATIBLE = Verdict
BYTE, SHORT, INT, LONG, FLOAT, DOUBLE, STRING, CHAR, BIG_INT = (
    BasicTypeInfo(BasicType[name])
    for name in ("BYTE", "SHORT", "INT", "LONG", "FLOAT", "DOUBLE", "STRING", "CHAR", "BIG_INT")
)
OBJECT = ti.PickledBytesTypeInfo()


def row(**fields):
    return ti.RowTypeInfo(list(fields.values()), list(fields))


TYPES = [
    # stored, declared, verdict, a stored value, what it becomes
    (LONG, LONG, AS_IS, 5, 5),
    (BYTE, SHORT, MIGRATE, -128, -128),
    (BYTE, LONG, MIGRATE, 1, 1),
    (SHORT, INT, MIGRATE, 1, 1),
    (INT, LONG, MIGRATE, 2**31 - 1, 2**31 - 1),
    (SHORT, FLOAT, MIGRATE, 3, 3.0),
    (INT, DOUBLE, MIGRATE, 2**31 - 1, float(2**31 - 1)),
    (FLOAT, DOUBLE, MIGRATE, 0.1, 0.1),
    (CHAR, STRING, MIGRATE, "a", "a"),
    (INT, FLOAT, INCOMPATIBLE, None, None),
    (LONG, DOUBLE, INCOMPATIBLE, None, None),
    (LONG, INT, INCOMPATIBLE, None, None),
    (DOUBLE, FLOAT, INCOMPATIBLE, None, None),
    (LONG, STRING, INCOMPATIBLE, None, None),
    (LONG, BIG_INT, INCOMPATIBLE, None, None),
    (LONG, OBJECT, INCOMPATIBLE, None, None),
    (OBJECT, LONG, INCOMPATIBLE, None, None),
    (OBJECT, OBJECT, AS_IS, {"x": 1}, {"x": 1}),
    (None, OBJECT, AS_IS, (1,), (1,)),
    (ti.ListTypeInfo(LONG), ti.ObjectArrayTypeInfo(LONG), AS_IS, [1], [1]),
    (row(a=LONG), row(a=LONG, b=STRING), MIGRATE, Row(a=1), Row(a=1, b=None)),
    (row(a=LONG, b=STRING), row(b=STRING), MIGRATE, Row(a=1, b="x"), Row(b="x")),
    (row(a=LONG, b=STRING), row(b=STRING, a=LONG), MIGRATE, Row(a=1, b="x"), Row(b="x", a=1)),
    (row(a=INT), row(a=DOUBLE), MIGRATE, Row(a=1), Row(a=1.0)),
    (row(a=INT), row(a=DOUBLE), MIGRATE, Row(a=None), Row(a=None)),
    (row(a=LONG), row(a=INT, b=LONG), INCOMPATIBLE, None, None),
    (row(a=LONG), row(b=LONG), INCOMPATIBLE, None, None),
    (row(r=row(a=INT)), row(r=row(a=LONG, b=LONG)), MIGRATE, Row(r=Row(a=1)), Row(r=Row(a=1, b=None))),
    (row(a=LONG), ti.TupleTypeInfo([LONG]), INCOMPATIBLE, None, None),
    (ti.TupleTypeInfo([INT, STRING]), ti.TupleTypeInfo([DOUBLE, STRING]), MIGRATE, (1, "x"), (1.0, "x")),
    (ti.TupleTypeInfo([INT]), ti.TupleTypeInfo([INT, INT]), INCOMPATIBLE, None, None),
    (ti.ListTypeInfo(INT), ti.ListTypeInfo(DOUBLE), MIGRATE, [1, None], [1.0, None]),
    (ti.MapTypeInfo(STRING, INT), ti.MapTypeInfo(STRING, DOUBLE), MIGRATE, {"a": 1}, {"a": 1.0}),
    (ti.MapTypeInfo(INT, INT), ti.MapTypeInfo(LONG, INT), INCOMPATIBLE, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("stored", "declared", "verdict", "before", "after"), TYPES, ids=str)
def test_the_verdict_on_a_type_and_what_values_become(stored, declared, verdict, before, after):
    found = type_compatibility(codec_of(stored).describe(), codec_of(declared).describe())
    assert found.verdict is verdict
    assert bool(found.reason) == (verdict is not AS_IS)
    old, new = table("value", stored), table("value", declared)
    description = json.loads(json.dumps(old.describe()))
    if verdict is INCOMPATIBLE:
        with pytest.raises(
            StateFormatError, match=r"state 't' cannot be restored: .*; give the state another name"
        ):
            new.read_as(description)
        return
    old.put(None, 0, before)
    new.read_as(description)
    found = load(new, written(old.freeze(0, 1))).get(None, 0)
    assert found == after and type(found) is type(after)
    if isinstance(found, Row):
        assert found._fields == after._fields


def test_a_migrated_row_keeps_its_kind_and_elements_of_lists_and_maps_are_migrated():
    change = type_compatibility(
        codec_of(row(a=INT)).describe(), codec_of(row(a=LONG, b=INT)).describe()
    ).change
    assert change(Row.of_kind(RowKind.DELETE, a=1)).get_row_kind() is RowKind.DELETE
    for kind, key, before, after in (
        ("list", None, [1, 2], [1.0, 2.0]),
        ("map", STRING, {"x": 1, "y": None}, {"x": 1.0, "y": None}),
    ):
        old, new = table(kind, INT, key), table(kind, DOUBLE, key)
        old.put(None, 0, before)
        new.read_as(old.describe())
        assert load(new, written(old.freeze(0, 1))).get(None, 0) == after


@pytest.mark.parametrize(
    ("stored", "declared", "reason"),
    [
        (table("value", LONG), table("list", LONG), "state: value became list"),
        (table("value", LONG), table("reducing", LONG), "state: value became reducing"),
        (table("map", LONG, STRING), table("map", LONG, LONG), "keys of the map: STRING became LONG"),
        (table("value", LONG), table("value", LONG, namespace=TimeWindows()), "namespaces: none became TIME_WINDOW"),
        (table("value", row(a=LONG)), table("value", row(a=STRING)), "field 'a': LONG became STRING"),
        (table("value", OBJECT), table("value", row(a=LONG)), r"PICKLED became ROW\(a LONG\)"),
    ],
)  # fmt: skip
def test_state_that_does_not_fit_says_why(stored, declared, reason):
    assert declared.compatible(stored.describe()).verdict is INCOMPATIBLE
    with pytest.raises(StateFormatError, match=reason):
        declared.read_as(stored.describe())


def test_what_describes_no_state_is_refused():
    here = table("value", LONG).describe()
    for damaged in (
        None,
        [],
        {**here, "value": 5},
        {**here, "value": {}},
        {**here, "value": {"type": ["LONG"]}},
    ):
        with pytest.raises(StateFormatError, match=r"describes no state|cannot be restored"):
            table("value", LONG).read_as(damaged)
    for description in (
        {},
        {"kind": "value"},
        {"kind": "heap", "value": {"type": "LONG"}, "ttl": False},
        [],
        None,
    ):
        with pytest.raises(StateFormatError):
            content_of_description(description)


def test_increments_of_the_old_type_load_one_after_the_other():
    old, new = table("value", row(a=INT)), table("value", row(a=LONG, b=STRING))
    old.put(None, 0, Row(a=1))
    old.put(None, 1, Row(a=2))
    blocks = written(old.freeze(0, 1))
    old.remove(None, 0)
    old.put(None, 2, Row(a=3))
    blocks += written(old.freeze(1, 2))
    new.read_as(old.describe())
    assert rows_of(load(new, blocks, 2)) == {(None, 1): Row(a=2, b=None), (None, 2): Row(a=3, b=None)}


JOINT = [
    # what two subtasks wrote, a value of each, and what a program that declares the last type finds
    (INT, 1, LONG, 2**40, LONG, [1, 2**40]),
    (LONG, 2**40, SHORT, 2, LONG, [2**40, 2]),
    (row(a=LONG), Row(a=1), row(a=LONG, b=INT), Row(a=2, b=3), row(b=INT, a=LONG), [Row(b=None, a=1), Row(b=3, a=2)]),
    (row(a=INT, b=INT), Row(a=1, b=2), row(c=INT, a=LONG), Row(c=3, a=4), row(a=LONG, b=LONG, c=LONG),
     [Row(a=1, b=2, c=None), Row(a=4, b=None, c=3)]),
    (ti.TupleTypeInfo([INT, STRING]), (1, "x"), ti.TupleTypeInfo([LONG, STRING]), (2, "y"),
     ti.TupleTypeInfo([LONG, STRING]), [(1, "x"), (2, "y")]),
    (ti.ListTypeInfo(INT), [1], ti.ListTypeInfo(LONG), [2], ti.ListTypeInfo(LONG), [[1], [2]]),
    (ti.MapTypeInfo(STRING, INT), {"a": 1}, ti.MapTypeInfo(STRING, LONG), {"b": 2}, ti.MapTypeInfo(STRING, LONG),
     [{"a": 1}, {"b": 2}]),
]  # fmt: skip


def stored_rows(made, group_id, value):
    made.put(None, group_id, value)
    return load(StoredRows("table", json.loads(json.dumps(made.describe()))), written(made.freeze(0, 1)))


def joined(one, other):
    target = StoredRows("table", one.description)
    for part in (one, other):
        target.absorb(part, np.arange(2, dtype=np.int32))
    return load(StoredRows("table", target.description), written(target.freeze(0, 1)))


@pytest.mark.parametrize(("one", "first", "other", "second", "declared", "found"), JOINT, ids=str)
def test_subtasks_that_wrote_other_types_go_together_when_the_job_is_rescaled(
    one, first, other, second, declared, found
):
    rows = joined(stored_rows(table("value", one), 0, first), stored_rows(table("value", other), 1, second))
    program = table("value", declared)
    program.take_over(rows)
    values = [program.get(None, group_id) for group_id in (0, 1)]
    assert values == found and [str(value) for value in values] == [str(value) for value in found]


def test_a_time_to_live_that_not_all_subtasks_know_begins_anew():
    now = [5000]
    expiry = Expiry(StateTtlConfig.new_builder(Duration.of_millis(100)).build(), Shape.ONE, lambda: now[0])
    with_ttl = table("value", OBJECT, expiry=expiry)
    rows = joined(stored_rows(with_ttl, 0, ("a", 5000)), stored_rows(table("value", OBJECT), 1, "b"))
    assert rows.description["ttl"] is False
    now[0] = 9000
    program = table("value", OBJECT, expiry=expiry)
    assert program.take_over(rows)
    assert [program.get(None, group_id) for group_id in (0, 1)] == [("a", 9000), ("b", 9000)]


def test_a_block_that_is_not_as_its_description_says_is_refused():
    one, other = stored_rows(table("value", LONG), 0, 1), stored_rows(table("value", LONG), 1, 2)
    one.description = table("value", INT).describe()
    with pytest.raises(StateFormatError, match="other columns than its description says"):
        other.absorb(one, np.arange(2, dtype=np.int32))


def test_subtasks_whose_types_do_not_go_together_say_so():
    for one, other in ((LONG, STRING), (OBJECT, LONG), (ti.TupleTypeInfo([INT]), ti.TupleTypeInfo([INT, INT]))):
        parts = [load(StoredRows("table", table("value", type).describe()), []) for type in (one, other)]
        with pytest.raises(StateMigrationError, match="in types that do not go together"):
            parts[0].absorb(parts[1], np.zeros(0, np.int32))
