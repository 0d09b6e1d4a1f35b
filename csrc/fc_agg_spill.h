/* SPDX-License-Identifier: Apache-2.0
 *
 * Accumulators whose pages come from a pool of bounded size, and leave memory when it is full.
 *
 * Which page leaves, a clock decides: its hand goes round the pages of all accumulators of a share. It takes the
 * bit off a page that is writable, which the next write to it sets again, and puts out a page that has it off
 * already. So the loops over rows keep no account of their own. A page that was not written since it came back
 * leaves without being written to the file again. What only snapshots need leaves first.
 *
 * Kernels let pages leave before they resolve the rows of a block, never while they hold addresses of rows. Pages
 * with byte values stay: those lie in a heap that is compacted as a whole. */
#ifndef FC_AGG_SPILL_H
#define FC_AGG_SPILL_H

#include "fc_agg.h"

/* Take pages from a share from now on. FC_ERR_INVALID when there are some already. The share outlives the
 * accumulators. */
fc_status fc_agg_draw_on(fc_agg *agg, fc_share *share);

/* Let pages leave until the share has no more than it may. FC_ERR_IO with no page lost, FC_ERR_MEMORY. */
fc_status fc_share_trim(fc_share *share);

static inline fc_status fc_agg_trim(const fc_agg *agg) {
    return agg->share != NULL && fc_share_exceeds(agg->share) ? fc_share_trim(agg->share) : FC_OK;
}

/* Which of n records would bring a page back: is_out[i] is 1 for those, 0 for the others and for ids that are
 * negative. Record i goes to panes[pane_of_row[i]], all of them to panes[0] when pane_of_row is NULL. */
void fc_agg_find_out(fc_agg *const *panes, const int32_t *pane_of_row, const int32_t *ids, int64_t n,
                     uint8_t *is_out);

/* The n ids of the next update, update_running or results come by page. A page that was out, for whose ids were_out
 * is 1 (all are, when it is NULL), leaves again after its last id: else a pass over many pages would drive out those
 * in use. It stays when it has `keep_rows` ids, and so seems to be in demand. Where keep_rows is small some stay
 * without, so that a demand that is spread over many passes is found as well. */
void fc_agg_by_page_begin(fc_agg *agg, const uint8_t *were_out, int64_t keep_rows);
void fc_agg_by_page_end(fc_agg *agg);

/* The pages whose last id is in [begin, end) leave. FC_ERR_IO, FC_ERR_MEMORY. */
fc_status fc_agg_put_out_passed(fc_agg *agg, const int32_t *ids, int64_t begin, int64_t end, int64_t n);

/* ---- for the rows; all but the first with a share */

static inline int64_t *page_slots_of(const fc_agg *agg) { return (int64_t *)agg->page_slots.data; }

/* Where snapshots find a page: its slot if it has one, else its address. 0 when it is missing. */
uintptr_t fc_agg_page_entry(const fc_agg *agg, int64_t index);

/* Bring a page back that is out. FC_ERR_IO, FC_ERR_MEMORY, with nothing changed. */
fc_status fc_agg_page_fetch(fc_agg *agg, int64_t index);

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
