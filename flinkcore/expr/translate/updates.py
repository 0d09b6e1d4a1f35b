# SPDX-License-Identifier: Apache-2.0
"""What kernels know of a fold: fields that are a sum, a minimum and so on of what only records say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore.expr.translate.builder import Builder
from flinkcore.expr.translate.choice import CHOOSE, COMPARISONS
from flinkcore.expr.translate.exact import BOOL, EXACT, FLOAT, INT, STR, Unequal, bounds, fallible
from flinkcore.expr.translate.numbers import FLOAT_OPS, INT_OF_BOOL, INT_OPS, NEGATE, SAME, TO_DOUBLE
from flinkcore.expr.typed import Constant, Function, InputColumn, Invocation, Rows, Typed
from flinkcore.expr.vector import Vector

PYTHON: dict[pa.DataType, type] = {INT: int, FLOAT: float, BOOL: bool, STR: str}


@dataclass(frozen=True)
class Update:
    """What records do to one field of an accumulator, if it is the same whatever the accumulator holds.

    op : "sum", "min", "max", "first", "last" of `value`; "keep" for what no record changes
    value : of each record; None of it: the record changes nothing
    start : the field of a new accumulator, (value,); None when the first record makes it, with its value
    limits : of a sum of integers
    """

    op: str
    value: Typed | None
    start: tuple[Any] | None
    limits: tuple[int, int]


def updates_of(
    build: Builder,
    step: Sequence[Typed],
    first: Sequence[Typed],
    state: Sequence[InputColumn],
    starts: Sequence[tuple[Any] | None],
) -> list[Update | None]:
    """What each field is; None for those that are something else."""
    recognizer = _Recognizer(build, state)
    return [
        recognizer.update(new, own, made, start) for new, made, own, start in zip(step, first, state, starts)
    ]


def merges_alike(
    build: Builder,
    updates: Sequence[Update],
    merged: Sequence[Typed],
    ones: Sequence[InputColumn],
    others: Sequence[InputColumn],
) -> bool:
    """Whether a function of two accumulators makes of them what kernels make that have done the updates.

    merged : the fields that it returns, of those of the two
    """
    recognizer = _Recognizer(build, ones)
    return all(map(recognizer.merges, updates, merged, ones, others))


@dataclass(frozen=True)
class _Change:
    """plain : the value as it was read, where it is the same for all records"""

    op: str
    value: Typed | None = None
    plain: Typed | None = None


class _Recognizer:
    """Finds what a field of the next accumulator is of the same field before."""

    def __init__(self, build: Builder, state: Sequence[InputColumn]) -> None:
        self._build = build
        self._state = {id(field) for field in state}
        self._known: dict[int, bool] = {}

    def update(self, new: Typed, own: InputColumn, made: Typed, start: tuple[Any] | None) -> Update | None:
        """made : the field after the first record"""
        ranges: list[Function] = []
        while isinstance(new, Invocation) and new.function in LIMITS:
            ranges.append(new.function)
            new = new.args[0]
            if isinstance(made, Invocation) and made.function in LIMITS:
                made = made.args[0]
        limits = LIMITS[ranges[0]] if ranges else _limits(INT)
        change = self._change(new, own)
        if change is None:
            return None
        if change.op == "keep" and (start is None or not is_of(start[0], own.type)):
            if start is not None or not self._is_of_records(made):
                return None
            return Update("first", self._present(made), None, limits)
        if start is not None and not _can_start(change.op, start[0], own.type):
            return None
        if start is None and change.plain is not made:
            return None
        value = change.value
        if value is not None and change.op != "sum":
            for function in ranges:
                value = self._build.invoke(function, [value], own.type)
        return Update(change.op, value, start, limits)

    def merges(self, update: Update, new: Typed, own: InputColumn, other: InputColumn) -> bool:
        while isinstance(new, Invocation) and new.function in LIMITS:
            new = new.args[0]
        change = self._change(new, own)
        if change is None:
            return False
        takes_other = change.plain is other
        if update.op == "sum":
            return change.op == "sum" and takes_other and (update.start is None or update.start[0] == 0)
        if update.op in ("min", "max"):
            return change.op == update.op and takes_other
        return change.op == "keep" or (change.op == "last" and takes_other)

    def _present(self, value: Typed) -> Typed:
        """The value, which None would not be."""
        return self._build.invoke(SAME, [value], value.type) if value.nullable else value

    def _made(self, op: str, value: Typed) -> _Change:
        return _Change(op, self._present(value), value)

    def _change(self, new: Typed, own: InputColumn) -> _Change | None:
        if new is own:
            return _Change("keep")
        if self._is_of_records(new):
            return self._made("last", new)
        if not isinstance(new, Invocation):
            return None
        if new.function is CHOOSE:
            return self._of_choice(new, own)
        return self._sum(new, own)

    def _sum(self, new: Invocation, own: InputColumn) -> _Change | None:
        ops, type = (INT_OPS, INT) if own.type == INT else (FLOAT_OPS, FLOAT)
        if own.type not in (INT, FLOAT) or new.type != type or new.function not in (ops["+"], ops["-"]):
            return None
        left, right = new.args
        if new.function is ops["+"] and self._is_of_records(left):
            left, right = right, left
        if not self._is_of_records(right):
            return None
        value = self._number(right, type)
        if new.function is ops["-"]:
            value = self._build.invoke(NEGATE, [value], type)
        if left is own:
            return self._made("sum", value)
        if type == INT and isinstance(left, Invocation):  # (own + a) + b; doubles would round differently
            inner = self._change(left, own)
            if inner is not None and inner.op == "sum" and inner.value is not None:
                return _Change("sum", self._build.invoke(INT_OPS["+"], [inner.value, value], INT))
        return None

    def _number(self, value: Typed, type: pa.DataType) -> Typed:
        if value.type == type:
            return value
        if isinstance(value, Constant):
            number: Any = value.value
            return Constant(int(number) if type == INT else float(number), type)
        return self._build.invoke(INT_OF_BOOL if type == INT else TO_DOUBLE, [value], type)

    def _of_choice(self, choice: Invocation, own: InputColumn) -> _Change | None:
        condition, then, other = choice.args
        if not self._is_of_records(condition):
            return self._extreme(condition, then, other, own)
        one, two = self._change(then, own), self._change(other, own)
        if one is None or two is None or ("keep" not in (one.op, two.op) and one.op != two.op):
            return None
        if one.op == two.op == "keep":
            return one
        op, type = (two.op if one.op == "keep" else one.op), choice.type
        nothing = Constant(None, type)
        values = [nothing if each.value is None else each.value for each in (one, two)]
        return _Change(op, self._build.invoke(CHOOSE, [condition, *values], type))

    def _extreme(self, condition: Typed, then: Typed, other: Typed, own: InputColumn) -> _Change | None:
        """`value if value < own else own` and what means the same"""
        if not isinstance(condition, Invocation) or condition.function not in _ORDER:
            return None
        name = _ORDER[condition.function]
        left, right = condition.args
        if right is own:
            value = left
        elif left is own:
            value, name = right, _MIRRORED[name]  # as: value name own
        else:
            return None
        replaces = then is value and other is own
        if not (replaces or (then is own and other is value)) or not self._is_of_records(value):
            return None
        if value.type != own.type or value.type not in (INT, FLOAT, BOOL):
            return None
        if own.type == FLOAT and not (replaces and name in ("<", ">")):
            return None  # of equal zeros and of NaN another one would stay
        return self._made("min" if ("<" in name) == replaces else "max", value)

    def _is_of_records(self, value: Typed) -> bool:
        """Whether only records say what it is."""
        found = self._known.get(id(value))
        if found is None:
            found = id(value) not in self._state and (
                not isinstance(value, Invocation) or all(map(self._is_of_records, value.args))
            )
            self._known[id(value)] = found
        return found


_ORDER = {COMPARISONS[name]: name for name in ("<", "<=", ">", ">=")}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def is_of(value: Any, type: pa.DataType) -> bool:
    return value.__class__ is PYTHON.get(type)


def start_of(value: Any, type: pa.DataType) -> tuple[Any] | None:
    """A field of a new accumulator; None when the first record replaces it, whatever it is."""
    if value is None:
        return None
    return (float(value),) if type == FLOAT and value.__class__ is int and abs(value) <= EXACT else (value,)


def _can_start(op: str, start: Any, type: pa.DataType) -> bool:
    """Whether a kernel's result over all records but no start, and the start, make the result."""
    if op == "sum" and type == FLOAT:  # other sums are not the same when the start comes last
        return bool(start == 0)
    return is_of(start, type) and start == start


def starting_value(values: np.ndarray, valid: np.ndarray | None, update: Update, type: pa.DataType) -> np.ndarray:
    """A field, of what a kernel has made of all records that changed it.

    valid : where there were such
    """
    if update.start is None:
        return values
    (start,) = update.start
    if update.op == "sum":
        return (values if valid is None else np.where(valid, values, -0.0 if type == FLOAT else 0)) + start
    if update.op in ("min", "max"):
        better = (start <= values) if update.op == "min" else (start >= values)
        kept = better if valid is None else better | ~valid
        return np.where(kept, np.asarray(start, values.dtype), values)
    if valid is None:
        return values
    return np.where(valid, values, np.asarray(start, values.dtype))


# -- integers of few bits -----------------------------------------------------------------------------------


def _ranged(type: pa.DataType) -> Function:
    low, high = _limits(type)

    def evaluate(args: Sequence[Vector], type_: pa.DataType, rows: Rows) -> Vector:
        least, most = bounds(args[0])
        if least < low or most > high:
            raise Unequal(f"an integer outside {low} .. {high}")
        return args[0]

    return fallible(f"as {type}", evaluate)


def _limits(type: pa.DataType) -> tuple[int, int]:
    if pa.types.is_unsigned_integer(type):
        return 0, (1 << type.bit_width) - 1
    return -(1 << type.bit_width - 1), (1 << type.bit_width - 1) - 1


RANGED = {type: _ranged(type) for type in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32())}
LIMITS = {function: _limits(type) for type, function in RANGED.items()}
