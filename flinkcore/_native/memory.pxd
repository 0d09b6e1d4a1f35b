# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int64_t, uint8_t

from flinkcore._native.column cimport fc_status


cdef extern from "fc_pool.h":
    enum:
        FC_POOL_PAGE_BYTES

    ctypedef struct fc_pool_file:
        void *context
        fc_status (*read)(void *context, int64_t slot, uint8_t *page) noexcept nogil
        fc_status (*write)(void *context, int64_t slot, const uint8_t *page) noexcept nogil
        uint8_t *(*map)(void *context, int64_t position, int64_t bytes) noexcept nogil
        void (*unmap)(void *context, uint8_t *address, int64_t bytes) noexcept nogil
        void (*trimmed)(void *context) noexcept nogil

    ctypedef struct fc_pool:
        int64_t budget_pages
        int64_t frames_used
        int64_t slots_used
        int64_t pages_written
        int64_t pages_read
        int64_t share_count

    ctypedef struct fc_share:
        int64_t frames_used

    void fc_pool_init(fc_pool *pool, fc_pool_file file, int64_t budget_pages) nogil
    void fc_pool_free(fc_pool *pool) nogil
    void fc_share_init(fc_share *share, fc_pool *pool) nogil
    void fc_share_reserve(fc_share *share, int64_t frames) nogil


cdef struct PageFile:
    int fd
    int error                          # errno of the last call that failed
    int64_t failing                    # for tests: calls until the one that fails, 0 for none
    int failing_error
    bint is_watched                    # a test wants to know of the steps
    bint has_written
    void *owner                        # the MemoryPool


cdef class MemoryPool:
    cdef fc_pool pool
    cdef PageFile file
    cdef object raised                 # what the hook of a test raised
    cdef readonly str place            # where the file is, for errors
    cdef bint reached(self, str name)
    cdef object failure(self, str what)


cdef class MemoryShare:
    cdef fc_share share
    cdef readonly MemoryPool pool
    cdef list waiting                  # accumulators with records that wait for their pages
    cdef int64_t waiting_bytes
    cdef bint exceeds(self)
