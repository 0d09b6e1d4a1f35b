# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from flinkcore._native.column cimport fc_column


cdef extern from "fc_split.h":
    int64_t fc_split_mark_words(int64_t bytes) nogil
    int64_t fc_split_bytes(const fc_column *texts) nogil
    int64_t fc_split_mark(const fc_column *texts, const uint8_t *separator, int64_t length, uint64_t *marks) nogil
    int64_t fc_split_mark_spaces(const fc_column *texts, uint64_t *marks) nogil
    int64_t fc_split_parts(const fc_column *texts, const uint64_t *marks, int64_t length, bint drop_empty,
                           int64_t *bounds, int32_t *offsets, uint8_t *data) nogil
