# SPDX-License-Identifier: Apache-2.0
"""Dates, times, timestamps and intervals. LTZ functions work in UTC."""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.errors import ExpressionError
from flinkcore.expr import logical
from flinkcore.expr.arithmetic import row_wise
from flinkcore.expr.cast import DAY_S, UNITS_PER_SECOND, parse_timestamp
from flinkcore.expr.logical import t
from flinkcore.expr.typed import Evaluate, Rows
from flinkcore.expr.vector import Vector, both_valid

UTC = datetime.timezone.utc


def units_per_second(type: pa.DataType) -> int:
    """Physical units of a time, timestamp or interval in one second."""
    return UNITS_PER_SECOND[type.unit]


# -- arithmetic with intervals -------------------------------------------------------------------------------


def shift(direction: int) -> Evaluate:
    """point in time +/- interval; `type` is the result's, fine enough to hold the interval's milliseconds."""

    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        point, interval = args
        if point.null_constant or interval.null_constant:
            return Vector.of_constant(None, type)
        amount = interval.values() * direction
        if interval.type == logical.MONTHS:
            values = add_months(np.asarray(point.values()), type, amount)
        elif t.is_date(type):
            values = point.values() + amount // (DAY_S * 1000)
        else:
            per_second = units_per_second(type)
            scaled = amount * (per_second // 1000) if per_second >= 1000 else amount // 1000
            values = point.values() + scaled
            if t.is_time(type):
                values = values % (DAY_S * per_second)
        constant = point.constant and interval.constant
        return Vector(type, values, None if constant else both_valid((point, interval)), constant=constant)

    return evaluate


def add_months(values: np.ndarray, type: pa.DataType, months: Any) -> np.ndarray:
    """Months later on the calendar; a day that the month does not have becomes its last."""
    per_day = 1 if t.is_date(type) else DAY_S * units_per_second(type)
    days, rest = np.floor_divide(values, per_day), np.mod(values, per_day)
    dates = days.astype("datetime64[D]")
    month = dates.astype("datetime64[M]")
    day_of_month = (dates - month.astype("datetime64[D]")).astype(np.int64)
    target = month + np.asarray(months, "timedelta64[M]")
    last = ((target + 1).astype("datetime64[D]") - target.astype("datetime64[D]")).astype(np.int64) - 1
    moved = target.astype("datetime64[D]").astype(np.int64) + np.minimum(day_of_month, last)
    return moved * per_day + rest


def difference(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    """point - point of one type, as an interval of milliseconds."""
    left, right = args
    values = left.values() - right.values()
    if t.is_date(left.type):
        values = values * (DAY_S * 1000)
    else:
        per_second = units_per_second(left.type)
        values = values * (1000 // per_second) if per_second < 1000 else values // (per_second // 1000)
    constant = left.constant and right.constant
    return Vector(type, values, None if constant else both_valid((left, right)), constant=constant)


# -- fields and rounding -------------------------------------------------------------------------------------

_FIELDS: dict[str, Callable[[Any], Any]] = {
    "YEAR": pc.year, "QUARTER": pc.quarter, "MONTH": pc.month, "DAY": pc.day, "HOUR": pc.hour,
    "MINUTE": pc.minute, "SECOND": pc.second, "DOY": pc.day_of_year, "WEEK": pc.iso_week,
    "ISOYEAR": pc.iso_year,
    "DOW": lambda array: pc.day_of_week(array, count_from_zero=False, week_start=7),
    "ISODOW": lambda array: pc.day_of_week(array, count_from_zero=False, week_start=1),
    "MILLISECOND": lambda array: _below(array, 1_000), "MICROSECOND": lambda array: _below(array, 1_000_000),
    "CENTURY": lambda array: pc.add(pc.divide(pc.subtract(pc.year(array), 1), 100), 1),
    "DECADE": lambda array: pc.divide(pc.year(array), 10),
    "EPOCH": lambda array: _epoch_seconds(array),
}  # fmt: skip


def _epoch_seconds(array: Any) -> Any:
    zone = array.type.tz if t.is_timestamp(array.type) else None
    return array.cast(pa.timestamp("s", zone), safe=False).cast(pa.int64())


def _below(array: Any, per_second: int) -> Any:
    """Seconds and their fraction as one number of the unit, as Flink extracts MILLISECOND."""
    micros = pc.multiply(pc.second(array), 1_000_000).cast(pa.int64())
    fraction = pc.multiply(pc.subsecond(array), 1e6)
    return pc.divide(pc.add(micros, pc.round(fraction).cast(pa.int64())), 1_000_000 // per_second)


def extract(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    unit, point = args
    field = _FIELDS.get(str(unit.python(1)[0]))
    if field is None:
        raise ExpressionError(f"cannot extract {unit.python(1)[0]}; expected one of {', '.join(_FIELDS)}")
    array = point.arrow()
    if point.null_constant:
        return Vector.of_constant(None, type)
    return Vector.of_arrow(field(array), type)


def to_unit(floor: bool) -> Evaluate:
    """FLOOR and CEIL of a point in time TO a unit; weeks start on Monday."""
    compute = pc.floor_temporal if floor else pc.ceil_temporal

    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        point, unit = args
        name = str(unit.python(1)[0]).lower()
        if name not in ("year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond"):
            raise ExpressionError(
                f"cannot round to {name.upper()}; expected YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, "
                "MINUTE, SECOND or MILLISECOND"
            )
        return Vector.of_arrow(compute(point.arrow(), multiple=1, unit=name), type)

    return evaluate


def timestamp_diff(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    return _timestamp_diff(args, type, rows)


def _months_between(start: datetime.datetime, end: datetime.datetime) -> int:
    """Whole months from start to end, toward zero."""
    if end < start:
        return -_months_between(end, start)
    months = (end.year - start.year) * 12 + end.month - start.month
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return months - (start.replace(year=year, month=month + 1, day=day) > end)


_PARTS_MS = {"WEEK": 604_800_000, "DAY": 86_400_000, "HOUR": 3_600_000, "MINUTE": 60_000, "SECOND": 1000}
_MONTHS = {"YEAR": 12, "QUARTER": 3, "MONTH": 1}


def _diff(unit: str, start: Any, end: Any) -> int:
    midnight = datetime.time()
    start, end = (
        value if isinstance(value, datetime.datetime) else datetime.datetime.combine(value, midnight)
        for value in (start, end)
    )
    if unit in _MONTHS:
        months = _months_between(start, end)
        return abs(months) // _MONTHS[unit] * (1 if months >= 0 else -1)
    ms = (end - start) // datetime.timedelta(milliseconds=1)
    return abs(ms) // _PARTS_MS[unit] * (1 if ms >= 0 else -1)


_timestamp_diff = row_wise(_diff)


# -- now -----------------------------------------------------------------------------------------------------


def now(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    """The batch's instant as a timestamp, date or time."""
    instant = datetime.datetime.fromtimestamp(rows.now_ms / 1000, UTC)
    if t.is_date(type):
        return Vector.of_constant(instant.date(), type)
    if t.is_time(type):
        return Vector.of_constant(instant.time().replace(microsecond=0), type)
    return Vector(type, np.int64(rows.now_ms), constant=True)


def unix_now(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    return Vector(type, np.int64(rows.now_ms // 1000), constant=True)


# -- text ----------------------------------------------------------------------------------------------------

_PATTERN = re.compile(r"'((?:[^']|'')*)'|yyyy|yy|MMMM|MMM|MM|M|dd|d|HH|H|hh|h|mm|m|ss|s|S+|EEEE|EEE|E|a|u+")
_STRFTIME = {"yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m", "dd": "%d",
             "d": "%-d", "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S",
             "EEEE": "%A", "EEE": "%a", "E": "%a", "a": "%p"}  # fmt: skip


@lru_cache(64)
def java_format(pattern: str, parsing: bool) -> str:
    """Java's date pattern in strftime's words; a run of S becomes %f, cut by the caller."""

    def word(match: re.Match[str]) -> str:
        token = match[0]
        if token.startswith("'"):
            return (match[1] or "'").replace("''", "'").replace("%", "%%")
        if token[0] == "S":
            return "%f"
        if token[0] == "u":
            return "%Y"
        return _STRFTIME[token].replace("-", "") if parsing else _STRFTIME[token]

    unknown = re.search(r"[A-Za-z]", _PATTERN.sub("", pattern))
    if unknown:
        raise ExpressionError(
            f"date pattern '{pattern}': letter '{unknown[0]}' is not supported; quote it for itself"
        )
    return _PATTERN.sub(word, pattern)


def _format(value: Any, pattern: str) -> str:
    if isinstance(value, str):
        value = parse_timestamp(value)
    fraction = re.search("S+", re.sub("'[^']*'", "", pattern))
    if fraction:
        digits = f"{value.microsecond:06d}000"[: len(fraction[0])]
        return value.strftime(java_format(pattern, False).replace("%f", digits))
    return value.strftime(java_format(pattern, False))


def _parse(text: str, pattern: str | None = None) -> datetime.datetime | None:
    """A timestamp from text; null when it does not have the pattern, as TO_TIMESTAMP gives."""
    try:
        return (
            parse_timestamp(text)
            if pattern is None
            else datetime.datetime.strptime(text, java_format(pattern, True))
        )
    except ExpressionError:
        raise
    except ValueError:
        return None


def _to_date(text: str, pattern: str | None = None) -> datetime.date | None:
    parsed = _parse(text, pattern)
    return None if parsed is None else parsed.date()


date_format = row_wise(_format)
to_timestamp = row_wise(_parse)
to_date = row_wise(_to_date)
from_unixtime = row_wise(
    lambda seconds, pattern="yyyy-MM-dd HH:mm:ss": _format(
        datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds), pattern
    )
)


def _unix_timestamp(text: str, pattern: str | None = None) -> int:
    parsed = _parse(text, pattern)
    return -(2**63) if parsed is None else int(parsed.replace(tzinfo=UTC).timestamp())


unix_timestamp = row_wise(_unix_timestamp)


def to_timestamp_ltz(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    """A number of seconds (precision 0) or milliseconds (precision 3) since the epoch."""
    number = args[0]
    if number.null_constant:
        return Vector.of_constant(None, type)
    precision = int(args[1].values()) if len(args) > 1 else 3
    values = number.values() * (1000 if precision == 0 else 1)
    return Vector(
        type,
        np.asarray(values).astype(np.int64),
        None if number.constant else number.valid(),
        constant=number.constant,
    )


def window_start(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    """Start of the tumbling window of a size in milliseconds that holds a number of milliseconds or a point
    in time."""
    point, size_ms = args
    if point.null_constant:
        return Vector.of_constant(None, type)
    size = int(size_ms.values())
    if t.is_timestamp(type):
        per_second = units_per_second(type)
        size = max(1, size * per_second // 1000)
    values = point.values()
    values = values - np.mod(values, size)
    return Vector(type, values, None if point.constant else point.valid(), constant=point.constant)
