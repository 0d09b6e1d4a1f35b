/* SPDX-License-Identifier: Apache-2.0
 *
 * The way back of a group index: from ids to keys and their hashes. */
#include "fc_group.h"

#include <string.h>

#include "fc_group_slot.h"
#include "fc_hash.h"
#include "fc_serde.h"

/* A key's value in one column. */
INLINE fc_field key_field(const fc_group *group, int32_t id, int column) {
    const uint64_t *slot = slot_of(group, id);
    fc_field field = {.valid = id != group->null_id};
    switch (group->form) {
    case FC_GROUP_WORD:
        field.word = slot[0];
        break;
    case FC_GROUP_WORDS:
        field.valid = !(slot[0] >> column & 1);
        field.word = slot[1 + column];
        break;
    case FC_GROUP_BYTES:
        field.data = slot_bytes(group, slot);
        field.length = slot_length(slot);
        break;
    case FC_GROUP_ROWS: {
        fc_field *fields = (fc_field *)group->fields.data;
        int64_t bytes_read;
        const fc_kind *kinds = (const fc_kind *)group->kinds.data;
        fc_serde_read(slot_bytes(group, slot), slot_length(slot), kinds, column + 1, fields, &bytes_read);
        return fields[column];
    }
    }
    return field;
}

void fc_group_hashes(const fc_group *group, const int32_t *ids, int64_t n, uint64_t *hashes) {
    const fc_kind *kinds = (const fc_kind *)group->kinds.data;
    int last = group->column_count - 1;
    if (group->form == FC_GROUP_WORD) {    /* 2 ns for a key, where the loop below takes 8 */
        for (int64_t i = 0; i < n; i++) {
            uint64_t word = *slot_of(group, ids[i]);
            hashes[i] = fc_hash_word(ids[i] == group->null_id ? FC_HASH_NULL : word, FC_HASH_SEED);
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (i + 16 < n) __builtin_prefetch(slot_of(group, ids[i + 16]));
        const fc_field *fields = (const fc_field *)group->fields.data;
        fc_field field = key_field(group, ids[i], last);    /* ROWS: decodes the columns before it, too */
        uint64_t hash = FC_HASH_SEED;
        for (int c = 0; c <= last; c++) {
            if (group->form == FC_GROUP_WORDS) field = key_field(group, ids[i], c);
            if (group->form == FC_GROUP_ROWS) field = fields[c];
            if (!field.valid) hash = fc_hash_word(FC_HASH_NULL, hash);
            else if (kinds[c] == FC_BYTES) hash = fc_hash_bytes(field.data, field.length, hash);
            else hash = fc_hash_word(field.word, hash);
        }
        hashes[i] = hash;
    }
}

int64_t fc_group_key_validity(const fc_group *group, int column, const int32_t *ids, int64_t n,
                              uint8_t *bits) {
    int64_t valid_count = 0;
    for (int64_t i = 0; i < n; i++) {
        bool valid = key_field(group, ids[i], column).valid;
        bits[i >> 3] |= (uint8_t)(valid << (i & 7));
        valid_count += valid;
    }
    return valid_count;
}

void fc_group_key_words(const fc_group *group, int column, const int32_t *ids, int64_t n, uint64_t *words) {
    if (group->form == FC_GROUP_WORD) {    /* what most jobs emit by */
        const uint64_t *slots = (const uint64_t *)group->slots.data;
        for (int64_t i = 0; i < n; i++) words[i] = slots[ids[i]];
        return;
    }
    for (int64_t i = 0; i < n; i++) words[i] = key_field(group, ids[i], column).word;
}

void fc_group_key_bits(const fc_group *group, int column, const int32_t *ids, int64_t n, uint8_t *bits) {
    for (int64_t i = 0; i < n; i++)
        bits[i >> 3] |= (uint8_t)(key_field(group, ids[i], column).word << (i & 7));
}

fc_status fc_group_key_offsets(const fc_group *group, int column, const int32_t *ids, int64_t n,
                               int32_t *offsets) {
    int64_t end = 0;
    offsets[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        end += key_field(group, ids[i], column).length;
        if (end > INT32_MAX) return FC_ERR_CAPACITY;
        offsets[i + 1] = (int32_t)end;
    }
    return FC_OK;
}

void fc_group_key_bytes(const fc_group *group, int column, const int32_t *ids, int64_t n,
                        const int32_t *offsets, uint8_t *data) {
    for (int64_t i = 0; i < n; i++) {
        fc_field field = key_field(group, ids[i], column);
        if (field.length > 0) memcpy(data + offsets[i], field.data, (size_t)field.length);
    }
}
