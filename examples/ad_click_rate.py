# SPDX-License-Identifier: Apache-2.0
"""Advertising: the click-through rate of each campaign, minute by minute.

    flinkcore run examples/ad_click_rate.py [events]

Impressions and clicks arrive as one stream; a rate is a sum over a count, both kept on columns.
"""

from __future__ import annotations

import sys

import numpy as np

from flinkcore.common import Duration, Time, WatermarkStrategy
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.window import TumblingEventTimeWindows
from flinkcore.table import DataTypes
from flinkcore.table.expressions import col, if_then_else, lit

START = np.datetime64("2026-01-01T18:00:00", "ms")
CAMPAIGNS = {"spring": 0.02, "summer": 0.05, "autumn": 0.01}


def some_events(count: int) -> dict[str, np.ndarray]:
    """Impressions and clicks, as often as each campaign deserves: twenty a second, up to two seconds late."""
    random = np.random.default_rng(seed=11)
    campaign = random.choice(list(CAMPAIGNS), count)
    chance = np.array([CAMPAIGNS[name] for name in campaign])
    due_ms = np.maximum(np.arange(count) * 50 - random.integers(0, 2_000, count), 0)
    return {
        "campaign": campaign,
        "event": np.where(random.random(count) < chance, "click", "impression"),
        "time": START + due_ms.astype("timedelta64[ms]"),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 6_000
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    clicks = if_then_else(col("event") == "click", lit(1), lit(0))
    rates = (
        env.from_arrow(some_events(count))
        .assign_timestamps_and_watermarks(
            WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(2)).with_timestamp_column("time"))
        .with_columns(clicks.alias("click"))
        .key_by("campaign")
        .window(TumblingEventTimeWindows.of(Time.minutes(1)))
        .aggregate(col("click").sum.alias("clicks"), (lit(1).count - col("click").sum).alias("impressions"))
        .with_columns((col("clicks").cast(DataTypes.DOUBLE()) / col("impressions")).alias("rate"))
    )
    table = rates.execute_and_collect_arrow("click rate").read_all()
    print("minute  campaign  impressions  clicks    rate")
    for row in table.sort_by([("window_start", "ascending"), ("campaign", "ascending")]).to_pylist():
        print(f"{row['window_start']:%H:%M}   {row['campaign']:<8}  {row['impressions']:>11,}  "
              f"{row['clicks']:>6,}  {row['rate']:>6.2%}")


if __name__ == "__main__":
    main()
