# SPDX-License-Identifier: Apache-2.0
"""What importing flinkcore brings along, and pyflink as its second name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import flinkcore

HEAVY = ("numpy", "pyarrow", "numba", "xxhash", "pandas", "polars")


def python(code: str, beside: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own, where nothing is imported yet; `beside` is searched first."""
    search = [str(beside)] if beside else []
    search += [str(Path(flinkcore.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, search))}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def heavy_after(code: str) -> list[str]:
    done = python(code + f"\nimport sys; print('heavy', *[name for name in {HEAVY} if name in sys.modules])")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("module", ["flinkcore", "flinkcore.errors", "flinkcore.config", "flinkcore.cli",
                                    "flinkcore.as_pyflink", "flinkcore.metrics"])
def test_the_light_modules_import_nothing_heavy(module: str) -> None:
    assert heavy_after(f"import {module}") == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["info"], ["list"],
                                       ["savepoint", "no-such-job"], ["cancel", "no-such-job"]])
def test_the_command_line_imports_nothing_heavy_before_it_runs_a_program(arguments: list[str]) -> None:
    code = f"from flinkcore.cli import main\ntry: main({arguments})\nexcept SystemExit: pass"
    assert heavy_after(code) == []


@pytest.mark.parametrize("module", ["flinkcore.datastream", "flinkcore.table", "flinkcore.common", "flinkcore.kernels"])
def test_the_api_imports_no_compiler_and_no_data_frames(module: str) -> None:
    assert set(heavy_after(f"import {module}")) <= {"numpy", "pyarrow"}


WORD_COUNT = """
from pyflink.common import Types
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
env.from_collection(["to be", "or not", "to be"], Types.STRING()) \\
    .flat_map(lambda line: line.split(), Types.STRING()) \\
    .map(lambda word: (word, 1), Types.TUPLE([Types.STRING(), Types.INT()])) \\
    .key_by(lambda pair: pair[0]) \\
    .reduce(lambda left, right: (left[0], left[1] + right[1])) \\
    .print()
env.execute()
"""


def test_a_job_over_strings_and_numbers_imports_no_compiler_and_no_data_frames(tmp_path: Path) -> None:
    # Where pandas is installed, pyarrow imports it in pa.array, pa.scalar and to_numpy: a third of the whole time.
    (tmp_path / "job.py").write_text(WORD_COUNT)
    code = f"from flinkcore.cli import main\nassert main(['run', '--quiet', {str(tmp_path / 'job.py')!r}]) == 0"
    done = python(code + "\nimport sys; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    *results, modules = done.stdout.splitlines()
    assert sorted(results)[-2:] == ["(to,1)", "(to,2)"]
    imported = set(modules.split())
    assert {"numpy", "pyarrow"} <= imported
    assert not imported & {"pandas", "polars", "numba", "pyarrow.fs", "pyarrow.dataset", "pyarrow.parquet", "ssl"}


def test_pyflink_is_flinkcore_under_a_second_name() -> None:
    done = python(
        "import flinkcore.as_pyflink\n"
        "import pyflink, pyflink.datastream, flinkcore.datastream, flinkcore\n"
        "from pyflink.datastream.window import TumblingEventTimeWindows as theirs\n"
        "from flinkcore.datastream.window import TumblingEventTimeWindows as ours\n"
        "assert pyflink is flinkcore\n"
        "assert pyflink.datastream is flinkcore.datastream\n"
        "assert pyflink.datastream.DataStream is flinkcore.datastream.DataStream\n"
        "assert theirs is ours\n"
        "assert flinkcore.datastream.__spec__.name == 'flinkcore.datastream'\n"
    )
    assert done.returncode == 0, done.stderr


def test_pyflink_version_is_the_release_whose_api_it_is() -> None:
    done = python("import flinkcore.as_pyflink, pyflink.version, pyflink\n"
                  "print(pyflink.version.__version__, pyflink.__version__)")
    assert done.returncode == 0, done.stderr
    release, own = done.stdout.split()
    assert release.split(".")[0] == "2"
    assert own == flinkcore.__version__


def test_a_module_that_flinkcore_lacks_is_said_to_be_lacking() -> None:
    done = python("import flinkcore.as_pyflink\n"
                  "for name in ['pyflink.nowhere', 'pyflink.errors.deeper', 'pyflink.nowhere.at.all']:\n"
                  "    try: __import__(name)\n"
                  "    except ModuleNotFoundError as error: print(error)")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("flinkcore does not have flinkcore.nowhere")
    assert "'pyflink.errors' is not a package" in lines[1]
    assert "pyflink.nowhere" in lines[2]


def an_installed_pyflink(folder: Path) -> Path:
    (folder / "pyflink").mkdir()
    (folder / "pyflink" / "__init__.py").write_text("REAL = True\n")
    (folder / "pyflink" / "only_there.py").write_text("")
    return folder


def test_an_installed_pyflink_is_found_without_the_hook_and_hidden_by_it(tmp_path: Path) -> None:
    there = an_installed_pyflink(tmp_path)
    assert python("import flinkcore, pyflink; assert pyflink.REAL", beside=there).returncode == 0
    done = python("import flinkcore.as_pyflink, pyflink; assert not hasattr(pyflink, 'REAL')", beside=there)
    assert done.returncode == 0, done.stderr


def test_the_hook_refuses_to_replace_a_pyflink_that_is_imported_already(tmp_path: Path) -> None:
    done = python("import pyflink, flinkcore.as_pyflink", beside=an_installed_pyflink(tmp_path))
    assert done.returncode == 1
    assert "before the first import of pyflink" in done.stderr
