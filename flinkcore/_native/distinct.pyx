# SPDX-License-Identifier: Apache-2.0
"""The different group ids of a batch, in the order in which they come (csrc/fc_distinct.h)."""

import numpy as np

from libc.stdint cimport int32_t, int64_t

from flinkcore._native.column cimport fc_status
from flinkcore._native.status cimport check


cdef class DistinctIds:
    """Keeps a mark of 4 bytes per id between calls. Not for concurrent use."""

    def __cinit__(self):
        fc_distinct_init(&self.distinct)

    def __dealloc__(self):
        fc_distinct_free(&self.distinct)

    def first_rows(self, const int32_t[::1] ids):
        """The row where each different id comes first.

        ids : int32[n], >= 0
        -> int64[m], ascending: ids[first_rows] are the different ids in the order in which they come
        ValueError : a negative id
        """
        cdef int64_t n = ids.shape[0], count = 0
        rows = np.empty(n, np.int64)
        cdef int64_t[::1] view = rows
        cdef fc_status status
        if n == 0:
            return rows
        with nogil:
            status = fc_distinct_rows(&self.distinct, &ids[0], n, &view[0], &count)
        check(status, "first_rows: ids are 0 or more")
        return rows[:count]
