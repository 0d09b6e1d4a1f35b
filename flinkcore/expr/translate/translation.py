# SPDX-License-Identifier: Apache-2.0
"""Functions as expressions on the columns of batches."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.expr.evaluate import BatchRows
from flinkcore.expr.translate.builder import Builder
from flinkcore.expr.translate.exact import FLOAT, INT, Unequal
from flinkcore.expr.translate.program import Program
from flinkcore.expr.translate.reader import Fixed, Reader
from flinkcore.expr.translate.results import output, outputs
from flinkcore.expr.translate.source import NoSourceError, syntax_of
from flinkcore.expr.translate.values import Known, NotTranslated, Record, Value, name_of
from flinkcore.expr.typed import InputColumn, Invocation, Typed
from flinkcore.expr.vector import Vector

BLOCK_ROWS = 32_768


class Translation:
    """A function on the columns of batches of one schema. Pure: it may be asked again for the same rows.

    text : the function, for explain(): a lambda in full, others by their name
    fields : of what it returns
    known : of Python objects, the type that those of a batch have to be known to have
    gives_objects : whether what it returns is Python objects, of the type of the one field
    """

    known: pa.DataType | None = None
    gives_objects = False

    def __init__(self, text: str, fields: Sequence[Typed], fixed: Sequence[Fixed]) -> None:
        self.text = text
        self.fields = tuple(fields)
        self.type_given = fields[0].type if len(fields) == 1 else None
        self._is_moved = [_is_moved(field) for field in fields]
        self._moved = Program([field for field, moved in zip(fields, self._is_moved) if moved])
        self._computed = Program([field for field, moved in zip(fields, self._is_moved) if not moved])
        self._fixed = tuple(fixed)

    def columns(self, batch: Batch) -> list[Column]:
        """The fields of what the function returns for each row. Unequal: ask Python"""
        self.check(batch)
        moved = iter(_run(self._moved, batch))
        blocks = [_run(self._computed, block) for block in _blocks(batch)]
        computed = iter([Column.concat(parts) if len(parts) > 1 else parts[0] for parts in zip(*blocks)])
        return self.as_given([next(moved if is_moved else computed) for is_moved in self._is_moved])

    def as_given(self, columns: list[Column]) -> list[Column]:
        """Columns of what the function returns as those of its stream."""
        return list(map(Column.of_known, columns)) if self.gives_objects else columns

    def mask(self, batch: Batch) -> np.ndarray:
        """bool[n]: where the function returns something true. Unequal: ask Python"""
        self.check(batch)
        program = self._moved if self._is_moved[0] else self._computed
        return np.concatenate(
            [program.run(_rows(block))[0].to_mask(block.num_rows) for block in _blocks(batch)]
        )

    def ready(self, batch: Batch) -> bool:
        """Whether the expressions are the function's, for a batch."""
        return self._knows(batch) and batch.row_kinds is None and all(fixed.stands() for fixed in self._fixed)

    def _knows(self, batch: Batch) -> bool:
        """Whether Python objects are of the type that they were read for."""
        if self.known is None:
            return True
        known = batch.column(0).known
        return known is not None and known.type == self.known

    def depends_on(self, fixed: Sequence[Fixed]) -> None:
        """These names outside are to stand for what they do, too."""
        self._fixed += tuple(fixed)

    def check(self, batch: Batch) -> None:
        """Unequal: ask Python, whatever the columns hold"""
        if not self._knows(batch):
            raise Unequal("Python objects of another type than the function before gives")
        if not self.ready(batch):
            raise Unequal("a changelog, or a constant that changed")


def _is_moved(output: Typed) -> bool:
    """Whether it is a column, perhaps converted."""
    return not isinstance(output, Invocation) or not any(isinstance(arg, Invocation) for arg in output.args)


def _blocks(batch: Batch) -> list[Batch]:
    """Parts of a batch whose intermediate results stay in the cache: a function of seven operations took 9 ns a row in
    blocks of 32,768 rows, 10 in blocks of 16,384, which are more calls, and 14 in one of 65,536."""
    count = batch.num_rows
    return [batch.slice(start, min(BLOCK_ROWS, count - start)) for start in range(0, max(1, count), BLOCK_ROWS)]


def _run(program: Program, batch: Batch) -> list[Column]:
    return [vector.to_column(batch.num_rows) for vector in program.run(_rows(batch))]


def _rows(batch: Batch) -> BatchRows:
    return BatchRows(lambda index: as_python(batch.column(index)), batch.num_rows, 0)


def as_python(column: Column) -> Vector:
    """A column as Python's types see it."""
    vector = Vector.of_column(column if column.known is None else column.known)
    vector.type = _python_type(vector.type)
    return vector


def _python_type(type: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(type):
        return INT
    return FLOAT if pa.types.is_floating(type) else type


def translate_record(function: Any, method: str, schema: Schema, schema_out: Schema) -> Translation:
    """A function from records to records of a declared type, or to Python objects of one type.

    method : of the function, where it is an object of a class
    NotTranslated : says why
    """
    translation = _translate(function, method, schema, lambda build, value: outputs(build, value, schema_out))
    translation.gives_objects = schema_out.form == "object"
    return translation


def translate_condition(function: Any, method: str, schema: Schema) -> Translation:
    """A function from records to something that is true or false. NotTranslated: says why"""
    return _translate(function, method, schema, lambda build, value: [build.truth(value)])


def translate_timestamp(function: Any, method: str, schema: Schema) -> Translation:
    """A function from (record, its timestamp before) to milliseconds, of records only. NotTranslated: says why"""
    before = Known(_Before())
    return _translate(function, method, schema, lambda build, value: outputs(build, value, _MILLISECONDS), before)


def translate_pair(function: Any, method: str, schemas: tuple[Schema, Schema], schema_out: Schema) -> Translation:
    """A function from a record of one stream and one of another to one of a declared type; batches have the columns of
    the first, then those of the second. NotTranslated: says why"""
    first, second = schemas
    given = [record_of(first), record_of(second, len(first))]
    return _reading(method_of(function, method), lambda build, value: outputs(build, value, schema_out), given)


def translate_call(
    function: Any, method: str, types: Sequence[pa.DataType], type: pa.DataType
) -> Translation:
    """A function of the values of some columns to one of a type, or None. NotTranslated: says why"""
    given = [InputColumn(i, f"f{i}", _python_type(each)) for i, each in enumerate(types)]
    return _reading(method_of(function, method), lambda build, value: [output(build, value, type)], given)


class _Before:
    """The timestamp that a record had: no operation takes it."""


_MILLISECONDS = Schema(["timestamp"], [pa.int64()], "value")


def _translate(
    function: Any,
    method: str,
    schema: Schema,
    results: Callable[[Builder, Value], list[Typed]],
    *more: Value,
) -> Translation:
    body = method_of(function, method)
    translation = _reading(body, results, [record_of(schema, takes_known=True), *more])
    translation.known = schema.known
    return translation


def translate_method(body: FunctionType | MethodType, value: Value, schema_out: Schema) -> Translation:
    """A function from a value that columns stand for to one of a declared type. NotTranslated: says why"""
    return _reading(body, lambda build, found: outputs(build, found, schema_out), [value])


def method_of(function: Any, method: str) -> FunctionType | MethodType:
    """The Python code of a function object's method, or of a plain function. NotTranslated: there is none"""
    body = getattr(function, method, function)
    if not isinstance(body.__func__ if isinstance(body, MethodType) else body, FunctionType):
        raise NotTranslated(f"{name_of(Known(body))} is no Python function")
    return body


def text_of(body: FunctionType | MethodType) -> str:
    """A lambda in full, others by their name. NotTranslated: there is no source"""
    plain = body.__func__ if isinstance(body, MethodType) else body
    assert isinstance(plain, FunctionType)
    try:
        node = syntax_of(plain)
    except NoSourceError as error:
        raise NotTranslated(f"it {error}") from None
    return ast.unparse(node) if isinstance(node, ast.Lambda) else plain.__qualname__.rpartition("<locals>.")[2]


def _reading(
    body: FunctionType | MethodType, results: Callable[[Builder, Value], list[Typed]], args: Sequence[Value]
) -> Translation:
    build = Builder()
    reader = Reader(build)
    try:
        with build.made_here() as made:
            found = results(build, reader.call(body, args))
        if not found:
            raise NotTranslated("it returns records without fields")
        return Translation(text_of(body), build.after(found, made), reader.fixed)
    except RecursionError:
        raise NotTranslated("it is nested too deep") from None


def record_of(schema: Schema, place: int = 0, takes_known: bool = False) -> Value:
    """What a function sees of a batch's rows.

    place : of the first of the schema's columns in the batch
    takes_known : whether Python objects may be read where their type is known
    """
    if schema.known is not None and takes_known:
        return InputColumn(place, schema.names[0], _python_type(schema.known))
    fields: list[InputColumn] = []
    for i, (name, type) in enumerate(zip(schema.names, schema.types)):
        if type is None:
            raise NotTranslated("its records are Python objects, of no declared type")
        fields.append(InputColumn(place + i, name, _python_type(type)))
    if schema.form == "value":
        return fields[0]
    is_row = schema.form == "row"
    return Record("row" if is_row else "tuple", tuple(fields), schema.names if is_row else None)
