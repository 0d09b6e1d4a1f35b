/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_agg_rows.h"

#include <string.h>

/* State above this size, the 1 MB of L2, is prefetched while pointers are resolved: 69 -> 140 M rows/s with
 * count, sum, max at 1e6 ids, 49 -> 98 at 1e7. Below, it makes no difference. Rows that straddle two lines
 * need both: 46 -> 117 at 1e6 with rows of 40 bytes, the same as padding them to 64. */
#define FC_PREFETCH_BYTES (1 << 20)

static bool is_large(const fc_agg *agg) { return agg->page_count * FC_AGG_PAGE_BYTES > FC_PREFETCH_BYTES; }

/* ---- the block of rows that the loops work on ------------------------------------------------------- */

typedef enum { PLAIN, NULLS, RUNNING, RETRACT, MERGE } fc_mode;

/* Results of one aggregate for the rows of a block; bytes go straight to the output. */
typedef struct {
    fc_agg_output *output;
    uint64_t words[FC_AGG_BLOCK];
    bool valid[FC_AGG_BLOCK];
} fc_capture;

typedef struct {
    int64_t n;                      /* rows in the block */
    int64_t begin;                  /* position of its first record in the batch */
    uint64_t *rows[FC_AGG_BLOCK];
    uint64_t *others[FC_AGG_BLOCK];  /* MERGE: the rows of the other accumulators */
    const fc_agg_heap *other_heap;
    fc_agg *const *panes;
    const int32_t *pane_of_row;     /* NULL: all in panes[0] */
    int64_t overflows;
    fc_status status;               /* the first failure of a write to a heap or a capture */
    bool take[FC_AGG_BLOCK];
    fc_capture before, after;
} fc_block;

static FC_INLINE fc_agg *agg_of(const fc_block *block, int64_t i) {
    return block->panes[block->pane_of_row == NULL ? 0 : block->pane_of_row[block->begin + i]];
}

static FC_INLINE fc_agg_heap *heap_of(const fc_block *block, int64_t i) { return &agg_of(block, i)->heap; }

/* Is input i there? `bit` is the header bit that says so in a row that is merged. */
static FC_INLINE bool given(const fc_block *block, const fc_column *input, int64_t begin, int64_t i,
                            uint64_t bit, fc_mode mode) {
    if (mode == PLAIN) return true;
    if (mode == MERGE) return (block->others[i][0] & bit) != 0;
    return fc_is_valid(input, begin + i);
}

/* What a loop reads at each step, out of reach of the stores to the rows. */
#define FC_LOCALS(block, column, mode)                                                 \
    uint64_t *const *const rows = (block)->rows;                                       \
    const int64_t n = (block)->n, begin = (block)->begin;                              \
    const fc_column input = (mode) == MERGE ? (fc_column){.length = 0} : *(column);    \
    (void)input, (void)begin

static void append_bytes(fc_block *block, fc_capture *capture, int64_t i, fc_bytes value) {
    fc_agg_output *output = capture->output;
    int64_t position = block->begin + i, end = output->offsets[position];
    fc_status status = FC_ERR_CAPACITY;
    if (value.length <= INT32_MAX - end) status = fc_buffer_reserve(&output->bytes, end + value.length);
    if (status != FC_OK) {
        block->status = status;
        value.length = 0;
    }
    if (value.length > 0) memcpy(output->bytes.data + end, value.data, (size_t)value.length);
    output->offsets[position + 1] = (int32_t)(end + value.length);
}

static FC_INLINE void write_bytes(bool take, fc_block *block, int64_t i, int32_t slot, fc_bytes value) {
    if (!take) return;
    fc_status status = fc_agg_heap_write(agg_of(block, i), &block->rows[i][slot], value);
    if (status != FC_OK) block->status = status;
}

static FC_INLINE bool less_bytes(fc_bytes a, fc_bytes b) {
    int64_t shared = a.length < b.length ? a.length : b.length;
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, (size_t)shared);
    return order != 0 ? order < 0 : a.length < b.length;
}

static FC_INLINE double f64_of(uint64_t word) {
    double value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static FC_INLINE uint64_t word_of_f64(double value) {
    uint64_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

static FC_INLINE int64_t add_i64(int64_t *overflows, int64_t a, int64_t b) {
    int64_t sum;
    *overflows += __builtin_add_overflow(a, b, &sum);
    return sum;
}

static FC_INLINE int64_t subtract_i64(int64_t *overflows, int64_t a, int64_t b) {
    int64_t difference;
    *overflows += __builtin_sub_overflow(a, b, &difference);
    return difference;
}

/* Java's long division: INT64_MIN / -1 wraps. n is not 0. */
static FC_INLINE int64_t quotient_i64(int64_t sum, int64_t n) {
    return n == -1 ? (int64_t)(0 - (uint64_t)sum) : sum / n;
}

static FC_INLINE double rounded(const fc_agg_field *field, double sum) {
    return field->spec.flags & FC_AGG_ROUND_F32 ? (double)(float)sum : sum;
}

/* Choices by mask, which the compiler does not turn back into branches: sum and last with half of the
 * values null at random went from 104 to 241 M rows/s. Where nothing is null a branch foresees better:
 * sum and max at 276 M rows/s against 209. */
#define FC_MASK(flag) (-(uint64_t)(flag))
#define FC_CHOOSE(flag, word, otherwise) (((word) & FC_MASK(flag)) | ((otherwise) & ~FC_MASK(flag)))

static FC_INLINE void write_word(fc_mode mode, bool take, uint64_t *slot, uint64_t word) {
    if (mode != PLAIN) *slot = FC_CHOOSE(take, word, *slot);
    else if (take) *slot = word;
}

#define FC_NAME(verb) verb##_i64
#define FC_VALUE int64_t
#define FC_LOAD(column, i) (((const int64_t *)(column)->values)[i])
#define FC_READ(heap, word) ((int64_t)(word))
#define FC_WRITE_IF(mode, take, block, i, slot, value) \
    write_word(mode, take, &(block)->rows[i][slot], (uint64_t)(value))
#define FC_LESS(a, b) ((a) < (b))
#define FC_EMPTY 0
#define FC_ADD(overflows, field, a, b) add_i64(overflows, a, b)
#define FC_SUBTRACT(overflows, field, a, b) subtract_i64(overflows, a, b)
#define FC_ZERO 0
#define FC_ZERO_SUBTRACTED 0
#define FC_WORD(value) ((uint64_t)(value))
#define FC_QUOTIENT(sum, n) quotient_i64(sum, n)
#include "fc_agg_impl.h"

#define FC_NAME(verb) verb##_f64
#define FC_VALUE double
#define FC_LOAD(column, i) (((const double *)(column)->values)[i])
#define FC_READ(heap, word) f64_of(word)
#define FC_WRITE_IF(mode, take, block, i, slot, value) \
    write_word(mode, take, &(block)->rows[i][slot], word_of_f64(value))
#define FC_LESS(a, b) ((a) < (b))
#define FC_EMPTY 0.0
#define FC_ADD(overflows, field, a, b) rounded(field, (a) + (b))
#define FC_SUBTRACT(overflows, field, a, b) rounded(field, (a) - (b))
#define FC_ZERO (-0.0)
#define FC_ZERO_SUBTRACTED 0.0
#define FC_WORD(value) word_of_f64(value)
#define FC_QUOTIENT(sum, n) ((sum) / (double)(n))
#include "fc_agg_impl.h"

#define FC_NAME(verb) verb##_bool
#define FC_VALUE uint64_t
#define FC_LOAD(column, i) ((uint64_t)fc_bit((column)->values, (column)->bit_offset + (i)))
#define FC_READ(heap, word) (word)
#define FC_WRITE_IF(mode, take, block, i, slot, value) \
    write_word(mode, take, &(block)->rows[i][slot], value)
#define FC_LESS(a, b) ((a) < (b))
#define FC_EMPTY 0
#include "fc_agg_impl.h"

#define FC_NAME(verb) verb##_bytes
#define FC_VALUE fc_bytes
#define FC_LOAD(column, i)                                                            \
    ((fc_bytes){(const uint8_t *)(column)->values + (column)->offsets[i],             \
                (int64_t)(column)->offsets[(i) + 1] - (column)->offsets[i]})
#define FC_READ(heap, word) heap_read(heap, word)
#define FC_WRITE_IF(mode, take, block, i, slot, value) write_bytes(take, block, i, slot, value)
#define FC_LESS(a, b) less_bytes(a, b)
#define FC_EMPTY ((fc_bytes){NULL, 0})
#define FC_HEAPED
#include "fc_agg_impl.h"

static FC_INLINE void capture_count(const fc_block *block, fc_capture *capture, int64_t i, int32_t slot) {
    capture->words[i] = block->rows[i][slot];
    capture->valid[i] = true;
}

static FC_INLINE void count(fc_block *block, const fc_agg_field *field, const fc_column *column,
                            fc_mode mode) {
    const int32_t slot = field->slot;
    FC_LOCALS(block, column, mode);
    for (int64_t i = 0; i < n; i++) {
        uint64_t *row = rows[i];
        if (mode == RUNNING) capture_count(block, &block->before, i, slot);
        if (mode == MERGE) row[slot] += block->others[i][slot];
        else if (mode == RETRACT) row[slot] -= given(block, &input, begin, i, 0, mode);
        else row[slot] += given(block, &input, begin, i, 0, mode);
        if (mode == RUNNING) capture_count(block, &block->after, i, slot);
    }
}

static void run_count(fc_block *block, const fc_agg_field *field, const fc_column *column, fc_mode mode) {
    switch (mode) {
    case PLAIN: count(block, field, column, PLAIN); break;
    case NULLS: count(block, field, column, NULLS); break;
    case RUNNING: count(block, field, column, RUNNING); break;
    case RETRACT: count(block, field, column, RETRACT); break;
    case MERGE: count(block, field, NULL, MERGE); break;
    }
}

static void read_counts(fc_block *block, const fc_agg_field *field) {
    for (int64_t i = 0; i < block->n; i++) capture_count(block, &block->after, i, field->slot);
}

#define FC_BY_KIND(kind, verb, ...)                       \
    switch (kind) {                                       \
    case FC_I64: verb##_i64(__VA_ARGS__); break;          \
    case FC_F64: verb##_f64(__VA_ARGS__); break;          \
    case FC_BOOL: verb##_bool(__VA_ARGS__); break;        \
    case FC_BYTES: verb##_bytes(__VA_ARGS__); break;      \
    }

/* One aggregate over one block. `all` is a column without nulls, for COUNT_STAR. */
static void run_field(fc_block *block, const fc_agg_field *field, const fc_agg_args *args,
                      const fc_column *all, fc_mode mode) {
    const fc_agg_spec *spec = &field->spec;
    const fc_column *value = args == NULL || spec->op == FC_AGG_COUNT_STAR ? all : args->value;
    if (mode == NULLS && value->validity == NULL) mode = PLAIN;
    switch (spec->op) {
    case FC_AGG_COUNT:
    case FC_AGG_COUNT_STAR:
        run_count(block, field, value, mode);
        break;
    case FC_AGG_SUM:
    case FC_AGG_SUM0:
    case FC_AGG_AVG:
        if (spec->kind == FC_I64) run_sum_i64(block, field, value, mode);
        else run_sum_f64(block, field, value, mode);
        break;
    case FC_AGG_MIN:
    case FC_AGG_MAX:
        FC_BY_KIND(spec->kind, run_extreme, block, field, value, mode, spec->op == FC_AGG_MAX)
        break;
    case FC_AGG_FIRST:
    case FC_AGG_LAST:
        FC_BY_KIND(spec->kind, run_edge, block, field, value, mode, spec->op == FC_AGG_LAST)
        break;
    case FC_AGG_MIN_BY:
    case FC_AGG_MAX_BY:
        FC_BY_KIND(spec->by_kind, run_comparand, block, field, args == NULL ? NULL : args->by, mode,
                   spec->op == FC_AGG_MAX_BY)
        FC_BY_KIND(spec->kind, run_payload, block, field, value, mode)
        break;
    }
}

static void read_field(fc_block *block, const fc_agg_field *field) {
    const fc_agg_spec *spec = &field->spec;
    if (is_count(spec->op)) read_counts(block, field);
    else if (is_sum(spec->op) && spec->kind == FC_I64) read_sums_i64(block, field);
    else if (is_sum(spec->op)) read_sums_f64(block, field);
    else FC_BY_KIND(spec->kind, read_values, block, field)
}

/* Set bits [begin, begin + n) of a zeroed bitmap; begin is a multiple of 8. Returns how many are 1. Eight
 * flags become a byte by one multiplication, which moves flag j to bit 56 + j: 205 -> 279 M rows/s for the
 * results of three aggregates. */
static int64_t pack(const bool *flags, int64_t n, uint8_t *bits, int64_t begin) {
    int64_t ones = 0, i = 0;
    bits += begin >> 3;
    for (; i + 8 <= n; i += 8) {
        uint64_t eight = 0;
        for (int b = 0; b < 8; b++) eight |= (uint64_t)flags[i + b] << 8 * b;
        uint8_t byte = (uint8_t)(eight * UINT64_C(0x0102040810204080) >> 56);
        bits[i >> 3] = byte;
        ones += __builtin_popcount(byte);
    }
    for (; i < n; i++) {
        bits[i >> 3] |= (uint8_t)(flags[i] << (i & 7));
        ones += flags[i];
    }
    return ones;
}

/* Move what a block captured to its place in the output. */
static void deliver(const fc_block *block, fc_capture *capture) {
    fc_agg_output *output = capture->output;
    output->null_count += block->n - pack(capture->valid, block->n, output->validity, block->begin);
    if (output->kind == FC_BOOL) {
        bool flags[FC_AGG_BLOCK];
        for (int64_t i = 0; i < block->n; i++) flags[i] = capture->words[i] != 0;
        pack(flags, block->n, output->values, block->begin);
    } else if (output->kind != FC_BYTES) {
        memcpy((uint64_t *)output->values + block->begin, capture->words, (size_t)block->n * 8);
    }
}

static void outputs_begin(const fc_agg_layout *layout, fc_agg_output *outputs) {
    for (int32_t k = 0; k < layout->count; k++) {
        outputs[k].kind = fc_agg_result_kind(layout, k);
        outputs[k].null_count = 0;
        if (outputs[k].kind == FC_BYTES) outputs[k].offsets[0] = 0;
    }
}

/* ---- kernels --------------------------------------------------------------------------------------- */

static fc_status check_args(const fc_agg_layout *layout, int64_t n, const fc_agg_args *args) {
    for (int32_t k = 0; k < layout->count; k++) {
        const fc_agg_spec *spec = &layout->fields[k].spec;
        if (spec->op == FC_AGG_COUNT_STAR) continue;
        if (args[k].value == NULL || args[k].value->length != n) return FC_ERR_INVALID;
        if (spec->op != FC_AGG_COUNT && args[k].value->kind != spec->kind) return FC_ERR_TYPE;
        if (!is_by(spec->op)) continue;
        if (args[k].by == NULL || args[k].by->length != n) return FC_ERR_INVALID;
        if (args[k].by->kind != spec->by_kind) return FC_ERR_TYPE;
    }
    return FC_OK;
}

/* Take the rows of a block into use and stamp them. `touch` are header bits to set in all of them. */
static void mark_rows(fc_block *block, uint64_t touch, uint8_t *was_new) {
    const int64_t n = block->n;
    uint64_t **rows = block->rows;
    touch |= FC_ROW_IN_USE;
    if (block->pane_of_row != NULL) {
        for (int64_t i = 0; i < n; i++) {
            fc_agg *agg = agg_of(block, i);
            agg->row_count += !(rows[i][0] >> 63);
            rows[i][0] = (rows[i][0] & ~FC_ROW_STAMP) | touch | row_stamp(agg);
        }
        return;
    }
    touch |= row_stamp(block->panes[0]);
    int64_t taken = 0;
    for (int64_t i = 0; i < n; i++) {
        bool is_new = !(rows[i][0] >> 63);
        if (was_new != NULL) was_new[block->begin + i] = is_new;
        taken += is_new;
        rows[i][0] = (rows[i][0] & ~FC_ROW_STAMP) | touch;
    }
    block->panes[0]->row_count += taken;
}

/* Header bits of the aggregates that see a value in every row of the batch and need not know whether it is
 * the first: sums over a column without nulls. */
static uint64_t touch_bits(const fc_agg_layout *layout, const fc_agg_args *args, fc_mode mode) {
    uint64_t bits = 0;
    if (mode != NULLS) return 0;
    for (int32_t k = 0; k < layout->count; k++)
        if (is_sum(layout->fields[k].spec.op) && args[k].value->validity == NULL)
            bits |= layout->fields[k].seen;
    return bits;
}

static fc_status resolve_block(fc_block *block, const int32_t *ids, bool prefetch) {
    const int64_t n = block->n;
    uint8_t *page;
    fc_status status = FC_OK;
    if (block->pane_of_row == NULL) {
        fc_agg *agg = block->panes[0];
        for (int64_t i = 0; i < n; i++) {
            status = page_resolve(agg, ids[i], &page);
            if (status != FC_OK) return status;
            block->rows[i] = row_in_page(agg, page, ids[i]);
        }
    } else {
        const int32_t *pane_of_row = block->pane_of_row + block->begin;
        for (int64_t i = 0; i < n; i++) {
            fc_agg *agg = block->panes[pane_of_row[i]];
            status = page_resolve(agg, ids[i], &page);
            if (status != FC_OK) return status;
            block->rows[i] = row_in_page(agg, page, ids[i]);
        }
    }
    if (!prefetch) return FC_OK;
    const int32_t words = block->panes[0]->layout.row_words;
    for (int64_t i = 0; i < n; i++) {
        for (int32_t w = 0; w < words - 1; w += FC_CACHE_LINE / 8) __builtin_prefetch(block->rows[i] + w, 1);
        __builtin_prefetch(block->rows[i] + words - 1, 1);      /* rows may straddle lines */
    }
    return FC_OK;
}

/* Update and retract: all that differs is the mode. */
static fc_status apply(fc_agg *const *panes, int32_t pane_count, const int32_t *pane_of_row,
                       const int32_t *ids, int64_t n, const fc_agg_args *args, fc_mode mode,
                       fc_agg_output *before, fc_agg_output *after, uint8_t *was_new) {
    const fc_agg_layout *layout = &panes[0]->layout;
    fc_status status = check_args(layout, n, args);
    if (status != FC_OK) return status;
    int64_t id_max = fc_agg_id_limit(ids, n);
    if (id_max < -1) return FC_ERR_INVALID;
    if (n == 0) return FC_OK;
    bool prefetch = false;
    for (int32_t p = 0; p < pane_count; p++) {
        status = fc_agg_page_table_reserve(panes[p], id_max);
        if (status != FC_OK) return status;
        prefetch |= is_large(panes[p]);
    }

    const fc_column all = {.length = n};
    const uint64_t touch = touch_bits(layout, args, mode);
    fc_block block;
    block.panes = panes;
    block.pane_of_row = pane_of_row;
    block.other_heap = NULL;
    block.overflows = 0;
    block.status = FC_OK;
    for (int64_t begin = 0; begin < n && status == FC_OK; begin += FC_AGG_BLOCK) {
        block.begin = begin;
        block.n = n - begin < FC_AGG_BLOCK ? n - begin : FC_AGG_BLOCK;
        status = fc_agg_trim(panes[0]);
        if (status == FC_OK) status = resolve_block(&block, ids + begin, prefetch);
        if (status != FC_OK) break;
        mark_rows(&block, touch, was_new);
        for (int32_t k = 0; k < layout->count; k++) {
            if (mode == RUNNING) {
                block.before.output = &before[k];
                block.after.output = &after[k];
            }
            run_field(&block, &layout->fields[k], &args[k], &all, mode);
            if (mode == RUNNING) {
                deliver(&block, &block.before);
                deliver(&block, &block.after);
            }
        }
        status = block.status;
        if (layout->bytes_slot_count > 0)
            for (int32_t p = 0; p < pane_count && status == FC_OK; p++)
                status = fc_agg_heap_compact(panes[p]);
    }
    panes[0]->sum_overflows += block.overflows;
    return status;
}

fc_status fc_agg_update(fc_agg *agg, const int32_t *ids, int64_t n, const fc_agg_args *args) {
    return apply(&agg, 1, NULL, ids, n, args, NULLS, NULL, NULL, NULL);
}

fc_status fc_agg_update_panes(fc_agg *const *panes, int32_t pane_count, const int32_t *pane_of_row,
                              const int32_t *ids, int64_t n, const fc_agg_args *args) {
    if (pane_count < 1) return n == 0 ? FC_OK : FC_ERR_INVALID;
    for (int32_t p = 1; p < pane_count; p++)
        if (!fc_agg_same_layout(&panes[0]->layout, &panes[p]->layout)) return FC_ERR_TYPE;
    bool inside = true;
    for (int64_t i = 0; i < n; i++) inside &= (uint32_t)pane_of_row[i] < (uint32_t)pane_count;
    if (!inside) return FC_ERR_INVALID;
    return apply(panes, pane_count, pane_count == 1 ? NULL : pane_of_row, ids, n, args, NULLS, NULL, NULL,
                 NULL);
}

fc_status fc_agg_update_running(fc_agg *agg, const int32_t *ids, int64_t n, const fc_agg_args *args,
                                fc_agg_output *before, fc_agg_output *after, uint8_t *was_new) {
    outputs_begin(&agg->layout, before);
    outputs_begin(&agg->layout, after);
    return apply(&agg, 1, NULL, ids, n, args, RUNNING, before, after, was_new);
}

fc_status fc_agg_retract(fc_agg *agg, const int32_t *ids, int64_t n, const fc_agg_args *args) {
    for (int32_t k = 0; k < agg->layout.count; k++) {
        const fc_agg_field *field = &agg->layout.fields[k];
        bool can = is_count(field->spec.op) || field->spec.op == FC_AGG_SUM0 || field->counts;
        if (!can) return FC_ERR_UNSUPPORTED;
    }
    return apply(&agg, 1, NULL, ids, n, args, RETRACT, NULL, NULL, NULL);
}

/* Merge the pairs of the block and empty it. */
static fc_status merge_block(fc_agg *agg, fc_block *block) {
    for (int32_t k = 0; k < agg->layout.count; k++)
        run_field(block, &agg->layout.fields[k], NULL, NULL, MERGE);
    block->n = 0;
    return block->status;
}

/* Rows go into the block one pair after the other; a row of `agg` is taken into use as its pair comes, so
 * that a later pair may merge it onwards. */
static FC_INLINE void merge_pair(fc_agg *agg, fc_block *block, uint64_t *row, uint64_t *other) {
    agg->row_count += !(row[0] >> 63);
    row[0] = (row[0] & ~FC_ROW_STAMP) | FC_ROW_IN_USE | row_stamp(agg);
    block->rows[block->n] = row;
    block->others[block->n] = other;
    block->n++;
}

static void merge_begin(fc_agg *const *agg, const fc_agg *other, fc_block *block) {
    block->n = block->begin = block->overflows = 0;
    block->panes = agg;
    block->pane_of_row = NULL;
    block->other_heap = &other->heap;
    block->status = FC_OK;
}

static fc_status trim_both(fc_agg *agg, fc_agg *other) {
    fc_status status = fc_agg_trim(agg);
    return status == FC_OK ? fc_agg_trim(other) : status;
}

fc_status fc_agg_merge(fc_agg *agg, fc_agg *other, const int32_t *ids_self, const int32_t *ids_other,
                       int64_t n) {
    if (!fc_agg_same_layout(&agg->layout, &other->layout)) return FC_ERR_TYPE;
    int64_t self_max = fc_agg_id_limit(ids_self, n);
    if (self_max < -1 || fc_agg_id_limit(ids_other, n) < -1) return FC_ERR_INVALID;
    fc_status status = fc_agg_page_table_reserve(agg, self_max);
    fc_block block;
    merge_begin(&agg, other, &block);
    for (int64_t i = 0; i < n && status == FC_OK; i++) {
        uint64_t *from = NULL;
        if (block.n == 0) status = trim_both(agg, other);
        if (status == FC_OK) status = row_read(other, ids_other[i], &from);
        if (status != FC_OK) break;
        if (from[0] >> 63) {
            uint8_t *page;
            status = page_resolve(agg, ids_self[i], &page);
            if (status != FC_OK) break;
            uint64_t *into = row_in_page(agg, page, ids_self[i]);
            status = row_read(other, ids_other[i], &from);       /* its page may have been copied just now */
            if (status != FC_OK) break;
            if (into != from) merge_pair(agg, &block, into, from);
        }
        if (block.n == FC_AGG_BLOCK) status = merge_block(agg, &block);
    }
    fc_status last = merge_block(agg, &block);
    agg->sum_overflows += block.overflows;
    if (status == FC_OK) status = last;
    return status == FC_OK ? fc_agg_heap_compact(agg) : status;
}

fc_status fc_agg_merge_all(fc_agg *agg, fc_agg *other) {
    if (agg == other) return FC_ERR_INVALID;
    if (!fc_agg_same_layout(&agg->layout, &other->layout)) return FC_ERR_TYPE;
    const int64_t page_rows = (int64_t)1 << agg->layout.page_shift;
    fc_status status = fc_agg_page_table_reserve(agg, (other->page_bound << agg->layout.page_shift) - 1);
    fc_block block;
    merge_begin(&agg, other, &block);
    for (int64_t p = 0; p < other->page_bound && status == FC_OK; p++) {
        uint8_t *from_page = NULL, *page;
        if (block.n == 0) status = trim_both(agg, other);
        if (status == FC_OK) status = page_read(other, p, &from_page);
        if (status != FC_OK) break;
        if (from_page == NULL) continue;
        bool missing = pages_of(agg)[p] == 0;
        status = page_resolve(agg, p << agg->layout.page_shift, &page);
        if (status != FC_OK) break;
        if (missing && agg->layout.bytes_slot_count == 0) {
            memcpy(page, from_page, (size_t)page_used_bytes(&agg->layout));
            for (int64_t r = 0; r < page_rows; r++) {
                uint64_t *row = row_in_page(agg, page, r);
                uint64_t in_use = row[0] >> 63;
                agg->row_count += in_use;
                row[0] = ((row[0] & ~FC_ROW_STAMP) | row_stamp(agg)) & FC_MASK(in_use);
            }
            continue;
        }
        for (int64_t r = 0; r < page_rows && status == FC_OK; r++) {
            uint64_t *from = row_in_page(agg, from_page, r);
            if (from[0] >> 63) merge_pair(agg, &block, row_in_page(agg, page, r), from);
            if (block.n == FC_AGG_BLOCK) status = merge_block(agg, &block);
        }
    }
    fc_status last = merge_block(agg, &block);
    agg->sum_overflows += block.overflows;
    if (status == FC_OK) status = last;
    return status == FC_OK ? fc_agg_heap_compact(agg) : status;
}

fc_status fc_agg_results(fc_agg *agg, const int32_t *ids, int64_t n, fc_agg_output *outputs) {
    if (fc_agg_id_limit(ids, n) < -1) return FC_ERR_INVALID;
    outputs_begin(&agg->layout, outputs);
    fc_block block;
    merge_begin(&agg, agg, &block);
    for (int64_t begin = 0; begin < n && block.status == FC_OK; begin += FC_AGG_BLOCK) {
        block.begin = begin;
        block.n = n - begin < FC_AGG_BLOCK ? n - begin : FC_AGG_BLOCK;
        fc_status status = fc_agg_trim(agg);
        for (int64_t i = 0; i < block.n && status == FC_OK; i++)
            status = row_read(agg, ids[begin + i], &block.rows[i]);
        if (status != FC_OK) return status;
        for (int32_t k = 0; k < agg->layout.count; k++) {
            block.after.output = &outputs[k];
            read_field(&block, &agg->layout.fields[k]);
            deliver(&block, &block.after);
        }
    }
    return block.status;
}
