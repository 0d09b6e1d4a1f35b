# SPDX-License-Identifier: Apache-2.0
"""A source subtask goes on from its snapshot as if nothing had happened: rows, watermarks, what is late."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from itertools import chain

import pyarrow as pa
import pytest

from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.connectors.base import Boundedness, RangeSplit, Source, SourceReader, SourceSplit, SplitQueue
from flinkcore.errors import ConfigurationError, ConnectorError
from flinkcore.operators.base import OperatorContext
from flinkcore.runtime.source_driver import (
    SharedEnumerator,
    SourceDriver,
    merged_readers,
    restored_enumerator,
)
from flinkcore.testing.harness import ManualTimers
from flinkcore.time.clock import ManualClock
from flinkcore.time.watermark_spec import WatermarkGenerator, WatermarkStrategySpec

SCHEMA = Schema(["at"], [pa.int64()], "value")


@dataclass(frozen=True)
class TimesSplit(SourceSplit):
    times: tuple[int, ...]


class Times(Source):
    """Lists of timestamps, which are their own records."""

    schema = SCHEMA

    def __init__(self, splits, splits_at_once=1):
        self.splits = splits
        self.splits_at_once = splits_at_once
        self.closed = 0
        self.changed = None

    def create_enumerator(self, parallelism):
        return SplitQueue(TimesSplit(str(i), tuple(times)) for i, times in enumerate(self.splits))

    def create_reader(self, split, context):
        return TimesReader(self, split)

    def check_restored(self, split):
        if split.split_id == self.changed:
            raise ConnectorError(f"split {split.split_id} changed")


class TimesReader(SourceReader):
    def __init__(self, source, split):
        self.source, self.split = source, split

    def read(self, max_rows, timeout_ms):
        times, left = self.split.times[:max_rows], self.split.times[max_rows:]
        self.split = replace(self.split, times=left)
        return list(times) or None

    def position(self):
        return self.split

    def close(self):
        self.source.closed += 1


class Punctuated(WatermarkGenerator):
    """The lowest of the last few timestamps, behind every other record."""

    def __init__(self, remembers):
        self.remembers = remembers
        self.last = []

    def on_event(self, event, event_timestamp, output):
        self.last = [*self.last, event_timestamp][-4:]
        if event_timestamp % 2 == 0:
            output.emit_watermark(min(self.last))

    def on_periodic_emit(self, output):
        if self.last:
            output.emit_watermark(min(self.last) - 1)

    def snapshot_state(self):
        return tuple(self.last) if self.remembers else None

    def restore_state(self, state):
        self.last = list(state)


STRATEGIES = {
    "bounded": WatermarkStrategySpec("bounded", 5, timestamp_column="at"),
    "monotonous": WatermarkStrategySpec("bounded", timestamp_column="at"),
    "custom": WatermarkStrategySpec(
        "custom", generator_factory=lambda: Punctuated(True), timestamp_column="at"
    ),
    "none": WatermarkStrategySpec("none", timestamp_column="at"),
    "elsewhere": None,
}


class Events:
    """What an operator emitted, in order."""

    def __init__(self):
        self.all = []

    def batch(self, batch):
        self.all.extend(to_rows(batch))

    def watermark(self, watermark_ms):
        if watermark_ms > max((mark for _, mark in self.marks()), default=-(2**63)):
            self.all.append(("watermark", watermark_ms))

    def marks(self):
        return [event for event in self.all if isinstance(event, tuple)]

    def idle(self, idle):
        pass

    def side(self, tag, batch):
        raise AssertionError


def opened(source, spec, enumerator=None, batch_rows=3, subtask_index=0, parallelism=1):
    shared = SharedEnumerator(enumerator or source.create_enumerator(parallelism), 1, source.encode_state)
    driver, events = SourceDriver(source, shared, spec), Events()
    config = Configuration().set_string("flinkcore.batch-rows", str(batch_rows))
    context = OperatorContext(
        "source", ManualClock(0), ManualTimers(), config, subtask_index=subtask_index, parallelism=parallelism
    )
    driver.open(context, events)
    return driver, shared, events


def run(driver, polls=10**6):
    while not driver.finished and polls:
        driver.poll(0)
        polls -= 1


def checkpoint(driver, shared, number=1):
    shared.begin_snapshot(number)
    driver.prepare_snapshot(number)
    parts = driver.snapshot(), driver.reader_snapshot()
    return json.loads(json.dumps((*parts, shared.end_snapshot(number))))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("splits_at_once", [1, 3])
@pytest.mark.parametrize("seed", range(6))
def test_a_restored_subtask_emits_what_it_would_have_emitted(strategy, splits_at_once, seed):
    rng = random.Random(seed)
    splits = [[rng.randrange(100) + 3 * i for i in range(rng.randrange(20))] for _ in range(5)]
    spec = STRATEGIES[strategy]
    driver, _, whole = opened(Times(splits, splits_at_once), spec)
    polls = 0
    while not driver.finished:
        driver.poll(0)
        polls += 1
    assert sorted(event for event in whole.all if isinstance(event, int)) == sorted(chain(*splits))
    for cut in range(polls + 1):
        driver, shared, events = opened(Times(splits, splits_at_once), spec)
        run(driver, cut)
        items, reader, enumerator = checkpoint(driver, shared)
        source = Times(splits, splits_at_once)
        driver, _, again = opened(source, spec, restored_enumerator(source, 1, enumerator))
        driver.restore(items, reader)
        assert driver.finished == (cut == polls)
        marks = events.marks()
        assert again.all == marks[-1:]  # whoever listens knows at once what is late
        shared = SharedEnumerator(SplitQueue([]), 1)
        assert checkpoint(driver, shared)[:2] == [items, reader]  # right behind the restore
        run(driver)
        assert events.all + again.all[len(marks[-1:]) :] == whole.all


def test_a_late_record_is_late_again_and_one_that_is_not_stays_in_time():
    spec = STRATEGIES["bounded"]
    source = Times([[100, 100, 100, 50, 94, 95, 120, 120, 120]])
    driver, shared, events = opened(source, spec)
    run(driver, 1)
    items, reader, enumerator = checkpoint(driver, shared)
    driver, _, again = opened(source, spec, restored_enumerator(source, 1, enumerator))
    driver.restore(items, reader)
    run(driver, 2)
    assert events.all == [100, 100, 100, ("watermark", 94)]
    assert again.all == [("watermark", 94), 50, 94, 95, 120, 120, 120, ("watermark", 114)]


def test_a_generator_that_saves_nothing_goes_on_from_its_last_watermark():
    spec = WatermarkStrategySpec("custom", generator_factory=lambda: Punctuated(False), timestamp_column="at")
    source = Times([[10, 20, 30, 40, 5, 6, 50, 60, 70]])
    driver, shared, _ = opened(source, spec)
    run(driver, 1)
    items, reader, enumerator = checkpoint(driver, shared)
    assert items[0][1] == {"dict": [["watermark_ms", 10], ["highest_ms", 30], ["rows", 3], ["rows_since", 0],
                                    ["idle", False], ["generator", None]]}  # fmt: skip
    driver, _, again = opened(source, spec, restored_enumerator(source, 1, enumerator))
    driver.restore(items, reader)
    run(driver, 2)
    assert again.all == [("watermark", 10), 40, ("watermark", 40), 5, 6, 50, 60, 70]


def test_splits_of_many_subtasks_are_read_at_once_by_fewer():
    splits = [[10 * i + j for j in range(8)] for i in range(4)]
    source, spec = Times(splits), STRATEGIES["monotonous"]
    drivers = [opened(source, spec, SplitQueue([TimesSplit(str(i), tuple(splits[i]))])) for i in range(4)]
    for driver, _, _ in drivers:
        run(driver, 1)
    parts = [checkpoint(driver, shared) for driver, shared, _ in drivers]
    readers = [reader for _, reader, _ in parts]
    assert [reader["watermark_ms"] for reader in readers] == [1, 11, 21, 31]
    driver, _, again = opened(source, spec, SplitQueue([]))
    driver.restore([item for items, _, _ in parts for item in items], merged_readers(readers))
    assert again.all == [("watermark", 1)]
    run(driver)
    rows = [event for event in again.all if isinstance(event, int)]
    assert sorted(rows) == sorted(chain(*(times[3:] for times in splits)))
    assert rows[:12] == [
        3,
        4,
        5,
        13,
        14,
        15,
        23,
        24,
        25,
        33,
        34,
        35,
    ]  # in turn, so that event time advances together
    assert source.closed == 4


def test_the_watermark_of_splits_that_are_over_is_not_forgotten():
    source, spec = Times([[100, 101, 102], [7, 8, 9, 10]]), STRATEGIES["monotonous"]
    driver, shared, events = opened(source, spec)
    run(driver, 3)  # the second split has begun
    assert events.all == [100, 101, 102, ("watermark", 101), 7, 8, 9]
    items, reader, _ = checkpoint(driver, shared)
    driver, _, again = opened(source, spec, SplitQueue([]))
    driver.restore(items, reader)
    run(driver)
    assert again.all == [("watermark", 101), 10]


def test_a_split_whose_data_changed_fails_the_restore_and_closes_what_is_open():
    source = Times([[1, 2, 3, 4], [5, 6, 7, 8]], splits_at_once=2)
    driver, shared, _ = opened(source, STRATEGIES["bounded"])
    run(driver, 2)
    items, reader, enumerator = checkpoint(driver, shared)
    source.changed = "1"
    driver, _, _ = opened(source, STRATEGIES["bounded"], restored_enumerator(source, 1, enumerator))
    with pytest.raises(ConnectorError, match="split 1 changed"):
        driver.restore(items, reader)
    driver.close()
    assert source.closed == 1


def test_the_same_split_twice_is_refused():
    source = Times([[1, 2, 3, 4]])
    driver, shared, _ = opened(source, None)
    run(driver, 1)
    items, reader, _ = checkpoint(driver, shared)
    driver, _, _ = opened(source, None)
    with pytest.raises(ConfigurationError, match="two splits with the id '0'"):
        driver.restore(items * 2, reader)


def test_splits_found_while_others_are_restored_come_after_them():
    source = Times([[1, 2], [3, 4]], splits_at_once=2)
    source.boundedness = Boundedness.CONTINUOUS_UNBOUNDED
    driver, shared, _ = opened(source, None, batch_rows=1)
    run(driver, 1)
    items, reader, enumerator = checkpoint(driver, shared)
    assert [item[0]["dataclass"][1]["split_id"] for item in items] == ["0", "1"]
    driver, _, events = opened(source, None, restored_enumerator(source, 1, enumerator), batch_rows=1)
    driver.restore(items, reader)
    run(driver, 20)
    assert events.all == [3, 2, 4]


def test_the_snapshot_of_a_finished_subtask_says_so():
    driver, shared, _ = opened(Times([[1]]), STRATEGIES["bounded"])
    run(driver)
    items, reader, _ = checkpoint(driver, shared)
    assert items == [] and reader == {"watermark_ms": None, "finished": True, "next": 0}


def test_a_range_split_is_a_position_too():
    assert Times([]).decode_split(Times([]).encode_split(RangeSplit("a", 1, 2))) == RangeSplit("a", 1, 2)


@pytest.mark.parametrize(("ms_per_row", "expected"), [(0, 4096), (1, 100), (10, 10), (200, 1)])
def test_batches_get_so_long_that_a_barrier_waits_a_tenth_of_a_second(ms_per_row, expected):
    """They begin with few rows, double while they are done at once, and never are longer than they may be."""
    clock, sizes = ManualClock(0), []

    class Slow(Events):
        def batch(self, batch):
            sizes.append(batch.num_rows)
            clock.advance(ms_per_row * batch.num_rows)

    source = Times([range(100_000)])
    driver = SourceDriver(source, SharedEnumerator(source.create_enumerator(1), 1), None)
    config = Configuration()
    config.set_string("flinkcore.batch-rows", "4096")
    driver.open(OperatorContext("times", clock, ManualTimers(), config), Slow())
    while len(sizes) < 8:
        assert driver.poll(0)
    assert sizes[0] == 128 and sizes[-1] == expected
