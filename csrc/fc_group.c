/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_group.h"

#include <string.h>

#include "fc_group_slot.h"
#include "fc_group_snapshot.h"
#include "fc_hash.h"
#include "fc_serde.h"

/* Rows of one turn through the stages: 64 cost 10-20 % at 1e6 keys, 256 gained nothing. */
#define BLOCK_ROWS 128

/* Above this many bytes of table and keys the stages prefetch. M rows/s, plain against staged: int64 keys
 * 332 / 285 at 1e3, 171 / 189 at 1e5, 44 / 116 at 1e6, 30 / 77 at 1e7; 40-byte strings 190 / 144 at 1e3,
 * 48 / 101 at 1e5, 12 / 58 at 1e6 (Zen 5, one thread, L2 1 MB). */
#define PREFETCH_BYTES (INT64_C(1) << 20)

#define PACKED_COLUMNS_MAX 8    /* beyond, WORDS rows outgrow their cache line and ROWS does as well */
#define GARBAGE_BYTES_MIN 4096

/* The key rows of one block, as their form compares them. */
typedef struct {
    const uint64_t *words;              /* row i at words + i * slot_words, as its slot would be; see bytes_words */
    const uint8_t *starts[BLOCK_ROWS];  /* BYTES, ROWS */
    int32_t lengths[BLOCK_ROWS];
    bool nullable;                      /* WORD, BYTES: `valid` is filled */
    bool valid[BLOCK_ROWS];
    uint64_t packed[BLOCK_ROWS * (PACKED_COLUMNS_MAX + 1)];
} key_block;

INLINE bool same_key(const fc_group *group, int32_t id, const key_block *block, int64_t i,
                     fc_group_form form) {
    if (form == FC_GROUP_WORD) return ((const uint64_t *)group->slots.data)[id] == block->words[i];
    if (form == FC_GROUP_WORDS) {
        const uint64_t *slot = slot_of(group, id), *words = block->words + i * group->slot_words;
        uint64_t difference = 0;
        for (int64_t k = 0; k < group->slot_words; k++) difference |= slot[k] ^ words[k];
        return difference == 0;
    }
    const uint64_t *slot = (const uint64_t *)group->slots.data + 2 * (int64_t)id;
    const uint64_t *words = block->words + 2 * i;
    if (slot[0] != words[0]) return false;
    int32_t length = block->lengths[i];
    if (length <= SHORT_BYTES_MAX) return slot[1] == words[1];
    return same_long_bytes(group->arena.data + slot[1], block->starts[i], length);
}

/* The id of row i, or -1 with the empty table slot where it belongs. */
INLINE int32_t locate(const fc_group *group, const key_block *block, int64_t i, uint32_t tag,
                      fc_group_form form, uint64_t *place) {
    const fc_table *table = &group->table;
    for (uint64_t slot = fc_table_home(table, tag);; slot = (slot + 1) & table->mask) {
        slot = fc_table_probe(table, slot, tag);
        int32_t id = fc_entry_id(table->entries[slot]);
        if (id < 0 || same_key(group, id, block, i, form)) {
            *place = slot;
            return id;
        }
    }
}

static fc_status take_id(fc_group *group, int32_t *id) {
    if (group->free_count > 0) {
        *id = ((const int32_t *)group->free_ids.data)[--group->free_count];
    } else if (group->id_bound < group->ids_max) {
        *id = (int32_t)group->id_bound++;
    } else {
        return FC_ERR_CAPACITY;
    }
    group->live.data[*id >> 3] |= (uint8_t)(1 << (*id & 7));
    group->live_count++;
    log_id(group, *id);
    return FC_OK;
}

/* Give row i's key an id, or the null key when `i` is -1. Slots and table have room; what can fail comes
 * before what changes. */
static fc_status add_key(fc_group *group, const key_block *block, int64_t i, int32_t *id) {
    bool bytes = group->form == FC_GROUP_BYTES || group->form == FC_GROUP_ROWS;
    int32_t length = bytes && i >= 0 ? block->lengths[i] : 0;
    if (length > SHORT_BYTES_MAX) {
        fc_status status = fc_group_grow(group, &group->arena, group->arena_used + length, group->arena_used);
        if (status != FC_OK) return status;
    }
    fc_status status = take_id(group, id);
    if (status != FC_OK) return status;
    uint64_t *slot = slot_of(group, *id);
    if (i < 0) {
        memset(slot, 0, (size_t)group->slot_words * 8);
    } else {
        memcpy(slot, block->words + i * group->slot_words, (size_t)group->slot_words * 8);
        if (group->form == FC_GROUP_WORD) fc_direct_see(&group->direct, (int64_t)slot[0]);
        if (length > SHORT_BYTES_MAX) {
            slot[1] = (uint64_t)group->arena_used;
            memcpy(group->arena.data + group->arena_used, block->starts[i], (size_t)length);
            group->arena_used += length;
        }
    }
    return FC_OK;
}

INLINE fc_status resolve(fc_group *group, const key_block *block, int64_t i, uint32_t tag, fc_group_form form,
                         bool insert, int32_t *id) {
    if (block->nullable && !block->valid[i]) {
        fc_status status = FC_OK;
        if (insert && group->null_id < 0) status = add_key(group, block, -1, &group->null_id);
        *id = group->null_id;
        return status;
    }
    uint64_t place;
    *id = locate(group, block, i, tag, form, &place);
    if (*id >= 0 || !insert) return FC_OK;
    fc_status status = add_key(group, block, i, id);
    if (status == FC_OK) fc_table_put(&group->table, place, tag, *id);
    return status;
}

/* One block, in stages beyond the cache: fetch table lines; find candidates by tag and fetch their slots;
 * fetch the arena lines of long keys; compare. */
INLINE fc_status resolve_block(fc_group *group, const key_block *block, const uint64_t *hashes, int64_t n,
                               int32_t *ids, fc_group_form form, bool insert) {
    const fc_table *table = &group->table;
    int64_t bytes = fc_table_bytes(table) + group->id_bound * group->slot_words * 8 + group->arena_used;
    fc_status status = FC_OK;
    if (bytes <= PREFETCH_BYTES) {
        for (int64_t i = 0; i < n && status == FC_OK; i++)
            status = resolve(group, block, i, fc_table_tag(hashes[i]), form, insert, &ids[i]);
        return status;
    }
    for (int64_t i = 0; i < n; i++)
        __builtin_prefetch(&table->entries[fc_table_home(table, fc_table_tag(hashes[i]))], 1);
    for (int64_t i = 0; i < n; i++) {
        uint32_t tag = fc_table_tag(hashes[i]);
        uint64_t slot = fc_table_probe(table, fc_table_home(table, tag), tag);
        ids[i] = fc_entry_id(table->entries[slot]);
        __builtin_prefetch(slot_of(group, ids[i] < 0 ? 0 : ids[i]));
    }
    if (form == FC_GROUP_BYTES || form == FC_GROUP_ROWS) {
        for (int64_t i = 0; i < n; i++) {
            if (ids[i] < 0) continue;
            const uint64_t *slot = slot_of(group, ids[i]);
            int32_t length = slot_length(slot);
            if (length <= SHORT_BYTES_MAX) continue;
            __builtin_prefetch(group->arena.data + slot[1]);
            __builtin_prefetch(group->arena.data + slot[1] + length - 1);
        }
    }
    for (int64_t i = 0; i < n && status == FC_OK; i++) {
        bool null_row = block->nullable && !block->valid[i];
        if (!null_row && ids[i] >= 0 && same_key(group, ids[i], block, i, form)) continue;
        status = resolve(group, block, i, fc_table_tag(hashes[i]), form, insert, &ids[i]);
    }
    return status;
}

/* The ids of those rows of a block that the direct map holds; the others are `missed`. -> how many they are */
static int64_t look_up_directly(const fc_group *group, const key_block *block, int64_t n, int32_t *ids,
                                int32_t *missed) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        ids[i] = fc_direct_id(&group->direct, block->words[i]);
        missed[count] = (int32_t)i;
        count += ids[i] < 0;
    }
    return count;
}

/* One block of keys that lie close together: only those that are new to the map are hashed. */
static fc_status resolve_directly(fc_group *group, const fc_column *columns, int64_t start, const key_block *block,
                                  const uint64_t *hashes, int64_t n, int32_t *ids, bool insert) {
    int32_t missed[BLOCK_ROWS];
    uint64_t own[BLOCK_ROWS];
    int64_t count = look_up_directly(group, block, n, ids, missed);
    if (count == 0) return FC_OK;
    if (hashes == NULL) {
        fc_hash_rows(columns, group->column_count, start, n, own);
        hashes = own;
    }
    for (int64_t k = 0; k < count; k++) {
        int64_t i = missed[k];
        fc_status status = resolve(group, block, i, fc_table_tag(hashes[i]), FC_GROUP_WORD, insert, &ids[i]);
        if (status != FC_OK) return status;
        if (ids[i] >= 0) fc_direct_put(&group->direct, block->words[i], ids[i]);
    }
    return FC_OK;
}

static void look_for_bounds(fc_group *group) {
    int32_t ids[BLOCK_ROWS];
    group->direct.empty = true;
    for (int64_t first = 0; first < group->id_bound; first += BLOCK_ROWS) {
        int64_t end = first + BLOCK_ROWS < group->id_bound ? first + BLOCK_ROWS : group->id_bound;
        int64_t n = fc_group_live_ids(group, first, end, ids);
        for (int64_t i = 0; i < n; i++)
            if (ids[i] != group->null_id) fc_direct_see(&group->direct, (int64_t)*slot_of(group, ids[i]));
    }
    group->released = false;
}

static void fill_direct(fc_group *group) {
    int32_t ids[BLOCK_ROWS];
    if (fc_direct_make(&group->direct) != FC_OK) return;    /* the table does without */
    for (int64_t first = 0; first < group->id_bound; first += BLOCK_ROWS) {
        int64_t end = first + BLOCK_ROWS < group->id_bound ? first + BLOCK_ROWS : group->id_bound;
        int64_t n = fc_group_live_ids(group, first, end, ids);
        for (int64_t i = 0; i < n; i++)
            if (ids[i] != group->null_id) fc_direct_put(&group->direct, *slot_of(group, ids[i]), ids[i]);
    }
}

/* Before `n` rows: whether keys lie close together is looked at anew, from their bounds. Those of keys that were released
 * do not count; bounds without them are looked for once in so many rows that it costs nothing. */
static void review_direct(fc_group *group, int64_t n) {
    fc_direct *direct = &group->direct;
    if (group->form != FC_GROUP_WORD || ((const fc_kind *)group->kinds.data)[0] != FC_I64) return;
    group->rows_since += n;
    bool fits = fc_direct_fits(direct, group->live_count);
    if (!fits && group->released && group->rows_since >= 16 * group->live_count) {
        look_for_bounds(group);
        group->rows_since = 0;
        fits = fc_direct_fits(direct, group->live_count);
    }
    if (!fits && direct->span > 0) fc_direct_drop(direct);
    if (fits && !fc_direct_covers(direct)) fill_direct(group);
}

static void pack_words(const fc_group *group, const fc_column *columns, int64_t start, int64_t n,
                       key_block *block) {
    uint64_t scratch[BLOCK_ROWS];
    int64_t width = group->slot_words;
    for (int64_t i = 0; i < n; i++) block->packed[i * width] = 0;
    for (int c = 0; c < group->column_count; c++) {
        const uint64_t *words = fc_column_words(&columns[c], start, n, 0, scratch);
        for (int64_t i = 0; i < n; i++) block->packed[i * width + 1 + c] = words[i];
        if (columns[c].validity == NULL) continue;
        for (int64_t i = 0; i < n; i++)
            block->packed[i * width] |= (uint64_t)!fc_is_valid(&columns[c], start + i) << c;
    }
    block->words = block->packed;
}

/* The words of the block's bytes; `end` is behind the last byte that can be read. */
static void pack_bytes(key_block *block, int64_t n, const uint8_t *end) {
    for (int64_t i = 0; i < n; i++)
        bytes_words(block->starts[i], block->lengths[i], end - block->starts[i] >= 16, block->packed + 2 * i);
    block->words = block->packed;
}

static fc_status encode_rows(fc_group *group, const fc_column *columns, int64_t start, int64_t n,
                             key_block *block) {
    int64_t *offsets = (int64_t *)group->offsets.data;
    fc_serde_offsets(columns, group->column_count, start, n, offsets);
    fc_status status = fc_buffer_reserve(&group->rows, offsets[n]);
    if (status != FC_OK) return status;
    for (int64_t i = 0; i < n; i++) {
        int64_t length = offsets[i + 1] - offsets[i];
        if (length > INT32_MAX) return FC_ERR_CAPACITY;
        block->starts[i] = group->rows.data + offsets[i];
        block->lengths[i] = (int32_t)length;
    }
    fc_serde_write(columns, group->column_count, start, n, offsets, group->rows.data);
    pack_bytes(block, n, group->rows.data + offsets[n]);
    return FC_OK;
}

static fc_status load_block(fc_group *group, const fc_column *columns, int64_t start, int64_t n,
                            key_block *block) {
    if (group->form == FC_GROUP_ROWS) return encode_rows(group, columns, start, n, block);
    if (group->form == FC_GROUP_WORDS) {
        pack_words(group, columns, start, n, block);
        return FC_OK;
    }
    if (group->form == FC_GROUP_WORD) {
        block->words = fc_column_words(columns, start, n, 0, block->packed);
    } else {
        const int32_t *offsets = columns->offsets + start;
        for (int64_t i = 0; i < n; i++) {
            block->starts[i] = (const uint8_t *)columns->values + offsets[i];
            block->lengths[i] = offsets[i + 1] - offsets[i];
        }
        pack_bytes(block, n, (const uint8_t *)columns->values + columns->offsets[columns->length]);
    }
    if (block->nullable)
        for (int64_t i = 0; i < n; i++) block->valid[i] = fc_is_valid(columns, start + i);
    return FC_OK;
}

static fc_status make_room(fc_group *group, int64_t more) {
    int64_t entries = group->table.count + more, ids = group->id_bound + more;
    if (entries > group->ids_max) entries = group->ids_max;
    if (ids > group->ids_max) ids = group->ids_max;
    fc_status status = fc_table_reserve(&group->table, entries);
    return status == FC_OK ? fc_group_reserve_ids(group, ids) : status;
}

fc_status fc_group_reserve_ids(fc_group *group, int64_t ids) {
    int64_t slot_bytes = group->slot_words * 8;
    fc_status status = fc_group_grow(group, &group->slots, ids * slot_bytes, group->id_bound * slot_bytes);
    if (status == FC_OK) status = fc_buffer_reserve_zeroed(&group->live, (ids + 7) / 8);
    /* Zeroed so that its pages are there: at 1e7 keys the first freeze took 0.6 ms into fresh memory, 0.13 ms
     * into memory that had been touched. */
    if (status == FC_OK) status = fc_buffer_reserve_zeroed(&group->spare, group->live.bytes);
    if (status == FC_OK) status = fc_buffer_reserve(&group->free_ids, ids * (int64_t)sizeof(int32_t));
    /* Here and not in a freeze, where at 1e6 keys it took 2 to 12 ms. */
    if (status == FC_OK) status = fc_buffer_reserve(&group->waiting, ids * (int64_t)sizeof(int32_t));
    return status;
}

INLINE fc_status resolve_rows(fc_group *group, const fc_column *columns, const uint64_t *hashes, int64_t n,
                              int32_t *ids, bool insert) {
    const fc_kind *kinds = (const fc_kind *)group->kinds.data;
    for (int c = 0; c < group->column_count; c++) {
        if (columns[c].kind != kinds[c]) return FC_ERR_TYPE;
        if (columns[c].length != n) return FC_ERR_INVALID;
    }
    key_block block;
    uint64_t own[BLOCK_ROWS];
    bool null_has_id = group->form == FC_GROUP_WORD || group->form == FC_GROUP_BYTES;
    block.nullable = null_has_id && columns->validity != NULL;
    review_direct(group, n);
    const bool directly = group->direct.span > 0 && !block.nullable;
    for (int64_t start = 0; start < n; start += BLOCK_ROWS) {
        int64_t rows = n - start < BLOCK_ROWS ? n - start : BLOCK_ROWS;
        fc_status status = insert ? make_room(group, rows) : FC_OK;
        if (insert) fc_group_log_reserve(group, rows);
        if (status == FC_OK) status = load_block(group, columns, start, rows, &block);
        if (status != FC_OK) return status;
        const uint64_t *h = hashes == NULL ? NULL : hashes + start;
        int32_t *out = ids + start;
        if (directly) {
            status = resolve_directly(group, columns, start, &block, h, rows, out, insert);
            if (status != FC_OK) return status;
            continue;
        }
        if (h == NULL) {
            fc_hash_rows(columns, group->column_count, start, rows, own);
            h = own;
        }
        switch (group->form) {
        case FC_GROUP_WORD:
            status = resolve_block(group, &block, h, rows, out, FC_GROUP_WORD, insert);
            break;
        case FC_GROUP_WORDS:
            status = resolve_block(group, &block, h, rows, out, FC_GROUP_WORDS, insert);
            break;
        default:
            status = resolve_block(group, &block, h, rows, out, FC_GROUP_BYTES, insert);
            break;
        }
        if (status != FC_OK) return status;
    }
    return FC_OK;
}

fc_status fc_group_intern(fc_group *group, const fc_column *columns, const uint64_t *hashes, int64_t n,
                          int32_t *ids) {
    return resolve_rows(group, columns, hashes, n, ids, true);
}

fc_status fc_group_find(fc_group *group, const fc_column *columns, const uint64_t *hashes, int64_t n,
                        int32_t *ids) {
    return resolve_rows(group, columns, hashes, n, ids, false);
}

fc_status fc_group_init(fc_group *group, const fc_kind *kinds, int column_count, int64_t ids_max) {
    *group = (fc_group){.column_count = column_count, .ids_max = ids_max, .null_id = -1,
                         .stale_null_id = -1, .direct = {.empty = true}};
    if (column_count < 1 || ids_max < 1 || ids_max > FC_GROUP_IDS_MAX) return FC_ERR_INVALID;
    bool fixed = true;
    for (int c = 0; c < column_count; c++) {
        if (kinds[c] < FC_I64 || kinds[c] > FC_BYTES) return FC_ERR_TYPE;
        fixed &= kinds[c] != FC_BYTES;
    }
    if (column_count == 1) group->form = fixed ? FC_GROUP_WORD : FC_GROUP_BYTES;
    else group->form = fixed && column_count <= PACKED_COLUMNS_MAX ? FC_GROUP_WORDS : FC_GROUP_ROWS;
    bool words = group->form == FC_GROUP_WORDS;
    group->slot_words = group->form == FC_GROUP_WORD ? 1 : words ? 1 + column_count : 2;

    fc_status status = fc_buffer_reserve(&group->kinds, column_count * (int64_t)sizeof *kinds);
    if (status == FC_OK && group->form == FC_GROUP_ROWS) {
        status = fc_buffer_reserve(&group->fields, column_count * (int64_t)sizeof(fc_field));
        if (status == FC_OK)
            status = fc_buffer_reserve(&group->offsets, (BLOCK_ROWS + 1) * (int64_t)sizeof(int64_t));
    }
    if (status == FC_OK) status = fc_table_reserve(&group->table, 1);    /* so that `find` may probe */
    if (status != FC_OK) {
        fc_group_free(group);
        return status;
    }
    memcpy(group->kinds.data, kinds, (size_t)column_count * sizeof *kinds);
    return FC_OK;
}

void fc_group_free(fc_group *group) {
    while (group->freezes.newest != NULL)
        fc_group_frozen_release(group, (fc_group_frozen *)group->freezes.newest);
    fc_freezes_free(&group->freezes);
    fc_table_free(&group->table);
    fc_direct_drop(&group->direct);
    fc_buffer *buffers[] = {&group->kinds, &group->slots, &group->live, &group->arena, &group->free_ids,
                            &group->log.ids, &group->log.marks, &group->waiting, &group->spare,
                            &group->rows, &group->offsets, &group->fields};
    for (size_t k = 0; k < sizeof buffers / sizeof *buffers; k++) fc_buffer_free(buffers[k]);
}

fc_status fc_group_reserve(fc_group *group, int64_t count) {
    if (count < 0 || count > group->ids_max) return FC_ERR_CAPACITY;
    return count > group->live_count ? make_room(group, count - group->live_count) : FC_OK;
}

void fc_group_clear(fc_group *group) {
    fc_table_clear(&group->table);
    if (group->live.bytes > 0) memset(group->live.data, 0, (size_t)group->live.bytes);
    group->arena_used = group->arena_garbage = group->id_bound = group->live_count = 0;
    group->free_count = group->waiting_count = 0;
    group->null_id = group->stale_null_id = -1;
    fc_direct_drop(&group->direct);
    group->direct.empty = true;
    group->released = false;
    fc_group_leave(group, &group->slots);
    fc_group_leave(group, &group->arena);
    fc_group_log_drop(group);
}

static inline bool is_live(const fc_group *group, int32_t id) {
    return id >= 0 && id < group->id_bound && fc_bit(group->live.data, id);
}

fc_status fc_group_check(const fc_group *group, const int32_t *ids, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!is_live(group, ids[i])) return FC_ERR_INVALID;
    return FC_OK;
}

int64_t fc_group_live_ids(const fc_group *group, int64_t first, int64_t end, int32_t *ids) {
    int64_t count = 0;
    for (int64_t byte = first >> 3; byte << 3 < end; byte++) {
        for (unsigned bits = group->live.data[byte]; bits != 0; bits &= bits - 1) {
            int64_t id = (byte << 3) + __builtin_ctz(bits);
            if (id >= first && id < end) ids[count++] = (int32_t)id;
        }
    }
    return count;
}

void fc_group_compact(fc_group *group) {
    fc_buffer packed = {0};
    int64_t used = 0;
    if (group->arena_garbage <= GARBAGE_BYTES_MIN || group->arena_garbage <= group->arena_used / 2) return;
    if (fc_buffer_reserve(&packed, group->arena_used - group->arena_garbage) != FC_OK) return;
    if (fc_group_own_slots(group) != FC_OK) {
        fc_buffer_free(&packed);
        return;
    }
    for (int32_t id = 0; id < group->id_bound; id++) {
        uint64_t *slot = slot_of(group, id);
        int32_t length = slot_length(slot);
        if (!fc_bit(group->live.data, id) || length <= SHORT_BYTES_MAX) continue;
        memcpy(packed.data + used, group->arena.data + slot[1], (size_t)length);
        slot[1] = (uint64_t)used;
        used += length;
    }
    fc_group_leave(group, &group->arena);
    fc_buffer_free(&group->arena);
    group->arena = packed;
    group->arena_used = used;
    group->arena_garbage = 0;
}

fc_status fc_group_release(fc_group *group, const int32_t *ids, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (is_live(group, ids[i])) {
            group->live.data[ids[i] >> 3] &= (uint8_t)~(1 << (ids[i] & 7));
            continue;
        }
        while (i-- > 0) group->live.data[ids[i] >> 3] |= (uint8_t)(1 << (ids[i] & 7));
        return FC_ERR_INVALID;
    }
    bool bytes = group->form == FC_GROUP_BYTES || group->form == FC_GROUP_ROWS;
    int32_t *free_ids = (int32_t *)group->free_ids.data, *waiting = (int32_t *)group->waiting.data;
    uint64_t hashes[BLOCK_ROWS];
    fc_group_log_reserve(group, n);
    for (int64_t start = 0; start < n; start += BLOCK_ROWS) {
        int64_t rows = n - start < BLOCK_ROWS ? n - start : BLOCK_ROWS;
        fc_group_hashes(group, ids + start, rows, hashes);
        for (int64_t i = 0; i < rows; i++) {
            uint64_t home = fc_table_home(&group->table, fc_table_tag(hashes[i]));
            __builtin_prefetch(&group->table.entries[home], 1);
        }
        for (int64_t i = 0; i < rows; i++) {
            int32_t id = ids[start + i];
            const uint64_t *slot = slot_of(group, id);
            if (id == group->null_id) {
                group->null_id = -1;
            } else {
                fc_table_erase(&group->table, fc_table_tag(hashes[i]), id);
                fc_direct_put(&group->direct, slot[0], -1);
            }
            if (bytes && slot_length(slot) > SHORT_BYTES_MAX) group->arena_garbage += slot_length(slot);
            if (group->freezes.newest != NULL && fc_group_is_frozen(group, id))
                waiting[group->waiting_count++] = id;
            else
                free_ids[group->free_count++] = id;
            log_id(group, id);
        }
    }
    group->live_count -= n;
    group->released |= n > 0;
    fc_group_compact(group);
    return FC_OK;
}
