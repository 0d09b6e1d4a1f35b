# SPDX-License-Identifier: Apache-2.0
"""Count windows on columns: full windows in the order in which they fill, remainders never."""

from __future__ import annotations

import random

import pytest

from flinkcore.operators.count_window import CountWindows
from flinkcore.time import MAX_WATERMARK
from tests.operators.columnar import AGGREGATES, KEY, SCHEMA, Runner


def windows(size):
    return CountWindows(SCHEMA, KEY, AGGREGATES.calls, AGGREGATES.names, size)


def naive(rows, size):
    open_windows, out = {}, []
    for key, value, _ in rows:
        values = open_windows.setdefault(key, [])
        values.append(value)
        if len(values) == size:
            out.append((key, size, sum(values), max(values)))
            del open_windows[key]
    return out


def test_a_window_fires_when_it_is_full_and_remainders_never():
    run = Runner(windows(2))
    run.send([(1, 1, 0), (1, 2, 0), (1, 3, 0), (2, 9, 0), (1, 4, 0)])
    assert run.results() == [(1, 2, 3, 2), (1, 2, 7, 4)]
    run.until(MAX_WATERMARK)
    run.operator.end_input()
    assert run.results() == []
    assert run.operator.unfired() == "1 count windows are not full"
    assert len(run.operator.index) == 1


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_batch_size_does_not_change_the_answer(seed, batch_rows):
    rng = random.Random(seed)
    size = rng.choice([1, 2, 3, 10])
    rows = [(rng.randrange(5), rng.randrange(100), 0) for _ in range(300)]
    run = Runner(windows(size))
    run.send(rows, batch_rows)
    assert run.results() == naive(rows, size)
