# SPDX-License-Identifier: Apache-2.0
"""WindowJoin: pairs of records of two streams with equal keys in one tumbling or sliding window, on columns.

Records wait in columns, in the panes of their windows, and are not looked at until a window fires: then those of the
smaller side are put by key, and those of the other side find them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.objects import plain_keys
from flinkcore.columnar.schema import Schema
from flinkcore.errors import JobCancelledError
from flinkcore.operators.base import OperatorContext, OperatorDescription, Output
from flinkcore.operators.pairs import PAIRS_MAX, ROWS, Pairs, Partners
from flinkcore.operators.panes import Panes
from flinkcore.operators.window_functions import CONTENTS
from flinkcore.state.column_rows import ColumnRows, rows_of


class WindowJoin(Panes):
    """Windows as of Panes, with the pairs of each key (Flink: JoinedStreams, a co-group of a tagged union).

    The pairs of a key come in no order that is defined. Records that are late are dropped and counted.

    pairs : what becomes of pairs
    key_schemas : of the keys of the two streams
    key_columns : which columns of the records are their keys; None where a function makes them
    """

    def __init__(
        self,
        pairs: Pairs,
        key_schemas: tuple[Schema, Schema],
        key_columns: tuple[Sequence[int] | None, Sequence[int] | None],
        size_ms: int,
        slide_ms: int | None = None,
        offset_ms: int = 0,
        lateness_ms: int = 0,
        processing_time: bool = False,
    ) -> None:
        self.pairs = pairs
        self.schemas = pairs.schemas
        self.key_schemas = key_schemas
        self.key_columns = key_columns
        self.cut(size_ms, slide_ms, offset_ms, lateness_ms, processing_time)

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        context.state.refuse_restored(CONTENTS, "windows of rows use (with a trigger, an evictor or another assigner)")
        self.shown: dict[str, Any] = {}
        self._input = 0
        self.open_panes()
        self.pairs.open(context, out)

    def close(self) -> None:
        self.pairs.close()

    def output_schema(self) -> Schema:
        return self.pairs.schema_out

    def describe(self) -> OperatorDescription:
        kind = "processing-time" if self.processing_time else "event-time"
        every = "" if self.slide_ms == self.size_ms else f" every {self.slide_ms} ms"
        return self.pairs.describe(f"pairs in {kind} windows of {self.size_ms} ms{every}")

    # -- panes --------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        self._input = input_index
        super().process_batch(batch, input_index)

    def stored_starts(self) -> Iterable[int]:
        return {start for side in ROWS for start in self.context.state.namespaces(side)}

    def make_pane(self, start: int) -> tuple[ColumnRows, ...]:
        return tuple(self._rows(side, start) for side in (0, 1))

    def _rows(self, side: int, start: int) -> ColumnRows:
        def make() -> ColumnRows:
            return ColumnRows(self.schemas[side], self.key_schemas[side], self.key_columns[side])

        return self.context.state.part(ROWS[side], make, start, parent=None, shown=self.shown)

    def drop_pane(self, start: int) -> None:
        for side in ROWS:
            self.context.state.drop(side, start)

    def sweep(self) -> None:
        """There is no index of keys: they go with their records."""

    def add(self, panes: list[Any], pane_of_row: np.ndarray, batch: Batch) -> None:
        for i, pane in enumerate(panes):
            pane[self._input].append(batch if len(panes) == 1 else batch.filter(pane_of_row == i))

    def drop_late(self, batch: Batch) -> None:
        self.context.metrics.late_dropped += batch.num_rows

    # -- pairs --------------------------------------------------------------------------------------------

    def _fire_window(self, start: int, end: int) -> None:
        left, right = self._sides(start)
        if not left or not right:
            return
        fires_rest = self.processing_time and self._have_fired(end - 1)
        left_is_asked = _count(left) < _count(right)
        asked, asking = (left, right) if left_is_asked else (right, left)
        partners = Partners()
        for batch in asked:
            partners.add(batch)
        for batch in asking:
            if fires_rest:
                batch = batch.filter(self._unfired(batch.hashes()))
            for askers, rows in partners.pairs(batch):
                own, others = batch.with_keys(None, None).take(askers), rows_of(asked, rows)
                self._emit(*((others, own) if left_is_asked else (own, others)), start, end)

    def _fire_again(self, record: Batch, time_ms: int) -> None:
        """All pairs of the record's key, in each window that has fired and not gone."""
        assert record.keys is not None
        of_key = Partners()
        of_key.add(record.with_keys(tuple(plain_keys(record.keys)), record.key_hashes))
        for start in range(self._last_window_start(time_ms), time_ms - self.size_ms, -self.slide_ms):
            last_ms = start + self.size_ms - 1
            if last_ms <= self.time_ms < last_ms + self.lateness_ms:
                left, right = (
                    (batches, np.flatnonzero(np.concatenate([of_key.ids(batch) for batch in batches]) == 0))
                    if batches
                    else ([], np.zeros(0, np.int64))
                    for batches in self._sides(start)
                )
                for lefts, rights in _all_pairs(left[1], right[1]):
                    self._emit(rows_of(left[0], lefts), rows_of(right[0], rights), start, start + self.size_ms)

    def _sides(self, start: int) -> tuple[list[Batch], list[Batch]]:
        """The records of a window, of both streams."""
        panes: list[Any] = [pane for each in self._starts(start) if (pane := self.panes.get(each)) is not None]
        left, right = ([batch for pane in panes for batch in pane[side].batches] for side in (0, 1))
        return left, right

    def _emit(self, left: Batch, right: Batch, start: int, end: int) -> None:
        if self.context.interrupted():
            raise JobCancelledError(f"operator '{self.context.name}' was stopped while windows fired")
        self.pairs.emit(left, right, np.full(left.num_rows, end - 1), (start, end))


def _count(batches: list[Batch]) -> int:
    return sum(batch.num_rows for batch in batches)


def _all_pairs(left: np.ndarray, right: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each of some rows with each of others, some at a time."""
    if not len(right):
        return
    step = max(1, PAIRS_MAX // len(right))
    for first in range(0, len(left), step):
        some = left[first : first + step]
        yield np.repeat(some, len(right)), np.tile(right, len(some))
