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

    kind = "keys"

    def __init__(self, schema: Schema, kinds: Sequence[int] | None = None) -> None:
        self._schema = schema
        self._groups = GroupIndex(schema.kinds if kinds is None else kinds)
        self._objects: list[Any] = []  # by id
        self._live = 0

    @classmethod
    def of_columns(cls, keys: Sequence[Column], key_schema: Schema | None = None) -> KeyIndex:
        if key_schema is None:
            names = [f"f{i}" for i in range(len(keys))]
            form: Form = "tuple" if len(keys) > 1 else "object" if keys[0].kind == OBJECT else "value"
            key_schema = Schema(names, [key.type for key in keys], form)
        return cls(key_schema, [key.kind for key in _plain(keys)])

    def intern(self, keys: Sequence[Column], hashes: np.ndarray) -> np.ndarray:
        """Group id of each row, found or made."""
        return self._groups.intern(_plain(keys), hashes)

    @classmethod
    def of_description(cls, description: dict[str, Any]) -> KeyIndex:
        import pyarrow as pa
        T = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "bytes": pa.binary()}
        groups = GroupIndex.of_description(description)
        types = [{1: pa.int64(), 2: pa.float64(), 3: pa.bool_(), 4: pa.binary()}[k] for k in groups.kinds]
        schema = Schema([f"f{i}" for i in range(len(types))], types, "value" if len(types) == 1 else "tuple")
        return cls(schema, groups.kinds)

    def absorb(self, other, keep):
        columns = other._groups.key_columns(keep, other._schema.types)
        return self._groups.intern(columns, other._groups.hashes(keep))

    def key(self, group_id: int) -> Any:
        """The key object of a live id."""
        columns = self._groups.key_columns(np.array([group_id], np.int32), self._schema.types)
        return to_rows(Batch(self._schema, columns, 1))[0]

    def freeze(self, since, epoch): return self._groups.freeze(since, epoch)
    def load(self, payload): self._groups.load(payload)
    def loaded(self, epoch): self._groups.loaded(epoch)
    def forget(self, epoch): self._groups.forget(epoch)
    def describe(self): return self._groups.describe()
    def live_ids(self): return self._groups.live_ids()
    def hashes(self, ids): return self._groups.hashes(ids)
    def key_columns(self, ids, types): return self._groups.key_columns(ids, types)
    @property
    def id_bound(self): return self._groups.id_bound
    @property
    def live_count(self): return self._groups.live_count
    @property
    def row_count(self): return self._groups.row_count
    @property
    def state_bytes(self): return self._groups.state_bytes

    def release(self, ids: Sequence[int]) -> None:
        """The ids are no longer in use and may be given to other keys."""
        self._groups.release(np.array(ids, np.int32))

    def __len__(self) -> int:
        return self._groups.live_count


def _plain(keys: Sequence[Column]) -> list[Column]:
    """The keys as columns that kernels know."""
    return [encode_keys(key.to_pylist()) if key.kind in (OBJECT, ARROW) else key for key in keys]
