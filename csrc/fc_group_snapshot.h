/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots of a group index: what the task's thread marks, what a writing thread reads, and the way back.
 *
 * A freeze copies the bitmap of live ids and notes where slots, arena and log lie: 0.1 ms at 1e7 keys. The
 * slots of ids that were live then are not overwritten while the frozen part is pending: such an id, when it
 * is released, waits before it is given again. Whatever would move (slots that grow, an arena that grows or
 * is compacted) is copied and the old memory left to the frozen part. The table is not part of a snapshot.
 *
 * What changed since an epoch is read from the log, 4 bytes per id given or released. The log is dropped when
 * it would outgrow the live keys by more than LOG_IDS_MIN; the next freeze then gives everything, so that
 * neither the log nor a snapshot of changes is ever much larger than a snapshot of everything. */
#ifndef FC_GROUP_SNAPSHOT_H
#define FC_GROUP_SNAPSHOT_H

#include "fc_group.h"

/* Payload of one block, little-endian. It tells about n ids in ascending order, of which k have a key:
 *   OFFSET  SIZE  FIELD
 *        0     2  format_version   1
 *        2     1  form             fc_group_form
 *        3     1  ids              1 = a run of consecutive ids, 2 = a list
 *        4     1  reset            1 = all keys before this block are gone (first of everything), else 0
 *        5     3  reserved
 *        8     4  first_id         of a run; 0 for a list
 *       12     4  n
 *       16     4  k
 *       20     4  null_id          the id among these that has the null key, else 2^32 - 1
 *       24    4n  ids              of a list
 *           n/8  has_key          bitmap, padded with zero bits to whole bytes
 *            8k  keys             WORD: the words, 0 for the null key
 *  8(1 + c)k  keys             WORDS: slots, c columns
 *            4k  lengths          BYTES, ROWS
 *                 bytes            of all keys, one after the other
 * An id that has no key has been released, or was never live when a snapshot was taken. Ids at or above the
 * bound of the ids told so far follow it without a gap, so that the payload justifies the memory. */
#define FC_GROUP_FORMAT_VERSION 1

typedef struct {
    fc_frozen frozen;
    fc_group_form form;
    int64_t slot_words;
    const uint64_t *slots;
    const uint8_t *arena;
    const int32_t *log_ids;      /* the buffer of the log */
    int64_t log_start, log_end;
    bool whole;                  /* everything, not what the log names */
    fc_buffer live;              /* bitmap by id, as it was */
    int64_t id_bound;
    int32_t null_id;
    /* The writer's: */
    fc_buffer touched;           /* bitmap of the ids in the log */
    fc_buffer ids;               /* int32[count], of the planned block */
    int64_t count, key_count, key_bytes;
    int64_t next_id;
    int64_t block_count;
} fc_group_frozen;

/* ---- on the task's thread ------------------------------------------------------------------------- */

/* Freeze what changed in the epochs (since, epoch], or everything when `since` is 0. FC_ERR_INVALID unless
 * 0 <= since < epoch and epoch is above that of the last freeze; FC_ERR_MEMORY. */
fc_status fc_group_freeze(fc_group *group, int64_t since, int64_t epoch, fc_group_frozen **frozen);

/* Nobody reads the part any more. */
void fc_group_frozen_release(fc_group *group, fc_group_frozen *frozen);

/* No later freeze has a `since` below `epoch`, but 0. */
void fc_group_forget(fc_group *group, int64_t epoch);

/* Apply a block to an index that was empty before the first one. FC_ERR_INVALID, with nothing changed and
 * the reason in words, for bytes that no snapshot of such an index has. No key can be found before
 * fc_group_loaded. */
fc_status fc_group_load(fc_group *group, const uint8_t *data, int64_t bytes, const char **reason);

/* All blocks of the epochs up to `epoch` are in: build the table. Free ids are given from the lowest on.
 * FC_ERR_INVALID, with the reason, when two ids have one key; the index is then of no use. */
fc_status fc_group_loaded(fc_group *group, int64_t epoch, const char **reason);

/* ---- on the writing thread ------------------------------------------------------------------------ */

/* How many bytes the next block takes, about 1 MB at most unless one key has more; 0 after the last. */
fc_status fc_group_frozen_plan(fc_group_frozen *frozen, int64_t *bytes);

/* Write the planned block. */
void fc_group_frozen_write(fc_group_frozen *frozen, uint8_t *data);

/* ---- for the group index itself ------------------------------------------------------------------- */

/* Make `bytes` of room in slots, arena or log, whose first `used` bytes are kept. */
fc_status fc_group_grow(fc_group *group, fc_buffer *buffer, int64_t bytes, int64_t used);

/* When a pending part reads the buffer, leave it to the part; the buffer is then empty. */
void fc_group_leave(fc_group *group, fc_buffer *buffer);

/* Have slots that no pending part reads, so that those of live keys may be changed. */
fc_status fc_group_own_slots(fc_group *group);

/* Room for `ids` ids. */
fc_status fc_group_reserve_ids(fc_group *group, int64_t ids);

/* Build the table of the live keys, `key_count` at most. Are they distinct? FC_ERR_MEMORY, FC_ERR_CAPACITY. */
fc_status fc_group_rebuild(fc_group *group, int64_t key_count, bool *distinct);

/* Move the bytes of live keys together, in order of id, when most of the arena is garbage. Without memory
 * for it the garbage stays a while. */
void fc_group_compact(fc_group *group);

/* Does a pending part read the slot of this id? */
bool fc_group_is_frozen(const fc_group *group, int32_t id);

/* Room in the log for `more` ids, or else no log. */
void fc_group_log_reserve(fc_group *group, int64_t more);
void fc_group_log_drop(fc_group *group);

/* The id was given or released; room is reserved. */
static inline void log_id(fc_group *group, int32_t id) {
    if (group->log.on) ((int32_t *)group->log.ids.data)[group->log.end++] = id;
}

#endif
