# SPDX-License-Identifier: Apache-2.0
"""A store on any file system of pyarrow: S3, GCS, Azure, HDFS, fsspec, or one of the user's own."""

from __future__ import annotations

import errno
import os

import pyarrow as pa
import pyarrow.fs as pafs

from flinkcore.checkpoint.store import TEMPORARY, Entry, FileReader, FileWriter, Lock, Store, in_use
from flinkcore.errors import CheckpointStorageError
from flinkcore.state.part import Payload

#: Object stores: a file can be seen when its writer is closed, not before; a move would copy it once more.
_WHOLE_AT_CLOSE = ("s3", "gcs", "gs", "abfs", "adl", "az")


class ArrowStore(Store):
    """A folder of a pyarrow file system.

    Nothing can be locked there: two runs that write one job's folder are not kept apart. A file is looked for before
    it is created if absent, which keeps out all but a race.
    """

    locks = False
    read_bytes = 32 << 20  # a request to an object store takes tens of milliseconds, whatever it asks for

    def __init__(self, filesystem: pafs.FileSystem, folder: str, location: str = "") -> None:
        super().__init__(location or f"{filesystem.type_name}:{folder}")
        self.filesystem = filesystem
        self._root = folder.rstrip("/")
        kind = filesystem.type_name.removeprefix("py::fsspec+")
        self.whole_at_close = kind in _WHOLE_AT_CLOSE

    def create(self, path: str, *, if_absent: bool = False) -> FileWriter:
        return _UploadWriter(self, path, if_absent) if self.whole_at_close else _MoveWriter(self, path, if_absent)

    def open(self, path: str) -> FileReader:
        name = self.name_of(path)
        with in_use("read", name, may_be_missing=True):
            return _ArrowReader(self.filesystem, self.place(path), name)

    def size(self, path: str) -> int | None:
        with in_use("read", self.name_of(path)):
            info = self.filesystem.get_file_info(self.place(path))
        return info.size if info.type == pafs.FileType.File else None

    def list(self, folder: str = "") -> list[Entry]:
        with in_use("list", self.name_of(folder)):
            infos = self.filesystem.get_file_info(pafs.FileSelector(self.place(folder), allow_not_found=True))
        return sorted((Entry(info.base_name, info.size if info.type == pafs.FileType.File else None)
                       for info in infos), key=lambda entry: entry.name)

    def delete(self, path: str, *, sync: bool = False) -> None:
        with in_use("delete", self.name_of(path)):
            try:
                self.filesystem.delete_file(self.place(path))
            except OSError:
                if self.filesystem.get_file_info(self.place(path)).type != pafs.FileType.NotFound:
                    raise

    def delete_folder(self, folder: str = "") -> None:
        with in_use("delete", self.name_of(folder)):
            if self.filesystem.get_file_info(self.place(folder)).type == pafs.FileType.Directory:
                self.filesystem.delete_dir(self.place(folder))

    def lock(self, path: str, owner: str) -> Lock:
        return _NoLock()

    def place(self, path: str) -> str:
        return "/".join(filter(None, (self._root, self._inside(path)))) or "/"


class _MoveWriter(FileWriter):
    """Writes under another name and moves the file to its own."""

    def __init__(self, store: ArrowStore, path: str, if_absent: bool) -> None:
        self._store = store
        self._path = path
        self._if_absent = if_absent
        self._name = store.name_of(path)
        self._place = store.place(path)
        self._temporary = f"{self._place}.{os.urandom(8).hex()}{TEMPORARY}"
        folder = self._place.rpartition("/")[0]
        with in_use("write", self._name):
            if folder:
                store.filesystem.create_dir(folder, recursive=True)
            self._file: pa.NativeFile | None = store.filesystem.open_output_stream(self._temporary)

    def write(self, payload: Payload) -> None:
        assert self._file is not None
        with in_use("write", self._name):
            self._file.write(payload)

    def sync(self) -> None:
        self._close()

    def publish(self) -> None:
        self._close()
        if self._if_absent:
            refuse_existing(self._store, self._path)
        with in_use("write", self._name):
            self._store.filesystem.move(self._temporary, self._place)
        self._temporary = ""

    def abort(self) -> None:
        if self._temporary:
            temporary, self._temporary = self._temporary, ""
            try:
                self._close()
                self._store.filesystem.delete_file(temporary)
            except Exception:
                pass  # it is swept later

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with in_use("write", self._name):
                file.close()


class _UploadWriter(FileWriter):
    """Uploads to an object store, which shows the file when all of it is there.

    pyarrow can end an upload only by completing it, so what must not replace another waits in memory until it is known
    to be absent.
    """

    def __init__(self, store: ArrowStore, path: str, if_absent: bool) -> None:
        self._store = store
        self._path = path
        self._name = store.name_of(path)
        self._waiting: list[bytes] | None = [] if if_absent else None
        self._file: pa.NativeFile | None = None if if_absent else self._open()

    def write(self, payload: Payload) -> None:
        if self._waiting is not None:
            self._waiting.append(bytes(payload))
            return
        assert self._file is not None
        with in_use("write", self._name):
            self._file.write(payload)

    def sync(self) -> None:
        pass

    def publish(self) -> None:
        if self._waiting is not None:
            refuse_existing(self._store, self._path)
            waiting, self._waiting = self._waiting, None
            self._file = self._open()
            for payload in waiting:
                self.write(payload)
        assert self._file is not None
        with in_use("write", self._name):
            self._file.close()
        self._file = None

    def abort(self) -> None:
        self._waiting = None
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
                self._store.delete(self._path)
            except Exception:
                pass  # no manifest refers to it; it is swept later

    def _open(self) -> pa.NativeFile:
        with in_use("write", self._name):
            return self._store.filesystem.open_output_stream(self._store.place(self._path))


def refuse_existing(store: Store, path: str) -> None:
    """FileExistsError when there is such a file."""
    if store.exists(path):
        raise FileExistsError(errno.EEXIST, "there is one already", store.name_of(path))


class _ArrowReader(FileReader):
    def __init__(self, filesystem: pafs.FileSystem, place: str, name: str) -> None:
        self._name = name
        self._file = filesystem.open_input_file(place)
        self.size = self._file.size()

    def read(self, offset: int, length: int) -> memoryview:
        with in_use("read", self._name):
            data = memoryview(self._file.read_at(length, offset))
        if len(data) < length:
            raise CheckpointStorageError(f"cannot read '{self._name}': it ends {length - len(data):,} bytes early; it "
                                         "was cut off while it was read")
        return data

    def close(self) -> None:
        self._file.close()


class _NoLock(Lock):
    def release(self) -> None:
        pass
