# SPDX-License-Identifier: Apache-2.0
"""StateManager: parts that come and go through snapshots, and managers that go on from them."""

from __future__ import annotations

import pytest

from flinkcore.columnar.typeinfo import BasicTypeInfo
from flinkcore.state import manager as manager_module
from flinkcore.state.manager import StateManager
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
