# SPDX-License-Identifier: Apache-2.0
"""A job run again and again, to be looked at: python -m bench.profile.child '<json>'.

Prints "ready" and a process id once everything is loaded and the job has run, then, when the time is over, a line of
JSON: the seconds of each run, the counts of each operator in the run of median length, and how long the lock was held.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from bench.jobs.collect import run
from bench.jobs.pipelines import PIPELINES
from bench.nexmark.queries import QUERIES
from bench.profile.gil import Watcher
from bench.workloads import WORKLOADS, base
from flinkcore.connectors.blackhole import BlackHoleSink
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.runtime.job import JobRun, listeners


class LastJob:
    """A listener that keeps the job that ended last."""

    def __init__(self) -> None:
        self.job: JobRun | None = None

    def job_started(self, job: JobRun) -> None:
        pass

    def job_ended(self, job: JobRun) -> None:
        self.job = job

    def operators(self) -> list[dict[str, Any]]:
        """Counts of each operator, all its subtasks together, in the order of the graph."""
        assert self.job is not None
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for runner in self.job.runners():
            key = (runner.task.name, runner.context.name)
            one = found.setdefault(
                key,
                {
                    "task": runner.task.name,
                    "operator": runner.context.name,
                    "subtasks": 0,
                    "busy_ns": 0,
                    "rows_in": 0,
                    "rows_out": 0,
                },
            )
            one["subtasks"] += 1
            for name in ("busy_ns", "rows_in", "rows_out"):
                one[name] += getattr(runner.metrics, name)
        return list(found.values())


def runner_of(job: str, rows: int, threads: int) -> Any:
    """What runs the job once."""
    if job in QUERIES:

        def query() -> None:
            env = StreamExecutionEnvironment.get_execution_environment()
            env.set_parallelism(threads)
            QUERIES[job](env, rows).sink_to(BlackHoleSink())
            env.execute(job)

        return query
    table = WORKLOADS[base(job)].table(rows)
    return lambda: run(job, PIPELINES[job], table, threads)


def look(job: str, rows: int, threads: int, seconds: float, watches: bool) -> dict[str, Any]:
    last = LastJob()
    listeners.append(last)
    once = runner_of(job, rows, threads)
    once()
    print("ready", os.getpid(), flush=True)
    watcher = Watcher() if watches else None
    runs: list[tuple[float, list[dict[str, Any]], int]] = []
    end_ns = time.perf_counter_ns() + int(seconds * 1e9)
    with watcher or nullcontext():
        while not runs or time.perf_counter_ns() < end_ns:
            start_ns = time.perf_counter_ns()
            once()
            elapsed = (time.perf_counter_ns() - start_ns) / 1e9
            assert last.job is not None
            runs.append((elapsed, last.operators(), len(last.job.tasks)))
    listeners.remove(last)
    middle = sorted(runs, key=lambda each: each[0])[len(runs) // 2]
    return {
        "runs": [elapsed for elapsed, _, _ in runs],
        "seconds": middle[0],
        "operators": middle[1],
        "tasks": middle[2],
        "held": asdict(watcher.held()) if watcher else None,
    }


if __name__ == "__main__":
    print(json.dumps(look(**json.loads(sys.argv[1]))))
