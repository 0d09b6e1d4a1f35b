# SPDX-License-Identifier: Apache-2.0
"""Two programs that users were taught run under `flinkcore run`, exactly as they were taught.

They never ran on any PyFlink release. As they stand they execute nothing; with .execute().print() at their end
they print their tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Shell

GOLDEN = Path(__file__).parents[1] / "golden"

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


@pytest.mark.parametrize("name", ["mission_counter.py", "mission_hot_words.py"])
def test_the_program_as_given_succeeds_and_is_told_what_it_lacks(shell: Shell, name: str) -> None:
    done = shell.flinkcore("run", str(GOLDEN / name))
    assert (done.returncode, done.stdout) == (0, "")
    (hint,) = [line for line in done.stderr.splitlines() if line.startswith("hint: ")]
    assert ".execute().print()" in hint


@pytest.mark.parametrize("name, table", [("mission_counter.py", COUNTER), ("mission_hot_words.py", HOT_WORDS)])
def test_the_program_prints_its_table_when_it_is_executed(shell: Shell, name: str, table: str) -> None:
    program = (GOLDEN / name).read_text().rstrip()
    done = shell.flinkcore("run", shell.write(program + ".execute().print()\n"))
    assert (done.returncode, done.stdout) == (0, table), done.stderr
