# SPDX-License-Identifier: Apache-2.0
"""How translated functions become programs of one pass (flinkcore.expr.lowering): Python's meanings as steps.

Nothing here takes None: where a column has some, the evaluators see to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from flinkcore._native.passes import F64, I64, MASK
from flinkcore.expr.lowering import Lower, Lowering, NotLowered, Operand
from flinkcore.expr.typed import Invocation, Typed

MEMBERS_MAX = 8  # of a collection that a value is compared with one by one


def _present(operand: Operand) -> Operand:
    if operand.valid is not None:
        raise NotLowered("None")
    return operand


def _presents(lowering: Lowering, args: Sequence[Typed], when: int | None) -> list[Operand]:
    return [_present(operand) for operand in lowering.operands(args, when)]


def _integer(lowering: Lowering, operand: Operand) -> int:
    """An int, or a bool as one."""
    return lowering.step("I64_OF_MASK", operand.register) if operand.kind == MASK else operand.register


def _double(lowering: Lowering, operand: Operand) -> int:
    """A number as float() makes it: rounded to the nearest."""
    if operand.kind == F64:
        return operand.register
    return lowering.step("F64_OF_I64", _integer(lowering, operand))


def _exact_double(lowering: Lowering, operand: Operand, when: int | None) -> int:
    """A number as a double that is equal to it."""
    if operand.kind == F64:
        return operand.register
    return lowering.step("F64_OF_I64_EXACT", _integer(lowering, operand), when=when)


def of_integers(op: str) -> Lower:
    """One step on ints and bools. Those that have more than 64 bits, or a divisor of 0, stop the pass."""

    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        registers = [_integer(lowering, operand) for operand in _presents(lowering, call.args, when)]
        left, right = registers if len(registers) == 2 else (registers[0], None)
        return Operand(lowering.step(op, left, right, when if op.endswith("_EXACT") else None), I64)

    return lower


def of_doubles(op: str) -> Lower:
    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        registers = [_double(lowering, operand) for operand in _presents(lowering, call.args, when)]
        return Operand(lowering.step(op, *registers), F64)

    return lower


def of_masks(op: str) -> Lower:
    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        return Operand(
            lowering.step(op, *(each.register for each in _presents(lowering, call.args, when))), MASK
        )

    return lower


def true_divide(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    left, right = (_exact_double(lowering, operand, when) for operand in _presents(lowering, call.args, when))
    return Operand(lowering.step("DIV_F64_EXACT", left, right, when), F64)


def of_sign(integers: str, doubles: str) -> Lower:
    """- or abs"""

    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        (operand,) = _presents(lowering, call.args, when)
        if operand.kind == F64:
            return Operand(lowering.step(doubles, operand.register), F64)
        return Operand(lowering.step(integers, _integer(lowering, operand), when=when), I64)

    return lower


def same(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    return _presents(lowering, call.args, when)[0]


def integer_of_bool(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    return Operand(_integer(lowering, same(lowering, call, when)), I64)


def to_double(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    return Operand(_double(lowering, same(lowering, call, when)), F64)


_COMPARISONS = {"==": "EQ", "!=": "NE", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}


def comparing(name: str) -> Lower:
    op = _COMPARISONS[name]

    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        operands = _presents(lowering, call.args, when)
        if any(operand.kind == F64 for operand in operands):
            left, right = (_exact_double(lowering, operand, when) for operand in operands)
            return Operand(lowering.step(f"{op}_F64", left, right), MASK)
        return Operand(lowering.step(op, *(_integer(lowering, operand) for operand in operands)), MASK)

    return lower


def contained(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    value, *members = _presents(lowering, call.args, when)
    if value.kind != I64 or len(members) > MEMBERS_MAX:
        raise NotLowered("a collection")
    found: int | None = None
    for member in members:
        equal = lowering.step("EQ", value.register, member.register)
        found = equal if found is None else lowering.step("OR_MASK", found, equal)
    assert found is not None
    return Operand(found, MASK)


def is_none(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    operand = lowering.operand(call.args[0], when)
    if operand.valid is None:
        return Operand(lowering.literal(0, MASK), MASK)
    return Operand(lowering.step("NOT_MASK", operand.valid), MASK)


def truth(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    operand = same(lowering, call, when)
    if operand.kind == MASK:
        return operand
    return Operand(
        lowering.step("MASK_OF_I64" if operand.kind == I64 else "MASK_OF_F64", operand.register), MASK
    )


def after(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    """The first argument, once all can be computed."""
    for arg in call.args[1:]:
        lowering.operand(arg, when)
    return lowering.operand(call.args[0], when)


def converting(type: pa.DataType) -> Lower | None:
    """A value as one of a declared type, which stops the pass where it is none; None for types of no fixed width."""
    t = pa.types
    if t.is_integer(type):
        return _into_integers(type)
    if t.is_floating(type) and type.bit_width > 16:
        return _into_doubles(type)
    return after if t.is_boolean(type) else None


def _into_integers(type: pa.DataType) -> Lower:
    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        operand = lowering.operand(call.args[0], when)
        register = _integer(lowering, operand)
        bits = type.bit_width
        signed = pa.types.is_signed_integer(type)
        least, greatest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        sure = when if operand.valid is None else lowering.narrowed(when, operand.valid)
        for op, bound in (("GE", least), ("LE", greatest)):
            if -(1 << 63) < bound < (1 << 63) - 1:
                lowering.require(lowering.step(op, register, lowering.literal(bound, I64)), sure)
        return Operand(register, I64, operand.valid)

    return lower


def _into_doubles(type: pa.DataType) -> Lower:
    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        operand = lowering.operand(call.args[0], when)
        register = _double(lowering, operand)
        if type.bit_width == 32:
            register = lowering.step("TO_F32", register)
        return Operand(register, F64, operand.valid)

    return lower
