# SPDX-License-Identifier: Apache-2.0
"""The kernels for other libraries: Arrow or NumPy in, NumPy out, no job and no stream needed.

Columns are pyarrow Arrays or ChunkedArrays, NumPy arrays, what has __arrow_c_array__ or __arrow_c_stream__ (a Polars
or pandas Series), or anything else that NumPy takes. Numbers, booleans, times, strings and binary values can be keys;
nested values and Python objects cannot.
"""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flinkcore._native import group as _group
from flinkcore._native import hash as _hash
from flinkcore._native import partition as _partition
from flinkcore._native.column import BYTES, Column, normal_type, physical_kind

__all__ = ["GroupIndex", "hash_columns", "hash_partition"]


def _column_of(values: Any) -> Column:
    if isinstance(values, Column):
        return values
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        if hasattr(values, "__arrow_c_stream__"):
            values = pa.chunked_array(values)
        elif hasattr(values, "__arrow_c_array__"):
            values = pa.array(values)
        else:
            return Column.from_numpy(values)
    return Column.from_arrow(values)


def _key_of(values: Any, type: pa.DataType) -> Column:
    """A key column in the type of its index: in its unit, scale and width."""
    column = _column_of(values)
    if column.type == normal_type(type) or column.kind != physical_kind(type) or column.kind == BYTES:
        return column  # of another kind: the index says so
    t = pa.types
    assert column.type is not None  # objects have a kind of their own
    if t.is_integer(column.type) and t.is_integer(type) and column.type.bit_width < type.bit_width:
        return column
    try:
        return Column.from_arrow(column.to_arrow().cast(type))
    except pa.ArrowInvalid as error:
        raise ValueError(f"a key column of {column.type} cannot become {type}, the index's type: {error}") from error


def hash_columns(*columns: Any) -> npt.NDArray[np.uint64]:
    """One 64-bit hash per row over one or several columns, in their order.

    Integers hash by value whatever their width; all NaNs alike, -0.0 and 0.0 apart (Java's Double.equals);
    null has a hash of its own; a text hashes alike as string, binary or dictionary. The values are stable:
    the same on every machine, and changed only together with the state format.

    -> uint64[n]
    TypeError : a column of nested values or objects;  ValueError : no columns, or of several lengths

    >>> hash_columns(np.array([1, 2, 1])).tolist()
    [2717770620714153248, 17939916851854735301, 2717770620714153248]
    """
    return _hash.hash_columns([_column_of(column) for column in columns])


def hash_partition(*columns: Any, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows to `count` partitions by the hash of their key columns; rows of one partition keep their order.

    -> (order int64[n], bounds int64[count + 1]): partition p holds the rows order[bounds[p]:bounds[p + 1]]
    TypeError, ValueError : as hash_columns, or count < 1

    >>> order, bounds = hash_partition(np.array([1, 2, 1, 2]), count=2)
    >>> [order[bounds[p]:bounds[p + 1]].tolist() for p in range(2)]
    [[0, 2], [1, 3]]
    """
    if not 1 <= index(count) < 2**31:
        raise ValueError(f"count is from 1 to 2^31 - 1, got {count}")
    targets = _partition.key_groups(hash_columns(*columns), count)
    return _partition.partition(targets, count)


class GroupIndex:
    """Dense ids, 0, 1, 2, ..., for distinct keys of one or several columns, over any number of batches.

    Ids follow the order of first appearance; a released id is given again before a new one. Keys compare
    exactly: NaN equals NaN, -0.0 differs from 0.0, null equals null. For one thread at a time.

    >>> index = GroupIndex(pa.string(), pa.int64())
    >>> index.intern(np.array(["a", "b", "a"]), np.array([1, 1, 1])).tolist()
    [0, 1, 0]
    >>> index.find(np.array(["b", "c"]), np.array([1, 1])).tolist()
    [1, -1]
    >>> [column.to_pylist() for column in index.keys([1, 0])]
    [['b', 'a'], [1, 1]]
    """

    def __init__(self, *types: pa.DataType) -> None:
        """An empty index over key columns of these Arrow types.

        ValueError : no type;  TypeError : a nested type, or what is no type
        """
        for type in types:
            if not isinstance(type, pa.DataType):
                raise TypeError(f"the types of key columns are Arrow types, e.g. pa.int64(), got {type!r}")
        self.types = types
        self._index = _group.GroupIndex([physical_kind(type) for type in types])

    def __len__(self) -> int:
        """How many keys there are."""
        return self._index.live_count

    @property
    def id_bound(self) -> int:
        """Every id given so far is below; the length that arrays indexed by id need."""
        return self._index.id_bound

    def intern(self, *columns: Any) -> npt.NDArray[np.int32]:
        """The id of each row's key, a new one for a new key: int32[n].

        TypeError : a column of another kind;  ValueError : of another length, not one per key column, or with a
        value that the index's type cannot hold
        OverflowError : more than 2^31 - 1 keys
        """
        keys = self._keys_of(columns)
        return self._index.intern(keys, _hash.hash_columns(keys))

    def find(self, *columns: Any) -> npt.NDArray[np.int32]:
        """The id of each row's key, -1 for a key without one: int32[n]. Errors as intern."""
        keys = self._keys_of(columns)
        return self._index.find(keys, _hash.hash_columns(keys))

    def _keys_of(self, columns: tuple[Any, ...]) -> list[Column]:
        if len(columns) != len(self.types):
            raise ValueError(f"{len(columns)} key columns, the index has {len(self.types)}")
        return [_key_of(column, type) for column, type in zip(columns, self.types)]

    def ids(self) -> npt.NDArray[np.int32]:
        """The ids that have a key, ascending."""
        return self._index.live_ids()

    def keys(self, ids: npt.ArrayLike) -> list[pa.Array]:
        """The keys of `ids`, one Arrow array of its type per key column. ValueError : an id has no key."""
        return [column.to_arrow() for column in self._index.key_columns(_ids_of(ids), self.types)]

    def release(self, ids: npt.ArrayLike) -> None:
        """Take the keys of `ids` out. ValueError, and nothing released : an id has no key or stands twice."""
        self._index.release(_ids_of(ids))


def _ids_of(ids: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """int32, refusing what does not fit instead of wrapping it to another key's id."""
    array = np.asarray(ids)
    if array.size == 0:
        return np.empty(0, np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"ids are a sequence of integers, not {array.dtype} of shape {array.shape}")
    if int(array.min()) < 0 or int(array.max()) >= 2**31:
        raise ValueError(f"ids lie between 0 and 2^31 - 1; these are {array.min()} to {array.max()}")
    return np.ascontiguousarray(array, np.int32)
