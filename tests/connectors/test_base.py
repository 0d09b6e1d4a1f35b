# SPDX-License-Identifier: Apache-2.0
"""The public source and sink interface, as a user's connector meets it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.row import Row, RowKind
from flinkcore.columnar.schema import Schema
from flinkcore.connectors import (
    AssignedSplits,
    RangeSplit,
    Sink,
    SinkWriter,
    Source,
    SourceReader,
    SourceSplit,
    SplitQueue,
)
from flinkcore.errors import SchemaError, UnsupportedOperationError


@dataclass(frozen=True)
class CountdownSplit(SourceSplit):
    left: int


class Countdown(Source):
    """n, n - 1, ..., 1; the reader returns whatever `make` makes of a list of numbers."""

    schema = Schema(["n"], [pa.int64()], "value")

    def __init__(self, starts, make=list):
        self.starts = starts
        self.make = make

    def create_enumerator(self, parallelism):
        return SplitQueue(CountdownSplit(f"from {start}", start) for start in self.starts)

    def create_reader(self, split, context):
        return CountdownReader(self, split)


class CountdownReader(SourceReader):
    def __init__(self, source, split):
        self.source = source
        self.split = split

    def read(self, max_rows, timeout_ms):
        numbers = list(range(self.split.left, max(self.split.left - max_rows, 0), -1))
        self.split = replace(self.split, left=self.split.left - len(numbers))
        return self.source.make(numbers) if numbers else None

    def position(self):
        return self.split


@pytest.mark.parametrize(
    "make",
    [
        list,
        lambda numbers: pa.record_batch({"n": numbers}),
        lambda numbers: pa.record_batch({"n": pa.array(numbers, pa.int32())}),
        lambda numbers: pa.table({"n": pa.chunked_array([numbers[:1], numbers[1:]], pa.int64())}),
        lambda numbers: Batch.from_arrow(pa.record_batch({"n": numbers}), Countdown.schema),
    ],
    ids=["list", "record batch", "narrow type", "table of two chunks", "batch"],
)
def test_a_reader_returns_rows_in_any_of_the_usual_forms(reading, make):
    assert reading.rows(Countdown([5, 3], make), batch_rows=2) == [5, 4, 3, 2, 1, 3, 2, 1]


def test_a_reader_goes_on_from_its_position(reading):
    assert reading.rows(Countdown([5]), batch_rows=2, resume=True) == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    "made, message",
    [
        (pa.record_batch({"m": [1]}), "Countdown: no column 'n'; expected n, the data has m"),
        (
            pa.record_batch({"n": [1.5]}),
            "Countdown: column 'n' is double and cannot become int64 without changing values",
        ),
        (["one"], "Countdown: record 0 of the batch has 'one'"),
        (7, "the reader of Countdown returned int; read\\(\\) returns a Batch"),
        (
            Batch.from_arrow(pa.record_batch({"m": [1]})),
            "returned a batch of Schema\\(m: int64; row\\), but its schema is",
        ),
    ],
)
def test_rows_that_do_not_fit_the_schema_are_refused(made, message):
    with pytest.raises(SchemaError, match=message):
        Countdown([1]).batch_of(made)


def test_rows_keep_their_kinds():
    source = Countdown([1])
    source.schema = Schema(["n"], [pa.int64()])
    row = Row(n=1)
    row.set_row_kind(RowKind.DELETE)
    assert source.batch_of([Row(n=0), row]).kinds().tolist() == [0, 3]


def test_splits_come_back_first():
    queue = SplitQueue([RangeSplit("a", 0, 1), RangeSplit("b", 1, 2)])
    first = queue.next_split(0)
    queue.add_back([first])
    assert [queue.next_split(0).split_id, queue.next_split(1).split_id, queue.next_split(0)] == [
        "a",
        "b",
        None,
    ]
    assert queue.is_finished()


def test_a_queue_is_restored_from_its_snapshot():
    queue = Countdown([1, 2]).create_enumerator(1)
    queue.next_split(0)
    assert Countdown([1, 2]).restore_enumerator(3, queue.snapshot()).next_split(0) == CountdownSplit(
        "from 2", 2
    )


def test_a_foreign_snapshot_needs_an_enumerator_of_its_own():
    with pytest.raises(
        UnsupportedOperationError, match=r"Countdown has an enumerator with a snapshot of its own"
    ):
        Countdown([1]).restore_enumerator(1, {"offset": 3})


def test_endless_splits_go_one_to_each_subtask():
    splits = AssignedSplits([RangeSplit(name, 0, 1) for name in "abcd"], 2)
    assert [splits.next_split(1).split_id, splits.next_split(1).split_id, splits.next_split(1)] == [
        "b",
        "d",
        None,
    ]
    assert [splits.next_split(0).split_id for _ in range(2)] == ["a", "c"]


class Recorder(Sink, SinkWriter):
    def create_writer(self, context):
        self.seen = []
        return self

    def write(self, value, context):
        self.seen.append((value, context.timestamp(), context.current_watermark()))


def test_a_writer_of_single_records_sees_each_with_its_time(writing):
    batch = Batch.from_arrow(pa.record_batch({"n": [1, 2]}), Countdown.schema)
    sink = Recorder()
    writer = sink.create_writer(writing.context(batch.schema))
    writer.write_batch(batch)
    writer.write_watermark(9)
    writer.write_batch(batch.with_timestamps(np.array([10, 11])))
    assert sink.seen == [(1, None, -(2**63)), (2, None, -(2**63)), (1, 10, 9), (2, 11, 9)]


def test_a_writer_must_write_somehow(writing):
    batch = Batch.from_arrow(pa.record_batch({"n": [1]}), Countdown.schema)
    with pytest.raises(NotImplementedError, match=r"SinkWriter must override write\(\) or write_batch\(\)"):
        SinkWriter().write_batch(batch)
