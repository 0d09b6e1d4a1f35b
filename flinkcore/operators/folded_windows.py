# SPDX-License-Identifier: Apache-2.0
"""FoldedWindows: event-time windows of an AggregateFunction or a reduce function, on columns where they can be.

A function that expr.translate understands folds whole batches into native accumulators. Where it is not understood, or
when a batch comes that columns cannot answer for, the windows are those of RowWindow; from then on, since what Python
made may be what columns do not hold. State of either form becomes the other when a job is restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flinkcore import options
from flinkcore._native.agg import Accumulators
from flinkcore._native.values import detached
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import FlinkcoreError, JobCancelledError, UserFunctionError
from flinkcore.expr.folded import FoldedFields
from flinkcore.expr.translate import NotTranslated, Translation, Unequal
from flinkcore.expr.translate.fold import (
    Fold,
    field_schema,
    translate_aggregate,
    translate_reduce,
    translate_result,
)
from flinkcore.operators.base import OperatorContext, OperatorDescription, Output
from flinkcore.operators.folding import FoldOnColumns, fold_on_columns, leaves_columns, way_of
from flinkcore.operators.functions import (
    AggregateFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    ReduceFunction,
    function_name,
)
from flinkcore.operators.row_window import RowWindow
from flinkcore.state.keys import KeyIndex
from flinkcore.time import MIN_TIMESTAMP
from flinkcore.time.triggers import EventTimeTrigger
from flinkcore.time.windows import TimeWindow

RESULTS_BETWEEN_CHECKS = 1024


class FoldedWindows(RowWindow):
    """The base of operators that keep the windows of a RowWindow in columns. Which windows, and where, is theirs."""

    assigned: tuple[type, ...]  # the assigners whose windows they are

    @classmethod
    def takes(
        cls,
        assigner: Any,
        *,
        trigger: Any = None,
        evictor: Any = None,
        reduce: Any = None,
        aggregate: Any = None,
        **others: Any,
    ) -> bool:
        """Whether windows of such settings may run on columns, if their function can."""
        return (
            type(assigner) in cls.assigned
            and (trigger is None or type(trigger) is EventTimeTrigger)
            and evictor is None
            and (reduce is not None or isinstance(aggregate, AggregateFunction))
        )

    def __init__(self, schema: Schema, assigner: Any, schema_out: Schema, **settings: Any) -> None:
        RowWindow.__init__(self, schema, assigner, schema_out, **settings)
        self._columns: FoldOnColumns | None = None  # None: by rows

    # -- what is theirs -----------------------------------------------------------------------------------

    def merged(self, fold: Fold, function: Any) -> int:
        """How many accumulators may be merged to one, by kernels; 1: none are."""
        raise NotImplementedError(type(self).__name__)

    def add_columns(self, batch: Batch) -> None:
        """A batch, whose records have timestamps, for windows in columns."""
        raise NotImplementedError(type(self).__name__)

    def advance_columns(self, watermark_ms: int) -> None:
        raise NotImplementedError(type(self).__name__)

    def open_columns(self, fields: FoldedFields) -> None:
        """Takes over what a snapshot holds, in either form. Unequal: it does not fit, and stays as it is"""
        raise NotImplementedError(type(self).__name__)

    def leave_columns(self, fields: FoldedFields) -> None:
        """What windows hold goes to rows."""
        raise NotImplementedError(type(self).__name__)

    def way(self, fold: Fold) -> str:
        """How records get into windows, for explain()."""
        raise NotImplementedError(type(self).__name__)

    def times(self) -> dict[str, Any]:
        """What tells the windows from others, in values of JSON."""
        raise NotImplementedError(type(self).__name__)

    # -- life ---------------------------------------------------------------------------------------------

    def open(self, context: OperatorContext, out: Output) -> None:
        self.shown: dict[str, Any] = {}
        self.reason: str | None = None  # why rows are taken one by one
        self._is_read = False
        self._again: Batch | None = None  # the record for which a window fires again
        self._result: Translation | None = None
        RowWindow.open(self, context, out)

    def _folds(self) -> bool:
        return True

    def _restore_contents(self) -> None:
        columns = self._translated()
        if columns is not None:
            self.shown = {"fold": columns.fields.describe()}
            try:
                self._columns = columns
                self.open_columns(columns.fields)
                columns.recount()
                return
            except Unequal as reason:
                self._by_rows(str(reason))
        RowWindow._restore_contents(self)

    def _read(self, function: Any) -> Fold:
        """The function on columns. NotTranslated: says why it cannot be"""
        if self.aggregate is not None:
            return translate_aggregate(function, self.schema, self.accumulator_type)
        return translate_reduce(function.reduce if isinstance(function, ReduceFunction) else function, self.schema)

    def _translated(self) -> FoldOnColumns | None:
        if not self.context.config.get(options.TRANSLATE_FUNCTIONS):
            self.reason = f"{options.TRANSLATE_FUNCTIONS.key} is false"
            return None
        function = self._functions[-1]
        try:
            fold = self._read(function)
            merged = self.merged(fold, function)
            columns = fold_on_columns(fold, self.held, self._contents.call, self.context.metrics, merged)
        except NotTranslated as reason:
            self.reason = str(reason)
            return None
        self._is_read = True
        # Without another function, what records are reduced to is the result.
        self._is_result = self.aggregate is self.window_function is None and self.schema_out == self.schema
        self._get_result = None if self.aggregate is None else function.get_result
        if self.aggregate is not None and self.window_function is None:
            try:
                self._result = translate_result(function, fold.shape, self.schema_out)
            except NotTranslated:
                pass  # Python is asked for each result
        return columns

    def restored_time(self) -> int:
        return self._timers.watermark_ms

    def describe(self) -> OperatorDescription:
        by_rows = RowWindow.describe(self)
        function = self.aggregate if self.aggregate is not None else self.reduce
        try:
            fold = self._read(function)
            text = f"{way_of(fold)}{self.way(fold)}{self._way_of_results(fold)}"
        except NotTranslated as reason:
            why = f"{self.function_name} is called for each record: {reason}"
            return OperatorDescription(False, by_rows.detail, why)
        return OperatorDescription(True, f"{self.assigner!r}: {text}")

    def _way_of_results(self, fold: Fold) -> str:
        """What is called for each result, for explain()."""
        if self.window_function is not None:
            return f"; {function_name(self.window_function)} is called for each result"
        if self.aggregate is not None:
            try:
                translate_result(self.aggregate, fold.shape, self.schema_out)
            except NotTranslated as reason:
                return f"; get_result is called for each result: {reason}"
        return ""

    @property
    def waits_for_watermarks(self) -> bool:
        return True

    # -- input --------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        if self._columns is not None and batch.num_rows:
            if batch.timestamps_ms is None or int(batch.timestamps_ms.min()) == MIN_TIMESTAMP:
                self._by_rows("records without timestamps")
            else:
                self.add_columns(batch)
                return
        self._process_rows(batch)

    def _process_rows(self, batch: Batch) -> None:
        if self._columns is None:
            if self._is_read:
                self.context.metrics.count("rows_by_python", batch.num_rows)
            RowWindow.process_batch(self, batch)

    def process_watermark(self, watermark_ms: int) -> None:
        if self._columns is None:
            RowWindow.process_watermark(self, watermark_ms)
            return
        self._timers.watermark_ms = watermark_ms
        self.advance_columns(watermark_ms)

    # -- columns ------------------------------------------------------------------------------------------

    @property
    def index(self) -> KeyIndex:
        assert self.state.keys is not None
        return self.state.keys

    def accumulators(self) -> Accumulators:
        assert self._columns is not None
        return self._columns.fields.accumulators()

    def intern(self, batch: Batch) -> np.ndarray:
        assert batch.keys is not None
        return self.state.intern_kept(batch.keys, batch.key_hashes)

    def event_times(self, batch: Batch) -> np.ndarray:
        assert batch.timestamps_ms is not None
        return batch.timestamps_ms

    def drop_late(self, batch: Batch) -> None:
        self._drop_late(batch, range(batch.num_rows))

    def emit(
        self, accumulators: Accumulators, rows: np.ndarray, groups: np.ndarray, starts_ms: Any, ends_ms: Any
    ) -> None:
        assert self._columns is not None
        count = len(rows)
        if not count:
            return
        columns = self._columns.fields.fields(accumulators, rows)
        stamps = np.full(count, ends_ms) - 1
        if self._is_result:
            made = [column.with_type(type) for column, type in zip(columns, self.schema_out.types)]
            self.out.batch(Batch(self.schema_out, made, count, stamps))
            return
        if self._result is not None:
            try:
                made = self._result.columns(Batch(field_schema(self._columns.fold.shape), columns, count))
                self.out.batch(Batch(self.schema_out, made, count, stamps))
                return
            except Unequal:
                pass
        get_result = self._get_result
        values = self._columns.fold.shape.objects(columns)
        self._call(groups, starts_ms, ends_ms, lambda key, window, i: self._evaluate(
            key, window, self._context, [values[i] if get_result is None else detached(get_result(values[i]))]
        ))  # fmt: skip

    def count_overflows(self, accumulators: Accumulators) -> None:
        assert not accumulators.sum_overflows, "sums of integers that wrapped are no sums of Python's"

    def clears_windows(self) -> bool:
        """Whether the window function wants to know which windows go."""
        bases = (ProcessWindowFunction, ProcessAllWindowFunction)
        clear = getattr(type(self.window_function), "clear", None)
        return clear is not None and not any(clear is base.clear for base in bases)

    def gone(self, groups: np.ndarray, starts_ms: Any, ends_ms: Any) -> None:
        """Windows of some keys are over."""
        if self.clears_windows():
            clear = self._functions[0].clear
            self._call(groups, starts_ms, ends_ms, lambda key, window, i: clear(self._context))

    def _call(self, groups: np.ndarray, starts_ms: Any, ends_ms: Any, call: Any) -> None:
        """call(key, window, i) for the key of each of some groups, with its window; emits what it returns.

        starts_ms, ends_ms : of the windows, for each or one for all
        """
        state, context = self.state, self._context
        starts, ends = (np.broadcast_to(times, len(groups)).tolist() for times in (starts_ms, ends_ms))
        window = context.current = TimeWindow(0, 0)
        try:
            for i, (state.current, start, end) in enumerate(zip(groups.tolist(), starts, ends)):
                if window.start != start or window.end != end:
                    window = context.current = TimeWindow(start, end)
                self._emitted.emit(call(state.current_key(), window, i), window.max_timestamp())
                if i % RESULTS_BETWEEN_CHECKS == 0:
                    self._emitted.flush_when_full()
                    if self.context.interrupted():
                        raise JobCancelledError(f"operator '{self.context.name}' was cancelled while windows fired")
        except FlinkcoreError:
            raise
        except Exception as error:
            name = self.context.name
            if self._again is not None:
                raise UserFunctionError(name, self.function_name, error, to_rows(self._again)[0], 0) from error
            where = f"at timer {window.max_timestamp()} of {window!r} of key {state.current_key()!r}"
            raise UserFunctionError(name, f"{self.function_name}, {where},", error) from error
        state.current = state.no_key
        self._emitted.flush()

    # -- from one form to the other -----------------------------------------------------------------------

    def _by_rows(self, reason: str) -> None:
        """What windows hold goes to rows, and all that comes from now on."""
        leaves_columns(self.context, self.function_name, reason)
        self.reason = reason
        columns, self._columns = self._columns, None
        assert columns is not None
        self.leave_columns(columns.fields)
        if self.state.keys is not None:
            self.state.release_others(np.zeros(self.state.keys.id_bound, bool))

    def description(self) -> dict[str, Any] | None:
        """How accumulators lie in columns, in values of JSON; None when there are none."""
        columns = self._columns
        return None if columns is None else {**self.times(), **columns.fields.describe()}

    def _fits(self, fields: FoldedFields) -> bool:
        """Whether accumulators of a snapshot are those of the program, of the same windows."""
        return bool({**self.times(), **fields.describe()} == self._stored)

    def held(self) -> Sequence[Accumulators]:
        """All accumulators."""
        raise NotImplementedError(type(self).__name__)

    def _forget_rows(self) -> None:
        """Rows and timers are over, when columns hold what they held."""
        tables, timers, state = [self._contents.table], self._timers, self.state
        if self._in_flight is not None:
            tables.append(self._in_flight)
        for table in tables:
            for window, of_window in list(table.rows.items()):
                for group_id in list(of_window):
                    table.remove(window, group_id)
        for timer in list(timers.event):
            state.current = timer.group_id
            timers.delete_event(timer.timestamp_ms, timer.namespace)
        state.current = state.no_key
