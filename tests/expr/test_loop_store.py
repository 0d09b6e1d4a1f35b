# SPDX-License-Identifier: Apache-2.0
"""Compiled loops on disk are used where only their user can have put them there, and as they were put there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore.columnar.schema import Schema
from flinkcore.expr.evaluate import BatchRows
from flinkcore.expr.translate import loop, loop_store
from flinkcore.expr.translate.fold import translate_aggregate
from flinkcore.expr.translate.translation import as_python
from flinkcore.operators.functions import AggregateFunction

KEY = "0" * 64


class Decayed(AggregateFunction):
    result = 4.25  # of 1.0, 2.0, 3.0

    def create_accumulator(self):
        return 0.0

    def add(self, value, accumulator):
        return accumulator * 0.5 + value

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a


class Alternating(Decayed):
    result = 2.0

    def add(self, value, accumulator):
        return value - accumulator


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLINKCORE_CACHE_DIR", str(tmp_path))
    return tmp_path / "loops"


def hits(function: Any = Decayed) -> int:
    """How often a loop came from disk, as if in a new process; it folds 1.0, 2.0, 3.0."""
    loop._compiled.clear()
    made = loop.Loop(translate_aggregate(function(), Schema(["v"], [pa.float64()], "value")))
    made.compile()
    state = [np.zeros(1)]
    column = Column.from_numpy(np.array([1.0, 2.0, 3.0]))
    made.run(BatchRows(lambda index: as_python(column), 3, 0), np.zeros(3, np.int32), np.zeros(1, bool), state, None)
    assert state[0].tolist() == [function.result]
    call: Any = made._call
    return sum(call.stats.cache_hits.values())


def test_a_loop_is_compiled_once(folder: Path) -> None:
    assert [hits(), hits(), hits()] == [0, 1, 1]
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700


def in_another_process(code: str) -> str:
    code = f"from tests.expr.test_loop_store import Alternating, Decayed, hits; print({code})"
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_other_processes_find_what_several_ones_have_made(folder: Path) -> None:
    assert in_another_process("hits(Decayed)") == "0"
    assert in_another_process("hits(Alternating)") == "0"
    assert in_another_process("hits(Alternating), hits(Decayed), hits(Alternating)") == "1 1 1"


@pytest.mark.parametrize("damage", ["a bit", "its end", "everything", "another's"])
def test_a_damaged_file_is_compiled_anew(folder: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    assert hits() == 0
    (file,) = folder.iterdir()
    data = file.read_bytes()
    middle = len(data) // 2
    changed = {
        "a bit": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "its end": data[:-1],
        "everything": b"",
        "another's": loop_store.MAGIC + loop_store._digest(KEY, b"x") + b"x",
    }[damage]
    file.write_bytes(changed)
    assert hits() == 0 and "is damaged" in caplog.text
    assert hits() == 1 and file.read_bytes()[: len(loop_store.MAGIC)] == loop_store.MAGIC


def test_what_a_digest_of_ours_covers_and_is_no_loop_is_compiled_anew(folder: Path) -> None:
    assert hits() == 0
    (file,) = folder.iterdir()
    file.write_bytes(loop_store.MAGIC + loop_store._digest(file.name, b"no pickle") + b"no pickle")
    assert [hits(), hits()] == [0, 1]


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o705, 0o711])
def test_a_directory_that_others_may_use_is_not_used(folder: Path, mode: int, caplog: Any) -> None:
    assert hits() == 0
    folder.chmod(mode)
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert hits() == 0 and "nobody else may enter (mode 0700)" in caplog.text
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    folder.chmod(0o700)
    assert hits() == 1


def test_a_directory_of_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hits() == 0
    if os.geteuid() == 0:
        os.chown(folder, 12345, 12345)
    else:
        another = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: another)
    assert [hits(), hits()] == [0, 0]


def test_files_that_others_may_write_or_that_are_elsewhere_are_not_read(folder: Path) -> None:
    loop_store.write(KEY, b"loop")
    file = folder / KEY
    assert loop_store.read(KEY) == b"loop"
    file.chmod(0o620)
    assert loop_store.read(KEY) is None
    file.chmod(0o600)
    file.rename(folder.parent / "elsewhere")
    file.symlink_to(folder.parent / "elsewhere")
    assert loop_store.read(KEY) is None
    file.unlink()
    file.mkdir()
    assert loop_store.read(KEY) is None


def test_a_link_is_no_directory_of_ours(folder: Path) -> None:
    loop_store.write(KEY, b"loop")
    folder.rename(folder.parent / "real")
    folder.symlink_to(folder.parent / "real")
    assert loop_store.read(KEY) is None


def test_the_oldest_files_leave(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_store, "FILES_MAX", 3)
    for i in range(5):
        loop_store.write(f"{i}", b"x")
        os.utime(folder / f"{i}", (i, i))
    (folder / ".left").write_bytes(b"")
    os.utime(folder / ".left", (0, 0))
    loop_store.write("5", b"x")
    assert sorted(file.name for file in folder.iterdir()) == ["3", "4", "5"]


@pytest.mark.parametrize("value", ["", None])
def test_who_did_not_ask_keeps_nothing(value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FLINKCORE_CACHE_DIR", "")
    if value is None:
        monkeypatch.delenv("FLINKCORE_CACHE_DIR")
    assert [hits(), hits()] == [0, 0] and not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **names: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert hits() == 0
    assert not list(folder.iterdir())
