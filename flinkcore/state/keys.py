# SPDX-License-Identifier: Apache-2.0
"""Keys of one keyed operator subtask: dense group ids for key rows, and the keys back by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import ARROW, OBJECT, Column, physical_kind
from flinkcore._native.group import GroupIndex
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.objects import decode_column, decode_key, holds_pickle, plain_keys
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Form, Schema
from flinkcore.errors import FlinkcoreError
from flinkcore.metrics import OperatorMetrics
from flinkcore.state.described_schema import describe_schema, schema_of_description
from flinkcore.state.part import FrozenPart

_UNKNOWN: Any = object()
_NEIGHBOURS = 256  # ids whose keys become objects together
_ABSORBED = 65_536  # keys that move to another index at a time


class KeyIndex:
    """The one index of an operator's keys, for all that it keeps by key. A StatePart.

    Operators on columns use ids and key_columns; those on rows also use the object that a user calls the key,
    which is made when it is asked for. Python objects and nested values are interned by their canonical bytes
    (flinkcore.columnar.objects), so that keys that Python calls equal but Flink does not (1, 1.0, True) stay
    apart. A snapshot has these bytes: objects are pickled in it only where nothing else would bring them back.

    schema : the columns of the key, and how the key looks to a user; without columns all records have one key
    allow_pickle : keys that a snapshot has pickled may be unpickled when their objects are asked for; to be set when
        the program's own types say that its keys are arbitrary Python objects, since unpickling may run anything
    """

    kind = "keys"

    def __init__(self, schema: Schema, allow_pickle: bool = False) -> None:
        self.schema = schema
        self._types = schema.types or (pa.int64(),)  # one key for all records: KeyByNothing's column
        self._encoded = [physical_kind(type) in (OBJECT, ARROW) for type in self._types]
        self._stored_types = [pa.binary() if e else type for e, type in zip(self._encoded, self._types)]
        self._groups = GroupIndex([physical_kind(type) for type in self._stored_types])
        self._objects: list[Any] = []  # the keys as a user sees them, by id, as far as they are known
        self._learns = None in self._types  # from the batch, since it has the very objects
        self._live = 0
        self._pickled = False  # whether some key was ever stored as a pickle
        self._allow_pickle = allow_pickle

    @staticmethod
    def of_keys(keys: Sequence[Column], schema: Schema | None = None) -> KeyIndex:
        """An index for keys like these.

        schema : their names, and how the key looks; None: the value of the only column, or a tuple of all
        """
        types = [key.type for key in keys]
        if schema is None:
            form: Form = "tuple" if len(keys) > 1 else "object" if keys[0].kind == OBJECT else "value"
            return KeyIndex(Schema([f"f{i}" for i in range(len(keys))], types, form))
        return KeyIndex(Schema(schema.names, types, schema.form) if len(schema) else schema)

    # -- keys and ids -------------------------------------------------------------------------------------

    def intern(self, keys: Sequence[Column], hashes: np.ndarray | None) -> np.ndarray:
        """int32[n]: the group id of each row, found or made.

        hashes : uint64[n], of hash_keys, if they are at hand
        """
        plain = plain_keys(keys)
        ids = self._groups.intern(plain, hashes)
        if self._groups.live_count != self._live:
            self._live = self._groups.live_count
            if self._learns:
                self._learn(keys, plain, ids)
        return ids

    def tell(self, metrics: OperatorMetrics) -> None:
        """Notes how keys are looked up now."""
        if self._groups.is_direct or metrics.counts["keys_direct"]:
            metrics.counts["keys_direct"] = int(self._groups.is_direct)

    def release(self, ids: np.ndarray) -> None:
        """The ids, int32[m], are no longer in use and may be given to other keys."""
        self._groups.release(ids)
        self._live = self._groups.live_count
        if objects := self._objects:
            for group_id in ids.tolist():
                if group_id < len(objects):
                    objects[group_id] = _UNKNOWN

    def key(self, group_id: int) -> Any:
        """The key of a live id as a user sees it. ValueError: the id has no key, or one that may not be unpickled."""
        objects = self._objects
        if group_id >= len(objects) or objects[group_id] is _UNKNOWN:
            self._materialise(group_id)
        return objects[group_id]

    def key_columns(self, ids: np.ndarray, types: Sequence[pa.DataType | None] | None = None) -> list[Column]:
        """The keys of live ids, int32[m], one Column per key column.

        types : how to read the columns, None for Python objects; without it the schema's own types
        """
        types = self.schema.types if types is None else types
        if len(types) != len(self.schema):
            raise ValueError(f"{len(types)} types for {len(self.schema)} key columns")
        if not types:
            return []
        asked = [s if e else type for e, s, type in zip(self._encoded, self._stored_types, types)]
        columns = self._groups.key_columns(ids, asked)
        return [self._as_type(column, c, types[c], ids) for c, column in enumerate(columns)]

    def stored_columns(self, ids: np.ndarray) -> list[Column]:
        """The keys of live ids as key_columns gives them, but Python objects by their canonical bytes: nothing is
        unpickled."""
        types = self.schema.types
        if not types:
            return []
        columns = self._groups.key_columns(ids, self._stored_types)
        return [
            decode_column(column, type) if encoded and type is not None else column
            for column, encoded, type in zip(columns, self._encoded, types)
        ]

    def hashes(self, ids: np.ndarray) -> np.ndarray:
        """uint64[m]: the hash of the key of each live id."""
        return self._groups.hashes(ids)

    def live_ids(self) -> np.ndarray:
        """The ids that have a key, ascending."""
        return self._groups.live_ids()

    @property
    def id_bound(self) -> int:
        """Every id given so far is below."""
        return self._groups.id_bound

    def __len__(self) -> int:
        return self._live

    def absorb(self, other: KeyIndex, keep: np.ndarray) -> np.ndarray:
        """Interns some keys of another index, for rescaling: int32[m], the ids here of the ids `keep` there.

        ValueError : the other's keys have other types
        """
        if other._types != self._types:
            raise ValueError(
                f"keys of {_names(other._types)} cannot be put among keys of {_names(self._types)}"
            )
        self._pickled |= other._pickled
        ids = np.empty(len(keep), np.int32)
        for start in range(0, len(keep), _ABSORBED):
            some = np.ascontiguousarray(keep[start : start + _ABSORBED], np.int32)
            columns = other._groups.key_columns(some, self._stored_types)
            ids[start : start + len(some)] = self._groups.intern(columns, other._groups.hashes(some))
        self._live = self._groups.live_count
        return ids

    # -- keys as objects ----------------------------------------------------------------------------------

    def _learn(self, keys: Sequence[Column], plain: Sequence[Column], ids: np.ndarray) -> None:
        """Remembers the objects of keys that are new."""
        objects = self._grown()
        first = {group_id: row for row, group_id in enumerate(ids.tolist()) if objects[group_id] is _UNKNOWN}
        rows = np.fromiter(first.values(), np.int64, len(first))
        for group_id, key in zip(first, self._as_objects([key.take(rows) for key in keys], len(rows))):
            objects[group_id] = key
        if not self._pickled:
            texts = (key.take(rows).to_pylist() for key, type in zip(plain, self._types) if type is None)
            self._pickled = any(holds_pickle(text) for column in texts for text in column)

    def _materialise(self, group_id: int) -> None:
        """Makes the object of a key from what is stored, and those of its neighbours with it."""
        objects = self._grown()
        first = group_id - group_id % _NEIGHBOURS
        live = self._groups.live_ids(first, first + _NEIGHBOURS).tolist()
        ids = [other for other in live if objects[other] is _UNKNOWN]
        if group_id not in ids:
            raise ValueError(f"group id {group_id} has no key")
        columns = [
            Column.from_objects([decode_key(data, self._allow_pickle) for data in column.to_pylist()])
            if type is None
            else decode_column(column, type)
            if encoded
            else column
            for column, type, encoded in zip(
                self._groups.key_columns(np.array(ids, np.int32), self._stored_types), self._types, self._encoded
            )
        ]
        for other, key in zip(ids, self._as_objects(columns, len(ids))):
            objects[other] = key

    def _as_objects(self, columns: Sequence[Column], count: int) -> list[Any]:
        return to_rows(Batch(self.schema, columns[: len(self.schema)], count))

    def _grown(self) -> list[Any]:
        self._objects.extend([_UNKNOWN] * (self._groups.id_bound - len(self._objects)))
        return self._objects

    def _as_type(self, column: Column, c: int, type: pa.DataType | None, ids: np.ndarray) -> Column:
        """A stored column of the keys of `ids` as a column of the type."""
        if not self._encoded[c]:
            return column
        own = self._types[c]
        if own is not None:
            column = decode_column(column, own)
            if type == own:
                return column
            values = column.to_pylist()
        else:
            keys = map(self.key, ids.tolist())
            values = list(keys) if self.schema.form in ("object", "value") else [key[c] for key in keys]
        return Column.from_objects(values) if type is None else Column.from_arrow(pa.array(values, type))

    # -- snapshots ----------------------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        return self._groups.row_count

    @property
    def state_bytes(self) -> int:
        return self._groups.state_bytes

    def describe(self) -> dict[str, Any]:
        """The schema in Arrow's form, so that a reader can show the keys without the program; objects are binary
        fields there, with canonical bytes. "pickled": whether some of these are pickles."""
        return {**describe_schema(self.schema), "pickled": self._pickled}

    @classmethod
    def of_description(cls, description: dict[str, Any], allow_pickle: bool = False) -> KeyIndex:
        """An empty index for keys as described. ValueError: they are not."""
        try:
            pickled = description["pickled"]
            index = cls(schema_of_description(description), allow_pickle)
        except (LookupError, TypeError, ValueError, OSError, pa.ArrowException, FlinkcoreError) as error:
            raise ValueError(f"not the description of a KeyIndex: {error!r}") from error
        index._pickled = pickled is not False
        return index

    def allow_pickle(self) -> None:
        """The program says that its keys are Python objects: those that are pickled may be unpickled."""
        self._allow_pickle = True

    def fit(self, program: KeyIndex) -> None:
        """The program that goes on with these keys has its own view of them. ValueError: they have other types"""
        if program._types != self._types:
            raise ValueError(f"the keys are {_names(self._types)}, the program's are {_names(program._types)}")
        self.schema = program.schema
        self._learns = program._learns
        self._allow_pickle = None in program._types
        self._objects.clear()

    def freeze(self, since: int, epoch: int) -> FrozenPart:
        return self._groups.freeze(since, epoch)

    def forget(self, epoch: int) -> None:
        self._groups.forget(epoch)

    def load(self, payload: memoryview) -> None:
        self._groups.load(payload)

    def loaded(self, epoch: int) -> None:
        self._groups.loaded(epoch)
        self._live = self._groups.live_count


def _names(types: Sequence[pa.DataType | None]) -> str:
    return ", ".join("Python objects" if type is None else str(type) for type in types)
