# SPDX-License-Identifier: Apache-2.0
"""Operators on rows, killed and restored between any two steps, give what they give when nothing happens.

A script is a list of steps. It runs once undisturbed; then with a snapshot after every step (a full one at times,
else an increment) and, at places that a seed decides, a new operator that goes on from the last snapshot.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.batch import DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, Batch
from flinkcore.columnar.row import Row
from flinkcore.columnar.schema import Schema
from flinkcore.errors import UserFunctionError
from flinkcore.expr.aggregate import aggregate_call
from flinkcore.operators.base import Operator
from flinkcore.operators.co_process import CoProcessRows
from flinkcore.operators.functions import (
    AggregateFunction,
    CoProcessFunction,
    KeyedBatchFunction,
    KeyedProcessFunction,
    ProcessFunction,
    ProcessWindowFunction,
)
from flinkcore.operators.group_aggregate import GroupAggregate
from flinkcore.operators.keyed_batches import KeyedMapBatches
from flinkcore.operators.process import KeyedProcessRows, ProcessRows
from flinkcore.operators.row_aggregate import expression_windows
from flinkcore.operators.row_reduce import RowAccumulate, RowReduce
from flinkcore.operators.row_window import RowWindow
from flinkcore.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from flinkcore.state.manager import StateManager
from flinkcore.table.expression import to_node
from flinkcore.table.expressions import col, lit
from flinkcore.testing.harness import Harness, harness
from flinkcore.time.assigners import (
    CountTumblingWindowAssigner,
    EventTimeSessionWindows,
    GlobalWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from flinkcore.time.evictors import CountEvictor
from flinkcore.time.triggers import CountTrigger, PurgingTrigger
from tests.state.snapshots import Stored

LONG, STRING = ti.BasicTypeInfo.LONG_TYPE_INFO(), ti.BasicTypeInfo.STRING_TYPE_INFO()
ROWS = Schema(("k", "v"), (pa.string(), pa.int64()), "row")
KEY = Schema(("k",), (pa.string(),), "value")
OUT = Schema.of_objects()


class Ms:
    def __init__(self, ms: int) -> None:
        self.ms = ms

    def to_milliseconds(self) -> int:
        return self.ms


class Counter(KeyedProcessFunction):
    """One state of each kind, and timers of both kinds."""

    def open(self, runtime_context: Any) -> None:
        get = runtime_context
        self.count = get.get_state(ValueStateDescriptor("count", LONG))
        self.profile = get.get_state(ValueStateDescriptor("profile", None))
        self.values = get.get_list_state(ListStateDescriptor("values", ti.TupleTypeInfo([STRING, LONG])))
        self.seen = get.get_map_state(MapStateDescriptor("seen", LONG, ti.ListTypeInfo(LONG)))
        self.total = get.get_reducing_state(ReducingStateDescriptor("total", lambda a, b: a + b, LONG))
        self.mean = get.get_aggregating_state(AggregatingStateDescriptor("mean", Mean(), None))

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.count.update((self.count.value() or 0) + 1)
        profile = self.profile.value() or {"values": []}
        profile["values"].append(value.v)
        self.profile.update(profile)
        self.values.add((value.k, value.v))
        self.seen.put(value.v % 3, [*(self.seen.get(value.v % 3) or []), value.v])
        self.total.add(value.v)
        self.mean.add(value.v)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 7)
        ctx.timer_service().register_processing_time_timer(ctx.timer_service().current_processing_time() + 9)
        yield value.k, self.count.value(), self.total.get(), self.mean.get()

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield (
            ctx.get_current_key(),
            timestamp,
            list(self.values),
            list(self.seen.items()),
            self.profile.value(),
        )
        if timestamp % 2:
            for state in (self.count, self.values, self.seen, self.total, self.mean, self.profile):
                state.clear()


class Mean(AggregateFunction):
    def create_accumulator(self) -> Any:
        return [0, 0]

    def add(self, value: Any, accumulator: Any) -> Any:
        accumulator[0] += getattr(value, "v", value)
        accumulator[1] += 1
        return accumulator

    def get_result(self, accumulator: Any) -> Any:
        return accumulator[0] / accumulator[1]

    def merge(self, acc_a: Any, acc_b: Any) -> Any:
        return [acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]]


class Report(ProcessWindowFunction):
    """What a window holds, and how often its key and its window have fired."""

    def process(self, key: Any, context: Any, elements: Any) -> Any:
        fired = context.global_state().get_state(ValueStateDescriptor("fired", LONG))
        fired.update((fired.value() or 0) + 1)
        yield key, repr(context.window()), list(elements), fired.value()


class InWindow(Report):
    """With state of the window itself, which merging windows do not have."""

    def process(self, key: Any, context: Any, elements: Any) -> Any:
        times = context.window_state().get_list_state(ListStateDescriptor("times", LONG))
        times.add(context.current_watermark())
        yield key, repr(context.window()), list(elements), list(times)

    def clear(self, context: Any) -> None:
        context.window_state().get_list_state(ListStateDescriptor("times", LONG)).clear()


class Before(KeyedBatchFunction):
    """What was the last value of each record's key before its batch, as a column and as a row."""

    def open(self, runtime_context: Any) -> None:
        self.last = runtime_context.get_batch_state(ValueStateDescriptor("last", LONG))
        self.rows = runtime_context.get_batch_state(ValueStateDescriptor("rows", ti.ListTypeInfo(LONG)))

    def map_batch(self, batch: Any, context: Any) -> Any:
        before, rows = self.last.get_many(context.ids), self.rows.get_many(context.ids)
        self.last.put_many(context.ids, pc.if_else(pc.less(batch["v"], 4), None, batch["v"]))
        self.rows.put_many(context.ids, pa.array([[value] for value in batch["v"].to_pylist()]))
        self.rows.clear_many(context.ids[batch["v"].to_numpy() > 15])
        return {"k": batch["k"], "before": before, "rows": rows}


def add(one: Any, other: Any) -> Any:
    return Row(k=one.k, v=one.v + other.v)


def add_in_place(one: Any, other: Any) -> Any:
    one.v  # noqa: B018  a row
    one["v"] = one["v"] + other["v"]
    return one


def expressions(*nodes: Any) -> dict[str, Any]:
    calls = [aggregate_call(to_node(node), ROWS) for node in nodes]
    functions, schema_out = expression_windows(ROWS, KEY, calls, [f"a{i}" for i in range(len(calls))], False)
    return {**functions, "schema_out": schema_out}


def window(assigner: Any, **options: Any) -> Callable[[], Operator]:
    def make() -> Operator:
        schema_out = options.get("schema_out", OUT)
        others = {name: value for name, value in options.items() if name != "schema_out"}
        return RowWindow(ROWS, assigner, schema_out, key_schema=KEY, **others)

    return make


TUMBLING = TumblingEventTimeWindows.of(Ms(10))
SLIDING = SlidingEventTimeWindows.of(Ms(10), Ms(5))
SESSIONS = EventTimeSessionWindows.with_gap(Ms(4))
BEFORE = Schema(("k", "before", "rows"), (pa.string(), pa.int64(), pa.list_(pa.int64())))
OPERATORS: dict[str, Callable[[], Operator]] = {
    "batches": lambda: KeyedMapBatches(ROWS, Before(), BEFORE, KEY),
    "process": lambda: KeyedProcessRows(ROWS, Counter(), OUT, KEY),
    "reduce": lambda: RowReduce(ROWS, add, ROWS, False, KEY),
    "reduce in place": lambda: RowReduce(ROWS, add_in_place, ROWS, False, KEY),
    "reduce final": lambda: RowReduce(ROWS, add, ROWS, True, KEY),
    "sum": lambda: RowAccumulate(ROWS, "sum", "v", ROWS, False, KEY),
    "min_by": lambda: RowAccumulate(ROWS, "min_by", "v", ROWS, False, KEY),
    "tumbling": window(TUMBLING, window_function=InWindow(), allowed_lateness_ms=5),
    "sliding reduce": window(SLIDING, reduce=add, window_function=InWindow()),
    "sliding aggregate": window(SLIDING, aggregate=Mean(), window_function=InWindow()),
    "sessions": window(SESSIONS, window_function=Report()),
    "sessions aggregate": window(SESSIONS, aggregate=Mean(), window_function=Report()),
    "evictor": window(TUMBLING, window_function=Report(), evictor=CountEvictor.of(2)),
    "global": window(GlobalWindows.create(), trigger=CountTrigger.of(3), window_function=Report()),
    "purging": window(
        TUMBLING, trigger=PurgingTrigger.of(CountTrigger.of(2)), reduce=add, window_function=Report()
    ),
    "count": window(CountTumblingWindowAssigner.of(3), window_function=Report()),
    "processing time": window(TumblingProcessingTimeWindows.of(Ms(10)), window_function=Report()),
    "built-in aggregates": window(
        SESSIONS,
        trigger=CountTrigger.of(2),
        **expressions(
            col("v").sum, lit(1).count, col("v").avg, col("v").first_value, col("v").last_value, col("k").max
        ),
    ),
}


def life(operator: Operator, now_ms: int, stored: Stored | None = None) -> Harness:
    """A harness whose operator may go on from a snapshot; time goes on, too."""
    state = StateManager("op")
    if stored is not None:
        state.restore(stored.restored())
    return Harness(operator, ROWS, "k", now_ms=now_ms, state=state)


def script(seed: int) -> list[tuple[Any, ...]]:
    rng = random.Random(seed)
    steps: list[tuple[Any, ...]] = []
    watermark_ms = 0
    for _ in range(14):
        count = rng.randrange(1, 6)
        rows = [Row(k=rng.choice("abc"), v=rng.randrange(20)) for _ in range(count)]
        steps.append(("batch", rows, [watermark_ms + rng.randrange(-2, 15) for _ in rows]))
        if rng.random() < 0.6:
            watermark_ms += rng.randrange(8)
            steps.append(("watermark", watermark_ms))
        if rng.random() < 0.5:
            steps.append(("advance", rng.randrange(1, 8)))
    return [*steps, ("advance", 100), ("end",)]


def run(make: Callable[[], Operator], steps: list[tuple[Any, ...]], seed: int | None = None) -> list[Any]:
    """The output of a script; with a seed, the operator is killed and restored on the way."""
    harness, found = life(make(), 0), []
    rng, stored = random.Random(seed), Stored()
    for step, *arguments in steps:
        getattr(harness, step)(*arguments)
        found += harness.output()
        if seed is None or step == "end":
            continue
        since = stored.epoch if rng.random() < 0.8 else 0
        frozen = harness.state.freeze(since)
        if rng.random() < 0.8:
            stored.add(frozen)
            frozen.release()
            harness.state.forget(since)
        else:  # the checkpoint fails, and nothing is lost by that
            frozen.release()
            continue
        if rng.random() < 0.4:
            harness = life(make(), harness.clock.now_ms(), stored)
    return found


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("seed", range(4))
def test_a_restored_operator_goes_on_as_if_nothing_had_happened(name, seed):
    steps = script(seed)
    expected = run(OPERATORS[name], steps)
    assert expected
    assert run(OPERATORS[name], steps, seed) == expected


@pytest.mark.parametrize("seed", range(6))
def test_values_kept_for_retraction_are_part_of_snapshots(seed):
    rng = random.Random(seed)
    calls = [
        aggregate_call(to_node(node), ROWS)
        for node in (
            col("v").min, col("v").max, col("v").first_value, col("v").last_value, col("v").count.distinct
        )
    ]  # fmt: skip
    make = lambda: GroupAggregate(ROWS, KEY, calls, [f"a{i}" for i in range(5)], "record", retracts=True)  # noqa: E731
    live: list[tuple[str, int]] = []
    batches = []
    for _ in range(12):
        rows, kinds = [], []
        for _ in range(rng.randrange(1, 6)):
            if live and rng.random() < 0.4:
                rows.append(live.pop(rng.randrange(len(live))))
                kinds.append(rng.choice([DELETE, UPDATE_BEFORE]))
            else:
                rows.append((rng.choice("ab"), rng.randrange(5)))
                kinds.append(rng.choice([INSERT, UPDATE_AFTER]))
                live.append(rows[-1])
        table = pa.RecordBatch.from_arrays([pa.array(part) for part in zip(*rows)], ["k", "v"])
        batches.append(Batch.from_arrow(table, ROWS).with_row_kinds(np.array(kinds, np.uint8)))
    steps = [("batch", batch) for batch in batches]
    expected = run(make, steps)
    assert expected and run(make, steps, seed) == expected


# -- what a restore must not wait for the first record for --------------------------------------------------------


class Showing(KeyedProcessFunction):
    """A timer that shows its key."""

    def process_element(self, value, ctx):
        ctx.timer_service().register_event_time_timer(100)

    def on_timer(self, timestamp, ctx):
        yield str(ctx.get_current_key())


class Shown(ProcessWindowFunction):
    def process(self, key, context, elements):
        yield str(key)


KEYED_BY_OBJECTS = {
    "timers": lambda: KeyedProcessRows(OUT, Showing(), OUT, OUT),
    "windows": lambda: RowWindow(
        OUT, TumblingEventTimeWindows.of(Ms(100)), OUT, window_function=Shown(), key_schema=OUT
    ),
}


@pytest.mark.parametrize("make", KEYED_BY_OBJECTS.values(), ids=KEYED_BY_OBJECTS)
def test_pickled_keys_are_there_before_the_first_record(make):
    key = uuid.UUID(int=7)
    before = harness(make())
    before.batch(["x"], timestamps_ms=[5], keys=[key])
    after = harness(make(), restore=before.snapshot())
    after.watermark(100)
    assert after.output() == [str(key)]


def test_pickled_keys_are_not_unpickled_for_a_program_whose_keys_are_typed():
    before = harness(KeyedProcessRows(OUT, Showing(), OUT, OUT))
    before.batch(["x"], timestamps_ms=[5], keys=[uuid.UUID(int=7)])
    after = harness(KeyedProcessRows(OUT, Showing(), OUT, KEY), restore=before.snapshot())
    with pytest.raises(UserFunctionError, match=r"of a key that cannot be shown(.|\n)*only a program that declares"):
        after.watermark(100)


class Watermarks(ProcessFunction):
    def process_element(self, value, ctx):
        yield ctx.timer_service().current_watermark()


class BothWatermarks(CoProcessFunction):
    def process_element1(self, value, ctx):
        yield ctx.timer_service().current_watermark()

    process_element2 = process_element1


class BatchWatermarks(KeyedBatchFunction):
    def map_batch(self, batch, context):
        return {"w": [context.current_watermark()]}


SEES_WATERMARKS = {
    "process": lambda **restore: harness(ProcessRows(OUT, Watermarks(), OUT), **restore),
    "two streams": lambda **restore: harness(CoProcessRows((OUT, OUT), BothWatermarks(), OUT), **restore),
    "batches": lambda **restore: harness(
        KeyedMapBatches(KEY, BatchWatermarks(), Schema(["w"], [pa.int64()], "value")), key="k", **restore
    ),
}


@pytest.mark.parametrize("make", SEES_WATERMARKS.values(), ids=SEES_WATERMARKS)
def test_a_function_sees_the_watermark_of_before_the_restore(make):
    before = make().watermark(100)
    assert before.batch(["x"]).output() == [100]
    assert make(restore=before.snapshot()).watermark(100).batch(["x"]).output() == [100]
