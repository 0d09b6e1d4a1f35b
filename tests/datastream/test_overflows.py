# SPDX-License-Identifier: Apache-2.0
"""A sum that leaves 64 bits wraps, as Flink's does, and is counted wherever it is computed."""

from __future__ import annotations

import numpy as np
import pytest

from flinkcore.common import Time, WatermarkStrategy
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.window import (
    CountTrigger,
    EventTimeSessionWindows,
    GlobalWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.table.expressions import col

LARGE = 2**63 - 1
WINDOWS = {
    "running": lambda keyed: keyed,
    "tumbling": lambda keyed: keyed.window(TumblingEventTimeWindows.of(Time.seconds(10))),
    "sliding, in the combination of panes": lambda keyed: keyed.window(
        SlidingEventTimeWindows.of(Time.milliseconds(2), Time.milliseconds(1))
    ),
    "session": lambda keyed: keyed.window(EventTimeSessionWindows.with_gap(Time.seconds(1))),
    "count": lambda keyed: keyed.count_window(2),
    "triggered": lambda keyed: keyed.window(GlobalWindows.create()).trigger(CountTrigger.of(2)),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_an_overflow_is_counted(name):
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    rows = env.from_arrow({"k": np.zeros(2, np.int64), "v": np.array([LARGE, 1]), "t": np.array([0, 1])})
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("t")
    keyed = rows.assign_timestamps_and_watermarks(strategy).key_by("k")
    totals = []
    results = WINDOWS[name](keyed).aggregate(col("v").sum.alias("total")).execute_and_collect()
    totals.extend(row["total"] for row in results)
    assert -(2**63) in totals
    assert results._job.count("sum_overflows") == 1
