# SPDX-License-Identifier: Apache-2.0
"""DistinctValues: which records bring a value that their group did not have, or take its last one away."""

from __future__ import annotations

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import ARROW, I64, OBJECT, Column
from flinkcore._native.group import GroupIndex
from flinkcore.columnar.objects import encode_keys
from flinkcore.state.manager import StateManager


class DistinctValues:
    """How often each group has each value of one argument, for COUNT(DISTINCT x) and its kin.

    state, name : where the pairs of group and value, and their counts, are kept
    """

    def __init__(self, state: StateManager, name: str) -> None:
        self._state = state
        self._name = f"{name}/values"
        self._index: GroupIndex | None = None  # made by the first values, which say of what kind they are
        self._counts = state.part(
            f"{name}/counts",
            lambda: Accumulators([("sum0", I64, 0)]),
            parent=self._name,
            shown={"names": ["records"]},
        )

    def counted(self, ids: np.ndarray, values: Column, signs: np.ndarray | None = None) -> np.ndarray:
        """bool[n], per record in order: True where the aggregate changes by this record's value.

        ids : int32[n], groups;  signs : int64[n], 1 for a record added, -1 for one taken back; None when all
            are added
        """
        if values.kind in (OBJECT, ARROW):
            values = encode_keys(values.to_pylist())
        keys = (Column.from_numpy(ids.astype(np.int64)), values)
        if self._index is None:
            self._index = self._state.part(self._name, lambda: GroupIndex([I64, values.kind]))
        pairs = self._index.intern(keys)
        added = np.ones(len(ids), np.int64) if signs is None else signs
        (before,), (after,), _ = self._counts.update_running(pairs, [(Column.from_numpy(added),)])
        if signs is None:
            return before.to_numpy() == 0
        result = np.where(signs > 0, before.to_numpy() == 0, after.to_numpy() == 0)
        touched = np.unique(pairs)
        gone = touched[self._counts.results(touched)[0].to_numpy() == 0]
        if len(gone):
            self._counts.clear(gone)
            self._index.release(gone)
        return result
