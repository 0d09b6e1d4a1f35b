# SPDX-License-Identifier: Apache-2.0
"""Where time comes from: the machine, or a test."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The one seam through which the engine learns the time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch: Flink's processing time."""

    def now_ns(self) -> int:
        """Nanoseconds from an unknown start, never going back: for durations."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def now_ns(self) -> int:
        return time.monotonic_ns()


class ManualClock:
    """A clock that stands still until told to advance, for tests and simulation."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ns = now_ms * 1_000_000

    def now_ms(self) -> int:
        return self._now_ns // 1_000_000

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, duration_ms: int) -> None:
        """Moves on by `duration_ms` >= 0."""
        if duration_ms < 0:
            raise ValueError(f"a clock does not go back: advance({duration_ms})")
        self._now_ns += duration_ms * 1_000_000
