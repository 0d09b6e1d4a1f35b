# SPDX-License-Identifier: Apache-2.0
"""Layout: which files of a checkpoint directory are what (as Flink lays it out).

    <dir>/<job id, 32 hex>/              the folder of a job
              chk-<n>/_metadata          a manifest; its segments' paths start from the folder of the job
              shared/<name>.seg          segments, which several manifests may refer to
              _lock                      held by the run that writes here
    <dir>/savepoint-<12 hex>/_metadata   a manifest; its segments' paths start from beside it
              <name>.seg
              _lock                      held while it is being written
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import Manifest, read_manifest
from flinkcore.checkpoint.store import Lock, Store
from flinkcore.errors import CheckpointStorageError, NewerFormatError, StateFormatError

if TYPE_CHECKING:
    import pyarrow.fs as pafs

METADATA = "_metadata"
SHARED = "shared"
LOCK = "_lock"
STOPPED = "_stopped"  # holds the path of the savepoint with which the run was stopped that wrote there last

_JOB = re.compile(r"[0-9a-f]{32}")
_CHECKPOINT = re.compile(r"chk-([1-9][0-9]{0,17})")
_SAVEPOINT = re.compile(r"savepoint-[0-9a-f]{12}")


def checkpoint_folder(checkpoint_id: int) -> str:
    return f"chk-{checkpoint_id}"


def checkpoint_manifest(checkpoint_id: int) -> str:
    return f"{checkpoint_folder(checkpoint_id)}/{METADATA}"


def segment_name(operator_id: str, subtask_index: int, checkpoint_id: int) -> str:
    """The name of a new segment. It was never there before, so a late writer of a failed attempt harms nobody."""
    return f"{operator_id[:8]}-{subtask_index}-{checkpoint_id}-{os.urandom(6).hex()}.seg"


def shared_segment(operator_id: str, subtask_index: int, checkpoint_id: int) -> str:
    """The path of a new segment of a checkpoint, from the folder of the job."""
    return f"{SHARED}/{segment_name(operator_id, subtask_index, checkpoint_id)}"


def checkpoint_id_of(folder: str) -> int | None:
    """The n of chk-<n>; None for other names."""
    match = _CHECKPOINT.fullmatch(folder)
    return int(match[1]) if match else None


def is_savepoint(folder: str) -> bool:
    return _SAVEPOINT.fullmatch(folder) is not None


def is_job(folder: str) -> bool:
    return _JOB.fullmatch(folder) is not None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint or savepoint that is there, or what is left of one.

    home : the store from which its manifest's paths start
    folder : its own folder in `home`; "" for a savepoint
    manifest : None when there is none that can be read
    fault : None when it is complete: its manifest is whole and all its segments are there in full length; else what is
        wrong, and what to do
    begun : there is no manifest: it is being written, or a crash left it
    newer : a newer flinkcore wrote it, and can read it
    """

    home: Store
    folder: str
    manifest: Manifest | None
    fault: str | None
    begun: bool = False
    newer: bool = False

    @property
    def location(self) -> str:
        return self.home.name_of(self.folder)

    @property
    def checkpoint_id(self) -> int:
        """From the name of its folder, or else, for a savepoint, from its manifest; 0 when neither says it."""
        return checkpoint_id_of(self.folder) or (self.manifest.checkpoint_id if self.manifest is not None else 0)

    @property
    def damaged(self) -> bool:
        """It has a manifest, but is not complete; what has none was only begun."""
        return self.fault is not None and not self.begun

    def complete(self) -> Manifest:
        """The manifest of a complete one. StateFormatError otherwise."""
        if self.manifest is None or self.fault is not None:
            raise StateFormatError(self.fault or f"'{self.location}' has no manifest")
        return self.manifest


def find_checkpoints(job: Store, job_id: str | None = None) -> list[Checkpoint]:
    """What is there of a job's checkpoints, the newest first.

    job : the folder of a job; job_id : whose folder it is, when that is to be checked
    CheckpointStorageError : the folder cannot be read
    """
    sizes = {f"{SHARED}/{entry.name}": entry.size for entry in job.list(SHARED)}
    ids = [found for entry in job.list() if (found := checkpoint_id_of(entry.name)) and entry.size is None]
    return [_checkpoint(job, checkpoint_id, job_id, sizes) for checkpoint_id in sorted(ids, reverse=True)]


def _checkpoint(job: Store, checkpoint_id: int, job_id: str | None, sizes: dict[str, int | None]) -> Checkpoint:
    folder = checkpoint_folder(checkpoint_id)
    manifest, fault, begun, newer = _read(job, f"{folder}/{METADATA}")
    if manifest is not None:
        if manifest.kind != "checkpoint" or manifest.checkpoint_id != checkpoint_id:
            fault = (f"the manifest in '{job.name_of(folder)}' is that of {manifest.kind} {manifest.checkpoint_id}; "
                     "put the folders back under their own names")
        elif job_id is not None and manifest.job_id != job_id:
            fault = (f"the manifest in '{job.name_of(folder)}' is that of job {manifest.job_id}; put it back into "
                     "the folder of that job")
        else:
            fault = _missing(job, manifest, sizes)
    return Checkpoint(job, folder, manifest, fault, begun, newer)


def _read(store: Store, path: str) -> tuple[Manifest | None, str | None, bool, bool]:
    """(a manifest, or why there is none that can be read, whether there is none at all, whether it is a newer one)"""
    try:
        return read_manifest(store, path), None, False, False
    except FileNotFoundError:
        return None, (f"'{store.name_of(path)}' is missing: the checkpoint was not completed, or is being written; "
                      "use another"), True, False
    except StateFormatError as error:
        return None, str(error), False, isinstance(error, NewerFormatError)


def _missing(home: Store, manifest: Manifest, sizes: dict[str, int | None]) -> str | None:
    """What is wrong with the segments of a manifest, as far as their names and lengths tell."""
    for ref in manifest.segments():
        if ref.path is not None and sizes.get(ref.path) != ref.bytes:
            size = sizes.get(ref.path)
            what = "is missing" if size is None else f"has {size:,} bytes, and had {ref.bytes:,} when it was written"
            return (f"segment '{home.name_of(ref.path)}' {what}; put the original file back, or use another "
                    "checkpoint")
    return None


def find_jobs(store: Store) -> list[str]:
    """The ids of the jobs that have a folder in a checkpoint directory."""
    return [entry.name for entry in store.list() if entry.size is None and is_job(entry.name)]


def find_newest(store: Store, job_name: str) -> tuple[Checkpoint | None, list[Checkpoint]]:
    """The newest complete checkpoint of a job by its name, in a checkpoint directory, whatever its runs' ids were.

    -> (the checkpoint, None when there is none; newer ones that are damaged, which is worth a line in the log). What a
    crash left without a manifest is not among the latter.
    CheckpointStorageError : the directory cannot be read
    """
    newest: Checkpoint | None = None
    skipped: list[Checkpoint] = []
    for job_id in find_jobs(store):
        broken: list[Checkpoint] = []
        for found in find_checkpoints(store.below(job_id), job_id):
            if found.manifest is not None and found.manifest.job_name != job_name:
                broken = []
                break  # another job's folder
            if found.fault is None:
                assert found.manifest is not None
                if newest is None or _created(found) > _created(newest):
                    newest = found
                break
            if found.damaged:
                broken.append(found)
        skipped += broken
    return newest, skipped


def note_stopped(job: Store, savepoint: str) -> None:
    """The run that wrote into this folder of a job was stopped with a savepoint, newer than all that lies here."""
    job.replace(STOPPED, [savepoint.encode()])


def stopped_with(job: Store) -> str | None:
    """The savepoint with which the run that wrote into this folder was stopped."""
    return bytes(job.read(STOPPED)).decode(errors="replace") if job.exists(STOPPED) else None


def owner_of(job_name: str) -> str:
    """Whose a lock is, as it says of itself."""
    return f"job '{job_name}'"


def find_begun(store: Store, job_name: str) -> str | None:
    """The id under which a job of this name ran, or runs, that has no checkpoint yet; None when none did. What its
    sinks left unfinished goes by that id."""
    for job_id in find_jobs(store):
        job = store.below(job_id)
        if job.exists(LOCK) and bytes(job.read(LOCK)).decode(errors="replace").startswith(f"{owner_of(job_name)}, "):
            return job_id
    return None


def _created(checkpoint: Checkpoint) -> tuple[int, int]:
    assert checkpoint.manifest is not None
    return checkpoint.manifest.created_ms, checkpoint.manifest.checkpoint_id


def open_checkpoint(location: str | os.PathLike[str], filesystem: pafs.FileSystem | None = None) -> Checkpoint:
    """The checkpoint or savepoint of a folder, or of the _metadata file in it.

    CheckpointStorageError : there is no such folder, or it cannot be read. What is wrong with the checkpoint itself is
    its `fault`.
    """
    text, question, query = os.fspath(location), "", ""
    if filesystem is None and "://" in text:
        text, question, query = text.partition("?")
    elif filesystem is None:
        text = os.path.realpath(os.path.expanduser(text))  # a link to a checkpoint is as good as its folder
    text = text.rstrip("/").removesuffix(f"/{METADATA}")
    parent, _, folder = text.rpartition("/")
    outer = open_store((parent or "/") + question + query, filesystem)
    if not outer.list(folder):
        raise CheckpointStorageError(f"there is no checkpoint in '{text}': no such folder, or it is empty; give the "
                                     "folder of one, which has a _metadata file in it, or list what there is")
    checkpoint_id = checkpoint_id_of(folder)
    if checkpoint_id is not None:
        sizes = {f"{SHARED}/{entry.name}": entry.size for entry in outer.list(SHARED)}
        job_id = parent.rpartition("/")[2]
        return _checkpoint(outer, checkpoint_id, job_id if is_job(job_id) else None, sizes)
    return _savepoint(outer.below(folder))


def _savepoint(home: Store) -> Checkpoint:
    manifest, fault, begun, newer = _read(home, METADATA)
    if manifest is not None:
        if manifest.kind != "savepoint":
            fault = (f"the manifest in '{home.location}' is that of checkpoint {manifest.checkpoint_id}; put it back "
                     f"into a folder '{checkpoint_folder(manifest.checkpoint_id)}' beside its '{SHARED}' folder")
        else:
            fault = _missing(home, manifest, {entry.name: entry.size for entry in home.list()})
    return Checkpoint(home, "", manifest, fault, begun, newer)


def find_savepoints(store: Store) -> list[Checkpoint]:
    """What is there of savepoints in a savepoint directory, the newest first."""
    found = [_savepoint(store.below(entry.name)) for entry in store.list()
             if entry.size is None and is_savepoint(entry.name)]
    return sorted(found, key=lambda savepoint: savepoint.manifest.created_ms if savepoint.manifest else 0, reverse=True)


@dataclass(frozen=True)
class NewSavepoint:
    """The folder of a savepoint that is being written: segments beside METADATA, which comes last."""

    home: Store
    lock: Lock

    def complete(self) -> None:
        """The manifest is written."""
        self.lock.release()

    def abort(self) -> None:
        """Nothing is left of it, or a later run sweeps it. CheckpointStorageError : it could not be deleted."""
        self.lock.release()
        self.home.delete_folder()


def new_savepoint(store: Store, owner: str) -> NewSavepoint:
    """A new folder in a savepoint directory, whose lock is held. CheckpointStorageError : it cannot be made."""
    home = store.below(f"savepoint-{os.urandom(6).hex()}")
    return NewSavepoint(home, home.lock(LOCK, owner))
