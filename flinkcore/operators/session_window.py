# SPDX-License-Identifier: Apache-2.0
"""SessionWindow: keyed session windows over built-in aggregates, on columns.

A record opens the window [time, time + gap); windows of one key that touch or overlap are one session (Flink:
MergingWindowSet, TimeWindow.mergeWindows). A session fires once when time reaches its last millisecond, and again
for each record that joins it within the allowed lateness; a record is late when the session that it would belong
to is older than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flinkcore._native.distinct import DistinctIds
from flinkcore._native.window import SessionIndex
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import DataError, UserFunctionError
from flinkcore.expr.aggregate import AggregateCall
from flinkcore.operators.base import OperatorContext, OperatorDescription, Output
from flinkcore.operators.windowed import WindowedAggregate, time_text
from flinkcore.time import MIN_TIMESTAMP


class SessionWindow(WindowedAggregate):
    """Sessions of a fixed gap, or of a gap that a function of the user says for each record.

    gap_ms : milliseconds, > 0; None when `extract_gap` says it
    """

    merges = True

    def __init__(
        self,
        schema: Schema,
        key_schema: Schema,
        calls: Sequence[AggregateCall],
        names: Sequence[str],
        gap_ms: int | None,
        extract_gap: Callable[[Any], int] | None = None,
        lateness_ms: int = 0,
        late_tag: str | None = None,
        processing_time: bool = False,
    ) -> None:
        super().__init__(schema, key_schema, calls, names, late_tag)
        self.gap_ms = gap_ms
        self.extract_gap = extract_gap
        self.lateness_ms = 0 if processing_time else lateness_ms
        self.processing_time = processing_time

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        # It is state: what was late stays late after a restore.
        self.time_ms: int = context.state.field("time_ms", MIN_TIMESTAMP, lambda: self.time_ms)
        self.sessions = context.state.part("sessions", SessionIndex)
        # By session slot.
        self.state = context.state.part("values", self.accumulators, parent="sessions", shown=self.shown)
        self._different = DistinctIds()
        if self.processing_time:
            self._register_timer()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        if self.processing_time:
            now_ms = self.context.clock.now_ms()
            self._advance(now_ms - 1)
            times = np.full(batch.num_rows, now_ms)
        else:
            times = self.event_times(batch)
        if self.lateness_ms and self.time_ms > MIN_TIMESTAMP and self._may_fire_again(times):
            for row in range(batch.num_rows):
                self._add(batch.slice(row, 1), times[row : row + 1])
        else:
            self._add(batch, times)
        if self.processing_time:
            self._register_timer()

    def _may_fire_again(self, times: np.ndarray) -> bool:
        """Whether a record of the batch may join a session and leave it due: then order within the batch shows."""
        return bool(times.min() <= self.time_ms)

    def _add(self, batch: Batch, times: np.ndarray) -> None:
        groups = self.intern(batch)
        gaps = self._gaps(batch)
        slots, into, merged = self.sessions.assign(groups, times, gaps, self.time_ms, self.lateness_ms)
        if len(merged):
            self.state.merge(self.state, into, merged)
            self.state.clear(merged)
        late = slots < 0
        if late.any():
            self.drop_late(batch.take(np.flatnonzero(late)))
            kept = np.flatnonzero(~late)
            if not len(kept):
                self._release(groups)
                return
            batch, slots = batch.take(kept), slots[kept]
        self.state.update(slots, self.arguments(batch))
        self._overflows = self.count_overflows(self.state, self._overflows)
        if self.lateness_ms and batch.num_rows == 1 and int(self.sessions.ends(slots)[0]) - 1 <= self.time_ms:
            self._emit(slots)
            self.sessions.mark_fired(slots)

    def _gaps(self, batch: Batch) -> np.ndarray | int:
        if self.extract_gap is None:
            assert self.gap_ms is not None
            return self.gap_ms
        gaps: list[int] = []
        rows = to_rows(batch)
        extract = self.extract_gap
        try:
            for row in rows:
                gaps.append(int(extract(row)))
        except Exception as error:
            raise UserFunctionError(
                self.context.name, "SessionWindowTimeGapExtractor.extract", error, rows[len(gaps)], len(gaps)
            ) from error
        found = np.array(gaps, np.int64)
        if (found <= 0).any():
            row = int(np.flatnonzero(found <= 0)[0])
            raise DataError(
                f"operator '{self.context.name}': the session gap must be positive, the extractor gave "
                f"{gaps[row]} ms for record {row} of its batch: {rows[row]!r}"
            )
        return found

    # -- time ---------------------------------------------------------------------------------------------

    def process_watermark(self, watermark_ms: int) -> None:
        if not self.processing_time:
            self._advance(watermark_ms)
        self.out.watermark(watermark_ms)

    def process_timer(self, now_ms: int) -> None:
        self._advance(now_ms - 1)  # all records of a window's last millisecond come before it fires
        self._register_timer()

    def _register_timer(self) -> None:
        end_ms = self.sessions.min_end
        if end_ms is not None:
            self.context.timers.register(end_ms)

    def _advance(self, time_ms: int) -> None:
        self.time_ms = time_ms
        slots = self.sessions.expired(time_ms)
        if len(slots):
            self._emit(slots)
            if self.lateness_ms:
                self.sessions.mark_fired(slots)
            else:
                self._forget(slots)
        if self.lateness_ms:
            gone = self.sessions.purgeable(time_ms, self.lateness_ms)
            if len(gone):
                self._forget(gone)

    def _emit(self, slots: np.ndarray) -> None:
        self.emit(
            self.state,
            slots,
            self.sessions.group_ids(slots),
            self.sessions.starts(slots),
            self.sessions.ends(slots),
        )

    def _forget(self, slots: np.ndarray) -> None:
        groups = self.sessions.group_ids(slots)
        self.state.clear(slots)
        self.sessions.release(slots)
        self._release(groups)

    def _release(self, groups: np.ndarray) -> None:
        """Gives back the ids of keys that have no session left."""
        gone = groups[~self.sessions.group_has_sessions(groups)]
        self.index.release(gone[self._different.first_rows(gone)])

    # -- words --------------------------------------------------------------------------------------------

    @property
    def waits_for_watermarks(self) -> bool:
        return not self.processing_time

    def unfired(self) -> str | None:
        end_ms = self.sessions.min_end
        if end_ms is None:
            return None
        kind = "processing time" if self.processing_time else "the watermark"
        return f"sessions wait for {kind}; the first ends at {time_text(end_ms)}"

    def describe(self) -> OperatorDescription:
        described = super().describe()
        if self.extract_gap is None:
            return described
        return OperatorDescription(
            False, described.detail, "the session gap's extractor is called for each record"
        )

    def window_text(self) -> str:
        kind = "processing-time" if self.processing_time else "event-time"
        return f"{kind} sessions with {'a gap per record' if self.gap_ms is None else f'a gap of {self.gap_ms} ms'}"
