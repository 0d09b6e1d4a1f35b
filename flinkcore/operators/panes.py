# SPDX-License-Identifier: Apache-2.0
"""Panes: what tumbling and sliding windows are made of, and when they fire and go.

Time is cut into panes of gcd(size, slide), so that every window is a run of whole panes. A record updates one
pane, however many windows overlap it; a window that fires combines its panes. All panes share one index of keys.
Meanings are Flink's (WindowOperator with EventTimeTrigger or ProcessingTimeTrigger): a window fires once when time
reaches its last millisecond; a record is late when the last of its windows is older than the allowed lateness;
a record for a window that has fired but is still allowed makes it fire again at once, for that key.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import chain
from math import gcd
from typing import Any

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore._native.window import pane_starts, panes_of
from flinkcore.columnar.batch import Batch
from flinkcore.errors import ConfigurationError, DataError, JobCancelledError
from flinkcore.operators.base import Operator
from flinkcore.operators.windowed import time_text
from flinkcore.state.keys import KeyIndex
from flinkcore.time import MIN_TIMESTAMP

# Keys that no pane holds any more are swept once they may be as many as those that one does, plus this many.
SWEEP_KEYS_MIN = 4096


class Panes(Operator):
    """The base of operators whose windows are [start, start + size) with start = offset mod slide; tumbling when
    slide equals size. What a pane holds, and what becomes of it, is theirs.

    size_ms, slide_ms, offset_ms, lateness_ms : durations in milliseconds
    processing_time : windows are of the clock's time, not of the records'
    """

    part = "panes"  # the name of the panes in the operator's state
    shown: dict[str, Any]
    index: KeyIndex
    panes: dict[int, Accumulators]  # by start

    def cut(
        self,
        size_ms: int,
        slide_ms: int | None = None,
        offset_ms: int = 0,
        lateness_ms: int = 0,
        processing_time: bool = False,
    ) -> None:
        """Says what the windows are; once, before the operator opens."""
        slide_ms = size_ms if slide_ms is None else slide_ms
        if size_ms <= 0 or slide_ms <= 0 or lateness_ms < 0:
            raise ConfigurationError(
                f"a window needs size > 0, slide > 0 and allowed lateness >= 0, in milliseconds; "
                f"got {size_ms}, {slide_ms}, {lateness_ms}"
            )
        self.size_ms = size_ms
        self.slide_ms = slide_ms
        self.offset_ms = offset_ms
        self.lateness_ms = 0 if processing_time else lateness_ms
        self.processing_time = processing_time
        self.pane_ms = gcd(size_ms, slide_ms)
        self.merges = self.pane_ms < size_ms

    def open_panes(self) -> None:
        """Takes over the panes that a snapshot held; when the operator opens."""
        window, length_ms = ("pane", self.pane_ms) if self.merges else ("window", self.size_ms)
        self.shown["bounds"] = [f"{window}_start", f"{window}_end", length_ms]
        context = self.context
        self.time_ms = self.restored_time()  # the watermark, or the time of the clock
        # [first key group, end, time] of old subtasks: their clocks, unlike watermarks, stood at different times.
        self._fired: list[list[int]] = []
        if self.processing_time:
            self._fired = context.state.field("fired", [], self._fired_by_groups, _joined)
        # The clock may be behind after a restore: its records would come to windows that have fired.
        self._now_min_ms = 1 + max((each[2] for each in self._fired), default=MIN_TIMESTAMP)
        self.panes = {}
        self._ends: list[int] = []  # heap of the ends of windows that will fire
        self._ends_known: set[int] = set()
        self._expiry: list[tuple[int, int]] = []  # heap of (time at which a pane goes, its start)
        self._sweep_at = SWEEP_KEYS_MIN
        for start in sorted(self.stored_starts()):
            self._pane(start)
        if self.processing_time:
            self._register_timer()

    # -- records ------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        if self.processing_time:
            now_ms = max(self.context.clock.now_ms(), self._now_min_ms, self.time_ms + 1)
            self._advance(now_ms - 1)  # a window whose last millisecond is now still takes records
            times = np.full(batch.num_rows, now_ms)
        else:
            times = self.event_times(batch)
        if self.slide_ms > self.size_ms:
            batch, times = self._skip_gaps(batch, times)
        if not self.processing_time and batch.has_time_until(self.time_ms):
            batch, times = self._split_late(batch, times)
        if batch.num_rows:
            self._update(batch, times)
            if self.processing_time:
                self._register_timer()

    def _update(self, batch: Batch, times: np.ndarray) -> None:
        starts, pane_of_row = panes_of(times, self.pane_ms, self.offset_ms)
        panes = [self._pane(start) for start in starts.tolist()]
        self.add(panes, pane_of_row, batch)

    def _pane(self, start: int) -> Accumulators:
        pane = self.panes.get(start)
        if pane is None:
            pane = self.panes[start] = self.make_pane(start)
            window_starts = self.window_starts(start)
            heappush(self._expiry, (window_starts[0] + self.size_ms - 1 + self.lateness_ms, start))
            for window_start in window_starts:
                self._await(window_start + self.size_ms)
        return pane

    def window_starts(self, start: int) -> range:
        """Of the windows that a pane is part of, the last one first."""
        return range(self._last_window_start(start), start - self.size_ms, -self.slide_ms)

    def _await(self, end: int) -> None:
        """The window up to `end` will fire, if it has not."""
        if end - 1 > self.time_ms and end not in self._ends_known:
            self._ends_known.add(end)
            heappush(self._ends, end)

    def _last_window_start(self, time_ms: int) -> int:
        """Start of the last window that holds `time_ms`."""
        return time_ms - (time_ms - self.offset_ms) % self.slide_ms

    def _skip_gaps(self, batch: Batch, times: np.ndarray) -> tuple[Batch, np.ndarray]:
        """Records between windows belong to none, when windows are further apart than they are long."""
        inside = (times - self.offset_ms) % self.slide_ms < self.size_ms
        if inside.all():
            return batch, times
        skipped = np.flatnonzero(~inside)
        late = skipped[times[skipped] + self.lateness_ms <= self.time_ms]
        if len(late):  # Flink: WindowOperator.isElementLate
            self.drop_late(batch.take(late))
        kept = np.flatnonzero(inside)
        return batch.take(kept), times[kept]

    def _split_late(self, batch: Batch, times: np.ndarray) -> tuple[Batch, np.ndarray]:
        """Takes out the records whose windows have all gone, and those that make a window fire again."""
        gone_before = self.time_ms - self.lateness_ms - self.size_ms + 1  # last window start <= this: gone
        fired_before = self.time_ms - self.size_ms + 1  # first window start <= this: fired
        panes, pane_of_row = panes_of(times, self.pane_ms, self.offset_ms)  # the records of one have the same windows
        last_starts = pane_starts(panes, self.slide_ms, self.offset_ms)
        late = last_starts <= gone_before
        if late.any():
            late_rows = late[pane_of_row]
            self.drop_late(batch.take(np.flatnonzero(late_rows)))
            kept = np.flatnonzero(~late_rows)
            batch, times, pane_of_row = batch.take(kept), times[kept], pane_of_row[kept]
        if self.lateness_ms and len(times):
            # The earliest window of a record: the first start above time - size.
            first_starts = last_starts - (last_starts - panes + self.size_ms - 1) // self.slide_ms * self.slide_ms
            again = (first_starts <= fired_before)[pane_of_row]
            # ... which only fires again if it has not gone.
            start = 0
            for row in np.flatnonzero(again).tolist():
                if start < row:
                    self._update(batch.slice(start, row - start), times[start:row])
                self._update_and_fire_again(batch.slice(row, 1), times[row : row + 1])
                start = row + 1
            if start:
                return batch.slice(start, batch.num_rows - start), times[start:]
        return batch, times

    def _update_and_fire_again(self, record: Batch, times: np.ndarray) -> None:
        """One record for windows that have fired: each fires again for its key, the last window first."""
        self._update(record, times)
        self._fire_again(record, int(times[0]))

    def _fire_again(self, record: Batch, time_ms: int) -> None:
        ids = self.intern(record)
        for start in range(self._last_window_start(time_ms), time_ms - self.size_ms, -self.slide_ms):
            last_ms = start + self.size_ms - 1
            if last_ms <= self.time_ms < last_ms + self.lateness_ms:
                self.emit(self._combined(start, ids), ids, ids, start, start + self.size_ms)

    # -- time ---------------------------------------------------------------------------------------------

    def process_watermark(self, watermark_ms: int) -> None:
        if not self.processing_time:
            self._advance(watermark_ms)
        self.out.watermark(watermark_ms)

    def process_timer(self, now_ms: int) -> None:
        self._advance(max(now_ms - 1, self.time_ms))  # all records of a window's last millisecond come before it fires
        self._register_timer()

    def _register_timer(self) -> None:
        if self._ends:
            self.context.timers.register(self._ends[0])

    def _advance(self, time_ms: int) -> None:
        """Fires every window whose last millisecond has come, the earliest first, and lets panes go."""
        self.time_ms = time_ms
        while self._ends and self._ends[0] - 1 <= time_ms:
            if self.context.interrupted():
                raise JobCancelledError(f"operator '{self.context.name}' was stopped while windows fired")
            end = heappop(self._ends)
            self._expire(end - 2)  # what goes before this window fires goes before
            self._ends_known.discard(end)
            self._fire_window(end - self.size_ms, end)
            self._expire(min(time_ms, end - 1))
        self._expire(time_ms)

    def _fire_window(self, start: int, end: int) -> None:
        combined = self._combined(start)
        ids = self._unfired_ids(combined.used_ids(), end - 1)
        self.emit(combined, ids, ids, start, end)

    def _fired_by_groups(self) -> list[list[int]]:
        """Up to what time the windows of which key groups have fired."""
        own = self.context.state.key_groups
        return [[own.start, own.stop, self.time_ms], *(each for each in self._fired if each[2] > self.time_ms)]

    def _unfired_ids(self, ids: np.ndarray, last_ms: int) -> np.ndarray:
        """The ids whose window up to `last_ms` has not fired, before the job was rescaled, in another subtask."""
        if not self._have_fired(last_ms):
            return ids
        return ids[self._unfired(self.index.hashes(ids))]

    def _have_fired(self, last_ms: int) -> bool:
        """Whether the window up to `last_ms` has fired for some key groups, in another subtask."""
        self._fired = [each for each in self._fired if each[2] >= last_ms]
        return bool(self._fired)

    def _unfired(self, hashes: np.ndarray) -> np.ndarray:
        """bool[n]: the keys for which it has not."""
        groups = hashes % np.uint64(self.context.state.max_parallelism)
        outside = np.ones(len(groups), bool)
        for first, end, _ in self._fired:
            outside &= (groups < first) | (groups >= end)
        return outside

    def _combined(self, start: int, ids: np.ndarray | None = None) -> Accumulators:
        """The accumulators of the window at `start`, of all ids or of some."""
        if not self.merges:
            return self.panes[start]
        panes = self.whole(start)
        panes += [pane for each in self._starts(start) if (pane := self.panes.get(each)) is not None]
        if len(panes) == 1:
            return panes[0]
        combined = self.context.state.budgeted(self.accumulators())
        for pane in panes:
            if ids is None:
                combined.merge_all(pane)
            else:
                held = np.intersect1d(ids, pane.used_ids()).astype(np.int32)
                combined.merge(pane, held, held)
        self.count_overflows(combined)
        return combined

    def _starts(self, start: int) -> Iterable[int]:
        """The starts of the panes of the window at `start`, at least of those that there are."""
        if len(self.panes) < self.size_ms // self.pane_ms:  # most of a long window may be empty
            return sorted(each for each in self.panes if start <= each < start + self.size_ms)
        return range(start, start + self.size_ms, self.pane_ms)

    def _expire(self, time_ms: int) -> None:
        expired = False
        while self._expiry and self._expiry[0][0] <= time_ms:
            start = heappop(self._expiry)[1]
            pane = self.panes.pop(start)
            self.count_overflows(pane)
            self.expired(start, pane)
            self.drop_pane(start)
            expired = True
        if expired:
            self.sweep()

    def sweep(self) -> None:
        """Releases the keys that no pane holds, so that the index does not grow with keys of the past."""
        if len(self.index) < self._sweep_at:
            return
        used = np.zeros(self.index.id_bound, bool)
        for accumulators in self.held():
            used[accumulators.used_ids()] = True
        self.release_others(used)
        self._sweep_at = 2 * len(self.index) + SWEEP_KEYS_MIN

    # -- what a pane holds --------------------------------------------------------------------------------

    def restored_time(self) -> int:
        """What time it was. It is state: what was late stays late after a restore."""
        found: int = self.context.state.field("time_ms", MIN_TIMESTAMP, lambda: self.time_ms)
        return found

    def stored_starts(self) -> Iterable[int]:
        """The starts of the panes that a snapshot held."""
        return self.context.state.namespaces(self.part)

    def make_pane(self, start: int) -> Any:
        """The pane at `start`: the restored one, or an empty one."""
        return self.context.state.part(self.part, self.accumulators, start, shown=self.shown)

    def drop_pane(self, start: int) -> None:
        """The pane at `start` is no state any more."""
        self.context.state.drop(self.part, start)

    def accumulators(self) -> Accumulators:
        """An empty pane."""
        raise NotImplementedError(type(self).__name__)

    def event_times(self, batch: Batch) -> np.ndarray:
        """The timestamps of a batch; DataError when its records have none."""
        if batch.timestamps_ms is None:
            raise DataError(
                f"operator '{self.context.name}': records have no timestamps; call "
                f"assign_timestamps_and_watermarks before an event-time window"
            )
        return batch.timestamps_ms

    def intern(self, batch: Batch) -> np.ndarray:
        """Group ids of a batch's keys, int32[n]; new keys get new ids."""
        raise NotImplementedError(type(self).__name__)

    def add(self, panes: list[Accumulators], pane_of_row: np.ndarray, batch: Batch) -> None:
        """Adds record i of a batch to panes[pane_of_row[i]]."""
        raise NotImplementedError(type(self).__name__)

    def drop_late(self, batch: Batch) -> None:
        """Records whose windows are gone."""
        raise NotImplementedError(type(self).__name__)

    def whole(self, start: int) -> list[Accumulators]:
        """What is known of the window at `start` beside its panes, and came before what they hold."""
        return []

    def held(self) -> Iterable[Accumulators]:
        """All accumulators, for the keys that are in use."""
        return self.panes.values()

    def emit(
        self, accumulators: Accumulators, rows: np.ndarray, groups: np.ndarray, starts_ms: Any, ends_ms: Any
    ) -> None:
        """The results of accumulator rows `rows`, of the window with these bounds. groups : the ids of their keys"""
        raise NotImplementedError(type(self).__name__)

    def count_overflows(self, accumulators: Accumulators) -> Any:
        """Accumulators go: says what their sums had to wrap."""

    def expired(self, start: int, pane: Accumulators) -> None:
        """A pane has gone."""

    def release_others(self, used: np.ndarray) -> None:
        """Releases the keys that no pane holds. used : bool[id bound], those that one does"""
        live = self.index.live_ids()
        self.index.release(live[~used[live]])

    # -- words --------------------------------------------------------------------------------------------

    @property
    def waits_for_watermarks(self) -> bool:
        return not self.processing_time

    def unfired(self) -> str | None:
        if not self._ends:
            return None
        kind = "processing time" if self.processing_time else "the watermark"
        return f"{len(self._ends)} windows wait for {kind}; the first ends at {time_text(self._ends[0])}"


def _joined(fired: Iterable[list[list[int]]]) -> list[list[int]]:
    return list(chain.from_iterable(fired))
