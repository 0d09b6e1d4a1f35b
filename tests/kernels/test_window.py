# SPDX-License-Identifier: Apache-2.0
"""Windows against naive twins: floored remainders, a list of windows per group."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import BYTES, I64, Column
from flinkcore._native.window import SessionIndex, pane_index, pane_starts, panes_of, sliding_starts

MIN64, MAX64 = -(2**63), 2**63 - 1


def int64s(values):
    return np.array(values, np.int64)


def int32s(values):
    return np.array(values, np.int32)


# ---- panes


def pane_starts_naive(ts_ms, size_ms, offset_ms):
    return [t - (t - offset_ms) % size_ms for t in ts_ms]  # Python's % floors


def random_times(rng, n, margin):
    limits = (MIN64 + margin, MAX64 - margin)
    near = [edge + d for edge in (0, 1000, -1000, *limits) for d in (-2, -1, 0, 1, 2)]
    near = [t for t in near if limits[0] <= t <= limits[1]]
    return [rng.choice((rng.choice(near), rng.randint(-5000, 5000), rng.randint(*limits))) for _ in range(n)]


@pytest.mark.parametrize(
    "size_ms", [1, 2, 3, 7, 1000, 1024, 60_000, 86_400_000, 2**31, 2**40 + 1, 2**62, 2**62 - 1]
)
@pytest.mark.parametrize("offset_ms", [0, 1, -1, 999, -3_600_000, 2**62, MIN64, MAX64])
def test_panes_start_where_floored_remainders_say(size_ms, offset_ms):
    rng = random.Random(size_ms + offset_ms)
    times = random_times(rng, 200, size_ms)
    assert pane_starts(int64s(times), size_ms, offset_ms).tolist() == pane_starts_naive(
        times, size_ms, offset_ms
    )


def test_no_timestamps_have_no_panes():
    assert pane_starts(int64s([]), 10).tolist() == []
    panes, pane_of_row = pane_index(int64s([]))
    assert panes.tolist() == [] and pane_of_row.tolist() == []


@pytest.mark.parametrize("size_ms", [1, 1000, 2**62])
def test_times_near_the_limits_of_int64_are_refused(size_ms):
    assert pane_starts(int64s([MIN64 + size_ms, MAX64 - size_ms]), size_ms).shape == (2,)
    for ts in (MIN64, MIN64 + size_ms - 1, MAX64 - size_ms + 1, MAX64):
        with pytest.raises(ValueError, match="limits of int64"):
            pane_starts(int64s([0, ts]), size_ms)


@pytest.mark.parametrize("size_ms", [0, -1, MIN64])
def test_panes_have_a_length(size_ms):
    with pytest.raises(ValueError, match="more than 0"):
        pane_starts(int64s([0]), size_ms)


def test_timestamps_are_int64():
    with pytest.raises(TypeError, match="int64"):
        pane_starts(int32s([0]), 10)


@pytest.mark.parametrize("distinct", [1, 2, 3, 15, 16, 17, 18, 33, 64, 65, 500])
@pytest.mark.parametrize("shape", ["ascending", "descending", "shuffled", "runs"])
def test_panes_of_a_batch_are_numbered_in_order_of_time(distinct, shape):
    rng = random.Random(distinct)
    starts = [1000 * k - 30_000 for k in range(distinct)] * 3
    if shape == "ascending":
        starts.sort()
    elif shape == "descending":
        starts.sort(reverse=True)
    elif shape == "shuffled":
        rng.shuffle(starts)
    panes, pane_of_row = pane_index(int64s(starts))
    assert panes.tolist() == sorted(set(starts))
    assert panes[pane_of_row].tolist() == starts


@pytest.mark.parametrize("spread", [1, 999, 2500, 7900, 8100, 50_000, 2**62])
@pytest.mark.parametrize("offset_ms", [0, 300, -1])
def test_the_panes_of_times_are_those_of_their_starts(spread, offset_ms):
    """Few panes are found by comparison, many by division; some of the few are empty."""
    rng = random.Random(spread)
    for n in (1, 7, 1023, 2500):
        for times in (
            [rng.randint(-spread, spread) for _ in range(n)],
            [rng.choice((-spread, spread)) + rng.randint(0, 10) for _ in range(n)],
        ):
            starts, pane_of_row = panes_of(int64s(times), 1000, offset_ms)
            expected = pane_starts_naive(times, 1000, offset_ms)
            assert starts.tolist() == sorted(set(expected))
            assert starts[pane_of_row].tolist() == expected
            assert pane_of_row.dtype == np.int32


def test_panes_of_times_refuse_what_pane_starts_refuse():
    assert [array.tolist() for array in panes_of(int64s([]), 10)] == [[], []]
    with pytest.raises(ValueError, match="limits of int64"):
        panes_of(int64s([0, MIN64, 5]), 10)
    with pytest.raises(ValueError, match="more than 0"):
        panes_of(int64s([0]), 0)


def test_panes_may_start_anywhere():
    starts = [MAX64, MIN64, 0, MIN64, MAX64, -1]
    panes, pane_of_row = pane_index(int64s(starts))
    assert panes.tolist() == [MIN64, -1, 0, MAX64]
    assert pane_of_row.tolist() == [3, 0, 2, 0, 3, 1]


def sliding_starts_naive(ts_ms, size_ms, slide_ms, offset_ms):
    """SlidingEventTimeWindows.assignWindows."""
    pairs = []
    for row, ts in enumerate(ts_ms):
        start = ts - (ts - offset_ms) % slide_ms
        while start > ts - size_ms:
            pairs.append((row, start))
            start -= slide_ms
    return pairs


@pytest.mark.parametrize(
    "size_ms, slide_ms",
    [(10, 10), (10, 5), (10, 3), (10, 7), (10, 1), (3, 10), (1, 1), (1, 2**40), (2**40, 2**38)],
)
@pytest.mark.parametrize("offset_ms", [0, 2, -7])
def test_sliding_windows_are_those_that_flink_assigns(size_ms, slide_ms, offset_ms):
    times = random_times(random.Random(size_ms), 100, size_ms + slide_ms)
    rows, starts = sliding_starts(int64s(times), size_ms, slide_ms, offset_ms)
    assert list(zip(rows.tolist(), starts.tolist())) == sliding_starts_naive(
        times, size_ms, slide_ms, offset_ms
    )


def test_sliding_windows_that_cannot_be_are_refused():
    assert [part.tolist() for part in sliding_starts(int64s([]), 10, 5)] == [[], []]
    for size_ms, slide_ms, ts in (
        (0, 5, 0),
        (5, 0, 0),
        (-5, 5, 0),
        (10, 5, MAX64 - 14),
        (10, 5, MIN64),
        (MAX64, 1, 0),
    ):
        with pytest.raises(ValueError):
            sliding_starts(int64s([ts]), size_ms, slide_ms)
    with pytest.raises(OverflowError):
        sliding_starts(int64s([0]), 2**50, 1)


# ---- sessions


class Session:
    def __init__(self, created, group, start, end, records):
        self.created, self.group, self.start, self.end, self.records = created, group, start, end, records
        self.fired = False

    def __repr__(self):
        return f"{self.group}:[{self.start}, {self.end}) {self.records}"


class SessionTwin:
    """Flink's MergingWindowSet and WindowOperator.isWindowLate, over a plain list."""

    def __init__(self):
        self.sessions, self.created = [], 0

    def add(self, record, group, ts, gap, watermark, lateness):
        """The session of the record, or None when it is late."""
        touched = [s for s in self.sessions if s.group == group and s.start <= ts + gap and s.end >= ts]
        start = min([ts, *(s.start for s in touched)])
        end = max([ts + gap, *(s.end for s in touched)])
        if min(end - 1 + lateness, MAX64) <= watermark:
            return None
        if not touched:
            self.created += 1
            touched = [Session(self.created, group, start, end, [])]
            self.sessions += touched
        survivor = min(touched, key=lambda s: s.created)
        for other in touched:
            if other is not survivor:
                survivor.records += other.records
                self.sessions.remove(other)
        survivor.start, survivor.end, survivor.fired = start, end, False
        survivor.records.append(record)
        return survivor

    def done(self, watermark, lateness=0):
        return [s for s in self.sessions if min(s.end - 1 + lateness, MAX64) <= watermark]


class Caller:
    """What an operator does with the index: here accumulators are the lists of record numbers by slot."""

    def __init__(self):
        self.index, self.records, self.slot_of = SessionIndex(), {}, {}

    def assign(self, first_record, ids, ts, gaps, watermark, lateness):
        slots, into, merged = self.index.assign(int32s(ids), int64s(ts), gaps, watermark, lateness)
        for target, source in zip(into.tolist(), merged.tolist()):
            self.records.setdefault(target, []).extend(self.records.pop(source, []))
        for i, slot in enumerate(slots.tolist()):
            if slot >= 0:
                self.records.setdefault(slot, []).append(first_record + i)
        return slots.tolist()

    def release(self, slots):
        self.index.release(slots)
        for slot in slots.tolist():
            del self.records[slot]

    def view(self):
        slots = self.index.slots()
        columns = (self.index.group_ids(slots), self.index.starts(slots), self.index.ends(slots))
        return sorted(
            (group, start, end, sorted(self.records[slot]))
            for slot, group, start, end in zip(slots.tolist(), *(column.tolist() for column in columns))
        )


def view_of(twin):
    return sorted((s.group, s.start, s.end, sorted(s.records)) for s in twin.sessions)


@pytest.mark.parametrize("seed", range(40))
def test_sessions_are_those_of_flink(seed):
    rng = random.Random(seed)
    caller, twin = Caller(), SessionTwin()
    groups, step, batch = rng.choice((1, 3, 50)), rng.choice((3, 30, 300)), rng.choice((1, 2, 10, 60))
    lateness = rng.choice((0, 0, 5, 60))
    per_row_gap = rng.random() < 0.5
    record, now, watermark = 0, -200, MIN64
    for _ in range(120 // batch + 3):
        ids = [rng.randrange(groups) for _ in range(batch)]
        ts = [now + rng.randint(-40, step) for _ in range(batch)]
        gaps = [rng.choice((1, 10, 10, 25)) for _ in range(batch)] if per_row_gap else [10] * batch
        slots = caller.assign(record, ids, ts, int64s(gaps) if per_row_gap else 10, watermark, lateness)
        sessions = [twin.add(record + i, ids[i], ts[i], gaps[i], watermark, lateness) for i in range(batch)]
        record += batch
        assert [slot < 0 for slot in slots] == [session is None for session in sessions]
        assert caller.view() == view_of(twin)
        for session in twin.sessions:  # the oldest keeps its slot, and every row has the surviving one
            found = {slot for slot, records in caller.records.items() if session.records[0] in records}
            assert len(found) == 1
            assert caller.slot_of.setdefault(id(session), (session, found))[1] == found
        now += step
        watermark = max(watermark, now - rng.randint(0, 60))
        fire_naive = sorted((s.end, s.start) for s in twin.done(watermark) if not s.fired)
        fire = caller.index.expired(watermark)
        assert list(zip(caller.index.ends(fire).tolist(), caller.index.starts(fire).tolist())) == fire_naive
        assert caller.index.expired(watermark).tolist() == fire.tolist()
        caller.index.mark_fired(fire)
        assert caller.index.fired(fire).all()
        assert caller.index.expired(watermark).tolist() == []
        gone = twin.done(watermark, lateness)
        for session in twin.done(watermark):
            session.fired = True
        purge = caller.index.purgeable(watermark, lateness)
        assert caller.index.ends(purge).tolist() == sorted(s.end for s in gone)
        caller.release(purge)
        twin.sessions = [s for s in twin.sessions if s not in gone]
        assert caller.view() == view_of(twin)
        assert caller.index.live_count == len(twin.sessions)
        alive = {s.group for s in twin.sessions}
        assert caller.index.group_has_sessions(int32s(range(groups))).tolist() == [
            g in alive for g in range(groups)
        ]


@pytest.mark.parametrize("seed", range(10))
def test_the_cut_into_batches_does_not_change_the_sessions(seed):
    rng = random.Random(seed)
    n = 300
    ids = [rng.randrange(5) for _ in range(n)]
    ts = [10 * rng.randrange(200) for _ in range(n)]
    views, late = [], []
    for rows in (1, 7, n):
        caller, missed = Caller(), []
        for first in range(0, n, rows):
            slots = caller.assign(first, ids[first : first + rows], ts[first : first + rows], 12, 300, 20)
            missed += [first + i for i, slot in enumerate(slots) if slot < 0]
        views.append(caller.view())
        late.append(missed)
    assert views[0] == views[1] == views[2]
    assert late[0] == late[1] == late[2] != []


def test_windows_that_touch_at_the_gap_are_one_and_a_millisecond_more_makes_two():
    index = SessionIndex()
    slots, into, _ = index.assign(int32s([0, 0, 0]), int64s([0, 10, 21]), 10)
    assert slots.tolist() == [0, 0, 1] and into.tolist() == []
    assert index.starts(slots).tolist() == [0, 0, 21]
    assert index.ends(slots).tolist() == [20, 20, 31]


@pytest.mark.parametrize("seed", range(20))
def test_a_call_may_end_before_each_record_that_makes_sessions_one(seed):
    rng = random.Random(seed)
    n = rng.choice([1, 20, 200])
    ids, times = int32s([rng.randint(0, 3) for _ in range(n)]), int64s([rng.randint(0, 30 * n) for _ in range(n)])
    gaps = int64s([rng.choice([5, 40]) for _ in range(n)])
    one, cut = SessionIndex(), SessionIndex()
    merges, start = [], 0
    for row in range(n):
        _, into, merged = one.assign(ids[row : row + 1], times[row : row + 1], gaps[row : row + 1])
        merges.append(len(merged))
    while start < n:
        slots, into, merged = cut.assign(ids[start:], times[start:], gaps[start:], ends_at_merge=True)
        assert len(slots) > 0 and into.tolist() == [slots[0]] * merges[start] and len(merged) == merges[start]
        assert not any(merges[start + 1 : start + len(slots)])
        start += len(slots)
        assert start == n or merges[start]
    found = []
    for index in (one, cut):
        slots = index.slots()
        slots = slots[np.argsort(index.created(slots))]
        found.append([getattr(index, ask)(slots).tolist() for ask in ("group_ids", "starts", "ends")])
    assert found[0] == found[1]


def test_sessions_of_one_record_are_merged_in_the_order_in_which_they_were_created():
    index = SessionIndex()
    index.assign(int32s([0] * 4), int64s([60, 20, 0, 40]), 10)
    slots, into, merged = index.assign(int32s([0]), int64s([5]), 100)
    assert into.tolist() == [slots[0]] * 3 == [0] * 3 and merged.tolist() == [1, 2, 3]
    assert index.created(slots).tolist() == [0]
    with pytest.raises(ValueError, match="live session"):
        index.created(merged)


def test_one_record_joins_three_sessions_into_the_oldest():
    index = SessionIndex()
    slots, into, merged = index.assign(int32s([7] * 3), int64s([100, 50, 0]), 20)
    assert slots.tolist() == [0, 1, 2]
    slots, into, merged = index.assign(int32s([7, 8]), int64s([20, 20]), int64s([200, 20]))
    assert slots.tolist() == [0, 3]
    assert into.tolist() == [0, 0] and sorted(merged.tolist()) == [1, 2]
    assert index.starts(int32s([0])).tolist() == [0] and index.ends(int32s([0])).tolist() == [220]
    assert index.live_count == 2
    slots, *_ = index.assign(int32s([9, 9, 9]), int64s([0, 500, 1000]), 1)  # merged slots come back
    assert sorted(slots.tolist()) == [1, 2, 4]


def test_merges_within_a_batch_chain_to_the_slot_that_survives():
    index = SessionIndex()
    # 0: [40, 50), 1: [20, 30), 2: [0, 10); then 1 takes 2, and 0 takes 1.
    slots, into, merged = index.assign(int32s([0] * 5), int64s([40, 20, 0, 10, 30]), 10)
    assert slots.tolist() == [0, 0, 0, 0, 0]
    assert list(zip(into.tolist(), merged.tolist())) == [(1, 2), (0, 1)]


@pytest.mark.parametrize("lateness", [0, 7])
def test_a_record_is_late_by_one_millisecond(lateness):
    index = SessionIndex()
    slots, *_ = index.assign(int32s([0]), int64s([0]), 10, 9 + lateness, lateness)  # end - 1 = 9
    assert slots.tolist() == [-1] and index.live_count == 0
    slots, *_ = index.assign(int32s([0]), int64s([0]), 10, 8 + lateness, lateness)
    assert slots.tolist() == [0]


def test_a_late_record_is_taken_when_the_merged_window_is_not_late():
    index = SessionIndex()
    index.assign(int32s([0]), int64s([10]), 10)
    slots, *_ = index.assign(int32s([0, 1]), int64s([0, 0]), 10, 15)
    assert slots.tolist() == [0, -1]
    assert index.starts(int32s([0])).tolist() == [0]


def test_a_record_makes_a_fired_session_fire_again():
    index = SessionIndex()
    index.assign(int32s([0]), int64s([0]), 10)
    slots = index.expired(9)
    index.mark_fired(slots)
    assert index.expired(50).tolist() == [] and index.purgeable(50, 100).tolist() == []
    index.assign(int32s([0]), int64s([3]), 10, 20, 100)
    assert index.expired(11).tolist() == [] and index.expired(12).tolist() == [0]
    index.mark_fired(slots)
    assert index.purgeable(111, 100).tolist() == [] and index.purgeable(112, 100).tolist() == [0]
    index.release(slots)
    assert index.live_count == 0 and index.purgeable(MAX64).tolist() == []


def test_the_last_watermark_completes_everything():
    index = SessionIndex()
    index.assign(int32s([0, 1, 2]), int64s([5, MAX64 - 10, -5]), 10)
    assert index.expired(MIN64).tolist() == []
    assert index.expired(MAX64 - 2).tolist() == [2, 0]
    assert index.expired(MAX64).tolist() == [2, 0, 1]
    assert index.purgeable(MAX64, MAX64).tolist() == [2, 0, 1]
    assert index.purgeable(0, MAX64).tolist() == []
    assert index.purgeable(MIN64, 1).tolist() == []
    slots, *_ = index.assign(int32s([5]), int64s([MAX64 - 20]), 10, MAX64, MAX64)  # all is late now
    assert slots.tolist() == [-1]


@pytest.mark.parametrize("n", [2, 255, 256, 257, 2000])
@pytest.mark.parametrize("spread", [1, 3, 300, 10**12])
def test_sessions_expire_by_end_then_start_then_slot(n, spread):
    rng = random.Random(n)
    ends = [rng.randrange(spread) - spread // 2 for _ in range(n)]
    gaps = [rng.randrange(1, 1 + spread) for _ in range(n)]
    index = SessionIndex()
    starts = [end - gap for end, gap in zip(ends, gaps)]
    slots = index.assign(int32s(range(n)), int64s(starts), int64s(gaps))[0]
    expected = sorted(zip(ends, starts, slots.tolist()))
    assert index.expired(MAX64).tolist() == [slot for _, _, slot in expected]
    assert index.purgeable(0).tolist() == [slot for end, _, slot in expected if end <= 1]


def test_many_sessions_of_one_group_come_and_go():
    index, rng = SessionIndex(), random.Random(1)
    times = [100 * k for k in range(1000)]
    rng.shuffle(times)
    slots, *_ = index.assign(int32s([3] * 1000), int64s(times), 50)
    assert index.live_count == 1000
    by_time = [slot for _, slot in sorted(zip(times, slots.tolist()))]
    assert index.expired(MAX64).tolist() == by_time
    assert index.expired(100 * 499 + 48).tolist() == by_time[:499]
    rng.shuffle(by_time)
    index.release(int32s(by_time[:900] + by_time[:3]))  # named twice is released once
    left = sorted(by_time[900:])
    assert index.slots().tolist() == left
    assert index.group_has_sessions(int32s([2, 3, 4, 10**6])).tolist() == [False, True, False, False]
    index.release(int32s(left))
    assert not index.group_has_sessions(int32s([3]))[0]
    before = index.memory_bytes
    index.assign(int32s([3] * 1000), int64s(times), 50)
    assert index.memory_bytes == before and max(index.slots().tolist()) == 999


def test_accumulators_follow_the_merges():
    rng = random.Random(8)
    index, twin = SessionIndex(), SessionTwin()
    accumulators = Accumulators([("count_star", I64, 0), ("sum", I64, 0), ("max", BYTES, 0)])
    words, record = {}, 0
    for _ in range(30):
        n = 40
        ids, ts = [rng.randrange(4) for _ in range(n)], [rng.randrange(3000) for _ in range(n)]
        batch = [bytes(rng.choices(b"abc", k=rng.randrange(12))) for _ in range(n)]
        slots, into, merged = index.assign(int32s(ids), int64s(ts), 15)
        accumulators.merge(accumulators, into, merged)
        accumulators.clear(merged)
        values = Column.from_numpy(np.arange(record, record + n))
        accumulators.update(slots, [(), (values,), (Column.from_arrow(pa.array(batch, pa.binary())),)])
        for i in range(n):
            words[record + i] = batch[i]
            twin.add(record + i, ids[i], ts[i], 15, MIN64, 0)
        record += n
        live = index.slots()
        assert accumulators.used_ids().tolist() == live.tolist()
        got = zip(
            index.group_ids(live).tolist(),
            index.starts(live).tolist(),
            *(result.to_pylist() for result in accumulators.results(live)),
        )
        assert sorted(got) == sorted(
            (s.group, s.start, len(s.records), sum(s.records), max(words[r] for r in s.records))
            for s in twin.sessions
        )


def test_calls_that_make_no_sense_are_refused_and_change_nothing():
    index = SessionIndex()
    index.assign(int32s([0]), int64s([0]), 10)
    zero = int32s([0])
    for ids, ts, gap, lateness in (
        (zero, int64s([0]), 0, 0),
        (zero, int64s([0]), int64s([-3]), 0),
        (int32s([-1]), int64s([0]), 10, 0),
        (zero, int64s([MAX64]), 10, 0),
        (zero, int64s([0]), 10, -1),
        (zero, int64s([0, 1]), 10, 0),
        (zero, int64s([0]), int64s([1, 2]), 0),
    ):
        with pytest.raises(ValueError):
            index.assign(ids, ts, gap, 0, lateness)
    with pytest.raises(TypeError, match="int32"):
        index.assign(int64s([0]), int64s([0]), 10)
    for call in (index.starts, index.ends, index.group_ids, index.fired, index.mark_fired, index.release):
        for slot in (-1, 1, 10**6):
            with pytest.raises(ValueError, match="live session"):
                call(int32s([0, slot]))
    with pytest.raises(ValueError):
        index.group_has_sessions(int32s([-1]))
    with pytest.raises(ValueError):
        index.purgeable(0, -1)
    assert index.live_count == 1 and index.ends(zero).tolist() == [10]
    slots, into, merged = index.assign(int32s([]), int64s([]), 10)
    assert slots.tolist() == into.tolist() == merged.tolist() == []
