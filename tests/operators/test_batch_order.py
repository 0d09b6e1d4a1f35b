# SPDX-License-Identifier: Apache-2.0
"""In batch mode a keyed function sees one key after the other, each by timestamp, then the key's timers."""

from __future__ import annotations

import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.common import Time, Types, WatermarkStrategy
from flinkcore.common.watermark_strategy import TimestampAssigner
from flinkcore.connectors.datagen import DataGeneratorSource
from flinkcore.connectors.generated_columns import SequenceColumn
from flinkcore.datastream import (
    BroadcastProcessFunction,
    FlatMapFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    ProcessWindowFunction,
    RuntimeExecutionMode,
)
from flinkcore.datastream.state import MapStateDescriptor, ValueStateDescriptor
from flinkcore.datastream.window import TumblingEventTimeWindows
from flinkcore.errors import UnsupportedOperationError
from flinkcore.operators.batch_order import InTimeOrder
from flinkcore.operators.key import KeyByNothing
from flinkcore.testing.harness import harness
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from tests.datastream.jobs import collected, environment


class Second(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


STRATEGY = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
RECORDS = [("a", 5), ("b", 2), ("a", 1), ("b", 9), ("a", 3)]


def stream(env, values=RECORDS):
    return env.from_collection(values).assign_timestamps_and_watermarks(STRATEGY)


def batch(parallelism=1, batch_rows=None):
    env = environment(parallelism).set_runtime_mode(RuntimeExecutionMode.BATCH)
    if batch_rows is not None:
        env.get_configuration().set_integer("flinkcore.batch-rows", batch_rows)
    return env


def by_key(records):
    """Records of each key in their order; which key comes first is not defined."""
    return {key: [record for record in records if record[0] == key] for key in {record[0] for record in records}}


class Timers(KeyedProcessFunction):
    """Each record registers both kinds of timers far ahead; timers register more, which never fire."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.INT()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        timers = ctx.timer_service()
        timers.register_event_time_timer(1000 - value[1])
        timers.register_processing_time_timer(timers.current_processing_time() + 10**9)
        yield value[0], "record", value[1], timers.current_watermark()

    def on_timer(self, timestamp, ctx):
        ctx.timer_service().register_event_time_timer(timestamp + 1)
        ctx.timer_service().register_processing_time_timer(timestamp + 1)
        at = timestamp if ctx.time_domain().name == "EVENT_TIME" else "clock"
        yield ctx.get_current_key(), at, self.count.value(), ctx.timer_service().current_watermark()


def test_a_keys_timers_fire_after_its_records_and_before_the_next_key():
    found = collected(stream(batch()).key_by(lambda value: value[0]).process(Timers()))
    keys = [record[0] for record in found]
    assert keys == sorted(keys, key=keys.index)  # no key comes twice
    each = by_key(found)
    assert each["a"][:6] == [
        ("a", "record", 1, MIN_TIMESTAMP),
        ("a", "record", 3, MIN_TIMESTAMP),
        ("a", "record", 5, MIN_TIMESTAMP),
        ("a", 995, 3, MAX_WATERMARK),
        ("a", 997, 3, MAX_WATERMARK),
        ("a", 999, 3, MAX_WATERMARK),
    ]
    assert set(each["a"][6:]) == {("a", "clock", 3, MAX_WATERMARK)}  # one or more, by the milliseconds of the clock
    assert [record[1:3] for record in each["b"][:4]] == [("record", 2), ("record", 9), (991, 2), (998, 2)]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
@pytest.mark.parametrize("parallelism", [1, 2])
def test_neither_batches_nor_subtasks_change_what_a_key_sees(parallelism, batch_rows):
    class Before(FlatMapFunction):
        def open(self, runtime_context):
            self.before = runtime_context.get_state(ValueStateDescriptor("before", Types.INT()))

        def flat_map(self, value):
            yield value[0], self.before.value(), value[1]
            self.before.update(value[1])

    found = collected(stream(batch(parallelism, batch_rows)).key_by(lambda value: value[0]).flat_map(Before()))
    assert by_key(found) == {
        "a": [("a", None, 1), ("a", 1, 3), ("a", 3, 5)],
        "b": [("b", None, 2), ("b", 2, 9)],
    }


def test_records_of_two_streams_are_merged_by_time_the_first_stream_first():
    class Sides(KeyedCoProcessFunction):
        def process_element1(self, value, ctx):
            ctx.timer_service().register_event_time_timer(100)
            yield value[0], "first", value[1]

        def process_element2(self, value, ctx):
            yield value[0], "second", value[1]

        def on_timer(self, timestamp, ctx):
            yield ctx.get_current_key(), "timer", timestamp

    env = batch()
    first = stream(env, [("a", 4), ("a", 2), ("b", 1)]).key_by(lambda value: value[0])
    second = stream(env, [("b", 0), ("a", 3), ("a", 2)]).key_by(lambda value: value[0])
    assert by_key(collected(first.connect(second).process(Sides()))) == {
        "a": [("a", "first", 2), ("a", "second", 2), ("a", "second", 3), ("a", "first", 4), ("a", "timer", 100)],
        "b": [("b", "second", 0), ("b", "first", 1), ("b", "timer", 100)],
    }


RULES = MapStateDescriptor("rules", Types.STRING(), Types.INT())


def test_the_broadcast_side_comes_first():
    class Plain(BroadcastProcessFunction):
        def process_element(self, value, ctx):
            yield value[0], len(list(ctx.get_broadcast_state(RULES).keys()))

        def process_broadcast_element(self, value, ctx):
            ctx.get_broadcast_state(RULES).put(value, 1)

    class Keyed(KeyedBroadcastProcessFunction):
        def process_element(self, value, ctx):
            yield value[1], len(list(ctx.get_broadcast_state(RULES).keys()))

        def process_broadcast_element(self, value, ctx):
            ctx.get_broadcast_state(RULES).put(value, 1)

    rules = [f"rule {i}" for i in range(50)]
    env = batch(2)
    plain = stream(env).connect(env.from_collection(rules).broadcast(RULES)).process(Plain())
    assert sorted(collected(plain)) == [("a", 50)] * 3 + [("b", 50)] * 2
    env = batch()
    keyed = stream(env).key_by(lambda value: value[0]).connect(env.from_collection(rules).broadcast(RULES))
    assert sorted(collected(keyed.process(Keyed()))) == [(1, 50), (2, 50), (3, 50), (5, 50), (9, 50)]


def test_streaming_mode_keeps_the_order_of_the_records():
    class Itself(KeyedProcessFunction):
        def process_element(self, value, ctx):
            yield value

    assert collected(stream(environment()).key_by(lambda value: value[0]).process(Itself())) == RECORDS


class Elements(ProcessWindowFunction):
    def process(self, key, context, elements):
        yield key, context.window().start, [element[1] for element in elements]


@pytest.mark.parametrize("batch_rows", [1, 100])
def test_windows_and_reductions_see_the_records_of_a_key_by_timestamp(batch_rows):
    keyed = stream(batch(batch_rows=batch_rows)).key_by(lambda value: value[0])
    windows = keyed.window(TumblingEventTimeWindows.of(Time.milliseconds(4))).process(Elements())
    assert sorted(collected(windows)) == [("a", 0, [1, 3]), ("a", 4, [5]), ("b", 0, [2]), ("b", 8, [9])]
    last = keyed.reduce(lambda before, value: value)
    assert sorted(collected(last)) == [("a", 5), ("b", 9)]
    counted = keyed.count_window(2).reduce(lambda before, value: (value[0], before[1] * 10 + value[1]))
    assert sorted(collected(counted)) == [("a", 13), ("b", 29)]


def test_reductions_of_records_without_timestamps_see_them_as_they_come():
    keyed = batch().from_collection(RECORDS).key_by(lambda value: value[0])
    assert sorted(collected(keyed.reduce(lambda before, value: value))) == [("a", 3), ("b", 9)]


def test_a_savepoint_of_records_that_are_held_is_refused():
    op = harness(InTimeOrder(KeyByNothing(Schema.of_objects())), schema=Schema.of_objects())
    op.batch([1, 2], timestamps_ms=[2, 1])
    with pytest.raises(UnsupportedOperationError, match="in batch mode it holds records until the input ends"):
        op.operator.prepare_snapshot(1)
    op.watermark(MAX_WATERMARK)
    op.operator.prepare_snapshot(2)


def test_automatic_mode_is_batch_where_all_sources_end():
    env = environment().set_runtime_mode(RuntimeExecutionMode.AUTOMATIC)
    assert collected(env.from_collection(RECORDS).key_by(lambda value: value[0]).sum(1)) == [("a", 9), ("b", 11)]
    endless = env.from_source(DataGeneratorSource({"n": SequenceColumn(1)}), None, "endless")
    with endless.map(lambda row: row[0]).key_by(lambda value: 0).sum().map(str).execute_and_collect() as results:
        assert [next(results) for _ in range(3)] == ["1", "3", "6"]
