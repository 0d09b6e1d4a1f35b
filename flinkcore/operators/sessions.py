# SPDX-License-Identifier: Apache-2.0
"""Sessions: windows of a key's records between which there is no gap, and when they fire and go.

A record opens the window [time, time + gap); windows of one key that touch or overlap are one session (Flink:
MergingWindowSet, TimeWindow.mergeWindows). A session fires once when time reaches its last millisecond, and again
for each record that joins it within the allowed lateness; a record is late when the session that it would belong
to is older than that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore._native.window import SessionIndex
from flinkcore.columnar.batch import Batch
from flinkcore.operators.base import Operator
from flinkcore.operators.windowed import time_text
from flinkcore.time import MIN_TIMESTAMP


class Sessions(Operator):
    """The base of operators whose windows are sessions. What a session holds, and what becomes of it, is theirs."""

    part, values_part = "sessions", "values"  # the names of the sessions and of what they hold in the operator's state
    gap_ms: int | None
    lateness_ms: int
    processing_time: bool
    shown: dict[str, Any]
    values: Accumulators  # by session slot

    def open_sessions(self) -> None:
        """Takes over the sessions that a snapshot held; when the operator opens."""
        state = self.context.state
        self.time_ms = self.restored_time()  # the watermark, or the time of the clock
        self.sessions = state.part(self.part, SessionIndex)
        self.values = state.part(self.values_part, self.accumulators, parent=self.part, shown=self.shown)
        if self.processing_time:
            self._register_timer()

    # -- records ------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        if self.processing_time:
            now_ms = self.context.clock.now_ms()
            self._advance(now_ms - 1)
            times = np.full(batch.num_rows, now_ms)
        else:
            times = self.event_times(batch)
        start = 0
        if self.lateness_ms and self.time_ms > MIN_TIMESTAMP:
            for row in np.flatnonzero(self._may_be_due(times)).tolist():  # it may fire its session again, as it is then
                if start < row:
                    self._add_records(batch.slice(start, row - start), times[start:row])
                self._add_records(batch.slice(row, 1), times[row : row + 1])
                start = row + 1
        if start < batch.num_rows:
            self._add_records(batch.slice(start, batch.num_rows - start) if start else batch, times[start:])
        if self.processing_time:
            self._register_timer()

    def _may_be_due(self, times: np.ndarray) -> np.ndarray:
        """bool[n]: whether the session of a record may be one whose last millisecond has come."""
        found: np.ndarray = times <= self.time_ms - ((self.gap_ms or 1) - 1)
        return found

    def _add_records(self, batch: Batch, times: np.ndarray) -> None:
        groups = self.intern(batch)
        slots, into, merged = self.sessions.assign(groups, times, self.gaps(batch), self.time_ms, self.lateness_ms)
        if len(merged):
            self.values.merge(self.values, into, merged)
            self.values.clear(merged)
        self._put(batch, groups, slots)

    def _put(self, batch: Batch, groups: np.ndarray, slots: np.ndarray) -> None:
        """Records go into their sessions, or are late. slots : int32[n], -1 for those that are late"""
        late = slots < 0
        if late.any():
            self.drop_late(batch.take(np.flatnonzero(late)))
            kept = np.flatnonzero(~late)
            if not len(kept):
                self.release_keys(groups)
                return
            batch, slots = batch.take(kept), slots[kept]
        self.add(slots, batch)
        if self.lateness_ms and batch.num_rows == 1 and int(self.sessions.ends(slots)[0]) - 1 <= self.time_ms:
            self.fire_again(batch, slots)
            self.sessions.mark_fired(slots)

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
            self.fire(slots)
            if self.lateness_ms:
                self.sessions.mark_fired(slots)
            else:
                self._forget(slots)
        if self.lateness_ms:
            gone = self.sessions.purgeable(time_ms, self.lateness_ms)
            if len(gone):
                self._forget(gone)

    def fire(self, slots: np.ndarray) -> None:
        """The results of some sessions."""
        self.emit(
            self.values,
            slots,
            self.sessions.group_ids(slots),
            self.sessions.starts(slots),
            self.sessions.ends(slots),
        )

    def fire_again(self, record: Batch, slots: np.ndarray) -> None:
        """A record has joined a session that has fired."""
        self.fire(slots)

    def _forget(self, slots: np.ndarray) -> None:
        groups = self.sessions.group_ids(slots)
        self.expired(slots)
        self.values.clear(slots)
        self.sessions.release(slots)
        self.release_keys(groups)

    # -- what a session holds -----------------------------------------------------------------------------

    def restored_time(self) -> int:
        """What time it was. It is state: what was late stays late after a restore."""
        found: int = self.context.state.field("time_ms", MIN_TIMESTAMP, lambda: self.time_ms)
        return found

    def accumulators(self) -> Accumulators:
        """What sessions hold, empty."""
        raise NotImplementedError(type(self).__name__)

    def event_times(self, batch: Batch) -> np.ndarray:
        """The timestamps of a batch; DataError when its records have none."""
        raise NotImplementedError(type(self).__name__)

    def intern(self, batch: Batch) -> np.ndarray:
        """Group ids of a batch's keys, int32[n]; new keys get new ids."""
        raise NotImplementedError(type(self).__name__)

    def gaps(self, batch: Batch) -> np.ndarray | int:
        """How long the sessions of records stay open, in milliseconds, > 0."""
        assert self.gap_ms is not None
        return self.gap_ms

    def add(self, slots: np.ndarray, batch: Batch) -> None:
        """Adds record i to row slots[i] of the values."""
        raise NotImplementedError(type(self).__name__)

    def drop_late(self, batch: Batch) -> None:
        """Records whose sessions are gone."""
        raise NotImplementedError(type(self).__name__)

    def emit(
        self, accumulators: Accumulators, rows: np.ndarray, groups: np.ndarray, starts_ms: Any, ends_ms: Any
    ) -> None:
        """The results of accumulator rows `rows`, of windows with these bounds. groups : the ids of their keys"""
        raise NotImplementedError(type(self).__name__)

    def expired(self, slots: np.ndarray) -> None:
        """Sessions are about to go."""

    def release_keys(self, groups: np.ndarray) -> None:
        """Gives back the ids of those keys that have no session left."""
        raise NotImplementedError(type(self).__name__)

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
