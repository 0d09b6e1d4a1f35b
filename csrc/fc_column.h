/* SPDX-License-Identifier: Apache-2.0
 *
 * A borrowed view of one Arrow column. Kernels read columns, they never own them: whoever made the
 * view keeps the buffers alive for the call.
 *
 * Four physical kinds carry every type that a kernel touches. Narrow integers, dates, times and
 * timestamps arrive as FC_I64, float32 as FC_F64, strings and binary as FC_BYTES; the schema above
 * keeps the logical type. Zero is never a valid kind.
 *
 * Bit order is Arrow's: bit i of a bitmap is (bits[i >> 3] >> (i & 7)) & 1, 1 = present / true. */
#ifndef FC_COLUMN_H
#define FC_COLUMN_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

typedef enum {
    FC_I64 = 1,   /* int64_t[length] */
    FC_F64 = 2,   /* double[length] */
    FC_BOOL = 3,  /* bitmap, first value at bit `bit_offset` */
    FC_BYTES = 4  /* bytes of value i are data[offsets[i] .. offsets[i + 1]) */
} fc_kind;

typedef struct {
    fc_kind kind;
    int64_t length;
    int64_t bit_offset;        /* first bit of `validity`, and of `values` when FC_BOOL */
    const void *values;        /* value 0 (FC_I64, FC_F64), the bitmap (FC_BOOL), the data (FC_BYTES) */
    const int32_t *offsets;    /* FC_BYTES: length + 1 offsets into `values`, else NULL */
    const uint8_t *validity;   /* bitmap, NULL when no value is null */
} fc_column;

static inline bool fc_bit(const uint8_t *bits, int64_t i) { return (bits[i >> 3] >> (i & 7)) & 1; }

static inline bool fc_is_valid(const fc_column *column, int64_t i) {
    return column->validity == NULL || fc_bit(column->validity, column->bit_offset + i);
}

#endif
