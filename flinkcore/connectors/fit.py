# SPDX-License-Identifier: Apache-2.0
"""Makes what a connector returned fit its schema, or says why it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from flinkcore._native.column import normal_type
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import from_rows, row_kinds_of
from flinkcore.columnar.schema import Schema
from flinkcore.errors import SchemaError


def batch_of_values(
    values: list[Any], schema: Schema, what: str, on_wrap: Callable[[str], None] | None = None
) -> Batch:
    """Python values, as the schema's form describes them, as a Batch; SchemaError for one that does not fit.

    on_wrap : see from_rows
    """
    return Batch(schema, from_rows(values, schema, what, on_wrap), len(values), row_kinds=row_kinds_of(values))


def record_batch_of(table: pa.Table) -> pa.RecordBatch:
    """A table as one record batch; copies only when a column has several chunks."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def fit(data: pa.RecordBatch, schema: Schema, what: str) -> pa.RecordBatch:
    """Columns in the schema's order and types, or encodings of them that Column.from_arrow takes as they are.

    Values are cast only when none of them changes.

    SchemaError : a column is missing, or holds a value that its type in the schema cannot
    """
    if schema.form == "object":
        raise SchemaError(f"{what}: read() returned Arrow data, but its schema says Python objects; return a "
                          f"list, or give the source a schema with {', '.join(data.schema.names)}")
    if tuple(data.schema.names) == schema.names and data.schema.types == schema.arrow.types:
        return data
    arrays = []
    for name, type in zip(schema.names, schema.types):
        index = data.schema.get_field_index(name)
        if index < 0:
            raise SchemaError(f"{what}: no column '{name}'; expected {', '.join(schema.names)}, "
                              f"the data has {', '.join(data.schema.names)}")
        array = data.column(index)
        try:
            arrays.append(array if normal_type(array.type) == type else array.cast(type))
        except pa.ArrowException as error:
            raise SchemaError(f"{what}: column '{name}' is {array.type} and cannot become {type} without "
                              f"changing values ({error}); declare the column as {array.type} or convert the "
                              "data") from error
    return pa.RecordBatch.from_arrays(arrays, names=list(schema.names))
