/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_group_snapshot.h"

#include <string.h>

#include "fc_group_slot.h"
#include "fc_hash.h"
#include "fc_serde.h"

#define LOG_IDS_MIN 4096
#define HEADER_BYTES 24
#define BLOCK_BYTES (INT64_C(1) << 20)
#define BLOCK_IDS (INT64_C(1) << 16)
#define NO_ID UINT32_MAX

enum { RUN = 1, LIST = 2 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks hold numbers and slots as they lie in memory");

static inline void set_bit(uint8_t *bits, int64_t i) { bits[i >> 3] |= (uint8_t)(1 << (i & 7)); }

static void set_bits(uint8_t *bits, int64_t first, int64_t end) {
    for (; first < end && (first & 7) != 0; first++) set_bit(bits, first);
    memset(bits + (first >> 3), 0xff, (size_t)(first < end ? (end - first) >> 3 : 0));
    for (first += (end - first) & -8; first < end; first++) set_bit(bits, first);
}

static inline void put_u16(uint8_t *to, uint16_t value) { memcpy(to, &value, 2); }
static inline void put_u32(uint8_t *to, uint32_t value) { memcpy(to, &value, 4); }

static inline uint16_t load_u16(const uint8_t *from) {
    uint16_t value;
    memcpy(&value, from, 2);
    return value;
}

/* ---- what pending parts read ----------------------------------------------------------------------- */

static const fc_group_frozen *older_of(const fc_group_frozen *part) {
    return (const fc_group_frozen *)part->frozen.older;
}

static const fc_group_frozen *newest_of(const fc_group *group) {
    return (const fc_group_frozen *)group->freezes.newest;
}

static bool is_read(const fc_group *group, const fc_buffer *buffer) {
    if (buffer->data == NULL) return false;
    for (const fc_group_frozen *part = newest_of(group); part != NULL; part = older_of(part)) {
        if ((const uint8_t *)part->slots == buffer->data || part->arena == buffer->data
            || (const uint8_t *)part->log_ids == buffer->data)
            return true;
    }
    return false;
}

bool fc_group_is_frozen(const fc_group *group, int32_t id) {
    for (const fc_group_frozen *part = newest_of(group); part != NULL; part = older_of(part))
        if ((const uint8_t *)part->slots == group->slots.data && id < part->id_bound
            && fc_bit(part->live.data, id))
            return true;
    return false;
}

fc_status fc_group_grow(fc_group *group, fc_buffer *buffer, int64_t bytes, int64_t used) {
    if (bytes <= buffer->bytes || !is_read(group, buffer)) return fc_buffer_reserve(buffer, bytes);
    fc_buffer grown = {0};
    int64_t more = buffer->bytes + buffer->bytes / 2;
    fc_status status = fc_buffer_reserve(&grown, more > bytes ? more : bytes);
    if (status != FC_OK) return status;
    memcpy(grown.data, buffer->data, (size_t)used);
    fc_freezes_retire(&group->freezes, buffer);
    *buffer = grown;
    return FC_OK;
}

void fc_group_leave(fc_group *group, fc_buffer *buffer) {
    if (is_read(group, buffer)) fc_freezes_retire(&group->freezes, buffer);
}

fc_status fc_group_own_slots(fc_group *group) {
    int64_t used = group->id_bound * group->slot_words * 8;
    fc_buffer copy = {0};
    if (!is_read(group, &group->slots)) return FC_OK;
    fc_status status = fc_buffer_reserve(&copy, group->slots.bytes);
    if (status != FC_OK) return status;
    memcpy(copy.data, group->slots.data, (size_t)used);
    fc_freezes_retire(&group->freezes, &group->slots);
    group->slots = copy;
    return FC_OK;
}

/* Ids whose slots nobody reads any more may be given again. */
static void end_waiting(fc_group *group) {
    int32_t *waiting = (int32_t *)group->waiting.data, *free_ids = (int32_t *)group->free_ids.data;
    int64_t kept = 0;
    for (int64_t i = 0; i < group->waiting_count; i++) {
        if (fc_group_is_frozen(group, waiting[i])) waiting[kept++] = waiting[i];
        else free_ids[group->free_count++] = waiting[i];
    }
    group->waiting_count = kept;
}

/* ---- the log --------------------------------------------------------------------------------------- */

static fc_group_mark *marks_of(const fc_group_log *log) { return (fc_group_mark *)log->marks.data; }

void fc_group_log_drop(fc_group *group) {
    fc_group_log *log = &group->log;
    fc_group_leave(group, &log->ids);
    log->on = false;
    log->start = log->end = log->mark_count = 0;
}

static void log_start(fc_group *group, int64_t since) {
    fc_group_log_drop(group);
    group->log.on = true;
    group->log.since = since;
}

/* The ids that are not forgotten to the front of new memory, with room for as many more. */
static bool log_moves(fc_group *group, int64_t more) {
    fc_group_log *log = &group->log;
    int64_t kept = log->end - log->start;
    fc_buffer moved = {0};
    if (fc_buffer_reserve(&moved, (2 * kept + more + LOG_IDS_MIN) * (int64_t)sizeof(int32_t)) != FC_OK)
        return false;
    if (kept > 0) memcpy(moved.data, (int32_t *)log->ids.data + log->start, (size_t)kept * sizeof(int32_t));
    fc_group_leave(group, &log->ids);
    fc_buffer_free(&log->ids);
    for (int64_t m = 0; m < log->mark_count; m++) marks_of(log)[m].end -= log->start;
    log->ids = moved;
    log->start = 0;
    log->end = kept;
    return true;
}

void fc_group_log_reserve(fc_group *group, int64_t more) {
    fc_group_log *log = &group->log;
    if (!log->on) return;
    bool is_short = log->end - log->start + more <= group->live_count + LOG_IDS_MIN;
    bool has_room = (log->end + more) * (int64_t)sizeof(int32_t) <= log->ids.bytes;
    if (!is_short || (!has_room && !log_moves(group, more))) fc_group_log_drop(group);
}

/* How many marks are of epochs up to this one. */
static int64_t marks_until(const fc_group_log *log, int64_t epoch) {
    int64_t count = 0;
    while (count < log->mark_count && marks_of(log)[count].epoch <= epoch) count++;
    return count;
}

void fc_group_forget(fc_group *group, int64_t epoch) {
    fc_group_log *log = &group->log;
    int64_t gone = log->on ? marks_until(log, epoch) : 0;
    if (gone == 0) return;
    log->start = marks_of(log)[gone - 1].end;
    log->since = marks_of(log)[gone - 1].epoch;
    log->mark_count -= gone;
    memmove(marks_of(log), marks_of(log) + gone, (size_t)log->mark_count * sizeof(fc_group_mark));
}

/* ---- freezing -------------------------------------------------------------------------------------- */

fc_status fc_group_freeze(fc_group *group, int64_t since, int64_t epoch, fc_group_frozen **frozen) {
    fc_group_log *log = &group->log;
    if (since < 0 || since >= epoch || epoch <= group->epoch) return FC_ERR_INVALID;
    const int64_t live_bytes = (group->id_bound + 7) / 8;
    fc_buffer live = group->spare;
    group->spare = (fc_buffer){0};
    fc_frozen *part = NULL;
    /* All memory that changes need while the part is pending, so that a release of ids cannot fail: slots,
     * arena and log are each left to it at most once. For ids that wait there is room. */
    fc_status status = fc_buffer_reserve(&live, live_bytes);
    if (status == FC_OK)
        status = fc_buffer_reserve(&log->marks, (log->mark_count + 1) * (int64_t)sizeof(fc_group_mark));
    if (status == FC_OK) status = fc_freezes_reserve(&group->freezes, 3);
    if (status == FC_OK) status = fc_freezes_add(&group->freezes, (int64_t)sizeof(fc_group_frozen), &part);
    if (status != FC_OK) {
        group->spare = live;
        return status;
    }
    if (live_bytes > 0) memcpy(live.data, group->live.data, (size_t)live_bytes);

    fc_group_frozen *made = *frozen = (fc_group_frozen *)part;
    made->form = group->form;
    made->slot_words = group->slot_words;
    made->slots = (const uint64_t *)group->slots.data;
    made->arena = group->arena.data;
    made->live = live;
    made->id_bound = group->id_bound;
    made->null_id = group->null_id;
    made->whole = since == 0 || !log->on || since < log->since;
    if (!made->whole) {
        int64_t before = marks_until(log, since);
        made->log_ids = (const int32_t *)log->ids.data;
        made->log_start = before == 0 ? log->start : marks_of(log)[before - 1].end;
        made->log_end = log->end;
    }
    group->epoch = epoch;
    if (log->on) marks_of(log)[log->mark_count++] = (fc_group_mark){epoch, log->end};
    else log_start(group, epoch);
    return FC_OK;
}

void fc_group_frozen_release(fc_group *group, fc_group_frozen *frozen) {
    fc_buffer_free(&frozen->touched);
    fc_buffer_free(&frozen->ids);
    if (frozen->live.bytes > group->spare.bytes) {
        fc_buffer_free(&group->spare);
        group->spare = frozen->live;
    } else {
        fc_buffer_free(&frozen->live);
    }
    fc_freezes_release(&group->freezes, &frozen->frozen);
    end_waiting(group);
}

/* ---- writing --------------------------------------------------------------------------------------- */

static const uint64_t *frozen_slot(const fc_group_frozen *frozen, int64_t id) {
    return frozen->slots + id * frozen->slot_words;
}

static fc_status mark_touched(fc_group_frozen *frozen) {
    fc_status status = fc_buffer_reserve(&frozen->ids, BLOCK_IDS * (int64_t)sizeof(int32_t));
    if (status != FC_OK || frozen->whole || frozen->touched.data != NULL) return status;
    status = fc_buffer_init_zeroed(&frozen->touched, (frozen->id_bound + 63) / 64 * 8);
    if (status != FC_OK) return status;
    for (int64_t i = frozen->log_start; i < frozen->log_end; i++)
        set_bit(frozen->touched.data, frozen->log_ids[i]);
    return FC_OK;
}

/* The first id from `id` on that the snapshot tells about; id_bound when there is none. */
static int64_t next_touched(const fc_group_frozen *frozen, int64_t id) {
    if (frozen->whole || id >= frozen->id_bound) return id;
    const uint64_t *words = (const uint64_t *)frozen->touched.data;
    int64_t word = id >> 6, word_count = (frozen->id_bound + 63) / 64;
    uint64_t bits = words[word] >> (id & 63) << (id & 63);
    while (bits == 0)
        if (++word == word_count) return frozen->id_bound;
        else bits = words[word];
    return word * 64 + __builtin_ctzll(bits);
}

static inline bool is_run(const fc_group_frozen *frozen) {
    const int32_t *ids = (const int32_t *)frozen->ids.data;
    return frozen->count == 0 || ids[frozen->count - 1] - ids[0] == frozen->count - 1;
}

fc_status fc_group_frozen_plan(fc_group_frozen *frozen, int64_t *bytes) {
    *bytes = 0;
    fc_status status = frozen->block_count == 0 ? mark_touched(frozen) : FC_OK;
    if (status != FC_OK) return status;
    int32_t *ids = (int32_t *)frozen->ids.data;
    int64_t planned = HEADER_BYTES, id = next_touched(frozen, frozen->next_id);
    frozen->count = frozen->key_count = frozen->key_bytes = 0;
    for (; id < frozen->id_bound && frozen->count < BLOCK_IDS; id = next_touched(frozen, id + 1)) {
        bool live = fc_bit(frozen->live.data, id);
        int64_t key_bytes = 0;
        if (live && has_bytes(frozen->form)) key_bytes = 4 + (int64_t)slot_length(frozen_slot(frozen, id));
        else if (live) key_bytes = frozen->slot_words * 8;
        if (frozen->count > 0 && planned + 5 + key_bytes > BLOCK_BYTES) break;
        planned += 5 + key_bytes;    /* with its place in the list and its bit */
        ids[frozen->count++] = (int32_t)id;
        frozen->key_count += live;
        frozen->key_bytes += key_bytes;
    }
    frozen->next_id = id;
    bool resets = frozen->whole && frozen->block_count == 0;    /* also when no id was ever given */
    if (frozen->count > 0 || resets)
        *bytes = HEADER_BYTES + (is_run(frozen) ? 0 : 4 * frozen->count) + (frozen->count + 7) / 8
                 + frozen->key_bytes;
    return FC_OK;
}

void fc_group_frozen_write(fc_group_frozen *frozen, uint8_t *data) {
    const int32_t *ids = (const int32_t *)frozen->ids.data;
    const int64_t n = frozen->count;
    const bool run = is_run(frozen);
    uint8_t *bits = data + HEADER_BYTES + (run ? 0 : 4 * n), *to = bits + (n + 7) / 8;
    uint32_t null_id = NO_ID;
    memset(data, 0, HEADER_BYTES);
    if (!run) memcpy(data + HEADER_BYTES, ids, (size_t)(4 * n));
    memset(bits, 0, (size_t)((n + 7) / 8));

    uint8_t *bytes = to + 4 * frozen->key_count;    /* BYTES, ROWS */
    for (int64_t i = 0; i < n; i++) {
        if (!fc_bit(frozen->live.data, ids[i])) continue;
        const uint64_t *slot = frozen_slot(frozen, ids[i]);
        set_bit(bits, i);
        if (ids[i] == frozen->null_id) null_id = (uint32_t)ids[i];
        if (has_bytes(frozen->form)) {
            int32_t length = slot_length(slot);
            const uint8_t *key = length <= SHORT_BYTES_MAX ? (const uint8_t *)slot + 4 : frozen->arena + slot[1];
            put_u32(to, (uint32_t)length);
            to += 4;
            memcpy(bytes, key, (size_t)length);
            bytes += length;
        } else {
            memcpy(to, slot, (size_t)frozen->slot_words * 8);
            to += frozen->slot_words * 8;
        }
    }

    put_u16(data, FC_GROUP_FORMAT_VERSION);
    data[2] = (uint8_t)frozen->form;
    data[3] = run ? RUN : LIST;
    data[4] = frozen->whole && frozen->block_count == 0;
    put_u32(data + 8, run && n > 0 ? (uint32_t)ids[0] : 0);
    put_u32(data + 12, (uint32_t)n);
    put_u32(data + 16, (uint32_t)frozen->key_count);
    put_u32(data + 20, null_id);
    frozen->block_count++;
}

/* ---- reading --------------------------------------------------------------------------------------- */

typedef struct {
    bool run, reset;
    int64_t first_id, count, key_count;
    int32_t null_id;            /* -1 when the null key is not among them */
    const uint8_t *ids;         /* int32[count], unaligned, of a list */
    const uint8_t *bits;
    const uint8_t *keys;        /* words, or lengths */
    const uint8_t *bytes;       /* BYTES, ROWS */
    int64_t long_bytes;         /* of keys that go to the arena */
    int64_t id_bound;           /* of the index with this block */
} key_block;

static inline int32_t block_id(const key_block *block, int64_t i) {
    return block->run ? (int32_t)(block->first_id + i) : (int32_t)load_u32(block->ids + 4 * i);
}

/* Where the block tells about the id, or -1. */
static int64_t position_of(const key_block *block, int32_t id) {
    int64_t low = 0, high = block->count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (block_id(block, middle) < id) low = middle + 1;
        else high = middle;
    }
    return low < block->count && block_id(block, low) == id ? low : -1;
}

static const char *check_ids(const fc_group *group, key_block *block) {
    int64_t bound = block->reset ? 0 : group->id_bound, set = 0;
    int64_t before = -1;
    for (int64_t i = 0; i < block->count && !block->run; i++) {
        int64_t id = (int32_t)load_u32(block->ids + 4 * i);
        if (id <= before) return "ids do not ascend";
        if (id > bound) return "an id is beyond those that the snapshot told about";
        bound += id == bound;
        before = id;
    }
    if (block->run) {
        if (block->first_id > bound) return "an id is beyond those that the snapshot told about";
        if (block->first_id + block->count > bound) bound = block->first_id + block->count;
    }
    if (bound > group->ids_max) return "more ids than the index may number";
    block->id_bound = bound;

    int64_t bit_bytes = (block->count + 7) / 8;
    for (int64_t i = 0; i < bit_bytes; i++) set += __builtin_popcount(block->bits[i]);
    if (set != block->key_count) return "the number of keys is not that of the bitmap";
    if ((block->count & 7) != 0 && block->bits[bit_bytes - 1] >> (block->count & 7) != 0)
        return "the bitmap has bits past its end";
    return NULL;
}

/* Is it a word that fc_column_words gives for a value? */
static inline bool is_word(uint64_t word, fc_kind kind) {
    return kind == FC_BOOL ? word <= 1 : kind != FC_F64 || fc_word_f64(word) == word;
}

static const char *check_words(const fc_group *group, const key_block *block) {
    const fc_kind *kinds = (const fc_kind *)group->kinds.data;
    const uint8_t *at = block->keys;
    bool good = true;
    if (group->form == FC_GROUP_WORD) {
        if (kinds[0] == FC_I64) return NULL;    /* whatever the bits are */
        for (int64_t i = 0; i < block->key_count; i++) good &= is_word(load_u64(at + 8 * i), kinds[0]);
        return good ? NULL : "a key is no value of its column";
    }
    for (int64_t i = 0; i < block->key_count; i++) {
        uint64_t nulls = load_u64(at);
        at += 8;
        good &= nulls >> group->column_count == 0;
        for (int c = 0; c < group->column_count; c++, at += 8)
            good &= nulls >> c & 1 ? load_u64(at) == 0 : is_word(load_u64(at), kinds[c]);
    }
    return good ? NULL : "a key is no value of its columns";
}

static const char *check_bytes(const fc_group *group, key_block *block, int64_t bytes) {
    const uint8_t *at = block->bytes;
    for (int64_t i = 0; i < block->key_count; i++) {
        int64_t length = (int32_t)load_u32(block->keys + 4 * i), bytes_read;
        if (length < 0 || length > bytes) return "a key is longer than the block";
        if (group->form == FC_GROUP_ROWS
            && (fc_serde_read(at, length, (const fc_kind *)group->kinds.data, group->column_count,
                              (fc_field *)group->fields.data, &bytes_read) != FC_OK
                || bytes_read != length))
            return "a key is no row of the key columns";
        if (length > SHORT_BYTES_MAX) block->long_bytes += length;
        at += length;
        bytes -= length;
    }
    return bytes == 0 ? NULL : "bytes are left after the last key";
}

static const char *check_null(const fc_group *group, const key_block *block) {
    if (block->null_id < 0) return NULL;
    int64_t position = position_of(block, block->null_id), rank = 0;
    if (has_bytes(group->form) ? group->form == FC_GROUP_ROWS : group->form != FC_GROUP_WORD)
        return "null is no key of its own in this index";
    if (position < 0 || !fc_bit(block->bits, position)) return "the null key has no id in the block";
    for (int64_t i = 0; i < position; i++) rank += fc_bit(block->bits, i);
    if (group->form == FC_GROUP_WORD ? load_u64(block->keys + 8 * rank) : load_u32(block->keys + 4 * rank))
        return "the null key has a value";
    /* It may have had another id before; then a block to come says what became of that one. */
    bool moved = !block->reset && group->null_id >= 0 && position_of(block, group->null_id) < 0;
    bool stale = !block->reset && group->stale_null_id >= 0 && position_of(block, group->stale_null_id) < 0;
    return moved && stale ? "several ids have the null key" : NULL;
}

/* NULL, or what is wrong with the block. */
static const char *read_block(const fc_group *group, const uint8_t *data, int64_t bytes, key_block *block) {
    if (bytes < HEADER_BYTES) return "it is shorter than a header";
    if (load_u16(data) != FC_GROUP_FORMAT_VERSION) return "another format version";
    if (data[2] != group->form) return "keys of another form";
    if (data[3] != RUN && data[3] != LIST) return "ids of an unknown kind";
    if (data[4] > 1 || data[5] != 0 || data[6] != 0 || data[7] != 0) return "reserved bytes are not zero";
    *block = (key_block){.run = data[3] == RUN, .reset = data[4] == 1, .first_id = (int64_t)load_u32(data + 8),
                         .count = (int64_t)load_u32(data + 12), .key_count = (int64_t)load_u32(data + 16)};
    uint32_t null_id = (uint32_t)load_u32(data + 20);
    if (null_id != NO_ID && null_id > INT32_MAX) return "the null key has no id in the block";
    block->null_id = (int32_t)null_id;
    if (!block->run && block->first_id != 0) return "a list has a first id";
    int64_t id_bytes = block->run ? 0 : 4 * block->count, bit_bytes = (block->count + 7) / 8;
    if (id_bytes + bit_bytes > bytes - HEADER_BYTES) return "it is shorter than its ids";
    block->ids = data + HEADER_BYTES;
    block->bits = block->ids + id_bytes;
    block->keys = block->bits + bit_bytes;
    int64_t left = bytes - HEADER_BYTES - id_bytes - bit_bytes;
    int64_t key_bytes = has_bytes(group->form) ? 4 : group->slot_words * 8;
    if (has_bytes(group->form) ? left < block->key_count * key_bytes : left != block->key_count * key_bytes)
        return "its length is not that of its keys";
    block->bytes = block->keys + block->key_count * key_bytes;

    const char *reason = check_ids(group, block);
    if (reason == NULL)
        reason = has_bytes(group->form) ? check_bytes(group, block, left - block->key_count * key_bytes)
                                        : check_words(group, block);
    return reason == NULL ? check_null(group, block) : reason;
}

/* The id loses its key, if it has one, or gets another. */
static inline void forget_key(fc_group *group, int32_t id) {
    if (id == group->null_id) group->null_id = -1;
    if (id == group->stale_null_id) group->stale_null_id = -1;
    if (!has_bytes(group->form) || !fc_bit(group->live.data, id)) return;
    int32_t length = slot_length(slot_of(group, id));
    if (length > SHORT_BYTES_MAX) group->arena_garbage += length;
}

/* Words of a run in which every id has a key lie as slots do. */
static void apply_dense_words(fc_group *group, const key_block *block) {
    const int64_t first = block->first_id, end = first + block->count;
    if (group->null_id >= first && group->null_id < end) group->null_id = -1;
    if (group->stale_null_id >= first && group->stale_null_id < end) group->stale_null_id = -1;
    memcpy(slot_of(group, (int32_t)first), block->keys, (size_t)(block->count * group->slot_words * 8));
    set_bits(group->live.data, first, end);
}

static void apply_sparse(fc_group *group, const key_block *block) {
    const size_t slot_bytes = (size_t)group->slot_words * 8;
    const uint8_t *keys = block->keys, *bytes = block->bytes;
    for (int64_t i = 0; i < block->count; i++) {
        int32_t id = block_id(block, i);
        forget_key(group, id);
        if (!fc_bit(block->bits, i)) {
            group->live.data[id >> 3] &= (uint8_t)~(1 << (id & 7));
            continue;
        }
        set_bit(group->live.data, id);
        uint64_t *slot = slot_of(group, id);
        if (!has_bytes(group->form)) {
            memcpy(slot, keys, slot_bytes);
            keys += slot_bytes;
            continue;
        }
        int32_t length = (int32_t)load_u32(keys);
        keys += 4;
        bytes_words(bytes, length, false, slot);
        if (length > SHORT_BYTES_MAX) {
            slot[1] = (uint64_t)group->arena_used;
            memcpy(group->arena.data + group->arena_used, bytes, (size_t)length);
            group->arena_used += length;
        }
        bytes += length;
    }
}

static void apply_block(fc_group *group, const key_block *block) {
    if (block->reset) fc_group_clear(group);
    group->id_bound = block->id_bound;
    const bool dense = block->run && block->count > 0 && block->key_count == block->count;
    if (dense && !has_bytes(group->form)) apply_dense_words(group, block);
    else apply_sparse(group, block);
    if (block->null_id >= 0) {
        if (group->null_id >= 0) group->stale_null_id = group->null_id;
        group->null_id = block->null_id;
    }
}

fc_status fc_group_load(fc_group *group, const uint8_t *data, int64_t bytes, const char **reason) {
    key_block block;
    *reason = read_block(group, data, bytes, &block);
    if (*reason != NULL) return FC_ERR_INVALID;
    fc_status status = fc_group_reserve_ids(group, block.id_bound);
    if (status == FC_OK && block.long_bytes > 0)
        status = fc_group_grow(group, &group->arena, group->arena_used + block.long_bytes, group->arena_used);
    if (status == FC_OK) apply_block(group, &block);
    return status;
}

fc_status fc_group_loaded(fc_group *group, int64_t epoch, const char **reason) {
    *reason = NULL;
    if (epoch < group->epoch) return FC_ERR_INVALID;
    int64_t live_count = 0;
    for (int64_t i = 0; i < (group->id_bound + 7) / 8; i++)
        live_count += __builtin_popcount(group->live.data[i]);
    bool distinct = group->stale_null_id < 0;
    fc_status status = distinct ? fc_group_rebuild(group, live_count, &distinct) : FC_OK;
    if (status != FC_OK) return status;
    if (!distinct) {
        *reason = "two ids have one key";
        return FC_ERR_INVALID;
    }
    int32_t *free_ids = (int32_t *)group->free_ids.data;
    group->free_count = group->id_bound - live_count;
    int64_t free_rank = group->free_count;
    for (int64_t id = 0; free_rank > 0; id++)
        if (!fc_bit(group->live.data, id)) free_ids[--free_rank] = (int32_t)id;
    group->live_count = live_count;
    fc_direct_drop(&group->direct);
    group->direct.empty = true;    /* bounds are looked for when rows come */
    group->released = true;
    group->rows_since = INT64_MAX / 2;
    group->epoch = epoch;
    log_start(group, epoch);
    fc_group_compact(group);
    return FC_OK;
}
