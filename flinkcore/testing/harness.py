# SPDX-License-Identifier: Apache-2.0
"""A harness for one operator: give it batches, watermarks and time, and look at what it emits.

    op = harness(KeyedProcessRows(schema, MyFunction(), schema_out), schema=schema, key="user")
    op.batch(user=["a"], amount=[1], timestamps_ms=[0])
    op.watermark(999)
    assert op.output() == [("a", 1)]

An operator of two inputs takes records of the second with `op.batch(..., input=1)`.

The clock stands still until advance(); every call returns after all that it causes has happened.

A snapshot is what a checkpoint would hold of the operator; another one goes on from it, also as one of several:

    saved = op.snapshot()
    halves = [harness(make(), restore=saved, parallelism=2, subtask_index=i, **same) for i in range(2)]
    whole = harness(make(), restore=[half.snapshot() for half in halves], **same)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from flinkcore._native.partition import subtasks
from flinkcore.checkpoint.assignment import key_group_range
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.rows import from_rows, to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.errors import ConfigurationError, SchemaError
from flinkcore.metrics import OperatorMetrics
from flinkcore.operators.base import Operator, OperatorContext
from flinkcore.operators.output_tag import OutputTag
from flinkcore.state.manager import StateManager
from flinkcore.testing.snapshot import MAX_PARALLELISM, Snapshot, restored_state, written_snapshot
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from flinkcore.time.clock import ManualClock

if TYPE_CHECKING:
    from flinkcore.time.event_loop import TaskLoop


class CollectedOutput:
    """Everything an operator emitted."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.sides: dict[str, list[Batch]] = {}
        self.watermarks: list[int] = []
        self.idleness: list[bool] = []

    def batch(self, batch: Batch) -> None:
        self.batches.append(batch)

    def watermark(self, watermark_ms: int) -> None:
        self.watermarks.append(watermark_ms)

    def side(self, tag: str, batch: Batch) -> None:
        self.sides.setdefault(tag, []).append(batch)

    def idle(self, idle: bool) -> None:
        self.idleness.append(idle)


class ManualTimers:
    """Processing-time wishes of an operator; the harness grants them when its clock is advanced."""

    def __init__(self) -> None:
        self.pending: set[int] = set()

    def register(self, timestamp_ms: int) -> None:
        self.pending.add(timestamp_ms)


class Harness:
    """Runs one operator by hand. state : a restored one, for an operator that goes on from a snapshot"""

    def __init__(
        self,
        operator: Operator,
        schema: Schema | None = None,
        key: str | int | Sequence[str] | None = None,
        config: Configuration | None = None,
        now_ms: int = 0,
        parallelism: int = 1,
        subtask_index: int = 0,
        key2: str | int | Sequence[str] | None = None,
        state: StateManager | None = None,
        restore: Snapshot | Sequence[Snapshot] | None = None,
    ) -> None:
        self.operator = operator
        key_groups = key_group_range(MAX_PARALLELISM, parallelism, subtask_index)
        self.state = state or StateManager(type(operator).__name__, key_groups, MAX_PARALLELISM)
        self.clock = ManualClock(now_ms)
        self.collected = CollectedOutput()
        self.metrics = OperatorMetrics()
        first = schema if schema is not None else getattr(operator, "schema", None)
        self._schemas = getattr(operator, "schemas", (first,))
        self._keys = [[each] if isinstance(each, (str, int)) else each for each in (key, key2)]
        self._timers = ManualTimers()
        self._loop: TaskLoop | None = None
        self._closed = False
        self._context = OperatorContext(
            type(operator).__name__,
            self.clock,
            self._timers,
            config or Configuration(),
            self.metrics,
            subtask_index,
            parallelism,
            state=self.state,
            event_loop=self._event_loop,
        )
        self._snapshots = 0
        if restore is not None:
            snapshots = [restore] if isinstance(restore, bytes) else list(restore)
            self.state.restore(restored_state(snapshots, parallelism, subtask_index))
        self._watermark_ms = self.state.field(
            "operator_watermark_ms", MIN_TIMESTAMP, lambda: self._watermark_ms
        )
        self._restored_ms = self._watermark_ms
        operator.open(self._context, self.collected)
        self._settle()

    # -- input --------------------------------------------------------------------------------------------

    def batch(
        self,
        rows: Sequence[Any] | Batch | None = None,
        timestamps_ms: Sequence[int] | None = None,
        keys: Sequence[Any] | None = None,
        input: int = 0,
        **columns: Any,
    ) -> Harness:
        """Records, as a Batch, as rows in the form of the schema, or as one keyword per column.

        keys : the key of each record, as Python objects, when it is not a column
        input : which input of the operator they come from

        One of several subtasks gets those records alone whose keys are its own, as in a job.
        """
        schema = self._schemas[input]
        if isinstance(rows, Batch):
            batch = rows
        elif schema is None:
            batch = Batch.from_arrow(pa.RecordBatch.from_pydict(columns))
        else:
            values = list(rows) if rows is not None else _rows(columns, schema)
            batch = Batch(schema, from_rows(values, schema, "test data"), len(values))
        if timestamps_ms is not None:
            batch = batch.with_timestamps(np.array(timestamps_ms, np.int64))
        self.operator.process_batch(self._keyed(batch, keys, input), input)
        self._settle()
        return self

    def watermark(self, watermark_ms: int) -> Harness:
        """Event time reaches `watermark_ms`; nothing when it had before the snapshot that was restored."""
        if watermark_ms <= self._restored_ms != MIN_TIMESTAMP and not self.operator.delays:
            return self
        self._watermark_ms = watermark_ms
        self.operator.process_watermark(watermark_ms)
        self._settle()
        return self

    def advance(self, duration_ms: int) -> Harness:
        """The clock moves on, stopping at every processing-time timer on the way."""
        end_ms = self.clock.now_ms() + duration_ms
        while True:
            due = [time_ms for time_ms in self._timers.pending if time_ms <= end_ms]
            wake_ms = None if self._loop is None else self._loop.next_wake_ms()
            if not due and (wake_ms is None or wake_ms > end_ms):
                break
            next_ms = min(due if wake_ms is None else [*due, wake_ms])
            self.clock.advance(max(0, next_ms - self.clock.now_ms()))
            fired = {time_ms for time_ms in due if time_ms <= self.clock.now_ms()}
            if fired:
                self._timers.pending -= fired
                self.operator.process_timer(self.clock.now_ms())
            self._settle()
        self.clock.advance(end_ms - self.clock.now_ms())
        self._settle()
        return self

    def end(self) -> Harness:
        """The bounded input ends: the last watermark, then end_input, then close. Coroutines come to their end before,
        however long they sleep."""
        self.operator.process_watermark(MAX_WATERMARK)
        self._settle()
        while self.operator.is_busy:
            wake_ms = None if self._loop is None else self._loop.next_wake_ms()
            if wake_ms is None:
                raise ConfigurationError(f"{self._context.name} waits for something that is not the clock")
            self.advance(wake_ms - self.clock.now_ms())
        self.operator.end_input()
        self.close()
        return self

    def close(self) -> None:
        """As after a failure, or when the job is cancelled: nothing is emitted any more. Nothing after end()."""
        if not self._closed:
            self._closed = True
            self.operator.close()
            if self._loop is not None:
                self._loop.close()

    def snapshot(self) -> Snapshot:
        """All state of the operator, timers and the watermark included, in the format of a savepoint."""
        self._snapshots += 1
        self.operator.prepare_snapshot(self._snapshots)
        frozen = self.state.freeze(0)
        try:
            return written_snapshot(frozen, self._context.parallelism, self._context.subtask_index)
        finally:
            frozen.release()

    # -- output -------------------------------------------------------------------------------------------

    def output(self) -> list[Any]:
        """The rows emitted since the last call: tuples of their fields, or the bare values."""
        batches, self.collected.batches = self.collected.batches, []
        return [row for batch in batches for row in _values(batch)]

    def side(self, tag: str | OutputTag) -> list[Any]:
        """The rows of a side output since the last call."""
        name = tag.tag_id if isinstance(tag, OutputTag) else tag
        return [row for batch in self.collected.sides.pop(name, []) for row in _values(batch)]

    def timestamped(self) -> list[tuple[Any, int | None]]:
        """The rows emitted since the last call, each with its timestamp."""
        batches, self.collected.batches = self.collected.batches, []
        found: list[tuple[Any, int | None]] = []
        for batch in batches:
            stamps = [None] * len(batch) if batch.timestamps_ms is None else batch.timestamps_ms.tolist()
            found += [
                (row, None if stamp == MIN_TIMESTAMP else stamp) for row, stamp in zip(_values(batch), stamps)
            ]
        return found

    def watermarks(self) -> list[int]:
        """The watermarks emitted since the last call."""
        found, self.collected.watermarks = self.collected.watermarks, []
        return found

    # -- inside -------------------------------------------------------------------------------------------

    def _event_loop(self) -> TaskLoop:
        if self._loop is None:
            from flinkcore.time.event_loop import TaskLoop  # asyncio is slow to import

            self._loop = TaskLoop(self.clock)
        return self._loop

    def _settle(self) -> None:
        """Coroutines go on until all that remain sleep."""
        while self._loop is not None and self._loop.turn() | self.operator.resume():
            pass

    def _keyed(self, batch: Batch, keys: Sequence[Any] | None, input: int) -> Batch:
        names = self._keys[input]
        if keys is not None:
            schema = (
                Schema.of_objects()
                if not _one_type(keys)
                else Schema(("key",), (pa.array(keys).type,), "value")
            )
            columns = from_rows(list(keys), schema, "test keys")
        elif names is not None:
            columns = tuple(batch.column(name) for name in names)
        else:
            return batch
        batch = batch.with_keys(columns, hash_keys(columns))
        if self._context.parallelism > 1:
            owners = subtasks(batch.hashes(), MAX_PARALLELISM, self._context.parallelism)
            batch = batch.filter(owners == self._context.subtask_index)
        return batch


def harness(
    operator: Operator,
    key: str | int | Sequence[str] | None = None,
    schema: Schema | None = None,
    **options: Any,
) -> Harness:
    """A harness around an operator that has not been opened; see the module.

    key : column or columns that are the key of each record;  schema : of its input, default operator.schema
    options : config, now_ms, parallelism, subtask_index; key2, of the records of a second input; restore, a snapshot
        that it goes on from, or those of all subtasks that there were
    """
    return Harness(operator, schema, key, **options)


def _rows(columns: dict[str, Any], schema: Schema) -> list[Any]:
    missing = [name for name in schema.names if name not in columns]
    if missing:
        raise SchemaError(
            f"batch(...) got no column {_listed(missing)}; the operator's input has the columns "
            f"{_listed(schema.names)}, and given were {_listed(list(columns)) or 'none'}: give each as a keyword"
        )
    lengths = {name: len(columns[name]) for name in schema.names}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"'{name}': {length}" for name, length in lengths.items())
        raise SchemaError(f"batch(...) takes columns of one length, got {found}")
    rows = list(zip(*(columns[name] for name in schema.names)))
    return [row[0] for row in rows] if schema.form in ("value", "object") else rows


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _values(batch: Batch) -> list[Any]:
    rows = to_rows(batch)
    return [tuple(row) for row in rows] if batch.schema.form == "row" else rows


def _one_type(values: Sequence[Any]) -> bool:
    kinds = {type(value) for value in values}
    return len(kinds) == 1 and kinds <= {int, str, float, bool, bytes}


__all__ = ["CollectedOutput", "Harness", "ManualTimers", "Snapshot", "harness"]
