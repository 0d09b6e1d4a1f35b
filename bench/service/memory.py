# SPDX-License-Identifier: Apache-2.0
"""python -m bench memory: what keyed state takes, per key.

A job runs in a process of its own over a source that makes its records as it goes, once with a few keys and once with
KEYS of them; the difference in memory, by key, is that of the keys and their accumulators. `at the end` is what is
resident when all records have been read, `peak` the most there ever was: with what a growing table needs for a
moment, and for windows with the results. The limit is twice the bare size: the bytes of the key and of the
accumulators.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench import data
from bench.results import ROOT, Line, Section
from flinkcore.columnar.schema import Schema
from flinkcore.common import Time, WatermarkStrategy
from flinkcore.connectors.base import (
    RangeSplit,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitQueue,
)
from flinkcore.connectors.blackhole import BlackHoleSink
from flinkcore.datastream import DataStream, StreamExecutionEnvironment
from flinkcore.datastream.window import TumblingEventTimeWindows
from flinkcore.table.expressions import col, lit

KEYS = 10_000_000
FEW_KEYS = 1_000
URL = b"https://www.example.com/item/"  # and 14 digits: 43 bytes
DIGITS = 14


def urls(numbers: np.ndarray) -> pa.Array:
    """string of 43 bytes for each number, other ones for others."""
    words = data.sparse(numbers).view(np.uint64) >> np.uint64(8)
    text = np.empty((len(numbers), len(URL) + DIGITS), np.uint8)
    text[:, : len(URL)] = np.frombuffer(URL, np.uint8)
    hexadecimal = np.frombuffer(b"0123456789abcdef", np.uint8)
    for i in range(DIGITS):
        text[:, -1 - i] = hexadecimal[(words >> np.uint64(4 * i)).astype(np.int64) & 15]
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * text.shape[1]
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text))


class DistinctKeys(Source):
    """`rows` records of `keys` keys in turn, all within one second of event time. Notes the memory at its end."""

    def __init__(self, rows: int, keys: int, has_urls: bool) -> None:
        self.rows = rows
        self.keys = keys
        self.has_urls = has_urls
        self.resident_bytes = 0
        key_type = pa.string() if has_urls else pa.int64()
        self.arrow_schema = pa.schema(
            [("key", key_type), ("value", pa.int64()), ("date_time", pa.timestamp("ms"))]
        )
        self.schema = Schema.from_arrow(self.arrow_schema)

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return SplitQueue([RangeSplit("records", 0, self.rows)])

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, RangeSplit)
        return DistinctKeysReader(self, split)


class DistinctKeysReader(SourceReader):
    def __init__(self, source: DistinctKeys, split: RangeSplit) -> None:
        self.source = source
        self.split = split

    def position(self) -> SourceSplit:
        return self.split

    def read(self, max_rows: int, timeout_ms: int) -> pa.RecordBatch | None:
        source, start = self.source, self.split.start
        count = min(max_rows, self.split.end - start)
        if count <= 0:
            source.resident_bytes = status_bytes("VmRSS")
            return None
        self.split = replace(self.split, start=start + count)
        numbers = np.arange(start, start + count) % source.keys
        key = urls(numbers) if source.has_urls else data.sparse(numbers)
        times = pa.array(data.BASE_TIME_MS + numbers % 1_000).view(pa.timestamp("ms"))
        return pa.record_batch([key, numbers, times], schema=source.arrow_schema)


def status_bytes(name: str) -> int:
    """VmRSS, what is resident now, or VmHWM, the most that was. RuntimeError where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        raise RuntimeError("memory is read from /proc, which this system does not have")
    return int(status.read_text().split(f"{name}:")[1].split()[0]) * 1024


def counted(stream: DataStream) -> DataStream:
    return stream.key_by("key").aggregate(
        lit(1).count.alias("count"),
        col("value").sum.alias("sum"),
        col("value").max.alias("max"),
        emit="batch",
    )


def windowed(stream: DataStream) -> DataStream:
    windows = stream.key_by("key").window(TumblingEventTimeWindows.of(Time.seconds(10)))
    return windows.aggregate(
        lit(1).count.alias("count"), col("value").sum.alias("sum"), col("value").max.alias("max")
    )


def count_only(stream: DataStream) -> DataStream:
    return stream.key_by("key").aggregate(lit(1).count.alias("count"), emit="batch")


# name -> (the job, whether its keys are urls, bytes of a key and its accumulators)
STATES: dict[str, tuple[Callable[[DataStream], DataStream], bool, int]] = {
    "running count, sum, max by int64": (counted, False, 8 + 3 * 8),
    "window of count, sum, max by int64": (windowed, False, 8 + 3 * 8),
    "running count by url of 43 bytes": (count_only, True, 43 + 8),
}


def fill(state: str, rows: int, keys: int) -> dict[str, int]:
    """Runs the job. -> bytes of this process: at the end of the input, and at its peak."""
    job, has_urls, _ = STATES[state]
    source = DistinctKeys(rows, keys, has_urls)
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("date_time")
    job(env.from_source(source, strategy, "keys")).sink_to(BlackHoleSink())
    env.execute("memory")
    return {"at the end": source.resident_bytes, "peak": status_bytes("VmHWM")}


def filled(state: str, rows: int, keys: int) -> dict[str, int]:
    """The same in a process of its own."""
    arguments = json.dumps([state, rows, keys])
    done = subprocess.run(
        [sys.executable, "-m", "bench.service.memory", arguments], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"the job of '{state}' failed: {done.stderr.strip().splitlines()[-1]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keys", type=int, default=KEYS, help="10,000,000")
    parser.add_argument("--repetitions", type=int, default=1)


def run(options: argparse.Namespace) -> list[Section]:
    lines = []
    for state, (_, _, bare_bytes) in STATES.items():
        least = filled(state, options.keys, FEW_KEYS)
        runs = [filled(state, options.keys, options.keys) for _ in range(options.repetitions)]
        for when in ("at the end", "peak"):
            values = [(each[when] - least[when]) / options.keys for each in runs]
            facts = {"bare": f"{bare_bytes} B", "MB": f"{runs[0][when] / 1e6:.0f}"}
            lines.append(
                Line(
                    f"{state}, {when}",
                    "B/key",
                    values,
                    more_is_better=False,
                    limit=2 * bare_bytes,
                    limit_name="twice the bare size",
                    facts=facts,
                )
            )
    return [Section(f"memory per key, {options.keys:,} keys", "memory", lines)]


if __name__ == "__main__":
    print(json.dumps(fill(*json.loads(sys.argv[1]))))
