/* SPDX-License-Identifier: Apache-2.0
 *
 * Gather: rows of a column by position. Positions are the caller's to keep in [0, length).
 * Outputs are caller-allocated; a validity output is a zeroed bitmap of (n + 7) / 8 bytes. */
#ifndef FC_TAKE_H
#define FC_TAKE_H

#include <stdbool.h>

#include "fc_column.h"
#include "fc_copy.h"
#include "fc_status.h"

/* Whether all positions are in [0, length). */
bool fc_rows_are_below(const int64_t *rows, int64_t n, int64_t length);

/* out[i] = values[rows[i]], for 8-byte values (FC_I64, FC_F64). */
void fc_take_words(const uint64_t *values, const int64_t *rows, int64_t n, uint64_t *out);

/* Bit i of `out` = bit (bit_offset + rows[i]) of `bits`; returns how many are 1. `out` is zeroed before. */
int64_t fc_take_bits(const uint8_t *bits, int64_t bit_offset, const int64_t *rows, int64_t n, uint8_t *out);

/* The n + 1 offsets of the gathered byte values; FC_ERR_CAPACITY when their sum exceeds 2^31 - 1. */
fc_status fc_take_offsets(const int32_t *offsets, const int64_t *rows, int64_t n, int32_t *out);

/* The bytes of the gathered values, to the places that fc_take_offsets gave. `length` values are there to be read, and
 * `out` has room for FC_COPY_SLACK bytes more than they need. */
void fc_take_bytes(const int32_t *offsets, int64_t length, const uint8_t *data, const int64_t *rows, int64_t n,
                   const int32_t *out_offsets, uint8_t *out);

#endif
