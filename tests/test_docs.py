# SPDX-License-Identifier: Apache-2.0
"""The programs in docs/ print what stands below them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flinkcore

DOCS = Path(__file__).parents[1] / "docs"
PROGRAMS = [pytest.param(program, output, id=f"{path.stem}-{i}")
            for path in sorted(DOCS.glob("*.md"))
            for i, (program, output) in enumerate(re.findall(r"```python\n([^`]*)```\n\n```\n([^`]*)```",
                                                             path.read_text()))]


@pytest.mark.parametrize("program, output", PROGRAMS)
def test_a_program_prints_what_its_page_says(tmp_path: Path, program: str, output: str) -> None:
    (tmp_path / "program.py").write_text(program)
    search = os.pathsep.join([str(Path(flinkcore.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": search})
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(output.splitlines())


def test_there_are_programs_to_run() -> None:
    assert len(PROGRAMS) >= 4
