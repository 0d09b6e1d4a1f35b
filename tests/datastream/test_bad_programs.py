# SPDX-License-Identifier: Apache-2.0
"""Programs at fault: each is told when the job is built, and in words that say what to do."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.common import Duration, Time, Types, WatermarkStrategy
from flinkcore.connectors import Source, SplitQueue
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.sink import FileSink
from flinkcore.connectors.sequence import NumberSequenceSource
from flinkcore.datastream import MapFunction, ProcessFunction
from flinkcore.datastream.functions import FlatMapFunction
from flinkcore.datastream.window import (
    CountSlidingWindowAssigner,
    CountTumblingWindowAssigner,
    EventTimeSessionWindows,
    GlobalWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.errors import (
    ConfigurationError,
    FlinkcoreError,
)
from flinkcore.table.expressions import col, lit
from tests.datastream.jobs import environment, numbers, objects

pytestmark = pytest.mark.timeout(30)

NONE = WatermarkStrategy.no_watermarks()
ASCENDING = WatermarkStrategy.for_monotonous_timestamps()
INT = Types.INT()


class Mapper(MapFunction):
    def map(self, value):
        return value


class FlatMapper(FlatMapFunction):
    def flat_map(self, value):
        return [value]


class Processor(ProcessFunction):
    def process_element(self, value, ctx):
        yield value


class Unschooled(Source):
    def create_enumerator(self, parallelism):
        return SplitQueue([])

    def create_reader(self, split, context):
        raise AssertionError


@pytest.mark.parametrize(
    ("build", "message"),
    [
        # functions
        (lambda: objects().map(None), "map takes a function or a MapFunction, got NoneType"),
        (lambda: objects().map(Mapper), r"the class Mapper; make an object of it: Mapper\(\)"),
        (lambda: objects().map(FlatMapper()), "map takes a function or a MapFunction, got FlatMapper"),
        (lambda: objects().flat_map(Mapper()), "flat_map takes a function or a FlatMapFunction, got Mapper"),
        (lambda: objects().filter(5), "filter takes a function or a FilterFunction, got int 5"),
        (lambda: objects().process(lambda value: value), "process takes a ProcessFunction, got function"),
        (lambda: objects().key_by(str).process(Processor()), "takes a KeyedProcessFunction, got Processor"),
        (
            lambda: objects().key_by(str).reduce(Mapper()),
            "reduce takes a function or a ReduceFunction, got Mapper",
        ),
        (lambda: objects().map(str, "INT"), "'INT' is not a type; expected one made by .*Types"),
        (lambda: objects().map(str, pa.int64()), "is not a type; expected one made by .*Types"),
        (lambda: objects().project(0), "Only Tuple DataStreams can be projected"),
        # columns
        (lambda: numbers().key_by("b"), "no column named 'b'; the stream has a"),
        (lambda: numbers().key_by("a", str), "key_by takes one function, or names of columns"),
        (lambda: numbers().key_by("a", on_null=5), 'bad records is "fail", "drop" or an OutputTag'),
        (lambda: objects().key_by("a"), "holds Python objects, which have no columns"),
        (lambda: numbers().filter(col("b") > 0), r"Cannot resolve field \[b\], input field list:\[a\]"),
        (lambda: numbers().filter(col("a") + 1), "is BIGINT, expected BOOLEAN"),
        (lambda: numbers(s=["x"]).filter(col("s") > 0), "greaterThan"),
        (lambda: numbers().select(), "select takes one expression"),
        (lambda: numbers().select(5), "got int 5"),
        (lambda: numbers().select(col("a"), col("a")), "Ambiguous column name: a"),
        (lambda: numbers().select(col("a").sum), "aggregate functions are for"),
        (lambda: numbers().with_columns(col("a") + 1), "give .* an alias"),
        (
            lambda: numbers(k=[1], s=["x"]).key_by("k").aggregate(col("s").sum),
            "expected a number; came s STRING",
        ),
        (lambda: numbers().key_by("a").aggregate(), "aggregate needs expressions"),
        (lambda: numbers().key_by("a").aggregate(lit(1).count, emit="often"), "not 'often'"),
        (lambda: numbers().map_batches(lambda batch: 5), "returned int for a batch without rows"),
        # sources and sinks
        (lambda: environment().from_collection(5), "takes a collection, e.g. a list, got int"),
        (lambda: environment().from_collection(pa.table({"a": [1]})), "for a Table use from_arrow"),
        (lambda: environment().from_collection([1, "x"], INT), "record 1 of the batch has 'x'"),
        (lambda: environment().from_collection([2**64], INT), "record 0 of the batch has 18446744073709551616 .*INT"),
        (lambda: environment().from_collection([None], INT), "cannot be null"),
        (lambda: environment().from_collection([(1, 2), (1,)], Types.TUPLE([INT, INT])), "expected 2 fields"),
        (
            lambda: environment().from_collection([(1, None)], Types.TUPLE([INT, INT])),
            "a typed TUPLE holds no null",
        ),
        (lambda: environment().from_source(None, NONE, "x"), "from_source takes a Source, got NoneType"),
        (
            lambda: environment().from_source(NumberSequenceSource(1, 3), "now", "x"),
            "from_source takes a WatermarkStrategy",
        ),
        (lambda: environment().from_source(Unschooled(), NONE, "x"), "Unschooled.schema is a Schema"),
        (lambda: environment().from_sequence(5, 1), "needs start <= end"),
        (lambda: environment().from_sequence(0, 2**63), "lies within int64"),
        (lambda: environment().from_sequence("a", 2), "whole numbers as bounds"),
        (lambda: environment().read_text_file(None), "reads a path or a list of paths, got None"),
        (lambda: environment().socket_text_stream("localhost", 99999), "a port is between 1 and 65535"),
        (lambda: objects().sink_to(None), "sink_to takes a Sink, got NoneType"),
        (lambda: FileSink("out", Csv()), "writes in a WriterFormat"),
        # time
        (lambda: objects().assign_timestamps_and_watermarks(None), "takes a WatermarkStrategy"),
        (
            lambda: numbers().assign_timestamps_and_watermarks(ASCENDING.with_timestamp_column("t")),
            "no column named 't'",
        ),
        (
            lambda: numbers(t=["x"]).assign_timestamps_and_watermarks(ASCENDING.with_timestamp_column("t")),
            "'t' is string, expected timestamp",
        ),
        (
            lambda: environment().from_source(
                NumberSequenceSource(1, 3), ASCENDING.with_timestamp_column("t"), "x"
            ),
            "no column named 't'",
        ),
        (lambda: WatermarkStrategy.for_bounded_out_of_orderness(5), "must be a Duration"),
        (
            lambda: WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(-1)),
            "cannot be negative",
        ),
        (lambda: ASCENDING.with_timestamp_assigner(lambda value, time: 1), "takes a TimestampAssigner"),
        (lambda: objects().key_by(str).window("10s"), "window takes a WindowAssigner"),
        (
            lambda: objects().key_by(str).window(GlobalWindows.create()).trigger(5).reduce(max),
            "expects a Trigger, got 5",
        ),
        (lambda: objects().key_by(str).count_window(2).allowed_lateness(-1), "must not be negative"),
        (lambda: objects().key_by(str).count_window(2).apply(max), "expected a WindowFunction"),
    ],
)
def test_a_program_at_fault_is_told_when_the_job_is_built(build, message):
    with pytest.raises(FlinkcoreError, match=message):
        build()


@pytest.mark.parametrize(
    "make",
    [
        lambda: TumblingEventTimeWindows.of(0),
        lambda: TumblingEventTimeWindows.of(-5),
        lambda: TumblingEventTimeWindows.of(10, 10),
        lambda: TumblingEventTimeWindows.of(2**63),
        lambda: TumblingEventTimeWindows.of(Time.days(10**12)),
        lambda: SlidingEventTimeWindows.of(10, 0),
        lambda: SlidingEventTimeWindows.of(2**62, 1),
        lambda: SlidingEventTimeWindows.of(10**9, 1),
        lambda: EventTimeSessionWindows.with_gap(0),
        lambda: EventTimeSessionWindows.with_gap(2**63 - 1),
        lambda: CountTumblingWindowAssigner.of(0),
        lambda: CountTumblingWindowAssigner.of(2**63),
        lambda: CountTumblingWindowAssigner.of("2"),
        lambda: CountSlidingWindowAssigner.of(2, -1),
    ],
)
def test_windows_that_cannot_be_are_refused(make):
    with pytest.raises(ConfigurationError):
        make()
