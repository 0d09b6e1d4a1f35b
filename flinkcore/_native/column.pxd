# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t


cdef extern from "fc_status.h":
    ctypedef enum fc_status:
        FC_OK
        FC_ERR_MEMORY
        FC_ERR_INVALID
        FC_ERR_TYPE
        FC_ERR_CAPACITY
        FC_ERR_UNSUPPORTED
        FC_ERR_IO


cdef extern from "fc_column.h":
    ctypedef enum fc_kind:
        FC_I64
        FC_F64
        FC_BOOL
        FC_BYTES

    ctypedef struct fc_column:
        fc_kind kind
        int64_t length
        int64_t bit_offset
        const void *values
        const int32_t *offsets
        const uint8_t *validity


cdef extern from "fc_copy.h":
    int64_t FC_COPY_SLACK


cdef extern from "fc_take.h":
    bint fc_rows_are_below(const int64_t *rows, int64_t n, int64_t length) nogil
    void fc_take_words(const uint64_t *values, const int64_t *rows, int64_t n, uint64_t *out) nogil
    int64_t fc_take_bits(const uint8_t *bits, int64_t bit_offset, const int64_t *rows, int64_t n,
                         uint8_t *out) nogil
    fc_status fc_take_offsets(const int32_t *offsets, const int64_t *rows, int64_t n, int32_t *out) nogil
    void fc_take_bytes(const int32_t *offsets, int64_t length, const uint8_t *data, const int64_t *rows, int64_t n,
                       const int32_t *out_offsets, uint8_t *out) nogil


cdef class Column:
    cdef fc_column view          # what kernels read; meaningless when kind is OBJECT or ARROW
    cdef readonly object type    # the logical pyarrow type; None when kind is OBJECT
    cdef readonly int kind
    cdef readonly int64_t null_count
    cdef object owner            # keeps the buffers of `view` alive
    cdef object arrow            # the pyarrow.Array of logical type, once it is known
    cdef list objects            # the values when kind is OBJECT; NULL until somebody asks when they are known
    cdef readonly Column known   # of kind OBJECT: the same values as a column of one type, where that is known
    cdef object as_physical_arrow(self)
    cdef list texts(self)
    cdef object unpack(self, const uint8_t *bits)


# A column over buffers that `owner` keeps alive; for kernels that make columns. Bitmaps start at bit 0.
cdef Column column_of(int kind, int64_t length, const void *values, const int32_t *offsets,
                      const uint8_t *validity, int64_t null_count, object owner, object type)
