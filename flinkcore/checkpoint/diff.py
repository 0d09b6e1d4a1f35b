# SPDX-License-Identifier: Apache-2.0
"""Diff: what is different in two checkpoints, by operator, state and key."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from flinkcore.checkpoint.layout import Checkpoint, open_checkpoint
from flinkcore.checkpoint.manifest import OperatorState
from flinkcore.checkpoint.read import StateRows, operator_of, rows_of, state_names
from flinkcore.columnar.objects import encode_key
from flinkcore.errors import ConfigurationError

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


def diff_states(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    uid: str | None = None,
    name: str | None = None,
) -> pa.Table:
    """The states that are not the same in two checkpoints or savepoints: operator, state, added, removed, changed.

    uid, name : only of this operator, as read_state takes it, and only this state
    Operators are matched by their ids, states by their names, rows by key and window; rows that nothing tells apart,
    such as items of operator state, are added or removed. All rows of a state are held in memory.
    Errors are those of read_state.
    """
    counts = [
        (operator.name, state, *(changes.count(change) for change in (ADDED, REMOVED, CHANGED)))
        for operator, state, old, new in _pairs(open_checkpoint(before), open_checkpoint(after), uid, name)
        if (changes := [change for change, _ in _changes(old, new)])
    ]
    names = ["operator", "state", ADDED, REMOVED, CHANGED]
    types = [pa.string(), pa.string(), pa.int64(), pa.int64(), pa.int64()]
    columns = list(zip(*counts)) or [()] * len(names)
    return pa.table([pa.array(column, type) for column, type in zip(columns, types)], names)


def diff_rows(before: str | os.PathLike[str], after: str | os.PathLike[str], uid: str, name: str) -> pa.Table:
    """The rows of one state that are not the same: `change`, and the columns of read_state; those of `after`, or, where
    the row was removed, of `before`. Errors are those of read_state."""
    ((_, _, old, new),) = _pairs(open_checkpoint(before), open_checkpoint(after), uid, name)
    changes = _changes(old, new)
    gone = [row for change, row in changes if change == REMOVED]
    there = [(change, row) for change, row in changes if change != REMOVED]
    parts = []
    if new is not None and (there or old is None):
        kinds = pa.array([change for change, _ in there], pa.string())
        parts.append(new.table.take([row for _, row in there]).add_column(0, "change", kinds))
    if old is not None and (gone or not parts):
        kinds = pa.array([REMOVED] * len(gone), pa.string())
        parts.append(old.table.take(pa.array(gone, pa.int64())).add_column(0, "change", kinds))
    return pa.concat_tables(parts, promote_options="permissive")


def _pairs(
    before: Checkpoint, after: Checkpoint, uid: str | None, name: str | None
) -> Iterator[tuple[OperatorState, str, StateRows | None, StateRows | None]]:
    """(operator, state, its rows before, and after; None where it is not there)."""
    sides = (before, after)
    if uid is None:
        ids = dict.fromkeys(operator.operator_id for side in sides for operator in side.complete().operators)
    else:
        ids = {_operator_id(before, after, uid): None}
    for operator_id in ids:
        found = [
            next((op for op in side.complete().operators if op.operator_id == operator_id), None) for side in sides
        ]
        operator = found[1] or found[0]
        assert operator is not None
        names = dict.fromkeys(state for each in found if each is not None for state in state_names(each))
        wanted = names if name is None else [_state(operator, name, list(names))]
        for state in wanted:
            old, new = (
                rows_of(side, operator_id, state) if each is not None and state in state_names(each) else None
                for side, each in zip(sides, found)
            )
            yield operator, state, old, new


def _operator_id(before: Checkpoint, after: Checkpoint, uid: str) -> str:
    try:
        return operator_of(after, uid).operator_id
    except ConfigurationError:
        return operator_of(before, uid).operator_id


def _state(operator: OperatorState, name: str, known: list[str]) -> str:
    matches = [state for state in known if state == name] or [s for s in known if s.partition("/")[2] == name]
    if len(matches) != 1:
        states = ", ".join(f"'{state}'" for state in known)
        raise ConfigurationError(f"operator '{operator.name}' has no state '{name}'; it has {states}")
    return matches[0]


def _changes(before: StateRows | None, after: StateRows | None) -> list[tuple[str, int]]:
    """(what became of it, its row in the table of `after`, of a removed one in that of `before`)."""
    old, new = _rows(before), _rows(after)
    changes = [(REMOVED, row) for place, (row, _) in old.items() if place not in new]
    for place, (row, values) in new.items():
        if place not in old:
            changes.append((ADDED, row))
        elif old[place][1] != values:
            changes.append((CHANGED, row))
    return changes


def _rows(state: StateRows | None) -> dict[tuple[bytes, int], tuple[int, bytes]]:
    """What tells a row from others, and the how manieth such it is -> (its place in the table, its values)."""
    if state is None:
        return {}
    columns = [_comparable(column).to_pylist() for column in state.table.columns]
    seen: Counter[bytes] = Counter()
    found = {}
    for row in range(state.table.num_rows):
        values = tuple(column[row] for column in columns)
        place = encode_key(values[: state.places] if state.places else values)
        found[place, seen[place]] = (row, encode_key(values[state.places :]))
        seen[place] += 1
    return found


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Points in time as integers: Python's end with the year 9999, and not all of them do."""
    if pa.types.is_temporal(column.type) and column.type.bit_width in (32, 64):
        return column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())
    return column
