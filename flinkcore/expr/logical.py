# SPDX-License-Identifier: Apache-2.0
"""Logical types in Flink's words and Arrow's objects: names, families, common types, interval types.

A logical type is a pyarrow type. TIMESTAMP(p) is a timestamp without a zone, TIMESTAMP_LTZ(p) one in UTC; the
precision p is the unit's: s 0, ms 3, us 6, ns 9. A day-time interval is a duration in milliseconds; a
year-month interval, which Arrow's Python has no type for, is MONTHS: a month_day_nano_interval of which only
months count.
"""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa

from flinkcore.errors import ExpressionError

t = pa.types

INT8, INT16, INT32, INT64 = pa.int8(), pa.int16(), pa.int32(), pa.int64()
FLOAT, DOUBLE, BOOLEAN, STRING, BYTES = pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.binary()
DATE, TIME, NULL = pa.date32(), pa.time32("s"), pa.null()
TIMESTAMP_3, TIMESTAMP_LTZ_3 = pa.timestamp("ms"), pa.timestamp("ms", "UTC")
INTERVAL = pa.duration("ms")
MONTHS = pa.month_day_nano_interval()

INT_DIGITS = {INT8: 3, INT16: 5, INT32: 10, INT64: 19}  # Flink's decimal precision of an integer type
UNIT_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
DECIMAL_PRECISION_MAX = 38

_NAMES = {
    INT8: "TINYINT", INT16: "SMALLINT", INT32: "INT", INT64: "BIGINT", FLOAT: "FLOAT", DOUBLE: "DOUBLE",
    BOOLEAN: "BOOLEAN", STRING: "STRING", BYTES: "BYTES", DATE: "DATE", NULL: "NULL",
    INTERVAL: "INTERVAL SECOND(3)", MONTHS: "INTERVAL MONTH",
}  # fmt: skip


def type_name(type: pa.DataType | None) -> str:
    """The SQL name of a type, as Flink's asSummaryString writes it."""
    if type is None:
        return "RAW('object')"
    if type in _NAMES:
        return _NAMES[type]
    if t.is_decimal(type):
        return f"DECIMAL({type.precision}, {type.scale})"
    if t.is_timestamp(type):
        return f"TIMESTAMP{'_LTZ' if type.tz else ''}({UNIT_DIGITS[type.unit]})"
    if t.is_time(type):
        return f"TIME({UNIT_DIGITS[type.unit]})"
    if t.is_list(type) or t.is_large_list(type) or t.is_fixed_size_list(type):
        return f"ARRAY<{type_name(type.value_type)}>"
    if t.is_map(type):
        return f"MAP<{type_name(type.key_type)}, {type_name(type.item_type)}>"
    if t.is_struct(type):
        fields = (type.field(i) for i in range(type.num_fields))
        return "ROW<" + ", ".join(f"`{field.name}` {type_name(field.type)}" for field in fields) + ">"
    if t.is_duration(type):
        return "INTERVAL SECOND(3)"
    return str(type).upper()


def is_integer(type: pa.DataType | None) -> bool:
    return type is not None and t.is_integer(type)


def is_float(type: pa.DataType | None) -> bool:
    return type is not None and t.is_floating(type)


def is_decimal(type: pa.DataType | None) -> bool:
    return type is not None and t.is_decimal(type)


def is_numeric(type: pa.DataType | None) -> bool:
    return is_integer(type) or is_float(type) or is_decimal(type)


def is_string(type: pa.DataType | None) -> bool:
    return type is not None and (t.is_string(type) or t.is_large_string(type))


def is_interval(type: pa.DataType | None) -> bool:
    return type is not None and (t.is_duration(type) or type == MONTHS)


def is_point_in_time(type: pa.DataType | None) -> bool:
    return type is not None and (t.is_timestamp(type) or t.is_date(type) or t.is_time(type))


def decimal(precision: int, scale: int) -> pa.DataType:
    """DECIMAL(precision, scale); where 38 digits do not suffice, digits after the point go first, down to six
    (Flink: LogicalTypeMerging.adjustPrecisionScale)."""
    if precision > DECIMAL_PRECISION_MAX:
        whole = precision - scale
        scale = max(DECIMAL_PRECISION_MAX - whole, min(scale, 6))
        precision = DECIMAL_PRECISION_MAX
    return pa.decimal128(precision, scale)


def as_decimal(type: pa.DataType) -> pa.DataType:
    """The decimal type that holds every value of an integer or decimal type."""
    return pa.decimal128(INT_DIGITS.get(type, 19), 0) if is_integer(type) else type


def common_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """The narrowest type both fit into without a cast that Flink asks for; None when there is none.

    FLOAT with an integer stays FLOAT, FLOAT with DECIMAL becomes DOUBLE (Calcite: leastRestrictive).
    """
    if left == right or right == NULL:
        return left
    if left == NULL:
        return right
    if is_numeric(left) and is_numeric(right):
        if is_float(left) or is_float(right):
            if DOUBLE in (left, right) or is_decimal(left) or is_decimal(right):
                return DOUBLE
            return FLOAT
        if is_integer(left) and is_integer(right):
            return left if left.bit_width >= right.bit_width else right
        left, right = as_decimal(left), as_decimal(right)
        scale = max(left.scale, right.scale)
        whole = max(left.precision - left.scale, right.precision - right.scale)
        return decimal(whole + scale, scale)
    if t.is_timestamp(left) and t.is_timestamp(right):
        finer = max((left, right), key=lambda type: UNIT_DIGITS[type.unit])
        return pa.timestamp(finer.unit, left.tz or right.tz)
    if t.is_timestamp(left) and t.is_date(right):
        return left
    if t.is_date(left) and t.is_timestamp(right):
        return right
    if t.is_time(left) and t.is_time(right):
        return max((left, right), key=lambda type: UNIT_DIGITS[type.unit])
    if t.is_duration(left) and t.is_duration(right):
        return INTERVAL
    return None


def literal_type(value: object) -> pa.DataType:
    """The type of a Python value as a literal: INT where 32 bits suffice, as Java's int and long literals
    do."""
    match value:
        case None:
            return NULL
        case bool() | np.bool_():
            return BOOLEAN
        case int() | np.integer():
            if not -(2**63) <= int(value) < 2**63:
                raise ExpressionError(f"literal {value} does not fit BIGINT; use decimal.Decimal('{value}')")
            return INT32 if -(2**31) <= int(value) < 2**31 else INT64
        case float() | np.floating():
            return DOUBLE
        case str():
            return STRING
        case bytes() | bytearray():
            return BYTES
        case Decimal():
            _, digits, exponent = value.as_tuple()
            if not isinstance(exponent, int):
                raise ExpressionError(f"literal {value!r} is no number of DECIMAL; use float('{value}')")
            scale = max(0, -exponent)
            return pa.decimal128(max(len(digits) + max(0, exponent), scale, 1), scale)
        case datetime.datetime():
            return pa.timestamp("us") if value.tzinfo is None else pa.timestamp("us", "UTC")
        case datetime.date():
            return DATE
        case datetime.time():
            return TIME if value.microsecond == 0 else pa.time64("us")
        case datetime.timedelta():
            return INTERVAL
        case list() | tuple() if len(value) > 0:
            element: pa.DataType | None = NULL
            for each in value:
                element = element and common_type(element, literal_type(each))
            if element is not None:
                return pa.list_(element)
    raise ExpressionError(
        f"{value!r} of type {type(value).__name__} has no SQL type; a literal is a number, str, bytes, "
        "bool, date, time, datetime, timedelta, Decimal, or a list of these"
    )
