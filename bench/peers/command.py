# SPDX-License-Identifier: Apache-2.0
"""python -m bench peers: jobs on flinkcore and its peers side by side.

Every run is a process of its own with its thread count fixed before anything is imported; the engines take
turns, in an order that rotates from repetition to repetition, so that a slow spell of the machine meets all
of them. Of the repetitions the median counts. Every result is compared with the answer of bench.workloads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.limits.measure import OF_JOB, Limit, measure
from bench.peers.engines import ENGINES, python_of
from bench.results import ROOT, Line, Section, cores
from bench.workloads import WORKLOADS, Checksum, base, checksum


@dataclass
class Measurement:
    """All repetitions of one engine on one job with one thread count."""

    job: str
    engine: str
    threads: int
    rows: int
    runs: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None

    @property
    def rates(self) -> list[float]:
        return [self.rows / run["seconds"] for run in self.runs]


def run_child(python: Path, measurement: Measurement, warmups: int, timeout_s: float) -> dict[str, Any]:
    threads = str(measurement.threads)
    environment = {
        **os.environ,
        "POLARS_MAX_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "RAYON_NUM_THREADS": threads,
        "PYTHONPATH": str(ROOT),
    }
    arguments = {
        "engine": measurement.engine,
        "job": measurement.job,
        "rows": measurement.rows,
        "threads": measurement.threads,
        "warmups": warmups,
    }
    try:
        done = subprocess.run(
            [str(python), "-m", "bench.peers.child", json.dumps(arguments)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {timeout_s:g} s"}
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return {"failed": lines[-1] if lines else f"exit code {done.returncode}"}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def judge(run: dict[str, Any], expected: Checksum) -> str | None:
    """What is wrong with a run; None when nothing is."""
    if "failed" in run:
        return f"failed: {run['failed']}"
    found = Checksum(run["result_rows"], run["digest"])
    if found.rows != expected.rows:
        return f"WRONG RESULT: {found.rows:,} rows, expected {expected.rows:,}"
    return None if found == expected else "WRONG RESULT: as many rows as expected, other values"


def measure_job(
    job: str,
    rows: int | None,
    thread_counts: list[int],
    pythons: dict[str, Path],
    repetitions: int,
    warmups: int,
    timeout_s: float,
) -> list[Measurement]:
    """pythons : engine -> what runs it"""
    rows = rows or WORKLOADS[base(job)].rows_full
    measurements = [
        Measurement(job, engine, threads, ENGINES[engine].rows(job, rows))
        for threads in thread_counts
        for engine in pythons
        if ENGINES[engine].has(job) and (threads == 1 or not ENGINES[engine].one_thread_only)
    ]
    expected = {}
    for count in {measurement.rows for measurement in measurements}:
        expected[count] = checksum(WORKLOADS[base(job)].answer(WORKLOADS[base(job)].table(count)))
    for repetition in range(repetitions):
        shift = repetition % max(len(measurements), 1)
        for measurement in measurements[shift:] + measurements[:shift]:
            if measurement.problem is None:
                run = run_child(pythons[measurement.engine], measurement, warmups, timeout_s)
                measurement.problem = judge(run, expected[measurement.rows])
                measurement.runs.append(run)
    return measurements


def line_of(each: Measurement, own: Measurement | None, limit: Limit | None) -> Line:
    """own : flinkcore's, with as many threads;  limit : only of a line of flinkcore"""
    name = f"{each.engine}, {each.threads} thread{'s' * (each.threads > 1)}"
    if each.problem is not None:
        return Line(name, "rows/s", [], problem=each.problem)
    cpu = each.rows / statistics.median(max(run["cpu_seconds"], 1e-9) for run in each.runs)
    facts = {
        "rows": f"{each.rows:,}",
        "M rows/cpu s": f"{cpu / 1e6:.3g}",
        "peak MB": f"{max(run['peak_bytes'] for run in each.runs) / 1e6:.0f}",
        "version": each.runs[0]["version"],
    }
    if own is not None:
        ratio = statistics.median(each.rates) / statistics.median(own.rates)
        facts["of flinkcore"] = f"{ratio:.2f}x" if ratio >= 0.1 else f"1/{1 / ratio:.0f}"
    line = Line(name, "rows/s", each.rates, facts=facts)
    if limit is not None:
        line.limit, line.limit_name = limit.rate, limit.name
    return line


def section_of(job: str, measurements: list[Measurement], limits: dict[int, Limit]) -> Section:
    right = [each for each in measurements if each.problem is None]
    own = {each.threads: each for each in right if each.engine == "flinkcore"}
    lines = [
        line_of(each, own.get(each.threads), limits.get(each.threads) if each.engine == "flinkcore" else None)
        for each in measurements
    ]
    notes = []
    for threads, flinkcore in own.items():
        peers = [each for each in right if each.threads == threads and ENGINES[each.engine].is_batch]
        if peers:
            best = max(peers, key=lambda each: statistics.median(each.rates))
            ratio = statistics.median(flinkcore.rates) / statistics.median(best.rates)
            notes.append(
                f"threads {threads}: flinkcore runs at {ratio:.2f}x of the fastest batch engine, {best.engine}"
            )
    return Section(f"{job}: {WORKLOADS[base(job)].title}", f"peers --jobs {job}", lines, notes)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, help="rows of input at most; by default each job's full size")
    parser.add_argument(
        "--jobs",
        default=",".join(WORKLOADS),
        help=f"of {','.join(WORKLOADS)}, variants such as W3.final; default: these",
    )
    parser.add_argument("--threads", default="1,all", help="thread counts, e.g. 1,2 or 1,all (default)")
    parser.add_argument("--engines", default=",".join(ENGINES), help=f"of {','.join(ENGINES)}; default: all")
    parser.add_argument(
        "--here",
        action="store_true",
        help="engines as this Python has them, instead of pinned ones of their own",
    )
    parser.add_argument("--repetitions", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--warmups", type=int, default=1, help="untimed runs in each process before that")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one process")
    parser.add_argument(
        "--no-limits", action="store_true", help="without the machine's limits, which take time"
    )


def checked_names(given: str, known: dict[str, Any]) -> list[str]:
    names = given.split(",")
    for name in names:
        if base(name) not in known:
            raise ValueError(f"{name!r} is not one of {', '.join(known)}")
    return names


def run(options: argparse.Namespace) -> list[Section]:
    jobs, engines = checked_names(options.jobs, WORKLOADS), checked_names(options.engines, ENGINES)
    pythons = {}
    for engine in engines:
        try:
            pythons[engine] = python_of(ENGINES[engine], options.here)
        except RuntimeError as error:
            print(f"{engine} is left out: {error}", flush=True)
    thread_counts = list(
        dict.fromkeys(cores() if text == "all" else int(text) for text in options.threads.split(","))
    )
    sections = []
    for job in jobs:
        limits = {}
        if base(job) in OF_JOB and "flinkcore" in pythons and not options.no_limits:
            rows = options.rows or WORKLOADS[base(job)].rows_full
            limits = {threads: measure(OF_JOB[base(job)], rows, threads) for threads in thread_counts}
        found = measure_job(
            job, options.rows, thread_counts, pythons, options.repetitions, options.warmups, options.timeout
        )
        sections.append(section_of(job, found, limits))
        print(f"{job} done", flush=True)
    return sections
