# SPDX-License-Identifier: Apache-2.0
"""Evaluation: typed expressions as a short program of steps over the columns of a batch.

`compile` runs once, when an operator opens. Equal subexpressions become one step. Where an argument that may
fail stands in a branch, the branch runs only on the rows that take it, as Flink's row-wise code would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ExpressionError, SchemaError
from flinkcore.expr.nodes import Expr, output_name
from flinkcore.expr.resolve import resolve, resolve_predicate
from flinkcore.expr.typed import Branch, Constant, Evaluate, InputColumn, Invocation, Typed
from flinkcore.expr.vector import Vector


class BatchRows:
    """The rows of one batch, or some of them, as vectors made on demand."""

    __slots__ = ("_vectors", "length", "now_ms", "vector_of")

    def __init__(self, vector_of: Callable[[int], Vector], length: int, now_ms: int) -> None:
        self.vector_of = vector_of
        self.length = length
        self.now_ms = now_ms
        self._vectors: dict[int, Vector] = {}

    def vector(self, index: int) -> Vector:
        vector = self._vectors.get(index)
        if vector is None:
            vector = self._vectors[index] = self.vector_of(index)
        return vector

    def take(self, rows: np.ndarray) -> BatchRows:
        return BatchRows(lambda index: self.vector(index).take(rows), len(rows), self.now_ms)


@dataclass(frozen=True)
class Step:
    """One computation: slots of earlier results in, one result out."""

    evaluate: Evaluate | None
    args: tuple[int, ...]
    expression: Typed
    branches: tuple[Program, ...] = ()  # arguments that run on the rows that need them


class Program:
    """Steps in an order in which each finds its arguments; `outputs` are the slots asked for."""

    def __init__(self, expressions: Sequence[Typed]) -> None:
        self.steps: list[Step] = []
        self._slot_of: dict[Typed, int] = {}
        self._constants: dict[int, Vector] = {}
        self.outputs = [self._add(expression) for expression in expressions]

    def _add(self, expression: Typed) -> int:
        slot = self._slot_of.get(expression)
        if slot is not None:
            return slot
        step = Step(None, (), expression)
        if isinstance(expression, Constant):
            self._constants[len(self.steps)] = Vector.of_constant(expression.value, expression.type)
        elif isinstance(expression, Invocation):
            function = expression.function
            if function.lazily is not None and any(arg.may_fail for arg in expression.args[1:]):
                step = Step(None, (), expression, tuple(Program([arg]) for arg in expression.args))
            else:
                args = tuple(self._add(arg) for arg in expression.args)
                step = Step(function.evaluate, args, expression)
        slot = self._slot_of[expression] = len(self.steps)
        if slot in self._constants and not isinstance(expression, Constant):
            self._constants.pop(slot)
        self.steps.append(step)
        return slot

    def run(self, rows: BatchRows) -> list[Vector]:
        slots: list[Vector] = []
        for i, step in enumerate(self.steps):
            expression = step.expression
            if isinstance(expression, InputColumn):
                slots.append(rows.vector(expression.index))
            elif step.evaluate is not None:
                try:
                    slots.append(step.evaluate([slots[arg] for arg in step.args], expression.type, rows))
                except ExpressionError as error:
                    raise type(error)(f"{expression}: {error}") from None
            elif step.branches:
                assert isinstance(expression, Invocation)
                assert expression.function.lazily is not None
                branches = [_branch(program, rows) for program in step.branches]
                slots.append(expression.function.lazily(branches, expression.type, rows))
            else:
                slots.append(self._constants[i])
        return [slots[slot] for slot in self.outputs]


def _branch(program: Program, rows: BatchRows) -> Branch:
    return lambda some: program.run(rows if some is None else rows.take(some))[0]


class CompiledProjection:
    """Expressions ready for batches of one schema. Holds no state: one instance serves any number of batches.

    types, nullables : of each output;  names : its alias or column name, None where it has neither
    native : whether no part runs Python per row;  reason : which parts do, None when none
    """

    def __init__(
        self,
        expressions: Sequence[Typed],
        names: Sequence[str | None],
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self.expressions = tuple(expressions)
        self.names = tuple(names)
        self.types: tuple[pa.DataType, ...] = tuple(expression.type for expression in expressions)
        self.nullables = tuple(expression.nullable for expression in expressions)
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._computed = [
            i for i, expression in enumerate(expressions) if not isinstance(expression, InputColumn)
        ]
        self._program = Program([expressions[i] for i in self._computed])
        slow = dict.fromkeys(name for expression in expressions for name in expression.per_row)
        self.native = not slow
        self.reason = f"Python runs per row in {', '.join(slow)}" if slow else None

    def _run(self, batch: Batch) -> list[Vector]:
        if not self._computed:
            return []
        return self._program.run(
            BatchRows(lambda i: Vector.of_column(batch.column(i)), batch.num_rows, self._now_ms())
        )

    def project(self, batch: Batch) -> list[Column]:
        """The value of each expression for each row."""
        columns: list[Column | None] = [
            batch.column(e.index) if isinstance(e, InputColumn) else None for e in self.expressions
        ]
        for i, vector in zip(self._computed, self._run(batch)):
            columns[i] = vector.to_column(batch.num_rows)
        return columns  # type: ignore[return-value]

    def filter_mask(self, batch: Batch) -> np.ndarray:
        """bool[n]: where the first expression, a BOOLEAN, is TRUE."""
        first = self.expressions[0]
        vector = (
            Vector.of_column(batch.column(first.index))
            if isinstance(first, InputColumn)
            else self._run(batch)[0]
        )
        return vector.to_mask(batch.num_rows)


def compile(
    exprs: Sequence[Expr], schema: Schema, now_ms: Callable[[], int] | None = None
) -> CompiledProjection:
    """Expressions over a schema, ready to run; resolution errors are raised here.

    now_ms : the clock that CURRENT_TIMESTAMP and its kin read, once per batch; by default the system's
    """
    return CompiledProjection(
        [resolve(expr, schema) for expr in exprs], [output_name(expr) for expr in exprs], now_ms
    )


def compile_predicate(
    expr: Expr, schema: Schema, now_ms: Callable[[], int] | None = None
) -> CompiledProjection:
    """A filter: ExpressionError unless the expression is BOOLEAN. Use filter_mask of the result."""
    return CompiledProjection([resolve_predicate(expr, schema)], [output_name(expr)], now_ms)


def evaluate(expr: Expr, batch: Batch) -> Column:
    """One expression on one batch."""
    return compile([expr], batch.schema).project(batch)[0]


def projected_schema(
    projection: CompiledProjection, default_name: Callable[[int], str] = "_c{}".format
) -> Schema:
    """The schema of what a projection makes; expressions without a name are _c0, _c1, ... as in Flink."""
    taken = [name for name in projection.names if name is not None]
    if len(set(taken)) != len(taken):
        twice = next(name for name in taken if taken.count(name) > 1)
        raise SchemaError(f"Ambiguous column name: {twice}; give one of them an alias")
    unnamed = iter(range(len(projection.names)))
    names = [default_name(next(unnamed)) if name is None else name for name in projection.names]
    return Schema(names, projection.types)
