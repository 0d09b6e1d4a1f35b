# SPDX-License-Identifier: Apache-2.0
"""FoldWindow: tumbling and sliding event-time windows of an AggregateFunction or a reduce function, on columns.

Sliding windows have two ways. Where accumulators may be merged in any order without a difference to anybody, records
go into panes, and a window merges its panes when it fires. Otherwise each record goes into each of its windows, as by
rows. Windows that a snapshot holds by rows, or that were filled the second way, are merged with their panes.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore._native.window import pane_index, sliding_starts
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.expr.folded import FOLDED, FOLDED_PANES, FoldedFields
from flinkcore.expr.translate import Unequal
from flinkcore.expr.translate.fold import Fold
from flinkcore.operators.base import OperatorContext, Output
from flinkcore.operators.folded_state import window_contents
from flinkcore.operators.folded_windows import FoldedWindows
from flinkcore.operators.folding import OrderShows, merges_freely
from flinkcore.operators.panes import Panes
from flinkcore.operators.row_window import RowWindow
from flinkcore.state.table import Rows
from flinkcore.time import MIN_TIMESTAMP
from flinkcore.time.assigners import SlidingEventTimeWindows, TumblingEventTimeWindows

log = logging.getLogger(__name__)

ADDED_MAX = 1 << 16  # records times their windows that go in together
PANES_MAX = 16  # of a window, for each window of a record: merging more takes longer than to have none


class FoldWindow(FoldedWindows, Panes):  # type: ignore[override]  # the index of keys is that of the KeyedState
    """The windows of a RowWindow that FoldWindow.takes."""

    assigned = (TumblingEventTimeWindows, SlidingEventTimeWindows)

    def __init__(self, schema: Schema, assigner: Any, schema_out: Schema, **settings: Any) -> None:
        FoldedWindows.__init__(self, schema, assigner, schema_out, **settings)
        self._slides = isinstance(assigner, SlidingEventTimeWindows)
        slide_ms = assigner.slide_ms if self._slides else None
        self.cut(assigner.size_ms, slide_ms, assigner.offset_ms, self.allowed_lateness_ms)
        self._overlap = -(-self.size_ms // self.slide_ms)  # windows of a record, at most

    def merged(self, fold: Fold, function: Any) -> int:
        panes = self.size_ms // self.pane_ms
        shares = self._overlap > 1 and panes <= PANES_MAX * self._overlap
        if shares and merges_freely(fold) and not self.clears_windows():
            return panes + 1
        return 1

    def way(self, fold: Fold) -> str:
        if self.slide_ms >= self.size_ms:
            return ""
        return ", in panes that windows share" if self.merged(fold, None) > 1 else ", in each window of a record"

    def times(self) -> dict[str, Any]:
        found = {"size_ms": self.size_ms}
        return {**found, "slide_ms": self.slide_ms, "offset_ms": self.offset_ms} if self._slides else found

    # -- life ---------------------------------------------------------------------------------------------

    def open(self, context: OperatorContext, out: Output) -> None:
        self.panes = {}  # windows where the panes are not shared
        self._carried: dict[int, Accumulators] = {}  # windows beside panes, by start
        FoldedWindows.open(self, context, out)

    def open_columns(self, fields: FoldedFields) -> None:
        assert self._columns is not None
        self._share(self._columns.merged > 1)
        state = self.context.state
        fits = self._fits(fields) and all(
            (start - self.offset_ms) % self.slide_ms == 0 for start in state.namespaces(FOLDED)
        )
        if not fits or (state.namespaces(FOLDED_PANES) and not self.merges):
            RowWindow._restore_contents(self)
        made: dict[int, Accumulators] = {}
        windows: dict[Any, Rows] = self._contents.table.rows
        for window, rows in windows.items():
            start: int = window.start
            if window.end - start != self.size_ms or (start - self.offset_ms) % self.slide_ms:
                raise Unequal("windows of another size")
            made[start] = state.budgeted(fields.accumulators())
            fields.put(made[start], np.fromiter(rows, np.int32, len(rows)), list(rows.values()))
        for start, accumulators in made.items():
            self._window(start).merge_all(accumulators)
        self._forget_rows()
        self.open_panes()
        for start in sorted(state.namespaces(FOLDED)) if self.merges else ():
            self._carried[start] = self._window(start)
            self._await(start + self.size_ms)

    def _share(self, shares: bool) -> None:
        """Whether records go into panes, or into each of their windows."""
        self.merges = shares
        self.part = FOLDED_PANES if shares else FOLDED
        self.shown = {"fold": self.shown["fold"]}

    def _window(self, start: int) -> Accumulators:
        """The accumulators of a window, beside those of its panes."""
        shown = {**self.shown, "bounds": ["window_start", "window_end", self.size_ms]}
        return self.context.state.part(FOLDED, self.accumulators, start, shown=shown)

    def _share_no_more(self, reason: str) -> None:
        """Records go into each of their windows from now on."""
        log.info("operator '%s': records go into each of their windows from now on: %s", self.context.name, reason)
        assert self._columns is not None
        panes, self.panes, self._carried = self.panes, {}, {}
        self._share(False)
        self._columns.merged = 1
        self.open_panes()  # windows that were beside the panes
        for pane_start, pane in panes.items():
            last_start = self._last_window_start(pane_start)
            for start in range(last_start, pane_start - self.size_ms, -self.slide_ms):
                if start + self.size_ms - 1 + self.lateness_ms > self.time_ms:
                    self._pane(start).merge_all(pane)
            self.context.state.drop(FOLDED_PANES, pane_start)
        self._columns.recount()

    def unfired(self) -> str | None:
        return RowWindow.unfired(self) if self._columns is None else Panes.unfired(self)

    # -- records ------------------------------------------------------------------------------------------

    def add_columns(self, batch: Batch) -> None:
        Panes.process_batch(self, batch)

    def advance_columns(self, watermark_ms: int) -> None:
        Panes.process_watermark(self, watermark_ms)

    def _update(self, batch: Batch, times: np.ndarray) -> None:
        step = max(1, ADDED_MAX // self._overlap)
        if self._columns is None:  # since an earlier part of the batch
            self._process_rows(batch)
        elif self.merges or not self._slides:
            Panes._update(self, batch, times)
        elif batch.num_rows > step:
            for start in range(0, batch.num_rows, step):
                self._update(batch.slice(start, min(step, batch.num_rows - start)), times[start : start + step])
        else:
            rows, starts = sliding_starts(times, self.size_ms, self.slide_ms, self.offset_ms)
            if self.time_ms > MIN_TIMESTAMP:
                there = np.flatnonzero(starts > self.time_ms - self.lateness_ms - self.size_ms + 1)
                rows, starts = rows[there], starts[there]
            found, window_of_row = pane_index(starts)
            self._fold([self._pane(start) for start in found.tolist()], window_of_row, batch, rows)

    def add(self, panes: list[Accumulators], pane_of_row: np.ndarray, batch: Batch) -> None:
        self._fold(panes, pane_of_row, batch, None)

    def _fold(
        self, panes: list[Accumulators], pane_of_row: np.ndarray, batch: Batch, rows: np.ndarray | None
    ) -> None:
        assert self._columns is not None
        ids = self.intern(batch)
        try:
            if self.merges:
                self._columns.check_order(batch)
            self._columns.update(panes, pane_of_row, ids if rows is None else ids[rows], batch, rows)
        except OrderShows as reason:
            self._share_no_more(str(reason))
            self._update(batch, self.event_times(batch))
        except Unequal as reason:
            self._by_rows(str(reason))
            self._process_rows(batch)

    def _fire_again(self, record: Batch, time_ms: int) -> None:
        if self._columns is not None:  # else it has fired
            self._again = record
            Panes._fire_again(self, record, time_ms)
            self._again = None

    # -- windows ------------------------------------------------------------------------------------------

    def window_starts(self, start: int) -> range:
        return Panes.window_starts(self, start) if self.merges else range(start, start + 1)

    def whole(self, start: int) -> list[Accumulators]:
        return [self._carried[start]] if start in self._carried else []

    def held(self) -> list[Accumulators]:
        return [*self.panes.values(), *self._carried.values()]

    def _expire(self, time_ms: int) -> None:
        for start in list(self._carried):
            if start + self.size_ms - 1 + self.lateness_ms <= time_ms:
                del self._carried[start]
                self.context.state.drop(FOLDED, start)
        Panes._expire(self, time_ms)

    def expired(self, start: int, pane: Accumulators) -> None:
        self.gone(pane.used_ids(), start, start + self.size_ms)

    def release_others(self, used: np.ndarray) -> None:
        self.state.release_others(used)

    def leave_columns(self, fields: FoldedFields) -> None:
        windows, panes = (self._carried, self.panes) if self.merges else (self.panes, {})
        times = self.size_ms, self.slide_ms, self.offset_ms
        for window, ids, values in window_contents(windows, panes, times, fields):
            self._to_rows(window, ids, values)
        for name, parts in ((FOLDED, windows), (FOLDED_PANES, panes)):
            for start in parts:
                self.context.state.drop(name, start)
        self.panes, self._carried = {}, {}
