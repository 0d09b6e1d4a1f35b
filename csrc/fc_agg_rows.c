/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_agg_rows.h"

#include "fc_agg_snapshot.h"
#include "fc_simd.h"

#include <string.h>

#define FC_SLAB_PAGES_MAX 2048    /* 32 MB */

/* ---- layout ---------------------------------------------------------------------------------------- */

static bool is_kind(fc_kind kind) { return kind >= FC_I64 && kind <= FC_BYTES; }

fc_status fc_agg_layout_init(fc_agg_layout *layout, const fc_agg_spec *specs, int32_t count) {
    if (count < 0) return FC_ERR_INVALID;
    if (count > FC_AGG_FIELDS_MAX) return FC_ERR_CAPACITY;
    memset(layout, 0, sizeof *layout);
    layout->count = count;
    int32_t words = 1, bit = FC_ROW_SEEN_SHIFT;
    for (int32_t k = 0; k < count; k++) {
        fc_agg_spec spec = specs[k];
        if (spec.op < FC_AGG_COUNT || spec.op > FC_AGG_MAX_BY) return FC_ERR_INVALID;
        if (!is_kind(spec.kind) || (is_by(spec.op) && !is_kind(spec.by_kind))) return FC_ERR_INVALID;
        if (is_sum(spec.op) && spec.kind != FC_I64 && spec.kind != FC_F64) return FC_ERR_TYPE;

        fc_agg_field *field = &layout->fields[k];
        field->spec = spec;
        field->slot = field->value_slot = words++;
        field->counts = spec.op == FC_AGG_AVG || (spec.op == FC_AGG_SUM && (spec.flags & FC_AGG_RETRACTABLE));
        if (field->counts) words++;
        bool needs_bit = !is_count(spec.op) && spec.op != FC_AGG_SUM0 && !field->counts;
        if (bit + needs_bit + is_by(spec.op) > FC_ROW_SEEN_SHIFT + FC_AGG_SEEN_BITS_MAX) return FC_ERR_CAPACITY;
        if (needs_bit) field->valid = field->seen = UINT64_C(1) << bit++;
        if (is_by(spec.op)) {
            field->value_slot = words++;
            field->valid = UINT64_C(1) << bit++;
            if (spec.by_kind == FC_BYTES) layout->bytes_slots[layout->bytes_slot_count++] = field->slot;
        }
        if (spec.kind == FC_BYTES && !is_count(spec.op))
            layout->bytes_slots[layout->bytes_slot_count++] = field->value_slot;
        if (spec.op == FC_AGG_SUM && spec.kind == FC_F64) field->bias = UINT64_C(1) << 63;
    }
    layout->row_words = words;
    int32_t shift = 0;
    while ((int64_t)words * 8 << (shift + 1) <= FC_AGG_PAGE_BYTES) shift++;
    layout->page_shift = shift;
    return FC_OK;
}

fc_kind fc_agg_result_kind(const fc_agg_layout *layout, int32_t k) {
    const fc_agg_spec *spec = &layout->fields[k].spec;
    return is_count(spec->op) ? FC_I64 : spec->kind;
}

bool fc_agg_same_layout(const fc_agg_layout *a, const fc_agg_layout *b) {
    if (a->count != b->count) return false;
    for (int32_t k = 0; k < a->count; k++) {
        const fc_agg_spec *s = &a->fields[k].spec, *t = &b->fields[k].spec;
        if (s->op != t->op || s->kind != t->kind || s->flags != t->flags) return false;
        if (is_by(s->op) && s->by_kind != t->by_kind) return false;
    }
    return true;
}

/* ---- heap ------------------------------------------------------------------------------------------ */

/* Room for `bytes` in all. What a snapshot refers to stays where it is. */
static fc_status heap_reserve(fc_agg *agg, int64_t bytes) {
    fc_agg_heap *heap = &agg->heap;
    if (bytes <= heap->data.bytes || heap->frozen_size == 0) return fc_buffer_reserve(&heap->data, bytes);
    int64_t grown = heap->data.bytes + heap->data.bytes / 2;
    fc_buffer fresh = {0};
    fc_status status = fc_buffer_reserve(&fresh, grown < bytes ? bytes : grown);
    if (status != FC_OK) return status;
    memcpy(fresh.data, heap->data.data, (size_t)heap->size);
    fc_agg_heap_leave(agg);
    heap->data = fresh;
    return FC_OK;
}

fc_status fc_agg_heap_write(fc_agg *agg, uint64_t *slot, fc_bytes value) {
    fc_agg_heap *heap = &agg->heap;
    int64_t room = heap_padded(heap_length(*slot)), need = heap_padded(value.length);
    int64_t offset = heap_offset(*slot);
    if (need <= room && offset >= heap->frozen_size) {
        heap->garbage += room - need;
    } else {
        offset = heap->size;
        if (value.length > UINT32_MAX || offset / 8 > UINT32_MAX) return FC_ERR_CAPACITY;
        uintptr_t from = (uintptr_t)value.data - (uintptr_t)heap->data.data;
        bool inside = heap->data.data != NULL && from < (uintptr_t)heap->data.bytes;
        fc_status status = heap_reserve(agg, offset + need);
        if (status != FC_OK) return status;
        if (inside) value.data = heap->data.data + from;
        heap->size += need;
        heap->garbage += room;
    }
    if (value.length > 0) memmove(heap->data.data + offset, value.data, (size_t)value.length);
    *slot = (uint64_t)(offset / 8) << 32 | (uint64_t)value.length;
    return FC_OK;
}

void fc_agg_heap_lose(fc_agg *agg, const uint64_t *row) {
    for (int32_t b = 0; b < agg->layout.bytes_slot_count; b++)
        agg->heap.garbage += heap_padded(heap_length(row[agg->layout.bytes_slots[b]]));
}

/* Make every page writable in which values are about to move. Without snapshots they all are, and where a
 * value lies is no change that a later one would have to tell. */
static fc_status open_all(fc_agg *agg) {
    fc_status status = FC_OK;
    if (agg->pending == NULL && agg->slot_count == 0) return FC_OK;
    uint8_t *page;
    for (int64_t p = 0; p < agg->page_bound && status == FC_OK; p++)
        if (pages_of(agg)[p] != 0 && !(pages_of(agg)[p] & FC_PAGE_WRITABLE))
            status = fc_agg_page_open(agg, p, &page);
    return status;
}

/* The scan of the rows is paid for by the lost bytes: 64 KB, half of the heap and 16 for every row. */
fc_status fc_agg_heap_compact(fc_agg *agg) {
    fc_agg_heap *heap = &agg->heap;
    if (heap->garbage <= (1 << 16) || heap->garbage <= heap->size / 2 || heap->garbage <= agg->row_count * 16)
        return FC_OK;
    fc_agg_heap fresh = {0};
    fc_status status = fc_buffer_reserve(&fresh.data, heap->size - heap->garbage);
    if (status == FC_OK) status = open_all(agg);
    if (status != FC_OK) {
        fc_buffer_free(&fresh.data);
        return status;
    }
    int64_t page_rows = (int64_t)1 << agg->layout.page_shift;
    for (int64_t p = 0; p < agg->page_bound; p++) {
        uint8_t *page = page_at(agg, p);
        if (page == NULL) continue;
        for (int64_t r = 0; r < page_rows; r++) {
            uint64_t *row = row_in_page(agg, page, r);
            if (!(row[0] & FC_ROW_IN_USE)) continue;
            for (int32_t b = 0; b < agg->layout.bytes_slot_count; b++) {
                uint64_t *slot = &row[agg->layout.bytes_slots[b]];
                int64_t length = heap_length(*slot), offset = fresh.size;
                if (length == 0) {
                    *slot = 0;
                    continue;
                }
                memcpy(fresh.data.data + offset, heap->data.data + heap_offset(*slot), (size_t)length);
                fresh.size += heap_padded(length);
                *slot = (uint64_t)(offset / 8) << 32 | (uint64_t)length;
            }
        }
    }
    fc_agg_heap_leave(agg);
    *heap = fresh;
    return FC_OK;
}

/* ---- pages ----------------------------------------------------------------------------------------- */

/* Fresh memory instead of realloc: the system gives it zeroed, and a table for few ids far apart takes no
 * more than it uses. */
fc_status fc_agg_page_table_reserve(fc_agg *agg, int64_t id_max) {
    int64_t bound = (id_max >> agg->layout.page_shift) + 1;
    if (bound <= agg->page_bound) return FC_OK;
    if (bound < agg->page_bound + agg->page_bound / 2) bound = agg->page_bound + agg->page_bound / 2;
    const int64_t bytes = bound * 8, old_bytes = agg->page_bound * 8;
    fc_buffer table = {0}, epochs = {0}, slots = {0}, touches = {0};
    fc_status status = fc_buffer_init_zeroed(&table, bytes);
    if (status == FC_OK) status = fc_buffer_init_zeroed(&epochs, bytes);
    if (status == FC_OK && agg->share != NULL) status = fc_buffer_init_zeroed(&slots, bytes);
    if (status == FC_OK && agg->share != NULL) status = fc_buffer_init_zeroed(&touches, bound);
    if (status != FC_OK) {
        fc_buffer_free(&table);
        fc_buffer_free(&epochs);
        fc_buffer_free(&slots);
        return status;
    }
    if (old_bytes > 0) {
        memcpy(table.data, agg->page_table.data, (size_t)old_bytes);
        memcpy(epochs.data, agg->page_epochs.data, (size_t)old_bytes);
        if (agg->share != NULL) {
            memcpy(slots.data, agg->page_slots.data, (size_t)old_bytes);
            memcpy(touches.data, agg->page_touches.data, (size_t)agg->page_bound);
        }
    }
    fc_buffer_free(&agg->page_table);
    fc_buffer_free(&agg->page_epochs);
    fc_buffer_free(&agg->page_slots);
    fc_buffer_free(&agg->page_touches);
    agg->page_table = table;
    agg->page_epochs = epochs;
    agg->page_slots = slots;
    agg->page_touches = touches;
    agg->page_bound = bound;
    return FC_OK;
}

/* A page: one given back, else the next of a slab, which is zero. Slabs double, so that a small state is
 * small and a large one is few allocations. */
static fc_status page_take(fc_agg *agg, uint8_t **page, bool *is_zero) {
    *is_zero = agg->free_count == 0 && agg->share == NULL;
    if (agg->share != NULL) return fc_agg_frame_take(agg, page);
    if (!*is_zero) {
        *page = ((uint8_t **)agg->free_pages.data)[--agg->free_count];
        return FC_OK;
    }
    if (agg->slab_free == 0) {
        fc_status status = fc_buffer_reserve(&agg->slabs, (agg->slab_count + 1) * (int64_t)sizeof(fc_buffer));
        if (status != FC_OK) return status;
        int64_t count = agg->slab_pages < 1 ? 1 : agg->slab_pages;
        if (count > FC_SLAB_PAGES_MAX) count = FC_SLAB_PAGES_MAX;
        fc_buffer slab = {0};
        status = fc_buffer_init_zeroed(&slab, count * FC_AGG_PAGE_BYTES);
        if (status != FC_OK) return status;
        ((fc_buffer *)agg->slabs.data)[agg->slab_count++] = slab;
        agg->slab_pages += count;
        agg->slab_free = count;
    }
    const fc_buffer *slab = &((fc_buffer *)agg->slabs.data)[agg->slab_count - 1];
    *page = slab->data + slab->bytes - agg->slab_free * FC_AGG_PAGE_BYTES;
    agg->slab_free--;
    return FC_OK;
}

fc_status fc_agg_page_open(fc_agg *agg, int64_t index, uint8_t **opened) {
    const size_t bytes = (size_t)page_used_bytes(&agg->layout);
    const bool was_out = (pages_of(agg)[index] & FC_PAGE_OUT) != 0;
    if (was_out) {
        fc_status status = fc_agg_page_out_open(agg, index, opened);
        if (status != FC_OK || *opened != NULL) return status;
    }
    uint8_t *page = page_at(agg, index);
    bool is_missing = page == NULL, is_needed = !is_missing && fc_agg_page_is_needed(agg, index);
    if (agg->share != NULL && page_slots_of(agg)[index] != 0) {
        /* When it was out, a snapshot needed it a moment ago, and addresses of rows in its slot may still be held. */
        fc_status status = fc_agg_page_leave_slot(agg, index, is_needed || (was_out && agg->pending != NULL));
        if (status != FC_OK) return status;
        is_needed = false;       /* what snapshots need is in the file */
    }
    if (is_missing || is_needed) {
        uint8_t *fresh;
        bool is_zero;
        fc_status status = is_needed ? fc_agg_retired_reserve(agg, 1) : FC_OK;
        if (status == FC_OK) status = page_take(agg, &fresh, &is_zero);
        if (status != FC_OK) return status;
        if (is_needed) {
            memcpy(fresh, page, bytes);
            fc_agg_page_retire(agg, index);
        } else {
            if (!is_zero) memset(fresh, 0, bytes);
            agg->page_count++;
        }
        page = fresh;
    }
    pages_of(agg)[index] = (uintptr_t)page | FC_PAGE_WRITABLE;
    page_epochs_of(agg)[index] = agg->epoch;
    *opened = page;
    return FC_OK;
}

void fc_agg_init(fc_agg *agg, const fc_agg_layout *layout) {
    memset(agg, 0, sizeof *agg);
    agg->layout = *layout;
    agg->epoch = agg->tracked_epoch = 1;
}

static void slabs_free(fc_agg *agg) {
    for (int64_t s = 0; s < agg->slab_count; s++) fc_buffer_free(&((fc_buffer *)agg->slabs.data)[s]);
    agg->slab_count = agg->slab_pages = agg->slab_free = agg->free_count = 0;
}

void fc_agg_free(fc_agg *agg) {
    fc_agg_frozen_free_all(agg);
    fc_agg_share_leave(agg);
    slabs_free(agg);
    fc_buffer_free(&agg->slabs);
    fc_buffer_free(&agg->page_slots);
    fc_buffer_free(&agg->page_touches);
    fc_buffer_free(&agg->page_table);
    fc_buffer_free(&agg->page_epochs);
    fc_buffer_free(&agg->free_pages);
    fc_buffer_free(&agg->retired_pages);
    fc_buffer_free(&agg->heap.data);
    fc_agg_init(agg, &(fc_agg_layout){0});
}

FC_SIMD_CLONES
int64_t fc_agg_id_limit(const int32_t *ids, int64_t n) {
    int32_t largest = -1, smallest = INT32_MAX;
    for (int64_t i = 0; i < n; i++) {
        largest = ids[i] > largest ? ids[i] : largest;
        smallest = ids[i] < smallest ? ids[i] : smallest;
    }
    return smallest < 0 ? -2 : largest;
}

fc_status fc_agg_used_ids(fc_agg *agg, int32_t *ids) {
    const int64_t page_rows = (int64_t)1 << agg->layout.page_shift;
    for (int64_t p = 0; p < agg->page_bound; p++) {
        uint8_t *page = NULL;
        fc_status status = fc_agg_trim(agg);
        if (status == FC_OK) status = page_read(agg, p, &page);
        if (status != FC_OK) return status;
        if (page == NULL) continue;
        for (int64_t r = 0; r < page_rows; r++)
            if (row_in_page(agg, page, r)[0] >> 63) *ids++ = (int32_t)((p << agg->layout.page_shift) + r);
    }
    return FC_OK;
}

fc_status fc_agg_clear(fc_agg *agg, const int32_t *ids, int64_t n) {
    if (fc_agg_id_limit(ids, n) < -1) return FC_ERR_INVALID;
    for (int64_t i = 0; i < n; i++) {
        uint64_t *row = NULL;
        fc_status status = i % FC_AGG_BLOCK == 0 ? fc_agg_trim(agg) : FC_OK;
        if (status == FC_OK) status = row_read(agg, ids[i], &row);
        if (status != FC_OK) return status;
        if (!(row[0] >> 63)) continue;
        uint8_t *page;
        status = page_resolve(agg, ids[i], &page);
        if (status != FC_OK) return status;
        row = row_in_page(agg, page, ids[i]);
        fc_agg_heap_lose(agg, row);
        memset(row, 0, (size_t)agg->layout.row_words * 8);
        row[0] = row_stamp(agg);
        agg->row_count--;
    }
    return fc_agg_heap_compact(agg);
}

fc_status fc_agg_clear_all(fc_agg *agg) {
    bool is_frozen = agg->pending != NULL || agg->retired_count > 0;
    bool keep = is_frozen || agg->page_count * 2 >= agg->slab_pages || agg->share != NULL;
    if (keep) {
        fc_status status = fc_buffer_reserve(&agg->free_pages, agg->slab_pages * (int64_t)sizeof(uint8_t *));
        if (status == FC_OK && is_frozen) status = fc_agg_retired_reserve(agg, agg->page_count);
        if (status != FC_OK && is_frozen) return status;
        keep = status == FC_OK || agg->share != NULL;
    }
    for (int64_t p = 0; keep && p < agg->page_bound; p++) {
        uintptr_t entry = pages_of(agg)[p] & ~FC_PAGE_WRITABLE;
        if (entry == 0) continue;
        if (fc_agg_page_is_needed(agg, p)) fc_agg_page_retire(agg, p);
        else if (agg->share != NULL) fc_agg_page_drop(agg, p);
        else ((uint8_t **)agg->free_pages.data)[agg->free_count++] = (uint8_t *)entry;
    }
    if (!keep) slabs_free(agg);
    if (agg->page_bound > 0) {
        memset(agg->page_table.data, 0, (size_t)agg->page_bound * 8);
        memset(agg->page_epochs.data, 0, (size_t)agg->page_bound * 8);
        if (agg->share != NULL) memset(agg->page_slots.data, 0, (size_t)agg->page_bound * 8);
    }
    if (agg->heap.frozen_size > 0 || agg->heap.data.bytes > 2 * (agg->heap.size - agg->heap.garbage))
        fc_agg_heap_leave(agg);
    agg->heap.size = agg->heap.garbage = 0;
    agg->page_count = agg->row_count = 0;
    agg->tracked_epoch = agg->epoch;
    return FC_OK;
}

int64_t fc_agg_memory_bytes(const fc_agg *agg) {
    return (int64_t)sizeof *agg + (agg->slab_pages + agg->frame_count) * FC_AGG_PAGE_BYTES + agg->page_table.bytes
           + agg->page_epochs.bytes + agg->page_slots.bytes + agg->page_touches.bytes + agg->slabs.bytes
           + agg->free_pages.bytes + agg->retired_pages.bytes + agg->heap.data.bytes
           + fc_agg_frozen_memory_bytes(agg);
}
