/* SPDX-License-Identifier: Apache-2.0
 *
 * Chains: the rows of one side of a join, row after row of each id, and the pairs that rows of the other side make.
 *
 * Rows are numbered as they are appended. A chain is walked from its oldest row on, so that the pairs of a row come in
 * the order in which its partners came. Rows may have times; then a pair can be asked to lie within bounds
 * (Flink: IntervalJoinOperator.processElement). */
#ifndef FC_CHAIN_H
#define FC_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "fc_buffer.h"
#include "fc_status.h"

typedef struct {
    fc_buffer heads, tails;    /* int32[id_bound]: a chain's first and last row, plus 1; 0: no row */
    fc_buffer next;            /* int32[row_count]: the next row of the id, plus 1; 0: none */
    fc_buffer times;           /* int64[row_count] in milliseconds, when `timed` */
    int64_t id_bound, row_count;
    bool timed;
} fc_chain;

/* Which rows of a chain a row at time `t` pairs with: those in [t + lower_ms, t + upper_ms] that are > after_ms.
 * Bounds beyond int64 are its limits. */
typedef struct {
    const int64_t *times;      /* of the rows that ask */
    int64_t lower_ms, upper_ms, after_ms;
} fc_chain_span;

/* A zeroed struct is empty; `timed` is to be set before the first row. */
void fc_chain_free(fc_chain *chain);

/* Append rows of ids[i] >= 0; `times` is NULL for chains without. FC_ERR_INVALID for a negative id, FC_ERR_CAPACITY
 * past 2^31 - 2 rows, FC_ERR_MEMORY; then no row was added. */
fc_status fc_chain_append(fc_chain *chain, const int32_t *ids, const int64_t *times, int64_t n);

/* The pairs of rows [first, end) of ids[], whose ids may be -1 for none: (askers[p], rows[p]), in the order of askers.
 * `span` is NULL for all rows of the id. Returns how many pairs there are; *stop is `end`, or the first row whose pairs
 * did not all fit in `capacity`, and none of that row are counted. */
int64_t fc_chain_match(const fc_chain *chain, const int32_t *ids, int64_t first, int64_t end, const fc_chain_span *span,
                       int64_t capacity, int64_t *askers, int64_t *rows, int64_t *stop);

#endif
