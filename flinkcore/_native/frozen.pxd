# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int64_t, uint8_t

from flinkcore._native.column cimport fc_status


cdef class Frozen:
    cdef str what            # in the plural, for errors
    cdef bint is_pending     # what is frozen is there, and not released
    cdef bint is_written     # by some thread, just now
    cdef object next_block(self)
    cdef fc_status plan(self, int64_t *size) noexcept nogil
    cdef void write(self, uint8_t *data) noexcept nogil
    cdef int give_back(self) except -1
