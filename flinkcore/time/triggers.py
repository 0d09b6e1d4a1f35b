# SPDX-License-Identifier: Apache-2.0
"""Triggers: when the elements of a key and window are evaluated (PyFlink: pyflink.datastream.window).

A trigger keeps nothing in itself: its memory is state and timers, which it reaches through its context and
which belong to the current key and window.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from operator import add
from typing import Any, Generic, TypeVar

from flinkcore.errors import UnsupportedOperationError
from flinkcore.state.descriptors import ReducingStateDescriptor, StateDescriptor, ValueStateDescriptor
from flinkcore.state.interfaces import State

T = TypeVar("T")
W = TypeVar("W")


class TriggerResult(Enum):
    """What happens to a window: (evaluate and emit it, throw its elements away)."""

    CONTINUE = (False, False)
    FIRE_AND_PURGE = (True, True)
    FIRE = (True, False)
    PURGE = (False, True)

    def is_fire(self) -> bool:
        return self.value[0]

    def is_purge(self) -> bool:
        return self.value[1]


CONTINUE, FIRE = TriggerResult.CONTINUE, TriggerResult.FIRE


class Trigger(ABC, Generic[T, W]):
    """Decides, at each element and each of its timers, what happens to the window."""

    class TriggerContext(ABC):
        """Time, timers and state of the current key and window."""

        @abstractmethod
        def get_current_processing_time(self) -> int: ...

        @abstractmethod
        def get_metric_group(self) -> Any: ...

        @abstractmethod
        def get_current_watermark(self) -> int: ...

        @abstractmethod
        def register_processing_time_timer(self, time: int) -> None: ...

        @abstractmethod
        def register_event_time_timer(self, time: int) -> None: ...

        @abstractmethod
        def delete_processing_time_timer(self, time: int) -> None: ...

        @abstractmethod
        def delete_event_time_timer(self, time: int) -> None: ...

        @abstractmethod
        def get_partitioned_state(self, state_descriptor: StateDescriptor) -> State: ...

    class OnMergeContext(TriggerContext):
        """The same, for a window that others have just been merged into."""

        @abstractmethod
        def merge_partitioned_state(self, state_descriptor: StateDescriptor) -> None: ...

    @abstractmethod
    def on_element(self, element: T, timestamp: int, window: W, ctx: Trigger.TriggerContext) -> TriggerResult:
        """An element was added to the window."""

    @abstractmethod
    def on_processing_time(self, time: int, window: W, ctx: Trigger.TriggerContext) -> TriggerResult:
        """A processing-time timer of the window fired."""

    @abstractmethod
    def on_event_time(self, time: int, window: W, ctx: Trigger.TriggerContext) -> TriggerResult:
        """An event-time timer of the window fired."""

    def can_merge(self) -> bool:
        """Whether the trigger can be used with windows that merge; on_merge must then be right."""
        return False

    @abstractmethod
    def on_merge(self, window: W, ctx: Trigger.OnMergeContext) -> None:
        """Windows were merged into `window`: take over their state and timers."""

    @abstractmethod
    def clear(self, window: W, ctx: Trigger.TriggerContext) -> None:
        """The window is going away: delete its state and timers."""


class _Quiet(Trigger[Any, Any]):
    """A trigger that does nothing, but for what a subclass says."""

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        return CONTINUE

    def on_processing_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        return CONTINUE

    def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        return CONTINUE

    def on_merge(self, window: Any, ctx: Any) -> None:
        raise UnsupportedOperationError(f"{type(self).__name__} cannot be used with windows that merge")

    def clear(self, window: Any, ctx: Any) -> None:
        pass


class EventTimeTrigger(_Quiet):
    """Fires once the watermark passes the end of the window, and again at each late element allowed."""

    @staticmethod
    def create() -> EventTimeTrigger:
        return EventTimeTrigger()

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        last = window.max_timestamp()
        if last <= ctx.get_current_watermark():
            return FIRE
        ctx.register_event_time_timer(last)
        return CONTINUE

    def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        return FIRE if time == window.max_timestamp() else CONTINUE

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Any, ctx: Any) -> None:
        if window.max_timestamp() > ctx.get_current_watermark():
            ctx.register_event_time_timer(window.max_timestamp())

    def clear(self, window: Any, ctx: Any) -> None:
        ctx.delete_event_time_timer(window.max_timestamp())


class ProcessingTimeTrigger(_Quiet):
    """Fires once the clock passes the end of the window."""

    @staticmethod
    def create() -> ProcessingTimeTrigger:
        return ProcessingTimeTrigger()

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        ctx.register_processing_time_timer(window.max_timestamp())
        return CONTINUE

    def on_processing_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        return FIRE

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Any, ctx: Any) -> None:
        if window.max_timestamp() > ctx.get_current_processing_time():
            ctx.register_processing_time_timer(window.max_timestamp())

    def clear(self, window: Any, ctx: Any) -> None:
        ctx.delete_processing_time_timer(window.max_timestamp())


class _Continuous(_Quiet):
    """Fires at every multiple of an interval. The state "fire-time" holds the next one."""

    def __init__(self, interval: int) -> None:
        if interval <= 0:
            raise ValueError(f"{type(self).__name__}: the interval must be positive, got {interval} ms")
        self.interval = interval
        self.state_desc = ReducingStateDescriptor("fire-time", min, None)

    @classmethod
    def of(cls, interval: Any) -> Any:
        """Fires every `interval`: Time, Duration or int milliseconds."""
        if not isinstance(interval, int):
            interval = (
                interval.to_milliseconds() if hasattr(interval, "to_milliseconds") else interval.to_millis()
            )
        return cls(interval)

    def _register(self, time: int, ctx: Any) -> None:
        raise NotImplementedError

    def _delete(self, time: int, ctx: Any) -> None:
        raise NotImplementedError

    def register_next_fire_timestamp(
        self, time: int, window: Any, ctx: Any, fire_timestamp_state: Any
    ) -> None:
        """The next firing is one interval after `time`, at the latest at the end of the window."""
        next_fire = min(time + self.interval, window.max_timestamp())
        fire_timestamp_state.add(next_fire)
        self._register(next_fire, ctx)

    def _start(self, time: int, window: Any, ctx: Any) -> None:
        state = ctx.get_partitioned_state(self.state_desc)
        if state.get() is None:
            self.register_next_fire_timestamp(time - time % self.interval, window, ctx, state)

    def _fires(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        state = ctx.get_partitioned_state(self.state_desc)
        if state.get() != time:
            return CONTINUE
        state.clear()
        self.register_next_fire_timestamp(time, window, ctx, state)
        return FIRE

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Any, ctx: Any) -> None:
        ctx.merge_partitioned_state(self.state_desc)
        next_fire = ctx.get_partitioned_state(self.state_desc).get()
        if next_fire is not None:
            self._register(next_fire, ctx)

    def clear(self, window: Any, ctx: Any) -> None:
        state = ctx.get_partitioned_state(self.state_desc)
        next_fire = state.get()
        if next_fire is not None:
            self._delete(next_fire, ctx)
            state.clear()


class ContinuousEventTimeTrigger(_Continuous):
    """Fires at every multiple of the interval that the watermark passes, and at the end of the window."""

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        if window.max_timestamp() <= ctx.get_current_watermark():
            return FIRE
        ctx.register_event_time_timer(window.max_timestamp())
        self._start(timestamp, window, ctx)
        return CONTINUE

    def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        return FIRE if time == window.max_timestamp() else self._fires(time, window, ctx)

    def _register(self, time: int, ctx: Any) -> None:
        ctx.register_event_time_timer(time)

    def _delete(self, time: int, ctx: Any) -> None:
        ctx.delete_event_time_timer(time)


class ContinuousProcessingTimeTrigger(_Continuous):
    """Fires at every multiple of the interval that the clock passes."""

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        self._start(ctx.get_current_processing_time(), window, ctx)
        return CONTINUE

    def on_processing_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        return self._fires(time, window, ctx)

    def _register(self, time: int, ctx: Any) -> None:
        ctx.register_processing_time_timer(time)

    def _delete(self, time: int, ctx: Any) -> None:
        ctx.delete_processing_time_timer(time)


class CountTrigger(_Quiet):
    """Fires at every `window_size` elements of a window."""

    def __init__(self, window_size: int) -> None:
        self._window_size = window_size
        self._count = ReducingStateDescriptor("count", add, None)

    @staticmethod
    def of(window_size: int) -> CountTrigger:
        return CountTrigger(window_size)

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        count: Any = ctx.get_partitioned_state(self._count)
        count.add(1)
        if count.get() < self._window_size:
            return CONTINUE
        count.clear()
        return FIRE

    def can_merge(self) -> bool:
        return True

    def on_merge(self, window: Any, ctx: Any) -> None:
        ctx.merge_partitioned_state(self._count)

    def clear(self, window: Any, ctx: Any) -> None:
        ctx.get_partitioned_state(self._count).clear()


class NeverTrigger(_Quiet):
    """Never fires: the default of global windows."""

    def on_merge(self, window: Any, ctx: Any) -> None:
        pass


class PurgingTrigger(Trigger[Any, Any]):
    """Another trigger that, whenever it fires, also throws the elements away."""

    def __init__(self, nested_trigger: Trigger[Any, Any]) -> None:
        self.nested_trigger = nested_trigger

    @staticmethod
    def of(nested_trigger: Trigger[Any, Any]) -> PurgingTrigger:
        return PurgingTrigger(nested_trigger)

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        return _purging(self.nested_trigger.on_element(element, timestamp, window, ctx))

    def on_processing_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        return _purging(self.nested_trigger.on_processing_time(time, window, ctx))

    def on_event_time(self, time: int, window: Any, ctx: Any) -> TriggerResult:
        return _purging(self.nested_trigger.on_event_time(time, window, ctx))

    def can_merge(self) -> bool:
        return self.nested_trigger.can_merge()

    def on_merge(self, window: Any, ctx: Any) -> None:
        self.nested_trigger.on_merge(window, ctx)

    def clear(self, window: Any, ctx: Any) -> None:
        self.nested_trigger.clear(window, ctx)


class DeltaTrigger(_Quiet):
    """Fires when an element is further than a threshold from the last one that fired.

    Flink's Java API; beyond PyFlink. delta : a function of (that element, this element), or an object with
    get_delta
    """

    def __init__(self, threshold: float, delta: Callable[[Any, Any], float] | Any) -> None:
        self._threshold = threshold
        self._delta = delta.get_delta if hasattr(delta, "get_delta") else delta
        self._last = ValueStateDescriptor("delta-last-element", None)

    @staticmethod
    def of(threshold: float, delta: Callable[[Any, Any], float] | Any) -> DeltaTrigger:
        return DeltaTrigger(threshold, delta)

    def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> TriggerResult:
        last: Any = ctx.get_partitioned_state(self._last)
        if last.value() is None:
            last.update((element,))
            return CONTINUE
        if self._delta(last.value()[0], element) <= self._threshold:
            return CONTINUE
        last.update((element,))
        return FIRE

    def clear(self, window: Any, ctx: Any) -> None:
        ctx.get_partitioned_state(self._last).clear()


def _purging(result: TriggerResult) -> TriggerResult:
    return TriggerResult.FIRE_AND_PURGE if result.is_fire() else result
