# SPDX-License-Identifier: Apache-2.0
"""Table and what its methods return on the way to the next one (PyFlink: pyflink.table.table)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flinkcore.columnar.schema import Schema
from flinkcore.datastream.data_stream import DataStream
from flinkcore.errors import ExpressionError, SchemaError, UnsupportedOperationError
from flinkcore.expr.aggregate import is_aggregate
from flinkcore.expr.evaluate import compile
from flinkcore.expr.nodes import (
    Alias,
    Call,
    Expr,
    FieldReference,
    FunctionCall,
    Literal,
    output_name,
    without_alias,
)
from flinkcore.expr.resolve import expand, unknown_field
from flinkcore.operators.batches import Filter, Project
from flinkcore.operators.limit import Limit
from flinkcore.operators.sort import Sort
from flinkcore.table import lowering
from flinkcore.table.expression import Expression, to_node
from flinkcore.table.scalar_functions import with_results
from flinkcore.table.string_expressions import parse_list
from flinkcore.table.table_schema import Column, ResolvedSchema, TableSchema
from flinkcore.table.types import of_arrow
from flinkcore.table.window import GroupWindow

if TYPE_CHECKING:
    import pandas as pd

    from flinkcore.table.table_descriptor import TableDescriptor
    from flinkcore.table.table_environment import TableEnvironment
    from flinkcore.table.table_result import TableResult

__all__ = ["GroupWindowedTable", "GroupedTable", "Table", "WindowGroupedTable"]


@dataclass(frozen=True)
class Relation:
    """What a table stands on: a stream whose columns are the table's, in its order.

    updating : rows can be taken back (the stream is a changelog)
    other_names : further names of columns: f0 for a generated _1
    """

    stream: DataStream
    columns: tuple[Column, ...]
    updating: bool = False
    other_names: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def schema(self) -> Schema:
        return self.stream.schema

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


class Table:
    """A relation that changes over time; its methods describe others. Nothing runs before execute().

    Every method that takes expressions takes them as Expression objects, or as strings in the form of PyFlink
    up to 1.15 ("word, COUNT(word) as cnt").
    """

    def __init__(self, relation: Relation, t_env: TableEnvironment) -> None:
        self._relation = relation
        self._t_env = t_env

    def __getattr__(self, name: str) -> Expression:
        """A column by attribute: table.word is col("word")."""
        if name.startswith("_") and name not in self._relation.names:
            raise AttributeError(name)
        if name not in self._relation.names and name not in dict(self._relation.other_names):
            raise AttributeError(
                f"The current table has no column named '{name}', available columns: {self._relation.names}"
            )
        return Expression(FieldReference(name))

    # -- columns --------------------------------------------------------------------------------------------

    def select(self, *fields: Expression | str) -> Table:
        """Columns computed from columns; or, with aggregates, one row over the whole table."""
        nodes = self._nodes(fields, "select")
        if any(map(is_aggregate, nodes)):
            return GroupedTable(self, []).select(*map(Expression, nodes))
        return self._projected(nodes)

    def _projected(self, nodes: Sequence[Expr]) -> Table:
        if any(isinstance(each, FunctionCall) for node in nodes for each in node.walk()):
            numbers = count()
            named = [node if output_name(node) else Alias(node, (f"_c{next(numbers)}",)) for node in nodes]
            table, nodes = with_results(self, named)
            return table._projected(nodes)
        relation = self._relation
        compiled = compile(nodes, relation.schema)
        unnamed = iter(range(len(nodes)))
        names = [output_name(node) or f"_c{next(unnamed)}" for node in nodes]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SchemaError(f"Ambiguous column name: {twice}; give one of them an alias")
        columns = []
        for name, node, typed in zip(names, nodes, compiled.expressions):
            inner = without_alias(node)
            kept = relation.column(inner.name) if isinstance(inner, FieldReference) else None
            columns.append(kept.renamed(name) if kept else Column(name, of_arrow(typed.type, typed.nullable)))
        if nodes == [FieldReference(name) for name in relation.names]:
            return self._with(columns=tuple(columns), other_names=())
        schema = relation.schema
        stream = lowering.by_row(
            relation.stream, "Calc", lambda: Project(schema, nodes, names), Schema(names, compiled.types)
        )
        return self._with(stream=stream, columns=tuple(columns), other_names=())

    def alias(self, field: str, *fields: str) -> Table:
        """Other names for the columns, from the first on; one string may hold several."""
        names = [name.strip() for text in (field, *fields) for name in text.split(",")]
        old = self._relation.names
        if len(names) > len(old):
            raise SchemaError(f"alias gives {len(names)} names to {len(old)} columns: {', '.join(old)}")
        return self._projected(
            [
                *(Alias(FieldReference(name), (new,)) for name, new in zip(old, names)),
                *map(FieldReference, old[len(names) :]),
            ]
        )

    def add_columns(self, *fields: Expression | str) -> Table:
        """All columns, then these. SchemaError when one has the name of a column."""
        added = self._nodes(fields, "add_columns")
        clash = next((name for name in map(output_name, added) if name in self._relation.names), None)
        if clash is not None:
            raise SchemaError(f"Column '{clash}' exists already; use add_or_replace_columns to replace it")
        return self._projected([*map(FieldReference, self._relation.names), *added])

    def add_or_replace_columns(self, *fields: Expression | str) -> Table:
        """All columns, then these; one that has the name of a column takes its place."""
        added = self._nodes(fields, "add_or_replace_columns")
        by_name = {output_name(node): node for node in added}
        kept = [by_name.pop(name, FieldReference(name)) for name in self._relation.names]
        return self._projected(
            [*kept, *(node for node in added if output_name(node) is None or output_name(node) in by_name)]
        )

    def drop_columns(self, *fields: Expression | str) -> Table:
        """All columns but these."""
        dropped = {self._column_of(node) for node in self._nodes(fields, "drop_columns")}
        return self._projected([FieldReference(name) for name in self._relation.names if name not in dropped])

    def rename_columns(self, *fields: Expression | str) -> Table:
        """Some columns under other names: rename_columns(col("a").alias("b"))."""
        new = {}
        for node in self._nodes(fields, "rename_columns"):
            if not (isinstance(node, Alias) and isinstance(node.arg, FieldReference)):
                raise ExpressionError(
                    f"rename_columns takes columns with an alias, e.g. col('a').alias('b'), not {node}"
                )
            new[self._column_of(node.arg)] = node.name
        return self._projected(
            [
                Alias(FieldReference(name), (new[name],)) if name in new else FieldReference(name)
                for name in self._relation.names
            ]
        )

    # -- rows -----------------------------------------------------------------------------------------------

    def filter(self, predicate: Expression | str) -> Table:
        """The rows for which a condition is true."""
        (node,) = self._nodes([predicate], "filter")
        table, (condition,) = with_results(self, [without_alias(node)])
        schema = table._relation.schema
        Filter(schema, condition)
        stream = lowering.by_row(table._relation.stream, "Where", lambda: Filter(schema, condition), schema)
        kept = table._with(stream=stream)
        return kept if table is self else kept._projected([FieldReference(name) for name in self._relation.names])

    where = filter

    def distinct(self) -> Table:
        """Every row once."""
        return lowering.distinct(self)

    def union_all(self, right: Table) -> Table:
        """The rows of both tables, which have as many columns of the same types."""
        return lowering.union_all(self, right)

    def order_by(self, *fields: Expression | str) -> Table:
        """All rows in order, for batch mode: col("a").desc, col("b").asc."""
        if self._t_env.is_streaming:
            raise UnsupportedOperationError(
                "Sort on a non-time-attribute field is not supported in streaming mode; create "
                "the environment with EnvironmentSettings.in_batch_mode()"
            )
        keys = []
        for node in self._nodes(fields, "order_by"):
            if isinstance(node, Call) and node.name in ("asc", "desc"):
                keys.append((node.args[0], node.name == "asc"))
            else:
                keys.append((node, True))
        schema = self._relation.schema
        Sort(schema, keys)
        return self._with(
            stream=lowering.on_one_subtask(self._relation.stream, "Sort", lambda: Sort(schema, keys), schema)
        )

    def limit(self, fetch: int, offset: int = 0) -> Table:
        """The first `fetch` rows after the first `offset`."""
        return self._limited(offset, fetch)

    def fetch(self, fetch: int) -> Table:
        """The first rows."""
        return self._limited(0, fetch)

    def offset(self, offset: int) -> Table:
        """The rows after the first `offset`."""
        return self._limited(offset, None)

    def _limited(self, offset: int, fetch: int | None) -> Table:
        if offset < 0 or (fetch is not None and fetch < 0):
            raise ExpressionError(f"limit takes numbers of rows, not offset {offset} and fetch {fetch}")
        if self._relation.updating:
            raise UnsupportedOperationError(
                "limit of a table whose rows change is not supported; take it before the "
                "aggregation, or collect the final rows with to_arrow()"
            )
        schema = self._relation.schema
        return self._with(
            stream=lowering.on_one_subtask(
                self._relation.stream, "Limit", lambda: Limit(schema, offset, fetch), schema
            )
        )

    # -- groups and windows ---------------------------------------------------------------------------------

    def group_by(self, *fields: Expression | str) -> GroupedTable:
        """Rows of equal values in these columns belong together."""
        return GroupedTable(self, self._nodes(fields, "group_by"))

    def window(self, window: GroupWindow) -> GroupWindowedTable:
        """Cuts the table into windows; group_by must name the window's alias."""
        if not isinstance(window, GroupWindow):
            raise ExpressionError(
                "window takes a window with an alias, e.g. "
                f"Tumble.over(lit(10).minutes).on(col('ts')).alias('w'); got {window!r}"
            )
        return GroupWindowedTable(self, window)

    def tumble(self, time_field: Expression | str, size: int | Expression) -> Table:
        """Each row with the tumbling window that its value falls into. Not in PyFlink.

        The meaning of TUMBLE(TABLE t, DESCRIPTOR(time_field), size): all columns, then window_start and
        window_end with window_start = time_field - time_field mod size. Numbers are milliseconds. To
        aggregate by windows as PyFlink does, use window(Tumble.over(...).on(...).alias("w")).group_by(...).
        """
        (field,) = self._nodes([time_field], "tumble")
        field = without_alias(field)
        length = Literal.of(size) if isinstance(size, int) else to_node(size)
        start = Call("TUMBLE_START", (field, length))
        type = compile([start], self._relation.schema).types[0]
        end = Call(
            "plus",
            (
                start,
                Literal(length.value, type)
                if isinstance(length, Literal) and pa.types.is_integer(type)
                else Literal.of(_milliseconds(length)),
            ),
        )
        return self._projected(
            [
                *map(FieldReference, self._relation.names),
                Alias(start, ("window_start",)),
                Alias(end, ("window_end",)),
            ]
        )

    # -- results --------------------------------------------------------------------------------------------

    def execute(self) -> TableResult:
        """Runs the job; its rows are in the result."""
        return self._t_env.execute_table(self)

    def execute_insert(
        self, table_path_or_descriptor: str | TableDescriptor, overwrite: bool = False
    ) -> TableResult:
        """Runs the job that writes the rows into a table of the environment, or one of a descriptor.

        SchemaError : the columns do not fit the table's
        """
        statements = self._t_env.create_statement_set()
        return statements.add_insert(table_path_or_descriptor, self, overwrite).execute()

    def to_arrow(self) -> pa.Table:
        """Runs the job and gives the rows it ends with. Beyond PyFlink."""
        return self.execute().to_arrow()

    def to_pandas(self) -> pd.DataFrame:
        """Runs the job and gives the rows it ends with."""
        return self.to_arrow().to_pandas()

    def get_schema(self) -> TableSchema:
        columns = self._relation.columns
        return TableSchema(
            [c.name for c in columns], [c.data_type for c in columns], [c.time for c in columns]
        )

    def get_resolved_schema(self) -> ResolvedSchema:
        return ResolvedSchema(self._relation.columns)

    def print_schema(self) -> None:
        print(self.get_resolved_schema())

    # -- inside ---------------------------------------------------------------------------------------------

    def _with(self, **changes: Any) -> Table:
        return Table(replace(self._relation, **changes), self._t_env)

    def _nodes(self, fields: Sequence[Any], what: str) -> list[Expr]:
        """The trees of a list of expressions, with columns by their real names."""
        return self._own_names(nodes_of(fields, what), self._relation.names)

    def _own_names(self, nodes: Sequence[Expr], names: Sequence[str]) -> list[Expr]:
        other = {new: old for new, old in self._relation.other_names if new not in names}
        result: list[Expr] = []
        for node in expand(nodes, names):
            if isinstance(node, FieldReference) and node.name in other:
                node = Alias(
                    FieldReference(other[node.name]), (node.name,)
                )  # keeps the name that was written
            else:
                node = node.rewrite(
                    lambda each: (
                        FieldReference(other[each.name])
                        if isinstance(each, FieldReference) and each.name in other
                        else None
                    )
                )
            result.append(node)
        return result

    def _column_of(self, node: Expr) -> str:
        inner = without_alias(node)
        if not isinstance(inner, FieldReference):
            raise ExpressionError(f"expected a column, got {node}")
        if inner.name not in self._relation.names:
            raise unknown_field(inner.name, self._relation.schema)
        return inner.name


def _milliseconds(length: Expr) -> Any:
    import datetime

    assert isinstance(length, Literal) and isinstance(length.value, int)
    return datetime.timedelta(milliseconds=length.value)


def nodes_of(fields: Sequence[Any], what: str) -> list[Expr]:
    """The trees of Expression objects and of strings, each of which may hold several."""
    nodes: list[Expr] = []
    for field in fields:
        if isinstance(field, str):
            nodes += parse_list(field)
        elif isinstance(field, Expression):
            nodes.append(field.node)
        else:
            raise ExpressionError(
                f"{what} takes expressions, e.g. col('a') + 1, or a string of them; got "
                f"{type(field).__name__} {field!r}"
            )
    if not nodes:
        raise ExpressionError(f"{what} needs at least one expression")
    return nodes


class GroupedTable:
    """A table whose rows belong to groups."""

    def __init__(self, table: Table, keys: Sequence[Expr]) -> None:
        self._table = table
        self._keys = list(keys)

    def select(self, *fields: Expression | str) -> Table:
        """One row per group, of keys and aggregates; it changes as rows come."""
        return lowering.group_aggregate(self._table, self._keys, nodes_of(fields, "select"))


class GroupWindowedTable:
    """A table cut into windows that are not grouped yet."""

    def __init__(self, table: Table, window: GroupWindow) -> None:
        self._table = table
        self._window = window

    def group_by(self, *fields: Expression | str) -> WindowGroupedTable:
        """By the window's alias, and by columns."""
        nodes = nodes_of(fields, "group_by")
        keys = [node for node in nodes if node != FieldReference(self._window.name)]
        if len(keys) == len(nodes):
            raise ExpressionError(
                f"group_by after window(...) must name the window '{self._window.name}': "
                f"group_by(col('{self._window.name}'), ...)"
            )
        keys = self._table._own_names(keys, self._table._relation.names)
        return WindowGroupedTable(self._table, self._window, keys)


class WindowGroupedTable:
    """A table grouped by windows."""

    def __init__(self, table: Table, window: GroupWindow, keys: Sequence[Expr]) -> None:
        self._table = table
        self._window = window
        self._keys = list(keys)

    def select(self, *fields: Expression | str) -> Table:
        """One row per group and window: keys, col("w").start and .end, aggregates."""
        return lowering.window_aggregate(self._table, self._window, self._keys, nodes_of(fields, "select"))
