/* SPDX-License-Identifier: Apache-2.0
 *
 * Direct map: int64 keys that lie close together -> dense id, by the key itself.
 *
 * Beside a group index, which knows all keys, as an account numbered from 1 knows where it stands without being hashed or
 * compared. It holds what was put there and may be dropped at any time; whoever asks for a key that it does not hold asks
 * the index. Whether keys lie close together is what the data shows: the span of all keys is at most FC_DIRECT_SPREAD
 * times their number, so that it takes up to 4 * FC_DIRECT_SPREAD bytes for each, and half of that more to grow into. */
#ifndef FC_DIRECT_H
#define FC_DIRECT_H

#include <stdbool.h>
#include <stdint.h>

#include "fc_buffer.h"
#include "fc_status.h"

#define FC_DIRECT_SPREAD 4
#define FC_DIRECT_KEYS_MIN 256

typedef struct {
    fc_buffer ids;              /* int32[span]: id + 1 of the key base + position, 0 for none */
    uint64_t base, span;        /* span 0: there is no map */
    int64_t least, greatest;    /* no key is outside, since the bounds were last looked for */
    bool empty;                 /* ... and there is none at all; at the start, all else is 0 */
} fc_direct;

/* The bounds of keys as they come. */
static inline void fc_direct_see(fc_direct *direct, int64_t key) {
    if (direct->empty || key < direct->least) direct->least = key;
    if (direct->empty || key > direct->greatest) direct->greatest = key;
    direct->empty = false;
}

/* The id of a key, -1 when it is not there. Positions wrap around as keys do, so that no two keys have one. */
static inline int32_t fc_direct_id(const fc_direct *direct, uint64_t key) {
    uint64_t at = key - direct->base;
    return at < direct->span ? ((const int32_t *)direct->ids.data)[at] - 1 : -1;
}

/* Gives a key its id, or takes it away with -1; nothing where the map does not reach. */
static inline void fc_direct_put(fc_direct *direct, uint64_t key, int32_t id) {
    uint64_t at = key - direct->base;
    if (at < direct->span) ((int32_t *)direct->ids.data)[at] = id + 1;
}

/* Whether so many keys, of these bounds, lie close together. */
bool fc_direct_fits(const fc_direct *direct, int64_t keys);

/* Whether the map reaches all keys within the bounds. */
bool fc_direct_covers(const fc_direct *direct);

/* An empty map that covers the bounds, with room on both sides; FC_ERR_MEMORY leaves none. */
fc_status fc_direct_make(fc_direct *direct);

/* No map; the bounds stay. */
void fc_direct_drop(fc_direct *direct);

#endif
