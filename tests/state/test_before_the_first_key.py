# SPDX-License-Identifier: Apache-2.0
"""State of an operator that no record has reached yet: it has no keys, and the types of its keys are not known."""

from __future__ import annotations

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import I64
from flinkcore._native.window import SessionIndex
from flinkcore.state.manager import StateManager
from flinkcore.state.parts import KEYS


def accumulators() -> Accumulators:
    return Accumulators([("sum0", I64, 0)])


def test_what_goes_by_keys_is_left_out_of_a_snapshot_before_the_first_key() -> None:
    manager = StateManager()
    manager.part("sessions", SessionIndex)
    manager.part("values", accumulators, parent="sessions")
    manager.part("total", accumulators, parent=None)
    frozen = manager.freeze(0)
    assert [entry.name for entry in frozen.entries] == ["total"]
    manager.part(KEYS, accumulators, parent=None)
    later = manager.freeze(frozen.epoch)
    assert {entry.name for entry in later.entries} == {"sessions", "values", "total", KEYS}
    frozen.release()
    later.release()
