# SPDX-License-Identifier: Apache-2.0
"""Hash to key group to subtask, and the places of rows by target."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free

from flinkcore._native.column cimport fc_column, fc_status
from flinkcore._native.gil cimport PyThreadState, release_gil, take_gil
from flinkcore._native.hash cimport key_views
from flinkcore._native.status cimport check


def key_groups(const uint64_t[::1] hashes, int32_t max_parallelism):
    """The key group of each hash: hash % max_parallelism.

    hashes : uint64[n];  max_parallelism : how many key groups there are, >= 1
    -> int32[n] in [0, max_parallelism)
    ValueError : max_parallelism < 1
    """
    cdef int64_t n = hashes.shape[0]
    cdef int32_t[::1] groups
    cdef fc_status status
    if max_parallelism < 1:
        raise ValueError(f"key_groups: max_parallelism is {max_parallelism}, expected at least 1")
    result = np.empty(n, np.int32)
    if n == 0:
        return result
    groups = result
    cdef PyThreadState *released = release_gil(n)
    status = fc_key_groups(&hashes[0], n, max_parallelism, &groups[0])
    take_gil(released)
    check(status, "key_groups")
    return result


def subtasks(const uint64_t[::1] hashes, int32_t max_parallelism, int32_t parallelism):
    """The subtask that owns each hash: key_group * parallelism // max_parallelism.

    hashes : uint64[n];  1 <= parallelism <= max_parallelism
    -> int32[n] in [0, parallelism)
    ValueError : parallelism outside [1, max_parallelism]
    Source: Flink, KeyGroupRangeAssignment.computeOperatorIndexForKeyGroup
    """
    cdef int64_t n = hashes.shape[0]
    cdef int32_t[::1] owners
    cdef fc_status status
    if not 1 <= parallelism <= max_parallelism:
        raise ValueError(f"subtasks: parallelism is {parallelism}, "
                         f"expected 1 to max_parallelism ({max_parallelism})")
    result = np.empty(n, np.int32)
    if n == 0:
        return result
    owners = result
    cdef PyThreadState *released = release_gil(n)
    status = fc_subtasks(&hashes[0], n, max_parallelism, parallelism, &owners[0])
    take_gil(released)
    check(status, "subtasks")
    return result


def places(const int32_t[::1] targets, int32_t count):
    """Where each row goes when the rows of each target stand together in their old order.

    targets : int32[n], each in [0, count);  count : how many targets, >= 1
    -> (places int32[n], bounds int64[count + 1]): row i goes to places[i], target t has [bounds[t], bounds[t + 1])
    ValueError : count < 1, or a target outside [0, count);  OverflowError : more than 2^31 - 1 rows
    """
    cdef int64_t n = targets.shape[0]
    cdef int32_t[::1] out
    cdef int64_t[::1] bounds
    cdef fc_status status
    if count < 1:
        raise ValueError(f"places: count is {count}, expected at least 1")
    if n == 0:
        return np.empty(0, np.int32), np.zeros(count + 1, np.int64)
    places_array, bounds_array = np.empty(n, np.int32), np.empty(count + 1, np.int64)
    out, bounds = places_array, bounds_array
    cdef PyThreadState *released = release_gil(n)
    status = fc_places(&targets[0], n, count, &out[0], &bounds[0])
    take_gil(released)
    check(status, f"places of {n} rows: a target is outside [0, {count})")
    return places_array, bounds_array


def key_places(keys, int32_t max_parallelism, int32_t parallelism):
    """The places of rows among the subtasks that own their keys: subtasks and places in one, of hashes that are not
    stored.

    keys : Columns of n rows, as of hash_columns;  1 <= parallelism <= max_parallelism
    -> (places int32[n], bounds int64[parallelism + 1]), as of places()
    TypeError, ValueError, OverflowError : as of these
    """
    columns = tuple(keys)
    cdef fc_column *views = key_views(columns, "key_places")
    cdef int count = <int>len(columns)
    cdef int64_t n = views[0].length
    cdef int32_t[::1] out
    cdef int64_t[::1] bounds
    cdef fc_status status
    cdef PyThreadState *released
    try:
        if not 1 <= parallelism <= max_parallelism:
            raise ValueError(f"key_places: parallelism is {parallelism}, expected 1 to max_parallelism "
                             f"({max_parallelism})")
        places_array, bounds_array = np.empty(n, np.int32), np.zeros(parallelism + 1, np.int64)
        if n == 0:
            return places_array, bounds_array
        out, bounds = places_array, bounds_array
        released = release_gil(n)
        status = fc_key_places(views, count, n, max_parallelism, parallelism, &out[0], &bounds[0])
        take_gil(released)
    finally:
        free(views)
    check(status, f"key_places of {n} rows")
    return places_array, bounds_array
