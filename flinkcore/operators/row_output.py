# SPDX-License-Identifier: Apache-2.0
"""RowOutput: the rows that a user's function emits, gathered into batches of main and side outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from flinkcore._native.values import emit_detached
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import from_rows, row_kinds_of
from flinkcore.columnar.schema import Schema
from flinkcore.operators.base import Output
from flinkcore.operators.output_tag import OutputTag
from flinkcore.time import MIN_TIMESTAMP


class RowOutput:
    """Rows and their timestamps, in order, until flush() makes batches of them.

    what : names the function in errors, e.g. "operator 'tokenize': flat_map"
    """

    def __init__(self, schema: Schema, what: str, out: Output, batch_rows: int = 65_536) -> None:
        self._schema = schema
        self._what = what
        self._out = out
        self._batch_rows = batch_rows
        self.rows: list[Any] = []
        self.timestamps: list[int] = []
        self._sides: dict[str, tuple[OutputTag, list[Any], list[int]]] = {}

    def emit(self, results: Iterable[Any] | None, timestamp_ms: int) -> None:
        """What a function returned: a generator, an iterable or None. `tag, value` goes to a side output."""
        if results is None:
            return
        if results.__class__ is not list and not isinstance(results, Iterable):
            raise TypeError(not_iterable(results))
        before = len(self.rows)
        try:
            emit_detached(
                self.rows, results, OutputTag, lambda tag, value: self.side(tag, value, timestamp_ms)
            )
        finally:
            self.timestamps.extend([timestamp_ms] * (len(self.rows) - before))

    def side(self, tag: OutputTag, value: Any, timestamp_ms: int) -> None:
        """One row for a side output."""
        entry = self._sides.get(tag.tag_id)
        if entry is None:
            entry = self._sides[tag.tag_id] = (tag, [], [])
        entry[1].append(value)
        entry[2].append(timestamp_ms)

    def flush_when_full(self) -> None:
        """Emits a batch when there are rows enough for one: bounds what a run of timers can gather."""
        if len(self.rows) >= self._batch_rows:
            self.flush()

    def flush(self) -> None:
        """Emits what was gathered."""
        if self.rows:
            batch = rows_batch(self.rows, self.timestamps, self._schema, self._what)
            self.rows, self.timestamps = [], []
            self._out.batch(batch)
        if self._sides:
            sides, self._sides = self._sides, {}
            for tag, rows, timestamps in sides.values():
                self._out.side(
                    tag.tag_id,
                    rows_batch(rows, timestamps, tag.schema, f"{self._what}: side output '{tag.tag_id}'"),
                )


def not_iterable(results: Any) -> str:
    return (
        f"expected an iterable of records, a generator or None, got {type(results).__name__} {results!r}; "
        f"yield it, or return it in a list"
    )


def rows_batch(rows: list[Any], timestamps: list[int], schema: Schema, what: str) -> Batch:
    """Rows as a batch; timestamps are MIN_TIMESTAMP for rows without one, and absent when no row has one."""
    stamps = np.array(timestamps, np.int64)
    return Batch(
        schema,
        from_rows(rows, schema, what),
        len(rows),
        stamps if (stamps != MIN_TIMESTAMP).any() else None,
        row_kinds_of(rows),
    )


def timestamps_of(batch: Batch) -> list[int]:
    """Event time of each record, MIN_TIMESTAMP for records without one."""
    if batch.timestamps_ms is None:
        return [MIN_TIMESTAMP] * batch.num_rows
    return batch.timestamps_ms.tolist()
