# SPDX-License-Identifier: Apache-2.0
"""The functions that begin an expression: col, lit, and those that belong to no single value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flinkcore.expr.builtins import BY_ANY_NAME
from flinkcore.expr.nodes import FieldReference, Literal
from flinkcore.expr.signatures import unknown_function
from flinkcore.table.expression import Expression, TimePointUnit, _some, arrow_of, to_node
from flinkcore.table.expression import call as _call

if TYPE_CHECKING:
    from flinkcore.table.types import DataType

__all__ = [
    "CURRENT_RANGE", "CURRENT_ROW", "UNBOUNDED_RANGE", "UNBOUNDED_ROW", "and_", "array", "atan2", "call",
    "coalesce", "col", "concat", "concat_ws", "current_date", "current_time", "current_timestamp",
    "date_format", "e", "from_unixtime", "if_then_else", "lit", "local_time", "local_timestamp", "log",
    "negative", "not_", "null_of", "or_", "pi", "range_", "row", "row_interval", "timestamp_diff",
    "to_date", "to_timestamp", "to_timestamp_ltz", "unix_timestamp", "with_all_columns", "with_columns",
    "without_columns",
]  # fmt: skip

UNBOUNDED_ROW = Expression(Literal.word("UNBOUNDED_ROW"))
UNBOUNDED_RANGE = Expression(Literal.word("UNBOUNDED_RANGE"))
CURRENT_ROW = Expression(Literal.word("CURRENT_ROW"))
CURRENT_RANGE = Expression(Literal.word("CURRENT_RANGE"))


def col(name: str) -> Expression:
    """A column of the table or stream by name; '*' is all of them."""
    return Expression(FieldReference(name))


def lit(v: Any, data_type: DataType | None = None) -> Expression:
    """A constant. An int is INT where 32 bits suffice, else BIGINT; a float is DOUBLE."""
    return Expression(Literal.of(v, None if data_type is None else arrow_of(data_type)))


def null_of(data_type: DataType) -> Expression:
    """A null of a type."""
    return Expression(Literal(None, arrow_of(data_type)))


def range_(start: str | int, end: str | int) -> Expression:
    """The columns from one to another, both included, for with_columns and without_columns."""
    return _call("rangeTo", *(FieldReference(end) if isinstance(end, str) else end for end in (start, end)))


def with_all_columns() -> Expression:
    return Expression(FieldReference("*"))


def with_columns(head: Any, *tails: Any) -> Expression:
    """Some columns, by name or by position from 1."""
    return _call("withColumns", head, *tails)


def without_columns(head: Any, *tails: Any) -> Expression:
    """All columns but these."""
    return _call("withoutColumns", head, *tails)


def and_(predicate0: Any, predicate1: Any, *predicates: Any) -> Expression:
    return _call("and", predicate0, predicate1, *predicates)


def or_(predicate0: Any, predicate1: Any, *predicates: Any) -> Expression:
    return _call("or", predicate0, predicate1, *predicates)


def not_(expression: Any) -> Expression:
    """NOT of three-valued logic: UNKNOWN stays UNKNOWN."""
    return _call("not", expression)


def if_then_else(condition: Any, if_true: Any, if_false: Any) -> Expression:
    return _call("ifThenElse", condition, if_true, if_false)


def coalesce(*args: Any) -> Expression:
    """The first argument that is not null."""
    return _call("coalesce", *args)


def concat(first: Any, *others: Any) -> Expression:
    """Strings one after the other; null when one is null."""
    return _call("concat", first, *others)


def concat_ws(separator: Any, first: Any, *others: Any) -> Expression:
    """Strings with a separator between them; nulls are left out."""
    return _call("concat_ws", separator, first, *others)


def row(head: Any, *tail: Any) -> Expression:
    """A ROW of the values."""
    return _call("row", head, *tail)


def array(head: Any, *tail: Any) -> Expression:
    """An ARRAY of the values."""
    return _call("array", head, *tail)


def row_interval(rows: int) -> Expression:
    """A number of rows, for windows that count."""
    if isinstance(rows, bool) or not isinstance(rows, int):
        raise TypeError(f"row_interval takes an int, not {rows!r}")
    return Expression(Literal.of(rows))


def negative(v: Any) -> Expression:
    return _call("minusPrefix", v)


def log(v: Any, base: Any = None) -> Expression:
    return _call("log", v) if base is None else _call("log", base, v)


def atan2(y: Any, x: Any) -> Expression:
    return _call("atan2", y, x)


def pi() -> Expression:
    return _call("pi")


def e() -> Expression:
    return _call("e")


def current_date() -> Expression:
    return _call("currentDate")


def current_time() -> Expression:
    return _call("currentTime")


def current_timestamp() -> Expression:
    return _call("currentTimestamp")


def local_time() -> Expression:
    return _call("localTime")


def local_timestamp() -> Expression:
    return _call("localTimestamp")


def to_date(date_str: Any, format: Any = None) -> Expression:
    return _call("toDate", date_str, *_some(format))


def to_timestamp(timestamp_str: Any, format: Any = None) -> Expression:
    return _call("toTimestamp", timestamp_str, *_some(format))


def to_timestamp_ltz(*args: Any) -> Expression:
    """A TIMESTAMP_LTZ(3) from a number of milliseconds, or of seconds with precision 0 as the second
    argument."""
    return _call("TO_TIMESTAMP_LTZ", *args)


def date_format(timestamp: Any, format: Any) -> Expression:
    """Text in a pattern of Java's SimpleDateFormat."""
    return _call("dateFormat", timestamp, format)


def timestamp_diff(time_point_unit: TimePointUnit, time_point1: Any, time_point2: Any) -> Expression:
    """How many whole units from the first point to the second."""
    return _call("timestampDiff", time_point_unit, time_point1, time_point2)


def from_unixtime(unixtime: Any, format: Any = None) -> Expression:
    return _call("fromUnixtime", unixtime, *_some(format))


def unix_timestamp(date_str: Any = None, format: Any = None) -> Expression:
    return _call("unixTimestamp", *_some(date_str, format))


def call(f: str, *args: Any) -> Expression:
    """A built-in function by its Flink name, in any case. ExpressionError when there is none."""
    function = BY_ANY_NAME.get(str(f).lower().replace("_", "")) or BY_ANY_NAME.get(str(f).lower())
    if function is None:
        raise unknown_function(str(f), list(BY_ANY_NAME))
    return _call(function.name, *(to_node(arg) for arg in args))
