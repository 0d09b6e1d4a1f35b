# SPDX-License-Identifier: Apache-2.0
"""PaneWindow: keyed tumbling and sliding windows over built-in aggregates, on columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.expr.aggregate import AggregateCall
from flinkcore.operators.base import OperatorContext, Output
from flinkcore.operators.panes import Panes
from flinkcore.operators.windowed import WindowedAggregate


class PaneWindow(WindowedAggregate, Panes):
    """Windows as of Panes, whose results are those of the calls."""

    def __init__(
        self,
        schema: Schema,
        key_schema: Schema,
        calls: Sequence[AggregateCall],
        names: Sequence[str],
        size_ms: int,
        slide_ms: int | None = None,
        offset_ms: int = 0,
        lateness_ms: int = 0,
        late_tag: str | None = None,
        processing_time: bool = False,
    ) -> None:
        super().__init__(schema, key_schema, calls, names, late_tag)
        self.cut(size_ms, slide_ms, offset_ms, lateness_ms, processing_time)

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self.open_panes()

    def add(self, panes: list[Accumulators], pane_of_row: np.ndarray, batch: Batch) -> None:
        ids = self.intern(batch)
        arguments = self.arguments(batch)
        if len(panes) == 1:
            panes[0].update(ids, arguments)
        else:
            Accumulators.update_panes(panes, pane_of_row, ids, arguments)

    def window_text(self) -> str:
        kind = "processing-time" if self.processing_time else "event-time"
        if self.slide_ms == self.size_ms:
            return f"tumbling {kind} windows of {self.size_ms} ms"
        return f"sliding {kind} windows of {self.size_ms} ms every {self.slide_ms} ms"
