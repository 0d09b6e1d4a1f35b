# SPDX-License-Identifier: Apache-2.0
"""connect and broadcast in whole jobs; the expected records are PyFlink's (its test_data_stream.py)."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from flinkcore.common import Row, Types
from flinkcore.datastream import (
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    OutputTag,
    ProcessFunction,
)
from flinkcore.datastream.data_stream import BroadcastConnectedStream, BroadcastStream, ConnectedStreams
from flinkcore.datastream.state import MapStateDescriptor, ReducingStateDescriptor, ValueStateDescriptor
from flinkcore.errors import ConfigurationError, SchemaError
from flinkcore.testing.simulation import simulate
from tests.datastream.jobs import by, collected, environment, objects

PAIR = Types.ROW([Types.STRING(), Types.INT()])
TURNED = Types.ROW([Types.INT(), Types.STRING()])
MAPPING = MapStateDescriptor("mapping", key_type_info=Types.INT(), value_type_info=Types.STRING())
SIDE = OutputTag("side", Types.INT())


class FlatMaps(CoFlatMapFunction):
    def flat_map1(self, value):
        yield value + 1

    def flat_map2(self, value):
        yield value - 1


class Maps(CoMapFunction):
    def map1(self, value):
        return value + 2

    def map2(self, value):
        return value + 1


def test_flat_map_and_map_of_connected_streams():
    first = objects([1, 2, 3, 4, 5])
    second = first.map(lambda value: value * 2)
    results = first.connect(second).flat_map(FlatMaps()).connect(second).map(Maps())
    assert sorted(collected(results)) == [3, 3, 4, 5, 5, 5, 6, 7, 7, 7, 8, 9, 9, 11, 11]


class CountsBoth(KeyedCoProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))
        self.timer_registered = False

    def process_element1(self, value, ctx):
        if not self.timer_registered:
            ctx.timer_service().register_event_time_timer(3)
            self.timer_registered = True
        return self.counted(value)

    process_element2 = process_element1

    def counted(self, value):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        return [Row(value[0], count)]

    def on_timer(self, timestamp, ctx):
        yield Row("on_timer", timestamp)


def test_records_of_both_streams_share_the_state_of_their_key_and_its_timers():
    env = environment()
    ascending = by(lambda row: row[1])
    first = env.from_collection([("a", 1), ("b", 2), ("c", 3)], PAIR).assign_timestamps_and_watermarks(ascending)
    second = env.from_collection([("b", 2), ("c", 3), ("d", 4)], PAIR).assign_timestamps_and_watermarks(ascending)
    stream = first.connect(second).key_by(lambda x: x[0], lambda x: x[0], Types.STRING()).process(CountsBoth())
    found = sorted((row[0], row[1]) for row in collected(stream))
    assert found == [("a", 1), ("b", 1), ("b", 2), ("c", 1), ("c", 2), ("d", 1), ("on_timer", 3)]


class SideOutputs(CoProcessFunction):
    def process_element1(self, value, ctx):
        yield value[0]
        yield SIDE, value[1]

    def process_element2(self, value, ctx):
        yield value[1]
        yield SIDE, value[0]


@pytest.mark.parametrize("side", [False, True])
def test_both_streams_have_the_side_outputs_of_their_function(side):
    env = environment()
    first = env.from_collection([("a", 0), ("b", 1), ("c", 2)], PAIR)
    second = env.from_collection([(3, "c"), (1, "a"), (0, "d")], TURNED)
    stream = first.connect(second).process(SideOutputs(), output_type=Types.STRING())
    if side:
        assert sorted(collected(stream.get_side_output(SIDE))) == [0, 0, 1, 1, 2, 3]
    else:
        assert sorted(collected(stream)) == ["a", "a", "b", "c", "c", "d"]


class Caches(BroadcastProcessFunction):
    """Keeps what comes before its rule."""

    def __init__(self):
        self.cache = defaultdict(list)

    def process_element(self, value, ctx):
        state = ctx.get_broadcast_state(MAPPING)
        key = value % 2
        if not state.contains(key):
            self.cache[key].append(value)
            return
        yield state.get(key) + str(value)

    def process_broadcast_element(self, value, ctx):
        yield f"{value[0]}{value[1]}"
        ctx.get_broadcast_state(MAPPING).put(value[0], value[1])
        for cached in self.cache.pop(value[0], ()):
            yield value[1] + str(cached)


@pytest.mark.parametrize("seed", range(10))
def test_each_subtask_gets_every_broadcast_record(seed):
    env = environment(2)
    numbers = env.from_collection([1, 2, 3, 4, 5], Types.INT())
    rules = env.from_collection([(0, "a"), (1, "b")], Types.TUPLE([Types.INT(), Types.STRING()]))
    stream = numbers.connect(rules.broadcast(MAPPING)).process(Caches(), output_type=Types.STRING())
    assert sorted(simulate(stream, seed)) == ["0a", "0a", "1b", "1b", "a2", "a4", "b1", "b3", "b5"]


class KeyedSides(KeyedBroadcastProcessFunction):
    def open(self, runtime_context):
        self.sum = runtime_context.get_reducing_state(
            ReducingStateDescriptor("reduce", lambda i, j: i + j, Types.INT())
        )

    def process_element(self, value, ctx):
        self.sum.add(value[1])
        yield value[0]
        yield SIDE, self.sum.get()

    def process_broadcast_element(self, value, ctx):
        yield value[1]
        yield SIDE, value[0]


@pytest.mark.parametrize("side", [False, True])
def test_keys_and_a_broadcast_stream(side):
    env = environment(2)
    numbers = env.from_collection([("a", 0), ("b", 1), ("a", 2), ("b", 3)], PAIR)
    rules = env.from_collection([(5, "c"), (6, "d")], TURNED)
    keyed = numbers.key_by(lambda row: row[0], Types.STRING())
    stream = keyed.connect(rules.broadcast(MAPPING)).process(KeyedSides(), output_type=Types.STRING())
    if side:
        assert sorted(collected(stream.get_side_output(SIDE))) == [0, 1, 2, 4, 5, 5, 6, 6]
    else:
        assert sorted(collected(stream)) == ["a", "a", "b", "b", "c", "c", "d", "d"]


class WaitsForRules(KeyedBroadcastProcessFunction):
    def process_element(self, value, ctx):
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)

    def process_broadcast_element(self, value, ctx):
        ctx.get_broadcast_state(MAPPING).put(value[0], value[1])

    def on_timer(self, timestamp, ctx):
        rules = ctx.get_broadcast_state(MAPPING)
        yield ctx.get_current_key(), timestamp, "".join(text for at, text in sorted(rules.items()) if at <= timestamp)


@pytest.mark.parametrize("seed", range(20))
def test_timers_wait_for_the_watermark_of_the_slower_stream(seed):
    """So what they see of the rules does not depend on which stream is faster."""
    env = environment(1 + seed % 3)
    numbers = env.from_collection([(i % 3, 10 * i) for i in range(12)]).assign_timestamps_and_watermarks(
        by(lambda value: value[1])
    )
    rules = env.from_collection([(at, text) for at, text in zip((5, 35, 70), "xyz")]).assign_timestamps_and_watermarks(
        by(lambda value: value[0])
    )
    keyed = numbers.key_by(lambda value: value[0], Types.INT())
    found = simulate(keyed.connect(rules.broadcast(MAPPING)).process(WaitsForRules()), seed)
    assert sorted(found) == sorted(
        (i % 3, 10 * i + 10, "x" * (i >= 0) + "y" * (i >= 3) + "z" * (i >= 6)) for i in range(12)
    )


def test_the_plan_shows_both_inputs():
    env = environment(2)
    numbers = env.from_collection([("a", 0)], PAIR)
    rules = env.from_collection([(5, "c")], TURNED)
    keyed = numbers.key_by(lambda row: row[0], Types.STRING())
    keyed.connect(rules.broadcast(MAPPING)).process(KeyedSides()).print()
    node = json.loads(env.get_execution_plan())["nodes"][2]
    assert node["type"] == "Keyed-Co-Process-Broadcast"
    assert [each["ship_strategy"] for each in node["predecessors"]] == ["HASH", "BROADCAST"]


@pytest.mark.parametrize(
    "method, name",
    [
        (lambda streams: streams.map(Maps()), "Co-Map"),
        (lambda streams: streams.flat_map(FlatMaps()), "Co-Flat Map"),
        (lambda streams: streams.process(SideOutputs()), "Co-Process"),
        (lambda streams: streams.key_by(int, int).process(CountsBoth()), "Keyed Co-Process"),
    ],
)
def test_steps_have_pyflinks_names(method, name):
    first = objects()
    streams = first.connect(first)
    assert isinstance(streams, ConnectedStreams)
    assert method(streams).get_name() == name


def test_broadcast_without_a_state_is_a_way_to_travel():
    stream = objects()
    assert not isinstance(stream.broadcast(), BroadcastStream)
    other = MapStateDescriptor("other", Types.INT(), Types.INT())
    broadcast = stream.broadcast(MAPPING, other)
    assert broadcast.broadcast_state_descriptors == [MAPPING, other]
    assert isinstance(stream.connect(broadcast), BroadcastConnectedStream)


class Plain(ProcessFunction):
    def process_element(self, value, ctx):
        pass


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda s: s.connect([1]), "connect takes a stream or a broadcast stream"),
        (lambda s: s.connect(objects()), "streams of one StreamExecutionEnvironment"),
        (lambda s: s.connect(s).map(lambda value: value), "takes a CoMapFunction"),
        (lambda s: s.connect(s).map(Maps), r"the class Maps; make an object of it: Maps\(\)"),
        (lambda s: s.connect(s).flat_map(Maps()), "takes a CoFlatMapFunction"),
        (lambda s: s.connect(s).process(Plain()), "takes a CoProcessFunction or KeyedCoProcessFunction"),
        (lambda s: s.connect(s).process(CountsBoth()), "needs keys on both streams"),
        (lambda s: s.key_by(int).connect(s).process(CountsBoth()), "needs keys on both streams"),
        (lambda s: s.broadcast(ValueStateDescriptor("v", Types.INT())), "broadcast takes MapStateDescriptors"),
        (lambda s: s.key_by(int).broadcast(MAPPING), "cannot be called on a KeyedStream"),
        (lambda s: s.connect(s.broadcast(MAPPING)).process(KeyedSides()), "takes a BroadcastProcessFunction"),
        (
            lambda s: s.key_by(int).connect(s.broadcast(MAPPING)).process(Caches()),
            "takes a KeyedBroadcastProcessFunction",
        ),
    ],
)
def test_what_cannot_be_connected_is_said_at_once(build, message):
    with pytest.raises(ConfigurationError, match=message):
        build(objects())


def test_keys_of_two_types_do_not_connect():
    first = objects()
    with pytest.raises(SchemaError, match="keys of one type"):
        first.key_by(str, Types.STRING()).connect(first.key_by(int, Types.INT()))
