# SPDX-License-Identifier: Apache-2.0
"""Windows as other libraries have them, against Python's integers."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from flinkcore.kernels import Accumulators, SessionIndex, pane_index, pane_starts, sliding_starts
from flinkcore.kernels.windows import milliseconds_of
from tests.kernels.inputs import forms

TIMES = [0, 999, 1000, -1, -1000, 123_456_789, 5]


def pane_starts_naive(times, size_ms, offset_ms):
    return [t - (t - offset_ms) % size_ms for t in times]


def sliding_naive(times, size_ms, slide_ms, offset_ms):
    pairs = []
    for row, t in enumerate(times):
        start = t - (t - offset_ms) % slide_ms
        while start > t - size_ms:
            pairs.append((row, start))
            start -= slide_ms
    return pairs


@pytest.mark.parametrize("size_ms, offset_ms", [(1000, 0), (7, 3), (60_000, -5), (1, 0)])
def test_every_form_of_times_has_the_same_panes(size_ms, offset_ms):
    expected = pane_starts_naive(TIMES, size_ms, offset_ms)
    inputs = {
        **forms(TIMES, pa.int64()),
        **{f"timestamp {name}": form for name, form in forms(TIMES, pa.timestamp("ms", "UTC")).items()},
        "us": pa.array(TIMES, pa.timestamp("ms")).cast(pa.timestamp("us")),
        "datetime64": np.array(TIMES, "datetime64[ms]"),
        "datetime64 ns": np.array(TIMES, "datetime64[ms]").astype("datetime64[ns]"),
    }
    for name, times in inputs.items():
        assert pane_starts(times, size_ms, offset_ms).tolist() == expected, name
        rows, starts = sliding_starts(times, 3 * size_ms, size_ms, offset_ms)
        assert list(zip(rows.tolist(), starts.tolist())) == sliding_naive(
            TIMES, 3 * size_ms, size_ms, offset_ms
        ), name
        panes, pane_of_row = pane_index(expected)
        assert panes.tolist() == sorted(set(expected))
        assert panes[pane_of_row].tolist() == expected


def test_dates_are_midnights_and_seconds_are_thousands():
    days = pa.array([0, 1, -1], pa.int32()).view(pa.date32())
    assert pane_starts(days, 1000).tolist() == [0, 86_400_000, -86_400_000]
    assert pane_starts(pa.array([5], pa.timestamp("s")), 1000).tolist() == [5000]


def test_no_rows_have_no_panes():
    for empty in (
        [],
        np.array([], np.int64),
        pa.array([], pa.timestamp("ms")),
        pa.chunked_array([], pa.int64()),
    ):
        assert pane_starts(empty, 10).tolist() == []
        assert [array.tolist() for array in sliding_starts(empty, 10, 5)] == [[], []]
        assert [array.tolist() for array in pane_index(empty)] == [[], []]


def test_times_in_milliseconds_are_borrowed():
    plain = np.arange(100)
    assert milliseconds_of(plain, "times") is plain
    array = pa.array(plain, pa.timestamp("ms"))
    assert milliseconds_of(array, "times").__array_interface__["data"][0] == array.buffers()[1].address


@pytest.mark.parametrize(
    "times, error, match",
    [
        (pa.array([1, None]), ValueError, "timestamps: 1 of 2 are null"),
        (np.array(["2020-01-01", "NaT"], "datetime64[ms]"), ValueError, "are null"),
        (pa.array(["a"]), TypeError, "expected integers .* got string"),
        ([0.5], TypeError, "got double"),
        (pa.array([[1]]), TypeError, "got list"),
        (pa.array([1], pa.timestamp("us")), ValueError, "floor it first"),
        (np.array([2**63 - 1]), ValueError, "limits of int64"),
        (pa.array([5], pa.duration("ms")), TypeError, "got duration"),
    ],
)
def test_what_is_no_time_is_refused(times, error, match):
    with pytest.raises(error, match=match):
        pane_starts(times, 1000)


@pytest.mark.parametrize("size_ms", [0, -5])
def test_a_size_is_more_than_0(size_ms):
    with pytest.raises(ValueError, match="expected more than 0"):
        pane_starts([1], size_ms)
    with pytest.raises(ValueError, match="expected more than 0"):
        sliding_starts([1], 10, size_ms)


def sessions_naive(records, gap_ms):
    """(group, start, end, count) of sessions: times of a group that lie a gap or less apart."""
    found = []
    for group in sorted({group for group, _ in records}):
        times = sorted(t for other, t in records if other == group)
        start = last = times[0]
        count = 0
        for t in times:
            if t > last + gap_ms:
                found.append((group, start, last + gap_ms, count))
                start, count = t, 0
            last, count = t, count + 1
        found.append((group, start, last + gap_ms, count))
    return sorted(found)


@pytest.mark.parametrize("seed", range(5))
def test_sessions_are_runs_of_times_without_a_gap(seed):
    rng = random.Random(seed)
    records = [(rng.randrange(4), rng.randrange(2000)) for _ in range(60)]
    sessions, counts = SessionIndex(), Accumulators(("count_star",))
    for start in range(0, 60, 7):
        batch = records[start : start + 7]
        slots, into, merged = sessions.assign([group for group, _ in batch], [t for _, t in batch], 50)
        counts.merge(counts, into, merged)
        counts.clear(merged)
        counts.update(slots)
    done = sessions.expired(10_000)
    got = zip(
        sessions.group_ids(done).tolist(),
        sessions.starts(done).tolist(),
        sessions.ends(done).tolist(),
        counts.results(done)[0].to_pylist(),
    )
    assert sorted(got) == sessions_naive(records, 50)
    assert len(sessions) == len(done) and sorted(done.tolist()) == sessions.slots().tolist()
    sessions.mark_fired(done)
    assert sessions.expired(10_000).tolist() == []
    sessions.release(sessions.purgeable(10_000))
    assert len(sessions) == 0 and "0 live" in repr(sessions)


def test_faults_of_sessions_are_named():
    sessions = SessionIndex()
    with pytest.raises(ValueError, match="session gaps are more than 0"):
        sessions.assign([0], [0], 0)
    with pytest.raises(ValueError, match="2 timestamps for 1 ids"):
        sessions.assign([0], [0, 1], 5)
    with pytest.raises(ValueError, match="not one of a live session"):
        sessions.starts([0])
    with pytest.raises(ValueError, match="not one of a live session"):
        sessions.release([3])
    with pytest.raises(ValueError, match="lateness"):
        sessions.purgeable(0, -1)
