# SPDX-License-Identifier: Apache-2.0
"""Functions of a record that give several: a loop over the parts of a text, as of a word count.

What is understood is one loop over `text.split()` or `text.split(separator)`: a for statement that yields once for each
part, `yield from`, or a comprehension or the list itself that is returned. Parts are split on whole columns, then the
loop's body is that of any other function, of the record and the part.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.expr.evaluate import BatchRows
from flinkcore.expr.translate.builder import Builder
from flinkcore.expr.translate.exact import STR
from flinkcore.expr.translate.program import Program
from flinkcore.expr.translate.reader import Fixed, Reader, Scope
from flinkcore.expr.translate.results import outputs
from flinkcore.expr.translate.texts import SPACES, texts_of
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

    def records(self, batch: Batch) -> tuple[list[Column], np.ndarray]:
        """The fields of all records that come out, and of which row each is. Unequal: ask Python"""
        self.check(batch)

        def column(index: int) -> Vector:
            return as_python(batch.column(index))

        (text,) = self._split.run(BatchRows(column, batch.num_rows, 0))
        texts = texts_of(text)
        if text.constant:
            texts = pa.repeat(texts, batch.num_rows)
        parts, parents = _words(texts) if self._separator is None else _parts(texts, self._separator)
        for condition in self._conditions:
            (found,) = condition.run(self._rows(column, parts, parents))
            kept = np.flatnonzero(found.to_mask(len(parents)))
            parts, parents = parts.take(pa.array(kept)), parents[kept]
        made = self._results.run(self._rows(column, parts, parents))
        return self.as_given([vector.to_column(len(parents)) for vector in made]), parents

    def _rows(self, column: Callable[[int], Vector], parts: pa.Array, parents: np.ndarray) -> BatchRows:
        """The parts, each with the record that it is of."""
        known: dict[int, Vector] = {}

        def vector(index: int) -> Vector:
            if index not in known:
                is_part = index == self._record_fields
                known[index] = Vector.of_arrow(parts, STR) if is_part else column(index).take(parents)
            return known[index]

        return BatchRows(vector, len(parents), 0)


def _words(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """str.split() of each text. -> the words of all of them, and of which text each is"""
    count = len(texts)
    offsets = np.zeros(1, np.int32)
    if count:
        offsets = np.frombuffer(texts.buffers()[1], np.int32, count + 1, 4 * texts.offset)
    length = int(offsets[-1] - offsets[0])
    if not length:
        return pa.array([], STR), np.zeros(0, np.int64)
    letters = np.frombuffer(texts.buffers()[2], np.uint8, length, int(offsets[0]))
    if letters.max() < 128 and not ((letters >= 0x1C) & (letters <= 0x1F)).any():
        lists = pc.ascii_split_whitespace(texts)  # 45 ns a word, against 85 of what is below
        words, parents = lists.flatten(), pc.list_parent_indices(lists).to_numpy()
        lengths = pc.binary_length(words).to_numpy()
        if lengths.all():
            return words, parents
        kept = np.flatnonzero(lengths)  # there are empty ones where a text begins or ends with a space
        return words.take(pa.array(kept)), parents[kept]
    bounds = offsets - offsets[0]
    solid = ~_IS_SPACE[letters]
    _unmark_wide_spaces(solid, letters)
    begins, ends = solid.copy(), solid.copy()
    begins[1:] &= ~solid[:-1]
    ends[:-1] &= ~solid[1:]
    first, last = bounds[:-1][bounds[:-1] < bounds[1:]], bounds[1:][bounds[:-1] < bounds[1:]] - 1
    begins[first], ends[last] = solid[first], solid[last]  # of texts side by side without a space
    starts, stops = np.flatnonzero(begins), np.flatnonzero(ends)
    parents = np.repeat(np.arange(count), np.diff(np.searchsorted(starts, bounds)))
    places = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(stops - starts + 1, out=places[1:])
    buffers = [None, pa.py_buffer(places), pa.py_buffer(letters[solid])]
    return pa.Array.from_buffers(STR, len(starts), buffers), parents


_IS_SPACE = np.zeros(256, bool)
_IS_SPACE[list(map(ord, SPACES))] = True
# What str.isspace() says of letters that are not ASCII, in UTF-8.
_WIDE = (0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
_WIDE_SPACES = [chr(c).encode() for c in _WIDE]
_BEGINS_WIDE_SPACE = np.zeros(256, bool)
_BEGINS_WIDE_SPACE[[space[0] for space in _WIDE_SPACES]] = True


def _unmark_wide_spaces(solid: np.ndarray, letters: np.ndarray) -> None:
    """Takes the bytes of spaces that are not ASCII out of a mask. Arrow's utf8_split_whitespace finds not all of them
    in each process."""
    places = np.flatnonzero(_BEGINS_WIDE_SPACE[letters])
    for length in (2, 3):
        bytes_of = [letters[np.minimum(places + i, len(letters) - 1)].astype(np.int32) for i in range(length)]
        codes = [int.from_bytes(space, "big") for space in _WIDE_SPACES if len(space) == length]
        value = sum(byte << 8 * (length - 1 - i) for i, byte in enumerate(bytes_of))
        found = places[np.isin(value, codes)]
        for i in range(length):
            solid[found + i] = False


def _parts(texts: pa.Array, separator: str) -> tuple[pa.Array, np.ndarray]:
    """str.split(separator) of each text, likewise."""
    lists = pc.split_pattern(texts, separator)
    return lists.flatten(), pc.list_parent_indices(lists).to_numpy()


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
                if isinstance(separator, Constant) and type(separator.value) is str and separator.value:
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
