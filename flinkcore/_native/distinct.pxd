# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t

from flinkcore._native.column cimport fc_status


cdef extern from "fc_distinct.h":
    ctypedef struct fc_distinct:
        pass

    void fc_distinct_init(fc_distinct *distinct) nogil
    void fc_distinct_free(fc_distinct *distinct) nogil
    fc_status fc_distinct_rows(fc_distinct *distinct, const int32_t *ids, int64_t n, int64_t *rows,
                               int64_t *count) nogil


cdef class DistinctIds:
    cdef fc_distinct distinct
