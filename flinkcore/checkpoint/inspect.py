# SPDX-License-Identifier: Apache-2.0
"""Inspect: what is in a checkpoint directory and in a checkpoint, and whether it is whole. Nothing runs or changes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from flinkcore.checkpoint.layout import (
    LOCK,
    METADATA,
    Checkpoint,
    checkpoint_id_of,
    find_checkpoints,
    find_jobs,
    find_savepoints,
    is_job,
    is_savepoint,
    open_checkpoint,
)
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import OperatorState
from flinkcore.checkpoint.segment import SegmentRef, faults_of_segment
from flinkcore.checkpoint.store import Store
from flinkcore.errors import CheckpointStorageError, FlinkcoreError
from flinkcore.state.part import MODES

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_NAMED_MAX = 5  # of the checkpoints in a folder, in an error


def find(location: str | os.PathLike[str], filesystem: pafs.FileSystem | None = None) -> list[Checkpoint]:
    """The checkpoints and savepoints of a folder, the newest of each job first.

    location : a checkpoint directory, the folder of a job in it, or that of one checkpoint or savepoint, or the
        _metadata file in it
    CheckpointStorageError : there is nothing of that kind, or it cannot be read
    """
    store = open_store(location, filesystem)
    folder = store.location.rpartition("/")[2]
    if folder == METADATA:
        return [find_one(location, filesystem)]
    with _folder_expected(store.location):
        names = {entry.name for entry in store.list()}
    if METADATA in names or checkpoint_id_of(folder) is not None:
        return [open_checkpoint(location, filesystem)]
    found = find_checkpoints(store, folder if is_job(folder) else None)
    for job_id in find_jobs(store):
        found += find_checkpoints(store.below(job_id), job_id)
    found += find_savepoints(store)
    if not found:
        held = _held(store)
        if held:
            raise CheckpointStorageError(f"'{store.location}' is not a checkpoint or savepoint; it {held}")
        what = "is empty, or there is no such folder" if not names else "has neither in it"
        raise CheckpointStorageError(f"no checkpoint or savepoint in '{store.location}': it {what}; give the folder "
                                     "that execution.checkpointing.dir names, or one in it")
    return found


def find_one(location: str | os.PathLike[str], filesystem: pafs.FileSystem | None = None) -> Checkpoint:
    """The checkpoint or savepoint of a folder, or of the _metadata file in it.

    CheckpointStorageError : it is none; the text names those that the folder holds. What is wrong with the checkpoint
    itself is its `fault`.
    """
    where = open_store(location, filesystem).location.removesuffix(f"/{METADATA}")
    with _folder_expected(where):
        found = open_checkpoint(location, filesystem)
    if found.begun and not found.folder:  # chk-<n> is a checkpoint by its name
        held = _held(found.home)
        if held:
            raise CheckpointStorageError(f"'{where}' is not a checkpoint or savepoint; it {held}")
        if not is_savepoint(where.rpartition("/")[2]) and not _was_begun(found.home):
            raise CheckpointStorageError(f"'{where}' is not a checkpoint or savepoint: it has no {METADATA} file, and "
                                         "holds neither; give the folder of one")
    return found


@contextmanager
def _folder_expected(where: str) -> Iterator[None]:
    """Of a file of another kind, what was expected: the advice of the store is for whoever writes."""
    try:
        yield
    except CheckpointStorageError as error:
        if error.errno != errno.ENOTDIR:
            raise
        raise CheckpointStorageError(f"'{where}' is a file, or lies in one; expected the folder of a checkpoint or "
                                     f"savepoint, or the {METADATA} file in it; give one of these") from error


def _held(store: Store) -> str:
    """Which checkpoints and savepoints are in a folder, or in those of jobs in it; "" when there are none."""
    names = list(islice(_names_in(store), _NAMED_MAX + 1))
    if not names:
        return ""
    more = " and more" if len(names) > _NAMED_MAX else ""
    which = "give that path" if len(names) == 1 else "name one of them"
    return f"holds {', '.join(names[:_NAMED_MAX])}{more}; {which}"


def _names_in(store: Store, below: str = "") -> Iterator[str]:
    """The paths of those that have a manifest, checkpoints from the newest on."""
    folders = [entry.name for entry in store.list(below) if entry.size is None]
    for name in sorted(folders, key=lambda name: (-(checkpoint_id_of(name) or 0), name)):
        path = f"{below}/{name}" if below else name
        with suppress(FlinkcoreError):  # a folder that is no checkpoint's, or closed to us
            if store.exists(f"{path}/{METADATA}"):
                yield path
            elif is_job(name) and not below:
                yield from _names_in(store, path)


def _was_begun(home: Store) -> bool:
    """Whether somebody began to write a savepoint there."""
    return any(entry.name == LOCK or entry.name.startswith(METADATA) or entry.name.endswith(".seg")
               for entry in home.list())


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
