# SPDX-License-Identifier: Apache-2.0
"""Diff: what is different in two checkpoints, by operator, state and key."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.checkpoint.inspect import find_one
from flinkcore.checkpoint.layout import Checkpoint
from flinkcore.checkpoint.manifest import OperatorState
from flinkcore.checkpoint.read import StateRows, operator_of, rows_of, state_names
from flinkcore.columnar.objects import encode_column, encode_keys
from flinkcore.errors import ConfigurationError
from flinkcore.state.stored import row_codes

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
        for operator, state, old, new in _pairs(find_one(before), find_one(after), uid, name)
        if (changes := [change for change, _ in _changes(old, new)])
    ]
    names = ["operator", "state", ADDED, REMOVED, CHANGED]
    types = [pa.string(), pa.string(), pa.int64(), pa.int64(), pa.int64()]
    columns = list(zip(*counts)) or [()] * len(names)
    return pa.table([pa.array(column, type) for column, type in zip(columns, types)], names)


def diff_rows(before: str | os.PathLike[str], after: str | os.PathLike[str], uid: str, name: str) -> pa.Table:
    """The rows of one state that are not the same: `change`, and the columns of read_state; those of `after`, or, where
    the row was removed, of `before`. Errors are those of read_state."""
    ((_, _, old, new),) = _pairs(find_one(before), find_one(after), uid, name)
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
    if before is None or after is None or _place_names(before) != _place_names(after):
        gone = [] if before is None else [(REMOVED, row) for row in range(before.table.num_rows)]
        return gone + ([] if after is None else [(ADDED, row) for row in range(after.table.num_rows)])
    old, new = before.table, after.table
    names = _place_names(before)
    others = [name for name in old.column_names if name not in names]
    places = _codes(old, new, names)
    is_new = np.arange(len(places)) >= old.num_rows
    places = row_codes([pa.chunked_array([codes]) for codes in (places, _repetitions(places, is_new))])
    _, rows_old, rows_new = np.intersect1d(places[~is_new], places[is_new], True, return_indices=True)
    if others == [name for name in new.column_names if name not in names]:
        values = _codes(old, new, others)
        changed = rows_new[values[rows_old] != values[old.num_rows :][rows_new]]
    else:
        changed = rows_new
    return [
        *((REMOVED, row) for row in np.setdiff1d(np.arange(old.num_rows), rows_old).tolist()),
        *((CHANGED, row) for row in np.sort(changed).tolist()),
        *((ADDED, row) for row in np.setdiff1d(np.arange(new.num_rows), rows_new).tolist()),
    ]


def _place_names(state: StateRows) -> list[str]:
    """The columns that tell one row from another: all, where none are said to."""
    return list(state.table.column_names[: state.places or None])


def _codes(old: pa.Table, new: pa.Table, names: list[str]) -> np.ndarray:
    """int64[rows of both]: the same number for rows that are equal in these columns."""
    if not names:
        return np.zeros(old.num_rows + new.num_rows, np.int64)
    return row_codes([_both(old.column(name), new.column(name)) for name in names])


def _both(old: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.ChunkedArray:
    """Two columns, one behind the other; nested values, and values of two types, by their canonical bytes."""
    columns = [old.combine_chunks(), new.combine_chunks()]
    if old.type != new.type:
        columns = [encode_keys(column.to_pylist()).to_arrow() for column in columns]
    elif pa.types.is_nested(old.type):
        columns = [encode_column(Column.from_arrow(column)).to_arrow() for column in columns]
    return pa.chunked_array(columns)


def _repetitions(codes: np.ndarray, is_new: np.ndarray) -> np.ndarray:
    """int64[n]: how many rows of the same code came before, on the same side."""
    order = np.lexsort((codes, is_new))
    ordered = 2 * codes[order] + is_new[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(codes) else order
    found = np.empty(len(codes), np.int64)
    found[order] = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    return found
