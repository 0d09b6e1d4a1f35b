# SPDX-License-Identifier: Apache-2.0
"""A program runs under `flinkcore run` as it runs under `python`, and its failures are told to its author."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Shell

SHOW = """\
import json, os, sys
print(json.dumps({"argv": sys.argv, "name": __name__, "file": __file__, "package": __package__,
                  "first": os.path.realpath(sys.path[0]), "spec": __spec__ is None,
                  "main": sys.modules["__main__"].__dict__ is globals()}))
"""


@pytest.mark.parametrize("arguments", [["job.py"], ["job.py", "--quiet", "-m", "x y"], ["deep/job.py", "1"]])
def test_a_program_sees_what_python_would_show_it(shell: Shell, arguments: list[str]) -> None:
    shell.write(SHOW, arguments[0])
    assert shell.flinkcore("run", *arguments).stdout == shell.python(*arguments).stdout != ""


@pytest.mark.parametrize("module", ["package.job", "package"])
def test_a_module_sees_what_python_would_show_it(shell: Shell, module: str) -> None:
    shell.write("", "package/__init__.py")
    shell.write(SHOW, "package/job.py")
    shell.write("from . import job\n" + SHOW, "package/__main__.py")
    arguments = ["-m", module, "--flag"]
    assert shell.flinkcore("run", *arguments).stdout == shell.python(*arguments).stdout != ""


@pytest.mark.parametrize("text, code, told", [
    ("import sys; sys.exit(7)", 7, ""),
    ("import sys; sys.exit()", 0, ""),
    ("import sys; sys.exit('no data')", 1, "no data\n"),
    ("raise KeyboardInterrupt", 130, ""),
])
def test_the_exit_code_is_the_program_s(shell: Shell, text: str, code: int, told: str) -> None:
    done = shell.flinkcore("run", "-q", shell.write(text))
    assert (done.returncode, done.stderr) == (code, told)


def test_a_program_that_raises_gives_its_own_traceback_and_no_frame_of_the_engine(shell: Shell) -> None:
    job = shell.write("def inner():\n    {}['word']\n\ninner()\n")
    done = shell.flinkcore("run", job)
    assert done.returncode == 1
    _, first_frame, *_ = done.stderr.splitlines()
    assert first_frame == f'  File "{shell.folder / job}", line 4, in <module>'
    assert done.stderr.endswith("KeyError: 'word'\n")
    assert "flinkcore/" not in done.stderr
    assert "flinkcore/cli/program.py" in shell.flinkcore("run", "--traceback", job).stderr


def test_a_syntax_error_is_shown_like_python_shows_it(shell: Shell) -> None:
    job = shell.write("total = = 1\n")
    assert shell.flinkcore("run", "-q", job).stderr.endswith(shell.python(job).stderr)


@pytest.mark.parametrize("arguments, message", [
    ([], "required"),
    (["nowhere.py"], "'nowhere.py' does not exist"),
    (["."], "'.' is a folder"),
    (["--loud", "job.py"], "--loud"),
])
def test_wrong_usage_exits_with_2_and_says_why(shell: Shell, arguments: list[str], message: str) -> None:
    done = shell.flinkcore("run", *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_missing_module_is_told_by_name(shell: Shell) -> None:
    done = shell.flinkcore("run", "-m", "no_such_module")
    assert done.returncode == 1
    assert "No module named 'no_such_module'" in done.stderr


def test_no_command_shows_the_help(shell: Shell) -> None:
    done = shell.flinkcore()
    assert done.returncode == 2
    assert "explain" in done.stdout


def test_info_names_the_build_and_every_dependency(shell: Shell) -> None:
    done = shell.flinkcore("info")
    assert done.returncode == 0, done.stderr
    facts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert {"flinkcore", "compiler", "build", "vector", "python"} <= set(facts)
    assert {"numpy", "pyarrow", "numba", "xxhash"} <= set(facts)


CATCHES = """\
from py4j.protocol import Py4JJavaError
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1]).map(lambda value: value // 0).print()
try:
    env.execute()
except Py4JJavaError as error:
    print("ZeroDivisionError" in str(error))
"""


def test_a_program_that_catches_the_failure_of_a_job_ends_well(shell: Shell) -> None:
    done = shell.flinkcore("run", shell.write(CATCHES))
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert "job 'Flink Streaming Job' failed" in done.stderr


def test_a_failure_that_the_program_did_not_wait_for_is_one_of_the_run(shell: Shell) -> None:
    left = CATCHES.replace("env.execute()", "env.execute_async()")
    done = shell.flinkcore("run", shell.write(left))
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
