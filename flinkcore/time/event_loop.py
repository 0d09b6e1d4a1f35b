# SPDX-License-Identifier: Apache-2.0
"""TaskLoop: an asyncio loop that a task turns between its other steps, on the task's own clock.

The loop has no thread: coroutines run where the operators run, so nothing is shared between threads, and under a
manual clock a simulation decides when they go on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from typing import Any

from flinkcore.time.clock import Clock

#: Of the clock that asyncio takes itself to have: what is due within it goes on now.
RESOLUTION_S = 1e-9


class TaskLoop(asyncio.SelectorEventLoop):
    """The event loop of one subtask. All calls but wake() and call_soon_threadsafe() come from its task's thread."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._task_clock = clock
        self._begun_ns = clock.now_ns()
        self._wishes: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = 0
        self._has_ready = False

    def time(self) -> float:
        return (
            self._task_clock.now_ns() - self._begun_ns
        ) / 1e9  # from 0, where sums of floats are exact enough

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, **more: Any
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, **more)
        self._order += 1
        heappush(self._wishes, (when, self._order, handle))
        return handle

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, **more: Any
    ) -> asyncio.Handle:
        self._has_ready = True
        return super().call_soon(callback, *args, **more)

    def turn(self, wait_s: float = 0.0) -> bool:
        """Runs what is ready now, once; where `wait_s` > 0, goes on for so long at most, or until wake() or stop().

        -> whether something is ready to go on at once
        """
        until = super().call_soon(self.stop) if wait_s <= 0 else self.call_later(wait_s, self.stop)
        self._has_ready = False
        try:
            self.run_forever()
        finally:
            until.cancel()
        return self._has_ready

    def wake(self) -> None:
        """Ends a turn that waits. From any thread."""
        with suppress(RuntimeError):  # closed meanwhile: nobody waits
            self.call_soon_threadsafe(self.stop)

    def next_wake_ms(self) -> int | None:
        """The processing time at which a coroutine that sleeps goes on; None when none does."""
        now = self.time() + RESOLUTION_S
        while self._wishes and (self._wishes[0][2].cancelled() or self._wishes[0][0] <= now):
            heappop(self._wishes)
        if not self._wishes:
            return None
        return self._task_clock.now_ms() + math.ceil((self._wishes[0][0] - now) * 1000)
