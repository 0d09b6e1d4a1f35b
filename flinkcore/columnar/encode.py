# SPDX-License-Identifier: Apache-2.0
"""Python values as a column of an Arrow type, a whole column at a time.

The Python types of the values are looked at first (a set of types costs 11 ns a value): when they are the
ones that Arrow reads exactly, Arrow builds the column; otherwise each value is converted on its own, and the
first that the type cannot hold is named. Arrow alone would take 1.5 for an integer and bytes for a string.
"""

from __future__ import annotations

import datetime
import decimal
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.columnar.arrow_types import is_tuple_type, type_info_of_arrow
from flinkcore.columnar.decode import PER_SECOND
from flinkcore.columnar.fields import ValueFault, null_field, split_fields
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.row import Row
from flinkcore.columnar.typeinfo import BasicTypeInfo, DateTypeInfo, TimestampTypeInfo, TimeTypeInfo

_Type = type
_UTC_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)
_EXACT = decimal.Context(prec=decimal.MAX_PREC)


def from_pylist(values: list[Any], type: pa.DataType | None) -> Column:
    """A column of a type from Python values. ValueFault for the first value that the type cannot hold.

    Nothing is guessed: an INT takes whole numbers (bool and NumPy's included), a DOUBLE any number, a STRING
    only str. FLOAT is rounded to 32 bits, a DECIMAL to its scale (half up), times are cut to their unit.
    """
    if type is None:
        return Column.from_objects(values)
    codec = _codec(type)
    kinds = set(map(_Type, values))
    has_none = _NoneType in kinds
    if kinds <= codec.exact_types and codec.is_exact(values):
        try:
            return codec.build(values, has_none)
        except (
            pa.ArrowInvalid,
            pa.ArrowTypeError,
            OverflowError,
            UnicodeEncodeError,
            decimal.InvalidOperation,
        ):
            pass  # below, value by value, so that the message can name it
    return codec.build(codec.convert_all(values), has_none)


_NoneType = type(None)


class _Codec:
    """How the values of one Arrow type are made from Python values."""

    def __init__(
        self,
        type: pa.DataType,
        exact_types: Sequence[_Type],
        convert: Callable[[Any], Any],
        build: Callable[[list[Any], bool], Column] | None = None,
        is_exact: Callable[[list[Any]], bool] = lambda values: True,
    ) -> None:
        self.type = type
        self.exact_types = frozenset((*exact_types, _NoneType))
        self.convert = convert  # one value; TypeError, ValueError or OverflowError with a reason
        self.build = build or (lambda values, has_none: Column.from_arrow(pa.array(values, type)))
        self.is_exact = is_exact

    def convert_all(self, values: list[Any]) -> list[Any]:
        converted = []
        for position, value in enumerate(values):
            try:
                converted.append(None if value is None else self.convert(value))
            except (TypeError, ValueError, OverflowError, ArithmeticError) as error:
                detail = f": {error}" if str(error) else ""
                raise ValueFault(position, value, f"expected {describe(self.type)}{detail}") from None
        return converted


def describe(type: pa.DataType) -> str:
    """A type as the user knows it, with the Arrow type behind it: INT (int32), SQL_DATE (date32[day])."""
    t = pa.types
    if t.is_decimal(type) or t.is_duration(type) or t.is_unsigned_integer(type):
        return str(type)
    info = type_info_of_arrow(type)
    name = info.basic_type.name if isinstance(info, BasicTypeInfo) else _NAMES.get(_Type(info), str(info))
    return f"{name} ({type})"


_NAMES: dict[type, str] = {
    DateTypeInfo: "SQL_DATE",
    TimeTypeInfo: "SQL_TIME",
    TimestampTypeInfo: "SQL_TIMESTAMP",
}


@lru_cache(maxsize=1024)
def _codec(type: pa.DataType) -> _Codec:
    t = pa.types
    if t.is_integer(type):
        return _integer_codec(type)
    if t.is_floating(type):
        return _Codec(type, (float,), _number, lambda values, has_none: _floats(values, has_none, type))
    if t.is_boolean(type):
        return _Codec(type, (bool, np.bool_), _boolean, lambda values, has_none: _booleans(values, has_none, type))
    if t.is_string(type):
        return _Codec(type, (str,), _string, lambda values, has_none: Column.from_texts(values, type))
    if t.is_binary(type):
        return _Codec(
            type, (bytes, bytearray), _binary, lambda values, has_none: Column.from_texts(values, type)
        )
    if t.is_date(type):
        return _Codec(type, (datetime.date,), _date)
    if t.is_time(type):
        return _Codec(type, (datetime.time,), _time, is_exact=_zoneless)
    if t.is_timestamp(type):
        if type.tz is None:
            return _Codec(
                type, (datetime.datetime,), _local_datetime, lambda v, n: _timestamps(v, type), _zoneless
            )
        return _Codec(type, (Instant,), _instant, lambda values, has_none: _instants(values, type))
    if t.is_duration(type):
        return _Codec(type, (datetime.timedelta,), _timedelta)
    if t.is_decimal(type):
        return _Codec(type, (decimal.Decimal,), lambda value: _scaled(value, type))
    if t.is_map(type):
        return _Codec(type, (dict,), _mapping, lambda values, has_none: _maps(values, has_none, type))
    if t.is_struct(type):
        return _Codec(
            type,
            (),
            lambda value: value,
            lambda values, has_none: _structs(values, has_none, type),
            is_exact=lambda values: True,
        )
    if t.is_list(type):
        return _Codec(type, (list, tuple), _sequence, lambda values, has_none: _lists(values, has_none, type))
    if t.is_large_list(type) or t.is_fixed_size_list(type):
        plain = pa.list_(type.value_type)

        def build(values: list[Any], has_none: bool) -> Column:
            return Column.from_arrow(_lists(values, has_none, plain).to_arrow().cast(type))

        return _Codec(
            type, (list, tuple), lambda value: _sized(value, type), build, is_exact=lambda values: False
        )
    return _Codec(type, (), lambda value: pa.scalar(value, type).as_py())  # Arrow says what it cannot hold


def _integer_codec(type: pa.DataType) -> _Codec:
    signed = pa.types.is_signed_integer(type)
    low, high = (
        (-(1 << type.bit_width - 1), (1 << type.bit_width - 1) - 1)
        if signed
        else (0, (1 << type.bit_width) - 1)
    )
    high = min(high, 2**63 - 1)

    def convert(value: Any) -> int:
        number = operator.index(value)  # int, bool and NumPy's integers; TypeError for 1.0
        if not low <= number <= high:
            raise OverflowError(f"outside {low} .. {high}")
        return number

    def build(values: list[Any], has_none: bool) -> Column:
        present, valid = _present(values, has_none, 0)
        numbers = np.array(present, np.int64)
        if type.bit_width < 64 and len(numbers) and (numbers.min() < low or numbers.max() > high):
            raise OverflowError
        return Column.from_numpy(numbers, type, valid)

    return _Codec(type, (int,), convert, build)


def _present(values: list[Any], has_none: bool, instead: Any) -> tuple[list[Any], np.ndarray | None]:
    """The values with something in place of None, and bool[n], True where there was none; None when all are."""
    if not has_none:
        return values, None
    valid = np.fromiter((value is not None for value in values), bool, len(values))
    return [instead if value is None else value for value in values], valid


def _floats(values: list[Any], has_none: bool, type: pa.DataType) -> Column:
    # Too large for 32 bits becomes infinite, as Java's cast does.
    present, valid = _present(values, has_none, 0.0)
    numbers = np.array(present, np.float64)
    if type.bit_width < 64:
        with np.errstate(over="ignore"):
            numbers = numbers.astype(np.float32 if type.bit_width == 32 else np.float16)
    return Column.from_numpy(numbers, type, valid)


def _booleans(values: list[Any], has_none: bool, type: pa.DataType) -> Column:
    present, valid = _present(values, has_none, False)
    return Column.from_numpy(np.array(present, bool), type, valid)


def _number(value: Any) -> float:
    if isinstance(value, (str, bytes, bytearray)):
        raise TypeError
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)) and not (
        isinstance(value, (int, np.integer)) and value in (0, 1)
    ):
        raise TypeError
    return bool(value)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # UnicodeEncodeError for lone surrogates
    return str(value)


def _binary(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError
    return bytes(value)


def _date(value: Any) -> datetime.date:
    if isinstance(value, datetime.datetime):
        return value.date()  # as PyFlink, which reads only the day
    if not isinstance(value, datetime.date):
        raise TypeError
    return value


def _zoneless(values: list[Any]) -> bool:
    return all(value is None or value.tzinfo is None for value in values)


def _time(value: Any) -> datetime.time:
    if not isinstance(value, datetime.time):
        raise TypeError
    if value.tzinfo is not None:
        raise ValueError("a time of day has no date and so no offset; drop its tzinfo")
    return value


def _local_datetime(value: Any) -> datetime.datetime:
    """Zoned values become local time, as in PyFlink's TimestampTypeInfo."""
    if not isinstance(value, datetime.datetime):
        raise TypeError
    return value if value.tzinfo is None else value.astimezone().replace(tzinfo=None)


def _instant(value: Any) -> Instant:
    """Naive datetimes are local time, as in PyFlink."""
    if isinstance(value, Instant):
        return value
    if not isinstance(value, datetime.datetime):
        raise TypeError
    micros = (value.astimezone(datetime.timezone.utc) - _UTC_EPOCH) // _MICROSECOND
    return Instant(micros // 1_000_000, micros % 1_000_000 * 1000)


def _instants(values: list[Any], type: pa.DataType) -> Column:
    per_second = PER_SECOND[type.unit]
    nanos_per_unit = 1_000_000_000 // per_second
    units = [
        None if value is None else value.seconds * per_second + value.nanos // nanos_per_unit
        for value in values
    ]
    return Column.from_arrow(pa.array(units, pa.int64()).view(type))


def _timestamps(values: list[Any], type: pa.DataType) -> Column:
    # Arrow cuts towards zero, which before 1970 is the next unit; Flink's precision is cut towards the past.
    micros = pa.array(values, pa.timestamp("us"))
    if type.unit == "us":
        return Column.from_arrow(micros)
    numbers = np.asarray(micros.fill_null(0).view(pa.int64()))
    numbers = (
        numbers * 1000 if type.unit == "ns" else np.floor_divide(numbers, 1_000_000 // PER_SECOND[type.unit])
    )
    valid = None if micros.null_count == 0 else np.asarray(micros.is_valid())
    return Column.from_numpy(numbers, type, valid)


def _timedelta(value: Any) -> datetime.timedelta:
    if not isinstance(value, datetime.timedelta):
        raise TypeError
    return value


def _scaled(value: Any, type: pa.DataType) -> decimal.Decimal:
    if isinstance(value, float) or not isinstance(value, (decimal.Decimal, int)):
        raise TypeError(
            "a float has no exact decimal; use Decimal(str(value))" if isinstance(value, float) else ""
        )
    exact = decimal.Decimal(value)
    if not exact.is_finite():
        raise ValueError("a DECIMAL has no NaN and no infinity")
    rounded = exact.quantize(decimal.Decimal(1).scaleb(-type.scale), decimal.ROUND_HALF_UP, _EXACT)
    if len(rounded.as_tuple().digits) > type.precision:
        raise OverflowError(f"more than {type.precision} digits")
    return rounded


def _sequence(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, (str, bytes, bytearray, dict, Row)) or not hasattr(value, "tolist"):
        raise TypeError
    return value.tolist()  # NumPy arrays, array.array


def _sized(value: Any, type: pa.DataType) -> list[Any]:
    elements = _sequence(value)
    if pa.types.is_fixed_size_list(type) and len(elements) != type.list_size:
        raise ValueError(f"{len(elements)} elements instead of {type.list_size}")
    return elements


def _mapping(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _bounds(values: list[Any]) -> np.ndarray:
    lengths = np.fromiter((0 if value is None else len(value) for value in values), np.int64, len(values))
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))


def _offsets(bounds: np.ndarray, values: list[Any], has_none: bool) -> pa.Array:
    """Arrow's offsets of variable-length values; a null offset marks a null value."""
    if not has_none:
        return pa.array(bounds.astype(np.int32))
    absent = np.fromiter((value is None for value in values), bool, len(values))
    return pa.array(bounds.astype(np.int32), mask=np.append(absent, False))


def _child(values: list[Any], type: pa.DataType, bounds: np.ndarray) -> pa.Array:
    """The elements of variable-length values; a fault among them is a fault of the value that holds it."""
    try:
        return from_pylist(values, type).to_arrow()
    except ValueFault as fault:
        position = int(np.searchsorted(bounds, fault.position, "right")) - 1
        raise ValueFault(position, fault.value, fault.reason) from None


def _lists(values: list[Any], has_none: bool, type: pa.DataType) -> Column:
    bounds = _bounds(values)
    elements = list(chain.from_iterable(value for value in values if value is not None))
    child = _child(elements, type.value_type, bounds)
    return Column.from_arrow(pa.ListArray.from_arrays(_offsets(bounds, values, has_none), child, type=type))


def _maps(values: list[Any], has_none: bool, type: pa.DataType) -> Column:
    bounds = _bounds(values)
    maps = [value for value in values if value is not None]
    keys = list(chain.from_iterable(maps))
    if None in keys:
        position = next(i for i, value in enumerate(values) if value is not None and None in value)
        raise ValueFault(position, values[position], "expected a map without a null key")
    items = list(chain.from_iterable(value.values() for value in maps))
    arrays = _child(keys, type.key_type, bounds), _child(items, type.item_type, bounds)
    return Column.from_arrow(pa.MapArray.from_arrays(_offsets(bounds, values, has_none), *arrays, type=type))


def _structs(values: list[Any], has_none: bool, type: pa.DataType) -> Column:
    names = [field.name for field in type]
    is_tuple = is_tuple_type(type)
    width = len(names)
    present = [(None,) * width if value is None else value for value in values] if has_none else values
    columns = split_fields(present, names, is_tuple)
    absent = np.fromiter((value is None for value in values), bool, len(values))
    arrays = []
    for name, field, column in zip(names, type, columns):
        array = from_pylist(column, field.type).to_arrow()
        if is_tuple and array.null_count:
            nulls = np.flatnonzero(np.asarray(array.is_null()) & ~absent)
            if len(nulls):
                raise ValueFault(int(nulls[0]), None, null_field(name))
        arrays.append(array)
    mask = pa.array(absent) if has_none else None
    return Column.from_arrow(pa.StructArray.from_arrays(arrays, fields=list(type), mask=mask))
