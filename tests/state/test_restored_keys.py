# SPDX-License-Identifier: Apache-2.0
"""Which keys a restored state holds: those of rows that are left, and of state that nobody has claimed yet."""

from __future__ import annotations

import numpy as np
import pytest

from flinkcore._native.column import Column
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.typeinfo import BasicTypeInfo
from flinkcore.errors import StateMigrationError, UnsupportedOperationError
from flinkcore.state.batch_state import batch_state
from flinkcore.state.descriptors import ValueStateDescriptor
from flinkcore.state.keyed import KeyedState
from flinkcore.state.manager import StateManager
from flinkcore.time.clock import ManualClock
from tests.state.stored_states import restored, snapshot

TOTAL = ValueStateDescriptor("total", BasicTypeInfo.LONG_TYPE_INFO())


def opened(manager: StateManager) -> KeyedState:
    return KeyedState(manager, ManualClock())


def update(state: KeyedState, values: dict[int, int | None]) -> None:
    """Sets the totals of some keys; None clears one."""
    columns = (Column.from_numpy(np.array(list(values), np.int64)),)
    total = state.get_state(TOTAL)
    for group_id, value in zip(state.intern(columns, hash_keys(columns)), values.values()):
        state.current = group_id
        total.update(value)
    state.release_unused()


def totals(state: KeyedState) -> dict[int, int]:
    found: dict[int, int] = {}
    state.for_each(TOTAL, lambda key, total: found.update({key: total.value()}))
    return found


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_key_that_went_before_the_snapshot_is_gone(parallelism: int) -> None:
    """Although an earlier one of the same chain tells of its row."""
    state = opened(StateManager("op", range(16), 16))
    update(state, {7: 70, 8: 80, 9: 90})
    first = snapshot(state.manager)
    update(state, {8: None, 9: 91})
    second = snapshot(state.manager, first)
    found: dict[int, int] = {}
    for manager in restored([second], parallelism):
        again = opened(manager)
        update(again, {})
        found.update(totals(again))
        assert again.keys is not None and len(again.keys) == len(again.tables["total"])
    assert found == {7: 70, 9: 91}


def test_state_of_no_key_is_refused() -> None:
    state = opened(StateManager("op"))
    update(state, {1: 1})
    with pytest.raises(UnsupportedOperationError, match="there is no current key"):
        state.get_state(TOTAL).update(5)
    with pytest.raises(UnsupportedOperationError, match="there is no current key"):
        state.current_key()


def test_what_changes_after_a_late_claim_is_in_the_next_increment() -> None:
    """Snapshots may be made before a function first asks for its restored state, of what nobody has claimed."""
    state = opened(StateManager("op", range(16), 16))
    update(state, {7: 70, 8: 80})
    (manager,) = restored([snapshot(state.manager)], 1)
    base = snapshot(manager)
    snapshot(manager, base)
    last = snapshot(manager, base)
    again = opened(manager)
    update(again, {7: 71, 9: 90})
    manager.forget(last.epoch)
    (final,) = restored([snapshot(manager, last)], 1)
    found = opened(final)
    update(found, {})
    assert totals(found) == {7: 71, 8: 80, 9: 90}


def test_state_that_batches_use_is_not_state_of_single_records() -> None:
    """The same name in the other way would find nothing, and nobody would notice."""
    columns = (Column.from_numpy(np.array([7, 8], np.int64)),)
    for was_single in (True, False):
        state = opened(StateManager("op", range(16), 16))
        if was_single:
            update(state, {7: 70})
        else:
            ids = state.intern_array(columns, hash_keys(columns))
            batch_state(state, TOTAL).put_many(ids, [1, 2])
        (manager,) = restored([snapshot(state.manager)], 1)
        again = opened(manager)
        with pytest.raises(StateMigrationError, match="'total' of checkpoint 1 is one that functions of"):
            batch_state(again, TOTAL) if was_single else again.get_state(TOTAL)
