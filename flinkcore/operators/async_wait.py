# SPDX-License-Identifier: Apache-2.0
"""AsyncWait: a coroutine function of the user, called for many records at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

from flinkcore import options
from flinkcore._native.values import detached
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import SchemaError, UserFunctionError
from flinkcore.operators.base import OperatorContext, OperatorDescription, Output
from flinkcore.operators.process import RowOperator
from flinkcore.operators.row_output import RowOutput, timestamps_of
from flinkcore.state.codec import LONG, Fields, codec_of_schema
from flinkcore.state.content import Content
from flinkcore.state.operator import ItemRows
from flinkcore.state.table import Table

IN_FLIGHT = "async-wait-in-flight"
#: How often the loop is turned for coroutines that were cancelled, before those that go on all the same are left.
TURNS_TO_CANCEL = 100


class _Call:
    """One record and what becomes of it."""

    __slots__ = ("deadline", "error", "method", "over", "results", "row", "segment", "task", "timestamp_ms")

    def __init__(self, row: Any, timestamp_ms: int) -> None:
        self.row = row
        self.timestamp_ms = timestamp_ms
        self.segment: _Segment
        self.task: asyncio.Task[None] | None = None
        self.deadline = 0.0
        self.method = "async_invoke"
        self.results: Any = None
        self.error: BaseException | None = None
        self.over = False


class _Mark:
    """A watermark, or a change of idleness, that waits for the results of the records before it."""

    __slots__ = ("idle", "watermark_ms")

    def __init__(self, watermark_ms: int | None = None, idle: bool = False) -> None:
        self.watermark_ms = watermark_ms
        self.idle = idle


class _Segment:
    """Records whose results may be emitted in any order, or one mark. Segments are emitted in their order.

    calls : those whose results are not emitted, in the order of their records;  done : those that have come to an end
    """

    __slots__ = ("calls", "done", "mark")

    def __init__(self, mark: _Mark | None = None) -> None:
        self.mark = mark
        self.calls: dict[_Call, None] = {}
        self.done: list[_Call] = []


class AsyncWait(RowOperator):
    """Calls AsyncFunction.async_invoke for up to `capacity` records at a time, and emits what they come to.

    ordered : results in the order of their records; else as they come, but never across a watermark
    timeout_ms : how long the attempts for one record may take together before they are cancelled, and
        AsyncFunction.timeout gives its results; 0 or less: as long as they want
    retry : the AsyncRetryStrategy

    A record counts as in flight until its results are emitted. Records in flight are in snapshots, and are called anew
    by the job that goes on from one; a watermark is emitted after the results of all records before it.
    Source: Flink, AsyncWaitOperator, OrderedStreamElementQueue, UnorderedStreamElementQueue. Unlike there, a call that
    timed out is cancelled: what it would still do is not bounded by the capacity.
    """

    method = "async_invoke"
    delays = True

    def __init__(
        self,
        schema: Schema,
        function: Any,
        schema_out: Schema,
        *,
        ordered: bool,
        timeout_ms: int,
        capacity: int,
        retry: Any,
    ) -> None:
        super().__init__(schema, function, schema_out)
        self.ordered = ordered
        self.timeout_ms = timeout_ms
        self.capacity = capacity
        self.retry = retry

    def open(self, context: OperatorContext, out: Output) -> None:
        self._loop = context.event_loop()
        super().open(context, out)
        predicate = self.retry.get_retry_predicate()
        self._retry_result = predicate.result_predicate()
        self._retry_error = predicate.exception_predicate()
        self._emitted = RowOutput(self.schema_out, self._what, out, context.config.get(options.BATCH_ROWS))
        self._segments: deque[_Segment] = deque()
        self._in_flight = 0
        self._deadlines: deque[_Call] = (
            deque()
        )  # as they were begun, so as they are due; over ones are passed over
        self._alarm: asyncio.TimerHandle | None = None
        record = Fields(["value", "timestamp_ms"], [codec_of_schema(self.schema), LONG], "tuple")
        # Records without a type are pickled: the program that declares no type reads what it wrote.
        table = context.state.part(
            IN_FLIGHT, lambda: Table(IN_FLIGHT, Content("value", record), allow_pickle=True), parent="split"
        )
        self._stored = ItemRows(table, None)
        # Behind the capacity: records of a batch, and marks. A task gives no further batch while there are some.
        self._waiting: deque[_Call | _Mark] = deque(_Call(*stored) for stored in self._stored.get())
        self._begin()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        self._waiting.extend(map(_Call, to_rows(batch), timestamps_of(batch)))
        self._begin()

    def process_watermark(self, watermark_ms: int) -> None:
        self._put_mark(_Mark(watermark_ms))

    def process_idle(self, idle: bool) -> None:
        self._put_mark(_Mark(None, idle))

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """All records whose results are not emitted, in their order."""
        super().prepare_snapshot(checkpoint_id)
        began = (call for segment in self._segments for call in segment.calls)
        waiting = (item for item in self._waiting if isinstance(item, _Call))
        self._stored.update([(call.row, call.timestamp_ms) for calls in (began, waiting) for call in calls])

    def close(self) -> None:
        calls = [call for segment in getattr(self, "_segments", ()) for call in segment.calls]
        for call in calls:
            call.over = True
            if call.task is not None:
                call.task.cancel()
        turns = 0
        while turns < TURNS_TO_CANCEL and any(
            call.task is not None and not call.task.done() for call in calls
        ):
            self._loop.turn()
            turns += 1
        super().close()

    def describe(self) -> OperatorDescription:
        order = "ordered" if self.ordered else "unordered"
        return OperatorDescription(
            False,
            f"{self.function_name}, {order}, {self.capacity} at a time",
            f"{self.function_name} is called for each record",
        )

    # -- between calls ------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        return self._in_flight >= self.capacity or bool(self._waiting)

    @property
    def is_busy(self) -> bool:
        return bool(self._segments or self._waiting)

    def resume(self) -> bool:
        """Emits the results that there are, and calls the function for as many records more."""
        emitted = False
        while self._segments:
            segment = self._segments[0]
            for call in segment.done:
                self._emit(call)
                emitted = True
            segment.done.clear()
            if segment.calls:
                break
            self._segments.popleft()
            if segment.mark is not None:
                self._emitted.flush()
                self._pass(segment.mark)
                emitted = True
        self._emitted.flush()
        return self._begin() or emitted

    def _begin(self) -> bool:
        """Calls the function for records that wait, as far as the capacity goes. -> whether there were any"""
        began = False
        while self._waiting and (self._in_flight < self.capacity or isinstance(self._waiting[0], _Mark)):
            item = self._waiting.popleft()
            began = True
            if isinstance(item, _Mark):
                self._segments.append(_Segment(item))
                continue
            if self.ordered or not self._segments or self._segments[-1].mark is not None:
                self._segments.append(_Segment())
            self._start(item, self._segments[-1])
        return began

    def _put_mark(self, mark: _Mark) -> None:
        if self._waiting:
            self._waiting.append(mark)
        elif self._segments:
            self._segments.append(_Segment(mark))
        else:
            self._pass(mark)

    def _pass(self, mark: _Mark) -> None:
        if mark.watermark_ms is None:
            self.out.idle(mark.idle)
        else:
            self.out.watermark(mark.watermark_ms)

    # -- one record ---------------------------------------------------------------------------------------

    def _start(self, call: _Call, segment: _Segment) -> None:
        call.segment = segment
        segment.calls[call] = None
        self._in_flight += 1
        call.task = self._loop.create_task(self._attempts(call))
        if self.timeout_ms > 0:
            call.deadline = self._loop.time() + self.timeout_ms / 1000
            if len(self._deadlines) > 4 * self.capacity:
                self._deadlines = deque(other for other in self._deadlines if not other.over)
            self._deadlines.append(call)
            if self._alarm is None:
                self._alarm = self._loop.call_at(call.deadline, self._ring)

    def _ring(self) -> None:
        """Times out what is due, and asks to be called for what is due next."""
        while self._deadlines and (
            self._deadlines[0].over or self._deadlines[0].deadline <= self._loop.time()
        ):
            call = self._deadlines.popleft()
            if not call.over:
                self._time_out(call)
        self._alarm = self._loop.call_at(self._deadlines[0].deadline, self._ring) if self._deadlines else None

    async def _attempts(self, call: _Call) -> None:
        """Calls the function until the retry strategy takes what it came to."""
        attempt = 0
        again = True
        while again:
            attempt += 1
            results: Any = None
            error: BaseException | None = None
            try:
                results = await self._function.async_invoke(detached(call.row))  # the record itself may be needed again
            except asyncio.CancelledError as cancelled:
                if call.over:
                    raise
                error = cancelled  # by what the function called, not by us
            except Exception as raised:
                error = raised
            if call.over:  # it took no notice of being cancelled
                return
            try:
                again = self._is_tried_again(attempt, results, error)
                if again:
                    await asyncio.sleep(self.retry.get_backoff_time_millis(attempt) / 1000)
            except Exception as raised:
                call.method, error, again = "async_invoke, its retry strategy", raised, False
        self._finish(call, results, error)

    def _is_tried_again(self, attempt: int, results: Any, error: BaseException | None) -> bool:
        if error is None:
            wanted = results is not None and self._retry_result is not None and self._retry_result(results)
        else:
            wanted = self._retry_error is not None and self._retry_error(error)
        return bool(wanted) and self.retry.can_retry(attempt)

    def _time_out(self, call: _Call) -> None:
        results: Any = None
        error: BaseException | None = None
        call.method = "timeout"
        try:
            results = self._function.timeout(call.row)
        except Exception as raised:
            error = raised
        self._finish(call, results, error)
        if call.task is not None:
            call.task.cancel()

    def _finish(self, call: _Call, results: Any, error: BaseException | None) -> None:
        if call.over:
            return
        call.over = True
        call.results, call.error = results, error
        call.segment.done.append(call)
        self._loop.stop()  # a task that waits for it goes on

    def _emit(self, call: _Call) -> None:
        name = f"{self.function_name}.{call.method}"
        if call.error is not None:
            raise UserFunctionError(self.context.name, name, call.error, call.row) from call.error
        if not isinstance(call.results, Iterable):
            found = "cannot be none" if call.results is None else "should be of list type"
            raise SchemaError(
                f"operator '{self.context.name}': The result of AsyncFunction {found}, please check the methods "
                f"'async_invoke' and 'timeout' of class '{self.function_name}': {call.method} returned "
                f"{call.results!r:.80} for {call.row!r:.80}; an empty list stands for no results"
            )
        try:
            self._emitted.emit(call.results, call.timestamp_ms)
        except Exception as error:
            raise UserFunctionError(self.context.name, name, error, call.row) from error
        self._emitted.flush_when_full()
        del call.segment.calls[call]
        self._in_flight -= 1
