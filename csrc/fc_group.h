/* SPDX-License-Identifier: Apache-2.0
 *
 * Group index: key rows -> dense int32 ids, and the keys back by id.
 *
 * Ids are given in order of first appearance, whatever the batches were; a released id is given again
 * before a new one. Keys compare exactly (NaN equals NaN, -0.0 differs from 0.0, null equals null); the
 * hash, made by fc_hash_columns over the same columns, only says where to look.
 *
 * Keys lie by id in slots, in one of four forms:
 *   WORD   one fixed-width column    8 bytes; the null key is an id of its own
 *   WORDS  2 to 8 fixed-width ones   one word of null bits, then one word per column
 *   BYTES  one bytes column          16 bytes: length, first 4 bytes, then the next 8 or an arena offset
 *   ROWS   all else                  BYTES over the row as fc_serde_write makes it
 *
 * Hashes are not kept: a release or a rehash by id needs the key's cache line anyway, and hashing it costs
 * 0.3 ns (word) to 3 ns (40 bytes) beside that miss; 8 bytes more per key would cost every snapshot of it. */
#ifndef FC_GROUP_H
#define FC_GROUP_H

#include <stdint.h>

#include "fc_buffer.h"
#include "fc_column.h"
#include "fc_direct.h"
#include "fc_frozen.h"
#include "fc_status.h"
#include "fc_table.h"

#define FC_GROUP_IDS_MAX INT32_MAX

typedef enum {
    FC_GROUP_WORD = 1,
    FC_GROUP_WORDS = 2,
    FC_GROUP_BYTES = 3,
    FC_GROUP_ROWS = 4
} fc_group_form;

/* Which ids were given or released, for snapshots of what changed (fc_group_snapshot.h). */
typedef struct {
    bool on;                  /* from the first freeze on, unless it grew longer than the keys themselves */
    fc_buffer ids;            /* int32[end], as it happened; those before `start` are forgotten */
    int64_t start, end;
    int64_t since;            /* it has all changes of later epochs */
    fc_buffer marks;          /* where epochs end: fc_group_mark[mark_count], ascending */
    int64_t mark_count;
} fc_group_log;

typedef struct {
    int64_t epoch, end;
} fc_group_mark;

typedef struct {
    fc_group_form form;
    int column_count;
    fc_buffer kinds;          /* fc_kind[column_count] */
    fc_table table;
    fc_direct direct;         /* WORD of FC_I64: before the table, where keys lie close together */
    bool released;            /* some key, since the bounds of `direct` were looked for ... */
    int64_t rows_since;       /* ... so many rows ago */
    fc_buffer slots;          /* uint64_t[slot_words] by id */
    int64_t slot_words;
    fc_buffer live;           /* bitmap by id */
    fc_buffer arena;          /* bytes of keys longer than a slot holds */
    int64_t arena_used;
    int64_t arena_garbage;    /* of released keys, below arena_used */
    int64_t id_bound;         /* every id given so far is below */
    int64_t live_count;
    int64_t ids_max;
    fc_buffer free_ids;       /* int32[free_count], a stack: released last, given first */
    int64_t free_count;
    int32_t null_id;          /* WORD, BYTES: the null key's, -1 when it has none */
    fc_group_log log;
    int64_t epoch;            /* of the last freeze or load */
    fc_freezes freezes;       /* pending parts read slots, arena and log */
    fc_buffer waiting;        /* int32[waiting_count]: released, but a pending part reads their slots */
    int64_t waiting_count;
    fc_buffer spare;          /* of an earlier frozen part, for the bitmap of the next one */
    int32_t stale_null_id;    /* while loading: had the null key before null_id, -1 when none has */
    fc_buffer rows, offsets;  /* ROWS: a block of encoded rows */
    fc_buffer fields;         /* ROWS: fc_field[column_count], a decoded row */
} fc_group;

/* An empty index over columns of `kinds`, numbering at most ids_max <= FC_GROUP_IDS_MAX live keys.
 * FC_ERR_INVALID for no column or ids_max outside [1, FC_GROUP_IDS_MAX]; FC_ERR_TYPE; FC_ERR_MEMORY. */
fc_status fc_group_init(fc_group *group, const fc_kind *kinds, int column_count, int64_t ids_max);
void fc_group_free(fc_group *group);

/* Room for `count` keys in all, so that interning them does not grow the table. */
fc_status fc_group_reserve(fc_group *group, int64_t count);

/* ids[i] = the id of row i, a new one when its key is new. FC_ERR_TYPE or FC_ERR_INVALID when the columns
 * are not those of the index or not n rows long. FC_ERR_MEMORY and FC_ERR_CAPACITY (more than ids_max
 * keys, or one row of 2^31 bytes) leave the keys of the rows before the failing one in the index, which
 * stays consistent: the call can be repeated.
 * hashes : of fc_hash_columns; or NULL to have them made, a block at a time */
fc_status fc_group_intern(fc_group *group, const fc_column *columns, const uint64_t *hashes, int64_t n,
                          int32_t *ids);

/* The same, with -1 for a key that has no id. */
fc_status fc_group_find(fc_group *group, const fc_column *columns, const uint64_t *hashes, int64_t n,
                        int32_t *ids);

/* Give the ids back, and their keys' memory once more than half of the arena is garbage. FC_ERR_INVALID,
 * with nothing changed, when an id has no key or stands twice in `ids`. Cannot run out of memory. The ids
 * are given again at once, or after the parts frozen while they were live have been released. */
fc_status fc_group_release(fc_group *group, const int32_t *ids, int64_t n);

/* Forget all keys; ids start from 0 again, the room stays. */
void fc_group_clear(fc_group *group);

/* FC_ERR_INVALID when one of the ids has no key. The calls below take only ids that pass. */
fc_status fc_group_check(const fc_group *group, const int32_t *ids, int64_t n);

/* The ids in [first, end) that have a key, ascending, and how many. `end` is at most id_bound; `ids` has room
 * for them all, live_count at most. */
int64_t fc_group_live_ids(const fc_group *group, int64_t first, int64_t end, int32_t *ids);

/* hashes[i] of the key of ids[i], as fc_hash_columns gave it. */
void fc_group_hashes(const fc_group *group, const int32_t *ids, int64_t n, uint64_t *hashes);

/* Keys back, one column at a time. Bitmaps are caller-allocated and zeroed, (n + 7) / 8 bytes. */

/* Bit i set where the key of ids[i] is not null in `column`; returns how many are. */
int64_t fc_group_key_validity(const fc_group *group, int column, const int32_t *ids, int64_t n,
                              uint8_t *bits);

/* FC_I64, FC_F64: the values, 0 where null. */
void fc_group_key_words(const fc_group *group, int column, const int32_t *ids, int64_t n, uint64_t *words);

/* FC_BOOL: the values as bits, 0 where null. */
void fc_group_key_bits(const fc_group *group, int column, const int32_t *ids, int64_t n, uint8_t *bits);

/* FC_BYTES: n + 1 offsets, then the bytes between them. FC_ERR_CAPACITY above 2^31 - 1 bytes in all. */
fc_status fc_group_key_offsets(const fc_group *group, int column, const int32_t *ids, int64_t n,
                               int32_t *offsets);
void fc_group_key_bytes(const fc_group *group, int column, const int32_t *ids, int64_t n,
                        const int32_t *offsets, uint8_t *data);

#endif
