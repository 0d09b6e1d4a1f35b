# SPDX-License-Identifier: Apache-2.0
"""Runs translated expressions: each computed once, on all rows; a branch that cannot be, on the rows that take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flinkcore.expr.evaluate import BatchRows
from flinkcore.expr.translate.choice import CHOOSE, joined, scattered
from flinkcore.expr.translate.exact import Unequal
from flinkcore.expr.typed import Constant, InputColumn, Invocation, Typed
from flinkcore.expr.vector import Vector


@dataclass(frozen=True)
class _Step:
    """One computation: slots of earlier results in, one result out.

    spent : slots that nobody needs behind it: memory that is used again stays in the cache
    """

    expression: Typed
    args: tuple[int, ...] = ()
    constant: Vector | None = None
    spent: tuple[int, ...] = ()


class Program:
    """Steps in an order in which each finds its arguments; a step that is Unequal spoils those that need it."""

    def __init__(self, expressions: Sequence[Typed]) -> None:
        self._steps: list[_Step] = []
        self._slot_of: dict[int, int] = {}  # by the id of an expression: equal ones are one object
        self._branches: dict[int, Program] = {}  # of those that are not computed on all rows
        self._outputs = [self._add(expression) for expression in expressions]
        last = {arg: i for i, step in enumerate(self._steps) for arg in step.args if arg not in self._outputs}
        for i in set(last.values()):
            spent = tuple(arg for arg, user in last.items() if user == i)
            self._steps[i] = replace(self._steps[i], spent=spent)

    def run(self, rows: BatchRows) -> list[Vector]:
        """Unequal: what is asked for cannot be answered"""
        slots: list[Vector | Unequal] = []
        for step in self._steps:
            try:
                slots.append(self._result(step, [slots[arg] for arg in step.args], rows))
            except Unequal as reason:
                slots.append(reason)
            for slot in step.spent:
                slots[slot] = _SPENT
        return [_certain(slots[slot]) for slot in self._outputs]

    def _add(self, expression: Typed) -> int:
        slot = self._slot_of.get(id(expression))
        if slot is not None:
            return slot
        step = _Step(expression)
        if isinstance(expression, Constant):
            step = _Step(expression, constant=Vector.of_constant(expression.value, expression.type))
        elif isinstance(expression, Invocation):
            step = _Step(expression, tuple(self._add(arg) for arg in expression.args))
        slot = self._slot_of[id(expression)] = len(self._steps)
        self._steps.append(step)
        return slot

    def _result(self, step: _Step, args: list[Vector | Unequal], rows: BatchRows) -> Vector:
        expression = step.expression
        if step.constant is not None:
            return step.constant
        if isinstance(expression, InputColumn):
            return rows.vector(expression.index)
        assert isinstance(expression, Invocation) and expression.function.evaluate is not None
        if expression.function is CHOOSE:
            return self._chosen(expression, args, rows)
        return expression.function.evaluate([_certain(arg) for arg in args], expression.type, rows)

    def _chosen(self, choice: Invocation, args: list[Vector | Unequal], rows: BatchRows) -> Vector:
        condition = _certain(args[0])
        mask = condition.values()
        count = int(np.count_nonzero(mask))
        if condition.constant or count in (0, rows.length):
            return _certain(args[1 if count else 2])
        then, other = (
            arg if isinstance(arg, Vector) else self._on_some(branch, taken, rows)
            for arg, branch, taken in ((args[1], choice.args[1], mask), (args[2], choice.args[2], ~mask))
        )
        return joined(mask, then, other, choice.type)

    def _on_some(self, branch: Typed, taken: np.ndarray, rows: BatchRows) -> Vector:
        """A branch on the rows that take it."""
        program = self._branches.get(id(branch))
        if program is None:
            program = self._branches[id(branch)] = Program([branch])
        (found,) = program.run(rows.take(np.flatnonzero(taken)))
        return scattered(found, taken)


_SPENT = Unequal("a value that is spent")


def _certain(result: Vector | Unequal) -> Vector:
    if isinstance(result, Unequal):
        raise result
    return result
