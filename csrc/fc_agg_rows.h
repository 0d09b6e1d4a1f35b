/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of accumulators, for the kernels in fc_agg.c: how they are reached, and the heap of their bytes.
 * fc_agg.h says what they mean. */
#ifndef FC_AGG_ROWS_H
#define FC_AGG_ROWS_H

#include "fc_agg.h"
#include "fc_agg_spill.h"

#define FC_INLINE inline __attribute__((always_inline))
#define FC_ROW_IN_USE (UINT64_C(1) << 63)
#define FC_ROW_STAMP UINT64_C(0xffff)      /* low bits of the epoch of the last write */
#define FC_ROW_SEEN_SHIFT 16

static inline bool is_by(fc_agg_op op) { return op == FC_AGG_MIN_BY || op == FC_AGG_MAX_BY; }

static inline bool is_sum(fc_agg_op op) { return op == FC_AGG_SUM || op == FC_AGG_SUM0 || op == FC_AGG_AVG; }

static inline bool is_count(fc_agg_op op) { return op == FC_AGG_COUNT || op == FC_AGG_COUNT_STAR; }

/* Bytes of a page that hold rows. */
static inline int64_t page_used_bytes(const fc_agg_layout *layout) {
    return (int64_t)layout->row_words * 8 << layout->page_shift;
}

/* The largest id, or -1 when there is none; -2 when one is negative. */
int64_t fc_agg_id_limit(const int32_t *ids, int64_t n);

/* ---- heap */

typedef struct {
    const uint8_t *data;
    int64_t length;
} fc_bytes;

static FC_INLINE fc_bytes heap_read(const fc_agg_heap *heap, uint64_t word) {
    return (fc_bytes){heap->data.data + (int64_t)(word >> 32) * 8, (int64_t)(word & UINT32_MAX)};
}

static FC_INLINE int64_t heap_padded(int64_t length) { return (length + 7) & ~INT64_C(7); }

static FC_INLINE int64_t heap_offset(uint64_t word) { return (int64_t)(word >> 32) * 8; }

static FC_INLINE int64_t heap_length(uint64_t word) { return (int64_t)(word & UINT32_MAX); }

/* Make `value` the one of a slot. `value` may lie in this heap. FC_ERR_MEMORY, FC_ERR_CAPACITY. */
fc_status fc_agg_heap_write(fc_agg *agg, uint64_t *slot, fc_bytes value);

/* Count the values of a row about to be emptied or replaced as lost. */
void fc_agg_heap_lose(fc_agg *agg, const uint64_t *row);

/* Copy what is alive to a new heap, when most of the heap is lost. FC_ERR_MEMORY. */
fc_status fc_agg_heap_compact(fc_agg *agg);

/* ---- pages */

/* Pages are aligned to cache lines, which leaves bits for these. A page that is writable was also written lately:
 * the hand of the clock takes the bit away (fc_agg_spill.c). */
#define FC_PAGE_WRITABLE ((uintptr_t)1)
#define FC_PAGE_OUT ((uintptr_t)2)           /* the other bits are its slot */
#define FC_PAGE_SHIFT 6

static FC_INLINE uintptr_t *pages_of(const fc_agg *agg) { return (uintptr_t *)agg->page_table.data; }

static FC_INLINE int64_t *page_epochs_of(const fc_agg *agg) { return (int64_t *)agg->page_epochs.data; }

/* A page that is not out, NULL when it is missing. */
static FC_INLINE uint8_t *page_at(const fc_agg *agg, int64_t index) {
    return (uint8_t *)(pages_of(agg)[index] & ~FC_PAGE_WRITABLE);
}

/* A page to be read, NULL when it is missing. FC_ERR_IO, FC_ERR_MEMORY. */
static FC_INLINE fc_status page_read(fc_agg *agg, int64_t index, uint8_t **page) {
    if (__builtin_expect((pages_of(agg)[index] & FC_PAGE_OUT) != 0, 0))
        return fc_agg_page_out_read(agg, index, page);
    *page = page_at(agg, index);
    return FC_OK;
}

static FC_INLINE uint64_t *row_in_page(const fc_agg *agg, uint8_t *page, int64_t id) {
    int64_t index = id & (((int64_t)1 << agg->layout.page_shift) - 1);
    return (uint64_t *)page + index * agg->layout.row_words;
}

/* Make room in the page table for ids up to id_max. FC_ERR_MEMORY. */
fc_status fc_agg_page_table_reserve(fc_agg *agg, int64_t id_max);

/* Make a page of the page table writable: a zeroed one where there was none, a copy where a snapshot needs
 * the one there is; a page that is out stays so, if it can. FC_ERR_MEMORY, FC_ERR_IO, with nothing changed. */
fc_status fc_agg_page_open(fc_agg *agg, int64_t index, uint8_t **page);

/* The page of an id about to be written. The one place through which rows are reached for writing; what is
 * written has to be stamped. The page table has room. One bit of the address finds both pages to be made and
 * those that a snapshot may share: an epoch beside it, in a table twice as long, cost 4 % at 1e7 ids. */
static FC_INLINE fc_status page_resolve(fc_agg *agg, int64_t id, uint8_t **page) {
    int64_t index = id >> agg->layout.page_shift;
    uintptr_t entry = pages_of(agg)[index];
    if (__builtin_expect((entry & FC_PAGE_WRITABLE) == 0, 0)) return fc_agg_page_open(agg, index, page);
    *page = (uint8_t *)(entry - FC_PAGE_WRITABLE);
    return FC_OK;
}

/* Header bits that are set in a row when it is written. */
static FC_INLINE uint64_t row_stamp(const fc_agg *agg) { return (uint64_t)agg->epoch & FC_ROW_STAMP; }

/* The row of an id to be read; the blank one when its page is missing. FC_ERR_IO, FC_ERR_MEMORY. */
static FC_INLINE fc_status row_read(fc_agg *agg, int64_t id, uint64_t **row) {
    int64_t index = id >> agg->layout.page_shift;
    uint8_t *page = NULL;
    fc_status status = index < agg->page_bound ? page_read(agg, index, &page) : FC_OK;
    *row = page == NULL ? agg->blank : row_in_page(agg, page, id);
    return status;
}

#endif
