# SPDX-License-Identifier: Apache-2.0
"""Functions of two connected streams: which method sees what, what they share, and what is said when they fail."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import BasicTypeInfo
from flinkcore.errors import UnsupportedOperationError, UserFunctionError
from flinkcore.operators.co_process import CoFlatMapRows, CoMapRows, CoProcessRows
from flinkcore.operators.functions import (
    CoFlatMapFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedCoProcessFunction,
)
from flinkcore.operators.output_tag import OutputTag
from flinkcore.state.descriptors import ValueStateDescriptor
from flinkcore.testing.harness import harness

ORDERS = Schema(("user", "amount"), (pa.string(), pa.int64()), "tuple")
NAMES = Schema(("id", "name"), (pa.string(), pa.string()), "row")
OBJECTS = Schema.of_objects()
LONG = BasicTypeInfo.LONG_TYPE_INFO()


class Maps(CoMapFunction):
    def map1(self, value):
        return value[1] * 2 if value[1] else None

    def map2(self, value):
        return f"{value.id}={value.name}"


class FlatMaps(CoFlatMapFunction):
    def flat_map1(self, value):
        yield from range(value[1])

    def flat_map2(self, value):
        return [value.name] if value.name else None


def test_each_stream_has_its_own_map_and_none_is_no_record():
    op = harness(CoMapRows((ORDERS, NAMES), Maps(), OBJECTS))
    op.batch([("a", 1), ("b", 0)], timestamps_ms=[10, 20])
    op.batch(id=["a"], name=["Ann"], timestamps_ms=[15], input=1)
    assert op.timestamped() == [(2, 10), ("a=Ann", 15)]


def test_each_stream_has_its_own_flat_map():
    op = harness(CoFlatMapRows((ORDERS, NAMES), FlatMaps(), OBJECTS))
    op.batch([("a", 2)], timestamps_ms=[10]).batch(id=["a", "b"], name=["Ann", ""], input=1)
    assert op.timestamped() == [(0, 10), (1, 10), ("Ann", None)]


SIDE = OutputTag("unknown")


class Join(KeyedCoProcessFunction):
    """Orders with the name of their user; those that come before it wait for at most a second."""

    def open(self, runtime_context):
        self.name = runtime_context.get_state(ValueStateDescriptor("name", BasicTypeInfo.STRING_TYPE_INFO()))
        self.waiting = runtime_context.get_state(ValueStateDescriptor("waiting", LONG))

    def process_element1(self, value, ctx):
        if self.name.value() is None:
            self.waiting.update(value[1])
            ctx.timer_service().register_event_time_timer(ctx.timestamp() + 1000)
        else:
            yield ctx.get_current_key(), self.name.value(), value[1]

    def process_element2(self, value, ctx):
        self.name.update(value.name)
        if self.waiting.value() is not None:
            yield ctx.get_current_key(), value.name, self.waiting.value()
            self.waiting.clear()

    def on_timer(self, timestamp, ctx):
        if self.waiting.value() is not None:
            yield SIDE, (ctx.get_current_key(), timestamp, ctx.time_domain().name)


def join():
    return harness(CoProcessRows((ORDERS, NAMES), Join(), OBJECTS, True), key="user", key2="id")


def test_streams_with_one_key_share_its_state_and_timers():
    op = join()
    op.batch([("a", 1), ("b", 2)], timestamps_ms=[0, 5])
    assert op.output() == []
    op.batch(id=["a"], name=["Ann"], timestamps_ms=[7], input=1)
    op.batch([("a", 3)], timestamps_ms=[8])
    assert op.timestamped() == [(("a", "Ann", 1), 7), (("a", "Ann", 3), 8)]
    op.watermark(1005)
    assert op.output() == []
    assert op.side(SIDE) == [("b", 1005, "EVENT_TIME")]
    assert op.watermarks() == [1005]


@pytest.mark.parametrize("rows_at_once", [1, 3])
def test_batch_size_does_not_change_what_they_do(rows_at_once):
    op = join()
    orders = [("a", 1), ("b", 2), ("c", 3)]
    for start in range(0, 3, rows_at_once):
        rows = orders[start : start + rows_at_once]
        op.batch(rows, timestamps_ms=[10] * len(rows))
    op.batch(id=["c", "a"], name=["Cem", "Ann"], timestamps_ms=[11, 12], input=1)
    assert op.output() == [("c", "Cem", 3), ("a", "Ann", 1)]


class Counting(CoProcessFunction):
    """Without keys: what it remembers is the subtask's."""

    def __init__(self):
        self.seen = [0, 0]

    def process_element1(self, value, ctx):
        self.seen[0] += 1
        yield *self.seen, ctx.timestamp(), ctx.timer_service().current_watermark()

    def process_element2(self, value, ctx):
        self.seen[1] += 1


def test_without_keys_there_is_time_but_no_timer_and_no_keyed_state():
    op = harness(CoProcessRows((ORDERS, NAMES), Counting(), OBJECTS))
    op.watermark(3).batch(id=["x"], name=["y"], input=1).batch([("a", 1)], timestamps_ms=[4])
    assert op.output() == [(1, 1, 4, 3)]

    class Keyless(CoProcessFunction):
        def process_element1(self, value, ctx):
            ctx.timer_service().register_event_time_timer(5)

        def process_element2(self, value, ctx):
            pass

    with pytest.raises(UserFunctionError, match="timers is only supported on keyed streams"):
        harness(CoProcessRows((ORDERS, NAMES), Keyless(), OBJECTS)).batch([("a", 1)])
    with pytest.raises(UnsupportedOperationError, match="keyed stream"):
        harness(CoProcessRows((ORDERS, NAMES), Join(), OBJECTS))


def test_a_failure_names_the_method_and_the_record():
    class Divides(Maps):
        def map2(self, value):
            return 1 // len(value.name)

    op = harness(CoMapRows((ORDERS, NAMES), Divides(), OBJECTS))
    with pytest.raises(UserFunctionError, match=r"CoMapRows.*Divides\.map2 raised ZeroDivisionError") as failure:
        op.batch(id=["a", "b"], name=["Ann", ""], input=1)
    assert failure.value.position == 1


def test_it_says_that_python_runs_for_each_record():
    described = CoMapRows((ORDERS, NAMES), Maps(), OBJECTS).describe()
    assert not described.native
    assert described.reason == "map1 and map2 of Maps are called for each record"
