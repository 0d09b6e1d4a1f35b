# SPDX-License-Identifier: Apache-2.0
"""A stream connected with a broadcast stream: who may read and write what, timers, state of all keys."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import BasicTypeInfo
from flinkcore.errors import UserFunctionError
from flinkcore.operators.broadcast import BroadcastProcessRows
from flinkcore.operators.functions import (
    BroadcastProcessFunction,
    KeyedBroadcastProcessFunction,
    ProcessFunction,
)
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.process import ProcessRows
from flinkcore.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from flinkcore.testing.harness import harness

NUMBERS = Schema(("k", "v"), (pa.string(), pa.int64()), "tuple")
RULES = Schema(("name", "factor"), (pa.string(), pa.int64()), "tuple")
OBJECTS = Schema.of_objects()
STRING, LONG = BasicTypeInfo.STRING_TYPE_INFO(), BasicTypeInfo.LONG_TYPE_INFO()
FACTORS = MapStateDescriptor("factors", STRING, LONG)
TOTAL = ValueStateDescriptor("total", LONG)
SIDE = OutputTag("rules")


class Scale(BroadcastProcessFunction):
    def process_element(self, value, ctx):
        yield value[1] * (ctx.get_broadcast_state(FACTORS).get(value[0]) or 0), ctx.timestamp()

    def process_broadcast_element(self, value, ctx):
        ctx.get_broadcast_state(FACTORS).put(value[0], value[1])
        yield SIDE, (value, ctx.timestamp(), ctx.current_watermark(), ctx.current_processing_time())


def scale(function):
    return harness(BroadcastProcessRows((NUMBERS, RULES), function, [FACTORS], OBJECTS), now_ms=77)


def test_records_see_what_broadcast_records_wrote():
    op = scale(Scale())
    op.batch([("a", 2)], timestamps_ms=[5])
    op.watermark(4)
    op.batch([("a", 10), ("b", 100)], timestamps_ms=[6, 7], input=1)
    op.batch([("a", 2), ("b", 3)], timestamps_ms=[8, 9])
    assert op.output() == [(0, 5), (20, 8), (300, 9)]
    assert op.side(SIDE) == [(("a", 10), 6, 4, 77), (("b", 100), 7, 4, 77)]


def test_records_of_the_other_side_can_only_read():
    class Writes(Scale):
        def process_element(self, value, ctx):
            ctx.get_broadcast_state(FACTORS).put("a", 1)

    with pytest.raises(UserFunctionError, match=r"Writes\.process_element.*has no attribute 'put'"):
        scale(Writes()).batch([("a", 1)])


def test_only_states_that_were_handed_to_broadcast_are_there():
    class Other(Scale):
        def process_broadcast_element(self, value, ctx):
            ctx.get_broadcast_state(MapStateDescriptor("others", STRING, LONG))

    with pytest.raises(UserFunctionError, match=r"no broadcast state 'others', only factors; .*broadcast\(\)"):
        scale(Other()).batch([("a", 1)], input=1)


class Totals(KeyedBroadcastProcessFunction):
    """Sums per key; a rule named "reset" sets all of them anew, a timer shows the key's sum with the rules."""

    def open(self, runtime_context):
        self.total = runtime_context.get_state(TOTAL)

    def process_element(self, value, ctx):
        self.total.update((self.total.value() or 0) + value[1])
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)

    def process_broadcast_element(self, value, ctx):
        name, factor = value
        if name == "reset":
            ctx.apply_to_keyed_state(TOTAL, lambda key, total: total.update(total.value() * factor))
        elif name == "show":
            found = []
            ctx.apply_to_keyed_state(TOTAL, lambda key, total: found.append((key, total.value())))
            yield sorted(found)
        else:
            ctx.get_broadcast_state(FACTORS).put(name, factor)

    def on_timer(self, timestamp, ctx):
        rules = dict(ctx.get_broadcast_state(FACTORS).items())
        yield ctx.get_current_key(), timestamp, ctx.timestamp(), ctx.time_domain().name, self.total.value(), rules


def totals(function=None):
    return harness(BroadcastProcessRows((NUMBERS, RULES), function or Totals(), [FACTORS], OBJECTS, True), key="k")


def test_timers_of_a_key_see_its_state_and_the_broadcast_state():
    op = totals()
    op.batch([("a", 2), ("b", 3), ("a", 4)], timestamps_ms=[0, 1, 1])
    op.batch([("x", 9)], input=1)
    op.watermark(10)
    assert op.output() == [("a", 10, 10, "EVENT_TIME", 6, {"x": 9})]
    op.watermark(11)
    assert sorted(op.output(), key=repr) == [
        ("a", 11, 11, "EVENT_TIME", 6, {"x": 9}),
        ("b", 11, 11, "EVENT_TIME", 3, {"x": 9}),
    ]


def test_a_broadcast_record_reaches_the_state_of_all_keys():
    op = totals()
    op.batch([("a", 2), ("b", 3), ("c", 4)], timestamps_ms=[0, 0, 0])
    op.batch([("reset", 10), ("show", 0)], input=1)
    assert op.output() == [[("a", 20), ("b", 30), ("c", 40)]]
    op.batch([("b", 1)], timestamps_ms=[0]).batch([("show", 0)], input=1)
    assert op.output() == [[("a", 20), ("b", 31), ("c", 40)]]


def test_a_broadcast_record_has_no_key():
    class Wrong(Totals):
        def process_broadcast_element(self, value, ctx):
            self.total.update(5)

    op = totals(Wrong())
    with pytest.raises(UserFunctionError, match="there is no current key"):
        op.batch([("x", 1)], input=1)


def test_a_broadcast_state_is_a_map():
    with pytest.raises(TypeError, match="expected a MapStateDescriptor"):
        harness(BroadcastProcessRows((NUMBERS, RULES), Scale(), [TOTAL], OBJECTS))


def test_it_says_that_python_runs_for_each_record():
    described = BroadcastProcessRows((NUMBERS, RULES), Scale(), [FACTORS], OBJECTS).describe()
    assert not described.native
    assert described.reason == "process_element and process_broadcast_element of Scale are called for each record"


def test_any_function_has_operator_state():
    class Remembers(ProcessFunction):
        def open(self, runtime_context):
            self.store = runtime_context.get_operator_state_store()
            self.seen = self.store.get_list_state(ListStateDescriptor("seen", LONG))

        def process_element(self, value, ctx):
            self.seen.add(value[1])
            yield self.seen.get()

    op = harness(ProcessRows(NUMBERS, Remembers(), OBJECTS))
    op.batch([("a", 1), ("b", 2)])
    assert op.output() == [[1], [1, 2]]
