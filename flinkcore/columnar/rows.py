# SPDX-License-Identifier: Apache-2.0
"""Batches as the rows that user functions see, and rows as columns; column by column, no dict per row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import BOOL, BYTES, F64, I64, Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.decode import to_pylist
from flinkcore.columnar.encode import from_pylist
from flinkcore.columnar.fields import ValueFault, null_field, split_fields
from flinkcore.columnar.row import Row, RowKind, make_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import DataError, SchemaError


def to_rows(batch: Batch) -> list[Any]:
    """The records of a batch as Python values, in the form of its schema. A new list of new rows.

    Rows carry the batch's row kinds; other forms have no place for them (see Batch.row_kinds).
    DataError : a date or a timestamp outside Python's years, a string that is not UTF-8
    """
    form = batch.schema.form
    if form in ("object", "value"):
        values = _values(batch, 0)
        return list(values) if form == "object" else values
    columns = [_values(batch, i) for i in range(len(batch.schema.names))]
    if form == "tuple":
        return list(zip(*columns)) if columns else [()] * batch.num_rows
    kinds = None if batch.row_kinds is None else batch.row_kinds.tolist()
    return make_rows(batch.schema.names, columns, batch.num_rows, kinds)


def _values(batch: Batch, index: int) -> list[Any]:
    try:
        return to_pylist(batch.column(index))
    except (pa.ArrowException, ValueError) as error:
        column = batch.column(index)
        text = str(error)
        if isinstance(error, UnicodeDecodeError):
            text = f"a {column.type} is not UTF-8; declare the column as binary"
        raise DataError(f"column '{batch.schema.names[index]}': {text}") from error


def to_texts(batch: Batch) -> list[str]:
    """The records of a batch as text, for messages: also those that hold values which Python has not."""
    try:
        return [str(row) for row in to_rows(batch)]
    except DataError:
        columns = [_physical_values(batch, i) for i in range(len(batch.schema.names))]
        return [str(row) for row in make_rows(batch.schema.names, columns, batch.num_rows)]


def _physical_values(batch: Batch, index: int) -> list[Any]:
    try:
        return _values(batch, index)
    except DataError:
        column = batch.column(index)
        if column.kind == BYTES:
            return column.to_arrow().cast(pa.binary()).to_pylist()
        return column.to_numpy().tolist()


def from_rows(
    rows: list[Any], schema: Schema, what: str, on_wrap: Callable[[str], None] | None = None
) -> tuple[Column, ...]:
    """Columns of a schema from records, converted as Flink converts records of a declared type.

    what : who made the records, for the message: "map 'tokenize'"
    on_wrap : called with the name of a field whose whole numbers do not fit its type; they lose their upper bits, as
        in Java. Without it they are errors
    SchemaError naming the field, the value, its Python type and its position among `rows`. Row kinds are not
    columns: see row_kinds_of.
    """
    if schema.form == "object":
        return (Column.from_objects(rows),)
    name = None
    try:
        if schema.form == "value":
            column = _column(rows, schema.types[0], "the value", on_wrap)
            if column.null_count and column.kind in (I64, F64, BOOL) and _refuses_null(schema):
                raise ValueFault(
                    rows.index(None),
                    None,
                    "expected a value: numbers and booleans on their own cannot be null",
                )
            return (column,)
        columns = []
        for name, type, values in zip(
            schema.names, schema.types, split_fields(rows, list(schema.names), schema.form == "tuple")
        ):
            column = _column(values, type, f"field '{name}'", on_wrap)
            if schema.form == "tuple" and (column.null_count or (type is None and None in values)):
                raise ValueFault(values.index(None), None, null_field(name))
            columns.append(column)
        return tuple(columns)
    except ValueFault as fault:
        where = "" if name is None else f" in field '{name}'"
        raise SchemaError(
            f"{what}: record {fault.position} of the batch has {_shorten(fault.value)} "
            f"({type_name(fault.value)}){where}; {fault.reason}"
        ) from None


def _column(
    values: list[Any], type: pa.DataType | None, name: str, on_wrap: Callable[[str], None] | None
) -> Column:
    try:
        return from_pylist(values, type)
    except ValueFault:
        if on_wrap is None or type is None or not pa.types.is_signed_integer(type):
            raise
        half = 1 << type.bit_width - 1
        fits = [not isinstance(v, int) or -(2**63) <= v < 2**63 for v in values]  # a Java long at least
        wrapped = [(v + half) % (2 * half) - half if isinstance(v, int) else v for v in values]
        if not all(fits) or wrapped == values:  # something else is wrong
            raise
        on_wrap(name)
        return from_pylist(wrapped, type)


def row_kinds_of(rows: list[Any]) -> np.ndarray | None:
    """Kinds of rows, uint8[n]; None when all are inserts, as rows that are no Row always are."""
    if Row not in set(map(type, rows)):
        return None
    kinds = [row._row_kind if isinstance(row, Row) else RowKind.INSERT for row in rows]
    if set(kinds) == {RowKind.INSERT}:
        return None
    return np.fromiter((kind.value for kind in kinds), np.uint8, len(kinds))


def _refuses_null(schema: Schema) -> bool:
    """Flink's primitive types (BOOLEAN, BYTE, ..., DOUBLE) hold no null; dates, times and strings do."""
    type = str(schema.types[0])
    return type == "bool" or type.startswith(("int", "uint", "float", "double", "halffloat"))


def type_name(value: object) -> str:
    """`int`, `numpy.int64`, `decimal.Decimal`: the type of a value with its module unless builtin."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _shorten(value: object, chars_max: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= chars_max else text[: chars_max - 3] + "..."
