# SPDX-License-Identifier: Apache-2.0
"""python -m bench latency: the time from a source to a sink.

`one at a time`: the source gives a record only when the one before has come out; the time begins when it makes it.
`paced`: records have times at which they are due, RATE a second, and the source gives those that are; the time of a
record begins when it was due, not when it was given, so that a job that falls behind cannot hide it. Times end in the
sink's write_batch. All of it is one process: source, job and sink.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from bench.results import Line, Section, scaled
from flinkcore.columnar.batch import DELETE, UPDATE_BEFORE, Batch
from flinkcore.columnar.schema import Schema
from flinkcore.common import Row, Types, WatermarkStrategy
from flinkcore.connectors.base import (
    RangeSplit,
    Sink,
    SinkContext,
    SinkWriter,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitQueue,
)
from flinkcore.datastream import DataStream, StreamExecutionEnvironment
from flinkcore.table.expressions import col

KEYS = 1_000
RATE = 100_000  # records per second when paced
QUANTILES = (0.5, 0.99, 0.999)
WARM_UP = 0.1  # of the records, not counted
SCHEMA = pa.schema([("key", pa.int64()), ("value", pa.int64()), ("sent_ns", pa.int64())])


class Flight:
    """What is on its way: shared by the source and the sink of one job. Latencies in ns, in order of arrival."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.latencies_ns: list[np.ndarray] = []

    def arrived(self, sent_ns: np.ndarray, now_ns: int) -> None:
        self.latencies_ns.append(now_ns - sent_ns)
        self.landed.set()


class TimedSink(Sink):
    """Notes when records arrive, those that take something back left out."""

    takes_batches = True

    def __init__(self, flight: Flight) -> None:
        self.flight = flight

    def create_writer(self, context: SinkContext) -> SinkWriter:
        return TimedWriter(self.flight)


class TimedWriter(SinkWriter):
    def __init__(self, flight: Flight) -> None:
        self.flight = flight

    def write_batch(self, batch: Batch) -> None:
        now_ns = time.perf_counter_ns()
        kinds = batch.kinds()
        sent_ns = batch.column("sent_ns").to_numpy()[(kinds != UPDATE_BEFORE) & (kinds != DELETE)]
        if len(sent_ns):
            self.flight.arrived(sent_ns, now_ns)


class TimedSource(Source):
    """`count` records: one at a time, or `rate` a second."""

    schema = Schema.from_arrow(SCHEMA)
    parallelism_max = 1

    def __init__(self, flight: Flight, count: int, rate: int | None) -> None:
        self.flight = flight
        self.count = count
        self.rate = rate

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return SplitQueue([RangeSplit("records", 0, self.count)])

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, RangeSplit)
        return PacedReader(split, self.rate) if self.rate else SingleReader(split, self.flight)


def records(first: int, sent_ns: np.ndarray) -> pa.RecordBatch:
    numbers = np.arange(first, first + len(sent_ns))
    return pa.record_batch([numbers % KEYS, numbers, sent_ns], schema=SCHEMA)


class Reader(SourceReader):
    def __init__(self, split: RangeSplit) -> None:
        self.split = split

    def position(self) -> SourceSplit:
        return self.split

    def give(self, sent_ns: np.ndarray) -> pa.RecordBatch:
        first = self.split.start
        self.split = replace(self.split, start=first + len(sent_ns))
        return records(first, sent_ns)


NOTHING = records(0, np.empty(0, np.int64))


class SingleReader(Reader):
    """One record, and no other until it has arrived."""

    def __init__(self, split: RangeSplit, flight: Flight) -> None:
        super().__init__(split)
        self.flight = flight

    def read(self, max_rows: int, timeout_ms: int) -> pa.RecordBatch | None:
        if self.split.start > 0 and not self.flight.landed.wait(timeout_ms / 1000):
            return NOTHING
        if self.split.start == self.split.end:
            return None
        self.flight.landed.clear()
        return self.give(np.array([time.perf_counter_ns()]))


class PacedReader(Reader):
    """All records that are due; waits for one when there is none."""

    def __init__(self, split: RangeSplit, rate: int) -> None:
        super().__init__(split)
        self.rate = rate
        self.start_ns = time.perf_counter_ns()

    def due_ns(self, number: Any) -> Any:
        return self.start_ns + number * 1_000_000_000 // self.rate

    def read(self, max_rows: int, timeout_ms: int) -> pa.RecordBatch | None:
        first = self.split.start
        if first == self.split.end:
            return None
        wait_ns = self.due_ns(first) - time.perf_counter_ns()
        if wait_ns > 0:
            time.sleep(min(wait_ns, timeout_ms * 1_000_000) / 1e9)
        passed_ns = time.perf_counter_ns() - self.start_ns
        due = passed_ns * self.rate // 1_000_000_000 + 1
        count = max(0, min(due, self.split.end) - first)
        numbers = np.arange(first, first + min(count, max_rows))
        return self.give(self.due_ns(numbers)) if len(numbers) else NOTHING


def projected(stream: DataStream) -> DataStream:
    return stream.with_columns((col("value") + 1).alias("value"))


def summed(stream: DataStream) -> DataStream:
    return stream.key_by("key").aggregate(
        col("value").sum.alias("value"), col("sent_ns").max.alias("sent_ns"), emit="record"
    )


def called(stream: DataStream) -> DataStream:
    names, types = SCHEMA.names, [Types.LONG()] * 3
    seen: list[int] = [0]

    def function(row: Row) -> Row:  # which changes something outside: it is called for each record
        seen[0] += 1
        return Row(key=row.key, value=row.value + 1, sent_ns=row.sent_ns)

    return stream.map(function, Types.ROW_NAMED(names, types))


PIPELINES: dict[str, Callable[[DataStream], DataStream]] = {
    "expression": projected,
    "sum by key": summed,
    "Python function": called,
}


def fly(pipeline: str, threads: int, count: int, rate: int | None) -> np.ndarray:
    """int64[count], the latency of each record in ns, in order of arrival. RuntimeError: records were lost."""
    flight = Flight()
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(threads)
    source = env.from_source(TimedSource(flight, count, rate), WatermarkStrategy.no_watermarks(), "records")
    PIPELINES[pipeline](source).sink_to(TimedSink(flight))
    env.execute("latency")
    latencies_ns = np.concatenate([np.empty(0, np.int64), *flight.latencies_ns])
    if len(latencies_ns) != count:
        raise RuntimeError(f"{count:,} records left the source, {len(latencies_ns):,} came to the sink")
    return latencies_ns


def histogram(latencies_ns: np.ndarray) -> str:
    """Shares by powers of two of a microsecond: "16 µs 12%" are those from 16 to under 32."""
    powers = np.floor(np.log2(np.maximum(latencies_ns, 1_000) / 1_000)).astype(int)
    counts = np.bincount(powers)
    parts = [
        f"{scaled(2.0**power * 1e-6, 's')} {count / len(powers):.2%}"
        for power, count in enumerate(counts)
        if count
    ]
    return "from " + ", ".join(parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pipelines", nargs="*", metavar="PIPELINE", help=f"of {', '.join(map(repr, PIPELINES))}"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, min(2, os.cpu_count() or 1)}))
    parser.add_argument(
        "--records", type=int, default=10_000, help="of each repetition one at a time; 10,000"
    )
    parser.add_argument("--rate", type=int, default=RATE, help="records a second when paced; 100,000")
    parser.add_argument("--seconds", type=float, default=3, help="of each repetition when paced; 3")
    parser.add_argument("--repetitions", type=int, default=3)


def run(options: argparse.Namespace) -> list[Section]:
    for name in options.pipelines:
        if name not in PIPELINES:
            raise ValueError(f"{name!r} is not one of {', '.join(map(repr, PIPELINES))}")
    paced = f"paced: {options.rate:,} records a second"
    sections = []
    for title, count, rate in (
        ("one at a time", options.records, None),
        (paced, round(options.rate * options.seconds), options.rate),
    ):
        lines, notes = [], []
        for pipeline in options.pipelines or PIPELINES:
            for threads in options.threads:
                runs = [fly(pipeline, threads, count, rate) for _ in range(options.repetitions)]
                counted = [each[int(len(each) * WARM_UP) :] for each in runs]
                name = f"{pipeline}, {threads} thread{'s' * (threads > 1)}"
                for quantile in QUANTILES:
                    values = [float(np.quantile(each, quantile)) / 1e9 for each in counted]
                    lines.append(Line(f"{name}, p{quantile * 100:g}", "s", values, more_is_better=False))
                notes.append(f"{name}: {histogram(np.concatenate(counted))}")
        sections.append(Section(f"latency {title}", "latency", lines, notes))
    return sections
