# SPDX-License-Identifier: Apache-2.0
"""Limit: some of the rows, the first that come."""

from __future__ import annotations

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output


class Limit(Operator):
    """Rows [offset, offset + fetch) in the order in which they come; all after the offset when fetch is None.

    One subtask sees all rows. A stream that never ends goes on being read.
    """

    def __init__(self, schema: Schema, offset: int, fetch: int | None) -> None:
        self.schema = schema
        self.offset = offset
        self.fetch = fetch

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._to_skip: int = context.state.field("to_skip", self.offset, lambda: self._to_skip)
        self._to_take: int | None = context.state.field("to_take", self.fetch, lambda: self._to_take)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        skipped = min(self._to_skip, batch.num_rows)
        self._to_skip -= skipped
        rows = batch.num_rows - skipped
        if self._to_take is not None:
            rows = min(rows, self._to_take)
            self._to_take -= rows
        if rows:
            self.out.batch(batch.slice(skipped, rows))

    def output_schema(self) -> Schema:
        return self.schema

    def describe(self) -> OperatorDescription:
        return OperatorDescription(
            True, f"rows from {self.offset}" + ("" if self.fetch is None else f", {self.fetch} of them")
        )
