# SPDX-License-Identifier: Apache-2.0
"""Compiled loops on disk, so that the next process need not compile them again.

What the compiler gives can only be had back by unpickling it, and then runs. So files are believed only from a
directory that belongs to the user and that nobody else may enter (mode 0700), as files that nobody else may write; both
are asked of what was opened, not of a path. A file is named by all that it depends on, and begins with a digest of
itself: what is damaged is as good as not there. Where a directory is not fit, nothing is read or written, and loops are
compiled in each process.

The directory is `loops` in $FLINKCORE_CACHE_DIR; without that variable nothing is kept, and nothing unpickled.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)

MAGIC = b"flinkcore loop 1\n"
BYTES_MAX = 16 << 20  # of a file: loops have some 10 KB
FILES_MAX = 256  # the oldest ones leave
_STALE_S = 3600  # a file that is being written is renamed at once
_DIGEST_BYTES = hashlib.sha256().digest_size


class _NotPrivate(OSError):
    """A directory that others may use."""


def read(key: str) -> bytes | None:
    """What was kept under a key; None when there is nothing that can be believed. key : letters and digits"""
    try:
        with _folder(make=False) as folder:
            file = os.open(key, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with open(file, "rb") as opened:
                found = os.fstat(file)
                if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                    return None
                data = opened.read(BYTES_MAX + 1)
            start = len(MAGIC) + _DIGEST_BYTES
            if len(data) > BYTES_MAX or data[:start] != MAGIC + _digest(key, data[start:]):
                log.warning("a compiled loop on disk is damaged, and is compiled again: %s", key)
                return None
            os.utime(key, dir_fd=folder, follow_symlinks=False)
            return data[start:]
    except OSError as error:
        _tell(error)
        return None


def write(key: str, data: bytes) -> None:
    """Keeps something under a key, if that can be done."""
    if len(MAGIC) + _DIGEST_BYTES + len(data) > BYTES_MAX:
        return
    temporary = f".{key}.{secrets.token_hex(8)}"
    try:
        with _folder(make=True) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(temporary, flags, 0o600, dir_fd=folder)
            try:
                with open(file, "wb") as opened:
                    opened.write(MAGIC + _digest(key, data) + data)
                os.replace(temporary, key, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            _sweep(folder)
    except OSError as error:
        _tell(error)


def _digest(key: str, data: bytes) -> bytes:
    return hashlib.sha256(key.encode() + data).digest()


def _path() -> Path | None:
    own = os.environ.get("FLINKCORE_CACHE_DIR")
    return Path(own, "loops").absolute() if own else None


@contextmanager
def _folder(make: bool) -> Iterator[int]:
    """The open directory. OSError: there is none, or others may use it"""
    path = _path()
    if path is None or not hasattr(os, "geteuid") or os.open not in os.supports_dir_fd:
        raise FileNotFoundError("no directory is kept")
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(folder)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise _NotPrivate(f"{path} is not a directory of this user that nobody else may enter (mode 0700)")
        yield folder
    finally:
        os.close(folder)


def _sweep(folder: int) -> None:
    """Removes the oldest files beyond FILES_MAX, and those that nobody goes on writing."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                found.append((entry.stat(follow_symlinks=False).st_mtime, entry.name))
    kept = sorted((each for each in found if not each[1].startswith(".")), reverse=True)
    stale = [each for each in found if each[1].startswith(".") and each[0] < time.time() - _STALE_S]
    for _, name in [*kept[FILES_MAX:], *stale]:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)


def _tell(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        log.warning("compiled loops are not kept on disk: %s", error)
