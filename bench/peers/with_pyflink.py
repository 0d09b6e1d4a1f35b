# SPDX-License-Identifier: Apache-2.0
"""The jobs in PyFlink: Flink itself, in its embedded mini cluster, in one JVM beside this process.

W1, W3, W6 and W9 are SQL, W9 with a scalar Python function; WA is the DataStream API with a Python AggregateFunction.
Functions of Python run in Flink's process mode, its default. The input is CSV files, one per subtask, since Flink reads
no Arrow; reading them is part of the time. Timed runs write to the blackhole sink, which is kind to Flink; the check
runs the same query once more and keeps the result. Seconds are Flink's own net run time: each run starts a cluster
anew, and that is no part of the job.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("PYFLINK_CLIENT_EXECUTABLE", sys.executable)

import pyarrow as pa
import pyarrow.csv
from pyflink.common import Configuration, Row, Types
from pyflink.common.time import Time
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.functions import AggregateFunction
from pyflink.datastream.window import TumblingEventTimeWindows
from pyflink.table import DataTypes, StreamTableEnvironment, Table
from pyflink.table.udf import udf
from pyflink.version import __version__

from bench.workloads import (
    OUT_OF_ORDERNESS_MS,
    SESSION_GAP_MS,
    WINDOW_MS,
    add_weighted,
    base,
    discounted,
    merge_weighted,
    weighted_result,
)


def version() -> str:
    return __version__


@dataclass
class Ran:
    """seconds : Flink's net run time"""

    seconds: float


def seconds(interval_ms: int) -> str:
    return f"INTERVAL '{interval_ms // 1000}' SECOND"


QUERIES = {
    "W1": f"""SELECT key, window_start, COUNT(*) AS `count`, SUM(`value`) AS `sum`, MAX(`value`) AS `max`
              FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(rowtime), {seconds(WINDOW_MS)}))
              GROUP BY key, window_start, window_end""",
    "W3": "SELECT key, SUM(`value`) AS `sum`, COUNT(*) AS `count` FROM events GROUP BY key",
    "W6": f"""SELECT key, window_start, window_end, COUNT(*) AS `count`
              FROM TABLE(SESSION(TABLE events PARTITION BY key, DESCRIPTOR(rowtime), {seconds(SESSION_GAP_MS)}))
              GROUP BY key, window_start, window_end""",
    "W9": "SELECT key, discounted(`value`) AS amount FROM events",
}
COLUMNS = {
    "W1": "key BIGINT, window_start TIMESTAMP(3), `count` BIGINT, `sum` BIGINT, `max` BIGINT",
    "W3": "key BIGINT, `sum` BIGINT, `count` BIGINT",
    "W6": "key BIGINT, window_start TIMESTAMP(3), window_end TIMESTAMP(3), `count` BIGINT",
    "W9": "key BIGINT, amount BIGINT",
    "WA": "average BIGINT, `top` BIGINT",
}


class WeightedAverage(AggregateFunction):
    def create_accumulator(self):
        return (0, 0, 0)

    def add(self, value, accumulator):
        return add_weighted(accumulator, value[1])

    def get_result(self, accumulator):
        return Row(*weighted_result(accumulator))

    def merge(self, a, b):
        return merge_weighted(a, b)


# As Nexmark's own configuration sets it.
MINI_BATCHES = {
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "2 s",
    "table.exec.mini-batch.size": "50000",
}


def environment(threads: int, has_mini_batches: bool = True) -> StreamTableEnvironment:
    settings = Configuration()
    for name, value in {
        **(MINI_BATCHES if has_mini_batches else {}),
        "table.local-time-zone": "UTC",
        "pipeline.object-reuse": "true",
        "taskmanager.memory.managed.size": "1g",
        "taskmanager.numberOfTaskSlots": str(threads),
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
    }.items():
        settings.set_string(name, value)
    env = StreamExecutionEnvironment.get_execution_environment(settings)
    env.set_parallelism(threads)
    return StreamTableEnvironment.create(env)


def with_events(job: str, threads: int, folder: Path) -> StreamTableEnvironment:
    """An environment with the table `events` of files in a folder."""
    # Where a table becomes a stream the watermarks of mini-batches would come along, which are of processing time:
    # every record would be late.
    tables = environment(threads, has_mini_batches=job != "WA")
    tables.create_temporary_system_function("discounted", udf(discounted, result_type=DataTypes.BIGINT()))
    tables.execute_sql(f"""
        CREATE TABLE events (
            key BIGINT, `value` BIGINT, ts BIGINT, rowtime AS TO_TIMESTAMP_LTZ(ts, 3),
            WATERMARK FOR rowtime AS rowtime - {seconds(OUT_OF_ORDERNESS_MS)}
        ) WITH ('connector' = 'filesystem', 'path' = '{folder.as_uri()}', 'format' = 'csv')""")
    return tables


def create_sink(tables: StreamTableEnvironment, columns: str, options: str) -> None:
    tables.execute_sql(f"CREATE TABLE results ({columns}) WITH ({options})")


def run_insert(result: Table) -> float:
    """Runs a query into the table `results`. -> seconds, Flink's net run time"""
    inserted = result.execute_insert("results")
    inserted.wait()
    return inserted.get_job_client().get_job_execution_result().result().get_net_runtime() / 1000


def read_results(folder: Path, columns: str) -> pa.Table:
    """What a run wrote to CSV files; columns : as in CREATE TABLE"""
    named = {
        "BIGINT": pa.int64(), "DOUBLE": pa.float64(), "STRING": pa.string(), "TIMESTAMP(3)": pa.timestamp("ms")
    }  # fmt: skip
    types = {
        name.strip("`"): named[type] for name, type in (column.split() for column in columns.split(", "))
    }
    reading = pyarrow.csv.ReadOptions(column_names=list(types))
    converting = pyarrow.csv.ConvertOptions(column_types=types)
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    if not paths:
        raise ValueError("Flink wrote no results")
    return pa.concat_tables(
        pyarrow.csv.read_csv(path, read_options=reading, convert_options=converting) for path in paths
    )


def result_of(job: str, tables: StreamTableEnvironment) -> Table:
    if job != "WA":
        return tables.sql_query(QUERIES[job])
    records = tables.to_data_stream(tables.sql_query("SELECT key, `value`, rowtime FROM events"))
    windows = records.key_by(lambda record: record[0], Types.LONG()).window(
        TumblingEventTimeWindows.of(Time.milliseconds(WINDOW_MS))
    )
    averages = windows.aggregate(
        WeightedAverage(),
        accumulator_type=Types.TUPLE([Types.LONG(), Types.LONG(), Types.LONG()]),
        output_type=Types.ROW_NAMED(["average", "top"], [Types.LONG(), Types.LONG()]),
    )
    return tables.from_data_stream(averages)


def insert(job: str, threads: int, source: Path, options: str) -> float:
    """Runs a job into a sink. -> seconds"""
    tables = with_events(job, threads, source)
    create_sink(tables, COLUMNS[job], options)
    return run_insert(result_of(job, tables))


def kept(job: str, threads: int, source: Path) -> pa.Table:
    """The result, from a run that keeps it."""
    if job == "W3":  # a changelog: files take none
        last = {}
        with with_events(job, threads, source).sql_query(QUERIES[job]).execute().collect() as rows:
            for row in rows:
                last[row[0]] = (row[1], row[2])
        sums, counts = zip(*last.values())
        return pa.table({"key": list(last), "sum": sums, "count": counts})
    with tempfile.TemporaryDirectory() as folder:
        options = f"'connector' = 'filesystem', 'path' = '{Path(folder).as_uri()}', 'format' = 'csv'"
        insert(job, threads, source, options)
        return read_results(Path(folder), COLUMNS[job])


def prepare(job: str, table: pa.Table, threads: int) -> tuple[Callable[[], Ran], Callable[[Ran], pa.Table]]:
    job = base(job)
    source = Path(tempfile.mkdtemp(prefix="flinkcore-bench-"))
    columns = table.set_column(2, "ts", table["date_time"].cast(pa.int64()))
    options = pyarrow.csv.WriteOptions(include_header=False)
    for i in range(threads):
        rows = pa.array(range(i, table.num_rows, threads), pa.int64())
        pyarrow.csv.write_csv(columns.take(rows), source / f"{i}.csv", options)
    sources.append(source)
    return (
        lambda: Ran(insert(job, threads, source, "'connector' = 'blackhole'")),
        lambda _: kept(job, threads, source),
    )


sources: list[Path] = []


def close() -> None:
    for source in sources:
        for path in source.iterdir():
            path.unlink()
        source.rmdir()
