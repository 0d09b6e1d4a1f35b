# SPDX-License-Identifier: Apache-2.0
"""`flinkcore checkpoint read` prints a state, or writes it to a file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from flinkcore.checkpoint import SavepointWriter, read_state
from flinkcore.cli import main
from flinkcore.cli.states import as_text
from flinkcore.common import Types
from flinkcore.datastream.state import ListStateDescriptor
from tests.cli.conftest import Shell


@pytest.fixture
def savepoint(tmp_path: Path) -> str:
    words = pa.table({"user": ["ann", "bob", "ann"], "w": ["x", "y", "z"]})
    descriptor = ListStateDescriptor("w", Types.STRING())
    return SavepointWriter.new_savepoint().with_keyed_state("words", descriptor, words, "user").write(tmp_path / "s")


def test_a_state_is_printed(savepoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "read", savepoint, "words", "w"]) == 0
    assert capsys.readouterr().out == 'USER  VALUE\nann   ["x", "z"]\nbob   ["y"]\n'
    assert main(["checkpoint", "read", savepoint, "words", "w", "--limit", "1"]) == 0
    assert capsys.readouterr().out == 'USER  VALUE\nann   ["x", "z"]\n'
    assert main(["checkpoint", "read", savepoint, "words", "none"]) == 1
    assert "has no state 'none'" in capsys.readouterr().err


def test_a_state_is_written_for_other_programs(savepoint: str, tmp_path: Path) -> None:
    state = read_state(savepoint, "words", "w")
    for name in ("w.parquet", "w.csv", "w.arrow"):
        assert main(["checkpoint", "read", savepoint, "words", "w", "--output", str(tmp_path / name)]) == 0
    assert pq.read_table(tmp_path / "w.parquet").to_pylist() == state.to_pylist()
    assert pa.ipc.open_file(tmp_path / "w.arrow").read_all() == state
    assert pyarrow.csv.read_csv(tmp_path / "w.csv").to_pylist()[0] == {"user": "ann", "value": '["x", "z"]'}
    assert main(["checkpoint", "read", savepoint, "words", "w", "--output", str(tmp_path / "w.xls")]) == 1
    assert duckdb.sql("select sum(len(value)) from state").fetchall() == [(3,)]


def test_points_in_time_that_python_has_not_are_numbers() -> None:
    times = pa.table({"at": pa.array([0, -1, 2**63 - 1, 1_700_000_000_000], pa.timestamp("ms"))})
    assert as_text(times).split("\n") == [
        "AT", "1970-01-01 00:00:00.000", "1969-12-31 23:59:59.999", "9223372036854775807 ms",
        "2023-11-14 22:13:20.000"]  # fmt: skip


def test_a_file_that_cannot_be_written_is_said(
    savepoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, message in (("none/w.parquet", f"'{tmp_path}/none' does not exist; make the folder first"),
                          ("folder.csv", "cannot be written: ")):  # fmt: skip
        assert main(["checkpoint", "read", savepoint, "words", "w", "--output", str(tmp_path / name)]) == 1
        assert message in capsys.readouterr().err


def test_it_ends_quietly_when_nobody_reads(savepoint: str, shell: Shell) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = shell.start("checkpoint", "verify", savepoint, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert process.communicate()[1] == b""
    assert process.returncode == 141
