/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_split.h"

#include <string.h>

#include "fc_copy.h"
#include "fc_simd.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

typedef enum { ONE_BYTE, SPACES } fc_sought;

/* Bits of 64 bytes: those that are sought. `wide`: are there any that begin a space of several bytes? */
INLINE uint64_t block_bits(fc_sought sought, const uint8_t *data, uint8_t value, bool *wide) {
    uint64_t bits = 0;
#if defined(__SSE2__)
    const __m128i one = _mm_set1_epi8((char)value);
    int high = 0;
    for (int k = 0; k < 4; k++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(data + 16 * k)), found;
        if (sought == ONE_BYTE) {
            found = _mm_cmpeq_epi8(bytes, one);
        } else {    /* signed, so bytes that are not ASCII are below all */
            __m128i line = _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8('\t' - 1)),
                                         _mm_cmplt_epi8(bytes, _mm_set1_epi8('\r' + 1)));
            __m128i space = _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8(0x1B)),
                                          _mm_cmplt_epi8(bytes, _mm_set1_epi8(' ' + 1)));
            found = _mm_or_si128(line, space);
            high |= _mm_movemask_epi8(bytes);
        }
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(found) << 16 * k;
    }
    *wide = high != 0;
#else
    uint8_t high = 0;
    for (int k = 0; k < 64; k++) {
        uint8_t byte = data[k];
        bool is_space = (byte >= '\t' && byte <= '\r') || (byte >= 0x1C && byte <= ' ');
        bits |= (uint64_t)(sought == ONE_BYTE ? byte == value : is_space) << k;
        high |= byte & 0x80;
    }
    *wide = sought == SPACES && high != 0;
#endif
    return bits;
}

/* Bytes of the space of UTF-8 at `data` that is not ASCII, 0 when there is none. */
static int wide_space(const uint8_t *data, int64_t n) {
    if (n >= 2 && data[0] == 0xC2) return data[1] == 0x85 || data[1] == 0xA0 ? 2 : 0;
    if (n < 3 || data[0] < 0xE1 || data[0] > 0xE3) return 0;
    uint32_t code = (uint32_t)(data[0] & 0x0F) << 12 | (uint32_t)(data[1] & 0x3F) << 6 | (data[2] & 0x3F);
    bool is_space = code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029
                    || code == 0x202F || code == 0x205F || code == 0x3000;
    return is_space ? 3 : 0;
}

INLINE void mark(uint64_t *marks, int64_t at) { marks[at >> 6] |= UINT64_C(1) << (at & 63); }

INLINE void mark_bytes(fc_sought sought, const uint8_t *data, int64_t bytes, uint8_t value, uint64_t *marks) {
    for (int64_t start = 0; start < bytes; start += 64) {
        uint8_t last[64] = {0};
        int64_t count = bytes - start < 64 ? bytes - start : 64;
        if (count < 64) memcpy(last, data + start, (size_t)count);
        bool wide;
        uint64_t bits = block_bits(sought, count < 64 ? last : data + start, value, &wide);
        if (count < 64) bits &= (UINT64_C(1) << count) - 1;
        marks[start >> 6] |= bits;
        if (!wide) continue;
        for (int64_t at = start; at < start + count; at++)
            for (int k = wide_space(data + at, bytes - at); k > 0; k--) mark(marks, at + k - 1);
    }
}

FC_SIMD_CLONES
static int64_t count_marks(const uint64_t *marks, int64_t words) {
    int64_t count = 0;
    for (int64_t w = 0; w < words; w++) count += __builtin_popcountll(marks[w]);
    return count;
}

int64_t fc_split_bytes(const fc_column *texts) {
    return texts->length == 0 ? 0 : (int64_t)texts->offsets[texts->length] - texts->offsets[0];
}

static const uint8_t *data_of(const fc_column *texts) {
    return texts->length == 0 ? NULL : (const uint8_t *)texts->values + texts->offsets[0];
}

/* What is behind the texts is marked, so that a walk ends there. */
static int64_t finish(uint64_t *marks, int64_t bytes) {
    int64_t count = count_marks(marks, fc_split_mark_words(bytes));
    mark(marks, bytes);
    return count;
}

int64_t fc_split_mark(const fc_column *texts, const uint8_t *separator, int64_t length, uint64_t *marks) {
    int64_t bytes = fc_split_bytes(texts);
    const uint8_t *data = data_of(texts);
    mark_bytes(ONE_BYTE, data, bytes, separator[0], marks);
    if (length > 1) {
        for (int64_t w = 0; w < fc_split_mark_words(bytes); w++) {
            uint64_t found = 0;
            for (uint64_t bits = marks[w]; bits != 0; bits &= bits - 1) {
                int64_t at = 64 * w + __builtin_ctzll(bits);
                if (bytes - at >= length && memcmp(data + at, separator, (size_t)length) == 0)
                    found |= bits & -bits;
            }
            marks[w] = found;
        }
    }
    return finish(marks, bytes);
}

int64_t fc_split_mark_spaces(const fc_column *texts, uint64_t *marks) {
    int64_t bytes = fc_split_bytes(texts);
    mark_bytes(SPACES, data_of(texts), bytes, 0, marks);
    return finish(marks, bytes);
}

INLINE int64_t split_parts(const fc_column *texts, const uint64_t *marks, int64_t length, bool drop_empty,
                           int64_t *bounds, int32_t *offsets, uint8_t *out) {
    const fc_column input = *texts;    /* out of reach of the stores below */
    const uint8_t *data = data_of(texts);
    const int64_t safe = fc_split_bytes(texts) - FC_COPY_SLACK;
    int64_t word = 0, count = 0;
    int32_t used = 0;
    uint64_t bits = marks[0];
    bounds[0] = 0;
    offsets[0] = 0;
    for (int64_t i = 0; i < input.length; i++) {
        int64_t start = (int64_t)input.offsets[i] - input.offsets[0];
        const int64_t end = (int64_t)input.offsets[i + 1] - input.offsets[0];
        for (bool more = fc_is_valid(&input, i); more;) {
            while (bits == 0) bits = marks[++word];
            int64_t at = 64 * word + __builtin_ctzll(bits);
            more = at + length <= end;
            if (more) {
                bits &= bits - 1;
                if (at < start) continue;    /* overlaps the one before it, or lies across rows or in a null */
            } else {
                at = end;
            }
            if (!drop_empty || at > start) {
                fc_copy_append(out + used, data + start, at - start, start <= safe);
                used += (int32_t)(at - start);
                offsets[++count] = used;
            }
            start = at + length;
        }
        bounds[i + 1] = count;
    }
    return count;
}

int64_t fc_split_parts(const fc_column *texts, const uint64_t *marks, int64_t length, bool drop_empty,
                       int64_t *bounds, int32_t *offsets, uint8_t *data) {
    if (length == 1 && !drop_empty) return split_parts(texts, marks, 1, false, bounds, offsets, data);
    return split_parts(texts, marks, length, drop_empty, bounds, offsets, data);
}
