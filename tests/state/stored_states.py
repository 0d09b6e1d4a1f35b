# SPDX-License-Identifier: Apache-2.0
"""Snapshots of StateManagers and what comes of them in a job of any parallelism, without files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence

from flinkcore.checkpoint.assignment import Wanted, assign, key_group_range
from flinkcore.checkpoint.manifest import Manifest, OperatorState, SubtaskState
from flinkcore.state.manager import StateManager
from flinkcore.state.part import FrozenState, PartState

MAX_PARALLELISM = 16
ID = "0" * 32


class Saved:
    """The snapshots of one subtask, each since the one before; state.part.StoredState."""

    def __init__(self, chain: Sequence[tuple[FrozenState, list[tuple[int, bytes]]]]) -> None:
        self.chain = list(chain)
        newest = self.chain[-1][0]
        self.epoch = newest.epoch
        self.key_groups = newest.key_groups
        self.entries: Sequence[PartState] = newest.entries
        self.fields = newest.fields
        self.lists = newest.lists
        self.times_read: Counter[int] = Counter()  # by part number

    def blocks(self, parts: Container[int]) -> Iterator[tuple[int, memoryview]]:
        self.times_read.update(entry.number for entry in self.entries if entry.number in parts)
        for _, blocks in self.chain:
            for number, payload in blocks:
                if number in parts:
                    yield number, memoryview(payload)


def managers(parallelism: int) -> list[StateManager]:
    """One for each subtask of a new job."""
    return [
        StateManager("op", key_group_range(MAX_PARALLELISM, parallelism, i), MAX_PARALLELISM)
        for i in range(parallelism)
    ]


def snapshot(manager: StateManager, before: Saved | None = None) -> Saved:
    """What changed since `before`, or everything."""
    frozen = manager.freeze(0 if before is None else before.epoch)
    chain = [] if before is None or not frozen.since else before.chain
    saved = Saved([*chain, (frozen, [(number, bytes(payload)) for number, payload in frozen.blocks()])])
    frozen.release()
    return saved


def restored(saved: Sequence[Saved], parallelism: int) -> list[StateManager]:
    """The subtasks of a job that goes on from there."""
    subtasks = [
        SubtaskState(
            i,
            (s.key_groups.start, s.key_groups.stop),
            s.epoch,
            fields=dict(s.fields),
            lists=dict(s.lists),
            parts=tuple(s.entries),
        )
        for i, s in enumerate(saved)
    ]
    operator = OperatorState(ID, None, "op", len(saved), MAX_PARALLELISM, tuple(subtasks))
    restoration = assign(
        Manifest("job", ID, 1, "checkpoint", 0, (operator,)),
        [Wanted(ID, "op", parallelism, MAX_PARALLELISM, True)],
        "checkpoint 1",
        lambda subtask: saved[subtask.index],
    )
    found = managers(parallelism)
    for i, manager in enumerate(found):
        manager.restore(restoration.states[ID, i])
    return found
