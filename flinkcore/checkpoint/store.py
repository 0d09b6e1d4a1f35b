# SPDX-License-Identifier: Apache-2.0
"""Store: a folder in which checkpoints lie. Files are written once, read, and deleted; nothing is ever changed.

    store = open_store("s3://bucket/checkpoints")        # or a path, or "memory:", or a pyarrow FileSystem
    writer = store.create("chk-7/_metadata", if_absent=True)
    writer.write(header)
    writer.sync()                                        # the bytes survive a crash, under no name yet
    writer.publish()                                     # FileExistsError when there is one

Paths are relative to the store, with "/" between their parts, and never lead out of it.
"""

from __future__ import annotations

import copy
import errno
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from flinkcore.errors import CheckpointStorageError, FlinkcoreError, StateFormatError
from flinkcore.state.part import Payload

S = TypeVar("S", bound="Store")

#: What ends the name of a file that is not complete. Whoever finds one that nobody writes may delete it.
TEMPORARY = ".tmp"


@dataclass(frozen=True)
class Entry:
    """One name in a folder. size : bytes of a file, None for a folder."""

    name: str
    size: int | None


class FileWriter(ABC):
    """A file that has no name yet. After any error only abort() may follow."""

    @abstractmethod
    def write(self, payload: Payload) -> None:
        """Appends. The payload may change as soon as the call returns."""

    @abstractmethod
    def sync(self) -> None:
        """What was written survives a crash from now on, as far as the file system allows it."""

    @abstractmethod
    def publish(self) -> None:
        """The file has its name, which survives a crash.

        A file of that name is replaced; FileExistsError instead when it was created if absent.
        """

    @abstractmethod
    def abort(self) -> None:
        """Nothing is left of the file, as far as that can be done; never raises. No effect after publish()."""


class FileReader(ABC):
    """A file that is open for reading, at any place."""

    size: int

    @abstractmethod
    def read(self, offset: int, length: int) -> memoryview:
        """Exactly `length` bytes; CheckpointStorageError when the file ends before, or cannot be read."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class Lock(ABC):
    """A lock that is held."""

    @abstractmethod
    def release(self) -> None:
        """Never raises."""


class Store(ABC):
    """A folder of files. All methods raise CheckpointStorageError when the file system fails them.

    location : where that is, as an error names it
    read_bytes : how much is fetched at once when a file is read from its start to its end
    locks : whether lock() keeps others out; where nothing can, it is granted to everyone
    """

    location: str
    read_bytes = 4 << 20
    locks = True

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/") or "/"
        self._prefix = ""

    def below(self: S, folder: str) -> S:
        """The store of a folder inside; it need not exist."""
        inner = copy.copy(self)
        inner._prefix = self._inside(folder) + "/"
        inner.location = self.name_of(folder)
        return inner

    def name_of(self, path: str) -> str:
        """The path as an error names it."""
        return f"{self.location.rstrip('/')}/{path}" if path else self.location

    def exists(self, path: str) -> bool:
        return self.size(path) is not None

    def read(self, path: str) -> memoryview:
        """A whole file. FileNotFoundError when there is none."""
        with self.open(path) as file:
            return file.read(0, file.size)

    def read_range(self, path: str, offset: int, length: int) -> memoryview:
        with self.open(path) as file:
            return file.read(offset, length)

    def create_if_absent(self, path: str, payloads: Iterable[Payload]) -> None:
        """A file with these bytes, complete and durable, or none. FileExistsError when there is one."""
        self._write_whole(self.create(path, if_absent=True), payloads)

    def replace(self, path: str, payloads: Iterable[Payload]) -> None:
        """A file with these bytes, complete and durable, in the place of the one that there may be; or that one."""
        self._write_whole(self.create(path), payloads)

    @staticmethod
    def _write_whole(writer: FileWriter, payloads: Iterable[Payload]) -> None:
        try:
            for payload in payloads:
                writer.write(payload)
            writer.sync()
            writer.publish()
        except BaseException:
            writer.abort()
            raise

    @abstractmethod
    def create(self, path: str, *, if_absent: bool = False) -> FileWriter:
        """A new file; folders on the way to it are made."""

    @abstractmethod
    def open(self, path: str) -> FileReader:
        """FileNotFoundError when there is no such file."""

    @abstractmethod
    def size(self, path: str) -> int | None:
        """Bytes of a file; None when there is no such file, or it is a folder."""

    @abstractmethod
    def list(self, folder: str = "") -> list[Entry]:
        """What is in a folder, by name; nothing when there is no such folder."""

    @abstractmethod
    def delete(self, path: str, *, sync: bool = False) -> None:
        """A file is gone; no effect when there is none. sync : it is gone also after a crash that follows."""

    @abstractmethod
    def delete_folder(self, folder: str = "") -> None:
        """A folder is gone with all that is in it; no effect when there is none."""

    @abstractmethod
    def lock(self, path: str, owner: str) -> Lock:
        """Holds the file `path`, which is made, until it is released or this process dies.

        owner : who to name to others that want it
        CheckpointStorageError : somebody else holds it
        """

    def _inside(self, path: str) -> str:
        return self._prefix + check_path(path) if path else self._prefix.rstrip("/")


def check_path(path: str) -> str:
    """The path itself when it is relative and stays where it starts; StateFormatError otherwise."""
    parts = path.split("/")
    if not path or len(path) > 4096:
        reason = "is empty or longer than 4096 characters"
    elif path.startswith("/"):
        reason = "is absolute"
    elif any(part in ("", ".", "..") for part in parts):
        reason = "has an empty part, '.' or '..' in it"
    elif not path.isprintable() or "\\" in path or ":" in path:
        reason = "has a backslash, a colon or a control character in it"
    else:
        return path
    raise StateFormatError(f"path {path[:200]!r} {reason}; files of a checkpoint lie inside its folder, so it was "
                           "not written by flinkcore; do not restore from it")


class in_use(AbstractContextManager[None]):
    """Turns what a file system raises into one CheckpointStorageError.

        with in_use("write", "/checkpoints/job/chk-7/_metadata"):

    FileExistsError passes, and FileNotFoundError where the file `may_be_missing`.
    """

    def __init__(self, verb: str, name: str, *, may_be_missing: bool = False) -> None:
        self.verb = verb
        self.name = name
        self.may_be_missing = may_be_missing

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if isinstance(error, FileNotFoundError) and self.may_be_missing:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", self.name) from error
        # A file system written in Python raises what it likes.
        if isinstance(error, Exception) and not isinstance(error, (FlinkcoreError, FileExistsError)):
            raise storage_error(self.verb, self.name, error) from error


_FULL = "the disk or quota is full; free space, or set execution.checkpointing.dir to a place that has some"
_DENIED = "this process may not; change the permissions, or set execution.checkpointing.dir to another place"
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: "the file system is mounted read-only; set execution.checkpointing.dir to another place",
    errno.ENOENT: "it is missing, or was deleted while it was in use; keep the folder while the job runs",
    errno.ENOTDIR: "a file stands where a folder is expected; remove it, or choose another folder",
    errno.EISDIR: "a folder stands where a file is expected; remove it, or choose another folder",
    errno.EIO: "the disk reports an error; check the system's log",
    errno.EMFILE: "the process has too many files open; raise its limit (ulimit -n)",
    errno.ENAMETOOLONG: "choose a folder with a shorter path",
    errno.ELOOP: "a symbolic link stands where a file is expected; replace it by the file",
}


def storage_error(verb: str, name: str, error: Exception) -> CheckpointStorageError:
    """The error that says what failed, where, and what to do."""
    code = error.errno if isinstance(error, OSError) else None
    text = (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).strip()
    advice = _ADVICE.get(code or 0, "check that the place is reachable, and its credentials")
    first_line = text.splitlines()[0] if text else type(error).__name__
    found = CheckpointStorageError(f"cannot {verb} '{name}': {first_line}; {advice}")
    found.errno = code
    return found
