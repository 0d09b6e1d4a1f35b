# SPDX-License-Identifier: Apache-2.0
"""Two checkpoints are compared by operator, state, and key."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pytest

from flinkcore.checkpoint import diff_states
from flinkcore.checkpoint.diff import _changes, diff_rows
from flinkcore.checkpoint.read import StateRows
from flinkcore.cli import main
from flinkcore.errors import ConfigurationError
from flinkcore.operators.pane_window import PaneWindow
from flinkcore.state.descriptors import ListStateDescriptor
from flinkcore.state.manager import StateManager
from flinkcore.state.operator import OperatorStates
from tests.checkpoint.stored_state import Saved
from tests.operators.columnar import AGGREGATES, KEY, SCHEMA, Runner

CALLS = (SCHEMA, KEY, AGGREGATES.calls, AGGREGATES.names)


@pytest.fixture
def two(tmp_path: Path) -> tuple[str, str]:
    """Before and after a window fires, another is updated, and a third begins."""
    runner = Runner(PaneWindow(*CALLS, 10))
    runner.send([(1, 10, 5), (2, 20, 15), (3, 30, 15)])
    before = Saved(tmp_path / "before", runner.context.state).snapshot().complete()
    runner.until(9)
    runner.send([(2, 5, 16), (1, 7, 25)])
    return before, Saved(tmp_path / "after", runner.context.state).snapshot().complete()


def test_rows_are_added_removed_and_changed(two: tuple[str, str]) -> None:
    assert diff_states(*two).to_pylist() == [
        {"operator": "Operator", "state": "panes", "added": 1, "removed": 1, "changed": 1},
        {"operator": "Operator", "state": "arrived", "added": 0, "removed": 0, "changed": 1},
        {"operator": "Operator", "state": "time_ms", "added": 0, "removed": 0, "changed": 1},
    ]
    rows = diff_rows(*two, "op", "panes").select(["change", "k", "total"]).to_pylist()
    assert sorted(tuple(row.values()) for row in rows) == [("added", 1, 7), ("changed", 2, 25), ("removed", 1, 10)]


def test_a_checkpoint_does_not_differ_from_itself(two: tuple[str, str]) -> None:
    assert diff_states(two[0], two[0]).num_rows == 0
    assert diff_rows(two[0], two[0], "op", "panes").num_rows == 0
    with pytest.raises(ConfigurationError, match="no state 'other'"):
        diff_states(*two, "op", "other")


def test_items_that_nothing_tells_apart_are_counted(tmp_path: Path) -> None:
    paths = []
    for name, items in (("a", [1, 1, 2]), ("b", [2, 1, 3, 3])):
        manager = StateManager()
        OperatorStates(manager).get_list_state(ListStateDescriptor("l", None)).add_all(items)
        paths.append(Saved(tmp_path / name, manager).snapshot().complete())
    (row,) = diff_states(*paths).to_pylist()
    assert row == {"operator": "Operator", "state": "operator/l", "added": 2, "removed": 1, "changed": 0}


def test_lists_and_maps_are_compared_by_what_is_in_them(tmp_path: Path) -> None:
    lists = [pa.array(each, pa.list_(pa.float64())) for each in ([[1, math.nan], [2]], [[1, math.nan], [2, None]])]
    sides = [StateRows(pa.table({"k": [1, 2], "value": each}), 1) for each in lists]
    assert _changes(*sides) == [("changed", 1)]
    assert _changes(sides[0], StateRows(pa.table({"k": ["1", "2"], "value": lists[0]}), 1)) == [
        ("removed", 0), ("removed", 1), ("added", 0), ("added", 1)]  # fmt: skip
    assert _changes(None, sides[0]) == [("added", 0), ("added", 1)]
    assert _changes(sides[0], None) == [("removed", 0), ("removed", 1)]
    other = StateRows(sides[0].table.append_column("touched_ms", pa.array([5, 6])), 1)
    assert _changes(sides[0], other) == [("changed", 0), ("changed", 1)]


def test_the_command_ends_as_diff_does(two: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint", "diff", *two]) == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "OPERATOR  STATE    ADDED  REMOVED  CHANGED",
        "Operator  panes    1      1        1",
    ]
    assert main(["checkpoint", "diff", *two, "op", "panes"]) == 1
    assert "removed  1  1970-01-01 00:00:00.000" in capsys.readouterr().out
    assert main(["checkpoint", "diff", two[0], two[0]]) == 0
    assert capsys.readouterr().out == ""
    assert main(["checkpoint", "diff", two[0], "/nowhere"]) == 2
