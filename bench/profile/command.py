# SPDX-License-Identifier: Apache-2.0
"""python -m bench profile JOB: where the time of a job goes.

The job runs in a process of its own, again and again, first to be timed, then with a watcher of the global lock, then
under py-spy: none of the three disturbs the other two.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.limits.measure import OF_JOB, measure
from bench.profile.gil import Held
from bench.profile.stacks import innermost, record, stacks_of
from bench.results import ROOT, aligned, scaled, share
from bench.workloads import WORKLOADS, base

FUNCTIONS_SHOWN = 25
EVENTS = 10_000_000  # of a Nexmark query


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "job", help="a job, W1 ... WA or a variant such as W3.record, or a Nexmark query, q0 ... q12"
    )
    parser.add_argument("--rows", type=int, help="rows of input, or events; by default the job's full size")
    parser.add_argument("--threads", type=int, default=1, help="the job's parallelism")
    parser.add_argument("--seconds", type=float, default=5, help="how long each look takes at least")
    parser.add_argument(
        "--no-stacks", action="store_true", help="without py-spy, which is installed when first needed"
    )
    parser.add_argument(
        "--flame",
        type=Path,
        metavar="FILE",
        help="also a flame graph: .svg, or else stacks as speedscope.app reads them",
    )


@contextmanager
def child(arguments: dict[str, Any]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that runs the job, at the point where it begins: (process, its id)."""
    command = [sys.executable, "-m", "bench.profile.child", json.dumps(arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        if words[:1] != ["ready"]:
            said = process.communicate()[1].strip().splitlines()
            raise RuntimeError(f"the job failed: {said[-1] if said else 'without a word'}")
        yield process, int(words[1])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def looked(arguments: dict[str, Any]) -> dict[str, Any]:
    """What the child has to say."""
    with child(arguments) as (process, _):
        printed, said = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the job failed: {said.strip().splitlines()[-1]}")
        return dict(json.loads(printed.strip().splitlines()[-1]))


def operator_rows(found: dict[str, Any]) -> list[list[str]]:
    """A row for each operator, and one for what is left of the time of the job's threads."""
    whole_ns = found["seconds"] * found["tasks"] * 1e9
    rows = [
        [
            each["operator"],
            scaled(each["busy_ns"] / 1e9, "s"),
            share(each["busy_ns"] / whole_ns),
            scaled(each["rows_in"], ""),
            scaled(each["rows_out"], ""),
            f"{each['busy_ns'] / each['rows_in']:.1f}" if each["rows_in"] else "",
            str(each["subtasks"]),
        ]
        for each in found["operators"]
    ]
    left_ns = whole_ns - sum(each["busy_ns"] for each in found["operators"])
    rows.append(
        [
            "in no operator: waiting, channels",
            scaled(left_ns / 1e9, "s"),
            share(left_ns / whole_ns),
            *[""] * 4,
        ]
    )
    return rows


def show_operators(found: dict[str, Any]) -> None:
    heads = ["operator", "time", "of all threads", "rows in", "rows out", "ns/row", "subtasks"]
    print("\n" + "\n".join(aligned(heads, operator_rows(found))), flush=True)


def show_functions(stacks: Counter[tuple[str, ...]]) -> None:
    whole = sum(stacks.values())
    print(f"\n  functions by their own time, {whole} samples of threads that ran (py-spy)")
    rows = [
        [name[-100:], share(count / whole)] for name, count in innermost(stacks).most_common(FUNCTIONS_SHOWN)
    ]
    print("\n".join(aligned(["function", "of the samples"], rows)))


def main(options: argparse.Namespace) -> int:
    job, threads = options.job, options.threads
    is_query = job.startswith("q")
    if not is_query and base(job) not in WORKLOADS:
        raise ValueError(f"{job!r} is neither one of {', '.join(WORKLOADS)} nor a Nexmark query")
    rows = options.rows or (EVENTS if is_query else WORKLOADS[base(job)].rows_full)
    arguments = {"job": job, "rows": rows, "threads": threads, "seconds": options.seconds, "watches": False}
    found = looked(arguments)
    rate = rows / found["seconds"]
    print(f"{job}: {rows:,} rows, {threads} thread{'s' * (threads > 1)}, {found['tasks']} tasks")
    ends = f"{scaled(min(found['runs']), 's')} - {scaled(max(found['runs']), 's')}"
    print(
        f"  {scaled(rate, 'rows/s')}: {scaled(found['seconds'], 's')}, median of {len(found['runs'])} runs of {ends}"
    )
    if base(job) in OF_JOB:
        limit = measure(OF_JOB[base(job)], rows, threads)
        print(
            f"  {share(rate / limit.rate)} of the machine's limit, {scaled(limit.rate, 'rows/s')} ({limit.name})"
        )
    show_operators(found)
    held = Held(**looked({**arguments, "watches": True})["held"])
    print(
        f"\n  the global lock is held {share(held.share)} of the time, +- {share(held.error)}, by {held.visits} visits"
    )
    if not options.no_stacks:
        sampled = {**arguments, "seconds": options.seconds + 2}  # until py-spy is done
        with child(sampled) as (_, pid):
            show_functions(stacks_of(pid, options.seconds))
        if options.flame:
            with child(sampled) as (_, pid):
                record(
                    pid,
                    options.seconds,
                    options.flame,
                    "flamegraph" if options.flame.suffix == ".svg" else "raw",
                )
            print(f"\n  flame graph: {options.flame}")
    elif options.flame:
        raise ValueError("a flame graph needs py-spy: leave --no-stacks out")
    return 0
