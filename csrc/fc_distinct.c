/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_distinct.h"

#include <stdbool.h>
#include <string.h>

void fc_distinct_init(fc_distinct *distinct) { memset(distinct, 0, sizeof *distinct); }

void fc_distinct_free(fc_distinct *distinct) {
    fc_buffer_free(&distinct->marks);
    fc_distinct_init(distinct);
}

static fc_status make_room(fc_distinct *distinct, const int32_t *ids, int64_t n) {
    int32_t largest = -1, all = 0;
    for (int64_t i = 0; i < n; i++) {
        all |= ids[i];
        largest = ids[i] > largest ? ids[i] : largest;
    }
    if (all < 0) return FC_ERR_INVALID;
    return fc_buffer_reserve_zeroed(&distinct->marks, (int64_t)largest + 1);
}

/* Up to so many ids are compared with each other: batches of few records must not wait for marks to be cleared. */
#define FEW_IDS 16

static int64_t distinct_of_few(const int32_t *ids, int64_t n, int64_t *rows) {
    int64_t found = 0;
    for (int64_t i = 0; i < n; i++) {
        bool is_new = true;
        for (int64_t j = 0; j < i; j++) is_new &= ids[j] != ids[i];
        rows[found] = i;
        found += is_new;
    }
    return found;
}

fc_status fc_distinct_rows(fc_distinct *distinct, const int32_t *ids, int64_t n, int64_t *rows, int64_t *count) {
    *count = 0;
    fc_status status = make_room(distinct, ids, n);
    if (status != FC_OK || n == 0) return status;
    if (n <= FEW_IDS) {
        *count = distinct_of_few(ids, n, rows);
        return FC_OK;
    }
    uint8_t *marks = distinct->marks.data;
    if (++distinct->call == 0) {    /* the numbers start anew */
        memset(marks, 0, (size_t)distinct->marks.bytes);
        distinct->call = 1;
    }
    const uint8_t call = distinct->call;
    int64_t found = 0;
    for (int64_t i = 0; i < n; i++) {
        rows[found] = i;                       /* written always, kept when the id is new: no branch */
        found += marks[ids[i]] != call;
        marks[ids[i]] = call;
    }
    *count = found;
    return FC_OK;
}
