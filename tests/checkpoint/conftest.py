# SPDX-License-Identifier: Apache-2.0
"""What the tests of checkpoints share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where that can be: thousands of small files are a matter of seconds there."""
    memory = "/dev/shm"
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture(params=["local", "memory", "arrow", "object store"])
def store(request: pytest.FixtureRequest, folder: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "local":
        return open_store(folder)
    if request.param == "memory":
        return open_store("memory:")
    # A subtree of a file system in Python: pyarrow knows nothing of it but the calls that any file system has.
    inner = pafs.SubTreeFileSystem(str(folder), pafs.LocalFileSystem())
    kind = ObjectStore if request.param == "object store" else PassOn
    return open_store("checkpoints", pafs.PyFileSystem(kind(inner)))


class PassOn(pafs.FileSystemHandler):  # type: ignore[misc]
    """A file system of the user's own, on top of another."""

    def __init__(self, inner: pafs.FileSystem) -> None:
        self.inner = inner

    def get_type_name(self) -> str:
        return "passing-on"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[pafs.FileInfo]:
        return self.inner.get_file_info(paths)

    def get_file_info_selector(self, selector: pafs.FileSelector) -> list[pafs.FileInfo]:
        return self.inner.get_file_info(selector)

    def create_dir(self, path: str, recursive: bool) -> None:
        self.inner.create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self.inner.delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self.inner.delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        self.inner.delete_dir_contents("/", accept_root_dir=True)

    def delete_file(self, path: str) -> None:
        self.inner.delete_file(path)

    def move(self, source: str, target: str) -> None:
        self.inner.move(source, target)

    def copy_file(self, source: str, target: str) -> None:
        self.inner.copy_file(source, target)

    def open_input_stream(self, path: str) -> object:
        return self.inner.open_input_stream(path)

    def open_input_file(self, path: str) -> object:
        return self.inner.open_input_file(path)

    def open_output_stream(self, path: str, metadata: object) -> object:
        return self.inner.open_output_stream(path)

    def open_append_stream(self, path: str, metadata: object) -> object:
        return self.inner.open_append_stream(path)


class ObjectStore(PassOn):
    """One that has no folders to be made, and cannot rename."""

    def get_type_name(self) -> str:
        return "fsspec+s3"

    def create_dir(self, path: str, recursive: bool) -> None:
        raise AssertionError("an object store has no folders")

    def move(self, source: str, target: str) -> None:
        raise AssertionError("a move would be a copy")

    def open_output_stream(self, path: str, metadata: object) -> object:
        self.inner.create_dir(path.rpartition("/")[0], recursive=True)
        return self.inner.open_output_stream(path)
