# SPDX-License-Identifier: Apache-2.0
"""Random jobs, each run in several simulated orders and in threads, give what plain Python says.

A failure names its seed and the command that replays it. The thousands of seeds of the campaign run with

    python -m pytest -m campaign tests/simulation
"""

from __future__ import annotations

import gc

import pytest

from flinkcore._native.column import Column
from flinkcore.testing import simulate
from tests.simulation.campaign import check_seed, random_job, run_one
from tests.simulation.late import LateJob
from tests.simulation.physical import Physical
from tests.simulation.steps import to_object

SEEDS_PER_TEST = 5


@pytest.mark.parametrize("first", range(0, 80, SEEDS_PER_TEST))
def test_every_way_to_run_a_job_gives_the_same_right_answer(first):
    for seed in range(first, first + SEEDS_PER_TEST):
        check_seed(seed)


@pytest.mark.campaign
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", range(1000, 6000, 100))
def test_a_campaign_of_random_jobs(first):
    for seed in range(first, first + 100):
        check_seed(seed)


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_repeats_its_run(seed):
    def run():
        job = next(job for job in map(random_job, range(seed * 10, 10**6)) if not isinstance(job, LateJob))
        stream = job.input.stream(Physical("same", False, False))
        return list(map(repr, simulate(to_object().build(stream, None), seed)))

    assert run() == run()


def test_a_wrong_answer_is_told_with_the_command_that_replays_it(monkeypatch):
    def wrong(seed, job, number):
        run_one(seed, job, number)
        raise ValueError("wrong")

    monkeypatch.setattr("tests.simulation.campaign.run_one", wrong)
    with pytest.raises(AssertionError, match=r"python -m tests\.simulation\.campaign 3\b"):
        check_seed(3)


def test_runs_leave_no_columns_behind():
    def living():
        gc.collect()
        return sum(type(each) is Column for each in gc.get_objects())

    check_seed(33)
    before = living()
    for seed in range(30, 36):
        check_seed(seed)
    assert living() <= before
