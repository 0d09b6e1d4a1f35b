# SPDX-License-Identifier: Apache-2.0
"""python -m bench limits: what the machine can do, by bare kernels."""

from __future__ import annotations

import argparse

from bench.limits.measure import Limit, measure
from bench.results import Line, Section, cores

ROWS = 10_000_000
NAMES = (
    "read", "copy", "random",
    "group_by:1000", "group_by:100000", "group_by:1000000", "group_by:10000000", "group_by:1000000:zipf",
    "intern:1000000", "update:1000000", "tumbling:100000", "texts:1000000", "words", "filter", "map",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="LIMIT", help=f"of {' '.join(NAMES)}; default: all")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores()}))
    parser.add_argument("--repetitions", type=int, default=3)


def rows_of(name: str, rows: int) -> int:
    return rows // 5 if name == "words" else rows  # lines, of a dozen words each


def line(limit: Limit, rows: int) -> Line:
    name = f"{limit.name}, {limit.threads} thread{'s' * (limit.threads > 1)}"
    return Line(name, limit.unit, list(limit.rates), facts={"rows": f"{rows:,}", "form": limit.form})


def run(options: argparse.Namespace) -> list[Section]:
    names = options.names or NAMES
    lines = []
    for threads in options.threads:
        for name in names:
            rows = rows_of(name, options.rows)
            lines.append(line(measure(name, rows, threads, options.repetitions), rows))
    notes = [
        "read, copy: bytes read and written; random: one word of a line among 256 MB;",
        "the others: rows through a bare kernel (bench/limits/bare.c), and nothing else",
    ]
    return [Section("limits", f"limits {' '.join(options.names)}".strip(), lines, notes)]
