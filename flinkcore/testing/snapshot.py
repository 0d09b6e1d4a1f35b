# SPDX-License-Identifier: Apache-2.0
"""Snapshots of one operator, for harnesses: bytes, in the format of a savepoint that holds this operator alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from flinkcore.checkpoint.assignment import Wanted, assign
from flinkcore.checkpoint.manifest import Manifest, OperatorState, SubtaskState, decode, encode
from flinkcore.checkpoint.memory_store import MemoryStore
from flinkcore.checkpoint.segment import SegmentWriter
from flinkcore.errors import ConfigurationError
from flinkcore.checkpoint.stored import StoredSubtask
from flinkcore.state.part import FrozenState, RestoredState

Snapshot: TypeAlias = bytes

MAX_PARALLELISM = 128
_ID = "0" * 32
_INLINE_BYTES_MAX = 1 << 31  # all of it is in the snapshot itself
_NAME = "operator of a harness"


def written_snapshot(frozen: FrozenState, parallelism: int, subtask_index: int) -> Snapshot:
    """What one subtask holds. CheckpointError: a value that cannot be stored"""
    writer = SegmentWriter(
        MemoryStore(), "none.seg", since=0, epoch=frozen.epoch, inline_bytes_max=_INLINE_BYTES_MAX
    )
    for number, payload in frozen.blocks():
        writer.write(number, payload)
    groups = (frozen.key_groups.start, frozen.key_groups.stop)
    subtask = SubtaskState(
        subtask_index,
        groups,
        frozen.epoch,
        fields=frozen.fields,
        lists=frozen.lists,
        parts=tuple(frozen.entries),
        segments=(writer.finish(),),
    )
    others = [SubtaskState(i, (0, 0), 0, finished=True) for i in range(parallelism)]
    others[subtask_index] = subtask
    operator = OperatorState(_ID, None, _NAME, parallelism, MAX_PARALLELISM, tuple(others))
    return b"".join(encode(Manifest("harness", _ID, 1, "savepoint", 0, (operator,))))


def restored_state(snapshots: Sequence[Snapshot], parallelism: int, subtask_index: int) -> RestoredState:
    """What one subtask of a new parallelism goes on from.

    snapshots : of all subtasks that there were, in any order
    ConfigurationError : one of them is missing, or comes twice
    StateFormatError : one is no snapshot
    """
    manifests = [decode(snapshot, "the snapshot of a harness") for snapshot in snapshots]
    found = {}
    old_parallelism = 0
    for manifest in manifests:
        (operator,) = manifest.operators
        old_parallelism = operator.parallelism
        found.update({subtask.index: subtask for subtask in operator.subtasks if not subtask.finished})
    if not len(snapshots) == len(found) == old_parallelism:
        raise ConfigurationError(
            f"expected the snapshots of all {old_parallelism} subtasks, got {len(snapshots)}, of subtasks "
            f"{sorted(found)}; give each one's, once"
        )
    (operator,) = manifests[0].operators
    whole = replace(operator, subtasks=tuple(found[index] for index in sorted(found)))
    wanted = Wanted(_ID, _NAME, parallelism, MAX_PARALLELISM, True)
    restoration = assign(
        replace(manifests[0], operators=(whole,)),
        [wanted],
        "the snapshot of a harness",
        lambda subtask: StoredSubtask(MemoryStore(), subtask),
    )
    return restoration.states[_ID, subtask_index]


__all__ = ["MAX_PARALLELISM", "Snapshot", "restored_state", "written_snapshot"]
