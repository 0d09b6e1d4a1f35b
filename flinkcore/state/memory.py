# SPDX-License-Identifier: Apache-2.0
"""MemoryBudget: how much of a job's state stays in memory, and the local file that takes the rest.

The budget covers the pages of accumulators (panes, groups, sessions, count windows) without byte values. These, the
indexes of keys and state of Python objects stay in memory, and are not counted. Pages that were not used lately go to a
file without a name, which is gone when the process is, however it ends; those that are in demand again come back. The
file is mapped, and written to, through the system's cache of files: memory that is free anyway makes that fast, and
goes to whoever needs it. What tools count as a process's memory (RSS) therefore holds cached parts of the file as well.
"""

from __future__ import annotations

import os
import tempfile

from flinkcore import options
from flinkcore._native.memory import PAGE_BYTES, MemoryPool, MemoryShare
from flinkcore.config import Configuration
from flinkcore.errors import ConfigurationError

BUDGET_BYTES_MIN = 1 << 20


class MemoryBudget:
    """One for all tasks of a job, until they start anew.

    size_bytes : at least BUDGET_BYTES_MIN
    folders : where the file may be: in the first in which one can be made
    ConfigurationError : there is none, or the size is too small
    """

    def __init__(self, size_bytes: int, folders: list[str]) -> None:
        if size_bytes < BUDGET_BYTES_MIN:
            raise ConfigurationError(
                f"{options.MANAGED_MEMORY_SIZE.key} is {size_bytes} bytes; expected at least {BUDGET_BYTES_MIN}"
            )
        self.size_bytes = size_bytes // PAGE_BYTES * PAGE_BYTES
        fd, self.folder = _unnamed_file(folders)
        self._pool = MemoryPool(fd, size_bytes, self.folder)

    @staticmethod
    def of(config: Configuration) -> MemoryBudget | None:
        """The budget that a job is configured to have; None: as much as there is."""
        size_bytes = config.get(options.MANAGED_MEMORY_SIZE)
        if size_bytes is None:
            return None
        folders = config.get(options.TMP_DIRS)
        return MemoryBudget(size_bytes, folders_of(folders) if folders else [tempfile.gettempdir()])

    def share(self) -> MemoryShare:
        """A part of it for the accumulators of one thread."""
        return MemoryShare(self._pool)

    @property
    def resident_bytes(self) -> int:
        """Of pages in memory: at most the budget, and what kernels work on at the moment."""
        return self._pool.resident_bytes

    @property
    def spilled_bytes(self) -> int:
        """Of pages in the file."""
        return self._pool.spilled_bytes


def folders_of(text: str) -> list[str]:
    """Several folders in one text, between commas or, as in a PATH, os.pathsep (Flink: io.tmp.dirs)."""
    return [folder for folder in text.replace(os.pathsep, ",").split(",") if folder]


def _unnamed_file(folders: list[str]) -> tuple[int, str]:
    """A file that nobody else can open. -> its descriptor and folder"""
    failures = []
    for folder in folders:
        try:
            fd, path = tempfile.mkstemp(prefix="flinkcore-state-", dir=folder)
        except OSError as error:
            failures.append(f"'{folder}': {error.strerror}")
            continue
        os.unlink(path)
        return fd, folder
    raise ConfigurationError(
        f"state beyond {options.MANAGED_MEMORY_SIZE.key} needs a local folder, and no file can be made in "
        f"{', '.join(failures) or 'none'}; set {options.TMP_DIRS.key}"
    )
