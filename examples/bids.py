# SPDX-License-Identifier: Apache-2.0
"""Auction bids: how many, how much and how high, for each auction in windows of ten seconds.

    flinkcore run examples/bids.py [bids]

Bids arrive up to five seconds out of order, and all of the work is done on columns.
"""

from __future__ import annotations

import sys

import numpy as np

from flinkcore.common import Duration, Time, WatermarkStrategy
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.window import TumblingEventTimeWindows
from flinkcore.table.expressions import col, lit

START = np.datetime64("2026-01-01T12:00:00", "ms")


def some_bids(count: int) -> dict[str, np.ndarray]:
    """A hundred bids a second on five auctions, each up to five seconds late; the same ones every time."""
    random = np.random.default_rng(seed=7)
    due_ms = np.arange(count) * 10 - random.integers(0, 5_000, count)
    return {
        "auction": random.choice([1001, 1002, 1003, 1004, 1005], count, p=[0.4, 0.25, 0.2, 0.1, 0.05]),
        "price": random.integers(50, 1_000, count),
        "date_time": START + np.maximum(due_ms, 0).astype("timedelta64[ms]"),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3_000
    env = StreamExecutionEnvironment.get_execution_environment()
    bids = env.from_arrow(some_bids(count))
    result = (
        bids.assign_timestamps_and_watermarks(
            WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5))
            .with_timestamp_column("date_time"))
        .filter(col("price") > 100)
        .key_by("auction")
        .window(TumblingEventTimeWindows.of(Time.seconds(10)))
        .aggregate(lit(1).count.alias("bids"), col("price").sum.alias("total"), col("price").max.alias("top"))
    )
    table = result.execute_and_collect_arrow("bids").read_all()
    print(f"{'window':<17}  auction   bids      total   top")
    for row in table.sort_by([("window_start", "ascending"), ("auction", "ascending")]).to_pylist():
        window = f"{row['window_start']:%H:%M:%S}-{row['window_end']:%H:%M:%S}"
        print(f"{window}  {row['auction']:>7}  {row['bids']:>5,}  {row['total']:>9,}  {row['top']:>4}")


if __name__ == "__main__":
    main()
