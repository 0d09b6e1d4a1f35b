# SPDX-License-Identifier: Apache-2.0
"""Typed expressions: what resolve.py makes of a tree and a schema, and what evaluate.py runs.

Every node knows its type and whether it can be null. A Function is one row of the built-ins table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from flinkcore.errors import ExpressionError
from flinkcore.expr import logical
from flinkcore.expr.vector import Vector


class DivisionByZeroError(ExpressionError, ZeroDivisionError):
    """An integer or decimal was divided by zero, which Flink reports as `/ by zero`."""


class Rows(Protocol):
    """What an evaluator may ask about the rows at hand."""

    length: int
    now_ms: int  # one instant for the whole batch, as CURRENT_TIMESTAMP sees it


Evaluate = Callable[[Sequence[Vector], pa.DataType, Rows], Vector]
Branch = Callable[[np.ndarray | None], Vector]  # an argument, evaluated on some of the rows
EvaluateLazily = Callable[[Sequence[Branch], pa.DataType, Rows], Vector]


@dataclass(frozen=True)
class Function:
    """One function: its Flink name, how arguments resolve, how columns are computed.

    signature : "S I? -> S" in the letters of builtins.py, or a function from typed arguments to a typed
        expression
    evaluate : vectors in, vector out; arguments have the types that the signature cast them to
    names : further names that string expressions know it by
    may_fail : can raise for a row, so that untaken branches must not compute it
    lazily : evaluates arguments on the rows that need them, where one of them may fail
    per_row : runs Python per row; shown by explain()
    nullable : whether the result can be null: "args" when an argument can, "always", "never"
    lower : makes it part of a program of one pass, as lowering.py says; None where it cannot be
    moves : its value is its one argument, in the same type
    """

    name: str
    signature: str | Callable[[Function, tuple[Typed, ...]], Typed] = ""
    evaluate: Evaluate | None = None
    names: tuple[str, ...] = ()
    may_fail: bool = False
    lazily: EvaluateLazily | None = None
    per_row: bool = False
    nullable: str = "args"
    lower: Callable[..., Any] | None = None
    moves: bool = False

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return self is other


class Typed:
    """A typed expression."""

    __slots__ = ()
    type: pa.DataType
    nullable: bool
    may_fail = False
    per_row: tuple[str, ...] = ()  # names of functions below that run Python per row


@dataclass(frozen=True)
class InputColumn(Typed):
    index: int
    name: str
    type: pa.DataType
    nullable: bool = True

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Constant(Typed):
    value: object
    type: pa.DataType

    @property
    def nullable(self) -> bool:  # type: ignore[override]
        return self.value is None

    def __str__(self) -> str:
        return "null" if self.value is None else repr(self.value)

    def __eq__(self, other: object) -> bool:  # 1 == True and 0.0 == -0.0 in Python, not here
        return (
            isinstance(other, Constant) and self.type == other.type and repr(self.value) == repr(other.value)
        )

    def __hash__(self) -> int:
        return hash((repr(self.value), self.type))


@dataclass(frozen=True)
class Invocation(Typed):
    function: Function
    args: tuple[Typed, ...]
    type: pa.DataType
    nullable: bool
    may_fail: bool = field(default=False, compare=False)
    per_row: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.function.name}({', '.join(map(str, self.args))})"


def invoke(
    function: Function, args: Sequence[Typed], type: pa.DataType, nullable: bool | None = None
) -> Invocation:
    """A call whose arguments already have the types that the evaluator expects."""
    if nullable is None:
        nullable = function.nullable == "always" or (
            function.nullable == "args" and any(a.nullable for a in args)
        )
    per_row = tuple(
        dict.fromkeys(
            [*(name for arg in args for name in arg.per_row), *((function.name,) if function.per_row else ())]
        )
    )
    return Invocation(
        function, tuple(args), type, nullable, function.may_fail or any(arg.may_fail for arg in args), per_row
    )


def wrong_arguments(function: Function, args: Sequence[Typed], expected: str) -> ExpressionError:
    came = ", ".join(f"{arg} {logical.type_name(arg.type)}" for arg in args) or "none"
    return ExpressionError(f"Invalid arguments of {function.name}: expected {expected}; came ({came})")
