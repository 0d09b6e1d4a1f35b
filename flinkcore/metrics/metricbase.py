# SPDX-License-Identifier: Apache-2.0
"""The metrics that a user's function can register (PyFlink: pyflink.metrics)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class Metric:
    """Something that is measured; what counters, meters and distributions have in common."""


class Counter(Metric):
    """A number that goes up and down."""

    def __init__(self) -> None:
        self._count = 0

    def inc(self, n: int = 1) -> None:
        self._count += n

    def dec(self, n: int = 1) -> None:
        self._count -= n

    def get_count(self) -> int:
        return self._count


class Meter(Metric):
    """Events per second over the last `time_span_in_seconds`."""

    def __init__(self, time_span_in_seconds: int = 60) -> None:
        self._span_ns = time_span_in_seconds * 10**9
        self._count = 0
        self._marks: deque[tuple[int, int]] = deque()

    def mark_event(self, value: int = 1) -> None:
        now_ns = time.monotonic_ns()
        self._count += value
        self._marks.append((now_ns, value))
        self._forget(now_ns)

    def get_count(self) -> int:
        return self._count

    def get_rate(self) -> float:
        self._forget(time.monotonic_ns())
        return sum(value for _, value in self._marks) / (self._span_ns / 1e9)

    def _forget(self, now_ns: int) -> None:
        while self._marks and self._marks[0][0] < now_ns - self._span_ns:
            self._marks.popleft()


class Distribution(Metric):
    """Smallest, largest, sum and count of the values it was given."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0
        self.min: int | None = None
        self.max: int | None = None

    def update(self, value: int) -> None:
        self.count += 1
        self.sum += value
        self.min = value if self.min is None else min(self.min, value)
        self.max = value if self.max is None else max(self.max, value)


class MetricGroup:
    """Metrics by name, in groups by name. The same name gives the same metric."""

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        self.scope = scope
        self.metrics: dict[str, Counter | Meter | Distribution | Callable[[], int]] = {}
        self.groups: dict[tuple[str, str | None], MetricGroup] = {}

    def add_group(self, name: str, extra: str | None = None) -> MetricGroup:
        path = (*self.scope, name) if extra is None else (*self.scope, name, extra)
        return self.groups.setdefault((name, extra), MetricGroup(path))

    def counter(self, name: str) -> Counter:
        return self._metric(name, Counter)

    def meter(self, name: str, time_span_in_seconds: int = 60) -> Meter:
        return self._metric(name, lambda: Meter(time_span_in_seconds))

    def distribution(self, name: str) -> Distribution:
        return self._metric(name, Distribution)

    def gauge(self, name: str, obj: Callable[[], int]) -> None:
        self.metrics[name] = obj

    def _metric(self, name: str, make: Callable[[], object]):  # type: ignore[no-untyped-def]
        return self.metrics.setdefault(name, make())  # type: ignore[arg-type]
