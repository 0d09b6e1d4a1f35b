# SPDX-License-Identifier: Apache-2.0
"""A column as Python values of its logical type, a whole column at a time."""

from __future__ import annotations

import decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import BOOL, BYTES, F64, I64, OBJECT, Column
from flinkcore.columnar.arrow_types import is_tuple_type
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.row import make_rows

#: Units of a second, by Arrow's name of the unit.
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_Type = type
_EXACT = decimal.Context(prec=decimal.MAX_PREC)


def to_pylist(column: Column) -> list[Any]:
    """The values of a column as Python values of its logical type, None where null.

    Zoned timestamps are Instants, structs Rows or tuples (arrow_types.is_tuple_type), maps dicts.
    ValueError for dates and timestamps outside Python's years 1 to 9999.
    """
    if column.kind in (OBJECT, BYTES):
        return column.to_pylist()
    if column.kind in (F64, BOOL):
        return _with_nulls(column.to_numpy().tolist(), column.valid_mask())
    if column.kind == I64:
        valid = column.valid_mask()
        numbers = column.to_numpy()
        if valid is not None:
            numbers = np.where(valid, numbers, 0)
        return _with_nulls(_from_int64(numbers, column.type), valid)
    return _nested(column.to_arrow())


def _with_nulls(values: list[Any], valid: np.ndarray | None) -> list[Any]:
    if valid is not None:
        for i in np.flatnonzero(~valid).tolist():
            values[i] = None
    return values


def _from_int64(numbers: np.ndarray, type: pa.DataType) -> list[Any]:
    t = pa.types
    if t.is_integer(type):
        return numbers.tolist()
    if t.is_decimal(type):
        scale = -type.scale
        return [decimal.Decimal(number).scaleb(scale, _EXACT) for number in numbers.tolist()]
    if t.is_date(type):
        days = numbers if t.is_date32(type) else np.floor_divide(numbers, 86_400_000)
        return _checked_years(days.astype("datetime64[D]").tolist(), type)
    if t.is_duration(type):
        return numbers.astype(f"timedelta64[{type.unit}]").astype("timedelta64[us]").tolist()
    if t.is_time(type):
        micros = numbers // 1000 if type.unit == "ns" else numbers * (1_000_000 // PER_SECOND[type.unit])
        return [moment.time() for moment in micros.astype("datetime64[us]").tolist()]
    if type.tz is not None:
        per_second = PER_SECOND[type.unit]
        seconds = np.floor_divide(numbers, per_second)
        nanos = (numbers - seconds * per_second) * (1_000_000_000 // per_second)
        return list(map(Instant, seconds.tolist(), nanos.tolist()))
    if type.unit == "ns":
        numbers = np.floor_divide(numbers, 1000)
        return _checked_years(numbers.astype("datetime64[us]").tolist(), type)
    return _checked_years(numbers.astype(f"datetime64[{type.unit}]").tolist(), type)


def _checked_years(moments: list[Any], type: pa.DataType) -> list[Any]:
    if int in set(map(_Type, moments)):  # NumPy gives numbers where Python has no date
        wrong = next(moment for moment in moments if isinstance(moment, int))
        raise ValueError(
            f"a value of {type} ({wrong} since 1970) is outside the years 1 to 9999 of Python's datetime; "
            "filter such rows before a Python function sees them"
        )
    return moments


def _nested(array: pa.Array) -> list[Any]:
    t, type = pa.types, array.type
    valid = None if array.null_count == 0 else np.asarray(array.is_valid())
    if t.is_struct(type):
        fields = [to_pylist(Column.from_arrow(array.field(i))) for i in range(type.num_fields)]
        if is_tuple_type(type):
            return _with_nulls(list(zip(*fields)), valid)
        return _with_nulls(make_rows([field.name for field in type], fields, len(array)), valid)
    if t.is_map(type):
        bounds = array.offsets.to_pylist()
        start, count = bounds[0], bounds[-1] - bounds[0]
        keys = to_pylist(Column.from_arrow(array.keys.slice(start, count)))
        items = to_pylist(Column.from_arrow(array.items.slice(start, count)))
        return _with_nulls(
            [
                dict(zip(keys[a - start : b - start], items[a - start : b - start]))
                for a, b in pairwise(bounds)
            ],
            valid,
        )
    if t.is_fixed_size_list(type):
        return _nested(array.cast(pa.list_(type.value_type)))
    if t.is_list(type) or t.is_large_list(type):
        bounds = array.offsets.to_pylist()
        start = bounds[0]
        values = to_pylist(Column.from_arrow(array.values.slice(start, bounds[-1] - start)))
        return _with_nulls([values[a - start : b - start] for a, b in pairwise(bounds)], valid)
    return array.to_pylist()
