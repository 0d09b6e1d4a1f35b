# SPDX-License-Identifier: Apache-2.0
"""Every engine that this Python has gives the right answer to every job. Speeds are for python -m bench peers."""

from __future__ import annotations

import pytest

from bench.peers.child import measure
from bench.peers.command import judge
from bench.peers.engines import ENGINES
from bench.results import cores
from bench.workloads import WORKLOADS, checksum


@pytest.mark.parametrize("job", list(WORKLOADS))
@pytest.mark.parametrize("engine", list(ENGINES))
def bench_peer_answers(engine, job):
    if not ENGINES[engine].has(job):
        pytest.skip(f"{engine} has no {job}")
    if not ENGINES[engine].is_installed:
        pytest.skip(f"{ENGINES[engine].package} is not installed")
    workload = WORKLOADS[job]
    run = measure(engine, job, rows=2_000, threads=cores(), warmups=0)
    assert judge(run, checksum(workload.answer(workload.table(2_000)))) is None
