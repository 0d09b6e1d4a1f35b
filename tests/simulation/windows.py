# SPDX-License-Identifier: Apache-2.0
"""Windows of all kinds: the assigner, and which records Flink puts together, in plain Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flinkcore.common import Time
from flinkcore.datastream.window import (
    DynamicEventTimeSessionWindows,
    EventTimeSessionWindows,
    SessionWindowTimeGapExtractor,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from tests.simulation.data import ID, TS, Record

Span = tuple[int, int]
KeyOf = Callable[[Record], Any]


class _Gap(SessionWindowTimeGapExtractor):
    def extract(self, element: Any) -> int:
        return gap_of(element)


def gap_of(record: Any) -> int:
    return 21 + 2 * (record[ID] % 25)


@dataclass(frozen=True)
class Windows:
    kind: str  # "tumbling", "sliding", "session" or "dynamic"
    size_ms: int
    slide_ms: int = 0
    offset_ms: int = 0

    def assigner(self) -> Any:
        size, slide, offset = map(Time.milliseconds, (self.size_ms, self.slide_ms, self.offset_ms))
        if self.kind == "tumbling":
            return TumblingEventTimeWindows.of(size, offset)
        if self.kind == "sliding":
            return SlidingEventTimeWindows.of(size, slide, offset)
        if self.kind == "session":
            return EventTimeSessionWindows.with_gap(size)
        return DynamicEventTimeSessionWindows.with_dynamic_gap(_Gap())

    @property
    def merges(self) -> bool:
        return self.kind in ("session", "dynamic")

    def of_record(self, record: Record) -> list[Span]:
        """The windows that a record opens or belongs to, in the order in which Flink names them."""
        time_ms = record[TS]
        if self.kind == "tumbling":
            start = time_ms - (time_ms - self.offset_ms) % self.size_ms
            return [(start, start + self.size_ms)]
        if self.kind == "sliding":
            last = time_ms - (time_ms - self.offset_ms) % self.slide_ms
            return [
                (start, start + self.size_ms)
                for start in range(last, time_ms - self.size_ms, -self.slide_ms)
            ]
        return [(time_ms, time_ms + (self.size_ms if self.kind == "session" else gap_of(record)))]

    def groups(self, records: Sequence[Record], key_of: KeyOf) -> dict[tuple[Any, Span], list[Record]]:
        """The records of each key and window, when none of them is late, in the order of `records`."""
        groups: dict[tuple[Any, Span], list[Record]] = {}
        by_key: dict[Any, list[Record]] = {}
        for record in records:
            by_key.setdefault(key_of(record), []).append(record)
        for key, mine in by_key.items():
            spans = self._merged(mine) if self.merges else None
            for record in mine:
                for start, end in self.of_record(record):
                    span = (start, end)
                    if spans is not None:
                        span = next(each for each in spans if each[0] <= start and end <= each[1])
                    groups.setdefault((key, span), []).append(record)
        return groups

    def _merged(self, records: list[Record]) -> list[Span]:
        merged: list[Span] = []
        for start, end in sorted(span for record in records for span in self.of_record(record)):
            if merged and start <= merged[-1][1]:  # windows that touch are one
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return merged


def random_windows(rng: random.Random) -> Windows:
    kind = rng.choice(["tumbling", "sliding", "session", "dynamic"])
    size_ms = rng.choice([1, 10, 50, 100, 700])
    if kind == "tumbling":
        return Windows(kind, size_ms, offset_ms=rng.choice([0, 0, rng.randrange(size_ms)]))
    if kind == "sliding":
        slide_ms = rng.choice([max(1, size_ms // 5), max(1, size_ms // 2), size_ms, size_ms * 2, 7])
        slide_ms = max(slide_ms, size_ms // 20)
        return Windows(kind, size_ms, slide_ms, rng.choice([0, 0, rng.randrange(slide_ms)]))
    # A record exactly at the end of a session joins it when it has not fired, and is not late when it has: whether it
    # comes in time is chance, in Flink too. Odd gaps between even times never meet.
    return Windows(kind, size_ms | 1)
