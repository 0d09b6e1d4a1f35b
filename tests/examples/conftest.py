# SPDX-License-Identifier: Apache-2.0
"""Runs an example as its docstring says, in an interpreter of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import flinkcore

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example() -> Callable[..., list[str]]:
    """Runs an example with arguments; gives the lines that it prints. It must succeed."""

    def run(name: str, *arguments: str) -> list[str]:
        search = [str(Path(flinkcore.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            [sys.executable, "-m", "flinkcore", "run", "--quiet", str(EXAMPLES / name), *arguments],
            capture_output=True, text=True, cwd=EXAMPLES.parent,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, search))})
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.fixture
def source_of() -> Callable[[str], ModuleType]:
    """The module of an example, for the data that it makes."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
