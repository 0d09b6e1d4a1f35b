# SPDX-License-Identifier: Apache-2.0
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from flinkcore._native.column cimport fc_column, fc_kind, fc_status
from flinkcore._native.frozen cimport Frozen


cdef extern from "fc_direct.h":
    ctypedef struct fc_direct:
        uint64_t span

cdef extern from "fc_group.h":
    ctypedef struct fc_group:
        int column_count
        fc_direct direct
        int64_t id_bound
        int64_t live_count
        int64_t ids_max
        int64_t slot_words
        int64_t arena_used
        int64_t arena_garbage
        int64_t epoch

    enum:
        FC_GROUP_IDS_MAX

    fc_status fc_group_init(fc_group *group, const fc_kind *kinds, int column_count, int64_t ids_max) nogil
    void fc_group_free(fc_group *group) nogil
    fc_status fc_group_reserve(fc_group *group, int64_t count) nogil
    fc_status fc_group_intern(fc_group *group, const fc_column *columns, const uint64_t *hashes, int64_t n,
                              int32_t *ids) nogil
    fc_status fc_group_find(fc_group *group, const fc_column *columns, const uint64_t *hashes, int64_t n,
                            int32_t *ids) nogil
    fc_status fc_group_release(fc_group *group, const int32_t *ids, int64_t n) nogil
    void fc_group_clear(fc_group *group) nogil
    fc_status fc_group_check(const fc_group *group, const int32_t *ids, int64_t n) nogil
    int64_t fc_group_live_ids(const fc_group *group, int64_t first, int64_t end, int32_t *ids) nogil
    void fc_group_hashes(const fc_group *group, const int32_t *ids, int64_t n, uint64_t *hashes) nogil
    int64_t fc_group_key_validity(const fc_group *group, int column, const int32_t *ids, int64_t n,
                                  uint8_t *bits) nogil
    void fc_group_key_words(const fc_group *group, int column, const int32_t *ids, int64_t n,
                            uint64_t *words) nogil
    void fc_group_key_bits(const fc_group *group, int column, const int32_t *ids, int64_t n,
                           uint8_t *bits) nogil
    fc_status fc_group_key_offsets(const fc_group *group, int column, const int32_t *ids, int64_t n,
                                   int32_t *offsets) nogil
    void fc_group_key_bytes(const fc_group *group, int column, const int32_t *ids, int64_t n,
                            const int32_t *offsets, uint8_t *data) nogil


cdef extern from "fc_group_snapshot.h":
    ctypedef struct fc_group_frozen:
        pass

    fc_status fc_group_freeze(fc_group *group, int64_t since, int64_t epoch, fc_group_frozen **frozen) nogil
    void fc_group_frozen_release(fc_group *group, fc_group_frozen *frozen) nogil
    void fc_group_forget(fc_group *group, int64_t epoch) nogil
    fc_status fc_group_load(fc_group *group, const uint8_t *data, int64_t bytes, const char **reason) nogil
    fc_status fc_group_loaded(fc_group *group, int64_t epoch, const char **reason) nogil
    fc_status fc_group_frozen_plan(fc_group_frozen *frozen, int64_t *bytes) nogil
    void fc_group_frozen_write(fc_group_frozen *frozen, uint8_t *data) nogil


cdef class GroupIndex:
    cdef fc_group group
    cdef readonly tuple kinds
    cdef bint busy
    cdef bint loading
    cdef int enter(self) except -1
    cdef object resolve(self, object keys, const uint64_t[::1] hashes, bint insert)
    cdef int check_ids(self, const int32_t[::1] ids, str what) except -1
    cdef object key_column(self, int column, const int32_t[::1] ids, object type)


cdef class FrozenGroups(Frozen):
    cdef fc_group_frozen *frozen
    cdef GroupIndex index           # owns it
