# SPDX-License-Identifier: Apache-2.0
"""Resolution: a tree and a schema become typed expressions, or an error that names the columns there are."""

from __future__ import annotations

from collections.abc import Sequence

from flinkcore.columnar.schema import Schema
from flinkcore.errors import ExpressionError, SchemaError
from flinkcore.expr import cast, logical
from flinkcore.expr.builtins import BY_NAME
from flinkcore.expr.nodes import Alias, Call, Cast, Expr, FieldReference, FunctionCall, Literal
from flinkcore.expr.signatures import apply_signature, cast_to, unknown_function
from flinkcore.expr.typed import Constant, InputColumn, Typed

AGGREGATES_ELSEWHERE = frozenset(
    {"sum", "sum0", "count", "min", "max", "avg", "first_value", "last_value", "distinct", "MIN_BY", "MAX_BY"}
)


def resolve(node: Expr, schema: Schema, not_null: Sequence[bool] | None = None) -> Typed:
    """The typed expression of a tree over a schema.

    not_null : per column, whether it is known to hold no null; by default nothing is known
    SchemaError : a column that is not there;  ExpressionError : an unknown function, arguments that do not
        fit
    """
    match node:
        case FieldReference(name):
            if name not in schema.names:
                raise unknown_field(name, schema)
            index = schema.index_of(name)
            type = schema.types[index]
            if type is None:
                schema.arrow  # noqa: B018  raises with the remedy for streams of Python objects
            return InputColumn(index, name, type, not (not_null and not_null[index]))
        case Literal(value, type):
            return Constant(value, type)
        case Alias(arg, _):
            return resolve(arg, schema, not_null)
        case Cast(arg, type, tries):
            source = resolve(arg, schema, not_null)
            if not cast.can_cast(source.type, type):
                raise ExpressionError(
                    f"Unsupported cast from {logical.type_name(source.type)} to {logical.type_name(type)}"
                    f" in {node}"
                )
            return cast_to(source, type, tries)
        case Call(name, args):
            function = BY_NAME.get(name)
            if function is None:
                if name in AGGREGATES_ELSEWHERE:
                    raise ExpressionError(
                        f"{node}: aggregate functions are for select() and aggregate() of grouped data, "
                        "not for a projection or a filter"
                    )
                if name in ("start", "end", "rowtime", "proctime"):
                    raise ExpressionError(
                        f"{node}: only a window's alias has {name}, in select() after "
                        "window(...).group_by(...)"
                    )
                raise unknown_function(name, list(BY_NAME))
            return apply_signature(function, tuple(resolve(arg, schema, not_null) for arg in args))
        case FunctionCall():
            raise ExpressionError(
                f"{node}: functions of the user are for select, filter and columns of a table; make a column of it "
                "first"
            )
    raise ExpressionError(f"{node!r} is no expression")


def resolve_predicate(node: Expr, schema: Schema) -> Typed:
    """As resolve, for a filter: ExpressionError unless the type is BOOLEAN."""
    typed = resolve(node, schema)
    if typed.type != logical.BOOLEAN:
        raise ExpressionError(
            f"Filter expression {node} is {logical.type_name(typed.type)}, expected BOOLEAN"
        )
    return typed


def unknown_field(name: str, schema: Schema) -> SchemaError:
    if schema.form == "object":
        schema.arrow  # noqa: B018  raises with the remedy
    return SchemaError(f"Cannot resolve field [{name}], input field list:[{', '.join(schema.names)}].")


def expand(exprs: Sequence[Expr], names: Sequence[str]) -> list[Expr]:
    """The expressions with `*`, withColumns(...), withoutColumns(...) and rangeTo(...) as the columns they
    mean."""
    result: list[Expr] = []
    for expr in exprs:
        if isinstance(expr, FieldReference) and expr.name == "*":
            result += map(FieldReference, names)
        elif isinstance(expr, Call) and expr.name in ("withColumns", "withoutColumns"):
            chosen = [name for arg in expr.args for name in _columns(arg, names)]
            if expr.name == "withoutColumns":
                chosen = [name for name in names if name not in chosen]
            result += map(FieldReference, chosen)
        elif isinstance(expr, Call) and expr.name == "rangeTo":
            result += map(FieldReference, _columns(expr, names))
        else:
            result.append(expr)
    return result


def _columns(node: Expr, names: Sequence[str]) -> Sequence[str]:
    match node:
        case FieldReference("*"):
            return names
        case FieldReference(name):
            if name not in names:
                raise unknown_field(name, Schema(names, [None] * len(names)))
            return (name,)
        case Literal(int() as position, _):
            if not 1 <= position <= len(names):
                raise ExpressionError(
                    f"column {position} does not exist; columns count from 1 to {len(names)}"
                )
            return (names[position - 1],)
        case Call("rangeTo", (first, last)):
            start, end = names.index(_columns(first, names)[0]), names.index(_columns(last, names)[0])
            if start > end:
                raise ExpressionError(f"{node}: the range ends before it starts")
            return names[start : end + 1]
    raise ExpressionError(f"{node} is no column; expected a name, a position from 1 or range_(...)")
