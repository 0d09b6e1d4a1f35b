/* SPDX-License-Identifier: Apache-2.0
 *
 * Accumulators: the running state of a list of aggregates, one row per group id.
 *
 * A row is a header word and then the 8-byte slots of every aggregate, side by side, so that one record
 * touches one cache line (column-wise accumulators ran 2.7 times slower from 1e7 ids on; anchors 2.2).
 * Rows live in pages of 16 KB, reached through a page table and made on the first touch of one of their
 * ids: a sparse pane costs only the pages that it uses. New pages are zero, and zero is the empty state of
 * every aggregate.
 *
 *   header     bit 63: the row is in use; bits 16 to 62: "has seen a value", dealt out by fc_agg_layout_init;
 *              bits 0 to 15: those of the epoch in which the row was last written, also when it was cleared
 *   COUNT, COUNT_STAR            n
 *   SUM, SUM0                    sum            (SUM with RETRACTABLE: sum, n)
 *   AVG                          sum, n
 *   MIN, MAX, FIRST, LAST        value
 *   MIN_BY, MAX_BY               comparand, value
 *
 * A slot holds an int64, the bits of a double, 0 or 1 for a bool, or for bytes their place in the heap of
 * the accumulators (fc_agg_heap). A double SUM is kept with its sign bit flipped, so that the zero of a new
 * row reads as -0.0, the one value that every double survives being added to.
 *
 * Meanings are Flink SQL's (org.apache.flink.table.planner.functions.aggfunctions). Nulls are not seen by
 * any aggregate but COUNT_STAR. SUM, MIN, MAX, AVG, FIRST, LAST of nothing are null, SUM0 and COUNT are 0.
 * MIN and MAX replace the held value when `value < held` (`value > held`), so that a NaN is kept when it
 * came first and ignored when it came later, as in Flink's generated code. MIN_BY and MAX_BY give the value
 * of the record with the smallest (largest) comparand, the earliest on ties, which may be null. Integer
 * AVG divides truncating, as Java does. Integer sums wrap as Java's, and every wrap is counted.
 *
 * Snapshots (fc_agg_snapshot.h) share pages and heap with the rows and are read by another thread: a page that
 * one still needs is copied before it is written, and no byte of the heap that one refers to is overwritten.
 *
 * Accumulators may draw their pages from a pool of bounded size (fc_agg_spill.h): then pages without byte values
 * leave memory when others need their place, and come back when one of their rows is reached. Every kernel may
 * then fail with FC_ERR_IO.
 *
 * Not for concurrent use. FC_ERR_MEMORY, FC_ERR_IO and FC_ERR_CAPACITY may leave a part of the batch applied: the
 * subtask has to fail. Every other error is found before anything is written. */
#ifndef FC_AGG_H
#define FC_AGG_H

#include "fc_buffer.h"
#include "fc_column.h"
#include "fc_pool.h"
#include "fc_status.h"

#define FC_AGG_FIELDS_MAX 63
#define FC_AGG_SEEN_BITS_MAX 47                         /* header bits that a layout can deal out */
#define FC_AGG_ROW_WORDS_MAX (1 + 2 * FC_AGG_FIELDS_MAX)
#define FC_AGG_PAGE_BYTES 16384
#define FC_AGG_WANTED_MAX 16                            /* pages that come back between two blocks */
#define FC_AGG_BLOCK 256                                /* rows whose pointers are resolved at a time */

typedef enum {
    FC_AGG_COUNT = 1,
    FC_AGG_COUNT_STAR = 2,
    FC_AGG_SUM = 3,
    FC_AGG_SUM0 = 4,
    FC_AGG_MIN = 5,
    FC_AGG_MAX = 6,
    FC_AGG_AVG = 7,
    FC_AGG_FIRST = 8,
    FC_AGG_LAST = 9,
    FC_AGG_MIN_BY = 10,
    FC_AGG_MAX_BY = 11
} fc_agg_op;

#define FC_AGG_ROUND_F32 1u     /* round a double sum to float32 after each step: Flink's SUM(FLOAT) */
#define FC_AGG_RETRACTABLE 4u   /* SUM keeps a count, so that it is null again when all was retracted */

typedef struct {
    fc_agg_op op;
    fc_kind kind;         /* of the value; any for COUNT and COUNT_STAR */
    fc_kind by_kind;      /* of the comparand of MIN_BY and MAX_BY, else 0 */
    uint32_t flags;
} fc_agg_spec;

typedef struct {
    fc_agg_spec spec;
    int32_t slot;         /* index of the first slot in the row */
    int32_t value_slot;   /* of the slot that a result is read from: `slot`, for *_BY the one after it */
    bool counts;          /* slot + 1 is the number of values */
    uint64_t seen;        /* header bit; 0 where a zero slot already says it */
    uint64_t valid;       /* header bit that says whether the result is null: `seen`, for *_BY another */
    uint64_t bias;        /* xor between slot and sum */
} fc_agg_field;

typedef struct {
    int32_t count;
    int32_t row_words;
    int32_t page_shift;                        /* rows per page, as a power of two */
    int32_t bytes_slot_count;
    int32_t bytes_slots[2 * FC_AGG_FIELDS_MAX];   /* slots that hold places in the heap */
    fc_agg_field fields[FC_AGG_FIELDS_MAX];
} fc_agg_layout;

/* Values of variable length. A slot is `offset / 8 << 32 | length`; values start on 8-byte boundaries, so
 * a heap numbers 32 GB. A value that is replaced by one that fits stays in its place, unless a snapshot
 * refers to it; what is lost is counted, and the heap is compacted when more than half of it is lost. */
typedef struct {
    fc_buffer data;
    int64_t size;
    int64_t garbage;
    int64_t frozen_size;         /* bytes from the start that a snapshot refers to */
} fc_agg_heap;

/* A page that has given its place to a copy, and that snapshots still need. */
typedef struct {
    uintptr_t entry;             /* as in the page table */
    int64_t index;
    int64_t epoch;
    int64_t retired_epoch;       /* in which it lost its place */
} fc_agg_retired_page;

struct fc_agg_frozen;

typedef struct fc_agg {
    fc_agg_layout layout;
    int64_t epoch;               /* that changes belong to, from 1 */
    int64_t tracked_epoch;       /* what changed after this epoch is known; before, everything is new */
    fc_buffer page_table;        /* uintptr_t[page_bound]: the address of a page, its lowest bit set when the
                                    page may be written in this epoch; 0 where no id was touched; of a page
                                    that is out its slot * 64 + 2 */
    fc_buffer page_epochs;       /* int64_t[page_bound]: in which the page was last made writable */
    int64_t page_bound;
    int64_t page_count;          /* pages in the table */
    fc_buffer slabs;             /* fc_buffer[slab_count], each 1 to 64 pages */
    int64_t slab_count;
    int64_t slab_pages;          /* pages in the slabs */
    int64_t slab_free;           /* pages of the last slab not handed out yet, at its end */
    fc_buffer free_pages;        /* uint8_t *[free_count], to be zeroed before use */
    int64_t free_count;
    fc_buffer retired_pages;     /* fc_agg_retired_page[retired_count] */
    int64_t retired_count;
    fc_share *share;             /* where pages come from, NULL for slabs of its own */
    struct fc_agg *ring_next, *ring_previous;   /* the accumulators of the share */
    fc_buffer page_slots;        /* with a share, int64_t[page_bound]: 1 + the slot of a page that is in memory and
                                    in the file alike, else 0 */
    int64_t retired_out;         /* retired pages that are out, from the first one on */
    int64_t frame_count;         /* pages in frames of the share */
    int64_t slot_count;          /* slots of its file in use */
    fc_buffer page_touches;      /* with a share, uint8_t[page_bound]: writes to a page since it is out, or that it
                                    is wanted */
    int64_t wanted[FC_AGG_WANTED_MAX];   /* pages that are out and were written to often */
    int64_t wanted_count;
    struct fc_agg_frozen *pending;     /* snapshots not released yet */
    fc_buffer frozen_spare;      /* memory of one that was, for the next */
    fc_agg_heap heap;
    int64_t row_count;           /* rows in use */
    int64_t sum_overflows;       /* integer additions that wrapped, since the beginning */
    uint64_t blank[FC_AGG_ROW_WORDS_MAX];   /* the row of every id that is not in use */
} fc_agg;

/* The columns of one aggregate: its value, and the comparand of MIN_BY and MAX_BY. Others are NULL. */
typedef struct {
    const fc_column *value;
    const fc_column *by;
} fc_agg_args;

/* Where results go. The caller provides zeroed bitmaps of (n + 7) / 8 bytes and frees `bytes`. */
typedef struct {
    fc_kind kind;            /* by the kernel: what the result is */
    void *values;            /* FC_I64, FC_F64: n words; FC_BOOL: a bitmap; FC_BYTES: not used */
    int32_t *offsets;        /* FC_BYTES: n + 1 */
    fc_buffer bytes;         /* FC_BYTES: the data, grown by the kernel */
    uint8_t *validity;       /* a bitmap */
    int64_t null_count;      /* by the kernel */
} fc_agg_output;

/* Where the slots of `count` aggregates lie. FC_ERR_TYPE when an op does not take its kind, FC_ERR_INVALID
 * for an unknown op or kind, FC_ERR_CAPACITY when rows would need more than FC_AGG_SEEN_BITS_MAX header bits:
 * one for each SUM without RETRACTABLE, MIN, MAX, FIRST and LAST, two for each MIN_BY and MAX_BY. */
fc_status fc_agg_layout_init(fc_agg_layout *layout, const fc_agg_spec *specs, int32_t count);

/* Whether rows of one may be merged into rows of the other. */
bool fc_agg_same_layout(const fc_agg_layout *a, const fc_agg_layout *b);

/* The kind of field k's results: FC_I64 for counts, else the kind of its values. */
fc_kind fc_agg_result_kind(const fc_agg_layout *layout, int32_t k);

void fc_agg_init(fc_agg *agg, const fc_agg_layout *layout);
void fc_agg_free(fc_agg *agg);

/* Add n records: record i, whose values are row i of the columns in args[0 .. layout.count), to ids[i].
 * FC_ERR_INVALID for a negative id or a column of another length, FC_ERR_TYPE for one of another kind. */
fc_status fc_agg_update(fc_agg *agg, const int32_t *ids, int64_t n, const fc_agg_args *args);

/* The same for record i into panes[pane_of_row[i]]. All panes have one layout (else FC_ERR_TYPE).
 * FC_ERR_INVALID also when a pane number is outside [0, pane_count). Wraps are counted in panes[0]. */
fc_status fc_agg_update_panes(fc_agg *const *panes, int32_t pane_count, const int32_t *pane_of_row,
                              const int32_t *ids, int64_t n, const fc_agg_args *args);

/* Add n records one after the other and tell, per record, every result before and after it: what Flink
 * emits without mini-batch. was_new[i] is 1 when record i is the first of its row. before and after have
 * layout.count elements each. */
fc_status fc_agg_update_running(fc_agg *agg, const int32_t *ids, int64_t n, const fc_agg_args *args,
                                fc_agg_output *before, fc_agg_output *after, uint8_t *was_new);

/* Take records back. FC_ERR_UNSUPPORTED unless every aggregate is a COUNT, COUNT_STAR, SUM0, AVG or a
 * retractable SUM. A row stays in use when all its records are retracted. */
fc_status fc_agg_retract(fc_agg *agg, const int32_t *ids, int64_t n, const fc_agg_args *args);

/* Merge row ids_other[i] of `other` into row ids_self[i] of `agg`, one pair after the other; `other` may be
 * `agg` and keeps its rows. What `agg` held counts as the earlier half. Rows of `other` not in use change
 * nothing. FC_ERR_TYPE when the layouts differ, FC_ERR_INVALID for a negative id. */
fc_status fc_agg_merge(fc_agg *agg, fc_agg *other, const int32_t *ids_self, const int32_t *ids_other,
                       int64_t n);

/* Merge every row of `other` into the row of the same id. FC_ERR_INVALID when other is agg. */
fc_status fc_agg_merge_all(fc_agg *agg, fc_agg *other);

/* The results of rows ids[0 .. n); those of an id that is not in use are the empty ones. */
fc_status fc_agg_results(fc_agg *agg, const int32_t *ids, int64_t n, fc_agg_output *outputs);

/* The ids in use, ascending: agg->row_count of them. O(pages in use). FC_ERR_IO, FC_ERR_MEMORY. */
fc_status fc_agg_used_ids(fc_agg *agg, int32_t *ids);

/* Empty the rows; ids that are not in use may be among them. FC_ERR_INVALID for a negative id. */
fc_status fc_agg_clear(fc_agg *agg, const int32_t *ids, int64_t n);

/* Empty all rows. Memory is kept for the next use when at least half of it was in use. FC_ERR_MEMORY, with
 * nothing done, only while snapshots are pending. */
fc_status fc_agg_clear_all(fc_agg *agg);

int64_t fc_agg_memory_bytes(const fc_agg *agg);

#endif
