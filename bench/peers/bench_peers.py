# SPDX-License-Identifier: Apache-2.0
"""Every installed engine gives the right answer to every job. Speeds are for python -m bench.peers."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from bench.peers.__main__ import ENGINES, cores, judge
from bench.peers.child import measure
from bench.workloads import WORKLOADS, checksum


@pytest.mark.parametrize("job", list(WORKLOADS))
@pytest.mark.parametrize("engine", list(ENGINES))
def bench_peer_answers(engine, job):
    if find_spec(ENGINES[engine]) is None:
        pytest.skip(f"{ENGINES[engine]} is not installed")
    workload = WORKLOADS[job]
    run = measure(engine, job, rows=2_000, threads=cores(), warmups=0)
    assert judge(run, checksum(workload.answer(workload.table(2_000)))) is None
