# SPDX-License-Identifier: Apache-2.0
"""Lowering: typed expressions as programs of one pass over a batch (csrc/fc_pass.h), where all their parts can be.

What a program cannot do as the evaluators of the functions do, it leaves to them: a function without a lowering, or one
that says NotLowered, has no program; one that runs and meets what it has no answer for stops, and the batch is computed
by the evaluators. So there is one place where errors are raised, and it is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from flinkcore._native import column
from flinkcore._native.column import physical_kind
from flinkcore._native.passes import BITS, F64, I64, MASK, OPS, VALIDITY, VALUES, Pass
from flinkcore.expr.typed import Constant, InputColumn, Invocation, Typed
from flinkcore.expr.vector import Vector

REGISTERS_MAX = 250  # 4 KB each: no gain is left when they do not fit the second cache

_KINDS = {column.I64: I64, column.F64: F64, column.BOOL: MASK}


class NotLowered(Exception):
    """What has no program."""


@dataclass(frozen=True)
class Operand:
    """A value in a register.

    valid : register of a mask, 1 where it is present; None when it always is
    """

    register: int
    kind: str
    valid: int | None = None


Lower: TypeAlias = "Callable[[Lowering, Invocation, int | None], Operand]"


@dataclass(frozen=True)
class Moved:
    """A column of the batch, as it is."""

    index: int
    type: pa.DataType | None


def kind_of(type: pa.DataType) -> str:
    """The kind of register for values of a type. NotLowered: there is none"""
    kind = _KINDS.get(physical_kind(type))
    if kind is None or pa.types.is_decimal(type) or pa.types.is_dictionary(type):
        raise NotLowered(f"values of {type}")
    return kind


@dataclass(frozen=True)
class _Step:
    op: str
    out: int
    a: int
    b: int | None = None
    when: int | None = None

    @property
    def operands(self) -> list[int]:
        return [each for each in (self.a, self.b, self.when) if each is not None]

    @property
    def stops(self) -> bool:
        return self.op in ("DIV", "REM", "REQUIRE") or self.op.endswith("_EXACT")


class Lowering:
    """Makes one program. Registers are numbered as they are made, and given places at the end.

    types : of the batch's columns
    with_nulls : columns of the batch in which something is null
    """

    def __init__(self, types: Sequence[pa.DataType | None], with_nulls: frozenset[int] = frozenset()) -> None:
        self._types = types
        self._with_nulls = with_nulls
        self._steps: list[_Step] = []
        self._inputs: dict[tuple[int, int], int] = {}  # (column, part) -> register
        self._constants: dict[tuple[str, str], tuple[int, Any, str]] = {}
        self._computed: dict[tuple[str, int, int | None, int | None], int] = {}
        self._lowered: dict[tuple[int, int | None], Operand] = {}  # by the id of an expression
        self._outer: dict[int, int | None] = {}  # a mask that narrows another one
        self._columns: Sequence[Operand | Moved] = [Moved(i, type) for i, type in enumerate(types)]
        self._count = 0

    # -- values --------------------------------------------------------------------------------------------

    def over(self, columns: Sequence[Operand | Moved]) -> None:
        """From now on, expressions are over these columns."""
        self._columns = columns
        self._lowered = {}

    def operand(self, expression: Typed, when: int | None) -> Operand:
        """The value of an expression; what stops a pass counts only where `when`, a mask, is 1."""
        place = when
        while (found := self._lowered.get((id(expression), place))) is None and place is not None:
            place = self._outer.get(place)  # what was computed for more rows will do
        if found is not None:
            return found
        if isinstance(expression, InputColumn):
            column = self._columns[expression.index]
            made = self.loaded(column.index) if isinstance(column, Moved) else column
        elif isinstance(expression, Constant):
            made = self.constant(expression)
        else:
            assert isinstance(expression, Invocation)
            if expression.function.lower is None:
                raise NotLowered(expression.function.name)
            made = expression.function.lower(self, expression, when)
        self._lowered[id(expression), when] = made
        return made

    def moved(self, expression: Typed) -> Operand | Moved | None:
        """The column that an expression is, if it is one and nothing else."""
        strict = False
        while (
            isinstance(expression, Invocation)
            and expression.function.moves
            and expression.type == expression.args[0].type
        ):
            strict |= expression.function.nullable == "never"
            (expression,) = expression.args
        if not isinstance(expression, InputColumn):
            return None
        column = self._columns[expression.index]
        nullable = column.index in self._with_nulls if isinstance(column, Moved) else column.valid is not None
        return None if strict and nullable else column

    @property
    def stops(self) -> bool:
        """Whether a pass may stop, though it puts nothing out."""
        return any(step.stops for step in self._steps)

    def operands(self, expressions: Sequence[Typed], when: int | None) -> list[Operand]:
        return [self.operand(each, when) for each in expressions]

    def loaded(self, index: int) -> Operand:
        """A column of the batch."""
        type = self._types[index]
        kind = None if type is None else _KINDS.get(physical_kind(type))
        if kind is None:
            raise NotLowered("values of no fixed width")
        value = self._input(index, BITS if kind == MASK else VALUES)
        valid = self._input(index, VALIDITY) if index in self._with_nulls else None
        return Operand(value, kind, valid)

    def constant(self, constant: Constant) -> Operand:
        vector = Vector.of_constant(constant.value, constant.type)
        kind = kind_of(constant.type)
        if vector.null_constant:
            return Operand(self.literal(0, kind), kind, self.literal(0, MASK))
        return Operand(self.literal(vector.values().item(), kind), kind)

    def literal(self, value: Any, kind: str) -> int:
        """A register that holds one value."""
        key = (repr(value), kind)
        if key not in self._constants:
            self._constants[key] = (self._new(), value, kind)
        return self._constants[key][0]

    # -- steps ---------------------------------------------------------------------------------------------

    def step(self, op: str, a: int, b: int | None = None, when: int | None = None) -> int:
        """The register with the result of a step."""
        key = (op, a, b, when)
        found = self._computed.get(key)
        if found is None:
            found = self._computed[key] = self._new()
            self._steps.append(_Step(op, found, a, b, when))
        return found

    def require(self, mask: int, when: int | None) -> None:
        """The pass stops where the mask is 0."""
        self.step("REQUIRE", mask, when=when)

    def both(self, a: int | None, b: int | None) -> int | None:
        """Where two masks hold, of which None holds everywhere."""
        if a is None or b is None or a == b:
            return b if a is None else a
        return self.step("AND_MASK", a, b)

    def narrowed(self, when: int | None, mask: int) -> int:
        """`when`, and the mask too: for what only the rows of a branch take."""
        inner = self.both(when, mask)
        assert inner is not None
        if inner != when:
            self._outer.setdefault(inner, when)
        return inner

    # -- the program ---------------------------------------------------------------------------------------

    def program(self, outputs: Sequence[tuple[int, str]], masked: bool) -> Pass:
        """The program that puts out (register, kind) each.

        masked : whether it runs with a mask; without one, what is loaded lies where the column does
        NotLowered : it needs too many registers
        """
        given = {register for register, _, _ in self._constants.values()}
        if not masked:
            given.update(self._inputs.values())
        steps = list(self._steps)
        made: list[tuple[int, str]] = []
        for register, kind in outputs:
            if register in given or register in (earlier for earlier, _ in made):
                copy = self._new()
                steps.append(_Step("COPY_MASK" if kind == MASK else "COPY", copy, register))
                register = copy
            made.append((register, kind))
        steps = _needed(steps, {register for register, _ in made})
        used = {register for step in steps for register in step.operands} | {register for register, _ in made}
        inputs = [(register, *where) for where, register in self._inputs.items() if register in used]
        constants = [constant for constant in self._constants.values() if constant[0] in used]
        stays = {register for register, *_ in constants} | {register for register, _ in made}
        if not masked:
            stays |= {register for register, *_ in inputs}  # no step may write to a column
        places = _placed(steps, [register for register, *_ in inputs], stays)

        def at(register: int | None) -> int:
            return -1 if register is None else places[register]

        return Pass(
            [(OPS[step.op], at(step.out), at(step.a), at(step.b), at(step.when)) for step in steps],
            [(places[register], index, part) for register, index, part in inputs],
            [(places[register], value, kind) for register, value, kind in constants],
            [(places[register], kind) for register, kind in made],
            1 + max(places.values(), default=0),
        )

    def _input(self, index: int, part: int) -> int:
        if (index, part) not in self._inputs:
            self._inputs[index, part] = self._new()
        return self._inputs[index, part]

    def _new(self) -> int:
        self._count += 1
        return self._count


def _needed(steps: list[_Step], wanted: set[int]) -> list[_Step]:
    """The steps that lead to what is wanted, or may stop."""
    kept = []
    for step in reversed(steps):
        if step.out in wanted or step.stops:
            kept.append(step)
            wanted = wanted | set(step.operands)
    return kept[::-1]


def _placed(steps: list[_Step], inputs: list[int], stays: set[int]) -> dict[int, int]:
    """A place for each register. One whose value nobody needs any more gives its place to another.

    stays : those that keep their place, for all blocks
    """
    last = {register: i for i, step in enumerate(steps) for register in (step.out, *step.operands)}
    places = {register: place for place, register in enumerate(dict.fromkeys([*inputs, *sorted(stays)]))}
    free: list[int] = []
    count = len(places)
    for i, step in enumerate(steps):
        if step.out not in places:  # before operands give up theirs: no step writes to what it reads
            if not free:
                free.append(count)
                count += 1
            places[step.out] = free.pop()
        free += [places[each] for each in {step.out, *step.operands} if last[each] == i and each not in stays]
    if count > REGISTERS_MAX:
        raise NotLowered("more values at a time than there are registers")
    return places


# -- lowerings of functions that give null for null ------------------------------------------------------------


def _valid(lowering: Lowering, operands: Sequence[Operand]) -> int | None:
    valid: int | None = None
    for operand in operands:
        valid = lowering.both(valid, operand.valid)
    return valid


def _of_kinds(operands: Sequence[Operand], ops: Mapping[str, str]) -> str:
    kinds = {operand.kind for operand in operands}
    op = ops.get(operands[0].kind) if len(kinds) == 1 else None
    if op is None:
        raise NotLowered(f"{' and '.join(sorted(kinds))}")
    return op


def rounded(lowering: Lowering, register: int, type: pa.DataType) -> int:
    """A value in a narrower type: integers wrap, FLOAT rounds."""
    if pa.types.is_unsigned_integer(type) or pa.types.is_float16(type):
        raise NotLowered(f"values of {type}")
    if pa.types.is_float32(type):
        return lowering.step("TO_F32", register)
    if pa.types.is_integer(type) and type.bit_width < 64:
        return lowering.step(f"TO_I{type.bit_width}", register)
    return register


def elementwise(**ops: str) -> Lower:
    """A function that is one step, by the kind of its arguments: i64="ADD", f64="ADD_F64"."""

    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        kind = kind_of(call.type)
        operands = lowering.operands(call.args, when)
        made = lowering.step(_of_kinds(operands, ops), *(operand.register for operand in operands))
        return Operand(rounded(lowering, made, call.type), kind, _valid(lowering, operands))

    return lower


def comparing(name: str) -> Lower:
    """A comparison of two values of one type."""
    masks = {"EQ": "XOR_MASK", "NE": "XOR_MASK"}

    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        operands = lowering.operands(call.args, when)
        ops = {I64: name, F64: f"{name}_F64"} | ({MASK: masks[name]} if name in masks else {})
        made = lowering.step(_of_kinds(operands, ops), *(operand.register for operand in operands))
        if operands[0].kind == MASK and name == "EQ":
            made = lowering.step("NOT_MASK", made)
        return Operand(made, MASK, _valid(lowering, operands))

    return lower


def dividing(op: str) -> Lower:
    """Division of integers, which stops at a 0; of doubles it is `op` of theirs."""

    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        operands = lowering.operands(call.args, when)
        kind, valid = kind_of(call.type), _valid(lowering, operands)
        registers = [operand.register for operand in operands]
        if _of_kinds(operands, {I64: I64, F64: F64}) == I64:
            sure = when if valid is None else lowering.narrowed(when, valid)
            left, right = registers
            made = lowering.step(op, left, right, sure)
        elif op == "DIV":
            made = lowering.step("DIV_F64", *registers)
        else:
            raise NotLowered("% of doubles")
        return Operand(rounded(lowering, made, call.type), kind, valid)

    return lower


def _truth(lowering: Lowering, operand: Operand) -> tuple[int, int]:
    """Masks of where a BOOLEAN is TRUE and where it is FALSE."""
    negated = lowering.step("NOT_MASK", operand.register)
    if operand.valid is None:
        return operand.register, negated
    return (
        lowering.step("AND_MASK", operand.register, operand.valid),
        lowering.step("AND_MASK", negated, operand.valid),
    )


def _of_truth(lowering: Lowering, true: int, false: int, nullable: bool) -> Operand:
    return Operand(true, MASK, lowering.step("OR_MASK", true, false) if nullable else None)


def connecting(op: str) -> Lower:
    """AND_MASK or OR_MASK of three-valued logic; a later argument counts only where the earlier left it open."""
    conjunction = op == "AND_MASK"
    other = "OR_MASK" if conjunction else "AND_MASK"

    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        first = lowering.operand(call.args[0], when)
        true, false = _truth(lowering, first)
        nullable = first.valid is not None
        for arg in call.args[1:]:
            inner = when
            if arg.may_fail:
                inner = lowering.narrowed(when, lowering.step("NOT_MASK", false if conjunction else true))
            operand = lowering.operand(arg, inner)
            nullable |= operand.valid is not None
            more_true, more_false = _truth(lowering, operand)
            true, false = lowering.step(op, true, more_true), lowering.step(other, false, more_false)
        return _of_truth(lowering, true, false, nullable)

    return lower


def negation(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    operand = lowering.operand(call.args[0], when)
    return Operand(lowering.step("NOT_MASK", operand.register), MASK, operand.valid)


def presence(present: bool) -> Lower:
    """IS NOT NULL, or IS NULL."""

    def lower(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
        operand = lowering.operand(call.args[0], when)
        valid = lowering.literal(1, MASK) if operand.valid is None else operand.valid
        return Operand(valid if present else lowering.step("NOT_MASK", valid), MASK)

    return lower


def choosing(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    """The second argument where the first is TRUE, else the third; each counts only where it is taken."""
    taken, _ = _truth(lowering, lowering.operand(call.args[0], when))
    then = lowering.operand(call.args[1], lowering.narrowed(when, taken) if call.args[1].may_fail else when)
    inner = when
    if call.args[2].may_fail:
        inner = lowering.narrowed(when, lowering.step("NOT_MASK", taken))
    return chosen(lowering, taken, then, lowering.operand(call.args[2], inner))


def chosen(lowering: Lowering, taken: int, then: Operand, other: Operand) -> Operand:
    """`then` where the mask holds, else `other`."""
    _of_kinds((then, other), {I64: I64, F64: F64, MASK: MASK})
    op = "CHOOSE_MASK" if then.kind == MASK else "CHOOSE"
    made = lowering.step(op, then.register, other.register, taken)
    valid: int | None = None
    if then.valid is not None or other.valid is not None:
        always = lowering.literal(1, MASK)
        valid = lowering.step(
            "CHOOSE_MASK",
            always if then.valid is None else then.valid,
            always if other.valid is None else other.valid,
            taken,
        )
    return Operand(made, then.kind, valid)


def casting(lowering: Lowering, call: Invocation, when: int | None) -> Operand:
    """CAST between numbers, and of booleans to numbers, that cannot fail."""
    (arg,) = call.args
    t = pa.types
    source, target = arg.type, call.type
    if not (t.is_boolean(source) or t.is_integer(source) or t.is_floating(source)):
        raise NotLowered(f"cast of {source}")
    operand = lowering.operand(arg, when)
    register = operand.register
    if t.is_boolean(source) and t.is_integer(target):
        register = lowering.step("I64_OF_MASK", register)
    elif t.is_integer(source) and t.is_floating(target):
        register = lowering.step("F64_OF_I64", register)
    elif not (t.is_integer(source) and t.is_integer(target)) and not (
        t.is_floating(source) and t.is_floating(target)
    ):
        raise NotLowered(f"cast of {source} to {target}")
    return Operand(rounded(lowering, register, target), kind_of(target), operand.valid)
