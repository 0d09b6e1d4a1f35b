# SPDX-License-Identifier: Apache-2.0
"""StateManager: parts that come and go through snapshots, and managers that go on from them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore._native.window import SessionIndex
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.typeinfo import BasicTypeInfo
from flinkcore.state import manager as manager_module
from flinkcore.state.keys import KeyIndex
from flinkcore.state.manager import StateManager
from flinkcore.state.parts import KEYS
from tests.state.snapshots import Stored, rows_of, table

LONG = BasicTypeInfo.LONG_TYPE_INFO()


def window(manager: StateManager, start: int):
    return manager.part("window", lambda: table(value=LONG), start, parent=None)


def restored(stored: Stored) -> StateManager:
    manager = StateManager("op")
    manager.restore(stored.restored())
    return manager


def snapshot(manager: StateManager, stored: Stored) -> None:
    stored.add(manager.freeze(stored.epoch))


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "of an earlier version"])
def test_a_new_part_has_nothing_of_one_that_was_over_before_the_restored_checkpoint(counted):
    stored = Stored()
    manager = StateManager("op")
    window(manager, 0).put(None, 1, 10)
    window(manager, 10).put(None, 2, 20)
    snapshot(manager, stored)
    manager.drop("window", 10)
    snapshot(manager, stored)  # it builds on the one before, where the rows of the window at 10 are
    if not counted:
        stored.fields = {}

    manager = restored(stored)
    window(manager, 20).put(None, 3, 30)
    snapshot(manager, stored)

    manager = restored(stored)
    assert manager.namespaces("window") == [0, 20]
    assert rows_of(window(manager, 0)) == {(None, 1): 10}
    assert rows_of(window(manager, 20)) == {(None, 3): 30}


def test_numbers_begin_anew_before_they_run_out(monkeypatch):
    monkeypatch.setattr(manager_module, "NUMBERS_MAX", 4)
    stored, manager = Stored(), StateManager("op")
    for start in range(0, 200, 10):
        window(manager, start).put(None, 1, start)
        if start >= 20:
            manager.drop("window", start - 20)
        snapshot(manager, stored)
        assert all(entry.number <= 4 for entry in stored.entries)
        again = restored(stored)
        assert {other: rows_of(window(again, other)) for other in again.namespaces("window")} == {
            other: {(None, 1): other} for other in (start - 10, start) if other >= 0
        }


def test_rows_that_nobody_asked_for_void_the_segments_before_them_when_they_are_written_again():
    stored, manager = Stored(), StateManager("op")
    for row in range(3):
        window(manager, 0).put(None, row, row)
    snapshot(manager, stored)
    first = stored.epoch
    stored.add(manager.freeze(first))  # nothing has changed: the chain has no segment of this epoch
    manager = restored(stored)
    window(manager, 0).remove(None, 1)
    stored.add(manager.freeze(first))  # so all rows are written again, and what was before is void
    stored.add(restored(stored).freeze(first))
    assert rows_of(window(restored(stored), 0)) == {(None, 0): 0, (None, 2): 2}


def test_sessions_whose_keys_came_late_are_in_the_first_increment_that_has_keys():
    stored, manager = Stored(), StateManager("op")
    sessions = manager.part("sessions", SessionIndex)
    for epoch in range(3):
        window(manager, 0).put(None, epoch, epoch)
        snapshot(manager, stored)
    columns = [Column.from_arrow(pa.array([1, 2, 3]))]
    groups = manager.part(KEYS, lambda: KeyIndex.of_keys(columns)).intern(columns, hash_keys(columns))
    sessions.assign(groups, np.array([10, 20, 30]), 5, -1000, 0)
    snapshot(manager, stored)
    assert len(restored(stored).find("sessions").slots()) == 3
