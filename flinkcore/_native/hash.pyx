# SPDX-License-Identifier: Apache-2.0
"""Key columns to one uint64 per row."""

import numpy as np

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc

from flinkcore._native.column cimport Column, fc_column, fc_status
from flinkcore._native.gil cimport PyThreadState, release_gil, take_gil
from flinkcore._native.status cimport check

KIND_NAMES = {
    1: "int64", 2: "float64", 3: "bool", 4: "string or binary", 5: "Python objects", 6: "nested Arrow values"
}


cdef fc_column *key_views(tuple columns, str what) except NULL:
    cdef Py_ssize_t count = len(columns), c
    cdef Column column
    if count == 0:
        raise ValueError(f"{what} needs at least one key column")
    cdef int64_t n = len(columns[0])
    for c in range(count):
        if not isinstance(columns[c], Column):
            raise TypeError(f"{what}: key column {c} is a {type(columns[c]).__name__}, expected a Column")
        column = <Column>columns[c]
        if not 1 <= column.kind <= 4:
            raise TypeError(
                f"{what}: key column {c} holds {KIND_NAMES[column.kind]}, expected int64, float64, bool, "
                "string or binary; key by a field of it, or declare a key type"
            )
        if column.view.length != n:
            raise ValueError(f"{what}: key column {c} has {column.view.length} rows, column 0 has {n}")
    cdef fc_column *views = <fc_column *>malloc(count * sizeof(fc_column))
    if views == NULL:
        raise MemoryError()
    for c in range(count):
        views[c] = (<Column>columns[c]).view
    return views


def hash_columns(columns):
    """One hash per row over one or several key columns, in their order.

    columns : Columns of equal length, each int64, float64, bool, string or binary (narrower types were
              widened)
    -> uint64[n]. Integers hash by value whatever their width was; every NaN is equal, -0.0 and 0.0 differ
       (Java's Double.equals); null has a hash of its own; a text hashes alike as string and as binary.
    TypeError : a column of Python objects or nested values;  ValueError : no columns, or of several lengths
    """
    columns = tuple(columns)
    cdef fc_column *views = key_views(columns, "hash_columns")
    cdef int count = <int>len(columns)
    cdef int64_t n = views[0].length
    cdef fc_status status
    cdef uint64_t[::1] hashes
    cdef PyThreadState *released
    try:
        result = np.empty(n, np.uint64)
        if n == 0:
            return result
        hashes = result
        released = release_gil(n)
        status = fc_hash_columns(views, count, n, &hashes[0])
        take_gil(released)
    finally:
        free(views)
    check(status, "hash_columns")
    return result
