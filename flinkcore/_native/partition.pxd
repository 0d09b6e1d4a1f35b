# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t, uint64_t

from flinkcore._native.column cimport fc_column, fc_status


cdef extern from "fc_partition.h":
    fc_status fc_key_groups(const uint64_t *hashes, int64_t n, int32_t max_parallelism,
                            int32_t *key_groups) nogil
    fc_status fc_subtasks(const uint64_t *hashes, int64_t n, int32_t max_parallelism, int32_t parallelism,
                          int32_t *subtasks) nogil
    fc_status fc_places(const int32_t *targets, int64_t n, int32_t count, int32_t *places,
                        int64_t *bounds) nogil
    fc_status fc_key_places(const fc_column *columns, int column_count, int64_t n, int32_t max_parallelism,
                            int32_t parallelism, int32_t *places, int64_t *bounds) nogil
