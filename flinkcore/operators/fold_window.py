# SPDX-License-Identifier: Apache-2.0
"""FoldWindow: tumbling event-time windows of an AggregateFunction or a reduce function, on columns where they can be.

A function that expr.translate understands folds whole batches into native accumulators, a pane for each window. Where
it is not understood, or when a batch comes that columns cannot answer for, the windows are those of RowWindow; from
then on, since what Python made may be what columns do not hold. State of either form becomes the other when a job is
restored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flinkcore import options
from flinkcore._native.agg import Accumulators
from flinkcore._native.values import detached
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import FlinkcoreError, JobCancelledError, UserFunctionError
from flinkcore.expr.folded import FOLDED, FoldedFields
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
from flinkcore.operators.functions import AggregateFunction, ReduceFunction
from flinkcore.operators.panes import Panes
from flinkcore.operators.row_window import RowWindow
from flinkcore.state.keys import KeyIndex
from flinkcore.state.table import Rows
from flinkcore.time import MIN_TIMESTAMP
from flinkcore.time.assigners import TumblingEventTimeWindows, WindowAssigner
from flinkcore.time.triggers import EventTimeTrigger
from flinkcore.time.windows import TimeWindow

RESULTS_BETWEEN_CHECKS = 1024


class FoldWindow(Panes, RowWindow):
    """The windows of a RowWindow that FoldWindow.takes."""

    part = FOLDED

    @staticmethod
    def takes(
        assigner: WindowAssigner[Any, Any],
        *,
        trigger: Any = None,
        evictor: Any = None,
        reduce: Any = None,
        aggregate: Any = None,
        **others: Any,
    ) -> bool:
        """Whether windows of such settings may run on columns, if their function can."""
        return (
            type(assigner) is TumblingEventTimeWindows
            and (trigger is None or type(trigger) is EventTimeTrigger)
            and evictor is None
            and (reduce is not None or isinstance(aggregate, AggregateFunction))
        )

    def __init__(self, schema: Schema, assigner: Any, schema_out: Schema, **settings: Any) -> None:
        RowWindow.__init__(self, schema, assigner, schema_out, **settings)
        self.cut(assigner.size_ms, None, assigner.offset_ms, self.allowed_lateness_ms)
        self._columns: FoldOnColumns | None = None  # None: by rows

    def _read(self, function: Any) -> Fold:
        """The function on columns. NotTranslated: says why it cannot be"""
        if self.aggregate is not None:
            return translate_aggregate(function, self.schema, self.accumulator_type)
        return translate_reduce(function.reduce if isinstance(function, ReduceFunction) else function, self.schema)

    # -- life ---------------------------------------------------------------------------------------------

    def open(self, context: OperatorContext, out: Output) -> None:
        self.shown = {}
        self.panes = {}
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
                self._to_panes(columns.fields)
                self.open_panes()
                columns.recount()
                return
            except Unequal as reason:
                self._by_rows(str(reason))
        RowWindow._restore_contents(self)

    def _translated(self) -> FoldOnColumns | None:
        if not self.context.config.get(options.TRANSLATE_FUNCTIONS):
            self.reason = f"{options.TRANSLATE_FUNCTIONS.key} is false"
            return None
        function = self._functions[-1]
        try:
            fold = self._read(function)
            columns = fold_on_columns(fold, lambda: self.panes.values(), self._contents.call, self.context.metrics)
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

    def close(self) -> None:
        RowWindow.close(self)

    def output_schema(self) -> Schema:
        return self.schema_out

    def side_schema(self, tag: str) -> Schema | None:
        return RowWindow.side_schema(self, tag)

    def describe(self) -> OperatorDescription:
        by_rows = RowWindow.describe(self)
        function = self.aggregate if self.aggregate is not None else self.reduce
        try:
            text = way_of(self._read(function))
        except NotTranslated as reason:
            why = f"{self.function_name} is called for each record: {reason}"
            return OperatorDescription(False, by_rows.detail, why)
        return OperatorDescription(True, f"{self.assigner!r}: {text}")

    @property
    def waits_for_watermarks(self) -> bool:
        return True

    def unfired(self) -> str | None:
        return RowWindow.unfired(self) if self._columns is None else Panes.unfired(self)

    # -- input --------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        if self._columns is not None and batch.num_rows:
            if batch.timestamps_ms is None or int(batch.timestamps_ms.min()) == MIN_TIMESTAMP:
                self._by_rows("records without timestamps")
            else:
                Panes.process_batch(self, batch)
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
        Panes.process_watermark(self, watermark_ms)

    def process_timer(self, now_ms: int) -> None:
        RowWindow.process_timer(self, now_ms)

    # -- panes --------------------------------------------------------------------------------------------

    @property
    def index(self) -> KeyIndex:  # type: ignore[override]
        assert self.state.keys is not None
        return self.state.keys

    def accumulators(self) -> Accumulators:
        assert self._columns is not None
        return self._columns.fields.accumulators()

    def intern(self, batch: Batch) -> np.ndarray:
        assert batch.keys is not None and batch.key_hashes is not None
        return self.state.intern_kept(batch.keys, batch.key_hashes)

    def add(self, panes: list[Accumulators], pane_of_row: np.ndarray, batch: Batch) -> None:
        assert self._columns is not None
        try:
            self._columns.update(panes, pane_of_row, self.intern(batch), batch)
        except Unequal as reason:
            self._by_rows(str(reason))
            self._process_rows(batch)

    def drop_late(self, batch: Batch) -> None:
        self._drop_late(batch, range(batch.num_rows))

    def _update(self, batch: Batch, times: np.ndarray) -> None:
        if self._columns is None:  # since an earlier part of the batch
            self._process_rows(batch)
        else:
            Panes._update(self, batch, times)

    def _fire_again(self, record: Batch, time_ms: int) -> None:
        if self._columns is not None:  # else it has fired
            self._again = record
            Panes._fire_again(self, record, time_ms)
            self._again = None

    def emit(
        self, accumulators: Accumulators, rows: np.ndarray, groups: np.ndarray, starts_ms: Any, ends_ms: Any
    ) -> None:
        assert self._columns is not None
        if not len(rows):
            return
        columns = self._columns.fields.fields(accumulators, rows)
        if self._is_result:
            made = [column.with_type(type) for column, type in zip(columns, self.schema_out.types)]
            self.out.batch(Batch(self.schema_out, made, len(rows), np.full(len(rows), ends_ms - 1)))
            return
        if self._result is not None:
            try:
                made = self._result.columns(Batch(field_schema(self._columns.fold.shape), columns, len(rows)))
                self.out.batch(Batch(self.schema_out, made, len(rows), np.full(len(rows), ends_ms - 1)))
                return
            except Unequal:
                pass
        window, get_result = TimeWindow(starts_ms, ends_ms), self._get_result
        values = self._columns.fold.shape.objects(columns)
        self._call(window, groups, lambda key, i: self._evaluate(
            key, window, self._context, [values[i] if get_result is None else detached(get_result(values[i]))]
        ))  # fmt: skip

    def count_overflows(self, accumulators: Accumulators) -> None:
        assert not accumulators.sum_overflows, "sums of integers that wrapped are no sums of Python's"

    def expired(self, start: int, pane: Accumulators) -> None:
        clear = getattr(self._functions[0], "clear", None)
        if clear is not None and self.window_function is not None:
            window = TimeWindow(start, start + self.size_ms)
            self._call(window, pane.used_ids(), lambda key, i: clear(self._context))

    def _call(self, window: TimeWindow, groups: np.ndarray, call: Any) -> None:
        """call(key, i) for the key of each of some groups, with the window; emits what it returns."""
        state, context = self.state, self._context
        last_ms = window.max_timestamp()
        context.current = window
        try:
            for i, state.current in enumerate(groups.tolist()):
                self._emitted.emit(call(state.current_key(), i), last_ms)
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
            where = f"at timer {last_ms} of {window!r} of key {state.current_key()!r}"
            raise UserFunctionError(name, f"{self.function_name}, {where},", error) from error
        state.current = state.no_key
        self._emitted.flush()

    def release_others(self, used: np.ndarray) -> None:
        self.state.release_others(used)

    # -- from one form to the other -----------------------------------------------------------------------

    def _by_rows(self, reason: str) -> None:
        """What panes hold goes to rows, and all that comes from now on."""
        leaves_columns(self.context, self.function_name, reason)
        self.reason = reason
        columns, self._columns = self._columns, None
        assert columns is not None
        for start, pane in self.panes.items():
            self._to_rows(start, self.size_ms, pane, columns.fields)
            self.context.state.drop(self.part, start)
        self.panes = {}
        if self.state.keys is not None:
            self.state.release_others(np.zeros(self.state.keys.id_bound, bool))

    def description(self) -> dict[str, Any] | None:
        columns = self._columns
        return None if columns is None else {"size_ms": self.size_ms, **columns.fields.describe()}

    def _to_panes(self, fields: FoldedFields) -> None:
        """What a snapshot holds becomes panes of these fields. Unequal: it does not fit, and stays as it is"""
        state = self.context.state
        aligned = all((start - self.offset_ms) % self.size_ms == 0 for start in state.namespaces(FOLDED))
        if not aligned or {"size_ms": self.size_ms, **fields.describe()} != self._stored:
            RowWindow._restore_contents(self)
        made: dict[int, Accumulators] = {}
        windows: dict[Any, Rows] = self._contents.table.rows
        for window, rows in windows.items():
            if window.end - window.start != self.size_ms or (window.start - self.offset_ms) % self.size_ms:
                raise Unequal("windows of another size")
            pane = made[window.start] = state.budgeted(fields.accumulators())
            fields.put(pane, np.fromiter(rows, np.int32, len(rows)), list(rows.values()))
        for start, pane in made.items():
            state.part(FOLDED, fields.accumulators, start, shown=self.shown).merge_all(pane)
        self._forget_rows()

    def _forget_rows(self) -> None:
        """Rows and timers are over, when panes hold what they held."""
        table, timers, state = self._contents.table, self._timers, self.state
        for window, of_window in list(table.rows.items()):
            for group_id in list(of_window):
                table.remove(window, group_id)
        for timer in list(timers.event):
            state.current = timer.group_id
            timers.delete_event(timer.timestamp_ms, timer.namespace)
        state.current = state.no_key

