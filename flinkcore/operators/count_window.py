# SPDX-License-Identifier: Apache-2.0
"""CountWindows: windows of n records of a key, one after the other, over built-in aggregates on columns.

The last record of a window fires and purges it; what is not full at the end is never emitted (Flink: GlobalWindows
with PurgingTrigger of CountTrigger).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import I64, Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError
from flinkcore.expr.aggregate import AggregateCall
from flinkcore.operators.base import OperatorContext, Output
from flinkcore.operators.windowed import WindowedAggregate


class CountWindows(WindowedAggregate):
    """Windows of `window_size` records per key."""

    has_bounds = False

    def __init__(
        self,
        schema: Schema,
        key_schema: Schema,
        calls: Sequence[AggregateCall],
        names: Sequence[str],
        window_size: int,
    ) -> None:
        super().__init__(schema, key_schema, calls, names)
        if window_size <= 0:
            raise ConfigurationError(f"a count window needs a positive size, got {window_size}")
        self.window_size = window_size

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        # The open window of each key, by group id, and how many records are in it.
        self.state = context.state.part("values", self.accumulators, shown=self.shown)
        self.counts = context.state.part(
            "counts", lambda: Accumulators([("sum0", I64, 0)]), shown={"names": ["records"]}
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        ids = self.intern(batch)
        # The place of each record among those of its key: how many came before, in earlier batches and in this one.
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        first = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ids) else np.zeros(0, bool)
        run_starts = np.flatnonzero(first)
        run_lengths = np.diff(np.append(run_starts, len(ids)))
        keys = ordered[run_starts]
        held = self._count_of(keys)
        place = np.arange(len(ids)) - np.repeat(run_starts - held, run_lengths)
        window = place // self.window_size  # 0: the window that was open before this batch
        left = (held + run_lengths) % self.window_size
        self.counts.update(keys, [(Column.from_numpy(left - held),)])
        self._update(batch.take(order), ordered, place, window, order)
        empty = keys[left == 0]
        self.counts.clear(empty)
        self.index.release(empty)

    def _count_of(self, ids: np.ndarray) -> np.ndarray:
        """int64: how many records are in the open window of each key."""
        return self.counts.results(ids)[0].to_numpy()

    def _update(
        self, batch: Batch, ids: np.ndarray, place: np.ndarray, window: np.ndarray, order: np.ndarray
    ) -> None:
        """`batch` and `ids` are in the order of ids; a window's records stand together."""
        arguments = self.aggregation.arguments(batch)
        starts = np.flatnonzero(np.concatenate([[True], (ids[1:] != ids[:-1]) | (window[1:] != window[:-1])]))
        lengths = np.diff(np.append(starts, len(ids)))
        ends = starts + lengths - 1
        # Windows that were not open before are first built apart, in a row each, so that one pass serves all.
        scratch = self.accumulators()
        rows = np.repeat(np.arange(len(starts), dtype=np.int32), lengths)
        was_open = (window[starts] == 0) & (place[starts] > 0)
        held = ids[starts[was_open]]
        mine = np.flatnonzero(was_open).astype(np.int32)
        scratch.merge(self.state, mine, held)
        self.state.clear(held)
        scratch.update(rows, arguments)
        full = place[ends] % self.window_size == self.window_size - 1
        open_rows = np.flatnonzero(~full).astype(np.int32)
        self.state.merge(scratch, ids[starts[open_rows]], open_rows)
        if full.any():
            windows = np.flatnonzero(full)
            came = np.argsort(order[ends[windows]], kind="stable")  # as their last records came
            fired = windows[came].astype(np.int32)
            groups = ids[starts[fired]]
            columns: list[Column] = [*self._keys(groups), *self.aggregation.results(scratch.results(fired))]
            timestamps = None if batch.timestamps_ms is None else batch.timestamps_ms[ends[fired]]
            self.out.batch(Batch(self.schema_out, columns, len(fired), timestamps))
        self.count_overflows(scratch)
        self._overflows = self.count_overflows(self.state, self._overflows)

    def unfired(self) -> str | None:
        waiting = int(np.count_nonzero(self._count_of(self.counts.used_ids())))
        return f"{waiting} count windows are not full" if waiting else None

    def window_text(self) -> str:
        return f"windows of {self.window_size} records"
