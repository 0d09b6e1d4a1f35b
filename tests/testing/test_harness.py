# SPDX-License-Identifier: Apache-2.0
"""A function in a harness is restored and rescaled as in a job."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import BasicTypeInfo
from flinkcore.errors import ConfigurationError, SchemaError, StateFormatError
from flinkcore.operators.functions import KeyedProcessFunction
from flinkcore.operators.process import KeyedProcessRows
from flinkcore.state.descriptors import ValueStateDescriptor
from flinkcore.testing import harness

LONG = BasicTypeInfo.LONG_TYPE_INFO()
PAIRS = Schema(("k", "v"), (pa.string(), pa.int64()), "tuple")
KEY = Schema(("k",), (pa.string(),), "value")
KEYS = list("abcdefghijkl")


class Total(KeyedProcessFunction):
    """The sum of a key when event time, and once more when the clock, has passed 100."""

    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total", LONG))

    def process_element(self, value, ctx):
        self.total.update((self.total.value() or 0) + value[1])
        ctx.timer_service().register_event_time_timer(100)
        ctx.timer_service().register_processing_time_timer(100)

    def on_timer(self, timestamp, ctx):
        yield ctx.time_domain().name, ctx.get_current_key(), self.total.value()


def total(**options):
    operator = KeyedProcessRows(PAIRS, Total(), Schema.of_objects(), KEY)
    return harness(operator, schema=PAIRS, key="k", **options)


def test_a_function_goes_on_from_its_snapshot():
    op = total()
    op.batch(k=["a"], v=[1], timestamps_ms=[0]).watermark(50)
    again = total(restore=op.snapshot())
    again.batch(k=["a"], v=[2], timestamps_ms=[0]).watermark(100)
    assert again.output() == [("EVENT_TIME", "a", 3)]
    again.advance(101)
    assert again.output() == [("PROCESSING_TIME", "a", 3)]
    assert again.watermark(40).watermarks() == [100]


def test_a_watermark_that_came_before_the_snapshot_is_none_afterwards():
    op = total()
    op.watermark(50)
    assert total(restore=op.snapshot()).watermark(50).watermarks() == []


@pytest.mark.parametrize("before", [1, 2, 3])
@pytest.mark.parametrize("after", [1, 2, 5])
def test_each_key_is_in_one_subtask_after_a_rescale(before, after):
    old = [total(parallelism=before, subtask_index=i) for i in range(before)]
    for op in old:
        op.batch(k=KEYS, v=list(range(12)), timestamps_ms=[0] * 12)
    saved = [op.snapshot() for op in old]
    found = []
    for i in range(after):
        op = total(restore=saved, parallelism=after, subtask_index=i)
        op.batch(k=KEYS, v=[100] * 12, timestamps_ms=[0] * 12).watermark(100).advance(101)
        found += op.output()
    wanted = [(domain, key, 100 + i) for i, key in enumerate(KEYS) for domain in ("EVENT_TIME", "PROCESSING_TIME")]
    assert sorted(found) == sorted(wanted)


def test_snapshots_of_all_subtasks_are_needed():
    saved = [total(parallelism=2, subtask_index=i).snapshot() for i in range(2)]
    with pytest.raises(ConfigurationError, match=r"all 2 subtasks, got 1, of subtasks \[1\]"):
        total(restore=saved[1])
    with pytest.raises(StateFormatError, match="snapshot of a harness"):
        total(restore=b"no snapshot")


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(SchemaError, match=r"no column 'v'; .* has the columns 'k', 'v', and given were 'k'"):
        total().batch(k=["a"])
    with pytest.raises(SchemaError, match="one length, got 'k': 1, 'v': 2"):
        total().batch(k=["a"], v=[1, 2])
