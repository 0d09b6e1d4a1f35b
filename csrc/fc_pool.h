/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for pages of a bounded size, and a file for those that do not fit.
 *
 * A pool hands out frames, the memory of one page each, and slots, places of one page in a file that the
 * caller provides as functions: csrc does no I/O itself. A page that was written to its slot can also be worked on
 * where it lies, in the memory that the system keeps for the file. The pool of a process is divided among shares, one
 * for the accumulators of each thread. A thread puts only its own pages out, so that a page in memory is never
 * taken from under a kernel; fc_share_exceeds says when it has to.
 *
 * The frames in use stay within the budget but for those of the rows that a kernel works on: one block of each
 * thread. A share may hold more than its part while the others need less; it gives that back at its next block
 * once another share has to put pages out below its part. */
#ifndef FC_POOL_H
#define FC_POOL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "fc_buffer.h"

#define FC_POOL_PAGE_BYTES 16384
#define FC_POOL_MAP_SLOTS 16384        /* 256 MB; addresses, not memory */
#define FC_POOL_MAPS 16384             /* 4 TB */

/* Where pages go. Called without locks, by any thread. FC_ERR_IO; what failed is for the context to remember. */
typedef struct {
    void *context;
    fc_status (*read)(void *context, int64_t slot, uint8_t *page);
    fc_status (*write)(void *context, int64_t slot, const uint8_t *page);
    /* The address of bytes [position, position + bytes) of the file, as others that map it see them; NULL when there is
     * no room for it. Those beyond its end are not touched. */
    uint8_t *(*map)(void *context, int64_t position, int64_t bytes);
    void (*unmap)(void *context, uint8_t *address, int64_t bytes);
    void (*trimmed)(void *context);    /* pages that were written have left memory; NULL: nobody wants to know */
} fc_pool_file;

typedef struct {
    fc_pool_file file;
    int64_t budget_pages;
    atomic_flag lock;                  /* of all that follows but the atomics */
    fc_buffer slabs;                   /* fc_buffer[slab_count] */
    int64_t slab_count;
    int64_t frame_count;               /* frames in the slabs */
    fc_buffer free_frames;             /* uint8_t *[free_frame_count], room for all */
    int64_t free_frame_count;
    fc_buffer free_slots;              /* int64_t[free_slot_count], room for all */
    int64_t free_slot_count;
    int64_t slot_bound;                /* slots that were ever in use */
    fc_buffer map_table;
    _Atomic(uint8_t *) *_Atomic maps;  /* [FC_POOL_MAPS], of FC_POOL_MAP_SLOTS slots each; in map_table, or NULL */
    _Atomic int64_t frames_used;
    _Atomic int64_t slots_used;
    _Atomic int64_t pages_written;     /* since the beginning */
    _Atomic int64_t pages_read;
    _Atomic int64_t share_count;       /* that have accumulators */
    atomic_bool is_contended;          /* a share below its part had to put pages out */
} fc_pool;

struct fc_agg;

/* Used by one thread, but for the freeing of accumulators, which any thread may do. */
typedef struct {
    fc_pool *pool;
    atomic_flag lock;                  /* of the ring */
    struct fc_agg *ring;               /* its accumulators; where the hand of the clock is */
    int64_t hand;                      /* the next page of those */
    _Atomic int64_t frames_used;
} fc_share;

/* For sections of a few instructions, or rarely of one write. */
void fc_lock(atomic_flag *lock);
void fc_unlock(atomic_flag *lock);

void fc_pool_init(fc_pool *pool, fc_pool_file file, int64_t budget_pages);
void fc_pool_free(fc_pool *pool);
void fc_share_init(fc_share *share, fc_pool *pool);

/* A frame, not zeroed, also beyond the budget. FC_ERR_MEMORY. */
fc_status fc_share_frame_take(fc_share *share, uint8_t **frame);
void fc_share_frame_give(fc_share *share, uint8_t *frame);

/* Count as many frames more, or less, as in use: other memory that belongs to the budget. */
void fc_share_reserve(fc_share *share, int64_t frames);

/* A place in the file. FC_ERR_MEMORY. */
fc_status fc_pool_slot_take(fc_pool *pool, int64_t *slot);
void fc_pool_slot_give(fc_pool *pool, int64_t slot);

fc_status fc_pool_read(fc_pool *pool, int64_t slot, uint8_t *page);
fc_status fc_pool_write(fc_pool *pool, int64_t slot, const uint8_t *page);

/* The page of a slot where it lies; NULL when that is not to be had. It was written. */
uint8_t *fc_pool_at(fc_pool *pool, int64_t slot);

/* Is there room for a page more within the budget? */
bool fc_pool_has_room(fc_pool *pool);

/* Has this share to put a page out? */
bool fc_share_exceeds(fc_share *share);

#endif
