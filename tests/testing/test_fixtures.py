# SPDX-License-Identifier: Apache-2.0
"""The fixtures, in a project of a user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import flinkcore

TEST = '''
from flinkcore.columnar.schema import Schema
from flinkcore.common import Types
from flinkcore.operators.process import MapRows


def test_a_job(simulation, simulation_seed):
    def build(env):
        return env.from_collection([1, 2, 3], Types.LONG()).map(lambda n: n * 2)

    assert simulation_seed != 3
    assert sorted(simulation(build, crashes=1)) == [2, 4, 6]


def test_an_operator(new_harness, manual_clock):
    schema = Schema.of_objects()
    op = new_harness(MapRows(schema, lambda n: n + 1, schema), schema=schema)
    assert op.batch([1, 2]).output() == [2, 3]
    assert manual_clock.now_ms() == 0
'''


@pytest.fixture
def run(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["flinkcore.testing.fixtures"]\n')
    (tmp_path / "test_job.py").write_text(TEST)

    def pytest_with(*options):
        search = os.pathsep.join([str(Path(flinkcore.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": search}
        ).stdout

    return pytest_with


def test_a_job_is_tested_with_many_seeds(run):
    found = run("--simulation-seeds", "5")
    assert "FAILED test_job.py::test_a_job[3]" in found and "1 failed, 5 passed" in found


def test_a_seed_is_given_on_the_command_line(run):
    assert "2 passed" in run("--simulation-seed", "7")
    assert "FAILED test_job.py::test_a_job[3]" in run("--simulation-seed", "3")
