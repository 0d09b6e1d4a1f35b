# SPDX-License-Identifier: Apache-2.0
"""Python's arithmetic, and conversions between numbers, on whole columns."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from flinkcore.expr.translate.exact import (
    BOOL,
    FLOAT,
    INT,
    MAX,
    MIN,
    Bounds,
    Unequal,
    Values,
    all_constant,
    bounds,
    double,
    exact,
    fallible,
    has_zero,
    of_ints,
    present,
    within,
    without_none,
)
from flinkcore.expr.translate.lowering import (
    integer_of_bool,
    of_doubles,
    of_integers,
    of_masks,
    of_sign,
    same,
    to_double,
    true_divide,
)
from flinkcore.expr.typed import Evaluate, Rows
from flinkcore.expr.vector import Vector


def _corners(a: Bounds, b: Bounds, op: Callable[[int, int], int]) -> Bounds:
    found = [op(x, y) for x in a for y in b]
    return min(found), max(found)


def _modulus_bounds(b: Bounds) -> Bounds:
    return min(b[0] + 1, 0), max(b[1] - 1, 0)


def _quotient_bounds(a: Bounds) -> Bounds:
    most = max(abs(a[0]), abs(a[1]))
    return -most, most


def _and_bounds(a: Bounds, b: Bounds) -> Bounds:
    highest = [high for low, high in (a, b) if low >= 0]  # no bit is set that is not set there
    return (0, min(highest)) if highest else (MIN, MAX)


def _bits_bounds(a: Bounds, b: Bounds) -> Bounds:
    if min(a[0], b[0]) < 0:
        return MIN, MAX
    return 0, (1 << max(a[1].bit_length(), b[1].bit_length())) - 1


def _int_op(
    op: Callable[[Values, Values], Values], limits: Callable[[Bounds, Bounds], Bounds], divides: bool = False
) -> Evaluate:
    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        left, right = args
        values = [present(arg).astype(np.int64, copy=False) for arg in args]
        if divides and has_zero(values[1]):
            raise Unequal("a divisor of 0")
        made = within(limits(bounds(left), bounds(right)))
        return of_ints(op(*values), made, all_constant(args))

    return evaluate


def _float_op(
    op: Callable[[Values, Values], Values], divides: bool = False, finite: bool = False
) -> Evaluate:
    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        left, right = map(double, args)
        if divides and has_zero(right):
            raise Unequal("a divisor of 0")
        if finite and not (np.isfinite(left).all() and np.isfinite(right).all()):
            raise Unequal("a number that is not finite")
        with np.errstate(all="ignore"):
            return Vector(FLOAT, op(left, right), constant=all_constant(args))

    return evaluate


def _modulus(left: Values, right: Values) -> Values:
    if np.ndim(right):
        return np.remainder(left, right)
    if right > 0 and int(right).bit_count() == 1:
        return left & (right - 1)
    return left - np.floor_divide(left, right) * right  # 4 times as fast: NumPy divides by a constant with SIMD


def _true_divide(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    left, right = (present(arg) if arg.type == FLOAT else exact(without_none(arg)) for arg in args)
    if has_zero(right):
        raise Unequal("a divisor of 0")
    with np.errstate(all="ignore"):
        return Vector(FLOAT, left / right, constant=all_constant(args))


def _shift_bounds(a: Bounds, b: Bounds, op: Callable[[int, int], int]) -> Bounds:
    if b[0] < 0 or b[1] > 63:
        raise Unequal("a shift by less than 0 or more than 63 bits")
    return _corners(a, b, op)


def _bool_op(op: Callable[[Values, Values], Values]) -> Evaluate:
    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        return Vector(BOOL, op(*map(present, args)), constant=all_constant(args))

    return evaluate


INT_OPS = {
    "+": fallible("+", _int_op(np.add, lambda a, b: (a[0] + b[0], a[1] + b[1])), of_integers("ADD_EXACT")),
    "-": fallible("-", _int_op(np.subtract, lambda a, b: (a[0] - b[1], a[1] - b[0])), of_integers("SUB_EXACT")),
    "*": fallible("*", _int_op(np.multiply, lambda a, b: _corners(a, b, operator.mul)), of_integers("MUL_EXACT")),
    "//": fallible(
        "//", _int_op(np.floor_divide, lambda a, b: _quotient_bounds(a), divides=True), of_integers("FLOORDIV_EXACT")
    ),
    "%": fallible("%", _int_op(_modulus, lambda a, b: _modulus_bounds(b), divides=True), of_integers("MOD_EXACT")),
    "&": fallible("&", _int_op(np.bitwise_and, _and_bounds), of_integers("AND")),
    "|": fallible("|", _int_op(np.bitwise_or, _bits_bounds), of_integers("OR")),
    "^": fallible("^", _int_op(np.bitwise_xor, _bits_bounds), of_integers("XOR")),
    "<<": fallible("<<", _int_op(np.left_shift, lambda a, b: _shift_bounds(a, b, operator.lshift))),
    ">>": fallible(">>", _int_op(np.right_shift, lambda a, b: _shift_bounds(a, b, operator.rshift))),
}
FLOAT_OPS = {
    "+": fallible("+", _float_op(np.add), of_doubles("ADD_F64")),
    "-": fallible("-", _float_op(np.subtract), of_doubles("SUB_F64")),
    "*": fallible("*", _float_op(np.multiply), of_doubles("MUL_F64")),
    "//": fallible("//", _float_op(np.floor_divide, divides=True, finite=True)),
    "%": fallible("%", _float_op(np.remainder, divides=True, finite=True)),
}
BOOL_OPS = {
    "&": fallible("&", _bool_op(np.logical_and), of_masks("AND_MASK")),
    "|": fallible("|", _bool_op(np.logical_or), of_masks("OR_MASK")),
    "^": fallible("^", _bool_op(np.logical_xor), of_masks("XOR_MASK")),
}
TRUE_DIVIDE = fallible("/", _true_divide, true_divide)


def _sign_op(op: Callable[[Values], Values], limits: Callable[[int, int], Bounds]) -> Evaluate:
    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        (arg,) = args
        values = present(arg)
        if type == FLOAT:
            return Vector(FLOAT, op(values), constant=arg.constant)
        made = within(limits(*bounds(arg)))
        return of_ints(op(values.astype(np.int64, copy=False)), made, arg.constant)

    return evaluate


NEGATE = fallible("-", _sign_op(np.negative, lambda low, high: (-high, -low)), of_sign("NEG_EXACT", "NEG_F64"))
ABSOLUTE = fallible(
    "abs",
    _sign_op(np.abs, lambda low, high: (0, max(abs(low), abs(high)))),
    of_sign("ABS_EXACT", "ABS_F64"),
)
INVERT = fallible("~", _sign_op(np.invert, lambda low, high: (~high, ~low)), of_integers("NOT"))


# -- conversion -----------------------------------------------------------------------------------------------


def _as_int(values: np.ndarray) -> Vector:
    """Doubles without fractions as integers."""
    if not np.isfinite(values).all():
        raise Unequal("a number that is not finite")
    if np.any(np.abs(values) >= 2.0**63):
        raise Unequal("an integer of more than 64 bits")
    return Vector(INT, values.astype(np.int64), constant=not np.ndim(values))


def _rounding(op: Callable[[Values], Values]) -> Evaluate:
    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        return _as_int(op(present(args[0])))

    return evaluate


TRUNCATE, FLOOR, CEIL, ROUND = (
    fallible(name, _rounding(op))
    for name, op in (("int", np.trunc), ("floor", np.floor), ("ceil", np.ceil), ("round", np.rint))
)


SAME = fallible("", lambda args, type, rows: without_none(args[0]), same, moves=True)  # of any type


def _int_of_bool(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    return Vector(INT, present(args[0]).astype(np.int64), constant=args[0].constant, bounds=(0, 1))


INT_OF_BOOL = fallible("int", _int_of_bool, integer_of_bool)


def _to_double(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    return Vector(FLOAT, double(args[0]), constant=args[0].constant)


TO_DOUBLE = fallible("float", _to_double, to_double)


def _square_root(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    values = double(args[0])
    if np.any(values < 0):
        raise Unequal("the root of a negative number")
    return Vector(FLOAT, np.sqrt(values), constant=args[0].constant)


SQUARE_ROOT = fallible("sqrt", _square_root)


def _test(op: Callable[[Values], Values]) -> Evaluate:
    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        return Vector(BOOL, op(double(args[0])), constant=args[0].constant)

    return evaluate


FLOAT_TESTS = {
    math.isnan: fallible("isnan", _test(np.isnan)),
    math.isinf: fallible("isinf", _test(np.isinf)),
    math.isfinite: fallible("isfinite", _test(np.isfinite)),
}
