# SPDX-License-Identifier: Apache-2.0
"""Run jobs on flinkcore and its peers side by side and print rows per second and ratios.

Every run is a process of its own with its thread count fixed before anything is imported; the engines take
turns, in an order that rotates from repetition to repetition, so that a slow spell of the machine meets all
of them. Of the repetitions the median counts. Every result is compared with the answer of bench.workloads.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

from bench.workloads import WORKLOADS, Checksum, base, checksum

ENGINES = {  # name -> the package it needs
    "flinkcore": "flinkcore",
    "polars": "polars",
    "polars_streaming": "polars",
    "duckdb": "duckdb",
    "duckdb_arrow": "duckdb",
    "bytewax": "bytewax",
}
ROWS_MAX = {"bytewax": 100_000}
ONE_THREAD_ONLY = {"bytewax"}
BATCH_PEERS = {"polars", "polars_streaming", "duckdb", "duckdb_arrow"}
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Measurement:
    """All repetitions of one engine on one job with one thread count."""

    job: str
    engine: str
    threads: int
    rows: int
    runs: list[dict] = field(default_factory=list)
    problem: str | None = None

    @property
    def rows_per_second(self) -> float:
        return self.rows / statistics.median(run["seconds"] for run in self.runs)

    @property
    def rows_per_cpu_second(self) -> float:
        return self.rows / statistics.median(max(run["cpu_seconds"], 1e-9) for run in self.runs)


def run_child(measurement: Measurement, warmups: int, timeout_s: float) -> dict:
    threads = str(measurement.threads)
    environment = {
        **os.environ,
        "POLARS_MAX_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "RAYON_NUM_THREADS": threads,
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
            [sys.executable, "-m", "bench.peers.child", json.dumps(arguments)],
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
    return json.loads(done.stdout.strip().splitlines()[-1])


def judge(run: dict, expected: Checksum) -> str | None:
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
    engines: list[str],
    repetitions: int,
    warmups: int,
    timeout_s: float,
) -> list[Measurement]:
    rows = rows or WORKLOADS[base(job)].rows_full
    measurements = [
        Measurement(job, engine, threads, min(rows, ROWS_MAX.get(engine, rows)))
        for threads in thread_counts
        for engine in engines
        if threads == 1 or engine not in ONE_THREAD_ONLY
    ]
    expected = {}
    for count in {measurement.rows for measurement in measurements}:
        expected[count] = checksum(WORKLOADS[base(job)].answer(WORKLOADS[base(job)].table(count)))
    for repetition in range(repetitions):
        shift = repetition % len(measurements)
        for measurement in measurements[shift:] + measurements[:shift]:
            if measurement.problem is None:
                run = run_child(measurement, warmups, timeout_s)
                measurement.problem = judge(run, expected[measurement.rows])
                measurement.runs.append(run)
    return measurements


def line(each: Measurement, own: Measurement | None) -> str:
    head = f"  {each.engine:<18}{each.threads:>7}{each.rows:>12,}"
    if each.problem is not None:
        return f"{head}  {each.problem}"
    seconds = [run["seconds"] for run in each.runs]
    spread = f"{each.rows / max(seconds) / 1e6:.2f}-{each.rows / min(seconds) / 1e6:.2f}"
    peak_mb = max(run["peak_bytes"] for run in each.runs) / 1e6
    ratio = f"{each.rows_per_second / own.rows_per_second:.2f}x" if own else ""
    rates = f"{each.rows_per_second / 1e6:>10.2f}{spread:>18}{each.rows_per_cpu_second / 1e6:>14.2f}"
    return f"{head}{rates}{peak_mb:>9.0f}{ratio:>14}"


def report(job: str, measurements: list[Measurement]) -> None:
    print(f"\n{job}: {WORKLOADS[base(job)].title}")
    print(
        f"  {'engine':<18}{'threads':>7}{'rows':>12}{'M rows/s':>10}{'slowest-fastest':>18}"
        f"{'M rows/cpu s':>14}{'peak MB':>9}{'of flinkcore':>14}"
    )
    right = [each for each in measurements if each.problem is None]
    own = {each.threads: each for each in right if each.engine == "flinkcore"}
    for each in measurements:
        print(line(each, own.get(each.threads)))
    for threads, flinkcore in own.items():
        peers = [each for each in right if each.threads == threads and each.engine in BATCH_PEERS]
        if peers:
            best = max(peers, key=lambda each: each.rows_per_second)
            ratio = flinkcore.rows_per_second / best.rows_per_second
            print(f"  => threads {threads}: flinkcore runs at {ratio:.2f}x of the fastest, {best.engine}")


def machine() -> dict[str, object]:
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": cores(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, help="rows of input; by default each job's full size")
    parser.add_argument(
        "--jobs",
        default=",".join(WORKLOADS),
        help=f"of {','.join(WORKLOADS)}, variants such as W3.final; default: these",
    )
    parser.add_argument("--threads", default="1,all", help="thread counts, e.g. 1,2 or 1,all (default)")
    parser.add_argument("--engines", default=",".join(ENGINES), help=f"of {','.join(ENGINES)}; default: all")
    parser.add_argument("--repetitions", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--warmups", type=int, default=1, help="untimed runs in each process before that")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one process")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    options = parser.parse_args()
    jobs, engines = options.jobs.split(","), options.engines.split(",")
    for given, known in ((jobs, WORKLOADS), (engines, ENGINES)):
        for name in given:
            if base(name) not in known:
                parser.error(f"{name!r} is not one of {', '.join(known)}")
    for package in dict.fromkeys(ENGINES[engine] for engine in engines):
        if find_spec(package) is None:
            print(f"{package} is not installed and left out (pip install {package})")
            engines = [engine for engine in engines if ENGINES[engine] != package]
    thread_counts = list(
        dict.fromkeys(cores() if text == "all" else int(text) for text in options.threads.split(","))
    )
    where = machine()
    print(f"{where['processor']}, {where['cores']} cores, Python {where['python']}, load {where['load']:.2f}")
    if where["load"] > 0.5:
        print("the machine is busy: these are no numbers to keep")
    measurements = []
    for job in jobs:
        found = measure_job(
            job, options.rows, thread_counts, engines, options.repetitions, options.warmups, options.timeout
        )
        report(job, found)
        measurements += found
    if options.json:
        everything = [asdict(measurement) for measurement in measurements]
        options.json.write_text(json.dumps({"machine": where, "measurements": everything}, indent=1))
    return 1 if any(each.problem for each in measurements) else 0


if __name__ == "__main__":
    raise SystemExit(main())
