# SPDX-License-Identifier: Apache-2.0
"""Rescaling: the rows of an old subtask's parts that belong to a new one move there, under new ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import BOOL, BYTES, F64, I64, Column
from flinkcore._native.group import GroupIndex
from flinkcore.state.keys import KeyIndex

#: How the columns of an index of pairs are read, by their kind.
PAIR_TYPES = {I64: pa.int64(), F64: pa.float64(), BOOL: pa.bool_(), BYTES: pa.binary()}


def kept_keys(target: KeyIndex, other: KeyIndex, key_groups: range, max_parallelism: int) -> np.ndarray:
    """Takes over the keys of some key groups. -> int32[ids of `other`], the new id of each, -1 for keys left behind"""
    live = other.live_ids()
    groups = (other.hashes(live) % np.uint64(max_parallelism)).astype(np.int64)
    kept = live[(groups >= key_groups.start) & (groups < key_groups.stop)]
    ids = np.full(other.id_bound, -1, np.int32)
    ids[kept] = target.absorb(other, kept)
    return ids


def absorb(target: Any, other: Any, ids: np.ndarray | None) -> np.ndarray | None:
    """Takes over the rows of a part whose ids have new ones; rows without leave.

    ids : int32, new id by old, -1 for none; None for parts that go by no ids
    -> the same for the parts that go by the ids of this one; None when it has none of its own
    """
    if isinstance(target, Accumulators):
        assert ids is not None
        used = other.used_ids()
        new = ids[used]
        kept = new >= 0
        target.merge(other, new[kept], used[kept])
        return None
    if isinstance(target, GroupIndex):
        assert ids is not None
        return _absorb_pairs(target, other, ids)
    found: np.ndarray | None = target.absorb(other, ids)
    return found


def _absorb_pairs(target: GroupIndex, other: GroupIndex, ids: np.ndarray) -> np.ndarray:
    """An index of (id of a group, value): the first column is renumbered."""
    live = other.live_ids()
    columns = other.key_columns(live, [PAIR_TYPES[kind] for kind in other.kinds])
    new_groups = ids[columns[0].to_numpy()]
    kept = np.flatnonzero(new_groups >= 0)
    keys = (
        Column.from_numpy(new_groups[kept].astype(np.int64)),
        *(column.take(kept) for column in columns[1:]),
    )
    found = np.full(other.id_bound, -1, np.int32)
    found[live[kept]] = target.intern(keys)
    return found
