# SPDX-License-Identifier: Apache-2.0
"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import flinkcore

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    program, output = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL).groups()  # type: ignore[union-attr]
    assert len(program.splitlines()) == 20
    (tmp_path / "bids.py").write_text(program)
    search = os.pathsep.join([str(Path(flinkcore.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "bids.py"], capture_output=True, text=True, cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": search})
    assert done.returncode == 0, done.stderr
    assert done.stdout == output


def test_every_folder_of_the_map_exists_and_none_is_missing() -> None:
    (drawn,) = re.findall(r"## What is where\n\n```\n(.*?)```", README, re.DOTALL)
    package = Path(flinkcore.__file__).parent
    named = set(re.findall(r"(\w+)/", drawn)) | {"as_pyflink"}
    assert {path.name for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"} <= named
    for path in re.findall(r"^(\S+)  ", drawn, re.MULTILINE):
        assert (package.parent / path).exists(), path
