# SPDX-License-Identifier: Apache-2.0
"""Texts to their parts (csrc/fc_split.h)."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from flinkcore._native.column import BYTES

from flinkcore._native.column cimport FC_COPY_SLACK, Column, column_of
from flinkcore._native.gil cimport PyThreadState, release_gil, take_gil


def split(Column texts not None, separator):
    """The parts of each text, one behind the other.

    texts : n strings, or binary values;  separator : bytes between parts; None: whatever str.isspace() of UTF-8 takes
        for a space, any number of them, with no empty parts
    -> (m parts of the type of the texts, bounds int64[n + 1]): text i has the parts [bounds[i], bounds[i + 1]); a null
        has none, an empty text one that is empty, or none where spaces separate
    TypeError : a column of another kind;  ValueError : an empty separator
    """
    cdef bint spaces = separator is None
    cdef bytes between = b" " if spaces else separator      # each byte of a space is marked by itself
    cdef int64_t n = len(texts), length = len(between), size, mark_count, count
    cdef const uint8_t *wanted = between
    if texts.kind != BYTES:
        raise TypeError(f"split: expected strings or binary values, got a column of {texts.type}")
    if length == 0:
        raise ValueError("split: the separator is empty")
    size = fc_split_bytes(&texts.view)
    mark_array = np.zeros(fc_split_mark_words(size), np.uint64)
    bounds_array = np.empty(n + 1, np.int64)
    data_array = np.empty(size + FC_COPY_SLACK, np.uint8)
    cdef uint64_t[::1] marks = mark_array
    cdef int64_t[::1] bounds = bounds_array
    cdef uint8_t[::1] data = data_array
    cdef PyThreadState *released = release_gil(n)
    if spaces:
        mark_count = fc_split_mark_spaces(&texts.view, &marks[0])
    else:
        mark_count = fc_split_mark(&texts.view, wanted, length, &marks[0])
    take_gil(released)
    offset_array = np.empty(mark_count + n + 1, np.int32)
    cdef int32_t[::1] offsets = offset_array
    released = release_gil(n)
    count = fc_split_parts(&texts.view, &marks[0], length, spaces, &bounds[0], &offsets[0], &data[0])
    take_gil(released)
    owner = (data_array, offset_array)
    return column_of(BYTES, count, &data[0], &offsets[0], NULL, 0, owner, texts.type), bounds_array
