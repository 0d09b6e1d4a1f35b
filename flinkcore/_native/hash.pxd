# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int64_t, uint8_t, uint64_t

from flinkcore._native.column cimport fc_column, fc_status


cdef extern from "fc_hash.h":
    fc_status fc_hash_columns(const fc_column *columns, int column_count, int64_t n, uint64_t *hashes) nogil
    uint64_t fc_hash_bytes(const uint8_t *data, int64_t n, uint64_t seed) nogil


# The borrowed views of key columns, valid while the columns live. Free it with free(). TypeError for a column
# that no kernel reads, ValueError for no columns or columns of several lengths.
cdef fc_column *key_views(tuple columns, str what) except NULL
