# SPDX-License-Identifier: Apache-2.0
"""The connector 'datagen': rows of random values and sequences, with the options of Flink's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from flinkcore.connectors.base import Source
from flinkcore.connectors.datagen import DataGeneratorSource
from flinkcore.connectors.generated_columns import (
    GeneratedColumn,
    ListColumn,
    MapColumn,
    RandomColumn,
    RecentColumn,
    RowColumn,
    SequenceColumn,
)
from flinkcore.table.connectors.declaration import Declaration
from flinkcore.table.types import (
    LENGTH_MAX,
    ArrayType,
    BigIntType,
    BinaryType,
    BooleanType,
    CharType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntType,
    LocalZonedTimestampType,
    MapType,
    RowType,
    SmallIntType,
    TimestampType,
    TimeType,
    TinyIntType,
    VarBinaryType,
    VarCharType,
)

ROWS_PER_SECOND = 10_000
LENGTH = 100  # of texts and bytes without a length of their own
COLLECTION_LENGTH = 3

_BITS: dict[type[DataType], int] = {TinyIntType: 8, SmallIntType: 16, IntType: 32, BigIntType: 64}
_INTERVAL_BITS = 64
# Java's smallest positive number is where Flink's range begins, so random numbers are not negative by default.
_FLOATS = {FloatType: (1.4e-45, 3.4028234663852886e38), DoubleType: (5e-324, sys.float_info.max)}
_SEQUENCES = (*_BITS, *_FLOATS, DecimalType, CharType, VarCharType)


def datagen_source(table: Declaration) -> Source:
    """Generated rows of the table's columns, for ever or as many as it says."""
    columns = {name: _column(table, f"fields.{name}", type) for name, type in table.columns.items()}
    return DataGeneratorSource(
        columns,
        table.option("number-of-rows", "long"),
        table.option("rows-per-second", "long", ROWS_PER_SECOND),
    )


def _column(table: Declaration, field: str, type: DataType) -> GeneratedColumn:
    kind = table.option(f"{field}.kind", "enum", "random", ("random", "sequence"))
    return _sequence(table, field, type) if kind == "sequence" else _random(table, field, type)


def _sequence(table: Declaration, field: str, type: DataType) -> GeneratedColumn:
    if not isinstance(type, _SEQUENCES):
        table.refuse(f"{field} is {type.as_summary_string()}, of which there are no sequences; those of numbers and "
                     "texts there are")
    start, end = (table.required(f"{field}.{key}", "long") for key in ("start", "end"))
    return SequenceColumn(start, end, type.to_arrow())


def _random(table: Declaration, field: str, type: DataType) -> GeneratedColumn:
    def option(key: str, option_type: Any, default: Any = None) -> Any:
        return table.option(f"{field}.{key}", option_type, default)

    def part(name: str, part_type: DataType) -> GeneratedColumn:
        return _random(table, f"{field}.{name}", part_type)

    null_rate = option("null-rate", "float", 0.0)
    match type:
        case TimestampType() | LocalZonedTimestampType():
            return RecentColumn(type.to_arrow(), option("max-past", "duration", 0), null_rate)
        case DateType() | TimeType():
            return RecentColumn(type.to_arrow(), 0, null_rate)
        case ArrayType():
            return ListColumn(part("element", type.element_type), option("length", "int", COLLECTION_LENGTH), null_rate)
        case MapType():
            key, value = part("key", type.key_type), part("value", type.value_type)
            return MapColumn(key, value, option("length", "int", COLLECTION_LENGTH), null_rate)
        case RowType():
            return RowColumn({inner.name: part(inner.name, inner.data_type) for inner in type}, null_rate)
    return RandomColumn(type.to_arrow(), **_range(table, type, option), null_rate=null_rate)


def _range(table: Declaration, type: DataType, option: Callable[..., Any]) -> dict[str, Any]:
    """What a random value of a type is drawn from."""
    match type:
        case BooleanType():
            return {}
        case CharType() | BinaryType():
            return {"length": type.length}
        case VarCharType() | VarBinaryType():
            length = option("length", "int", LENGTH if type.length == LENGTH_MAX else type.length)
            if length > type.length:
                table.refuse(f"length {length} is more than a {type.as_summary_string()} can hold")
            return {"length": length, "varying_length": option("var-len", "boolean", False)}
        case DecimalType():
            most = 10.0 ** (type.precision - type.scale) - 10.0**-type.scale
            lower, upper = option("min", "double", 0.0), option("max", "double", most)
            return {"lower": max(lower, -most), "upper": min(upper, most)}
        case FloatType() | DoubleType():
            lower, upper = _FLOATS[type.__class__]
            return {"lower": option("min", "double", lower), "upper": option("max", "double", upper)}
        case TinyIntType() | SmallIntType() | IntType() | BigIntType() | DayTimeIntervalType():
            half = 2 ** (_BITS.get(type.__class__, _INTERVAL_BITS) - 1)
            lower, upper = option("min", "long", -half), option("max", "long", half - 1)
            if lower < -half or upper >= half:
                table.refuse(f"values from {lower} to {upper} are not all of type {type.as_summary_string()}")
            return {"lower": lower, "upper": upper}
    table.refuse(f"connector 'datagen' has no values of type {type.as_summary_string()}")


