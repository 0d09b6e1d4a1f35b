# SPDX-License-Identifier: Apache-2.0
"""PyFlink's wrappers give window functions of every kind one call."""

from __future__ import annotations

import pytest

from flinkcore.datastream import functions as f
from flinkcore.datastream.window import (
    CountTumblingWindowAssigner,
    EventTimeTrigger,
    TimeWindow,
    TumblingEventTimeWindows,
    WindowOperationDescriptor,
)
from flinkcore.time.windows import TimeWindowSerializer


class Context(f.InternalWindowFunction.InternalWindowContext):
    def current_processing_time(self):
        return 1

    def current_watermark(self):
        return 2

    def window_state(self):
        return "window state"

    def global_state(self):
        return "global state"


class Apply(f.WindowFunction):
    def apply(self, key, window, inputs):
        return [key, window, list(inputs)]


class ApplyAll(f.AllWindowFunction):
    def apply(self, window, inputs):
        return [window, list(inputs)]


class Process(f.ProcessWindowFunction):
    cleared = None

    def process(self, key, context, elements):
        states = context.window_state(), context.global_state()
        times = context.current_processing_time(), context.current_watermark()
        return [key, context.window(), list(elements), *states, *times]

    def clear(self, context):
        self.cleared = context.window(), context.window_state()


class ProcessAll(f.ProcessAllWindowFunction):
    cleared = None

    def process(self, context, elements):
        return [context.window(), list(elements), context.window_state(), context.global_state()]

    def clear(self, context):
        self.cleared = context.window(), context.window_state()


STATES, TIMES = ["window state", "global state"], [1, 2]


@pytest.mark.parametrize(
    ("wrapper", "function", "expected"),
    [
        (f.InternalIterableWindowFunction, Apply, ["k", "w", [1, 2]]),
        (f.InternalSingleValueWindowFunction, Apply, ["k", "w", [[1, 2]]]),
        (f.InternalIterableAllWindowFunction, ApplyAll, ["w", [1, 2]]),
        (f.InternalSingleValueAllWindowFunction, ApplyAll, ["w", [[1, 2]]]),
        (f.InternalIterableProcessWindowFunction, Process, ["k", "w", [1, 2], *STATES, *TIMES]),
        (f.InternalSingleValueProcessWindowFunction, Process, ["k", "w", [[1, 2]], *STATES, *TIMES]),
        (f.InternalIterableProcessAllWindowFunction, ProcessAll, ["w", [1, 2], *STATES]),
        (f.InternalSingleValueProcessAllWindowFunction, ProcessAll, ["w", [[1, 2]], *STATES]),
    ],
)
def test_each_calls_its_function(wrapper, function, expected):
    wrapped = function()
    internal = wrapper(wrapped)
    assert internal.process("k", "w", Context(), [1, 2]) == expected
    internal.clear("w", Context())
    assert getattr(wrapped, "cleared", None) == (("w", "window state") if "rocess" in function.__name__ else None)


def test_opening_and_closing_reach_the_function():
    calls = []

    class Opened(Apply):
        def open(self, runtime_context):
            calls.append(runtime_context)

        def close(self):
            calls.append("closed")

    internal = f.InternalIterableWindowFunction(Opened())
    internal.open("context")
    internal.close()
    assert calls == ["context", "closed"]


def test_a_description_names_assigner_and_trigger():
    descriptor = WindowOperationDescriptor(
        TumblingEventTimeWindows(1000, 0), EventTimeTrigger(), 0, None, None, TimeWindowSerializer(), None
    )
    assert descriptor.generate_op_name() == "TumblingEventTimeWindows"
    text = descriptor.generate_op_desc("WindowedStream", "Sum")
    assert text == "WindowedStream(TumblingEventTimeWindows(1000, 0), EventTimeTrigger, Sum)"
    assert CountTumblingWindowAssigner.of(1) and TimeWindow(0, 1)
