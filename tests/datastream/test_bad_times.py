# SPDX-License-Identifier: Apache-2.0
"""Timestamps and windows at the ends of what can be, and streams of nothing."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.common import Duration, Types, WatermarkStrategy
from flinkcore.common.watermark_strategy import TimestampAssigner
from flinkcore.datastream import KeyedProcessFunction, OutputTag, ProcessFunction
from flinkcore.datastream.functions import ProcessWindowFunction
from flinkcore.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.errors import (
    JobExecutionError,
    SchemaError,
)
from flinkcore.table.expressions import col, lit
from tests.datastream.jobs import by, collected, environment, keyed, numbers, objects, table_of

pytestmark = pytest.mark.timeout(30)

NONE = WatermarkStrategy.no_watermarks()
ASCENDING = WatermarkStrategy.for_monotonous_timestamps()
INT = Types.INT()


TIME_MAX = 2**62 - 1  # of event time, in milliseconds


class Typed(TimestampAssigner):
    def __init__(self, value):
        self.value = value

    def extract_timestamp(self, value, record_timestamp):
        return self.value


@pytest.mark.parametrize(
    ("timestamp", "message"),
    [
        (None, "record 0 of its batch: the timestamp from Typed.extract_timestamp is null"),
        ("x", "extract_timestamp returned 'x' .str., expected int milliseconds"),
        (1.5, "returned 1.5 .float."),
        (2**63, "out of range for an event timestamp"),
        (2**63 - 1, "out of range for an event timestamp"),
        (-(2**63), "out of range for an event timestamp"),
        (TIME_MAX + 1, "out of range for an event timestamp"),
    ],
)
def test_a_timestamp_that_cannot_be_fails_the_job(timestamp, message):
    strategy = ASCENDING.with_timestamp_assigner(Typed(timestamp))
    with pytest.raises(JobExecutionError, match=f"operator 'Timestamps/Watermarks'.*{message}"):
        collected(objects().assign_timestamps_and_watermarks(strategy))


BAD_TIMES = {
    "null": (pa.array([1, None], pa.int64()), "is null", lambda strategy: strategy.with_bad_timestamps),
    "range": (pa.array([1, 2**63 - 1]), "out of range", lambda strategy: strategy.with_bad_timestamps),
    "seconds": (
        pa.array([1, 2**61], pa.timestamp("s")),
        "out of range",
        lambda strategy: strategy.with_bad_timestamps,
    ),
    "future": (
        pa.array([1, 2**43], pa.timestamp("ms")),
        "further in the future",
        lambda strategy: lambda policy: strategy.with_max_future(Duration.of_hours(1), policy),
    ),
}


@pytest.mark.parametrize("fault", BAD_TIMES)
def test_a_timestamp_at_fault_fails_is_dropped_or_goes_aside(fault):
    times, message, set_policy = BAD_TIMES[fault]
    strategy = ASCENDING.with_timestamp_column("t")

    def timed(policy):
        return numbers(n=[1, 2], t=times).assign_timestamps_and_watermarks(set_policy(strategy)(policy))

    with pytest.raises(JobExecutionError, match=f"record 1 of its batch: timestamp column 't' .*{message}"):
        table_of(timed("fail"))
    assert table_of(timed("drop").select(col("n"))) == {"n": [1]}
    stream = timed(OutputTag("bad"))
    assert table_of(stream.select(col("n"))) == {"n": [1]}
    (fault_record,) = collected(timed(OutputTag("bad")).get_side_output(OutputTag("bad")))
    assert message in fault_record.reason and "n=2" in fault_record.record


@pytest.mark.parametrize(
    "assigner",
    [
        TumblingEventTimeWindows.of(10),
        TumblingEventTimeWindows.of(2**61),
        SlidingEventTimeWindows.of(10, 5),
        SlidingEventTimeWindows.of(2**61, 2**60),
        SlidingEventTimeWindows.of(10**9, 10**9 - 1),
        EventTimeSessionWindows.with_gap(10),
        EventTimeSessionWindows.with_gap(2**61),
    ],
    ids=repr,
)
@pytest.mark.parametrize("lateness", [0, 2**63 - 1])
def test_windows_at_the_ends_of_time_lose_no_record(assigner, lateness):
    times = [TIME_MAX, TIME_MAX - 1, 0, -1, -TIME_MAX - 1]
    windows = max(1, assigner.size_ms // assigner.slide_ms) if hasattr(assigner, "slide_ms") else 1
    stream = numbers(k=[1] * 5, t=times).assign_timestamps_and_watermarks(
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(2**62)).with_timestamp_column("t")
    )
    windowed = stream.key_by("k").window(assigner).allowed_lateness(lateness)
    counted = windowed.aggregate(lit(1).count.alias("n")).select(col("n"))
    assert sum(table_of(counted)["n"]) in range(5, 5 * (windows + 1) + 1)

    class Count(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield len(elements)

    rows = objects(times).assign_timestamps_and_watermarks(by(lambda value: value)).key_by(lambda value: 0)
    found = collected(rows.window(assigner).allowed_lateness(lateness).process(Count()))
    assert sum(found) == sum(table_of(counted)["n"])


@pytest.mark.parametrize("gap", [0, -1, "x", None, 2**63])
def test_a_gap_of_a_session_is_a_positive_number_of_milliseconds(gap):
    def sessions(stream):
        return stream.window(EventTimeSessionWindows.with_dynamic_gap(lambda record: gap))

    rows = objects().assign_timestamps_and_watermarks(by(lambda value: value)).key_by(lambda value: 0)
    with pytest.raises(JobExecutionError, match="Dynamic session time gap must"):
        collected(sessions(rows).reduce(max))
    columns = (
        numbers(t=[1]).assign_timestamps_and_watermarks(ASCENDING.with_timestamp_column("t")).key_by("t")
    )
    with pytest.raises(JobExecutionError, match="Dynamic session time gap must"):
        table_of(sessions(columns).aggregate(lit(1).count))


def test_records_without_timestamps_belong_to_no_event_time_window():
    with pytest.raises(
        JobExecutionError, match=r"did you forget to call 'data_stream.assign_timestamps_and_watermarks"
    ):
        collected(keyed().window(TumblingEventTimeWindows.of(10)).reduce(max))
    with pytest.raises(
        JobExecutionError, match="call assign_timestamps_and_watermarks before an event-time window"
    ):
        table_of(numbers().key_by("a").window(TumblingEventTimeWindows.of(10)).aggregate(lit(1).count))


@pytest.mark.parametrize("timer", [2**63 - 1, 2**63, -(2**63)])
def test_a_timer_at_the_ends_of_time_fires_once(timer):
    class Timed(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(timer)

        def on_timer(self, timestamp, ctx):
            yield "fired"

    assert collected(keyed().process(Timed())) == ["fired"]


class Processor(ProcessFunction):
    def process_element(self, value, ctx):
        yield value


@pytest.mark.parametrize("parallelism", [1, 2])
def test_nothing_in_is_nothing_out_everywhere(parallelism):
    env = environment(parallelism)
    nothing = env.from_collection([], Types.TUPLE([INT, INT])).assign_timestamps_and_watermarks(
        by(lambda value: value[1])
    )
    keyed_by = nothing.key_by(lambda value: value[0])
    window = TumblingEventTimeWindows.of(10)
    results = [
        nothing.map(str).flat_map(list).filter(bool),
        nothing.process(Processor()).rebalance().map(str),
        keyed_by.sum(1),
        keyed_by.window(window).reduce(lambda a, b: a),
        nothing.window_all(window).reduce(lambda a, b: a),
        nothing.union(nothing).broadcast().map(str),
    ]
    assert [collected(stream) for stream in results] == [[]] * len(results)
    columns = environment(parallelism).from_arrow(
        {"k": pa.array([], pa.int64()), "t": pa.array([], pa.timestamp("ms"))}
    )
    timed = columns.assign_timestamps_and_watermarks(ASCENDING.with_timestamp_column("t"))
    counted = timed.filter(col("k") > 1).key_by("k").window(window).aggregate(lit(1).count.alias("n"))
    assert table_of(counted) == {"k": [], "window_start": [], "window_end": [], "n": []}
    assert table_of(columns.map_batches(lambda batch: batch).key_by("k").count()) == {"k": [], "count": []}


def test_schema_errors_can_be_caught_as_what_they_are():
    with pytest.raises(TypeError):
        numbers().key_by("b")
    with pytest.raises(ValueError, match="parallelism"):
        environment().set_parallelism(0)
    with pytest.raises(OSError):
        collected(environment().read_text_file("/no/such/file"))
    assert issubclass(SchemaError, TypeError)
