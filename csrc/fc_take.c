/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_take.h"

#include <string.h>

#include "fc_simd.h"

/* The largest first, as a loop without a way out vectorises: 0.2 ns a position, not 0.9. */
FC_SIMD_CLONES
static uint64_t largest(const int64_t *rows, int64_t n) {
    uint64_t most = 0;
    for (int64_t i = 0; i < n; i++) most = (uint64_t)rows[i] > most ? (uint64_t)rows[i] : most;
    return most;
}

bool fc_rows_are_below(const int64_t *rows, int64_t n, int64_t length) {
    return n == 0 || largest(rows, n) < (uint64_t)length;
}

void fc_take_words(const uint64_t *values, const int64_t *rows, int64_t n, uint64_t *out) {
    for (int64_t i = 0; i < n; i++) out[i] = values[rows[i]];
}

int64_t fc_take_bits(const uint8_t *bits, int64_t bit_offset, const int64_t *rows, int64_t n, uint8_t *out) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        unsigned bit = fc_bit(bits, bit_offset + rows[i]);
        out[i >> 3] |= (uint8_t)(bit << (i & 7));
        count += bit;
    }
    return count;
}

fc_status fc_take_offsets(const int32_t *offsets, const int64_t *rows, int64_t n, int32_t *out) {
    int64_t total = 0;
    out[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        total += offsets[rows[i] + 1] - offsets[rows[i]];
        if (total > INT32_MAX) return FC_ERR_CAPACITY;
        out[i + 1] = (int32_t)total;
    }
    return FC_OK;
}

void fc_take_bytes(const int32_t *offsets, int64_t length, const uint8_t *data, const int64_t *rows, int64_t n,
                   const int32_t *out_offsets, uint8_t *out) {
    const int64_t safe = (int64_t)offsets[length] - FC_COPY_SLACK;
    for (int64_t i = 0; i < n; i++) {
        int32_t start = offsets[rows[i]];
        fc_copy_append(out + out_offsets[i], data + start, out_offsets[i + 1] - out_offsets[i], start <= safe);
    }
}
