# SPDX-License-Identifier: Apache-2.0
"""How long a record takes from the source to the sink, through a keyed exchange and a keyed operator.

Two loads: "single", where the next record is sent when the result of the last has arrived, and "paced", where
records are due at a fixed rate, whether the job keeps up or not. Latency counts from the moment at which a record was
due until the sink has its result, so that a job that stalls is charged for all records that waited.

    python -m bench.latency                                    # all cases
    python -m bench.latency --operator process --load paced --parallelism 2
"""

from __future__ import annotations

import argparse
import threading
import time
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.columnar.batch import UPDATE_BEFORE, Batch
from flinkcore.columnar.schema import Schema
from flinkcore.common import Row, Types
from flinkcore.connectors.base import (
    AssignedSplits,
    Boundedness,
    RangeSplit,
    Sink,
    SinkContext,
    SinkWriter,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
)
from flinkcore.datastream import DataStream, KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from flinkcore.state.descriptors import ValueStateDescriptor
from flinkcore.table.expressions import col, lit

LOADS = ("single", "paced")
OPERATORS = ("aggregate", "process")
KEYS = 1_000
WARM_UP = 0.25  # the share of the records that is not counted: modules are imported, the program's garbage is found
SCHEMA = Schema(["key", "due_ns"], [pa.int64(), pa.int64()])


@dataclass
class Latency:
    """What one case came to; times in milliseconds."""

    load: str
    operator: str
    parallelism: int
    rate_per_second: float | None  # paced: as asked for
    records: int  # that were counted
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float

    def line(self) -> str:
        return (
            f"{self.load:7} {self.operator:10} {self.parallelism:3} {self.records / self.seconds:11,.0f} "
            f"{self.p50_ms:8.3f} {self.p99_ms:8.3f} {self.p999_ms:8.3f} {self.max_ms:8.3f} "
            f"{100 * self.cpu_seconds / self.seconds:6.0f} %"
        )

    HEAD = (
        f"{'load':7} {'operator':10} {'par':>3} {'records/s':>11} {'p50 ms':>8} {'p99 ms':>8} {'p99.9 ms':>8} "
        f"{'max ms':>8} {'cpu':>8}"
    )


class Turns:
    """Lets one record at a time into the job: the next when the last has arrived."""

    def __init__(self) -> None:
        self.turn = threading.Semaphore(1)


class MeasuredSource(Source):
    """Records (key, time at which they were due), a split for each subtask.

    rate_per_second : of all subtasks together; None: as `turns` says
    """

    boundedness = Boundedness.BOUNDED
    schema = SCHEMA
    not_replayable = "records are of the moment"

    def __init__(self, records: int, rate_per_second: float | None, turns: Turns) -> None:
        self.records = records
        self.rate_per_second = rate_per_second
        self.turns = turns

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        share = self.records // parallelism
        splits = (RangeSplit(f"records-{i}", i * share, (i + 1) * share) for i in range(parallelism))
        return AssignedSplits(splits, parallelism)

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, RangeSplit)
        if self.rate_per_second is None:
            return TurnReader(split, self.turns)
        return PacedReader(split, self.rate_per_second / context.parallelism)


class TurnReader(SourceReader):
    def __init__(self, split: RangeSplit, turns: Turns) -> None:
        self.split = split
        self.turns = turns

    def read(self, max_rows: int, timeout_ms: int) -> Batch | list[Row] | None:
        index = self.split.start
        if index == self.split.end:
            return None
        if not self.turns.turn.acquire(timeout=timeout_ms / 1000):
            return []
        self.split = replace(self.split, start=index + 1)
        return batch_of(np.array([index]), np.array([time.perf_counter_ns()]))

    def position(self) -> SourceSplit:
        return self.split


class PacedReader(SourceReader):
    def __init__(self, split: RangeSplit, rate_per_second: float) -> None:
        self.split = split
        self.interval_ns = 1e9 / rate_per_second
        self.begin = split.start
        self.begin_ns = 0

    def read(self, max_rows: int, timeout_ms: int) -> Batch | list[Row] | None:
        start = self.split.start
        if start == self.split.end:
            return None
        if not self.begin_ns:
            self.begin_ns = time.perf_counter_ns()
        wait_s = (self._due_ns(start) - time.perf_counter_ns()) / 1e9
        if wait_s > 0:
            time.sleep(min(wait_s, timeout_ms / 1000))
        due = self.begin + int((time.perf_counter_ns() - self.begin_ns) / self.interval_ns) + 1
        end = min(due, self.split.end, start + max_rows)
        if end <= start:
            return []
        self.split = replace(self.split, start=end)
        indices = np.arange(start, end)
        return batch_of(indices, self._due_ns(indices))

    def _due_ns(self, index):
        return self.begin_ns + (index - self.begin) * self.interval_ns

    def position(self) -> SourceSplit:
        return self.split


def batch_of(indices: np.ndarray, due_ns: np.ndarray) -> Batch:
    keys = (indices * 2_654_435_761) % KEYS
    return Batch(SCHEMA, [Column.from_numpy(keys), Column.from_numpy(due_ns.astype(np.int64))], len(keys))


class MeasuringSink(Sink):
    """Keeps when each record was due and when it came; lets the next one in."""

    takes_batches = True

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.arrivals: list[tuple[np.ndarray, int]] = []  # [times at which they were due], when they came

    def create_writer(self, context: SinkContext) -> SinkWriter:
        return MeasuringWriter(self)


class MeasuringWriter(SinkWriter):
    def __init__(self, sink: MeasuringSink) -> None:
        self.sink = sink

    def write_batch(self, batch: Batch) -> None:
        now_ns, due_ns = time.perf_counter_ns(), batch.column("due_ns").to_numpy()
        if batch.row_kinds is not None:  # what is taken back came with an earlier record
            due_ns = due_ns[batch.row_kinds != UPDATE_BEFORE]
        self.sink.arrivals.append((due_ns, now_ns))
        self.sink.turns.turn.release()


class Counting(KeyedProcessFunction):
    """A count per key, in keyed state; emits every record with it."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield Row(key=value.key, due_ns=value.due_ns, count=count)


def build(env: StreamExecutionEnvironment, source: Source, operator: str) -> DataStream:
    """The job of a case, up to the sink. Times rise for each key, so a record's own is the greatest so far."""
    keyed = env.from_source(source, None, "records").key_by("key")
    if operator == "aggregate":
        return keyed.aggregate(col("due_ns").max.alias("due_ns"), lit(1).count.alias("count"), emit="record")
    numbers = Types.ROW_NAMED(["key", "due_ns", "count"], [Types.LONG(), Types.LONG(), Types.LONG()])
    return keyed.process(Counting(), numbers)


def measure(
    load: str,
    operator: str,
    parallelism: int = 1,
    *,
    records: int | None = None,
    rate_per_second: float = 100_000,
) -> Latency:
    """Runs one case.

    load : "single" or "paced";  operator : "aggregate" (emits per record) or "process" (Python per record)
    records : how many; by default 5,000 single ones, or 6 s of paced ones;  rate_per_second : of paced ones
    """
    if load not in LOADS or operator not in OPERATORS:
        raise ValueError(f"expected a load of {LOADS} and an operator of {OPERATORS}, got '{load}', '{operator}'")
    rate = None if load == "single" else rate_per_second
    if records is None:
        records = 5_000 if rate is None else int(6 * rate)
    turns = Turns()
    sink = MeasuringSink(turns)
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    build(env, MeasuredSource(records, rate, turns), operator).sink_to(sink)
    cpu_s, began_s = time.process_time(), time.perf_counter()
    env.execute()
    cpu_s, elapsed_s = time.process_time() - cpu_s, time.perf_counter() - began_s
    came_ns = np.concatenate([np.full(len(due_ns), at_ns) for due_ns, at_ns in sink.arrivals])
    due_ns = np.concatenate([due_ns for due_ns, _ in sink.arrivals])
    if len(due_ns) != records // parallelism * parallelism:
        raise AssertionError(f"{records} records went in, {len(due_ns)} came out")
    order = np.argsort(due_ns, kind="stable")[int(WARM_UP * len(due_ns)) :]
    latencies_ms = (came_ns - due_ns)[order] / 1e6
    p50, p99, p999 = np.percentile(latencies_ms, [50, 99, 99.9])
    return Latency(load, operator, parallelism, rate, len(order), elapsed_s * (1 - WARM_UP), cpu_s * (1 - WARM_UP),
                   float(p50), float(p99), float(p999), float(latencies_ms.max()))  # fmt: skip


def idle_cpu(seconds: float = 5.0, parallelism: int = 1) -> float:
    """The processor time that a job takes in which nothing happens, as a share of one core."""
    turns = Turns()
    turns.turn.acquire()
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    build(env, MeasuredSource(1_000_000, None, turns), "aggregate").sink_to(MeasuringSink(turns))
    job = env.execute_async()
    time.sleep(0.5)
    cpu_s = time.process_time()
    time.sleep(seconds)
    cpu_s = time.process_time() - cpu_s
    job.cancel().result()
    return cpu_s / seconds


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__.partition("\n")[0])
    parser.add_argument("--load", choices=LOADS)
    parser.add_argument("--operator", choices=OPERATORS)
    parser.add_argument("--parallelism", type=int, choices=(1, 2, 4))
    parser.add_argument("--records", type=int)
    parser.add_argument("--rate", type=float, default=100_000, help="records per second of the paced load")
    options = parser.parse_args(arguments)
    print(Latency.HEAD)
    for load in [options.load] if options.load else LOADS:
        for operator in [options.operator] if options.operator else OPERATORS:
            for parallelism in [options.parallelism] if options.parallelism else (1, 2):
                case = measure(load, operator, parallelism, records=options.records, rate_per_second=options.rate)
                print(case.line(), flush=True)
    print(f"an idle job takes {100 * idle_cpu():.2f} % of a core")


if __name__ == "__main__":
    main()
