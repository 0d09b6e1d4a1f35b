# SPDX-License-Identifier: Apache-2.0
"""Lowering: tables to the same operators that streams use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flinkcore.columnar.schema import Schema
from flinkcore.common.watermark_strategy import WatermarkStrategy
from flinkcore.datastream.data_stream import DataStream
from flinkcore.datastream.keyed_stream import KeyedStream
from flinkcore.errors import ExpressionError, SchemaError, UnsupportedOperationError
from flinkcore.expr import logical
from flinkcore.expr.aggregate import AggregateCall, AggregatePlan, plan, result_name
from flinkcore.expr.evaluate import compile
from flinkcore.expr.nodes import Alias, Call, Expr, FieldReference, Literal, output_name, without_alias
from flinkcore.operators.base import Operator
from flinkcore.operators.batches import Project
from flinkcore.operators.count_window import CountWindows
from flinkcore.operators.group_aggregate import GroupAggregate
from flinkcore.operators.key import KeyByNothing
from flinkcore.operators.pane_window import PaneWindow
from flinkcore.operators.session_window import SessionWindow
from flinkcore.table.table_schema import Column
from flinkcore.table.types import DataTypes, of_arrow

if TYPE_CHECKING:
    from flinkcore.table.table import Relation, Table
    from flinkcore.table.window import GroupWindow

_WINDOW_START, _WINDOW_END = "window_start", "window_end"


def on_one_subtask(stream: DataStream, name: str, make: Callable[[], Operator], schema: Schema) -> DataStream:
    """A step that sees all rows."""
    return stream.global_()._step(name, make, schema, parallelism_max=1)


def by_row(stream: DataStream, name: str, make: Callable[[], Operator], schema: Schema) -> DataStream:
    """A step that makes of each row one or none. Behind a step that sees all rows it is in one subtask as well, as in
    Flink: sorted rows stay sorted, and changes of a row in their order."""
    return stream._step(name, make, schema, parallelism_max=1 if is_on_one_subtask(stream) else None)


def is_on_one_subtask(stream: DataStream) -> bool:
    """Whether there is a step among those that rows come from which sees all rows."""
    return any(edge.source.parallelism_max == 1 and edge.source.source is None for edge in stream._edges)


def group_aggregate(table: Table, keys: Sequence[Expr], fields: Sequence[Expr]) -> Table:
    """GROUP BY: a pre-projection for computed keys, a running aggregation, and what is computed from both."""
    relation = table._relation
    relation, key_names, columns = _with_keys(relation, keys)
    nodes = _key_references(table, keys, key_names, fields)
    split = plan(nodes, relation.schema, key_names)
    keyed = _keyed(relation.stream, key_names)
    key_schema, calls, schema = keyed._keys, split.calls, relation.schema
    assert key_schema is not None
    names = [result_name(i) for i in range(len(calls))]
    emit = keyed._emission()
    retracts = relation.updating

    def make() -> Operator:
        return GroupAggregate(schema, key_schema, calls, names, emit, retracts)

    stream = keyed._step(
        "GroupAggregate", make, make().output_schema(), parallelism_max=None if key_names else 1
    )
    updating = emit != "final" and (retracts or bool(calls))
    return _selected(table, stream, split, _typed_columns(columns, key_names), calls, updating)


def distinct(table: Table) -> Table:
    """SELECT DISTINCT: groups of whole rows, without an aggregate."""
    names = table._relation.names
    return group_aggregate(
        table, [FieldReference(name) for name in names], [FieldReference(name) for name in names]
    )


def union_all(left: Table, right: Table) -> Table:
    """Both streams as one, under the names of the left."""
    ours, theirs = left._relation, right._relation
    if ours.schema.types != theirs.schema.types:
        raise SchemaError(
            f"union_all needs tables of as many columns of the same types; the left has "
            f"{_described(ours)}, the right {_described(theirs)}"
        )
    stream = theirs.stream
    if theirs.names != ours.names:
        renamed = right._projected(
            [Alias(FieldReference(name), (new,)) for name, new in zip(theirs.names, ours.names)]
        )
        stream = renamed._relation.stream
    return left._with(stream=ours.stream.union(stream), updating=ours.updating or theirs.updating)


def _described(relation: Relation) -> str:
    return ", ".join(f"{column.name} {column.data_type.as_summary_string()}" for column in relation.columns)


# -- windows -------------------------------------------------------------------------------------------------


def window_aggregate(
    table: Table, window: GroupWindow, keys: Sequence[Expr], fields: Sequence[Expr]
) -> Table:
    """Windows of a time attribute, or of numbers of rows."""
    relation, processing_time = _timed(table, window)
    relation, key_names, columns = _with_keys(relation, keys)
    nodes = _key_references(table, keys, key_names, fields, keep=(window.name,))
    unnamed = iter(range(len(nodes)))
    nodes = [
        Alias(_window_property(without_alias(node), window), (output_name(node) or f"EXPR${next(unnamed)}",))
        for node in nodes
    ]
    bounds = [] if window.counts else [_WINDOW_START, _WINDOW_END]
    if not bounds and any(
        FieldReference(_WINDOW_START) in node.walk() or FieldReference(_WINDOW_END) in node.walk()
        for node in nodes
    ):
        raise ExpressionError(f"window '{window.name}' counts rows: it has no start and end")
    if not relation.updating:
        split = plan(nodes, relation.schema, [*key_names, *bounds])
    else:
        raise UnsupportedOperationError(
            "Group windows need a table to which rows are only added; this one changes rows it "
            "has given. Put the window before the aggregation"
        )
    if any(call.distinct for call in split.calls):
        raise UnsupportedOperationError(
            "DISTINCT aggregates in windows are not supported; group by the value first"
        )
    keyed = _keyed(relation.stream, key_names)
    names = [result_name(i) for i in range(len(split.calls))]
    make = _window_operator(window, relation.schema, keyed._keys, split.calls, names, processing_time)
    stream = keyed._step(
        "GroupWindowAggregate", make, make().output_schema(), parallelism_max=None if key_names else 1
    )
    timestamp = DataTypes.TIMESTAMP(3)
    return _selected(
        table,
        stream,
        split,
        [*_typed_columns(columns, key_names), *(Column(b, timestamp) for b in bounds)],
        split.calls,
        False,
    )


def _window_operator(
    window: GroupWindow,
    schema: Schema,
    keys: Any,
    calls: Sequence[AggregateCall],
    names: Sequence[str],
    processing_time: bool,
) -> Callable[[], Operator]:
    if window.counts:
        if window.kind != "tumble":
            raise UnsupportedOperationError(
                "sliding windows of numbers of rows are not supported in the Table API; use "
                "count_window(size, slide) of the DataStream API"
            )
        return lambda: CountWindows(schema, keys, calls, names, window.size)
    if window.kind == "session":
        return lambda: SessionWindow(
            schema, keys, calls, names, window.size, None, processing_time=processing_time
        )
    return lambda: PaneWindow(
        schema, keys, calls, names, window.size, window.slide, processing_time=processing_time
    )


def _timed(table: Table, window: GroupWindow) -> tuple[Relation, bool]:
    """The relation whose records have the window's time, and whether that is processing time."""
    relation = table._relation
    field = without_alias(window.time_field)
    column = relation.column(field.name) if isinstance(field, FieldReference) else None
    if column is None:
        raise SchemaError(
            f"window '{window.name}' is on {field}, expected a column that is a time attribute; the table has "
            + ", ".join(relation.names)
        )
    if column.time == "PROCTIME" or window.counts:
        return relation, True
    if column.time == "ROWTIME":
        return relation, False
    if not table._t_env.is_streaming and logical.t.is_timestamp(column.arrow):
        strategy = WatermarkStrategy.no_watermarks().with_timestamp_column(column.name)
        return replace(relation, stream=relation.stream.assign_timestamps_and_watermarks(strategy)), False
    raise SchemaError(
        "A group window expects a time attribute for grouping in a stream environment: column "
        f"'{column.name}' is {column.data_type.as_summary_string()}. Make it one where the table begins: "
        "t_env.from_data_stream(stream.assign_timestamps_and_watermarks(...), ..., "
        f"col('{column.name}').rowtime)"
    )


def _window_property(node: Expr, window: GroupWindow) -> Expr:
    """w.start, w.end and w.rowtime as columns of the window operator's output."""
    start, end = FieldReference(_WINDOW_START), FieldReference(_WINDOW_END)
    last = Call("minus", (end, Literal(1, logical.INTERVAL)))

    def replaced(each: Expr) -> Expr | None:
        if isinstance(each, Call) and each.args == (FieldReference(window.name),):
            return {"start": start, "end": end, "rowtime": last}.get(each.name)
        return None

    changed = node.rewrite(replaced)
    if isinstance(node, FieldReference) and node.name == window.name:
        raise ExpressionError(
            f"window '{window.name}' is no column; select col('{window.name}').start or .end"
        )
    return changed


# -- what both share -----------------------------------------------------------------------------------------


def _with_keys(relation: Relation, keys: Sequence[Expr]) -> tuple[Relation, list[str], list[Column]]:
    """The relation with each key as a column -> (relation, names of the keys, all columns)."""
    names, added, columns = [], [], list(relation.columns)
    for i, key in enumerate(keys):
        inner = without_alias(key)
        name = output_name(key) or f"$key{i}"
        if not (isinstance(inner, FieldReference) and inner.name == name):
            typed = compile([key], relation.schema).expressions[0]
            kept = relation.column(inner.name) if isinstance(inner, FieldReference) else None
            columns = [column for column in columns if column.name != name]
            columns.append(kept.renamed(name) if kept else Column(name, of_arrow(typed.type, typed.nullable)))
            added.append((name, inner))
        else:
            relation.schema.index_of(inner.name) if inner.name in relation.names else compile(
                [inner], relation.schema
            )
        names.append(name)
    if not added:
        return relation, names, columns
    new = dict(added)
    nodes = [*(FieldReference(name) for name in relation.names if name not in new), *new.values()]
    all_names = [*(name for name in relation.names if name not in new), *new]
    schema = relation.schema
    make = lambda: Project(schema, nodes, all_names)  # noqa: E731
    stream = by_row(relation.stream, "Calc", make, make().output_schema())
    return replace(relation, stream=stream), names, columns


def _key_references(
    table: Table, keys: Sequence[Expr], names: Sequence[str], fields: Sequence[Expr], keep: Sequence[str] = ()
) -> list[Expr]:
    """Fields in which an expression equal to a key is that key's column, and other names are the real
    ones."""
    fields = table._own_names(fields, [*table._relation.names, *names, *keep])
    computed = {
        without_alias(key): FieldReference(name)
        for key, name in zip(keys, names)
        if not isinstance(without_alias(key), FieldReference)
    }
    if not computed:
        return fields
    return [field.rewrite(computed.get) for field in fields]


def _keyed(stream: DataStream, names: Sequence[str]) -> KeyedStream:
    """Rows by key; null is a key like any other, as in SQL. Without names, all rows have one key."""
    if names:
        return stream.key_by(*names, on_null="group")
    schema = stream.schema
    edges = stream._keyed_edges(lambda: KeyByNothing(schema))
    return KeyedStream(stream._env, edges, schema, Schema((), ()), stream)


def _typed_columns(columns: Sequence[Column], names: Sequence[str]) -> list[Column]:
    by_name = {column.name: column for column in columns}
    return [by_name[name] for name in names]


def _selected(
    table: Table,
    stream: DataStream,
    split: AggregatePlan,
    kept: Sequence[Column],
    calls: Sequence[AggregateCall],
    updating: bool,
) -> Table:
    """The select list over keys and results. Names of columns are checked by the projection."""
    types = {column.name: column for column in kept}
    types.update(
        {
            result_name(i): Column("", of_arrow(call.result_type, call.nullable))
            for i, call in enumerate(calls)
        }
    )
    nodes, names, schema = list(split.outputs), list(split.names), stream.schema
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SchemaError(f"Ambiguous column name: {twice}; give one of them an alias")
    compiled = compile(nodes, schema)
    columns = []
    for name, node, typed in zip(names, nodes, compiled.expressions):
        known = types.get(node.name) if isinstance(node, FieldReference) else None
        time = "ROWTIME" if _is_last_millisecond(node) else ""
        columns.append(
            known.renamed(name) if known else Column(name, of_arrow(typed.type, typed.nullable), time)
        )
    make = lambda: Project(schema, nodes, names)  # noqa: E731
    result = by_row(stream, "Select", make, Schema(names, compiled.types))
    return table._with(stream=result, columns=tuple(columns), updating=updating, other_names=())


def _is_last_millisecond(node: Expr) -> bool:
    return isinstance(node, Call) and node.name == "minus" and node.args[0] == FieldReference(_WINDOW_END)
