/* SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing from hash to dense id: the half of a group index that knows no keys.
 *
 * An entry is 8 bytes: the high 32 bits of the hash (the tag) above id + 1; zero is empty. A tag's home is
 * its leading bits, so the table is ordered by tag up to displacement: growth and deletion need neither the
 * hashes nor the keys, and growth runs through both tables front to back.
 *
 * Linear probing, power of two, load <= 0.5, of large tables 0.625. Rows/s of find + update of a 32-byte row at 1e6 and 1e7 keys:
 * 8-byte entries 50 and 46 M; 4-byte entries (8-bit tag, 24-bit id) 55 and 49 M, not worth a second format
 * and a limit; key inside the entry 45 and 46 M; load <= 0.75 38 M at 1e7 (Zen 5, one thread, uniform). */
#ifndef FC_TABLE_H
#define FC_TABLE_H

#include <stdint.h>

#include "fc_buffer.h"
#include "fc_status.h"

typedef struct {
    uint64_t *entries;    /* NULL before the first reserve */
    uint64_t mask;        /* slots - 1 */
    int shift;            /* home = tag >> shift */
    int64_t count;        /* entries in use */
    fc_buffer buffer;
} fc_table;

static inline uint32_t fc_table_tag(uint64_t hash) { return (uint32_t)(hash >> 32); }
static inline uint64_t fc_table_home(const fc_table *table, uint32_t tag) { return tag >> table->shift; }
static inline uint64_t fc_table_entry(uint32_t tag, int32_t id) {
    return (uint64_t)tag << 32 | ((uint32_t)id + 1);
}
static inline uint32_t fc_entry_tag(uint64_t entry) { return (uint32_t)(entry >> 32); }
static inline int32_t fc_entry_id(uint64_t entry) { return (int32_t)((uint32_t)entry - 1); }   /* -1: empty */

/* The first slot from `slot` on that is empty or has `tag`. Ends, as many slots are empty. */
static inline uint64_t fc_table_probe(const fc_table *table, uint64_t slot, uint32_t tag) {
    for (;; slot = (slot + 1) & table->mask) {
        uint64_t entry = table->entries[slot];
        if (entry == 0 || fc_entry_tag(entry) == tag) return slot;
    }
}

/* Bytes of the table, for the choice between a plain and a prefetching loop. */
static inline int64_t fc_table_bytes(const fc_table *table) { return table->buffer.bytes; }

/* Make room for `count` entries in all. FC_ERR_MEMORY leaves the table as it was; FC_ERR_CAPACITY above
 * 2^31 entries. May move `entries`. */
fc_status fc_table_reserve(fc_table *table, int64_t count);

/* Fill the empty `slot` that a probe for `tag` ended at. Room must have been reserved. */
static inline void fc_table_put(fc_table *table, uint64_t slot, uint32_t tag, int32_t id) {
    table->entries[slot] = fc_table_entry(tag, id);
    table->count++;
}

/* Take out the entry of `id`, which must be there; `tag` says where it should be, and when it is not (the
 * caller's hashes did not belong to its keys) the whole table is searched. The entries after it close up, so
 * that no tombstones lengthen later probes. */
void fc_table_erase(fc_table *table, uint32_t tag, int32_t id);

/* Forget all entries; the room stays. */
void fc_table_clear(fc_table *table);

void fc_table_free(fc_table *table);

#endif
