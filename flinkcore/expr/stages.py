# SPDX-License-Identifier: Apache-2.0
"""Stages: filters and projections one behind the other, as one pass over a batch.

A chain of select, filter, with_columns and of functions that run on columns needs no batch in between: conditions are
computed first, for all rows, and then, for the rows that they leave, the columns that come out at the end. What a pass
cannot do it leaves to the operators themselves, one after the other; so it never raises for a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from flinkcore._native.column import F64, I64, Column, physical_kind
from flinkcore._native.passes import MASK, Pass, mask_rows, mask_words
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.lazy import Gathered, LazyColumn
from flinkcore.columnar.schema import Schema
from flinkcore.expr.lowering import Lowering, Moved, NotLowered, Operand
from flinkcore.expr.patience import Patience
from flinkcore.expr.typed import InputColumn, Invocation, Typed

T = TypeVar("T")


def always(batch: Batch) -> bool:
    return True


@dataclass(frozen=True)
class Stage:
    """What one operator does to a batch: keep the rows where `condition` is TRUE, or compute `columns`.

    schema : of what comes out;  ready : whether a batch may be taken this way
    """

    schema: Schema
    condition: Typed | None = None
    columns: tuple[Typed, ...] | None = None
    ready: Callable[[Batch], bool] = always


@dataclass(frozen=True)
class _Column:
    """A column that comes out: of the batch, or output `value` of the pass, whose validity is output `valid`."""

    moved: int | None = None
    value: int = 0
    valid: int | None = None


@dataclass(frozen=True)
class _Program:
    program: Pass | None  # None: nothing is computed
    columns: tuple[_Column, ...]


class Stages:
    """Some stages over batches of one schema. Not for concurrent use."""

    def __init__(self, schema: Schema, stages: Sequence[Stage]) -> None:
        self._schema = schema
        self._stages = tuple(stages)
        self._filters = any(stage.condition is not None for stage in stages)
        self._projects = any(stage.columns is not None for stage in stages)
        self._read = sorted(_read(self._stages))
        self._masks: dict[frozenset[int], Pass | None] = {}
        self._programs: dict[tuple[frozenset[int], bool], _Program | None] = {}
        self._patience = Patience()

    def run(self, batch: Batch) -> tuple[list[int], Batch] | None:
        """Rows behind each stage, and what comes out of the last; None: the operators have to do it."""
        if not self._patience.tries():
            return None
        if not all(stage.ready(batch) for stage in self._stages):
            return None
        found = self._run(batch)
        self._patience.told(found is not None)
        return found

    def _run(self, batch: Batch) -> tuple[list[int], Batch] | None:
        n = batch.num_rows
        columns: list[Column | None] = [None] * len(self._schema)
        for i in self._read:
            columns[i] = batch.column(i)
        nulls = frozenset(i for i in self._read if batch.column(i).null_count)
        counts, mask = [n] * len(self._stages), None
        if self._filters:
            if nulls not in self._masks:
                self._masks[nulls] = _if_lowered(lambda: self._mask_program(nulls))
            program = self._masks[nulls]
            masks = None if program is None else program.run(columns, n)
            if masks is None:
                return None
            counts = self._counts(n, masks)
            mask = masks[-1]
        count = counts[-1]
        if not self._projects:
            assert mask is not None
            return counts, batch if count == n else batch.take(mask_rows(mask))
        made = self._columns(batch, columns, nulls, None if count == n else mask, count)
        return None if made is None else (counts, made)

    def _counts(self, n: int, masks: Sequence[np.ndarray]) -> list[int]:
        counts, left = [n], iter(masks)
        for stage in self._stages:
            counts.append(int(np.count_nonzero(next(left))) if stage.condition is not None else counts[-1])
        return counts[1:]

    def _columns(
        self,
        batch: Batch,
        columns: Sequence[Column | None],
        nulls: frozenset[int],
        mask: np.ndarray | None,
        count: int,
    ) -> Batch | None:
        """The last stage's batch, of the rows where the mask is 1; None: it has to be computed in another way."""
        key = (nulls, mask is not None)
        if key not in self._programs:
            self._programs[key] = _if_lowered(lambda: self._column_program(nulls, mask is not None))
        program = self._programs[key]
        if program is None:
            return None
        arrays = [] if program.program is None else program.program.run(columns, batch.num_rows, mask, count)
        if arrays is None:
            return None
        schema = self._stages[-1].schema
        rows: np.ndarray | None = None
        if mask is not None and (
            any(each.moved is not None for each in program.columns) or batch.row_kinds is not None
        ):
            rows = mask_rows(mask)
        made: list[Column | LazyColumn] = []
        for each, type in zip(program.columns, schema.types):
            if each.moved is None:
                made.append(_column(arrays, each, type))
            else:
                moved = batch.column(each.moved)
                made.append(moved if rows is None else Gathered(moved, rows))
        if mask is None:
            return Batch(schema, made, count, batch.timestamps_ms, batch.row_kinds)
        timestamps = batch.timestamps_ms
        return Batch(
            schema,
            made,
            count,
            None if timestamps is None else mask_words(timestamps, mask, count),
            None if batch.row_kinds is None else batch.row_kinds[rows],
        )

    # -- programs -------------------------------------------------------------------------------------------

    def why_not(self) -> str | None:
        """Why there is no pass, even for columns without nulls; None when there is one."""
        nothing: frozenset[int] = frozenset()
        try:
            if self._filters:
                self._mask_program(nothing)
            if self._projects:
                self._column_program(nothing, self._filters)
        except NotLowered as reason:
            return str(reason)
        return None

    def _mask_program(self, nulls: frozenset[int]) -> Pass:
        """Puts out, for each filter, where its condition and those before it are TRUE."""
        lowering = Lowering(self._schema.types, nulls)
        masks: list[tuple[int, str]] = []
        when: int | None = None
        for i, stage in enumerate(self._stages):
            if stage.condition is not None:
                condition = lowering.operand(stage.condition, when)
                mask = lowering.both(condition.register, condition.valid)
                assert mask is not None
                when = lowering.narrowed(when, mask)
                masks.append((when, MASK))
            elif any(later.condition is not None for later in self._stages[i + 1 :]):
                lowering.over(_lowered(lowering, stage, when))
        return lowering.program(masks, masked=False)

    def _column_program(self, nulls: frozenset[int], masked: bool) -> _Program:
        lowering = Lowering(self._schema.types, nulls)
        columns: Sequence[Operand | Moved] = ()
        for stage in self._stages:
            if stage.columns is not None:
                columns = _lowered(lowering, stage, None)
                lowering.over(columns)
        outputs: list[tuple[int, str]] = []
        made = []
        for column, type in zip(columns, self._stages[-1].schema.types):
            if isinstance(column, Moved) and (column.type != type or (masked and _is_plain(column, nulls))):
                column = lowering.loaded(column.index)
            if isinstance(column, Moved):
                made.append(_Column(moved=column.index))
                continue
            value, valid = len(outputs), None
            outputs.append((column.register, column.kind))
            if column.valid is not None:
                valid = len(outputs)
                outputs.append((column.valid, MASK))
            made.append(_Column(value=value, valid=valid))
        return _Program(lowering.program(outputs, masked) if outputs or lowering.stops else None, tuple(made))


def _if_lowered(make: Callable[[], T]) -> T | None:
    try:
        return make()
    except NotLowered:
        return None


def _lowered(lowering: Lowering, stage: Stage, when: int | None) -> list[Operand | Moved]:
    """The columns of a stage."""
    assert stage.columns is not None
    made: list[Operand | Moved] = []
    for expression in stage.columns:
        moved = lowering.moved(expression)
        made.append(lowering.operand(expression, when) if moved is None else moved)
    return made


def _is_plain(column: Moved, nulls: frozenset[int]) -> bool:
    """Whether a pass is the fastest way to select rows of a column: of 8 bytes a value, without nulls."""
    return column.index not in nulls and physical_kind(column.type) in (I64, F64)


def _column(arrays: Sequence[np.ndarray], column: _Column, type: pa.DataType | None) -> Column:
    values = arrays[column.value]
    valid = None if column.valid is None else arrays[column.valid].view(bool)
    return Column.from_numpy(values.view(bool) if values.dtype == np.uint8 else values, type, valid)


def _read(stages: Iterable[Stage]) -> set[int]:
    """The columns of the batch that the stages up to the first projection name; what is behind it is made of them."""
    found: set[int] = set()
    for stage in stages:
        expressions = [stage.condition] if stage.condition is not None else list(stage.columns or ())
        seen: set[int] = set()
        while expressions:
            expression = expressions.pop()
            if isinstance(expression, InputColumn):
                found.add(expression.index)
            elif isinstance(expression, Invocation) and id(expression) not in seen:
                seen.add(id(expression))
                expressions.extend(expression.args)
        if stage.columns is not None:
            break
    return found
