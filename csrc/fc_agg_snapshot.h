/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots of accumulators: what changed in a span of epochs, written while the rows go on changing.
 *
 * Changes belong to an epoch, and freezing ends one. What is frozen is a list of the pages that were written
 * in the span, and the heap; nothing is copied. Another thread then writes block after block, while a page
 * about to be changed is first copied if a frozen list still needs it: it is on the list and not written yet.
 * The old page is kept as long as one needs it and then used for the next copy. Of a page either all is
 * written or the rows that carry a stamp of the span, whichever takes fewer bytes: a row that is stamped and
 * not in use was removed. Stamps are the low 16 bits of an epoch; one that is 65536 epochs old makes a block
 * longer, not wrong.
 *
 * A block:
 *
 *   OFFSET  SIZE  FIELD
 *        0     2  format_version     1
 *        2     1  is_reset           1: all rows are emptied before the sections are applied; else 0
 *        3     1  reserved           0
 *        4     2  row_words          of a row, its header included
 *        6     2  bytes_slot_count   slots of a row that hold byte values
 *        8     4  page_rows
 *       12     4  section_count
 *       16        the sections, without gaps
 *
 * A section:
 *
 *        0     4  page               of the ids from page * page_rows on
 *        4     2  row_count          rows in use that are given
 *        6     2  removed_count      rows that are emptied; none in a whole page
 *        8     1  tag                1: a whole page, 2: some of its rows
 *        9     3  reserved           0
 *       12        tag 2: uint16[row_count] and uint16[removed_count], positions in the page, both ascending
 *        .        tag 1: all rows of the page, zeros for one that is not in use;  tag 2: the given rows
 *        .        the byte values of these rows, row by row, slot by slot
 *
 * All numbers are little-endian. The stamps of rows are 0, and a slot of a byte value holds its length. */
#ifndef FC_AGG_SNAPSHOT_H
#define FC_AGG_SNAPSHOT_H

#include <stdatomic.h>

#include "fc_agg.h"

#define FC_AGG_SNAPSHOT_ROOM_MIN (1 << 15)     /* more than a page without byte values takes */

typedef struct {
    uint16_t format_version;
    uint8_t is_reset;
    uint8_t reserved;
    uint16_t row_words;
    uint16_t bytes_slot_count;
    uint32_t page_rows;
    uint32_t section_count;
} fc_agg_block_header;

typedef struct {
    uint32_t page;
    uint16_t row_count;
    uint16_t removed_count;
    uint8_t tag;
    uint8_t reserved[3];
} fc_agg_section_header;

_Static_assert(sizeof(fc_agg_block_header) == 16, "a block starts with the 16 bytes drawn above");
_Static_assert(sizeof(fc_agg_section_header) == 12, "a section starts with the 12 bytes drawn above");

typedef struct {
    uintptr_t entry;                 /* where the page is: an address, or a slot as in the page table */
    int64_t index;
} fc_agg_frozen_page;

/* Belongs to the accumulators. The thread that changes those and the one that writes share `next_index` and
 * `is_abandoned`; all else is written by one of them, or by nobody. */
typedef struct fc_agg_frozen {
    struct fc_agg_frozen *older;
    fc_buffer memory;                /* this struct with its pages */
    fc_buffer heap_kept;             /* the heap it refers to, when the accumulators have left it */
    const uint8_t *heap;             /* NULL when it holds nothing */
    int64_t heap_size;
    fc_agg_layout layout;
    int64_t since;
    int64_t epoch;                   /* holds what changed in (since, epoch]; since = 0: all that is there */
    bool is_reset;                   /* to be said by the first block */
    int64_t page_position;           /* of the page to be written next */
    int32_t page_row;                /* its first row that is not written */
    _Atomic int64_t next_index;      /* pages of lower index are no longer read */
    atomic_bool is_abandoned;
    fc_pool *pool;                   /* NULL: pages stay where they are */
    atomic_flag lock;                /* with a pool, of the entries of pages */
    int64_t page_count;
    fc_agg_frozen_page pages[];      /* by index, ascending */
} fc_agg_frozen;

/* ---- for the thread that changes the accumulators */

/* End `epoch`, and freeze what changed in (since, epoch]; later changes belong to epoch + 1. When changes
 * since then are not known, because all rows were emptied or loaded later, it is everything, after a reset.
 * FC_ERR_INVALID unless 0 <= since < epoch and epoch has not ended; FC_ERR_MEMORY. O(pages). */
fc_status fc_agg_freeze(fc_agg *agg, int64_t since, int64_t epoch, fc_agg_frozen **frozen);

/* Give back what is frozen and the pages that only it needed. Nobody writes it any more. */
void fc_agg_release(fc_agg *agg, fc_agg_frozen *frozen);

/* Apply one block. Whatever the bytes are, the accumulators stay sound; after an error it is not said which
 * sections were applied. FC_ERR_INVALID, with `fault` saying what is wrong with the bytes, FC_ERR_MEMORY,
 * FC_ERR_CAPACITY. */
fc_status fc_agg_load(fc_agg *agg, const uint8_t *payload, int64_t bytes, const char **fault);

/* What is there is what was there at the end of `epoch`. FC_ERR_INVALID for one that ended before. */
fc_status fc_agg_loaded(fc_agg *agg, int64_t epoch);

/* ---- for any thread, one at a time */

/* Write the next block of at most `room` bytes, FC_AGG_SNAPSHOT_ROOM_MIN at least; `bytes` is 0 after the
 * last. FC_ERR_CAPACITY when a row's values do not fit: `bytes` is the room it takes. FC_ERR_IO. */
fc_status fc_agg_frozen_write(fc_agg_frozen *frozen, uint8_t *block, int64_t room, int64_t *bytes);

/* Instead of fc_agg_release by another thread: the next freeze or release gives it back. */
void fc_agg_frozen_abandon(fc_agg_frozen *frozen);

/* ---- for the rows */

/* Does a snapshot still need a page of the page table? */
bool fc_agg_page_is_needed(const fc_agg *agg, int64_t index);

/* Room for `count` more retired pages. FC_ERR_MEMORY. */
fc_status fc_agg_retired_reserve(fc_agg *agg, int64_t count);

/* Keep a page about to lose its place in the page table, until no snapshot needs it; the same for what an entry
 * says of the page. There is room. */
void fc_agg_page_retire(fc_agg *agg, int64_t index);
void fc_agg_entry_retire(fc_agg *agg, int64_t index, uintptr_t entry);

/* A page went out: snapshots that need it find it in its slot from now on. */
void fc_agg_frozen_move(fc_agg *agg, int64_t index, uintptr_t entry, uintptr_t slot_entry);

/* Leave the heap's memory to a snapshot that refers to it, or give it back; sizes are the caller's to set. */
void fc_agg_heap_leave(fc_agg *agg);

void fc_agg_frozen_free_all(fc_agg *agg);

int64_t fc_agg_frozen_memory_bytes(const fc_agg *agg);

#endif
