# SPDX-License-Identifier: Apache-2.0
"""Functions of the user on rows: map, flat_map, filter, process, and the same with keyed state and timers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from flinkcore import options
from flinkcore._native.values import detached, extend_detached, map_detached
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import from_rows, row_kinds_of, to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import FlinkcoreError, UserFunctionError
from flinkcore.expr.stages import Stage
from flinkcore.expr.translate import Translation, translate_condition, translate_record
from flinkcore.expr.translate.flat import FlatTranslation, translate_flat
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.operators.functions import (
    CheckpointedFunction,
    Function,
    FunctionInitializationContext,
    FunctionSnapshotContext,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    ProcessFunction,
    TimerService,
    function_name,
    own_copy,
)
from flinkcore.operators.keyed import KeyedTimers, KeyedTimerService, UnkeyedTimerService
from flinkcore.operators.row_output import RowOutput, not_iterable, timestamps_of
from flinkcore.operators.runtime_context import OperatorRuntimeContext
from flinkcore.operators.translated import Translated
from flinkcore.state.keyed import KeyedState
from flinkcore.state.operator import OperatorStates
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from flinkcore.time.domain import TimeDomain

#: on_timer of functions that have none of their own.
_NO_TIMERS = (
    KeyedProcessFunction.on_timer,
    KeyedCoProcessFunction.on_timer,
    KeyedBroadcastProcessFunction.on_timer,
)


class RowOperator(Operator):
    """An operator that calls one function of the user for each record.

    function : a Function, or a callable
    method : the name of the Function's method that is called for a record
    keyed : whether batches carry keys; then the function may use keyed state
    key_schema : how keys look to the function; None for a bare value
    """

    method = "map"
    needs_state = False  # whether there is keyed state even for a plain callable

    def __init__(
        self,
        schema: Schema,
        function: Any,
        schema_out: Schema,
        keyed: bool = False,
        key_schema: Schema | None = None,
    ) -> None:
        self.schema = schema
        self.function = function
        self.schema_out = schema_out
        self.keyed = keyed
        self.key_schema = key_schema
        self.function_name = function_name(function)

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._function = own_copy(self.function)
        self._call: Callable[..., Any] = getattr(self._function, self.method, self._function)
        self._what = f"operator '{context.name}': {self.function_name}"
        self.state: KeyedState | None = None
        if self.keyed and (self.needs_state or isinstance(self._function, Function)):
            self.state = KeyedState(context.state, context.clock, self.key_schema)
        self.operator_state = OperatorStates(context.state)
        if isinstance(self._function, CheckpointedFunction):
            initial = FunctionInitializationContext(self.operator_state, context.state.source is not None)
            self._guard("initialize_state", self._function.initialize_state, initial)
        if hasattr(self._function, "open"):
            runtime = OperatorRuntimeContext(context, self.state, self.operator_state)
            self._guard("open", self._function.open, runtime)

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        if isinstance(self._function, CheckpointedFunction):
            moment = FunctionSnapshotContext(checkpoint_id, self.context.clock.now_ms())
            self._guard("snapshot_state", self._function.snapshot_state, moment)

    def close(self) -> None:
        function = getattr(self, "_function", None)
        if function is not None and hasattr(function, "close"):
            self._guard("close", function.close)

    def output_schema(self) -> Schema:
        return self.schema_out

    def describe(self) -> OperatorDescription:
        return OperatorDescription(
            False, self.function_name, f"{self.function_name} is called for each record"
        )

    @property
    def fires_timers(self) -> bool:
        """Whether there are timers that a function of the user hears of; then batch mode calls finish_key."""
        return False

    def finish_key(self) -> None:
        """In batch mode a key has had its last record."""

    def _ids(self, batch: Batch) -> list[int] | None:
        """Group id of each record; None when there is no state."""
        if self.state is None:
            return None
        assert batch.keys is not None
        return self.state.intern(batch.keys, batch.key_hashes)

    def _guard(self, method: str, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except FlinkcoreError:
            raise
        except Exception as error:
            raise UserFunctionError(self.context.name, f"{self.function_name}.{method}", error) from error

    def _failed(self, error: Exception, row: Any, position: int) -> Exception:
        """The error to raise for a record that a function failed on."""
        return UserFunctionError(self.context.name, self.function_name, error, row, position)


class TranslatedRows(RowOperator):
    """A function that sees nothing but its record, and runs on columns where it can."""

    def translate(self, function: Any) -> Translation:
        """The function on columns. NotTranslated: says why it cannot be"""
        raise NotImplementedError(type(self).__name__)

    def describe(self) -> OperatorDescription:
        return Translated(lambda: self.translate(self.function)).describe(self.function_name)

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._translated = Translated(lambda: self.translate(self._function), context.config)

    def known_schema(self) -> Schema:
        """The schema of what comes out, with the type of Python objects where the function says it."""
        if self.schema_out.form != "object":
            return self.schema_out
        translation = self._as_opened().translation
        return Schema.of_objects(None if translation is None else translation.type_given)

    def _as_opened(self) -> Translated:
        """The translation; before the operator is open, the one that it will have if the job translates functions."""
        opened = getattr(self, "_translated", None)
        return opened or Translated(lambda: self.translate(self.function))


class MapRows(TranslatedRows):
    """One record out for one in, at its timestamp."""

    method = "map"

    def translate(self, function: Any) -> Translation:
        return translate_record(function, self.method, self.schema, self.schema_out)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        columns = self._translated.ask(batch, self.context.metrics, Translation.columns)
        if columns is not None:
            self.out.batch(Batch(self.schema_out, columns, batch.num_rows, batch.timestamps_ms))
            return
        rows, ids, call = to_rows(batch), self._ids(batch), self._call
        found: list[Any] = []
        try:
            if ids is None:
                map_detached(call, rows, found)
            else:
                state, add = self.state, found.append
                for row, state.current in zip(rows, ids):  # type: ignore[union-attr]
                    add(detached(call(row)))
        except Exception as error:
            raise self._failed(error, rows[len(found)], len(found)) from error
        if self.state is not None:
            self.state.release_unused()
        self.out.batch(
            Batch(
                self.schema_out,
                from_rows(found, self.schema_out, self._what),
                len(found),
                batch.timestamps_ms,
                row_kinds_of(found),
            )
        )

    def stage(self) -> Stage | None:
        translated = self._as_opened()
        if translated.translation is None or "object" in (self.schema.form, self.schema_out.form):
            return None
        return Stage(self.schema_out, columns=translated.translation.fields, ready=translated.ready)


class FilterRows(TranslatedRows):
    """Keeps the records for which the function says true; their columns are not touched."""

    method = "filter"

    def __init__(
        self, schema: Schema, function: Any, keyed: bool = False, key_schema: Schema | None = None
    ) -> None:
        super().__init__(schema, function, schema, keyed, key_schema)

    def translate(self, function: Any) -> Translation:
        return translate_condition(function, self.method, self.schema)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        mask = self._translated.ask(batch, self.context.metrics, Translation.mask)
        if mask is None:
            mask = self._mask_by_rows(batch)
        batch = batch.filter(mask)
        if batch.num_rows:
            self.out.batch(batch)

    def stage(self) -> Stage | None:
        translated = self._as_opened()
        if translated.translation is None or self.schema.form == "object":
            return None
        return Stage(self.schema, condition=translated.translation.fields[0], ready=translated.ready)

    def _mask_by_rows(self, batch: Batch) -> np.ndarray:
        rows, ids, call = to_rows(batch), self._ids(batch), self._call
        kept: list[bool] = []
        add = kept.append
        try:
            if ids is None:
                for row in rows:
                    add(bool(call(row)))
            else:
                state = self.state
                for row, state.current in zip(rows, ids):  # type: ignore[union-attr]
                    add(bool(call(row)))
        except Exception as error:
            raise self._failed(error, rows[len(kept)], len(kept)) from error
        if self.state is not None:
            self.state.release_unused()
        return np.array(kept, bool)


class FlatMapRows(TranslatedRows):
    """Any number of records out for one in, at its timestamp."""

    method = "flat_map"

    def translate(self, function: Any) -> Translation:
        return translate_flat(function, self.method, self.schema, self.schema_out)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        made = self._translated.ask(batch, self.context.metrics, FlatTranslation.records)  # type: ignore[arg-type]
        if made is not None:
            columns, parents = made
            if len(parents):
                timestamps = None if batch.timestamps_ms is None else batch.timestamps_ms[parents.rows]
                self.out.batch(Batch(self.schema_out, columns, len(parents), timestamps))
            return
        rows, ids, call = to_rows(batch), self._ids(batch), self._call
        found: list[Any] = []
        ends: list[int] = []
        end = ends.append
        state = self.state
        try:
            for position, row in enumerate(rows):
                if ids is not None:
                    state.current = ids[position]  # type: ignore[union-attr]
                results = call(row)
                if results is not None:
                    if not isinstance(results, Iterable):
                        raise TypeError(not_iterable(results))
                    extend_detached(found, results)
                end(len(found))
        except Exception as error:
            raise self._failed(error, rows[len(ends)], len(ends)) from error
        if state is not None:
            state.release_unused()
        if not found:
            return
        timestamps = batch.timestamps_ms
        if timestamps is not None:
            timestamps = np.repeat(timestamps, np.diff(np.array([0, *ends])))
        self.out.batch(
            Batch(
                self.schema_out,
                from_rows(found, self.schema_out, self._what),
                len(found),
                timestamps,
                row_kinds_of(found),
            )
        )


class _RecordContext(ProcessFunction.Context):
    """What a ProcessFunction sees beside its record; one object, changed from record to record."""

    def __init__(self, timer_service: TimerService) -> None:
        self._timer_service = timer_service
        self.timestamp_ms = MIN_TIMESTAMP

    def timer_service(self) -> TimerService:
        return self._timer_service

    def timestamp(self) -> Any:
        return None if self.timestamp_ms == MIN_TIMESTAMP else self.timestamp_ms


class _KeyedRecordContext(_RecordContext, KeyedProcessFunction.OnTimerContext):
    """The same for keyed functions and for timers."""

    def __init__(self, timer_service: TimerService, state: KeyedState) -> None:
        super().__init__(timer_service)
        self._state = state
        self.domain = TimeDomain.EVENT_TIME

    def get_current_key(self) -> Any:
        return self._state.current_key()

    def time_domain(self) -> TimeDomain:
        return self.domain


class ProcessRows(RowOperator):
    """A ProcessFunction, on a stream without keys; on a keyed one it has keyed state and timers, too."""

    method = "process_element"

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._emitted = RowOutput(self.schema_out, self._what, out, context.config.get(options.BATCH_ROWS))
        self._timers: KeyedTimers | None = None
        if self.state is None:
            self._time = UnkeyedTimerService(context)
            self._record: Any = _RecordContext(self._time)
        else:
            self._timers = KeyedTimers(context, self.state)
            self._record = _KeyedRecordContext(KeyedTimerService(self._timers, context), self.state)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        rows, ids, call = to_rows(batch), self._ids(batch), self._call
        record, emit, state = self._record, self._emitted.emit, self.state
        position = 0
        try:
            for position, (row, timestamp_ms) in enumerate(zip(rows, timestamps_of(batch))):
                if ids is not None:
                    state.current = ids[position]  # type: ignore[union-attr]
                record.timestamp_ms = timestamp_ms
                results = call(row, record)
                if results is not None:
                    emit(results, timestamp_ms)
        except Exception as error:
            raise self._failed(error, rows[position], position) from error
        if state is not None:
            state.release_unused()
        self._emitted.flush()

    def process_watermark(self, watermark_ms: int) -> None:
        if self._timers is None:
            self._time.watermark_ms = watermark_ms
        else:
            self._record.domain = TimeDomain.EVENT_TIME
            self._timers.fire_event(watermark_ms, self._on_timer)
            self._emitted.flush()
        super().process_watermark(watermark_ms)

    def process_timer(self, now_ms: int) -> None:
        if self._timers is not None:
            self._record.domain = TimeDomain.PROCESSING_TIME
            self._timers.fire_processing(now_ms, self._on_timer)
            self._emitted.flush()

    @property
    def fires_timers(self) -> bool:
        own = getattr(type(self._function), "on_timer", None)
        return self._timers is not None and own not in (None, *_NO_TIMERS)

    def finish_key(self) -> None:
        """Its timers fire, and can register no others (Flink: BatchExecutionInternalTimeService.setCurrentKey)."""
        assert self._timers is not None
        self._timers.quiesced = True
        self._record.domain = TimeDomain.EVENT_TIME
        self._timers.fire_event(MAX_WATERMARK, self._on_timer)
        self._record.domain = TimeDomain.PROCESSING_TIME
        self._timers.fire_processing(MAX_WATERMARK, self._on_timer)
        self._timers.quiesced = False
        self._timers.watermark_ms = MIN_TIMESTAMP
        self._emitted.flush()

    def unfired(self) -> str | None:
        waiting = 0 if self._timers is None else len(self._timers.event)
        return f"{waiting} event-time timers" if waiting else None

    def _on_timer(self, timestamp_ms: int, namespace: Any) -> None:
        """Results carry the timer's timestamp, in both time domains, as in PyFlink."""
        self._record.timestamp_ms = timestamp_ms
        try:
            self._emitted.emit(self._function.on_timer(timestamp_ms, self._record), timestamp_ms)
        except Exception as error:
            timer = f"timer {timestamp_ms} ({self._record.domain.name.lower().replace('_', ' ')})"
            try:
                timer += f" of key {self._record.get_current_key()!r}"
            except Exception:  # a key without a text of its own hides no error
                timer += " of a key that cannot be shown"
            raise UserFunctionError(
                self.context.name, f"{self.function_name}.on_timer, {timer}", error
            ) from error
        self._emitted.flush_when_full()


class KeyedProcessRows(ProcessRows):
    """A KeyedProcessFunction."""

    needs_state = True

    def __init__(
        self, schema: Schema, function: Any, schema_out: Schema, key_schema: Schema | None = None
    ) -> None:
        super().__init__(schema, function, schema_out, True, key_schema)
