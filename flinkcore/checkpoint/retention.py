# SPDX-License-Identifier: Apache-2.0
"""Retention: how long checkpoints and their segments are kept, and what a crash left is swept.

A checkpoint is removed in three steps: its manifest, then the segments that no other checkpoint refers to, then its
folder. A crash between any two leaves files that nobody refers to, which the next sweep finds. Nothing here raises when
the file system fails: it is logged, and tried again the next time.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from flinkcore import faultpoint
from flinkcore.checkpoint.layout import (
    LOCK,
    METADATA,
    SHARED,
    Checkpoint,
    checkpoint_folder,
    checkpoint_manifest,
    find_checkpoints,
    is_savepoint,
)
from flinkcore.checkpoint.manifest import Manifest
from flinkcore.checkpoint.store import TEMPORARY, Store
from flinkcore.errors import CheckpointStorageError, FlinkcoreError

log = logging.getLogger(__name__)


class Retention:
    """The checkpoints in the folder of one job. Used by the holder of its lock, by one thread at a time.

    job : the folder of the job
    retained : how many complete checkpoints are kept, >= 1 (execution.checkpointing.num-retained)
    """

    def __init__(self, job: Store, retained: int) -> None:
        self._job = job
        self._retained = retained
        # By id, the files that the manifest refers to. The broken have one that cannot be read, or lack a segment.
        self._complete: dict[int, set[str]] = {}
        self._broken: dict[int, set[str]] = {}
        self._subsumed: dict[int, set[str]] = {}  # to be removed
        self._emptied: set[int] = set()  # without a manifest; the folder is to be removed
        self._unwanted: set[str] = set()  # files to be deleted when nobody refers to them

    def sweep(self) -> list[Checkpoint]:
        """Takes stock at the start of a run, before anything is written; removes what a crashed run left. Complete
        checkpoints stay until there is a new one, however many: the newest is not read yet, and may be damaged.

        -> what it found, the newest first, the complete and the others. The id of the first is the highest in use.
        CheckpointStorageError : the folder cannot be listed
        """
        found = find_checkpoints(self._job)
        may_sweep = True
        for checkpoint in found:
            if checkpoint.manifest is not None:
                kind = self._complete if checkpoint.fault is None else self._broken
                kind[checkpoint.checkpoint_id] = checkpoint.manifest.paths()
            elif checkpoint.damaged:
                self._broken[checkpoint.checkpoint_id] = set()
                may_sweep = False  # it may yet be repaired, or a newer flinkcore may read it
                log.warning("segments in '%s' that nobody else refers to are kept, as it is not known which of them "
                            "are those of '%s': %s", self._job.location, checkpoint.folder, checkpoint.fault)
            else:
                self._emptied.add(checkpoint.checkpoint_id)
        for folder in (SHARED, *(checkpoint.folder for checkpoint in found)):
            endings = (TEMPORARY, ".seg") if folder == SHARED and may_sweep else (TEMPORARY,)
            self._unwanted |= {f"{folder}/{entry.name}" for entry in self._job.list(folder)
                               if entry.name.endswith(endings)}
        self._remove(())
        return found

    def add(self, manifest: Manifest) -> None:
        """A checkpoint is complete."""
        self._complete[manifest.checkpoint_id] = manifest.paths()

    def discard(self, paths: Collection[str]) -> None:
        """Segments of a checkpoint that was not completed; they go with the next collect()."""
        self._unwanted.update(paths)

    def collect(self, held: Collection[str] = ()) -> None:
        """Removes what is subsumed. Never raises for what the file system does.

        held : the segments that checkpoints which are being made build on, or have written
        """
        newest = max(self._complete, default=0)
        for checkpoint_id in sorted(self._complete)[: -self._retained]:
            self._subsumed[checkpoint_id] = self._complete.pop(checkpoint_id)
        for checkpoint_id in [broken for broken in self._broken if broken < newest]:
            self._subsumed[checkpoint_id] = self._broken.pop(checkpoint_id)
        self._remove(held)

    def remove_all(self) -> None:
        """Nothing is left but the lock: the job ended, and its checkpoints are not to be retained."""
        self._subsumed |= self._complete | self._broken
        self._complete, self._broken = {}, {}
        self._remove(())
        if not self._subsumed:
            with _logged():
                self._job.delete_folder(SHARED)

    def _remove(self, held: Collection[str]) -> None:
        faultpoint.reached("collect.begun")
        for checkpoint_id in sorted(self._subsumed):
            with _logged():
                # Synced: if the segments were gone and the manifest came back, it would be a broken checkpoint.
                self._job.delete(checkpoint_manifest(checkpoint_id), sync=True)
                self._unwanted |= self._subsumed.pop(checkpoint_id)
                self._emptied.add(checkpoint_id)
                faultpoint.reached("collect.manifest")
        referred = set().union(*self._complete.values(), *self._broken.values(), *self._subsumed.values())
        self._unwanted -= referred  # they come back with the last manifest that refers to them
        for path in sorted(self._unwanted.difference(held)):
            with _logged():
                self._job.delete(path)
                self._unwanted.discard(path)
                faultpoint.reached("collect.segment")
        for checkpoint_id in sorted(self._emptied):
            with _logged():
                self._job.delete_folder(checkpoint_folder(checkpoint_id))
                self._emptied.discard(checkpoint_id)
        faultpoint.reached("collect.done")


def sweep_savepoints(store: Store) -> None:
    """Deletes the savepoints that a crashed run did not complete. Never raises for what the file system does.

    Where nothing can be locked they stay: one of another job that is being written looks the same.
    """
    if not store.locks:
        return
    with _logged():
        for entry in store.list():
            home = store.below(entry.name) if entry.size is None and is_savepoint(entry.name) else None
            if home is None or home.exists(METADATA):
                continue
            try:
                lock = home.lock(LOCK, "a sweep")
            except CheckpointStorageError:
                continue  # somebody writes it
            if not home.exists(METADATA):
                home.delete_folder()
            lock.release()


@contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except FlinkcoreError as error:
        log.warning("old checkpoint files stay for now: %s", error)
