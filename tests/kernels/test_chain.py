# SPDX-License-Identifier: Apache-2.0
"""Chains: the pairs of a join, as nested loops give them."""

from __future__ import annotations

import numpy as np
import pytest

from flinkcore._native import chain
from flinkcore._native.chain import Chains
from tests.kernels.allocations import failing

LIMITS = (-(2**63), 2**63 - 1)


def pairs_naive(ids, times, asked, asked_times=None, lower=0, upper=0, after=0):
    return [
        (i, row)
        for i, one in enumerate(asked)
        for row, other in enumerate(ids)
        if one == other
        and (
            asked_times is None
            or (asked_times[i] + lower <= times[row] <= asked_times[i] + upper and times[row] > after)
        )
    ]


def all_pairs(chains, ids, pairs_max=10**6, **span):
    found, first = [], 0
    while True:
        askers, rows, stop = chains.match(ids, first, len(ids), pairs_max, **span)
        found += zip(askers.tolist(), rows.tolist())
        if stop == len(ids):
            return found
        assert stop > first
        first = stop


def int32(values):
    return np.array(values, np.int32)


@pytest.mark.parametrize("bound", [1, 3, 50, 100_000])
@pytest.mark.parametrize("pairs_max", [1, 7, 10**6])
def test_pairs_equal_the_naive_twin_whatever_the_appends_were(bound, pairs_max):
    rng = np.random.default_rng(bound)
    ids, asked = rng.integers(0, bound, 300), rng.integers(-1, bound + 2, 200)
    times, asked_times = rng.integers(-50, 50, 300), rng.integers(-50, 50, 200)
    plain, timed = Chains(), Chains(timed=True)
    for start, end in ((0, 0), (0, 1), (1, 40), (40, 300)):
        plain.append(ids[start:end].astype(np.int32))
        timed.append(ids[start:end].astype(np.int32), times[start:end])
    assert len(plain) == len(timed) == 300
    assert all_pairs(plain, asked.astype(np.int32), pairs_max) == pairs_naive(ids, times, asked)
    for lower, upper, after in ((-10, 10, -100), (0, 0, -100), (5, 20, 0), (3, 2, -100), (-100, 100, 7)):
        span = {"times_ms": asked_times, "lower_ms": lower, "upper_ms": upper, "after_ms": after}
        expected = pairs_naive(ids, times, asked, asked_times, lower, upper, after)
        assert all_pairs(timed, asked.astype(np.int32), pairs_max, **span) == expected


def test_bounds_beyond_int64_are_its_limits():
    chains = Chains(timed=True)
    chains.append(int32([0, 0]), np.array([LIMITS[0] + 1, LIMITS[1]]))
    times = np.array([LIMITS[1], LIMITS[0]])
    found = all_pairs(chains, int32([0, 0]), times_ms=times, lower_ms=-5, upper_ms=5, after_ms=LIMITS[0])
    assert found == [(0, 1), (1, 0)]


def test_an_answer_holds_whole_rows_and_says_where_to_go_on():
    chains = Chains()
    chains.append(int32([0] * 3000))
    askers, rows, stop = chains.match(int32([1, 0, 0]), 0, 3, 10)
    assert (len(rows), stop) == (0, 1)
    askers, rows, stop = chains.match(int32([1, 0, 0]), 1, 3, 10)
    assert stop == 2 and askers.tolist() == [1] * 3000 and rows.tolist() == list(range(3000))


def test_what_does_not_fit_is_refused():
    chains = Chains()
    with pytest.raises(ValueError, match="0 or more"):
        chains.append(int32([0, -1]))
    with pytest.raises(ValueError, match="timed"):
        chains.append(int32([0]), np.array([1]))
    with pytest.raises(ValueError, match="timed"):
        Chains(timed=True).append(int32([0]))
    with pytest.raises(ValueError, match="timed"):
        chains.match(int32([0]), 0, 1, 10, np.array([1]))
    with pytest.raises(ValueError, match="rows 0 to 2 of 1"):
        chains.match(int32([0]), 0, 2, 10)
    assert len(chains) == 0


def test_an_append_without_memory_adds_nothing():
    made = []

    def run():
        made.append(Chains(timed=True))
        made[-1].append(int32([3, 3]), np.array([1, 2]))

    failures = list(failing(chain, run))
    assert failures == [True] * 4 + [False]
    assert [len(chains) for chains in made] == [0, 0, 0, 0, 2]
    assert all_pairs(made[-1], int32([3])) == [(0, 0), (0, 1)]
