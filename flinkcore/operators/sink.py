# SPDX-License-Identifier: Apache-2.0
"""SinkOperator: hands batches to a sink's writer, and what it prepared to its committer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flinkcore import faultpoint
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError, FlinkcoreError, SchemaError, UserFunctionError
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output


class SinkOperator(Operator):
    """Writes the records of one subtask.

    With checkpoints, what was written becomes visible when a checkpoint that holds it is complete (two-phase commit):
    prepare_snapshot gathers it, and all that is not committed yet is in the checkpoint; notify_complete commits. What
    a checkpoint held that is never completed is committed with the next one. Without checkpoints, it is committed as
    soon as the writer has finished it, and at the end of the input.
    Source: Flink, CommitterOperator, TwoPhaseCommitSinkFunction

    sink : a connectors.base.Sink; this floor does not import connectors, it is handed one
    make_context : (OperatorContext, Schema) -> SinkContext
    """

    def __init__(self, sink: Any, schema: Schema, make_context: Any) -> None:
        self.sink = sink
        self.schema = schema
        self._make_context = make_context
        self._writer: Any = None
        self._committer: Any = None
        self._prepared: dict[int, list[Any]] = {}  # by checkpoint, not committed
        self._unnamed: list[Any] = []  # prepared at the end of the input, for the checkpoint that comes next
        self._checkpoint_id = 0  # of the last barrier
        self._persisted = 0  # what these checkpoints hold is safe on its disk; the writing thread's own
        self._may_have_leftovers = False

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._context = self._make_context(context, self.schema)
        stored = context.state.items("writer", "split", self.snapshot_writer)
        if stored:
            recovered = [self.sink.decode_writer_state(item) for item in stored]
            self._writer = self.sink.restore_writer(self._context, recovered)
        else:
            self._writer = self.sink.create_writer(self._context)
        if not hasattr(self._writer, "write_batch"):
            raise SchemaError(
                f"{type(self.sink).__name__}.create_writer returned {type(self._writer).__name__}, "
                f"expected a SinkWriter"
            )
        self._committer = self.sink.create_committer()
        self._may_have_leftovers = context.subtask_index == 0
        self.restore_committables(context.state.items("committables", "split", self.snapshot_committables))

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
        self._unnamed += self._prepare()
        if not self._context.checkpointing:
            self._commit_all()

    # -- checkpoints --------------------------------------------------------------------------------------

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """The barrier: what was written before it is prepared under this checkpoint."""
        self._writer.flush(False)
        committables = self._unnamed + self._prepare()
        self._unnamed = []
        self._checkpoint_id = checkpoint_id
        if committables:
            self._prepared[checkpoint_id] = committables

    def snapshot_writer(self) -> list[Any]:
        """What the writer keeps beside committables, as values of JSON."""
        return [self.sink.encode_writer_state(item) for item in self._writer.snapshot_state(self._checkpoint_id)]

    def snapshot_committables(self) -> list[Any]:
        """All that is not committed, as values of JSON: any subtask may commit any of it."""
        encode = self.sink.encode_committable
        return [encode(item) for committables in self._prepared.values() for item in committables]

    def persist(self, checkpoint_id: int) -> None:
        """Waits until what is prepared for this and earlier checkpoints would survive a loss of power. Called by the
        thread that writes checkpoints, before this one is complete."""
        for prepared_id, committables in list(self._prepared.items()):
            if self._persisted < prepared_id <= checkpoint_id:
                self._writer.persist(committables)
        self._persisted = max(self._persisted, checkpoint_id)

    def notify_complete(self, checkpoint_id: int) -> None:
        """Commits what this and earlier checkpoints hold. Nothing, when that is done already."""
        done = [prepared_id for prepared_id in self._prepared if prepared_id <= checkpoint_id]
        self._commit([item for prepared_id in done for item in self._prepared[prepared_id]])
        for prepared_id in done:
            del self._prepared[prepared_id]
        if self._may_have_leftovers:
            self._may_have_leftovers = False
            self.sink.remove_leftovers(self._context)

    def notify_aborted(self, checkpoint_id: int) -> None:
        """What the checkpoint held stays prepared, and is committed with the next one that is complete, or at once in
        a job that makes none but when it is asked to."""
        if not self._context.checkpointing:
            self._commit_all()

    def restore_committables(self, committables: Sequence[Any]) -> None:
        """Commits what the restored checkpoint held, perhaps for the second time; after open(), before any record.

        ConfigurationError : the sink has no committer any more
        """
        if committables and self._committer is None:
            raise ConfigurationError(
                f"operator '{self.context.name}': the restored checkpoint holds results that "
                f"{type(self.sink).__name__} cannot commit, since it has no committer; restore it with the sink that "
                f"wrote them, and change the sink after a savepoint that stopped the job"
            )
        self._commit([self.sink.decode_committable(stored) for stored in committables])

    @property
    def pending(self) -> bool:
        """Whether something waits for a checkpoint, so that the operator must not be closed before one: results, or
        what earlier attempts may have left, which only a complete checkpoint tells from results."""
        leftovers = self._may_have_leftovers and self._committer is not None and self._context.checkpointing
        return bool(self._prepared or self._unnamed) or leftovers

    @property
    def outlives_input(self) -> bool:
        """An operator whose input had ended in the restored checkpoint still commits what that held."""
        return True

    # ----------------------------------------------------------------------------------------------------

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
            self._unnamed += self._writer.take_finished()
            self._commit_all()

    def _prepare(self) -> list[Any]:
        committables = self._writer.prepare_commit()
        return [] if self._committer is None else committables

    def _commit_all(self) -> None:
        """Without checkpoints: commits what there is."""
        committables = [item for prepared in self._prepared.values() for item in prepared] + self._unnamed
        if committables:
            self._writer.persist(committables)
            self._commit(committables)
            self._prepared.clear()
            self._unnamed.clear()

    def _commit(self, committables: list[Any]) -> None:
        if committables and self._committer is not None:
            faultpoint.reached("commit.begun")
            self._committer.commit(committables)
            faultpoint.reached("commit.done")
