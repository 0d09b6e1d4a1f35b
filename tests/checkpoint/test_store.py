# SPDX-License-Identifier: Apache-2.0
"""Stores: what is written is read, complete or not at all, and nothing leads out of the folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs
import pytest

from flinkcore.checkpoint.arrow_store import ArrowStore
from flinkcore.checkpoint.local_store import LocalStore
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.memory_store import MemoryStore
from flinkcore.checkpoint.store import Entry, Store, check_path
from flinkcore.errors import CheckpointStorageError, StateFormatError
from tests.checkpoint.system_faults import FaultyCalls


def written(store: Store, path: str, data: bytes) -> None:
    writer = store.create(path)
    writer.write(data)
    writer.sync()
    writer.publish()


def test_a_file_is_read_as_it_was_written(store: Store) -> None:
    writer = store.create("a/b/file")
    for payload in (b"", b"begin ", bytearray(b"and"), memoryview(np.frombuffer(b" end", np.uint8))):
        writer.write(payload)
    writer.sync()
    writer.publish()
    assert store.read("a/b/file") == b"begin and end"
    assert store.read_range("a/b/file", 6, 3) == b"and"
    assert store.size("a/b/file") == 13
    assert store.exists("a/b/file") and not store.exists("a/b") and not store.exists("a/other")


def test_a_file_has_its_name_only_when_it_is_published(store: Store) -> None:
    writer = store.create("a/b/file", if_absent=True)
    writer.write(b"half")
    writer.sync()
    assert not store.exists("a/b/file")
    writer.publish()
    assert store.exists("a/b/file")
    assert store.list("a/b") == [Entry("file", 4)]


def test_what_is_aborted_leaves_nothing(store: Store) -> None:
    writer = store.create("a/b/file")
    writer.write(b"half")
    writer.abort()
    writer.abort()
    assert store.list("a/b") == []


def test_a_file_is_created_only_if_absent(store: Store) -> None:
    store.create_if_absent("a/b/_metadata", [b"first", b" one"])
    with pytest.raises(FileExistsError):
        store.create_if_absent("a/b/_metadata", [b"second"])
    assert store.read("a/b/_metadata") == b"first one"
    assert store.list("a/b") == [Entry("_metadata", 9)]


def test_another_file_of_the_name_is_replaced_when_that_was_not_asked_for(store: Store) -> None:
    written(store, "a/b/file", b"first")
    written(store, "a/b/file", b"second")
    assert store.read("a/b/file") == b"second"


def test_folders_are_listed_and_deleted(store: Store) -> None:
    written(store, "a/b/file", b"12")
    written(store, "a/file", b"1")
    assert store.list("a") == [Entry("b", None), Entry("file", 1)]
    assert store.below("a").list() == store.list("a")
    assert store.below("a").below("b").read("file") == b"12"
    store.delete("a/file", sync=True)
    store.delete("a/file")
    assert store.list("a") == [Entry("b", None)]
    store.delete_folder("a")
    store.delete_folder("a")
    assert store.list("a") == []
    assert store.list("nowhere") == []


def test_a_missing_file_is_that(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.open("a/b/nothing")
    assert store.size("nothing") is None


def test_reading_beyond_the_end_says_so(store: Store) -> None:
    written(store, "a/b/file", b"123")
    with store.open("a/b/file") as file, pytest.raises(CheckpointStorageError, match="ends 2 bytes early"):
        file.read(1, 4)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../other", "a/../../b", "a//b", "a/", "./a", "a/.", "a\\b", "c:b",
                                  "a\0b", "a\nb", "a" * 5000])
def test_no_path_leads_out(store: Store, path: str) -> None:
    with pytest.raises(StateFormatError, match="do not restore from it"):
        check_path(path)
    if path:
        with pytest.raises(StateFormatError):
            store.open(path)
        with pytest.raises(StateFormatError):
            store.create(path)


def test_only_one_holds_a_lock(folder: Path) -> None:
    for store in (open_store(folder), open_store("memory:")):
        lock = store.lock("job/_lock", "job 'bids'")
        with pytest.raises(CheckpointStorageError, match=r"held by job 'bids'.*stop that job first"):
            store.lock("job/_lock", "job 'bids' again")
        lock.release()
        lock.release()
        store.lock("job/_lock", "job 'bids' again").release()
        assert store.list("job") == []


def test_a_lock_ends_with_the_process_that_held_it(folder: Path) -> None:
    program = ("from flinkcore.checkpoint.location import open_store; import os, sys\n"
               "lock = open_store(sys.argv[1]).lock('job/_lock', 'the other')\n"
               "print('held', flush=True); sys.stdin.read(); os._exit(9)")
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(CheckpointStorageError, match=f"the other, process {other.pid}"):
            open_store(folder).lock("job/_lock", "this")
    open_store(folder).lock("job/_lock", "this").release()


# -- local directories -------------------------------------------------------------------------------------------


def test_large_files_go_to_the_disk_in_any_pieces(tmp_path: Path) -> None:
    """With direct writes where the file system has them: the test's folder is on a real one."""
    rng = np.random.default_rng(1)
    data = rng.integers(0, 256, 9 << 20, dtype=np.uint8).tobytes()
    store = LocalStore(tmp_path)
    for step in (len(data), 1 << 20, (1 << 20) + 4097):
        writer = store.create("large")
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
        writer.sync()
        writer.publish()
        assert store.read("large") == data


def test_symbolic_links_lead_nowhere(folder: Path) -> None:
    (folder / "outside").mkdir()
    (folder / "outside" / "secret").write_bytes(b"secret")
    store = open_store(folder / "inside")
    written(store, "shared/a", b"1")
    (folder / "inside" / "link").symlink_to(folder / "outside")
    (folder / "inside" / "shared" / "b").symlink_to(folder / "outside" / "secret")
    (folder / "inside" / "inner").symlink_to(folder / "inside" / "shared")
    for path in ("link/secret", "link/new"):
        with pytest.raises(StateFormatError, match="symbolic link"):
            store.open(path)
        with pytest.raises(StateFormatError, match="symbolic link"):
            store.create(path)
        with pytest.raises(StateFormatError, match="symbolic link"):
            store.delete(path)
    for call in (store.list, store.delete_folder):
        with pytest.raises(StateFormatError, match="symbolic link"):
            call("link")
    with pytest.raises(CheckpointStorageError, match="symbolic link"):
        store.open("shared/b")
    assert store.size("shared/b") is None
    assert store.read("inner/a") == b"1"
    store.delete_folder()
    assert (folder / "outside" / "secret").read_bytes() == b"secret"


def test_the_folder_itself_may_be_a_link(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "link").symlink_to(folder / "real")
    written(open_store(folder / "link"), "a", b"1")
    assert (folder / "real" / "a").read_bytes() == b"1"


@pytest.mark.parametrize(("code", "advice"), [
    (errno.EACCES, "this process may not; change the permissions"),
    (errno.EROFS, "the file system is mounted read-only; set execution.checkpointing.dir to another place"),
    (errno.EMFILE, "raise its limit"),
    (errno.ESTALE, "check that the place is reachable"),
])
def test_a_folder_that_cannot_be_written_says_why(folder: Path, code: int, advice: str) -> None:
    class Refusing(FaultyCalls):
        def open(self, path: str, flags: int) -> int:
            raise OSError(code, os.strerror(code))

    with pytest.raises(CheckpointStorageError, match=advice) as caught:
        LocalStore(folder, Refusing()).create("a")
    assert f"cannot write '{folder}/a': {os.strerror(code)}; " in str(caught.value)
    assert caught.value.errno == code


def test_a_folder_is_deleted_while_its_files_vanish(folder: Path) -> None:
    class Late(FaultyCalls):
        def names(self, path: str) -> list[str]:
            return [*super().names(path), "taken-back"]

    store = LocalStore(folder, Late())
    store.replace("inner/a", [b"1"])
    store.delete_folder("inner")
    assert not (folder / "inner").exists()


def test_a_file_where_a_folder_is_expected_says_so(folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    store = open_store(folder / "file")
    for call in (lambda: store.create("a"), store.list, lambda: store.lock("_lock", "")):
        with pytest.raises(CheckpointStorageError, match="a file stands where a folder is expected"):
            call()


def test_a_full_disk_says_so(folder: Path) -> None:
    writer = LocalStore(folder, FaultyCalls(1, "full")).create("file")
    with pytest.raises(CheckpointStorageError, match=f"cannot write '{folder}/file'.*free space") as caught:
        writer.write(b"1")
        writer.sync()
    assert caught.value.errno == errno.ENOSPC
    assert isinstance(caught.value, OSError)
    writer.abort()
    assert open_store(folder).list() == []


def test_a_file_system_without_hard_links_will_do(folder: Path) -> None:
    class NoLinks(FaultyCalls):
        def link(self, source: str, target: str) -> None:
            raise PermissionError(1, "Operation not permitted")

    store = LocalStore(folder, NoLinks())
    store.create_if_absent("a", [b"1"])
    with pytest.raises(FileExistsError):
        store.create_if_absent("a", [b"2"])
    assert store.list() == [Entry("a", 1)] and store.read("a") == b"1"


# -- which store ---------------------------------------------------------------------------------------------------


def test_a_location_says_which_store_it_is(folder: Path) -> None:
    local = pafs.LocalFileSystem()
    for found in (open_store(folder), open_store(f"file://{folder}"), open_store(str(folder), local),
                  open_store("", pafs.SubTreeFileSystem(str(folder), local))):
        assert isinstance(found, LocalStore)
        assert found.location == str(folder.resolve())
    assert isinstance(open_store("memory:"), MemoryStore)
    remote = open_store("checkpoints", pafs._MockFileSystem())
    assert isinstance(remote, ArrowStore)
    assert remote.name_of("a") == "checkpoints/a"
    s3 = open_store("s3://key:secret@bucket/checkpoints?region=eu-west-1")
    assert isinstance(s3, ArrowStore) and s3.whole_at_close
    assert s3.name_of("a") == "s3://bucket/checkpoints/a"
    with pytest.raises(CheckpointStorageError, match=r"gopher://x.*known are local paths"):
        open_store("gopher://x/y")


def test_whatever_a_file_system_in_python_raises_is_one_error(folder: Path) -> None:
    from tests.checkpoint.conftest import PassOn

    class Broken(PassOn):
        def open_output_stream(self, path: str, metadata: object) -> object:
            raise RuntimeError("the token has expired\nTraceback ...")

    store = open_store("a", pafs.PyFileSystem(Broken(pafs.SubTreeFileSystem(str(folder), pafs.LocalFileSystem()))))
    with pytest.raises(CheckpointStorageError, match=r"cannot write 'a/b': .*the token has expired; check that"):
        store.create("b")
