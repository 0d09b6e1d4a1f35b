# SPDX-License-Identifier: Apache-2.0
"""Dense ids for distinct keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flinkcore._native import group as _group
from flinkcore._native.column import Column, physical_kind
from flinkcore.kernels.columns import ColumnLike, TypeLike, column_as, ids_of, type_of


class GroupIndex:
    """Dense ids, 0, 1, 2, ..., for distinct keys of one or several columns, over any number of batches.

    Ids follow the order of first appearance; a released id is given again before a new one. Keys compare
    exactly: NaN equals NaN, -0.0 differs from 0.0, null equals null. For one thread at a time; a second one gets a
    RuntimeError. Every call releases the GIL while it works through rows.

    >>> import numpy as np, pyarrow as pa
    >>> index = GroupIndex(pa.string(), pa.int64())
    >>> index.intern(np.array(["a", "b", "a"]), np.array([1, 1, 1])).tolist()
    [0, 1, 0]
    >>> index.find(np.array(["b", "c"]), np.array([1, 1])).tolist()
    [1, -1]
    >>> [column.to_pylist() for column in index.keys([1, 0])]
    [['b', 'a'], [1, 1]]
    """

    def __init__(self, *types: TypeLike, ids_max: int = 2**31 - 1) -> None:
        """An empty index over key columns of these types.

        types : Arrow types, NumPy dtypes, or what has __arrow_c_schema__
        ids_max : how many keys may be there at once
        ValueError : no type, or ids_max outside [1, 2^31 - 1];  TypeError : a nested type, or what is no type
        """
        self.types: tuple[pa.DataType, ...] = tuple(type_of(type) for type in types)
        self.native = _group.GroupIndex([physical_kind(type) for type in self.types], ids_max)

    def __repr__(self) -> str:
        return f"GroupIndex({', '.join(map(str, self.types))}; {len(self)} keys)"

    def __len__(self) -> int:
        """How many keys there are."""
        return self.native.live_count

    @property
    def id_bound(self) -> int:
        """Every id given so far is below; the length that arrays indexed by id need."""
        return self.native.id_bound

    def reserve(self, count: int) -> None:
        """Make room for `count` keys in all: no growing on the way. OverflowError : count is above ids_max"""
        self.native.reserve(count)

    def intern(self, *columns: ColumnLike) -> npt.NDArray[np.int32]:
        """The id of each row's key, a new one for a new key: int32[n].

        TypeError : a column of another kind;  ValueError : of another length, not one per key column, or with a
        value that the index's type cannot hold
        OverflowError : more than ids_max keys; the keys before are in, and the index can be used on
        """
        keys = self.key_columns(columns)
        return self.native.intern(keys)

    def find(self, *columns: ColumnLike) -> npt.NDArray[np.int32]:
        """The id of each row's key, -1 for a key without one: int32[n]. Errors as intern."""
        keys = self.key_columns(columns)
        return self.native.find(keys)

    def ids(self) -> npt.NDArray[np.int32]:
        """The ids that have a key, ascending."""
        return self.native.live_ids()

    def keys(self, ids: npt.ArrayLike) -> list[pa.Array]:
        """The keys of `ids`, one Arrow array of its type per key column (dictionary, large and view types as plain
        string and binary). The arrays own their memory. ValueError : an id has no key
        OverflowError : more than 2^31 - 1 bytes of strings; ask for fewer ids
        """
        return [column.to_arrow() for column in self.native.key_columns(ids_of(ids), self.types)]

    def release(self, ids: npt.ArrayLike) -> None:
        """Take the keys of `ids` out. ValueError, and nothing released : an id has no key or stands twice."""
        self.native.release(ids_of(ids))

    def clear(self) -> None:
        """Take all keys out; ids start from 0 again. The memory stays for the next ones."""
        self.native.clear()

    def key_columns(self, columns: Sequence[ColumnLike]) -> list[Column]:
        """For the modules beside this one: the columns as the kernels take them. Errors as intern."""
        if len(columns) != len(self.types):
            raise ValueError(f"{len(columns)} key columns, the index has {len(self.types)}")
        return [
            column_as(column, type, f"key column {i}")
            for i, (column, type) in enumerate(zip(columns, self.types))
        ]
