# SPDX-License-Identifier: Apache-2.0
"""One query on one engine in a process of its own: python -m bench.nexmark.child '<json>'. Prints a line of JSON."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from bench.peers.child import cpu_seconds, peak_bytes


def measure(engine: str, query: str, events: int, threads: int, warmups: int) -> dict[str, Any]:
    module = importlib.import_module(f"bench.nexmark.with_{engine}")
    for _ in range(warmups):
        module.run(query, events, threads)
    start_cpu = cpu_seconds()
    ran = module.run(query, events, threads)
    cpu = cpu_seconds() - start_cpu
    totals = ran.totals if ran.totals is not None else module.totals(query, events, threads)
    return {
        "version": module.version(),
        "seconds": ran.seconds,
        "cpu_seconds": cpu,
        "peak_bytes": peak_bytes(),
        "totals": totals,
    }


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
