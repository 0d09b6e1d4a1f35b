# SPDX-License-Identifier: Apache-2.0
"""Compaction: part files of a bucket become one before they are committed (Flink: FileSink.enableCompact).

Complete files wait, hidden, in the state of their writer. When it is time for some, the writer says in a committable
which they are and what they become; they are joined into another hidden file before the checkpoint that holds the
committable is complete, and the committer gives that its name and removes them. Each step finds out by itself what
was done before, so that it can be taken again.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow.fs as pafs

from flinkcore.connectors.files.part import IN_PROGRESS, PendingFile, hidden_path
from flinkcore.errors import ConfigurationError, StateFormatError

PREFIX = "compacted-"
COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Compaction:
    """When files are joined, and how.

    checkpoints : at every so many checkpoints; None: never for that reason
    size_bytes : when those of a bucket have so many bytes together; None: never for that reason
    delimiter : what is written between two files;  joins : False gives each file its name by itself
    """

    checkpoints: int | None = None
    size_bytes: int | None = None
    delimiter: bytes = b""
    joins: bool = True

    def __post_init__(self) -> None:
        for what, value in (("checkpoints", self.checkpoints), ("size_bytes", self.size_bytes)):
            if value is not None and value <= 0:
                raise ConfigurationError(f"{what} of a compaction must be positive, got {value}")
        if self.checkpoints is None and self.size_bytes is None:
            raise ConfigurationError(
                "a compaction needs to know when: after a number of checkpoints, at a size, or "
                "whichever comes first"
            )


@dataclass(frozen=True)
class WaitingFile:
    """A complete file that is to be joined with others; size : its bytes."""

    bucket: str
    pending: PendingFile
    size: int


@dataclass(frozen=True)
class CompactedFile:
    """A committable: hidden files, and the hidden file that holds them all, with the name that commit gives it."""

    inputs: tuple[str, ...]
    hidden: str
    path: str
    delimiter: bytes

    def join(self, filesystem: pafs.FileSystem) -> None:
        """Writes the file that holds all, over what an earlier attempt may have left of it."""
        with filesystem.open_output_stream(self.hidden) as joined:
            for i, path in enumerate(self.inputs):
                if i and self.delimiter:
                    joined.write(self.delimiter)
                with filesystem.open_input_stream(path) as part:
                    while data := part.read(COPY_BYTES):
                        joined.write(data)

    def remove_inputs(self, filesystem: pafs.FileSystem) -> None:
        """Removes the files that were joined, as many as are there still. StateFormatError for any other file."""
        folder = os.path.dirname(self.path)
        for path in self.inputs:
            name = os.path.basename(path)
            if os.path.dirname(path) != folder or not name.startswith(".") or IN_PROGRESS not in name:
                raise StateFormatError(
                    f"'{path}' is no unfinished part in '{folder}': the checkpoint that says so is damaged"
                )
        for info in filesystem.get_file_info(list(self.inputs)):
            if info.type == pafs.FileType.File:
                filesystem.delete_file(info.path)


class Compactor:
    """The files of one writer that wait to be joined."""

    def __init__(self, compaction: Compaction, owner: str, waiting: Iterable[WaitingFile] = ()) -> None:
        self.compaction = compaction
        self.owner = owner
        self.waiting = list(waiting)
        self._checkpoints = 0

    def take_due(self, at_checkpoint: bool, at_end: bool) -> list[CompactedFile]:
        """What it is time for now; called at a checkpoint, at the end, or (neither) when files have been added."""
        self._checkpoints += at_checkpoint
        every = self.compaction.checkpoints
        all_due = at_end or (every is not None and self._checkpoints >= every)
        if all_due:
            self._checkpoints = 0
        by_bucket: dict[str, list[WaitingFile]] = defaultdict(list)
        for file in self.waiting:
            by_bucket[file.bucket].append(file)
        self.waiting = []
        due: list[CompactedFile] = []
        limit = self.compaction.size_bytes
        for files in by_bucket.values():
            if all_due or (limit is not None and sum(file.size for file in files) >= limit):
                groups = [files] if self.compaction.joins else [[file] for file in files]
                due += [self._joined(group) for group in groups]
            else:
                self.waiting += files
        return due

    def _joined(self, files: list[WaitingFile]) -> CompactedFile:
        folder, name = os.path.split(files[0].pending.path)
        path = f"{folder}/{PREFIX}{name}"
        inputs = tuple(file.pending.hidden for file in files)
        return CompactedFile(inputs, hidden_path(path) + self.owner, path, self.compaction.delimiter)
