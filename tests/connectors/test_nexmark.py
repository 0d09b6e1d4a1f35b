# SPDX-License-Identifier: Apache-2.0
"""The Nexmark source: the same events whatever the parallelism, and from any position on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flinkcore.columnar.faults import BadRecords
from flinkcore.connectors import nexmark
from flinkcore.connectors.base import Boundedness, SourceContext
from flinkcore.connectors.nexmark import NexmarkSource
from flinkcore.errors import ConfigurationError, SchemaError
from flinkcore.time.clock import ManualClock


def context(clock=None):
    return SourceContext("nexmark", clock or ManualClock(), BadRecords())


def splits(source, parallelism):
    enumerator = source.create_enumerator(parallelism)
    found = [enumerator.next_split(subtask) for subtask in range(parallelism)]
    assert enumerator.is_finished()
    return found


def read_all(source, split, max_rows=1000):
    reader = source.create_reader(split, context())
    rows = []
    while (batch := reader.read(max_rows, 0)) is not None:
        assert batch.num_rows <= max_rows
        rows += batch.to_arrow().to_pylist()
    return rows


def test_a_bounded_source_ends_after_its_events():
    source = NexmarkSource("bids", ["auction", "price"], event_count=5000)
    assert source.boundedness is Boundedness.BOUNDED
    assert source.schema.names == ("auction", "price")
    rows = read_all(source, *splits(source, 1))
    assert len(rows) == 4600
    assert rows[0] == {"auction": 1006, "price": 49_370_897}


@pytest.mark.parametrize("stream", ["persons", "auctions", "bids", "events"])
@pytest.mark.parametrize("parallelism", [2, 3])
def test_parallel_splits_hold_the_events_of_one_reader_once_each(stream, parallelism, monkeypatch):
    monkeypatch.setattr(nexmark, "BLOCK_EVENTS", 70)
    source = NexmarkSource(stream, event_count=1003, first_event=10, events_per_second=100)
    alone = read_all(source, *splits(source, 1))
    shared = [row for split in splits(source, parallelism) for row in read_all(source, split, max_rows=50)]
    assert sorted(map(str, shared)) == sorted(map(str, alone))


def test_a_subtask_gets_its_own_split_and_no_other():
    enumerator = NexmarkSource(event_count=1000).create_enumerator(2)
    assert enumerator.next_split(1).index == 1
    assert enumerator.next_split(1) is None
    assert not enumerator.is_finished()
    assert enumerator.next_split(0).index == 0


@pytest.mark.parametrize("parallelism", [1, 3])
def test_a_reader_continues_from_its_position(parallelism, monkeypatch):
    monkeypatch.setattr(nexmark, "BLOCK_EVENTS", 70)
    source = NexmarkSource("bids", event_count=2000)
    for split in splits(source, parallelism):
        whole = read_all(source, split)
        reader = source.create_reader(split, context())
        first = [row for _ in range(3) for row in reader.read(60, 0).to_arrow().to_pylist()]
        assert reader.position().split_id == split.split_id
        assert first + read_all(source, reader.position()) == whole


def test_shuffled_events_never_overfill_a_read():
    source = NexmarkSource("bids", ["price"], event_count=3000, out_of_order_group=1000)
    assert len(read_all(source, *splits(source, 1), max_rows=7)) == 2760


def test_a_source_without_an_end_goes_on():
    source = NexmarkSource("auctions", ["id"])
    assert source.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    reader = source.create_reader(*splits(source, 1), context())
    ids = np.concatenate([reader.read(500, 0).column("id").to_numpy() for _ in range(20)])
    np.testing.assert_array_equal(ids, np.arange(1000, 1000 + len(ids)))
    assert len(ids) > 9000


def test_a_limited_rate_emits_what_is_due():
    clock = ManualClock(1000)
    source = NexmarkSource("events", ["date_time"], emit_per_second=100)
    reader = source.create_reader(*splits(source, 1), context(clock))
    emitted = []
    for _ in range(4):
        emitted.append(reader.read(1000, 0).num_rows)
        clock.advance(250)
    assert emitted == [1, 25, 25, 25]
    assert reader.read(10, 0).num_rows == 10


def test_parallel_readers_share_a_limited_rate():
    clock = ManualClock()
    source = NexmarkSource("events", ["date_time"], emit_per_second=1000)
    readers = [source.create_reader(split, context(clock)) for split in splits(source, 2)]
    emitted = 0
    for _ in range(200):
        emitted += sum(reader.read(1000, 0).num_rows for reader in readers)
        clock.advance(10)
    assert 1980 <= emitted <= 2000


def test_batches_carry_the_declared_types():
    source = NexmarkSource("events", event_count=100)
    batch = source.create_reader(*splits(source, 1), context()).read(1000, 0)
    arrow = batch.to_arrow()
    assert arrow.schema == source.schema.arrow
    assert arrow.schema.field("date_time").type == pa.timestamp("ms")
    assert arrow.schema.field("event_type").type == pa.int32()
    arrow.validate(full=True)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"stream": "bid"}, ConfigurationError, "streams persons, auctions, bids, events, not 'bid'"),
        ({"columns": ["prize"]}, SchemaError, "no column 'prize'; they have auction, bidder, price"),
        ({"columns": []}, ConfigurationError, "at least one column"),
        ({"columns": ["price", "price"]}, SchemaError, "price"),
        ({"first_event": -1}, ConfigurationError, "first_event=-1"),
        ({"event_count": -5}, ConfigurationError, "event_count=-5"),
        ({"event_count": 2**60}, ConfigurationError, "leave that range"),
        ({"emit_per_second": 0}, ConfigurationError, "must be positive, got 0"),
        ({"events_per_second": 0}, ConfigurationError, "'events_per_second': 0"),
        ({"hot_ratio": 2}, ConfigurationError, "hot_ratio"),
    ],
)
def test_wrong_arguments_are_refused_when_the_source_is_made(arguments, error, message):
    with pytest.raises(error, match=message):
        NexmarkSource(**arguments)
