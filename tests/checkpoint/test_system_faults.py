# SPDX-License-Identifier: Apache-2.0
"""Every call to the operating system goes wrong once: the checkpoint before stays, and no garbage lasts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from flinkcore import faultpoint
from flinkcore.checkpoint.inspect import faults_of
from flinkcore.checkpoint.layout import find_checkpoints
from flinkcore.checkpoint.local_store import LocalStore
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import Manifest
from flinkcore.checkpoint.retention import Retention
from flinkcore.checkpoint.store import Store
from flinkcore.errors import CheckpointStorageError
from tests.checkpoint.conftest import ObjectStore, PassOn
from tests.checkpoint.manifests import JOB_ID, chain_of, write_checkpoint
from tests.checkpoint.system_faults import FAULTS, Crash, FaultyCalls

CALLS_MAX = 2_000


def prepared(folder: Path) -> Manifest:
    """Two complete checkpoints, of which only the second is to be kept, and what two crashed attempts left."""
    job = LocalStore(folder, FaultyCalls()).below(JOB_ID)
    write_checkpoint(job, 1)
    second = write_checkpoint(job, 2)
    place = folder / JOB_ID
    (place / "shared" / "op-0-9.seg").write_bytes(b"nobody refers to this")
    (place / "shared" / "op-0-9.seg.0123456789abcdef.tmp").write_bytes(b"half")
    (place / "chk-9").mkdir()
    (place / "chk-9" / "_metadata.0123456789abcdef.tmp").write_bytes(b"half a manifest")
    return second


def third_checkpoint(store: Store, before: Manifest) -> None:
    """What a run does: takes stock, writes a checkpoint, and removes the one before."""
    job = store.below(JOB_ID)
    lock = job.lock("_lock", "a test")
    try:
        retention = Retention(job, retained=1)
        retention.sweep()
        retention.add(write_checkpoint(job, 10, chain_of(before)))
        retention.collect()
    finally:
        lock.release()


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def check_after(folder: Path, newest_ids: set[int], command: str) -> None:
    """The newest complete checkpoint is whole, and the next run leaves it and nothing else."""
    job = LocalStore(folder, FaultyCalls()).below(JOB_ID)
    found = find_checkpoints(job, JOB_ID)
    assert not [checkpoint.fault for checkpoint in found if checkpoint.damaged], command
    newest = next(checkpoint for checkpoint in found if checkpoint.fault is None)
    assert newest.checkpoint_id in newest_ids, command
    assert list(faults_of(newest)) == [], command
    assert newest.manifest is not None
    retention = Retention(job, retained=1)
    retention.sweep()
    retention.collect()
    expected = {JOB_ID, f"{JOB_ID}/shared", f"{JOB_ID}/{newest.folder}", f"{JOB_ID}/{newest.folder}/_metadata"}
    expected |= {f"{JOB_ID}/{path}" for path in newest.manifest.paths()}
    assert files_of(folder) - {f"{JOB_ID}/_lock"} == expected, command


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment goes to the disk in several pieces, as one of many megabytes does."""
    monkeypatch.setattr("flinkcore.checkpoint.local_store._BUFFER_BYTES", 4096)
    monkeypatch.setattr("tests.checkpoint.manifests.BLOCK_BYTES", 3000)


def run_with(folder: Path, n: int, fault: str, seed: int) -> bool:
    """Whether the n-th call was reached. seed : of what a loss of power takes"""
    command = f"pytest tests/checkpoint/test_system_faults.py -k {fault}-{seed}, call {n}"
    before = prepared(folder)
    calls = FaultyCalls(n, fault)
    completed = False
    try:
        third_checkpoint(LocalStore(folder, calls), before)
        completed = True
    except Crash:
        pass
    except CheckpointStorageError as error:
        assert fault in ("error", "full"), command
        assert str(folder) in str(error) and ";" in str(error), command
        assert "full" not in str(error) or fault == "full"
    calls.crashed |= calls.stop_next
    if calls.crashed:
        calls.lose_power(1_000 * seed + n)
    check_after(folder, {10} if completed else {2, 10} if calls.crashed else {2}, command)
    return calls.count > n


@pytest.mark.parametrize(("fault", "seed"), [*((fault, 0) for fault in FAULTS), ("crash", 1), ("crash", 2)])
def test_a_checkpoint_survives_each_call_going_wrong(folder: Path, fault: str, seed: int) -> None:
    n = 0
    while run_with(folder / str(n), n, fault, seed):
        n += 1
        assert n < CALLS_MAX
    assert n > 60


@pytest.mark.parametrize("kind", [PassOn, ObjectStore])
def test_a_checkpoint_survives_each_call_of_another_file_system_going_wrong(folder: Path, kind: type[PassOn]) -> None:
    n = 0
    while True:
        place = folder / str(n)
        before = prepared(place)
        filesystem = pafs.PyFileSystem(failing(kind, pafs.SubTreeFileSystem(str(place), pafs.LocalFileSystem()), n))
        completed = False
        try:
            third_checkpoint(open_store("", filesystem), before)
            completed = True
        except CheckpointStorageError as error:
            assert "call went wrong" in str(error)
        check_after(place, {10} if completed else {2}, f"pytest {__file__} -k another_file_system, call {n}")
        if filesystem.handler.calls <= n:
            break
        n += 1
    assert n > 20


def failing(kind: type[PassOn], inner: pafs.FileSystem, n: int) -> PassOn:
    """A file system whose n-th call, counted from 0, raises."""

    class Failing(kind):  # type: ignore[misc, valid-type]
        calls = 0

        def __getattribute__(self, name: str) -> object:
            if name in ("inner", "calls") or name.startswith(("_", "get_type", "normalize")):
                return super().__getattribute__(name)
            self.calls += 1
            if self.calls - 1 == n:
                raise RuntimeError(f"call went wrong: {name}")
            return super().__getattribute__(name)

    return Failing(inner)


@pytest.fixture
def hook() -> Iterator[list[str]]:
    reached: list[str] = []
    faultpoint.hook = reached.append
    yield reached
    faultpoint.hook = None


def test_every_step_is_a_fault_point(folder: Path, hook: list[str]) -> None:
    before = prepared(folder)
    hook.clear()
    third_checkpoint(LocalStore(folder, FaultyCalls()), before)
    assert hook == [
        "collect.begun", *["collect.segment"] * 3, "collect.done",
        "upload.begun", *["upload.block"] * 3, "upload.synced", "upload.done",
        "manifest.begun", "manifest.written", "manifest.linked",
        "collect.begun", *["collect.manifest"] * 2, "collect.segment", "collect.done",
    ]


@pytest.mark.parametrize("name", [name for name in faultpoint.NAMES
                                  if name.startswith(("upload.", "manifest.", "collect."))])
def test_a_crash_at_each_fault_point_leaves_a_checkpoint(folder: Path, name: str) -> None:
    before = prepared(folder)
    calls = FaultyCalls()

    def stop(reached: str) -> None:
        if reached == name:
            calls.crashed = True
            raise Crash

    faultpoint.hook = stop
    try:
        with pytest.raises(Crash):
            third_checkpoint(LocalStore(folder, calls), before)
    finally:
        faultpoint.hook = None
    calls.lose_power()
    check_after(folder, {2, 10}, name)


def test_short_writes_and_a_file_system_without_direct_writes_give_the_same_file(folder: Path) -> None:
    class Reluctant(FaultyCalls):
        def write(self, fd: int, data: memoryview) -> int:
            return super().write(fd, data[: max(1, len(data) // 3)])

        def set_direct(self, fd: int, direct: bool) -> None:
            raise OSError(22, os.strerror(22))

    data = bytes(range(256)) * 100
    store = LocalStore(folder, Reluctant())
    store.create_if_absent("a", [data[:10_000], data[10_000:]])
    assert store.read("a") == data
