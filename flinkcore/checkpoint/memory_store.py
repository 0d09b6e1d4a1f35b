# SPDX-License-Identifier: Apache-2.0
"""A store in memory: checkpoints for restarts inside the process (Flink: JobManagerCheckpointStorage), and tests."""

from __future__ import annotations

import errno
import threading

from flinkcore.checkpoint.store import Entry, FileReader, FileWriter, Lock, Store
from flinkcore.errors import CheckpointStorageError
from flinkcore.state.part import Payload


class MemoryStore(Store):
    """Files in a dict, by path; folders are what stands before the last "/". All stores below share it."""

    def __init__(self) -> None:
        super().__init__("memory:")
        self.files: dict[str, bytes] = {}
        self.holders: dict[str, str] = {}
        self.guard = threading.Lock()

    def create(self, path: str, *, if_absent: bool = False) -> FileWriter:
        return _MemoryWriter(self, self._inside(path), self.name_of(path), if_absent)

    def open(self, path: str) -> FileReader:
        data = self.files.get(self._inside(path))
        if data is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", self.name_of(path))
        return MemoryReader(memoryview(data), self.name_of(path))

    def size(self, path: str) -> int | None:
        data = self.files.get(self._inside(path))
        return None if data is None else len(data)

    def list(self, folder: str = "") -> list[Entry]:
        inside = self._inside(folder)
        prefix = inside + "/" if inside else ""
        found: dict[str, int | None] = {}
        with self.guard:
            for path, data in self.files.items():
                if path.startswith(prefix):
                    name, deeper, _ = path[len(prefix) :].partition("/")
                    found[name] = None if deeper else len(data)
        return [Entry(name, found[name]) for name in sorted(found)]

    def delete(self, path: str, *, sync: bool = False) -> None:
        with self.guard:
            self.files.pop(self._inside(path), None)

    def delete_folder(self, folder: str = "") -> None:
        inside = self._inside(folder)
        prefix = inside + "/" if inside else ""
        with self.guard:
            for path in [path for path in self.files if path.startswith(prefix)]:
                del self.files[path]

    def lock(self, path: str, owner: str) -> Lock:
        inside = self._inside(path)
        with self.guard:
            if inside in self.holders:
                raise CheckpointStorageError(f"'{self.name_of(path)}' is held by {self.holders[inside]}; stop that "
                                             "job first")
            self.holders[inside] = owner
        return _MemoryLock(self.holders, inside)


class _MemoryWriter(FileWriter):
    def __init__(self, store: MemoryStore, path: str, name: str, if_absent: bool) -> None:
        self._store = store
        self._if_absent = if_absent
        self._path = path
        self._name = name
        self._pieces: list[bytes] = []

    def write(self, payload: Payload) -> None:
        self._pieces.append(bytes(payload))

    def sync(self) -> None:
        pass

    def publish(self) -> None:
        data = b"".join(self._pieces)
        self._pieces = []
        with self._store.guard:
            if self._if_absent and self._path in self._store.files:
                raise FileExistsError(errno.EEXIST, "there is one already", self._name)
            self._store.files[self._path] = data

    def abort(self) -> None:
        self._pieces = []


class MemoryReader(FileReader):
    """Bytes that are at hand, read as a file."""

    def __init__(self, data: memoryview, name: str) -> None:
        self._data = data
        self._name = name
        self.size = len(data)

    def read(self, offset: int, length: int) -> memoryview:
        if offset + length > self.size:
            raise CheckpointStorageError(f"cannot read '{self._name}': it ends {offset + length - self.size:,} bytes "
                                         "early")
        return self._data[offset : offset + length]

    def close(self) -> None:
        pass


class _MemoryLock(Lock):
    def __init__(self, holders: dict[str, str], path: str) -> None:
        self._holders = holders
        self._path = path

    def release(self) -> None:
        self._holders.pop(self._path, None)
        self._holders = {}
