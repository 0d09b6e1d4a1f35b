# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

COUNTS = """\
+----+-------------+----------------------+
| op |          f0 |                  cnt |
+----+-------------+----------------------+
| +I |           1 |                    1 |
| +I |           2 |                    1 |
| -U |           1 |                    1 |
| +U |           1 |                    2 |
| +I |           3 |                    1 |
| -U |           1 |                    2 |
| +U |           1 |                    3 |
| -U |           2 |                    1 |
| +U |           2 |                    2 |
| -U |           2 |                    2 |
| +U |           2 |                    3 |
| +I |           5 |                    1 |
+----+-------------+----------------------+
12 rows in set
"""


def test_it_counts_per_value_as_a_changelog_and_per_window_once(example) -> None:
    lines = example("counter.py")
    assert lines[:len(COUNTS.splitlines())] == COUNTS.splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines[len(COUNTS.splitlines()):]]
    windows = [(start.strip()[-9:], end.strip()[-9:], int(value), int(count))
               for op, start, end, value, count in (row for row in rows if row[0] == "+I")]
    assert sorted(windows) == [
        ("00:00.000", "00:02.000", 1, 2), ("00:00.000", "00:02.000", 2, 1), ("00:00.000", "00:02.000", 3, 1),
        ("00:02.000", "00:04.000", 1, 1), ("00:02.000", "00:04.000", 2, 2), ("00:04.000", "00:06.000", 5, 1)]
