# SPDX-License-Identifier: Apache-2.0
"""Tables of a TableDescriptor: what its schema says beyond the columns that the connector reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from flinkcore.errors import SchemaError, UnsupportedOperationError
from flinkcore.expr import logical
from flinkcore.expr.nodes import Alias, Call, Expr, FieldReference, Literal
from flinkcore.operators.timestamps import AssignTimestamps
from flinkcore.table.connectors.declaration import Declaration
from flinkcore.table.expression import Expression, to_node
from flinkcore.table.schema import ComputedColumn, MetadataColumn, PhysicalColumn, Schema, Watermark
from flinkcore.table.table import Table
from flinkcore.table.table_descriptor import TableDescriptor
from flinkcore.time.watermark_spec import WatermarkStrategySpec

#: The watermark of a text: a column, or a column minus an interval.
_DELAYED = re.compile(
    r"\s*`?(?P<column>\w+)`?\s*(?:-\s*INTERVAL\s+'(?P<count>\d+(?:\.\d+)?)'\s+(?P<unit>[A-Z]+?)S?)?\s*", re.IGNORECASE
)
_UNIT_MS = {"SECOND": 1_000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}


def declaration(name: str, descriptor: TableDescriptor) -> Declaration:
    """A table as its connector sees it. UnsupportedOperationError for what no connector here has."""
    schema = descriptor.get_schema() or Schema()
    metadata = next((column for column in schema.columns if isinstance(column, MetadataColumn)), None)
    if metadata is not None:
        raise UnsupportedOperationError(
            f"table '{name}': connectors here have no metadata, so column '{metadata.name}' cannot be read"
        )
    if descriptor.get_partition_keys():
        raise UnsupportedOperationError(f"table '{name}': tables in partitions are not supported")
    physical = [column for column in schema.columns if isinstance(column, PhysicalColumn)]
    return Declaration(name, physical, descriptor.get_options())


def with_computed(table: Table, schema: Schema) -> Table:
    """The table of the connector's columns with those that are computed from them, and its event time."""
    nodes: list[Expr] = []
    for column in schema.columns:
        if isinstance(column, ComputedColumn):
            nodes.append(Alias(_computed(column), (column.name,)))
        else:
            nodes.append(FieldReference(column.name))
    computed = {c.name: c.expression for c in schema.columns if isinstance(c, ComputedColumn)}
    table = table._projected(nodes)
    relation = table._relation
    columns = tuple(
        replace(column, time="PROCTIME") if _is_proctime(computed.get(column.name)) else column
        for column in relation.columns
    )
    return _with_event_time(table._with(columns=columns), schema.watermarks)


def _computed(column: ComputedColumn) -> Expr:
    if _is_proctime(column.expression):
        return Call("currentTimestamp")
    if isinstance(column.expression, Expression):
        return to_node(column.expression)
    raise UnsupportedOperationError(
        f"column '{column.name}': the expression \"{column.expression}\" is SQL's, which is not supported; give it as "
        f"an Expression, e.g. col('a') + 1"
    )


def _is_proctime(expression: Expression | str | None) -> bool:
    return isinstance(expression, str) and re.fullmatch(r"\s*PROCTIME\s*\(\s*\)\s*", expression, re.I) is not None


def _with_event_time(table: Table, watermarks: Sequence[Watermark]) -> Table:
    if not watermarks:
        return table
    watermark = watermarks[0]
    name = watermark.column
    relation = table._relation
    column = relation.column(name)
    if len(watermarks) > 1 or column is None or not pa.types.is_timestamp(column.arrow):
        raise SchemaError(
            f"a watermark belongs to one column of type TIMESTAMP(3) or TIMESTAMP_LTZ(3), got '{name}' of "
            f"({', '.join(f'{c.name} {c.summary()}' for c in relation.columns)})"
        )
    # The watermark of SQL is the value itself; that of a bound is a millisecond below it.
    spec = WatermarkStrategySpec("bounded", _delay_ms(watermark) - 1, timestamp_column=name)
    schema = relation.schema
    stream = relation.stream._step("WatermarkAssigner", lambda: AssignTimestamps(spec, schema), schema)
    columns = tuple(replace(c, time="ROWTIME") if c.name == name else c for c in relation.columns)
    return table._with(stream=stream, columns=columns)


def _delay_ms(watermark: Watermark) -> int:
    """How far the watermark is behind the column."""
    expression = watermark.expression
    if isinstance(expression, str):
        match = _DELAYED.fullmatch(expression)
        if match is not None and match["column"] == watermark.column:
            if match["unit"] is None:
                return 0
            if match["unit"].upper() in _UNIT_MS:
                return int(float(match["count"]) * _UNIT_MS[match["unit"].upper()])
    else:
        match to_node(expression):
            case FieldReference(watermark.column):
                return 0
            case Call("minus", (FieldReference(watermark.column), Literal(int(delay), logical.INTERVAL))):
                return delay
    raise UnsupportedOperationError(
        f"the watermark of '{watermark.column}' is that column, or it minus an interval: \"{watermark.column} - "
        f"INTERVAL '5' SECOND\" or col('{watermark.column}') - lit(5).seconds; got \"{expression}\""
    )
