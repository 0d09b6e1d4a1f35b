# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of a folder (kernels, operators, state, jobs), run by pytest, each held against its limit."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.limits.measure import Limit, measure
from bench.results import ROOT, Line, Section

UNITS = {"B/s": "bytes", "rows/s": "rows", "lines/s": "rows"}  # of a limit -> what a benchmark counts of it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("only", nargs="*", metavar="NAME", help="benchmarks whose name has one of these")
    parser.add_argument("--small", action="store_true", help="at the size of the tests: does it work?")
    parser.add_argument(
        "--no-limits", action="store_true", help="without the machine's limits, which take time"
    )


def run_pytest(folder: str, only: list[str], small: bool) -> list[dict[str, Any]]:
    """What pytest-benchmark has to say about each benchmark of bench/`folder`. RuntimeError: one has failed."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "run.json"
        command = [sys.executable, "-m", "pytest", f"bench/{folder}", "--benchmark-enable"]
        command += [f"--benchmark-json={path}", "-p", "no:cacheprovider"]
        command += [] if small else ["--full"]
        command += ["-k", " or ".join(only)] if only else []
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode == 5:
            raise ValueError(f"no benchmark of {folder} has {' or '.join(only)} in its name")
        if done.returncode != 0:
            raise RuntimeError(
                f"benchmarks of {folder} have failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}"
            )
        return list(json.loads(path.read_text())["benchmarks"])


def line_of(benchmark: dict[str, Any], limit: Limit | None) -> Line:
    """A benchmark as pytest-benchmark stores it, in rows per second."""
    known = benchmark["extra_info"]
    rows, seconds = known["rows"], benchmark["stats"]["data"]
    middle = benchmark["stats"]["median"]
    line = Line(
        benchmark["name"].removeprefix("bench_"),
        "rows/s",
        [rows / each for each in seconds],
        facts={"rows": f"{rows:,}", "GB/s": f"{known['bytes'] / middle / 1e9:.2f}"},
    )
    if limit is not None:
        line.limit = limit.rate * rows / known[UNITS[limit.unit]]
        line.limit_name = limit.name
    return line


def run(options: argparse.Namespace) -> list[Section]:
    benchmarks = run_pytest(options.command, options.only, options.small)
    measured = [each for each in benchmarks if "rows" in each["extra_info"] and "limit" in each["extra_info"]]
    limits: dict[tuple[str, int, int], Limit] = {}
    lines = []
    for each in measured:
        known = each["extra_info"]
        key = (known["limit"], known["rows"], known["threads"])
        if known["limit"] is not None and not options.no_limits and key not in limits:
            limits[key] = measure(known["limit"], known["rows"], known["threads"])
        lines.append(line_of(each, limits.get(key)))
    notes = []
    if len(measured) < len(benchmarks):
        notes.append(
            f"{len(benchmarks) - len(measured)} more say what they found in words: "
            f"pytest bench/{options.command} --full"
        )
    return [Section(options.command, " ".join([options.command, *options.only]), lines, notes)]
