# SPDX-License-Identifier: Apache-2.0
"""From any parallelism to any other, 1 to 8: every kind of state goes on in a savepoint as if nothing had happened.

A job is stopped with a savepoint when half of its records are read, and goes on with another parallelism. Both halves
together give what the job gives undisturbed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flinkcore import options
from flinkcore.columnar.batch import Batch
from flinkcore.common import Duration, Time, Types, WatermarkStrategy
from flinkcore.datastream import (
    AggregateFunction,
    DataStream,
    KeyedProcessFunction,
    MapFunction,
    ProcessWindowFunction,
    StreamExecutionEnvironment,
)
from flinkcore.datastream.functions import KeyedBroadcastProcessFunction
from flinkcore.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from flinkcore.datastream.time_domain import TimeDomain
from flinkcore.datastream.window import (
    CountTrigger,
    EventTimeSessionWindows,
    PurgingTrigger,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.runtime.simulation import Process
from flinkcore.table.expressions import col, lit
from flinkcore.testing import ManualClock
from flinkcore.testing.results import Results, TransactionalSink
from flinkcore.time import MAX_WATERMARK
from tests.recovery.pipelines import SCHEMA, Numbers
from tests.simulation.outcome import Result, results_of

COUNT = 96
KEYS = 13
PARALLELISM = range(1, 9)
LATER_MS = 2_000_000  # the clock of the job that goes on; the first begins at 1_000_000
DUE_MS = 1_900_000  # timers of processing time
LONG = Types.LONG()


class Counted(Numbers):
    """Numbers that count how many were read."""

    def __init__(self, splits: int) -> None:
        self.read = 0
        super().__init__(splits, 0, self.records, COUNT, 4)

    def records(self, numbers: np.ndarray) -> Batch:
        self.read += len(numbers)
        columns = {"key": numbers * 7 % KEYS, "value": numbers % 5 + numbers // 40, "ts": numbers * 10}
        return Batch.from_arrow(pa.RecordBatch.from_pydict(columns), SCHEMA)


def records(env: StreamExecutionEnvironment, splits: int = 4) -> DataStream:
    """All event time passes at the end: until then all windows and timers are state."""
    far = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(10 * COUNT))
    return env.from_source(Counted(splits), far.with_timestamp_column("ts"), "records")


def keyed(env: StreamExecutionEnvironment, splits: int = 4) -> Any:
    return records(env, splits).key_by(lambda row: row[0], LONG)


# -- the jobs ----------------------------------------------------------------------------------------------------


class Mean(AggregateFunction):
    def create_accumulator(self) -> Any:
        return 0, 0

    def add(self, value: Any, accumulator: Any) -> Any:
        return accumulator[0] + value, accumulator[1] + 1

    def get_result(self, accumulator: Any) -> Any:
        return accumulator[0] / accumulator[1]

    def merge(self, acc_a: Any, acc_b: Any) -> Any:
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


class EachKind(KeyedProcessFunction):
    """A state of each kind of a key, and event-time timers, the last of which tells them."""

    def open(self, runtime_context: Any) -> None:
        get = runtime_context
        self.value = get.get_state(ValueStateDescriptor("value", LONG))
        self.list = get.get_list_state(ListStateDescriptor("list", LONG))
        self.map = get.get_map_state(MapStateDescriptor("map", LONG, LONG))
        self.reducing = get.get_reducing_state(ReducingStateDescriptor("reducing", lambda a, b: a + b, LONG))
        self.aggregating = get.get_aggregating_state(AggregatingStateDescriptor("aggregating", Mean(), None))

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.value.update((self.value.value() or 0) + 1)
        self.list.add(value[1])
        self.map.put(value[1], (self.map.get(value[1]) or 0) + 1)
        self.reducing.add(value[1])
        self.aggregating.add(value[1])
        ctx.timer_service().register_event_time_timer(value[2] // 100 * 100)
        ctx.timer_service().register_event_time_timer(MAX_WATERMARK)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterable[Any]:
        if timestamp < MAX_WATERMARK:
            yield ctx.get_current_key(), timestamp, ()
            return
        held = tuple(sorted(self.list.get())), tuple(sorted(self.map.items()))
        yield ctx.get_current_key(), self.value.value(), (*held, self.reducing.get(), self.aggregating.get())


class Once(KeyedProcessFunction):
    """A timer of processing time per key, which was registered before the job was stopped."""

    def process_element(self, value: Any, ctx: Any) -> Iterable[Any]:
        if ctx.timer_service().current_processing_time() < DUE_MS:
            ctx.timer_service().register_processing_time_timer(DUE_MS)
            yield "registered", ctx.get_current_key()

    def on_timer(self, timestamp: int, ctx: Any) -> Iterable[Any]:
        if ctx.time_domain() is TimeDomain.PROCESSING_TIME:
            yield "fired", ctx.get_current_key()


class Contents(ProcessWindowFunction):
    def process(self, key: Any, context: Any, elements: Any) -> Iterable[Any]:
        values = sorted(tuple(element) for element in elements)
        yield key, context.window().start, context.window().end, tuple(values)


RULES = MapStateDescriptor("rules", LONG, LONG)


class WithRules(KeyedBroadcastProcessFunction):
    def open(self, runtime_context: Any) -> None:
        self.total = runtime_context.get_state(ValueStateDescriptor("total", LONG))

    def process_element(self, value: Any, ctx: Any) -> None:
        self.total.update((self.total.value() or 0) + value[1])
        ctx.timer_service().register_event_time_timer(MAX_WATERMARK)

    def process_broadcast_element(self, value: Any, ctx: Any) -> None:
        state = ctx.get_broadcast_state(RULES)
        state.put(value[0], (state.get(value[0]) or 0) + value[1])

    def on_timer(self, timestamp: int, ctx: Any) -> Iterable[Any]:
        rules = tuple(sorted(ctx.get_broadcast_state(RULES).items()))
        yield ctx.get_current_key(), self.total.value(), rules


def with_rules(env: StreamExecutionEnvironment) -> DataStream:
    rules = records(env).broadcast(RULES)
    return keyed(env).connect(rules).process(WithRules())


class Buffer(MapFunction):
    """Keeps each record in a list of the subtask, and gives all that a subtask has taken over when it begins."""

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def open(self, runtime_context: Any) -> None:
        store = runtime_context.get_operator_state_store()
        get = store.get_list_state if self.mode == "split" else store.get_union_list_state
        self.kept = get(ListStateDescriptor("kept", LONG))
        self.found: Any = tuple(self.kept.get())

    def map(self, value: Any) -> Any:
        found, self.found = self.found, ()
        self.kept.add(value[2])
        return value[2], found


def panes(env: StreamExecutionEnvironment) -> DataStream:
    assigner = SlidingEventTimeWindows.of(Time.milliseconds(300), Time.milliseconds(100))
    return records(env).key_by("key").window(assigner).aggregate(
        lit(1).count.alias("n"), col("value").sum.alias("total"), col("value").min.alias("least"),
        col("value").avg.alias("mean"),
    )  # fmt: skip


def sessions(env: StreamExecutionEnvironment) -> DataStream:
    windows = records(env).key_by("key").window(EventTimeSessionWindows.with_gap(Time.milliseconds(70)))
    return windows.aggregate(lit(1).count.alias("n"), col("value").max.alias("greatest"))


def running(env: StreamExecutionEnvironment) -> DataStream:
    return records(env, 1).key_by("key").aggregate(
        col("value").sum.alias("total"), col("value").count.distinct.alias("different"),
        col("value").max.alias("greatest"), col("value").first_value.alias("first"),
    )  # fmt: skip


def retracting(env: StreamExecutionEnvironment) -> DataStream:
    """How many keys have each maximum: keys leave one for the next."""
    greatest = records(env, 1).key_by("key").aggregate(col("value").max.alias("greatest"))
    return greatest.key_by("greatest").aggregate(
        lit(1).count.alias("keys"), col("key").min.alias("least"), col("key").count.distinct.alias("different")
    )


def row_windows(env: StreamExecutionEnvironment) -> DataStream:
    return keyed(env).window(TumblingEventTimeWindows.of(Time.milliseconds(200))).process(Contents())


class Moments(AggregateFunction):
    """The number, the least and the decayed sum of values: of the latter, each depends on those before."""

    def create_accumulator(self) -> Any:
        return [0, 2**40, 0.0]

    def add(self, value: Any, accumulator: Any) -> Any:
        accumulator[0] += 1
        accumulator[1] = min(accumulator[1], value.value)
        accumulator[2] = accumulator[2] * 0.5 + value.value
        return accumulator

    def get_result(self, accumulator: Any) -> Any:
        return tuple(accumulator)

    def merge(self, acc_a: Any, acc_b: Any) -> Any:
        raise AssertionError


class Totals(Moments):
    """What kernels know."""

    def add(self, value: Any, accumulator: Any) -> Any:
        return [accumulator[0] + 1, min(accumulator[1], value.value), accumulator[2] + value.value]

    def merge(self, acc_a: Any, acc_b: Any) -> Any:
        return [acc_a[0] + acc_b[0], min(acc_a[1], acc_b[1]), acc_a[2] + acc_b[2]]


class Whole(Totals):
    """What is the same in whatever order."""

    def create_accumulator(self) -> Any:
        return [0, 2**40, 0]


TUMBLING = TumblingEventTimeWindows.of(Time.milliseconds(200))
SLIDING = SlidingEventTimeWindows.of(Time.milliseconds(200), Time.milliseconds(80))
SESSIONS = EventTimeSessionWindows.with_gap(Time.milliseconds(70))


def folded(function: AggregateFunction, windows: Any = TUMBLING) -> Callable[[StreamExecutionEnvironment], DataStream]:
    def build(env: StreamExecutionEnvironment) -> DataStream:
        windowed = records(env, 1).key_by("key").window(windows)
        return windowed.aggregate(function, output_type=Types.TUPLE([LONG, LONG, Types.DOUBLE()]))

    return build


def triggered(env: StreamExecutionEnvironment) -> DataStream:
    windows = keyed(env, 1).window(TumblingEventTimeWindows.of(Time.milliseconds(500)))
    return windows.trigger(PurgingTrigger.of(CountTrigger.of(3))).process(Contents())


def row_sessions(env: StreamExecutionEnvironment) -> DataStream:
    return keyed(env).window(EventTimeSessionWindows.with_gap(Time.milliseconds(70))).process(Contents())


def count_windows(env: StreamExecutionEnvironment) -> DataStream:
    return records(env, 1).key_by("key").count_window(5, 2).aggregate(
        col("value").sum.alias("total"), col("value").last_value.alias("last")
    )


def reduced(env: StreamExecutionEnvironment) -> DataStream:
    pairs = records(env, 1).map(lambda row: (row[0], row[1]), Types.TUPLE([LONG, LONG]))
    return pairs.key_by(lambda pair: pair[0], LONG).reduce(lambda a, b: (a[0], a[1] + b[1]))


def everything(found: list[Result]) -> Any:
    return Counter((result.row, result.kind) for result in found)


def table(found: list[Result]) -> Any:
    """What a changelog comes to; the steps on the way depend on the order in which subtasks take turns."""
    rows: Counter[Any] = Counter()
    for result in found:
        rows[result.row] += 1 if result.kind in (0, 2) else -1
    return {row: count for row, count in rows.items() if count}


JOBS: dict[str, tuple[Callable[[StreamExecutionEnvironment], DataStream], Callable[[list[Result]], Any]]] = {
    "value, list, map, reducing, aggregating, event timers": (lambda env: keyed(env).process(EachKind()), everything),
    "panes": (panes, everything),
    "sessions": (sessions, everything),
    "count windows": (count_windows, everything),
    "running aggregates": (running, everything),
    "retractions": (retracting, table),
    "row windows": (row_windows, everything),
    "windows of functions that kernels know": (folded(Totals()), everything),
    "windows of other functions": (folded(Moments()), everything),
    "panes of functions that kernels know": (folded(Whole(), SLIDING), everything),
    "sliding windows of other functions": (folded(Moments(), SLIDING), everything),
    "sessions of functions that kernels know": (folded(Whole(), SESSIONS), everything),
    "sessions of other functions": (folded(Totals(), SESSIONS), everything),
    "row windows with triggers": (triggered, everything),
    "row sessions": (row_sessions, everything),
    "row reduce": (reduced, everything),
    "broadcast state": (with_rules, everything),
}


# -- running them ------------------------------------------------------------------------------------------------


class Half:
    """One run of a job, from its start or from the savepoint that another one has stopped with."""

    def __init__(
        self, build: Callable[[Any], DataStream], parallelism: int, first: Half | None = None, translate: bool = True
    ) -> None:
        env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(parallelism)
        config = env.get_configuration()
        config.set_integer("flinkcore.batch-rows", 16)
        config.set_string("flinkcore.functions.translate", str(translate).lower())
        self.path = ""
        self.results = Results()
        if first is not None:
            self.results = Results(committed=dict(first.results.committed), next_number=first.results.next_number)
        build(env).sink_to(TransactionalSink(self.results)).name("Collect")
        graph = env.job_graph()
        if first is not None:
            graph.config.set(options.RECOVERY_PATH, first.path)
        self.sources = [
            node.transformation.source for node in graph.nodes if node.transformation.source is not None
        ]
        clock = ManualClock(LATER_MS if first else 1_000_000)
        self.process = Process(graph, clock, random.Random(parallelism), f"parallelism {parallelism}")

    def read_half(self) -> None:
        wanted = COUNT * len(self.sources) // 2
        while sum(source.read for source in self.sources) < wanted:  # type: ignore[union-attr]
            if self.process.run(1):
                self.process.job.wait()
                raise AssertionError("the job ended before it had read half of its records")

    def stop(self, folder: Any) -> list[Result]:
        path = self.process.job.savepoint(str(folder), stop=True)
        found = self.end()
        self.path = path.result(0)
        return found

    def end(self) -> list[Result]:
        assert self.process.run(10**6)
        self.process.job.wait()
        return results_of(self.results.batches())


@cache
def undisturbed(name: str) -> Any:
    build, outcome = JOBS[name]
    return outcome(Half(build, 1).end())


def stopped(build: Callable[[Any], DataStream], parallelism: int, folder: Any) -> tuple[Half, list[Result]]:
    """A job that has read half of its records, and what it has committed."""
    first = Half(build, parallelism)
    first.read_half()
    return first, first.stop(folder)


@pytest.mark.parametrize("before", PARALLELISM)
@pytest.mark.parametrize("name", JOBS)
def test_a_job_goes_on_with_any_parallelism(name, before, tmp_path):
    build, outcome = JOBS[name]
    first, _ = stopped(build, before, tmp_path)
    for after in PARALLELISM:
        assert outcome(Half(build, after, first).end()) == undisturbed(name), f"{before} to {after}"


@pytest.mark.parametrize("translate", [False, True])
@pytest.mark.parametrize("before", [1, 2, 5])
@pytest.mark.parametrize("name", ["windows of functions that kernels know", "windows of other functions", "row reduce"])
def test_functions_that_ran_on_columns_go_on_by_rows_and_the_other_way_round(name, before, translate, tmp_path):
    build, outcome = JOBS[name]
    first = Half(build, before, translate=translate)
    first.read_half()
    first.stop(tmp_path)
    for after in (1, 3, before):
        again = Half(build, after, first, not translate)
        assert outcome(again.end()) == undisturbed(name), f"{before} to {after}"


@pytest.mark.parametrize("before", PARALLELISM)
def test_timers_of_processing_time_fire_once_with_any_parallelism(before, tmp_path):
    def build(env: Any) -> DataStream:
        return keyed(env).process(Once())

    first, found = stopped(build, before, tmp_path)
    keys = [result.row[1] for result in found]
    assert keys
    for after in PARALLELISM:
        rows = [result.row for result in Half(build, after, first).end()]
        assert Counter(rows) == Counter([("registered", key) for key in keys] + [("fired", key) for key in {*keys}])


@pytest.mark.parametrize("before", PARALLELISM)
def test_lists_of_subtasks_are_split_with_any_parallelism(before, tmp_path):
    def build(env: Any) -> DataStream:
        # So many splits that each subtask reads, and shows what it took over.
        return records(env, 24).rebalance().map(Buffer("split"))

    first, found = stopped(build, before, tmp_path)
    seen = sorted(result.row[0] for result in found)
    for after in PARALLELISM:
        rows = [result.row for result in Half(build, after, first).end()]
        assert sorted(value for _, taken in rows for value in taken) == seen, f"{before} to {after}"
        assert sorted(value for value, _ in rows) == [number * 10 for number in range(COUNT)]


@pytest.mark.parametrize("before", PARALLELISM)
def test_each_subtask_gets_the_union_of_all_lists_with_any_parallelism(before, tmp_path):
    def build(env: Any) -> DataStream:
        return records(env, 24).rebalance().map(Buffer("union"))

    first, found = stopped(build, before, tmp_path)
    seen = sorted(result.row[0] for result in found)
    for after in PARALLELISM:
        rows = [result.row for result in Half(build, after, first).end()]
        unions = [sorted(taken) for _, taken in rows if taken]
        assert unions == [seen] * after, f"{before} to {after}"
