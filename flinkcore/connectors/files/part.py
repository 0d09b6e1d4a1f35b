# SPDX-License-Identifier: Apache-2.0
"""Names of part files: hidden while they are written, theirs once they are committed."""

from __future__ import annotations

from dataclasses import dataclass

IN_PROGRESS = ".inprogress."


@dataclass(frozen=True)
class PendingFile:
    """A committable: a complete hidden file and the name that commit gives it."""

    hidden: str
    path: str


def hidden_path(path: str) -> str:
    """Where a part is written before it has its name, but for the owner."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}{IN_PROGRESS}"


def is_hidden_of(hidden: str, path: str) -> bool:
    """Whether a hidden file is the one that becomes `path`."""
    start, in_progress, owner = hidden.rpartition(IN_PROGRESS)
    return start + in_progress == hidden_path(path) and "/" not in owner
