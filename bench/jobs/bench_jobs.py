# SPDX-License-Identifier: Apache-2.0
"""The whole jobs, through the public API, from an Arrow table to results."""

from __future__ import annotations

import os

import pytest

from bench.jobs.collect import result_table, run
from bench.jobs.pipelines import PIPELINES
from bench.limits.measure import OF_JOB
from bench.workloads import WORKLOADS, base, checksum


@pytest.mark.parametrize("parallelism", sorted({1, min(2, os.cpu_count() or 1)}))
@pytest.mark.parametrize("job", list(PIPELINES))
def bench_job(timed, size, job, parallelism):
    workload = WORKLOADS[base(job)]
    rows = size(smoke=20_000, full=workload.rows_full)
    table = workload.table(rows)
    build = PIPELINES[job]
    made = timed(
        run,
        job,
        build,
        table,
        parallelism,
        rows=rows,
        bytes=table.nbytes,
        limit=OF_JOB.get(base(job)),
        threads=parallelism,
    )
    assert checksum(result_table(job, made, build, table)) == checksum(workload.answer(table))
