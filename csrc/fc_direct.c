/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_direct.h"

static uint64_t width_of(const fc_direct *direct) { return (uint64_t)direct->greatest - (uint64_t)direct->least; }

bool fc_direct_fits(const fc_direct *direct, int64_t keys) {
    return !direct->empty && keys >= FC_DIRECT_KEYS_MIN && width_of(direct) < FC_DIRECT_SPREAD * (uint64_t)keys;
}

bool fc_direct_covers(const fc_direct *direct) {
    return (uint64_t)direct->least - direct->base < direct->span && (uint64_t)direct->greatest - direct->base < direct->span;
}

fc_status fc_direct_make(fc_direct *direct) {
    uint64_t width = width_of(direct) + 1;    /* that of keys that fit: no overflow */
    fc_direct_drop(direct);
    uint64_t span = width + width / 2;
    fc_status status = fc_buffer_reserve_zeroed(&direct->ids, (int64_t)(span * sizeof(int32_t)));
    if (status != FC_OK) return status;
    direct->base = (uint64_t)direct->least - width / 4;
    direct->span = span;
    return FC_OK;
}

void fc_direct_drop(fc_direct *direct) {
    fc_buffer_free(&direct->ids);
    direct->span = 0;
}
