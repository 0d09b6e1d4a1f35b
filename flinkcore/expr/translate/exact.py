# SPDX-License-Identifier: Apache-2.0
"""What Python's values are as columns, and what cannot be answered for: Unequal.

Integers have 64 bits here and any number of them in Python; None, a divisor of 0, a float that is no integer and
letters that change their number are errors there, or need more than a kernel does. Whoever evaluates the functions of
this folder and gets Unequal asks Python itself, row by row; so no function need be right for all values, only for those
that it answers for. Bounds of integers are known for each vector, so that no result is looked at for overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore.expr.typed import Evaluate, Function
from flinkcore.expr.vector import Vector

INT, FLOAT, BOOL, STR, NONE = pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.null()
NUMBERS = (BOOL, INT, FLOAT)
MIN, MAX = -(2**63), 2**63 - 1
EXACT = 2**53  # integers up to this one are doubles, too

Bounds = tuple[int, int]
Values = Any  # a NumPy array, or a NumPy scalar for a constant


class Unequal(Exception):
    """Columns cannot give what Python would for these rows; says why."""


def fallible(name: str, evaluate: Evaluate, lower: Callable[..., Any] | None = None, moves: bool = False) -> Function:
    """A function that never gives None, and may be Unequal."""
    return Function(name, evaluate=evaluate, may_fail=True, nullable="never", lower=lower, moves=moves)


def without_none(vector: Vector) -> Vector:
    """The vector, of any type, when no value of it is None."""
    if vector.null_constant or (not vector.constant and vector.valid() is not None):
        raise Unequal("None")
    return vector


def present(vector: Vector) -> Values:
    """Values without a None among them."""
    return without_none(vector).values()


def bounds(vector: Vector) -> Bounds:
    """The least and the greatest of integers or booleans, or something beyond them."""
    if vector.bounds is None:
        values = vector.values()
        if vector.constant:
            vector.bounds = (int(values), int(values))
        elif not len(values):
            vector.bounds = (0, 0)
        else:
            vector.bounds = (int(values.min()), int(values.max()))
    return vector.bounds


def of_ints(values: Values, limits: Bounds, constant: bool) -> Vector:
    return Vector(INT, values, constant=constant, bounds=limits)


def within(limits: Bounds) -> Bounds:
    if limits[0] < MIN or limits[1] > MAX:
        raise Unequal("an integer of more than 64 bits")
    return limits


def has_zero(values: Values) -> bool:
    return bool(np.any(values == 0))


def exact(vector: Vector) -> Values:
    """Integers as doubles that are equal to them; anything where they are None."""
    low, high = bounds(vector)
    if low < -EXACT or high > EXACT:
        raise Unequal("an integer that no double is equal to")
    return vector.values().astype(np.float64)


def double(vector: Vector) -> Values:
    """Numbers as float() makes them: rounded to the nearest."""
    values = present(vector)
    return values if vector.type == FLOAT else values.astype(np.float64)


def all_constant(args: Sequence[Vector]) -> bool:
    return all(arg.constant for arg in args)
