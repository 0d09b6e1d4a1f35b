# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from flinkcore._native.buffer cimport fc_buffer
from flinkcore._native.column cimport fc_column, fc_status


cdef extern from "fc_pass.h":
    const int FC_PASS_SLACK
    ctypedef int fc_pass_part

    ctypedef struct fc_pass_step:
        int32_t op
        int32_t out
        int32_t a
        int32_t b
        int32_t when

    ctypedef struct fc_pass_input:
        int32_t reg
        int32_t column
        fc_pass_part part

    ctypedef struct fc_pass_constant:
        int32_t reg
        uint64_t word
        bint mask

    ctypedef struct fc_pass_output:
        int32_t reg
        bint mask

    ctypedef struct fc_pass:
        const fc_pass_step *steps
        int32_t step_count
        const fc_pass_input *inputs
        int32_t input_count
        const fc_pass_constant *constants
        int32_t constant_count
        const fc_pass_output *outputs
        int32_t output_count
        int32_t register_count
        fc_buffer registers
        void **places

    fc_status fc_pass_prepare(fc_pass *program) nogil
    fc_status fc_pass_run(fc_pass *program, const fc_column *columns, int64_t n, const uint8_t *mask,
                          void **outputs) nogil


cdef extern from "fc_select.h":
    const int FC_SELECT_SLACK

    void fc_mask_rows(const uint8_t *mask, int64_t n, int64_t *rows) nogil
    void fc_mask_words(const uint64_t *values, const uint8_t *mask, int64_t n, bint plain, uint64_t *out) nogil
    int64_t fc_mask_count(const uint8_t *mask, int64_t n) nogil


cdef class Pass:
    cdef fc_pass program
    cdef void *memory
    cdef fc_column *columns
    cdef tuple kinds             # of the outputs
    cdef int column_count
