# SPDX-License-Identifier: Apache-2.0
"""While jobs run, Python's garbage collector passes over what was there before them.

Its full collections stop every thread for as long as it takes to visit all objects: 15 to 40 ms for those of a program
that has imported NumPy, pyarrow and pandas, more than any record should take. Nothing of that becomes garbage while
jobs run; what does is found when the last of them has ended.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_jobs = 0
_frozen_by_us = False


@contextmanager
def older_objects_left_alone() -> Iterator[None]:
    """For the time of one job, in any thread; jobs may overlap. A program that freezes by itself is let be."""
    global _jobs, _frozen_by_us
    with _lock:
        if _jobs == 0 and gc.get_freeze_count() == 0:
            gc.freeze()
            _frozen_by_us = True
        _jobs += 1
    try:
        yield
    finally:
        with _lock:
            _jobs -= 1
            if _jobs == 0 and _frozen_by_us:
                gc.unfreeze()
                _frozen_by_us = False
