# SPDX-License-Identifier: Apache-2.0
"""CheckpointHome: where one run writes the checkpoints of its job; and a savepoint, which has a home of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from flinkcore import options
from flinkcore.checkpoint.layout import (
    LOCK,
    METADATA,
    STOPPED,
    NewSavepoint,
    checkpoint_manifest,
    new_savepoint,
    note_stopped,
    owner_of,
    segment_name,
    shared_segment,
    stopped_with,
)
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import Manifest, OperatorState, write_manifest
from flinkcore.checkpoint.retention import Retention, sweep_savepoints
from flinkcore.checkpoint.segment import SegmentRef, SegmentWriter
from flinkcore.checkpoint.store import Lock, Store
from flinkcore.config import Configuration
from flinkcore.errors import CheckpointError, FlinkcoreError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Writing:
    """What is the same for all that one run writes."""

    job_name: str
    job_id: str
    inline_bytes_max: int
    codec: str
    savepoint_dir: str | None

    @staticmethod
    def of(config: Configuration, job_name: str, job_id: str) -> Writing:
        compressed = config.get(options.SNAPSHOT_COMPRESSION)
        return Writing(
            job_name,
            job_id,
            config.get(options.DATA_INLINE_THRESHOLD),
            config.get(options.SNAPSHOT_COMPRESSION_CODEC) if compressed else "none",
            config.get(options.SAVEPOINT_DIR),
        )

    def manifest(
        self, kind: str, checkpoint_id: int, created_ms: int, operators: Sequence[OperatorState]
    ) -> Manifest:
        return Manifest(self.job_name, self.job_id, checkpoint_id, kind, created_ms, tuple(operators))


class SavepointHome:
    """One savepoint: a folder that refers to nothing outside."""

    def __init__(self, writing: Writing, new: NewSavepoint) -> None:
        self.writing = writing
        self.new = new

    def segment_writer(
        self, checkpoint_id: int, operator_id: str, subtask: int, since: int, epoch: int
    ) -> SegmentWriter:
        path = segment_name(operator_id, subtask, checkpoint_id)
        return _segment_writer(self.writing, self.new.home, path, since, epoch)

    def complete(self, checkpoint_id: int, created_ms: int, operators: Sequence[OperatorState]) -> Manifest:
        """Writes the manifest; the savepoint is there."""
        manifest = self.writing.manifest("savepoint", checkpoint_id, created_ms, operators)
        write_manifest(self.new.home, METADATA, manifest)
        self.new.complete()
        return manifest

    def path(self, checkpoint_id: int) -> str:
        return self.new.home.location

    def discard(self, segments: Sequence[SegmentRef]) -> None:
        """The savepoint will not be complete."""
        try:
            self.new.abort()
        except FlinkcoreError as error:
            log.warning("what was written of a savepoint is left, until another one is made beside it: %s", error)


class CheckpointHome:
    """The checkpoints of one job, under the lock of this run. Safe to use from several threads.

    job : the folder of the job
    after_ms : "newest" goes by the time of a checkpoint, so those of this run are of later than this, whatever the
        clock says
    CheckpointStorageError : it cannot be written to, or another run writes there
    """

    def __init__(self, writing: Writing, job: Store, retained: int, after_ms: int = 0) -> None:
        self.writing = writing
        self.job = job
        self._lock: Lock = job.lock(LOCK, owner_of(writing.job_name))
        self._retention = Retention(job, retained)
        self._mutex = threading.Lock()
        self._was_stopped = stopped_with(job) is not None
        found = self._retention.sweep()
        self.last_id = max((checkpoint.checkpoint_id for checkpoint in found), default=0)
        self._last_ms = after_ms

    def savepoint(self, folder: str | None) -> SavepointHome:
        """The home of a new savepoint. CheckpointError : nobody says where"""
        folder = folder or self.writing.savepoint_dir
        if not folder:
            raise CheckpointError(
                f"job '{self.writing.job_name}': a savepoint needs a folder; give one, or set "
                f"{options.SAVEPOINT_DIR.key}"
            )
        store = open_store(folder)
        sweep_savepoints(store)
        return SavepointHome(self.writing, new_savepoint(store, owner_of(self.writing.job_name)))

    def segment_writer(
        self, checkpoint_id: int, operator_id: str, subtask: int, since: int, epoch: int
    ) -> SegmentWriter:
        path = shared_segment(operator_id, subtask, checkpoint_id)
        return _segment_writer(self.writing, self.job, path, since, epoch)

    def complete(self, checkpoint_id: int, created_ms: int, operators: Sequence[OperatorState]) -> Manifest:
        """Writes the manifest; the checkpoint is there."""
        self._last_ms = max(created_ms, self._last_ms + 1)
        manifest = self.writing.manifest("checkpoint", checkpoint_id, self._last_ms, operators)
        write_manifest(self.job, checkpoint_manifest(checkpoint_id), manifest)
        with self._mutex:
            self._retention.add(manifest)
            if self._was_stopped:  # this is newer than that savepoint
                self._retention.discard([STOPPED])
                self._was_stopped = False
        return manifest

    def stopped(self, savepoint: str) -> None:
        """The job ends with a savepoint, which is what it goes on from, and no checkpoint here."""
        try:
            note_stopped(self.job, savepoint)
        except FlinkcoreError as error:
            log.warning("that the job was stopped with '%s' could not be noted: %s", savepoint, error)

    def path(self, checkpoint_id: int) -> str:
        return self.job.name_of(f"chk-{checkpoint_id}")

    def discard(self, segments: Sequence[SegmentRef]) -> None:
        """Segments of a checkpoint that will not be complete."""
        with self._mutex:
            self._retention.discard([segment.path for segment in segments if segment.path is not None])

    def collect(self, held: Collection[str]) -> None:
        """Removes older checkpoints, and files that nobody refers to. held : what pending checkpoints build on"""
        with self._mutex:
            self._retention.collect(held)

    def remove_all(self) -> None:
        """Nothing of the job's checkpoints is to be kept."""
        with self._mutex:
            self._retention.remove_all()

    def close(self) -> None:
        self._lock.release()


def _segment_writer(writing: Writing, store: Store, path: str, since: int, epoch: int) -> SegmentWriter:
    return SegmentWriter(
        store,
        path,
        since=since,
        epoch=epoch,
        inline_bytes_max=writing.inline_bytes_max,
        codec=writing.codec,
    )
