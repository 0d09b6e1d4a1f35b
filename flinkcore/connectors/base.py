# SPDX-License-Identifier: Apache-2.0
"""The interface of sources and sinks. Beyond PyFlink: what Flink offers to Java, in Python and in batches.

A source is cut into splits (a byte range, a partition, a range of numbers). One enumerator per job hands
splits out; a subtask that has nothing to read asks for the next one and opens a reader on it. A reader's
position is itself a split, the one that would continue from there: that is all a checkpoint needs.

    class Countdown(Source):
        schema = Schema(["n"], [pa.int64()], "value")

        def create_enumerator(self, parallelism):
            return SplitQueue([CountdownSplit("down", 10)])

        def create_reader(self, split, context):
            return CountdownReader(split)

A sink has one writer per subtask and, when its results only become visible later, a committer (two-phase commit):

    writer.write_batch ...                     nothing of it can be seen outside
    writer.flush, writer.prepare_commit        at a checkpoint: what was written since the last one, as committables
    writer.persist                             on another thread: they survive a loss of power from here on
    (the checkpoint is complete)               it holds the committables
    committer.commit                           they become visible

A job that fails goes on from its last checkpoint: what was written after it is written again, so it must never become
visible; and what that checkpoint holds is committed, perhaps for the second time. So a committable names its results,
and a committer that finds them committed does nothing. A sink that appends to a table of a database:

    @dataclass(frozen=True)
    class Prepared:
        transaction: str                       # a name that is never used again

    class TableSink(Sink):
        committable_types = (Prepared,)

        def create_writer(self, context):
            return TableWriter(self, context)  # inserts into a staging table, under a transaction

        def create_committer(self):
            return TableCommitter(self)

    class TableWriter(SinkWriter):
        def prepare_commit(self):
            done, self.transaction = self.transaction, uuid4().hex
            return [Prepared(done)]

    class TableCommitter(Committer):
        def commit(self, committables):
            for prepared in committables:      # the second time there is nothing left to move
                with self.database:            # all or nothing
                    self.database.execute("insert into results select ... from staging where transaction_id = ?", ...)
                    self.database.execute("delete from staging where transaction_id = ?", ...)

Splits, committables and what enumerators snapshot are plain data (connectors.plain): numbers, texts, bytes, times,
tuples, lists, dicts, and frozen dataclasses of such. Classes of splits are known; others are named in
Source.state_types and Sink.committable_types. A field may be added to them, with a default.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.faults import BAD_RECORD_SCHEMA, BadRecords
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.connectors import plain
from flinkcore.connectors.fit import batch_of_values, fit, record_batch_of
from flinkcore.errors import SchemaError, StateFormatError, UnsupportedOperationError
from flinkcore.metrics import OperatorMetrics
from flinkcore.time.clock import Clock

if TYPE_CHECKING:
    import numpy as np

MIN_TIMESTAMP = -(2**63)


class Boundedness(Enum):
    """Whether a source ends by itself."""

    BOUNDED = "bounded"
    CONTINUOUS_UNBOUNDED = "continuous unbounded"


@dataclass(frozen=True)
class SourceSplit:
    """A piece of a source. Subclasses are frozen dataclasses of plain data (numbers, texts, tuples of them).

    split_id : differs between the splits of one source, and stays the same as the split is read
    """

    split_id: str


class SplitEnumerator(ABC):
    """Finds the splits of a source and hands them out. One per job; calls come one at a time."""

    @abstractmethod
    def next_split(self, subtask_index: int) -> SourceSplit | None:
        """A split for the subtask that asks, or None when there is none now."""

    @abstractmethod
    def is_finished(self) -> bool:
        """Whether next_split will return None for ever."""

    def poll(self, now_ms: int) -> int | None:
        """Looks for new splits. Called when the source starts, then at the time it returned.

        -> the processing time of the next look, or None when nothing new will ever be found
        """
        return None

    @abstractmethod
    def add_back(self, splits: Iterable[SourceSplit]) -> None:
        """Takes splits back that a reader did not finish, at the positions that it reached."""

    def split_restored(self, split: SourceSplit, subtask_index: int) -> None:  # noqa: B027  most do not ask
        """A subtask goes on with a split that it had in the restored checkpoint. Called before it asks for another."""

    def split_finished(self, split: SourceSplit, subtask_index: int) -> None:  # noqa: B027
        """A subtask has read a split, which it was handed or went on with, to its end."""

    def checkpoint_begun(self, begun: bool) -> None:  # noqa: B027
        """Whether a checkpoint is being made: subtasks may have snapshotted what they read, and snapshot() is to be
        called. False when none is any more."""

    @abstractmethod
    def snapshot(self) -> Any:
        """What Source.restore_enumerator needs to go on, as plain data: splits not handed out, what was seen."""

    def close(self) -> None:  # noqa: B027  most have nothing to release
        """Releases what the enumerator holds."""


class SplitQueue(SplitEnumerator):
    """Hands out splits that are all known at the start, in their order."""

    def __init__(self, splits: Iterable[SourceSplit]) -> None:
        self.splits = deque(splits)

    def next_split(self, subtask_index: int) -> SourceSplit | None:
        return self.splits.popleft() if self.splits else None

    def is_finished(self) -> bool:
        return not self.splits

    def add_back(self, splits: Iterable[SourceSplit]) -> None:
        self.splits.extendleft(reversed(list(splits)))

    def snapshot(self) -> tuple[SourceSplit, ...]:
        return tuple(self.splits)


@dataclass(frozen=True)
class AssignedState:
    """What AssignedSplits remember: splits not handed out, and the subtask of every split that there ever was."""

    splits: tuple[SourceSplit, ...]
    owners: tuple[tuple[str, int], ...]


class AssignedSplits(SplitQueue):
    """Hands the i-th split to subtask i modulo the parallelism: for sources whose splits never end, or must be read at
    the same time.

    splits : in their order; or the snapshot to go on from, whose splits keep their subtasks modulo the parallelism
    """

    def __init__(self, splits: Iterable[SourceSplit] | AssignedState, parallelism: int) -> None:
        self.parallelism = parallelism
        if isinstance(splits, AssignedState):
            super().__init__(splits.splits)
            self.owners = {split_id: owner % parallelism for split_id, owner in splits.owners}
        else:
            super().__init__(splits)
            self.owners = {split.split_id: i % parallelism for i, split in enumerate(self.splits)}

    def next_split(self, subtask_index: int) -> SourceSplit | None:
        for split in self.splits:
            if self.owners[split.split_id] == subtask_index:
                self.splits.remove(split)
                return split
        return None

    def add_back(self, splits: Iterable[SourceSplit]) -> None:
        for split in splits:
            self.owners.setdefault(split.split_id, len(self.owners) % self.parallelism)
            self.splits.append(split)

    def snapshot(self) -> AssignedState:  # type: ignore[override]
        return AssignedState(tuple(self.splits), tuple(self.owners.items()))


# What a reader may return: see SourceReader.read.
Rows: TypeAlias = "Batch | pa.RecordBatch | pa.Table | list[Any]"


class SourceReader(ABC):
    """Reads one split. Used by one thread."""

    @abstractmethod
    def read(self, max_rows: int, timeout_ms: int) -> Rows | None:
        """The next rows of the split, at most `max_rows`.

        -> a Batch, a pyarrow RecordBatch or Table with the columns of the source's schema, or a list of
           Python values as the schema describes them (Row, tuple, bare value, any object); without rows when
           there are none now; None when the split is finished

        May wait for the first row, `timeout_ms` at most (0: not at all), and returns as soon as it has one.
        A Batch may carry timestamps_ms; else a record has no timestamp until a watermark strategy assigns
        one.
        """

    @abstractmethod
    def position(self) -> SourceSplit:
        """The split that continues exactly after the rows returned so far, under the same split_id."""

    def close(self) -> None:  # noqa: B027  most have nothing to release
        """Releases files and connections. Called once, also after a failure."""


@dataclass(frozen=True)
class RangeSplit(SourceSplit):
    """Positions [start, end) of something that can be read from any position."""

    start: int
    end: int


@dataclass
class SourceContext:
    """What a reader is handed.

    bad_records : what happens to a record that cannot be read; report each one there
    interrupted : True once the job is being cancelled; a reader that waits looks at it
    """

    name: str
    clock: Clock
    bad_records: BadRecords
    config: Configuration = field(default_factory=Configuration)
    metrics: OperatorMetrics = field(default_factory=OperatorMetrics)
    subtask_index: int = 0
    parallelism: int = 1
    interrupted: Callable[[], bool] = lambda: False


class Source(ABC):
    """Where records come from. Fields are set when the job is built; everything that runs is made later.

    boundedness : BOUNDED when the source ends by itself
    schema : columns and form of the rows; one source has one schema
    not_replayable : why rows that were read cannot be read again from a position, in words; None when they
        can. A job with checkpoints refuses a source that cannot be replayed, with these words, unless
        flinkcore.checkpointing.allow-unreplayable-sources is set: after a failure its rows are then lost, or
        come from where it stands.
    state_types : the dataclasses, beside splits, in what the enumerator's snapshot() returns
    bad_records : what happens to records that cannot be read: "fail", "drop" (and count), or an OutputTag or its id
    parallelism_max : the largest useful number of readers; None: as many as there are splits
    splits_at_once : how many splits a subtask reads in turn; None: one after the other when the source is
        bounded, else all that it is handed, as partitions of a log are read
    waits : whether readers wait in read() for anything but the processor and the disk; if not, a reader may share its
        thread with the operators that it feeds
    """

    boundedness: Boundedness = Boundedness.BOUNDED
    schema: Schema
    not_replayable: str | None = None
    bad_records: Any = "fail"
    state_types: tuple[type, ...] = ()
    parallelism_max: int | None = None
    splits_at_once: int | None = None
    waits: bool = True

    @abstractmethod
    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        """The enumerator of a job that starts afresh; `parallelism` subtasks will ask it for splits."""

    def restore_enumerator(self, parallelism: int, state: Any) -> SplitEnumerator:
        """The enumerator that goes on from SplitEnumerator.snapshot(), after check_restored of its splits. The
        default suits a SplitQueue and AssignedSplits."""
        if isinstance(state, AssignedState):
            for split in state.splits:
                self.check_restored(split)
            return AssignedSplits(state, parallelism)
        if not isinstance(state, tuple) or not all(isinstance(split, SourceSplit) for split in state):
            raise UnsupportedOperationError(
                f"{type(self).__name__} has an enumerator with a snapshot of its own "
                f"({type(state).__name__}); it must override restore_enumerator to be restored from a "
                "checkpoint")
        for split in state:
            self.check_restored(split)
        return SplitQueue(state)

    @abstractmethod
    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        """A reader for one split, at the position that the split says."""

    def check_restored(self, split: SourceSplit) -> None:  # noqa: B027  most have nothing to compare
        """Raises ConnectorError when what a restored split was cut from is not what it was any more."""

    # What is stored in checkpoints, as values of JSON.

    def encode_split(self, split: SourceSplit) -> Any:
        if not isinstance(split, SourceSplit):
            raise SchemaError(f"a reader of {type(self).__name__} is at {split!r:.80}; position() returns a "
                              "SourceSplit")
        return plain.encode(split, self._stored_types())

    def decode_split(self, stored: Any) -> SourceSplit:
        split = plain.decode(stored, self._stored_types())
        if not isinstance(split, SourceSplit):
            raise StateFormatError(f"{type(self).__name__}: expected a stored split, got {split!r:.80}")
        return split

    def encode_state(self, state: Any) -> Any:
        """What SplitEnumerator.snapshot() returned."""
        return plain.encode(state, self._stored_types())

    def decode_state(self, stored: Any) -> Any:
        return plain.decode(stored, self._stored_types())

    def _stored_types(self) -> list[type]:
        return [*_subclasses(SourceSplit), AssignedState, *self.state_types]

    def get_java_function(self) -> NoReturn:
        """UnsupportedOperationError: in PyFlink, the object in the JVM; there is none here."""
        _no_java(self)

    def side_schema(self, tag: str) -> Schema | None:
        """The schema of a side output; None when this source has none of that name. The default knows the one
        that `bad_records` names, for sources that have that field."""
        policy = getattr(self, "bad_records", None)
        return BAD_RECORD_SCHEMA if policy is not None and BadRecords(policy).tag == tag else None

    def batch_of(self, rows: Rows) -> Batch:
        """What a reader returned, as a Batch of this source's schema; SchemaError when it does not fit."""
        schema = self.schema
        if isinstance(rows, Batch):
            if rows.schema is not schema and rows.schema != schema:
                raise SchemaError(f"{type(self).__name__} returned a batch of {rows.schema}, "
                                  f"but its schema is {schema}; they must be the same")
            return rows
        if isinstance(rows, pa.Table):
            rows = record_batch_of(rows)
        if isinstance(rows, pa.RecordBatch):
            return Batch.from_arrow(fit(rows, schema, type(self).__name__), schema)
        if isinstance(rows, list):
            return batch_of_values(rows, schema, type(self).__name__)
        raise SchemaError(f"the reader of {type(self).__name__} returned {type(rows).__name__}; read() "
                          "returns a Batch, a pyarrow RecordBatch or Table, a list, or None at the end of "
                          "the split")


def _no_java(connector: object) -> NoReturn:
    raise UnsupportedOperationError(f"{type(connector).__name__} has no Java object: flinkcore runs without a JVM")


def _subclasses(kind: type) -> Iterator[type]:
    yield kind
    children: list[type] = kind.__subclasses__()
    for child in children:
        yield from _subclasses(child)


# -- sinks --------------------------------------------------------------------------------------------------


@dataclass
class SinkContext:
    """What a writer is handed.

    schema : of the stream that is written
    register_timer : asks for SinkWriter.on_timer at or soon after a processing time
    run_id : differs between runs of a job, between attempts and between subtasks; part of the names of files
    job_id, operator_id : stay the same as a job is restarted or resumed, and belong to no other job that runs;
        empty when there is none
    checkpointing : whether prepare_commit is called at checkpoints; without them it is called at the end of
        the input, and take_finished in between
    interrupted : True once the job is being cancelled, or has failed elsewhere; a writer that waits looks at it
    """

    name: str
    clock: Clock
    schema: Schema
    register_timer: Callable[[int], None]
    config: Configuration = field(default_factory=Configuration)
    metrics: OperatorMetrics = field(default_factory=OperatorMetrics)
    subtask_index: int = 0
    parallelism: int = 1
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    job_id: str = ""
    operator_id: str = ""
    checkpointing: bool = False
    interrupted: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class WriteContext:
    """What Flink's SinkWriter.Context says about one record."""

    timestamp_ms: int | None
    watermark_ms: int

    def timestamp(self) -> int | None:
        return self.timestamp_ms

    def current_watermark(self) -> int:
        return self.watermark_ms


class SinkWriter:
    """Writes the records of one subtask. Override write, for single records, or write_batch, which is faster.

    Calls: (write_batch | write_watermark | on_timer | flush | prepare_commit | take_finished)* close, by one thread,
    and persist by another.
    """

    watermark_ms: int = MIN_TIMESTAMP
    failed_at: tuple[int, Any] | None = None  # position in its batch, and the record, that write() raised for

    def write(self, value: Any, context: WriteContext) -> None:
        """One record, as the schema's form describes it."""
        raise NotImplementedError(f"{type(self).__name__} must override write() or write_batch()")

    def write_batch(self, batch: Batch) -> None:
        """Some records, in order. The default calls write for each."""
        rows = to_rows(batch)
        timestamps: np.ndarray | None = batch.timestamps_ms
        position = 0
        try:
            if timestamps is None:
                context = WriteContext(None, self.watermark_ms)
                for position in range(len(rows)):
                    self.write(rows[position], context)
            else:
                for position, timestamp_ms in enumerate(timestamps.tolist()):
                    self.write(rows[position], WriteContext(timestamp_ms, self.watermark_ms))
        except Exception:
            self.failed_at = (position, rows[position])
            raise

    def write_watermark(self, watermark_ms: int) -> None:
        """The watermark advanced."""
        self.watermark_ms = watermark_ms

    def on_timer(self, now_ms: int) -> None:
        """Processing time reached a time asked for with SinkContext.register_timer."""

    def flush(self, end_of_input: bool) -> None:
        """Hands on everything that is held back. Called before each checkpoint, and at the end of the input."""

    def prepare_commit(self) -> list[Any]:
        """Everything written since the last call, as committables (plain data) for Sink.create_committer's
        committer. Called after flush. From here on, only commit may make it visible. Must be quick, since the
        stream waits: see persist."""
        return []

    def persist(self, committables: list[Any]) -> None:
        """Waits until what prepare_commit or take_finished returned would survive a loss of power. Called before the
        checkpoint that holds it is complete, or else before it is committed; by another thread, while the writer
        goes on."""

    def take_finished(self) -> list[Any]:
        """Committables that are complete already. Called only in a job without checkpoints, which commits
        them at once, so that a job that never ends shows results. Each committable is returned once, here or
        by prepare_commit."""
        return []

    def snapshot_state(self, checkpoint_id: int) -> list[Any]:
        """What Sink.restore_writer needs beside committables, as items of plain data: any subtask of a restored job
        may get any of them (Flink: StatefulSinkWriter). Called after prepare_commit."""
        return []

    def close(self) -> None:
        """Releases what the writer holds; what was not prepared is not to be kept. Also after a failure."""


class Committer(ABC):
    """Makes visible what writers prepared. What it raises fails the job, which then goes on from the checkpoint that
    holds the committables and commits them again, as its restart strategy says."""

    @abstractmethod
    def commit(self, committables: list[Any]) -> None:
        """Commits each. A committable that was committed before is skipped; after a failure in between, all
        come again. Raises when one can never be committed: its data is lost, and that must not pass
        silently."""

    def close(self) -> None:  # noqa: B027  most have nothing to release
        """Releases what the committer holds."""


class Sink(ABC):
    """Where records go.

    takes_batches : whether its writers override write_batch; explain() says so when they do not
    committable_types : the dataclasses that its committables are, or are made of
    writer_state_types : those of what its writers' snapshot_state gives
    """

    takes_batches: bool = False
    committable_types: tuple[type, ...] = ()
    writer_state_types: tuple[type, ...] = ()

    @abstractmethod
    def create_writer(self, context: SinkContext) -> SinkWriter:
        """The writer of one subtask. A sink that cannot be written says so here, before any record arrives."""

    def restore_writer(self, context: SinkContext, recovered_state: list[Any]) -> SinkWriter:
        """The writer of one subtask that goes on from what snapshot_state gave (Flink: SupportsWriterState). Called in
        the place of create_writer when there is anything."""
        raise UnsupportedOperationError(
            f"the restored checkpoint holds state of writers, and {type(self).__name__} has no restore_writer; restore "
            "it with the sink that wrote it, or give the sink another uid to start without it")

    def create_committer(self) -> Committer | None:
        """The committer of one subtask; None when what is written is visible at once, so that records can come twice
        after a failure."""
        return None

    def remove_leftovers(self, context: SinkContext) -> None:  # noqa: B027  most leave nothing
        """Removes what earlier attempts of this job left unfinished: all that restored checkpoints held is committed,
        and what writers of this attempt hold is not theirs. Called by subtask 0, after the first checkpoint of the
        attempt is complete."""

    def get_java_function(self) -> NoReturn:
        """UnsupportedOperationError: in PyFlink, the object in the JVM; there is none here."""
        _no_java(self)

    def encode_committable(self, committable: Any) -> Any:
        """A committable as a value of JSON. Override both for committables that are no plain data."""
        return plain.encode(committable, self.committable_types)

    def decode_committable(self, stored: Any) -> Any:
        return plain.decode(stored, self.committable_types)

    def encode_writer_state(self, state: Any) -> Any:
        """An item of snapshot_state as a value of JSON."""
        return plain.encode(state, self.writer_state_types)

    def decode_writer_state(self, stored: Any) -> Any:
        return plain.decode(stored, self.writer_state_types)
