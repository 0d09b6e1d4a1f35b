# SPDX-License-Identifier: Apache-2.0
"""Joins as a program says them: what is accepted, what is refused at once, and what explain() says."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.common import Duration, Time, Types, WatermarkStrategy
from flinkcore.datastream import (
    CoGroupFunction,
    FlatJoinFunction,
    JoinFunction,
    OutputTag,
    ProcessJoinFunction,
    StreamExecutionEnvironment,
)
from flinkcore.datastream.window import CountTrigger, EventTimeSessionWindows, TumblingEventTimeWindows
from flinkcore.errors import ConfigurationError, SchemaError
from flinkcore.table.expressions import col

LONG, STRING = Types.LONG(), Types.STRING()
WINDOW = TumblingEventTimeWindows.of(Time.milliseconds(10))
IN_ORDER = WatermarkStrategy.for_monotonous_timestamps()


@pytest.fixture(params=[1, 2])
def env(request):
    return StreamExecutionEnvironment.get_execution_environment().set_parallelism(request.param)


def streams(env):
    """Prices by symbol and time, and trades of them, in another form."""
    prices = env.from_arrow(pa.table({"symbol": ["x", "y", "x"], "price": [10, 20, 30], "at": [1, 2, 13]}))
    trades = env.from_collection([("x", 5, 4), ("x", 6, 12), ("z", 7, 12)], Types.TUPLE([STRING, LONG, LONG]))
    return (
        prices.assign_timestamps_and_watermarks(IN_ORDER.with_timestamp_column("at")),
        trades.assign_timestamps_and_watermarks(IN_ORDER.with_timestamp_column("f2")),
    )


def joined(env, window=WINDOW):
    prices, trades = streams(env)
    return prices.join(trades).where("symbol").equal_to(lambda trade: trade[0], key_type=STRING).window(window)


class Value(JoinFunction):
    def join(self, first, second):
        return first.price * second[1]


class Flat(FlatJoinFunction):
    def open(self, runtime_context):
        self.factor = runtime_context.get_number_of_parallel_subtasks()

    def join(self, first, second):
        if second[1] > 5:
            yield first.price
            yield second[1]


class Both(CoGroupFunction):
    def co_group(self, first, second):
        return [(len(first), len(second))]


def test_a_window_join_takes_functions_of_either_kind(env):
    assert sorted(joined(env).apply(Value(), LONG).execute_and_collect()) == [50, 180]
    assert sorted(joined(env).apply(lambda one, other: other[1]).execute_and_collect()) == [5, 6]
    assert sorted(joined(env).apply(Flat()).execute_and_collect()) == [6, 30]


def test_select_gives_columns(env):
    pairs = joined(env).select("symbol", (col("price") * col("f1")).alias("value"), "window_start")
    table = pairs.execute_and_collect_arrow().read_all().sort_by("value")
    assert table.column_names == ["symbol", "value", "window_start"]
    assert table["value"].to_pylist() == [50, 180]
    assert table["window_start"].cast(pa.int64()).to_pylist() == [0, 10]


def test_a_join_can_be_joined_again_in_the_same_window(env):
    values = joined(env).select("symbol", (col("price") * col("f1")).alias("value"))
    other = streams(env)[0].select(col("symbol").alias("other"), "price")
    again = values.join(other).where("symbol").equal_to("other").window(WINDOW).select("value", "price")
    assert sorted(map(tuple, again.execute_and_collect())) == [(50, 10), (180, 30)]


def test_other_windows_and_triggers_are_windows_of_rows(env):
    sessions = joined(env, EventTimeSessionWindows.with_gap(Time.milliseconds(5)))
    assert sorted(sessions.apply(Value()).execute_and_collect()) == [50, 180]
    assert sorted(joined(env).trigger(CountTrigger.of(2)).apply(Value()).execute_and_collect()) == [50, 180]
    with pytest.raises(ConfigurationError, match="use apply"):
        joined(env).trigger(CountTrigger.of(2)).select("price")


def test_a_co_group_gives_windows_with_one_side_as_well(env):
    prices, trades = streams(env)
    grouped = prices.co_group(trades).where("symbol").equal_to("f0").window(WINDOW)
    assert sorted(grouped.allowed_lateness(5).apply(Both()).execute_and_collect()) == [(0, 1), (1, 0), (1, 1), (1, 1)]


class Times(ProcessJoinFunction):
    def process_element(self, left, right, ctx):
        yield left.price, ctx.get_left_timestamp(), ctx.get_right_timestamp(), ctx.get_timestamp()


def interval(env, lower, upper):
    prices, trades = streams(env)
    return prices.key_by("symbol").interval_join(trades.key_by("f0")).between(lower, upper)


def test_an_interval_join_has_inclusive_bounds_unless_told_otherwise(env):
    def found(*bounds, **exclusive):
        pairs = interval(env, *bounds)
        for name in exclusive:
            pairs = getattr(pairs, name)()
        return sorted(pairs.process(Times()).execute_and_collect())

    both = [(10, 1, 4, 4), (30, 13, 12, 13)]
    assert found(-1, 3) == found(Duration.of_millis(-1), Duration.of_millis(3)) == both
    assert found(-1, 3, lower_bound_exclusive=True) == both[:1]
    assert found(-1, 3, upper_bound_exclusive=True) == both[1:]
    pairs = interval(env, -1, 3).select("price", (col("f1") + 1).alias("more"))
    assert sorted(map(tuple, pairs.execute_and_collect())) == [(10, 6), (30, 7)]


def test_late_records_of_an_interval_join_have_side_outputs_of_their_own(env):
    tags = OutputTag("late prices"), OutputTag("late trades")
    pairs = interval(env, 0, 1).side_output_left_late_data(tags[0]).side_output_right_late_data(tags[1])
    made = pairs.process(Times())
    assert [made.get_side_output(tag).schema.names for tag in tags] == [("symbol", "price", "at"), ("f0", "f1", "f2")]


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda a, b: a.join("b"), ConfigurationError, "join takes a stream"),
        (lambda a, b: a.co_group(None), ConfigurationError, "co_group takes a stream"),
        (lambda a, b: a.join(b).where("nothing"), SchemaError, "no column named 'nothing'"),
        (lambda a, b: a.join(b).where("symbol").equal_to("f1"), SchemaError, "keys of one type"),
        (lambda a, b: a.join(b).where("symbol").equal_to("f0").window(10), ConfigurationError, "WindowAssigner"),
        (
            lambda a, b: a.join(b).where("symbol").equal_to("f0").window(WINDOW).apply(Both()),
            ConfigurationError,
            "apply of a join takes a function or a JoinFunction",
        ),
        (
            lambda a, b: a.co_group(b).where("symbol").equal_to("f0").window(WINDOW).apply(Value()),
            ConfigurationError,
            "takes a CoGroupFunction",
        ),
        (
            lambda a, b: a.join(b).where("symbol").equal_to("f0").window(WINDOW).allowed_lateness(-1),
            ConfigurationError,
            "must not be negative",
        ),
        (lambda a, b: a.join(a).where("at").equal_to("at").window(WINDOW).select("at"), SchemaError, "both streams"),
        (lambda a, b: a.key_by("symbol").interval_join(b), ConfigurationError, "takes a keyed stream"),
        (
            lambda a, b: a.key_by("symbol").interval_join(b.key_by("f0")).between(2, 1),
            ConfigurationError,
            "lower bound <= an upper bound",
        ),
        (
            lambda a, b: a.key_by("symbol").interval_join(b.key_by("f0")).between(1, 1).lower_bound_exclusive()
            .process(Times()),
            ConfigurationError,
            "has no pairs",
        ),
        (
            lambda a, b: a.key_by("symbol").interval_join(b.key_by("f0")).between(1, 1).process(Value()),
            ConfigurationError,
            "takes a ProcessJoinFunction",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_at_once(env, build, error, message):
    with pytest.raises(error, match=message):
        build(*streams(env))


def test_explain_says_what_runs_on_columns(env):
    joined(env).apply(lambda price, trade: price.price * trade[1], LONG).print()
    joined(env).apply(Flat()).print()
    steps = [node for node in env.job_graph().nodes if "Join" in node.transformation.name]
    described = [node.transformation.factory().describe() for node in steps]
    assert [each.native for each in described] == [True, False]
    assert "price.price * trade[1]" in described[0].detail and "event-time windows of 10 ms" in described[0].detail
    assert described[1].reason == "Flat is called for each pair"
