# SPDX-License-Identifier: Apache-2.0
"""The watermark of one stream of records: generators, idleness, and when to emit.

A WatermarkTracker belongs to one split of a source or to one subtask of assign_timestamps_and_watermarks. It
is told of the records that pass and asked for a watermark; it does no I/O and reads time from the clock it
is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from flinkcore.errors import ConfigurationError
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from flinkcore.time.clock import Clock
from flinkcore.time.watermark_spec import WatermarkGenerator, WatermarkOutput, WatermarkStrategySpec

#: A watermark that belongs right after a row of a batch: (how many rows precede it, the watermark).
Mark = tuple[int, int]


class Generator(Protocol):
    """Says how far event time has come, given the timestamps that were seen."""

    def on_batch(self, timestamps_ms: np.ndarray, highest_ms: int, rows: Sequence[Any] | None) -> list[Mark]:
        """Records passed. -> punctuated watermarks, which belong between them; [] for periodic generators.

        timestamps_ms : int64[n], n > 0;  highest_ms : the highest of them
        rows : the records as Python values, None unless `needs_rows`
        """

    def on_periodic_emit(self) -> int | None:
        """The watermark now, None for none yet."""

    def snapshot(self) -> Any:
        """Its own memory, as plain data; None for none but the highest timestamp, which the tracker remembers too."""

    def restore(self, state: Any, highest_ms: int | None, watermark_ms: int | None) -> None:
        """Goes on from snapshot(), or from another generator's tracker as well as it can.

        highest_ms, watermark_ms : the highest timestamp seen, and the last watermark emitted
        """

    @property
    def needs_rows(self) -> bool: ...


class BoundedOutOfOrderness:
    """watermark = highest timestamp - bound - 1; with bound 0 monotonous (Flink: BoundedOutOfOrderness)."""

    needs_rows = False

    def __init__(self, bound_ms: int = 0) -> None:
        self.bound_ms = bound_ms
        self._max_ms: int | None = None

    def on_batch(self, timestamps_ms: np.ndarray, highest_ms: int, rows: Sequence[Any] | None) -> list[Mark]:
        if self._max_ms is None or highest_ms > self._max_ms:
            self._max_ms = highest_ms
        return []

    def on_periodic_emit(self) -> int | None:
        return None if self._max_ms is None else max(self._max_ms - self.bound_ms - 1, MIN_TIMESTAMP)

    def snapshot(self) -> None:
        return None

    def restore(self, state: Any, highest_ms: int | None, watermark_ms: int | None) -> None:
        self._max_ms = highest_ms


class NoWatermarks:
    """Event time stands still until the end of the input."""

    needs_rows = False

    def on_batch(self, timestamps_ms: np.ndarray, highest_ms: int, rows: Sequence[Any] | None) -> list[Mark]:
        return []

    def on_periodic_emit(self) -> int | None:
        return None

    def snapshot(self) -> None:
        return None

    def restore(self, state: Any, highest_ms: int | None, watermark_ms: int | None) -> None:
        pass


class CustomGenerator(WatermarkOutput):
    """A user's WatermarkGenerator, called for each row.

    A watermark that the user emits in on_event is punctuated: it takes its place right after that row, as in
    Flink, so rows behind it can be late. One emitted in on_periodic_emit waits for the tracker to ask.
    """

    needs_rows = True

    def __init__(self, generator: WatermarkGenerator) -> None:
        self._generator = generator
        self._watermark_ms = MIN_TIMESTAMP
        self._emitted_ms = MIN_TIMESTAMP
        self.idle = False  # what the user said last

    def emit_watermark(self, watermark: int) -> None:
        self.idle = False
        if watermark > self._watermark_ms:
            self._watermark_ms = min(watermark, MAX_WATERMARK)

    def mark_idle(self) -> None:
        self.idle = True

    def mark_active(self) -> None:
        self.idle = False

    def on_batch(self, timestamps_ms: np.ndarray, highest_ms: int, rows: Sequence[Any] | None) -> list[Mark]:
        if rows is None:
            raise ValueError("a custom watermark generator needs the rows")
        marks: list[Mark] = []
        on_event = self._generator.on_event
        for count, (row, timestamp_ms) in enumerate(zip(rows, timestamps_ms.tolist()), 1):
            on_event(row, timestamp_ms, self)
            if self._watermark_ms > self._emitted_ms:
                self._emitted_ms = self._watermark_ms
                marks.append((count, self._watermark_ms))
        return marks

    def on_periodic_emit(self) -> int | None:
        self._generator.on_periodic_emit(self)
        self._emitted_ms = self._watermark_ms
        return None if self._watermark_ms == MIN_TIMESTAMP else self._watermark_ms

    def snapshot(self) -> Any:
        save = getattr(self._generator, "snapshot_state", None)
        return None if save is None else save()

    def restore(self, state: Any, highest_ms: int | None, watermark_ms: int | None) -> None:
        self._watermark_ms = self._emitted_ms = MIN_TIMESTAMP if watermark_ms is None else watermark_ms
        if state is not None:
            self._generator.restore_state(state)


@dataclass(frozen=True)
class WatermarkFacts:
    """What a tracker knows: the answer to "why has my window not fired?".

    last_timestamp_ms : the highest timestamp seen, None before the first record
    watermark_ms : the last watermark emitted, None before the first
    rows : records seen;  idle_since_ms : processing time since when no record came, None while active
    """

    rows: int
    last_timestamp_ms: int | None
    watermark_ms: int | None
    idle_since_ms: int | None

    @property
    def behind_ms(self) -> int | None:
        """How far the watermark is behind the highest timestamp."""
        if self.last_timestamp_ms is None or self.watermark_ms is None:
            return None
        return self.last_timestamp_ms - self.watermark_ms


class WatermarkTracker:
    """Turns the timestamps of one stream of records into its watermark and its idleness.

    A periodic watermark is due once `interval_ms` has passed by the clock since the last one, or once
    `rows_max` records were seen since, so that a fast reader of history does not outrun event time; never in
    the middle of a batch. A short bounded input is therefore wholly consumed before the first watermark, as
    in Flink. With `interval_ms` 0 no periodic watermark is ever emitted, as with setAutoWatermarkInterval(0).
    After `idle_timeout_ms` without a record the stream is idle until its watermark next advances.
    Source: Flink, TimestampsAndWatermarksOperator and WatermarksWithIdleness.
    """

    def __init__(
        self,
        generator: Generator,
        clock: Clock,
        interval_ms: int = 200,
        rows_max: int = 2**63,
        idle_timeout_ms: int | None = None,
    ) -> None:
        self.generator = generator
        self.interval_ms = interval_ms
        self.rows_max = rows_max
        self.idle_timeout_ms = idle_timeout_ms
        self.watermark_ms = MIN_TIMESTAMP
        self.idle = False
        self._clock = clock
        self._polled_ms = clock.now_ms()
        self._row_ms = self._polled_ms  # processing time of the last record
        self._rows = 0
        self._rows_polled = 0
        self._highest_ms: int | None = None

    @property
    def needs_rows(self) -> bool:
        return self.generator.needs_rows

    def on_batch(self, timestamps_ms: np.ndarray, highest_ms: int, rows: Sequence[Any] | None = None) -> list[Mark]:
        """Records passed, one at least. -> punctuated watermarks and their places, each higher than the one before.

        Arguments as for Generator.on_batch
        """
        self._rows += len(timestamps_ms)
        self._row_ms = self._clock.now_ms()
        if self._highest_ms is None or highest_ms > self._highest_ms:
            self._highest_ms = highest_ms
        found = self.generator.on_batch(timestamps_ms, highest_ms, rows)
        marks = [mark for mark in found if mark[1] > self.watermark_ms]
        if marks:
            self.watermark_ms = marks[-1][1]
            self.idle = False
        return marks

    def poll(self) -> int | None:
        """The watermark to emit now, None when none is due or it has not advanced. May change `idle`."""
        if self.interval_ms <= 0:
            return None
        now_ms = self._clock.now_ms()
        if now_ms - self._polled_ms < self.interval_ms and self._rows - self._rows_polled < self.rows_max:
            return None
        self._polled_ms = now_ms
        self._rows_polled = self._rows
        if self.idle_timeout_ms is not None and now_ms - self._row_ms > self.idle_timeout_ms:
            self.idle = True
            return None
        watermark_ms = self.generator.on_periodic_emit()
        if getattr(self.generator, "idle", False):
            self.idle = True
        if watermark_ms is None or watermark_ms <= self.watermark_ms:
            return None
        self.watermark_ms = watermark_ms
        self.idle = False
        return watermark_ms

    def next_poll_ms(self) -> int | None:
        """The processing time at which poll() has to be called, None when never."""
        return self._polled_ms + self.interval_ms if self.interval_ms > 0 else None

    def facts(self) -> WatermarkFacts:
        return WatermarkFacts(
            self._rows, self._highest_ms, self._emitted(), self._row_ms if self.idle else None
        )

    def snapshot(self) -> dict[str, Any]:
        """What restore() needs so that late records are late again: plain data.

        watermark_ms, highest_ms : the last watermark, and the highest timestamp seen; None before the first
        rows, rows_since : records seen, in all and since a watermark was last asked for
        idle : does not come back, since it is about the clock; see merged_snapshots
        generator : what the generator remembers
        """
        return {
            "watermark_ms": self._emitted(),
            "highest_ms": self._highest_ms,
            "rows": self._rows,
            "rows_since": self._rows - self._rows_polled,
            "idle": self.idle,
            "generator": self.generator.snapshot(),
        }

    def restore(self, snapshot: dict[str, Any]) -> int | None:
        """Goes on from snapshot(), before the first record. -> the last watermark, to be emitted again"""
        watermark_ms = snapshot["watermark_ms"]
        self.watermark_ms = MIN_TIMESTAMP if watermark_ms is None else watermark_ms
        self._highest_ms = snapshot["highest_ms"]
        self._rows = snapshot["rows"]
        self._rows_polled = self._rows - snapshot["rows_since"]
        self.generator.restore(snapshot["generator"], self._highest_ms, watermark_ms)
        return watermark_ms

    def _emitted(self) -> int | None:
        return None if self.watermark_ms == MIN_TIMESTAMP else self.watermark_ms


def merged_snapshots(snapshots: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What each tracker of a job with another parallelism goes on from: no later than the slowest of those that count,
    since any record may come to any of them. What a user's generator remembers of some records is of no use then."""
    active = [snapshot for snapshot in snapshots if not snapshot["idle"]] or list(snapshots)
    return {
        "watermark_ms": _lowest([snapshot["watermark_ms"] for snapshot in active]),
        "highest_ms": _lowest([snapshot["highest_ms"] for snapshot in active]),
        "rows": 0,
        "rows_since": 0,
        "idle": False,
        "generator": None,
    }


def _lowest(times_ms: Sequence[int | None]) -> int | None:
    return None if None in times_ms else min(time_ms for time_ms in times_ms if time_ms is not None)


def make_generator(spec: WatermarkStrategySpec) -> Generator:
    """The generator that a strategy describes, new."""
    if spec.kind == "bounded":
        return BoundedOutOfOrderness(spec.bound_ms)
    if spec.kind == "none":
        return NoWatermarks()
    if spec.generator_factory is None:
        raise ConfigurationError(
            "a custom watermark strategy needs a generator; give for_generator a function that makes one"
        )
    return CustomGenerator(spec.generator_factory())
