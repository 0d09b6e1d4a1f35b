/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_agg_spill.h"

#include "fc_agg_rows.h"
#include "fc_agg_snapshot.h"

#define FC_WRITES_IN_DEMAND 128    /* 0.1 us each in excess of what they cost in memory make up for 15 us */
#define FC_IS_WANTED UINT8_MAX     /* in place of a count of writes */

_Static_assert(FC_POOL_PAGE_BYTES == FC_AGG_PAGE_BYTES, "a frame holds a page");

static uintptr_t entry_of_slot(int64_t slot) { return (uintptr_t)slot << FC_PAGE_SHIFT | FC_PAGE_OUT; }

static int64_t slot_of_entry(uintptr_t entry) { return (int64_t)(entry >> FC_PAGE_SHIFT); }

/* ---- belonging to a share --------------------------------------------------------------------------- */

fc_status fc_agg_draw_on(fc_agg *agg, fc_share *share) {
    if (agg->share != NULL || agg->page_bound > 0 || agg->slab_count > 0) return FC_ERR_INVALID;
    agg->share = share;
    fc_lock(&share->lock);
    if (share->ring == NULL) {
        share->ring = agg->ring_next = agg->ring_previous = agg;
        share->hand = 0;
        atomic_fetch_add(&share->pool->share_count, 1);
    } else {      /* behind the hand */
        agg->ring_next = share->ring;
        agg->ring_previous = share->ring->ring_previous;
        agg->ring_previous->ring_next = agg->ring_next->ring_previous = agg;
    }
    fc_unlock(&share->lock);
    return FC_OK;
}

void fc_agg_share_leave(fc_agg *agg) {
    fc_share *share = agg->share;
    if (share == NULL) return;
    fc_lock(&share->lock);
    if (share->ring == agg) {
        share->ring = agg->ring_next == agg ? NULL : agg->ring_next;
        share->hand = 0;
        if (share->ring == NULL) atomic_fetch_sub(&share->pool->share_count, 1);
    }
    agg->ring_previous->ring_next = agg->ring_next;
    agg->ring_next->ring_previous = agg->ring_previous;
    fc_unlock(&share->lock);
    for (int64_t p = 0; p < agg->page_bound; p++)
        if (pages_of(agg)[p] != 0) fc_agg_page_drop(agg, p);
    const fc_agg_retired_page *retired = (fc_agg_retired_page *)agg->retired_pages.data;
    for (int64_t i = 0; i < agg->retired_count; i++) fc_agg_entry_drop(agg, retired[i].entry);
    agg->share = NULL;
}

fc_status fc_agg_frame_take(fc_agg *agg, uint8_t **frame) {
    fc_status status = fc_share_frame_take(agg->share, frame);
    agg->frame_count += status == FC_OK;
    return status;
}

void fc_agg_frame_give(fc_agg *agg, uint8_t *frame) {
    fc_share_frame_give(agg->share, frame);
    agg->frame_count--;
}

static void slot_give(fc_agg *agg, int64_t slot) {
    fc_pool_slot_give(agg->share->pool, slot);
    agg->slot_count--;
}

void fc_agg_entry_drop(fc_agg *agg, uintptr_t entry) {
    if (entry & FC_PAGE_OUT) slot_give(agg, slot_of_entry(entry));
    else fc_agg_frame_give(agg, (uint8_t *)entry);
}

void fc_agg_page_drop(fc_agg *agg, int64_t index) {
    fc_agg_entry_drop(agg, pages_of(agg)[index] & ~FC_PAGE_WRITABLE);
    if (page_slots_of(agg)[index] != 0) slot_give(agg, page_slots_of(agg)[index] - 1);
}

uintptr_t fc_agg_page_entry(const fc_agg *agg, int64_t index) {
    if (agg->share != NULL && page_slots_of(agg)[index] != 0) return entry_of_slot(page_slots_of(agg)[index] - 1);
    return pages_of(agg)[index] & ~FC_PAGE_WRITABLE;
}

/* ---- coming back ------------------------------------------------------------------------------------ */

static fc_status page_fetch(fc_agg *agg, int64_t index) {
    int64_t slot = slot_of_entry(pages_of(agg)[index]);
    uint8_t *frame;
    fc_status status = fc_agg_frame_take(agg, &frame);
    if (status != FC_OK) return status;
    status = fc_pool_read(agg->share->pool, slot, frame);
    if (status != FC_OK) {
        fc_agg_frame_give(agg, frame);
        return status;
    }
    pages_of(agg)[index] = (uintptr_t)frame;
    page_slots_of(agg)[index] = slot + 1;
    return FC_OK;
}

fc_status fc_agg_page_out_read(fc_agg *agg, int64_t index, uint8_t **page) {
    *page = fc_pool_at(agg->share->pool, slot_of_entry(pages_of(agg)[index]));
    if (*page != NULL) return FC_OK;
    fc_status status = page_fetch(agg, index);
    if (status == FC_OK) *page = page_at(agg, index);
    return status;
}

/* Rows of this block may have been found in the slot already: as long as the page may be written there, it stays. */
fc_status fc_agg_page_out_open(fc_agg *agg, int64_t index, uint8_t **page) {
    fc_pool *pool = agg->share->pool;
    bool is_mine = page_epochs_of(agg)[index] == agg->epoch || !fc_agg_page_is_needed(agg, index);
    *page = is_mine ? fc_pool_at(pool, slot_of_entry(pages_of(agg)[index])) : NULL;
    if (*page == NULL) return page_fetch(agg, index);
    page_epochs_of(agg)[index] = agg->epoch;
    uint8_t *touches = &page_touches_of(agg)[index];
    if (*touches == FC_IS_WANTED) return FC_OK;
    bool in_demand = *touches >= FC_WRITES_IN_DEMAND || fc_pool_has_room(pool);
    if (in_demand && agg->wanted_count < FC_AGG_WANTED_MAX) {
        agg->wanted[agg->wanted_count++] = index;
        *touches = FC_IS_WANTED;
    } else if (*touches < FC_WRITES_IN_DEMAND) {
        ++*touches;
    }
    return FC_OK;
}

fc_status fc_agg_fetch_wanted(fc_agg *agg) {
    fc_status status = FC_OK;
    while (agg->wanted_count > 0 && status == FC_OK) {
        int64_t index = agg->wanted[--agg->wanted_count];
        uint8_t *page;
        page_touches_of(agg)[index] = 0;
        if (!(pages_of(agg)[index] & FC_PAGE_OUT)) continue;
        status = page_fetch(agg, index);
        if (status == FC_OK) status = fc_agg_page_open(agg, index, &page);    /* so the hand takes it for written to */
    }
    return status;
}

fc_status fc_agg_page_leave_slot(fc_agg *agg, int64_t index, bool is_needed) {
    if (is_needed) {
        fc_status status = fc_agg_retired_reserve(agg, 1);
        if (status != FC_OK) return status;
        fc_agg_entry_retire(agg, index, fc_agg_page_entry(agg, index));
    } else {
        slot_give(agg, page_slots_of(agg)[index] - 1);
    }
    page_slots_of(agg)[index] = 0;
    return FC_OK;
}

/* ---- going out -------------------------------------------------------------------------------------- */

/* Write a frame to a slot of its own. FC_ERR_IO, FC_ERR_MEMORY, with nothing changed. */
static fc_status write_out(fc_agg *agg, const uint8_t *frame, int64_t *slot) {
    fc_status status = fc_pool_slot_take(agg->share->pool, slot);
    if (status != FC_OK) return status;
    status = fc_pool_write(agg->share->pool, *slot, frame);
    if (status != FC_OK) fc_pool_slot_give(agg->share->pool, *slot);
    else agg->slot_count++;
    return status;
}

static fc_status put_out(fc_agg *agg, int64_t index) {
    uintptr_t entry = pages_of(agg)[index];
    int64_t slot = page_slots_of(agg)[index] - 1;
    if (slot < 0) {
        fc_status status = write_out(agg, (uint8_t *)entry, &slot);
        if (status != FC_OK) return status;
        fc_agg_frozen_move(agg, index, entry, entry_of_slot(slot));
    }
    pages_of(agg)[index] = entry_of_slot(slot);
    page_slots_of(agg)[index] = 0;
    page_touches_of(agg)[index] = 0;
    fc_agg_frame_give(agg, (uint8_t *)entry);
    return FC_OK;
}

/* Put out the next page that only snapshots need; `is_done` when there is one. */
static fc_status put_out_retired(fc_agg *agg, bool *is_done) {
    fc_agg_retired_page *retired = (fc_agg_retired_page *)agg->retired_pages.data;
    for (; agg->retired_out < agg->retired_count; agg->retired_out++) {
        fc_agg_retired_page *page = &retired[agg->retired_out];
        if (page->entry & FC_PAGE_OUT) continue;
        int64_t slot;
        fc_status status = write_out(agg, (uint8_t *)page->entry, &slot);
        if (status != FC_OK) return status;
        fc_agg_frozen_move(agg, page->index, page->entry, entry_of_slot(slot));
        fc_agg_frame_give(agg, (uint8_t *)page->entry);
        page->entry = entry_of_slot(slot);
        *is_done = true;
        return FC_OK;
    }
    return FC_OK;
}

/* Move the hand on to the next page that it puts out, at most to the end of its accumulators. The writes to a page that
 * is out count by half when it comes by: else each page came back in the end, however seldom it is written to, and put
 * out another one (19 M records/s instead of 36, frequent keys scattered over all pages). */
static fc_status put_out_next(fc_share *share, bool *is_done) {
    fc_agg *agg = share->ring;
    for (; agg->layout.bytes_slot_count == 0 && share->hand < agg->page_bound; share->hand++) {
        uintptr_t *entry = &pages_of(agg)[share->hand];
        uint8_t *touches = &page_touches_of(agg)[share->hand];
        if (*entry & FC_PAGE_OUT && *touches != FC_IS_WANTED) *touches /= 2;
        if (*entry == 0 || *entry & FC_PAGE_OUT) continue;
        if (*entry & FC_PAGE_WRITABLE) {
            *entry &= ~FC_PAGE_WRITABLE;
            continue;
        }
        fc_status status = put_out(agg, share->hand);
        *is_done = status == FC_OK;
        return status;
    }
    return FC_OK;
}

/* One page out. Two rounds suffice: the first takes the bits off. */
static fc_status put_out_one(fc_share *share, bool *is_done) {
    fc_agg *first = share->ring;
    int32_t returns = 0;
    *is_done = false;
    while (first != NULL && returns < 3) {
        fc_agg *agg = share->ring;
        fc_status status = put_out_retired(agg, is_done);
        if (status == FC_OK && !*is_done) status = put_out_next(share, is_done);
        if (status != FC_OK || *is_done) return status;
        share->ring = agg->ring_next;
        share->hand = 0;
        returns += share->ring == first;
    }
    return FC_OK;
}

/* ---- records that wait for their pages ---------------------------------------------------------------- */

int64_t fc_agg_split_out(const fc_agg *agg, const int32_t *ids, int64_t n, int64_t *there, int64_t *out) {
    int64_t there_count = 0, out_count = 0;
    for (int64_t i = 0; i < n; i++) {      /* without branches: which way one goes is chance */
        int64_t index = ids[i] >> agg->layout.page_shift;
        bool is_inside = (uint64_t)index < (uint64_t)agg->page_bound;
        bool is_out = is_inside && (pages_of(agg)[index] & FC_PAGE_OUT) != 0;
        there[there_count] = out[out_count] = i;
        out_count += is_out;
        there_count += !is_out;
    }
    return out_count;
}

fc_status fc_share_trim(fc_share *share) {
    fc_status status = FC_OK;
    bool is_done = true;
    fc_lock(&share->lock);
    while (status == FC_OK && is_done && fc_share_exceeds(share)) status = put_out_one(share, &is_done);
    fc_unlock(&share->lock);
    if (share->pool->file.trimmed != NULL) share->pool->file.trimmed(share->pool->file.context);
    return status;
}
