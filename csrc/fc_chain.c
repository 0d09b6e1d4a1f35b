/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_chain.h"

#include <string.h>

#define FC_CHAIN_ROWS_MAX (INT32_MAX - 1)

void fc_chain_free(fc_chain *chain) {
    fc_buffer_free(&chain->heads);
    fc_buffer_free(&chain->tails);
    fc_buffer_free(&chain->next);
    fc_buffer_free(&chain->times);
    *chain = (fc_chain){.timed = chain->timed};
}

fc_status fc_chain_append(fc_chain *chain, const int32_t *ids, const int64_t *times, int64_t n) {
    int32_t lowest = 0, highest = -1;
    for (int64_t i = 0; i < n; i++) {
        lowest = ids[i] < lowest ? ids[i] : lowest;
        highest = ids[i] > highest ? ids[i] : highest;
    }
    if (lowest < 0 || (times != NULL) != chain->timed) return FC_ERR_INVALID;
    if (n > FC_CHAIN_ROWS_MAX - chain->row_count) return FC_ERR_CAPACITY;
    const int64_t bound = chain->id_bound > highest ? chain->id_bound : (int64_t)highest + 1;
    const int64_t row_count = chain->row_count + n;
    fc_status status = fc_buffer_reserve_zeroed(&chain->heads, bound * 4);
    if (status == FC_OK) status = fc_buffer_reserve_zeroed(&chain->tails, bound * 4);
    if (status == FC_OK) status = fc_buffer_reserve(&chain->next, row_count * 4);
    if (status == FC_OK && chain->timed) status = fc_buffer_reserve(&chain->times, row_count * 8);
    if (status != FC_OK || n == 0) return status;

    int32_t *heads = (int32_t *)chain->heads.data, *tails = (int32_t *)chain->tails.data;
    int32_t *next = (int32_t *)chain->next.data;
    for (int64_t i = 0; i < n; i++) {
        const int32_t row = (int32_t)(chain->row_count + i) + 1, tail = tails[ids[i]];
        next[row - 1] = 0;
        if (tail == 0) heads[ids[i]] = row;
        else next[tail - 1] = row;
        tails[ids[i]] = row;
    }
    if (chain->timed) memcpy((int64_t *)chain->times.data + chain->row_count, times, (size_t)n * 8);
    chain->id_bound = bound;
    chain->row_count = row_count;
    return FC_OK;
}

static inline int64_t sum_within(int64_t time, int64_t more) {
    int64_t sum;
    if (!__builtin_add_overflow(time, more, &sum)) return sum;
    return more < 0 ? INT64_MIN : INT64_MAX;
}

int64_t fc_chain_match(const fc_chain *chain, const int32_t *ids, int64_t first, int64_t end, const fc_chain_span *span,
                       int64_t capacity, int64_t *askers, int64_t *rows, int64_t *stop) {
    const int32_t *heads = (const int32_t *)chain->heads.data, *next = (const int32_t *)chain->next.data;
    const int64_t *times = (const int64_t *)chain->times.data;
    int64_t count = 0;
    for (int64_t i = first; i < end; i++) {
        if (ids[i] < 0 || ids[i] >= chain->id_bound) continue;
        int64_t lower = INT64_MIN, upper = INT64_MAX;
        if (span != NULL) {
            lower = sum_within(span->times[i], span->lower_ms);
            upper = sum_within(span->times[i], span->upper_ms);
        }
        int64_t found = count;
        for (int32_t row = heads[ids[i]]; row != 0; row = next[row - 1]) {
            if (span != NULL) {
                const int64_t time = times[row - 1];
                if (time < lower || time > upper || time <= span->after_ms) continue;
            }
            if (found == capacity) {
                *stop = i;
                return count;
            }
            askers[found] = i;
            rows[found++] = row - 1;
        }
        count = found;
    }
    *stop = end;
    return count;
}
