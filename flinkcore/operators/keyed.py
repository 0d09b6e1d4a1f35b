# SPDX-License-Identifier: Apache-2.0
"""Timers of a keyed operator: registered for the current key, fired in timestamp order."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from flinkcore.errors import JobCancelledError, UnsupportedOperationError
from flinkcore.operators.base import OperatorContext
from flinkcore.operators.functions import TimerService
from flinkcore.state.codec import Codec
from flinkcore.state.keyed import KeyedState
from flinkcore.state.timers import Timer, TimerQueue
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP

_TIMERS_BETWEEN_CHECKS = 1024


class KeyedTimers:
    """The timers of one keyed operator in one subtask, of both time domains.

    A processing-time timer fires one millisecond after its timestamp, so that all records of that millisecond
    come before it, as records with the timestamp of a watermark come before it (Flink:
    ProcessingTimeServiceUtil.getProcessingTimeDelay). Timers that firing registers fire in the same run when
    they are due already.

    namespace : codec of namespaces, None where the only one is None
    """

    def __init__(self, context: OperatorContext, state: KeyedState, namespace: Codec | None = None) -> None:
        self.event = state.timers("event", namespace)
        self.processing = state.timers("processing", namespace)
        # It is state: what was late, and what was seen of event time, stays so after a restore.
        self.watermark_ms: int = context.state.field("watermark_ms", MIN_TIMESTAMP, lambda: self.watermark_ms)
        self.quiesced = False  # what is registered now is ignored
        self._context = context
        self._state = state
        self._wake()

    def register_event(self, timestamp_ms: int, namespace: Hashable = None) -> None:
        state = self._state
        if not self.quiesced and self.event.register(timestamp_ms, state.current, namespace):
            state.hold(state.current)

    def register_processing(self, timestamp_ms: int, namespace: Hashable = None) -> None:
        state = self._state
        if not self.quiesced and self.processing.register(timestamp_ms, state.current, namespace):
            state.hold(state.current)
            if self.processing.next_ms() == timestamp_ms:
                self._wake()

    def delete_event(self, timestamp_ms: int, namespace: Hashable = None) -> None:
        if self.event.delete(timestamp_ms, self._state.current, namespace):
            self._state.let_go(self._state.current)

    def delete_processing(self, timestamp_ms: int, namespace: Hashable = None) -> None:
        if self.processing.delete(timestamp_ms, self._state.current, namespace):
            self._state.let_go(self._state.current)

    def fire_event(self, watermark_ms: int, fire: Callable[[int, Any], None]) -> None:
        """The watermark advanced: calls fire(timestamp_ms, namespace) for each timer due, its key current."""
        self.watermark_ms = watermark_ms
        self._fire(_popped(self.event, watermark_ms), fire)

    def end_event(self, watermark_ms: int, fire: Callable[[int, Any], None]) -> None:
        """fire_event for a `fire` that neither registers nor deletes timers."""
        self.watermark_ms = watermark_ms
        self._fire(self.event.take_due(watermark_ms), fire)

    def fire_processing(self, now_ms: int, fire: Callable[[int, Any], None]) -> None:
        """The clock advanced to now_ms; asks to be woken for the next timer."""
        self._fire(_popped(self.processing, now_ms - 1), fire)
        self._wake()

    def _wake(self) -> None:
        """Asks for a call when the next processing-time timer is due."""
        next_ms = self.processing.next_ms()
        if next_ms is not None and next_ms < MAX_WATERMARK:
            self._context.timers.register(next_ms + 1)

    def _fire(self, due: Iterable[Timer], fire: Callable[[int, Any], None]) -> None:
        state = self._state
        for fired, (timestamp_ms, group_id, namespace) in enumerate(due, 1):
            state.current = group_id
            fire(timestamp_ms, namespace)
            state.let_go(group_id)
            if fired % _TIMERS_BETWEEN_CHECKS == 0 and self._context.interrupted():
                raise JobCancelledError(f"operator '{self._context.name}' was cancelled while firing timers")
        state.release_unused()


def _popped(queue: TimerQueue, time_ms: int) -> Iterator[Timer]:
    """The timers that are due, one after the other: also those that are registered meanwhile."""
    while (timer := queue.pop_due(time_ms)) is not None:
        yield timer


class KeyedTimerService(TimerService):
    """What a user sees of the timers."""

    def __init__(self, timers: KeyedTimers, context: OperatorContext) -> None:
        self._timers = timers
        self._now_ms = context.clock.now_ms

    def current_processing_time(self) -> int:
        return self._now_ms()

    def current_watermark(self) -> int:
        return self._timers.watermark_ms

    def register_processing_time_timer(self, timestamp: int) -> None:
        self._timers.register_processing(_milliseconds(timestamp))

    def register_event_time_timer(self, timestamp: int) -> None:
        self._timers.register_event(_milliseconds(timestamp))

    def delete_processing_time_timer(self, timestamp: int) -> None:
        self._timers.delete_processing(_milliseconds(timestamp))

    def delete_event_time_timer(self, timestamp: int) -> None:
        self._timers.delete_event(_milliseconds(timestamp))


class UnkeyedTimerService(TimerService):
    """Time without timers: for streams without keys."""

    def __init__(self, context: OperatorContext) -> None:
        # It is state, as in KeyedTimers.
        self.watermark_ms: int = context.state.field("watermark_ms", MIN_TIMESTAMP, lambda: self.watermark_ms)
        self._context = context

    def current_processing_time(self) -> int:
        return self._context.clock.now_ms()

    def current_watermark(self) -> int:
        return self.watermark_ms

    def register_processing_time_timer(self, timestamp: int) -> None:
        self._refuse("Setting")

    def register_event_time_timer(self, timestamp: int) -> None:
        self._refuse("Setting")

    def delete_processing_time_timer(self, timestamp: int) -> None:
        self._refuse("Deleting")

    def delete_event_time_timer(self, timestamp: int) -> None:
        self._refuse("Deleting")

    def _refuse(self, what: str) -> None:
        raise UnsupportedOperationError(
            f"operator '{self._context.name}': {what} timers is only supported on keyed streams; "
            "call key_by before process and use a KeyedProcessFunction"
        )


def _milliseconds(timestamp: Any) -> int:
    """Checks a timer's timestamp and clamps it to int64, in which Flink's timers live."""
    if type(timestamp) is not int:
        if isinstance(timestamp, float) or not hasattr(timestamp, "__index__"):
            raise TypeError(
                f"a timer's timestamp is int milliseconds, got {timestamp!r} ({type(timestamp).__name__})"
            )
        timestamp = timestamp.__index__()
    return max(MIN_TIMESTAMP, min(MAX_WATERMARK, timestamp))
