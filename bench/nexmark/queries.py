# SPDX-License-Identifier: Apache-2.0
"""Nexmark queries in flinkcore's DataStream API, on the native generator.

The queries are those of github.com/nexmark/nexmark (queries/q*.sql), with watermarks 4 s behind as there.
What is not the same: q1 makes the price a double, not a decimal; q5 gives the highest count of a window and
how many auctions it compared, q7 the highest price, both without the auctions and bids that have it, which
needs a join and comes later, as does q8; q12 has shorter windows.
"""

from __future__ import annotations

from collections.abc import Callable

from flinkcore.common import Duration, Time, WatermarkStrategy
from flinkcore.connectors.nexmark import NexmarkSource
from flinkcore.datastream import DataStream, StreamExecutionEnvironment
from flinkcore.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from flinkcore.table.expressions import col, lit

Query = Callable[[StreamExecutionEnvironment, int], DataStream]


def bids(env: StreamExecutionEnvironment, events: int, *columns: str) -> DataStream:
    """The bids among the first `events` events, with event time when date_time is among the columns."""
    source = NexmarkSource("bids", columns, event_count=events)
    strategy = WatermarkStrategy.no_watermarks()
    if "date_time" in columns:
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(4))
        strategy = strategy.with_timestamp_column("date_time")
    return env.from_source(source, strategy, "Nexmark bids")


def q0(env: StreamExecutionEnvironment, events: int) -> DataStream:
    """Pass through: what it costs to make the events and hand them on."""
    return bids(env, events, "auction", "bidder", "price", "date_time", "extra")


def q1(env: StreamExecutionEnvironment, events: int) -> DataStream:
    """Currency conversion."""
    stream = bids(env, events, "auction", "bidder", "price", "date_time", "extra")
    return stream.with_columns((col("price") * 0.908).alias("price"))


def q2(env: StreamExecutionEnvironment, events: int) -> DataStream:
    """Selection of every 123rd auction."""
    return bids(env, events, "auction", "price").filter(col("auction") % 123 == 0)


def q5(env: StreamExecutionEnvironment, events: int) -> DataStream:
    """Hot items: how many bids the auction with the most had in the last 10 s, every 2 s."""
    counted = (
        bids(env, events, "auction", "date_time")
        .key_by("auction")
        .window(SlidingEventTimeWindows.of(Time.seconds(10), Time.seconds(2)))
        .aggregate(lit(1).count.alias("num"))
    )
    # All counts of a window carry the window's last timestamp, so a tumbling window of one slide holds them.
    slides = counted.window_all(TumblingEventTimeWindows.of(Time.seconds(2)))
    return slides.aggregate(col("num").max.alias("num"), col("auction").count.alias("auctions"))


def q7(env: StreamExecutionEnvironment, events: int) -> DataStream:
    """The highest bid of every 10 s."""
    windows = bids(env, events, "price", "date_time").window_all(
        TumblingEventTimeWindows.of(Time.seconds(10))
    )
    return windows.aggregate(col("price").max.alias("price"))


def q11(env: StreamExecutionEnvironment, events: int) -> DataStream:
    """Bids per user and session, which 10 s of silence ends."""
    windows = bids(env, events, "bidder", "date_time").key_by("bidder")
    sessions = windows.window(EventTimeSessionWindows.with_gap(Time.seconds(10)))
    return sessions.aggregate(lit(1).count.alias("bid_count"))


def q12(env: StreamExecutionEnvironment, events: int) -> DataStream:
    """Bids per user in every 50 ms of processing time.

    Published with 10 s, which a run of a second would never see the end of: windows of processing time that
    are open when a bounded input ends do not fire, as in Flink.
    """
    keyed = bids(env, events, "bidder").key_by("bidder")
    windows = keyed.window(TumblingProcessingTimeWindows.of(Time.milliseconds(50)))
    return windows.aggregate(lit(1).count.alias("bid_count"))


QUERIES: dict[str, Query] = {"q0": q0, "q1": q1, "q2": q2, "q5": q5, "q7": q7, "q11": q11, "q12": q12}
