# SPDX-License-Identifier: Apache-2.0
"""What a function returns, as columns of declared types, as columnar.encode makes them of Python's values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa

from flinkcore.columnar.schema import Schema
from flinkcore.expr.translate.builder import Builder
from flinkcore.expr.translate.choice import CHOOSE
from flinkcore.expr.translate.exact import BOOL, FLOAT, INT, NONE, NUMBERS, STR, Unequal, bounds
from flinkcore.expr.translate.lowering import converting
from flinkcore.expr.translate.numbers import SAME
from flinkcore.expr.translate.values import Choice, NotTranslated, Record, Value, name_of
from flinkcore.expr.typed import Function, InputColumn, Rows, Typed
from flinkcore.expr.vector import Vector


def outputs(build: Builder, value: Value, schema: Schema) -> list[Typed]:
    """A returned value as the columns of a schema; where that has Python objects, as a column of their one type."""
    if schema.form == "object":
        return [_into(build, value, _type_of(value), takes_null=True)]
    if isinstance(value, Choice):
        sides = []
        for side in (value.then, value.other):
            with build.made_here() as made:
                columns = outputs(build, side, schema)
            sides.append(build.after(columns, made))
        return [
            then if then is other else build.invoke(CHOOSE, [value.condition, then, other], then.type)
            for then, other in zip(*sides)
        ]
    types = [type for type in schema.types if type is not None]
    if schema.form == "value":
        (type,) = types
        return [_into(build, value, type, takes_null=type not in _NUMBERS)]
    return [
        _into(build, field, type, takes_null=schema.form == "row") for field, type in zip(_fields(value, schema), types)
    ]


def output(build: Builder, value: Value, type: pa.DataType) -> Typed:
    """A returned value as one of a type, or null."""
    return _into(build, value, type, takes_null=True)


def _type_of(value: Value) -> pa.DataType:
    """The one type of all that a function without a declared type returns."""
    if isinstance(value, Choice):
        types = {_type_of(side) for side in (value.then, value.other)}
        if len(types) == 1:
            return types.pop()
    elif isinstance(value, Typed) and value.type in _PLAIN:
        return _PLAIN[value.type]
    raise NotTranslated(f"it returns {name_of(value)} and has no declared type")


def _fields(value: Value, schema: Schema) -> tuple[Value, ...]:
    is_record = isinstance(value, Record) and value.kind != "dict" and None not in schema.types
    if not isinstance(value, Record) or not is_record or len(value.fields) != len(schema.names):
        raise NotTranslated(f"it returns {name_of(value)} for {schema}")
    if value.names is None or schema.form == "tuple" or value.names == schema.names:
        return value.fields
    if set(value.names) != set(schema.names):
        raise NotTranslated(f"it returns a Row of {', '.join(value.names)}")
    return tuple(value.fields[value.names.index(name)] for name in schema.names)


def _into(build: Builder, value: Value, type: pa.DataType, takes_null: bool) -> Typed:
    """A value as one of a declared type."""
    if isinstance(value, Choice):
        found = build.spread(value, lambda side: _into(build, side, type, takes_null))
        assert isinstance(found, Typed)
        return found
    if not isinstance(value, Typed) or not _fits(value, type):
        raise NotTranslated(f"it returns {name_of(value)} where {type} is declared")
    if not takes_null:
        value = build.invoke(SAME, [value], value.type)
    return build.invoke(_conversion(type), [value], type)


_NUMBERS = (
    *(getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)),
    pa.float16(), pa.float32(), pa.float64(), BOOL,
)  # fmt: skip


#: What Python's values of one type are carried as where nothing is declared.
_PLAIN = {INT: pa.int64(), FLOAT: pa.float64(), BOOL: BOOL, STR: STR}

# What is of these already is moved; others are converted or looked at.
_AS_IT_IS = (pa.int64(), pa.float64(), BOOL, STR)


def _fits(value: Typed, type: pa.DataType) -> bool:
    """Whether a value of Python's may be one of a declared type."""
    if value.type == NONE:
        return type in _NUMBERS or type == STR
    if pa.types.is_integer(type):
        return value.type in (INT, BOOL)
    if pa.types.is_floating(type):
        return value.type in NUMBERS
    if type in (BOOL, STR):
        return value.type == type
    moves = pa.types.is_binary(type) or pa.types.is_date32(type) or _is_plain_timestamp(type)
    return moves and isinstance(value, InputColumn) and value.type == type


def _is_plain_timestamp(type: pa.DataType) -> bool:
    return pa.types.is_timestamp(type) and type.tz is None and type.unit != "ns"


@cache
def _conversion(type: pa.DataType) -> Function:
    def evaluate(args: Sequence[Vector], type_: pa.DataType, rows: Rows) -> Vector:
        (arg,) = args
        if arg.type == NONE or arg.null_constant:
            return Vector.of_arrow(pa.scalar(None, type), type)
        if pa.types.is_integer(type):
            _check_bounds(arg, *_integers_of(type))
            return Vector(type, arg.values().astype(np.int64, copy=False), arg.valid(), constant=arg.constant)
        if pa.types.is_floating(type):
            return Vector(type, _doubles(arg, type), arg.valid(), constant=arg.constant)
        if pa.types.is_date32(type) or pa.types.is_timestamp(type):
            _check_bounds(arg, *_years_of_python(type))
        return arg

    return Function(f"as {type}", evaluate=evaluate, may_fail=True, lower=converting(type), moves=type in _AS_IT_IS)


def _check_bounds(arg: Vector, low: int, high: int) -> None:
    least, most = bounds(arg)
    if least < low or most > high:
        raise Unequal(f"a value outside {low} .. {high}")


def _integers_of(type: pa.DataType) -> tuple[int, int]:
    if pa.types.is_unsigned_integer(type):
        return 0, (1 << type.bit_width) - 1
    return -(1 << type.bit_width - 1), (1 << type.bit_width - 1) - 1


def _years_of_python(type: pa.DataType) -> tuple[int, int]:
    """The days 0001-01-01 to 9999-12-31 in the unit of a type."""
    per_day = 1 if pa.types.is_date32(type) else 86_400 * {"s": 1, "ms": 1000, "us": 1_000_000}[type.unit]
    return -719_162 * per_day, 2_932_897 * per_day - 1


def _doubles(arg: Vector, type: pa.DataType) -> np.ndarray:
    values = np.asarray(arg.values(), np.float64)
    if type.bit_width == 64:
        return values
    with np.errstate(over="ignore"):  # too large for few bits becomes infinite, as Java's cast does
        return values.astype(np.float32 if type.bit_width == 32 else np.float16).astype(np.float64)
