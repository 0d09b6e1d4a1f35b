# SPDX-License-Identifier: Apache-2.0
"""The timer queue against a naive twin, and its snapshots."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from flinkcore.errors import StateFormatError
from flinkcore.state import timers as timers_module
from flinkcore.state.timers import Timer, TimerQueue
from flinkcore.time.window_codec import TimeWindows
from flinkcore.time.windows import TimeWindow
from tests.state.snapshots import being_written, load, written


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


@pytest.mark.parametrize("time_ms", [-1, 0, 7, 19, 20, 100])
def test_all_that_is_due_can_be_taken_at_once(time_ms):
    def queue():
        made = TimerQueue()
        for i in range(60):
            made.register(i * 7 % 21, i % 10, i % 2)
        for i in range(0, 60, 11):
            made.delete(i * 7 % 21, i % 10, i % 2)
        return made

    one, other = queue(), queue()
    assert list(one.take_due(time_ms)) == drain(other, time_ms)
    assert list(one) == list(other) and one.next_ms() == other.next_ms()
    one.register(5, 99)
    other.register(5, 99)
    assert drain(one, 100) == drain(other, 100)


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


# -- snapshots ------------------------------------------------------------------------------------------------


def due_order(queue):
    return drain(queue, 2**62)


@pytest.mark.parametrize("seed", range(30))
def test_each_snapshot_holds_the_timers_as_they_were_and_their_order(seed):
    rng = random.Random(seed)
    namespaces = [None] if seed % 2 else [TimeWindow(0, 10), TimeWindow(10, 20)]
    new = lambda: TimerQueue(None if seed % 2 else TimeWindows())  # noqa: E731
    queue, epoch, alive = new(), 0, []
    written_to: dict[int, list[bytes]] = {0: []}  # all blocks up to an epoch
    ends: dict[int, list[Timer]] = {0: []}
    for _ in range(400):
        timer = (rng.randrange(30), rng.randrange(3), rng.choice(namespaces))
        action = rng.random()
        if action < 0.5:
            queue.register(*timer)
        elif action < 0.7:
            queue.delete(*timer)
        elif action < 0.75:
            queue.pop_due(rng.randrange(10))
        elif action < 0.8:
            since = rng.choice(list(written_to))
            epoch += 1
            frozen = queue.freeze(since, epoch)
            ends[epoch] = list(queue)
            alive.append((since, epoch, frozen, being_written(frozen)))
        elif action < 0.85 and alive:
            since, ended, frozen, writing = alive.pop(rng.randrange(len(alive)))
            written_to[ended] = [*written_to[since], *writing.result()] if since else writing.result()
            frozen.release()
        elif action < 0.86 and not alive:
            floor = rng.choice(list(written_to))
            queue.forget(floor)
            written_to = {e: blocks for e, blocks in written_to.items() if e >= floor or not e}
    for ended, blocks in written_to.items():
        loaded = load(new(), blocks, ended)
        assert list(loaded) == ends[ended] and loaded.row_count == len(ends[ended])
        assert loaded.register(1000, 0, namespaces[0]) and list(loaded)[-1] == Timer(1000, 0, namespaces[0])
        assert due_order(loaded) == [*ends[ended], Timer(1000, 0, namespaces[0])]


def test_an_increment_of_timers_holds_what_happened_since():
    queue = TimerQueue()
    for timestamp_ms in range(100):
        queue.register(timestamp_ms, 0)
    base = written(queue.freeze(0, 1))
    assert written(queue.freeze(1, 2)) == []
    queue.delete(50, 0)
    queue.pop_due(0)
    queue.register(1, 1)
    queue.register(777, 7)
    queue.delete(777, 7)
    increment = written(queue.freeze(2, 3))
    assert len(increment) == 2 and sum(map(len, increment)) < 2500
    assert list(load(TimerQueue(), base + increment)) == list(queue)
    assert queue.state_bytes == 20 * len(queue)


def test_when_more_happened_than_there_are_timers_all_of_them_are_written(monkeypatch):
    monkeypatch.setattr(timers_module, "_NOTED_MIN", 64)
    queue = TimerQueue()
    queue.register(5, 5)
    base = written(queue.freeze(0, 1))
    for timestamp_ms in range(1000):
        queue.register(timestamp_ms, 0)
        queue.delete(timestamp_ms, 0)
    assert queue._changes is None
    queue.register(6, 6)
    queue.delete(5, 5)
    everything = written(queue.freeze(1, 2))
    assert list(load(TimerQueue(), base + everything)) == [Timer(6, 6, None)]
    queue.delete(6, 6)
    assert list(load(TimerQueue(), everything + written(queue.freeze(2, 3)))) == []


def test_crafted_timers_are_refused():
    queue = TimerQueue()
    for timestamp_ms in range(3):
        queue.register(timestamp_ms, 0)
    (block,) = written(queue.freeze(0, 1))
    batch = pa.ipc.open_stream(block).read_next_batch()

    def crafted(**columns):
        sink = pa.BufferOutputStream()
        arrays = [
            pa.array(columns[f.name], f.type) if f.name in columns else batch[f.name] for f in batch.schema
        ]
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=batch.schema))
        return memoryview(sink.getvalue())

    for columns, message in (
        ({"group_id": [0, -1, 0]}, "negative group id"),
        ({"order": [0, 1, 2**62]}, "outside 0"),
        ({"order": [0, None, 2]}, "lacks"),
    ):
        with pytest.raises(StateFormatError, match=message):
            TimerQueue().load(crafted(**columns))
    twice = TimerQueue()
    twice.load(crafted(order=[0, 1, 1]))
    with pytest.raises(StateFormatError, match="two timers have one place"):
        twice.loaded(1)
    with pytest.raises(StateFormatError, match="expected"):
        TimerQueue(TimeWindows()).load(memoryview(block))
    rng = random.Random(3)
    for _ in range(500):
        mutated = bytearray(block)
        mutated[rng.randrange(len(mutated))] ^= 1 << rng.randrange(8)
        fresh = TimerQueue()
        try:
            fresh.load(memoryview(bytes(mutated)))
            fresh.loaded(1)
            due_order(fresh)
        except ValueError:
            pass
