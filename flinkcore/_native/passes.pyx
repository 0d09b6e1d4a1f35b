# SPDX-License-Identifier: Apache-2.0
"""Programs that compute columns in one pass over a batch (csrc/fc_pass.h), and selection by masks."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from flinkcore._native.buffer cimport fc_buffer_free
from flinkcore._native.column cimport FC_ERR_INVALID, Column, fc_column, fc_status
from flinkcore._native.status cimport check

# By the name of an op, in the order of fc_pass_op.
OPS = {
    name: number
    for number, name in enumerate(
        """
        ADD SUB MUL NEG ABS ADD_EXACT SUB_EXACT MUL_EXACT NEG_EXACT ABS_EXACT DIV REM FLOORDIV_EXACT
        MOD_EXACT AND OR XOR NOT TO_I8 TO_I16 TO_I32 ADD_F64 SUB_F64 MUL_F64 DIV_F64 NEG_F64 ABS_F64
        DIV_F64_EXACT TO_F32 EQ NE LT LE GT GE EQ_F64 NE_F64 LT_F64 LE_F64 GT_F64 GE_F64 AND_MASK OR_MASK
        XOR_MASK NOT_MASK CHOOSE CHOOSE_MASK F64_OF_I64 F64_OF_I64_EXACT I64_OF_MASK MASK_OF_I64 MASK_OF_F64
        COPY COPY_MASK REQUIRE
        """.split(),
        1,
    )
}

VALUES, BITS, VALIDITY = 1, 2, 3    # the part of a column that an input is
I64, F64, MASK = "i64", "f64", "mask"


cdef class Pass:
    """A program over registers. Not for concurrent use.

    steps : (op, out, a, b, when), by register; b and when are -1 where there is none
    inputs : (register, column, part);  constants : (register, value, kind);  outputs : (register, kind)
    registers : how many
    ValueError : a register or an op that there is none of
    """

    def __cinit__(self, list steps, list inputs, list constants, list outputs, int registers):
        cdef fc_pass *program = &self.program
        cdef size_t sizes[5]
        cdef char *at
        cdef double number
        cdef Py_ssize_t i
        sizes[0] = len(steps) * sizeof(fc_pass_step)
        sizes[1] = len(inputs) * sizeof(fc_pass_input)
        sizes[2] = len(constants) * sizeof(fc_pass_constant)
        sizes[3] = len(outputs) * sizeof(fc_pass_output)
        sizes[4] = (registers + len(outputs)) * sizeof(void *)
        self.column_count = 1 + max([column for _, column, _ in inputs], default=-1)
        self.columns = <fc_column *>calloc(self.column_count + 1, sizeof(fc_column))
        # The pointers are first: they need the widest alignment.
        self.memory = malloc(sizes[0] + sizes[1] + sizes[2] + sizes[3] + sizes[4] + 8)
        if self.memory == NULL or self.columns == NULL:
            raise MemoryError()
        at = <char *>self.memory
        program.places = <void **>at
        at += sizes[4]
        program.constants = <fc_pass_constant *>at
        for i, (register, value, kind) in enumerate(constants):
            if kind == F64:
                number = value
                memcpy(&(<fc_pass_constant *>at)[i].word, &number, 8)
            else:
                (<fc_pass_constant *>at)[i].word = <uint64_t><int64_t>value
            (<fc_pass_constant *>at)[i].reg = register
            (<fc_pass_constant *>at)[i].mask = kind == MASK
        at += sizes[2]
        program.steps = <fc_pass_step *>at
        for i, (op, out, a, b, when) in enumerate(steps):
            (<fc_pass_step *>at)[i] = fc_pass_step(op, out, a, b, when)
        at += sizes[0]
        program.inputs = <fc_pass_input *>at
        for i, (register, column, part) in enumerate(inputs):
            (<fc_pass_input *>at)[i] = fc_pass_input(register, column, part)
        at += sizes[1]
        program.outputs = <fc_pass_output *>at
        for i, (register, kind) in enumerate(outputs):
            (<fc_pass_output *>at)[i] = fc_pass_output(register, kind == MASK)
        program.step_count, program.input_count = len(steps), len(inputs)
        program.constant_count, program.output_count = len(constants), len(outputs)
        program.register_count = registers
        self.kinds = tuple([kind for _, kind in outputs])
        check(fc_pass_prepare(program), "Pass: a register or an op that there is none of")

    def __dealloc__(self):
        fc_buffer_free(&self.program.registers)
        free(self.columns)
        free(self.memory)

    def run(self, columns, int64_t n, const uint8_t[::1] mask=None, int64_t count=-1):
        """The outputs for n rows, or for those where the mask is 1.

        columns : sequence of Column, each of n rows, or None where the program reads none
        mask : uint8[n] of 0 and 1;  count : how many are 1
        -> list of int64[count], float64[count] and, for masks, uint8[count] arrays; None when an exact step stopped
        TypeError : a column of another kind than the program expects
        """
        cdef Column column
        cdef Py_ssize_t i
        cdef void **outputs = self.program.places + self.program.register_count
        cdef const uint8_t *taken = NULL
        cdef uint8_t[::1] bytes_view
        cdef int64_t[::1] words_view
        cdef double[::1] doubles_view
        cdef fc_status status
        if mask is not None:
            if mask.shape[0] != n:
                raise ValueError(f"Pass.run: a mask of {mask.shape[0]} for {n} rows")
            if n:
                taken = &mask[0]
        else:
            count = n
        if mask is not None and count < 0:
            count = fc_mask_count(taken, n) if n else 0
        for i in range(self.column_count):
            if columns[i] is not None:
                column = columns[i]
                self.columns[i] = column.view
        found = []
        for i in range(len(self.kinds)):
            kind = self.kinds[i]
            if kind == MASK:
                array = np.empty(count + FC_PASS_SLACK, np.uint8)
                bytes_view = array
                outputs[i] = &bytes_view[0]
            elif kind == F64:
                array = np.empty(count + FC_PASS_SLACK, np.float64)
                doubles_view = array
                outputs[i] = &doubles_view[0]
            else:
                array = np.empty(count + FC_PASS_SLACK, np.int64)
                words_view = array
                outputs[i] = &words_view[0]
            found.append(array[:count])
        with nogil:
            status = fc_pass_run(&self.program, self.columns, n, taken, outputs)
        if status == FC_ERR_INVALID:
            return None
        check(status, "Pass.run: a column of another kind or length than the program was made for")
        return found


def mask_rows(const uint8_t[::1] mask):
    """The positions where a mask of 0 and 1 is 1.

    mask : uint8[n], or bool[n] viewed as such
    -> int64[m], ascending
    """
    cdef int64_t n = mask.shape[0]
    if n == 0:
        return np.empty(0, np.int64)
    cdef int64_t count = fc_mask_count(&mask[0], n)
    rows = np.empty(count + FC_SELECT_SLACK, np.int64)
    cdef int64_t[::1] view = rows
    with nogil:
        fc_mask_rows(&mask[0], n, &view[0])
    return rows[:count]


def mask_words(const int64_t[::1] values, const uint8_t[::1] mask, int64_t count, bint plain=False):
    """The values where a mask of 0 and 1 is 1.

    values : int64[n];  mask : uint8[n];  count : how many are 1
    plain : without instructions that not every processor has, for tests
    -> int64[count]
    """
    cdef int64_t n = values.shape[0]
    if mask.shape[0] != n:
        raise ValueError(f"mask_words: a mask of {mask.shape[0]} for {n} values")
    found = np.empty(count + FC_SELECT_SLACK, np.int64)
    cdef int64_t[::1] view = found
    if n:
        with nogil:
            fc_mask_words(<const uint64_t *>&values[0], &mask[0], n, plain, <uint64_t *>&view[0])
    return found[:count]
