# SPDX-License-Identifier: Apache-2.0
"""The different ids of a batch, in the order in which they come."""

from __future__ import annotations

import numpy as np
import pytest

from flinkcore._native.distinct import DistinctIds


def first_rows_naive(ids):
    seen = set()
    return [row for row, id in enumerate(ids) if not (id in seen or seen.add(id))]


@pytest.mark.parametrize("bound", [1, 2, 100, 100_000])
def test_first_rows_equal_the_naive_twin_call_after_call(bound):
    rng = np.random.default_rng(bound)
    distinct = DistinctIds()
    for n in (0, 1, 2, 1000, 5, 16, 17, 3000):
        ids = rng.integers(0, bound, n).astype(np.int32)
        assert distinct.first_rows(ids).tolist() == first_rows_naive(ids.tolist())


def test_marks_of_calls_long_ago_are_forgotten():
    rng = np.random.default_rng(0)
    distinct = DistinctIds()
    for _ in range(600):
        ids = rng.integers(0, 1000, 30).astype(np.int32)
        assert distinct.first_rows(ids).tolist() == first_rows_naive(ids.tolist())


def test_a_negative_id_is_refused():
    with pytest.raises(ValueError, match="ids are 0 or more"):
        DistinctIds().first_rows(np.array([1, -1], np.int32))
