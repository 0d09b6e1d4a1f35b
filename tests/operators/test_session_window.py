# SPDX-License-Identifier: Apache-2.0
"""Sessions on columns mean what Flink's merging windows mean, record by record."""

from __future__ import annotations

import random

import pytest

from flinkcore.errors import DataError, UserFunctionError
from flinkcore.operators.session_window import SessionWindow
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from tests.operators.columnar import AGGREGATES, KEY, SCHEMA, Runner


def sessions(gap_ms=10, extract_gap=None, **settings):
    return SessionWindow(SCHEMA, KEY, AGGREGATES.calls, AGGREGATES.names, gap_ms, extract_gap, **settings)


class NaiveSessions:
    """Flink's WindowOperator with a merging assigner and EventTimeTrigger, one record at a time."""

    def __init__(self, gap_ms, lateness_ms=0):
        self.gap, self.lateness = gap_ms, lateness_ms
        self.windows: dict[int, list[list]] = {}  # key -> [start, end, values]
        self.watermark = MIN_TIMESTAMP
        self.out, self.late = [], []

    def record(self, key, value, time):
        mine = self.windows.setdefault(key, [])
        touching = [w for w in mine if w[0] <= time + self.gap and w[1] >= time]
        start = min([time, *(w[0] for w in touching)])
        end = max([time + self.gap, *(w[1] for w in touching)])
        if end - 1 + self.lateness <= self.watermark:
            self.late.append((key, value, time))
            return
        merged = [start, end, [v for w in touching for v in w[2]] + [value]]
        self.windows[key] = [w for w in mine if w not in touching] + [merged]
        if end - 1 <= self.watermark:
            self.out.append(self.result(key, merged))

    def until(self, watermark):
        for key, windows in self.windows.items():
            self.out += [self.result(key, w) for w in windows if self.watermark < w[1] - 1 <= watermark]
            self.windows[key] = [w for w in windows if w[1] - 1 + self.lateness > watermark]
        self.watermark = watermark

    @staticmethod
    def result(key, window):
        return (key, window[0], window[1], len(window[2]), sum(window[2]), max(window[2]))


def test_records_within_the_gap_are_one_session():
    run = Runner(sessions(10))
    run.send([(1, 1, 0), (1, 2, 9), (1, 3, 30), (2, 4, 5)])
    run.until(38)
    assert run.results() == [(2, 5, 15, 1, 4, 4), (1, 0, 19, 2, 3, 2)]
    run.until(39)
    assert run.results() == [(1, 30, 40, 1, 3, 3)]


def test_sessions_that_touch_merge():
    run = Runner(sessions(10))
    run.send([(1, 1, 0), (1, 2, 20), (1, 4, 10)])
    run.until(MAX_WATERMARK)
    assert run.results() == [(1, 0, 30, 3, 7, 4)]


def test_a_record_is_late_only_when_the_session_that_it_joins_is():
    run = Runner(sessions(10, late_tag="late"))
    run.send([(1, 1, 30)])
    run.until(25)
    run.send([(1, 2, 21), (1, 3, 5), (2, 4, 15)])
    assert run.late_rows() == [(1, 3, 5), (2, 4, 15)]
    run.until(MAX_WATERMARK)
    assert run.results() == [(1, 21, 40, 2, 3, 2)]


def test_a_gap_per_record():
    run = Runner(sessions(None, lambda row: row[1]))
    run.send([(1, 5, 0), (1, 100, 4), (1, 1, 90)])
    run.until(MAX_WATERMARK)
    assert run.results() == [(1, 0, 104, 3, 106, 100)]


def test_a_gap_that_is_not_positive_is_refused():
    with pytest.raises(DataError, match="gap must be positive, the extractor gave 0 ms for record 1"):
        Runner(sessions(None, lambda row: row[1])).send([(1, 5, 0), (1, 0, 0)])
    with pytest.raises(UserFunctionError, match="boom"):
        Runner(sessions(None, lambda row: 1 / 0 if False else (_ for _ in ()).throw(KeyError("boom")))).send(
            [(1, 5, 0)]
        )


def test_processing_time_sessions_end_by_the_clock():
    run = Runner(sessions(10, processing_time=True), now_ms=100)
    run.send([(1, 1, 0)])
    run.advance(5)
    run.send([(1, 2, 0)])
    run.advance(9)
    assert run.results() == []
    run.advance(1)
    assert run.results() == [(1, 100, 115, 2, 3, 2)]


def test_keys_without_sessions_are_forgotten():
    run = Runner(sessions(10))
    for time in range(0, 100_000, 100):
        run.send([(time, 1, time)])
        run.until(time)
    assert len(run.operator.index) <= 2
    assert run.operator.sessions.live_count <= 2


@pytest.mark.parametrize("seed", range(40))
def test_sessions_equal_the_naive_twin_whatever_the_batch_size(seed):
    rng = random.Random(seed)
    gap, lateness = rng.choice([1, 3, 10]), rng.choice([0, 0, 5, 40])
    run = Runner(sessions(gap, lateness_ms=lateness, late_tag="late"))
    naive = NaiveSessions(gap, lateness)
    watermark = -50
    for _ in range(30):
        rows = [
            (rng.randrange(3), rng.randrange(100), watermark + rng.randrange(-20, 40))
            for _ in range(rng.randrange(1, 20))
        ]
        run.send(rows, rng.choice([1, 2, 7, None]))
        for row in rows:
            naive.record(*row)
        watermark += rng.choice([0, 1, 5, 20])
        run.until(watermark)
        naive.until(watermark)
        assert sorted(run.results()) == sorted(naive.out)
        assert sorted(run.late_rows()) == sorted(naive.late)
        naive.out, naive.late = [], []
    run.until(MAX_WATERMARK)
    naive.until(MAX_WATERMARK)
    assert sorted(run.results()) == sorted(naive.out)
