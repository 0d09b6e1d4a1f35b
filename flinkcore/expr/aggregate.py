# SPDX-License-Identifier: Apache-2.0
"""Aggregate functions: what they return, and which kernel accumulators compute them.

    plan(exprs, schema, keys) -> AggregatePlan    splits `sum(price) / count(price)` into calls and a projection
    Aggregation(calls)                            .kernels, .arguments(batch), .results(columns) of Accumulators

Result types are Flink SQL's: COUNT is BIGINT and never null; SUM and AVG keep the type (integers wrap, AVG of
integers truncates, FLOAT sums in 32 bits), decimals sum to DECIMAL(38, s); MIN, MAX, FIRST_VALUE, LAST_VALUE
keep the type. Nulls do not count. Sums of decimals are exact: their 128 bits are summed as 32-bit limbs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from flinkcore._native.column import ARROW, BOOL, BYTES, F64, I64, Column, physical_kind
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ExpressionError, UnsupportedOperationError
from flinkcore.expr import decimals, logical
from flinkcore.expr.arithmetic import truncated_quotient
from flinkcore.expr.cast import narrow, rounded
from flinkcore.expr.evaluate import CompiledProjection
from flinkcore.expr.nodes import Call, Expr, FieldReference, output_name, without_alias
from flinkcore.expr.resolve import resolve, unknown_field
from flinkcore.expr.typed import Constant, Typed

if TYPE_CHECKING:
    from flinkcore.columnar.batch import Batch

# (op, kind, flags), or with the comparand's kind as well, as Accumulators takes them.
KernelSpec = tuple[str, int, int] | tuple[str, int, int, int]
ROUND_TO_FLOAT = 1  # flag: FLOAT sums round to 32 bits at each step


@dataclass(frozen=True)
class AggregateFunction:
    """One aggregate: Flink's name, what it takes and returns, and whether kernels can take rows back."""

    name: str
    op: str
    result: Callable[[pa.DataType], pa.DataType | None]  # None: not for this type
    takes: str
    arity: int = 1
    retractable: bool = False
    not_null: bool = False
    names: tuple[str, ...] = ()


def _sum_type(type: pa.DataType) -> pa.DataType | None:
    if logical.is_decimal(type):
        return pa.decimal128(38, type.scale)
    return type if logical.is_numeric(type) else None


def _avg_type(type: pa.DataType) -> pa.DataType | None:
    if logical.is_decimal(type):
        return pa.decimal128(38, max(6, type.scale))
    return type if logical.is_numeric(type) else None


def _ordered_type(type: pa.DataType) -> pa.DataType | None:
    return type if physical_kind(type) in (I64, F64, BOOL, BYTES) or logical.is_decimal(type) else None


_ANY = "a number, string, boolean, or point in time"
AGGREGATES: tuple[AggregateFunction, ...] = (
    AggregateFunction(
        "count", "count", lambda type: logical.INT64, "anything", retractable=True, not_null=True
    ),
    AggregateFunction("sum", "sum", _sum_type, "a number", retractable=True),
    AggregateFunction("sum0", "sum0", _sum_type, "a number", retractable=True, not_null=True),
    AggregateFunction("avg", "avg", _avg_type, "a number", retractable=True),
    AggregateFunction("min", "min", _ordered_type, _ANY),
    AggregateFunction("max", "max", _ordered_type, _ANY),
    AggregateFunction("first_value", "first", _ordered_type, _ANY, names=("firstValue",)),
    AggregateFunction("last_value", "last", _ordered_type, _ANY, names=("lastValue",)),
    AggregateFunction("MIN_BY", "min_by", _ordered_type, _ANY, arity=2, names=("minBy",)),
    AggregateFunction("MAX_BY", "max_by", _ordered_type, _ANY, arity=2, names=("maxBy",)),
)
AGGREGATE_BY_NAME = {function.name: function for function in AGGREGATES}
AGGREGATE_BY_ANY_NAME = {
    name.lower(): function for function in AGGREGATES for name in (function.name, *function.names)
}


@dataclass(frozen=True)
class AggregateCall:
    """One aggregate on typed arguments.

    op : "count" "count_star" "sum" "sum0" "avg" "min" "max" "first" "last" "min_by" "max_by"
    args : no argument for count_star, two (value, comparand) for *_by, one otherwise
    """

    op: str
    args: tuple[Typed, ...]
    alias: str
    distinct: bool
    result_type: pa.DataType
    nullable: bool
    retractable: bool
    text: str

    def __str__(self) -> str:
        return self.text


def aggregate_call(node: Expr, schema: Schema, alias: str | None = None) -> AggregateCall:
    """The resolved call of one aggregate node, e.g. `sum(price)` or `distinct(count(user))`.

    ExpressionError when the node is no aggregate or does not take its arguments."""
    alias = alias or output_name(node) or str(node)
    inner, distinct = _undistinct(without_alias(node))
    function = AGGREGATE_BY_NAME.get(inner.name) if isinstance(inner, Call) else None
    if function is None or not isinstance(inner, Call):
        raise ExpressionError(
            f"{node} is no aggregate; expected one of {', '.join(AGGREGATE_BY_NAME)} on an expression"
        )
    args = tuple(resolve(arg, schema) for arg in inner.args)
    result = function.result(args[0].type) if len(args) == function.arity else None
    if result is None or (function.arity == 2 and _ordered_type(args[1].type) is None):
        came = ", ".join(f"{arg} {logical.type_name(arg.type)}" for arg in args) or "nothing"
        raise ExpressionError(f"Invalid arguments of {function.name}: expected {function.takes}; came {came}")
    op = function.op
    if op == "count" and not args[0].nullable and isinstance(args[0], Constant) and not distinct:
        op, args = "count_star", ()
    if distinct and op == "last":
        raise ExpressionError(f"{node}: LAST_VALUE of distinct values is not defined; leave out distinct")
    distinct = distinct and op in ("count", "sum", "sum0", "avg")  # repetition does not change the others
    return AggregateCall(
        op,
        args,
        alias,
        distinct,
        result,
        not function.not_null,
        function.retractable,
        str(without_alias(node)),
    )


def _undistinct(node: Expr) -> tuple[Expr, bool]:
    if isinstance(node, Call) and node.name == "distinct":
        inner = node.args[0]
        if not (isinstance(inner, Call) and inner.name in AGGREGATE_BY_NAME):
            raise ExpressionError(
                f"Distinct modifier cannot be applied to {inner}! It can only be applied to an aggregation "
                "expression, for example, col('a').count.distinct which is equivalent with "
                "COUNT(DISTINCT a)."
            )
        return inner, True
    return node, False


def is_aggregate(node: Expr) -> bool:
    """Whether an aggregate stands anywhere in the tree."""
    return any(
        isinstance(each, Call) and (each.name in AGGREGATE_BY_NAME or each.name == "distinct")
        for each in node.walk()
    )


@dataclass(frozen=True)
class AggregatePlan:
    """A select list over groups, taken apart.

    calls : the aggregates, each once;  their results are columns named `result_name(i)`
    outputs : one expression per item over key columns and results;  names : its column names
    """

    calls: tuple[AggregateCall, ...]
    outputs: tuple[Expr, ...]
    names: tuple[str, ...]

    @property
    def trivial(self) -> bool:
        """Whether the outputs are just the results, in order."""
        return self.outputs == tuple(FieldReference(result_name(i)) for i in range(len(self.calls)))


def result_name(index: int) -> str:
    """The name of an aggregate's result between aggregation and projection; no user's column has it."""
    return f"$aggregate{index}"


def plan(exprs: Sequence[Expr], schema: Schema, keys: Sequence[str] = ()) -> AggregatePlan:
    """Splits expressions over groups into aggregate calls and what is computed from keys and results.

    keys : columns of the group's key, which may stand outside of aggregates
    SchemaError : another column outside of an aggregate; unnamed results are EXPR$0, EXPR$1, ... as in Flink
    """
    calls: list[AggregateCall] = []
    position: dict[str, int] = {}

    def place(node: Expr) -> Expr | None:
        if isinstance(node, FieldReference):
            if node.name not in keys:
                raise unknown_field(node.name, Schema(list(keys), [None] * len(keys)))
            return node
        if isinstance(node, Call) and (node.name in AGGREGATE_BY_NAME or node.name == "distinct"):
            for each in node.walk():
                _undistinct(each)
            if any(is_aggregate(arg) for arg in _undistinct(node)[0].children):
                raise ExpressionError(
                    f"{node}: an aggregate cannot stand inside of another; compute it with a select() first"
                )
            text = str(node)
            if text not in position:
                position[text] = len(calls)
                calls.append(aggregate_call(node, schema))
            return FieldReference(result_name(position[text]))
        return None

    outputs: list[Expr] = []
    names: list[str] = []
    unnamed = 0
    for expr in exprs:
        name = output_name(expr)
        if name is None:
            name, unnamed = f"EXPR${unnamed}", unnamed + 1
        names.append(name)
        outputs.append(without_alias(expr).rewrite(place))
    calls = [replace(call, alias=_alias_of(i, outputs, names) or call.alias) for i, call in enumerate(calls)]
    return AggregatePlan(tuple(calls), tuple(outputs), tuple(names))


def _alias_of(index: int, outputs: Sequence[Expr], names: Sequence[str]) -> str | None:
    wanted = FieldReference(result_name(index))
    return next((name for output, name in zip(outputs, names) if output == wanted), None)


@dataclass(frozen=True)
class KernelInput:
    """Where a kernel's columns come from."""

    args: tuple[Typed, ...]
    encoding: decimals.Encoding | None = None
    distinct: bool = False
    signed: str = ""  # "value": times the row's sign;  "presence": the sign where there is a value
    numbered: bool = False  # with the number of its arrival as the comparand, where there is a value


@dataclass(frozen=True)
class Presence:
    """Any column as one whose validity is the same and whose values nobody reads."""

    @property
    def kind(self) -> int:
        return I64

    def encode(self, column: Column) -> Column:
        return Column.from_numpy(np.zeros(len(column), np.int64), valid=column.valid_mask())


def _signed(column: Column | None, signs: np.ndarray, what: str) -> Column:
    valid = None if column is None else column.valid_mask()
    if what == "presence" or column is None:
        return Column.from_numpy(signs, valid=valid)
    return Column.from_numpy(column.to_numpy() * signs, valid=valid)


def _numbered(column: Column, first: int) -> Column:
    """The numbers of arrival of records that have a value."""
    return Column.from_numpy(np.arange(first, first + len(column)), valid=column.valid_mask())


def _null_but(column: Column, rows: np.ndarray) -> Column:
    valid = column.valid_mask()
    return Column.from_numpy(column.to_numpy(), column.type, rows if valid is None else rows & valid)


class Aggregation:
    """Aggregate calls compiled for kernels: which accumulators, their arguments, and logical results from
    physical ones.

    kernels : (op, kind, flags) for Accumulators; calls share accumulators where they can (AVG is SUM and
        COUNT)
    types, names : of the results, in the order of the calls
    retracts : rows can be taken back: arguments(..., signs) counts a row as +1 or -1, and `update` serves for
        both
    merges : accumulators are merged in another order than that in which their records came. FIRST and LAST then keep
        with a value the number of its arrival, which `arguments(..., arrived)` counts from
    distinct : argument of DISTINCT calls -> the kernels it feeds. Who runs the kernels must pass, through
        `arguments(batch, counted)`, which rows bring a value that its group did not have
    """

    def __init__(
        self,
        calls: Sequence[AggregateCall],
        now_ms: Callable[[], int] | None = None,
        retracts: bool = False,
        merges: bool = False,
    ) -> None:
        self.retracts = retracts
        self.merges = merges
        if retracts and not all(call.retractable for call in calls):
            raise ExpressionError(
                "no kernel takes rows back from " + next(c.text for c in calls if not c.retractable)
            )
        self.calls = tuple(calls)
        self.types: tuple[pa.DataType, ...] = tuple(call.result_type for call in calls)
        self.names = tuple(call.alias for call in calls)
        self.kernels: list[KernelSpec] = []
        self._inputs: list[KernelInput] = []
        self._finish = [self._plan(call) for call in calls]
        self.distinct: dict[Typed, list[int]] = {}
        for i, each in enumerate(self._inputs):
            if each.distinct:
                self.distinct.setdefault(each.args[0], []).append(i)
        expressions = list(dict.fromkeys(arg for each in self._inputs for arg in each.args))
        self._slot = {expression: i for i, expression in enumerate(expressions)}
        # Each input once, with where its columns are in values(), and which of them each kernel has.
        inputs = list(dict.fromkeys(self._inputs))
        self._made = [(each, [self._slot[arg] for arg in each.args]) for each in inputs]
        self._of_kernel = [inputs.index(each) for each in self._inputs]
        self._projection = CompiledProjection(expressions, [None] * len(expressions), now_ms)
        self.native, self.reason = self._projection.native, self._projection.reason
        self.retractable = all(call.retractable for call in calls)

    def values(self, batch: Batch) -> list[Column]:
        """Each argument expression, computed once."""
        return self._projection.project(batch)

    def value(self, values: Sequence[Column], argument: Typed) -> Column:
        """That of one argument, of what `values(batch)` gave."""
        return values[self._slot[argument]]

    def arguments(
        self,
        batch: Batch,
        counted: dict[Typed, np.ndarray] | None = None,
        values: Sequence[Column] | None = None,
        signs: np.ndarray | None = None,
        arrived: int = 0,
    ) -> list[tuple[Column, ...]]:
        """The columns of each kernel, as Accumulators.update takes them.

        counted : bool[n] per argument of DISTINCT calls: rows that count; required when `distinct` is not
            empty
        values : what `values(batch)` gave, when it was called before
        signs : int64[n], 1 for a row added and -1 for one taken back; required with `retracts`
        arrived : how many records came before this batch, for `merges`
        """
        if self.distinct and counted is None:
            names = ", ".join(map(str, self.distinct))
            raise UnsupportedOperationError(
                f"DISTINCT aggregates of {names} are supported by running aggregates only; in a window, "
                "key by the value as well and aggregate twice"
            )
        values = values or self.values(batch)
        made = []
        for each, slots in self._made:
            columns = tuple(values[slot] for slot in slots)
            if each.encoding is not None:
                columns = (each.encoding.encode(columns[0]), *columns[1:])
            if each.distinct:
                assert counted is not None
                columns = (_null_but(columns[0], counted[each.args[0]]),)
            if each.numbered:
                columns = (columns[0], _numbered(columns[0], arrived))
            if each.signed:
                assert signs is not None
                columns = (_signed(columns[0] if columns else None, signs, each.signed),)
            made.append(columns)
        return [made[i] for i in self._of_kernel]

    def results(self, physical: Sequence[Column]) -> list[Column]:
        """The logical result of each call, from the results of all kernels."""
        return [finish(physical) for finish in self._finish]

    # -- planning --------------------------------------------------------------------------------------------

    def _kernel(
        self, op: str, call: AggregateCall, flags: int = 0, encoding: decimals.Encoding | None = None
    ) -> int:
        """The position of a kernel, shared by calls that ask for the same."""
        signed = ""
        if self.retracts:
            signed = "presence" if op in ("count", "count_star") else "value"
            op = "sum0"
        numbered = self.merges and op in ("first", "last")
        source = KernelInput(call.args, encoding, call.distinct, signed, numbered)
        kind = encoding.kind if encoding else physical_kind(call.args[0].type) if call.args else I64
        if signed == "presence":
            kind = I64
        spec: KernelSpec = (op, kind, flags)
        if numbered:
            spec = ("min_by" if op == "first" else "max_by", kind, flags, I64)
        for i, (other_spec, other_source) in enumerate(zip(self.kernels, self._inputs)):
            if other_spec == spec and other_source == source:
                return i
        self.kernels.append(spec)
        self._inputs.append(source)
        return len(self.kernels) - 1

    def _count(self, call: AggregateCall) -> int:
        """COUNT reads only validity, so that any type will do."""
        fits = physical_kind(call.args[0].type) in (I64, F64)
        return self._kernel("count", call, encoding=None if fits else Presence())

    def _plan(self, call: AggregateCall) -> Callable[[Sequence[Column]], Column]:
        type, args = call.result_type, call.args
        if call.op in ("count", "count_star"):
            at = self._count(call) if call.op == "count" else self._kernel("count_star", call)
            return lambda physical: physical[at].with_type(type)
        source = args[0].type
        if call.op in ("sum", "sum0", "avg") and logical.is_decimal(source):
            limbs = [
                self._kernel(call.op.replace("avg", "sum"), call, encoding=encoding)
                for encoding in decimals.limbs_of(source)
            ]
            if call.op == "sum" and self.retracts:
                counted = self._count(call)
                return lambda physical: decimals.from_limbs(
                    [_null_at_zero(physical[i], physical[counted]) for i in limbs], type
                )
            if call.op != "avg":
                return lambda physical: decimals.from_limbs([physical[i] for i in limbs], type)
            count = self._count(call)
            return lambda physical: decimals.average(
                [physical[i] for i in limbs], physical[count], source, type
            )
        if call.op == "avg":
            total, count = self._kernel("sum", call), self._count(call)
            return lambda physical: _average(physical[total], physical[count], type)
        if call.op in ("sum", "sum0"):
            at = self._kernel(call.op, call, ROUND_TO_FLOAT if type == logical.FLOAT else 0)
            if call.op == "sum" and self.retracts:
                counted = self._count(call)
                return lambda physical: _narrowed(_null_at_zero(physical[at], physical[counted]), type)
            return lambda physical: _narrowed(physical[at], type)
        if physical_kind(source) == ARROW:
            encoding = decimals.Ordered(source)
            at = self._kernel(call.op, call, encoding=encoding)
            return lambda physical: encoding.decode(physical[at])
        at = self._kernel(call.op, call)
        return lambda physical: physical[at].with_type(type)


def _narrowed(column: Column, type: pa.DataType) -> Column:
    """A 64-bit sum as its narrower integer type holds it: wrapped."""
    if not logical.is_integer(type) or type.bit_width == 64:
        return column.with_type(type)
    return Column.from_numpy(narrow(column.to_numpy(), type), type, column.valid_mask())


def _null_at_zero(column: Column, count: Column) -> Column:
    """A sum is null when every value that went into it was taken back."""
    present = count.to_numpy() > 0
    return column if present.all() else Column.from_numpy(column.to_numpy(), column.type, present)


def _average(total: Column, count: Column, type: pa.DataType) -> Column:
    counts = count.to_numpy()
    present = counts > 0
    divisor = np.where(present, counts, 1)
    if logical.is_integer(type):
        values = narrow(truncated_quotient(total.to_numpy(), divisor), type)
    else:
        values = rounded(total.to_numpy() / divisor, type)
    return Column.from_numpy(values, type, None if present.all() else present)
