# SPDX-License-Identifier: Apache-2.0
"""The timer queue against a naive twin."""

from __future__ import annotations

import random

import pytest

from flinkcore.state.timers import Timer, TimerQueue


def drain(queue, time_ms):
    found = []
    while (timer := queue.pop_due(time_ms)) is not None:
        found.append(timer)
    return found


def test_timers_are_a_set_in_timestamp_order():
    queue = TimerQueue()
    assert queue.register(20, 1) and queue.register(10, 2) and queue.register(20, 0)
    assert not queue.register(20, 1)
    assert queue.register(20, 1, "window"), "another namespace, another timer"
    assert len(queue) == 4 and queue.next_ms() == 10
    assert drain(queue, 9) == []
    assert drain(queue, 20) == [
        Timer(10, 2, None),
        Timer(20, 1, None),
        Timer(20, 0, None),
        Timer(20, 1, "window"),
    ]
    assert queue.next_ms() is None


def test_a_deleted_timer_may_be_registered_again():
    queue = TimerQueue()
    queue.register(5, 1)
    assert queue.delete(5, 1) and not queue.delete(5, 1)
    assert queue.next_ms() is None
    queue.register(5, 1)
    assert drain(queue, 5) == [Timer(5, 1, None)]


def test_deleted_timers_do_not_pile_up():
    queue = TimerQueue()
    for i in range(10_000):
        queue.register(1000 + i, 0)
        queue.delete(1000 + i, 0)
    assert len(queue._heap) <= 65


@pytest.mark.parametrize("seed", range(30))
def test_it_equals_a_sorted_set(seed):
    rng = random.Random(seed)
    queue, naive = TimerQueue(), []
    for _ in range(300):
        timer = Timer(rng.randrange(-20, 40), rng.randrange(3), rng.choice([None, "w"]))
        action = rng.random()
        if action < 0.6:
            assert queue.register(*timer) == (timer not in naive)
            if timer not in naive:
                naive.append(timer)
        elif action < 0.9:
            assert queue.delete(*timer) == (timer in naive)
            if timer in naive:
                naive.remove(timer)
        else:
            due = sorted((t for t in naive if t.timestamp_ms <= 0), key=lambda t: t.timestamp_ms)
            assert drain(queue, 0) == due
            naive = [t for t in naive if t.timestamp_ms > 0]
        assert len(queue) == len(naive)
    assert list(queue) == sorted(naive, key=lambda t: t.timestamp_ms)
