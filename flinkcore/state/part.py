# SPDX-License-Identifier: Apache-2.0
"""Part: one piece of the state of an operator subtask, and what a snapshot of it is.

A snapshot has two halves. The task's thread freezes the part between two batches, which only marks what it holds;
another thread then writes what is frozen, while the task's thread goes on changing the part, which copies what is
frozen before it is overwritten. The time between two snapshots of a subtask is an epoch, numbered from 1; a snapshot
holds what changed in the epochs (since, epoch], or everything when `since` is 0.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, get_args

Payload: TypeAlias = "bytes | bytearray | memoryview"


class FrozenPart(Protocol):
    """A part as it was when an epoch ended."""

    def blocks(self) -> Iterator[Payload]:
        """The snapshot in pieces of about 1 MB at most. Called once, by the thread that writes."""

    def release(self) -> None:
        """Nothing is needed any more. Called once, by the task's thread, also when blocks() did not end."""


class StatePart(Protocol):
    """Called by the task's thread, all of it."""

    kind: str  # "keys", "accumulators", "sessions", "rows", "table", "timers": says who reads the blocks

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


@dataclass(frozen=True)
class PartState:
    """A part in the list of what a snapshot holds.

    number : names the part in blocks; never given to another part of the subtask
    rows, bytes, description : StatePart.row_count, state_bytes and describe()
    name, namespace : what the operator calls it; the namespace is a value of JSON, e.g. the start of a pane
    parent : the part whose ids its rows go by: "keys", another part's name, or None when it goes by none; a Mode for
        operator state
    """

    number: int
    name: str
    kind: str
    rows: int
    bytes: int
    description: dict[str, Any] = field(default_factory=dict)
    namespace: Any = None
    parent: str | None = None


#: How operator state, the rows of a part or the items of a list, goes to the subtasks of a restored job: each row to
#: one of them, or all rows to each; what is broadcast is the same in every subtask (Flink: OperatorStateHandle.Mode).
Mode: TypeAlias = Literal["split", "union", "broadcast"]
MODES: tuple[Mode, ...] = get_args(Mode)

#: A field of each StateManager: how many parts there ever were. No number is given twice, as the blocks of a part that
#: is over stay in older segments under its number.
PART_NUMBERS = "part_numbers"


@dataclass(frozen=True)
class ListState:
    """Operator state: some values of JSON."""

    mode: Mode
    items: list[Any]


@dataclass
class FrozenState:
    """The state of one operator in one subtask as it was when `epoch` ended.

    since : what changed after that epoch is in the blocks; 0: everything
    fields : the operator's own few numbers;  lists : operator state, by name
    """

    epoch: int
    since: int
    key_groups: range
    entries: list[PartState]
    parts: list[FrozenPart]
    fields: dict[str, Any]
    lists: dict[str, ListState]

    def blocks(self) -> Iterator[tuple[int, Payload]]:
        """(part number, payload) of all parts. Called once, by the thread that writes."""
        for entry, part in zip(self.entries, self.parts):
            for payload in part.blocks():
                yield entry.number, payload

    def release(self) -> None:
        """Called once, by the task's thread, when blocks() has ended or will not be called."""
        for part in self.parts:
            part.release()
        self.parts = []


class StoredState(Protocol):
    """What one subtask of a checkpoint holds of one operator, where it is stored."""

    key_groups: range
    epoch: int
    entries: Sequence[PartState]

    def blocks(self, parts: Container[int]) -> Iterator[tuple[int, memoryview]]:
        """(part number, payload) of these parts, those of older segments first."""


@dataclass(frozen=True)
class Share:
    """What a new subtask takes of the operator state of an old one.

    rows : by part number: which of its rows, counted in the order of their ids
    """

    stored: StoredState
    rows: Mapping[int, range]

    @property
    def entries(self) -> list[PartState]:
        """The parts that some rows are taken of."""
        return [entry for entry in self.stored.entries if entry.number in self.rows]

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self.entries]


@dataclass(frozen=True)
class RestoredState:
    """What an operator of one subtask goes on from.

    stored : of the old subtasks that share key groups with the new one; the same one when `rescaled` is False
    fields : the fields of the same subtask, or of all old subtasks
    lists : items by name, already dealt out to the new subtasks
    shares : of operator state that is dealt out anew, in the order of the old subtasks; what a subtask goes on from
        as it was is not among them
    """

    stored: Sequence[StoredState]
    fields: Sequence[dict[str, Any]]
    lists: dict[str, list[Any]]
    rescaled: bool
    source: str  # what it came from, for errors: "checkpoint 42 of /data/chk"
    shares: Sequence[Share] = ()
