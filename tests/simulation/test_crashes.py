# SPDX-License-Identifier: Apache-2.0
"""Random jobs through crashes, rescales and storage that fails give what plain Python says.

A failure names its seed and the command that replays it. More seeds run with

    python -m tests.simulation.campaign 0 50000 --crashes
"""

from __future__ import annotations

import pytest

from flinkcore.operators.sink import SinkOperator
from tests.simulation.crashes import check_crashes, crashing_job, run_crashing

SEEDS = 500
SEEDS_PER_TEST = 10


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_PER_TEST))
def test_crashes_leave_no_trace(first):
    for seed in range(first, first + SEEDS_PER_TEST):
        check_crashes(seed)


def test_a_seed_repeats_every_step_fault_and_crash():
    traces: list[list[str]] = [[], []]
    for trace in traces:
        for seed in range(8):
            run_crashing(seed, crashing_job(seed), trace)
    assert traces[0] == traces[1]
    assert {"crash", "error"} <= {word for line in traces[0] for word in line.split()}


def test_crashes_come_everywhere():
    trace: list[str] = []
    for seed in range(60):
        run_crashing(seed, crashing_job(seed), trace)
    places = {line.partition("crash ")[2] for line in trace if " crash " in line}
    assert {"between steps", "behind the end", "at snapshot.frozen", "at restore.begun"} <= places
    assert len(places) > 15


def test_results_that_are_not_committed_after_a_restore_are_found(monkeypatch):
    monkeypatch.setattr(SinkOperator, "restore_committables", lambda sink, committables: None)
    with pytest.raises(AssertionError, match=r"replay: python -m tests\.simulation\.campaign \d+ --crashes"):
        for seed in range(SEEDS):
            check_crashes(seed)
