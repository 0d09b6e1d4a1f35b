# SPDX-License-Identifier: Apache-2.0
"""Fault points: named places in checkpoints, recovery and spilling at which a test may stop the process.

`reached(name)` does nothing unless a test has put a function into `hook`; that may raise, sleep or kill.
"""

from __future__ import annotations

from collections.abc import Callable

#: Every name that is ever reached, in the order in which a checkpoint comes by them.
NAMES = (
    "barrier.triggered",  # the coordinator has told the sources
    "barrier.received",  # a task has seen its first barrier of a checkpoint
    "barrier.aligned",  # ... and its last
    "snapshot.frozen",  # the operators of a task are frozen, the barrier is not sent on yet
    "barrier.forwarded",
    "upload.begun",  # a segment is about to be written
    "upload.block",  # a block of it is written
    "upload.synced",  # the segment is on the disk under its temporary name
    "upload.done",  # ... under its own name
    "snapshot.acknowledged",
    "manifest.begun",
    "manifest.written",  # under its temporary name
    "manifest.linked",  # the checkpoint is complete
    "commit.begun",  # a sink is about to commit what the checkpoint holds
    "commit.moved",  # one file has its name
    "commit.done",
    "collect.begun",  # older checkpoints are about to be removed
    "collect.manifest",  # the manifest of one is gone
    "collect.segment",  # a file that nobody refers to is gone
    "collect.done",
    "restore.begun",
    "restore.segment",  # one segment is read
    "restore.done",
    "rescale.begun",  # the state of several subtasks is about to become that of one
    "rescale.absorbed",  # one of them is in
    "spill.begun",  # pages are about to leave memory
    "spill.written",
    "spill.done",
)

hook: Callable[[str], None] | None = None


def reached(name: str) -> None:
    """The place `name` is reached."""
    if hook is not None:
        assert name in NAMES, f"fault point '{name}' is not in faultpoint.NAMES"
        hook(name)
