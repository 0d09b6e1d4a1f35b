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


def again(step, *args):
    """The result of a step that may fail once for want of memory, and then can be repeated."""
    try:
        return step(*args)
    except MemoryError:
        return step(*args)


def written_again(index, since, epoch):
    """(epoch, blocks); a writer that fails for want of memory makes a new snapshot, of a later epoch."""
    frozen = again(index.freeze, since, epoch)
    try:
        return epoch, list(frozen.blocks())
    except MemoryError:
        return written_again(index, since, epoch + 1)
    finally:
        frozen.release()
