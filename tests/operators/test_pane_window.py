# SPDX-License-Identifier: Apache-2.0
"""Tumbling and sliding windows on columns mean what Flink's WindowOperator means, record by record."""

from __future__ import annotations

import random

import pytest

from flinkcore import options
from flinkcore.config import Configuration
from flinkcore.errors import DataError
from flinkcore.operators.pane_window import PaneWindow
from flinkcore.testing.harness import Harness
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from tests.operators.columnar import AGGREGATES, KEY, SCHEMA, Runner


def window(size_ms, slide_ms=None, **settings):
    return PaneWindow(SCHEMA, KEY, AGGREGATES.calls, AGGREGATES.names, size_ms, slide_ms, **settings)


class NaiveWindows:
    """Flink's WindowOperator with EventTimeTrigger, one record and one window at a time."""

    def __init__(self, size_ms, slide_ms=None, offset_ms=0, lateness_ms=0):
        self.size, self.slide, self.offset, self.lateness = (
            size_ms,
            slide_ms or size_ms,
            offset_ms,
            lateness_ms,
        )
        self.windows: dict[tuple[int, int], list[int]] = {}
        self.fired: set[tuple[int, int]] = set()
        self.watermark = MIN_TIMESTAMP
        self.out, self.late = [], []

    def result(self, key, start):
        values = self.windows[key, start]
        return (key, start, start + self.size, len(values), sum(values), max(values))

    def record(self, key, value, time):
        last = time - (time - self.offset) % self.slide
        starts = list(range(last, time - self.size, -self.slide))
        open_starts = [start for start in starts if start + self.size - 1 + self.lateness > self.watermark]
        if not open_starts and time + self.lateness <= self.watermark:
            self.late.append((key, value, time))
        for start in open_starts:
            self.windows.setdefault((key, start), []).append(value)
            if start + self.size - 1 <= self.watermark:
                self.out.append(self.result(key, start))

    def until(self, watermark):
        due = sorted(
            (start, key) for key, start in self.windows if self.watermark < start + self.size - 1 <= watermark
        )
        self.out += [self.result(key, start) for start, key in due]
        self.watermark = watermark
        for key, start in list(self.windows):
            if start + self.size - 1 + self.lateness <= watermark:
                del self.windows[key, start]


def test_window_fires_when_the_watermark_reaches_its_last_millisecond():
    run = Runner(window(1000))
    run.send([(1, 1, 0), (1, 2, 999), (2, 5, 10)])
    run.until(998)
    assert run.results() == []
    run.until(999)
    assert run.results() == [(1, 0, 1000, 2, 3, 2), (2, 0, 1000, 1, 5, 5)]
    assert run.watermarks == [998, 999]


@pytest.mark.parametrize("rows, sizes", [(2, [2, 2, 1]), (5, [5]), (6, [5])])
def test_results_come_in_batches_of_the_configured_rows(rows, sizes):
    run = Runner(window(1000), config=Configuration().set(options.BATCH_ROWS, rows))
    run.send([(key, key, 0) for key in range(5)])
    run.until(999)
    assert [batch.num_rows for batch in run.batches] == sizes
    assert run.results() == [(key, 0, 1000, 1, key, key) for key in range(5)]


def test_windows_fire_in_the_order_of_their_ends():
    run = Runner(window(10))
    run.send([(1, 1, 25), (1, 1, 5), (1, 1, -5)])
    run.until(MAX_WATERMARK)
    assert [row[1] for row in run.results()] == [-10, 0, 20]


def test_a_record_late_by_a_millisecond_is_dropped_and_counted():
    run = Runner(window(1000))
    run.send([(1, 1, 0)])
    run.until(999)
    run.send([(1, 7, 999), (1, 8, 1000)])
    assert run.context.metrics.late_dropped == 1
    run.until(MAX_WATERMARK)
    assert run.results() == [(1, 0, 1000, 1, 1, 1), (1, 1000, 2000, 1, 8, 8)]


def test_late_records_go_to_the_side_output():
    run = Runner(window(1000, late_tag="late"))
    run.until(5000)
    run.send([(1, 7, 999), (1, 8, 5000)])
    assert run.late_rows() == [(1, 7, 999)]
    assert run.context.metrics.late_dropped == 0


def test_a_window_fires_again_for_each_record_within_the_allowed_lateness():
    run = Runner(window(1000, lateness_ms=100))
    run.send([(1, 1, 0)])
    run.until(1098)
    run.results()
    run.send([(1, 2, 500), (1, 3, 501), (2, 4, 502)])
    assert run.results() == [(1, 0, 1000, 2, 3, 2), (1, 0, 1000, 3, 6, 3), (2, 0, 1000, 1, 4, 4)]
    run.until(1099)
    run.send([(1, 9, 500)])
    assert run.results() == [] and run.context.metrics.late_dropped == 1


def test_processing_time_windows_fire_by_the_clock_and_not_at_the_end():
    run = Runner(window(1000, processing_time=True), now_ms=10_500)
    run.send([(1, 1, 0), (1, 2, 0)])
    run.advance(499)
    assert run.results() == []
    run.advance(1)
    assert run.results() == [(1, 10_000, 11_000, 2, 3, 2)]
    run.send([(1, 5, 0)])
    run.until(MAX_WATERMARK)
    assert run.results() == []
    assert "1 windows wait for processing time" in run.operator.unfired()


@pytest.mark.parametrize("parallelism", [1, 3])
def test_windows_that_a_subtask_fired_ahead_of_the_others_fire_for_no_key_again_after_a_rescale(parallelism):
    def subtask(index, count, now_ms, restore=None):
        operator = window(30, 10, processing_time=True)
        return Harness(
            operator, SCHEMA, "k", now_ms=now_ms, parallelism=count, subtask_index=index, restore=restore
        )

    def fired(harnesses):
        return [(row[0], row[2].microsecond // 1000) for harness in harnesses for row in harness.output()]

    before = [subtask(index, 2, 5) for index in range(2)]
    for harness, until_ms in zip(before, (12, 25)):
        harness.batch([(key, 1) for key in range(20)]).advance(until_ms - 5)
    early = fired(before)
    snapshots = [harness.snapshot() for harness in before]
    between = [subtask(index, parallelism, 11, snapshots) for index in range(parallelism)]
    snapshots = [harness.snapshot() for harness in between]
    last = subtask(0, 1, 11, snapshots)
    ends = sorted((key, end) for key in range(20) for end in (10, 20, 30))
    for harnesses in (between, [last]):
        for harness in harnesses:
            harness.advance(100)
        assert sorted(early + fired(harnesses)) == ends


def test_a_clock_that_is_behind_after_a_restore_brings_no_record_to_a_window_that_has_fired():
    def subtask(now_ms, restore=None):
        return Harness(window(1000, processing_time=True), SCHEMA, "k", now_ms=now_ms, restore=restore)

    first = subtask(10_500)
    first.batch([(1, 1)]).advance(600)
    assert len(first.output()) == 1
    again = subtask(10_900, first.snapshot())
    again.batch([(1, 5), (2, 6)]).advance(2000)
    assert [(row[0], row[4]) for row in again.output()] == [(1, 5), (2, 6)]


def test_a_record_of_the_last_millisecond_of_a_processing_time_window_still_counts():
    run = Runner(window(1000, processing_time=True), now_ms=10_999)
    run.send([(1, 1, 0)])
    run.advance(0)
    run.send([(1, 2, 0)])
    run.advance(0)
    assert run.results() == []
    run.advance(1)
    assert run.results() == [(1, 10_000, 11_000, 2, 3, 2)]


def test_records_without_timestamps_are_refused():
    run = Runner(window(1000))
    with pytest.raises(DataError, match="assign_timestamps_and_watermarks"):
        from flinkcore.columnar.batch import Batch

        run.operator.process_batch(Batch.empty(SCHEMA).with_timestamps(None))


def test_keys_of_the_past_are_forgotten():
    run = Runner(window(10))
    for start in range(0, 400_000, 10):
        run.send([(start, 1, start)])
        run.until(start)
    assert len(run.operator.index) < 10_000
    assert len(run.operator.panes) == 1


def test_what_waits_is_said():
    run = Runner(window(60_000))
    assert run.operator.unfired() is None
    run.send([(1, 1, 0)])
    assert (
        run.operator.unfired()
        == "1 windows wait for the watermark; the first ends at 1970-01-01 00:01:00.000"
    )


@pytest.mark.parametrize("seed", range(40))
def test_windows_equal_the_naive_twin_whatever_the_batch_size(seed):
    rng = random.Random(seed)
    size = rng.choice([1, 5, 10, 12])
    settings = {
        "slide_ms": rng.choice([None, 1, 3, 4, 5, 15]),
        "offset_ms": rng.choice([0, 2]),
        "lateness_ms": rng.choice([0, 0, 4, 30]),
    }
    if settings["slide_ms"] and settings["offset_ms"] >= settings["slide_ms"]:
        settings["offset_ms"] = 0
    run, naive = Runner(window(size, late_tag="late", **settings)), NaiveWindows(size, **settings)
    watermark = -50
    for _ in range(30):
        rows = [
            (rng.randrange(4), rng.randrange(100), watermark + rng.randrange(-20, 30))
            for _ in range(rng.randrange(1, 25))
        ]
        run.send(rows, rng.choice([1, 2, 7, None]))
        for row in rows:
            naive.record(*row)
        watermark += rng.choice([0, 1, 5, 20])
        run.until(watermark)
        naive.until(watermark)
        # Between firings a batch may give results of several keys in another order than record by record.
        assert sorted(run.results()) == sorted(naive.out)
        assert sorted(run.late_rows()) == sorted(naive.late)
        naive.out, naive.late = [], []
    run.until(MAX_WATERMARK)
    naive.until(MAX_WATERMARK)
    assert sorted(run.results()) == sorted(naive.out)
