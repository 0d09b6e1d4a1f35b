# SPDX-License-Identifier: Apache-2.0
"""Rows of a table into another one: the columns of the one as the other declares them, then its sink."""

from __future__ import annotations

from flinkcore.columnar.schema import Schema
from flinkcore.connectors.files.sink import FileSink
from flinkcore.datastream.data_stream import DataStream
from flinkcore.errors import SchemaError, UnsupportedOperationError
from flinkcore.expr import logical
from flinkcore.expr.nodes import Cast, Expr, FieldReference
from flinkcore.operators.batches import Project
from flinkcore.table.connectors import sink_of
from flinkcore.table.connectors.declaration import Declaration
from flinkcore.table.lowering import by_row, is_on_one_subtask
from flinkcore.table.schema import PhysicalColumn
from flinkcore.table.table import Table
from flinkcore.table.types import DataType

#: Numbers that become one of those behind them by themselves (Flink: LogicalTypeCasts, implicit casts).
_NUMBERS = (logical.INT8, logical.INT16, logical.INT32, logical.INT64, logical.FLOAT, logical.DOUBLE)


def inserted(table: Table, target: Declaration) -> DataStream:
    """The stream that ends in the sink of a table.

    SchemaError : the columns do not fit, or rows of the table change and the sink only adds
    """
    if not target.columns:  # a sink without columns has those of the table
        columns = [PhysicalColumn(c.name, c.data_type) for c in table._relation.columns]
        target = target.with_columns(columns)
    connected = sink_of(target)
    if table._relation.updating and isinstance(connected.end, FileSink):
        raise SchemaError(
            f"Table sink '{target.name}' doesn't support consuming update changes: rows of the table change, and files "
            "only get more; collect the final rows with to_arrow(), or use the connector 'print'"
        )
    stream = _as_declared(table, target)
    sink = stream.sink_to(connected.end).name(target.name)
    if connected.parallelism is not None:
        sink.set_parallelism(connected.parallelism)
    elif is_on_one_subtask(stream):
        sink.set_parallelism(1)
    return sink._stream


def _as_declared(table: Table, target: Declaration) -> DataStream:
    """The columns of a table, by position, with the names and types of another one."""
    own = table._relation.columns
    nodes: list[Expr] = []
    for column, type in zip(own, target.columns.values()):
        if column.arrow == type.to_arrow():
            nodes.append(FieldReference(column.name))
        elif _becomes(column.data_type, type):
            nodes.append(Cast(FieldReference(column.name), type.to_arrow()))
        else:
            break
    if len(nodes) < len(own) or len(nodes) < len(target.columns):
        query = ", ".join(f"{column.name}: {column.data_type.as_summary_string()}" for column in own)
        sink = ", ".join(f"{name}: {type.as_summary_string()}" for name, type in target.columns.items())
        raise SchemaError(
            f"Column types of query result and sink for '{target.name}' do not match; cast the columns that differ.\n"
            f"Query schema: [{query}]\nSink schema:  [{sink}]"
        )
    schema, names = table._relation.schema, list(target.columns)
    out = Schema(names, [type.to_arrow() for type in target.columns.values()])
    if schema.names == out.names and schema.types == out.types:
        return table._relation.stream
    return by_row(table._relation.stream, "Calc", lambda: Project(schema, nodes, names), out)


def _becomes(type: DataType, declared: DataType) -> bool:
    """Whether a value becomes one of another type by itself."""
    given, wanted = type.to_arrow(), declared.to_arrow()
    if given in _NUMBERS and wanted in _NUMBERS:
        return _NUMBERS.index(given) <= _NUMBERS.index(wanted)
    return given == logical.NULL or (logical.t.is_timestamp(given) and logical.t.is_timestamp(wanted))


def refuse_overwrite(overwrite: bool, name: str) -> None:
    """UnsupportedOperationError where an insert is to replace what is there."""
    if overwrite:
        raise UnsupportedOperationError(
            f"INSERT OVERWRITE into '{name}' is not supported: the connectors here add to what is there"
        )
