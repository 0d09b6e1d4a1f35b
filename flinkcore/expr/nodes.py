# SPDX-License-Identifier: Apache-2.0
"""The expression tree: what a user wrote, before any schema is known.

One tree for the Python DSL, for string expressions and, later, for SQL. Six nodes suffice; every function, operator
and aggregate is a Call by its Flink name, and a function of the user a FunctionCall. `str(node)` is Flink's summary
form: `plus(a, 1)`. resolve.py turns the tree into typed expressions against a schema.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from flinkcore.expr import logical


class Expr:
    """One node of the tree. Immutable; equal when the text would be."""

    __slots__ = ()

    @property
    def children(self) -> tuple[Expr, ...]:
        return ()

    def with_children(self, children: tuple[Expr, ...]) -> Expr:
        """The same node over other children."""
        return self

    def walk(self) -> Iterator[Expr]:
        """This node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def rewrite(self, change: Callable[[Expr], Expr | None]) -> Expr:
        """The tree with `change(node)` in the place of each node, from the top; None keeps a node and goes on
        below it."""
        changed = change(self)
        if changed is not None:
            return changed
        if not self.children:
            return self
        return self.with_children(tuple(child.rewrite(change) for child in self.children))


@dataclass(frozen=True, slots=True)
class FieldReference(Expr):
    """A column by name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Literal(Expr):
    """A constant of a type. `symbol` marks words like YEAR or TRAILING, which print without quotes."""

    value: object
    type: pa.DataType
    symbol: bool = False

    @staticmethod
    def of(value: object, type: pa.DataType | None = None) -> Literal:
        """A Python value as a literal; ExpressionError when it has no SQL type."""
        if isinstance(value, datetime.timedelta):
            return Literal(value // datetime.timedelta(milliseconds=1), logical.INTERVAL)
        if isinstance(value, list):
            value = tuple(value)
        return Literal(value, logical.literal_type(value) if type is None else type)

    @staticmethod
    def word(value: str) -> Literal:
        return Literal(value, logical.STRING, symbol=True)

    def __str__(self) -> str:
        match self.value:
            case None:
                return "null"
            case bool():
                return "true" if self.value else "false"
            case str() if not self.symbol:
                return "'" + self.value.replace("'", "''") + "'"
            case bytes():
                return "X'" + self.value.hex().upper() + "'"
            case Decimal():
                return format(self.value, "f")
            case datetime.datetime() | datetime.date() | datetime.time():
                return self.value.isoformat()
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A function, operator or aggregate by its name in the built-ins table, on arguments."""

    name: str
    args: tuple[Expr, ...] = ()

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.args

    def with_children(self, children: tuple[Expr, ...]) -> Call:
        return Call(self.name, children)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.args))})"


@dataclass(frozen=True, slots=True, eq=False)
class FunctionCall(Expr):
    """A function of the user on arguments, with a result of a type. It is taken out before a tree is resolved. Equal
    calls are of the same function object, which need not have a hash.

    context : makes what the function's open() is given of a RuntimeContext
    """

    name: str
    function: Any
    args: tuple[Expr, ...]
    type: pa.DataType
    context: Callable[[Any], Any]

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.args

    def with_children(self, children: tuple[Expr, ...]) -> FunctionCall:
        return FunctionCall(self.name, self.function, children, self.type, self.context)

    @property
    def _identity(self) -> tuple[object, ...]:
        return self.name, id(self.function), self.args, self.type, self.context

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionCall) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.args))})"


@dataclass(frozen=True, slots=True)
class Cast(Expr):
    """CAST(arg AS type); with `tries`, TRY_CAST: null where the cast fails."""

    arg: Expr
    type: pa.DataType
    tries: bool = False

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.arg,)

    def with_children(self, children: tuple[Expr, ...]) -> Cast:
        return Cast(children[0], self.type, self.tries)

    def __str__(self) -> str:
        return f"{'TRY_CAST' if self.tries else 'cast'}({self.arg}, {logical.type_name(self.type)})"


@dataclass(frozen=True, slots=True)
class Alias(Expr):
    """An expression with a name, or with several where it expands to several columns."""

    arg: Expr
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.arg,)

    def with_children(self, children: tuple[Expr, ...]) -> Alias:
        return Alias(children[0], self.names)

    def __str__(self) -> str:
        return f"as({self.arg}, " + ", ".join(f"'{name}'" for name in self.names) + ")"


def output_name(node: Expr) -> str | None:
    """The column name an expression gives by itself: its alias or the column it refers to; else None."""
    if isinstance(node, Alias):
        return node.name
    return node.name if isinstance(node, FieldReference) else None


def without_alias(node: Expr) -> Expr:
    return without_alias(node.arg) if isinstance(node, Alias) else node
