# SPDX-License-Identifier: Apache-2.0
"""Joins record by record, as Flink's operators do them, and scripts of records and watermarks to compare them by."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pyarrow as pa

from flinkcore.columnar.schema import Schema
from flinkcore.testing.harness import Harness
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP

LEFT = Schema(("k", "v"), (pa.string(), pa.int64()), "tuple")
RIGHT = Schema(("user", "w"), (pa.string(), pa.int64()), "row")
KEYS = Schema(("k",), (pa.string(),), "value"), Schema(("user",), (pa.string(),), "value")
OBJECTS = Schema.of_objects()


@dataclass(frozen=True)
class Record:
    side: int
    key: str
    value: int
    time_ms: int


class NaiveWindowJoin:
    """Flink: JoinedStreams, whose windows are those of a WindowOperator with EventTimeTrigger."""

    def __init__(self, size_ms, slide_ms=None, offset_ms=0, lateness_ms=0):
        self.size, self.slide = size_ms, slide_ms or size_ms
        self.offset, self.lateness = offset_ms, lateness_ms
        self.windows: dict[tuple[str, int], tuple[list[int], list[int]]] = {}
        self.watermark = MIN_TIMESTAMP
        self.out, self.late = [], 0

    def fire(self, key, start):
        left, right = self.windows[key, start]
        self.out += [((key, v, w), start + self.size - 1) for v in left for w in right]

    def record(self, record):
        time = record.time_ms
        last = time - (time - self.offset) % self.slide
        starts = list(range(last, time - self.size, -self.slide))
        open_starts = [start for start in starts if start + self.size - 1 + self.lateness > self.watermark]
        self.late += not open_starts and time + self.lateness <= self.watermark
        for start in open_starts:
            self.windows.setdefault((record.key, start), ([], []))[record.side].append(record.value)
            if start + self.size - 1 <= self.watermark:
                self.fire(record.key, start)

    def until(self, watermark):
        for key, start in list(self.windows):
            if self.watermark < start + self.size - 1 <= watermark:
                self.fire(key, start)
        self.watermark = watermark
        for key, start in list(self.windows):
            if start + self.size - 1 + self.lateness <= watermark:
                del self.windows[key, start]


class NaiveIntervalJoin:
    """Flink: IntervalJoinOperator, with its buffers and its cleanup timers."""

    def __init__(self, lower_ms, upper_ms):
        self.lower, self.upper = lower_ms, upper_ms
        self.buffers: tuple[list[Record], list[Record]] = ([], [])
        self.timers: list[tuple[int, int, str, int]] = []
        self.watermark = MIN_TIMESTAMP
        self.out, self.late = [], 0

    def record(self, record):
        time = record.time_ms
        if time < self.watermark:
            self.late += 1
            return
        self.buffers[record.side].append(record)
        lower, upper = (self.lower, self.upper) if record.side == 0 else (-self.upper, -self.lower)
        for other in self.buffers[1 - record.side]:
            if other.key == record.key and time + lower <= other.time_ms <= time + upper:
                left, right = (record, other) if record.side == 0 else (other, record)
                self.out.append(((record.key, left.value, right.value), max(time, other.time_ms)))
        self.timers.append((max(time + upper, time), record.side, record.key, time))

    def until(self, watermark):
        self.watermark = watermark
        for timer in [timer for timer in self.timers if timer[0] <= watermark]:
            self.timers.remove(timer)
            _, side, key, time = timer
            self.buffers[side][:] = [each for each in self.buffers[side] if (each.key, each.time_ms) != (key, time)]


def script(seed, count=120, keys=4, spread_ms=60, step_ms=25):
    """Records, the later the later in event time, some of them late, and watermarks between them."""
    rng = random.Random(seed)
    steps: list[Record | int] = []
    watermark = -100
    for value in range(count):
        if rng.random() < 0.2:
            watermark += rng.randrange(1, step_ms)
            steps.append(watermark)
        else:
            time_ms = watermark + rng.choice([0, rng.randrange(-spread_ms // 2, spread_ms)])
            time_ms -= 3 * spread_ms * (rng.random() < 0.05)
            steps.append(Record(rng.randrange(2), rng.choice("abcdefgh"[:keys]), value, time_ms))
    return [*steps, MAX_WATERMARK]


def naive(twin, steps):
    """(results with their timestamps, sorted, after each watermark; how many records were late)"""
    found, done = [], 0
    for step in steps:
        if isinstance(step, int):
            twin.until(step)
            found.append(sorted(twin.out[done:]))
            done = len(twin.out)
        else:
            twin.record(step)
    return found, twin.late


def played(make, steps, batch_rows, rng=None, schemas=(LEFT, RIGHT)):
    """The same of an operator, whose records come in batches of one side. rng : it is restored now and then, with
    another parallelism"""
    harnesses = [_harness(make, schemas)]
    found, late, waiting, out = [], 0, [], []

    def send():
        for harness in harnesses:
            for side in (0, 1):
                own = [record for record in waiting if record.side == side]
                if own:
                    rows = [row_of(record, schemas[side]) for record in own]
                    stamps = [record.time_ms for record in own]
                    keys = [(record.key,) for record in own] if schemas[side] == OBJECTS else None
                    harness.batch(rows, timestamps_ms=stamps, input=side, keys=keys)
            out.extend(harness.timestamped())
        waiting.clear()

    for step in steps:
        if isinstance(step, int):
            send()
            for harness in harnesses:
                out.extend(harness.watermark(step).timestamped())
            found.append(sorted(out))
            out.clear()
            if rng is not None and rng.random() < 0.3:
                late += sum(harness.metrics.late_dropped for harness in harnesses)
                snapshots, count = [harness.snapshot() for harness in harnesses], rng.choice([1, 2, 3])
                harnesses = [
                    _harness(make, schemas, restore=snapshots, parallelism=count, subtask_index=i)
                    for i in range(count)
                ]
        else:
            if waiting and (waiting[-1].side != step.side or len(waiting) == batch_rows):
                send()
            waiting.append(step)
    return found, late + sum(harness.metrics.late_dropped for harness in harnesses)


def row_of(record, schema):
    return (record.key, record.value)


def _harness(make, schemas, **options):
    keys = [None if schema == OBJECTS else schema.names[0] for schema in schemas]
    return Harness(make(), key=keys[0], key2=keys[1], **options)
