/* SPDX-License-Identifier: Apache-2.0
 *
 * Scatter: rows of a column to places, a permutation of 0 .. n - 1 as fc_places gives it; the other way
 * round than fc_take. Reads are in order and writes go to as many places as there are targets: 0.4 ns per row of an
 * 8-byte column with 2 to 128 targets, where a gather takes 0.35 to 0.65, and another pass to make its order (Zen 5).
 *
 * Columns keep their own Arrow layout here: nothing is widened. Outputs are caller-allocated. */
#ifndef FC_SCATTER_H
#define FC_SCATTER_H

#include <stdint.h>

/* out[places[i]] = values[i], for values of `width` > 0 bytes each. */
void fc_scatter_fixed(const uint8_t *values, int64_t width, const int32_t *places, int64_t n, uint8_t *out);

/* Bit places[i] of `out` = bit (bit_offset + i) of `bits`. `out` is zeroed before. */
void fc_scatter_bits(const uint8_t *bits, int64_t bit_offset, const int32_t *places, int64_t n, uint8_t *out);

/* The n + 1 offsets of scattered byte values, and their bytes to where these say; offsets of 32 and 64 bits.
 * The total is that of the input, so that it fits. */
void fc_scatter_offsets_i32(const int32_t *offsets, const int32_t *places, int64_t n, int32_t *out);
void fc_scatter_offsets_i64(const int64_t *offsets, const int32_t *places, int64_t n, int64_t *out);
void fc_scatter_bytes_i32(const int32_t *offsets, const uint8_t *data, const int32_t *places, int64_t n,
                          const int32_t *out_offsets, uint8_t *out);
void fc_scatter_bytes_i64(const int64_t *offsets, const uint8_t *data, const int32_t *places, int64_t n,
                          const int64_t *out_offsets, uint8_t *out);

/* The order that a gather takes: order[places[i]] = i. */
void fc_scatter_order(const int32_t *places, int64_t n, int64_t *order);

#endif
