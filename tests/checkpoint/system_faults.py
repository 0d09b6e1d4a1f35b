# SPDX-License-Identifier: Apache-2.0
"""Storage that fails: an operating system whose n-th call goes wrong, for the local store, with errors, short writes,
and power loss; and a store that deletes nothing.

    calls = FaultyCalls(n=7, fault="torn")
    store = LocalStore(folder, calls)
    ...                                   # may raise Crash
    calls.lose_power()                    # what was not synced is gone
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from flinkcore.checkpoint.local_store import SystemCalls
from flinkcore.checkpoint.memory_store import MemoryStore
from flinkcore.errors import CheckpointStorageError

T = TypeVar("T")

FAULTS = ("error", "full", "short", "torn", "lost", "crash", "slow")


class Crash(BaseException):
    """The machine stops here. No code of the engine catches it, and what runs while it passes changes nothing."""


class FaultyCalls(SystemCalls):
    """The n-th call, counted from 0, goes wrong.

    fault : "error" (EIO), "full" (ENOSPC for what needs space, EIO for the rest), "short" (a write or read does half),
        "torn" (a write does half, then the machine stops), "lost" (a rename, link or delete reports success, does
        nothing, and the machine stops at the next call), "crash" (the machine stops), "slow" (nothing but `waits`)

    Where a fault has no meaning for a call the call does what it should.
    """

    def __init__(self, n: int = -1, fault: str = "error") -> None:
        self.n = n
        self.fault = fault
        self.count = 0
        self.waits = 0
        self.crashed = False
        self.stop_next = False
        self._paths: dict[int, str] = {}
        self._unsynced: dict[str, int] = {}  # by path: how many of its bytes survive
        self._undo: list[tuple[str, Callable[[], object]]] = []  # (folder, how its last unsynced change is undone)

    def lose_power(self, seed: int = 0) -> None:
        """What was not synced is lost: bytes of files, and in each folder the names from the last back to some."""
        rng = random.Random(seed)
        for path, size in self._unsynced.items():
            if os.path.exists(path):
                os.truncate(path, rng.randint(size, os.path.getsize(path)))
        folders = [folder for folder, _ in self._undo]
        lost = {folder: rng.randint(0, folders.count(folder)) for folder in sorted(set(folders))}
        for folder, undo in reversed(self._undo):
            if lost[folder]:
                lost[folder] -= 1
                undo()
        for fd in list(self._paths):
            os.close(fd)

    # -- the calls -----------------------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        new = bool(flags & os.O_CREAT) and not os.path.exists(path)
        fd = self._call(lambda: super(FaultyCalls, self).open(path, flags), space=new)
        self._paths[fd] = path
        if new:
            self._unsynced[path] = 0
            self._changed(path, lambda: os.path.lexists(path) and os.unlink(path))
        return fd

    def write(self, fd: int, data: memoryview) -> int:
        path = self._paths[fd]
        self._unsynced.setdefault(path, os.path.getsize(path))
        half = data[: max(1, len(data) // 2)]
        return self._call(lambda: super(FaultyCalls, self).write(fd, data), space=True,
                          short=lambda: super(FaultyCalls, self).write(fd, half))

    def read(self, fd: int, length: int, offset: int) -> bytes:
        half = max(1, length // 2)
        return self._call(lambda: super(FaultyCalls, self).read(fd, length, offset),
                          short=lambda: super(FaultyCalls, self).read(fd, half, offset), torn=False)

    def set_direct(self, fd: int, direct: bool) -> None:
        self._call(lambda: None)  # the disk itself is not what is tested

    def sync(self, fd: int) -> None:
        self._call(lambda: None, space=True)  # a real one takes milliseconds, and nothing here needs it
        path = self._paths[fd]
        self._unsynced.pop(path, None)
        self._undo = [(folder, undo) for folder, undo in self._undo if folder != path]

    def close(self, fd: int) -> None:
        self._paths.pop(fd, None)
        os.close(fd)  # whatever it reports, it is closed

    def truncate(self, fd: int) -> None:
        self._call(lambda: super(FaultyCalls, self).truncate(fd))

    def rename(self, source: str, target: str) -> None:
        self._call(lambda: super(FaultyCalls, self).rename(source, target), space=True, lost=lambda: None)
        if not self.stop_next:
            self._changed(target, lambda: os.path.exists(target) and os.rename(target, source))
            if source in self._unsynced:
                self._unsynced[target] = self._unsynced.pop(source)

    def link(self, source: str, target: str) -> None:
        self._call(lambda: super(FaultyCalls, self).link(source, target), space=True, lost=lambda: None)
        if not self.stop_next:
            self._changed(target, lambda: os.path.exists(target) and os.unlink(target))

    def unlink(self, path: str) -> None:
        data = Path(path).read_bytes() if os.path.isfile(path) else None
        self._call(lambda: super(FaultyCalls, self).unlink(path), lost=lambda: None)
        if data is not None:
            self._changed(path, lambda: os.path.isdir(os.path.dirname(path)) and Path(path).write_bytes(data))

    def make_folder(self, path: str) -> None:
        self._call(lambda: super(FaultyCalls, self).make_folder(path), space=True)
        self._changed(path, lambda: shutil.rmtree(path, ignore_errors=True))

    def remove_folder(self, path: str) -> None:
        self._call(lambda: super(FaultyCalls, self).remove_folder(path), lost=lambda: None)
        self._changed(path, lambda: os.makedirs(path, exist_ok=True))

    def names(self, folder: str) -> list[str]:
        return self._call(lambda: super(FaultyCalls, self).names(folder))

    def lstat(self, path: str) -> os.stat_result:
        return self._call(lambda: super(FaultyCalls, self).lstat(path))

    def fstat(self, fd: int) -> os.stat_result:
        return self._call(lambda: super(FaultyCalls, self).fstat(fd))

    def lock(self, fd: int) -> None:
        self._call(lambda: super(FaultyCalls, self).lock(fd))

    # -- how they go wrong -----------------------------------------------------------------------------------------

    def _call(self, action: Callable[[], T], *, space: bool = False, short: Callable[[], T] | None = None,
              torn: bool = True, lost: Callable[[], T] | None = None) -> T:
        if self.crashed or self.stop_next:
            self.crashed = True
            raise Crash
        self.count += 1
        if self.count - 1 != self.n:
            return action()
        if self.fault == "error" or (self.fault == "full" and not space):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.fault == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.fault == "slow":
            self.waits += 1
        if self.fault == "crash":
            self.crashed = True
            raise Crash
        if short is not None and self.fault in ("short", "torn"):
            result = short()
            if self.fault == "torn" and torn:
                self.crashed = True
                raise Crash
            return result
        if lost is not None and self.fault == "lost":
            self.stop_next = True
            return lost()
        return action()

    def _changed(self, path: str, undo: Callable[[], object]) -> None:
        self._undo.append((os.path.dirname(path), undo))


class Reluctant(MemoryStore):
    """Deletes nothing while it refuses to."""

    refuses = True

    def delete(self, path: str, *, sync: bool = False) -> None:
        if self.refuses:
            raise CheckpointStorageError(f"cannot delete '{path}'")
        super().delete(path, sync=sync)
