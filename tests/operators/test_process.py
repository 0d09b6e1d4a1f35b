# SPDX-License-Identifier: Apache-2.0
"""Functions on rows: what they see, what they emit, and what is said when they fail."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import BasicTypeInfo
from flinkcore.errors import SchemaError, UnsupportedOperationError, UserFunctionError
from flinkcore.operators.functions import (
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    MapFunction,
    ProcessFunction,
)
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.process import FilterRows, FlatMapRows, KeyedProcessRows, MapRows, ProcessRows
from flinkcore.state.descriptors import ListStateDescriptor, ValueStateDescriptor
from flinkcore.testing.harness import harness
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from flinkcore.time.domain import TimeDomain

PAIRS = Schema(("k", "v"), (pa.string(), pa.int64()), "tuple")
LONGS = Schema(("value",), (pa.int64(),), "value")
OBJECTS = Schema.of_objects()


def test_map_keeps_timestamps_and_makes_the_declared_type():
    op = harness(MapRows(PAIRS, lambda pair: pair[1] * 2, LONGS))
    op.batch(k=["a", "b"], v=[1, 2], timestamps_ms=[10, 20])
    assert op.timestamped() == [(2, 10), (4, 20)]


def test_map_of_no_declared_type_passes_objects_through():
    thing = {"any", "object"}
    op = harness(MapRows(PAIRS, lambda pair: thing, OBJECTS))
    op.batch(k=["a"], v=[1])
    assert op.output() == [thing]


def test_map_whose_result_does_not_fit_its_type_says_which_record():
    op = harness(MapRows(PAIRS, lambda pair: pair[0], LONGS))
    with pytest.raises(SchemaError, match=r"MapRows.*record 0.*'a'"):
        op.batch(k=["a"], v=[1])


def test_flat_map_repeats_timestamps_and_accepts_generators_lists_and_none():
    def split(pair):
        return None if pair[1] == 0 else iter([pair[0]] * pair[1])

    op = harness(FlatMapRows(PAIRS, split, OBJECTS))
    op.batch(k=["a", "b", "c"], v=[2, 0, 1], timestamps_ms=[1, 2, 3])
    assert op.timestamped() == [("a", 1), ("a", 1), ("c", 3)]


def test_flat_map_that_emits_nothing_emits_no_batch():
    op = harness(FlatMapRows(PAIRS, lambda pair: [], OBJECTS))
    op.batch(k=["a"], v=[1])
    assert op.collected.batches == []


def test_filter_keeps_columns_as_they_are():
    op = harness(FilterRows(PAIRS, lambda pair: pair[1] > 1))
    op.batch(k=["a", "b", "c"], v=[1, 2, 3], timestamps_ms=[1, 2, 3])
    assert op.timestamped() == [(("b", 2), 2), (("c", 3), 3)]


def test_functions_open_once_with_their_place_and_close():
    seen = []

    class Scale(MapFunction):
        def open(self, runtime_context):
            self.index = runtime_context.get_index_of_this_subtask()
            seen.append(runtime_context.get_task_name_with_subtasks())
            runtime_context.get_metrics_group().counter("opened").inc()

        def map(self, value):
            return value * 10 + self.index

        def close(self):
            seen.append("closed")

    function = Scale()
    op = harness(MapRows(LONGS, function, LONGS), parallelism=6, subtask_index=2)
    op.batch([1])
    assert op.output() == [12]
    op.end()
    assert seen == ["MapRows (3/6)", "closed"]
    assert not hasattr(function, "index"), "each subtask has its own copy"
    assert op.metrics.user.counter("opened").get_count() == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: MapRows(LONGS, lambda value: 1 // value, LONGS),
        lambda: FilterRows(LONGS, lambda value: 1 // value),
        lambda: FlatMapRows(LONGS, lambda value: [1 // value], LONGS),
        lambda: ProcessRows(LONGS, Dividing(), LONGS),
    ],
)
def test_a_failure_names_operator_record_and_position_and_carries_the_users_error(make):
    op = harness(make())
    with pytest.raises(UserFunctionError, match=r"integer division or modulo by zero") as failure:
        op.batch([5, 0, 7])
    assert failure.value.position == 1 and failure.value.record == 0
    assert isinstance(failure.value.__cause__, ZeroDivisionError)
    assert type(op.operator).__name__ in str(failure.value)


class Dividing(ProcessFunction):
    def process_element(self, value, ctx):
        yield 1 // value


def test_a_flat_map_that_returns_no_iterable_is_told():
    op = harness(FlatMapRows(LONGS, lambda value: value, LONGS))
    with pytest.raises(UserFunctionError, match="expected an iterable of records"):
        op.batch([1])


class Sides(ProcessFunction):
    tag = OutputTag("odd", BasicTypeInfo.LONG_TYPE_INFO())

    def process_element(self, value, ctx):
        if value % 2:
            yield self.tag, value
        else:
            yield value
            yield ("not a tag", value)


def test_only_an_output_tag_goes_to_the_side_output():
    op = harness(ProcessRows(LONGS, Sides(), OBJECTS))
    op.batch([1, 2, 3], timestamps_ms=[1, 2, 3])
    assert op.output() == [2, ("not a tag", 2)]
    assert op.side("odd") == [1, 3]


def test_process_function_sees_timestamp_watermark_and_clock_but_has_no_timers():
    class See(ProcessFunction):
        def process_element(self, value, ctx):
            if value == 9:
                ctx.timer_service().register_event_time_timer(1)
            yield (
                ctx.timestamp(),
                ctx.timer_service().current_watermark(),
                ctx.timer_service().current_processing_time(),
            )

    op = harness(ProcessRows(LONGS, See(), OBJECTS), now_ms=77)
    op.batch([1]).watermark(5).batch([2], timestamps_ms=[6])
    assert op.output() == [(None, MIN_TIMESTAMP, 77), (6, 5, 77)]
    with pytest.raises(UserFunctionError, match="only supported on keyed streams"):
        op.batch([9])


class CountWithTimeout(KeyedProcessFunction):
    """Counts per key; a timer 10 ms after each record emits the count."""

    def open(self, ctx):
        self.count = ctx.get_state(ValueStateDescriptor("count", None))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)

    def on_timer(self, timestamp, ctx):
        assert ctx.time_domain() is TimeDomain.EVENT_TIME
        yield ctx.get_current_key(), timestamp, self.count.value()


def run_counting(batch_rows):
    op = harness(KeyedProcessRows(PAIRS, CountWithTimeout(), OBJECTS), key="k")
    rows = [("a", 1, 0), ("b", 1, 8), ("a", 1, 4), ("a", 1, 4), ("c", 1, -3)]
    for start in range(0, len(rows), batch_rows):
        part = rows[start : start + batch_rows]
        op.batch([row[:2] for row in part], timestamps_ms=[row[2] for row in part])
    op.watermark(12)
    op.watermark(13)
    op.watermark(MAX_WATERMARK)
    return op.timestamped()


def test_timers_fire_in_timestamp_order_once_per_key_and_see_the_final_state():
    assert run_counting(10) == [(("c", 7, 1), 7), (("a", 10, 3), 10), (("a", 14, 3), 14), (("b", 18, 1), 18)]


def test_batch_size_does_not_change_what_timers_do():
    assert run_counting(1) == run_counting(2) == run_counting(5)


def test_a_timer_in_the_past_fires_at_the_next_watermark():
    class Late(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(3)

        def on_timer(self, timestamp, ctx):
            yield timestamp, ctx.timer_service().current_watermark()

    op = harness(KeyedProcessRows(PAIRS, Late(), OBJECTS), key="k")
    op.watermark(100).batch(k=["a"], v=[1], timestamps_ms=[0])
    assert op.output() == []
    op.watermark(101)
    assert op.output() == [(3, 101)]


def test_timers_that_timers_register_fire_in_the_same_run_when_due():
    class Chain(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(10)

        def on_timer(self, timestamp, ctx):
            yield timestamp
            if timestamp < 50:
                ctx.timer_service().register_event_time_timer(timestamp + 10)

    op = harness(KeyedProcessRows(PAIRS, Chain(), OBJECTS), key="k")
    op.batch(k=["a"], v=[1], timestamps_ms=[0]).watermark(35)
    assert op.output() == [10, 20, 30]
    op.watermark(MAX_WATERMARK)
    assert op.output() == [40, 50]


def test_deleted_timers_do_not_fire():
    class Debounce(KeyedProcessFunction):
        def open(self, ctx):
            self.pending = ctx.get_state(ValueStateDescriptor("pending", None))

        def process_element(self, value, ctx):
            if self.pending.value() is not None:
                ctx.timer_service().delete_event_time_timer(self.pending.value())
            self.pending.update(ctx.timestamp() + 10)
            ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)

        def on_timer(self, timestamp, ctx):
            self.pending.clear()
            return [(ctx.get_current_key(), timestamp)]

    op = harness(KeyedProcessRows(PAIRS, Debounce(), OBJECTS), key="k")
    op.batch(k=["a", "a", "a"], v=[1, 1, 1], timestamps_ms=[0, 5, 9]).watermark(MAX_WATERMARK)
    assert op.output() == [("a", 19)]


class AfterQuiet(KeyedProcessFunction):
    def process_element(self, value, ctx):
        service = ctx.timer_service()
        service.register_processing_time_timer(service.current_processing_time() + 100)

    def on_timer(self, timestamp, ctx):
        assert ctx.time_domain() is TimeDomain.PROCESSING_TIME
        yield ctx.get_current_key(), timestamp


def test_processing_timers_fire_one_millisecond_after_their_time():
    op = harness(KeyedProcessRows(PAIRS, AfterQuiet(), OBJECTS), key="k", now_ms=1000)
    op.batch(k=["a"], v=[1])
    op.advance(50).batch(k=["b"], v=[1])
    op.advance(50)
    assert op.output() == []
    op.advance(1)
    assert op.timestamped() == [(("a", 1100), 1100)]
    op.advance(1000)
    assert op.output() == [("b", 1150)]


def test_processing_timers_do_not_fire_at_the_end_of_the_input():
    op = harness(KeyedProcessRows(PAIRS, AfterQuiet(), OBJECTS), key="k")
    op.batch(k=["a"], v=[1]).end()
    assert op.output() == []


def test_keyed_state_works_in_map_filter_and_flat_map():
    class Nth(MapFunction):
        def open(self, ctx):
            self.seen = ctx.get_list_state(ListStateDescriptor("seen", None))

        def map(self, value):
            self.seen.add(value[1])
            return value[0], list(self.seen)

    class First(FilterFunction):
        def open(self, ctx):
            self.seen = ctx.get_state(ValueStateDescriptor("seen", None))

        def filter(self, value):
            new = self.seen.value() is None
            self.seen.update(True)
            return new

    class Pairs(FlatMapFunction):
        def open(self, ctx):
            self.last = ctx.get_state(ValueStateDescriptor("last", None))

        def flat_map(self, value):
            if self.last.value() is not None:
                yield self.last.value(), value[1]
            self.last.update(value[1])

    rows = [("a", 1), ("b", 2), ("a", 3), ("a", 4)]
    for make, expected in [
        (
            lambda: MapRows(PAIRS, Nth(), OBJECTS, keyed=True),
            [("a", [1]), ("b", [2]), ("a", [1, 3]), ("a", [1, 3, 4])],
        ),
        (lambda: FilterRows(PAIRS, First(), keyed=True), [("a", 1), ("b", 2)]),
        (lambda: FlatMapRows(PAIRS, Pairs(), OBJECTS, keyed=True), [(1, 3), (3, 4)]),
    ]:
        whole, single = harness(make(), key="k"), harness(make(), key="k")
        whole.batch(rows)
        for row in rows:
            single.batch([row])
        assert whole.output() == single.output() == expected


def test_keyed_state_without_keys_is_refused():
    class Stateful(MapFunction):
        def open(self, ctx):
            ctx.get_state(ValueStateDescriptor("x", None))

        def map(self, value):
            return value

    with pytest.raises(UnsupportedOperationError, match="call key_by"):
        harness(MapRows(LONGS, Stateful(), LONGS))


def test_keys_may_be_any_python_object_and_equal_ones_of_other_types_stay_apart():
    class Key(KeyedProcessFunction):
        def open(self, ctx):
            self.count = ctx.get_state(ValueStateDescriptor("count", None))

        def process_element(self, value, ctx):
            self.count.update((self.count.value() or 0) + 1)
            yield ctx.get_current_key(), self.count.value()

    op = harness(KeyedProcessRows(LONGS, Key(), OBJECTS))
    op.batch([0] * 6, keys=[("a", 1), 1, True, 1.0, ("a", 1), 1])
    assert [(repr(key), count) for key, count in op.output()] == [
        ("('a', 1)", 1),
        ("1", 1),
        ("True", 1),
        ("1.0", 1),
        ("('a', 1)", 2),
        ("1", 2),
    ]


def test_keys_without_state_are_forgotten():
    class Once(KeyedProcessFunction):
        def open(self, ctx):
            self.state = ctx.get_state(ValueStateDescriptor("x", None))

        def process_element(self, value, ctx):
            if value[1]:
                self.state.update(value[1])
            else:
                self.state.clear()
            yield ctx.get_current_key()

    operator = KeyedProcessRows(PAIRS, Once(), OBJECTS)
    op = harness(operator, key="k")
    op.batch([(f"key{i}", 0) for i in range(100)])
    assert len(operator.state.keys) == 0
    op.batch([(f"key{i}", 1) for i in range(100)])
    assert len(operator.state.keys) == 100
    op.batch([(f"key{i}", 0) for i in range(99)])
    assert len(operator.state.keys) == 1
    op.output()
    op.batch([("new", 1), ("key99", 1)])
    assert op.output() == ["new", "key99"]


def test_a_timer_that_raises_names_its_key():
    class Bad(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(5)

        def on_timer(self, timestamp, ctx):
            raise ValueError("no luck")

    op = harness(KeyedProcessRows(PAIRS, Bad(), OBJECTS), key="k")
    op.batch(k=["a"], v=[1])
    with pytest.raises(
        UserFunctionError, match=r"on_timer, timer 5 \(event time\) of key 'a' raised ValueError: no luck"
    ):
        op.watermark(5)
