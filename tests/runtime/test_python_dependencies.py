# SPDX-License-Identifier: Apache-2.0
"""What functions need beside the program is there while a job runs, and gone afterwards."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.errors import ConfigurationError, JobExecutionError
from tests.datastream.jobs import collected, environment


def plus(text: str) -> str:
    return f"def plus(value):\n    return value + {text}\n"


def added(env: StreamExecutionEnvironment, module: str = "flinkcore_added") -> list[int]:
    def add(value: int) -> int:
        return __import__(module).plus(value)

    return collected(env.from_collection([1, 2]).map(add))


def test_a_module_is_importable_while_the_job_runs_and_its_neighbours_are_not(tmp_path: Path) -> None:
    (tmp_path / "flinkcore_added.py").write_text(plus("10"))
    (tmp_path / "flinkcore_neighbour.py").write_text(plus("20"))
    env = environment()
    env.add_python_file(str(tmp_path / "flinkcore_added.py"))
    path_before = list(sys.path)
    assert added(env) == [11, 12]
    assert sys.path == path_before and "flinkcore_added" not in sys.modules
    with pytest.raises(JobExecutionError, match="No module named 'flinkcore_neighbour'"):
        added(env, "flinkcore_neighbour")


def test_the_next_job_may_bring_another_module_of_the_same_name(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "flinkcore_added.py").write_text(plus(str(number)))
        env = environment()
        env.add_python_file(str(tmp_path / str(number)))
        assert added(env) == [1 + number, 2 + number]


def test_a_failed_job_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "flinkcore_added.py").write_text("raise ValueError('at import')")
    env = environment()
    env.add_python_file(str(tmp_path / "flinkcore_added.py"))
    path_before = list(sys.path)
    with pytest.raises(JobExecutionError, match="at import"):
        added(env)
    assert sys.path == path_before


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_package_in_an_archive_is_importable(tmp_path: Path, kind: str) -> None:
    module = tmp_path / "flinkcore_packed.py"
    module.write_text(plus("3"))
    packed = tmp_path / f"package.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(module, module.name)
    else:
        with tarfile.open(packed, "w:gz") as tar:
            tar.add(module, module.name)
    env = environment()
    env.add_python_file(str(packed))
    assert added(env, "flinkcore_packed") == [4, 5]


def wheel(folder: Path, name: str, text: str) -> None:
    """A wheel of one module."""
    folder.mkdir()
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, content in (*files.items(), (f"{info}/RECORD", record)):
            archive.writestr(path, content)


def test_requirements_are_installed_for_the_job_from_a_folder(tmp_path: Path) -> None:
    wheel(tmp_path / "packages", "flinkcore_required", plus("5"))
    (tmp_path / "requirements.txt").write_text("flinkcore_required==1.0\n")
    env = environment()
    env.set_python_requirements(str(tmp_path / "requirements.txt"), str(tmp_path / "packages"))
    assert added(env, "flinkcore_required") == [6, 7]
    with pytest.raises(ImportError):
        __import__("flinkcore_required")


def test_requirements_that_cannot_be_installed_are_said_with_what_pip_says(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    (tmp_path / "requirements.txt").write_text("flinkcore_nowhere==1.0\n")
    env = environment()
    env.set_python_requirements(str(tmp_path / "requirements.txt"), str(tmp_path / "packages"))
    with pytest.raises(ConfigurationError, match=r"(?s)could not install .* from the folder .*flinkcore_nowhere"):
        added(env)


def archive(tmp_path: Path, text: str) -> str:
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "data.txt").write_text(text)
    return shutil.make_archive(str(folder), "zip", folder)


def read(value: int) -> int:
    return value + int(Path("data/data.txt").read_text())


def test_an_archive_lies_in_the_working_directory_while_the_job_runs(tmp_path: Path) -> None:
    env = environment()
    env.add_python_archive(archive(tmp_path, "7"), "data")
    before = os.getcwd()
    assert collected(env.from_collection([1, 2]).map(read)) == [8, 9]
    assert os.getcwd() == before


def test_two_jobs_with_archives_cannot_run_at_once(tmp_path: Path) -> None:
    first, second = environment(), environment()
    packed = archive(tmp_path, "7")
    for env in (first, second):
        env.add_python_archive(packed, "data")

    def start_another(value: int) -> str:
        with pytest.raises(ConfigurationError, match="one working directory"):
            collected(second.from_collection([1]).map(read))
        return "refused"

    assert collected(first.from_collection([1]).map(start_another)) == ["refused"]
    assert collected(second.from_collection([1]).map(read)) == [8]


def test_functions_run_in_this_interpreter_and_another_is_refused() -> None:
    env = environment()
    env.set_python_executable(sys.executable)
    assert collected(env.from_collection([1]).map(lambda value: os.environ["python"])) == [sys.executable]  # noqa: SIM112
    assert "python" not in os.environ
    env.set_python_executable("/bin/sh")
    with pytest.raises(ConfigurationError, match=r"python\.executable is '/bin/sh', and this job runs in"):
        collected(env.from_collection([1]))


def test_a_file_that_does_not_exist_is_said_before_the_job_starts(tmp_path: Path) -> None:
    env = environment()
    env.add_python_file(str(tmp_path / "nothing.py"))
    with pytest.raises(ConfigurationError, match=r"python.files names '.*nothing.py', which does not exist"):
        added(env)
    with pytest.raises(ConfigurationError, match="paths without commas"):
        env.add_python_file("a,b")
