# SPDX-License-Identifier: Apache-2.0
"""Sort: all rows of a bounded input in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore._native.column import F64, Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import UnsupportedOperationError
from flinkcore.expr.evaluate import compile
from flinkcore.expr.nodes import Expr
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.time import MAX_WATERMARK


class Sort(Operator):
    """Emits all rows at the end, by some expressions; nulls are smallest, NaN is largest, and -0.0 is before 0.0, as in
    Flink. Equal rows keep their order.

    keys : (expression, whether ascending), the first decides first
    """

    def __init__(self, schema: Schema, keys: Sequence[tuple[Expr, bool]]) -> None:
        self.schema = schema
        self.keys = tuple(keys)
        compile([key for key, _ in keys], schema)  # says now what does not resolve

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._compiled = compile([key for key, _ in self.keys], self.schema, context.clock.now_ms)
        self._batches: list[Batch] = []

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        self._batches.append(batch)

    def process_watermark(self, watermark_ms: int) -> None:
        if watermark_ms == MAX_WATERMARK:
            self._finish()
        self.out.watermark(watermark_ms)

    def end_input(self) -> None:
        self._finish()

    def _finish(self) -> None:
        batches, self._batches = self._batches, []
        if not batches:
            return
        batch = Batch.concat(batches)
        # pyarrow puts nulls at one end for all keys: a key before each says which rows are null.
        columns: dict[str, pa.Array] = {}
        order: list[tuple[str, str]] = []
        for i, (column, (_, ascending)) in enumerate(zip(self._compiled.project(batch), self.keys)):
            direction = "ascending" if ascending else "descending"
            columns[f"{i}null"], columns[f"{i}"] = pc.is_valid(column.to_arrow()), _comparable(column)
            order += [(f"{i}null", direction), (f"{i}", direction)]
        columns["row"] = pa.array(range(batch.num_rows))
        table = pa.table(columns)
        self.out.batch(
            batch.take(pc.sort_indices(table, sort_keys=[*order, ("row", "ascending")]).to_numpy())
        )

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        if self._batches:
            raise UnsupportedOperationError(
                f"operator '{self.context.name}' cannot be part of a checkpoint or savepoint: it holds all rows "
                "until the input ends; let the job finish, or take the savepoint of a job that does not sort"
            )

    def output_schema(self) -> Schema:
        return self.schema

    def describe(self) -> OperatorDescription:
        return OperatorDescription(
            True, ", ".join(f"{key} {'asc' if up else 'desc'}" for key, up in self.keys)
        )


def _comparable(column: Column) -> pa.Array:
    """A column whose values are in Flink's order to pyarrow, which puts NaN at one end whatever the direction.

    Source: Flink, SortUtil.putDoubleNormalizedKey
    """
    if column.kind != F64:
        return column.to_arrow()
    values = column.to_numpy()
    bits = np.where(np.isnan(values), np.nan, values).view(np.int64)
    ordered = bits ^ (bits >> 63 & 0x7FFF_FFFF_FFFF_FFFF)
    return Column.from_numpy(ordered, valid=column.valid_mask()).to_arrow()
