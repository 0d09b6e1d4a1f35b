# SPDX-License-Identifier: Apache-2.0
"""Functions of a record that give several: a loop over the parts of a text, as of a word count.

What is understood is one loop over `text.split()` or `text.split(separator)`: a for statement that yields once for each
part, `yield from`, or a comprehension or the list itself that is returned. Parts are split on whole columns, then the
loop's body is that of any other function, of the record and the part.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import cached_property
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore._native.split import split
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.expr.evaluate import BatchRows
from flinkcore.expr.translate.builder import Builder
from flinkcore.expr.translate.exact import STR
from flinkcore.expr.translate.program import Program
from flinkcore.expr.translate.reader import Fixed, Reader, Scope
from flinkcore.expr.translate.results import outputs
from flinkcore.expr.translate.texts import texts_of
from flinkcore.expr.translate.translation import Translation, as_python, method_of, record_of, text_of
from flinkcore.expr.translate.values import NotTranslated, Value, name_of
from flinkcore.expr.typed import Constant, InputColumn, Typed
from flinkcore.expr.vector import Vector

Results = Callable[[Value], list[Typed]]


class FlatTranslation(Translation):
    """A function from a record to several, on the columns of batches.

    split : the text whose parts the loop goes over;  separator : between them, None for whitespace
    conditions : of the record's columns and, behind them, the part: what has to be true for it to give a record, each
        asked only where those before were true
    fields : of what it gives
    """

    def __init__(
        self,
        text: str,
        split: Typed,
        separator: str | None,
        conditions: Sequence[Typed],
        fields: Sequence[Typed],
        fixed: Sequence[Fixed],
        record_fields: int,
    ) -> None:
        super().__init__(text, (), fixed)
        self._split = Program([split])
        self._separator = separator
        self._conditions = [Program([condition]) for condition in conditions]
        self._results = Program(fields)
        self._record_fields = record_fields

    def records(self, batch: Batch) -> tuple[list[Column], Parents]:
        """The fields of all records that come out, and of which row each is. Unequal: ask Python"""
        self.check(batch)

        def column(index: int) -> Vector:
            return as_python(batch.column(index))

        (text,) = self._split.run(BatchRows(column, batch.num_rows, 0))
        texts = texts_of(text)
        if text.constant:
            texts = pa.repeat(texts, batch.num_rows)
        separator = None if self._separator is None else self._separator.encode()
        parts, bounds = split(Column.from_arrow(texts), separator)
        parents = Parents(bounds)
        for condition in self._conditions:
            (found,) = condition.run(self._rows(column, parts, parents))
            kept = found.to_mask(len(parents))
            parts, parents = parts.take(np.flatnonzero(kept)), parents.filter(kept)
        made = self._results.run(self._rows(column, parts, parents))
        return self.as_given([vector.to_column(len(parents)) for vector in made]), parents

    def _rows(self, column: Callable[[int], Vector], parts: Column, parents: Parents) -> BatchRows:
        """The parts, each with the record that it is of."""
        known: dict[int, Vector] = {}

        def vector(index: int) -> Vector:
            if index not in known:
                is_part = index == self._record_fields
                known[index] = Vector.of_column(parts) if is_part else column(index).take(parents.rows)
            return known[index]

        return BatchRows(vector, len(parents), 0)


class Parents:
    """Of which row each part is. Rows are spelled out when they are asked for: a word count needs none of them.

    bounds : int64[n + 1]: row i has the parts [bounds[i], bounds[i + 1])
    """

    def __init__(self, bounds: np.ndarray) -> None:
        self._bounds = bounds

    def __len__(self) -> int:
        return int(self._bounds[-1])

    @cached_property
    def rows(self) -> np.ndarray:
        """int64: the row of each part."""
        return np.repeat(np.arange(len(self._bounds) - 1), np.diff(self._bounds))

    def filter(self, kept: np.ndarray) -> Parents:
        """Those of the parts where bool[m] `kept` is True."""
        before = np.zeros(len(kept) + 1, np.int64)
        np.cumsum(kept, out=before[1:])
        return Parents(before[self._bounds])


def translate_flat(function: Any, method: str, schema: Schema, schema_out: Schema) -> FlatTranslation:
    """A function from records to any number of records of a declared type, or of Python objects of one type.

    method : of the function, where it is an object of a class
    NotTranslated : says why
    """
    build = Builder()
    reader = _FlatReader(build)
    body = method_of(function, method)
    record = record_of(schema, takes_known=True)
    part = InputColumn(len(schema.names), "part", STR, False)

    def results(value: Value) -> list[Typed]:
        return outputs(build, value, schema_out)

    try:
        split, separator, conditions, fields = reader.loop(body, record, part, results)
        if not fields:
            raise NotTranslated("it gives records without fields")
        translation = FlatTranslation(
            text_of(body), split, separator, conditions, fields, reader.fixed, len(schema.names)
        )
        translation.known = schema.known
        translation.gives_objects = schema_out.form == "object"
        translation.type_given = fields[0].type
        return translation
    except RecursionError:
        raise NotTranslated("it is nested too deep") from None


class _FlatReader(Reader):
    """Reads the one loop of a function."""

    def loop(
        self, called: FunctionType | MethodType, record: Value, part: Typed, results: Results
    ) -> tuple[Typed, str | None, list[Typed], list[Typed]]:
        """-> the text that is split, the separator, the conditions, and the fields of what the body yields"""
        node, scope = self.entered(called, [record])
        with self.build.made_here() as made:
            iterable, target, body, scope = self._head(node, scope)
            text, separator = self._split(iterable, scope)
        (text,) = self.build.after([text], made)
        if target is None:
            with self.build.made_here() as made:
                fields = results(part)
            return text, separator, [], self.build.after(fields, made)
        return text, separator, *self._body(body, scope.having(target, part), results)

    def _head(
        self, node: ast.Lambda | ast.FunctionDef, scope: Scope
    ) -> tuple[ast.expr, str | None, Sequence[ast.stmt], Scope]:
        """-> what the loop goes over, the name of its variable, None without one, its body, and the names before it"""
        if isinstance(node, ast.Lambda):
            return (*_comprehended(node.body), scope)
        statements = list(node.body)
        while statements:
            match statements:
                case [ast.Pass() | ast.Expr(value=ast.Constant()), *rest]:
                    statements = rest
                case [ast.Assign(targets=[ast.Name() as target], value=value), *rest] if rest:
                    scope = self.assigned(target, self.read(value, scope), scope)
                    statements = rest
                case [ast.For(target=ast.Name(id=name), iter=iterable, body=body, orelse=[])]:
                    return iterable, name, body, scope
                case [ast.Expr(value=ast.YieldFrom(value=value))] | [ast.Return(value=ast.expr() as value)]:
                    return (*_comprehended(value), scope)
                case _:
                    raise NotTranslated(f"`{ast.unparse(statements[0]).splitlines()[0]}`")
        raise NotTranslated("it gives nothing")

    def _split(self, node: ast.expr, scope: Scope) -> tuple[Typed, str | None]:
        match node:
            case ast.Call(func=ast.Attribute(value=value, attr="split"), args=args, keywords=[]) if len(args) < 2:
                text = self.read(value, scope)
                given = [self.read(arg, scope) for arg in args]
                if not isinstance(text, Typed) or text.type != STR:
                    raise NotTranslated(f"split of {name_of(text)}")
                separator = given[0] if given else Constant(None, STR)
                if isinstance(separator, Constant) and separator.value is None:
                    return text, None
                if isinstance(separator, Constant) and type(separator.value) is str and _is_text(separator.value):
                    return text, separator.value
        raise NotTranslated(f"a loop over `{ast.unparse(node)}`, which is no text.split()")

    def _body(
        self, statements: Sequence[ast.stmt], scope: Scope, results: Results
    ) -> tuple[list[Typed], list[Typed]]:
        """-> the conditions, and the fields of what is yielded where all are true"""
        conditions: list[Typed] = []
        while True:
            with self.build.made_here() as made:
                condition, value, statements, scope = self._until_condition(statements, scope)
                found = [condition] if condition is not None else results(value)  # type: ignore[arg-type]
            found = self.build.after(found, made)
            if condition is None:
                return conditions, found
            conditions += found

    def _until_condition(
        self, statements: Sequence[ast.stmt], scope: Scope
    ) -> tuple[Typed | None, Value | None, Sequence[ast.stmt], Scope]:
        """-> the next condition, with the statements that are done where it is true; or the value that is yielded"""
        build, rest = self.build, list(statements)
        while rest:
            statement, *rest = rest
            match statement:
                case ast.Pass() | ast.Expr(value=ast.Constant()):
                    continue
                case ast.Assign(targets=[target], value=value):
                    scope = self.assigned(target, self.read(value, scope), scope)
                case ast.If(test=test, body=[ast.Continue()], orelse=[]):
                    return build.inverse(build.truth(self.read(test, scope))), None, rest, scope
                case ast.If(test=test, body=body, orelse=[]) if not rest:
                    return build.truth(self.read(test, scope)), None, body, scope
                case ast.Expr(value=ast.Yield(value=ast.expr() as value)) if not rest:
                    return None, self.read(value, scope), (), scope
                case _:
                    raise NotTranslated(f"`{ast.unparse(statement).splitlines()[0]}` in a loop")
        raise NotTranslated("a loop that does not end with a yield")


def _is_text(value: str) -> bool:
    """Whether a text can hold it: it is not empty, and no half of a letter."""
    try:
        return bool(value.encode())
    except UnicodeEncodeError:
        return False


def _comprehended(node: ast.expr) -> tuple[ast.expr, str | None, Sequence[ast.stmt]]:
    """What a comprehension goes over, its variable, and its body as statements; of anything else, its items."""
    match node:
        case ast.ListComp(elt=element, generators=[loop]) | ast.GeneratorExp(elt=element, generators=[loop]):
            if isinstance(loop.target, ast.Name) and not loop.is_async:
                body: list[ast.stmt] = [ast.Expr(ast.Yield(element))]
                for test in reversed(loop.ifs):
                    body = [ast.If(test, body, [])]
                return loop.iter, loop.target.id, body
    return node, None, ()
