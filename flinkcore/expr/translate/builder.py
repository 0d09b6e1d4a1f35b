# SPDX-License-Identifier: Apache-2.0
"""Expressions in the making: choices, constants, and what must be computed although nothing uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from flinkcore.expr.translate.choice import AFTER, CHOOSE, NOT, TRUTH
from flinkcore.expr.translate.exact import BOOL, FLOAT, INT, MAX, MIN, NONE, NUMBERS, STR
from flinkcore.expr.translate.values import Choice, Known, NotTranslated, Record, Value, name_of
from flinkcore.expr.typed import Constant, Function, Invocation, Typed, invoke

NODES_MAX = 400  # of one translation: a function that is longer is called for each row


class Builder:
    """Makes the expressions of one translation.

    Python computes what stands before a branch although the branch may not use it, and it may be an error there. So
    what can fail is taken down where it is made, and is computed together with the result of that place.

    Equal expressions are one object: a value that is used twice by one that is used twice, and so on, is a short
    function and a huge tree, which nothing here walks as such.
    """

    def __init__(self) -> None:
        self._made: list[list[Invocation]] = []  # what can fail and is computed at this point, by nested branch
        self._count = 0
        self._known: dict[tuple[object, ...], Invocation] = {}

    def invoke(self, function: Function, args: Sequence[Typed], type: pa.DataType) -> Typed:
        self._count += 1
        if self._count > NODES_MAX:
            raise NotTranslated("it is too long")
        key = (id(function), type, *(arg if isinstance(arg, Constant) else id(arg) for arg in args))
        made = self._known.get(key)
        if made is None:
            made = self._known[key] = invoke(function, args, type)
        if function.may_fail or (function is CHOOSE and made.may_fail):
            self._made[-1].append(made)
        return made

    # -- constants ---------------------------------------------------------------------------------------

    def constant(self, value: Any) -> Value:
        """A value that is the same for all records."""
        kind = type(value)
        if kind is int and not MIN <= value <= MAX:
            raise NotTranslated("an integer of more than 64 bits")
        if kind is tuple:
            return Record("tuple", tuple(self.constant(each) for each in value))
        known = _TYPES.get(kind)
        return Known(value) if known is None else Constant(value, known)

    def fold(self, op: Callable[..., Any], *args: Value) -> Value | None:
        """The result of constants; None when there are others."""
        if not all(isinstance(arg, Constant) for arg in args):
            return None
        try:
            return self.constant(op(*(arg.value for arg in args)))  # type: ignore[union-attr]
        except NotTranslated:
            raise
        except Exception as error:
            raise NotTranslated(f"constants that raise {type(error).__name__}") from None

    # -- what is computed whether it is used or not ------------------------------------------------------

    @contextmanager
    def made_here(self) -> Iterator[list[Invocation]]:
        """Takes down what is computed within, in a branch or in the whole function."""
        self._made.append([])
        try:
            yield self._made[-1]
        finally:
            self._made.pop()

    def after(self, values: list[Typed], made: list[Invocation]) -> list[Typed]:
        """Values that are computed together, once all that was made is computed too."""
        sure = _surely_computed(values)
        more = list({id(node): node for node in made if id(node) not in sure}.values())
        return [invoke(AFTER, [values[0], *more], values[0].type), *values[1:]] if more else values

    def _in_branch(self, read: Callable[[], Value]) -> Value:
        """The value of a branch, with all that the branch computes."""
        with self.made_here() as made:
            value = read()
        if not made:
            return value
        if isinstance(value, Typed):
            return self.after([value], made)[0]
        if isinstance(value, Record) and all(isinstance(field, Typed) for field in value.fields) and value.fields:
            return Record(value.kind, tuple(self.after(list(value.fields), made)), value.names)  # type: ignore[arg-type]
        sure = _surely_computed([value.condition]) if isinstance(value, Choice) else set()
        if any(id(node) not in sure for node in made):
            raise NotTranslated("a branch computes what it does not return")
        return value

    # -- choice ------------------------------------------------------------------------------------------

    def either(self, condition: Typed, then: Callable[[], Value], other: Callable[[], Value]) -> Value:
        """The value of one branch or the other."""
        if isinstance(condition, Constant):
            return then() if condition.value else other()
        return self._choose(condition, self._in_branch(then), self._in_branch(other))

    def _choose(self, condition: Typed, then: Value, other: Value) -> Value:
        if isinstance(then, Typed) and isinstance(other, Typed):
            if then.type == NONE and other.type != NONE:
                then = Constant(None, other.type)
            elif other.type == NONE and then.type != NONE:
                other = Constant(None, then.type)
            if then.type == other.type:
                same = then is other or (isinstance(then, Constant) and then == other)
                if not same:
                    return self.invoke(CHOOSE, [condition, then, other], then.type)
                if isinstance(then, Invocation) and then.may_fail:
                    self._made[-1].append(then)  # both branches compute it
                return then
        return Choice(condition, then, other)

    def spread(self, value: Value, change: Callable[[Any], Value]) -> Value:
        """The change made to a value, or to both sides of a choice."""
        if isinstance(value, Choice):
            return self._choose(
                value.condition,
                self._in_branch(lambda: self.spread(value.then, change)),
                self._in_branch(lambda: self.spread(value.other, change)),
            )
        return change(value)

    def truth(self, value: Value) -> Typed:
        """Whether a value is true."""
        if isinstance(value, Choice):
            found = self.spread(value, self.truth)
            assert isinstance(found, Typed)
            return found
        if isinstance(value, Constant):
            return Constant(bool(value.value), BOOL)
        if isinstance(value, Record) and value.kind != "row":
            return Constant(bool(value.fields), BOOL)
        if not isinstance(value, Typed) or value.type not in (*NUMBERS, STR):
            raise NotTranslated(f"whether {name_of(value)} is true")
        return value if _is_condition(value) else self.invoke(TRUTH, [value], BOOL)

    def inverse(self, value: Typed) -> Typed:
        """not value, of what truth() gives"""
        return Constant(not value.value, BOOL) if isinstance(value, Constant) else self.invoke(NOT, [value], BOOL)


_TYPES = {type(None): NONE, bool: BOOL, int: INT, float: FLOAT, str: STR}


def _surely_computed(values: Sequence[Typed]) -> set[int]:
    """The ids of these nodes and of all below them but what stands in branches."""
    found: set[int] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if id(value) not in found:
            found.add(id(value))
            if isinstance(value, Invocation):
                waiting += value.args[:1] if value.function is CHOOSE else value.args
    return found


def _is_condition(value: Typed) -> bool:
    """Whether a value is True or False and never None."""
    if value.type != BOOL:
        return False
    if isinstance(value, Invocation):
        return value.function.nullable == "never"
    return isinstance(value, Constant) and value.value is not None
