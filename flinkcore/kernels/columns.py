# SPDX-License-Identifier: Apache-2.0
"""Columns, types and batches as callers have them, to what kernels read."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flinkcore._native.column import BYTES, F64, I64, Column, normal_type, physical_kind


class ArrowArrayExportable(Protocol):
    """An array or batch that speaks Arrow's C data interface."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...


class ArrowStreamExportable(Protocol):
    """A chunked column, table or reader that speaks Arrow's C stream interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class ArrowSchemaExportable(Protocol):
    """A type, field or schema that speaks Arrow's C data interface."""

    def __arrow_c_schema__(self) -> object: ...


ColumnLike: TypeAlias = (
    pa.Array | pa.ChunkedArray | ArrowArrayExportable | ArrowStreamExportable | npt.ArrayLike
)
TypeLike: TypeAlias = pa.DataType | ArrowSchemaExportable | npt.DTypeLike
SchemaLike: TypeAlias = pa.Schema | ArrowSchemaExportable
#: One batch, or a table or stream of some.
BatchLike: TypeAlias = (
    pa.RecordBatch
    | pa.Table
    | pa.RecordBatchReader
    | ArrowArrayExportable
    | ArrowStreamExportable
    | Mapping[str, ColumnLike]
)


class OneCaller:
    """Around each call of an object that is for one thread at a time: a second one gets an error, not torn state."""

    __slots__ = ("_lock", "_what")

    def __init__(self, what: str) -> None:
        self._lock = threading.Lock()
        self._what = what

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                f"{self._what} is used by two threads at once; give each its own, or put a lock around "
                "its calls"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def column_of(values: ColumnLike) -> Column:
    """The column over the caller's memory, a copy only where the layout is not the kernels' own."""
    if isinstance(values, np.ndarray):
        if isinstance(values, np.ma.MaskedArray):
            return Column.from_numpy(values.data, valid=~np.ma.getmaskarray(values))
        return Column.from_numpy(values)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return Column.from_arrow(values)
    if isinstance(values, Column):
        return values
    if hasattr(values, "__arrow_c_stream__"):
        return Column.from_arrow(pa.chunked_array(values))
    if hasattr(values, "__arrow_c_array__"):
        return Column.from_arrow(pa.array(values))
    if not isinstance(getattr(values, "dtype", np.dtype(np.int64)), np.dtype):
        return Column.from_arrow(pa.array(values))  # pandas' own types before 3.0, whose nulls NumPy would lose
    return Column.from_numpy(values)


def column_as(values: ColumnLike, type: pa.DataType, what: str) -> Column:
    """A column in a type that was declared: in its unit, scale and width.

    TypeError : of another kind (integers also come as floats);  ValueError : a value that the type cannot hold
    """
    if isinstance(values, list | tuple):
        try:
            return Column.from_arrow(pa.array(values, type))
        except pa.ArrowInvalid as error:
            raise ValueError(f"{what} is declared as {type}: {error}") from error
    column = column_of(values)
    if column.type == type:
        return column
    kind = physical_kind(type)
    if column.kind != kind and not (column.kind == I64 and kind == F64 and pa.types.is_integer(column.type)):
        came = "Python objects" if column.type is None else column.type
        raise TypeError(
            f"{what} is declared as {type}, came as {came}; cast the column, or declare the other type"
        )
    if kind == BYTES or column.type == normal_type(type):
        return column
    assert column.type is not None  # objects have a kind of their own
    t = pa.types
    if t.is_integer(column.type) and t.is_integer(type) and column.type.bit_width < type.bit_width:
        return column
    try:
        return Column.from_arrow(column.to_arrow().cast(type))
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{what} of {column.type} cannot become {type}, its declared type: {error}"
        ) from error


def type_of(given: TypeLike) -> pa.DataType:
    """An Arrow type. TypeError for what is none, nor a NumPy dtype, nor exports an Arrow schema."""
    if isinstance(given, pa.DataType):
        return given
    if hasattr(given, "__arrow_c_schema__"):
        return pa.field(given).type
    if isinstance(given, np.dtype) or (isinstance(given, type) and issubclass(given, np.generic)):
        return pa.from_numpy_dtype(np.dtype(given))
    raise TypeError(f"types of columns are Arrow types, e.g. pa.int64(), or NumPy dtypes, got {given!r}")


def schema_of(schema: SchemaLike) -> pa.Schema:
    """TypeError for what is no Arrow schema, and exports none."""
    if isinstance(schema, pa.Schema):
        return schema
    if hasattr(schema, "__arrow_c_schema__"):
        return pa.schema(schema)
    raise TypeError(f"expected an Arrow schema, got {schema!r}")


def batches_of(data: BatchLike | Iterable[BatchLike]) -> Iterator[pa.RecordBatch]:
    """The batches of a batch, a table, a stream, or an iterable of any of these. TypeError for all else.

    A table or stream without rows gives one empty batch, which says its schema.
    """
    if isinstance(data, pa.RecordBatch):
        yield data
    elif isinstance(data, pa.Table):
        yield from _or_empty(data.to_batches(), data.schema)
    elif isinstance(data, pa.RecordBatchReader):
        yield from _or_empty(data, data.schema)
    elif isinstance(data, Mapping):
        yield from batches_of(pa.table({name: arrow_of(values) for name, values in data.items()}))
    elif hasattr(data, "__arrow_c_stream__"):
        yield from batches_of(pa.RecordBatchReader.from_stream(data))
    elif hasattr(data, "__arrow_c_array__"):
        yield pa.record_batch(data)
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes | np.ndarray):
        for each in data:
            yield from batches_of(each)
    else:
        raise TypeError(
            "expected a RecordBatch, a Table, a mapping of names to columns, what exports an Arrow array "
            f"or stream of structs, or an iterable of these, got {type(data).__name__}"
        )


def _or_empty(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    batch = None
    for batch in batches:
        yield batch
    if batch is None:
        yield pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def batch_of(data: BatchLike) -> pa.RecordBatch:
    """All as one batch, a copy when it was several. OverflowError : more than 2^31 - 1 bytes of strings in a column"""
    batches = list(batches_of(data))
    if len(batches) == 1:
        return batches[0]
    one = pa.Table.from_batches(batches).combine_chunks().to_batches()
    if len(one) != 1:
        raise OverflowError("a column holds more than 2^31 - 1 bytes of strings; use smaller batches")
    return one[0]


def arrow_of(values: ColumnLike) -> Any:
    """A column as pyarrow has it, for batches that are mappings."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if hasattr(values, "__arrow_c_stream__"):
        return pa.chunked_array(values)
    return pa.array(values)


def field_of(schema: pa.Schema, name: str, what: str) -> pa.Field:
    """The one field of a name. ValueError when there is none, or several."""
    indices = schema.get_all_field_indices(name)
    if len(indices) != 1:
        raise ValueError(
            f"{what} {name!r} is {'not' if not indices else 'more than once'} in the schema, which has "
            f"{', '.join(schema.names) or 'no columns'}"
        )
    return schema.field(indices[0])


def ids_of(ids: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """int32, refusing what does not fit instead of wrapping it to another id."""
    if isinstance(ids, np.ndarray) and ids.dtype == np.int32 and ids.ndim == 1 and ids.flags.c_contiguous:
        return ids  # kernels look for negative ones
    array = np.asarray(ids)
    if array.size == 0 and array.ndim == 1:
        return np.empty(0, np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"ids are a sequence of integers, not {array.dtype} of shape {array.shape}")
    if int(array.min()) < 0 or int(array.max()) >= 2**31:
        raise ValueError(f"ids lie between 0 and 2^31 - 1; these are {array.min()} to {array.max()}")
    return np.ascontiguousarray(array, np.int32)
