# SPDX-License-Identifier: Apache-2.0
"""How fast a bare kernel runs here and now."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from typing import Any

from bench.limits.kernels import Calls, work


@dataclass(frozen=True)
class Limit:
    """A machine's limit for some work: the rates of the repetitions, of which the median counts."""

    name: str
    threads: int
    unit: str
    rates: tuple[float, ...]
    form: str  # "plain", or "staged": memory is fetched ahead

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


#: The bare kernel that does what a job of bench.workloads must at least do. W2 and W6 have none.
OF_JOB = {
    "W1": "tumbling:100000",
    "W3": "group_by:1000000",
    "W4": "words",
    "W5": "filter",
    "W8": "texts:1000000",
    "W9": "map",
    "WA": "tumbling:100000",
}


def together(calls: Calls) -> float:
    """Seconds from a common start to the end of the last call; several run in a thread each."""
    if len(calls) == 1:
        start_ns = time.perf_counter_ns()
        calls[0]()
        return (time.perf_counter_ns() - start_ns) / 1e9
    ready = threading.Barrier(len(calls) + 1)
    ends_ns: list[int] = []

    def run(call: Any) -> None:
        ready.wait()
        call()
        ends_ns.append(time.perf_counter_ns())

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    start_ns = time.perf_counter_ns()  # before the barrier opens: it cannot flatter
    ready.wait()
    for thread in threads:
        thread.join()
    if len(ends_ns) < len(calls):
        raise RuntimeError("a thread of a bare kernel has failed")
    return (max(ends_ns) - start_ns) / 1e9


def measure(name: str, rows: int, threads: int = 1, repetitions: int = 3) -> Limit:
    """The limit of that name (kernels.work lists them) at so many rows; of its forms the faster one."""
    todo = work(name, rows, threads)
    best: Limit | None = None
    for staged in (False, True) if todo.has_forms else (False,):
        rates = []
        for _ in range(repetitions):
            with todo.begin(staged) as calls:  # type: ignore[attr-defined]
                rates.append(todo.amount / together(calls))
        found = Limit(name, threads, todo.unit, tuple(rates), "staged" if staged else "plain")
        if best is None or found.rate > best.rate:
            best = found
    assert best is not None
    return best
