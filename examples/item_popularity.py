# SPDX-License-Identifier: Apache-2.0
"""Item popularity for recommendations: the three best items of the last hour, renewed every five minutes.

    flinkcore run examples/item_popularity.py [events]

A purchase weighs ten views. Scores of all items are kept on columns, in panes of five minutes that the
overlapping hours share; only each hour's list of items reaches Python, to be ranked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

from flinkcore.common import Duration, Row, Time, Types, WatermarkStrategy
from flinkcore.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from flinkcore.datastream.state import ListStateDescriptor
from flinkcore.datastream.window import SlidingEventTimeWindows
from flinkcore.table.expressions import col, if_then_else, lit

START = np.datetime64("2026-01-01T08:00:00", "ms")
HOUR_MS = 3_600_000


def some_events(count: int) -> dict[str, np.ndarray]:
    """Views and purchases of twenty items over two hours; what is popular drifts."""
    random = np.random.default_rng(seed=5)
    at_ms = np.sort(random.integers(0, 2 * HOUR_MS, count))
    item = (random.zipf(1.6, count) + at_ms // (HOUR_MS // 2)) % 20
    return {
        "item": np.array([f"item-{number:02}" for number in item]),
        "event": np.where(random.random(count) < 0.05, "purchase", "view"),
        "time": START + at_ms.astype("timedelta64[ms]"),
    }


class Best(KeyedProcessFunction):
    """Collects the items of one hour, and ranks them once the watermark says that there are no more."""

    def __init__(self, top: int) -> None:
        self.top = top

    def open(self, runtime_context: RuntimeContext) -> None:
        self.items = runtime_context.get_list_state(
            ListStateDescriptor("items", Types.TUPLE([Types.LONG(), Types.STRING()])))

    def process_element(self, item: Row, ctx: KeyedProcessFunction.Context) -> None:
        self.items.add((item["score"], item["item"]))
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 1)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[str]:
        best = sorted(self.items.get(), key=lambda item: (-item[0], item[1]))[: self.top]
        self.items.clear()
        hour = ctx.get_current_key()
        yield f"{hour:%H:%M}  " + ", ".join(f"{name} {score}" for score, name in best)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    weight = if_then_else(col("event") == "purchase", lit(10), lit(1))
    (env.from_arrow(some_events(count))
        .assign_timestamps_and_watermarks(
            WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1)).with_timestamp_column("time"))
        .with_columns(weight.alias("weight"))
        .key_by("item")
        .window(SlidingEventTimeWindows.of(Time.hours(1), Time.minutes(5)))
        .aggregate(col("weight").sum.alias("score"))
        .key_by("window_end")
        .process(Best(3), Types.STRING())
        .print())
    env.execute("item popularity")


if __name__ == "__main__":
    main()
