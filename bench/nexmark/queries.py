# SPDX-License-Identifier: Apache-2.0
"""Nexmark queries in flinkcore's DataStream API, on the native generator.

The queries are those of github.com/nexmark/nexmark (queries/q*.sql), with watermarks 4 s behind as there.
What is not the same: q1 makes the price a double, not a decimal; q7 pairs a bid with the highest price of its own
window, where the published query also takes a bid of the next window's first millisecond; q12 has shorter windows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

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
    return nexmark(env, "bids", events, *columns)


def nexmark(
    env: StreamExecutionEnvironment, stream: Literal["persons", "auctions", "bids"], events: int, *columns: str
) -> DataStream:
    """The same of any stream."""
    source = NexmarkSource(stream, columns, event_count=events)
    strategy = WatermarkStrategy.no_watermarks()
    if "date_time" in columns:
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(4))
        strategy = strategy.with_timestamp_column("date_time")
    return env.from_source(source, strategy, f"Nexmark {stream}")


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
    """Hot items: the auctions with the most bids in the last 10 s, every 2 s."""
    counted = (
        bids(env, events, "auction", "date_time")
        .key_by("auction")
        .window(SlidingEventTimeWindows.of(Time.seconds(10), Time.seconds(2)))
        .aggregate(lit(1).count.alias("num"))
        .select("auction", "num", col("window_start").alias("starttime"), col("window_end").alias("endtime"))
    )
    # All counts of a window carry the window's last timestamp, so a tumbling window of one slide holds them.
    slide = TumblingEventTimeWindows.of(Time.seconds(2))
    most = counted.window_all(slide).aggregate(col("num").max.alias("most")).select("most")
    hottest = counted.join(most).where("num").equal_to("most").window(slide)
    return hottest.select("auction", "num", "starttime", "endtime")


def q7(env: StreamExecutionEnvironment, events: int) -> DataStream:
    """The highest bids of every 10 s."""
    stream = bids(env, events, "auction", "bidder", "price", "date_time", "extra")
    window = TumblingEventTimeWindows.of(Time.seconds(10))
    highest = stream.window_all(window).aggregate(col("price").max.alias("highest")).select("highest")
    pairs = stream.join(highest).where("price").equal_to("highest").window(window)
    return pairs.select("auction", "price", "bidder", "date_time", "extra")


def q8(env: StreamExecutionEnvironment, events: int) -> DataStream:
    """New users who have opened auctions within the 10 s in which they came."""
    window = TumblingEventTimeWindows.of(Time.seconds(10))
    persons = nexmark(env, "persons", events, "id", "name", "date_time").key_by("id", "name").window(window)
    auctions = nexmark(env, "auctions", events, "seller", "date_time").key_by("seller").window(window)
    new = persons.aggregate(lit(1).count.alias("persons")).select("id", "name")
    sellers = auctions.aggregate(lit(1).count.alias("auctions")).select("seller")
    return new.join(sellers).where("id").equal_to("seller").window(window).select("id", "name", "window_start")


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


QUERIES: dict[str, Query] = {
    "q0": q0,
    "q1": q1,
    "q2": q2,
    "q5": q5,
    "q7": q7,
    "q8": q8,
    "q11": q11,
    "q12": q12,
}
