# SPDX-License-Identifier: Apache-2.0
"""Folds of functions of the user at work: records go into the accumulators that are kept in columns."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import BYTES, I64, Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.expr.evaluate import BatchRows
from flinkcore.expr.folded import FoldedFields
from flinkcore.expr.translate import NotTranslated, Unequal
from flinkcore.expr.translate.exact import FLOAT, INT, NUMBERS, STR, without_none
from flinkcore.expr.translate.fold import Fold
from flinkcore.expr.translate.loop import DTYPES, Loop
from flinkcore.expr.translate.numbers import SAME
from flinkcore.expr.translate.program import Program
from flinkcore.expr.translate.translation import as_python
from flinkcore.expr.translate.updates import Update
from flinkcore.expr.typed import InputColumn, Invocation, Typed
from flinkcore.expr.vector import Vector
from flinkcore.metrics.operator import OperatorMetrics
from flinkcore.operators.base import OperatorContext

log = logging.getLogger(__name__)


def leaves_columns(context: OperatorContext, function_name: str, reason: str) -> None:
    """Says that a function that ran on columns is called for each record from now on."""
    log.info("operator '%s': %s is called for each record from now on: %s", context.name, function_name, reason)
    context.metrics.count("functions_by_python")


def way_of(fold: Fold) -> str:
    """How a fold runs, for explain(). NotTranslated: it does not"""
    _check(fold)
    if fold.updates is not None:
        return f"{fold.text}, as columns"
    fields = f"field {', '.join(map(str, fold.others))} depends" if fold.shape.kind != "value" else "it depends"
    text = f"{fold.text}, as columns, a record of each key at a time, since {fields} on what was there"
    try:
        Loop(fold)
    except NotTranslated as reason:
        return f"{text}; without a compiled loop: {reason}"
    return f"{text}; by a compiled loop after {LOOP_ROWS_MIN:,} records"


class OrderShows(Exception):
    """Records after which merged accumulators would not be those of all records in their order. None is in."""


def merges_freely(fold: Fold) -> bool:
    """Whether accumulators of a fold may be merged by kernels, in any order, as far as the function says.

    A first or last value is the same in any order when it is the key: see FoldByKernels.
    """
    return fold.updates is not None and all(
        update.op in ("min", "max", "keep")
        or (update.op == "sum" and type == INT)
        or (update.op in ("first", "last") and type in (INT, STR) and _is_field(update.value))
        for update, type in zip(fold.updates, fold.shape.types)
    )


def _is_field(value: Typed | None) -> bool:
    """Whether it is a field of records as they come."""
    if isinstance(value, Invocation) and value.function is SAME:
        (value,) = value.args
    return isinstance(value, InputColumn)


class FoldOnColumns:
    """Runs a fold over accumulators that native ones hold.

    What is Unequal has changed nothing: Python has to be asked, for all of the batch.

    merged : how many accumulators may become one, by kernels and in any order of their records
    """

    merged = 1

    def __init__(self, fold: Fold, fields: FoldedFields) -> None:
        self.fold = fold
        self.fields = fields

    def recount(self) -> None:
        """The accumulators came from elsewhere."""

    def saw(self, accumulators: Accumulators, ids: np.ndarray) -> None:
        """Some accumulators came from elsewhere."""

    def check_order(self, batch: Batch) -> None:
        """OrderShows: `merged` has to be 1 for this batch to go in. Unequal: as for update"""

    def admits_merges(self, count: int) -> bool:
        """Whether so many accumulators may be merged into others by kernels, as they are."""
        return True

    def update(
        self,
        panes: list[Accumulators],
        pane_of_row: np.ndarray,
        ids: np.ndarray,
        batch: Batch,
        rows: np.ndarray | None = None,
    ) -> None:
        """Adds record i, or record rows[i] of the batch, to row ids[i] of panes[pane_of_row[i]]."""
        raise NotImplementedError(type(self).__name__)

    def running(self, accumulators: Accumulators, ids: np.ndarray, batch: Batch) -> list[Column]:
        """Adds record i to row ids[i]; -> the fields of its row after each"""
        raise NotImplementedError(type(self).__name__)


def fold_on_columns(
    fold: Fold,
    every: Callable[[], Iterable[Accumulators]],
    call: Callable[[Any, Any], Any],
    metrics: OperatorMetrics,
    merged: int = 1,
) -> FoldOnColumns:
    """The way to run a fold.

    every : the accumulators that there are;  call : the function itself, of an accumulator or None and a record
    merged : so many accumulators may become one
    NotTranslated : there is none
    """
    if fold.updates is not None:
        return FoldByKernels(fold, fold.updates, every, merged)
    _check(fold)
    return FoldInRounds(fold, call, metrics)


def _check(fold: Fold) -> None:
    if fold.updates is None and not all(type in NUMBERS for type in fold.shape.types):
        raise NotTranslated("what a record does to a str depends on what is there")


class FoldByKernels(FoldOnColumns):
    """A fold whose fields are aggregates that kernels know.

    every : the accumulators that there are, whose integers say how far sums are from their limits
    """

    def __init__(
        self,
        fold: Fold,
        updates: Sequence[Update],
        every: Callable[[], Iterable[Accumulators]],
        merged: int = 1,
    ) -> None:
        super().__init__(fold, FoldedFields(fold.shape, updates))
        self.merged = merged
        self._every = every
        self._values = [(update, type) for update, type in zip(updates, fold.shape.types) if update.value is not None]
        self._sums = [i for i, (update, type) in enumerate(self._values) if update.op == "sum" and type == INT]
        self._most = [0] * len(self._values)  # no sum of integers is further from 0
        self._known: tuple[Batch, list[Column]] | None = None  # what was made of the batch that comes
        self.recount()

    def recount(self) -> None:
        """Sees how far sums are from 0."""
        self._most = [0] * len(self._values)
        for accumulators in self._every() if self._sums else ():
            self.saw(accumulators, accumulators.used_ids())

    def saw(self, accumulators: Accumulators, ids: np.ndarray) -> None:
        if self._sums:
            results = accumulators.results(ids)
            for i in self._sums:
                self._most[i] = max(self._most[i], _most(results[i].to_numpy()))

    def update(
        self,
        panes: list[Accumulators],
        pane_of_row: np.ndarray,
        ids: np.ndarray,
        batch: Batch,
        rows: np.ndarray | None = None,
    ) -> None:
        arguments = self._arguments(batch, ids, rows)
        if len(panes) == 1:
            panes[0].update(ids, arguments)
        else:
            Accumulators.update_panes(panes, pane_of_row, ids, arguments)

    def running(self, accumulators: Accumulators, ids: np.ndarray, batch: Batch) -> list[Column]:
        _, after, _ = accumulators.update_running(ids, self._arguments(batch, ids))
        return self.fields.of_results(after, len(ids))

    def _arguments(
        self, batch: Batch, ids: np.ndarray, rows: np.ndarray | None = None
    ) -> list[tuple[Column, ...]]:
        """What the native accumulators take of a batch."""
        known, self._known = self._known, None
        columns = known[1] if known is not None and known[0] is batch else self.fold.columns(batch)
        if rows is not None:
            columns = [column.take(rows) for column in columns]
        if not self._values:
            columns = [Column.from_numpy(np.zeros(len(ids), np.int64))]
        for i, (update, type) in enumerate(self._values):
            if type == INT and update.op == "sum":
                self._admit(i, update, columns[i].to_numpy(), ids)
            elif type == FLOAT and update.op in ("min", "max") and update.start is not None:
                columns[i] = _without_nan(columns[i])  # nothing is less than NaN
        return [(column,) for column in columns]

    def check_order(self, batch: Batch) -> None:
        columns = self.fold.columns(batch)
        self._known = batch, columns
        for (update, type), column in zip(self._values, columns):
            if update.op in ("first", "last") and not _is_key(batch, column):
                raise OrderShows("the first of several values")
            if update.op in ("min", "max") and type == FLOAT:
                values = column.to_numpy()
                if (np.isnan(values) | ((values == 0) & np.signbit(values))).any():
                    raise OrderShows("the first of NaN and others, or of zeros that differ in their sign")

    def admits_merges(self, count: int) -> bool:
        if any(self._most[i] * (count + 1) > _room(self._values[i][0]) for i in self._sums):
            self.recount()
            if any(self._most[i] * (count + 1) > _room(self._values[i][0]) for i in self._sums):
                return False
        for i in self._sums:
            self._most[i] *= count + 1
        return True

    def _admit(self, i: int, update: Update, values: np.ndarray, ids: np.ndarray) -> None:
        """Unequal when a sum of integers might leave its limits, which no sum in Python does."""
        room = _room(update) // self.merged
        more = _most(values) * len(values)
        if self._most[i] + more > room >> 8:  # not far from it: what does the most filled row get?
            weights = np.abs(values.astype(np.float64))
            more = min(more, int(np.bincount(ids, weights).max() * (1 + 2.0**-20)) + 1)
        if self._most[i] + more > room:
            self.recount()
            if self._most[i] + more > room:
                raise Unequal("sums of integers that may need more bits")
        self._most[i] += more


def _room(update: Update) -> int:
    """How far from 0 a sum of integers may be, beside what it starts with."""
    return min(update.limits[1], -update.limits[0]) - abs(update.start[0] if update.start else 0)


def _most(values: np.ndarray) -> int:
    return max(abs(int(values.min())), abs(int(values.max()))) if len(values) else 0


def _is_key(batch: Batch, column: Column) -> bool:
    """Whether a column holds what is one of the fields of each record's key."""
    if column.valid_mask() is not None:
        return False
    for key in batch.keys or ():
        if key.kind == column.kind and key.valid_mask() is None:
            if key.kind == I64 and np.array_equal(key.to_numpy(), column.to_numpy()):
                return True
            if key.kind == BYTES and key.to_arrow().equals(column.to_arrow()):
                return True
    return False


def _without_nan(column: Column) -> Column:
    values = column.to_numpy()
    absent = np.isnan(values)
    if not absent.any():
        return column
    valid = column.valid_mask()
    return Column.from_numpy(values, column.type, ~absent if valid is None else valid & ~absent)


ROWS_MIN = 48  # fewer are done sooner by calling the function than by calling NumPy
LOOP_ROWS_MIN = 1_000_000  # before a loop is compiled, which takes a second or two of a processor


class FoldInRounds(FoldOnColumns):
    """A fold whose records depend on what is there: the first records of all rows together, then the second ones, ...

    Where few rows have so many records in a batch, Python is called for the rest of these; until a loop is compiled
    that takes all records in their order.
    """

    def __init__(self, fold: Fold, call: Callable[[Any, Any], Any], metrics: OperatorMetrics) -> None:
        nowhere = (0, 0)
        super().__init__(
            fold, FoldedFields(fold.shape, [Update("last", None, None, nowhere) for _ in fold.shape.types])
        )
        self._call = call
        self._metrics = metrics
        self._step = Program(fold.step)
        self._first = Program(fold.first)
        self._starts = fold.starts
        self._ranks = Accumulators([("count_star", I64, 0)])
        self._places = np.zeros(0, np.int32)  # of the ids of a batch among its rows
        self._loop: Loop | None = None
        self._rows_until_loop = LOOP_ROWS_MIN
        with suppress(NotTranslated):
            self._loop = Loop(fold)

    def update(
        self,
        panes: list[Accumulators],
        pane_of_row: np.ndarray,
        ids: np.ndarray,
        batch: Batch,
        rows: np.ndarray | None = None,
    ) -> None:
        self.fold.check(batch)
        if rows is not None:
            batch = batch.take(rows)
        self._count(len(ids))
        made = []
        for place, pane in enumerate(panes):
            mine, some = ids, batch
            if len(panes) > 1:
                here = np.flatnonzero(pane_of_row == place)
                mine, some = ids[here], batch.take(here)
            made.append((pane, *self._run(pane, mine, some, None)))
        for pane, distinct, state in made:
            self._write(pane, distinct, state)

    def running(self, accumulators: Accumulators, ids: np.ndarray, batch: Batch) -> list[Column]:
        self.fold.check(batch)
        self._count(len(ids))
        after = [np.empty(len(ids), DTYPES[type]) for type in self.fold.shape.types]
        self._write(accumulators, *self._run(accumulators, ids, batch, after))
        return [Column.from_numpy(values, type) for values, type in zip(after, self.fold.shape.types)]

    def _count(self, rows: int) -> None:
        """Has a loop compiled, by another thread, when there are rows enough for that to pay."""
        before, self._rows_until_loop = self._rows_until_loop, self._rows_until_loop - rows
        if self._loop is not None and self._rows_until_loop <= 0 < before:
            compile_beside(self._loop)

    def _write(self, accumulators: Accumulators, distinct: np.ndarray, state: list[np.ndarray]) -> None:
        accumulators.update(distinct, [(Column.from_numpy(values),) for values in state])

    def _run(
        self, accumulators: Accumulators, ids: np.ndarray, batch: Batch, after: list[np.ndarray] | None
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """The ids of a batch, each once, and their fields when all records are in.

        after : where the fields after each record go
        """
        self._ranks.update(ids, [()])
        distinct = self._ranks.used_ids()
        self._ranks.clear_all()
        if len(self._places) <= distinct[-1]:
            self._places = np.zeros(2 * int(distinct[-1]) + 1, np.int32)
        self._places[distinct] = np.arange(len(distinct), dtype=np.int32)
        at = self._places[ids]
        results = accumulators.results(distinct)
        valid = results[0].valid_mask()
        is_new = np.zeros(len(distinct), bool) if valid is None else ~valid
        makes_first = self._starts is None and valid is not None
        rows = BatchRows(lambda index: as_python(batch.column(index)), batch.num_rows, 0)

        if self._loop is not None and self._loop.is_ready:
            state = self._state(results, is_new)
            try:
                self._loop.run(rows, at, is_new.copy() if makes_first else np.zeros_like(is_new), state, after)
                return distinct, state
            except Unequal:
                pass  # it may be that others can
        state = self._state(results, is_new)
        self._in_rounds(batch, rows, ids, at, state, is_new, makes_first, after)
        return distinct, state

    def _state(self, results: Sequence[Column], is_new: np.ndarray) -> list[np.ndarray]:
        """The fields of rows, to be changed."""
        state = [np.array(column.to_numpy()) for column in results]
        if self._starts is not None:
            for values, start in zip(state, self._starts):
                values[is_new] = start
        return state

    def _in_rounds(
        self,
        batch: Batch,
        rows: BatchRows,
        ids: np.ndarray,
        at: np.ndarray,
        state: list[np.ndarray],
        is_new: np.ndarray,
        makes_first: bool,
        after: list[np.ndarray] | None,
    ) -> None:
        _, (counts,), _ = self._ranks.update_running(ids, [()])
        self._ranks.clear_all()
        ranks = counts.to_numpy() - 1
        order = np.argsort(ranks.astype(np.uint16) if len(ids) < 1 << 16 else ranks, kind="stable")
        ends = np.cumsum(np.bincount(ranks))
        rounds = int(np.count_nonzero(np.diff(ends, prepend=0) >= ROWS_MIN))
        records = rows.take(order)
        start = 0
        for end in ends[:rounds].tolist():
            where = at[order[start:end]]
            if start == 0 and makes_first:
                fresh = is_new[where]
                for program, places in ((self._first, np.flatnonzero(fresh)), (self._step, np.flatnonzero(~fresh))):
                    if len(places):
                        self._round(program, records, places, where[places], state)
            else:
                self._round(self._step, records, slice(start, end), where, state)
            if after is not None:
                for values, found in zip(after, state):
                    values[order[start:end]] = found[where]
            start = end
        if start < len(ids):
            self._by_python(batch, np.sort(order[start:]), at, state, is_new if start == 0 else None, after)

    def _round(
        self, program: Program, records: BatchRows, some: Any, where: np.ndarray, state: list[np.ndarray]
    ) -> None:
        """One record each for the rows at some places. some : which of the records"""
        count = self.fold.record_fields

        def vector(index: int) -> Vector:
            if index < count:
                return _part(records.vector(index), some)
            place = index - count
            return Vector(self.fold.shape.types[place], state[place][where])

        found = program.run(BatchRows(vector, len(where), 0))
        values = [without_none(each).values() for each in found]
        for target, made in zip(state, values):
            target[where] = made

    def _by_python(
        self,
        batch: Batch,
        rows: np.ndarray,
        at: np.ndarray,
        state: list[np.ndarray],
        is_new: np.ndarray | None,
        after: list[np.ndarray] | None,
    ) -> None:
        """The records at some rows of the batch, one by one."""
        shape, call = self.fold.shape, self._call
        places = at[rows]
        distinct = np.unique(places)
        columns = [Column.from_numpy(values[distinct], type) for values, type in zip(state, shape.types)]
        values = dict(zip(distinct.tolist(), shape.objects(columns)))
        if is_new is not None:
            values.update(dict.fromkeys(distinct[is_new[distinct]].tolist()))
        passed = []
        try:
            for place, record in zip(places.tolist(), to_rows(batch.take(rows))):
                values[place] = made = call(values[place], record)
                if after is not None:
                    passed.append(made)
        except Exception as error:
            raise Unequal(f"{type(error).__name__} for a record") from error
        for target, column in zip(state, shape.columns(list(values.values()))):
            target[distinct] = column.to_numpy()
        if after is not None:
            for target, column in zip(after, shape.columns(passed)):
                target[rows] = column.to_numpy()
        self._metrics.count("rows_by_python", len(rows))


def compile_beside(loop: Loop) -> None:
    """Compiles a loop while others work. Python waits for it when it ends, as the compiler is not to be torn away."""
    threading.Thread(target=compiled, args=(loop,), name="compiles a fold").start()


def compiled(loop: Loop) -> None:
    """Compiles a loop, or says why not."""
    try:
        loop.compile()
    except Exception:
        log.warning("a fold could not be compiled, and goes on without", exc_info=True)


def _part(vector: Vector, some: Any) -> Vector:
    """The values at some places: a slice of them, or positions."""
    if vector.constant or not isinstance(some, slice):
        return vector.take(some)
    if not vector.native:
        return Vector(vector.type, arrow=vector.arrow().slice(some.start, some.stop - some.start))
    valid = vector.valid()
    return Vector(vector.type, vector.values()[some], None if valid is None else valid[some])
