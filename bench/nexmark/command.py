# SPDX-License-Identifier: Apache-2.0
"""python -m bench nexmark: Nexmark queries, each run a process of its own, every result checked.

flinkcore makes the events inside the job. Flink gets the same events as CSV files, and reading them is a large part of
its time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

from bench.nexmark.answers import problem_of
from bench.nexmark.files import streams_of, write_events
from bench.nexmark.queries import QUERIES
from bench.peers.engines import ENGINES, python_of
from bench.results import ROOT, Line, Section, cores

EVENTS = {"flinkcore": 10_000_000, "pyflink": 2_000_000}
LACKS = {"flinkcore": set(), "pyflink": {"q12"}}  # windows of processing time: nothing to check them by


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queries", nargs="*", metavar="QUERY", help=f"of {' '.join(QUERIES)}; default: all")
    parser.add_argument("--engines", default="flinkcore", help=f"of {','.join(EVENTS)}; default: flinkcore")
    parser.add_argument("--events", type=int, help="at most; by default 10,000,000, 2,000,000 for Flink")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores()}))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--warmups", type=int, default=1, help="untimed runs in each process before that")


def run_child(python: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [str(python), "-m", "bench.nexmark.child", json.dumps(arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        return {"failed": said[-1] if said else f"exit code {done.returncode}"}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def line_of(name: str, query: str, events: int, runs: list[dict[str, Any]]) -> Line:
    for each in runs:
        problem = each.get("failed") or problem_of(query, events, each["totals"])
        if problem is not None:
            return Line(name, "events/s", [], problem=problem)
    cpu = statistics.median(max(each["cpu_seconds"], 1e-9) for each in runs)
    facts = {
        "events": f"{events:,}",
        "K events/cpu s": f"{events / cpu / 1e3:,.0f}",
        "result rows": f"{runs[0]['totals']['rows']:,}",
        "peak MB": f"{max(each['peak_bytes'] for each in runs) / 1e6:.0f}",
        "version": runs[0]["version"],
    }
    return Line(name, "events/s", [events / each["seconds"] for each in runs], facts=facts)


def run(options: argparse.Namespace) -> list[Section]:
    for query in options.queries:
        if query not in QUERIES:
            raise ValueError(f"{query!r} is not one of {', '.join(QUERIES)}")
    pythons = {}
    for engine in options.engines.split(","):
        if engine not in EVENTS:
            raise ValueError(f"{engine!r} is not one of {', '.join(EVENTS)}")
        try:
            pythons[engine] = python_of(ENGINES[engine], is_here=False)
        except RuntimeError as error:
            print(f"{engine} is left out: {error}", flush=True)
    lines = []
    for query in options.queries or QUERIES:
        for threads in options.threads:
            for engine, python in pythons.items():
                if query in LACKS[engine]:
                    continue
                events = min(options.events or EVENTS[engine], EVENTS[engine])
                if engine != "flinkcore":
                    for stream in streams_of(query):
                        write_events(stream, events, threads)
                arguments = {
                    "engine": engine,
                    "query": query,
                    "events": events,
                    "threads": threads,
                    "warmups": options.warmups,
                }
                runs = [run_child(python, arguments) for _ in range(options.repetitions)]
                name = f"{query} {engine}, {threads} thread{'s' * (threads > 1)}"
                lines.append(line_of(name, query, events, runs))
    notes = ["events of all kinds, of which 46 in 50 are bids; bench/nexmark/queries.py says what differs"]
    return [Section("nexmark", "nexmark", lines, notes)]
