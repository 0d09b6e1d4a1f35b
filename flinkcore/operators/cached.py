# SPDX-License-Identifier: Apache-2.0
"""KeepBatches: what passes is kept for a later job."""

from __future__ import annotations

from flinkcore import options
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output


class KeepBatches(Operator):
    """Passes everything on. In batch mode, where a job that fails begins anew, it also keeps what passed.

    parts : the batches by subtask, filled as the job runs
    """

    def __init__(self, schema: Schema, parts: dict[int, list[Batch]]) -> None:
        self.schema = schema
        self.parts = parts

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._kept: list[Batch] | None = None
        if context.config.get(options.RUNTIME_MODE) == "BATCH":
            self._kept = self.parts[context.subtask_index] = []  # what a failed start of the job left is gone

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        if self._kept is not None:
            self._kept.append(batch.detached())  # the functions behind may change objects
        self.out.batch(batch)

    def output_schema(self) -> Schema:
        return self.schema

    def describe(self) -> OperatorDescription:
        return OperatorDescription(True, "kept for later jobs, in batch mode")
