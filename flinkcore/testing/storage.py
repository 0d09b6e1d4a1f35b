# SPDX-License-Identifier: Apache-2.0
"""A checkpoint directory in memory that survives simulated crashes, and whose calls go wrong as a seed decides."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from flinkcore.checkpoint.memory_store import MemoryStore
from flinkcore.checkpoint.store import TEMPORARY, Entry, FileReader, FileWriter, Lock, in_use
from flinkcore.state.part import Payload
from flinkcore.time.clock import ManualClock


class Crash(BaseException):
    """The process stops here. No code of the engine catches it, and what runs while it passes changes nothing."""


@dataclass
class Disk:
    """What stays when a process crashes: files by path, less what was not synced.

    unsynced : by path, how many bytes of a file survive for certain
    deleted : what may come back, the last first
    open : files that have no name yet: what was written of them
    """

    files: dict[str, bytes] = field(default_factory=dict)
    unsynced: dict[str, int] = field(default_factory=dict)
    deleted: list[tuple[str, bytes]] = field(default_factory=list)
    open: dict[str, list[bytes]] = field(default_factory=dict)

    def lose_power(self, rng: random.Random) -> None:
        """Files lose an end that was not synced, the last names that were deleted come back, and of files without a
        name something is left."""
        for path, size in self.unsynced.items():
            if path in self.files:
                self.files[path] = self.files[path][: rng.randint(size, len(self.files[path]))]
        for path, data in self.deleted[len(self.deleted) - rng.randint(0, len(self.deleted)) :]:
            self.files.setdefault(path, data)
        for path, pieces in self.open.items():
            data = b"".join(pieces)
            self.files[path + TEMPORARY] = data[: rng.randint(0, len(data))]
        self.unsynced.clear()
        self.deleted.clear()
        self.open.clear()


class Calls:
    """Says of each call of a storage whether it goes well. Made anew for every process.

    share : of calls that fail or are slow;  faults_max : how many may
    crashes : whether the process stops at this call, by its name
    """

    def __init__(
        self,
        rng: random.Random,
        clock: ManualClock,
        share: float = 0.0,
        faults_max: int = 0,
        crashes: Callable[[str], bool] = lambda what: False,
        trace: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.rng = rng
        self.clock = clock
        self.share = share
        self.faults_max = faults_max
        self.crashes = crashes
        self.trace = trace
        self.faults = 0
        self.crashed = False

    def call(self, what: str, effect: Callable[[], None] = lambda: None, space: bool = False) -> None:
        """One call, which may fail before or after its effect. space : it can find the disk full"""
        if self.crashed:
            raise Crash
        if self.crashes(what):
            self.trace(f"crash in {what}")
            if self.rng.random() < 0.5:
                effect()
            self.crashed = True
            raise Crash
        if self.faults < self.faults_max and self.rng.random() < self.share:
            self.faults += 1
            fault = self.rng.choice(["error", "late error", "full", "slow"])
            self.trace(f"{fault} in {what}")
            if fault == "slow":
                self.clock.advance(self.rng.randrange(1, 2000))
            else:
                if fault == "late error":
                    effect()
                code = errno.ENOSPC if space and fault == "full" else errno.EIO
                raise OSError(code, os.strerror(code))
        effect()


class SimulatedStore(MemoryStore):
    """One process's view of a Disk."""

    def __init__(self, disk: Disk, calls: Calls) -> None:
        super().__init__()
        self.disk = disk
        self.files = disk.files
        self.calls = calls

    def create(self, path: str, *, if_absent: bool = False) -> FileWriter:
        with in_use("write", self.name_of(path)):
            self.calls.call("create", space=True)
        return _Writer(self, self._inside(path), self.name_of(path), if_absent)

    def open(self, path: str) -> FileReader:
        with in_use("read", self.name_of(path), may_be_missing=True):
            self.calls.call("open")
            return super().open(path)

    def size(self, path: str) -> int | None:
        with in_use("read", self.name_of(path)):
            self.calls.call("size")
        return super().size(path)

    def list(self, folder: str = "") -> list[Entry]:
        with in_use("list", self.name_of(folder)):
            self.calls.call("list")
        return super().list(folder)

    def delete(self, path: str, *, sync: bool = False) -> None:
        inside = self._inside(path)

        def effect() -> None:
            data = self.files.pop(inside, None)
            if sync:
                self.disk.deleted = [gone for gone in self.disk.deleted if gone[0] != inside]
            elif data is not None:
                self.disk.deleted.append((inside, data))

        with in_use("delete", self.name_of(path)):
            self.calls.call("delete", effect)

    def delete_folder(self, folder: str = "") -> None:
        with in_use("delete", self.name_of(folder)):
            self.calls.call("delete folder", lambda: super(SimulatedStore, self).delete_folder(folder))

    def lock(self, path: str, owner: str) -> Lock:
        """Also leaves a file that says who took it, as on a disk."""
        inside = self._inside(path)

        def effect() -> None:
            self.files[inside] = f"{owner}, a simulated process".encode()

        with in_use("lock", self.name_of(path)):
            self.calls.call("lock", effect, space=True)
        return super().lock(path, owner)


class _Writer(FileWriter):
    def __init__(self, store: SimulatedStore, path: str, name: str, if_absent: bool) -> None:
        self._store = store
        self._path = path
        self._name = name
        self._if_absent = if_absent
        self._pieces: list[bytes] = []
        self._synced_bytes = 0
        self._published = False
        store.disk.open[path] = self._pieces

    def write(self, payload: Payload) -> None:
        with in_use("write", self._name):
            self._store.calls.call("write", lambda: self._pieces.append(bytes(payload)), space=True)

    def sync(self) -> None:
        with in_use("write", self._name):
            self._store.calls.call("sync", space=True)
        self._synced_bytes = sum(map(len, self._pieces))

    def publish(self) -> None:
        disk = self._store.disk
        if self._if_absent and self._path in disk.files:
            raise FileExistsError(errno.EEXIST, "there is one already", self._name)

        def effect() -> None:
            disk.files[self._path] = b"".join(self._pieces)
            disk.unsynced[self._path] = self._synced_bytes
            disk.open.pop(self._path, None)
            self._published = True

        with in_use("write", self._name):
            self._store.calls.call("publish", effect, space=True)
        self._pieces = []

    def abort(self) -> None:
        if self._store.calls.crashed:
            return
        self._store.disk.open.pop(self._path, None)
        if self._published and self._pieces:  # but an error came after it, as when the folder cannot be synced
            self._store.disk.files.pop(self._path, None)


__all__ = ["Calls", "Crash", "Disk", "SimulatedStore"]
