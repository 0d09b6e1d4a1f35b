# SPDX-License-Identifier: Apache-2.0
"""Arithmetic and mathematics on vectors, as Java computes them.

Integers wrap at their width; `/` truncates toward zero; `%` takes the sign of the dividend; dividing by zero
raises. FLOAT rounds to 32 bits after each step. Decimals are exact, rounded half up, null where digits run
out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore.expr import logical
from flinkcore.expr.cast import EXACT, fit_decimal, narrow, rounded
from flinkcore.expr.typed import DivisionByZeroError, Evaluate, Rows
from flinkcore.expr.vector import Vector, both_valid


def numeric(compute: Callable[..., Any]) -> Evaluate:
    """An evaluator from a NumPy function: null in, null out; integers wrap at the width of the result."""

    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        if any(arg.null_constant for arg in args):
            return Vector.of_constant(None, type)
        with np.errstate(all="ignore"):
            values = compute(*(arg.values() for arg in args))
        if logical.is_integer(type):
            values = narrow(np.asarray(values), type) if type.bit_width < 64 else values
        elif type == logical.FLOAT:
            values = rounded(np.asarray(values), type)
        constant = all(arg.constant for arg in args)
        return Vector(type, values, None if constant else both_valid(tuple(args)), constant=constant)

    return evaluate


def row_wise(compute: Callable[..., Any]) -> Evaluate:
    """An evaluator from a function of Python values, called per row; null in, null out."""

    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        constant = all(arg.constant for arg in args)
        columns = [arg.python(1 if constant else rows.length) for arg in args]
        array = pa.array([None if None in each else compute(*each) for each in zip(*columns)], type)
        return Vector(type, arrow=array[0] if constant else array, constant=constant)

    return evaluate


def by_type(numbers: Evaluate, decimals: Callable[[pa.DataType], Callable[..., Any]]) -> Evaluate:
    """`numbers` unless the result is a decimal, which is computed exactly, row by row."""

    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        if logical.is_decimal(type):
            return row_wise(decimals(type))(args, type, rows)
        return numbers(args, type, rows)

    return evaluate


def _exact(operation: str) -> Callable[[pa.DataType], Callable[..., Any]]:
    def of(type: pa.DataType) -> Callable[..., Any]:
        compute = getattr(EXACT, operation)

        def run(left: Decimal, right: Decimal) -> Decimal | None:
            if operation in ("divide", "remainder") and right == 0:
                raise DivisionByZeroError("/ by zero")
            return fit_decimal(compute(left, right), type)

        return run

    return of


def add_decimals(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    return row_wise(_exact("add")(type))(args, type, rows)


plus = by_type(numeric(np.add), _exact("add"))
minus = by_type(numeric(np.subtract), _exact("subtract"))
times = by_type(numeric(np.multiply), _exact("multiply"))


def _refuse_zero(args: Sequence[Vector], divisor: Vector, rows: Rows) -> None:
    """DivisionByZeroError unless no row divides by zero: nothing is divided where an argument is null."""
    zeros = divisor.values() == 0
    if not np.any(zeros):
        return
    valid = both_valid(tuple(args))
    zeros = np.broadcast_to(zeros, rows.length)
    at = np.flatnonzero(zeros if valid is None else zeros & valid)
    if len(at):
        where = "" if divisor.constant else f" at row {at[0]} of the batch"
        raise DivisionByZeroError(
            f"/ by zero{where}; guard it with if_then_else(divisor != 0, ..., ...) or filter first"
        )


def truncated_quotient(left: Any, right: Any) -> Any:
    with np.errstate(all="ignore"):
        quotient = np.floor_divide(left, np.where(right == 0, 1, right))
        inexact = quotient * right != left
        return quotient + (inexact & ((left < 0) != (right < 0)))


_divide_integers = numeric(truncated_quotient)
_divide_floats = numeric(np.true_divide)
_divide_decimals = by_type(_divide_floats, _exact("divide"))
_modulo_numbers = numeric(
    lambda left, right: np.fmod(
        left, right if np.asarray(right).dtype.kind == "f" else np.where(right == 0, 1, right)
    )
)
_modulo = by_type(_modulo_numbers, _exact("remainder"))


def divide(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    if logical.is_integer(type) and not any(arg.null_constant for arg in args):
        _refuse_zero(args, args[1], rows)
        return _divide_integers(args, type, rows)
    return _divide_decimals(args, type, rows)


def modulo(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    if logical.is_integer(args[1].type) and not any(arg.null_constant for arg in args):
        _refuse_zero(args, args[1], rows)
    return _modulo(args, type, rows)


negate = by_type(numeric(np.negative), lambda type: lambda value: -value)
absolute = by_type(numeric(np.abs), lambda type: lambda value: abs(value))
sign = by_type(
    numeric(np.sign),
    lambda type: lambda value: Decimal((value > 0) - (value < 0)).quantize(Decimal(1).scaleb(-type.scale)),
)


def _to_integral(rounding: str, on_floats: Callable[[Any], Any]) -> Evaluate:
    numbers = numeric(lambda values: on_floats(values) if np.asarray(values).dtype.kind == "f" else values)
    return by_type(numbers, lambda type: lambda value: value.to_integral_value(rounding))


floor = _to_integral(ROUND_FLOOR, np.floor)
ceil = _to_integral(ROUND_CEILING, np.ceil)


def _round_number(value: Any, places: int = 0) -> Any:
    if isinstance(value, float):
        if not np.isfinite(value):
            return value
        return float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), context=EXACT))
    result = Decimal(value).quantize(Decimal(1).scaleb(-places), context=EXACT)
    return result if isinstance(value, Decimal) else int(result)


def _truncate_number(value: Any, places: int = 0) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return value
    result = Decimal(repr(value) if isinstance(value, float) else value)
    result = result.quantize(Decimal(1).scaleb(-places), rounding=ROUND_DOWN, context=EXACT)
    return (
        float(result) if isinstance(value, float) else result if isinstance(value, Decimal) else int(result)
    )


def round_half_up(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    """ROUND: half away from zero on the decimal text of the number, as Java's BigDecimal does."""
    return _round(args, type, rows)


_round = row_wise(_round_number)
truncate = row_wise(_truncate_number)


def _log(*args: Any) -> Any:
    return np.log(args[0]) if len(args) == 1 else np.log(args[1]) / np.log(args[0])


MATH: dict[str, Evaluate] = {
    "exp": numeric(np.exp), "ln": numeric(np.log), "log10": numeric(np.log10), "log2": numeric(np.log2),
    "log": numeric(_log), "sqrt": numeric(np.sqrt), "power": numeric(np.power),
    "sin": numeric(np.sin), "cos": numeric(np.cos), "tan": numeric(np.tan),
    "cot": numeric(lambda values: 1 / np.tan(values)),
    "sinh": numeric(np.sinh), "cosh": numeric(np.cosh), "tanh": numeric(np.tanh),
    "asin": numeric(np.arcsin), "acos": numeric(np.arccos), "atan": numeric(np.arctan),
    "atan2": numeric(np.arctan2), "degrees": numeric(np.degrees), "radians": numeric(np.radians),
}  # fmt: skip
