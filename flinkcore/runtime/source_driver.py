# SPDX-License-Identifier: Apache-2.0
"""SourceDriver: reads the splits of one source subtask, one batch at a time, with a watermark per split."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flinkcore import options
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.faults import BadRecords
from flinkcore.columnar.schema import Schema
from flinkcore.connectors import plain
from flinkcore.connectors.base import (
    Boundedness,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
)
from flinkcore.errors import ConfigurationError, SchemaError
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.operators.timestamps import AssignTimestamps
from flinkcore.time import MAX_WATERMARK
from flinkcore.time.combine import SplitWatermarks
from flinkcore.time.watermark_spec import WatermarkStrategySpec
from flinkcore.time.watermarks import WatermarkFacts

# A barrier waits behind a batch, and watermarks do: how long one should take at most. It begins with few rows.
BATCH_NS = 100_000_000
FIRST_ROWS = 128


class SharedEnumerator:
    """The one enumerator of a source, used by all its subtasks in turn.

    Its part of checkpoint n has to fit the readers' parts, which are taken at other moments: a split must be in one of
    them, whether it was handed out before or after its subtask's barrier. So the enumerator is snapshotted after all
    of its subtasks, and what a subtask got after its own barrier, which its snapshot does not have, is noted beside it:

        begin_snapshot(n)                     before any barrier n
        subtask_snapshotted(n, subtask)       each, at its barrier; not those that have finished
        end_snapshot(n) or abort_snapshot(n)

    What was found or handed out in the meantime is then in one place: in the snapshot of the subtask that took it
    before its barrier, noted, or still in the enumerator's state. Snapshots may overlap. (Flink instead notes by
    checkpoint what it assigned after the enumerator's snapshot: SourceCoordinatorContext, SplitAssignmentTracker.)

    encode : makes a value of JSON of what the enumerator snapshots, and of a split
    """

    def __init__(
        self, enumerator: SplitEnumerator, users: int, encode: Callable[[Any], Any] = plain.encode
    ) -> None:
        self._enumerator = enumerator
        self._lock = threading.Lock()
        self._next_poll_ms: int | None = None
        self._polled = False
        self._users = users
        self._encode = encode
        # checkpoint -> subtask that has snapshotted -> the splits that it got since
        self._later: dict[int, dict[int, list[SourceSplit]]] = {}

    def next_split(self, subtask_index: int, now_ms: int) -> SourceSplit | None:
        """A split for this subtask; looks for new ones first when their time has come."""
        with self._lock:
            if not self._polled or (self._next_poll_ms is not None and now_ms >= self._next_poll_ms):
                self._polled = True
                self._next_poll_ms = self._enumerator.poll(now_ms)
            split = self._enumerator.next_split(subtask_index)
            if split is not None:
                for later in self._later.values():
                    if subtask_index in later:
                        later[subtask_index].append(split)
            return split

    def split_restored(self, split: SourceSplit, subtask_index: int) -> None:
        with self._lock:
            self._enumerator.split_restored(split, subtask_index)

    def split_finished(self, split: SourceSplit, subtask_index: int) -> None:
        with self._lock:
            self._enumerator.split_finished(split, subtask_index)

    def is_finished(self) -> bool:
        with self._lock:
            return self._polled and self._enumerator.is_finished()

    def next_poll_ms(self) -> int | None:
        with self._lock:
            return self._next_poll_ms

    def begin_snapshot(self, checkpoint_id: int) -> None:
        """Before the barriers of a checkpoint are sent. Any thread."""
        with self._lock:
            self._later[checkpoint_id] = {}
            self._enumerator.checkpoint_begun(True)

    def subtask_snapshotted(self, checkpoint_id: int, subtask_index: int) -> None:
        """The subtask's own part of the checkpoint is taken. Nothing, when the checkpoint was given up."""
        with self._lock:
            if checkpoint_id in self._later:
                self._later[checkpoint_id].setdefault(subtask_index, [])

    def end_snapshot(self, checkpoint_id: int) -> Any:
        """The enumerator's part of a checkpoint, a value of JSON for restored_enumerator(). Any thread, once all
        subtasks that have not finished have snapshotted."""
        with self._lock:
            later = self._later.pop(checkpoint_id)
            returned = [self._encode(split) for splits in later.values() for split in splits]
            state = self._encode(self._enumerator.snapshot())
            self._enumerator.checkpoint_begun(bool(self._later))
            return {"state": state, "returned": returned}

    def abort_snapshot(self, checkpoint_id: int) -> None:
        """The checkpoint is given up. Nothing, when it was not begun or has ended."""
        with self._lock:
            self._later.pop(checkpoint_id, None)
            self._enumerator.checkpoint_begun(bool(self._later))

    def close(self) -> None:
        """One of the subtasks is done; the last closes the enumerator."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._enumerator.close()


def restored_enumerator(source: Source, parallelism: int, snapshot: Any) -> SplitEnumerator:
    """The enumerator that goes on from SharedEnumerator.end_snapshot(), with any parallelism."""
    enumerator = source.restore_enumerator(parallelism, source.decode_state(snapshot["state"]))
    returned = [source.decode_split(split) for split in snapshot["returned"]]
    for split in returned:
        source.check_restored(split)
    enumerator.add_back(returned)
    return enumerator


def merged_readers(readers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """SourceDriver's snapshot for each reader of a job with another parallelism: the slowest that had not
    finished decides."""
    marks = [reader["watermark_ms"] for reader in readers if not reader["finished"]]
    return {"watermark_ms": None if None in marks or not marks else min(marks), "finished": False, "next": 0}


@dataclass(eq=False)
class _ActiveSplit:
    split: SourceSplit
    reader: SourceReader
    assign: AssignTimestamps | None


class _SplitOutput:
    """Where a split's timestamps operator emits: records go on, watermarks are combined first."""

    def __init__(self, driver: SourceDriver, split_id: str) -> None:
        self._driver = driver
        self._split_id = split_id

    def batch(self, batch: Batch) -> None:
        self._driver.out.batch(batch)

    def side(self, tag: str, batch: Batch) -> None:
        self._driver.out.side(tag, batch)

    def watermark(self, watermark_ms: int) -> None:
        if watermark_ms < MAX_WATERMARK:
            self._driver.advance(self._driver.combined.on_watermark(self._split_id, watermark_ms))

    def idle(self, idle: bool) -> None:
        if idle:
            self._driver.advance(self._driver.combined.on_idle(self._split_id))


class SourceDriver(Operator):
    """The operator of a source: reads splits in turn, as many at once as the source says.

    Its task calls poll() where it would hand batches to other operators.
    """

    def __init__(
        self, source: Source, enumerator: SharedEnumerator, watermarks: WatermarkStrategySpec | None
    ) -> None:
        self.source = source
        self.watermarks = watermarks
        self.finished = False
        self._sent_ns: int | None = None  # when the last batch was sent on, until the next poll
        self.enumerator = enumerator
        self._splits_max = source.splits_at_once or (
            1 if source.boundedness is Boundedness.BOUNDED else 2**31
        )
        self._active: list[_ActiveSplit] = []
        self._next = 0

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self.combined = SplitWatermarks()
        self._rows_max = context.config.get(options.BATCH_ROWS)
        self._rows = min(FIRST_ROWS, self._rows_max)
        self._source_context = SourceContext(
            name=context.name,
            clock=context.clock,
            bad_records=BadRecords.of(self.source.bad_records, context.metrics, out),
            config=context.config,
            metrics=context.metrics,
            subtask_index=context.subtask_index,
            parallelism=context.parallelism,
            interrupted=context.interrupted,
        )
        splits = context.state.items("splits", "split", self.snapshot)
        reader = context.state.field("reader", None, self.reader_snapshot, merged_readers)
        self.restore(splits, reader)

    def poll(self, timeout_ms: int) -> bool:
        """Reads at most one batch and sends it on; False when there was nothing to read now.

        timeout_ms : how long a reader may wait when it is the only one; 0 for not at all
        """
        if self._sent_ns is not None:
            self._pace(self.context.clock.now_ns() - self._sent_ns)
            self._sent_ns = None
        self._open_splits()
        if not self._active:
            self.finished = self.enumerator.is_finished()
            return False
        count = len(self._active)
        for step in range(count):
            position = (self._next + step) % count
            active = self._active[position]
            rows = active.reader.read(self._rows, timeout_ms if count == 1 else 0)
            if rows is None:
                self._close_split(active)
                self._next = position
                return True
            batch = self.source.batch_of(rows)
            if batch.num_rows:
                self._next = position + 1
                self._sent_ns = self.context.clock.now_ns()
                if active.assign is None:
                    self.out.batch(batch)
                else:
                    active.assign.process_batch(batch)
                return True
        return False

    def _pace(self, took_ns: int) -> None:
        """took_ns : from sending a batch on until the next one could be read, with whatever held it back downstream"""
        if took_ns > BATCH_NS:
            self._rows = max(1, self._rows * BATCH_NS // took_ns)
        elif took_ns < BATCH_NS // 8:
            self._rows = min(self._rows_max, 4 * self._rows)

    def process_timer(self, now_ms: int) -> None:
        """Periodic watermarks of the splits that are being read; those of finished ones are over."""
        for active in list(self._active):
            if active.assign is not None:
                active.assign.process_timer(now_ms)

    def advance(self, watermark_ms: int | None) -> None:
        """Passes on what the combination of splits said."""
        if watermark_ms is not None:
            self.out.watermark(watermark_ms)
        self.out.idle(self.combined.idle)

    # -- snapshots ----------------------------------------------------------------------------------------

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """The subtask is at its barrier: splits that it gets from now on are not in its snapshot."""
        self.enumerator.subtask_snapshotted(checkpoint_id, self.context.subtask_index)

    def snapshot(self) -> list[Any]:
        """The splits that are being read, at their positions, as values of JSON: any subtask may go on with any."""
        return [
            [
                self.source.encode_split(active.reader.position()),
                None if active.assign is None else plain.encode(active.assign.snapshot()),
            ]
            for active in self._active
        ]

    def reader_snapshot(self) -> dict[str, Any]:
        """What is not about one split, as a value of JSON; see merged_readers."""
        return {"watermark_ms": self.combined.snapshot(), "finished": self.finished, "next": self._next}

    def restore(self, splits: Sequence[Any], reader: dict[str, Any] | None = None) -> None:
        """Goes on from snapshot() and reader_snapshot(): opens all the splits, which were read at
        the same time before, and emits the watermark that had been reached.

        ConnectorError : what a split was cut from has changed
        """
        for stored, assigned in splits:
            split = self.source.decode_split(stored)
            self._check_split(split)
            self.source.check_restored(split)
            self.enumerator.split_restored(split, self.context.subtask_index)
            self._open_split(split, plain.decode(assigned))
        if reader is not None:
            self._next = reader["next"]
            self.finished = reader["finished"] and not self._active
        watermark_ms = self.combined.restore(None if reader is None else reader["watermark_ms"])
        if watermark_ms is not None:
            self.out.watermark(watermark_ms)

    def next_wake_ms(self) -> int | None:
        """When to look again although nothing else happens: new splits may have come by then."""
        return self.enumerator.next_poll_ms()

    def watermark_facts(self) -> dict[str, WatermarkFacts]:
        """Per split: what its watermark stands on. Empty when watermarks are assigned further on."""
        return {
            active.split.split_id: active.assign.facts()
            for active in list(self._active)
            if active.assign is not None
        }

    def output_schema(self) -> Schema:
        return self.source.schema

    def side_schema(self, tag: str) -> Schema | None:
        return self.source.side_schema(tag)

    def describe(self) -> OperatorDescription:
        return OperatorDescription(True, type(self.source).__name__)

    def close(self) -> None:
        with ExitStack() as closing:  # the rest is closed even if one of them raises
            closing.callback(self.enumerator.close)
            while self._active:
                active = self._active.pop()
                if active.assign is not None:
                    closing.callback(active.assign.close)
                closing.callback(active.reader.close)

    def _open_splits(self) -> None:
        while len(self._active) < self._splits_max:
            split = self.enumerator.next_split(self.context.subtask_index, self.context.clock.now_ms())
            if split is None:
                return
            self._check_split(split)
            self._open_split(split)

    def _open_split(self, split: SourceSplit, assigned: dict[str, Any] | None = None) -> None:
        """Reads a split from its position on. `assigned` is what its watermarks go on from."""
        reader = self.source.create_reader(split, self._source_context)
        if not isinstance(reader, SourceReader):
            raise SchemaError(
                f"{type(self.source).__name__}.create_reader returned {type(reader).__name__}, "
                f"expected a SourceReader"
            )
        active = _ActiveSplit(split, reader, None)
        self._active.append(active)  # first of all: what fails from here on closes the reader
        if self.watermarks is not None:
            active.assign = AssignTimestamps(self.watermarks, self.source.schema, of_split=True)
            active.assign.open(self.context, _SplitOutput(self, split.split_id))
            self.combined.add(split.split_id, active.assign.restore_tracker(assigned))

    def _check_split(self, split: SourceSplit) -> None:
        source = type(self.source).__name__
        if not isinstance(split, SourceSplit):
            raise SchemaError(
                f"the enumerator of {source} gave {split!r} ({type(split).__name__}), expected a SourceSplit"
            )
        if any(active.split.split_id == split.split_id for active in self._active):
            raise ConfigurationError(
                f"the enumerator of {source} gave two splits with the id '{split.split_id}'; ids must differ"
            )

    def _close_split(self, active: _ActiveSplit) -> None:
        self._active.remove(active)
        active.reader.close()
        self.enumerator.split_finished(active.split, self.context.subtask_index)
        if active.assign is not None:
            active.assign.close()
            self.advance(self.combined.remove(active.split.split_id))
