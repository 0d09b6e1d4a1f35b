# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t

from flinkcore._native.column cimport fc_status


cdef extern from "fc_chain.h":
    ctypedef struct fc_chain:
        int64_t row_count
        bint timed

    ctypedef struct fc_chain_span:
        const int64_t *times
        int64_t lower_ms
        int64_t upper_ms
        int64_t after_ms

    void fc_chain_free(fc_chain *chain) nogil
    fc_status fc_chain_append(fc_chain *chain, const int32_t *ids, const int64_t *times, int64_t n) nogil
    int64_t fc_chain_match(const fc_chain *chain, const int32_t *ids, int64_t first, int64_t end,
                           const fc_chain_span *span, int64_t capacity, int64_t *askers, int64_t *rows,
                           int64_t *stop) nogil


cdef class Chains:
    cdef fc_chain chain
