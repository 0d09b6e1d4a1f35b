/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_scatter.h"

#include <stdbool.h>
#include <string.h>

#include "fc_column.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define MASKS 1
#define MASKED __attribute__((target("avx512bw,avx512vl,popcnt")))
static bool has_masks(void) { return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"); }
#else
#define MASKED
static bool has_masks(void) { return false; }
#endif

#ifdef MASKS
/* Among two targets, places are two runs, of 0, 1, ... and of what is the first of the second target; eight rows are then
 * compressed into each. 0.69 instead of 0.93 ns a row of columns that come from beyond the cache, 0.34 instead of 0.58
 * within it (Sapphire Rapids). -> the rows that were scattered, up to where places are something else */
MASKED static int64_t scatter_two_runs(const uint8_t *values, const int32_t *places, int64_t n, uint8_t *out) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    int32_t next = 0, second = 0;
    int64_t i = 0;
    while (second < n && places[second] == second) second++;
    if (second == n) {
        memcpy(out, values, (size_t)n * 8);
        return n;
    }
    int32_t next_second = places[second];
    const __m256i split = _mm256_set1_epi32(next_second - 1);
    for (; i + 8 <= n; i += 8) {
        __m256i to = _mm256_loadu_si256((const __m256i *)(places + i));
        __mmask8 later = _mm256_cmpgt_epi32_mask(to, split);
        __m256i expected = _mm256_maskz_expand_epi32((__mmask8)~later, _mm256_add_epi32(_mm256_set1_epi32(next), lanes));
        expected = _mm256_mask_expand_epi32(expected, later, _mm256_add_epi32(_mm256_set1_epi32(next_second), lanes));
        if (_mm256_cmpneq_epi32_mask(to, expected)) break;
        int count = __builtin_popcount(later);
        __m512i rows = _mm512_loadu_si512(values + 8 * i);
        _mm512_mask_storeu_epi64(out + 8 * (int64_t)next, (__mmask8)(0xFF >> count),
                                 _mm512_maskz_compress_epi64((__mmask8)~later, rows));
        _mm512_mask_storeu_epi64(out + 8 * (int64_t)next_second, (__mmask8)((1 << count) - 1),
                                 _mm512_maskz_compress_epi64(later, rows));
        next += 8 - count;
        next_second += count;
    }
    return i;
}
#endif

/* Widths that are one load and one store; four loads before four stores took 0.37 instead of 0.42 ns per row.
 * Arrow's buffers are aligned only by recommendation, hence memcpy. */
#define SCATTER_WIDTH(width)                                                                \
    case width: {                                                                           \
        for (; i + 4 <= n; i += 4) {                                                        \
            uint8_t row[4][width];                                                          \
            for (int k = 0; k < 4; k++) memcpy(row[k], values + (i + k) * (width), (width)); \
            for (int k = 0; k < 4; k++)                                                     \
                memcpy(out + (int64_t)places[i + k] * (width), row[k], (width));            \
        }                                                                                   \
        for (; i < n; i++)                                                                  \
            memcpy(out + (int64_t)places[i] * (width), values + i * (width), (width));      \
        return;                                                                             \
    }

void fc_scatter_fixed(const uint8_t *values, int64_t width, const int32_t *places, int64_t n, uint8_t *out) {
    int64_t i = 0;
#ifdef MASKS
    if (width == 8 && n >= 64 && has_masks()) i = scatter_two_runs(values, places, n, out);
#endif
    switch (width) {
        SCATTER_WIDTH(1)
        SCATTER_WIDTH(2)
        SCATTER_WIDTH(4)
        SCATTER_WIDTH(8)
        SCATTER_WIDTH(16)
    }
    for (; i < n; i++) memcpy(out + places[i] * width, values + i * width, (size_t)width);
}

void fc_scatter_bits(const uint8_t *bits, int64_t bit_offset, const int32_t *places, int64_t n, uint8_t *out) {
    for (int64_t i = 0; i < n; i++)
        out[places[i] >> 3] |= (uint8_t)(fc_bit(bits, bit_offset + i) << (places[i] & 7));
}

/* Most values are short, and a call of memcpy takes longer than they do: loads that overlap cover 4 to 16 bytes. */
static inline void copy_bytes(uint8_t *out, const uint8_t *data, int64_t n) {
    if (n > 16) {
        memcpy(out, data, (size_t)n);
    } else if (n >= 8) {
        uint64_t first, last;
        memcpy(&first, data, 8);
        memcpy(&last, data + n - 8, 8);
        memcpy(out, &first, 8);
        memcpy(out + n - 8, &last, 8);
    } else if (n >= 4) {
        uint32_t first, last;
        memcpy(&first, data, 4);
        memcpy(&last, data + n - 4, 4);
        memcpy(out, &first, 4);
        memcpy(out + n - 4, &last, 4);
    } else {
        for (int64_t i = 0; i < n; i++) out[i] = data[i];
    }
}

/* By masks there is no branch on the length, which nothing foresees: 1.6 instead of 6.6 ns a word of real text, 7 bytes
 * long (Sapphire Rapids). A masked byte is neither read nor written. */
#ifdef MASKS
MASKED static inline void copy_masked(uint8_t *out, const uint8_t *data, int64_t n) {
    if (n > 32) {
        memcpy(out, data, (size_t)n);
        return;
    }
    __mmask32 kept = (__mmask32)((UINT64_C(1) << n) - 1);
    _mm256_mask_storeu_epi8(out, kept, _mm256_maskz_loadu_epi8(kept, data));
}
#else
#define copy_masked copy_bytes
#endif

#define SCATTER_LOOP(name, target, copy, offset_t)                                                              \
    target static void name(const offset_t *offsets, const uint8_t *data, const int32_t *places, int64_t n,     \
                            const offset_t *out_offsets, uint8_t *out) {                                        \
        for (int64_t i = 0; i < n; i++)                                                                         \
            copy(out + out_offsets[places[i]], data + offsets[i], offsets[i + 1] - offsets[i]);                 \
    }

#define SCATTER_BYTES(suffix, offset_t)                                                                         \
    void fc_scatter_offsets_##suffix(const offset_t *offsets, const int32_t *places, int64_t n, offset_t *out) { \
        out[0] = 0;                                                                                             \
        for (int64_t i = 0; i < n; i++) out[places[i] + 1] = offsets[i + 1] - offsets[i];                       \
        for (int64_t i = 0; i < n; i++) out[i + 1] += out[i];                                                   \
    }                                                                                                           \
    SCATTER_LOOP(masked_##suffix, MASKED, copy_masked, offset_t)                                                \
    SCATTER_LOOP(plain_##suffix, , copy_bytes, offset_t)                                                        \
    void fc_scatter_bytes_##suffix(const offset_t *offsets, const uint8_t *data, const int32_t *places,         \
                                   int64_t n, const offset_t *out_offsets, uint8_t *out) {                      \
        (has_masks() ? masked_##suffix : plain_##suffix)(offsets, data, places, n, out_offsets, out);             \
    }

SCATTER_BYTES(i32, int32_t)
SCATTER_BYTES(i64, int64_t)

void fc_scatter_order(const int32_t *places, int64_t n, int64_t *order) {
    for (int64_t i = 0; i < n; i++) order[places[i]] = i;
}
