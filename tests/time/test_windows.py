# SPDX-License-Identifier: Apache-2.0
"""Windows, assigners and the set of merging windows."""

from __future__ import annotations

import copy
import pickle
import random
from io import BytesIO

import pytest

from flinkcore.errors import ConfigurationError
from flinkcore.time import MAX_WATERMARK
from flinkcore.time.assigners import (
    CountSlidingWindowAssigner,
    EventTimeSessionWindows,
    GlobalWindows,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from flinkcore.time.clock import ManualClock
from flinkcore.time.merging import MergingWindowSet
from flinkcore.time.windows import (
    CountWindow,
    CountWindowSerializer,
    GlobalWindow,
    GlobalWindowSerializer,
    TimeWindow,
    TimeWindowSerializer,
)


def test_time_windows_order_by_start_then_end():
    assert TimeWindow(0, 5) < TimeWindow(0, 6) < TimeWindow(1, 2)
    assert TimeWindow(0, 5) <= TimeWindow(0, 5) and not TimeWindow(0, 5) < TimeWindow(0, 5)
    assert TimeWindow(0, 5) == TimeWindow(0, 5) and hash(TimeWindow(0, 5)) == hash(TimeWindow(0, 5))
    assert TimeWindow(0, 5).max_timestamp() == 4
    with pytest.raises(TypeError):
        TimeWindow(0, 5) < 3  # noqa: B015


def test_windows_that_touch_intersect_and_cover():
    assert TimeWindow(0, 5).intersects(TimeWindow(5, 6)) and not TimeWindow(0, 5).intersects(TimeWindow(6, 7))
    assert TimeWindow(0, 5).cover(TimeWindow(8, 9)) == TimeWindow(0, 9)


@pytest.mark.parametrize(
    ("window", "serializer"),
    [
        (TimeWindow(-5, 2**40), TimeWindowSerializer()),
        (CountWindow(7), CountWindowSerializer()),
        (GlobalWindow.get(), GlobalWindowSerializer()),
    ],
)
def test_windows_survive_bytes_copies_and_pickles(window, serializer):
    stream = BytesIO()
    serializer.serialize(window, stream)
    stream.seek(0)
    assert (
        serializer.deserialize(stream)
        == copy.deepcopy(window)
        == pickle.loads(pickle.dumps(window))
        == window
    )


def test_the_last_millisecond_of_windows_without_end_is_the_last_of_all():
    assert CountWindow(1).max_timestamp() == GlobalWindow().max_timestamp() == MAX_WATERMARK


@pytest.mark.parametrize("seed", range(20))
def test_tumbling_and_sliding_equal_their_definition(seed):
    rng = random.Random(seed)
    size = rng.randrange(1, 50)
    slide = rng.randrange(1, 60)
    offset = rng.randrange(-slide + 1, slide)
    sliding = SlidingEventTimeWindows.of(size, slide, offset)
    for _ in range(50):
        at = rng.randrange(-200, 200)
        expected = {start for start in range(at - size + 1, at + 1) if (start - offset) % slide == 0}
        assert {window.start for window in sliding.assign_windows(None, at, None)} == expected
        assert all(window.end == window.start + size for window in sliding.assign_windows(None, at, None))
        (window,) = TumblingEventTimeWindows.of(size, offset % size).assign_windows(None, at, None)
        assert window.start <= at < window.end and (window.start - offset) % size == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: TumblingEventTimeWindows.of(0),
        lambda: TumblingEventTimeWindows.of(10, 10),
        lambda: TumblingProcessingTimeWindows.of(10, -10),
        lambda: SlidingEventTimeWindows.of(0, 5),
        lambda: SlidingProcessingTimeWindows.of(10, 5, 5),
        lambda: EventTimeSessionWindows.with_gap(0),
        lambda: CountSlidingWindowAssigner.of(0, 1),
        lambda: CountSlidingWindowAssigner.of(1, 0),
    ],
)
def test_parameters_that_make_no_windows_are_refused(make):
    with pytest.raises(ConfigurationError):
        make()


def test_assigners_print_as_in_pyflink():
    assert repr(TumblingEventTimeWindows.of(10)) == "TumblingEventTimeWindows(10, 0)"
    assert repr(SlidingEventTimeWindows.of(10, 5)) == "SlidingEventTimeWindows(10, 5, 0)"
    assert repr(EventTimeSessionWindows.with_gap(5)) == "EventTimeSessionWindows(5)"
    assert repr(GlobalWindows.create()) == "GlobalWindows()"


def test_merging_keeps_contents_where_the_oldest_window_has_them():
    assigner = EventTimeSessionWindows.with_gap(5)
    merges = []
    windows = MergingWindowSet({})
    for at in (0, 8):
        windows.add(assigner, TimeWindow(at, at + 5), lambda *merge: merges.append(merge))
    result = windows.add(assigner, TimeWindow(4, 9), lambda *merge: merges.append(merge))
    assert result == TimeWindow(0, 13)
    assert merges == [
        (TimeWindow(0, 13), [TimeWindow(0, 5), TimeWindow(8, 13)], TimeWindow(0, 5), [TimeWindow(8, 13)])
    ]
    assert windows.mapping == {TimeWindow(0, 13): TimeWindow(0, 5)}


def test_a_window_inside_another_merges_nothing():
    merges = []
    windows = MergingWindowSet({TimeWindow(0, 10): TimeWindow(3, 4)})
    result = windows.add(
        EventTimeSessionWindows.with_gap(5), TimeWindow(2, 7), lambda *merge: merges.append(merge)
    )
    assert result == TimeWindow(0, 10) and merges == []
    assert windows.add(EventTimeSessionWindows.with_gap(5), TimeWindow(0, 10), merges.append) == TimeWindow(
        0, 10
    )
    assert windows.mapping == {TimeWindow(0, 10): TimeWindow(3, 4)}


@pytest.mark.parametrize("seed", range(30))
def test_sessions_equal_the_naive_union_of_intervals(seed):
    rng = random.Random(seed)
    windows, intervals = MergingWindowSet({}), []
    assigner = EventTimeSessionWindows.with_gap(1)
    for _ in range(40):
        start = rng.randrange(300)
        end = start + rng.randrange(1, 12)
        windows.add(assigner, TimeWindow(start, end), lambda *merge: None)
        touching = [other for other in intervals if other[0] <= end and other[1] >= start]
        intervals = [other for other in intervals if other not in touching]
        intervals.append((min([start, *(o[0] for o in touching)]), max([end, *(o[1] for o in touching)])))
    assert sorted((w.start, w.end) for w in windows.mapping) == sorted(intervals)


def test_a_manual_clock_stands_still_and_never_goes_back():
    clock = ManualClock(5)
    assert clock.now_ms() == clock.now_ms() == 5
    clock.advance(3)
    assert clock.now_ms() == 8 and clock.now_ns() == 8_000_000
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
