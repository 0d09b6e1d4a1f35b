# SPDX-License-Identifier: Apache-2.0
"""Values as Flink's Java prints them: a whole column at a time, in one of three styles.

    JAVA    toString of the values of a typed stream: java.sql dates and times     2020-01-02 03:04:05.06
    TABLE   toString of the values of a table: java.time dates and times           2020-01-02T03:04:05.060
    CELL    CAST(... AS STRING) as TableResult.print uses it                       2020-01-02 03:04:05.060

Floating point follows Double.toString and Float.toString of JDK 19 and later: the shortest digits that read
back as the same number. Older JDKs print some numbers longer (2.0E23 as 1.9999999999999998E23), by a bug.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import I64, Column
from flinkcore.columnar.arrow_types import is_tuple_type
from flinkcore.columnar.decode import PER_SECOND, to_pylist
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.row import Row

_FRACTION_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


class Style(Enum):
    """See the module."""

    JAVA = "java"
    TABLE = "table"
    CELL = "cell"


def column_texts(column: Column, style: Style, null: str = "null") -> list[str]:
    """The text of each value of a column; `null` for nulls on the outermost level."""
    type = column.type
    if type is None:
        return [null if value is None else _by_value(value) for value in column.to_pylist()]
    if pa.types.is_timestamp(type) and type.tz is None and column.kind == I64:
        texts = _timestamps(column.to_numpy(), type.unit, style)
        valid = column.valid_mask()
        return texts if valid is None else [text if ok else null for text, ok in zip(texts, valid.tolist())]
    values = to_pylist(column)
    if pa.types.is_string(type):
        return [null if value is None else value for value in values] if column.null_count else values
    text_of: Callable[[Any], str]
    if pa.types.is_floating(type):
        text_of = java_float if type.bit_width < 64 else java_double
        if not column.null_count:
            return list(map(text_of, values))
    else:
        text_of = _text_of(type, style)
    return [null if value is None else text_of(value) for value in values]


# -- numbers -------------------------------------------------------------------------------------------------


def java_double(number: float) -> str:
    """Double.toString: 1.0, 1.0E10, -0.0, NaN, Infinity."""
    size = abs(number)
    if 1e-3 <= size < 1e7 or number == 0:
        return repr(number)
    if not math.isfinite(number):
        return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"
    return _scientific(number, repr(number), lambda text: float(text) == number)


def java_float(number: float) -> str:
    """Float.toString of a number that has 32 bits: 0.1, 3.4E38."""
    if not math.isfinite(number):
        return java_double(number)
    single = np.float32(number)
    text = str(single)
    if 1e-3 <= abs(number) < 1e7 or number == 0:
        return text if "e" not in text else np.format_float_positional(single, unique=True, trim="0")
    return _scientific(number, text, lambda text: np.float32(text) == single)


def _scientific(number: float, shortest: str, is_same: Callable[[str], bool]) -> str:
    """d.dddE±n from Python's shortest text. Java wants two digits at least, and among those the nearest."""
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = shortest.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if exponent:
        power = int(exponent) + len(whole) - 1
    elif whole != "0":
        power = len(whole) - 1
    else:
        power = -1 - (len(fraction) - len(fraction.lstrip("0")))
    digits = digits.rstrip("0")
    if len(digits) < 2:
        two = f"{abs(number):.1e}"  # differs from d.0 only among the smallest numbers: 4.9E-324
        if is_same(sign + two):
            return sign + two.partition("e")[0] + "E" + str(int(two.partition("e")[2]))
        digits += "0"
    return f"{sign}{digits[0]}.{digits[1:]}E{power}"


# -- dates and times -----------------------------------------------------------------------------------------


def _timestamps(numbers: np.ndarray, unit: str, style: Style) -> list[str]:
    per_second = PER_SECOND[unit]
    seconds = np.floor_divide(numbers, per_second)
    nanos = (numbers - seconds * per_second) * (1_000_000_000 // per_second)
    digits = _FRACTION_DIGITS[unit]
    texts = np.datetime_as_string(seconds.astype("datetime64[s]")).tolist()
    return [_timestamp(text, nano, digits, style) for text, nano in zip(texts, nanos.tolist())]


def _timestamp(seconds: str, nanos: int, digits: int, style: Style) -> str:
    """A moment from its ISO text without a fraction, and its nanoseconds."""
    if style is Style.TABLE:
        return _iso_seconds(seconds, nanos)
    fraction = f"{nanos:09d}"
    if style is Style.CELL:
        return seconds.replace("T", " ") + ("." + fraction[:digits] if digits else "")
    return seconds.replace("T", " ") + "." + (fraction.rstrip("0") or "0")


def _iso_seconds(seconds: str, nanos: int) -> str:
    """java.time's toString: no seconds when they are 0, a fraction of 3, 6 or 9 digits."""
    if nanos == 0:
        return seconds[:-3] if seconds.endswith(":00") else seconds
    return seconds + _fraction(nanos)


def _fraction(nanos: int) -> str:
    text = f"{nanos:09d}"
    return "." + (text[:3] if text.endswith("000000") else text[:6] if text.endswith("000") else text)


def _time(value: datetime.time, digits: int, style: Style) -> str:
    text = value.isoformat("seconds")
    if style is Style.JAVA:
        return text  # java.sql.Time prints whole seconds
    nanos = value.microsecond * 1000
    if style is Style.TABLE:
        return _iso_seconds(text, nanos)
    return text + (f".{nanos:09d}"[: digits + 1] if digits else "")


def _instant(value: Instant, digits: int, style: Style) -> str:
    if style is Style.CELL:  # in the time zone of the session
        moment = value.to_datetime().astimezone()
        return _timestamp(moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0"), value.nanos, digits, style)
    text = str(np.datetime64(value.seconds, "s"))
    return text + (_fraction(value.nanos) if value.nanos else "") + "Z"


# -- anything, by its type -----------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _text_of(type: pa.DataType, style: Style) -> Callable[[Any], str]:
    """The text of one value, not null, of an Arrow type."""
    t = pa.types
    if t.is_boolean(type):
        true, false = ("TRUE", "FALSE") if style is Style.CELL else ("true", "false")
        return lambda value: true if value else false
    if t.is_floating(type):
        return java_float if type.bit_width < 64 else java_double
    if t.is_decimal(type):
        return (lambda value: format(value, "f")) if style is Style.CELL else str
    if t.is_time(type):
        return lambda value: _time(value, _FRACTION_DIGITS[type.unit], style)
    if t.is_timestamp(type):
        digits = _FRACTION_DIGITS[type.unit]
        if type.tz is not None:
            return lambda value: _instant(value, digits, style)
        return lambda value: _timestamp(
            value.isoformat("T", "seconds"), value.microsecond * 1000, digits, style
        )
    if t.is_binary(type):
        return _hexadecimal if style is Style.CELL else _signed_bytes
    if t.is_list(type) or t.is_large_list(type) or t.is_fixed_size_list(type):
        element = _nullable(type.value_type, style)
        return lambda value: "[" + ", ".join(map(element, value)) + "]"
    if t.is_map(type):
        key, item = _nullable(type.key_type, style), _nullable(type.item_type, style)
        return lambda value: "{" + ", ".join(f"{key(k)}={item(v)}" for k, v in value.items()) + "}"
    if t.is_struct(type):
        fields = [_nullable(field.type, style) for field in type]
        if style is Style.CELL:
            before, between, after = "(", ", ", ")"
        elif is_tuple_type(type):
            before, between, after = "(", ",", ")"
        else:
            before, between, after = "+I[", ", ", "]"
        return lambda value: before + between.join(text(part) for text, part in zip(fields, value)) + after
    return str


def _nullable(type: pa.DataType, style: Style) -> Callable[[Any], str]:
    text_of = _text_of(type, style)
    null = "NULL" if style is Style.CELL else "null"
    return lambda value: null if value is None else text_of(value)


def _hexadecimal(value: bytes) -> str:
    return f"x'{value.hex()}'"


def _signed_bytes(value: bytes) -> str:
    return "[" + ", ".join(str(byte - 256 if byte > 127 else byte) for byte in value) + "]"


def _by_value(value: Any) -> str:
    """The text of a Python object in a typed record: Decimals, large whole numbers, containers of them."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return java_double(value)
        case Decimal() | int() | str():
            return str(value)
        case Row():
            return f"{value.get_row_kind()}[" + ", ".join(map(_by_value, value)) + "]"
        case tuple():
            return "(" + ",".join(map(_by_value, value)) + ")"
        case list():
            return "[" + ", ".join(map(_by_value, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{_by_value(key)}={_by_value(item)}" for key, item in value.items()) + "}"
        case _:
            return str(value)
