# SPDX-License-Identifier: Apache-2.0
"""Snapshots of sessions: what was frozen is what is loaded, whatever happened meanwhile; and rescaling."""

from __future__ import annotations

import random
import struct
import threading

import numpy as np
import pytest

from flinkcore._native import window
from flinkcore._native.window import SessionIndex
from tests.kernels.allocations import again, failing, written_again

GAP_MS = 10


def i32(values):
    return np.asarray(list(values), np.int32)


def i64(values):
    return np.asarray(list(values), np.int64)


def contents(index):
    """{slot: (group, start, end, fired)}"""
    slots = index.slots()
    columns = index.group_ids(slots), index.starts(slots), index.ends(slots), index.fired(slots)
    return dict(zip(slots.tolist(), zip(*(column.tolist() for column in columns))))


def load(segments, epoch):
    index = SessionIndex()
    for blocks in segments:
        for block in blocks:
            index.load(memoryview(block))
    index.loaded(epoch)
    return index


def written(index, since, epoch):
    frozen = index.freeze(since, epoch)
    blocks = list(frozen.blocks())
    frozen.release()
    return blocks


class Steps:
    """Random steps of an operator: records out of order, merges, firing, purging."""

    def __init__(self, rng, groups):
        self.rng, self.groups, self.now = rng, groups, 0

    def one(self, *indexes):
        """The same step for each index, which all answer alike."""
        rng, action = self.rng, self.rng.random()
        answers = []
        n = rng.choice((1, 5, 60))
        ids = i32(rng.randrange(self.groups) for _ in range(n))
        times = i64(self.now + rng.randrange(-60, 60) for _ in range(n))
        share, seed = rng.random(), rng.random()
        self.now += rng.randrange(30)
        for index in indexes:
            if action < 0.6:
                before = contents(index)
                slots, into, merged = index.assign(ids, times, GAP_MS)
                answers.append([spans(index, slots), [before.get(s) for s in merged.tolist()], into.tolist() == []])
            elif action < 0.75:
                due = index.expired(self.now - 40)
                index.mark_fired(due)
                answers.append(spans(index, due))
            elif action < 0.9:
                gone = index.purgeable(self.now - 100)
                answers.append(spans(index, gone))
                index.release(gone)
            else:
                live = sorted(contents(index).items(), key=lambda item: item[1])
                some = random.Random(seed).sample(live, int(share * len(live)))
                index.release(i32(slot for slot, _ in some))
                answers.append([session for _, session in some])
        assert all(answer == answers[0] for answer in answers)


def spans(index, slots):
    return sorted(zip(index.group_ids(slots).tolist(), index.starts(slots).tolist(), index.ends(slots).tolist()))


@pytest.mark.parametrize("groups", [3, 400])
@pytest.mark.parametrize("seed", range(12))
def test_what_was_frozen_is_what_is_loaded_whatever_happens_meanwhile(seed, groups):
    """Frozen parts are alive in any order; their blocks are read early or late; snapshots fail."""
    rng = random.Random(seed)
    index, steps = SessionIndex(), Steps(rng, groups)
    epoch, states, pending, segments = 0, {}, [], {}
    for _ in range(150):
        action = rng.random()
        if action < 0.6:
            steps.one(index)
        elif action < 0.8 and len(pending) < 4:
            epoch += rng.choice((1, 1, 70_000))  # the epochs of sessions are kept by their low 16 bits
            since = rng.choice([0, *segments])
            pending.append((epoch, since, index.freeze(since, epoch)))
            states[epoch] = contents(index)
        elif action < 0.95 and pending:
            at, since, frozen = pending.pop(rng.randrange(len(pending)))
            segments[at] = (since, list(frozen.blocks()))
            frozen.release()
        elif pending:
            pending.pop(rng.randrange(len(pending)))[2].release()
    for last in segments:
        chain, at = [], last
        while at:
            since, blocks = segments[at]
            chain.insert(0, blocks)
            at = since
        loaded = load(chain, last)
        assert contents(loaded) == states[last]
        assert loaded.live_count == loaded.row_count == len(states[last])


@pytest.mark.parametrize("groups", [2, 100])
@pytest.mark.parametrize("seed", range(8))
def test_a_loaded_index_goes_on_like_the_one_that_was_frozen(seed, groups):
    """Neighbours, heads, bounds, what was fired and which of two sessions is older: all show in what follows."""
    rng = random.Random(seed)
    index, steps = SessionIndex(), Steps(rng, groups)
    segments = []
    for epoch in range(1, 4):
        for _ in range(40):
            steps.one(index)
        segments.append(written(index, epoch - 1, epoch))
    loaded = load(segments, 3)
    for _ in range(80):
        steps.one(index, loaded)
    changes = written(loaded, 3, 4)
    assert contents(load([*segments, changes], 4)) == contents(loaded)


def test_the_oldest_of_merged_sessions_keeps_its_slot_also_after_a_load():
    index = SessionIndex()
    index.assign(i32([0, 0, 0]), i64([100, 0, 50]), GAP_MS)
    loaded = load([written(index, 0, 1)], 1)
    for each in (index, loaded):
        _, into, merged = each.assign(i32([0]), i64([0]), 200)
        assert set(into.tolist()) == {0} and sorted(merged.tolist()) == [1, 2]


def test_another_thread_writes_while_the_index_goes_on():
    rng = random.Random(1)
    index, steps = SessionIndex(), Steps(rng, 3000)
    index.assign(i32(range(3000)), i64(range(3000)), GAP_MS)
    for epoch in range(1, 8):
        frozen, state, read = index.freeze(0, epoch), contents(index), []
        thread = threading.Thread(target=lambda frozen=frozen, read=read: read.extend(frozen.blocks()))
        thread.start()
        while thread.is_alive():
            steps.one(index)
        thread.join()
        frozen.release()
        assert contents(load([read], epoch)) == state


def test_a_snapshot_of_changes_has_the_size_of_the_changes():
    index = SessionIndex()
    index.assign(i32(range(100_000)), i64(range(100_000)), GAP_MS)
    full = written(index, 0, 1)
    assert sum(map(len, full)) == pytest.approx(index.state_bytes, rel=0.01) and max(map(len, full)) <= 1 << 20
    assert written(index, 1, 2) == []
    index.assign(i32([5, 70_000, 200_000]), i64([8, 70_001, 0]), GAP_MS)
    index.release(i32([9]))
    assert list(map(len, written(index, 2, 3))) == [24 + 4 * 4 + 1 + 3 * 32]
    assert list(map(len, written(index, 1, 4))) == [24 + 4 * 4 + 1 + 3 * 32]


def test_an_index_without_sessions():
    index = SessionIndex()
    empty = written(index, 0, 1)
    assert contents(load([empty], 1)) == contents(load([], 1)) == {}
    index.assign(i32([3]), i64([0]), GAP_MS)
    some = written(index, 1, 2)
    index.release(i32([0]))
    none = written(index, 2, 3)
    assert contents(load([empty, some], 2)) == {0: (3, 0, 10, False)}
    loaded = load([empty, some, none], 3)
    assert contents(loaded) == {} and loaded.min_end is None
    assert loaded.assign(i32([1]), i64([0]), GAP_MS)[0].tolist() == [0]


def test_epochs_only_grow_and_a_part_is_released_once():
    index = SessionIndex()
    for since, epoch in ((-1, 1), (1, 1), (0, 0)):
        with pytest.raises(ValueError, match="epoch"):
            index.freeze(since, epoch)
    frozen = index.freeze(0, 5)
    with pytest.raises(ValueError, match="last epoch was 5"):
        index.freeze(0, 5)
    (block,) = frozen.blocks()
    frozen.release()
    with pytest.raises(RuntimeError, match="released"):
        list(frozen.blocks())
    with pytest.raises(RuntimeError, match="released once"):
        frozen.release()
    with pytest.raises(RuntimeError, match="in use"):
        index.load(block)
    other = SessionIndex()
    other.load(block)
    with pytest.raises(RuntimeError, match="being loaded"):
        other.slots()
    assert SessionIndex.of_description(index.describe()).live_count == 0
    with pytest.raises(ValueError, match="not the description"):
        SessionIndex.of_description({"kinds": []})
    index.freeze(0, 6)  # never released: goes with the index


# -- rescaling -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_sessions_move_to_another_index_with_their_groups(seed):
    """Two indexes become three: each goes on with its groups as the old ones would have."""
    rng = random.Random(seed)
    old = [SessionIndex(), SessionIndex()]
    for index in old:
        steps = Steps(rng, 30)
        for _ in range(60):
            steps.one(index)
    new = [SessionIndex() for _ in range(3)]
    for target, index in enumerate(new):
        given = 0
        for source, other in enumerate(old):
            group_ids = np.full(30, -1, np.int32)
            kept = [g for g in range(30) if (g + source) % 3 == target]
            group_ids[kept] = range(given, given + len(kept))
            slots = index.absorb(other, group_ids)
            mine = contents(index)
            for slot, session in contents(other).items():
                moved = int(slots[slot])
                expected = (int(group_ids[session[0]]), *session[1:])
                assert (moved >= 0) == (expected[0] >= 0) and (moved < 0 or mine[moved] == expected)
            assert (np.delete(slots, list(contents(other))) == -1).all()

            # Merges show which of two sessions was first: it keeps its slot.
            before = set(contents(other))
            times = i64(rng.randrange(-100, 900) for _ in range(40))
            ids = i32(rng.choice(kept) for _ in range(40))
            other.assign(ids, times, 25)
            index.assign(group_ids[ids], times, 25)
            mine = contents(index)
            for slot, session in contents(other).items():
                if slot in before and session[0] in kept:
                    assert mine[int(slots[slot])] == (int(group_ids[session[0]]), *session[1:])
            given += len(kept)


def test_groups_that_do_not_fit_are_refused_and_change_nothing():
    index, other = SessionIndex(), SessionIndex()
    index.assign(i32([4]), i64([0]), GAP_MS)
    other.assign(i32([0, 1, 2]), i64([0, 0, 0]), GAP_MS)
    before = contents(index)
    for group_ids in ([0, 1], [], [0, 1, 4], [4, 0, 1], [0, 1, 1], [7, 1, 7]):
        with pytest.raises(ValueError, match="absorb"):
            index.absorb(other, i32(group_ids))
        assert contents(index) == before
        assert index.group_has_sessions(i32(range(8))).tolist() == [g == 4 for g in range(8)]
    with pytest.raises(ValueError, match="this one"):
        index.absorb(index, i32([0]))
    assert index.absorb(other, i32([-1, 5, -1])).tolist() == [-1, 1, -1]
    assert contents(index) == {**before, 1: (5, 0, 10, False)}


def test_any_allocation_may_fail():
    """In whichever step memory runs out: the step can be repeated, and no session is lost."""
    rng = random.Random(3)
    ids = i32(rng.randrange(60) for _ in range(900))
    times = i64(rng.randrange(900) for _ in range(900))

    def run():
        index = SessionIndex()
        again(index.assign, ids[:500], times[:500], GAP_MS)
        base_epoch, base = written_again(index, 0, 1)
        held = again(index.freeze, 0, 10)
        again(index.assign, ids[500:], times[500:], GAP_MS)
        again(index.mark_fired, again(index.expired, 400))
        again(index.release, again(index.purgeable, 300))
        epoch, changes = written_again(index, base_epoch, 20)
        loaded = SessionIndex()
        for block in base + changes:
            again(loaded.load, block)
        again(loaded.loaded, epoch)
        held.release()
        assert contents(loaded) == contents(index)

        def absorbed():
            other = SessionIndex()
            other.absorb(loaded, i32(range(59, -1, -1)))
            return spans(other, other.slots())

        assert [59 - g for g, *_ in again(absorbed)][::-1] == [g for g, *_ in spans(index, index.slots())]

    assert sum(1 for _ in failing(window, run)) > 20


# -- bytes that no snapshot has ------------------------------------------------------------------------------


def block_of(rows=(), slots=None, first=0, n=None, k=None, bits=None, reset=0, version=1, kind=None, created=100):
    """A block of sessions (start, end, created, group, fired), or whatever the arguments say."""
    n = len(rows) if n is None else n
    if bits is None:
        bits = bytes(np.packbits(np.ones(n, bool), bitorder="little"))
    kind = kind or (1 if slots is None else 2)
    head = struct.pack("<HBBIIIQ", version, kind, reset, first, n, len(rows) if k is None else k, created)
    listed = b"" if slots is None else i32(slots).tobytes()
    return head + listed + bits + b"".join(struct.pack("<qqQiI", *row) for row in rows)


ROW = (0, 10, 5, 3, 0)


@pytest.mark.parametrize("block, reason", [
    (b"", "shorter than a header"),
    (block_of([ROW])[:-1], "its length"),
    (block_of([ROW]) + b"\0", "its length"),
    (block_of([ROW], version=2), "format version"),
    (block_of([ROW], kind=3), "unknown kind"),
    (block_of([ROW], reset=2), "flag"),
    (block_of([ROW], created=2**63), "counted"),
    (block_of([ROW], created=5), "after the snapshot"),
    (block_of([(10, 10, 5, 3, 0)]), "ends before"),
    (block_of([(0, 10, 5, -1, 0)]), "negative"),
    (block_of([(0, 10, 5, 3, 2)]), "reserved"),
    (block_of([(0, 10, 5, 3, 256)]), "reserved"),
    (block_of([ROW], first=1), "beyond"),
    (block_of([ROW], slots=[1]), "beyond"),
    (block_of([ROW], slots=[-1]), "ascend"),
    (block_of([ROW, ROW], slots=[0, 0]), "ascend"),
    (block_of([ROW], slots=[0], first=3), "first slot"),
    (block_of([ROW], n=2**32 - 1, bits=b"\1"), "its length"),
    (block_of([ROW, ROW], bits=b"\1"), "bitmap"),
    (block_of([ROW], bits=b"\2"), "bitmap"),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_a_block_that_no_snapshot_has_is_refused_and_changes_nothing(block, reason):
    index = SessionIndex()
    with pytest.raises(ValueError, match=reason):
        index.load(block)
    index.load(block_of([ROW], reset=1))
    index.loaded(1)
    assert contents(index) == {0: (3, 0, 10, False)}


def test_sessions_that_cannot_be_together_are_refused_when_all_is_loaded():
    for other, reason in (((10, 20, 6, 3, 0), "touch"), ((-5, 0, 6, 3, 0), "touch"), ((0, 1, 6, 8, 0), "group")):
        index = SessionIndex()
        index.load(block_of([ROW, other]))
        with pytest.raises(ValueError, match=reason):
            index.loaded(1, group_bound=8)
        with pytest.raises(RuntimeError, match="being loaded"):
            index.slots()


@pytest.mark.parametrize("seed", range(6))
def test_mutated_blocks_are_refused_or_make_an_index(seed):
    """No crash and no read outside; run under a sanitizer it says so."""
    rng = random.Random(seed)
    index, steps = SessionIndex(), Steps(rng, 8)
    for _ in range(20):
        steps.one(index)
    blocks = written(index, 0, 1)
    for _ in range(10):
        steps.one(index)
    blocks += written(index, 1, 2)
    for _ in range(400):
        mutated = [bytearray(block) for block in blocks]
        for _ in range(rng.choice((1, 1, 2, 8))):
            block = rng.choice(mutated)
            place = rng.randrange(min(len(block), rng.choice((24, 60, 10**9))))
            if rng.random() < 0.9:
                block[place] = rng.choice((0, 1, 2, 127, 128, 255, rng.randrange(256)))
            else:
                del block[place:]
                block += b"\0" * rng.randrange(3) + b"\1"
        loaded = SessionIndex()
        try:
            for block in mutated:
                loaded.load(block)
            loaded.loaded(2, group_bound=1000)
        except ValueError:
            continue
        assert len(contents(loaded)) == loaded.live_count
        loaded.assign(i32(range(8)), i64([0] * 8), 10**6)
        loaded.release(loaded.slots())
        assert loaded.live_count == 0
