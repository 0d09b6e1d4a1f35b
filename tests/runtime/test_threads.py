# SPDX-License-Identifier: Apache-2.0
"""Which tasks share a thread, and that a job does the same whatever has one."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.common import Time, WatermarkStrategy
from flinkcore.connectors.base import (
    Boundedness,
    Sink,
    SinkWriter,
    Source,
    SourceReader,
    SourceSplit,
    SplitQueue,
)
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.window import TumblingEventTimeWindows
from flinkcore.errors import JobCancelledError, JobExecutionError
from flinkcore.runtime.local import tasks_of_threads
from flinkcore.table.expressions import col

THREADS = ["TASK", "SLOT", "AUTO"]


def environment(threads, parallelism=2):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    env.get_configuration().set_string("flinkcore.threads", threads)
    return env


def task(name, subtask_index=0, parallelism=1, waits=False):
    return SimpleNamespace(name=name, subtask_index=subtask_index, parallelism=parallelism, waits=waits)


def names(crews):
    return [[f"{task.name}{task.subtask_index}" for task in crew] for crew in crews]


@pytest.mark.parametrize(
    ("threads", "processors", "expected"),
    [
        ("TASK", 2, [["a0"], ["a1"], ["b0"], ["b1"]]),
        ("SLOT", 2, [["a0", "b0"], ["a1", "b1"]]),
        ("SLOT", 64, [["a0", "b0"], ["a1", "b1"]]),
        ("AUTO", 2, [["a0", "b0"], ["a1", "b1"]]),
        ("AUTO", 1, [["a0", "b0"], ["a1", "b1"]]),
        ("AUTO", 3, [["a0"], ["a1"], ["b0"], ["b1"]]),
    ],
)
def test_slots_share_threads_when_there_are_enough_of_them(threads, processors, expected):
    tasks = [task(name, index, 2) for name in "ab" for index in range(2)]
    assert names(tasks_of_threads(tasks, threads, processors)) == expected


def test_tasks_that_wait_have_threads_to_themselves():
    tasks = [task("source", waits=True), task("map", 0, 2), task("map", 1, 2), task("sink"), task("call", 1, 2, True)]
    assert names(tasks_of_threads(tasks, "SLOT", 2)) == [["source0"], ["call1"], ["map0", "sink0"], ["map1"]]


class Told(Sink):
    """Calls a function with each batch."""

    takes_batches = True

    def __init__(self, tell):
        self.tell = tell

    def create_writer(self, context):
        return TellingWriter(self.tell)


class TellingWriter(SinkWriter):
    def __init__(self, tell):
        self.tell = tell

    def write_batch(self, batch):
        self.tell(batch)


@pytest.mark.parametrize("threads", THREADS)
def test_a_job_gives_the_same_results_whatever_has_a_thread(threads):
    rows = 20_000
    numbers = np.arange(rows)
    table = pa.table({"k": numbers % 100, "v": numbers, "ts": pa.array(numbers, pa.timestamp("ms"))})
    env = environment(threads)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("ts")
    timed = env.from_arrow(table).assign_timestamps_and_watermarks(strategy)
    windows = timed.key_by("k").window(TumblingEventTimeWindows.of(Time.milliseconds(1000)))
    with windows.aggregate(col("v").sum.alias("sum"), col("v").count.alias("count")).execute_and_collect() as found:
        totals = [(row[-2], row[-1]) for row in found]
    assert len(totals) == 2000
    assert sum(total for total, _ in totals) == numbers.sum()
    assert sum(count for _, count in totals) == rows


@pytest.mark.parametrize("threads", THREADS)
def test_the_operator_that_fails_is_named_whichever_task_its_thread_was_at(threads):
    env = environment(threads)

    def broken(batch):
        raise ValueError("not today")

    stream = env.from_arrow(pa.table({"k": np.arange(1000) % 7, "v": np.arange(1000)}))
    stream.key_by("k").sum("v").sink_to(Told(broken)).name("the broken one")
    with pytest.raises(JobExecutionError, match=r"(?s)the broken one.*not today"):
        env.execute()


class Endless(Source):
    """The same numbers for ever. waits : what it says of itself"""

    boundedness = Boundedness.CONTINUOUS_UNBOUNDED
    schema = Schema(["k", "v"], [pa.int64(), pa.int64()])

    def __init__(self, waits):
        self.waits = waits
        self.threads = set()

    def create_enumerator(self, parallelism):
        return SplitQueue([SourceSplit(f"{i}") for i in range(parallelism)])

    def create_reader(self, split, context):
        return EndlessReader(self, split)


class EndlessReader(SourceReader):
    def __init__(self, source, split):
        self.source, self.split = source, split

    def read(self, max_rows, timeout_ms):
        self.source.threads.add((threading.current_thread().name, timeout_ms > 0))
        return pa.RecordBatch.from_pydict({"k": np.arange(50), "v": np.arange(50)})

    def position(self):
        return self.split


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("threads", THREADS)
def test_a_job_whose_source_never_lets_go_processes_is_cancelled_and_leaves_no_thread(threads, waits):
    env = environment(threads)
    source = Endless(waits)
    arrived = threading.Event()
    stream = env.from_source(source, None, "numbers")
    stream.key_by("k").sum("v").sink_to(Told(lambda batch: arrived.set()))
    job = env.launch("endless")
    assert arrived.wait(20)  # the consumers of a slot have their turn
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.wait(20)
    assert not any(worker.is_alive() for worker in job.attempt.workers)
    alone = threads == "TASK" or waits
    if threads != "AUTO":  # else it depends on the machine
        assert all(("," not in name) == alone for name, _ in source.threads)
        assert alone or not any(may_wait for _, may_wait in source.threads)
