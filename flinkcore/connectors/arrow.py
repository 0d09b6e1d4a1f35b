# SPDX-License-Identifier: Apache-2.0
"""Arrow data as a source, and a sink that hands batches to a reader in the same process."""

from __future__ import annotations

import logging
import threading
import uuid
import weakref
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from flinkcore._native.column import is_own_layout
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.tables import tables_of
from flinkcore.connectors.base import (
    Committer,
    RangeSplit,
    Sink,
    SinkContext,
    SinkWriter,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitQueue,
)
from flinkcore.connectors.collection import IteratorSplit, Taken
from flinkcore.errors import ConnectorError, JobCancelledError, SchemaError

# Rows of one split when several subtasks share a table. Small enough that all of them read about the same
# place, so that event time advances together; large enough that a split costs nothing.
SPLIT_ROWS_MAX = 1 << 18


log = logging.getLogger(__name__)

# Readers that are sources: what the first stream reads is gone for a second one.
_READERS: weakref.WeakSet[pa.RecordBatchReader] = weakref.WeakSet()


class ArrowSource(Source):
    """Anything that speaks Arrow, without a copy: a pyarrow Table or RecordBatch, a Polars or pandas data
    frame, a DuckDB relation, a dict of NumPy arrays, a reader of record batches.

    What lies in memory is cut into ranges of rows for parallel subtasks and can be read again from any row. A
    stream (a RecordBatchReader, or an unknown object with __arrow_c_stream__) is read batch by batch as the
    job runs, by one subtask and once.

    SchemaError : `data` does not speak Arrow, or is a single array
    """

    def __init__(self, data: Any) -> None:
        found = tables_of(data)
        if not found.schema.names:
            raise SchemaError(f"the {type(data).__name__} has no columns, so its records have no fields")
        self.stream: pa.RecordBatchReader | None = None
        if isinstance(found, pa.RecordBatchReader):
            if found in _READERS:
                raise SchemaError("this RecordBatchReader is already the source of another stream, and can be read "
                                  "once; pass reader.read_all() to have its rows twice")
            _READERS.add(found)
            self.stream = found
            self.taken = Taken()
            self.parallelism_max = 1
            self.not_replayable = (f"a stream of Arrow batches ({type(data).__name__}) can be read once; "
                                   f"pass a table to be able to go back")
            self.schema = Schema.from_arrow(found.schema)
        else:
            self.waits = False
            self.schema = Schema.from_arrow(found.schema)
            self.batches = [batch for batch in found.to_batches() if batch.num_rows]
            self.ends: list[int] = []          # row after the last of each batch
            for batch in self.batches:
                self.ends.append(batch.num_rows + (self.ends[-1] if self.ends else 0))

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        if self.stream is not None:
            return SplitQueue([IteratorSplit("stream", 0)])
        rows = self.ends[-1] if self.ends else 0
        if parallelism == 1:
            return SplitQueue([RangeSplit("rows", 0, rows)])
        step = min(SPLIT_ROWS_MAX, max(1, -(-rows // (4 * parallelism))))
        return SplitQueue(RangeSplit(f"rows-{start}", start, min(start + step, rows))
                          for start in range(0, rows, step))

    def check_restored(self, split: SourceSplit) -> None:
        rows = self.ends[-1] if self.stream is None and self.ends else 0
        if isinstance(split, RangeSplit) and not 0 <= split.start <= split.end <= rows:
            raise ConnectorError(f"the table had at least {split.end} rows when the checkpoint was made, and has "
                                 f"{rows} in this program; restore with the same table, or give the source another uid")

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        if isinstance(split, RangeSplit):
            return TableReader(self, split)
        assert isinstance(split, IteratorSplit) and self.stream is not None
        skip = self.taken.rows_to_skip(split, context, self.not_replayable)
        split = replace(split, rows_read=max(split.rows_read, self.taken.rows))
        return StreamReader(self.stream, self.schema, split, self.taken, skip)


class TableReader(SourceReader):
    """A range of a table's rows; a batch never crosses the table's own chunks, so nothing is copied."""

    def __init__(self, source: ArrowSource, split: RangeSplit) -> None:
        self.source = source
        self.split = split
        self._chunk: pa.RecordBatch | None = None
        self._whole: Batch | None = None  # the chunk, if its batches need no more than to be cut

    def read(self, max_rows: int, timeout_ms: int) -> Batch | None:
        start, end = self.split.start, self.split.end
        if start >= end:
            return None
        index = bisect_right(self.source.ends, start)
        chunk, chunk_end = self.source.batches[index], self.source.ends[index]
        count = min(max_rows, end - start, chunk_end - start)
        self.split = RangeSplit(self.split.split_id, start + count, end)
        return self._rows(chunk, start - (chunk_end - chunk.num_rows), count)

    def _rows(self, chunk: pa.RecordBatch, start: int, count: int) -> Batch:
        """Rows of a chunk, which is looked at once where nothing is made of its columns: what would be widened, or
        searched for nulls, is so batch by batch."""
        if chunk is not self._chunk:
            self._chunk = chunk
            views = all(is_own_layout(array.type) and not array.null_count for array in chunk.columns)
            self._whole = Batch.from_arrow(chunk, self.source.schema) if views else None
        if self._whole is not None:
            return self._whole.slice(start, count)
        return Batch.from_arrow(chunk.slice(start, count), self.source.schema)

    def position(self) -> SourceSplit:
        return self.split


class StreamReader(SourceReader):
    """Record batches as they come, in slices.

    skip : rows that are passed over first
    """

    def __init__(self, stream: pa.RecordBatchReader, schema: Schema, split: IteratorSplit, taken: Taken,
                 skip: int = 0) -> None:
        self.stream = stream
        self.schema = schema
        self.split = split
        self.taken = taken
        self.skip = skip
        self.rest: pa.RecordBatch | None = None

    def read(self, max_rows: int, timeout_ms: int) -> Batch | None:
        while self.rest is None or not self.rest.num_rows:
            try:
                self.rest = self.stream.read_next_batch()
            except StopIteration:
                return None
            self.taken.rows += self.rest.num_rows
            skipped = min(self.skip, self.rest.num_rows)
            self.rest, self.skip = self.rest.slice(skipped), self.skip - skipped
        count = min(max_rows, self.rest.num_rows)
        rows, self.rest = self.rest.slice(0, count), self.rest.slice(count)
        self.split = replace(self.split, rows_read=self.split.rows_read + count)
        return Batch.from_arrow(rows, self.schema)

    def position(self) -> SourceSplit:
        return self.split


@dataclass(frozen=True)
class CollectedBatches:
    """A committable: batches that the ArrowCollectSink `sink_id` of a process keeps under `name`."""

    sink_id: str
    name: str


class ArrowCollectSink(Sink):
    """Hands batches to a reader in the same process, holding back the job when the reader is slow.

    Iterating gives the batches of all subtasks as they come, until finish() or fail(). A reader that stops
    early calls cancel(), and the job's next write ends it with JobCancelledError.

    With checkpoints, batches come when a checkpoint that covers them is complete, and each once, however often the job
    is restarted in this process. Without, a restart is an error once batches were handed on: they would come again
    (Flink: CheckpointedCollectResultBuffer, UncheckpointedCollectResultBuffer).

    capacity : batches that may wait; None: any number (for a reader that starts after the job has ended)
    """

    takes_batches = True
    committable_types = (CollectedBatches,)

    def __init__(self, capacity: int | None = 16) -> None:
        self.capacity = capacity
        self.sink_id = uuid.uuid4().hex
        self.prepared: dict[str, list[Batch]] = {}
        self.runs: set[str] = set()  # of the writers that are open
        self.started: set[tuple[str, int]] = set()  # operator and subtask of all writers that there were
        self.handed_on = False
        self.waiting: deque[Batch] = deque()
        self.changed = threading.Condition()
        self.finished = False
        self.cancelled = False
        self.error: BaseException | None = None

    def create_writer(self, context: SinkContext) -> SinkWriter:
        subtask = (context.operator_id, context.subtask_index)
        if not context.checkpointing and self.handed_on and subtask in self.started:
            raise ConnectorError("the job was restarted without a checkpoint, and its results would come again, after "
                                 "those that were handed on; switch checkpoints on "
                                 "(execution.checkpointing.interval), or restarts off")
        self.started.add(subtask)
        self.runs.add(context.run_id)
        return ArrowCollectWriter(self, context)

    def create_committer(self) -> Committer:
        return ArrowCollectCommitter(self)

    def remove_leftovers(self, context: SinkContext) -> None:
        with self.changed:
            for name in list(self.prepared):
                if name.rpartition("-")[0] not in self.runs:
                    del self.prepared[name]

    def show(self, names: list[str]) -> None:
        """Hands on what was prepared under these names, each once."""
        with self.changed:
            for name in names:
                self.waiting.extend(self.prepared.pop(name, ()))
            self.changed.notify_all()

    def put(self, batch: Batch, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Adds a batch, waiting for room. JobCancelledError once the reader has gone, or the job has failed."""
        self.wait_for_room(interrupted)
        with self.changed:
            self.waiting.append(batch)
            self.handed_on = True
            self.changed.notify_all()

    def wait_for_room(self, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Waits while `capacity` batches wait. JobCancelledError as put()."""
        with self.changed:
            # In turns, to look whether the job goes on at all.
            while not self.changed.wait_for(lambda: self.cancelled or self.finished or self.capacity is None
                                            or len(self.waiting) < self.capacity, 0.2):
                if interrupted():
                    raise JobCancelledError("the job was stopped while its results waited for their reader")
            if self.cancelled:
                raise JobCancelledError("the reader of the results was closed before the job had finished")
            if self.finished:
                raise JobCancelledError("the job has ended; its results take no more rows")

    def finish(self) -> None:
        """No batch follows: the job has ended. The reader ends after what waits."""
        with self.changed:
            self.finished = True
            self.changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """The job failed: the reader raises `error` after what waits."""
        with self.changed:
            self.error = error
            self.finished = True
            self.changed.notify_all()

    def cancel(self) -> None:
        """The reader wants no more; also wakes a writer that waits for room."""
        with self.changed:
            self.cancelled = True
            self.waiting.clear()
            self.changed.notify_all()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            with self.changed:
                # In turns, so that Ctrl-C is heard: see runtime.job.WAIT_S_MAX.
                while not self.changed.wait_for(lambda: self.waiting or self.finished or self.cancelled, 0.2):
                    pass
                if not self.waiting:
                    if self.error is not None:
                        raise self.error
                    return
                batch = self.waiting.popleft()
                self.changed.notify_all()
            yield batch


class ArrowCollectWriter(SinkWriter):
    """Puts batches into the queue of its sink, or aside until the next checkpoint."""

    def __init__(self, sink: ArrowCollectSink, context: SinkContext) -> None:
        self.sink = sink
        self.context = context
        self.batches: list[Batch] = []
        self.count = 0

    def write_batch(self, batch: Batch) -> None:
        if self.context.checkpointing:
            self.sink.wait_for_room(self.context.interrupted)
            self.batches.append(batch)
        else:
            self.sink.put(batch, self.context.interrupted)

    def prepare_commit(self) -> list[Any]:
        if not self.batches:
            return []
        name = f"{self.context.run_id}-{self.count}"
        self.count += 1
        self.sink.prepared[name], self.batches = self.batches, []
        return [CollectedBatches(self.sink.sink_id, name)]

    def close(self) -> None:
        self.sink.runs.discard(self.context.run_id)


class ArrowCollectCommitter(Committer):
    """Hands on what writers put aside. Results of another process went with their reader."""

    def __init__(self, sink: ArrowCollectSink) -> None:
        self.sink = sink

    def commit(self, committables: list[Any]) -> None:
        own = [collected.name for collected in committables if collected.sink_id == self.sink.sink_id]
        if len(own) < len(committables):
            log.warning("results that the checkpoint covers were collected in a process that has ended; they went with "
                        "it, and the job goes on behind them")
        self.sink.show(own)
