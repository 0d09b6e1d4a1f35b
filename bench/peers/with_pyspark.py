# SPDX-License-Identifier: Apache-2.0
"""The jobs in PySpark Structured Streaming, local mode, one JVM beside this process.

The input is Parquet files in the order of time, FILES of them, of which a micro-batch takes one; Spark ends with a
record far in the future, since its last watermark would otherwise leave the last windows open. Results come to Python
as Arrow tables. The session is made beforehand; the query, with its checkpoints in a temporary folder, is what is
timed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import pyspark
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from bench.workloads import OUT_OF_ORDERNESS_MS, SESSION_GAP_MS, WINDOW_MS, base, discounted

FILES = 4
LAST_KEY = 0  # of the record that lets event time pass; its window never closes
FUTURE_MS = 10**9

Batches = list[pa.Table]


def version() -> str:
    return str(pyspark.__version__)


def timed(events: DataFrame) -> DataFrame:
    return events.withWatermark("date_time", f"{OUT_OF_ORDERNESS_MS} milliseconds")


def tumbling(events: DataFrame) -> DataFrame:
    window = F.window("date_time", f"{WINDOW_MS} milliseconds")
    grouped = timed(events).groupBy("key", window)
    counted = grouped.agg(
        F.count("*").alias("count"), F.sum("value").alias("sum"), F.max("value").alias("max")
    )
    return counted.select("key", F.col("window.start").alias("window_start"), "count", "sum", "max")


def sessions(events: DataFrame) -> DataFrame:
    window = F.session_window("date_time", f"{SESSION_GAP_MS} milliseconds")
    counted = timed(events).groupBy("key", window).agg(F.count("*").alias("count"))
    start, end = F.col("session_window.start"), F.col("session_window.end")
    return counted.select("key", start.alias("window_start"), end.alias("window_end"), "count")


def running(events: DataFrame) -> DataFrame:
    return events.groupBy("key").agg(F.sum("value").alias("sum"), F.count("*").alias("count"))


def mapped(events: DataFrame) -> DataFrame:
    function = F.udf(discounted, "bigint", useArrow=True)
    return events.select("key", function("value").alias("amount"))


QUERIES = {"W1": tumbling, "W3": running, "W6": sessions, "W9": mapped}
UPDATES = {"W3"}
WINDOWED = {"W1", "W6"}


def session(threads: int) -> SparkSession:
    builder = SparkSession.builder.master(f"local[{threads}]").config("spark.ui.enabled", "false")
    for name, value in {
        "spark.sql.shuffle.partitions": str(threads),
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.memory": "6g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }.items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    return made


def write_files(job: str, table: pa.Table, folder: Path) -> None:
    rows = -(-table.num_rows // FILES)
    parts = [table.slice(start, rows) for start in range(0, table.num_rows, rows)]
    if job in WINDOWED:
        last_ms = pc.max(table["date_time"]).cast(pa.int64()).as_py() + FUTURE_MS
        future = pa.array([last_ms], pa.int64()).view(pa.timestamp("ms"))
        parts.append(pa.table({"key": [LAST_KEY], "value": [0], "date_time": future}, schema=table.schema))
    for i, part in enumerate(parts):
        path = folder / f"{i:04}.parquet"
        utc = part.set_column(2, "date_time", part["date_time"].cast(pa.timestamp("us", tz="UTC")))
        pa.parquet.write_table(utc, path)
        os.utime(path, (time.time() - 1000 + i, time.time() - 1000 + i))  # Spark reads files by their age


def prepare(
    job: str, table: pa.Table, threads: int
) -> tuple[Callable[[], Batches], Callable[[Batches], pa.Table]]:
    job = base(job)
    spark = session(threads)
    root = Path(tempfile.mkdtemp(prefix="flinkcore-bench-"))
    source = root / "source"
    source.mkdir()
    roots.append(root)
    write_files(job, table, source)
    runs = iter(range(1000))

    def run() -> Batches:
        results: Batches = []
        events = (
            spark.readStream.schema("key bigint, value bigint, date_time timestamp")
            .option("maxFilesPerTrigger", 1)
            .parquet(str(source))
        )
        query = (
            QUERIES[job](events)
            .writeStream.foreachBatch(lambda frame, _: results.append(frame.toArrow()))
            .outputMode("update" if job in UPDATES else "append")
            .option("checkpointLocation", str(root / f"checkpoint-{next(runs)}"))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        return results

    return run, lambda results: arrow(job, results)


def arrow(job: str, results: Batches) -> pa.Table:
    table = pa.concat_tables(results)
    if job in UPDATES:  # the last of each key
        position = pa.array(range(table.num_rows), pa.int64())
        last = table.append_column("position", position).group_by("key").aggregate([("position", "max")])
        return table.take(last["position_max"])
    for i, name in enumerate(table.column_names):
        if name.startswith("window"):
            table = table.set_column(i, name, table[name].cast(pa.timestamp("ms")).cast(pa.int64()))
    return table


roots: list[Path] = []


def close() -> None:
    SparkSession.builder.getOrCreate().stop()
    for root in roots:
        shutil.rmtree(root, ignore_errors=True)
