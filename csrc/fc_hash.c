/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_hash.h"

#include "fc_simd.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define SHUFFLES 1
#include <immintrin.h>
#endif

/* Multipliers of wyhash (odd, half of the bits set). */
#define MIX_A UINT64_C(0xE7037ED1A0B428DB)
#define MIX_B UINT64_C(0x8EBC6AF09C88C6E3)

__extension__ typedef unsigned __int128 uint128;

static inline uint64_t load_u64(const uint8_t *p) {
    uint64_t value;
    memcpy(&value, p, 8);
    return value;
}

static inline uint64_t load_u32(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, 4);
    return value;
}

static inline uint64_t fold_multiply(uint64_t a, uint64_t b) {
    uint128 product = (uint128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Two words per multiplication, after the idea of wyhash. Loads of the last words overlap the ones before
 * instead of reading past the end; the length goes into the last step, so "a" and "a\0" differ. */
static inline uint64_t hash_bytes(const uint8_t *data, int64_t n, uint64_t seed) {
    uint64_t a, b;
    if (n > 16) {
        int64_t i = 0;
        for (; n - i > 16; i += 16)
            seed = fold_multiply(load_u64(data + i) ^ MIX_A, load_u64(data + i + 8) ^ seed);
        a = load_u64(data + n - 16);
        b = load_u64(data + n - 8);
    } else if (n >= 4) {    /* four loads that cover 4 to 16 bytes without a branch on n */
        int64_t middle = (n >> 3) << 2;
        a = load_u32(data) << 32 | load_u32(data + middle);
        b = load_u32(data + n - 4) << 32 | load_u32(data + n - 4 - middle);
    } else if (n > 0) {
        a = (uint64_t)data[0] << 16 | (uint64_t)data[n >> 1] << 8 | data[n - 1];
        b = 0;
    } else {
        a = b = 0;
    }
    return fold_multiply(MIX_B ^ (uint64_t)n, fold_multiply(a ^ MIX_A, b ^ seed));
}

uint64_t fc_hash_bytes(const uint8_t *data, int64_t n, uint64_t seed) { return hash_bytes(data, n, seed); }

FC_SIMD_CLONES
static void mix_words(const uint64_t *words, int64_t n, uint64_t *hashes) {
    for (int64_t i = 0; i < n; i++) hashes[i] = fc_hash_word(words[i], hashes[i]);
}

FC_SIMD_CLONES
static void canonical_words(const uint64_t *bits, int64_t n, uint64_t *words) {
    for (int64_t i = 0; i < n; i++) words[i] = fc_word_f64(bits[i]);
}

#ifdef SHUFFLES
/* Where the bytes of both words of up to 16 bytes come from, as hash_bytes has them; N is a byte that is 0. The lengths
 * of words are nothing that a processor foresees, and this asks for none: 6.4 instead of 8.7 ns a word of real text, 7.8
 * bytes long; the same by masks, from four loads and no shuffle, took 0.7 more than the branches (Cascade Lake). */
#define N 0x80
#define FOUR(at) (at), (at) + 1, (at) + 2, (at) + 3
#define TINY(first, second, third) {first, second, third, N, N, N, N, N, N, N, N, N, N, N, N, N}
#define SHORT(n, middle) {FOUR(middle), FOUR(0), FOUR((n) - 4 - (middle)), FOUR((n) - 4)}
static const uint8_t WORDS_FROM[17][16] = {
    TINY(N, N, N), TINY(0, 0, 0), TINY(1, 1, 0), TINY(2, 1, 0),
    SHORT(4, 0), SHORT(5, 0), SHORT(6, 0), SHORT(7, 0),
    SHORT(8, 4), SHORT(9, 4), SHORT(10, 4), SHORT(11, 4), SHORT(12, 4), SHORT(13, 4), SHORT(14, 4), SHORT(15, 4),
    SHORT(16, 8),
};

__attribute__((target("ssse3")))
static void mix_short_bytes(const fc_column *column, int64_t start, int64_t n, uint64_t *hashes) {
    const int32_t *offsets = column->offsets + start;
    const uint8_t *data = column->values;
    const int64_t safe = (int64_t)column->offsets[column->length] - 16;    /* 16 bytes can be read there */
    for (int64_t i = 0; i < n; i++) {
        int64_t length = offsets[i + 1] - offsets[i];
        if (length > 16 || offsets[i] > safe) {
            hashes[i] = hash_bytes(data + offsets[i], length, hashes[i]);
            continue;
        }
        __m128i bytes = _mm_loadu_si128((const __m128i *)(data + offsets[i]));
        __m128i from = _mm_loadu_si128((const __m128i *)WORDS_FROM[length]);
        __m128i words = _mm_shuffle_epi8(bytes, from);
        uint64_t a = (uint64_t)_mm_cvtsi128_si64(words);
        uint64_t b = (uint64_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(words, words));
        hashes[i] = fold_multiply(MIX_B ^ (uint64_t)length, fold_multiply(a ^ MIX_A, b ^ hashes[i]));
    }
}
#endif

static void mix_bytes(const fc_column *column, int64_t start, int64_t n, uint64_t *hashes) {
#ifdef SHUFFLES
    if (__builtin_cpu_supports("ssse3")) {
        mix_short_bytes(column, start, n, hashes);
        return;
    }
#endif
    const int32_t *offsets = column->offsets + start;
    const uint8_t *data = column->values;
    for (int64_t i = 0; i < n; i++)
        hashes[i] = hash_bytes(data + offsets[i], offsets[i + 1] - offsets[i], hashes[i]);
}

static void mix_nullable_bytes(const fc_column *column, int64_t start, int64_t n, uint64_t *hashes) {
    const int32_t *offsets = column->offsets + start;
    const uint8_t *data = column->values;
    for (int64_t i = 0; i < n; i++)
        hashes[i] = fc_is_valid(column, start + i)
                        ? hash_bytes(data + offsets[i], offsets[i + 1] - offsets[i], hashes[i])
                        : fc_hash_word(FC_HASH_NULL, hashes[i]);
}

/* Bits [position, position + n) of a bitmap, n <= 56; reads no byte beyond the last one's. */
static inline uint64_t load_bits(const uint8_t *bits, int64_t position, int64_t n) {
    int64_t first = position >> 3, last = (position + n - 1) >> 3;
    uint64_t word = 0;
    memcpy(&word, bits + first, (size_t)(last - first + 1));
    return (word >> (position & 7)) & ((UINT64_C(1) << n) - 1);
}

const uint64_t *fc_column_words(const fc_column *column, int64_t start, int64_t n, uint64_t null_word,
                                uint64_t *scratch) {
    const uint64_t *values = column->values;
    if (column->kind == FC_BOOL) {
        for (int64_t i = 0; i < n; i++)
            scratch[i] = fc_bit(column->values, column->bit_offset + start + i);
    } else if (column->kind == FC_F64) {
        canonical_words(values + start, n, scratch);
    } else if (column->validity == NULL) {
        return values + start;
    } else {
        memcpy(scratch, values + start, (size_t)n * 8);
    }
    if (column->validity == NULL) return scratch;
    for (int64_t i = 0; i < n; i += 56) {
        int64_t count = n - i < 56 ? n - i : 56;
        uint64_t nulls = ~load_bits(column->validity, column->bit_offset + start + i, count);
        nulls &= (UINT64_C(1) << count) - 1;
        for (; nulls != 0; nulls &= nulls - 1) scratch[i + __builtin_ctzll(nulls)] = null_word;
    }
    return scratch;
}

void fc_hash_rows(const fc_column *columns, int column_count, int64_t start, int64_t n, uint64_t *hashes) {
    uint64_t scratch[FC_HASH_ROWS_MAX];
    for (int64_t i = 0; i < n; i++) hashes[i] = FC_HASH_SEED;
    for (int c = 0; c < column_count; c++) {
        const fc_column *column = &columns[c];
        if (column->kind != FC_BYTES)
            mix_words(fc_column_words(column, start, n, FC_HASH_NULL, scratch), n, hashes);
        else if (column->validity == NULL)
            mix_bytes(column, start, n, hashes);
        else
            mix_nullable_bytes(column, start, n, hashes);
    }
}

fc_status fc_hash_columns(const fc_column *columns, int column_count, int64_t n, uint64_t *hashes) {
    if (column_count < 1) return FC_ERR_INVALID;
    for (int c = 0; c < column_count; c++) {
        if (columns[c].length != n) return FC_ERR_INVALID;
        if (columns[c].kind < FC_I64 || columns[c].kind > FC_BYTES) return FC_ERR_TYPE;
    }
    for (int64_t start = 0; start < n; start += FC_HASH_ROWS_MAX) {
        int64_t rows = n - start < FC_HASH_ROWS_MAX ? n - start : FC_HASH_ROWS_MAX;
        fc_hash_rows(columns, column_count, start, rows, hashes + start);
    }
    return FC_OK;
}
