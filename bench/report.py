# SPDX-License-Identifier: Apache-2.0
"""Saved runs as a page of Markdown: python -m bench report run.json > docs/benchmarks.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from bench.results import Run, Section, load, table

HEAD = """# Results

This page is written by a command, from files that the commands below wrote with `--json FILE`:

    {command}

[bench/README.md](../bench/README.md) says what each line means and how to make numbers that mean something. `worst -
best` are the repetitions; a difference below that spread is none. Numbers of two machines do not compare, nor do two
of one machine that were not made side by side, by less than some ten percent."""


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def rows_of(section: Section) -> Iterator[str]:
    heads, rows = table(section)
    yield "| " + " | ".join(map(cell, heads)) + " |"
    yield "| --- |" + " ---: |" * (len(heads) - 1)
    for row in rows:
        yield "| " + " | ".join(map(cell, [*row, *[""] * (len(heads) - len(row))])) + " |"


def section_text(section: Section) -> str:
    parts = [f"### {section.title}", f"    python -m bench {section.command}", "\n".join(rows_of(section))]
    parts += ["\n".join(f"- {note}" for note in section.notes)] if section.notes else []
    return "\n\n".join(parts)


def run_text(run: Run) -> str:
    where = run.machine
    facts = {
        "date": run.date,
        "commit": run.commit or "unknown",
        "processor": f"{where['processor']}, {where['cores']} cores",
        "memory": f"{where['memory_gb']} GB" if "memory_gb" in where else "unknown",
        "system": where.get("system", "unknown"),
        "Python": where["python"],
        "load before it": f"{where['load']:.2f}",
    }
    listed = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return "\n\n".join([f"## Run of {run.date[:10]}", listed, *map(section_text, run.sections)])


def page(runs: list[Run], names: list[str]) -> str:
    """Runs of one machine and commit that follow each other share a heading."""
    joined: list[Run] = []
    for run in runs:
        if joined and (joined[-1].commit, same(joined[-1])) == (run.commit, same(run)):
            joined[-1].sections += run.sections
        else:
            joined.append(run)
    head = HEAD.format(command=f"python -m bench report {' '.join(names)} > docs/benchmarks.md")
    return "\n\n".join([head, *map(run_text, joined)]) + "\n"


def same(run: Run) -> tuple[object, ...]:
    return tuple(run.machine.get(name) for name in ("processor", "cores", "python", "system"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.json")


def main(options: argparse.Namespace) -> int:
    print(page([load(path) for path in options.runs], [path.name for path in options.runs]), end="")
    return 0
