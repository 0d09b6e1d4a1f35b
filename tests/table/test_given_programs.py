# SPDX-License-Identifier: Apache-2.0
"""Two programs that users were taught, as they were taught; they never ran on any PyFlink release."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import flinkcore.as_pyflink  # noqa: F401  makes `pyflink` this library

PROGRAMS = Path(__file__).parent / "programs"

COUNTER = """\
+----+----------------------+----------------------+----------------------+----------------------+
| op |                   f0 |                  cnt |         window_start |           window_end |
+----+----------------------+----------------------+----------------------+----------------------+
| +I |                    1 |                    1 |                    1 |                    2 |
| +I |                    2 |                    1 |                    2 |                    3 |
| +I |                    3 |                    1 |                    3 |                    4 |
| +I |                    4 |                    1 |                    4 |                    5 |
| +I |                    5 |                    1 |                    5 |                    6 |
+----+----------------------+----------------------+----------------------+----------------------+
5 rows in set
"""

HOT_WORDS = """\
+----+--------------------------------+----------------------+
| op |                             f0 |                  cnt |
+----+--------------------------------+----------------------+
| +I |                          hello |                    1 |
| +I |                          world |                    2 |
| -U |                          hello |                    1 |
| +U |                          hello |                    4 |
+----+--------------------------------+----------------------+
4 rows in set
"""


def run(name: str, more: str = "") -> None:
    source = (PROGRAMS / name).read_text().rstrip() + more
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # use_blink_planner, checkpoints
        exec(compile(source, name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("name", ["counter.py", "hot_words.py"])
def test_the_program_runs_as_written_and_prints_nothing(name, capsys):
    run(name)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "box"), [("counter.py", COUNTER), ("hot_words.py", HOT_WORDS)])
def test_the_program_prints_its_table_when_it_is_executed(name, box, capsys):
    run(name, ".execute().print()\n")
    assert capsys.readouterr().out == box
