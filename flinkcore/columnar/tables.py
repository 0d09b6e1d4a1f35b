# SPDX-License-Identifier: Apache-2.0
"""Tables of any library as Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from flinkcore.errors import SchemaError


def tables_of(data: Any) -> pa.Table | pa.RecordBatchReader:
    """Arrow data of any kind as a table, when it lies in memory, or else as a reader."""
    if isinstance(data, (pa.Table, pa.RecordBatchReader)):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, Mapping):
        return table_of_columns(data)
    if isinstance(data, (pa.Array, pa.ChunkedArray)):
        raise SchemaError(f"expected a table, got one column ({data.type}); give it a name: "
                          f"{{'value': array}}")
    library = type(data).__module__.split(".")[0]
    try:
        if library == "pandas" and type(data).__name__ == "DataFrame":
            return pa.Table.from_pandas(data, preserve_index=False)
        if isinstance(data, (str, bytes)):
            raise TypeError("a text is no table")
        if hasattr(data, "__arrow_c_stream__"):
            # A Polars data frame lies in memory; of another library's object only the stream is known.
            return pa.table(data) if library == "polars" else pa.RecordBatchReader.from_stream(data)
        if hasattr(data, "__arrow_c_array__"):
            return pa.Table.from_batches([pa.record_batch(data)])
    except Exception as error:  # of a library that we do not know
        text = ": ".join(map(str, reversed(error.args))) if len(error.args) == 2 else str(error)
        if "non-struct type" in text:
            text = "it is one column; give it a name: {'value': column}"
        raise SchemaError(f"{library}'s {type(data).__name__} cannot be read as an Arrow table: {text}") from error
    if hasattr(data, "collect"):
        raise SchemaError(f"expected data, got a {type(data).__name__}, which is a plan; call its collect() first")
    raise SchemaError("expected a pyarrow Table, RecordBatch or RecordBatchReader, a Polars or pandas "
                      "DataFrame, a DuckDB relation, a dict of NumPy arrays or anything with "
                      f"__arrow_c_stream__ or __arrow_c_array__; got {type(data).__name__}. For Python "
                      "values use from_collection")


def table_of_columns(columns: Mapping[str, Any]) -> pa.Table:
    """A dict of equally long NumPy arrays, pyarrow arrays or lists as a table, NumPy numbers without a copy."""
    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        if not isinstance(name, str):
            raise SchemaError(f"names of columns are texts, got {name!r}")
        if isinstance(values, (str, bytes)):
            raise SchemaError(f"column '{name}' is one {type(values).__name__} {values!r}; give it as a list or array")
        if getattr(values, "ndim", 1) != 1:
            raise SchemaError(f"column '{name}' has {values.ndim} dimensions; a column has one")
        try:
            arrays[name] = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values)
        except (pa.ArrowException, TypeError, ValueError) as error:
            kind = f"{type(values).__name__} of {values.dtype}" if hasattr(values, "dtype") else type(values).__name__
            raise SchemaError(f"column '{name}' ({kind}) cannot be an Arrow column: {error}") from error
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise SchemaError("columns must be equally long, got "
                          + ", ".join(f"'{name}': {length} rows" for name, length in lengths.items()))
    return pa.table(arrays)
