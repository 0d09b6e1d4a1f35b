# SPDX-License-Identifier: Apache-2.0
"""What barriers come to, as tables; and against a naive twin that keeps everything."""

from __future__ import annotations

import random

import pytest

from flinkcore.checkpoint.alignment import Action, Alignment, Barrier, on_abort, on_barrier, on_end


def barrier(checkpoint_id: int, aligned: bool = True) -> Barrier:
    return Barrier(checkpoint_id, aligned)


def test_one_channel_snapshots_at_once():
    alignment, action = on_barrier(Alignment(1), 0, barrier(1))
    assert action is Action.SNAPSHOT and not alignment.blocked and alignment.last_id == 1


def test_a_channel_that_gave_the_barrier_is_held_until_the_others_have():
    alignment, action = on_barrier(Alignment(3), 1, barrier(1))
    assert action is Action.WAIT and alignment.blocked == {1}
    alignment, action = on_barrier(alignment, 0, barrier(1))
    assert action is Action.WAIT and alignment.blocked == {0, 1}
    alignment, action = on_barrier(alignment, 2, barrier(1))
    assert action is Action.SNAPSHOT and alignment.blocked == frozenset()


def test_at_least_once_holds_no_channel():
    alignment, _ = on_barrier(Alignment(2), 1, barrier(1, aligned=False))
    assert alignment.blocked == frozenset()
    _, action = on_barrier(alignment, 0, barrier(1, aligned=False))
    assert action is Action.SNAPSHOT


def test_a_channel_that_ended_has_given_all_barriers():
    alignment, due = on_end(Alignment(2), 0)
    assert due == []
    alignment, action = on_barrier(alignment, 1, barrier(5))
    assert action is Action.SNAPSHOT
    alignment, action = on_barrier(Alignment(2), 0, barrier(1))
    assert on_end(alignment, 1)[1] == [barrier(1)]


def test_a_newer_barrier_gives_the_older_checkpoint_up():
    alignment, _ = on_barrier(Alignment(2), 0, barrier(1))
    alignment, action = on_barrier(alignment, 1, barrier(2))
    assert action is Action.WAIT and alignment.blocked == {1}
    alignment, action = on_barrier(alignment, 0, barrier(2))
    assert action is Action.SNAPSHOT and alignment.last_id == 2


@pytest.mark.parametrize("late", [1, 2])
def test_barriers_of_checkpoints_that_are_over_mean_nothing(late):
    alignment, _ = on_barrier(Alignment(1), 0, barrier(2))
    assert on_barrier(alignment, 0, barrier(late)) == (alignment, Action.IGNORE)


def test_an_aborted_checkpoint_frees_its_channels():
    alignment, _ = on_barrier(Alignment(2), 0, barrier(3))
    alignment = on_abort(alignment, 3)
    assert alignment.blocked == frozenset()
    assert on_barrier(alignment, 1, barrier(3))[1] is Action.IGNORE
    assert on_barrier(alignment, 1, barrier(4))[1] is Action.WAIT


def test_an_older_abort_does_not_touch_the_awaited_checkpoint():
    alignment, _ = on_barrier(Alignment(2), 0, barrier(3))
    assert on_abort(alignment, 2).blocked == {0}


def test_a_barrier_that_nobody_sends_waits_for_the_end_of_all_channels():
    alignment, action = on_barrier(Alignment(2), None, barrier(1))
    assert action is Action.WAIT and not alignment.blocked
    alignment, due = on_end(alignment, 0)
    assert due == []
    alignment, due = on_end(alignment, 1)
    assert due == [barrier(1)]
    assert on_barrier(alignment, None, barrier(2))[1] is Action.SNAPSHOT


def test_a_barrier_that_is_asked_for_does_not_overtake_those_that_channels_hold():
    alignment, _ = on_barrier(Alignment(1), None, barrier(2))
    alignment, _ = on_barrier(alignment, None, barrier(3))
    alignment, _ = on_barrier(alignment, None, barrier(4))
    alignment, action = on_barrier(alignment, 0, barrier(2))
    assert action is Action.SNAPSHOT
    alignment, action = on_barrier(alignment, 0, barrier(3))
    assert action is Action.SNAPSHOT
    assert on_end(alignment, 0)[1] == [barrier(4)]


def test_the_end_gives_all_barriers_that_no_channel_gave_but_the_aborted():
    alignment = Alignment(1)
    for checkpoint_id in (4, 2, 3):
        alignment, _ = on_barrier(alignment, None, barrier(checkpoint_id))
    assert on_end(on_abort(alignment, 3), 0)[1] == [barrier(2), barrier(4)]


def test_a_newer_abort_does_not_touch_an_older_checkpoint():
    alignment = on_abort(Alignment(1), 3)
    alignment, action = on_barrier(alignment, 0, barrier(2))
    assert action is Action.SNAPSHOT
    alignment, action = on_barrier(alignment, 0, barrier(3))
    assert action is Action.IGNORE
    assert on_barrier(alignment, 0, barrier(4))[1] is Action.SNAPSHOT


@pytest.mark.parametrize("seed", range(50))
def test_each_channel_gives_each_barrier_once_and_all_snapshot_in_order(seed):
    """Channels whose elements come in any order that alignment lets them: every checkpoint is taken, once, in order,
    and nothing behind its barrier was read before."""
    rng = random.Random(seed)
    count, checkpoints = rng.randrange(1, 5), 6
    queues = [list(range(1, checkpoints + 1)) for _ in range(count)]
    alignment, taken, read = Alignment(count), [], [0] * count
    while any(queues):
        ready = [i for i in range(count) if queues[i] and i not in alignment.blocked]
        channel = rng.choice(ready)
        checkpoint_id = queues[channel].pop(0)
        read[channel] = checkpoint_id
        alignment, action = on_barrier(alignment, channel, barrier(checkpoint_id))
        if action is Action.SNAPSHOT:
            taken.append(checkpoint_id)
            assert read == [checkpoint_id] * count
    assert taken == list(range(1, checkpoints + 1))
