# SPDX-License-Identifier: Apache-2.0
"""The whole jobs in flinkcore, as a user writes them: public API, watermarks and lateness included.

A job is a function from an environment and its input to a stream. Variants of a job have a suffix:
W3 and W8 emit what changed once per batch (W3, W8.batch), for every record (W3.record) or once at the end of
the input (W3.final, W8). The Python functions of W4 and W9 run on columns, or in W4.rows and W9.rows, which say so, for
each record; in W4.arrow a function on whole batches splits the lines with Arrow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from bench.workloads import (
    OUT_OF_ORDERNESS_MS,
    SESSION_GAP_MS,
    SLIDE_MS,
    VALUE_MIN,
    WEIGHTS,
    WINDOW_MS,
    discounted,
)
from flinkcore.common import Duration, Row, Time, Types, WatermarkStrategy
from flinkcore.datastream import DataStream, KeyedStream, StreamExecutionEnvironment
from flinkcore.datastream.functions import AggregateFunction
from flinkcore.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.table.expressions import col, lit

Emission = Literal["record", "batch", "final"]
Job = Callable[[StreamExecutionEnvironment, pa.Table], DataStream]


def keyed_with_time(env: StreamExecutionEnvironment, table: pa.Table) -> KeyedStream:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(OUT_OF_ORDERNESS_MS))
    events = env.from_arrow(table)
    timed = events.assign_timestamps_and_watermarks(strategy.with_timestamp_column("date_time"))
    return timed.key_by("key")


def tumbling(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
    windows = keyed_with_time(env, table).window(TumblingEventTimeWindows.of(Time.milliseconds(WINDOW_MS)))
    return windows.aggregate(
        lit(1).count.alias("count"), col("value").sum.alias("sum"), col("value").max.alias("max")
    )


def sliding(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
    assigner = SlidingEventTimeWindows.of(Time.milliseconds(WINDOW_MS), Time.milliseconds(SLIDE_MS))
    return keyed_with_time(env, table).window(assigner).aggregate(lit(1).count.alias("count"))


def sessions(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
    assigner = EventTimeSessionWindows.with_gap(Time.milliseconds(SESSION_GAP_MS))
    return keyed_with_time(env, table).window(assigner).aggregate(lit(1).count.alias("count"))


def running(emit: Emission) -> Job:
    def job(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
        keyed = env.from_arrow(table).key_by("key")
        return keyed.aggregate(col("value").sum.alias("sum"), lit(1).count.alias("count"), emit=emit)

    return job


def url_count(emit: Emission) -> Job:
    def job(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
        return env.from_arrow(table).key_by("url").aggregate(lit(1).count.alias("count"), emit=emit)

    return job


def split_row(row: Row) -> list[Row]:
    return [Row(word=word) for word in row["line"].split(" ")]


def word_count(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
    words = env.from_arrow(table).flat_map(split_row, output_type=Types.ROW_NAMED(["word"], [Types.STRING()]))
    return words.key_by("word").aggregate(lit(1).count.alias("count"), emit="final")


def word_count_by_rows(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
    env.get_configuration().set_string("flinkcore.functions.translate", "false")
    return word_count(env, table)


def words_of(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch({"word": pc.list_flatten(pc.split_pattern(batch["line"], " "))})


def word_count_in_arrow(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
    words = env.from_arrow(table).map_batches(words_of)
    return words.key_by("word").aggregate(lit(1).count.alias("count"), emit="final")


def filtered(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
    kept = env.from_arrow(table).filter(col("value") >= VALUE_MIN)
    return kept.select(col("key"), (col("value") * 3 + 1).alias("amount"), col("date_time"))


def discounted_row(row: Row) -> Row:
    return Row(key=row.key, amount=discounted(row.value))


def mapped(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
    out = Types.ROW_NAMED(["key", "amount"], [Types.LONG(), Types.LONG()])
    return env.from_arrow(table).map(discounted_row, out)


def mapped_by_rows(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
    env.get_configuration().set_string("flinkcore.functions.translate", "false")
    return mapped(env, table)


class WeightedAverage(AggregateFunction):
    """Of values that count 1 to 7 times: the average, rounded down, and the highest."""

    def create_accumulator(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def add(self, value: Row, accumulator: tuple[int, int, int]) -> tuple[int, int, int]:
        weight = value.value % WEIGHTS + 1
        return (
            accumulator[0] + weight,
            accumulator[1] + weight * value.value,
            max(accumulator[2], value.value),
        )

    def get_result(self, accumulator: tuple[int, int, int]) -> Row:
        return Row(average=accumulator[1] // accumulator[0], top=accumulator[2])

    def merge(self, a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
        return a[0] + b[0], a[1] + b[1], max(a[2], b[2])


def weighted(env: StreamExecutionEnvironment, table: pa.Table) -> DataStream:
    windows = keyed_with_time(env, table).window(TumblingEventTimeWindows.of(Time.milliseconds(WINDOW_MS)))
    return windows.aggregate(
        WeightedAverage(),
        accumulator_type=Types.TUPLE([Types.LONG(), Types.LONG(), Types.LONG()]),
        output_type=Types.ROW_NAMED(["average", "top"], [Types.LONG(), Types.LONG()]),
    )


PIPELINES: dict[str, Job] = {
    "W1": tumbling,
    "W2": sliding,
    "W3": running("batch"),
    "W3.record": running("record"),
    "W3.final": running("final"),
    "W4": word_count,
    "W4.rows": word_count_by_rows,
    "W4.arrow": word_count_in_arrow,
    "W5": filtered,
    "W6": sessions,
    "W8": url_count("final"),
    "W8.batch": url_count("batch"),
    "W9": mapped,
    "W9.rows": mapped_by_rows,
    "WA": weighted,
}
