# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int64_t, uint8_t


cdef extern from "fc_buffer.h":
    ctypedef struct fc_buffer:
        uint8_t *data
        int64_t bytes
        void *block

    void fc_buffer_free(fc_buffer *buffer) nogil
    int64_t fc_buffer_fail_nth(int64_t nth) nogil
