# SPDX-License-Identifier: Apache-2.0
"""The programs give the right answers on every engine that this Python has. Speeds are for python -m bench programs."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest

from bench.peers.engines import ENGINES
from bench.programs.command import problem_of, run_child
from bench.programs.inputs import PROGRAMS

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flinkcore" / "apache-flink"


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The folder of the examples, from the wheel that the tests use too."""
    wheels = sorted(Path(os.environ.get("FLINKCORE_APACHE_FLINK") or CACHE).glob("apache_flink-2.3.0-*.whl"))
    if not wheels:
        pytest.skip("no wheel of apache-flink 2.3.0, which has the examples")
    folder = tmp_path_factory.mktemp("apache-flink")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder, [name for name in wheel.namelist() if name.startswith("pyflink/examples/datastream/")])
    return folder / "pyflink" / "examples" / "datastream"


@pytest.mark.parametrize("name", list(PROGRAMS))
@pytest.mark.parametrize("engine", ["flinkcore", "bytewax"])
def bench_program_answers(engine, name, examples, tmp_path, monkeypatch):
    if not ENGINES[engine].is_installed:
        pytest.skip(f"{engine} is not installed")
    monkeypatch.setenv("FLINKCORE_BENCH_DATA", str(tmp_path))
    assert run_child(Path(sys.executable), engine, name, examples, 2_000)["problem"] is None


def bench_a_wrong_output_is_seen(examples, tmp_path, monkeypatch):
    monkeypatch.setenv("FLINKCORE_BENCH_DATA", str(tmp_path))
    program = PROGRAMS["word_count"]
    source, output = program.input(examples, 35), tmp_path / "output"
    output.write_text("\n".join(program.expected(source)))
    assert problem_of(program, source, output) is None
    output.write_text(output.read_text().replace("(To,4)", "(To,5)"))
    assert str(problem_of(program, source, output)).startswith("WRONG RESULT: 183 lines, expected 183")
