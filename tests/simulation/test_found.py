# SPDX-License-Identifier: Apache-2.0
"""What random jobs have found, as small stories."""

from __future__ import annotations

import errno
import random

import pytest

from flinkcore.common import Duration, Time, Types, WatermarkStrategy
from flinkcore.common.watermark_strategy import TimestampAssigner, WatermarkGenerator
from flinkcore.datastream import MapFunction, OutputTag, StreamExecutionEnvironment
from flinkcore.datastream.state import ListStateDescriptor
from flinkcore.datastream.window import (
    EventTimeSessionWindows,
    ProcessingTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from flinkcore.errors import ConfigurationError, StateFormatError
from flinkcore.runtime.simulation import Process
from flinkcore.table.expressions import col
from flinkcore.testing import ManualClock, harness, simulate
from flinkcore.testing.storage import Calls, Disk, SimulatedStore
from tests.simulation.outcome import Keep
from tests.simulation.sources import Partitions

PAIR = Types.ROW_NAMED(["k", "v"], [Types.STRING(), Types.LONG()])


def environment(parallelism=1, **options):
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(parallelism)
    for key, value in options.items():
        env.get_configuration().set_string(key, str(value))
    return env


class SecondField(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


class EachRecord(WatermarkGenerator):
    def on_event(self, event, event_timestamp, output):
        output.emit_watermark(event_timestamp)

    def on_periodic_emit(self, output):
        pass


PUNCTUATED = WatermarkStrategy.for_generator(EachRecord).with_timestamp_assigner(SecondField())


def test_late_records_reach_the_side_output_of_results_that_are_computed_from_aggregates():
    late = OutputTag("late", PAIR)
    env = environment()
    stream = env.from_collection([("a", 5), ("a", 30), ("a", 7)], PAIR)
    windows = (
        stream.assign_timestamps_and_watermarks(PUNCTUATED)
        .key_by("k")
        .window(TumblingEventTimeWindows.of(Time.milliseconds(10)))
        .side_output_late_data(late)
        .aggregate((col("v").max - col("v").min).alias("spread"))
    )
    assert [tuple(row) for row in simulate(windows.get_side_output(late))] == [("a", 7)]


@pytest.mark.parametrize("seed", range(5))
def test_changes_computed_from_aggregates_stay_in_order_whatever_the_parallelism(seed):
    env = environment(1, **{"flinkcore.batch-rows": 1})
    stream = env.from_collection([("a", v) for v in range(20)], PAIR)
    spread = stream.key_by("k").aggregate((col("v").max - col("v").min).alias("spread")).set_parallelism(3)
    changes = simulate(spread.map(lambda row: (row.get_row_kind().name, row[1])).set_parallelism(3), seed)
    expected = [("INSERT", 0)]
    for value in range(1, 20):
        expected += [("UPDATE_BEFORE", value - 1), ("UPDATE_AFTER", value)]
    assert changes == expected


def test_what_is_computed_from_windows_over_all_records_has_one_subtask_too():
    env = environment(3)
    stream = env.from_collection([("a", 1)], PAIR).assign_timestamps_and_watermarks(PUNCTUATED)
    windows = stream.window_all(TumblingEventTimeWindows.of(Time.milliseconds(10)))
    spread = windows.aggregate((col("v").max - col("v").min).alias("spread"))
    with pytest.raises(ConfigurationError, match="can have 1 subtask"):
        spread.set_parallelism(2)


def test_a_source_that_has_nothing_to_read_now_is_asked_again():
    records = [(i, "k", 0, 0, 0, 0.0, "s", 0) for i in range(20)]
    env = environment(**{"flinkcore.batch-rows": 2})
    assert len(simulate(env.from_source(Partitions([records], 1)), 3)) == 20


@pytest.mark.parametrize("seed", range(20))
def test_records_of_an_idle_source_are_not_late_because_another_has_finished(seed):
    strategy = (
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(1000))
        .with_idleness(Duration.of_millis(1))
        .with_timestamp_assigner(SecondField())
    )
    env = environment(1, **{"flinkcore.batch-rows": 1, "pipeline.auto-watermark-interval": "1 ms"})
    streams = [
        env.from_collection([(name, v) for v in range(10)], PAIR).assign_timestamps_and_watermarks(strategy)
        for name in "ab"
    ]
    windows = (
        streams[0]
        .union(streams[1])
        .key_by("k")
        .window(TumblingEventTimeWindows.of(Time.milliseconds(100)))
        .aggregate(col("v").count.alias("n"))
        .set_parallelism(2)
    )
    assert sorted((row[0], row[3]) for row in simulate(windows, seed)) == [("a", 10), ("b", 10)]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
@pytest.mark.parametrize(
    "assigner",
    [
        SlidingEventTimeWindows.of(Time.milliseconds(100), Time.milliseconds(50)),
        EventTimeSessionWindows.with_gap(Time.milliseconds(35)),
    ],
)
def test_the_first_and_the_last_value_of_a_window_are_those_that_came_so(assigner, batch_rows):
    env = environment(**{"flinkcore.batch-rows": batch_rows})
    strategy = WatermarkStrategy.no_watermarks().with_timestamp_assigner(SecondField())
    stream = env.from_collection([("a", 90), ("a", 10), ("a", 60), ("a", 30)], PAIR)
    windows = stream.assign_timestamps_and_watermarks(strategy).key_by("k").window(assigner)
    results = simulate(windows.aggregate(col("v").first_value, col("v").last_value, col("v").count))
    assert [tuple(row)[3:5] for row in results if row[5] == 4] == [(90, 30)]


def test_a_partitioner_of_ones_own_chooses_among_subtasks():
    env = environment()
    numbers = env.from_collection(list(range(10)), Types.LONG())
    parts = numbers.partition_custom(lambda key, count: key % count, lambda n: n).map(lambda n: n).set_parallelism(3)
    assert sorted(simulate(parts, 1)) == list(range(10))


@pytest.mark.parametrize("assigner", [TumblingProcessingTimeWindows, ProcessingTimeSessionWindows])
def test_a_window_of_processing_time_fires_after_its_last_millisecond(assigner):
    gap = Time.milliseconds(10)
    made = assigner.of(gap) if assigner is TumblingProcessingTimeWindows else assigner.with_gap(gap)
    stream = environment().from_collection([], PAIR).key_by("k")
    window = stream.window(made).aggregate(col("v").count.alias("n"))._transformation.factory()
    op = harness(window, key="k")
    op.batch([("a", 1)])
    op.advance(9)
    assert op.output() == []
    if assigner is TumblingProcessingTimeWindows:
        op.batch([("a", 2)])
        op.advance(1)
        assert [row[3] for row in op.output()] == [2]
    else:
        op.advance(1)
        assert [row[3] for row in op.output()] == [1]


@pytest.mark.parametrize("seed", [7, 11, 14, 15, 16, 22, 27])
def test_a_job_that_had_ended_all_but_for_a_commit_ends_after_a_crash(seed):
    """Its source and its reduce stay closed, and take no part in the checkpoint that its sink still waits for."""

    def build(env):
        env.get_configuration().set_string("flinkcore.batch-rows", "4")
        letters = env.from_collection([("abcdefgh"[i % 8], 1) for i in range(60)], PAIR)
        return letters.map(tuple).key_by(lambda pair: pair[0]).reduce(lambda a, b: (a[0], a[1] + b[1]))

    found = simulate(build, seed, crashes=5, parallelism=(1, 2, 3), storage_faults=0.03)
    assert sorted(found) == sorted(("abcdefgh"[i % 8], i // 8 + 1) for i in range(60))


@pytest.mark.parametrize("seed", range(4))
def test_compressed_state_is_restored(seed):
    def build(env):
        env.get_configuration().set_string("flinkcore.batch-rows", "4")
        env.get_configuration().set_string("execution.checkpointing.snapshot-compression", "true")
        letters = env.from_collection([("a" * 500 + str(i % 8), i) for i in range(60)], PAIR)
        return letters.key_by("k").aggregate(col("v").sum.alias("total"), emit="final")

    found = simulate(build, seed, crashes=3, parallelism=(1, 2), checkpoint_interval_ms=1)
    assert sorted(row[1] for row in found) == sorted(sum(range(i, 60, 8)) for i in range(8))


def test_a_job_whose_damaged_checkpoint_cannot_be_passed_over_fails(monkeypatch):
    env = environment(**{"flinkcore.batch-rows": 1, "execution.checkpointing.interval": "1 ms"})
    env.from_collection(list(range(50)), Types.LONG()).print()
    store = SimulatedStore(Disk(), Calls(random.Random(0), ManualClock()))
    process = Process(env.job_graph(), ManualClock(), random.Random(0), "a test", store, drift=(0.5, 5))
    while process.coordinator.latest is None:
        assert not process.run(1)

    def broken(*arguments, **options):
        raise OSError(errno.EIO, "broken")

    recovery = process._recovery
    recovery.to_latest(process.coordinator)
    monkeypatch.setattr(store.calls, "call", broken)
    failure = RuntimeError("cannot be restored")
    failure.__cause__ = StateFormatError("damaged")
    assert recovery.delay_ms(failure, usual_ms=1000) is None


class Remembering(MapFunction):
    def open(self, runtime_context):
        store = runtime_context.get_operator_state_store()
        self.seen = store.get_list_state(ListStateDescriptor("seen", Types.STRING()))

    def map(self, value):
        self.seen.add(str(value))
        return value


@pytest.mark.parametrize("seed", range(12))
def test_snapshots_of_checkpoints_that_were_given_up_keep_no_files(seed):
    env = environment(
        2,
        **{
            "flinkcore.batch-rows": 1,
            "flinkcore.channel-batches": 1,
            "execution.checkpointing.interval": "5 ms",
            "execution.checkpointing.timeout": "20 ms",
            "execution.checkpointing.tolerable-failed-checkpoints": 1000,
            "execution.checkpointing.data-inline-threshold": "0 b",
        },
    )
    letters = env.from_collection([(str(i % 20), i) for i in range(100)], PAIR).rebalance().map(tuple, PAIR)
    # Two operators with state in one task: the segment of the first may be finished after the checkpoint was given up.
    letters.key_by("k").aggregate(col("v").sum.alias("total")).map(Remembering()).sink_to(Keep())
    clock = ManualClock()
    store = SimulatedStore(disk := Disk(), Calls(random.Random(0), clock))
    process = Process(env.job_graph(), clock, random.Random(seed), "a test", store, drift=(0.3, 5))
    while not process.run(100_000):
        pass
    coordinator = process.coordinator
    assert coordinator.history.failed_count > 10
    assert not coordinator._planned  # what is held is what stands here
    coordinator.home.collect(set())
    wanted = set() if coordinator.latest is None else coordinator.latest.paths()
    assert {path.partition("/")[2] for path in disk.files if path.endswith(".seg")} == wanted
