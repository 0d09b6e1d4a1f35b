# SPDX-License-Identifier: Apache-2.0
"""Runs an example as its docstring says, in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import flinkcore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def example() -> Callable[..., list[str]]:
    """Runs an example with arguments; gives the lines that it prints. It must succeed and warn of nothing."""

    def run(name: str, *arguments: str) -> list[str]:
        search = [str(Path(flinkcore.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            [sys.executable, "-m", "flinkcore", "run", "--quiet", str(ROOT / "examples" / name), *arguments],
            capture_output=True, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, search))})
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run
