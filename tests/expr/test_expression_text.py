# SPDX-License-Identifier: Apache-2.0
"""str() of expressions: Flink's summary strings."""

from __future__ import annotations

import copy
import pickle

import pytest

from flinkcore.table import DataTypes
from flinkcore.table.expression import TimeIntervalUnit, TimePointUnit
from flinkcore.table.expressions import (
    CURRENT_ROW,
    UNBOUNDED_RANGE,
    and_,
    array,
    atan2,
    call,
    col,
    concat,
    concat_ws,
    current_timestamp,
    if_then_else,
    lit,
    log,
    negative,
    null_of,
    or_,
    pi,
    range_,
    row,
    row_interval,
    timestamp_diff,
    to_date,
    with_columns,
)

a, b, c = col("a"), col("b"), col("c")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (a == b, "equals(a, b)"),
        (a != b, "notEquals(a, b)"),
        (a < b, "lessThan(a, b)"),
        (a >= 1, "greaterThanOrEqual(a, 1)"),
        (2 % b, "mod(2, b)"),
        (a & b, "and(a, b)"),
        (a | b, "or(a, b)"),
        (~a, "isNotTrue(a)"),
        (2 + b, "plus(2, b)"),
        (2 - b, "minus(2, b)"),
        (a / b, "divide(a, b)"),
        (a**b, "power(a, b)"),
        (-a, "minusPrefix(a)"),
        (2 * b, "times(b, 2)"),
        (abs(a), "abs(a)"),
        (a.to_timestamp, "cast(a, TIMESTAMP(3))"),
        (a.to_time, "cast(a, TIME(0))"),
        (a.between(b, c), "between(a, b, c)"),
        (a.then(b, c), "ifThenElse(a, b, c)"),
        (a.sum.distinct, "distinct(sum(a))"),
        (a.first_value, "first_value(a)"),
        (a.alias("a", "b"), "as(a, 'a', 'b')"),
        (a.cast(DataTypes.INT()), "cast(a, INT)"),
        (a.cast(DataTypes.DECIMAL(10, 2)), "cast(a, DECIMAL(10, 2))"),
        (a.in_(b, 1), "in(a, b, 1)"),
        (a.start, "start(a)"),
        (a.substring(b, 3), "substring(a, b, 3)"),
        (a.trim_leading(), "trim(true, false, ' ', a)"),
        (a.trim(), "trim(true, true, ' ', a)"),
        (a.upper_case, "upper(a)"),
        (a.like("Jo_n%"), "LIKE(a, 'Jo_n%')"),
        (a.like("J", "\\"), "LIKE(a, 'J', '\\')"),
        (a.starts_with(b), "STARTSWITH(a, b)"),
        (a.split_index(",", 3), "splitIndex(a, ',', 3)"),
        (a.regexp_replace(b, "abc"), "regexpReplace(a, b, 'abc')"),
        (a.extract(TimeIntervalUnit.YEAR), "extract(YEAR, a)"),
        (a.floor(TimeIntervalUnit.YEAR), "floor(a, YEAR)"),
        (a.ceil(), "ceil(a)"),
        (a.get("col"), "get(a, 'col')"),
        (a.at(0), "at(a, 0)"),
        (lit(10).years, "120"),
        (lit(10).weeks, "6048000000"),
        (lit(10).milli, "10"),
        (a.sha2(224), "sha2(a, 224)"),
        (a.truncate(3), "truncate(a, 3)"),
        (a.locate(b, 2), "locate(a, b, 2)"),
        (lit(10, DataTypes.INT(False)), "10"),
        (range_(1, 2), "rangeTo(1, 2)"),
        (and_(a, b, c), "and(a, b, c)"),
        (or_(a, b, c), "or(a, b, c)"),
        (UNBOUNDED_RANGE, "UNBOUNDED_RANGE"),
        (CURRENT_ROW, "CURRENT_ROW"),
        (current_timestamp(), "currentTimestamp()"),
        (to_date("2018-03-18"), "toDate('2018-03-18')"),
        (timestamp_diff(TimePointUnit.DAY, a, b), "timestampDiff(DAY, a, b)"),
        (array(1, 2), "array(1, 2)"),
        (row("k", 1), "row('k', 1)"),
        (row_interval(4), "4"),
        (pi(), "pi()"),
        (atan2(1, 2), "atan2(1, 2)"),
        (negative(a), "minusPrefix(a)"),
        (concat(a, b, c), "concat(a, b, c)"),
        (concat_ws(", ", b, c), "concat_ws(', ', b, c)"),
        (null_of(DataTypes.BIGINT()), "null"),
        (log(a), "log(a)"),
        (if_then_else(a, b, c), "ifThenElse(a, b, c)"),
        (with_columns(a, b), "withColumns(a, b)"),
        (lit("it's"), "'it''s'"),
        (lit(True), "true"),
        (a.max_by(b), "MAX_BY(a, b)"),
        (call("UPPER", a), "upper(a)"),
        (a["k"], "at(a, 'k')"),
        (a.field, "get(a, 'field')"),
    ],
)
def test_the_text_of_an_expression(expression, text):
    assert str(expression) == text


def test_an_expression_can_be_copied_and_sent():
    expression = (a + 1).alias("x")
    for other in (copy.copy(expression), copy.deepcopy(expression), pickle.loads(pickle.dumps(expression))):
        assert str(other) == "as(plus(a, 1), 'x')"


@pytest.mark.parametrize(
    ("data_type", "text", "sql"),
    [
        (DataTypes.BIGINT(), "BigIntType(true)", "BIGINT"),
        (DataTypes.STRING(), "VarCharType(2147483647, true)", "STRING"),
        (DataTypes.CHAR(3, False), "CharType(3, false)", "CHAR(3) NOT NULL"),
        (DataTypes.DECIMAL(10, 2), "DecimalType(10, 2, true)", "DECIMAL(10, 2)"),
        (DataTypes.TIMESTAMP(3), "TimestampType(3, true)", "TIMESTAMP(3)"),
        (DataTypes.ARRAY(DataTypes.INT()), "ArrayType(IntType(true), true)", "ARRAY<INT>"),
        (
            DataTypes.MAP(DataTypes.STRING().not_null(), DataTypes.INT()),
            "MapType(VarCharType(2147483647, false), IntType(true), true)",
            "MAP<STRING NOT NULL, INT>",
        ),
        (
            DataTypes.ROW([DataTypes.FIELD("a", DataTypes.INT())]),
            "RowType(RowField(a, IntType(true), ...))",
            "ROW<`a` INT>",
        ),
    ],
)
def test_the_texts_of_a_type(data_type, text, sql):
    assert repr(data_type) == text
    assert data_type.as_summary_string() == sql
