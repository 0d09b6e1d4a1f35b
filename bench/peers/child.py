# SPDX-License-Identifier: Apache-2.0
"""One engine, one job, one thread count, in a process of its own: python -m bench.peers.child '<json>'.

Prints a line of JSON: the version, seconds and processor seconds of the timed run, memory, the checksum. Processor
time and memory are those of this process and of all that it started, such as a JVM and its workers.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import pyarrow as pa

from bench.workloads import WORKLOADS, base, checksum

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def descendants() -> list[int]:
    """Process ids of all that this process has started, and they in turn, as far as they still run."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, left = [], [os.getpid()]
    while left:
        started = children.get(left.pop(), [])
        found += started
        left += started
    return found


def peak_bytes() -> int:
    """The most memory that this process has had, and the most of each that it started and that still runs."""
    if not Path("/proc/self/status").exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    total = 0
    for pid in ["self", *descendants()]:
        try:
            text = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        if "VmHWM:" in text:  # on Linux ru_maxrss counts the parent's too
            total += int(text.split("VmHWM:")[1].split()[0]) * 1024
    return total


def cpu_seconds() -> float:
    """Processor time of this process, of those that it started, and of those that have ended since (by ticks of 10 ms,
    but for its own)."""
    total = time.process_time()
    if Path("/proc").exists():
        own = os.times()
        total += own.children_user + own.children_system
        for pid in descendants():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(map(int, fields[11:15])) * TICK_S
    return total


def measure(engine: str, job: str, rows: int, threads: int, warmups: int) -> dict[str, object]:
    module = importlib.import_module(f"bench.peers.with_{engine}")
    table = WORKLOADS[base(job)].table(rows).combine_chunks()
    if engine != "flinkcore":
        pa.set_cpu_count(threads)
    run, arrow = module.prepare(job, table, threads)
    del table
    for _ in range(warmups):
        run()
    gc.collect()
    start_cpu, start_ns = cpu_seconds(), time.perf_counter_ns()
    raw = run()
    elapsed_ns, cpu = time.perf_counter_ns() - start_ns, cpu_seconds() - start_cpu
    peak = peak_bytes()
    found = checksum(arrow(raw))
    if hasattr(module, "close"):
        module.close()
    return {
        "version": module.version(),
        "seconds": getattr(
            raw, "seconds", elapsed_ns / 1e9
        ),  # an engine whose start is no part of the job says so
        "cpu_seconds": cpu,
        "peak_bytes": peak,
        "result_rows": found.rows,
        "digest": found.digest,
    }


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
