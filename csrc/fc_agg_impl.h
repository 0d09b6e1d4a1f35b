/* SPDX-License-Identifier: Apache-2.0
 *
 * The loops of the aggregates over one block, for one type. fc_agg.c includes this once per type, with
 *
 *   FC_NAME(verb)               the name for this type: verb_i64, verb_f64, verb_bool, verb_bytes
 *   FC_VALUE                    C type of a value
 *   FC_LOAD(column, i)          value i of a column
 *   FC_READ(heap, word)         value of a slot
 *   FC_WRITE_IF(mode, take, block, i, slot, value)   make `value` the one of a slot of row i, if `take`
 *   FC_LESS(a, b)               the order of MIN and MAX
 *   FC_EMPTY                    any value
 *
 * and for numbers, to have sums,
 *
 *   FC_ADD(overflows, field, a, b), FC_SUBTRACT(...), FC_WORD(value), FC_QUOTIENT(sum, n),
 *   FC_ZERO, FC_ZERO_SUBTRACTED                what changes no sum when added, when subtracted
 *
 * One body serves five ways of running. They differ in where value i and its validity come from:
 *
 *   PLAIN     a column without nulls
 *   NULLS     a column with nulls
 *   RUNNING   a column; the result is captured before and after each record
 *   RETRACT   a column with or without nulls, sums only
 *   MERGE     a row of another accumulators
 *
 * `mode`, `greatest` and `latest` are constants wherever these are called, so no loop branches on them. */

static FC_INLINE FC_VALUE FC_NAME(input)(const fc_block *block, const fc_column *column, int64_t begin,
                                         int64_t i, int32_t slot, fc_mode mode) {
    if (mode == MERGE) return FC_READ(block->other_heap, block->others[i][slot]);
    return FC_LOAD(column, begin + i);
}

/* Append the result in `slot` to a capture. */
static FC_INLINE void FC_NAME(capture)(fc_block *block, fc_capture *capture, int64_t i, int32_t slot,
                                       uint64_t valid_bit) {
    const uint64_t *row = block->rows[i];
    bool valid = (row[0] & valid_bit) != 0;
    capture->valid[i] = valid;
#ifdef FC_HEAPED
    fc_bytes value = valid ? FC_READ(heap_of(block, i), row[slot]) : FC_EMPTY;
    append_bytes(block, capture, i, value);
#else
    capture->words[i] = valid ? row[slot] : 0;
#endif
}

/* MIN and MAX; also the comparand of MIN_BY and MAX_BY, where take[i] says whether row i's value follows. */
static FC_INLINE void FC_NAME(extreme)(fc_block *block, const fc_agg_field *field, const fc_column *column,
                                       fc_mode mode, bool greatest, bool by) {
    const int32_t slot = field->slot;
    const uint64_t seen = field->seen;
    FC_LOCALS(block, column, mode);
    for (int64_t i = 0; i < n; i++) {
        uint64_t *row = rows[i];
        if (mode == RUNNING && !by) FC_NAME(capture)(block, &block->before, i, slot, seen);
        bool valid = given(block, &input, begin, i, seen, mode);
        FC_VALUE value = FC_NAME(input)(block, &input, begin, i, slot, mode);
        FC_VALUE held = FC_READ(heap_of(block, i), row[slot]);
        bool beats = greatest ? FC_LESS(held, value) : FC_LESS(value, held);
        bool take = valid & (beats | !(row[0] & seen));
        FC_WRITE_IF(mode, take, block, i, slot, value);
        row[0] |= seen & FC_MASK(valid);
        if (by) block->take[i] = take;
        if (mode == RUNNING && !by) FC_NAME(capture)(block, &block->after, i, slot, seen);
    }
}

/* FIRST and LAST. */
static FC_INLINE void FC_NAME(edge)(fc_block *block, const fc_agg_field *field, const fc_column *column,
                                    fc_mode mode, bool latest) {
    const int32_t slot = field->slot;
    const uint64_t seen = field->seen;
    FC_LOCALS(block, column, mode);
    for (int64_t i = 0; i < n; i++) {
        uint64_t *row = rows[i];
        if (mode == RUNNING) FC_NAME(capture)(block, &block->before, i, slot, seen);
        bool valid = given(block, &input, begin, i, seen, mode);
        bool take = valid & (latest | !(row[0] & seen));
        FC_VALUE value = FC_NAME(input)(block, &input, begin, i, slot, mode);
        FC_WRITE_IF(mode, take, block, i, slot, value);
        row[0] |= seen & FC_MASK(valid);
        if (mode == RUNNING) FC_NAME(capture)(block, &block->after, i, slot, seen);
    }
}

/* The value of MIN_BY and MAX_BY, after `extreme` has filled take. */
static FC_INLINE void FC_NAME(payload)(fc_block *block, const fc_agg_field *field, const fc_column *column,
                                       fc_mode mode) {
    const int32_t slot = field->value_slot;
    const uint64_t valid_bit = field->valid;
    FC_LOCALS(block, column, mode);
    for (int64_t i = 0; i < n; i++) {
        uint64_t *row = rows[i];
        if (mode == RUNNING) FC_NAME(capture)(block, &block->before, i, slot, valid_bit);
        if (block->take[i]) {
            bool valid = given(block, &input, begin, i, valid_bit, mode);
            FC_VALUE value = FC_EMPTY;
            if (valid) value = FC_NAME(input)(block, &input, begin, i, slot, mode);
            FC_WRITE_IF(mode, true, block, i, slot, value);
            row[0] = (row[0] & ~valid_bit) | (valid ? valid_bit : 0);
        }
        if (mode == RUNNING) FC_NAME(capture)(block, &block->after, i, slot, valid_bit);
    }
}

static void FC_NAME(run_extreme)(fc_block *block, const fc_agg_field *field, const fc_column *column,
                                 fc_mode mode, bool greatest) {
    switch (mode) {
    case PLAIN: greatest ? FC_NAME(extreme)(block, field, column, PLAIN, true, false)
                         : FC_NAME(extreme)(block, field, column, PLAIN, false, false); break;
    case NULLS: greatest ? FC_NAME(extreme)(block, field, column, NULLS, true, false)
                         : FC_NAME(extreme)(block, field, column, NULLS, false, false); break;
    case RUNNING: greatest ? FC_NAME(extreme)(block, field, column, RUNNING, true, false)
                           : FC_NAME(extreme)(block, field, column, RUNNING, false, false); break;
    case MERGE: greatest ? FC_NAME(extreme)(block, field, NULL, MERGE, true, false)
                         : FC_NAME(extreme)(block, field, NULL, MERGE, false, false); break;
    case RETRACT: break;
    }
}

/* What RUNNING captures is the value, not the comparand: here it is the same as NULLS. */
static void FC_NAME(run_comparand)(fc_block *block, const fc_agg_field *field, const fc_column *column,
                                   fc_mode mode, bool greatest) {
    if (mode == MERGE)
        greatest ? FC_NAME(extreme)(block, field, NULL, MERGE, true, true)
                 : FC_NAME(extreme)(block, field, NULL, MERGE, false, true);
    else
        greatest ? FC_NAME(extreme)(block, field, column, NULLS, true, true)
                 : FC_NAME(extreme)(block, field, column, NULLS, false, true);
}

static void FC_NAME(run_edge)(fc_block *block, const fc_agg_field *field, const fc_column *column,
                              fc_mode mode, bool latest) {
    switch (mode) {
    case PLAIN: latest ? FC_NAME(edge)(block, field, column, PLAIN, true)
                       : FC_NAME(edge)(block, field, column, PLAIN, false); break;
    case NULLS: latest ? FC_NAME(edge)(block, field, column, NULLS, true)
                       : FC_NAME(edge)(block, field, column, NULLS, false); break;
    case RUNNING: latest ? FC_NAME(edge)(block, field, column, RUNNING, true)
                         : FC_NAME(edge)(block, field, column, RUNNING, false); break;
    case MERGE: latest ? FC_NAME(edge)(block, field, NULL, MERGE, true)
                       : FC_NAME(edge)(block, field, NULL, MERGE, false); break;
    case RETRACT: break;
    }
}

static void FC_NAME(run_payload)(fc_block *block, const fc_agg_field *field, const fc_column *column,
                                 fc_mode mode) {
    switch (mode) {
    case PLAIN: FC_NAME(payload)(block, field, column, PLAIN); break;
    case NULLS: FC_NAME(payload)(block, field, column, NULLS); break;
    case RUNNING: FC_NAME(payload)(block, field, column, RUNNING); break;
    case MERGE: FC_NAME(payload)(block, field, NULL, MERGE); break;
    case RETRACT: break;
    }
}

/* The results of a block whose rows hold values: MIN, MAX, FIRST, LAST, MIN_BY, MAX_BY. */
static void FC_NAME(read_values)(fc_block *block, const fc_agg_field *field) {
    for (int64_t i = 0; i < block->n; i++)
        FC_NAME(capture)(block, &block->after, i, field->value_slot, field->valid);
}

#ifdef FC_ADD
/* The result of SUM, SUM0 or AVG. */
static FC_INLINE void FC_NAME(capture_sum)(fc_block *block, fc_capture *capture, int64_t i,
                                           const fc_agg_field *field, bool counts) {
    const uint64_t *row = block->rows[i];
    bool valid = counts ? row[field->slot + 1] != 0 : (field->seen == 0) | ((row[0] & field->seen) != 0);
    FC_VALUE sum = FC_READ(NULL, row[field->slot] ^ field->bias);
    if (field->spec.op == FC_AGG_AVG && valid) sum = FC_QUOTIENT(sum, (int64_t)row[field->slot + 1]);
    capture->valid[i] = valid;
    capture->words[i] = valid ? FC_WORD(sum) : 0;
}

/* SUM, SUM0 and AVG. In PLAIN mode the caller has set the seen bits (see mark_rows). */
static FC_INLINE void FC_NAME(sum)(fc_block *block, const fc_agg_field *field, const fc_column *column,
                                   fc_mode mode, bool counts) {
    const int32_t slot = field->slot;
    const uint64_t bias = field->bias, seen = field->seen;
    int64_t overflows = 0;
    FC_LOCALS(block, column, mode);
    for (int64_t i = 0; i < n; i++) {
        uint64_t *row = rows[i];
        if (mode == RUNNING) FC_NAME(capture_sum)(block, &block->before, i, field, counts);
        FC_VALUE sum = FC_READ(NULL, row[slot] ^ bias);
        if (mode == MERGE) {
            const uint64_t *other = block->others[i];
            sum = FC_ADD(&overflows, field, sum, FC_READ(NULL, other[slot] ^ bias));
            if (counts) row[slot + 1] += other[slot + 1];
            row[0] |= other[0] & seen;
        } else {
            bool valid = given(block, &input, begin, i, 0, mode);
            FC_VALUE value = FC_LOAD(&input, begin + i);
            if (mode != PLAIN) {
                uint64_t zero = mode == RETRACT ? FC_WORD(FC_ZERO_SUBTRACTED) : FC_WORD(FC_ZERO);
                value = FC_READ(NULL, FC_CHOOSE(valid, FC_WORD(value), zero));
            }
            sum = mode == RETRACT ? FC_SUBTRACT(&overflows, field, sum, value)
                                  : FC_ADD(&overflows, field, sum, value);
            if (counts) row[slot + 1] += mode == RETRACT ? -(uint64_t)valid : (uint64_t)valid;
            if (mode == NULLS || mode == RUNNING) row[0] |= seen & FC_MASK(valid);
        }
        row[slot] = FC_WORD(sum) ^ bias;
        if (mode == RUNNING) FC_NAME(capture_sum)(block, &block->after, i, field, counts);
    }
    block->overflows += overflows;
}

static void FC_NAME(run_sum)(fc_block *block, const fc_agg_field *field, const fc_column *column,
                             fc_mode mode) {
    bool counts = field->counts;
    switch (mode) {
    case PLAIN: counts ? FC_NAME(sum)(block, field, column, PLAIN, true)
                       : FC_NAME(sum)(block, field, column, PLAIN, false); break;
    case NULLS: counts ? FC_NAME(sum)(block, field, column, NULLS, true)
                       : FC_NAME(sum)(block, field, column, NULLS, false); break;
    case RUNNING: counts ? FC_NAME(sum)(block, field, column, RUNNING, true)
                         : FC_NAME(sum)(block, field, column, RUNNING, false); break;
    case RETRACT: counts ? FC_NAME(sum)(block, field, column, RETRACT, true)
                         : FC_NAME(sum)(block, field, column, RETRACT, false); break;
    case MERGE: counts ? FC_NAME(sum)(block, field, NULL, MERGE, true)
                       : FC_NAME(sum)(block, field, NULL, MERGE, false); break;
    }
}

static void FC_NAME(read_sums)(fc_block *block, const fc_agg_field *field) {
    for (int64_t i = 0; i < block->n; i++)
        FC_NAME(capture_sum)(block, &block->after, i, field, field->counts);
}
#endif

#undef FC_NAME
#undef FC_VALUE
#undef FC_LOAD
#undef FC_READ
#undef FC_WRITE_IF
#undef FC_LESS
#undef FC_EMPTY
#undef FC_HEAPED
#undef FC_ADD
#undef FC_SUBTRACT
#undef FC_ZERO
#undef FC_ZERO_SUBTRACTED
#undef FC_WORD
#undef FC_QUOTIENT
