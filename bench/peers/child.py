# SPDX-License-Identifier: Apache-2.0
"""One engine, one job, one thread count, in a process of its own: python -m bench.peers.child '<json>'.

Prints a line of JSON: the version, seconds and processor seconds of the timed run, memory, the checksum.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import sys
import time
from pathlib import Path

import pyarrow as pa

from bench.workloads import WORKLOADS, base, checksum


def peak_bytes() -> int:
    """The most memory this process has had. (On Linux ru_maxrss counts the parent's too.)"""
    status = Path("/proc/self/status")
    if status.exists():
        text = status.read_text()
        return int(text.split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
    start_cpu_ns, start_ns = time.process_time_ns(), time.perf_counter_ns()
    raw = run()
    elapsed_ns, cpu_ns = time.perf_counter_ns() - start_ns, time.process_time_ns() - start_cpu_ns
    peak = peak_bytes()
    found = checksum(arrow(raw))
    return {
        "version": module.version(),
        "seconds": elapsed_ns / 1e9,
        "cpu_seconds": cpu_ns / 1e9,
        "peak_bytes": peak,
        "result_rows": found.rows,
        "digest": found.digest,
    }


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
