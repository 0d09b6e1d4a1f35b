# SPDX-License-Identifier: Apache-2.0
"""Nexmark queries as whole jobs: the generator runs inside the job, as in the published benchmark.

Rows are events of all kinds, as there; 46 of 50 are bids. Speeds are for python -m bench nexmark.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench import __main__ as command
from bench.nexmark.answers import ANSWERS, exact_sum, problem_of
from bench.nexmark.queries import QUERIES
from bench.nexmark.with_flinkcore import run
from bench.results import cores

EVENTS = 200_000


@pytest.mark.parametrize("parallelism", sorted({1, min(2, cores())}))
@pytest.mark.parametrize("query", list(QUERIES))
def bench_query(query, parallelism):
    assert problem_of(query, EVENTS, run(query, EVENTS, parallelism).totals) is None


@pytest.mark.parametrize("query", list(ANSWERS))
def bench_a_wrong_total_is_seen(query):
    right = ANSWERS[query](5_000)
    assert problem_of(query, 5_000, right) is None
    for name in right:
        found = problem_of(query, 5_000, {**right, name: right[name] + max(1, right[name] / 10**9)})
        assert found is not None and found.startswith(f"WRONG RESULT: {name} is")


def bench_sums_beyond_int64_are_exact():
    values = np.array([2**62, 2**62, 2**62, 2**62 + 7, -5])
    assert exact_sum(values) == 4 * 2**62 + 2


def bench_nexmark_command(capsys):
    arguments = [
        "nexmark",
        "q2",
        "q5",
        "--events",
        "20000",
        "--threads",
        "1",
        "--repetitions",
        "2",
        "--warmups",
        "0",
    ]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "q5 flinkcore, 1 thread" in printed
    assert command.main(["nexmark", "q99"]) == 2
