# SPDX-License-Identifier: Apache-2.0
"""Time to live as small stories on a manual clock, with snapshots between."""

from __future__ import annotations

import numpy as np
import pytest

from flinkcore._native.column import Column
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.typeinfo import BasicTypeInfo
from flinkcore.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from flinkcore.state.evolution import Verdict
from flinkcore.state.functions import AggregateFunction
from flinkcore.state.keyed import KeyedState
from flinkcore.state.manager import StateManager
from flinkcore.state.ttl import StateTtlConfig
from flinkcore.time.clock import ManualClock
from tests.state.snapshots import load, rows_of, written

LONG, STRING = BasicTypeInfo.LONG_TYPE_INFO(), BasicTypeInfo.STRING_TYPE_INFO()


class Ms:
    def __init__(self, count):
        self.count = count

    def to_milliseconds(self):
        return self.count


class Story:
    """One keyed state with a time to live of 10 ms, on a clock that stands still."""

    def __init__(self, descriptor, configure=lambda builder: builder, ttl_ms=10, keys=1, clock=None):
        self.clock = clock or ManualClock()
        self.keyed = KeyedState(StateManager("op"), self.clock)
        columns = [Column.from_numpy(np.arange(keys))]
        self.ids = self.keyed.intern(columns, hash_keys(columns))
        self.keyed.current = self.ids[0]
        if ttl_ms is not None:
            descriptor.enable_time_to_live(configure(StateTtlConfig.new_builder(Ms(ttl_ms))).build())
        self.state = self.keyed.state(descriptor)
        self.table = self.keyed.tables[descriptor.name]

    def restored(self, descriptor, blocks, **options):
        """Another story that goes on from blocks of this one, on the same clock."""
        other = Story(descriptor, clock=self.clock, **options)
        other.table.read_as(self.table.describe())
        load(other.table, blocks)
        return other


class Sum(AggregateFunction):
    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + value

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a + acc_b


def value():
    return ValueStateDescriptor("v", LONG)


def test_a_snapshot_keeps_when_each_value_was_touched():
    story = Story(value())
    story.state.update(1)
    story.clock.advance(6)
    other = story.restored(value(), written(story.table.freeze(0, 1)))
    story.clock.advance(3)
    assert other.state.value() == 1
    story.clock.advance(1)
    assert other.state.value() is None


def test_elements_and_entries_keep_their_own_times():
    lists = Story(ListStateDescriptor("v", LONG))
    maps = Story(MapStateDescriptor("v", STRING, LONG), clock=lists.clock)
    for at in (1, 2, 3):
        lists.state.add(at)
        maps.state.put(str(at), None if at == 2 else at)
        lists.clock.advance(4)
    base = [written(story.table.freeze(0, 1)) for story in (lists, maps)]
    again = lists.restored(ListStateDescriptor("v", LONG), base[0])
    entries = maps.restored(MapStateDescriptor("v", STRING, LONG), base[1])
    assert list(again.state) == [2, 3] and list(entries.state.items()) == [("2", None), ("3", 3)]
    assert entries.state.contains("2") and not entries.state.contains("1")
    lists.clock.advance(3)
    assert list(again.state) == [3] and list(entries.state) == ["3"]


def test_reads_that_prolong_life_are_part_of_the_next_increment():
    story = Story(value(), lambda builder: builder.update_ttl_on_read_and_write())
    story.state.update(1)
    base = written(story.table.freeze(0, 1))
    story.clock.advance(9)
    assert story.state.value() == 1
    increment = written(story.table.freeze(1, 2))
    assert len(increment) == 1
    story.clock.advance(9)
    assert story.restored(value(), base).state.value() is None
    assert story.restored(value(), base + increment).state.value() == 1


def test_reads_change_nothing_when_only_writes_prolong_life():
    story = Story(value())
    story.state.update(1)
    written(story.table.freeze(0, 1))
    assert story.state.value() == 1
    assert written(story.table.freeze(1, 2)) == []


def test_what_cleanup_removes_is_removed_from_the_next_increment():
    story = Story(value(), lambda builder: builder.cleanup_incrementally(3, False), keys=4)
    for group_id in story.ids:
        story.keyed.current = group_id
        story.state.update(1)
    base = written(story.table.freeze(0, 1))
    story.clock.advance(20)
    for _ in range(4):
        story.state.value()
    assert len(story.table) == 0
    assert rows_of(story.restored(value(), base + written(story.table.freeze(1, 2))).table) == {}


def test_cleanup_may_run_for_every_record_without_any_access():
    story = Story(value(), lambda builder: builder.cleanup_incrementally(1, True), keys=4)
    for group_id in story.ids:
        story.keyed.current = group_id
        story.state.update(1)
    story.clock.advance(20)
    columns = [Column.from_numpy(np.arange(4))]
    for _ in range(3):
        story.keyed.intern(columns, hash_keys(columns))
    assert len(story.table) == 0


@pytest.mark.parametrize(
    ("descriptor", "write", "kept"),
    [
        (value, lambda state, n: state.update(n), 5),
        (lambda: ListStateDescriptor("v", LONG), lambda state, n: state.add(n), [5]),
        (lambda: MapStateDescriptor("v", LONG, LONG), lambda state, n: state.put(n, n), {5: 5}),
    ],
    ids=["value", "list", "map"],
)
def test_a_full_snapshot_leaves_out_what_expired_when_asked(descriptor, write, kept):
    quiet = lambda builder: builder.disable_cleanup_in_background()  # noqa: E731
    for configure, expected in ((quiet, 2), (lambda builder: quiet(builder).cleanup_full_snapshot(), 1)):
        story = Story(descriptor(), configure, keys=2)
        story.keyed.current = story.ids[1]
        write(story.state, 1)
        story.keyed.current = story.ids[0]
        write(story.state, 4)
        story.clock.advance(10)
        write(story.state, 5)
        blocks = written(story.table.freeze(0, 1))
        assert len(story.table) == 2, "the table itself is as it was"
        other = story.restored(descriptor(), blocks, keys=2)
        assert len(other.table) == expected
        other.keyed.current = other.ids[0]
        found = {
            ValueStateDescriptor: lambda s: s.value(),
            ListStateDescriptor: list,
            MapStateDescriptor: lambda s: dict(s.items()),
        }
        assert found[type(descriptor())](other.state) == kept
        # In an increment nothing is left out: the snapshot before it may hold it.
        story.keyed.current = story.ids[1]
        story.state.clear()
        write(story.state, 6)
        story.clock.advance(10)
        increment = written(story.table.freeze(1, 2))
        assert len(story.restored(descriptor(), blocks + increment, keys=2).table) == 2


def test_an_expired_reduction_goes_on_only_where_expired_values_are_visible():
    for configure, expected in (
        (lambda b: b, 5),
        (lambda b: b.return_expired_if_not_cleaned_up().disable_cleanup_in_background(), 8),
    ):
        for descriptor in (
            ReducingStateDescriptor("v", lambda a, b: a + b, LONG),
            AggregatingStateDescriptor("v", Sum(), LONG),
        ):
            story = Story(descriptor, configure)
            story.state.add(3)
            story.clock.advance(10)
            story.state.add(5)
            assert story.state.get() == expected


def test_states_of_windows_merge_with_their_times():
    reduced = Story(ReducingStateDescriptor("v", lambda a, b: a + b, LONG))
    for window, number in (("a", 1), ("b", 2)):
        reduced.state.set_current_namespace(window)
        reduced.state.add(number)
        reduced.clock.advance(6)
    reduced.state.merge_namespaces("b", ["a"])  # "a" has expired
    reduced.state.set_current_namespace("b")
    assert reduced.state.get() == 2
    reduced.clock.advance(9)
    assert reduced.state.get() == 2, "merging is a write"
    lists = Story(ListStateDescriptor("v", LONG))
    for window in ("a", "b"):
        lists.state.set_current_namespace(window)
        lists.state.add(1)
        lists.clock.advance(6)
    lists.state.merge_namespaces("b", ["a"])
    assert list(lists.state) == [1]


@pytest.mark.parametrize(
    ("descriptor", "write", "read"),
    [
        (value, lambda state: state.update(1), lambda state: state.value()),
        (lambda: ListStateDescriptor("v", LONG), lambda state: state.add(1), lambda state: (list(state) or [None])[0]),
        (lambda: MapStateDescriptor("v", LONG, LONG), lambda state: state.put(1, 1), lambda state: state.get(1)),
    ],
    ids=["value", "list", "map"],
)  # fmt: skip
def test_a_time_to_live_may_come_and_go_between_runs(descriptor, write, read):
    plain = Story(descriptor(), ttl_ms=None)
    write(plain.state)
    plain.clock.advance(100)
    blocks = written(plain.table.freeze(0, 1))
    mortal = plain.restored(descriptor(), blocks)
    found = mortal.table.compatible(plain.table.describe())
    assert found.verdict is Verdict.MIGRATE and "a time to live was added" in found.reason
    plain.clock.advance(9)
    assert read(mortal.state) == 1, "it lives from the restore on"
    again = mortal.restored(descriptor(), written(mortal.table.freeze(0, 1)), ttl_ms=None)
    plain.clock.advance(1)
    assert read(mortal.state) is None
    plain.clock.advance(1000)
    assert read(again.state) == 1, "it stays for ever"


def test_a_longer_time_to_live_counts_for_what_was_stored():
    story = Story(value())
    story.state.update(1)
    story.clock.advance(15)
    assert story.restored(value(), written(story.table.freeze(0, 1)), ttl_ms=20).state.value() == 1
