# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t, uint8_t

from flinkcore._native.buffer cimport fc_buffer, fc_buffer_free
from flinkcore._native.column cimport fc_status
from flinkcore._native.frozen cimport Frozen


cdef extern from "fc_window.h":
    fc_status fc_pane_starts_checked(const int64_t *ts_ms, int64_t n, int64_t size_ms, int64_t offset_ms,
                                     int64_t *starts) nogil
    fc_status fc_pane_index(const int64_t *starts, int64_t n, int32_t *pane_of_row, fc_buffer *panes,
                            int64_t *pane_count) nogil
    void fc_time_bounds(const int64_t *ts_ms, int64_t n, int64_t *least, int64_t *greatest) nogil
    fc_status fc_panes_of(const int64_t *ts_ms, int64_t n, int64_t size_ms, int64_t offset_ms, int32_t *pane_of_row,
                          fc_buffer *panes, int64_t *pane_count)
    fc_status fc_sliding_bounds(const int64_t *ts_ms, int64_t n, int64_t size_ms, int64_t slide_ms,
                                int64_t offset_ms, int64_t *bounds) nogil
    void fc_sliding_starts(const int64_t *ts_ms, int64_t n, int64_t slide_ms, int64_t offset_ms,
                           const int64_t *bounds, int64_t *starts) nogil


cdef extern from "fc_session.h":
    ctypedef struct fc_session_bound:
        int64_t fire_ms

    ctypedef struct fc_session_index:
        fc_buffer merges
        int64_t merge_count
        int64_t slot_bound
        int64_t live_count
        fc_session_bound least
        int64_t epoch

    void fc_session_init(fc_session_index *index) nogil
    void fc_session_free(fc_session_index *index) nogil
    fc_status fc_session_assign(fc_session_index *index, const int32_t *ids, const int64_t *ts_ms, int64_t n,
                                const int64_t *gaps_ms, int64_t gap_ms, int64_t watermark_ms,
                                int64_t lateness_ms, int32_t *sessions, int64_t *taken) nogil
    fc_status fc_session_expired(fc_session_index *index, int64_t watermark_ms, fc_buffer *slots,
                                 int64_t *count) nogil
    fc_status fc_session_purgeable(fc_session_index *index, int64_t watermark_ms, int64_t lateness_ms,
                                   fc_buffer *slots, int64_t *count) nogil
    fc_status fc_session_get(const fc_session_index *index, const int32_t *slots, int64_t n, int64_t *starts_ms,
                             int64_t *ends_ms, int32_t *group_ids) nogil
    fc_status fc_session_created(const fc_session_index *index, const int32_t *slots, int64_t n,
                                 int64_t *created) nogil
    fc_status fc_session_fired(const fc_session_index *index, const int32_t *slots, int64_t n,
                               uint8_t *fired) nogil
    fc_status fc_session_mark_fired(fc_session_index *index, const int32_t *slots, int64_t n) nogil
    fc_status fc_session_release(fc_session_index *index, const int32_t *slots, int64_t n) nogil
    fc_status fc_session_groups(const fc_session_index *index, const int32_t *ids, int64_t n, uint8_t *has) nogil
    void fc_session_slots(const fc_session_index *index, int32_t *slots) nogil
    int64_t fc_session_memory_bytes(const fc_session_index *index) nogil
    fc_status fc_session_absorb(fc_session_index *index, const fc_session_index *other, const int32_t *group_ids,
                                int64_t n, int32_t *slots) nogil


cdef extern from "fc_session_snapshot.h":
    ctypedef struct fc_session_frozen:
        pass

    fc_status fc_session_freeze(fc_session_index *index, int64_t since, int64_t epoch,
                                fc_session_frozen **frozen) nogil
    void fc_session_frozen_release(fc_session_index *index, fc_session_frozen *frozen) nogil
    fc_status fc_session_load(fc_session_index *index, const uint8_t *data, int64_t bytes,
                              const char **reason) nogil
    fc_status fc_session_loaded(fc_session_index *index, int64_t epoch, int64_t group_bound,
                                const char **reason) nogil
    fc_status fc_session_frozen_plan(fc_session_frozen *frozen, int64_t *bytes) nogil
    void fc_session_frozen_write(fc_session_frozen *frozen, uint8_t *data) nogil


cdef class SessionIndex:
    cdef fc_session_index index
    cdef bint busy
    cdef bint loading
    cdef int enter(self) except -1
    cdef object until(self, int64_t watermark_ms, int64_t lateness_ms)
    cdef object get(self, object slots, int what)


cdef class FrozenSessions(Frozen):
    cdef fc_session_frozen *frozen
    cdef SessionIndex index           # owns it
