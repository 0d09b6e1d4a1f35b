# SPDX-License-Identifier: Apache-2.0
"""Savepoints of single operators: a full segment, and increments that build on it."""

from __future__ import annotations

from pathlib import Path

from flinkcore.checkpoint.assignment import operator_id_of_uid
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import Manifest, OperatorState, SubtaskState, write_manifest
from flinkcore.checkpoint.segment import SegmentRef, SegmentWriter
from flinkcore.state.manager import StateManager
from flinkcore.state.part import FrozenState

JOB_ID = "0123456789abcdef" * 2


class Saved:
    """The state of one operator, each subtask with a StateManager of its own, in a folder."""

    def __init__(self, folder: Path, *managers: StateManager, uid: str = "op", max_parallelism: int = 128) -> None:
        self.folder = folder
        self.managers = managers
        self.uid = uid
        self.max_parallelism = max_parallelism
        self.store = open_store(folder)
        self.chains: list[list[SegmentRef]] = [[] for _ in managers]
        self.last: list[FrozenState] = []

    def snapshot(self) -> Saved:
        """A segment per subtask: everything, or what changed since the last one."""
        self.last = []
        for i, (manager, chain) in enumerate(zip(self.managers, self.chains)):
            frozen = manager.freeze(chain[-1].epoch if chain else 0)
            name = f"s{i}-{len(chain)}.seg"
            writer = SegmentWriter(self.store, name, since=frozen.since, epoch=frozen.epoch)
            for number, payload in frozen.blocks():
                writer.write(number, payload)
            chain.append(writer.finish())
            frozen.release()
            self.last.append(frozen)
        return self

    def complete(self) -> str:
        """Writes the manifest. -> the folder"""
        count = len(self.managers)
        subtasks = [
            SubtaskState(i, (i * self.max_parallelism // count, (i + 1) * self.max_parallelism // count), frozen.epoch,
                         False, frozen.fields, frozen.lists, tuple(frozen.entries), tuple(chain))
            for i, (frozen, chain) in enumerate(zip(self.last, self.chains))
        ]  # fmt: skip
        operator = OperatorState(operator_id_of_uid(self.uid), self.uid, "Operator", count, self.max_parallelism,
                                 tuple(subtasks))  # fmt: skip
        write_manifest(self.store, "_metadata", Manifest("job", JOB_ID, 1, "savepoint", 1, (operator,)))
        return str(self.folder)
