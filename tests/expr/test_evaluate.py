# SPDX-License-Identifier: Apache-2.0
"""Expressions on columns, against plain Python with Flink's rules."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkcore.columnar.batch import Batch
from flinkcore.errors import ExpressionError, FlinkcoreError, SchemaError
from flinkcore.expr import compile, compile_predicate, evaluate
from flinkcore.expr.nodes import FieldReference
from flinkcore.expr.typed import DivisionByZeroError
from flinkcore.table import DataTypes
from flinkcore.table.expression import TimeIntervalUnit, TimePointUnit
from flinkcore.table.expressions import (
    and_,
    coalesce,
    col,
    concat,
    concat_ws,
    date_format,
    if_then_else,
    lit,
    not_,
    null_of,
    or_,
    timestamp_diff,
    to_date,
    to_timestamp,
    to_timestamp_ltz,
)

INT, BIGINT, FLOAT, DOUBLE, STRING = pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string()
MOMENT = datetime.datetime(2020, 1, 31, 3, 4, 5, 123000)


def batch(**columns):
    """A batch of columns given as (values, type) or values."""
    arrays = {
        name: pa.array(*column) if isinstance(column, tuple) else pa.array(column)
        for name, column in columns.items()
    }
    return Batch.from_arrow(pa.record_batch(arrays))


def values(expression, rows):
    return evaluate(expression.node, rows).to_pylist()


def one(expression, **columns):
    """The value and type of an expression on one row."""
    column = evaluate(expression.node, batch(**{"n": [1], **columns}))
    (value,) = column.to_pylist()
    return value, column.type


# -- numbers -------------------------------------------------------------------------------------------------


def wrap(value, bits):
    return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def java_divide(a, b, bits):
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return wrap(quotient, bits)


int64s = st.one_of(
    st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1), st.sampled_from([-(2**63), 2**63 - 1])
)
int32s = st.one_of(st.integers(-5, 5), st.integers(-(2**31), 2**31 - 1))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.one_of(st.none(), int64s), st.one_of(st.none(), int64s)), min_size=1))
def test_integers_are_javas_longs(pairs):
    rows = batch(a=([a for a, _ in pairs], BIGINT), b=([b for _, b in pairs], BIGINT))
    a, b = col("a"), col("b")

    def expected(compute):
        return [None if None in pair else compute(*pair) for pair in pairs]

    assert values(a + b, rows) == expected(lambda x, y: wrap(x + y, 64))
    assert values(a - b, rows) == expected(lambda x, y: wrap(x - y, 64))
    assert values(a * b, rows) == expected(lambda x, y: wrap(x * y, 64))
    safe = if_then_else(b == 0, lit(0), a / b)
    assert values(safe, rows) == [
        0 if y == 0 else None if None in (x, y) else java_divide(x, y, 64) for x, y in pairs
    ]
    rest = if_then_else(b == 0, lit(0), a % b)
    assert values(rest, rows) == [
        0 if y == 0 else None if None in (x, y) else (x - y * java_divide(x, y, 65)) for x, y in pairs
    ]
    assert values(a < b, rows) == expected(lambda x, y: x < y)
    assert values(a.between(b, 3), rows) == [
        None
        if (y is None and (x is None or x <= 3)) or x is None
        else (False if x > 3 else None if y is None else y <= x <= 3)
        for x, y in pairs
    ]


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(int32s, int32s), min_size=1))
def test_integers_wrap_at_their_width(pairs):
    rows = batch(a=([a for a, _ in pairs], INT), b=([b for _, b in pairs], INT))
    assert values(col("a") * col("b"), rows) == [wrap(a * b, 32) for a, b in pairs]
    assert values(-col("a"), rows) == [wrap(-a, 32) for a, _ in pairs]
    assert values(col("a").cast(DataTypes.TINYINT()), rows) == [wrap(a, 8) for a, _ in pairs]


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        (pa.int8(), pa.int8(), pa.int8()),
        (pa.int8(), INT, INT),
        (INT, BIGINT, BIGINT),
        (FLOAT, BIGINT, FLOAT),
        (FLOAT, DOUBLE, DOUBLE),
        (BIGINT, DOUBLE, DOUBLE),
        (pa.decimal128(10, 2), DOUBLE, DOUBLE),
        (pa.decimal128(10, 2), INT, pa.decimal128(13, 2)),
        (pa.decimal128(38, 10), pa.decimal128(38, 10), pa.decimal128(38, 9)),
    ],
)
def test_types_of_sums(left, right, result):
    rows = batch(a=([None], left), b=([None], right))
    found = evaluate((col("a") + col("b")).node, rows).type
    if pa.types.is_decimal(result) and result.precision == 38:
        assert found.precision == 38
    else:
        assert found == result


def test_types_of_other_results():
    assert one(lit(7) / 2) == (3, INT)
    assert one(lit(7.0) / 2) == (3.5, DOUBLE)
    assert one(col("a") % 2, a=([5], BIGINT)) == (1, INT)
    assert one(lit(2**40)) == (2**40, BIGINT)
    assert one(lit(3) ** 2) == (9.0, DOUBLE)
    assert one(abs(lit(-3))) == (3, INT)
    assert one(lit(2.5).round(0))[0] == 3.0
    assert one(lit(-2.5).round(0))[0] == -3.0
    assert one(lit(1.005).round(2))[0] == 1.01
    assert one(lit(12.7).truncate())[0] == 12.0
    assert one(lit(-1.5).floor())[0] == -2.0 and one(lit(-1.5).ceil())[0] == -1.0
    assert math.isnan(one(lit(-1).sqrt)[0])


def test_floats_have_32_bits():
    assert one(col("f") + col("f"), f=([0.1], FLOAT)) == (float(np.float32(0.2)), FLOAT)
    assert one(col("f") * 3, f=([0.1], FLOAT))[0] == float(np.float32(np.float32(0.1) * np.float32(3)))


def test_decimals_are_exact_and_null_when_they_do_not_fit():
    d = pa.decimal128(10, 2)
    assert one(col("a") * col("b"), a=([Decimal("1.25")], d), b=([Decimal("3.10")], d)) == (
        Decimal("3.8750"),
        pa.decimal128(20, 4),
    )
    assert one(col("a") / 3, a=([Decimal("1.00")], d))[0] == Decimal("0.3333333333333")
    huge = pa.decimal128(38, 0)
    assert one(col("a") * col("a"), a=([Decimal(10**37)], huge))[0] is None
    with pytest.raises(DivisionByZeroError):
        one(col("a") / col("a"), a=([Decimal("0")], d))


def test_division_by_zero_names_expression_and_row():
    rows = batch(a=[1, 2, 3], b=[1, None, 0])
    with pytest.raises(ZeroDivisionError, match=r"divide\(a, b\): / by zero at row 2"):
        values(col("a") / col("b"), rows)
    with pytest.raises(ExpressionError, match="/ by zero"):
        values(col("a") % 0, rows)
    assert values(lit(1.0) / col("b"), rows) == [1.0, None, math.inf]


def test_untaken_branches_do_not_fail():
    rows = batch(b=[0, 2, None])
    quotient = lit(10) / col("b")
    assert values(if_then_else(col("b") != 0, quotient, -1), rows) == [-1, 5, -1]
    assert values((col("b") != 0) & (quotient > 1), rows) == [False, True, None]
    assert values((col("b") == 0) | (quotient > 1), rows) == [True, True, None]
    assert values(coalesce(col("b"), lit(7) / 7), rows) == [0, 2, 1]


# -- three-valued logic --------------------------------------------------------------------------------------

TRUTHS = [True, False, None]


def test_kleene_logic():
    pairs = [(a, b) for a in TRUTHS for b in TRUTHS]
    rows = batch(a=([a for a, _ in pairs], pa.bool_()), b=([b for _, b in pairs], pa.bool_()))

    def both(a, b):
        return False if False in (a, b) else None if None in (a, b) else True

    def either(a, b):
        return True if True in (a, b) else None if None in (a, b) else False

    assert (
        values(col("a") & col("b"), rows)
        == values(and_(col("a"), col("b")), rows)
        == [both(*p) for p in pairs]
    )
    assert (
        values(col("a") | col("b"), rows)
        == values(or_(col("a"), col("b")), rows)
        == [either(*p) for p in pairs]
    )
    assert values(not_(col("a")), rows) == [None if a is None else not a for a, _ in pairs]
    assert values(~col("a"), rows) == [a is not True for a, _ in pairs]
    assert values(col("a").is_false, rows) == [a is False for a, _ in pairs]
    assert values(and_(col("a"), col("b"), True), rows) == [both(*p) for p in pairs]


def test_a_filter_keeps_only_what_is_true():
    rows = batch(a=[1, None, 3])
    predicate = compile_predicate((col("a") > 1).node, rows.schema)
    assert predicate.filter_mask(rows).tolist() == [False, False, True]
    assert compile_predicate(lit(True).node, rows.schema).filter_mask(rows).tolist() == [True] * 3
    assert (
        compile_predicate(null_of(DataTypes.BOOLEAN()).node, rows.schema).filter_mask(rows).tolist()
        == [False] * 3
    )


def test_nulls_and_choice():
    rows = batch(a=[1, None, 3], s=["x", None, "z"])
    assert values(col("a").is_null, rows) == [False, True, False]
    assert values(coalesce(col("a"), 9), rows) == [1, 9, 3]
    assert values(col("s").if_null("none"), rows) == ["x", "none", "z"]
    assert values(col("a").in_(1, 2), rows) == [True, None, False]
    assert values(col("a").in_(1, null_of(DataTypes.BIGINT())), rows) == [True, None, None]
    assert values((col("a") > 1).then("big", col("s")), rows) == ["x", None, "big"]
    assert values(col("a") == null_of(DataTypes.INT()), rows) == [None] * 3


# -- strings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (col("s").upper_case, ["HÉLLO", "", None]),
        (col("s").char_length, [5, 0, None]),
        (col("s").substring(2, 2), ["él", "", None]),
        (col("s").substring(-2), ["lo", "", None]),
        (col("s").substring(0, 2), ["hé", "", None]),
        (col("s").substring(2, -1), [None, None, None]),
        (concat(col("s"), "-", col("s")), ["héllo-héllo", "-", None]),
        (concat_ws(",", col("s"), "x"), ["héllo,x", ",x", "x"]),
        (col("s") + 1, ["héllo1", "1", None]),
        (col("s").like("h%l_"), [True, False, None]),
        (col("s").like("%"), [True, True, None]),
        (col("s").replace("l", "L"), ["héLLo", "", None]),
        (col("s").lpad(7, "ab"), ["abhéllo", "abababa", None]),
        (col("s").rpad(2, "x"), ["hé", "xx", None]),
        (lit("l").position(col("s")), [3, 0, None]),
        (col("s").overlay("XX", 2), ["hXXlo", "", None]),
        (col("s").regexp_replace("l+", "L"), ["héLo", "", None]),
        (col("s").regexp_extract("h(.)l", 1), ["é", None, None]),
        (col("s").starts_with("h"), [True, False, None]),
        (col("s").reverse, ["olléh", "", None]),
        (lit("ab cd-ef").init_cap, ["Ab Cd-Ef"] * 3),
        (lit("a,b").split_index(",", 1), ["b"] * 3),
        (lit("  x ").trim(), ["x"] * 3),
        (lit("xxaxx").trim_leading("x"), ["axx"] * 3),
        (lit("a").md5, ["0cc175b9c0f1b6a831c399e269772661"] * 3),
        (lit("Flink").to_base64.from_base64, ["Flink"] * 3),
        (col("s") > "a", [True, False, None]),
    ],
)
def test_strings(expression, expected):
    assert values(expression, batch(s=["héllo", "", None])) == expected


def test_like_refuses_a_broken_pattern():
    with pytest.raises(ExpressionError, match="escape sequence"):
        values(col("s").like("a\\b"), batch(s=["x"]))


# -- casts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        ((300, INT), DataTypes.TINYINT(), 44),
        ((1e20, DOUBLE), DataTypes.INT(), 2**31 - 1),
        ((-1e20, DOUBLE), DataTypes.BIGINT(), -(2**63)),
        ((math.nan, DOUBLE), DataTypes.INT(), 0),
        ((-1.9, DOUBLE), DataTypes.INT(), -1),
        ((0.1, DOUBLE), DataTypes.FLOAT(), float(np.float32(0.1))),
        ((1, INT), DataTypes.BOOLEAN(), True),
        ((True, pa.bool_()), DataTypes.INT(), 1),
        ((1e10, DOUBLE), DataTypes.STRING(), "1.0E10"),
        ((0.1, FLOAT), DataTypes.STRING(), "0.1"),
        ((True, pa.bool_()), DataTypes.STRING(), "TRUE"),
        ((" 42 ", STRING), DataTypes.INT(), 42),
        (("1.9", STRING), DataTypes.BIGINT(), 1),
        (("yes", STRING), DataTypes.BOOLEAN(), True),
        (("1.005", STRING), DataTypes.DECIMAL(5, 2), Decimal("1.01")),
        (("12345.6", STRING), DataTypes.DECIMAL(5, 2), None),
        (("2020-01-31", STRING), DataTypes.DATE(), datetime.date(2020, 1, 31)),
        (("2020-01-31 03:04:05.123", STRING), DataTypes.TIMESTAMP(3), MOMENT),
        ((MOMENT, pa.timestamp("ms")), DataTypes.STRING(), "2020-01-31 03:04:05.123"),
        ((MOMENT, pa.timestamp("us")), DataTypes.DATE(), datetime.date(2020, 1, 31)),
        ((MOMENT, pa.timestamp("us")), DataTypes.TIMESTAMP(0), MOMENT.replace(microsecond=0)),
        (
            (datetime.datetime(1969, 12, 31, 23, 59, 59, 999000), pa.timestamp("ms")),
            DataTypes.DATE(),
            datetime.date(1969, 12, 31),
        ),
        ((Decimal("-1.99"), pa.decimal128(5, 2)), DataTypes.INT(), -1),
        ((Decimal("1.99"), pa.decimal128(5, 2)), DataTypes.DECIMAL(3, 1), Decimal("2.0")),
        ((7, INT), DataTypes.DECIMAL(12, 1), Decimal("7.0")),
    ],
)
def test_casts(value, target, expected):
    found, type = one(col("v").cast(target), v=([value[0]], value[1]))
    assert found == expected
    assert type == target.to_arrow()
    assert one(col("v").cast(target), v=([None], value[1]))[0] is None


def test_a_cast_that_fails_raises_or_is_null_as_asked():
    rows = batch(s=["1", "x", None])
    with pytest.raises(ExpressionError, match="cannot cast 'x' to INT; use try_cast"):
        values(col("s").cast(DataTypes.INT()), rows)
    assert values(col("s").try_cast(DataTypes.INT()), rows) == [1, None, None]
    with pytest.raises(ExpressionError, match="Unsupported cast from INT to DATE"):
        values(lit(1).cast(DataTypes.DATE()), rows)


# -- time ----------------------------------------------------------------------------------------------------

DAY = datetime.date(2020, 1, 31)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (col("t") + lit(10).seconds, MOMENT + datetime.timedelta(seconds=10)),
        (lit(1).day + col("t"), MOMENT + datetime.timedelta(days=1)),
        (col("t") - lit(1).month, datetime.datetime(2019, 12, 31, 3, 4, 5, 123000)),
        (col("t") + lit(1).month, datetime.datetime(2020, 2, 29, 3, 4, 5, 123000)),
        (col("d") + lit(2).days, datetime.date(2020, 2, 2)),
        (col("d") - lit(1).year, datetime.date(2019, 1, 31)),
        (col("t") - col("t"), datetime.timedelta(0)),
        (col("t").extract(TimeIntervalUnit.YEAR), 2020),
        (col("t").extract(TimeIntervalUnit.HOUR), 3),
        (col("d").extract(TimeIntervalUnit.WEEK), 5),
        (col("t").floor(TimeIntervalUnit.MINUTE), datetime.datetime(2020, 1, 31, 3, 4)),
        (col("t").ceil(TimeIntervalUnit.DAY), datetime.datetime(2020, 2, 1)),
        (col("d").floor(TimeIntervalUnit.MONTH), datetime.date(2020, 1, 1)),
        (col("t") > "2020-01-31 03:04:05", True),
        (col("t") > col("d"), True),
        (date_format(col("t"), "yyyy/MM/dd HH:mm:ss.SSS"), "2020/01/31 03:04:05.123"),
        (to_timestamp("2020-01-02 03:04:05"), datetime.datetime(2020, 1, 2, 3, 4, 5)),
        (to_timestamp("nonsense"), None),
        (to_date("02.01.2020", "dd.MM.yyyy"), datetime.date(2020, 1, 2)),
        (timestamp_diff(TimePointUnit.DAY, col("d"), col("t")), 0),
        (timestamp_diff(TimePointUnit.MONTH, lit("2020-01-31").to_date, lit("2020-03-30").to_date), 1),
        (timestamp_diff(TimePointUnit.YEAR, lit("2020-03-01").to_date, lit("2019-02-01").to_date), -1),
        (lit(1).hours * 2 + lit(30).minutes, datetime.timedelta(hours=2, minutes=30)),
    ],
)
def test_time(expression, expected):
    assert one(expression, t=([MOMENT], pa.timestamp("ms")), d=([DAY], pa.date32()))[0] == expected


def test_now_is_the_clocks_and_one_instant_per_batch():
    from flinkcore.table.expressions import current_date, local_timestamp

    rows = batch(a=[1, 2])
    projection = compile(
        [local_timestamp().node, current_date().node], rows.schema, now_ms=lambda: 86_400_000 + 5
    )
    moments, days = (column.to_pylist() for column in projection.project(rows))
    assert moments == [datetime.datetime(1970, 1, 2, 0, 0, 0, 5000)] * 2
    assert days == [datetime.date(1970, 1, 2)] * 2
    assert one(to_timestamp_ltz(1000, 3))[0] == datetime.datetime(
        1970, 1, 1, 0, 0, 1, tzinfo=datetime.timezone.utc
    )


# -- programs ------------------------------------------------------------------------------------------------


def test_equal_subexpressions_are_computed_once():
    rows = batch(a=[1], b=[2])
    double = (col("a") + col("b")) * (col("a") + col("b"))
    projection = compile([double.node, (col("a") + col("b")).node], rows.schema)
    assert sum(step.evaluate is not None for step in projection._program.steps) == 2
    assert [column.to_pylist() for column in projection.project(rows)] == [[9], [3]]


def test_a_column_alone_is_not_copied():
    rows = batch(a=[1, 2])
    assert compile([FieldReference("a")], rows.schema).project(rows)[0] is rows.column("a")


def test_an_empty_batch_has_empty_results():
    rows = batch(a=([], BIGINT), s=([], STRING))
    for expression in (
        col("a") / 2,
        col("s").upper_case,
        if_then_else(col("a") > 1, lit(1) / col("a"), 0),
        col("a").cast(DataTypes.STRING()),
        lit(1),
        col("s").lpad(3, "x"),
    ):
        assert values(expression, rows) == []


def test_python_per_row_is_said():
    rows = batch(s=["a"])
    assert compile([col("s").upper_case.node], rows.schema).native
    projection = compile([col("s").md5.node], rows.schema)
    assert not projection.native
    assert projection.reason == "Python runs per row in md5"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (col("zz") + 1, r"Cannot resolve field \[zz\], input field list:\[a, s\]"),
        (col("s").sqrt, r"Invalid arguments of sqrt: expected \(a number\); came \(s STRING\)"),
        (col("a").substring(1), "expected .a string, an integer, an integer .optional.."),
        (col("a").in_("x"), "values of one type"),
        (if_then_else(col("a"), 1, 2), "expected a boolean and two values"),
        (col("a") & True, "expected .a boolean, a boolean ..."),
    ],
)
def test_errors_say_what_was_expected_and_what_came(expression, message):
    with pytest.raises(FlinkcoreError, match=message):
        compile([expression.node], batch(a=[1], s=["x"]).schema)


def test_literals_without_a_type_are_refused():
    for value, message in (
        (2**70, "does not fit BIGINT"),
        (object(), "has no SQL type"),
        ([], "has no SQL type"),
    ):
        with pytest.raises(ExpressionError, match=message):
            lit(value)
    with pytest.raises(SchemaError):
        compile([col("x").node], batch(a=[1]).schema)
