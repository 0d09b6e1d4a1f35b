# SPDX-License-Identifier: Apache-2.0
"""How arguments fit a function: the letters of signatures, and the rules that letters cannot say.

A signature is "arguments -> result". Argument letters: N number, D number taken as DOUBLE, I integer, S
string, B boolean, T point in time, Y bytes, A anything, C all of these brought to one common type; ?
optional, * repeated. Result letters: S, I (INT), L (BIGINT), D, B, Y; a digit for the type of that argument;
C for the common type.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from functools import reduce

import pyarrow as pa

from flinkcore.errors import ExpressionError
from flinkcore.expr import cast, logical
from flinkcore.expr.logical import t
from flinkcore.expr.lowering import casting
from flinkcore.expr.typed import Constant, Function, Typed, invoke, wrong_arguments

CAST = Function(
    "cast",
    evaluate=lambda args, type, rows: cast.cast_vector(args[0], type, False, rows.length),
    lower=casting,
)
PARSE = Function(
    "cast",
    may_fail=True,
    evaluate=lambda args, type, rows: cast.cast_vector(args[0], type, False, rows.length),
)
TRY_CAST = Function(
    "TRY_CAST",
    nullable="always",
    evaluate=lambda args, type, rows: cast.cast_vector(args[0], type, True, rows.length),
)


def cast_to(arg: Typed, type: pa.DataType, tries: bool = False) -> Typed:
    """The argument as `type`; ExpressionError when no such cast exists."""
    if arg.type == type:
        return arg
    if isinstance(arg, Constant):
        if arg.value is None:
            return Constant(None, type)
        if logical.is_integer(arg.type) and logical.is_integer(type) and arg.type.bit_width < type.bit_width:
            return Constant(arg.value, type)
        if logical.is_integer(arg.type) and type == logical.DOUBLE:
            return Constant(float(arg.value), type)  # type: ignore[arg-type]
    if not cast.can_cast(arg.type, type):
        raise ExpressionError(
            f"Unsupported cast from {logical.type_name(arg.type)} to {logical.type_name(type)} of {arg}"
        )
    fails = cast.may_fail(arg.type, type)
    function = TRY_CAST if tries and fails else PARSE if fails else CAST
    per_row = _runs_per_row(arg.type, type)
    result = invoke(function, (arg,), type, True if logical.is_decimal(type) else None)
    if per_row:
        object.__setattr__(
            result, "per_row", tuple(dict.fromkeys([*arg.per_row, f"cast to {logical.type_name(type)}"]))
        )
    return result


def _runs_per_row(source: pa.DataType, target: pa.DataType) -> bool:
    text_or_decimal = target == logical.STRING or source == logical.STRING or logical.is_decimal(source)
    return text_or_decimal or (logical.is_decimal(target) and not logical.is_integer(source))


def common(args: Sequence[Typed]) -> pa.DataType | None:
    """The type that all arguments can take; string constants give way to dates, times and numbers beside
    them."""
    types = [arg.type for arg in args]
    result = reduce(lambda left, right: left and logical.common_type(left, right), types)
    if result is None:
        others = [arg.type for arg in args if not (isinstance(arg, Constant) and arg.type == logical.STRING)]
        if others and all(logical.is_point_in_time(type) for type in others):
            result = reduce(lambda left, right: left and logical.common_type(left, right), others)
    return result


def _matches(letter: str, type: pa.DataType) -> bool:
    if type == logical.NULL or letter in "AC":
        return True
    tests: dict[str, Callable[[pa.DataType], bool]] = {
        "N": logical.is_numeric,
        "D": logical.is_numeric,
        "I": logical.is_integer,
        "S": logical.is_string,
        "B": t.is_boolean,
        "T": logical.is_point_in_time,
        "Y": lambda type: t.is_binary(type),
    }
    return tests[letter](type)


_WORDS = {
    "N": "a number",
    "D": "a number",
    "I": "an integer",
    "S": "a string",
    "B": "a boolean",
    "T": "a date, time or timestamp",
    "Y": "bytes",
    "A": "anything",
    "C": "values of one type",
}
_RESULTS = {
    "S": logical.STRING,
    "I": logical.INT32,
    "L": logical.INT64,
    "D": logical.DOUBLE,
    "B": logical.BOOLEAN,
    "Y": logical.BYTES,
}
_EXPECTED_TYPE = {
    "D": logical.DOUBLE,
    "S": logical.STRING,
    "B": logical.BOOLEAN,
    "I": logical.INT32,
    "N": logical.INT32,
    "Y": logical.BYTES,
}


def apply_signature(function: Function, args: tuple[Typed, ...]) -> Typed:
    """A typed call, or an ExpressionError that says which arguments the function takes."""
    if callable(function.signature):
        return function.signature(function, args)
    inputs, result = function.signature.split("->")
    parameters = inputs.split()
    letters: list[str] = []
    for parameter in parameters:
        count = max(0, len(args) - len(parameters) + 1) if parameter.endswith("*") else 1
        letters += [parameter[0]] * count
    required = sum(1 for parameter in parameters if parameter[-1] not in "?*")
    if not required <= len(args) <= len(letters) or not all(
        map(_matches, letters, (arg.type for arg in args))
    ):
        words = ", ".join(_WORDS[p[0]] + {"?": " (optional)", "*": " ..."}.get(p[1:], "") for p in parameters)
        raise wrong_arguments(function, args, f"({words})")
    shared: pa.DataType | None = None
    at_common = [arg for letter, arg in zip(letters, args) if letter == "C"]
    if at_common:
        shared = common(at_common)
        if shared is None:
            raise wrong_arguments(function, args, "values of one type; cast one of them")
    fitted = []
    for letter, arg in zip(letters, args):
        target = shared if letter == "C" else logical.DOUBLE if letter == "D" else None
        if target is None and arg.type == logical.NULL:
            target = _EXPECTED_TYPE.get(letter)
        fitted.append(arg if target is None else cast_to(arg, target))
    letter = result.strip()
    type = fitted[int(letter)].type if letter.isdigit() else shared if letter == "C" else _RESULTS[letter]
    assert type is not None
    return invoke(function, fitted, type)


# -- arithmetic ----------------------------------------------------------------------------------------------


def _numbers(
    function: Function, args: tuple[Typed, ...], decimals: Callable[[pa.DataType, pa.DataType], pa.DataType]
) -> Typed:
    left, right = args
    type = logical.common_type(left.type, right.type)
    if type is None or not (logical.is_numeric(type) or type == logical.NULL):
        raise wrong_arguments(
            function,
            args,
            "two numbers"
            if function.name not in ("plus", "minus")
            else "two numbers, or a point in time and an interval",
        )
    if type == logical.NULL:
        return Constant(None, logical.INT32)
    if logical.is_decimal(type):
        left, right = (cast_to(arg, logical.as_decimal(arg.type)) for arg in args)
        result = invoke(function, (left, right), decimals(left.type, right.type), True)
        object.__setattr__(result, "per_row", (*result.per_row, f"{function.name} of decimals"))
        return result
    return invoke(function, (cast_to(left, type), cast_to(right, type)), type)


def _sum_of_decimals(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    scale = max(left.scale, right.scale)
    return logical.decimal(max(left.precision - left.scale, right.precision - right.scale) + scale + 1, scale)


def _quotient_of_decimals(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    scale = max(6, left.scale + right.precision + 1)
    return logical.decimal(left.precision - left.scale + right.scale + scale, scale)


def _rest_of_decimals(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    scale = max(left.scale, right.scale)
    return logical.decimal(min(left.precision - left.scale, right.precision - right.scale) + scale, scale)


def plus(concat: Function, shift: Function) -> Callable[[Function, tuple[Typed, ...]], Typed]:
    """+ adds numbers and intervals, moves points in time, and joins strings."""

    def resolve(function: Function, args: tuple[Typed, ...]) -> Typed:
        _need(function, args, 2)
        left, right = args
        if logical.is_string(left.type) or logical.is_string(right.type):
            return invoke(concat, [cast_to(arg, logical.STRING) for arg in args], logical.STRING)
        if logical.is_interval(left.type) and logical.is_point_in_time(right.type):
            left, right = right, left
        moved = _moved(shift, left, right)
        if moved is not None:
            return moved
        if logical.is_interval(left.type) and left.type == right.type:
            return invoke(function, args, left.type)
        return _numbers(function, args, _sum_of_decimals)

    return resolve


def minus(shift: Function, difference: Function) -> Callable[[Function, tuple[Typed, ...]], Typed]:
    def resolve(function: Function, args: tuple[Typed, ...]) -> Typed:
        _need(function, args, 2)
        left, right = args
        moved = _moved(shift, left, right)
        if moved is not None:
            return moved
        if logical.is_interval(left.type) and left.type == right.type:
            return invoke(function, args, left.type)
        if logical.is_point_in_time(left.type) and logical.is_point_in_time(right.type):
            type = common(args)
            if type is not None:
                return invoke(difference, [cast_to(arg, type) for arg in args], logical.INTERVAL)
        return _numbers(function, args, _sum_of_decimals)

    return resolve


def _moved(shift: Function, point: Typed, interval: Typed) -> Typed | None:
    if not (logical.is_point_in_time(point.type) and logical.is_interval(interval.type)):
        return None
    type = point.type
    if t.is_timestamp(type) and type.unit == "s" and interval.type != logical.MONTHS:
        point = cast_to(point, pa.timestamp("ms", type.tz))
    return invoke(shift, (point, interval), point.type)


def times(function: Function, args: tuple[Typed, ...]) -> Typed:
    _need(function, args, 2)
    left, right = args
    if logical.is_interval(right.type):
        left, right = right, left
    if logical.is_interval(left.type) and logical.is_integer(right.type):
        return invoke(function, (left, right), left.type)
    return _numbers(
        function,
        args,
        lambda left, right: logical.decimal(left.precision + right.precision, left.scale + right.scale),
    )


def divide(function: Function, args: tuple[Typed, ...]) -> Typed:
    _need(function, args, 2)
    return _numbers(function, args, _quotient_of_decimals)


def modulo(function: Function, args: tuple[Typed, ...]) -> Typed:
    """The result has the type of the divisor where both are integers (Calcite: ARG1)."""
    _need(function, args, 2)
    left, right = args
    if logical.is_integer(left.type) and logical.is_integer(right.type):
        return invoke(function, args, right.type)
    return _numbers(function, args, _rest_of_decimals)


def negate(function: Function, args: tuple[Typed, ...]) -> Typed:
    _need(function, args, 1)
    if not (logical.is_numeric(args[0].type) or logical.is_interval(args[0].type)):
        raise wrong_arguments(function, args, "a number or an interval")
    return invoke(function, args, args[0].type)


def _need(function: Function, args: tuple[Typed, ...], count: int) -> None:
    if len(args) != count:
        raise wrong_arguments(function, args, f"{count} argument{'s' if count > 1 else ''}")


# -- comparison and choice -----------------------------------------------------------------------------------


def compare(ordered: bool) -> Callable[[Function, tuple[Typed, ...]], Typed]:
    def resolve(function: Function, args: tuple[Typed, ...]) -> Typed:
        _need(function, args, 2)
        type = common(args)
        if type is None or (ordered and (t.is_nested(type) or type == logical.MONTHS)):
            raise wrong_arguments(function, args, "two values of comparable types; cast one of them")
        return invoke(function, [cast_to(arg, type) for arg in args], logical.BOOLEAN)

    return resolve


def between(
    lower: Function, upper: Function, join: Function
) -> Callable[[Function, tuple[Typed, ...]], Typed]:
    """a BETWEEN b AND c as (a >= b) AND (a <= c), and its negation."""

    def resolve(function: Function, args: tuple[Typed, ...]) -> Typed:
        _need(function, args, 3)
        parts = [apply_signature(lower, (args[0], args[1])), apply_signature(upper, (args[0], args[2]))]
        return invoke(join, parts, logical.BOOLEAN)

    return resolve


def choose(function: Function, args: tuple[Typed, ...]) -> Typed:
    """if_then_else(condition, a, b): a and b are brought to their common type."""
    _need(function, args, 3)
    type = common(args[1:])
    if args[0].type not in (logical.BOOLEAN, logical.NULL) or type is None:
        raise wrong_arguments(function, args, "a boolean and two values of one type")
    nullable = args[1].nullable or args[2].nullable
    return invoke(
        function,
        (cast_to(args[0], logical.BOOLEAN), cast_to(args[1], type), cast_to(args[2], type)),
        type,
        nullable,
    )


def first_present(function: Function, args: tuple[Typed, ...]) -> Typed:
    """coalesce and ifNull: null only when all arguments can be."""
    type = common(args) if args else None
    if type is None:
        raise wrong_arguments(function, args, "one or more values of one type")
    return invoke(function, [cast_to(arg, type) for arg in args], type, all(arg.nullable for arg in args))


def rounds(at_unit: Function) -> Callable[[Function, tuple[Typed, ...]], Typed]:
    """floor and ceil: of a number, or of a point in time to a unit."""

    def resolve(function: Function, args: tuple[Typed, ...]) -> Typed:
        if len(args) == 2 and logical.is_point_in_time(args[0].type):
            return invoke(at_unit, args, args[0].type)
        if len(args) != 1 or not logical.is_numeric(args[0].type):
            raise wrong_arguments(function, args, "a number, or a point in time and a unit")
        type = args[0].type
        return invoke(function, args, pa.decimal128(type.precision, 0) if logical.is_decimal(type) else type)

    return resolve


def rounds_to_places(function: Function, args: tuple[Typed, ...]) -> Typed:
    """round and truncate keep the type; a decimal keeps as many places as asked for."""
    if (
        not 1 <= len(args) <= 2
        or not logical.is_numeric(args[0].type)
        or not all(logical.is_integer(arg.type) for arg in args[1:])
    ):
        raise wrong_arguments(function, args, "a number and a number of places (optional)")
    type = args[0].type
    if logical.is_decimal(type):
        places = args[1].value if len(args) > 1 and isinstance(args[1], Constant) else 0
        scale = min(max(int(places), 0), type.scale)  # type: ignore[call-overload]
        type = logical.decimal(type.precision - type.scale + scale + 1, scale)
    return invoke(function, args, type)


def returns(type: pa.DataType, *counts: int) -> Callable[[Function, tuple[Typed, ...]], Typed]:
    """A result of one type whatever the arguments are, of which there are as many as one of `counts`."""

    def resolve(function: Function, args: tuple[Typed, ...]) -> Typed:
        if len(args) not in counts:
            raise wrong_arguments(function, args, f"{' or '.join(map(str, counts))} arguments")
        return invoke(function, args, type)

    return resolve


def unknown_function(name: str, known: Sequence[str]) -> ExpressionError:
    close = difflib.get_close_matches(name, known, 3, 0.6)
    return ExpressionError(
        f"Undefined function: {name}" + (f"; did you mean {', '.join(close)}?" if close else "")
    )


def window_start(function: Function, args: tuple[Typed, ...]) -> Typed:
    """TUMBLE_START(value, size): value is a number of milliseconds or a timestamp, size a positive
    constant."""
    value, size = args
    size_ms = size.value if isinstance(size, Constant) else None
    if not (isinstance(size_ms, int) and size_ms > 0) or size.type == logical.MONTHS:
        raise wrong_arguments(
            function, args, "a size that is a positive number of milliseconds or a time interval"
        )
    if not (logical.is_integer(value.type) or t.is_timestamp(value.type)):
        raise wrong_arguments(
            function, args, "an integer number of milliseconds or a timestamp to cut into windows"
        )
    return invoke(function, args, value.type)
