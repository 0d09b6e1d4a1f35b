# SPDX-License-Identifier: Apache-2.0
"""SinkOperator: hands batches to a sink's writer, and what it prepared to its committer."""

from __future__ import annotations

from typing import Any

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import FlinkcoreError, SchemaError, UserFunctionError
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output


class SinkOperator(Operator):
    """Writes the records of one subtask.

    sink : a connectors.base.Sink; this floor does not import connectors, it is handed one
    make_context : (OperatorContext, Schema) -> SinkContext
    """

    def __init__(self, sink: Any, schema: Schema, make_context: Any) -> None:
        self.sink = sink
        self.schema = schema
        self._make_context = make_context
        self._writer: Any = None
        self._committer: Any = None

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._context = self._make_context(context, self.schema)
        self._writer = self.sink.create_writer(self._context)
        if not hasattr(self._writer, "write_batch"):
            raise SchemaError(
                f"{type(self.sink).__name__}.create_writer returned {type(self._writer).__name__}, "
                f"expected a SinkWriter"
            )
        self._committer = self.sink.create_committer()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        try:
            self._writer.write_batch(batch)
        except FlinkcoreError:
            raise
        except Exception as error:
            position, record = getattr(self._writer, "failed_at", None) or (None, None)
            name = f"{type(self._writer).__name__}.write" + ("_batch" if position is None else "")
            raise UserFunctionError(self.context.name, name, error, record, position) from error
        self._commit_finished()

    def process_watermark(self, watermark_ms: int) -> None:
        self._writer.write_watermark(watermark_ms)
        super().process_watermark(watermark_ms)

    def process_timer(self, now_ms: int) -> None:
        self._writer.on_timer(now_ms)
        self._commit_finished()

    def end_input(self) -> None:
        self._writer.flush(True)
        self._commit(self._writer.prepare_commit())

    def close(self) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            if self._committer is not None:
                self._committer.close()

    def output_schema(self) -> Schema:
        return self.schema

    def describe(self) -> OperatorDescription:
        name = type(self.sink).__name__
        if self.sink.takes_batches:
            return OperatorDescription(True, name)
        return OperatorDescription(False, name, f"{name} writes record by record")

    def _commit_finished(self) -> None:
        if self._committer is not None and not self._context.checkpointing:
            self._commit(self._writer.take_finished())

    def _commit(self, committables: list[Any]) -> None:
        if committables and self._committer is not None:
            self._committer.commit(committables)
