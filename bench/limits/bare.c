/* SPDX-License-Identifier: Apache-2.0 */
/* Bare kernels: the least work that an answer needs, as fast as this machine does it.
 *
 * They are what the engine's kernels and jobs are measured against, never part of the engine. A table is as large from
 * the start as it will be, and its memory is in use; there are no nulls, no types, no growth, no snapshots, no late
 * rows. Every kernel does one of its operation per row and leaves a result that can be checked. Where a table outgrows
 * the cache, rows are taken in blocks whose entries and rows are fetched ahead of their use; in the cache that costs
 * more than it gains, so each kernel has both forms (`staged`), and the faster one counts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define BLOCK 128          /* rows whose memory is fetched ahead together */
#define WINDOW_MS 10000    /* of W1; known to the compiler, so that a division is a multiplication */
#define LATENESS_MS 5000   /* the watermark stays so far behind, and 1 ms */
#define LIVE 4             /* windows open at a time: with records up to 5 s late three can be */
#define MIX UINT64_C(0x9E3779B97F4A7C15)

/* Memory that is in use, on large pages where there are any; NULL when there is not so much. */
static void *in_use(size_t bytes) {
    const size_t huge = (size_t)2 << 20;
    size_t rounded = (bytes + huge - 1) / huge * huge;
    void *memory = aligned_alloc(huge, rounded ? rounded : huge);
    if (memory == NULL) return NULL;
#if defined(__linux__)
    madvise(memory, rounded, MADV_HUGEPAGE);
#endif
    memset(memory, 0, rounded ? rounded : huge);
    return memory;
}

void *bare_memory(int64_t bytes) { return in_use((size_t)bytes); }
void bare_free(void *memory) { free(memory); }

/* -- memory ----------------------------------------------------------------------------------------------------- */

/* The sum of n words, in order: how fast memory is read. */
int64_t bare_read(const int64_t *words, int64_t n) {
    uint64_t total = 0;
    for (int64_t i = 0; i < n; i++) total += (uint64_t)words[i];
    return (int64_t)total;
}

/* n words to elsewhere, past the cache where the processor can. Both 64-byte aligned, n a multiple of 8. */
void bare_copy(const int64_t *from, int64_t *to, int64_t n) {
#if defined(__AVX512F__)
    for (int64_t i = 0; i < n; i += 8)
        _mm512_stream_si512((__m512i *)(to + i), _mm512_load_si512((const __m512i *)(from + i)));
    _mm_sfence();
#else
    memcpy(to, from, (size_t)n * sizeof *to);
#endif
}

/* Adds 1 to a word of n lines of 64 bytes, of 2^bits, that follow each other at random. */
void bare_random(int64_t *words, int bits, int64_t n) {
    uint64_t x = 1;
    for (int64_t i = 0; i < n; i++) {
        x += MIX;
        uint64_t line = ((x ^ (x >> 31)) * UINT64_C(0xBF58476D1CE4E5B9)) >> (64 - bits);
        words[line * 8]++;
    }
}

/* -- rows to rows ----------------------------------------------------------------------------------------------- */

/* W5: rows with value >= least, as (key, 3 * value + 1, time). -> how many. Outputs have room for n + 8. */
int64_t bare_filter(const int64_t *keys, const int64_t *values, const int64_t *times, int64_t n, int64_t least,
                    int64_t *keys_out, int64_t *amounts_out, int64_t *times_out) {
    int64_t kept = 0, i = 0;
#if defined(__AVX512F__)
    const __m512i limit = _mm512_set1_epi64(least), one = _mm512_set1_epi64(1);
    for (; i + 8 <= n; i += 8) {
        __m512i value = _mm512_loadu_si512(values + i);
        __mmask8 pass = _mm512_cmpge_epi64_mask(value, limit);
        __m512i amount = _mm512_add_epi64(_mm512_add_epi64(value, _mm512_slli_epi64(value, 1)), one);
        /* to a register first: compressing into memory is microcode on some processors */
        _mm512_storeu_si512(amounts_out + kept, _mm512_maskz_compress_epi64(pass, amount));
        _mm512_storeu_si512(keys_out + kept, _mm512_maskz_compress_epi64(pass, _mm512_loadu_si512(keys + i)));
        _mm512_storeu_si512(times_out + kept, _mm512_maskz_compress_epi64(pass, _mm512_loadu_si512(times + i)));
        kept += __builtin_popcount(pass);
    }
#endif
    for (; i < n; i++) {
        keys_out[kept] = keys[i];
        amounts_out[kept] = 3 * values[i] + 1;
        times_out[kept] = times[i];
        kept += values[i] >= least;
    }
    return kept;
}

/* W9: amount = value - value / 10 from `least` on, else 3 * value + 1, of values that are not negative. */
void bare_map(const int64_t *restrict values, int64_t n, int64_t least, int64_t *restrict amounts) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t value = (uint32_t)values[i]; /* below 10,000, as in W9; narrow, so that the division has lanes */
        uint32_t high = value - value / 10, low = 3 * value + 1;
        amounts[i] = value >= (uint32_t)least ? high : low;
    }
}

/* -- the table -------------------------------------------------------------------------------------------------- */

typedef struct { int64_t key, count, sum, max; } row; /* half a cache line */

/* Linear probing over entries of 4 bytes: 8 bits of the hash above the row's number + 1; 0 is free. */
typedef struct {
    uint32_t *entries;
    row *rows;
    uint64_t mask;
    int shift;
    uint32_t used;
} table;

static int table_make(table *t, int64_t keys_max) {
    int bits = 4;
    while ((INT64_C(3) << bits) < 4 * keys_max) bits++; /* load at most 0.75 */
    t->mask = (UINT64_C(1) << bits) - 1;
    t->shift = 64 - bits;
    t->used = 0;
    t->entries = in_use(sizeof(uint32_t) << bits);
    t->rows = in_use(sizeof(row) * (size_t)(keys_max + 1));
    return t->entries != NULL && t->rows != NULL && keys_max < (1 << 24) - 1;
}

static void table_free(table *t) {
    free(t->entries);
    free(t->rows);
}

static inline uint64_t hash_of(int64_t key) { return (uint64_t)key * MIX; }
static inline uint32_t tag_of(const table *t, uint64_t hash) { return (uint32_t)(hash >> (t->shift - 8)) << 24; }

static inline row *find_or_insert(table *t, int64_t key, uint64_t hash) {
    const uint32_t tag = tag_of(t, hash);
    for (uint64_t at = hash >> t->shift;; at = (at + 1) & t->mask) {
        uint32_t entry = t->entries[at];
        if (entry == 0) {
            t->entries[at] = tag | (t->used + 1);
            row *made = t->rows + t->used++;
            *made = (row){key, 0, 0, INT64_MIN};
            return made;
        }
        row *found = t->rows + (entry & 0xFFFFFF) - 1;
        if ((entry & 0xFF000000) == tag && found->key == key) return found;
    }
}

static inline void update(row *r, int64_t value) {
    r->count++;
    r->sum += value;
    r->max = value > r->max ? value : r->max;
}

static inline void fetch_row(const table *t, uint64_t hash) {
    uint32_t entry = t->entries[hash >> t->shift];
    if (entry != 0) __builtin_prefetch(t->rows + (entry & 0xFFFFFF) - 1, 1);
}

table *bare_table(int64_t keys_max) {
    table *t = malloc(sizeof *t);
    if (t != NULL && !table_make(t, keys_max)) {
        table_free(t);
        free(t);
        return NULL;
    }
    return t;
}

void bare_table_free(table *t) {
    table_free(t);
    free(t);
}

row *bare_table_rows(const table *t) { return t->rows; }
int64_t bare_table_used(const table *t) { return t->used; }

/* count, sum and max by key into a new table. */
void bare_group_by(table *t, const int64_t *keys, const int64_t *values, int64_t n, int staged) {
    uint64_t hashes[BLOCK];
    if (!staged) {
        for (int64_t i = 0; i < n; i++) update(find_or_insert(t, keys[i], hash_of(keys[i])), values[i]);
        return;
    }
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t count = n - start < BLOCK ? n - start : BLOCK;
        for (int64_t i = 0; i < count; i++) {
            hashes[i] = hash_of(keys[start + i]);
            __builtin_prefetch(t->entries + (hashes[i] >> t->shift), 1);
        }
        for (int64_t i = 0; i < count; i++) fetch_row(t, hashes[i]);
        for (int64_t i = 0; i < count; i++)
            update(find_or_insert(t, keys[start + i], hashes[i]), values[start + i]);
    }
}

/* count, sum and max of the rows that ids name. */
void bare_update(row *rows, const int32_t *ids, const int64_t *values, int64_t n) {
    for (int64_t i = 0; i < n; i++) update(rows + ids[i], values[i]);
}

/* Keys to dense ids, in the order in which they first come: the table without what belongs to a key. `distinct` gets
 * the keys, in the order of their ids; a table that was used for nothing else. */
void bare_intern(table *t, int64_t *distinct, const int64_t *keys, int64_t n, int32_t *ids, int staged) {
    uint64_t hashes[BLOCK];
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t count = n - start < BLOCK ? n - start : BLOCK;
        for (int64_t i = 0; i < count; i++) {
            hashes[i] = hash_of(keys[start + i]);
            if (staged) __builtin_prefetch(t->entries + (hashes[i] >> t->shift), 1);
        }
        if (staged)
            for (int64_t i = 0; i < count; i++) {
                uint32_t entry = t->entries[hashes[i] >> t->shift];
                if (entry != 0) __builtin_prefetch(distinct + (entry & 0xFFFFFF) - 1);
            }
        for (int64_t i = 0; i < count; i++) {
            const int64_t key = keys[start + i];
            const uint32_t tag = tag_of(t, hashes[i]);
            uint64_t at = hashes[i] >> t->shift;
            for (;; at = (at + 1) & t->mask) {
                uint32_t entry = t->entries[at], id = (entry & 0xFFFFFF) - 1;
                if (entry == 0) {
                    t->entries[at] = tag | (t->used + 1);
                    distinct[t->used] = key;
                    ids[start + i] = (int32_t)t->used++;
                    break;
                }
                if ((entry & 0xFF000000) == tag && distinct[id] == key) {
                    ids[start + i] = (int32_t)id;
                    break;
                }
            }
        }
    }
}

/* -- windows ---------------------------------------------------------------------------------------------------- */

typedef struct { table live[LIVE]; int64_t number[LIVE]; } windows; /* number: start / WINDOW_MS, -1 when free */

void bare_windows_free(windows *w) {
    for (int i = 0; i < LIVE; i++) table_free(&w->live[i]);
    free(w);
}

windows *bare_windows(int64_t keys_max) {
    windows *w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    for (int i = 0; i < LIVE; i++) {
        w->number[i] = -1;
        if (!table_make(&w->live[i], keys_max)) {
            bare_windows_free(w);
            return NULL;
        }
    }
    return w;
}

/* Writes the rows of a window out as columns: key, window start, count, sum, max. */
static int64_t close_window(windows *w, int i, int64_t *const out[5], int64_t at) {
    table *t = &w->live[i];
    for (uint32_t j = 0; j < t->used; j++, at++) {
        out[0][at] = t->rows[j].key;
        out[1][at] = w->number[i] * WINDOW_MS;
        out[2][at] = t->rows[j].count;
        out[3][at] = t->rows[j].sum;
        out[4][at] = t->rows[j].max;
    }
    memset(t->entries, 0, (t->mask + 1) * sizeof *t->entries);
    t->used = 0;
    w->number[i] = -1;
    return at;
}

/* W1: tumbling windows by key, with a watermark after each `batch_rows`. A window closes when the watermark passes its
 * end, its rows go to `out`. Times are not negative. -> rows in `out`; -1 when more than LIVE windows were open. */
int64_t bare_tumbling(windows *w, const int64_t *keys, const int64_t *values, const int64_t *times, int64_t n,
                      int64_t batch_rows, int staged, int64_t *const out[5]) {
    uint64_t hashes[BLOCK];
    table *targets[BLOCK];
    int64_t written = 0, latest = 0;
    for (int64_t batch = 0; batch < n; batch += batch_rows) {
        int64_t end = n - batch < batch_rows ? n : batch + batch_rows;
        for (int64_t start = batch; start < end; start += BLOCK) {
            int64_t count = end - start < BLOCK ? end - start : BLOCK;
            for (int64_t i = 0; i < count; i++) {
                int64_t time = times[start + i], number = time / WINDOW_MS;
                latest = time > latest ? time : latest;
                int which = (int)(number % LIVE);
                if (w->number[which] != number) {
                    if (w->number[which] != -1) return -1;
                    w->number[which] = number;
                }
                targets[i] = &w->live[which];
                hashes[i] = hash_of(keys[start + i]);
                if (staged) __builtin_prefetch(targets[i]->entries + (hashes[i] >> targets[i]->shift), 1);
            }
            if (staged)
                for (int64_t i = 0; i < count; i++) fetch_row(targets[i], hashes[i]);
            for (int64_t i = 0; i < count; i++)
                update(find_or_insert(targets[i], keys[start + i], hashes[i]), values[start + i]);
        }
        for (int i = 0; i < LIVE; i++)
            if (w->number[i] >= 0 && (w->number[i] + 1) * WINDOW_MS <= latest - LATENESS_MS)
                written = close_window(w, i, out, written);
    }
    for (int i = 0; i < LIVE; i++)
        if (w->number[i] >= 0) written = close_window(w, i, out, written);
    return written;
}

/* -- strings ---------------------------------------------------------------------------------------------------- */

typedef struct { int64_t count; int32_t length; char text[]; } record;

/* As `table`, with entries of 8 bytes: 32 bits of the hash above the place of a record, in words of 8 bytes, + 1. A
 * record that fits into a cache line lies in one. A text is the same when its bytes are. */
typedef struct {
    uint64_t *entries;
    char *records;
    uint64_t mask;
    int shift;
    int64_t bytes_used;
} text_table;

void bare_texts_free(text_table *t) {
    free(t->entries);
    free(t->records);
    free(t);
}

/* For keys_max texts of bytes_max together. */
text_table *bare_texts(int64_t keys_max, int64_t bytes_max) {
    text_table *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    int bits = 4;
    while ((INT64_C(3) << bits) < 4 * keys_max) bits++;
    t->mask = (UINT64_C(1) << bits) - 1;
    t->shift = 64 - bits;
    t->entries = in_use(sizeof(uint64_t) << bits);
    t->records = in_use((size_t)(bytes_max + 128 * (keys_max + 1))); /* and the gaps before lines */
    if (t->entries == NULL || t->records == NULL) {
        bare_texts_free(t);
        return NULL;
    }
    return t;
}

const uint64_t *bare_texts_entries(const text_table *t) { return t->entries; }
int64_t bare_texts_capacity(const text_table *t) { return (int64_t)t->mask + 1; }
const char *bare_texts_records(const text_table *t) { return t->records; }

static inline record *record_of(const text_table *t, uint64_t entry) {
    return (record *)(t->records + 8 * ((uint64_t)(uint32_t)entry - 1));
}

/* A new record for a text. -> its place */
static inline uint64_t append(text_table *t, const char *text, int64_t length) {
    int64_t size = ((int64_t)sizeof(record) - 4 + length + 7) / 8 * 8; /* the struct ends with 4 bytes to spare */
    if (size <= 64 && t->bytes_used % 64 + size > 64) t->bytes_used = (t->bytes_used + 63) / 64 * 64;
    record *made = (record *)(t->records + t->bytes_used);
    made->count = 1;
    made->length = (int32_t)length;
    memcpy(made->text, text, (size_t)length);
    uint64_t place = (uint64_t)t->bytes_used / 8 + 1;
    t->bytes_used += size;
    return place;
}

static inline uint64_t word_at(const char *text) {
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

static inline uint64_t folded(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_text(const char *text, int64_t length) {
    uint64_t hash = (uint64_t)length ^ MIX;
    int64_t i = 0;
    for (; i + 16 <= length; i += 16) hash = folded(hash ^ word_at(text + i), MIX ^ word_at(text + i + 8));
    uint64_t a = 0, b = 0;
    if (length - i >= 8) {
        a = word_at(text + i);
        b = word_at(text + length - 8);
    } else if (length - i > 0) {
        memcpy(&a, text + i, (size_t)(length - i));
    }
    return folded(hash ^ a, MIX ^ b) * MIX;
}

static inline void count_text(text_table *t, const char *text, int64_t length, uint64_t hash) {
    const uint64_t tag = hash << 32; /* its low bits; its place has the high ones */
    for (uint64_t at = hash >> t->shift;; at = (at + 1) & t->mask) {
        uint64_t entry = t->entries[at];
        if (entry == 0) {
            t->entries[at] = tag | append(t, text, length);
            return;
        }
        if ((entry & UINT64_C(0xFFFFFFFF00000000)) != tag) continue;
        record *found = record_of(t, entry);
        if (found->length == length && !memcmp(found->text, text, (size_t)length)) {
            found->count++;
            return;
        }
    }
}

/* count by text, n texts with Arrow's offsets (n + 1 of them). */
void bare_count_texts(text_table *t, const int32_t *offsets, const char *texts, int64_t n, int staged) {
    uint64_t hashes[BLOCK];
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t count = n - start < BLOCK ? n - start : BLOCK;
        for (int64_t i = 0; i < count; i++) {
            int32_t from = offsets[start + i];
            hashes[i] = hash_text(texts + from, offsets[start + i + 1] - from);
            if (staged) __builtin_prefetch(t->entries + (hashes[i] >> t->shift), 1);
        }
        if (staged) {
            for (int64_t i = 0; i < count; i++) {
                uint64_t entry = t->entries[hashes[i] >> t->shift];
                if (entry != 0) __builtin_prefetch(record_of(t, entry), 1);
            }
        }
        for (int64_t i = 0; i < count; i++) {
            int32_t from = offsets[start + i];
            count_text(t, texts + from, offsets[start + i + 1] - from, hashes[i]);
        }
    }
}
