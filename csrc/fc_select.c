/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_select.h"

#include <string.h>

#include "fc_column.h"
#include "fc_simd.h"

#if defined(__x86_64__) && defined(__GNUC__)    /* every processor with AVX2 has popcnt */
#define PERMUTES 1
#include <immintrin.h>
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first row of eight is the lowest byte");

/* By eight bits: the positions of those that are 1, the lowest first, a byte each. */
#define AT_1(w) (w), (w) << 8
#define AT_2(w) AT_1(w), AT_1((w) << 8 | 1)
#define AT_3(w) AT_2(w), AT_2((w) << 8 | 2)
#define AT_4(w) AT_3(w), AT_3((w) << 8 | 3)
#define AT_5(w) AT_4(w), AT_4((w) << 8 | 4)
#define AT_6(w) AT_5(w), AT_5((w) << 8 | 5)
#define AT_7(w) AT_6(w), AT_6((w) << 8 | 6)
#define AT_8(w) AT_7(w), AT_7((w) << 8 | 7)
static const uint64_t POSITIONS[256] = {AT_8(UINT64_C(0))};

#define EACH_BYTE UINT64_C(0x0101010101010101)

static inline uint64_t load_eight(const uint8_t *mask) {
    uint64_t eight;
    memcpy(&eight, mask, 8);
    return eight;
}

static inline unsigned bits_of(uint64_t eight) { return (unsigned)(eight * UINT64_C(0x0102040810204080) >> 56); }

static inline int64_t ones_of(uint64_t eight) { return (int64_t)(eight * EACH_BYTE >> 56); }

/* Eight rows at a time, without a branch: 0.05 ns a row. Four at a time, by a table of 16, took 0.12 to 0.19, and one 0.26
 * (this and below: Xeon of 2.6 GHz with AVX-512). */
void fc_select(const uint8_t *mask, int64_t n, fc_selection *selection) {
    int64_t count = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t eight = load_eight(mask + i), at = POSITIONS[bits_of(eight)] + EACH_BYTE * (uint64_t)i;
        memcpy(selection->at + count, &at, 8);
        selection->bits[i >> 3] = (uint8_t)bits_of(eight);
        count += ones_of(eight);
    }
    for (; i < n; i++) {
        selection->at[count] = (uint8_t)i;
        count += mask[i];
    }
    selection->n = n;
    selection->count = count;
}

#ifdef PERMUTES
/* By four bits: the halves, of 4 bytes each, of the values where they are 1. */
#define LANES_1(w) (w), (w) << 16 | 0x0100
#define LANES_2(w) LANES_1(w), LANES_1((w) << 16 | 0x0302)
#define LANES_3(w) LANES_2(w), LANES_2((w) << 16 | 0x0504)
#define LANES_4(w) LANES_3(w), LANES_3((w) << 16 | 0x0706)
static const uint64_t LANES[16] = {LANES_4(UINT64_C(0))};

__attribute__((target("avx2")))
static inline void pack_four(const uint64_t *values, unsigned bits, uint64_t *out) {
    __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)&LANES[bits]));
    __m256i four = _mm256_loadu_si256((const __m256i *)values);
    _mm256_storeu_si256((__m256i *)out, _mm256_permutevar8x32_epi32(four, lanes));
}

/* All rows of a whole block are read. */
__attribute__((target("avx2,popcnt")))
static void pack_block(const fc_selection *selection, const uint64_t *values, uint64_t *out) {
    for (int i = 0; i < FC_SELECT_BLOCK; i += 8) {
        unsigned bits = selection->bits[i >> 3];
        pack_four(values + i, bits & 15, out);
        out += __builtin_popcount(bits & 15);
        pack_four(values + i + 4, bits >> 4, out);
        out += __builtin_popcount(bits >> 4);
    }
}

/* Where most rows are left out, their lines of the cache need not be read. bench_passes.py, a filter of three columns that
 * keeps 1, 50, 99 % of the rows, M rows/s: by position 453, 322, 264; four by a permutation 345, 330, 292; eight by
 * AVX-512's compress 353, 323, 296, for which it is not worth having; one at a time, `k += mask[i]`, 304, 293, 277. */
static bool packs(const fc_selection *selection) {
    return selection->n == FC_SELECT_BLOCK && selection->count >= FC_SELECT_BLOCK / 8 && __builtin_cpu_supports("avx2");
}
#endif

void fc_select_words(const fc_selection *selection, const uint64_t *values, bool plain, uint64_t *out) {
#ifdef PERMUTES
    if (!plain && packs(selection)) {
        pack_block(selection, values, out);
        return;
    }
#else
    (void)plain;
#endif
    for (int64_t k = 0; k < selection->count; k++) out[k] = values[selection->at[k]];
}

void fc_select_bits(const fc_selection *selection, const uint8_t *bits, int64_t offset, uint8_t *out) {
    for (int64_t k = 0; k < selection->count; k++) out[k] = fc_bit(bits, offset + selection->at[k]);
}

/* `restrict` lets compilers widen and write eight positions at once: 0.10 instead of 0.19 ns a row. */
FC_SIMD_CLONES void fc_mask_rows(const uint8_t *restrict mask, int64_t n, int64_t *restrict rows) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t eight = load_eight(mask + i);
        const uint8_t *at = (const uint8_t *)&POSITIONS[bits_of(eight)];
        for (int k = 0; k < 8; k++) rows[k] = i + at[k];
        rows += ones_of(eight);
    }
    for (; i < n; i++) {
        *rows = i;
        rows += mask[i];
    }
}

void fc_mask_words(const uint64_t *values, const uint8_t *mask, int64_t n, bool plain, uint64_t *out) {
    for (int64_t begin = 0; begin < n; begin += FC_SELECT_BLOCK) {
        fc_selection selection;
        fc_select(mask + begin, n - begin < FC_SELECT_BLOCK ? n - begin : FC_SELECT_BLOCK, &selection);
        fc_select_words(&selection, values + begin, plain, out);
        out += selection.count;
    }
}

FC_SIMD_CLONES int64_t fc_mask_count(const uint8_t *mask, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += mask[i];
    return count;
}
