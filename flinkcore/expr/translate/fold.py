# SPDX-License-Identifier: Apache-2.0
"""Functions that fold records into an accumulator: AggregateFunction.add and ReduceFunction, read like any other.

A fold is a function of (fields of a record, fields of an accumulator) -> fields of the next accumulator. Where each
field is a sum, a minimum and so on of something that only records say, the field has an Update, and kernels that know
nothing of the function do the work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.encode import from_pylist
from flinkcore.columnar.fields import ValueFault
from flinkcore.columnar.row import Row, make_row
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import BasicType
from flinkcore.expr.translate.builder import Builder
from flinkcore.expr.translate.choice import CHOOSE
from flinkcore.expr.translate.exact import BOOL, FLOAT, INT, STR, Unequal
from flinkcore.expr.translate.numbers import INT_OF_BOOL, TO_DOUBLE
from flinkcore.expr.translate.reader import Fixed, Reader
from flinkcore.expr.translate.translation import (
    Translation,
    method_of,
    record_of,
    text_of,
    translate_method,
)
from flinkcore.expr.translate.updates import PYTHON, RANGED, Update, is_of, merges_alike, start_of, updates_of
from flinkcore.expr.translate.values import Choice, Known, NotTranslated, Record, Value, name_of
from flinkcore.expr.typed import Constant, InputColumn, Typed

Convert = Callable[[Builder, Value], Value]

@dataclass(frozen=True)
class Shape:
    """How an accumulator looks in Python.

    kind : "value", of one field, "tuple", "list", "row" or "dict";  names : of a Row's fields, or a dict's keys
    types : of the fields, as the translation knows them
    """

    kind: str
    types: tuple[pa.DataType, ...]
    names: tuple[str, ...] | None = None

    def objects(self, columns: Sequence[Column]) -> list[Any]:
        """Accumulators, of their fields."""
        fields = [column.to_pylist() for column in columns]
        if self.kind == "value":
            return fields[0]
        if self.kind == "tuple":
            return list(zip(*fields))
        if self.kind == "list":
            return [list(values) for values in zip(*fields)]
        if self.kind == "dict":
            assert self.names is not None
            return [dict(zip(self.names, values)) for values in zip(*fields)]
        names = None if self.names is None else list(self.names)
        return [make_row(names, list(values)) for values in zip(*fields)]

    def columns(self, objects: Sequence[Any]) -> list[Column]:
        """The fields of accumulators. Unequal: one of them is no such accumulator"""
        fields = [self._fields(value) for value in objects]
        found = []
        for i, type in enumerate(self.types):
            values = [each[i] for each in fields]
            wanted = PYTHON.get(type)
            if wanted is not None and any(value.__class__ is not wanted for value in values):
                raise Unequal(f"a field of an accumulator that is no {wanted.__name__}")
            try:
                found.append(from_pylist(values, type))
            except ValueFault:
                raise Unequal("an accumulator of values that columns do not hold") from None
        return found

    def _fields(self, value: Any) -> Sequence[Any]:
        if self.kind == "value":
            return (value,)
        kinds: dict[str, Any] = {"tuple": tuple, "list": list, "row": Row, "dict": dict}
        if value.__class__ is not kinds[self.kind] or len(value) != len(self.types):
            raise Unequal(f"an accumulator that is no {self.kind} of {len(self.types)} fields")
        if self.kind == "dict":
            if tuple(value) != self.names:
                raise Unequal("an accumulator with other keys")
            return list(value.values())
        if self.kind == "row":
            names = getattr(value, "_fields", None)
            if (None if not names else tuple(names)) != self.names:
                raise Unequal("an accumulator with other names")
        return list(value)


class Fold(Translation):
    """A fold on the columns of batches.

    shape : of accumulators
    step : the fields behind a record, of its columns and, behind those, the fields before
    first : the fields behind the first record, of its columns
    starts : the fields before the first record, where `step` goes for that, too
    updates : of its fields, when all of them have one;  others : the positions of fields that have none
    """

    def __init__(
        self,
        text: str,
        shape: Shape,
        step: Sequence[Typed],
        first: Sequence[Typed],
        starts: Sequence[Any] | None,
        updates: Sequence[Update | None],
        fixed: Sequence[Fixed],
        record_fields: int,
    ) -> None:
        known = [update for update in updates if update is not None]
        self.others = [i for i, update in enumerate(updates) if update is None]
        values = [] if self.others else [update.value for update in known if update.value is not None]
        super().__init__(text, values, fixed)
        self.shape = shape
        self.step = tuple(step)
        self.first = tuple(first)
        self.starts = None if starts is None else tuple(starts)
        self.updates = None if self.others else tuple(known)
        self.record_fields = record_fields


def translate_aggregate(function: Any, schema: Schema, accumulator_type: Any = None) -> Fold:
    """add and create_accumulator of an AggregateFunction.

    accumulator_type : type information that accumulators are converted to; None for none
    NotTranslated : says why
    """

    def read(build: Builder, reader: Reader, record: Value) -> Fold:
        convert = _conversion_to(accumulator_type)
        created = reader.call(method_of(function, "create_accumulator"), [])
        initial = _constants(created)
        first, shape = _read_fields(build, lambda: convert(build, reader.call(add, [record, created])))
        state = _state(shape, len(schema.names))
        step, again = _read_fields(build, lambda: convert(build, reader.call(add, [record, _as_value(shape, state)])))
        _same_shape(shape, again)
        if isinstance(created, Record) and created.names != shape.names:
            raise NotTranslated(f"its accumulator is {_text(shape)}, created with other names, or in another order")
        starts: list[tuple[Any] | None] = [None] * len(state)
        if len(initial) == len(state):
            starts = [start_of(value, type) for value, type in zip(initial, shape.types)]
        updates = updates_of(build, step, first, state, starts)
        same = len(initial) == len(state) and all(map(is_of, initial, shape.types))
        starts_as_they_are = initial if same else None
        return Fold(text_of(add), shape, step, first, starts_as_they_are, updates, reader.fixed, len(schema.names))

    add = method_of(function, "add")
    return _reading(schema, read)


def translate_reduce(reduce: Any, schema: Schema) -> Fold:
    """A function of what records are reduced to so far and another record, to one that looks like a record.

    NotTranslated : says why
    """

    def read(build: Builder, reader: Reader, record: Value) -> Fold:
        first, shape = _fields(build, record)
        state = _state(shape, len(schema.names))
        step, again = _read_fields(build, lambda: reader.call(reduce, [_as_value(shape, state), record]))
        _same_shape(shape, again)
        step = [_within(build, field, type) for field, type in zip(step, schema.types)]
        updates = updates_of(build, step, first, state, [None] * len(state))
        return Fold(text_of(reduce), shape, step, first, None, updates, reader.fixed, len(schema.names))

    if not isinstance(reduce, (FunctionType, MethodType)):
        raise NotTranslated(f"{name_of(Known(reduce))} is no Python function")
    _check_types(schema)
    return _reading(schema, read, stores=False)


def fold_of_op(op: str, place: int, schema: Schema) -> Fold:
    """A running aggregate of one field of the records of each key.

    op : "sum", "min" and "max" keep the other fields of the first record; "min_by" and "max_by" give a record, the
        first of equal ones; "count" their number
    NotTranslated : says why
    """

    def read(build: Builder, reader: Reader, record: Value) -> Fold:
        operations = reader.operations
        if op == "count":
            one, shape = Constant(1, INT), Shape("value", (INT,))
            state = _state(shape, len(schema.names))
            step = operations.binary("+", state[0], one)
            assert isinstance(step, Typed)
            updates = updates_of(build, [step], [one], state, [(0,)])
            return Fold(op, shape, [step], [one], None, updates, (), len(schema.names))
        first, shape = _fields(build, record)
        state = _state(shape, len(schema.names))
        before, value = state[place], first[place]

        def change() -> Value:
            if op == "sum":
                return operations.binary("+", before, value)
            better = build.truth(operations.compare("<" if op.startswith("min") else ">", value, before))
            if op in ("min", "max"):
                return build.either(better, lambda: value, lambda: before)
            return build.either(better, lambda: _as_value(shape, first), lambda: _as_value(shape, state))

        if op in ("min_by", "max_by"):
            step_fields, _ = _read_fields(build, change)
        else:
            changed, kind = _read_fields(build, change)
            if kind.types != (before.type,):
                raise NotTranslated(f"{op} of {name_of(before)}")
            step_fields = [*state]
            step_fields[place] = changed[0]
        step_fields = [_within(build, field, type) for field, type in zip(step_fields, schema.types)]
        updates = updates_of(build, step_fields, first, state, [None] * len(state))
        return Fold(op, shape, step_fields, first, None, updates, (), len(schema.names))

    _check_types(schema)
    return _reading(schema, read, stores=False)


def _check_types(schema: Schema) -> None:
    for type in schema.types:
        if type is not None and (pa.types.is_uint64(type) or (pa.types.is_floating(type) and type.bit_width < 64)):
            raise NotTranslated(f"its records have a {type}, which holds other numbers than Python")


def kernels_merge(fold: Fold, merge: Any, schema: Schema | None = None, accumulator_type: Any = None) -> bool:
    """Whether a function of two accumulators makes of them what the kernels of a fold do.

    merge : AggregateFunction.merge, or a reduce function; then the records have the `schema`
    """
    if fold.updates is None:
        return False
    build, count = Builder(), len(fold.shape.types)
    convert = _conversion_to(accumulator_type)
    ones, others = _state(fold.shape, 0), _state(fold.shape, count)
    reader = Reader(build, stores=schema is None)
    try:
        with build.made_here():
            values = [_as_value(fold.shape, ones), _as_value(fold.shape, others)]
            merged, shape = _read_fields(build, lambda: convert(build, reader.call(merge, values)))
            if schema is not None:
                merged = [_within(build, field, type) for field, type in zip(merged, schema.types)]
            fold.depends_on(reader.fixed)
            return shape == fold.shape and merges_alike(build, fold.updates, merged, ones, others)
    except (NotTranslated, RecursionError):
        return False


def translate_result(function: Any, shape: Shape, schema_out: Schema) -> Translation:
    """get_result of an AggregateFunction, from accumulators as batches of their fields. NotTranslated: says why"""
    return translate_method(method_of(function, "get_result"), _as_value(shape, _state(shape, 0)), schema_out)


def field_schema(shape: Shape) -> Schema:
    """The fields of accumulators as columns."""
    return Schema([f"f{i}" for i in range(len(shape.types))], list(shape.types), "tuple")


# -- reading -------------------------------------------------------------------------------------------------


def _reading(schema: Schema, read: Callable[[Builder, Reader, Value], Fold], stores: bool = True) -> Fold:
    build = Builder()
    try:
        with build.made_here():
            return read(build, Reader(build, stores), record_of(schema))
    except RecursionError:
        raise NotTranslated("it is nested too deep") from None


def _read_fields(build: Builder, read: Callable[[], Value]) -> tuple[list[Typed], Shape]:
    """The fields of a value with all that is computed on the way."""
    with build.made_here() as made:
        fields, shape = _fields(build, read())
    return build.after(fields, made), shape


def _fields(build: Builder, value: Value) -> tuple[list[Typed], Shape]:
    if isinstance(value, Choice):
        then, shape = _read_fields(build, lambda: value.then)
        other, again = _read_fields(build, lambda: value.other)
        _same_shape(shape, again)
        return [
            a if a is b else build.invoke(CHOOSE, [value.condition, a, b], a.type) for a, b in zip(then, other)
        ], shape
    kind, names = "value", None
    fields: tuple[Value, ...] = (value,)
    if isinstance(value, Record):
        kind, fields, names = value.kind, value.fields, value.names
    found: list[Typed] = []
    for field in fields:
        if isinstance(field, Choice):
            raise NotTranslated(f"its accumulator holds {name_of(field)}")
        if not isinstance(field, Typed) or field.type not in PYTHON:
            raise NotTranslated(f"its accumulator {'is' if kind == 'value' else 'holds'} {name_of(field)}")
        found.append(field)
    if not found:
        raise NotTranslated("its accumulator has no fields")
    return found, Shape(kind, tuple(field.type for field in found), names)


def _same_shape(shape: Shape, again: Shape) -> None:
    if shape != again:
        raise NotTranslated(f"its accumulator is {_text(shape)}, then {_text(again)}")


def _text(shape: Shape) -> str:
    types = ", ".join(PYTHON[type].__name__ if type in PYTHON else str(type) for type in shape.types)
    names = f" named {', '.join(shape.names)}" if shape.names else ""
    return f"of type {types}" if shape.kind == "value" else f"a {shape.kind} of {types}{names}"


def _state(shape: Shape, place: int) -> list[InputColumn]:
    """The fields of an accumulator as columns, behind those of its record."""
    return [InputColumn(place + i, f"accumulator {i}", type, False) for i, type in enumerate(shape.types)]


def _as_value(shape: Shape, fields: Sequence[Typed]) -> Value:
    return fields[0] if shape.kind == "value" else Record(shape.kind, tuple(fields), shape.names)


def _constants(created: Value) -> tuple[Any, ...]:
    fields = created.fields if isinstance(created, Record) else (created,)
    if not fields or not all(isinstance(field, Constant) for field in fields):
        raise NotTranslated(f"create_accumulator returns {name_of(created)} that is not the same for all")
    return tuple(field.value for field in fields)  # type: ignore[union-attr]


# -- declared types ------------------------------------------------------------------------------------------


def _conversion_to(type_info: Any) -> Convert:
    """What flinkcore.state.types.converter makes of a value, on columns."""
    if type_info is None or isinstance(type_info, ti.PickledBytesTypeInfo):
        return lambda build, value: value
    if isinstance(type_info, ti.ExternalTypeInfo):
        return _conversion_to(type_info.type_info)
    if isinstance(type_info, ti.TupleTypeInfo):
        return _conversion_of_fields("tuple", type_info.get_field_types())
    if isinstance(type_info, ti.RowTypeInfo):
        return _conversion_of_fields("row", type_info.get_field_types(), tuple(type_info.get_field_names()))
    if isinstance(type_info, ti.ListTypeInfo):
        return _conversion_of_fields("list", type_info.element_type)
    return lambda build, value: build.spread(value, lambda each: _converted(build, each, type_info))


def _conversion_of_fields(kind: str, types: Any, names: tuple[str, ...] | None = None) -> Convert:
    def convert(build: Builder, value: Value) -> Value:
        def of_one(value: Value) -> Value:
            is_other_row = isinstance(value, Record) and value.kind == "row" and (kind != "row" or value.names != names)
            if not isinstance(value, Record) or value.kind == "dict" or is_other_row:
                raise NotTranslated(f"its accumulator is {name_of(value)} where a {kind} is declared")
            wanted = types if isinstance(types, (list, tuple)) else [types] * len(value.fields)
            if len(wanted) != len(value.fields):
                raise NotTranslated(f"its accumulator has {len(value.fields)} fields of {len(wanted)} declared ones")
            fields = [
                build.spread(field, lambda each, type=type: _converted(build, each, type))  # type: ignore[misc]
                for field, type in zip(value.fields, wanted)
            ]
            return Record(kind, tuple(fields), names)

        return build.spread(value, of_one)

    return convert


_INTEGERS = {BasicType.BYTE: pa.int8(), BasicType.SHORT: pa.int16(), BasicType.INT: pa.int32(), BasicType.LONG: INT}


def _converted(build: Builder, value: Value, type_info: Any) -> Value:
    """One field as one of a declared type."""
    basic = getattr(type_info, "basic_type", None)
    if isinstance(value, Typed):
        if basic in _INTEGERS and value.type in (INT, BOOL):
            if isinstance(value, Constant):
                value = Constant(int(str(int(value.value))), INT)  # type: ignore[call-overload]
            elif value.type == BOOL:
                value = build.invoke(INT_OF_BOOL, [value], INT)
            return _within(build, value, _INTEGERS[basic])
        if basic is BasicType.DOUBLE and value.type in (INT, BOOL, FLOAT):
            if isinstance(value, Constant):
                return Constant(float(value.value), FLOAT)  # type: ignore[arg-type]
            return value if value.type == FLOAT else build.invoke(TO_DOUBLE, [value], FLOAT)
        if (basic is BasicType.BOOLEAN and value.type == BOOL) or (basic is BasicType.STRING and value.type == STR):
            return value
    raise NotTranslated(f"its accumulator holds {name_of(value)} where {type_info} is declared")


def _within(build: Builder, value: Typed, type: pa.DataType | None) -> Typed:
    """An integer that has to be one of few bits, where such are declared; others stay."""
    if type is None or not pa.types.is_integer(type) or type.bit_width == 64 or isinstance(value, InputColumn):
        return value
    return build.invoke(RANGED[type], [value], INT)
