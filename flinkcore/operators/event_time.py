# SPDX-License-Identifier: Apache-2.0
"""RowtimeColumn: the event time of records as a column, for tables made of streams."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import DataError
from flinkcore.expr.nodes import Expr
from flinkcore.operators.batches import Project


class RowtimeColumn(Project):
    """A projection in which one column is the timestamp of the record.

    rowtime : its position; None when no column is
    """

    def __init__(
        self, schema: Schema, expressions: Sequence[Expr], names: Sequence[str], rowtime: int | None
    ) -> None:
        super().__init__(schema, expressions, names)
        self.rowtime = rowtime

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        columns = self._project(batch)
        if self.rowtime is not None:
            if batch.timestamps_ms is None:
                raise DataError(
                    f"operator '{self.context.name}': a rowtime attribute needs records with timestamps; "
                    "call assign_timestamps_and_watermarks on the stream before from_data_stream"
                )
            columns[self.rowtime] = Column.from_numpy(batch.timestamps_ms, pa.timestamp("ms"))
        self.out.batch(batch.with_columns(self.schema_out, columns))
