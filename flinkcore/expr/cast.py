# SPDX-License-Identifier: Apache-2.0
"""CAST: which casts exist, and how columns are computed. Rules and text forms are Flink's (since 1.15).

Numbers narrow as Java casts them: integers wrap, floats truncate and saturate. A string that does not parse
raises for CAST and is null for TRY_CAST; a decimal that does not fit is null.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore.columnar.java_text import java_double, java_float
from flinkcore.errors import ExpressionError
from flinkcore.expr import logical
from flinkcore.expr.logical import t
from flinkcore.expr.vector import Vector

EXACT = Context(prec=100, rounding=ROUND_HALF_UP)
UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
DAY_S = 86_400
_TRUE, _FALSE = {"t", "true", "y", "yes", "1"}, {"f", "false", "n", "no", "0"}


def can_cast(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether CAST(source AS target) exists."""
    if source == target or source == logical.NULL or target == logical.STRING:
        return True
    number = logical.is_numeric
    if number(source) or t.is_boolean(source):
        return number(target) or t.is_boolean(target)
    if source == logical.STRING:
        return (
            number(target)
            or t.is_boolean(target)
            or logical.is_point_in_time(target)
            or target == logical.BYTES
        )
    if logical.is_point_in_time(source):
        if t.is_timestamp(source):
            return logical.is_point_in_time(target)
        return t.is_timestamp(target) or (t.is_time(source) and t.is_time(target))
    return logical.is_interval(source) and source != logical.MONTHS and logical.is_interval(target)


def may_fail(source: pa.DataType, target: pa.DataType) -> bool:
    return source == logical.STRING and target not in (logical.STRING, logical.BYTES)


def cast_vector(vector: Vector, target: pa.DataType, tries: bool, length: int) -> Vector:
    """The vector as `target`; the cast is one that can_cast allows."""
    source = vector.type
    if source == target:
        return vector
    if source == logical.NULL or vector.null_constant:
        return Vector.of_constant(None, target)
    if logical.is_integer(source) or t.is_boolean(source):
        if logical.is_integer(target):
            values = vector.values()
            if t.is_boolean(source) or source.bit_width > target.bit_width:
                values = narrow(np.asarray(values, np.int64), target)
            return Vector(target, values, vector.valid(), constant=vector.constant)
        if logical.is_decimal(target) and target.precision - target.scale >= logical.INT_DIGITS.get(
            source, 99
        ):
            return Vector.of_arrow(vector.arrow().cast(target), target)
        if logical.is_float(target):
            return Vector(
                target,
                rounded(np.asarray(vector.values(), np.float64), target),
                vector.valid(),
                constant=vector.constant,
            )
        if t.is_boolean(target):
            return Vector(target, vector.values() != 0, vector.valid(), constant=vector.constant)
    if logical.is_float(source):
        if logical.is_float(target):
            return Vector(
                target, rounded(np.asarray(vector.values()), target), vector.valid(), constant=vector.constant
            )
        if logical.is_integer(target):
            return Vector(
                target,
                float_to_int(np.asarray(vector.values()), target),
                vector.valid(),
                constant=vector.constant,
            )
        if t.is_boolean(target):
            return Vector(target, vector.values() != 0, vector.valid(), constant=vector.constant)
    if logical.is_point_in_time(source) and logical.is_point_in_time(target):
        return Vector(
            target,
            cast_time(np.asarray(vector.values()), source, target),
            vector.valid(),
            constant=vector.constant,
        )
    if logical.is_interval(source) and logical.is_interval(target):
        return Vector(target, vector.values(), vector.valid(), constant=vector.constant)
    return _cast_rows(vector, target, tries, length)


def narrow(values: np.ndarray, type: pa.DataType) -> np.ndarray:
    """int64 values as an integer type holds them, wrapped as in Java."""
    if type.bit_width == 64:
        return values
    return values.astype(type.to_pandas_dtype()).astype(np.int64)


def rounded(values: np.ndarray, type: pa.DataType) -> np.ndarray:
    """float64 values as the float type holds them: FLOAT keeps 32 bits."""
    if type != logical.FLOAT:
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(np.float64)


def float_to_int(values: np.ndarray, type: pa.DataType) -> np.ndarray:
    """Truncated toward zero, saturated, NaN as 0 (Java: (int) d); 8 and 16 bits go through int."""
    bits = 64 if type.bit_width == 64 else 32
    top = 2 ** (bits - 1)
    with np.errstate(invalid="ignore"):
        cut = np.trunc(np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf))
        result = np.where((cut < top) & (cut >= -top), cut, 0.0).astype(np.int64)
    result = np.where(cut >= top, top - 1, np.where(cut < -top, -top, result))
    return narrow(result, type)


def cast_time(values: np.ndarray, source: pa.DataType, target: pa.DataType) -> np.ndarray:
    """Dates, times and timestamps into each other on their physical numbers; digits are cut, not rounded."""
    if t.is_date(source):
        return values * (DAY_S * UNITS_PER_SECOND[target.unit])
    per_second = UNITS_PER_SECOND[source.unit]
    if t.is_date(target):
        return np.floor_divide(values, DAY_S * per_second)
    if t.is_time(target) and t.is_timestamp(source):
        values = np.mod(values, DAY_S * per_second)
    return rescale_time(values, source.unit, target.unit)


def rescale_time(values: np.ndarray, source_unit: str, target_unit: str) -> np.ndarray:
    source, target = UNITS_PER_SECOND[source_unit], UNITS_PER_SECOND[target_unit]
    if source == target:
        return values
    return values * (target // source) if target > source else np.floor_divide(values, source // target)


def _cast_rows(vector: Vector, target: pa.DataType, tries: bool, length: int) -> Vector:
    """The casts that read or write text or decimals: value by value."""
    convert = _converter(vector.type, target)
    result: list[Any] = []
    for value in [vector.arrow().as_py()] if vector.constant else vector.arrow().to_pylist():
        try:
            result.append(None if value is None else convert(value))
        except (ValueError, ArithmeticError, OverflowError):
            if not tries:
                raise ExpressionError(
                    f"cannot cast {value!r} to {logical.type_name(target)}; use try_cast for null instead"
                ) from None
            result.append(None)
    array = pa.array(result, target)
    return Vector.of_arrow(array[0] if vector.constant else array, target)


def _converter(source: pa.DataType, target: pa.DataType) -> Callable[[Any], Any]:
    if target == logical.STRING:
        return lambda value: to_text(value, source)
    if logical.is_decimal(target):
        return lambda value: fit_decimal(parse_decimal(value), target)
    if source == logical.STRING:
        return parser_of(target)
    if t.is_boolean(target):
        return lambda value: value != 0
    if logical.is_integer(target):
        return lambda value: _wrap(int(value.to_integral_value(ROUND_DOWN)), target)
    return float


def _wrap(value: int, type: pa.DataType) -> int:
    half = 1 << (type.bit_width - 1)
    return (value + half) % (2 * half) - half


def parse_decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    try:
        return Decimal(int(value)) if isinstance(value, (bool, int)) else Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(value) from None


def fit_decimal(value: Decimal, type: pa.DataType) -> Decimal | None:
    """Rounded half up to the scale; null when the digits do not fit (Flink: DecimalData.fromBigDecimal)."""
    if not value.is_finite():
        raise ValueError(value)
    result = value.quantize(Decimal(1).scaleb(-type.scale), context=EXACT)
    return result if len(result.as_tuple().digits) <= type.precision or result == 0 else None


def parser_of(target: pa.DataType) -> Callable[[str], Any]:
    """How a string becomes a value of the type; raises ValueError."""
    if logical.is_integer(target):
        half = 1 << (target.bit_width - 1)

        def parse_int(text: str) -> int:
            match = re.fullmatch(r"\s*([+-]?\d+)(?:\.\d*)?\s*", text)  # digits after a point are cut
            value = int(match[1]) if match else None
            if value is None or not -half <= value < half:
                raise ValueError(text)
            return value

        return parse_int
    if logical.is_float(target):
        return lambda text: float(text.strip())
    if t.is_boolean(target):

        def parse_bool(text: str) -> bool:
            word = text.strip().lower()
            if word not in _TRUE | _FALSE:
                raise ValueError(text)
            return word in _TRUE

        return parse_bool
    if t.is_date(target):
        return lambda text: parse_timestamp(text).date()
    if t.is_time(target):
        return lambda text: parse_timestamp("1970-01-01 " + text.strip()).time()
    if t.is_timestamp(target):
        zone = datetime.timezone.utc if target.tz else None
        return lambda text: parse_timestamp(text).replace(tzinfo=zone)
    return lambda text: text.encode()


_TIMESTAMP = re.compile(
    r"\s*(\d{1,4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?\s*"
)


def parse_timestamp(text: str) -> datetime.datetime:
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    return datetime.datetime(year, month, day, hour, minute, second, int((match[7] or "0")[:6].ljust(6, "0")))


def to_text(value: Any, type: pa.DataType) -> str:
    """A value as CAST(... AS STRING) writes it."""
    match value:
        case bool():
            return "TRUE" if value else "FALSE"
        case str():
            return value
        case float():
            return java_float(value) if type == logical.FLOAT else java_double(value)
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.decode("utf-8", "replace")
        case datetime.datetime():
            digits = logical.UNIT_DIGITS[type.unit]
            micros = f"{value.microsecond:06d}".ljust(9, "0")[:digits]
            return value.strftime("%Y-%m-%d %H:%M:%S") + ("." + micros if digits else "")
        case datetime.time():
            digits = logical.UNIT_DIGITS[type.unit]
            return value.strftime("%H:%M:%S") + ("." + f"{value.microsecond:06d}"[:digits] if digits else "")
        case datetime.timedelta():
            ms = value // datetime.timedelta(milliseconds=1)
            days, rest = divmod(abs(ms), 86_400_000)
            clock = (
                f"{rest // 3_600_000:02d}:{rest // 60_000 % 60:02d}:{rest // 1000 % 60:02d}.{rest % 1000:03d}"
            )
            return f"{'-' if ms < 0 else '+'}{days} {clock}"
        case list():
            return (
                "["
                + ", ".join("NULL" if each is None else to_text(each, type.value_type) for each in value)
                + "]"
            )
        case dict():
            return (
                "("
                + ", ".join(
                    "NULL" if each is None else to_text(each, type.field(name).type)
                    for name, each in value.items()
                )
                + ")"
            )
    return str(value)
