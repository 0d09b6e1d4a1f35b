# SPDX-License-Identifier: Apache-2.0
"""Inspect: what is in a checkpoint directory and in a checkpoint, and whether it is whole. Nothing runs or changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.fs as pafs

from flinkcore.checkpoint.layout import (
    METADATA,
    Checkpoint,
    checkpoint_id_of,
    find_checkpoints,
    find_jobs,
    find_savepoints,
    is_job,
    open_checkpoint,
)
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import OperatorState
from flinkcore.checkpoint.segment import SegmentRef, faults_of_segment
from flinkcore.errors import CheckpointStorageError
from flinkcore.state.part import MODES


def find(location: str | os.PathLike[str], filesystem: pafs.FileSystem | None = None) -> list[Checkpoint]:
    """The checkpoints and savepoints of a folder, the newest of each job first.

    location : a checkpoint directory, the folder of a job in it, or that of one checkpoint or savepoint
    CheckpointStorageError : there is nothing of that kind, or it cannot be read
    """
    store = open_store(location, filesystem)
    names = {entry.name for entry in store.list()}
    folder = store.location.rpartition("/")[2]
    if METADATA in names or checkpoint_id_of(folder) is not None:
        return [open_checkpoint(location, filesystem)]
    found = find_checkpoints(store, folder if is_job(folder) else None)
    for job_id in find_jobs(store):
        found += find_checkpoints(store.below(job_id), job_id)
    found += find_savepoints(store)
    if not found:
        what = "is empty, or there is no such folder" if not names else "has neither in it"
        raise CheckpointStorageError(f"no checkpoint or savepoint in '{store.location}': it {what}; give the folder "
                                     "that execution.checkpointing.dir names, or one in it")
    return found


def faults_of(checkpoint: Checkpoint) -> Iterator[str]:
    """Reads all of a checkpoint; everything that is wrong with it. Nothing: every byte is as it was written."""
    if checkpoint.manifest is None:
        yield checkpoint.fault or f"'{checkpoint.location}' has no manifest"
        return
    found = 0
    seen: set[SegmentRef] = set()
    for ref in checkpoint.manifest.segments():
        if ref.path is None or ref not in seen:
            seen.add(ref)
            for fault in _faults_of_segment(checkpoint, ref):
                found += 1
                yield fault
    if checkpoint.fault is not None and not found:  # otherwise it says what a segment's fault has said
        yield checkpoint.fault


def _faults_of_segment(checkpoint: Checkpoint, ref: SegmentRef) -> Iterator[str]:
    try:
        yield from faults_of_segment(checkpoint.home, ref)
    except CheckpointStorageError as error:
        yield str(error)


@dataclass(frozen=True)
class StateSize:
    """One state of an operator, over all its subtasks and namespaces. bytes : about what all of it takes, written."""

    name: str
    kind: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class OperatorSize:
    """The state of an operator. bytes : of its segments; segments_max : the longest chain of a subtask."""

    operator: OperatorState
    states: tuple[StateSize, ...]
    bytes: int
    segments_max: int

    @property
    def rows(self) -> int:
        """Of the states that have rows of their own: not those that share them with another."""
        parents = {part.name: part.parent for subtask in self.operator.subtasks for part in subtask.parts}
        return sum(state.rows for state in self.states if parents.get(state.name) in (None, state.name, *MODES))


def sizes_of(checkpoint: Checkpoint) -> list[OperatorSize]:
    """Sizes by operator and by state. StateFormatError : it has no manifest that can be read."""
    if checkpoint.manifest is None:
        checkpoint.complete()
        return []
    return [_size_of(operator) for operator in checkpoint.manifest.operators]


def _size_of(operator: OperatorState) -> OperatorSize:
    rows: dict[tuple[str, str], int] = {}
    bytes_of: dict[tuple[str, str], int] = {}
    for subtask in operator.subtasks:
        for part in subtask.parts:
            key = part.name, part.kind
            rows[key] = rows.get(key, 0) + part.rows
            bytes_of[key] = bytes_of.get(key, 0) + part.bytes
        for name, state in subtask.lists.items():
            key = name, f"{state.mode} list"
            rows[key] = rows.get(key, 0) + len(state.items)
            bytes_of[key] = bytes_of.get(key, 0)
    states = tuple(StateSize(name, kind, rows[name, kind], bytes_of[name, kind]) for name, kind in rows)
    return OperatorSize(
        operator,
        states,
        sum(ref.bytes for subtask in operator.subtasks for ref in subtask.segments),
        max((len(subtask.segments) for subtask in operator.subtasks), default=0),
    )
