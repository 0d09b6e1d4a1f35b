# SPDX-License-Identifier: Apache-2.0
"""The schema of Python rows (PyFlink: pyflink.table.types._infer_schema_from_data)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from functools import reduce
from typing import Any

from flinkcore.columnar.row import Row
from flinkcore.table.types import (
    ArrayType,
    DataType,
    DataTypes,
    MapType,
    NullType,
    RowField,
    RowType,
)

_TYPES: dict[type, DataType] = {
    bool: DataTypes.BOOLEAN(),
    int: DataTypes.BIGINT(),
    float: DataTypes.DOUBLE(),
    str: DataTypes.STRING(),
    bytearray: DataTypes.BYTES(),
    bytes: DataTypes.BYTES(),
    Decimal: DataTypes.DECIMAL(38, 18),
    datetime.date: DataTypes.DATE(),
    datetime.datetime: DataTypes.TIMESTAMP_LTZ(),
    datetime.time: DataTypes.TIME(),
}
SCALARS = (*_TYPES, type(None))


def is_scalar(element: Any) -> bool:
    """Whether an element of from_elements is no row but one value."""
    return isinstance(element, SCALARS) and not isinstance(element, tuple)


def infer_type(value: Any) -> DataType:
    """The type of one value; an int is BIGINT whatever its size. TypeError for what has none."""
    if value is None:
        return NullType()
    found = _TYPES.get(type(value))
    if found is not None:
        return found
    if isinstance(value, dict):
        for key, item in value.items():
            if key is not None and item is not None:
                return MapType(infer_type(key).not_null(), infer_type(item))
        return MapType(NullType(), NullType())
    if isinstance(value, list):
        return ArrayType(next((infer_type(item) for item in value if item is not None), NullType()))
    try:
        return infer_row(value)
    except TypeError:
        raise TypeError(f"not supported type: {type(value)}") from None


def infer_row(row: Any, names: Sequence[str] | None = None) -> RowType:
    """The type of one row: a dict or object by sorted names, a Row or namedtuple by its own, else _1, _2,
    ..."""
    if isinstance(row, dict):
        items = sorted(row.items())
    elif isinstance(row, (Row, tuple, list)):
        own = getattr(row, "_fields", None)
        if own and names is None:
            items = list(zip(own, row))
        else:
            given = list(names or ())
            items = list(zip([*given, *(f"_{i}" for i in range(len(given) + 1, len(row) + 1))], row))
    elif hasattr(row, "__dict__"):
        items = sorted(row.__dict__.items())
    else:
        raise TypeError(f"Can not infer schema for type: {type(row)}")
    return RowType([RowField(name, infer_type(value)) for name, value in items])


def merge_types(left: DataType, right: DataType, where: str = "") -> DataType:
    """One type for two rows' values; TypeError when they differ by more than nulls."""
    if isinstance(left, NullType):
        return right
    if isinstance(right, NullType):
        return left
    if type(left) is not type(right):
        raise TypeError(f"{where}Can not merge type {type(left)} and {type(right)}")
    match left, right:
        case RowType(), RowType():
            others = {field.name: field.data_type for field in right}
            fields = [
                RowField(
                    f.name, merge_types(f.data_type, others.pop(f.name, NullType()), f"field {f.name}: ")
                )
                for f in left
            ]
            return RowType(fields + [RowField(name, type) for name, type in others.items()])
        case ArrayType(), ArrayType():
            return ArrayType(merge_types(left.element_type, right.element_type, f"element in array {where}"))
        case MapType(), MapType():
            return MapType(
                merge_types(left.key_type, right.key_type, f"key of map {where}"),
                merge_types(left.value_type, right.value_type, f"value of map {where}"),
            )
    return left


def _has_null(type: DataType) -> bool:
    match type:
        case RowType():
            return any(_has_null(field.data_type) for field in type)
        case ArrayType():
            return _has_null(type.element_type)
        case MapType():
            return _has_null(type.key_type) or _has_null(type.value_type)
    return isinstance(type, NullType)


def infer_schema(rows: Sequence[Any], names: Sequence[str] | None = None) -> RowType:
    """The type of all rows. ValueError for no rows, or a column of nothing but None; TypeError for mixed
    types."""
    if not rows:
        raise ValueError("can not infer schema from empty data set")
    types: list[DataType] = [infer_row(row, names) for row in rows]
    merged = reduce(lambda left, right: merge_types(left, right), types)
    assert isinstance(merged, RowType)
    if _has_null(merged):
        raise ValueError("Some column types cannot be determined after inferring")
    return merged
