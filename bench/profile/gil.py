# SPDX-License-Identifier: Apache-2.0
"""The share of time in which some thread holds Python's global lock, by a thread that comes for it at random.

A visitor who comes at random times finds the lock held as often as it is held: the share of visits that had to wait is
the share of time. Times that pass while it waits count as visits that wait too, or else a long hold would count as
little as a short one. A free lock is taken within a fraction of a microsecond, a held one makes the visitor sleep,
which takes several; WAITED_NS lies between. The error is that of as many throws of a coin as there were visits that
came by themselves: 0.8 % at one half and 4,000 visits. On a machine with more to run than cores a thread that has the
lock may itself wait for a core, and that counts as held, which it is. What the watcher does to the job: when it has
waited 5 ms the holder lets go, as it would for any second thread.
"""

from __future__ import annotations

import ctypes
import math
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import compiled

INTERVAL_NS = 1_000_000
WAITED_NS = 5_000
VISITS_MAX = 1_000_000


@dataclass(frozen=True)
class Held:
    """share : of the visits, those that found the lock held;  error : its standard error;  wait_ns_p99 : of all"""

    share: float
    error: float
    visits: int
    wait_ns_p99: float


class Watcher:
    """with Watcher() as watcher: ...; watcher.held() afterwards."""

    def __init__(self, interval_ns: int = INTERVAL_NS) -> None:
        if not getattr(sys, "_is_gil_enabled", lambda: True)():
            raise RuntimeError("this Python runs without a global lock")
        self.interval_ns = interval_ns
        self.signs = (ctypes.c_int32 * 2)(0, 0)  # stop; it has begun
        self.waits_ns = np.zeros(VISITS_MAX, np.int64)
        self.visits = 0
        self.thread = threading.Thread(target=self._watch, name="gil watcher", daemon=True)

    def _watch(self) -> None:
        probe = compiled.library(Path(__file__).with_name("gil.c")).gil_probe
        pointer, count = ctypes.c_void_p, ctypes.c_int64
        probe.restype, probe.argtypes = count, [pointer, pointer, pointer, count, pointer, count]
        ensure = ctypes.cast(ctypes.pythonapi.PyGILState_Ensure, pointer)
        release = ctypes.cast(ctypes.pythonapi.PyGILState_Release, pointer)
        self.visits = probe(
            ensure,
            release,
            ctypes.addressof(self.signs),
            self.interval_ns,
            self.waits_ns.ctypes.data,
            VISITS_MAX,
        )

    def __enter__(self) -> Watcher:
        self.thread.start()
        while not self.signs[1] and self.thread.is_alive():
            time.sleep(0.0002)
        return self

    def __exit__(self, *_: object) -> None:
        self.signs[0] = 1
        self.thread.join()

    def held(self) -> Held:
        if not self.visits:
            raise ValueError("the watched time was too short for a single visit")
        waits_ns = self.waits_ns[: self.visits]
        share = float((waits_ns > WAITED_NS).mean())
        alone = max(1, int((waits_ns < self.interval_ns / 2).sum()))  # those that fell into no other's wait
        error = math.sqrt(max(share * (1 - share), 1 / alone) / alone)
        return Held(share, error, self.visits, float(np.percentile(waits_ns, 99)))
