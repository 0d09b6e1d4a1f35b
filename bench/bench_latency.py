# SPDX-License-Identifier: Apache-2.0
"""The latencies of bench/latency.py, few records of each case: all arrive."""

from __future__ import annotations

import pytest

from bench.latency import LOADS, OPERATORS, measure


@pytest.mark.parametrize("parallelism", [1, 2])
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("load", LOADS)
def bench_latency(size, load, operator, parallelism):
    records = size(smoke=200, full=5_000 if load == "single" else 600_000)
    case = measure(load, operator, parallelism, records=records)
    print(case.HEAD, case.line(), sep="\n")
    assert case.records == records - records // 4
    assert 0 < case.p50_ms <= case.p99_ms <= case.max_ms
