# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from flinkcore._native.buffer cimport fc_buffer, fc_buffer_free
from flinkcore._native.column cimport fc_column, fc_kind, fc_status
from flinkcore._native.memory cimport MemoryShare, fc_share


cdef extern from "fc_agg.h":
    enum:
        FC_AGG_FIELDS_MAX
        FC_AGG_SEEN_BITS_MAX

    ctypedef enum fc_agg_op:
        FC_AGG_COUNT
        FC_AGG_COUNT_STAR
        FC_AGG_SUM
        FC_AGG_SUM0
        FC_AGG_MIN
        FC_AGG_MAX
        FC_AGG_AVG
        FC_AGG_FIRST
        FC_AGG_LAST
        FC_AGG_MIN_BY
        FC_AGG_MAX_BY

    ctypedef struct fc_agg_spec:
        fc_agg_op op
        fc_kind kind
        fc_kind by_kind
        uint32_t flags

    ctypedef struct fc_agg_layout:
        int32_t count
        int32_t row_words
        int32_t page_shift
        int32_t bytes_slot_count

    ctypedef struct fc_agg_heap:
        int64_t size
        int64_t garbage

    ctypedef struct fc_agg:
        fc_agg_layout layout
        fc_agg_heap heap
        int64_t row_count
        int64_t sum_overflows
        int64_t page_bound
        int64_t page_count
        int64_t frame_count
        int64_t slot_count

    ctypedef struct fc_agg_args:
        const fc_column *value
        const fc_column *by

    ctypedef struct fc_agg_output:
        fc_kind kind
        void *values
        int32_t *offsets
        fc_buffer bytes
        uint8_t *validity
        int64_t null_count

    fc_status fc_agg_layout_init(fc_agg_layout *layout, const fc_agg_spec *specs, int32_t count) nogil
    fc_kind fc_agg_result_kind(const fc_agg_layout *layout, int32_t k) nogil
    void fc_agg_init(fc_agg *agg, const fc_agg_layout *layout) nogil
    void fc_agg_free(fc_agg *agg) nogil
    fc_status fc_agg_update(fc_agg *agg, const int32_t *ids, int64_t n, const fc_agg_args *args) nogil
    fc_status fc_agg_update_panes(fc_agg *const *panes, int32_t pane_count, const int32_t *pane_of_row,
                                  const int32_t *ids, int64_t n, const fc_agg_args *args) nogil
    fc_status fc_agg_update_running(fc_agg *agg, const int32_t *ids, int64_t n, const fc_agg_args *args,
                                    fc_agg_output *before, fc_agg_output *after, uint8_t *was_new) nogil
    fc_status fc_agg_retract(fc_agg *agg, const int32_t *ids, int64_t n, const fc_agg_args *args) nogil
    fc_status fc_agg_merge(fc_agg *agg, fc_agg *other, const int32_t *ids_self, const int32_t *ids_other,
                           int64_t n) nogil
    fc_status fc_agg_merge_all(fc_agg *agg, fc_agg *other) nogil
    fc_status fc_agg_results(fc_agg *agg, const int32_t *ids, int64_t n, fc_agg_output *outputs) nogil
    fc_status fc_agg_used_ids(fc_agg *agg, int32_t *ids) nogil
    fc_status fc_agg_clear(fc_agg *agg, const int32_t *ids, int64_t n) nogil
    fc_status fc_agg_clear_all(fc_agg *agg) nogil
    int64_t fc_agg_memory_bytes(const fc_agg *agg) nogil
    bint fc_agg_same_layout(const fc_agg_layout *a, const fc_agg_layout *b) nogil


cdef extern from "fc_agg_spill.h":
    fc_status fc_agg_draw_on(fc_agg *agg, fc_share *share) nogil
    fc_status fc_agg_fetch_wanted(fc_agg *agg) nogil
    fc_status fc_share_trim(fc_share *share) nogil
    int64_t fc_agg_split_out(const fc_agg *agg, const int32_t *ids, int64_t n, int64_t *there, int64_t *out) nogil


cdef extern from "fc_agg_snapshot.h":
    ctypedef struct fc_agg_frozen:
        pass

    fc_status fc_agg_freeze(fc_agg *agg, int64_t since, int64_t epoch, fc_agg_frozen **frozen) nogil
    void fc_agg_release(fc_agg *agg, fc_agg_frozen *frozen) nogil
    fc_status fc_agg_load(fc_agg *agg, const uint8_t *payload, int64_t bytes, const char **fault) nogil
    fc_status fc_agg_loaded(fc_agg *agg, int64_t epoch) nogil
    fc_status fc_agg_frozen_write(fc_agg_frozen *frozen, uint8_t *block, int64_t room, int64_t *bytes) nogil
    void fc_agg_frozen_abandon(fc_agg_frozen *frozen) nogil


cdef class Accumulators:
    cdef fc_agg agg
    cdef fc_agg_spec specs[FC_AGG_FIELDS_MAX]
    cdef readonly tuple aggregates           # as given: (op, kind, flags[, comparand kind])
    cdef bint open_comparands                # a comparand's kind is not known yet; its spec says 0
    cdef MemoryShare share                   # where pages come from, None for memory of its own
    cdef list waiting                        # records whose pages are out: (ids, columns)
    cdef int64_t waiting_bytes, waiting_frames
    cdef bint waits(self)
    cdef int put_off(self, object ids, list columns, object rows) except -1
    cdef int settle(self) except -1
    cdef int update_there(self, object ids, list columns, object chosen) except -1
    cdef list nested(self, list columns)
    cdef object by_page(self, const int32_t[::1] rows)
    cdef int checked(self, fc_status status, str what, Accumulators other=?) except -1
    cdef int relayout(self) except -1
    cdef int learn(self, Accumulators other) except -1
    cdef object prepare(self, object args, int64_t n, fc_agg_args *out, str what)


cdef class FrozenAccumulators:
    cdef Accumulators accumulators           # owns what is frozen
    cdef fc_agg_frozen *frozen               # NULL when it was given back
    cdef bint is_writing
    cdef bint is_released
    cdef bytes next_block(self)
