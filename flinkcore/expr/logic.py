# SPDX-License-Identifier: Apache-2.0
"""Comparison, three-valued logic, and the functions that choose between values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.expr import logical
from flinkcore.expr.typed import Branch, Evaluate, Rows
from flinkcore.expr.vector import Vector, both_valid


def comparison(on_numpy: Callable[..., Any], on_arrow: Callable[..., Any]) -> Evaluate:
    """Both arguments have one type. Floats compare as Java primitives: NaN equals nothing."""

    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        if any(arg.null_constant for arg in args):
            return Vector.of_constant(None, type)
        if all(arg.native for arg in args):
            constant = all(arg.constant for arg in args)
            values = on_numpy(args[0].values(), args[1].values())
            return Vector(type, values, None if constant else both_valid(tuple(args)), constant=constant)
        return Vector.of_arrow(on_arrow(args[0].arrow(), args[1].arrow()), type)

    return evaluate


equals = comparison(np.equal, pc.equal)
not_equals = comparison(np.not_equal, pc.not_equal)
less = comparison(np.less, pc.less)
less_or_equal = comparison(np.less_equal, pc.less_equal)
greater = comparison(np.greater, pc.greater)
greater_or_equal = comparison(np.greater_equal, pc.greater_equal)


def _parts(vector: Vector, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a BOOLEAN is TRUE and where it is FALSE; nowhere of the two is UNKNOWN."""
    if vector.null_constant:
        return np.zeros(length, bool), np.zeros(length, bool)
    values = vector.values()
    if vector.constant:
        values = np.full(length, bool(values))
    valid = vector.valid()
    return (values, ~values) if valid is None else (values & valid, ~values & valid)


def _of_parts(true: np.ndarray, false: np.ndarray) -> Vector:
    valid = true | false
    return Vector(logical.BOOLEAN, true, None if valid.all() else valid)


def and_(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    if all(not arg.constant and arg.valid() is None for arg in args):
        return Vector(
            type,
            np.logical_and.reduce([arg.values() for arg in args])
            if len(args) > 2
            else args[0].values() & args[1].values(),
        )
    true, false = _parts(args[0], rows.length)
    for arg in args[1:]:
        more_true, more_false = _parts(arg, rows.length)
        true, false = true & more_true, false | more_false
    return _of_parts(true, false)


def or_(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    if all(not arg.constant and arg.valid() is None for arg in args):
        return Vector(
            type,
            np.logical_or.reduce([arg.values() for arg in args])
            if len(args) > 2
            else args[0].values() | args[1].values(),
        )
    true, false = _parts(args[0], rows.length)
    for arg in args[1:]:
        more_true, more_false = _parts(arg, rows.length)
        true, false = true | more_true, false & more_false
    return _of_parts(true, false)


def _short_circuit(
    ends_it: int, combine: Evaluate
) -> Callable[[Sequence[Branch], pa.DataType, Rows], Vector]:
    """AND and OR where a later argument may fail: it sees only the rows that the earlier ones left open."""

    def evaluate(branches: Sequence[Branch], type: pa.DataType, rows: Rows) -> Vector:
        result = branches[0](None)
        for branch in branches[1:]:
            decided = _parts(result, rows.length)[ends_it]
            open_rows = np.flatnonzero(~decided)
            neutral = np.full(rows.length, ends_it == 1)
            right_true, right_false = neutral.copy(), ~neutral
            true, false = _parts(branch(open_rows), len(open_rows))
            right_true[open_rows], right_false[open_rows] = true, false
            result = combine((result, _of_parts(right_true, right_false)), type, rows)
        return result

    return evaluate


and_lazily = _short_circuit(1, and_)
or_lazily = _short_circuit(0, or_)


def not_(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    true, false = _parts(args[0], rows.length)
    return _of_parts(false, true)


def truth(test: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Evaluate:
    """IS TRUE and its kin: never null."""

    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        return Vector(type, test(*_parts(args[0], rows.length)))

    return evaluate


is_true = truth(lambda true, false: true)
is_false = truth(lambda true, false: false)
is_not_true = truth(lambda true, false: ~true)
is_not_false = truth(lambda true, false: ~false)


def _present(vector: Vector, length: int) -> np.ndarray:
    if vector.constant:
        return np.full(length, not vector.null_constant)
    valid = vector.valid()
    return np.ones(length, bool) if valid is None else valid


def is_null(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    return Vector(type, ~_present(args[0], rows.length))


def is_not_null(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    return Vector(type, _present(args[0], rows.length))


def in_(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    """needle IN (list): null when the needle is, or when it is not found and the list holds a null."""
    found: Vector | None = None
    for item in args[1:]:
        match = equals((args[0], item), type, rows)
        found = match if found is None else or_((found, match), type, rows)
    assert found is not None
    return found


# -- choices: the branches have one type ---------------------------------------------------------------------


def _choose(
    condition: np.ndarray, if_true: Vector, if_false: Vector, type: pa.DataType, length: int
) -> Vector:
    if if_true.native and not (if_true.null_constant or if_false.null_constant):
        values = np.where(condition, if_true.values(), if_false.values())
        if if_true.valid() is None and if_false.valid() is None:
            return Vector(type, values)
        return Vector(
            type, values, np.where(condition, _present(if_true, length), _present(if_false, length))
        )
    return Vector.of_arrow(pc.if_else(pa.array(condition), if_true.arrow(), if_false.arrow()), type)


def if_then_else(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    """The second argument where the first is TRUE, else the third."""
    return _choose(_parts(args[0], rows.length)[0], args[1], args[2], type, rows.length)


def if_lazily(branches: Sequence[Branch], type: pa.DataType, rows: Rows) -> Vector:
    true = _parts(branches[0](None), rows.length)[0]
    return _scatter([(np.flatnonzero(true), branches[1]), (np.flatnonzero(~true), branches[2])], type, rows)


def coalesce(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    result = args[0]
    for arg in args[1:]:
        result = _choose(_present(result, rows.length), result, arg, type, rows.length)
    return result


def coalesce_lazily(branches: Sequence[Branch], type: pa.DataType, rows: Rows) -> Vector:
    open_rows, parts = np.arange(rows.length), []
    for branch in branches:
        vector = branch(open_rows)
        present = _present(vector, len(open_rows))
        parts.append((open_rows[present], vector.take(np.flatnonzero(present))))
        open_rows = open_rows[~present]
    parts.append((open_rows, Vector.of_constant(None, type)))
    return _scatter([(at, _already(vector)) for at, vector in parts], type, rows)


def _already(vector: Vector) -> Branch:
    return lambda _: vector


def _scatter(parts: Sequence[tuple[np.ndarray, Branch]], type: pa.DataType, rows: Rows) -> Vector:
    """Each part's values at its own rows; together the parts cover all rows once."""
    arrays, order = [], np.empty(rows.length, np.int64)
    done = 0
    for at, branch in parts:
        if len(at):
            arrays.append(branch(at).to_column(len(at)).to_arrow())
            order[at] = np.arange(done, done + len(at))
            done += len(at)
    if not arrays:
        return Vector(type, arrow=pa.array([], type))
    return Vector.of_arrow(pa.concat_arrays(arrays).take(pa.array(order)), type)


def extreme(take_first: Callable[..., Any]) -> Evaluate:
    """GREATEST and LEAST: null when any argument is."""

    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        result = args[0]
        for arg in args[1:]:
            test = take_first((result, arg), logical.BOOLEAN, rows)
            valid = both_valid((result, arg))
            chosen = _choose(_parts(test, rows.length)[0], result, arg, type, rows.length)
            if result.null_constant or arg.null_constant:
                return Vector.of_constant(None, type)
            if valid is not None:
                chosen = _choose(valid, chosen, Vector.of_constant(None, type), type, rows.length)
            result = chosen
        return result

    return evaluate


greatest = extreme(greater_or_equal)
least = extreme(less_or_equal)
