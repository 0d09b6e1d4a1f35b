/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the rows of a batch: expressions computed block by block, in memory that stays in the first cache.
 *
 * A program is a list of steps over registers of FC_PASS_BLOCK values: int64, double, or masks of a byte per row, 0 or 1.
 * Registers are filled from columns, from constants, or by steps; some are outputs. Where a mask selects rows, only
 * these are loaded and computed, one behind the other: filter and projection are one pass.
 *
 * Steps compute all rows, also those of branches that a row does not take; what must not happen there does not count:
 * an exact step that cannot give its result for a row where its `when` holds stops the pass, with FC_ERR_INVALID.
 * Nothing is then said about the outputs, and the caller computes the batch in another way.
 *
 * Not for concurrent use of one program: registers are its own. */
#ifndef FC_PASS_H
#define FC_PASS_H

#include "fc_buffer.h"
#include "fc_column.h"
#include "fc_select.h"
#include "fc_status.h"

#define FC_PASS_BLOCK FC_SELECT_BLOCK   /* eight registers fill a first cache of 32 KB */
#define FC_PASS_SLACK FC_SELECT_SLACK   /* values behind the last of an output that a pass may write over */

typedef enum {
    /* int64: wrapping as Java's; exact: stops where 64 bits do not hold the result */
    FC_PASS_ADD = 1, FC_PASS_SUB, FC_PASS_MUL, FC_PASS_NEG, FC_PASS_ABS,
    FC_PASS_ADD_EXACT, FC_PASS_SUB_EXACT, FC_PASS_MUL_EXACT, FC_PASS_NEG_EXACT, FC_PASS_ABS_EXACT,
    FC_PASS_DIV, FC_PASS_REM,                       /* truncated, as Java's; stop at a divisor of 0 */
    FC_PASS_FLOORDIV_EXACT, FC_PASS_MOD_EXACT,      /* floored, as Python's; stop at 0 and at -2^63 // -1 */
    FC_PASS_AND, FC_PASS_OR, FC_PASS_XOR, FC_PASS_NOT,
    FC_PASS_TO_I8, FC_PASS_TO_I16, FC_PASS_TO_I32,  /* the low bits, with their sign */
    /* double */
    FC_PASS_ADD_F64, FC_PASS_SUB_F64, FC_PASS_MUL_F64, FC_PASS_DIV_F64, FC_PASS_NEG_F64, FC_PASS_ABS_F64,
    FC_PASS_DIV_F64_EXACT,                          /* stops at a divisor of 0 */
    FC_PASS_TO_F32,                                 /* rounded to a float */
    /* comparisons: to a mask */
    FC_PASS_EQ, FC_PASS_NE, FC_PASS_LT, FC_PASS_LE, FC_PASS_GT, FC_PASS_GE,
    FC_PASS_EQ_F64, FC_PASS_NE_F64, FC_PASS_LT_F64, FC_PASS_LE_F64, FC_PASS_GT_F64, FC_PASS_GE_F64,
    /* masks */
    FC_PASS_AND_MASK, FC_PASS_OR_MASK, FC_PASS_XOR_MASK, FC_PASS_NOT_MASK,
    /* choices: a where `when` holds, else b; of values and of masks */
    FC_PASS_CHOOSE, FC_PASS_CHOOSE_MASK,
    /* conversions */
    FC_PASS_F64_OF_I64, FC_PASS_F64_OF_I64_EXACT,   /* exact: stops where no double is equal */
    FC_PASS_I64_OF_MASK, FC_PASS_MASK_OF_I64, FC_PASS_MASK_OF_F64,   /* a mask of numbers: where they are not 0 */
    FC_PASS_COPY, FC_PASS_COPY_MASK,
    FC_PASS_REQUIRE,                                /* a mask; stops where it is 0 */
    FC_PASS_OPS                                     /* how many, and one */
} fc_pass_op;

/* Registers by number; b is -1 where the step has one operand, when is -1 where it counts for all rows. */
typedef struct {
    int32_t op, out, a, b, when;
} fc_pass_step;

/* What a register is filled with before the steps. */
typedef enum { FC_PASS_VALUES = 1, FC_PASS_BITS = 2, FC_PASS_VALIDITY = 3 } fc_pass_part;

typedef struct {
    int32_t reg, column;
    fc_pass_part part;           /* VALUES: of FC_I64 or FC_F64; BITS: of FC_BOOL; VALIDITY: of any, 1 where present */
} fc_pass_input;

typedef struct {
    int32_t reg;
    uint64_t word;               /* the bits of an int64 or a double; 0 or 1 for a mask */
    bool mask;
} fc_pass_constant;

typedef struct {
    int32_t reg;
    bool mask;
} fc_pass_output;

typedef struct {
    const fc_pass_step *steps;
    int32_t step_count;
    const fc_pass_input *inputs;
    int32_t input_count;
    const fc_pass_constant *constants;
    int32_t constant_count;
    const fc_pass_output *outputs;
    int32_t output_count;
    int32_t register_count;
    fc_buffer registers;         /* by fc_pass_prepare */
    void **places;               /* register_count pointers, the caller's: where registers lie now */
} fc_pass;

/* Room for registers, and constants in theirs. Numbers of registers and ops are checked: FC_ERR_INVALID. FC_ERR_MEMORY. */
fc_status fc_pass_prepare(fc_pass *pass);

/* Runs over n rows, of which mask[i] (0 or 1; NULL: all) says whether row i is among them.
 * outputs[o] : room for as many values of 8 bytes, or bytes of a mask, as there are rows to compute, plus FC_PASS_SLACK
 * FC_ERR_TYPE for a column of another kind than its input is; FC_ERR_INVALID when an exact step stopped. */
fc_status fc_pass_run(fc_pass *pass, const fc_column *columns, int64_t n, const uint8_t *mask, void *const *outputs);

#endif
