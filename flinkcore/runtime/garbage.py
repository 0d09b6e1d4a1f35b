# SPDX-License-Identifier: Apache-2.0
"""While jobs run, Python's garbage collector passes over what was there before them.

Its full collections stop every thread for as long as it takes to visit all objects: 15 to 40 ms for those of a program
that has imported NumPy, pyarrow and pandas, more than any record should take. Nothing of that becomes garbage while
jobs run; what does is found when the last of them has ended.

The operators of a job that has ended refer to each other and so are garbage that only a full collection finds, with all
the state and results that they hold: a process that runs one job after the other would fill up. So a job begins with
one, when jobs have run since the last for so long that its time does not count.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# How long jobs run, all together, before one of them begins with a full collection.
COLLECT_AFTER_S = 1.0

_lock = threading.Lock()
_jobs = 0
_ran_s = 0.0  # since the last full collection that was made here
_frozen_by_us = False


@contextmanager
def older_objects_left_alone() -> Iterator[None]:
    """For the time of one job, in any thread; jobs may overlap. A program that freezes by itself is let be."""
    global _jobs, _ran_s, _frozen_by_us
    with _lock:
        if _jobs == 0 and gc.get_freeze_count() == 0:
            if _ran_s >= COLLECT_AFTER_S:
                gc.collect()
                _ran_s = 0.0
            gc.freeze()
            _frozen_by_us = True
        _jobs += 1
    began_s = time.monotonic()
    try:
        yield
    finally:
        with _lock:
            _jobs -= 1
            _ran_s += time.monotonic() - began_s
            if _jobs == 0 and _frozen_by_us:
                gc.unfreeze()
                _frozen_by_us = False
