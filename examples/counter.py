# SPDX-License-Identifier: Apache-2.0
"""A counter: how often each value came, so far and in each window of two seconds.

    flinkcore run examples/counter.py

The first table is a changelog: a count that changes is taken back (-U) and given anew (+U). The second waits
until the watermark has passed the end of a window, and says it once.
"""

from __future__ import annotations

from flinkcore.common import Types, WatermarkStrategy
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.table import StreamTableEnvironment
from flinkcore.table.expressions import col, lit
from flinkcore.table.window import Tumble

#: (value, when it came, in milliseconds)
VALUES = [(1, 0), (2, 300), (1, 900), (3, 1_400), (1, 2_100), (2, 2_500), (2, 3_999), (5, 4_000)]


def main() -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    table_env = StreamTableEnvironment.create(env)

    values = (
        env.from_collection(VALUES, Types.ROW_NAMED(["f0", "ms"], [Types.INT(), Types.LONG()]))
        .assign_timestamps_and_watermarks(
            WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("ms")))
    table = table_env.from_data_stream(values, col("f0"), col("ts").rowtime)

    (table.group_by(col("f0"))
        .select(col("f0"), col("f0").count.alias("cnt"))
        .execute().print())

    (table.window(Tumble.over(lit(2).seconds).on(col("ts")).alias("w"))
        .group_by(col("w"), col("f0"))
        .select(col("w").start.alias("window_start"), col("w").end.alias("window_end"),
                col("f0"), col("f0").count.alias("cnt"))
        .execute().print())


if __name__ == "__main__":
    main()
