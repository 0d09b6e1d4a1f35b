# SPDX-License-Identifier: Apache-2.0
"""The profile of a job tells what happened. Without py-spy, which is installed only when it is asked for."""

from __future__ import annotations

import ctypes
from collections import Counter
from itertools import pairwise

import pytest

from bench import __main__ as command
from bench.profile.child import look
from bench.profile.gil import WAITED_NS, Watcher
from bench.profile.stacks import innermost, parse


def bench_a_held_lock_is_seen():
    with Watcher(interval_ns=100_000) as watcher:
        ctypes.PyDLL(None).usleep(50_000)  # unlike CDLL, PyDLL holds the lock while it calls
    held = watcher.held()
    assert held.visits == watcher.visits > 0
    assert held.share > 0 and held.wait_ns_p99 > WAITED_NS
    assert int(watcher.waits_ns[: held.visits].max()) > WAITED_NS


def bench_a_long_wait_counts_as_many_visits():
    with Watcher(interval_ns=100_000) as watcher:
        ctypes.PyDLL(None).usleep(100_000)
    waits_ns = watcher.waits_ns[: watcher.visits]
    assert (waits_ns > WAITED_NS).sum() > 100  # 100 ms hold at least 666 times that lie 150 us apart
    assert (waits_ns >= 0).all()


def bench_too_short_to_watch():
    with pytest.raises(ValueError) as caught:
        Watcher().held()
    assert "too short" in str(caught.value)


@pytest.mark.parametrize("job", ["W1", "W9.rows", "q2"])
def bench_look_counts_rows_and_time_by_operator(job):
    found = look(job, rows=5_000, threads=1, seconds=0.01, watches=False)
    operators = found["operators"]
    rows = 4_600 if job == "q2" else 5_000
    assert operators[0]["rows_out"] == rows and operators[-1]["rows_out"] == 0
    for before, after in pairwise(operators):
        assert after["rows_in"] == before["rows_out"]
    assert sum(each["busy_ns"] for each in operators) > 0
    assert len(found["runs"]) >= 1 and found["seconds"] in found["runs"] and found["held"] is None


def bench_stacks_are_read():
    text = """thread (0x1);run (task.py:12);fc_probe (fc_table.c:7) 5
run (task.py:12);fc_probe (fc_table.c:9) 2
x;0x7f (libc.so.6) 1
"""
    stacks = parse(text)
    assert stacks[("run (task.py:12)", "fc_probe (fc_table.c:9)")] == 2
    assert innermost(stacks) == Counter(
        {"fc_probe (fc_table.c)": 7, "a function without a name (libc.so.6)": 1}
    )


def bench_profile_command(capsys):
    arguments = ["profile", "W5", "--rows", "5000", "--seconds", "0.2", "--no-stacks"]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "Filter" in printed and "the global lock is held" in printed and "(filter)" in printed
    assert command.main(["profile", "W77", "--no-stacks"]) == 2
