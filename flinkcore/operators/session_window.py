# SPDX-License-Identifier: Apache-2.0
"""SessionWindow: keyed session windows over built-in aggregates, on columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flinkcore._native.distinct import DistinctIds
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import DataError, UserFunctionError
from flinkcore.expr.aggregate import AggregateCall
from flinkcore.operators.base import OperatorContext, OperatorDescription, Output
from flinkcore.operators.sessions import Sessions
from flinkcore.operators.windowed import WindowedAggregate


class SessionWindow(WindowedAggregate, Sessions):
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
        self._different = DistinctIds()
        self.open_sessions()

    def add(self, slots: np.ndarray, batch: Batch) -> None:
        self.values.update(slots, self.arguments(batch))
        self._overflows = self.count_overflows(self.values, self._overflows)

    def gaps(self, batch: Batch) -> np.ndarray | int:
        if self.extract_gap is None:
            return Sessions.gaps(self, batch)
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

    def release_keys(self, groups: np.ndarray) -> None:
        gone = groups[~self.sessions.group_has_sessions(groups)]
        self.index.release(gone[self._different.first_rows(gone)])

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
