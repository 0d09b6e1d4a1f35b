# SPDX-License-Identifier: Apache-2.0
"""Typed state: a value is stored as its declared type can hold it, so that it is the same after a recovery.

Floats are made of integers, integers are checked against their range, ROW gives rows with the names of the
type, TUPLE gives tuples; lists, arrays and maps convert their elements; dates and times lose their zone as they do
where they leave Python (flinkcore.columnar.encode). FLOAT is checked but not rounded to
32 bits: in PyFlink a value is rounded only when it leaves the worker's cache, and running sums show that it
was not.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from decimal import Decimal
from operator import index
from typing import Any

from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.row import Row, make_row
from flinkcore.columnar.typeinfo import BasicType, TypeInformation
from flinkcore.errors import SchemaError

_INTEGER_BITS = {BasicType.BYTE: 8, BasicType.SHORT: 16, BasicType.INT: 32, BasicType.LONG: 64}
_FLOAT_MAX = 3.4028235677973366e38  # what rounds to infinity in 32 bits


def converter(type_info: Any, what: str) -> Callable[[Any], Any] | None:
    """A function that makes a value what `type_info` can hold; None when every value stays as it is.

    what : names the state in errors;  SchemaError from the function: the value does not fit the type
    """
    if type_info is None or isinstance(type_info, ti.PickledBytesTypeInfo):
        return None
    if isinstance(type_info, ti.ExternalTypeInfo):
        return converter(type_info.type_info, what)
    if isinstance(type_info, ti.BasicTypeInfo):
        return _basic(type_info, what)
    if isinstance(type_info, ti.RowTypeInfo):
        return _row(type_info, what)
    if isinstance(type_info, ti.TupleTypeInfo):
        return _tuple(type_info, what)
    if (
        isinstance(type_info, ti.PrimitiveArrayTypeInfo)
        and getattr(type_info.element_type, "basic_type", None) is BasicType.BYTE
    ):
        return _checked(lambda value: bytes(_sequence(value, type_info, what)), type_info, what)
    if isinstance(
        type_info, (ti.ListTypeInfo, ti.ObjectArrayTypeInfo, ti.PrimitiveArrayTypeInfo, ti.BasicArrayTypeInfo)
    ):
        element = nullable(converter(type_info.element_type, what))
        return lambda value: [element(item) for item in _sequence(value, type_info, what)]
    if isinstance(type_info, ti.MapTypeInfo):
        return _map(type_info, what)
    if isinstance(type_info, ti.LocalTimeTypeInfo):
        return _checked(_LOCAL[type_info.time_type], type_info, what)
    if type(type_info) in _TEMPORAL:
        return _checked(_TEMPORAL[type(type_info)], type_info, what)
    raise SchemaError(f"{what}: expected type information such as Types.LONG(), got {type_info!r}")


def _basic(type_info: ti.BasicTypeInfo, what: str) -> Callable[[Any], Any] | None:
    basic = type_info.basic_type
    if basic in _INTEGER_BITS:
        limit = 1 << (_INTEGER_BITS[basic] - 1)

        def integer(value: Any) -> int:
            if type(value) is not int:
                try:
                    value = int(index(value))  # int(), for index(True) is True
                except TypeError:
                    raise _unfit(value, type_info, what) from None
            if not -limit <= value < limit:
                raise SchemaError(
                    f"{what}: {value} is out of range for {basic.name} ({-limit} to {limit - 1})"
                )
            return value

        return integer
    if basic in (BasicType.FLOAT, BasicType.DOUBLE):
        limit_real = _FLOAT_MAX if basic is BasicType.FLOAT else math.inf

        def real(value: Any) -> float:
            if isinstance(value, (str, bytes)):
                raise _unfit(value, type_info, what)
            try:
                value = float(value)
            except (TypeError, ValueError):
                raise _unfit(value, type_info, what) from None
            if limit_real <= abs(value) < math.inf:
                raise SchemaError(f"{what}: {value!r} is out of range for {basic.name}")
            return value

        return real
    return _checked(_OTHER_BASIC[basic], type_info, what)


def _checked(convert: Callable[[Any], Any], type_info: TypeInformation, what: str) -> Callable[[Any], Any]:
    """convert, which raises TypeError or ValueError, with the state's own words."""

    def checked(value: Any) -> Any:
        try:
            return convert(value)
        except (TypeError, ValueError) as error:
            raise _unfit(value, type_info, what) from error

    return checked


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    if not value.isascii():
        value.encode()  # UnicodeEncodeError for lone surrogates
    return value if type(value) is str else str(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _decimal(value: Any) -> Decimal:
    if isinstance(value, float):  # it has no exact decimal
        raise TypeError
    return value if type(value) is Decimal else Decimal(value)


def _instant(value: Any) -> Instant:
    if isinstance(value, Instant):
        return value
    if not isinstance(value, datetime.datetime):
        raise TypeError
    micros = (value.astimezone(datetime.timezone.utc) - _EPOCH) // datetime.timedelta(microseconds=1)
    return Instant(micros // 1_000_000, micros % 1_000_000 * 1000)


def _date(value: Any) -> datetime.date:
    if isinstance(value, datetime.datetime):
        return value.date()
    if not isinstance(value, datetime.date):
        raise TypeError
    return value


def _time(value: Any) -> datetime.time:
    if not isinstance(value, datetime.time) or value.tzinfo is not None:
        raise TypeError
    return value


def _timestamp(value: Any) -> datetime.datetime:
    if not isinstance(value, datetime.datetime):
        raise TypeError
    return value if value.tzinfo is None else value.astimezone().replace(tzinfo=None)


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_OTHER_BASIC: dict[BasicType, Callable[[Any], Any]] = {
    BasicType.STRING: _string,
    BasicType.CHAR: _string,
    BasicType.BOOLEAN: _boolean,
    BasicType.BIG_INT: lambda value: int(index(value)),
    BasicType.BIG_DEC: _decimal,
    BasicType.INSTANT: _instant,
}
_LOCAL: dict[ti.LocalTimeTypeInfo.TimeType, Callable[[Any], Any]] = {
    ti.LocalTimeTypeInfo.TimeType.LOCAL_DATE: _date,
    ti.LocalTimeTypeInfo.TimeType.LOCAL_TIME: _time,
    ti.LocalTimeTypeInfo.TimeType.LOCAL_DATE_TIME: _timestamp,
}
_TEMPORAL: dict[type[TypeInformation], Callable[[Any], Any]] = {
    ti.DateTypeInfo: _date,
    ti.TimeTypeInfo: _time,
    ti.TimestampTypeInfo: _timestamp,
}


def _map(type_info: ti.MapTypeInfo, what: str) -> Callable[[Any], dict[Any, Any]]:
    of_key = nullable(converter(type_info.key_type, what))
    of_value = nullable(converter(type_info.value_type, what))

    def entries(value: Any) -> dict[Any, Any]:
        if not isinstance(value, dict) or None in value:
            raise _unfit(value, type_info, what)
        return {of_key(key): of_value(item) for key, item in value.items()}

    return entries


def _row(type_info: ti.RowTypeInfo, what: str) -> Callable[[Any], Row]:
    names = type_info.get_field_names()
    fields = [nullable(converter(field, what)) for field in type_info.get_field_types()]

    def row(value: Any) -> Row:
        if isinstance(value, Row) and set(getattr(value, "_fields", ())) == set(names):
            values = [value[name] for name in names]
        else:
            values = list(_sequence(value, type_info, what))
        if len(values) != len(fields):
            raise _unfit(value, type_info, what)
        made = make_row(list(names), [field(item) for field, item in zip(fields, values)])
        if isinstance(value, Row):
            made.set_row_kind(value.get_row_kind())
        return made

    return row


def _tuple(type_info: ti.TupleTypeInfo, what: str) -> Callable[[Any], tuple[Any, ...]]:
    fields = [converter(field, what) for field in type_info.get_field_types()]

    def pair(value: Any) -> tuple[Any, ...]:
        values = _sequence(value, type_info, what)
        if len(values) != len(fields) or any(item is None for item in values):
            raise _unfit(value, type_info, what)
        return tuple(item if field is None else field(item) for field, item in zip(fields, values))

    return pair


def nullable(convert: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """A converter that takes None for what it is."""
    if convert is None:
        return lambda value: value
    return lambda value: None if value is None else convert(value)


def _sequence(value: Any, type_info: Any, what: str) -> Any:
    if isinstance(value, str) or not hasattr(value, "__len__") or not hasattr(value, "__iter__"):
        raise _unfit(value, type_info, what)
    return value


def _unfit(value: Any, type_info: Any, what: str) -> SchemaError:
    return SchemaError(f"{what}: expected {type_info}, got {value!r} ({type(value).__name__})")
