# SPDX-License-Identifier: Apache-2.0
"""Part: one piece of the state of an operator subtask, and what a snapshot of it is.

A snapshot has two halves. The task's thread freezes the part between two batches, which only marks what it holds;
another thread then writes what is frozen, while the task's thread goes on changing the part, which copies what is
frozen before it is overwritten. The time between two snapshots of a subtask is an epoch, numbered from 1; a snapshot
holds what changed in the epochs (since, epoch], or everything when `since` is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias

Payload: TypeAlias = "bytes | bytearray | memoryview"


class FrozenPart(Protocol):
    """A part as it was when an epoch ended."""

    def blocks(self) -> Iterator[Payload]:
        """The snapshot in pieces of about 1 MB at most. Called once, by the thread that writes."""

    def release(self) -> None:
        """Nothing is needed any more. Called once, by the task's thread, also when blocks() did not end."""


class StatePart(Protocol):
    """Called by the task's thread, all of it."""

    kind: str  # "keys", "accumulators", "sessions", "table", "timers": says who reads the blocks

    def describe(self) -> dict[str, Any]:
        """What is needed to make the part again, and to check that it still fits the program: values of JSON."""

    def freeze(self, since: int, epoch: int) -> FrozenPart:
        """What changed in the epochs (since, epoch]; of this moment on, changes belong to epoch + 1.

        since : 0 for everything, else an earlier epoch that was not forgotten
        """

    def load(self, payload: memoryview) -> None:
        """Applies one block; those of older segments come first. ValueError: the bytes are none of such a part."""

    def loaded(self, epoch: int) -> None:
        """All blocks are in; changes from now on belong to epoch + 1."""

    def forget(self, epoch: int) -> None:
        """No later freeze will ask for a `since` below `epoch`, but 0."""

    @property
    def row_count(self) -> int: ...

    @property
    def state_bytes(self) -> int:
        """About what a snapshot of everything takes."""
