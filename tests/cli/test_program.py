# SPDX-License-Identifier: Apache-2.0
"""A program runs under `flinkcore run` as it runs under `python`, and its failures are told to its author."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import flinkcore

ROOT = Path(flinkcore.__file__).parents[1]

SHOW = """\
import json, os, sys
print(json.dumps({"argv": sys.argv, "name": __name__, "file": __file__, "package": __package__,
                  "first": os.path.realpath(sys.path[0]), "spec": __spec__ is None,
                  "main": sys.modules["__main__"].__dict__ is globals()}))
"""


def command(*arguments: str, cwd: Path, python: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = [sys.executable] if python else [sys.executable, "-m", "flinkcore", "run"]
    return subprocess.run([*start, *arguments], capture_output=True, text=True, cwd=cwd, env=environment)


def write(folder: Path, text: str, name: str = "job.py") -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return name


@pytest.mark.parametrize("arguments", [["job.py"], ["job.py", "--quiet", "-m", "x y"], ["deep/job.py", "1"]])
def test_a_program_sees_what_python_would_show_it(tmp_path: Path, arguments: list[str]) -> None:
    write(tmp_path, SHOW, arguments[0])
    expected = command(*arguments, cwd=tmp_path, python=True)
    assert command(*arguments, cwd=tmp_path).stdout == expected.stdout != ""


@pytest.mark.parametrize("module", ["package.job", "package"])
def test_a_module_sees_what_python_would_show_it(tmp_path: Path, module: str) -> None:
    write(tmp_path, "", "package/__init__.py")
    write(tmp_path, SHOW, "package/job.py")
    write(tmp_path, "from . import job\n" + SHOW, "package/__main__.py")
    expected = command("-m", module, "--flag", cwd=tmp_path, python=True)
    assert command("-m", module, "--flag", cwd=tmp_path).stdout == expected.stdout != ""


@pytest.mark.parametrize("text, code, told", [
    ("import sys; sys.exit(7)", 7, ""),
    ("import sys; sys.exit()", 0, ""),
    ("import sys; sys.exit('no data')", 1, "no data\n"),
    ("raise KeyboardInterrupt", 130, ""),
])
def test_the_exit_code_is_the_program_s(tmp_path: Path, text: str, code: int, told: str) -> None:
    done = command("-q", write(tmp_path, text), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, told)


def test_a_program_that_raises_gives_its_own_traceback_and_no_frame_of_the_engine(tmp_path: Path) -> None:
    job = write(tmp_path, "def inner():\n    {}['word']\n\ninner()\n")
    done = command(job, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f'Traceback (most recent call last):\n  File "{tmp_path / job}", line 4')
    assert done.stderr.endswith("KeyError: 'word'\n")
    assert "flinkcore/" not in done.stderr
    assert "flinkcore/cli/program.py" in command("--traceback", job, cwd=tmp_path).stderr


def test_a_syntax_error_is_shown_like_python_shows_it(tmp_path: Path) -> None:
    job = write(tmp_path, "total = = 1\n")
    assert command("-q", job, cwd=tmp_path).stderr.endswith(command(job, cwd=tmp_path, python=True).stderr)


@pytest.mark.parametrize("arguments, message", [
    ([], "required"),
    (["nowhere.py"], "'nowhere.py' does not exist"),
    (["."], "'.' is a folder"),
    (["--loud", "job.py"], "job.py"),
])
def test_wrong_usage_exits_with_2_and_says_why(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_missing_module_is_told_by_name(tmp_path: Path) -> None:
    done = command("-m", "no_such_module", cwd=tmp_path)
    assert done.returncode == 1
    assert "No module named 'no_such_module'" in done.stderr
