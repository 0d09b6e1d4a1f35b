# SPDX-License-Identifier: Apache-2.0
"""A program as users write it, with the type hints that a strict checker asks for: mypy checks it, a test runs it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore.columnar.schema import Schema
from flinkcore.common import Configuration, Duration, Row, Time, Types, WatermarkStrategy
from flinkcore.common.watermark_strategy import TimestampAssigner
from flinkcore.connectors import (
    Boundedness,
    RangeSplit,
    Sink,
    SinkContext,
    SinkWriter,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitQueue,
)
from flinkcore.connectors.base import WriteContext
from flinkcore.datastream import (
    DataStream,
    OutputTag,
    RuntimeContext,
    RuntimeExecutionMode,
    StreamExecutionEnvironment,
)
from flinkcore.datastream.functions import (
    AggregateFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    MapFunction,
    ProcessWindowFunction,
    ReduceFunction,
)
from flinkcore.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    StateTtlConfig,
    ValueState,
    ValueStateDescriptor,
)
from flinkcore.datastream.window import (
    CountTrigger,
    EventTimeSessionWindows,
    GlobalWindows,
    PurgingTrigger,
    SlidingEventTimeWindows,
    TimeWindow,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from flinkcore.table.expressions import col, lit

late = OutputTag("late", Types.ROW_NAMED(["word", "n"], [Types.STRING(), Types.INT()]))


class Words(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[1])


class Split(FlatMapFunction):
    def flat_map(self, value: str) -> Iterator[tuple[str, int]]:
        for word in value.split():
            yield word, 1


class Upper(MapFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = 0

    def map(self, value: str) -> str:
        return value.upper()


class Avg(AggregateFunction):
    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add(self, value: tuple[str, int], accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator[0] + value[1], accumulator[1] + 1

    def get_result(self, accumulator: tuple[int, int]) -> float:
        return accumulator[0] / accumulator[1]

    def merge(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return a[0] + b[0], a[1] + b[1]


class Sum(ReduceFunction):
    def reduce(self, value1: tuple[str, int], value2: tuple[str, int]) -> tuple[str, int]:
        return value1[0], value1[1] + value2[1]


class Count(KeyedProcessFunction):
    state: ValueState[int]

    def open(self, runtime_context: RuntimeContext) -> None:
        descriptor = ValueStateDescriptor("count", Types.INT())
        descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(1)).build())
        self.state = runtime_context.get_state(descriptor)
        self.items = runtime_context.get_map_state(MapStateDescriptor("m", Types.STRING(), Types.INT()))
        self.list = runtime_context.get_list_state(ListStateDescriptor("l", Types.STRING()))

    def process_element(self, value: tuple[str, int], ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        count = (self.state.value() or 0) + 1
        self.state.update(count)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 1000)
        yield ctx.get_current_key(), count
        if count > 2:
            yield late, Row(word="x", n=1)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        yield ctx.get_current_key(), timestamp


Pair = tuple[str, int]
WindowContext = ProcessWindowFunction.Context[TimeWindow]


class Top(ProcessWindowFunction[Pair, Pair, str, TimeWindow]):
    def process(self, key: str, context: WindowContext, elements: Iterable[Pair]) -> Iterable[Pair]:
        window = context.window()
        yield key, window.end - window.start + len(list(elements))

    def clear(self, context: WindowContext) -> None:
        pass


class Numbers(Source):
    boundedness = Boundedness.BOUNDED
    schema = Schema(["n"], [pa.int64()], "value")

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return SplitQueue([RangeSplit("all", 0, 3)])

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, RangeSplit)
        return Reader(split)


class Reader(SourceReader):
    def __init__(self, split: RangeSplit) -> None:
        self.split, self.done = split, False

    def read(self, max_rows: int, timeout_ms: int) -> list[int] | None:
        self.done, done = True, self.done
        return None if done else [1, 2, 3]

    def position(self) -> SourceSplit:
        return self.split


class Shout(Sink):
    def create_writer(self, context: SinkContext) -> SinkWriter:
        return Writer()


class Writer(SinkWriter):
    def write(self, value: Any, context: WriteContext) -> None:
        print(value)


def main() -> None:
    config = Configuration()
    config.set_string("pipeline.name", "job")
    env = StreamExecutionEnvironment.get_execution_environment(config)
    env.set_parallelism(2).set_max_parallelism(128)
    env.set_runtime_mode(RuntimeExecutionMode.STREAMING)
    lines = env.from_collection(["a b", "b c"], type_info=Types.STRING()).name("lines").uid("lines")
    upper = lines.map(Upper(), output_type=Types.STRING())
    words: DataStream = upper.flat_map(Split(), Types.TUPLE([Types.STRING(), Types.INT()]))
    strategy = (
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1))
        .with_timestamp_assigner(Words())
        .with_idleness(Duration.of_minutes(1))
    )
    timed = words.assign_timestamps_and_watermarks(strategy).set_parallelism(1).name("times")
    keyed = timed.key_by(lambda value: value[0], key_type=Types.STRING())
    keyed.reduce(Sum()).print()
    keyed.reduce(lambda a, b: (a[0], a[1] + b[1])).set_parallelism(1).print("r").name("p").set_parallelism(1)
    counted = keyed.process(Count())
    counted.get_side_output(late).print()
    tumbling = keyed.window(TumblingEventTimeWindows.of(Time.seconds(10))).allowed_lateness(5)
    tumbling.side_output_late_data(late).process(Top()).print()
    sliding = keyed.window(SlidingEventTimeWindows.of(Time.seconds(10), Time.seconds(5)))
    sliding.aggregate(Avg(), output_type=Types.DOUBLE()).print()
    keyed.window(EventTimeSessionWindows.with_gap(Time.seconds(1))).reduce(Sum()).uid("s").print()
    keyed.window(GlobalWindows.create()).trigger(PurgingTrigger.of(CountTrigger.of(2))).reduce(Sum()).print()
    keyed.count_window(2).reduce(lambda a, b: a).print()
    timed.window_all(TumblingProcessingTimeWindows.of(Time.seconds(1))).reduce(lambda a, b: a).print()
    bids = env.from_arrow({"auction": np.array([1, 2]), "price": np.array([1.0, 2.0])})
    result = (
        bids.filter(col("price") > 1)
        .with_columns((col("price") * 2).alias("double"))
        .key_by("auction")
        .aggregate(lit(1).count.alias("n"), col("price").sum.alias("total"))
    )
    result.select(col("auction"), "n").map_batches(lambda batch: batch).print()
    numbers = env.from_source(Numbers(), WatermarkStrategy.no_watermarks(), "numbers")
    numbers.union(env.from_source(Numbers(), WatermarkStrategy.no_watermarks(), "more")).sink_to(Shout())
    plan = json.loads(env.get_execution_plan())
    print(len(plan["nodes"]))
    run = env.execute("job")
    print(run.get_job_id(), run.get_net_runtime())
    with env.from_collection([1, 2, 3]).execute_and_collect() as values:
        for value in values:
            print(value)
    table = env.from_arrow(pa.table({"a": [1]})).execute_and_collect_arrow().read_all()
    print(table.num_rows)


if __name__ == "__main__":
    main()
