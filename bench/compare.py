# SPDX-License-Identifier: Apache-2.0
"""A run against an earlier one: a ratio per line, and whether it is beyond the noise.

The noise of a line is the larger of the spreads of its repetitions in both runs, and never under NOISE_MIN: what no
repetition shows, such as a machine that is slower today, is not in it. A line that ran once has no noise to show, so
that nothing about it is marked.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from bench.results import Line, Run, aligned, load, scaled

NOISE_MIN = 0.05
SIZES = ("rows", "events")  # facts of a line: of other sizes nothing compares


@dataclass(frozen=True)
class Change:
    """ratio : new to old, above 1 when the new one is better;  noise : None when a side ran only once"""

    name: str
    old: Line
    new: Line
    ratio: float
    noise: float | None

    @property
    def verdict(self) -> str:
        if self.noise is None:
            return "?"
        if self.ratio > 1 + self.noise:
            return "BETTER"
        return "WORSE" if self.ratio < 1 / (1 + self.noise) else ""


def change(name: str, old: Line, new: Line, noise_min: float = NOISE_MIN) -> Change:
    ratio = new.value / old.value if new.more_is_better else old.value / new.value
    spreads = [line.spread for line in (old, new)]
    known = [spread for spread in spreads if spread is not None]
    return Change(name, old, new, ratio, max(noise_min, *known) if len(known) == 2 else None)


def lines_of(run: Run) -> dict[str, Line]:
    """Each line by what stays the same: the name of its section, up to a colon, and its own."""
    return {
        f"{section.title.partition(':')[0]}, {line.name}": line
        for section in run.sections
        for line in section.lines
    }


def compare(old: Run, new: Run, noise_min: float = NOISE_MIN) -> tuple[list[Change], list[str]]:
    """(lines that both runs have, what there is to say about the others)"""
    before, after = lines_of(old), lines_of(new)
    changes, remarks = [], []
    for name, line in after.items():
        if name not in before:
            continue
        earlier = before[name]
        broken = [
            f"{which}: {each.problem}" for which, each in (("old", earlier), ("new", line)) if each.problem
        ]
        if broken:
            remarks.append(f"{name}: {'; '.join(broken)}")
        elif any(earlier.facts.get(size) != line.facts.get(size) for size in SIZES):
            remarks.append(f"{name}: the two ran at different sizes")
        elif earlier.unit != line.unit or not earlier.value or not line.value:
            remarks.append(f"{name}: {earlier.unit} and {line.unit} of 0 or of two kinds do not compare")
        else:
            changes.append(change(name, earlier, line, noise_min))
    for which, names in (("old", before.keys() - after.keys()), ("new", after.keys() - before.keys())):
        if names:
            remarks.append(f"{len(names)} lines are only in the {which} run")
    for what in ("processor", "cores"):
        if old.machine.get(what) != new.machine.get(what):
            remarks.append(f"OTHER MACHINE: {what} {old.machine.get(what)} and {new.machine.get(what)}")
    return changes, remarks


def show_changes(changes: list[Change], remarks: list[str]) -> None:
    heads = ["", "old", "new", "ratio", "noise", ""]
    rows = [
        [
            each.name,
            scaled(each.old.value, each.old.unit),
            scaled(each.new.value, each.new.unit),
            f"{each.ratio:.2f}x",
            "" if each.noise is None else f"{each.noise:.0%}",
            each.verdict,
        ]
        for each in changes
    ]
    print("\n".join(aligned(heads, rows)))
    for remark in remarks:
        print(f"  {remark}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument(
        "--noise", type=float, default=NOISE_MIN, help="the least noise that is believed; 0.05"
    )


def main(options: argparse.Namespace) -> int:
    old, new = load(options.old), load(options.new)
    for which, run in (("old", old), ("new", new)):
        print(f"  {which}: {run.date}, commit {run.commit or 'unknown'}, {run.machine['processor']}")
    changes, remarks = compare(old, new, options.noise)
    show_changes(changes, remarks)
    return 1 if any(each.verdict == "WORSE" for each in changes) else 0
