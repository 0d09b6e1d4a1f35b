/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_partition.h"

#include <stdbool.h>
#include <string.h>

#include "fc_hash.h"
#include "fc_simd.h"

__extension__ typedef unsigned __int128 uint128;

/* Division by a constant known only at run time, as one multiplication: floor(x * floor(2^64 / d) / 2^64)
 * is the quotient or one less. The division instruction took 2.2 ns per row, this takes 0.9 (Zen 5). */
typedef struct {
    uint64_t divisor;
    uint64_t reciprocal;
} divider;

static divider divider_of(int32_t divisor) {
    /* for 1, one less than 2^64: the quotient is then one less too, which `divide` mends */
    uint64_t reciprocal = divisor == 1 ? UINT64_MAX : (uint64_t)(((uint128)1 << 64) / (uint64_t)divisor);
    return (divider){.divisor = (uint64_t)divisor, .reciprocal = reciprocal};
}

static inline uint64_t divide(divider by, uint64_t x, uint64_t *remainder) {
    uint64_t quotient = (uint64_t)(((uint128)x * by.reciprocal) >> 64);
    uint64_t rest = x - quotient * by.divisor;
    uint64_t short_by_one = rest >= by.divisor;
    *remainder = rest - (by.divisor & -short_by_one);
    return quotient + short_by_one;
}

static bool is_power_of_two(int32_t x) { return (x & (x - 1)) == 0; }

/* A mask where it will do, as the usual counts are powers of two: 0.1 ns per row; small_remainders takes 0.4. */
FC_SIMD_CLONES
static void mask(const uint64_t *hashes, int64_t n, uint32_t bits, int32_t *out) {
    for (int64_t i = 0; i < n; i++) out[i] = (int32_t)((uint32_t)hashes[i] & bits);
}

#define SMALL_DIVISOR_MAX (1 << 20)

/* The remainder by a small divisor, in numbers that doubles hold exactly, so that it vectorises: 2^32 * high + low is
 * congruent to (2^32 mod divisor) * high + low < 2^53, whose quotient by a multiplication is off by one at most. */
FC_SIMD_CLONES
static void small_remainders(const uint64_t *hashes, int64_t n, int32_t divisor, int32_t *out) {
    double reciprocal = 1.0 / divisor;
    int64_t step = (INT64_C(1) << 32) % divisor;
    for (int64_t i = 0; i < n; i++) {
        int64_t x = (int64_t)(hashes[i] >> 32) * step + (int64_t)(hashes[i] & UINT32_MAX);
        int64_t rest = x - (int64_t)((double)x * reciprocal) * divisor;
        rest += divisor & -(int64_t)(rest < 0);
        rest -= divisor & -(int64_t)(rest >= divisor);
        out[i] = (int32_t)rest;
    }
}

fc_status fc_key_groups(const uint64_t *hashes, int64_t n, int32_t max_parallelism, int32_t *key_groups) {
    if (max_parallelism < 1) return FC_ERR_INVALID;
    if (is_power_of_two(max_parallelism)) {
        mask(hashes, n, (uint32_t)max_parallelism - 1, key_groups);
        return FC_OK;
    }
    if (max_parallelism <= SMALL_DIVISOR_MAX) {
        small_remainders(hashes, n, max_parallelism, key_groups);
        return FC_OK;
    }
    divider by = divider_of(max_parallelism);
    for (int64_t i = 0; i < n; i++) {
        uint64_t key_group;
        divide(by, hashes[i], &key_group);
        key_groups[i] = (int32_t)key_group;
    }
    return FC_OK;
}

/* (hash mod 2^shift) * parallelism / 2^shift, where the product fits 32 bits, so that it vectorises: 0.2 ns per row. */
FC_SIMD_CLONES
static void scaled(const uint64_t *hashes, int64_t n, int shift, uint32_t parallelism, int32_t *out) {
    uint32_t bits = (UINT32_C(1) << shift) - 1;
    for (int64_t i = 0; i < n; i++) out[i] = (int32_t)(((uint32_t)hashes[i] & bits) * parallelism >> shift);
}

fc_status fc_subtasks(const uint64_t *hashes, int64_t n, int32_t max_parallelism, int32_t parallelism,
                      int32_t *subtasks) {
    if (parallelism < 1 || max_parallelism < parallelism) return FC_ERR_INVALID;
    if (is_power_of_two(max_parallelism)) {
        int shift = __builtin_ctz((unsigned)max_parallelism);
        if ((int64_t)max_parallelism * parallelism <= UINT32_MAX) {
            scaled(hashes, n, shift, (uint32_t)parallelism, subtasks);
            return FC_OK;
        }
        mask(hashes, n, (uint32_t)max_parallelism - 1, subtasks);
        for (int64_t i = 0; i < n; i++)
            subtasks[i] = (int32_t)((uint64_t)(uint32_t)subtasks[i] * (uint64_t)parallelism >> shift);
        return FC_OK;
    }
    divider by = divider_of(max_parallelism);
    for (int64_t i = 0; i < n; i++) {
        uint64_t key_group, rest;
        divide(by, hashes[i], &key_group);
        subtasks[i] = (int32_t)divide(by, key_group * (uint64_t)parallelism, &rest);
    }
    return FC_OK;
}

/* With few targets, the counter of one is loaded right after it was stored, and the loop waits for it: 4 to 5 cycles
 * a row. Rows of four stripes in turn have four counters. Stripes must not lie a multiple of 4 KB apart, where all
 * share one set of the first cache: 0.85 instead of 1.15 ns per row in batches of 65,536 (8 stripes: 1.05, or 6). */
#define STRIPES 4
#define STRIPED_TARGETS_MAX 1024
#define SET_ROWS 1024    /* 4 KB of int32 */
#define APART 16         /* the same for their counters: a cache line more */

static int64_t stripe_rows(int64_t n) {
    int64_t rows = n / STRIPES, apart = rows % SET_ROWS;
    return rows > SET_ROWS && (apart < 64 || apart > SET_ROWS - 64) ? rows - 144 : rows;
}

static void striped_places(const int32_t *targets, int64_t n, int32_t count, int32_t *places, int64_t *bounds) {
    int32_t next[STRIPES][STRIPED_TARGETS_MAX + APART];
    int64_t rows = stripe_rows(n);
    for (int s = 0; s < STRIPES; s++) memset(next[s], 0, (size_t)count * sizeof next[s][0]);
    for (int64_t i = 0; i < rows; i++)
        for (int s = 0; s < STRIPES; s++) next[s][targets[s * rows + i]]++;
    for (int64_t i = STRIPES * rows; i < n; i++) next[STRIPES - 1][targets[i]]++;
    int32_t start = 0;
    for (int32_t t = 0; t < count; t++) {
        bounds[t] = start;
        for (int s = 0; s < STRIPES; s++) {    /* counts become starts */
            int32_t counted = next[s][t];
            next[s][t] = start;
            start += counted;
        }
    }
    bounds[count] = n;
    for (int64_t i = 0; i < rows; i++)
        for (int s = 0; s < STRIPES; s++) places[s * rows + i] = next[s][targets[s * rows + i]]++;
    for (int64_t i = STRIPES * rows; i < n; i++) places[i] = next[STRIPES - 1][targets[i]]++;
}

/* Two targets: both counters in one register, where nothing waits for memory; 0.6 of the time of the stripes. */
FC_SIMD_CLONES
static void places_of_two(const int32_t *targets, int64_t n, int32_t *places, int64_t *bounds) {
    int64_t seconds = 0;
    for (int64_t i = 0; i < n; i++) seconds += targets[i];
    bounds[0] = 0;
    bounds[1] = n - seconds;
    bounds[2] = n;
    uint64_t next = (uint64_t)bounds[1] << 32;
    for (int64_t i = 0; i < n; i++) {
        int shift = targets[i] << 5;
        places[i] = (int32_t)(next >> shift);
        next += UINT64_C(1) << shift;
    }
}

/* Not less than the largest target, read as unsigned, and equal to it where it matters: a power of two less one. */
FC_SIMD_CLONES
static uint32_t all_bits(const int32_t *targets, int64_t n) {
    uint32_t bits = 0;
    for (int64_t i = 0; i < n; i++) bits |= (uint32_t)targets[i];
    return bits;
}

static bool are_below(const int32_t *targets, int64_t n, uint32_t count) {
    if (all_bits(targets, n) < count) return true;
    for (int64_t i = 0; i < n; i++)
        if ((uint32_t)targets[i] >= count) return false;
    return true;
}

fc_status fc_places(const int32_t *targets, int64_t n, int32_t count, int32_t *places, int64_t *bounds) {
    if (count < 1) return FC_ERR_INVALID;
    if (n > INT32_MAX) return FC_ERR_CAPACITY;
    if (!are_below(targets, n, (uint32_t)count)) return FC_ERR_INVALID;
    if (count == 2) {
        places_of_two(targets, n, places, bounds);
        return FC_OK;
    }
    if (count <= STRIPED_TARGETS_MAX) {
        striped_places(targets, n, count, places, bounds);
        return FC_OK;
    }
    memset(bounds, 0, ((size_t)count + 1) * sizeof *bounds);
    for (int64_t i = 0; i < n; i++) bounds[targets[i] + 1]++;
    for (int32_t t = 0; t < count; t++) bounds[t + 1] += bounds[t];
    for (int64_t i = 0; i < n; i++) places[i] = (int32_t)bounds[targets[i]]++;
    /* each start has moved to its end, which is the next one's start */
    memmove(bounds + 1, bounds, (size_t)count * sizeof *bounds);
    bounds[0] = 0;
    return FC_OK;
}

fc_status fc_key_places(const fc_column *columns, int column_count, int64_t n, int32_t max_parallelism,
                        int32_t parallelism, int32_t *places, int64_t *bounds) {
    uint64_t hashes[FC_HASH_ROWS_MAX];
    fc_status status = FC_OK;
    for (int64_t start = 0; start < n && status == FC_OK; start += FC_HASH_ROWS_MAX) {
        int64_t rows = n - start < FC_HASH_ROWS_MAX ? n - start : FC_HASH_ROWS_MAX;
        fc_hash_rows(columns, column_count, start, rows, hashes);
        status = fc_subtasks(hashes, rows, max_parallelism, parallelism, places + start);
    }
    return status == FC_OK ? fc_places(places, n, parallelism, places, bounds) : status;
}
