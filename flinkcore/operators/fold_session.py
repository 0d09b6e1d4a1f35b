# SPDX-License-Identifier: Apache-2.0
"""FoldSession: event-time sessions of an AggregateFunction or a reduce function, on columns where they can be.

Sessions that become one have their accumulators merged by kernels, where the user's function for that does the same and
nobody can tell in which order; otherwise a batch is cut before each record that would merge sessions, and the function
is called.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import UserFunctionError
from flinkcore.expr.folded import FOLDED, FOLDED_SESSIONS, FoldedFields
from flinkcore.expr.translate import NotTranslated, Unequal
from flinkcore.expr.translate.fold import Fold, kernels_merge
from flinkcore.expr.translate.translation import method_of
from flinkcore.operators.base import OperatorContext, Output
from flinkcore.operators.folded_state import session_contents
from flinkcore.operators.folded_windows import FoldedWindows
from flinkcore.operators.folding import OrderShows, merges_freely
from flinkcore.operators.functions import ReduceFunction
from flinkcore.operators.panes import SWEEP_KEYS_MIN
from flinkcore.operators.row_window import RowWindow
from flinkcore.operators.sessions import Sessions
from flinkcore.time.assigners import EventTimeSessionWindows

log = logging.getLogger(__name__)

CUTS_MIN = 256  # before it is asked whether batches are cut too often
TRY_ROWS_MIN, TRY_ROWS_MAX = 256, 1 << 30  # records that are looked at for the next cut
ROWS_OF_CUT_MIN = 32  # fewer between two cuts are done sooner by rows


class FoldSession(FoldedWindows, Sessions):
    """The sessions of a RowWindow that FoldSession.takes."""

    assigned = (EventTimeSessionWindows,)
    part, values_part = FOLDED_SESSIONS, FOLDED
    processing_time = False

    def __init__(self, schema: Schema, assigner: Any, schema_out: Schema, **settings: Any) -> None:
        FoldedWindows.__init__(self, schema, assigner, schema_out, **settings)
        self.gap_ms = assigner.gap_ms
        self.lateness_ms = self.allowed_lateness_ms

    def merged(self, fold: Fold, function: Any) -> int:
        if not merges_freely(fold):
            return 1
        if self.aggregate is None:
            call = function.reduce if isinstance(function, ReduceFunction) else function
            return 2 if kernels_merge(fold, call, self.schema) else 1
        try:
            merge = method_of(function, "merge")
        except NotTranslated:
            return 1
        return 2 if kernels_merge(fold, merge, accumulator_type=self.accumulator_type) else 1

    def way(self, fold: Fold) -> str:
        function = self.aggregate if self.aggregate is not None else self.reduce
        if self.merged(fold, function) > 1:
            return ""
        name = self.function_name if self.aggregate is None else f"{type(self.aggregate).__name__}.merge"
        return f"; {name} is called for sessions that become one"

    def times(self) -> dict[str, Any]:
        return {"sessions": True}

    # -- life ---------------------------------------------------------------------------------------------

    def open(self, context: OperatorContext, out: Output) -> None:
        self._sweep_at = SWEEP_KEYS_MIN
        self._cuts = self._rows_of_cuts = 0
        self._try_rows = TRY_ROWS_MAX
        self._is_open = False
        self._odd: dict[int, Any] = {}  # accumulators that columns do not hold, by slot
        FoldedWindows.open(self, context, out)

    def open_columns(self, fields: FoldedFields) -> None:
        state = self.context.state
        if not self._fits(fields):
            RowWindow._restore_contents(self)
        assert self._in_flight is not None
        rows = self._contents.table.rows
        found: list[tuple[int, int, int, Any]] = []
        for group_id, windows in self._in_flight.rows.get(None, {}).items():
            for (start, end), state_window in windows.items():
                if group_id not in rows.get(state_window, ()):
                    raise Unequal("a session without contents")
                found.append((group_id, start, end, rows[state_window][group_id]))
        if len(found) != len(self._contents.table):
            raise Unequal("windows that are no sessions")
        groups, starts, ends, values = zip(*found) if found else ((), (), (), ())
        accumulators = state.budgeted(fields.accumulators())
        places = np.arange(len(found), dtype=np.int32)
        fields.put(accumulators, places, values)
        self.open_sessions()
        self._is_open = True
        bounds = np.array(starts, np.int64), np.array(ends, np.int64)
        slots, _, _ = self.sessions.assign(np.array(groups, np.int32), bounds[0], bounds[1] - bounds[0])
        self.values.merge(accumulators, slots, places)
        self.sessions.mark_fired(slots[bounds[1] - 1 <= self.time_ms])
        self._forget_rows()

    def held(self) -> list[Any]:
        return [self.values] if self._is_open else []

    def unfired(self) -> str | None:
        return RowWindow.unfired(self) if self._columns is None else Sessions.unfired(self)

    # -- records ------------------------------------------------------------------------------------------

    def add_columns(self, batch: Batch) -> None:
        Sessions.process_batch(self, batch)

    def advance_columns(self, watermark_ms: int) -> None:
        Sessions.process_watermark(self, watermark_ms)

    def _add_records(self, batch: Batch, times: np.ndarray) -> None:
        groups = self.intern(batch) if self._columns is not None else times
        while self._columns is not None:
            if self._columns.merged > 1:
                try:
                    self._columns.check_order(batch)
                except OrderShows as reason:
                    what = "batches are cut where sessions become one from now on"
                    log.info("operator '%s': %s: %s", self.context.name, what, reason)
                    self._columns.merged = 1
                except Unequal as reason:
                    self._by_rows(str(reason))
                    break
            tried = min(batch.num_rows, self._try_rows)
            taken = self._assign(batch.slice(0, tried), groups[:tried], times[:tried])
            self._try_rows = min(TRY_ROWS_MAX, 4 * self._try_rows) if taken == tried else max(TRY_ROWS_MIN, 2 * taken)
            if taken == batch.num_rows:
                return
            batch, groups, times = batch.slice(taken, batch.num_rows - taken), groups[taken:], times[taken:]
            if taken == tried:
                continue
            self._cuts, self._rows_of_cuts = self._cuts + 1, self._rows_of_cuts + taken
            if self._columns is not None and self._cuts > max(CUTS_MIN, self._rows_of_cuts // ROWS_OF_CUT_MIN):
                self._by_rows("sessions that become one too often")
        self._process_rows(batch)

    def _assign(self, batch: Batch, groups: np.ndarray, times: np.ndarray) -> int:
        """Adds records; where the user's function is called for sessions that become one, those up to one that makes
        sessions one and is not the first. -> how many"""
        assert self._columns is not None
        slots, into, merged = self.sessions.assign(
            groups, times, self.gaps(batch), self.time_ms, self.lateness_ms, ends_at_merge=self._columns.merged == 1
        )
        taken = len(slots)
        if taken < batch.num_rows:
            batch, groups = batch.slice(0, taken), groups[:taken]
        if len(merged):
            if self._columns.merged > 1 and self._columns.admits_merges(len(merged)):
                self.values.merge(self.values, into, merged)
                self.values.clear(merged)
            else:
                self._merge_by_python(batch, into, merged)
        self._put(batch, groups, slots)
        return taken

    def _merge_by_python(self, batch: Batch, into: np.ndarray, merged: np.ndarray) -> None:
        """Sessions have become one: calls the user's function for them."""
        assert self._columns is not None
        fields = self._columns.fields
        slots = np.unique(np.concatenate([into, merged]))
        found = dict(zip(slots.tolist(), fields.objects(self.values, slots)))
        try:
            for target, source in zip(into.tolist(), merged.tolist()):
                found[target] = self._contents._merged(found[target], found.pop(source))
        except Exception as error:
            record = to_rows(batch.slice(0, 1))[0]
            raise UserFunctionError(self.context.name, self.function_name, error, record, 0) from error
        self.values.clear(slots)
        try:
            ids = np.array(list(found), np.int32)
            fields.put(self.values, ids, list(found.values()))
            self._columns.saw(self.values, ids)
        except Unequal as reason:
            self.values.clear(slots)
            self._odd = found
            self._by_rows(str(reason))

    def add(self, slots: np.ndarray, batch: Batch) -> None:
        if self._columns is not None:
            try:
                self._columns.update([self.values], np.zeros(len(slots), np.int32), slots, batch)
                return
            except Unequal as reason:
                self._by_rows(str(reason))
        self._process_rows(batch)

    def fire_again(self, record: Batch, slots: np.ndarray) -> None:
        if self._columns is not None:  # else it has fired
            self._again = record
            self.fire(slots)
            self._again = None

    # -- sessions -----------------------------------------------------------------------------------------

    def expired(self, slots: np.ndarray) -> None:
        self.gone(self.sessions.group_ids(slots), self.sessions.starts(slots), self.sessions.ends(slots))

    def release_keys(self, groups: np.ndarray) -> None:
        """Keys are swept once there may be as many without a session as with one."""
        if len(self.index) >= self._sweep_at:
            live = self.index.live_ids()
            used = np.zeros(self.index.id_bound, bool)
            used[live] = self.sessions.group_has_sessions(live)
            self.state.release_others(used)
            self._sweep_at = 2 * len(self.index) + SWEEP_KEYS_MIN

    def leave_columns(self, fields: FoldedFields) -> None:
        if self._is_open:
            for window, ids, values in session_contents(self.sessions, self.values, fields, self._odd):
                self._to_rows(window, ids, values)
            self.context.state.drop(FOLDED)
            self.context.state.drop(FOLDED_SESSIONS)
