# SPDX-License-Identifier: Apache-2.0
"""Jobs whose committed output says whether anything was lost or came twice: each writes lines to files.

A job reads numbered records in small batches, so that many checkpoints fall into a short run, and it ends. Whatever
happens to it on the way, the lines in its folder must be those of a run to which nothing happened.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.common import Configuration, Time, Types, WatermarkStrategy
from flinkcore.connectors.base import RangeSplit, Source, SourceContext, SourceReader, SourceSplit, SplitQueue
from flinkcore.connectors.files.sink import FileSink
from flinkcore.connectors.files.writers import CsvWriter
from flinkcore.datastream import DataStream, StreamExecutionEnvironment
from flinkcore.datastream.functions import KeyedBroadcastProcessFunction, KeyedProcessFunction, RuntimeContext
from flinkcore.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from flinkcore.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.table.expressions import col, lit
from flinkcore.time.watermark_spec import WatermarkGenerator, WatermarkOutput

RECORDS = 1600
ROWS_PER_READ = 40
KEYS = 37

SCHEMA = Schema(["key", "value", "ts"], [pa.int64(), pa.int64(), pa.int64()])


class Numbers(Source):
    """Numbered records in `splits` splits, read a few at a time with a short pause.

    make : the records of some numbers, pure, so that a source can go back to any of them;  count : how many there are
    """

    schema = SCHEMA
    waits = False  # not for long: so that what reads may share its thread with what computes

    def __init__(
        self,
        splits: int = 2,
        pause_s: float = 0.001,
        make: Callable[[np.ndarray], Batch] | None = None,
        count: int = RECORDS,
        rows_per_read: int = ROWS_PER_READ,
    ) -> None:
        self.splits = splits
        self.pause_s = pause_s
        self.make = make or records
        self.count = count
        self.rows_per_read = rows_per_read

    def create_enumerator(self, parallelism: int) -> SplitQueue:
        bounds = [self.count * i // self.splits for i in range(self.splits + 1)]
        return SplitQueue([RangeSplit(f"numbers-{i}", bounds[i], bounds[i + 1]) for i in range(self.splits)])

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, RangeSplit)
        return _NumbersReader(split, self)


class _NumbersReader(SourceReader):
    def __init__(self, split: RangeSplit, source: Numbers) -> None:
        self.split = split
        self.source = source

    def read(self, max_rows: int, timeout_ms: int) -> Batch | None:
        start, end = self.split.start, min(self.split.start + self.source.rows_per_read, self.split.end)
        if start == end:
            return None
        if self.source.pause_s:
            time.sleep(self.source.pause_s)
        self.split = replace(self.split, start=end)
        return self.source.make(np.arange(start, end))

    def position(self) -> SourceSplit:
        return self.split


def records(numbers: np.ndarray) -> Batch:
    """Keys and values, out of order by up to a second."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    keys = (mixed >> np.uint64(40)).astype(np.int64) % KEYS
    jitter = (mixed >> np.uint64(20)).astype(np.int64) % 1000
    # A record in fifty is far behind: it is late once the watermark is there, in every run alike.
    late = np.where(numbers % 50 == 7, 5_000, 0)
    timestamps = numbers * 10 - jitter - late
    return Batch.from_arrow(pa.RecordBatch.from_pydict({"key": keys, "value": numbers, "ts": timestamps}), SCHEMA)


def environment(checkpoints: Path | None, parallelism: int, **options: Any) -> StreamExecutionEnvironment:
    config = Configuration()
    for key, value in options.items():
        config.set_string(key.replace("__", "-").replace("_", "."), str(value))
    config.set_integer("flinkcore.batch-rows", 100)
    env = StreamExecutionEnvironment.get_execution_environment(config)
    env.set_parallelism(parallelism)
    if checkpoints is not None:
        env.enable_checkpointing(10)
        env.get_checkpoint_config().set_checkpoint_storage_dir(str(checkpoints))
    return env


class EveryTenth(WatermarkGenerator):
    """A watermark behind every tenth record: which records are late then depends on nothing but the records."""

    def __init__(self) -> None:
        self.highest_ms = -(2**63)

    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        self.highest_ms = max(self.highest_ms, event_timestamp)
        if event[1] % 10 == 9:
            output.emit_watermark(self.highest_ms - 1000)

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        pass

    def snapshot_state(self) -> int:
        return self.highest_ms

    def restore_state(self, state: int) -> None:
        self.highest_ms = state


def numbers(env: StreamExecutionEnvironment, splits: int = 2, pause_s: float = 0.001) -> DataStream:
    strategy = WatermarkStrategy.for_generator(EveryTenth).with_timestamp_column("ts")
    return env.from_source(Numbers(splits, pause_s), strategy, "numbers").uid("numbers")


def numbers_of_one_subtask(env: StreamExecutionEnvironment) -> DataStream:
    """With idle subtasks beside it, which record is late would be a matter of when their end is heard of."""
    return numbers(env, splits=1).set_parallelism(1)


def write_lines(stream: DataStream, folder: Path) -> None:
    stream.sink_to(FileSink(str(folder), CsvWriter())).uid("lines")


def tumbling(env: StreamExecutionEnvironment, folder: Path) -> None:
    write_lines(
        numbers_of_one_subtask(env)
        .key_by("key")
        .window(TumblingEventTimeWindows.of(Time.milliseconds(700)))
        .aggregate(lit(1).count.alias("n"), col("value").sum.alias("total"), col("value").min.alias("least")),
        folder,
    )


def sliding(env: StreamExecutionEnvironment, folder: Path) -> None:
    write_lines(
        numbers_of_one_subtask(env)
        .key_by("key")
        .window(SlidingEventTimeWindows.of(Time.milliseconds(900), Time.milliseconds(300)))
        .allowed_lateness(400)
        .aggregate(lit(1).count.alias("n"), col("value").sum.alias("total")),
        folder,
    )


def session(env: StreamExecutionEnvironment, folder: Path) -> None:
    write_lines(
        numbers_of_one_subtask(env)
        .key_by("key")
        .window(EventTimeSessionWindows.with_gap(Time.milliseconds(250)))
        .aggregate(lit(1).count.alias("n"), col("value").max.alias("greatest")),
        folder,
    )


def running(env: StreamExecutionEnvironment, folder: Path) -> None:
    """A changelog: each record gives its key's new totals."""
    write_lines(
        numbers(env, splits=1)
        .map(lambda row: (row[0], row[1]), Types.TUPLE([Types.LONG(), Types.LONG()]))
        .key_by(lambda pair: pair[0], Types.LONG())
        .reduce(lambda a, b: (a[0], a[1] + b[1])),
        folder,
    )


class _Timers(KeyedProcessFunction):
    """Value, list and map state, and event-time timers that read them."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))
        self.recent = runtime_context.get_list_state(ListStateDescriptor("recent", Types.LONG()))
        self.parity = runtime_context.get_map_state(MapStateDescriptor("parity", Types.LONG(), Types.LONG()))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[tuple[int, ...]] | None:
        self.total.update((self.total.value() or 0) + value[1])
        self.recent.add(value[1])
        self.parity.put(value[1] % 2, (self.parity.get(value[1] % 2) or 0) + 1)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() // 500 * 500 + 499)
        return None

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[tuple[int, ...]]:
        recent = list(self.recent.get())
        self.recent.clear()
        yield (
            ctx.get_current_key(), timestamp, self.total.value(), len(recent), sum(recent),
            self.parity.get(0) or 0, self.parity.get(1) or 0,
        )  # fmt: skip


def timers(env: StreamExecutionEnvironment, folder: Path) -> None:
    write_lines(
        numbers_of_one_subtask(env)
        .key_by(lambda row: row[0], Types.LONG())
        .process(_Timers(), Types.TUPLE([Types.LONG()] * 7)),
        folder,
    )


def rules(numbers: np.ndarray) -> Batch:
    """Which factor, of one of five, holds from which time on."""
    columns = {"key": numbers % 5, "value": numbers * 7 % 11, "ts": numbers * 250}
    return Batch.from_arrow(pa.RecordBatch.from_pydict(columns), SCHEMA)


class EachRecord(WatermarkGenerator):
    """A watermark behind each record of a source in order."""

    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        output.emit_watermark(event_timestamp)

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        pass

    def snapshot_state(self) -> None:
        return None

    def restore_state(self, state: None) -> None:
        pass


RULES = MapStateDescriptor("rules", Types.TUPLE([Types.LONG(), Types.LONG()]), Types.LONG())


class _Scaled(KeyedBroadcastProcessFunction):
    """Each value times the factor that holds at its time: it waits until event time has come so far, so that all rules
    up to then are there, whichever of the two streams is faster."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.waiting = runtime_context.get_list_state(
            ListStateDescriptor("waiting", Types.TUPLE([Types.LONG(), Types.LONG()]))
        )

    def process_element(self, value: Any, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> None:
        self.waiting.add((ctx.timestamp(), value[1]))
        ctx.timer_service().register_event_time_timer(ctx.timestamp())

    def process_broadcast_element(self, value: Any, ctx: KeyedBroadcastProcessFunction.Context) -> None:
        ctx.get_broadcast_state(RULES).put((value[0], value[2]), value[1])

    def on_timer(
        self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext
    ) -> Iterator[tuple[int, ...]]:
        waiting = list(self.waiting.get())
        self.waiting.update([(time_ms, value) for time_ms, value in waiting if time_ms != timestamp])
        factors = list(ctx.get_broadcast_state(RULES).items())
        for value in sorted(value for time_ms, value in waiting if time_ms == timestamp):
            held = [(time_ms, f) for (rule, time_ms), f in factors if rule == value % 5 and time_ms <= timestamp]
            factor = max(held)[1] if held else 0
            yield ctx.get_current_key(), timestamp, value, factor, factor * value


def broadcast(env: StreamExecutionEnvironment, folder: Path) -> None:
    changes = env.from_source(
        Numbers(1, 0.002, rules, count=160, rows_per_read=2),
        WatermarkStrategy.for_generator(EachRecord).with_timestamp_column("ts"),
        "rules",
    ).uid("rules")
    write_lines(
        numbers(env, splits=1)
        .key_by(lambda row: row[0], Types.LONG())
        .connect(changes.broadcast(RULES))
        .process(_Scaled(), Types.TUPLE([Types.LONG()] * 5))
        .uid("scaled"),
        folder,
    )


def file_to_file(env: StreamExecutionEnvironment, folder: Path) -> None:
    """Lines of a file, each once, with a number for each key."""
    source = folder.parent / "input.csv"
    if not source.exists():
        rows = records(np.arange(RECORDS)).to_arrow().to_pydict()
        lines = "".join(f"{k},{v},{t}\n" for k, v, t in zip(rows["key"], rows["value"], rows["ts"]))
        scratch = source.with_suffix(f".{os.getpid()}")
        scratch.write_text(lines)
        scratch.rename(source)
    write_lines(
        env.read_text_file(str(source))
        .map(_slowly, Types.STRING())
        .filter(lambda line: not line.startswith("3,")),
        folder,
    )


def _slowly(line: str) -> str:
    if line.endswith("7"):
        time.sleep(0.0005)
    return line


def generated(env: StreamExecutionEnvironment, folder: Path) -> None:
    """Several splits, without state in between."""
    write_lines(numbers(env, splits=4).map(lambda row: f"{row[0]} {row[1]}", Types.STRING()), folder)


WIDE_KEYS = 4_000


def wide_records(numbers: np.ndarray) -> Batch:
    """Many keys, so that the rows of the aggregates below take more memory than the least budget."""
    keys = (numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)).astype(np.int64) % WIDE_KEYS
    return Batch.from_arrow(pa.RecordBatch.from_pydict({"key": keys, "value": numbers, "ts": numbers}), SCHEMA)


def spilling(env: StreamExecutionEnvironment, folder: Path) -> None:
    strategy = WatermarkStrategy.for_generator(EveryTenth).with_timestamp_column("ts")
    source = Numbers(1, make=wide_records, count=8_000, rows_per_read=200)
    write_lines(
        env.from_source(source, strategy, "numbers")
        .key_by("key")
        .window(TumblingEventTimeWindows.of(Time.milliseconds(5_000)))
        .aggregate(*((col("value") + lit(i)).sum.alias(f"sum{i}") for i in range(40))),
        folder,
    )


PIPELINES: dict[str, Callable[[StreamExecutionEnvironment, Path], None]] = {
    "tumbling": tumbling,
    "sliding": sliding,
    "session": session,
    "running": running,
    "timers": timers,
    "broadcast": broadcast,
    "file_to_file": file_to_file,
    "generated": generated,
    "spilling": spilling,
}


def committed(folder: Path) -> list[str]:
    """The lines that a reader of the folder sees, sorted."""
    return sorted(
        line
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith((".", "_"))
        for line in path.read_text().splitlines()
    )
