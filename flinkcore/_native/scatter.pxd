# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t, uint8_t


cdef extern from "fc_scatter.h":
    void fc_scatter_fixed(const uint8_t *values, int64_t width, const int32_t *places, int64_t n,
                          uint8_t *out) nogil
    void fc_scatter_bits(const uint8_t *bits, int64_t bit_offset, const int32_t *places, int64_t n,
                         uint8_t *out) nogil
    void fc_scatter_offsets_i32(const int32_t *offsets, const int32_t *places, int64_t n, int32_t *out) nogil
    void fc_scatter_offsets_i64(const int64_t *offsets, const int32_t *places, int64_t n, int64_t *out) nogil
    void fc_scatter_bytes_i32(const int32_t *offsets, const uint8_t *data, const int32_t *places, int64_t n,
                              const int32_t *out_offsets, uint8_t *out) nogil
    void fc_scatter_bytes_i64(const int64_t *offsets, const uint8_t *data, const int32_t *places, int64_t n,
                              const int64_t *out_offsets, uint8_t *out) nogil
    void fc_scatter_order(const int32_t *places, int64_t n, int64_t *order) nogil
