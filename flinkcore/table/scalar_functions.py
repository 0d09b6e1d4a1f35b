# SPDX-License-Identifier: Apache-2.0
"""Calls of the user's scalar functions, taken out of expressions: each becomes a column before they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from flinkcore.expr.nodes import Expr, FieldReference, FunctionCall
from flinkcore.operators.scalar_calls import ScalarCall, ScalarCalls
from flinkcore.table.lowering import by_row
from flinkcore.table.table_schema import Column
from flinkcore.table.types import of_arrow

if TYPE_CHECKING:
    from flinkcore.table.table import Table


def with_results(table: Table, nodes: Sequence[Expr]) -> tuple[Table, list[Expr]]:
    """The table with a column for each call in some expressions, and the expressions with these columns in their
    place; calls of results of calls come after those."""
    nodes = list(nodes)
    while found := list(dict.fromkeys(call for node in nodes for call in _innermost(node))):
        taken = {name for name in table._relation.names if name.startswith(_PREFIX)}
        columns = {call: f"{_PREFIX}{len(taken) + i}" for i, call in enumerate(found)}
        calls = [
            ScalarCall(columns[call], call.type, call.name, call.function, call.args, call.context) for call in found
        ]
        schema = table._relation.schema
        first = ScalarCalls(schema, calls)  # arguments that do not fit are said here

        added = tuple(Column(columns[call], of_arrow(call.type)) for call in found)
        make = partial(ScalarCalls, schema, calls)
        stream = by_row(table._relation.stream, "PythonCalc", make, first.output_schema())
        table = table._with(stream=stream, columns=(*table._relation.columns, *added))
        nodes = [node.rewrite(partial(_column_of, columns=columns)) for node in nodes]
    return table, nodes


_PREFIX = "$call"  # of the names of columns that nobody asked for


def _innermost(node: Expr) -> list[FunctionCall]:
    """The calls without a call among their arguments."""
    return [each for each in node.walk() if _is_call(each) and not any(map(_has_call, each.children))]  # type: ignore[misc]


def _is_call(node: Expr) -> bool:
    return isinstance(node, FunctionCall)


def _has_call(node: Expr) -> bool:
    return any(map(_is_call, node.walk()))


def _column_of(node: Expr, columns: dict[FunctionCall, str]) -> Expr | None:
    return FieldReference(columns[node]) if isinstance(node, FunctionCall) and node in columns else None
