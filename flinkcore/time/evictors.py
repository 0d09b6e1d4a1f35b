# SPDX-License-Identifier: Apache-2.0
"""Evictors: which elements leave a window before or after its function runs (Flink's Java API)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from flinkcore.time import MIN_TIMESTAMP
from flinkcore.time.assigners import milliseconds


class TimestampedValue(NamedTuple):
    """An element of a window and its event time, MIN_TIMESTAMP when it has none."""

    value: Any
    timestamp_ms: int


class Evictor(ABC):
    """Removes elements from a window by changing the list it is given, which is in order of arrival."""

    def __init__(self, do_evict_after: bool = False) -> None:
        self._do_evict_after = do_evict_after

    def evict_before(self, elements: list[TimestampedValue], window: Any, context: Any) -> None:
        """Called before the window function."""
        if not self._do_evict_after:
            self.evict(elements)

    def evict_after(self, elements: list[TimestampedValue], window: Any, context: Any) -> None:
        """Called after the window function."""
        if self._do_evict_after:
            self.evict(elements)

    @abstractmethod
    def evict(self, elements: list[TimestampedValue]) -> None:
        """Removes what has to go."""


class CountEvictor(Evictor):
    """Keeps the last `max_count` elements."""

    def __init__(self, max_count: int, do_evict_after: bool = False) -> None:
        super().__init__(do_evict_after)
        self._max_count = max_count

    @staticmethod
    def of(max_count: int, do_evict_after: bool = False) -> CountEvictor:
        return CountEvictor(max_count, do_evict_after)

    def evict(self, elements: list[TimestampedValue]) -> None:
        del elements[: max(0, len(elements) - self._max_count)]


class TimeEvictor(Evictor):
    """Keeps the elements of the last `window_size` milliseconds before the newest one."""

    def __init__(self, window_size: Any, do_evict_after: bool = False) -> None:
        super().__init__(do_evict_after)
        self._size_ms = milliseconds(window_size)

    @staticmethod
    def of(window_size: Any, do_evict_after: bool = False) -> TimeEvictor:
        return TimeEvictor(window_size, do_evict_after)

    def evict(self, elements: list[TimestampedValue]) -> None:
        # Flink looks at the first element to see whether elements have timestamps at all.
        if not elements or elements[0].timestamp_ms == MIN_TIMESTAMP:
            return
        cutoff = max(element.timestamp_ms for element in elements) - self._size_ms
        elements[:] = [element for element in elements if element.timestamp_ms > cutoff]


class DeltaEvictor(Evictor):
    """Removes the elements that are at least a threshold away from the newest one."""

    def __init__(
        self, threshold: float, delta: Callable[[Any, Any], float] | Any, do_evict_after: bool = False
    ) -> None:
        super().__init__(do_evict_after)
        self._threshold = threshold
        self._delta = delta.get_delta if hasattr(delta, "get_delta") else delta

    @staticmethod
    def of(threshold: float, delta: Any, do_evict_after: bool = False) -> DeltaEvictor:
        return DeltaEvictor(threshold, delta, do_evict_after)

    def evict(self, elements: list[TimestampedValue]) -> None:
        if elements:
            newest = elements[-1].value
            elements[:] = [e for e in elements if self._delta(e.value, newest) < self._threshold]
