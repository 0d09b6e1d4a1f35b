# SPDX-License-Identifier: Apache-2.0
"""Rows to hashes, and to partitions by them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flinkcore._native import hash as _hash
from flinkcore._native import partition as _partition
from flinkcore._native import scatter as _scatter
from flinkcore.kernels.columns import BatchLike, ColumnLike, batch_of, column_of, field_of


def hash_columns(*columns: ColumnLike) -> npt.NDArray[np.uint64]:
    """One 64-bit hash per row over one or several columns, in their order.

    Integers hash by value whatever their width; all NaNs alike, -0.0 and 0.0 apart (Java's Double.equals);
    null has a hash of its own; a text hashes alike as string, binary or dictionary. The values are stable:
    the same on every machine, and changed only together with the state format.

    -> uint64[n]
    TypeError : a column of nested values or objects;  ValueError : no columns, or of several lengths
    Threads : any number at once; the GIL is released.

    >>> import numpy as np
    >>> hash_columns(np.array([1, 2, 1])).tolist()
    [2717770620714153248, 17939916851854735301, 2717770620714153248]
    """
    return _hash.hash_columns([column_of(column) for column in columns])


def hash_partition(*columns: ColumnLike, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows to `count` partitions by the hash of their key columns; rows of one partition keep their order.

    -> (order int64[n], bounds int64[count + 1]): partition p holds the rows order[bounds[p]:bounds[p + 1]]
    The partition of a row is hash_columns(...) % count, and as stable.
    TypeError, ValueError : as hash_columns, or count < 1
    Threads : any number at once; the GIL is released.

    >>> import numpy as np
    >>> order, bounds = hash_partition(np.array([1, 2, 1, 2]), count=2)
    >>> [order[bounds[p]:bounds[p + 1]].tolist() for p in range(2)]
    [[0, 2], [1, 3]]
    """
    places, bounds = _places(hash_columns(*columns), count)
    return _scatter.order_of(places), bounds


def scatter(
    data: BatchLike, keys: str | Sequence[str], count: int
) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
    """A batch with the rows of each of `count` partitions together, by the hash of key columns, in their old order.

    data : a RecordBatch, a Table (as one batch: a copy when it has several chunks), a mapping of names to columns, what
        exports an Arrow array or stream of structs
    keys : names of columns
    -> (batch, bounds int64[count + 1]): batch.slice(bounds[p], bounds[p + 1] - bounds[p]) is partition p, no copy
    The partition of a row is hash_columns(keys) % count, and as stable. Types stay, dictionaries are shared.
    TypeError, ValueError : as hash_columns, a column that there is not, or count < 1
    OverflowError : more than 2^31 - 1 rows
    Threads : any number at once; the GIL is released.

    >>> batch, bounds = scatter({"k": [1, 2, 1], "v": ["a", "b", "c"]}, "k", 2)
    >>> [batch["v"][bounds[p]:bounds[p + 1]].to_pylist() for p in range(2)]
    [['a', 'c'], ['b']]
    """
    batch = batch_of(data)
    names = (keys,) if isinstance(keys, str) else keys
    for name in names:
        field_of(batch.schema, name, "column")
    places, bounds = _places(hash_columns(*(batch.column(name) for name in names)), count)
    columns = [_scatter.scattered(column, places) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema), bounds


def _places(hashes: npt.NDArray[np.uint64], count: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """partition.places, by hash % count. ValueError unless the number of partitions fits a positive int32."""
    if not 1 <= index(count) < 2**31:
        raise ValueError(f"count is from 1 to 2^31 - 1, got {count}")
    return _partition.places(_partition.key_groups(hashes, count), count)
