/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of a group index, built anew from the keys that lie in its slots.
 *
 * Entries wait until some hundreds of them go to one stretch of the table, whose lines are then fetched together.
 * 1e7 int64 keys: 0.21 s, of which 0.04 for the memory of the table; 0.25 s put in order of id, lines fetched ahead;
 * 0.23 s and 120 MB of memory more when all are dealt out before the first is put (Sapphire Rapids, one thread). */
#include <string.h>

#include "fc_group_slot.h"
#include "fc_group_snapshot.h"

#define STRETCH_BYTES (INT64_C(1) << 19)
#define STRETCHES_LOG2_MAX 9
#define WAITING 256    /* entries for one stretch */

static bool same_key(const fc_group *group, int32_t id, int32_t other_id) {
    const uint64_t *slot = slot_of(group, id), *other = slot_of(group, other_id);
    if (!has_bytes(group->form) || slot_length(slot) <= SHORT_BYTES_MAX)
        return memcmp(slot, other, (size_t)group->slot_words * 8) == 0;
    return slot[0] == other[0]
           && same_long_bytes(group->arena.data + slot[1], group->arena.data + other[1], slot_length(slot));
}

/* Put entries into the table. Are their keys new to it? */
static bool put(fc_group *group, const uint64_t *entries, int64_t n) {
    fc_table *table = &group->table;
    for (int64_t i = 0; i < n; i++)
        __builtin_prefetch(&table->entries[fc_table_home(table, fc_entry_tag(entries[i]))], 1);
    for (int64_t i = 0; i < n; i++) {
        const uint32_t tag = fc_entry_tag(entries[i]);
        uint64_t slot = fc_table_probe(table, fc_table_home(table, tag), tag);
        while (table->entries[slot] != 0) {
            if (same_key(group, fc_entry_id(entries[i]), fc_entry_id(table->entries[slot]))) return false;
            slot = fc_table_probe(table, (slot + 1) & table->mask, tag);
        }
        fc_table_put(table, slot, tag, fc_entry_id(entries[i]));
    }
    return true;
}

fc_status fc_group_rebuild(fc_group *group, int64_t key_count, bool *distinct) {
    fc_table_clear(&group->table);
    fc_status status = fc_table_reserve(&group->table, key_count);
    if (status != FC_OK) return status;
    int log2 = 0;
    while (log2 < STRETCHES_LOG2_MAX && fc_table_bytes(&group->table) >> log2 > STRETCH_BYTES) log2++;
    fc_buffer dealt = {0};
    status = fc_buffer_reserve(&dealt, (WAITING * 8) << log2);
    if (status != FC_OK) return status;

    uint64_t *entries = (uint64_t *)dealt.data, hashes[WAITING];
    int32_t counts[1 << STRETCHES_LOG2_MAX] = {0}, ids[WAITING];
    *distinct = true;
    for (int64_t first = 0; first < group->id_bound && *distinct; first += WAITING) {
        int64_t end = first + WAITING < group->id_bound ? first + WAITING : group->id_bound;
        int64_t n = fc_group_live_ids(group, first, end, ids);
        fc_group_hashes(group, ids, n, hashes);
        for (int64_t i = 0; i < n; i++) {
            if (ids[i] == group->null_id) continue;    /* it is found without the table */
            const uint64_t stretch = hashes[i] >> 1 >> (63 - log2);
            uint64_t *there = entries + stretch * WAITING;
            there[counts[stretch]++] = fc_table_entry(fc_table_tag(hashes[i]), ids[i]);
            if (counts[stretch] < WAITING) continue;
            *distinct &= put(group, there, WAITING);
            counts[stretch] = 0;
        }
    }
    for (int64_t s = 0; s < 1 << log2 && *distinct; s++)
        *distinct = put(group, entries + s * WAITING, counts[s]);
    fc_buffer_free(&dealt);
    return FC_OK;
}
