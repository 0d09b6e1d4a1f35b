# SPDX-License-Identifier: Apache-2.0
"""Keys of one keyed operator subtask: dense group ids for key rows, and the key objects back by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flinkcore._native.column import ARROW, OBJECT, Column
from flinkcore._native.group import GroupIndex
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.objects import encode_keys
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Form, Schema

_UNKNOWN: Any = object()


class KeyIndex:
    """Interns the keys of batches in a GroupIndex and remembers the object that a user calls the key.

    Python objects and nested values are interned by their canonical bytes, so that keys that Python calls
    equal but Flink does not (1, 1.0, True) stay apart.
    key_schema : how the key looks to a user; None: the value of its only column, or a tuple of all
    """

    def __init__(self, keys: Sequence[Column], key_schema: Schema | None = None) -> None:
        if key_schema is None:
            names = [f"f{i}" for i in range(len(keys))]
            form: Form = "tuple" if len(keys) > 1 else "object" if keys[0].kind == OBJECT else "value"
            key_schema = Schema(names, [key.type for key in keys], form)
        self._schema = key_schema
        self._groups = GroupIndex([key.kind for key in _plain(keys)])
        self._objects: list[Any] = []  # by id
        self._live = 0

    def intern(self, keys: Sequence[Column], hashes: np.ndarray) -> list[int]:
        """Group id of each row, found or made."""
        ids: list[int] = self._groups.intern(_plain(keys), hashes).tolist()
        if self._groups.live_count != self._live:  # there are new keys: learn their objects together
            self._live = self._groups.live_count
            self._learn(keys, ids)
        return ids

    def key(self, group_id: int) -> Any:
        """The key object of a live id."""
        return self._objects[group_id]

    def release(self, ids: Sequence[int]) -> None:
        """The ids are no longer in use and may be given to other keys."""
        self._groups.release(np.array(ids, np.int32))
        self._live = self._groups.live_count
        for group_id in ids:
            self._objects[group_id] = _UNKNOWN

    def __len__(self) -> int:
        return self._live

    def _learn(self, keys: Sequence[Column], ids: list[int]) -> None:
        objects = self._objects
        if len(objects) < self._groups.id_bound:
            objects.extend([_UNKNOWN] * (self._groups.id_bound - len(objects)))
        first = {group_id: row for row, group_id in enumerate(ids) if objects[group_id] is _UNKNOWN}
        rows = np.fromiter(first.values(), np.int64, len(first))
        found = to_rows(Batch(self._schema, [key.take(rows) for key in keys], len(rows)))
        for group_id, key in zip(first, found):
            objects[group_id] = key


def _plain(keys: Sequence[Column]) -> list[Column]:
    """The keys as columns that kernels know."""
    return [encode_keys(key.to_pylist()) if key.kind in (OBJECT, ARROW) else key for key in keys]
