# SPDX-License-Identifier: Apache-2.0
"""What a run measured: lines in sections, as a table on the terminal and as a file to compare with later."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FORMAT = 1  # of the files; raised when an older reader would misread a newer one
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "K"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
WITH_PREFIX = ("s", "B", "B/s")  # units that are written together with it: ms, GB/s


@dataclass
class Line:
    """One thing measured.

    name : unique in its section, and the same from run to run
    values : one of each repetition, of which the median counts; empty when there is a problem
    limit : what the machine could do, in the same unit; limit_name : which bare kernel says so
    facts : what else is known, for further columns; a text or a number that is printed as it is
    """

    name: str
    unit: str
    values: list[float]
    more_is_better: bool = True
    limit: float | None = None
    limit_name: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float | None:
        """How far apart the repetitions are: 0.1 when the highest is 10 % above the lowest; None for one alone."""
        if len(self.values) < 2:
            return None
        return max(self.values) / min(self.values) - 1 if min(self.values) > 0 else float("inf")


@dataclass
class Section:
    """What one command measured: a table, and what there is to say below it."""

    title: str
    command: str
    lines: list[Line]
    notes: list[str] = field(default_factory=list)


@dataclass
class Run:
    """Sections of one machine and one commit."""

    machine: dict[str, Any]
    date: str
    commit: str
    sections: list[Section]


def scaled(value: float, unit: str) -> str:
    """24_100_000 rows/s as "24.1 M rows/s", 0.0031 s as "3.10 ms", 2e9 B/s as "2.00 GB/s"."""
    for factor, prefix in PREFIXES:
        is_used = factor <= 1 if unit == "s" else factor >= 1
        if is_used and abs(value) >= factor * 0.9995:
            shown = value / factor
            digits = 0 if abs(shown) >= 99.95 else 1 if abs(shown) >= 9.995 else 2
            named = prefix + unit if unit in WITH_PREFIX else f"{prefix} {unit}".strip()
            return f"{shown:.{digits}f} {named}".strip()
    return f"{value:.3g} {unit}".strip()


def share(part: float) -> str:
    return f"{part:.0%}" if part >= 0.095 else f"{part:.1%}"


def cells(line: Line, fact_names: list[str], shows_limits: bool) -> list[str]:
    if line.problem is not None:
        return [line.name, line.problem]
    ends = sorted(line.values, reverse=not line.more_is_better)
    unit = "s" if line.unit == "s" else ""
    spread = f"{scaled(ends[0], unit)} - {scaled(ends[-1], unit)}" if len(ends) > 1 else "one run"
    row = [line.name, scaled(line.value, line.unit), spread]
    row += [str(line.facts.get(name, "")) for name in fact_names]
    if shows_limits:
        limit = ""
        if line.limit:
            limit = f"{share(line.value / line.limit)} of {scaled(line.limit, line.unit)} ({line.limit_name})"
        row.append(limit)
    return row


def table(section: Section) -> tuple[list[str], list[list[str]]]:
    """(heads, rows) of a section, as text. A line with a problem has two cells."""
    fact_names = list(dict.fromkeys(name for line in section.lines for name in line.facts if name[0] != "_"))
    shows_limits = any(line.limit for line in section.lines)
    heads = ["", "median", "worst - best", *fact_names]
    if shows_limits:
        heads.append("of the limit")
    return heads, [cells(line, fact_names, shows_limits) for line in section.lines]


def aligned(heads: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Columns under each other; the first to the left, the others to the right."""
    rows = list(rows)
    whole = [row for row in rows if len(row) == len(heads)]
    widths = [max(map(len, column)) for column in zip(heads, *whole)]
    widths[0] = max([widths[0], *(len(row[0]) for row in rows)])
    out = []
    for row in [heads, *rows]:
        first = row[0].ljust(widths[0])
        if len(row) < len(heads):
            out.append(f"  {first}  {'  '.join(row[1:])}".rstrip())
            continue
        rest = "  ".join(text.rjust(width) for text, width in zip(row[1:], widths[1:]))
        out.append(f"  {first}  {rest}".rstrip())
    return out


def show(section: Section) -> None:
    print(f"\n{section.title}")
    print("\n".join(aligned(*table(section))), flush=True)
    for note in section.notes:
        print(f"  {note}", flush=True)


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    processor = platform.processor() or platform.machine()
    cpuinfo, meminfo = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        processor = names[0] if names else processor
    found: dict[str, Any] = {
        "processor": processor,
        "cores": cores(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }
    if meminfo.exists():
        found["memory_gb"] = round(int(meminfo.read_text().split()[1]) * 1024 / 1e9)
    return found


def commit() -> str:
    """The commit of the working tree, with "+" when files differ from it; "" outside a repository."""
    try:
        asked = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def started() -> Run:
    return Run(machine(), datetime.datetime.now().astimezone().isoformat(timespec="seconds"), commit(), [])


def save(run: Run, path: Path) -> None:
    path.write_text(json.dumps({"format": FORMAT, **asdict(run)}, indent=1) + "\n")


def load(path: Path) -> Run:
    """ValueError: it is no file of `save`."""
    try:
        stored = json.loads(path.read_text())
        if stored["format"] != FORMAT:
            raise ValueError(f"'{path}' has format {stored['format']}; this reads {FORMAT}")
        sections = [
            Section(each["title"], each["command"], [Line(**line) for line in each["lines"]], each["notes"])
            for each in stored["sections"]
        ]
        return Run(stored["machine"], stored["date"], stored["commit"], sections)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"'{path}' is no run that python -m bench --json wrote: {error!r}") from error
