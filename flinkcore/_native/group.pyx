# SPDX-License-Identifier: Apache-2.0
"""GroupIndex: key rows to dense ids, and the keys back by id."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc

from flinkcore._native.buffer cimport fc_buffer_fail_nth
from flinkcore._native.column cimport Column, FC_OK, column_of, fc_column, fc_kind, fc_status
from flinkcore._native.column import BOOL, BYTES, normal_type, physical_kind
from flinkcore._native.gil cimport PyThreadState, release_gil, take_gil
from flinkcore._native.hash cimport key_views
from flinkcore._native.hash import KIND_NAMES
from flinkcore._native.status cimport check

DESCRIBED_KINDS = ("int64", "float64", "bool", "bytes")    # by kind - 1


cdef class GroupIndex:
    """Dense int32 ids for the distinct keys of one keyed operator subtask.

    Ids are given in order of first appearance, whatever the batches were; a released id is given again
    before a new one. Keys compare exactly: NaN equals NaN, -0.0 differs from 0.0, null equals null. One
    thread at a time; a second one gets a RuntimeError.

    A StatePart (flinkcore.state.part). An index that was loaded has the same keys under the same ids; free ids
    are given from the lowest on, which may be another order than before.
    """

    kind = "groups"

    def __init__(self, kinds, int64_t ids_max=FC_GROUP_IDS_MAX):
        """An empty index.

        kinds : the physical kind of each key column (column.I64, F64, BOOL or BYTES)
        ids_max : how many keys may be live at once
        TypeError : a kind that no kernel reads;  ValueError : no kinds, or ids_max outside [1, 2^31 - 1]
        """
        if self.kinds is not None:
            raise RuntimeError("a GroupIndex is initialised once; make a new one")
        kinds = tuple(kinds)
        if not kinds:
            raise ValueError("GroupIndex needs at least one key column")
        if not 1 <= ids_max <= FC_GROUP_IDS_MAX:
            raise ValueError(f"GroupIndex: ids_max is {ids_max}, expected 1 to {FC_GROUP_IDS_MAX}")
        for c, kind in enumerate(kinds):
            if kind not in (1, 2, 3, 4):
                raise TypeError(f"GroupIndex: key column {c} holds {KIND_NAMES.get(kind, kind)}, "
                                "expected int64, float64, bool, string or binary")
        cdef int count = <int>len(kinds), i
        cdef fc_kind *c_kinds = <fc_kind *>malloc(count * sizeof(fc_kind))
        cdef fc_status status
        if c_kinds == NULL:
            raise MemoryError()
        for i in range(count):
            c_kinds[i] = <fc_kind><int>kinds[i]
        status = fc_group_init(&self.group, c_kinds, count, ids_max)
        free(c_kinds)
        check(status, "GroupIndex")
        self.kinds = kinds

    def __dealloc__(self):
        fc_group_free(&self.group)

    def __len__(self):
        return self.group.live_count

    @property
    def live_count(self):
        """How many ids have a key."""
        return self.group.live_count

    @property
    def id_bound(self):
        """Every id given so far is below; accumulators need so many rows."""
        return self.group.id_bound

    @property
    def is_direct(self):
        """Whether keys are numbers close together now, and are looked up without a hash."""
        return self.group.direct.span > 0

    cdef int enter(self) except -1:
        # Called and reset under the GIL, around calls that leave it.
        if self.kinds is None:
            raise RuntimeError("this GroupIndex was never initialised")
        if self.loading:
            raise RuntimeError("this GroupIndex is being loaded; call loaded() after the last block, and make a new one "
                               "when it failed")
        if self.busy:
            raise RuntimeError("a GroupIndex is used by two threads at once; give each subtask its own")
        self.busy = True
        return 0

    def reserve(self, int64_t count):
        """Make room for `count` keys in all, so that the table need not grow on the way (a restore knows it).

        OverflowError : count is negative or above ids_max;  MemoryError
        """
        cdef fc_status status
        self.enter()
        with nogil:
            status = fc_group_reserve(&self.group, count)
        self.busy = False
        check(status, f"GroupIndex.reserve: {count} keys, ids_max is {self.group.ids_max}")

    def intern(self, keys, const uint64_t[::1] hashes=None):
        """The id of each key row; a new key gets one.

        keys : Columns of n rows, of the kinds of the index
        hashes : uint64[n], hash_columns(keys) if they are at hand; else they are made, without being stored
        -> int32[n]
        TypeError : other kinds;  ValueError : other lengths, or not as many columns
        OverflowError : more than ids_max keys;  MemoryError. After these two the index holds the keys before
        the one that failed, and can be used on.
        """
        return self.resolve(keys, hashes, True)

    def find(self, keys, const uint64_t[::1] hashes=None):
        """The id of each key row, -1 where the key has none. Arguments and errors as for intern."""
        return self.resolve(keys, hashes, False)

    cdef object resolve(self, object keys, const uint64_t[::1] hashes, bint insert):
        what = "GroupIndex.intern" if insert else "GroupIndex.find"
        columns = tuple(keys)
        cdef int32_t[::1] ids
        cdef fc_status status
        cdef PyThreadState *released
        cdef fc_column *views = key_views(columns, what)
        cdef int64_t n = views[0].length
        cdef const uint64_t *given = NULL
        try:
            if len(columns) != len(self.kinds):
                raise ValueError(f"{what}: {len(columns)} key columns, the index has {len(self.kinds)}")
            for c in range(len(columns)):
                if columns[c].kind != self.kinds[c]:
                    raise TypeError(f"{what}: key column {c} holds {KIND_NAMES[columns[c].kind]}, "
                                    f"the index holds {KIND_NAMES[self.kinds[c]]}")
            if hashes is not None and hashes.shape[0] != n:
                raise ValueError(f"{what}: {hashes.shape[0]} hashes for {n} key rows")
            result = np.empty(n, np.int32)
            if n == 0:
                return result
            ids = result
            if hashes is not None:
                given = &hashes[0]
            self.enter()
            released = release_gil(n)
            if insert:
                status = fc_group_intern(&self.group, views, given, n, &ids[0])
            else:
                status = fc_group_find(&self.group, views, given, n, &ids[0])
            take_gil(released)
            self.busy = False
        finally:
            free(views)
        check(status, f"{what}: {self.group.live_count} keys are live, ids_max is {self.group.ids_max}")
        return result

    cdef int check_ids(self, const int32_t[::1] ids, str what) except -1:
        """Enter, and leave again with a ValueError when an id has no key."""
        cdef int64_t n = ids.shape[0], i
        cdef fc_status status = FC_OK
        cdef PyThreadState *released
        self.enter()
        if n:
            released = release_gil(n)
            status = fc_group_check(&self.group, &ids[0], n)
            take_gil(released)
        if status != FC_OK:
            self.busy = False
            for i in range(n):
                if fc_group_check(&self.group, &ids[i], 1) != FC_OK:
                    raise ValueError(f"{what}: id {ids[i]} at position {i} has no key (ids are below "
                                     f"{self.group.id_bound}; a released id is none)")
        return 0

    def release(self, const int32_t[::1] ids):
        """Take the keys of `ids` out; the ids will be given to new keys. Clear what is stored by id before.

        ids : int32[m], live, none twice
        ValueError : an id has no key or stands twice; then nothing is released
        """
        cdef int64_t n = ids.shape[0]
        cdef fc_status status = FC_OK
        self.check_ids(ids, "GroupIndex.release")
        if n:
            with nogil:
                status = fc_group_release(&self.group, &ids[0], n)
        self.busy = False
        check(status, "GroupIndex.release: an id stands twice")

    def clear(self):
        """Take all keys out; ids start from 0 again. The room stays."""
        self.enter()
        with nogil:
            fc_group_clear(&self.group)
        self.busy = False

    def live_ids(self, int64_t first=0, end=None):
        """The ids in [first, end) that have a key, ascending: int32[m]. Without arguments, all of them."""
        cdef int64_t lower = max(first, 0)
        cdef int64_t upper = self.group.id_bound if end is None else min(<int64_t>end, self.group.id_bound)
        cdef int64_t count = 0
        result = np.empty(max(0, min(upper - lower, self.group.live_count)), np.int32)
        cdef int32_t[::1] ids = result
        self.enter()
        if len(result):
            with nogil:
                count = fc_group_live_ids(&self.group, lower, upper, &ids[0])
        self.busy = False
        return result[:count]

    def hashes(self, const int32_t[::1] ids):
        """The hash of the key of each id, as hash_columns gives it: uint64[m].

        ValueError : an id has no key
        """
        cdef int64_t n = ids.shape[0]
        result = np.empty(n, np.uint64)
        cdef uint64_t[::1] hashes = result
        self.check_ids(ids, "GroupIndex.hashes")
        if n:
            with nogil:
                fc_group_hashes(&self.group, &ids[0], n, &hashes[0])
        self.busy = False
        return result

    def key_columns(self, const int32_t[::1] ids, types):
        """The keys of `ids`, one Column per key column.

        ids : int32[m], live;  types : the logical pyarrow type of each key column, of its kind
        ValueError : an id has no key, or not one type per column;  TypeError : a type of another kind
        OverflowError : strings of more than 2^31 - 1 bytes in one column; ask for fewer ids
        """
        types = tuple(types)
        if len(types) != len(self.kinds):
            raise ValueError(f"GroupIndex.key_columns: {len(types)} types for {len(self.kinds)} key columns")
        for c, type in enumerate(types):
            if physical_kind(type) != self.kinds[c]:
                raise TypeError(f"GroupIndex.key_columns: key column {c} holds {KIND_NAMES[self.kinds[c]]}, "
                                f"which cannot be read as {type}")
        self.check_ids(ids, "GroupIndex.key_columns")
        try:
            return [self.key_column(c, ids, type) for c, type in enumerate(types)]
        finally:
            self.busy = False

    cdef object key_column(self, int column, const int32_t[::1] ids, object type):
        cdef int64_t n = ids.shape[0], valid_count = 0
        cdef fc_status status = FC_OK
        cdef uint8_t[::1] validity, bits, data
        cdef uint64_t[::1] words
        cdef int32_t[::1] offsets
        cdef const int32_t *first_offset = NULL
        cdef const void *values
        cdef int kind = self.kinds[column]
        valid_array = np.zeros((n + 7) // 8 + 1, np.uint8)      # + 1: an address even when there are no rows
        validity = valid_array
        offset_array = None
        if n:
            with nogil:
                valid_count = fc_group_key_validity(&self.group, column, &ids[0], n, &validity[0])
        if kind == BYTES:
            offset_array = np.zeros(n + 1, np.int32)
            offsets = offset_array
            first_offset = &offsets[0]
            if n:
                with nogil:
                    status = fc_group_key_offsets(&self.group, column, &ids[0], n, &offsets[0])
            check(status, f"GroupIndex.key_columns: key column {column} of {n} ids")
            value_array = np.empty(int(offsets[n]) + 1, np.uint8)
            data = value_array
            values = &data[0]
            if n:
                with nogil:
                    fc_group_key_bytes(&self.group, column, &ids[0], n, &offsets[0], &data[0])
        elif kind == BOOL:
            value_array = np.zeros((n + 7) // 8 + 1, np.uint8)
            bits = value_array
            values = &bits[0]
            if n:
                with nogil:
                    fc_group_key_bits(&self.group, column, &ids[0], n, &bits[0])
        else:
            value_array = np.empty(n + 1, np.uint64)
            words = value_array
            values = &words[0]
            if n:
                with nogil:
                    fc_group_key_words(&self.group, column, &ids[0], n, &words[0])
        return column_of(kind, n, values, first_offset, NULL if valid_count == n else &validity[0],
                         n - valid_count, (value_array, offset_array, valid_array), normal_type(type))

    # -- snapshots ---------------------------------------------------------------------------------------------

    @property
    def row_count(self):
        return self.group.live_count

    @property
    def state_bytes(self):
        """About what a snapshot of everything takes."""
        return self.group.live_count * self.group.slot_words * 8 + self.group.arena_used - self.group.arena_garbage

    def describe(self):
        """{"kinds": the kind of each key column by name, "ids_max": int}"""
        return {"kinds": [DESCRIBED_KINDS[kind - 1] for kind in self.kinds], "ids_max": self.group.ids_max}

    @classmethod
    def of_description(cls, description):
        """An empty index as the one described. ValueError: it describes none."""
        try:
            kinds = [DESCRIBED_KINDS.index(kind) + 1 for kind in description["kinds"]]
            return cls(kinds, description["ids_max"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"not the description of a GroupIndex: {description!r}: {error!r}") from None

    def freeze(self, int64_t since, int64_t epoch):
        """What changed in the epochs (since, epoch], everything for since = 0. -> FrozenGroups

        Takes the time to copy one bit per id. ValueError: since is not below epoch, or epoch not above the last one
        """
        cdef FrozenGroups frozen = FrozenGroups.__new__(FrozenGroups)
        cdef fc_status status
        self.enter()
        status = fc_group_freeze(&self.group, since, epoch, &frozen.frozen)
        self.busy = False
        if status != FC_OK:
            check(status, f"GroupIndex.freeze: changes of the epochs ({since}, {epoch}], the last epoch was "
                          f"{self.group.epoch}")
        frozen.index = self
        frozen.what = "frozen group ids"
        frozen.is_pending = True
        return frozen

    def forget(self, int64_t epoch):
        """No later freeze will have a `since` below `epoch`, but 0."""
        self.enter()
        fc_group_forget(&self.group, epoch)
        self.busy = False

    def load(self, const uint8_t[::1] payload):
        """Apply one block of a snapshot; those of older snapshots come first. The index was empty before the first.

        ValueError : no block of such an index; nothing has changed then
        """
        cdef const char *reason = NULL
        cdef fc_status status
        if not self.loading:
            self.enter()
            self.busy = False
            if self.group.id_bound or self.group.epoch:
                raise RuntimeError("GroupIndex.load: the index is in use; load into a new one")
            self.loading = True
        with nogil:
            status = fc_group_load(&self.group, &payload[0], payload.shape[0], &reason)
        if reason != NULL:
            raise ValueError(f"GroupIndex.load: {payload.shape[0]} bytes are no block of group ids and keys: "
                             f"{reason.decode()}")
        check(status, "GroupIndex.load")

    def loaded(self, int64_t epoch):
        """All blocks of the epochs up to `epoch` are in: keys can be found again.

        ValueError : two ids have one key; the index is of no use then
        """
        cdef const char *reason = NULL
        cdef fc_status status
        if not self.loading:
            self.enter()
            self.busy = False
        self.loading = True
        with nogil:
            status = fc_group_loaded(&self.group, epoch, &reason)
        if reason != NULL:
            raise ValueError(f"GroupIndex.loaded: {reason.decode()}")
        check(status, f"GroupIndex.loaded: epoch {epoch}, the last one was {self.group.epoch}")
        self.loading = False


cdef class FrozenGroups(Frozen):
    """Group ids and keys as they were when an epoch ended. Made by GroupIndex.freeze, and kept by the index until it
    is released."""

    cdef fc_status plan(self, int64_t *size) noexcept nogil:
        return fc_group_frozen_plan(self.frozen, size)

    cdef void write(self, uint8_t *data) noexcept nogil:
        fc_group_frozen_write(self.frozen, data)

    cdef int give_back(self) except -1:
        self.index.enter()
        fc_group_frozen_release(&self.index.group, self.frozen)
        self.index.busy = False
        return 0


def fail_allocation(int64_t nth):
    """For tests: the nth allocation of this module's kernels fails, once; 0 for none.

    -> how many allocations were left until the one that was to fail; 0 when it has failed
    """
    return fc_buffer_fail_nth(nth)
