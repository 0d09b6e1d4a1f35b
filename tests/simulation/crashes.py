# SPDX-License-Identifier: Apache-2.0
"""Random jobs whose processes crash, come back with another parallelism, and write to storage that fails.

What a reader behind sinks with two-phase commit sees is checked as if nothing had happened.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from flinkcore.graph.job_graph import JobGraph
from flinkcore.testing import processes
from flinkcore.testing.processes import Disturbance
from flinkcore.testing.results import Results, TransactionalSink
from tests.simulation.campaign import Job, random_job
from tests.simulation.late import LateJob
from tests.simulation.outcome import results_of
from tests.simulation.physical import Physical

RECORDS_MAX = 60  # of one source
# Sources that can be read once, and those with the same records that can be read again.
REPLAYED = {"iterator": "rows", "stream": "arrow"}


def crashing_job(seed: int) -> Job | LateJob:
    """The job of a seed, smaller, from sources that can go back, and never in batch mode, which has no checkpoints."""
    job = random_job(seed)
    if isinstance(job, LateJob):
        return replace(job, records=job.records[:RECORDS_MAX])
    taken = replace(
        job.input,
        sources=tuple(records[:RECORDS_MAX] for records in job.input.sources),
        kinds=tuple(REPLAYED.get(kind, kind) for kind in job.input.kinds),
    )
    return replace(job, input=taken, batch_mode=False)


def disturbance_of(seed: int) -> Disturbance:
    rng = random.Random(f"disturbance {seed}")
    return Disturbance(
        crashes=rng.randint(2, 6),
        storage_faults=rng.choice([0.0, 0.0, 0.02, 0.1]),
        checkpoint_interval_ms=rng.choice([1, 5, 20]),
        clock_skew_ms=rng.choice([0, 0, 0, 20, 1000]),
    )


def checkpointing_of(seed: int) -> dict[str, str]:
    """How the job is checkpointed: what must not change its results."""
    rng = random.Random(f"checkpointing {seed}")
    return {
        "execution.checkpointing." + key: str(rng.choice(values))
        for key, values in {
            "data-inline-threshold": ["0 b", "0 b", "200 b", "20 kb"],  # else all of these states lies in manifests
            "max-concurrent-checkpoints": [1, 1, 2, 3],
            "min-pause": ["0 ms", "0 ms", "10 ms"],
            "timeout": ["600 s", "60 s"],
            "tolerable-failed-checkpoints": [0, 1, 5],
            "num-retained": [1, 1, 2, 3],
            "snapshot-compression": ["false", "true"],
        }.items()
    }


def run_crashing(seed: int, job: Job | LateJob, trace: list[str] | None = None) -> dict[str, Results]:
    """The results of each output."""
    outputs: dict[str, Results] = {}
    process = -1

    def sink(name: str) -> Any:
        return TransactionalSink(outputs.setdefault(name, Results()))

    def graph_of(parallelism: int) -> JobGraph:
        nonlocal process
        process += 1
        physical = Physical(f"crash {seed}", job.ordered, job.batch_mode, process)
        for key, value in checkpointing_of(seed).items():
            physical.env.get_configuration().set_string(key, value)
        job.build(physical, sink)
        return physical.env.job_graph()

    processes.run(graph_of, seed, disturbance_of(seed), trace=trace)
    return outputs


def check_crashes(seed: int) -> None:
    """AssertionError says what differs, and how to see it again."""
    job = crashing_job(seed)
    try:
        outputs = run_crashing(seed, job)
        job.check({name: results_of(results.batches()) for name, results in outputs.items()})
        left = {name: len(results.prepared) for name, results in outputs.items() if results.prepared}
        assert not left, f"results that were never committed are left behind: {left}"
    except Exception as error:
        raise AssertionError(
            f"seed {seed}, {disturbance_of(seed)}: {type(error).__name__}: {error}\n"
            f"replay: python -m tests.simulation.campaign {seed} --crashes\n{job}"
        ) from error
