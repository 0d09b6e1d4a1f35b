# SPDX-License-Identifier: Apache-2.0
"""The typical program runs; that its type hints fit the API, mypy says (see pyproject.toml)."""

from __future__ import annotations

from tests.datastream import typical_program


def test_it_runs(capsys):
    typical_program.main()
    lines = capsys.readouterr().out.splitlines()
    assert {"1", "2", "3"} <= set(lines)
    assert sum(line.startswith("r> ") for line in lines) == 4  # one result for each of four words
    assert any("+I[2,1]" in line for line in lines)
