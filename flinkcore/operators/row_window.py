# SPDX-License-Identifier: Apache-2.0
"""RowWindow: keyed windows over rows, with any assigner, trigger, evictor and window function.

It follows Flink's WindowOperator and EvictingWindowOperator step by step; windows over columns with built-in
aggregates have operators of their own, which are much faster and give the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flinkcore import options
from flinkcore._native.window import panes_of
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import (
    ConfigurationError,
    DataError,
    FlinkcoreError,
    UnsupportedOperationError,
    UserFunctionError,
)
from flinkcore.expr.folded import FOLDED, FOLDED_PANES, only
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.operators.folded_state import restored_windows
from flinkcore.operators.functions import (
    AggregateFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    as_reduce_function,
    function_name,
    own_copy,
)
from flinkcore.operators.keyed import KeyedTimers
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.row_aggregate import ExpressionAggregate
from flinkcore.operators.row_output import RowOutput, timestamps_of
from flinkcore.operators.runtime_context import OperatorRuntimeContext
from flinkcore.operators.window_contexts import AssignerContext, TriggerContext, WindowContext
from flinkcore.operators.window_functions import (
    AggregatedContents,
    ReducedContents,
    WindowContents,
    evaluator,
)
from flinkcore.state.codec import Codec, codec_of, codec_of_schema
from flinkcore.state.content import Content
from flinkcore.state.keyed import KeyedState
from flinkcore.state.types import converter
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from flinkcore.time.assigners import MergingWindowAssigner, TumblingEventTimeWindows, WindowAssigner
from flinkcore.time.evictors import Evictor, TimestampedValue
from flinkcore.time.merging import MergingWindowSet
from flinkcore.time.triggers import EventTimeTrigger, Trigger, TriggerResult
from flinkcore.time.window_codec import TimestampedValues, window_codec
from flinkcore.time.windows import TimeWindow


class RowWindow(Operator):
    """Windows per key over rows.

    assigner : which windows an element belongs to;  trigger : when they fire, None for the assigner's default
    reduce, aggregate : combine elements as they come (at firing, with an evictor); at most one of them
    accumulator_type : type information of the aggregate's accumulator, None for any Python object
    window_function : what turns a window's elements, or its one combined value, into records; None passes
        them on
    evictor : which elements leave before or after the function
    allowed_lateness_ms : how long after the watermark passed its end an event-time window still takes
        elements
    late_tag : side output of elements that are too late; None drops and counts them
    Source: Flink, WindowOperator and EvictingWindowOperator
    """

    def __init__(
        self,
        schema: Schema,
        assigner: WindowAssigner[Any, Any],
        schema_out: Schema,
        *,
        trigger: Trigger[Any, Any] | None = None,
        reduce: Any = None,
        aggregate: AggregateFunction | None = None,
        accumulator_type: Any = None,
        window_function: Any = None,
        evictor: Evictor | None = None,
        allowed_lateness_ms: int = 0,
        late_tag: OutputTag | None = None,
        key_schema: Schema | None = None,
    ) -> None:
        if not isinstance(assigner, WindowAssigner):
            raise ConfigurationError(f"window expects a WindowAssigner, got {assigner!r}")
        if trigger is not None and not isinstance(trigger, Trigger):
            raise ConfigurationError(f"trigger expects a Trigger, got {trigger!r}")
        if reduce is not None and aggregate is not None:
            raise ConfigurationError("a window has a reduce function or an aggregate function, not both")
        if reduce is None and aggregate is None and window_function is None:
            raise ConfigurationError("a window needs a reduce, aggregate or window function")
        if reduce is not None:
            as_reduce_function(reduce)
        if aggregate is not None and not isinstance(aggregate, AggregateFunction):
            raise TypeError(f"aggregate expects an AggregateFunction, got {aggregate!r}")
        if allowed_lateness_ms < 0:
            raise ConfigurationError(f"The allowed lateness cannot be negative, got {allowed_lateness_ms} ms")
        evaluator(window_function)
        self.schema = schema
        self.assigner = assigner
        self.schema_out = schema_out
        self.trigger: Trigger[Any, Any] = (
            trigger if trigger is not None else assigner.get_default_trigger(None)
        )
        self.reduce = reduce
        self.aggregate = aggregate
        self.accumulator_type = accumulator_type
        self.window_function = window_function
        self.evictor = evictor
        self.allowed_lateness_ms = allowed_lateness_ms
        self.late_tag = late_tag
        self.key_schema = key_schema
        self.merging = isinstance(assigner, MergingWindowAssigner)
        self.function_name = function_name(window_function or reduce or aggregate)
        if self.merging and not self.trigger.can_merge():
            raise UnsupportedOperationError(
                f"{type(self.trigger).__name__} cannot be used with {assigner!r}: a merging window assigner "
                "cannot be used with a trigger that does not support merging (can_merge)"
            )

    # -- life ---------------------------------------------------------------------------------------------

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._functions = [
            own_copy(f) for f in (self.window_function, self.reduce, self.aggregate) if f is not None
        ]
        self._assigner, self._trigger = own_copy(self.assigner), own_copy(self.trigger)
        self._evictor = own_copy(self.evictor)
        copies = iter(self._functions)
        window_function, reduce, aggregate = (
            next(copies) if f is not None else None
            for f in (self.window_function, self.reduce, self.aggregate)
        )
        window = window_codec(self._assigner.get_window_serializer())
        self.state = KeyedState(context.state, context.clock, self.key_schema, window)
        self._timers = KeyedTimers(context, self.state, window)
        self._emitted = RowOutput(
            self.schema_out,
            f"operator '{context.name}': {self.function_name}",
            out,
            context.config.get(options.BATCH_ROWS),
        )
        self._event_time = self._assigner.is_event_time()
        self._evaluate = evaluator(window_function)
        self._contents = self._make_contents(reduce, aggregate)
        self._contents.bind(self.state, window)
        self._in_flight = (
            self.state.table("merging-window-set", Content("map", window, window)) if self.merging else None
        )
        runtime = OperatorRuntimeContext(context, self.state)
        self._context = WindowContext(self.state, self._timers, runtime, context.clock.now_ms, self.merging)
        self._assigner_context = AssignerContext(context.clock.now_ms, runtime)
        self._trigger_context = TriggerContext(self.state, self._timers, context)
        self._combine = self._combiner(reduce, aggregate) if self._evictor is not None else None
        self._simple = (
            type(self._trigger) is EventTimeTrigger
            and self._event_time
            and not self.merging
            and self._evictor is None
        )
        self._groups = (
            self._simple
            and type(self._contents) is WindowContents
            and isinstance(self._assigner, TumblingEventTimeWindows)
            and not self.allowed_lateness_ms
        )
        clear = getattr(self._functions[0], "clear", None)
        does_nothing = (ProcessWindowFunction.clear, ProcessAllWindowFunction.clear)
        self._clear = None if getattr(clear, "__func__", clear) in does_nothing else clear
        for function in self._functions:
            if hasattr(function, "open"):
                self._guard(function_name(function) + ".open", function.open, runtime)
        self._stored: Any = None
        if self._folds():
            self._stored = context.state.field("fold", None, self.description, only)
        self._restore_contents()

    def close(self) -> None:
        for function in getattr(self, "_functions", ()):
            if hasattr(function, "close"):
                self._guard(function_name(function) + ".close", function.close)

    def output_schema(self) -> Schema:
        return self.schema_out

    def side_schema(self, tag: str) -> Schema | None:
        return self.schema if self.late_tag is not None and self.late_tag.tag_id == tag else None

    def describe(self) -> OperatorDescription:
        return OperatorDescription(
            False,
            f"{self.assigner!r}, {type(self.trigger).__name__}, {self.function_name}",
            f"{self.function_name} is called with rows{self._why_no_columns()}",
        )

    def _why_no_columns(self) -> str:
        """Why a function that folds records is not even tried on columns, for explain()."""
        if self.reduce is None and (self.aggregate is None or isinstance(self.aggregate, ExpressionAggregate)):
            return ""
        if self.evictor is not None:
            return ": an evictor wants to see them"
        if self.assigner.is_event_time() and type(self.trigger) is not EventTimeTrigger:
            return f": {type(self.trigger).__name__} may ask for results after any of them"
        return f": of {type(self.assigner).__name__}, no accumulators are kept in columns"

    @property
    def waits_for_watermarks(self) -> bool:
        return self.assigner.is_event_time()

    def unfired(self) -> str | None:
        next_ms = self._timers.event.next_ms()
        if next_ms is None:
            return None
        return (
            f"{len(self._timers.event)} event-time timers of windows, the first for watermark {next_ms}; "
            f"the watermark is {self._timers.watermark_ms}"
        )

    # -- state of FoldWindow ------------------------------------------------------------------------------

    def _folds(self) -> bool:
        """Whether there are, or may be, accumulators that FoldWindow keeps in columns."""
        state = self.context.state
        return bool(state.namespaces(FOLDED) or state.namespaces(FOLDED_PANES))

    def description(self) -> dict[str, Any] | None:
        """How accumulators lie in columns, in values of JSON; None when there are none."""
        return None

    def _restore_contents(self) -> None:
        """Takes over what was kept in columns, when the operator opens."""
        for window, ids, values in restored_windows(self.context.state, self._stored):
            self._to_rows(window, ids, values)

    def _to_rows(self, window: TimeWindow, ids: Sequence[int], values: Sequence[Any]) -> None:
        """Puts the contents of a window of some keys into the table, with the timers that end it."""
        state, timers = self.state, self._timers
        cleanup_ms, last_ms = self._cleanup_ms(window), window.max_timestamp()
        if cleanup_ms <= timers.watermark_ms:
            return  # of a pane of which only other windows are left
        for state.current, value in zip(ids, values):
            self._contents.table.put(window, state.current, value)
            if cleanup_ms < MAX_WATERMARK:
                timers.register_event(cleanup_ms, window)
            if last_ms > timers.watermark_ms:
                timers.register_event(last_ms, window)
            if self.merging:
                windows = self._windows_of_key()
                windows.mapping[window] = window
                self._keep(windows)
        state.current = state.no_key

    # -- input --------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        assert batch.keys is not None and batch.key_hashes is not None
        has_times = batch.timestamps_ms is not None and batch.num_rows and batch.time_bounds()[0] > MIN_TIMESTAMP
        if self._groups and has_times:
            self._add_in_groups(self._elements(batch, input_index), batch)
            return
        rows, stamps = self._elements(batch, input_index), timestamps_of(batch)
        ids = self.state.intern(batch.keys, batch.key_hashes)
        state, assign, context = self.state, self._assigner.assign_windows, self._assigner_context
        add = self._add_to_session if self.merging else self._add_to_window
        late: list[int] = []
        position = 0
        if self._simple:
            add = self._add_simply
        try:
            for position, (row, timestamp_ms) in enumerate(zip(rows, stamps)):
                state.current = ids[position]
                taken = False
                for window in assign(row, timestamp_ms, context):
                    taken |= add(window, row, timestamp_ms)
                if not taken and self._is_late(timestamp_ms):
                    late.append(position)
        except DataError as error:  # of an assigner of ours: it lacks the place
            raise DataError(
                f"operator '{self.context.name}': {error} (record {position} of its batch: "
                f"{rows[position]!r})"
            ) from error
        except UnsupportedOperationError:
            raise
        except Exception as error:
            raise UserFunctionError(
                self.context.name, self.function_name, error, rows[position], position
            ) from error
        state.release_unused()
        self._emitted.flush()
        if late:
            self._drop_late(batch, late)

    def _add_in_groups(self, elements: list[Any], batch: Batch) -> None:
        """process_batch for tumbling windows under an EventTimeTrigger: all elements of a window and key together.

        A window of a few records costs a third of what it does record by record.
        """
        assert batch.keys is not None and batch.key_hashes is not None and batch.timestamps_ms is not None
        state, table, timers = self.state, self._contents.table, self._timers
        ids = state.intern_array(batch.keys, batch.key_hashes).astype(np.int64)
        starts, window_of_row = panes_of(batch.timestamps_ms, self._assigner.size_ms, self._assigner.offset_ms)
        codes = window_of_row.astype(np.int64) * (int(ids.max()) + 1) + ids
        order = np.argsort(codes, kind="stable")
        begins = np.flatnonzero(np.diff(codes[order], prepend=-1))
        ends = np.append(begins[1:], len(order)).tolist()
        firsts = order[begins]
        windows = [self._assigner.window_at(start) for start in starts.tolist()]
        given = [elements[i] for i in order.tolist()]
        window_of_group, id_of_group = window_of_row[firsts].tolist(), ids[firsts].tolist()
        late: list[int] = []
        first_of_group = begins.tolist()
        for group in np.argsort(firsts).tolist():  # in the order in which they came
            window, group_id = windows[window_of_group[group]], id_of_group[group]
            first, end = first_of_group[group], ends[group]
            last_ms = window.max_timestamp()
            if last_ms <= timers.watermark_ms:
                late += order[first:end].tolist()
                continue
            rows = table.writable(window)
            if rows.touched is not None and group_id not in rows.touched:
                table.touch(rows, group_id)
            found = rows.get(group_id)
            if found is not None:
                found += given[first:end]
                continue
            rows[group_id] = given[first:end]
            state.hold(group_id)
            if last_ms < MAX_WATERMARK:
                state.current = group_id
                timers.register_event(last_ms, window)
        state.release_unused()
        if late:
            self._drop_late(batch, sorted(late))

    def _elements(self, batch: Batch, input_index: int) -> list[Any]:
        """The records of a batch as windows hold them."""
        return to_rows(batch)

    def _element_codec(self) -> Codec:
        return codec_of_schema(self.schema)

    def process_watermark(self, watermark_ms: int) -> None:
        if self._groups:
            self._timers.end_event(watermark_ms, self._end_window)
        else:
            self._timers.fire_event(watermark_ms, self._on_event_timer)
        self._emitted.flush()
        self.out.watermark(watermark_ms)

    def process_timer(self, now_ms: int) -> None:
        self._timers.fire_processing(now_ms, self._on_processing_timer)
        self._emitted.flush()

    def _add_to_window(self, window: Any, row: Any, timestamp_ms: int) -> bool:
        """Adds an element to a window that cannot merge; False when the window is gone."""
        cleanup_ms = self._cleanup_ms(window)
        watermark_ms = self._timers.watermark_ms
        if self._event_time and cleanup_ms <= watermark_ms:
            return False
        self._add(window, window, row, timestamp_ms)
        self._register_cleanup(window, cleanup_ms)
        return True

    def _add_simply(self, window: Any, row: Any, timestamp_ms: int) -> bool:
        """_add_to_window under an EventTimeTrigger, whose steps need no calls.

        While a window has contents its timers stand, and it is not late: the timer that ends it clears both.
        """
        state, contents = self.state, self._contents
        if window not in contents.table.rows and self._cleanup_ms(window) <= self._timers.watermark_ms:
            return False
        rows = contents.table.writable(window)
        new = contents.add_to(rows, state.current, row)
        if new:
            state.hold(state.current)
            cleanup_ms = self._cleanup_ms(window)
            if cleanup_ms < MAX_WATERMARK:
                self._timers.register_event(cleanup_ms, window)
        if new or self.allowed_lateness_ms:
            last_ms = window.max_timestamp()
            if last_ms <= self._timers.watermark_ms:
                self._fire(window, window)
            elif new:
                self._timers.register_event(last_ms, window)
        return True

    def _add_to_session(self, window: Any, row: Any, timestamp_ms: int) -> bool:
        """Adds an element to a window that may merge with others; False when the result is gone."""
        windows = self._windows_of_key()
        actual = windows.add(self._assigner, window, self._on_merge)
        cleanup_ms = self._cleanup_ms(actual)
        if self._event_time and cleanup_ms <= self._timers.watermark_ms:
            windows.retire(actual)
            self._keep(windows)
            return False
        self._keep(windows)
        self._add(actual, windows.state_window(actual), row, timestamp_ms)
        self._register_cleanup(actual, cleanup_ms)
        return True

    def _add(self, window: Any, state_window: Any, row: Any, timestamp_ms: int) -> None:
        element = row if self._evictor is None else TimestampedValue(row, timestamp_ms)
        self._contents.add(state_window, self.state.current, element)
        context = self._trigger_context
        context.window = window
        result = self._trigger.on_element(row, timestamp_ms, window, context)
        self._obey(result, window, state_window)

    # -- timers -------------------------------------------------------------------------------------------

    def _on_event_timer(self, timestamp_ms: int, window: Any) -> None:
        self._on_timer(timestamp_ms, window, self._trigger.on_event_time, self._event_time)

    def _on_processing_timer(self, timestamp_ms: int, window: Any) -> None:
        self._on_timer(timestamp_ms, window, self._trigger.on_processing_time, not self._event_time)

    def _end_window(self, last_ms: int, window: Any) -> None:
        """_on_event_timer for the windows of _add_in_groups: the window fires, and is over with that."""
        state, context = self.state, self._context
        elements = self._contents.taken(window, state.current)
        context.current = window
        try:
            if elements is not None:
                self._emitted.emit(self._evaluate(state.current_key(), window, context, elements), last_ms)
            if self._clear is not None:
                self._clear(context)
        except FlinkcoreError:
            raise
        except Exception as error:
            raise self._failed_at(last_ms, window, error) from error
        self._emitted.flush_when_full()

    def _failed_at(self, timestamp_ms: int, window: Any, error: Exception) -> Exception:
        where = f"at timer {timestamp_ms} of {window!r} of key {self.state.current_key()!r}"
        return UserFunctionError(self.context.name, f"{self.function_name}, {where},", error)

    def _on_timer(
        self, timestamp_ms: int, window: Any, decide: Callable[..., TriggerResult], cleans_up: bool
    ) -> None:
        """A timer of a window fired. cleans_up: whether it is of the time domain of the windows."""
        try:
            state_window = self._windows_of_key().state_window(window) if self.merging else window
            if state_window is None:  # a timer that a trigger forgot to delete when windows merged
                return
            context = self._trigger_context
            context.window = window
            self._obey(decide(timestamp_ms, window, context), window, state_window)
            if cleans_up and timestamp_ms == self._cleanup_ms(window):
                self._clean_up(window, state_window)
        except FlinkcoreError:
            raise
        except Exception as error:
            raise self._failed_at(timestamp_ms, window, error) from error
        self._emitted.flush_when_full()

    # -- windows ------------------------------------------------------------------------------------------

    def _obey(self, result: TriggerResult, window: Any, state_window: Any) -> None:
        """Does what a trigger said."""
        if result is TriggerResult.CONTINUE:
            return
        if not isinstance(result, TriggerResult):
            raise TypeError(f"{type(self._trigger).__name__} returned {result!r}, expected a TriggerResult")
        if result.is_fire():
            self._fire(window, state_window)
        if result.is_purge():
            self._contents.clear(state_window, self.state.current)

    def _fire(self, window: Any, state_window: Any) -> None:
        """Evaluates the window function; results carry the window's last millisecond as timestamp."""
        elements = self._contents.elements(state_window, self.state.current)
        if elements is None:
            return
        context = self._context
        context.current = window
        evictor = self._evictor
        if evictor is not None:
            evictor.evict_before(elements, window, context)
            given = self._combine([element.value for element in elements])  # type: ignore[misc]
        else:
            given = elements
        self._emitted.emit(
            self._evaluate(self.state.current_key(), window, context, given), window.max_timestamp()
        )
        if evictor is not None:
            evictor.evict_after(elements, window, context)
            self._contents.clear(state_window, self.state.current)
            if elements:
                self._contents.table.put(state_window, self.state.current, elements)

    def _clean_up(self, window: Any, state_window: Any) -> None:
        """The window is over: nothing of it stays."""
        self._contents.clear(state_window, self.state.current)
        self._trigger.clear(window, self._trigger_context)
        self._context.current = window
        if self._clear is not None:
            self._clear(self._context)
        if self.merging:
            windows = self._windows_of_key()
            windows.retire(window)
            self._keep(windows)

    def _on_merge(self, result: Any, merged: list[Any], state_window: Any, given_up: list[Any]) -> None:
        """Windows became one: the trigger takes over, their timers go, their contents move together."""
        time_ms = self._timers.watermark_ms if self._event_time else self.context.clock.now_ms()
        end_ms = result.max_timestamp() + (self.allowed_lateness_ms if self._event_time else 0)
        if end_ms <= time_ms:
            domain, what = (
                ("event-time", "watermark") if self._event_time else ("processing-time", "processing time")
            )
            raise UnsupportedOperationError(
                f"operator '{self.context.name}': The end timestamp of a {domain} window cannot "
                f"become earlier than the current {what} by merging. Current {what}: {time_ms} "
                f"window: {result!r}"
            )
        context = self._trigger_context
        context.window, context.merged = result, merged
        self._trigger.on_merge(result, context)
        for window in merged:
            context.window = window
            self._trigger.clear(window, context)
            self._delete_cleanup(window)
        self._contents.merge(state_window, given_up, self.state.current)

    def _windows_of_key(self) -> MergingWindowSet:
        assert self._in_flight is not None
        return MergingWindowSet(self._in_flight.edit(None, self.state.current) or {})

    def _keep(self, windows: MergingWindowSet) -> None:
        assert self._in_flight is not None
        if windows.mapping:
            self._in_flight.put(None, self.state.current, windows.mapping)
        else:
            self._in_flight.take(None, self.state.current)

    # -- time ---------------------------------------------------------------------------------------------

    def _cleanup_ms(self, window: Any) -> int:
        """When the window is over: its last millisecond, plus the allowed lateness in event time."""
        last_ms: int = window.max_timestamp()
        return min(last_ms + self.allowed_lateness_ms, MAX_WATERMARK) if self._event_time else last_ms

    def _register_cleanup(self, window: Any, cleanup_ms: int) -> None:
        if cleanup_ms >= MAX_WATERMARK:
            return  # never over, e.g. a global window
        if self._event_time:
            self._timers.register_event(cleanup_ms, window)
        else:
            self._timers.register_processing(cleanup_ms, window)

    def _delete_cleanup(self, window: Any) -> None:
        cleanup_ms = self._cleanup_ms(window)
        if cleanup_ms < MAX_WATERMARK:
            (self._timers.delete_event if self._event_time else self._timers.delete_processing)(
                cleanup_ms, window
            )

    def _is_late(self, timestamp_ms: int) -> bool:
        return self._event_time and timestamp_ms + self.allowed_lateness_ms <= self._timers.watermark_ms

    def _drop_late(self, batch: Batch, late: Sequence[int]) -> None:
        if self.late_tag is None:
            self.context.metrics.late_dropped += len(late)
        else:
            self.out.side(self.late_tag.tag_id, batch.take(np.array(late, np.int64)).with_keys(None, None))

    # -- functions ----------------------------------------------------------------------------------------

    def _make_contents(self, reduce: Any, aggregate: Any) -> WindowContents:
        element = self._element_codec()
        if self._evictor is not None:
            return WindowContents(TimestampedValues(element))
        if reduce is not None:
            return ReducedContents(reduce, element)
        if aggregate is not None:
            if isinstance(aggregate, ExpressionAggregate):
                return AggregatedContents(aggregate, aggregate.accumulator_codec())
            convert = converter(self.accumulator_type, "an accumulator")
            return AggregatedContents(aggregate, codec_of(self.accumulator_type), convert)
        return WindowContents(element)

    def _combiner(self, reduce: Any, aggregate: Any) -> Callable[[list[Any]], list[Any]]:
        """What an evicting window does with the elements that stayed, before its window function."""
        if reduce is None and aggregate is None:
            return lambda elements: elements

        def combine(elements: list[Any]) -> list[Any]:
            if not elements:
                return []
            if reduce is not None:
                call = as_reduce_function(reduce).reduce
                value = elements[0]
                for element in elements[1:]:
                    value = call(value, element)
                return [value]
            accumulator = aggregate.create_accumulator()
            for element in elements:
                accumulator = aggregate.add(element, accumulator)
            return [aggregate.get_result(accumulator)]

        return combine

    def _guard(self, what: str, call: Callable[..., Any], *args: Any) -> None:
        try:
            call(*args)
        except FlinkcoreError:
            raise
        except Exception as error:
            raise UserFunctionError(self.context.name, what, error) from error
