/* SPDX-License-Identifier: Apache-2.0
 *
 * Accumulators whose pages come from a pool of bounded size, and leave memory when it is full.
 *
 * Which page leaves, a clock decides: its hand goes round the pages of all accumulators of a share. It takes the
 * bit off a page that is writable, which the next write to it sets again, and puts out a page that has it off
 * already. So the loops over rows keep no account of their own. A page that was not written since it came back
 * leaves without being written to the file again. What only snapshots need leaves first.
 *
 * A page that is out is read and written where it lies in the file, in memory that the system keeps for it: a row
 * costs 0.1 to 0.3 us there, where bringing its page back and putting another out takes 15 us. It comes back when it
 * has been written to so often that this will pay, when there is room, or when a snapshot needs what is in its slot.
 *
 * Kernels let pages come back and leave before they resolve the rows of a block, never while they hold addresses of
 * rows. Pages with byte values stay: those lie in a heap that is compacted as a whole. */
#ifndef FC_AGG_SPILL_H
#define FC_AGG_SPILL_H

#include "fc_agg.h"

/* Take pages from a share from now on. FC_ERR_INVALID when there are some already. The share outlives the
 * accumulators. */
fc_status fc_agg_draw_on(fc_agg *agg, fc_share *share);

/* Let pages leave until the share has no more than it may. FC_ERR_IO with no page lost, FC_ERR_MEMORY. */
fc_status fc_share_trim(fc_share *share);

/* Bring the pages back that are wanted. FC_ERR_IO, FC_ERR_MEMORY. */
fc_status fc_agg_fetch_wanted(fc_agg *agg);

/* To be called when no address of a row is held. */
static inline fc_status fc_agg_trim(fc_agg *agg) {
    fc_status status = agg->wanted_count > 0 ? fc_agg_fetch_wanted(agg) : FC_OK;
    if (status != FC_OK || agg->share == NULL || !fc_share_exceeds(agg->share)) return status;
    return fc_share_trim(agg->share);
}

/* Which of n records go to a page that is out, and which do not or have a negative id: their positions, in order.
 * there, out : room for n each;  -> how many are in `out`, the others are in `there` */
int64_t fc_agg_split_out(const fc_agg *agg, const int32_t *ids, int64_t n, int64_t *there, int64_t *out);

/* ---- for the rows; all but the first with a share */

static inline int64_t *page_slots_of(const fc_agg *agg) { return (int64_t *)agg->page_slots.data; }

/* Where snapshots find a page: its slot if it has one, else its address. 0 when it is missing. */
uintptr_t fc_agg_page_entry(const fc_agg *agg, int64_t index);

static inline uint8_t *page_touches_of(const fc_agg *agg) { return agg->page_touches.data; }

/* A page that is out, to be read: where it lies, or brought back. FC_ERR_IO, FC_ERR_MEMORY. */
fc_status fc_agg_page_out_read(fc_agg *agg, int64_t index, uint8_t **page);

/* A page that is out, to be written: where it lies; or NULL, and it was brought back. FC_ERR_IO, FC_ERR_MEMORY, with
 * nothing changed. */
fc_status fc_agg_page_out_open(fc_agg *agg, int64_t index, uint8_t **page);

/* A page in memory is about to differ from its slot, which is kept when snapshots need it. FC_ERR_MEMORY. */
fc_status fc_agg_page_leave_slot(fc_agg *agg, int64_t index, bool is_needed);

fc_status fc_agg_frame_take(fc_agg *agg, uint8_t **frame);
void fc_agg_frame_give(fc_agg *agg, uint8_t *frame);

/* Give back the frame or slot of an entry; all that a page of the page table has. */
void fc_agg_entry_drop(fc_agg *agg, uintptr_t entry);
void fc_agg_page_drop(fc_agg *agg, int64_t index);

/* Give back everything. Nothing to be done without a share. */
void fc_agg_share_leave(fc_agg *agg);

#endif
