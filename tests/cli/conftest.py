# SPDX-License-Identifier: Apache-2.0
"""The command, in an interpreter of its own, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import flinkcore

ROOT = Path(flinkcore.__file__).parents[1]


@dataclass
class Shell:
    """A folder to write programs into, and the flinkcore command to run them with."""

    folder: Path
    runtime: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "XDG_RUNTIME_DIR": self.runtime}

    def write(self, text: str, name: str = "job.py") -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    def flinkcore(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "flinkcore", *arguments)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=self.folder,
                              env=self.environment)

    def start(self, *arguments: str, **streams: int) -> subprocess.Popen[bytes]:
        """Starts the command and returns at once."""
        return subprocess.Popen([sys.executable, "-m", "flinkcore", *arguments], cwd=self.folder,
                                env=self.environment, **streams)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with tempfile.TemporaryDirectory(prefix="fc-") as runtime:      # its name is short enough for sockets
        yield Shell(tmp_path, runtime)
