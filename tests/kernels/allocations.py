# SPDX-License-Identifier: Apache-2.0
"""Allocations of the kernels that fail, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType


def failing(module: ModuleType, run: Callable[[], object]) -> Iterator[bool]:
    """Calls run() again and again; the first allocation in it fails, then the second, until all have.

    module : the extension module whose kernels run() calls, with `fail_allocation`
    Gives, for each call, whether it raised the MemoryError that it may raise; the last call had all its memory.
    What is to hold after a failure is the caller's to check, and to make anew what run() changes.
    """
    nth, left = 0, 0
    while left == 0:
        nth += 1
        module.fail_allocation(nth)
        try:
            run()
            failed = False
        except MemoryError:
            failed = True
        finally:
            left = module.fail_allocation(0)
        yield failed
