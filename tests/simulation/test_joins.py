# SPDX-License-Identifier: Apache-2.0
"""Joins through crashes, rescales and storage that fails give each pair once."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from flinkcore.common import Duration, Time, Types, WatermarkStrategy
from flinkcore.datastream import CoGroupFunction, ProcessJoinFunction
from flinkcore.datastream.window import SlidingEventTimeWindows, TumblingEventTimeWindows
from flinkcore.testing import simulate

LONG, STRING = Types.LONG(), Types.STRING()
RNG = random.Random(7)
DISORDER_MS = 20
LEFT, RIGHT = (
    [(RNG.choice("abcdef"), i, 5 * i + RNG.randrange(DISORDER_MS)) for i in range(40)] for _ in range(2)
)
SIZE_MS, SLIDE_MS, LOWER_MS, UPPER_MS = 60, 20, -15, 25


def streams(env):
    env.get_configuration().set_string("flinkcore.batch-rows", "4")
    in_time = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(DISORDER_MS))
    in_time = in_time.with_timestamp_column("at")
    for rows, names in ((LEFT, ["k", "v", "at"]), (RIGHT, ["k", "w", "at"])):
        stream = env.from_collection(rows, Types.ROW_NAMED(names, [STRING, LONG, LONG]))
        yield stream.assign_timestamps_and_watermarks(in_time)


def windows(time_ms):
    last = time_ms - time_ms % SLIDE_MS
    return range(last, time_ms - SIZE_MS, -SLIDE_MS)


def window_join(env):
    left, right = streams(env)
    windows = SlidingEventTimeWindows.of(Time.milliseconds(SIZE_MS), Time.milliseconds(SLIDE_MS))
    pairs = left.join(right).where("k").equal_to("k").window(windows)
    return pairs.apply(lambda one, other: (one.v, other.w), Types.TUPLE([LONG, LONG]))


class Pair(ProcessJoinFunction):
    def process_element(self, left, right, ctx):
        yield left.v, right.w


def interval_join(env):
    left, right = streams(env)
    by_key = right.key_by(lambda row: row.k, STRING)
    pairs = left.key_by("k").interval_join(by_key)
    return pairs.between(Time.milliseconds(LOWER_MS), Time.milliseconds(UPPER_MS)).process(Pair())


class Both(CoGroupFunction):
    def co_group(self, first, second):
        yield tuple(sorted(row.v for row in first)), tuple(sorted(row.w for row in second))


def co_group(env):
    left, right = streams(env)
    windows = TumblingEventTimeWindows.of(Time.milliseconds(SIZE_MS))
    return left.co_group(right).where("k").equal_to("k").window(windows).apply(Both())


def expected(build):
    if build is window_join:
        return Counter(
            (v, w)
            for key, v, at in LEFT
            for other, w, when in RIGHT
            if key == other
            for _ in set(windows(at)) & set(windows(when))
        )
    if build is interval_join:
        return Counter(
            (v, w)
            for key, v, at in LEFT
            for other, w, when in RIGHT
            if key == other and at + LOWER_MS <= when <= at + UPPER_MS
        )
    groups = {}
    for side, rows in enumerate((LEFT, RIGHT)):
        for key, value, at in rows:
            groups.setdefault((key, at // SIZE_MS), ([], []))[side].append(value)
    return Counter((tuple(sorted(one)), tuple(sorted(other))) for one, other in groups.values())


@pytest.mark.parametrize("first", range(0, 20, 5))
@pytest.mark.parametrize("build", [window_join, interval_join, co_group])
def test_each_pair_comes_once(build, first):
    wanted = expected(build)
    assert len(wanted) > 20
    for seed in range(first, first + 5):
        found = simulate(build, seed, crashes=3, parallelism=(1, 2, 3), storage_faults=0.03)
        assert Counter(found) == wanted, f"seed {seed}"
