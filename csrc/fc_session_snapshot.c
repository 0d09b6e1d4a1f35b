/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_session_snapshot.h"

#include <stddef.h>
#include <string.h>

#define HEADER_BYTES 24
#define ROW_BYTES 32
#define BLOCK_BYTES (INT64_C(1) << 20)
#define BLOCK_SLOTS ((BLOCK_BYTES - HEADER_BYTES) / (ROW_BYTES + 5))    /* with place in the list and bit */

enum { RUN = 1, LIST = 2 };

/* One session, as in the header. */
typedef struct {
    int64_t start_ms, end_ms;
    uint64_t created;
    int32_t group_id;
    uint8_t fired, reserved[3];
} row;

_Static_assert(sizeof(row) == ROW_BYTES, "a session is the 32 bytes drawn in the header");
_Static_assert(offsetof(row, fired) == 28, "a session is the 32 bytes drawn in the header");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks hold numbers as they lie in memory");

static inline void put_u32(uint8_t *to, uint32_t value) { memcpy(to, &value, 4); }

static inline uint32_t load_u32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, 4);
    return value;
}

static inline bool has_bit(const uint8_t *bits, int64_t i) { return (bits[i >> 3] >> (i & 7)) & 1; }

/* ---- freezing -------------------------------------------------------------------------------------- */

static const fc_session_frozen_page *frozen_pages(const fc_session_frozen *frozen) {
    return (const fc_session_frozen_page *)frozen->pages.data;
}

fc_status fc_session_freeze(fc_session_index *index, int64_t since, int64_t epoch, fc_session_frozen **frozen) {
    if (since < 0 || since >= epoch || epoch < index->epoch) return FC_ERR_INVALID;
    if (since >= index->epoch) since = index->epoch - 1;      /* no freeze ended the epochs between */
    fc_buffer pages = {0};
    fc_frozen *part = NULL;
    fc_status status = fc_buffer_reserve(&pages, index->page_count * (int64_t)sizeof(fc_session_frozen_page));
    if (status == FC_OK) status = fc_freezes_add(&index->freezes, (int64_t)sizeof(fc_session_frozen), &part);
    if (status != FC_OK) {
        fc_buffer_free(&pages);
        return status;
    }
    const fc_session_page *from = fc_session_pages(index);
    fc_session_frozen_page *to = (fc_session_frozen_page *)pages.data;
    for (int64_t p = 0; p < index->page_count; p++)
        to[p] = (fc_session_frozen_page){(const fc_session *)from[p].sessions.data, from[p].epoch};

    fc_session_frozen *made = *frozen = (fc_session_frozen *)part;
    made->pages = pages;
    made->page_count = index->page_count;
    made->slot_bound = index->slot_bound;
    made->created = index->created;
    made->since = since;
    made->epoch = epoch;
    index->epoch = epoch + 1;
    return FC_OK;
}

void fc_session_frozen_release(fc_session_index *index, fc_session_frozen *frozen) {
    fc_buffer_free(&frozen->pages);
    fc_buffer_free(&frozen->slots);
    fc_freezes_release(&index->freezes, &frozen->frozen);
}

bool fc_session_is_frozen(const fc_session_index *index, int64_t page) {
    const fc_session *sessions = (const fc_session *)fc_session_pages(index)[page].sessions.data;
    for (const fc_frozen *pending = index->freezes.newest; pending != NULL; pending = pending->older) {
        const fc_session_frozen *part = (const fc_session_frozen *)pending;
        if (page >= part->page_count || frozen_pages(part)[page].sessions != sessions) continue;
        bool wanted = part->since == 0 || frozen_pages(part)[page].epoch > part->since;
        if (wanted && atomic_load_explicit(&part->passed, memory_order_acquire) <= page) return true;
    }
    return false;
}

/* ---- writing --------------------------------------------------------------------------------------- */

static const fc_session *frozen_session(const fc_session_frozen *frozen, int64_t slot) {
    return &frozen_pages(frozen)[slot / FC_SESSION_PAGE].sessions[slot % FC_SESSION_PAGE];
}

/* The first slot from `slot` on that the snapshot tells about; slot_bound when there is none. */
static int64_t next_changed(const fc_session_frozen *frozen, int64_t slot) {
    const int64_t epochs = frozen->epoch - frozen->since;
    while (slot < frozen->slot_bound && frozen->since != 0) {
        if (frozen_pages(frozen)[slot / FC_SESSION_PAGE].epoch <= frozen->since) {
            slot = (slot / FC_SESSION_PAGE + 1) * FC_SESSION_PAGE;
            continue;
        }
        if ((uint16_t)(frozen->epoch - frozen_session(frozen, slot)->epoch) < epochs) return slot;
        slot++;
    }
    return slot < frozen->slot_bound ? slot : frozen->slot_bound;
}

static bool is_run(const fc_session_frozen *frozen) {
    const int32_t *slots = (const int32_t *)frozen->slots.data;
    return frozen->count == 0 || slots[frozen->count - 1] - slots[0] == frozen->count - 1;
}

fc_status fc_session_frozen_plan(fc_session_frozen *frozen, int64_t *bytes) {
    *bytes = 0;
    fc_status status = fc_buffer_reserve(&frozen->slots, BLOCK_SLOTS * (int64_t)sizeof(int32_t));
    if (status != FC_OK) return status;
    int32_t *slots = (int32_t *)frozen->slots.data;
    int64_t slot = next_changed(frozen, frozen->next_slot);
    frozen->count = frozen->live_count = 0;
    for (; slot < frozen->slot_bound && frozen->count < BLOCK_SLOTS; slot = next_changed(frozen, slot + 1)) {
        slots[frozen->count++] = (int32_t)slot;
        frozen->live_count += frozen_session(frozen, slot)->state != 0;
    }
    frozen->next_slot = slot;
    bool resets = frozen->since == 0 && frozen->block_count == 0;    /* also when there was no session ever */
    if (frozen->count > 0 || resets)
        *bytes = HEADER_BYTES + (is_run(frozen) ? 0 : 4 * frozen->count) + (frozen->count + 7) / 8
                 + ROW_BYTES * frozen->live_count;
    return FC_OK;
}

void fc_session_frozen_write(fc_session_frozen *frozen, uint8_t *data) {
    const int32_t *slots = (const int32_t *)frozen->slots.data;
    const int64_t n = frozen->count;
    const bool run = is_run(frozen);
    const uint16_t version = FC_SESSION_FORMAT_VERSION;
    uint8_t *bits = data + HEADER_BYTES + (run ? 0 : 4 * n), *to = bits + (n + 7) / 8;
    memset(data, 0, HEADER_BYTES);
    if (!run) memcpy(data + HEADER_BYTES, slots, (size_t)(4 * n));
    memset(bits, 0, (size_t)((n + 7) / 8));
    for (int64_t i = 0; i < n; i++) {
        const fc_session *session = frozen_session(frozen, slots[i]);
        if (session->state == 0) continue;
        const row written = {.start_ms = session->start_ms, .end_ms = session->end_ms,
                             .created = session->created, .group_id = session->group_id,
                             .fired = (session->state & FC_SESSION_FIRED) != 0};
        bits[i >> 3] |= (uint8_t)(1 << (i & 7));
        memcpy(to, &written, ROW_BYTES);
        to += ROW_BYTES;
    }
    memcpy(data, &version, 2);
    data[2] = run ? RUN : LIST;
    data[3] = frozen->since == 0 && frozen->block_count == 0;
    put_u32(data + 4, run && n > 0 ? (uint32_t)slots[0] : 0);
    put_u32(data + 8, (uint32_t)n);
    put_u32(data + 12, (uint32_t)frozen->live_count);
    memcpy(data + 16, &frozen->created, 8);
    frozen->block_count++;
    atomic_store_explicit(&frozen->passed, frozen->next_slot / FC_SESSION_PAGE, memory_order_release);
}

/* ---- reading --------------------------------------------------------------------------------------- */

typedef struct {
    bool run, reset;
    int64_t first_slot, count, live_count;
    uint64_t created;
    const uint8_t *slots;       /* int32[count], unaligned, of a list */
    const uint8_t *bits, *rows;
    int64_t slot_bound;         /* of the index with this block */
} session_block;

static inline int32_t block_slot(const session_block *block, int64_t i) {
    return block->run ? (int32_t)(block->first_slot + i) : (int32_t)load_u32(block->slots + 4 * i);
}

static const char *check_slots(const fc_session_index *index, session_block *block) {
    int64_t bound = block->reset ? 0 : index->slot_bound, before = -1, set = 0;
    for (int64_t i = 0; i < block->count && !block->run; i++) {
        int64_t slot = (int32_t)load_u32(block->slots + 4 * i);
        if (slot <= before) return "slots do not ascend";
        if (slot > bound) return "a slot is beyond those that the snapshot told about";
        bound += slot == bound;
        before = slot;
    }
    if (block->run) {
        if (block->first_slot > bound) return "a slot is beyond those that the snapshot told about";
        if (block->first_slot + block->count > bound) bound = block->first_slot + block->count;
    }
    if (bound > FC_SESSION_SLOTS_MAX) return "more slots than an index may number";
    block->slot_bound = bound;
    const int64_t bit_bytes = (block->count + 7) / 8;
    for (int64_t i = 0; i < bit_bytes; i++) set += __builtin_popcount(block->bits[i]);
    if (set != block->live_count) return "the number of sessions is not that of the bitmap";
    if ((block->count & 7) != 0 && block->bits[bit_bytes - 1] >> (block->count & 7) != 0)
        return "the bitmap has bits past its end";
    return NULL;
}

/* NULL, or what is wrong with the block. */
static const char *read_block(const fc_session_index *index, const uint8_t *data, int64_t bytes,
                              session_block *block) {
    uint16_t version;
    if (bytes < HEADER_BYTES) return "it is shorter than a header";
    memcpy(&version, data, 2);
    if (version != FC_SESSION_FORMAT_VERSION) return "another format version";
    if (data[2] != RUN && data[2] != LIST) return "slots of an unknown kind";
    if (data[3] > 1) return "a flag is neither 0 nor 1";
    *block = (session_block){.run = data[2] == RUN, .reset = data[3] == 1, .first_slot = load_u32(data + 4),
                             .count = load_u32(data + 8), .live_count = load_u32(data + 12)};
    memcpy(&block->created, data + 16, 8);
    if (block->created > INT64_MAX) return "more sessions were made than can be counted";
    if (!block->run && block->first_slot != 0) return "a list has a first slot";
    const int64_t slot_bytes = block->run ? 0 : 4 * block->count, bit_bytes = (block->count + 7) / 8;
    if (bytes != HEADER_BYTES + slot_bytes + bit_bytes + ROW_BYTES * block->live_count)
        return "its length is not that of its sessions";
    block->slots = data + HEADER_BYTES;
    block->bits = block->slots + slot_bytes;
    block->rows = block->bits + bit_bytes;
    for (int64_t i = 0; i < block->live_count; i++) {
        row read;
        memcpy(&read, block->rows + ROW_BYTES * i, ROW_BYTES);
        if (read.end_ms <= read.start_ms) return "a session ends before it starts";
        if (read.created >= block->created) return "a session was created after the snapshot";
        if (read.group_id < 0) return "a group id is negative";
        if (read.fired > 1 || read.reserved[0] != 0 || read.reserved[1] != 0 || read.reserved[2] != 0)
            return "reserved bytes are not zero";
    }
    return check_slots(index, block);
}

fc_status fc_session_load(fc_session_index *index, const uint8_t *data, int64_t bytes, const char **reason) {
    session_block block;
    *reason = read_block(index, data, bytes, &block);
    if (*reason != NULL) return FC_ERR_INVALID;
    fc_status status = fc_session_reserve(index, block.slot_bound);
    if (status != FC_OK) return status;
    if (block.reset) index->slot_bound = 0;
    for (; index->slot_bound < block.slot_bound; index->slot_bound++)
        *fc_session_at(index, (int32_t)index->slot_bound) = (fc_session){0};
    const uint8_t *at = block.rows;
    for (int64_t i = 0; i < block.count; i++) {
        fc_session *session = fc_session_at(index, block_slot(&block, i));
        *session = (fc_session){0};
        if (!has_bit(block.bits, i)) continue;
        row read;
        memcpy(&read, at, ROW_BYTES);
        at += ROW_BYTES;
        *session = (fc_session){.start_ms = read.start_ms, .end_ms = read.end_ms, .created = read.created,
                                .group_id = read.group_id,
                                .state = FC_SESSION_LIVE | (read.fired ? FC_SESSION_FIRED : 0)};
    }
    if (block.created > index->created) index->created = block.created;
    return FC_OK;
}

/* Put the sessions, which come by start, at the heads of their groups. False when two of a group touch. */
static bool link_all(fc_session_index *index, const fc_session_key *keys, int64_t n) {
    int32_t *heads = (int32_t *)index->heads.data;
    for (int64_t i = 0; i < n; i++) {
        fc_session *session = fc_session_at(index, keys[i].slot);
        const int32_t older = heads[session->group_id] - 1;
        session->newer = -1;
        session->older = older;
        if (older >= 0) {
            if (fc_session_at(index, older)->end_ms >= session->start_ms) return false;
            fc_session_at(index, older)->newer = keys[i].slot;
        }
        heads[session->group_id] = keys[i].slot + 1;
    }
    return true;
}

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

fc_status fc_session_loaded(fc_session_index *index, int64_t epoch, int64_t group_bound, const char **reason) {
    *reason = NULL;
    if (epoch < index->epoch - 1) return FC_ERR_INVALID;
    int64_t live_count = 0, id_max = -1;
    for (int64_t slot = 0; slot < index->slot_bound; slot++) {
        const fc_session *session = fc_session_at(index, (int32_t)slot);
        if (session->state == 0) continue;
        live_count++;
        if (session->group_id > id_max) id_max = session->group_id;
    }
    if (id_max >= group_bound) {
        *reason = "a session is of a group that there is not";
        return FC_ERR_INVALID;
    }
    fc_buffer memory = {0};
    fc_status status = fc_buffer_reserve(&memory, 2 * live_count * (int64_t)sizeof(fc_session_key));
    if (status == FC_OK) status = fc_session_reserve_groups(index, id_max);
    if (status != FC_OK) {
        fc_buffer_free(&memory);
        return status;
    }

    fc_session_key *keys = (fc_session_key *)memory.data;
    int64_t n = 0;
    for (int64_t p = 0; p < index->page_count; p++) {
        fc_session_pages(index)[p].epoch = epoch;
        fc_session_bounds(index)[p] = (fc_session_bound){INT64_MAX, INT64_MAX};
    }
    for (int64_t slot = index->slot_bound - 1; slot >= 0; slot--) {
        fc_session *session = fc_session_at(index, (int32_t)slot);
        session->epoch = (uint16_t)epoch;
        if (session->state == 0) {
            session->older = index->free_slot;
            index->free_slot = (int32_t)slot;
            continue;
        }
        keys[n++] = (fc_session_key){session->end_ms, session->start_ms, (int32_t)slot};
        fc_session_bound *bound = &fc_session_bounds(index)[slot / FC_SESSION_PAGE];
        bound->purge_ms = smaller(bound->purge_ms, session->end_ms);
        if (!(session->state & FC_SESSION_FIRED)) bound->fire_ms = smaller(bound->fire_ms, session->end_ms);
    }
    for (int64_t p = 0; p < index->page_count; p++) {
        index->least.fire_ms = smaller(index->least.fire_ms, fc_session_bounds(index)[p].fire_ms);
        index->least.purge_ms = smaller(index->least.purge_ms, fc_session_bounds(index)[p].purge_ms);
    }
    const bool apart = link_all(index, fc_session_sort(keys, keys + n, n, false), n);
    fc_buffer_free(&memory);
    if (!apart) {
        *reason = "two sessions of a group touch";
        return FC_ERR_INVALID;
    }
    index->live_count = live_count;
    index->epoch = epoch + 1;
    return FC_OK;
}
