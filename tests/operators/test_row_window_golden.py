# SPDX-License-Identifier: Apache-2.0
"""Windows over rows against what apache-flink 2.3.0 gave for the same records (run once, recorded here).

All records come before the first watermark, which is the last one. Results are sorted, as the order between keys
is not defined; elements within a window are in order of arrival.
"""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.operators.functions import AggregateFunction, ProcessWindowFunction
from flinkcore.operators.row_window import RowWindow
from flinkcore.state.descriptors import ReducingStateDescriptor
from flinkcore.testing.harness import harness
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from flinkcore.time.assigners import (
    CountSlidingWindowAssigner,
    EventTimeSessionWindows,
    GlobalWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.time.triggers import CountTrigger, Trigger, TriggerResult

PAIRS = Schema(("k", "v"), (pa.string(), pa.int32()), "tuple")
OBJECTS = Schema.of_objects()
DATA = [("a", 1), ("b", 4), ("a", 12), ("a", 3), ("b", 31), ("a", 55), ("c", -7), ("a", 29), ("c", 30), ("b", 30),
        ("a", 90), ("b", 17)]  # fmt: skip
NOW, END = MIN_TIMESTAMP, MAX_WATERMARK     # the watermark while records come, and at the end


class Describe(ProcessWindowFunction):
    """(key, start of the window, values, watermark)"""

    def process(self, key, context, elements):
        start = getattr(context.window(), "start", repr(context.window()))
        yield key, start, [value for _, value in elements], context.current_watermark()


class Merges(AggregateFunction):
    """(sum, how often accumulators were merged)"""

    def create_accumulator(self):
        return {"sum": 0, "merges": 0}

    def add(self, value, accumulator):
        accumulator["sum"] += value[1]
        return accumulator

    def get_result(self, accumulator):
        return accumulator["sum"], accumulator["merges"]

    def merge(self, acc_a, acc_b):
        return {"sum": acc_a["sum"] + acc_b["sum"], "merges": acc_a["merges"] + acc_b["merges"] + 1}


class Every(Trigger):
    """Fires at every second record; purges when a timer at a multiple of 3 fires."""

    def __init__(self):
        self.count = ReducingStateDescriptor("c", lambda a, b: a + b, None)

    def on_element(self, element, timestamp, window, ctx):
        count = ctx.get_partitioned_state(self.count)
        count.add(1)
        ctx.register_event_time_timer(timestamp + 2)
        return TriggerResult.FIRE if count.get() % 2 == 0 else TriggerResult.CONTINUE

    def on_event_time(self, time, window, ctx):
        return TriggerResult.FIRE_AND_PURGE if time % 3 == 0 else TriggerResult.CONTINUE

    def on_processing_time(self, time, window, ctx):
        return TriggerResult.CONTINUE

    def on_merge(self, window, ctx):
        ctx.merge_partitioned_state(self.count)
        ctx.register_event_time_timer(window.max_timestamp())

    def can_merge(self):
        return True

    def clear(self, window, ctx):
        ctx.get_partitioned_state(self.count).clear()


@pytest.mark.parametrize("batch_rows", [1, 5, len(DATA)])
@pytest.mark.parametrize(
    ("assigner", "options", "expected"),
    [
        pytest.param(
            SlidingEventTimeWindows.of(30, 20, 3),
            {},
            [("a", -17, [1, 12, 3], END), ("a", 3, [12, 3, 29], END), ("a", 23, [29], END), ("a", 43, [55], END),
             ("a", 63, [90], END), ("a", 83, [90], END), ("b", -17, [4], END), ("b", 3, [4, 31, 30, 17], END),
             ("b", 23, [31, 30], END), ("c", -17, [-7], END), ("c", 3, [30], END), ("c", 23, [30], END)],
            id="sliding",
        ),
        pytest.param(
            EventTimeSessionWindows.with_gap(13),
            {},
            # Flink's order of b's values is 31, 30, 4, 17: there, hashes decide which window the others move to.
            [("a", 1, [1, 12, 3], END), ("a", 29, [29], END), ("a", 55, [55], END), ("a", 90, [90], END),
             ("b", 4, [4, 31, 30, 17], END), ("c", -7, [-7], END), ("c", 30, [30], END)],
            id="session",
        ),
        pytest.param(
            EventTimeSessionWindows.with_dynamic_gap(lambda pair: 5 + abs(pair[1]) % 7),
            {"window_function": None, "aggregate": Merges()},
            [(-7, 0), (4, 0), (4, 0), (12, 0), (17, 0), (29, 0), (30, 0), (55, 0), (61, 0), (90, 0)],
            id="dynamic session",
        ),
        pytest.param(
            CountSlidingWindowAssigner.of(3, 2),
            {},
            [("a", "CountWindow(id=0)", [1, 12, 3], NOW), ("a", "CountWindow(id=1)", [3, 55, 29], NOW),
             ("b", "CountWindow(id=0)", [4, 31, 30], NOW)],
            id="count",
        ),
        pytest.param(
            GlobalWindows.create(),
            {"trigger": CountTrigger.of(2)},
            [("a", "GlobalWindow", [1, 12], NOW), ("a", "GlobalWindow", [1, 12, 3, 55], NOW),
             ("a", "GlobalWindow", [1, 12, 3, 55, 29, 90], NOW), ("b", "GlobalWindow", [4, 31], NOW),
             ("b", "GlobalWindow", [4, 31, 30, 17], NOW), ("c", "GlobalWindow", [-7, 30], NOW)],
            id="global",
        ),
        pytest.param(
            TumblingEventTimeWindows.of(50),
            {"trigger": Every()},
            [("a", 0, [1, 12], NOW), ("a", 0, [1, 12, 3, 29], NOW), ("a", 0, [1, 12, 3, 29], END),
             ("a", 50, [55, 90], NOW), ("a", 50, [55, 90], END), ("b", 0, [4, 31], NOW),
             ("b", 0, [4, 31, 30, 17], NOW), ("b", 0, [4, 31, 30, 17], END)],
            id="custom trigger",
        ),
        pytest.param(
            EventTimeSessionWindows.with_gap(13),
            {"trigger": Every()},
            [("a", 1, [1, 12], NOW), ("a", 1, [1, 12, 3], END), ("a", 55, [55], END), ("a", 90, [90], END),
             ("b", 4, [4, 31, 30, 17], NOW), ("b", 30, [31, 30], NOW), ("c", 30, [30], END)],
            id="custom trigger on sessions",
        ),
    ],
)  # fmt: skip
def test_windows_give_what_flink_gave(assigner, options, expected, batch_rows):
    options = {"window_function": Describe()} | options
    op = harness(RowWindow(PAIRS, assigner, OBJECTS, **options), key="k")
    for start in range(0, len(DATA), batch_rows):
        part = DATA[start : start + batch_rows]
        op.batch(part, timestamps_ms=[value for _, value in part])
    assert sorted(op.end().output()) == expected
