# SPDX-License-Identifier: Apache-2.0
"""Channels are bounded; a gate combines what its channels say."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore._native.hash import hash_columns
from flinkcore.columnar.batch import Batch
from flinkcore.graph.transformation import Partitioning
from flinkcore.runtime.channel import SMALL_ROWS, Channel, ElementKind, InputGate
from flinkcore.runtime.routing import channel_target, reachable_subtasks
from flinkcore.time import MAX_WATERMARK


def batch(*values):
    return Batch.from_arrow(pa.RecordBatch.from_pydict({"n": list(values)}))


def gate_of(count):
    channels = [Channel(2) for _ in range(count)]
    return channels, InputGate(channels, [0] * count, [str(i) for i in range(count)])


def test_only_batches_fill_a_channel():
    channel = Channel(2)
    channel.put(ElementKind.WATERMARK, 1)
    channel.put(ElementKind.BATCH, batch(*range(SMALL_ROWS)))
    assert channel.has_room
    channel.put(ElementKind.BATCH, batch(*range(SMALL_ROWS)))
    assert not channel.has_room
    woken = []
    channel.wake_producer = lambda: woken.append(True)
    assert channel.take() == (ElementKind.WATERMARK, 1)
    assert woken == []
    channel.take()
    assert channel.has_room and woken == [True]


def test_nothing_waits_behind_a_small_batch():
    channel = Channel(8)
    woken = []
    channel.wake_producer = lambda: woken.append(True)
    channel.put(ElementKind.BATCH, batch(*range(SMALL_ROWS)))
    assert channel.has_room
    channel.put(ElementKind.BATCH, batch(1))
    assert not channel.has_room
    channel.take()
    assert not channel.has_room
    channel.take()
    assert channel.has_room and woken


def test_a_gate_takes_channels_in_turn_and_watermarks_by_minimum():
    (left, right), gate = gate_of(2)
    left.put(ElementKind.WATERMARK, 10)
    left.put(ElementKind.BATCH, some := batch(1))
    right.put(ElementKind.WATERMARK, 5)
    assert gate.poll() == (ElementKind.WATERMARK, None, 0)
    assert gate.poll() == (ElementKind.WATERMARK, 5, 0)
    assert gate.poll() == (ElementKind.BATCH, some, 0)
    assert gate.poll() is None


def test_a_gate_ends_when_its_last_channel_does():
    (left, right), gate = gate_of(2)
    left.put(ElementKind.WATERMARK, MAX_WATERMARK)
    left.put(ElementKind.END)
    right.put(ElementKind.WATERMARK, MAX_WATERMARK)
    right.put(ElementKind.END)
    seen = [gate.poll() for _ in range(4)]
    assert (ElementKind.WATERMARK, MAX_WATERMARK, 0) in seen
    assert [payload for kind, payload, _ in seen if kind is ElementKind.END] == [False, True]


def test_an_idle_channel_does_not_hold_the_watermark_back():
    (left, right), gate = gate_of(2)
    left.put(ElementKind.WATERMARK, 10)
    right.put(ElementKind.IDLE, True)
    gate.poll()
    assert gate.poll() == (ElementKind.IDLE, (10, None), 0)
    left.put(ElementKind.IDLE, True)
    assert gate.poll() == (ElementKind.IDLE, (None, True), 0)


@pytest.mark.parametrize(
    ("partitioning", "expected"),
    [
        (Partitioning.FORWARD, [[0], [1], [2], [3]]),
        (Partitioning.REBALANCE, [[0, 1], [0, 1], [0, 1], [0, 1]]),
        (Partitioning.RESCALE, [[0], [0], [1], [1]]),
    ],
)
def test_what_a_subtask_can_reach(partitioning, expected):
    assert [list(reachable_subtasks(partitioning, i, 4, 2)) for i in range(4)] == expected


def test_rescaling_up_gives_each_source_its_own_targets():
    assert [list(reachable_subtasks(Partitioning.RESCALE, i, 2, 5)) for i in range(2)] == [[0, 1], [2, 3, 4]]


def test_round_robin_begins_with_the_own_subtask():
    channels = [Channel(9) for _ in range(3)]
    target = channel_target(Partitioning.REBALANCE, channels, 128, 1, None)
    for n in range(4):
        target.batch(batch(n))
    assert [len(channel) for channel in channels] == [1, 2, 1]


def test_round_robin_shares_a_batch():
    channels = [Channel(9) for _ in range(3)]
    target = channel_target(Partitioning.REBALANCE, channels, 128, 0, None)
    target.batch(batch(*range(7)))
    target.batch(batch(7, 8))
    received = [
        [element[1].column("n").to_pylist() for element in iter(channel.take, None)] for channel in channels
    ]
    assert received == [[[0, 1], [7]], [[2, 3], [8]], [[4, 5, 6]]]


def test_broadcast_reaches_all_and_global_the_first():
    for partitioning, lengths in ((Partitioning.BROADCAST, [1, 1]), (Partitioning.GLOBAL, [1, 0])):
        channels = [Channel(9), Channel(9)]
        channel_target(partitioning, channels, 128, 0, None).batch(batch(1))
        assert [len(channel) for channel in channels] == lengths


@pytest.mark.parametrize("of_words", [True, False], ids=["numbers", "texts"])
def test_records_of_a_key_group_go_to_its_subtask_in_order(of_words):
    channels = [Channel(9) for _ in range(4)]
    sent = batch(*range(1000))
    key = sent.column("n") if of_words else Column.from_arrow(pa.array(map(str, range(1000))))
    hashes = hash_columns([key])
    channel_target(Partitioning.HASH, channels, 128, 0, None).batch(sent.with_keys((key,), None))
    for subtask, channel in enumerate(channels):
        _, received = channel.take()
        values = received.column("n").to_pylist()
        assert values == [n for n in range(1000) if int(hashes[n]) % 128 * 4 // 128 == subtask]
        assert received.hashes().tolist() == hashes[values].tolist()
