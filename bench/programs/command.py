# SPDX-License-Identifier: Apache-2.0
"""python -m bench programs: PyFlink's word count and tumbling windows, scaled, on flinkcore, PyFlink and Bytewax.

Every run is a process of its own with one subtask, from a file of lines to a file of results, which is checked. Slow
engines get fewer rows; rates are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from bench.peers.engines import ENGINES, python_of
from bench.programs.inputs import PROGRAMS, Program
from bench.results import ROOT, Line, Section

ROWS = {"flinkcore": 10_000_000, "bytewax": 1_000_000, "pyflink": 200_000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"of {' '.join(PROGRAMS)}; default: all")
    parser.add_argument("--engines", default=",".join(ROWS), help=f"of {','.join(ROWS)}; default: all")
    default = ",".join(f"{engine}={rows}" for engine, rows in ROWS.items())
    parser.add_argument("--rows", default=default, help=f"of each engine, or one number at most; default: {default}")
    parser.add_argument("--repetitions", type=int, default=1)


def examples_of(python: Path) -> Path:
    """The folder of the DataStream examples of an environment with PyFlink."""
    (found,) = python.parents[1].glob("lib/python*/site-packages/pyflink/examples/datastream")
    return found


def run_child(python: Path, engine: str, name: str, examples: Path, rows: int) -> dict[str, Any]:
    """What the process printed, with `problem`: what is wrong with its output, if something is."""
    program = PROGRAMS[name]
    source = program.input(examples, rows)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "output"
        arguments = {
            "engine": engine,
            "name": name,
            "program": str(examples / program.path),
            "source": str(source),
            "output": str(output),
            "replaces_collection": program.replaces_collection,
        }
        done = subprocess.run(
            [str(python), "-m", "bench.programs.child", json.dumps(arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            return {"problem": f"failed: {said[-1] if said else f'exit code {done.returncode}'}"}
        result = dict(json.loads(done.stdout.strip().splitlines()[-1]))
        result["problem"] = problem_of(program, source, output)
        return result


def problem_of(program: Program, source: Path, output: Path) -> str | None:
    """What is wrong with the files of an output; None when nothing is."""
    paths = [output] if output.is_file() else [path for path in output.rglob("*") if path.is_file()]
    found: Counter[str] = Counter()
    for path in paths:
        found.update(path.read_text().splitlines())
    expected = program.expected(source)
    if found == expected:
        return None
    return f"WRONG RESULT: {found.total():,} lines, expected {expected.total():,}"


def line_of(engine: str, rows: int, runs: list[dict[str, Any]], peers: dict[str, float]) -> Line:
    problem = next((run["problem"] for run in runs if run["problem"]), None)
    if problem is not None:
        return Line(engine, "rows/s", [], problem=problem)
    rates = [rows / run["seconds"] for run in runs]
    facts = {"rows": f"{rows:,}", "version": runs[0]["version"]}
    own = peers.setdefault(engine, statistics.median(rates))
    if engine != "flinkcore" and "flinkcore" in peers:
        facts["flinkcore is"] = f"{peers['flinkcore'] / own:.3g} times as fast"
    return Line(engine, "rows/s", rates, facts=facts)


def rows_of(text: str) -> dict[str, int]:
    """How many rows each engine gets."""
    if text.isdigit():
        return {engine: min(rows, int(text)) for engine, rows in ROWS.items()}
    given = dict(part.split("=") for part in text.split(","))
    return ROWS | {engine: int(rows) for engine, rows in given.items()}


def run(options: argparse.Namespace) -> list[Section]:
    names, engines = options.programs or list(PROGRAMS), options.engines.split(",")
    for given, known in ((names, PROGRAMS), (engines, ROWS)):
        for name in given:
            if name not in known:
                raise ValueError(f"{name!r} is not one of {', '.join(known)}")
    examples = examples_of(python_of(ENGINES["pyflink"], is_here=False))
    pythons = {engine: python_of(ENGINES[engine], is_here=False) for engine in engines}
    rows, sections = rows_of(options.rows), []
    for name in names:
        runs: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
        for _ in range(options.repetitions):
            for engine in engines:
                runs[engine].append(run_child(pythons[engine], engine, name, examples, rows[engine]))
        rates: dict[str, float] = {}
        lines = [line_of(engine, rows[engine], runs[engine], rates) for engine in engines]
        sections.append(Section(f"{name}: {PROGRAMS[name].path}", f"programs {name}", lines))
        print(f"{name} done", flush=True)
    return sections
