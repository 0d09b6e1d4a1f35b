# SPDX-License-Identifier: Apache-2.0
"""Timers of one subtask: one per (timestamp, group id, namespace), fired in timestamp order."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from enum import Enum
from heapq import heappop, heappush
from typing import NamedTuple


class TimeDomain(Enum):
    """The two kinds of time that a timer can wait for."""

    EVENT_TIME = 0
    PROCESSING_TIME = 1


class Timer(NamedTuple):
    """A wish to be called when time reaches `timestamp_ms`, for one group id and namespace."""

    timestamp_ms: int
    group_id: int
    namespace: Hashable


class TimerQueue:
    """A set of timers in timestamp order; registering one twice is registering it once.

    Timers of one timestamp fire in the order of registration. A deleted timer leaves its heap entry behind,
    which is skipped when it comes up, and swept when such entries outnumber the live ones.
    Source: Flink, InternalTimerServiceImpl.
    """

    def __init__(self) -> None:
        self._live: dict[Timer, int] = {}  # timer -> order of registration
        self._heap: list[tuple[int, int, Timer]] = []
        self._registered = 0

    def register(self, timestamp_ms: int, group_id: int, namespace: Hashable = None) -> bool:
        """Adds a timer; False when it was there already."""
        timer = Timer(timestamp_ms, group_id, namespace)
        if timer in self._live:
            return False
        self._live[timer] = order = self._registered
        self._registered += 1
        heappush(self._heap, (timestamp_ms, order, timer))
        return True

    def delete(self, timestamp_ms: int, group_id: int, namespace: Hashable = None) -> bool:
        """Removes a timer; False when there was none."""
        if self._live.pop(Timer(timestamp_ms, group_id, namespace), None) is None:
            return False
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._live):
            self._heap = [(timer.timestamp_ms, order, timer) for timer, order in self._live.items()]
            self._heap.sort()  # a sorted list is a heap
        return True

    def pop_due(self, time_ms: int) -> Timer | None:
        """Takes the earliest timer with a timestamp <= `time_ms`; None when there is none."""
        heap, live = self._heap, self._live
        while heap and heap[0][0] <= time_ms:
            _, order, timer = heappop(heap)
            if live.get(timer) == order:
                del live[timer]
                return timer
        return None

    def next_ms(self) -> int | None:
        """Timestamp of the earliest timer, None when there is none."""
        heap, live = self._heap, self._live
        while heap:
            timestamp_ms, order, timer = heap[0]
            if live.get(timer) == order:
                return timestamp_ms
            heappop(heap)
        return None

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Timer]:
        """The timers in firing order: what a snapshot stores, and register() takes back."""
        return iter(sorted(self._live, key=lambda timer: (timer.timestamp_ms, self._live[timer])))
