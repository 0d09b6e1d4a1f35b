# SPDX-License-Identifier: Apache-2.0
"""What of a user's function is read, what is refused with a reason, and when a batch goes back to Python."""

from __future__ import annotations

import functools
import math
from typing import Any

import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.row import Row
from flinkcore.columnar.rows import from_rows, to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.expr.patience import PATIENCE_MAX
from flinkcore.expr.translate import NotTranslated, Unequal, translate_record
from flinkcore.operators.functions import MapFunction
from flinkcore.operators.process import FilterRows, MapRows
from flinkcore.testing import harness
from tests.expr.test_translate_random import compiled

ROWS = Schema(["a", "b", "s", "x"], [pa.int64(), pa.int32(), pa.string(), pa.float64()])
TUPLES = Schema(ROWS.names, ROWS.types, "tuple")
NUMBER = Schema(["value"], [pa.int64()], "value")
PAIR = Schema(["p", "q"], [pa.int64(), pa.string()])
DATA = [(1, 2, "one", 1.5), (-7, 3, "two", -0.25), (40, 1, "three", 2.0)]

TEN = 10
NAMES = {"one", "two"}


def plus(a, b=TEN):
    return a + b


def with_statements(value):
    """Several of what is understood."""
    total: int = value.a
    a, (b, name) = value[0], (value["b"], value.s)
    total += a * b
    if name == "two":
        name = name.upper()
    elif total > 100:
        return Row(q="much", p=total)
    else:
        pass
    return Row(p=plus(total, -1) + plus(b), q=name)


class Scaled(MapFunction):
    offset = 3

    def __init__(self, factor):
        self.factor = factor

    def map(self, value):
        return self._scaled(value[0]) + self.offset, value[2]

    def _scaled(self, number):
        return number * self.factor


def nested(limit):
    return lambda v: (v.a if v.a > limit else limit, f"{v.s}/{v.b}")


TRANSLATED = [
    with_statements,
    nested(5),
    Scaled(4),
    Scaled(4).map,
    lambda v: (v[0], v[2]),
    lambda v: (v.a, v.s) if v.b > 1 else (0, "none"),
    lambda v: [v.b, v[-2]],
    lambda v: (max(v.a, v.b, TEN), v.s.replace("o", "0")[1:]),
    lambda v: (math.floor(v.x), v.s if v.s.startswith("t") else None),
    lambda v: (plus(v.a), str(v.b)),
    lambda v: (len(v.s) // 2, "x" if v.a in (1, 40) and not v.x < 0 else "y"),
    lambda v: (v.a and v.b, v.s or "empty"),
    lambda v: (v.a**3 + 2**5, v.s[-2:]),
    lambda v: (v.a if v.s in ("one", "three") else None, (v.s, 3)[0]),
]  # fmt: skip


def batch_of(rows: list[tuple[Any, ...]], schema: Schema) -> Batch:
    columns = [pa.array(column, type) for column, type in zip(zip(*rows), schema.types)]
    return Batch.from_arrow(pa.record_batch(columns, names=list(schema.names)), schema)


@pytest.mark.parametrize("function", TRANSLATED)
def test_functions_are_read(function):
    translation = translate_record(function, "map", ROWS, PAIR)
    batch = batch_of(DATA, ROWS)
    call = getattr(function, "map", function)
    expected = from_rows([call(row) for row in to_rows(batch)], PAIR, "a test")
    found = translation.columns(batch)
    assert [each.to_arrow().to_pylist() for each in found] == [each.to_arrow().to_pylist() for each in expected]


def test_bare_values_and_tuples_are_records_too():
    number = translate_record(lambda n: n * n - 1, "map", NUMBER, NUMBER)
    batch = Batch.from_arrow(pa.record_batch([pa.array([3, 4])], names=["value"]), NUMBER)
    assert number.columns(batch)[0].to_pylist() == [8, 15]
    pair = translate_record(lambda t: (t[0], t[2]), "map", TUPLES, PAIR)
    assert pair.columns(batch_of(DATA, TUPLES))[1].to_arrow().to_pylist() == ["one", "two", "three"]


def looping(v):
    total = 0
    for i in range(v.a):
        total += i
    return total, v.s


def endless(v):
    return endless(v)


@functools.wraps(nested)
def wrapped(*args):
    return args


def kept(v):
    NAMES.add(v.s)
    return v.a, v.s


REFUSED = [
    (looping, "`for i in range"),
    (endless, "calls are too deep"),
    (wrapped, "wrapped called with 1 argument|nested called with 1 argument"),
    (kept, "`NAMES.add"),
    (lambda v: (int(v.x**2), v.s), r"\*\* of a float and an int"),
    (lambda v: (v.a**v.b, v.s), r"\*\* of an int and an int"),
    (lambda v: (v.a, v.s.split()[0]), "split of a str"),
    (lambda v: (v.a, v.nothing), "`v.nothing`"),
    (lambda v: (v.a, v[7]), r"`v\[7\]`"),
    (lambda v: (v.a, v.s in NAMES), "`in` of a set"),
    (lambda v: (v.a + v.s, v.s), r"\+ of an int and a str"),
    (lambda v: (v.x, v.s), "returns a float where int64 is declared"),
    (lambda v: v.a, "returns an int for"),
    (lambda v: (v.a, v.s, 1), "returns a tuple for"),
    (lambda v: Row(p=v.a, r=v.s), "returns a Row of p, r"),
    (lambda v: (10**30, v.s), "more than 64 bits"),
    (lambda v: (1 // 0, v.s), "constants that raise ZeroDivisionError"),
    (lambda v: (undefined, v.s), "the name undefined"),  # noqa: F821
    (lambda v: (print(v.a), v.s), "print of an int"),
    (len, "len is no Python function"),
    (eval("lambda v: (v.a, v.s)"), "has no source"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "reason"), REFUSED)
def test_what_is_not_read_is_said(function, reason):
    with pytest.raises(NotTranslated, match=reason):
        translate_record(function, "map", ROWS, PAIR)


def test_streams_of_objects_of_any_type_are_not_read():
    with pytest.raises(NotTranslated, match="Python objects"):
        translate_record(lambda v: v, "map", Schema.of_objects(), NUMBER)


OBJECTS = Schema.of_objects()


@pytest.mark.parametrize(
    ("function", "type"),
    [
        (lambda v: v.a + v.b, pa.int64()),
        (lambda v: v.x / 2, pa.float64()),
        (lambda v: v.s + "!", pa.string()),
        (lambda v: v.a > 0, pa.bool_()),
        (lambda v: v.s if v.a > 0 else v.s.upper(), pa.string()),
    ],
)
def test_objects_of_one_type_are_known(function, type):
    batch = Batch(ROWS, from_rows(DATA, ROWS, "test"), len(DATA))
    (column,) = translate_record(function, "map", ROWS, OBJECTS).columns(batch)
    assert column.type is None and column.known.type == type
    expected = [function(row) for row in to_rows(batch)]
    assert [(value, value.__class__) for value in column.to_pylist()] == [(v, v.__class__) for v in expected]


@pytest.mark.parametrize(
    "function", [lambda v: v.a if v.a > 0 else v.s, lambda v: v.a if v.b > 0 else v.b > 0, lambda v: (v.a, v.s)]
)
def test_objects_of_several_types_are_not_read(function):
    with pytest.raises(NotTranslated, match="no declared type"):
        translate_record(function, "map", ROWS, OBJECTS)


def test_known_objects_are_read_and_others_are_left_to_python():
    known = Schema.of_objects(pa.int64())
    translation = translate_record(lambda v: v + 1, "map", known, NUMBER)

    def answer(column):
        return translation.columns(Batch(known, (column,), len(column)))[0].to_pylist()

    numbers = Column.from_numpy([1, 2, 3])
    assert answer(Column.of_known(numbers)) == [2, 3, 4]
    assert answer(Column.of_known(numbers.slice(0, 0))) == []
    for column in (Column.from_objects([1, 2]), Column.of_known(Column.from_numpy([1.0]))):
        with pytest.raises(Unequal, match="objects of another type"):
            answer(column)


UNEQUAL = [
    (lambda v: (v.a * 2**40, v.s), (2**40, 1, "x", 1.0), "more than 64 bits"),
    (lambda v: (v.a // v.b, v.s), (1, 0, "x", 1.0), "a divisor of 0"),
    (lambda v: (v.a + 1, v.s), (None, 1, "x", 1.0), "None"),
    (lambda v: (int(v.x), v.s), (1, 1, "x", math.inf), "not finite"),
    (lambda v: (int(v.s), v.s), (1, 1, "1_000", 1.0), "no plain number"),
    (lambda v: (v.b, v.s.upper()), (1, 1, "ß", 1.0), "not ASCII"),
    (lambda v: (1 if v.a < v.x else 0, v.s), (2**53 + 1, 1, "x", 2.0**53), "no double is equal to"),
]


@pytest.mark.parametrize(("function", "row", "reason"), UNEQUAL)
def test_a_batch_with_what_needs_python_is_not_answered(function, row, reason):
    translation = translate_record(function, "map", ROWS, PAIR)
    translation.columns(batch_of([(1, 1, "1", 1.0)], ROWS))
    with pytest.raises(Unequal, match=reason):
        translation.columns(batch_of([(1, 1, "1", 1.0), row], ROWS))


def test_a_branch_that_no_such_row_takes_is_answered():
    translation = translate_record(lambda v: (v.a // v.b if v.b else -1, v.s), "map", ROWS, PAIR)
    rows = [(7, 2, "x", 1.0), (7, 0, "y", 1.0), (9, 3, "z", 1.0)]
    assert translation.columns(batch_of(rows, ROWS))[0].to_pylist() == [3, -1, 3]


def test_what_is_computed_and_not_used_can_fail():
    def unused(v):
        share = 1 / v.b
        if v.a > 0:
            return v.a, str(share > 1)[:0]
        return 0, ""

    with pytest.raises(NotTranslated, match="str of a bool"):
        translate_record(unused, "map", ROWS, PAIR)

    def never(v):
        share = 1 / v.b  # noqa: F841
        return v.a, v.s

    with pytest.raises(Unequal, match="a divisor of 0"):
        translate_record(never, "map", ROWS, PAIR).columns(batch_of([(1, 0, "x", 1.0)], ROWS))


def test_what_both_branches_compute_and_nobody_uses_can_fail():
    def never(v):
        share = 1 // v.b if v.a else 1 // v.b  # noqa: F841, RUF034
        return v.a, v.s

    with pytest.raises(Unequal, match="a divisor of 0"):
        translate_record(never, "map", ROWS, PAIR).columns(batch_of([(1, 0, "x", 1.0)], ROWS))


def test_a_value_that_is_used_over_and_over_is_computed_once():
    lines = "".join("    h = h ^ (h >> 7)\n    h = (h + h) % 1000003\n" for _ in range(40))
    function = compiled(f"def function(v):\n    h = v.a & 1023\n{lines}    return h, v.s\n", "<mixing>")
    translation = translate_record(function, "map", ROWS, PAIR)
    batch = batch_of(DATA, ROWS)
    assert translation.columns(batch)[0].to_pylist() == [function(row)[0] for row in to_rows(batch)]
    ifs = "".join(f"    if v.a > {i}: pass\n" for i in range(400))
    many = compiled(f"def function(v):\n{ifs}    return v.a, v.s\n", "<branches>")
    with pytest.raises(NotTranslated, match=r"too long|too deep"):
        translate_record(many, "map", ROWS, PAIR)


def test_a_constant_that_changes_is_seen():
    factor = 2

    def scaled(v):
        return v.a * factor, v.s

    translation = translate_record(scaled, "map", ROWS, PAIR)
    batch = batch_of(DATA, ROWS)
    assert translation.columns(batch)[0].to_pylist() == [2, -14, 80]
    factor = 3
    with pytest.raises(Unequal, match="a constant that changed"):
        translation.columns(batch)


def test_operators_ask_python_for_the_batches_that_need_it():
    rows = [(i, 1, "x", 1.0) for i in range(20)]
    op = harness(MapRows(ROWS, lambda v: (v.a // v.b, v.s), PAIR))
    op.batch(rows)
    assert op.metrics.counts["rows_by_python"] == 0
    with pytest.raises(Exception, match="record 3 of its batch"):
        op.batch([*rows[:3], (3, 0, "x", 1.0), *rows[4:]])


def test_python_is_asked_for_longer_and_longer_where_a_translation_does_not_answer():
    long = [(2**62, 1, "x", 1.0)] * 20
    short = [(1, 1, "x", 1.0)] * 20
    op = harness(FilterRows(ROWS, lambda v: v.a * 4 > 0))
    for _ in range(40):
        op.batch(long)
    by_python = op.metrics.counts["rows_by_python"]
    assert by_python == 40 * 20
    for _ in range(PATIENCE_MAX):
        op.batch(short)
    assert by_python < op.metrics.counts["rows_by_python"] < by_python + PATIENCE_MAX * 20
    assert len(op.output()) == 20 * (40 + PATIENCE_MAX)
