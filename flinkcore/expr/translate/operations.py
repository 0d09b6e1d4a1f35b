# SPDX-License-Identifier: Apache-2.0
"""What Python's operators, builtins and methods make of values."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pyarrow as pa

from flinkcore.expr.translate import numbers, texts
from flinkcore.expr.translate.builder import Builder
from flinkcore.expr.translate.choice import COMPARISONS, IS_IN, IS_NONE
from flinkcore.expr.translate.exact import BOOL, FLOAT, INT, NONE, NUMBERS, STR
from flinkcore.expr.translate.values import Known, NotTranslated, Record, Value, name_of
from flinkcore.expr.typed import Constant, Function, InputColumn, Typed

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv, "%": operator.mod,
    "/": operator.truediv, "&": operator.and_, "|": operator.or_, "^": operator.xor, "<<": operator.lshift,
    ">>": operator.rshift, "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_SIGNS: dict[str, Callable[[Any], Any]] = {"-": operator.neg, "+": operator.pos, "~": operator.inv}


class Operations:
    """build : makes the expressions"""

    def __init__(self, build: Builder) -> None:
        self.build = build

    # -- operators ---------------------------------------------------------------------------------------

    def binary(self, name: str, left: Value, right: Value) -> Value:
        """left name right, where name is an operator of arithmetic or of bits"""
        return self._of_two(self._arithmetic, name, left, right)

    def compare(self, name: str, left: Value, right: Value) -> Value:
        """left name right, where name is an operator of comparison"""
        return self._of_two(self._comparison, name, left, right)

    def _of_two(self, make: Callable[[str, Value, Value], Value], name: str, left: Value, right: Value) -> Value:
        def of_parts(a: Value, b: Value) -> Value:
            if name == "**":
                return self._power(a, b)
            folded = self.build.fold(_FUNCTIONS[name], a, b)
            return make(name, a, b) if folded is None else folded

        return self.build.spread(left, lambda a: self.build.spread(right, lambda b: of_parts(a, b)))

    def _arithmetic(self, name: str, left: Value, right: Value) -> Value:
        if isinstance(left, Typed) and isinstance(right, Typed):
            args, types = [left, right], (left.type, right.type)
            if types == (STR, STR) and name == "+":
                return self.build.invoke(texts.CONCATENATE, args, STR)
            if types == (BOOL, BOOL) and name in numbers.BOOL_OPS:
                return self.build.invoke(numbers.BOOL_OPS[name], args, BOOL)
            if left.type in NUMBERS and right.type in NUMBERS:
                if name == "/":
                    return self.build.invoke(numbers.TRUE_DIVIDE, args, FLOAT)
                if FLOAT not in types:
                    return self.build.invoke(numbers.INT_OPS[name], args, INT)
                if name in numbers.FLOAT_OPS:
                    return self.build.invoke(numbers.FLOAT_OPS[name], args, FLOAT)
        raise NotTranslated(f"{name} of {name_of(left)} and {name_of(right)}")

    def _power(self, base: Value, exponent: Value) -> Value:
        """A small constant power of an integer: C has another one of doubles for each library."""
        if isinstance(exponent, Constant) and exponent.type == INT:
            count = int(str(exponent.value))
            if isinstance(base, Constant) and 0 <= count < 64:
                return self.build.fold(operator.pow, base, exponent) or base
            if isinstance(base, Typed) and base.type == INT and 1 <= count <= 8:
                power = self.sign("+", base)
                for _ in range(count - 1):
                    power = self._arithmetic("*", power, base)
                return power
        raise NotTranslated(f"** of {name_of(base)} and {name_of(exponent)}")

    def _comparison(self, name: str, left: Value, right: Value) -> Value:
        if isinstance(left, Typed) and isinstance(right, Typed):
            if name in ("==", "!=") and NONE in (left.type, right.type):
                found = self.is_none(right if left.type == NONE else left)
                return found if name == "==" else self.build.inverse(self.build.truth(found))
            if (left.type in NUMBERS and right.type in NUMBERS) or left.type == right.type == STR:
                return self.build.invoke(COMPARISONS[name], [left, right], BOOL)
        raise NotTranslated(f"{name} of {name_of(left)} and {name_of(right)}")

    def sign(self, name: str, operand: Value) -> Value:
        """-operand, +operand or ~operand"""

        def of_one(value: Value) -> Value:
            folded = self.build.fold(_SIGNS[name], value)
            if folded is not None:
                return folded
            if isinstance(value, Typed) and value.type in NUMBERS:
                type = FLOAT if value.type == FLOAT else INT
                if name == "-":
                    return self.build.invoke(numbers.NEGATE, [value], type)
                if name == "~" and type == INT:
                    return self.build.invoke(numbers.INVERT, [value], INT)
                if name == "+":
                    return self.build.invoke(numbers.INT_OF_BOOL if value.type == BOOL else numbers.SAME, [value], type)
            raise NotTranslated(f"{name} of {name_of(value)}")

        return self.build.spread(operand, of_one)

    def is_none(self, value: Value) -> Value:
        """value is None"""

        def of_one(value: Value) -> Value:
            if not isinstance(value, Typed):
                return Constant(False, BOOL)
            if isinstance(value, Constant):
                return Constant(value.value is None, BOOL)
            if isinstance(value, InputColumn) and not value.nullable:
                return Constant(False, BOOL)
            return self.build.invoke(IS_NONE, [value], BOOL)

        return self.build.spread(value, of_one)

    def contained(self, value: Value, container: Value) -> Value:
        """value in container"""
        if isinstance(container, Known) and isinstance(container.object, frozenset):
            container = Record("tuple", tuple(map(self.build.constant, container.object)))

        def of_one(value: Value) -> Value:
            if isinstance(value, Typed) and isinstance(container, Record) and value.type in (INT, STR):
                members = [each for each in container.fields if isinstance(each, Constant) and each.type == value.type]
                if members and len(members) == len(container.fields) and container.kind in ("tuple", "list"):
                    return self.build.invoke(IS_IN, [value, *members], BOOL)
            if isinstance(value, Constant) and isinstance(container, Typed) and value.type == container.type == STR:
                return self.build.invoke(texts.test("contains", str(value.value)), [container], BOOL)
            raise NotTranslated(f"`in` of {name_of(container)}")

        return self.build.spread(value, of_one)

    # -- functions and methods ---------------------------------------------------------------------------

    def builtin(self, function: Any, args: Sequence[Value]) -> Value:
        """What a function of Python's own returns."""
        if function in (min, max) and len(args) > 1:  # the first stays unless a later one is less, or greater
            best, name = args[0], "<" if function is min else ">"
            for arg in args[1:]:
                best = self._better(name, best, arg)
            return best
        if len(args) == 1 and isinstance(function, Hashable):
            return self.build.spread(args[0], lambda value: self._of_one(function, value))
        raise NotTranslated(f"{name_of(Known(function))} of {', '.join(map(name_of, args)) or 'nothing'}")

    def _better(self, name: str, best: Value, arg: Value) -> Value:
        condition = self.build.truth(self.compare(name, arg, best))
        return self.build.either(condition, lambda: arg, lambda: best)

    def _of_one(self, function: Any, value: Value) -> Value:
        if function in _FOLDABLE:
            folded = self.build.fold(function, value)
            if folded is not None:
                return folded
        if function is len and isinstance(value, Record):
            return Constant(len(value.fields), INT)
        if isinstance(value, Typed):
            if function is bool:
                return self.build.truth(value)
            if (function, value.type) in _SAME:
                return self.build.invoke(numbers.SAME, [value], value.type)
            made = _BUILTINS.get((function, value.type))
            if made is not None:
                return self.build.invoke(made[0], [value], made[1])
        raise NotTranslated(f"{name_of(Known(function))} of {name_of(value)}")

    def method(self, owner: Value, name: str, args: Sequence[Value]) -> Value:
        """owner.name(*args), where the owner comes from records"""

        def of_one(value: Value) -> Value:
            folded = self.build.fold(lambda first, *others: getattr(first, name)(*others), value, *args)
            if folded is not None:
                return folded
            if isinstance(value, Typed) and value.type == STR:
                given = [str(arg.value) for arg in args if isinstance(arg, Constant) and arg.type == STR]
                if name in texts.METHODS and not args:
                    return self.build.invoke(texts.METHODS[name], [value], STR)
                if name in ("startswith", "endswith") and len(args) == len(given) == 1:
                    return self.build.invoke(texts.test(name, given[0]), [value], BOOL)
                if name == "replace" and len(args) == len(given) == 2 and given[0]:
                    return self.build.invoke(texts.replacement(*given), [value], STR)
            raise NotTranslated(f"{name} of {name_of(value)}")

        return self.build.spread(owner, of_one)

    def part(self, value: Value, first: Value, end: Value) -> Value:
        """value[first:end], where the bounds are constants, None for an open end"""

        def of_one(value: Value) -> Value:
            bounds = [each.value for each in (first, end) if isinstance(each, Constant) and each.type in (INT, NONE)]
            if len(bounds) == 2:
                low, high = (None if bound is None else int(str(bound)) for bound in bounds)
                folded = self.build.fold(lambda text: text[low:high], value)
                if folded is not None:
                    return folded
                if isinstance(value, Record) and value.kind in ("tuple", "list"):
                    return Record(value.kind, value.fields[low:high])
                if isinstance(value, Typed) and value.type == STR:
                    return self.build.invoke(texts.part(low, high), [value], STR)
            raise NotTranslated(f"a slice of {name_of(value)}")

        return self.build.spread(value, of_one)

    def formatted(self, value: Value) -> Typed:
        """f"{value}" """
        folded = self.build.fold(format, value)
        if isinstance(folded, Constant):
            return folded
        if isinstance(value, Typed) and value.type in (INT, STR):
            return self.build.invoke(texts.STR_OF_INT if value.type == INT else numbers.SAME, [value], STR)
        raise NotTranslated(f"{name_of(value)} in a formatted string")

    def joined(self, parts: list[Typed]) -> Typed:
        """Strings one behind another."""
        if len(parts) > 1:
            return self.build.invoke(texts.CONCATENATE, parts, STR)
        return parts[0] if parts else Constant("", STR)


_FOLDABLE = {abs, int, float, bool, str, len, round, math.floor, math.ceil, math.trunc, math.sqrt, math.fabs,
             math.isnan, math.isinf, math.isfinite}  # fmt: skip
_SAME = {(int, INT), (float, FLOAT), (str, STR), (round, INT), (math.floor, INT), (math.ceil, INT), (math.trunc, INT)}
_BUILTINS: dict[tuple[Any, pa.DataType], tuple[Function, pa.DataType]] = {
    (abs, INT): (numbers.ABSOLUTE, INT),
    (abs, BOOL): (numbers.ABSOLUTE, INT),
    (abs, FLOAT): (numbers.ABSOLUTE, FLOAT),
    (int, FLOAT): (numbers.TRUNCATE, INT),
    (int, BOOL): (numbers.INT_OF_BOOL, INT),
    (int, STR): (texts.INT_OF_STR, INT),
    (float, INT): (numbers.TO_DOUBLE, FLOAT),
    (float, BOOL): (numbers.TO_DOUBLE, FLOAT),
    (float, STR): (texts.DOUBLE_OF_STR, FLOAT),
    (str, INT): (texts.STR_OF_INT, STR),
    (len, STR): (texts.LENGTH, INT),
    (round, FLOAT): (numbers.ROUND, INT),
    (math.floor, FLOAT): (numbers.FLOOR, INT),
    (math.ceil, FLOAT): (numbers.CEIL, INT),
    (math.trunc, FLOAT): (numbers.TRUNCATE, INT),
    **{(math.sqrt, type): (numbers.SQUARE_ROOT, FLOAT) for type in NUMBERS},
    **{(test, type): (made, BOOL) for test, made in numbers.FLOAT_TESTS.items() for type in NUMBERS},
}
