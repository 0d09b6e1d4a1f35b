# SPDX-License-Identifier: Apache-2.0
"""Windows in event time: pane starts, the panes of a batch, sliding expansion (csrc/fc_window.h), and sessions
(csrc/fc_session.h).

All times are int64 milliseconds. Windows are half-open; one is complete when the watermark reaches end - 1.
"""

import numpy as np

from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy

from flinkcore._native.buffer cimport fc_buffer_fail_nth
from flinkcore._native.column cimport FC_OK
from flinkcore._native.gil cimport PyThreadState, release_gil, take_gil
from flinkcore._native.status cimport check

MIN_TIMESTAMP = -2**63


cdef object int32_array(const fc_buffer *buffer, int64_t n):
    array = np.empty(n, np.int32)
    cdef int32_t[::1] view = array
    if n:
        memcpy(&view[0], buffer.data, n * sizeof(int32_t))
    return array


cdef const int32_t[::1] int32_of(object values, str what):
    try:
        return values
    except (TypeError, ValueError):
        came = getattr(values, "dtype", type(values).__name__)
        raise TypeError(f"{what}: expected a contiguous int32 array, got {came}") from None


cdef const int64_t[::1] int64_of(object values, str what):
    try:
        return values
    except (TypeError, ValueError):
        came = getattr(values, "dtype", type(values).__name__)
        raise TypeError(f"{what}: expected a contiguous int64 array, got {came}") from None


cdef object int64_array(const fc_buffer *buffer, int64_t n):
    array = np.empty(n, np.int64)
    cdef int64_t[::1] view = array
    if n:
        memcpy(&view[0], buffer.data, n * sizeof(int64_t))
    return array


cdef int check_panes(fc_status status, str what, int64_t size_ms) except -1:
    if status != FC_OK:
        check(status, f"{what}: size is {size_ms} ms, expected more than 0 and timestamps further than that "
                      "from the limits of int64 (-2^63 is a record without a timestamp: assign timestamps before "
                      "the window)")
    return 0


def least_and_greatest(values):
    """(int, int): the bounds of int64[n], n > 0. ValueError: there are none"""
    cdef const int64_t[::1] rows = int64_of(values, "least_and_greatest")
    cdef int64_t n = rows.shape[0], least, greatest
    if n == 0:
        raise ValueError("least_and_greatest: no values")
    cdef PyThreadState *released = release_gil(n)
    fc_time_bounds(&rows[0], n, &least, &greatest)
    take_gil(released)
    return least, greatest


def pane_starts(ts_ms, int64_t size_ms, int64_t offset_ms=0):
    """Start of the tumbling pane that holds each timestamp.

    ts_ms : int64[n], event time in milliseconds since the epoch, may be negative
    size_ms : pane length, > 0;  offset_ms : shift of the grid from the epoch
    -> int64[n], a new array with starts[i] <= ts_ms[i] < starts[i] + size_ms
    ValueError : size_ms <= 0, or a timestamp within size_ms of the limits of int64
    Source: Flink, TimeWindow.getWindowStartWithOffset
    """
    cdef const int64_t[::1] times = int64_of(ts_ms, "pane_starts")
    cdef int64_t n = times.shape[0]
    result = np.empty(n, np.int64)
    cdef int64_t[::1] starts = result
    cdef fc_status status
    with nogil:
        status = fc_pane_starts_checked(&times[0], n, size_ms, offset_ms, &starts[0])
    check_panes(status, "pane_starts", size_ms)
    return result


def pane_index(starts):
    """The distinct panes of a batch, and the pane of each row.

    starts : int64[n], as pane_starts gives them
    -> (panes int64[p] ascending, pane_of_row int32[n]) with panes[pane_of_row[i]] == starts[i]
    """
    cdef const int64_t[::1] rows = int64_of(starts, "pane_index")
    cdef int64_t count = 0, n = rows.shape[0]
    pane_of_row = np.empty(n, np.int32)
    cdef int32_t[::1] numbers = pane_of_row
    cdef fc_buffer found
    found = fc_buffer(data=NULL, bytes=0, block=NULL)
    cdef fc_status status
    with nogil:
        status = fc_pane_index(&rows[0], n, &numbers[0], &found, &count)
    try:
        if status != FC_OK:
            check(status, f"pane_index of {n} rows")
        return int64_array(&found, count), pane_of_row
    finally:
        fc_buffer_free(&found)


def panes_of(ts_ms, int64_t size_ms, int64_t offset_ms=0):
    """pane_index(pane_starts(ts_ms, size_ms, offset_ms)), in one, and several times as fast where a batch spans few panes.

    -> (panes int64[p] ascending, pane_of_row int32[n]);  arguments and errors as for pane_starts
    """
    cdef const int64_t[::1] times = int64_of(ts_ms, "panes_of")
    cdef int64_t count = 0, n = times.shape[0]
    pane_of_row = np.empty(n, np.int32)
    cdef int32_t[::1] numbers = pane_of_row
    cdef fc_buffer found
    found = fc_buffer(data=NULL, bytes=0, block=NULL)
    cdef fc_status status
    cdef PyThreadState *released = release_gil(n)
    status = fc_panes_of(&times[0], n, size_ms, offset_ms, &numbers[0], &found, &count)
    take_gil(released)
    try:
        check_panes(status, "panes_of", size_ms)
        return int64_array(&found, count), pane_of_row
    finally:
        fc_buffer_free(&found)


def sliding_starts(ts_ms, int64_t size_ms, int64_t slide_ms, int64_t offset_ms=0):
    """Every sliding window of every timestamp.

    ts_ms : int64[n];  size_ms, slide_ms : > 0;  offset_ms : shift of the grid of starts from the epoch
    -> (rows int64[m], starts int64[m]): window [starts[j], starts[j] + size_ms) holds ts_ms[rows[j]]; rows
       ascend, the windows of a row from the latest to the earliest. A row may have none when slide > size.
    ValueError : size or slide <= 0, or a timestamp within size_ms + slide_ms of the limits of int64
    Source: Flink, SlidingEventTimeWindows.assignWindows
    """
    cdef const int64_t[::1] times = int64_of(ts_ms, "sliding_starts")
    cdef int64_t n = times.shape[0]
    bounds_array = np.empty(n + 1, np.int64)
    cdef int64_t[::1] bounds = bounds_array, starts
    cdef fc_status status
    with nogil:
        status = fc_sliding_bounds(&times[0], n, size_ms, slide_ms, offset_ms, &bounds[0])
    if status != FC_OK:
        check(status, f"sliding_starts: size is {size_ms} ms and slide {slide_ms} ms, expected more than 0, timestamps "
                      "further than their sum from the limits of int64, and at most 2^40 windows")
    result = np.empty(bounds[n], np.int64)
    starts = result
    with nogil:
        fc_sliding_starts(&times[0], n, slide_ms, offset_ms, &bounds[0], &starts[0])
    return np.repeat(np.arange(n), np.diff(bounds_array)), result


cdef class SessionIndex:
    """The sessions of every group, merged as Flink merges them.

    Each live session has a slot: an int32 that accumulators use as their row. Slots of released sessions are
    given out again. One thread at a time; a second one gets a RuntimeError.

    A StatePart (flinkcore.state.part). An index that was loaded has the same sessions in the same slots; free slots
    are given from the lowest on, which may be another order than before.
    """

    kind = "sessions"

    def __cinit__(self):
        fc_session_init(&self.index)

    def __dealloc__(self):
        fc_session_free(&self.index)

    def __repr__(self):
        return f"SessionIndex({self.index.live_count} live)"

    cdef int enter(self) except -1:
        # Called and reset under the GIL, around calls that leave it.
        if self.loading:
            raise RuntimeError("this SessionIndex is being loaded; call loaded() after the last block, and make a new "
                               "one when it failed")
        if self.busy:
            raise RuntimeError("a SessionIndex is used by two threads at once; give each subtask its own")
        self.busy = True
        return 0

    def assign(self, ids, ts_ms, gap_ms, int64_t watermark_ms=MIN_TIMESTAMP, int64_t allowed_lateness_ms=0,
               bint ends_at_merge=False):
        """Put n records, in order, into the sessions of their groups.

        ids : int32[n], group ids;  ts_ms : int64[n]
        gap_ms : int or int64[n], > 0: a record's own window is [ts_ms, ts_ms + gap_ms)
        watermark_ms, allowed_lateness_ms : a record is late when its window, merged with the sessions that it
            intersects or touches, has end - 1 + allowed_lateness_ms <= watermark_ms; it then changes nothing
        ends_at_merge : the call ends before a record, but the first one, that would merge sessions; then `sessions` is
            shorter, and the rest of the records is for the next call. For aggregates that have to be merged after the
            records that came before
        -> (sessions, into, merged): int32[n], the slot of each record's session at the end of the call, -1 for
           late ones; and int32[k] twice, the merges in order: slot merged[j] went into slot into[j]

        The caller then calls accumulators.merge(accumulators, into, merged) and accumulators.clear(merged),
        updates, and before the next call releases what purgeable() gives. The merged slots are free and may be
        given out by the next call. The oldest of merged sessions keeps its slot. A session that got a record
        is not fired any more.
        ValueError : gap <= 0, an id or the lateness negative, ts + gap outside int64; nothing has changed then
        Source: Flink, MergingWindowSet.addWindow, WindowOperator.isWindowLate
        """
        cdef const int32_t[::1] groups = int32_of(ids, "assign: ids")
        cdef const int64_t[::1] times = int64_of(ts_ms, "assign: ts_ms")
        cdef const int64_t[::1] gaps = None
        cdef const int64_t *gap_rows = NULL
        cdef int64_t gap = 0, n = groups.shape[0]
        if times.shape[0] != n:
            raise ValueError(f"assign: {times.shape[0]} timestamps for {n} ids")
        if isinstance(gap_ms, np.ndarray) and gap_ms.ndim:
            gaps = int64_of(gap_ms, "assign: gap_ms")
            if gaps.shape[0] != n:
                raise ValueError(f"assign: {gaps.shape[0]} gaps for {n} ids")
            gap_rows = &gaps[0]
        else:
            gap = gap_ms
        result = np.empty(n, np.int32)
        cdef int32_t[::1] sessions = result
        cdef int64_t taken = n
        cdef fc_status status
        self.enter()
        with nogil:
            status = fc_session_assign(&self.index, &groups[0], &times[0], n, gap_rows, gap, watermark_ms,
                                       allowed_lateness_ms, &sessions[0], &taken if ends_at_merge else NULL)
        self.busy = False
        check(status, "assign: session gaps are more than 0 ms, ids and the lateness 0 or more, timestamps not within "
                      "a gap of 2^63")
        pairs = int32_array(&self.index.merges, 2 * self.index.merge_count).reshape(-1, 2)
        return result[:taken], np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])

    def expired(self, int64_t watermark_ms):
        """Slots of the sessions that are complete (end - 1 <= watermark_ms) and not fired.

        -> int32[k], by end, then start, then slot. O(1) when the watermark completes nothing.
        """
        return self.until(watermark_ms, -1)

    def purgeable(self, int64_t watermark_ms, int64_t allowed_lateness_ms=0):
        """Slots of the sessions that no record can reach any more, fired or not
        (end - 1 + allowed_lateness_ms <= watermark_ms), int32[k] in the order of expired. ValueError for a
        negative lateness. Source: Flink, WindowOperator.cleanupTime"""
        if allowed_lateness_ms < 0:
            raise ValueError(f"purgeable: the allowed lateness is {allowed_lateness_ms} ms, expected 0 or more")
        return self.until(watermark_ms, allowed_lateness_ms)

    cdef object until(self, int64_t watermark_ms, int64_t lateness_ms):
        cdef fc_buffer slots
        slots = fc_buffer(data=NULL, bytes=0, block=NULL)
        cdef int64_t count = 0
        cdef fc_status status
        self.enter()
        with nogil:
            if lateness_ms < 0:
                status = fc_session_expired(&self.index, watermark_ms, &slots, &count)
            else:
                status = fc_session_purgeable(&self.index, watermark_ms, lateness_ms, &slots, &count)
        self.busy = False
        try:
            if status != FC_OK:
                check(status, f"the sessions done at watermark {watermark_ms}")
            return int32_array(&slots, count)
        finally:
            fc_buffer_free(&slots)

    def starts(self, slots):
        """int64[m], the first millisecond of each session. ValueError for a slot without a live session."""
        return self.get(slots, 0)

    def ends(self, slots):
        """int64[m], the millisecond after each session's last: last timestamp + gap. ValueError as for starts."""
        return self.get(slots, 1)

    def group_ids(self, slots):
        """int32[m], the group of each session. ValueError as for starts."""
        return self.get(slots, 2)

    cdef object get(self, object slots, int what):
        cdef const int32_t[::1] rows = int32_of(slots, "sessions")
        cdef int64_t n = rows.shape[0]
        cdef int64_t[::1] times
        cdef int32_t[::1] groups
        cdef int64_t *starts = NULL
        cdef int64_t *ends = NULL
        cdef int32_t *ids = NULL
        result = np.empty(n, np.int32 if what == 2 else np.int64)
        if what == 2:
            groups = result
            ids = &groups[0]
        else:
            times = result
            if what == 0:
                starts = &times[0]
            else:
                ends = &times[0]
        cdef fc_status status
        self.enter()
        with nogil:
            status = fc_session_get(&self.index, &rows[0], n, starts, ends, ids)
        self.busy = False
        if status != FC_OK:
            check(status, f"{self!r}: a slot is not one of a live session")
        return result

    def created(self, slots):
        """int64[m], an order in which the sessions of a group began to be, a merged one with its oldest. ValueError as
        for starts."""
        cdef const int32_t[::1] rows = int32_of(slots, "created")
        cdef int64_t n = rows.shape[0]
        cdef fc_status status
        result = np.empty(n, np.int64)
        cdef int64_t[::1] orders = result
        self.enter()
        with nogil:
            status = fc_session_created(&self.index, &rows[0], n, &orders[0])
        self.busy = False
        if status != FC_OK:
            check(status, f"{self!r}: a slot is not one of a live session")
        return result

    def fired(self, slots):
        """bool[m], whether each session has been marked as fired since its last record. ValueError as for starts."""
        cdef const int32_t[::1] rows = int32_of(slots, "fired")
        cdef int64_t n = rows.shape[0]
        cdef fc_status status
        result = np.empty(n, np.uint8)
        cdef uint8_t[::1] flags = result
        self.enter()
        with nogil:
            status = fc_session_fired(&self.index, &rows[0], n, &flags[0])
        self.busy = False
        if status != FC_OK:
            check(status, f"{self!r}: a slot is not one of a live session")
        return result.view(np.bool_)

    def mark_fired(self, slots):
        """The results of these sessions have been emitted; int32[m]. ValueError as for starts."""
        cdef const int32_t[::1] rows = int32_of(slots, "mark_fired")
        cdef int64_t n = rows.shape[0]
        cdef fc_status status
        self.enter()
        with nogil:
            status = fc_session_mark_fired(&self.index, &rows[0], n)
        self.busy = False
        if status != FC_OK:
            check(status, f"mark_fired in {self!r}: a slot is not one of a live session")

    def release(self, slots):
        """Forget these sessions; int32[m]. Their slots are given out again. ValueError as for starts."""
        cdef const int32_t[::1] rows = int32_of(slots, "release")
        cdef int64_t n = rows.shape[0]
        cdef fc_status status
        self.enter()
        with nogil:
            status = fc_session_release(&self.index, &rows[0], n)
        self.busy = False
        if status != FC_OK:
            check(status, f"release from {self!r}: a slot is not one of a live session")

    def group_has_sessions(self, ids):
        """bool[m], whether each group has a live session. ValueError for a negative id."""
        cdef const int32_t[::1] groups = int32_of(ids, "group_has_sessions")
        cdef int64_t n = groups.shape[0]
        cdef fc_status status
        result = np.empty(n, np.uint8)
        cdef uint8_t[::1] flags = result
        self.enter()
        with nogil:
            status = fc_session_groups(&self.index, &groups[0], n, &flags[0])
        self.busy = False
        check(status, "group_has_sessions: ids are 0 or more")
        return result.view(np.bool_)

    def slots(self):
        """int32[live_count], the slots of all live sessions, ascending."""
        result = np.empty(self.index.live_count, np.int32)
        cdef int32_t[::1] out = result
        self.enter()
        with nogil:
            fc_session_slots(&self.index, &out[0])
        self.busy = False
        return result

    @property
    def live_count(self):
        return self.index.live_count

    @property
    def min_end(self):
        """No session that has not fired ends before this millisecond; None when there is none. A lower bound:
        expired() makes it exact for the pages that it looks at."""
        cdef int64_t end_ms = self.index.least.fire_ms
        return None if self.index.live_count == 0 or end_ms == INT64_MAX else end_ms

    @property
    def memory_bytes(self):
        return fc_session_memory_bytes(&self.index)

    def absorb(self, SessionIndex other not None, group_ids):
        """Take over the sessions of another index, for rescaling.

        group_ids : int32[n], for each group id of the other index the one here, -1 to drop its sessions
        -> int32[m], for each slot of the other index the one here, -1 where it has no session or drops it
        The order of creation within a group and what was fired are kept.
        ValueError : a group that `group_ids` has not, or one here that would get the sessions of two groups or has
            sessions already; nothing has changed then.  MemoryError: this index is of no use any more
        """
        cdef const int32_t[::1] groups = int32_of(group_ids, "absorb")
        cdef int64_t n = groups.shape[0]
        cdef fc_status status
        result = np.empty(other.index.slot_bound, np.int32)
        cdef int32_t[::1] slots = result
        if other is self:
            raise ValueError("absorb: the other index is this one")
        self.enter()
        try:
            other.enter()
            with nogil:
                status = fc_session_absorb(&self.index, &other.index, &groups[0], n, &slots[0])
            other.busy = False
        finally:
            self.busy = False
        check(status, f"absorb: each group of the other index needs one of its own among the {n} group ids, that has no "
                      "sessions yet")
        return result

    # -- snapshots ---------------------------------------------------------------------------------------------

    @property
    def row_count(self):
        return self.index.live_count

    @property
    def state_bytes(self):
        """About what a snapshot of everything takes."""
        return 32 * self.index.live_count + self.index.slot_bound // 8

    def describe(self):
        """{}: gaps and lateness are arguments of each call."""
        return {}

    @classmethod
    def of_description(cls, description):
        """An empty index. ValueError: the description is of something else."""
        if description != {}:
            raise ValueError(f"not the description of a SessionIndex, which is empty: {description!r}")
        return cls()

    def freeze(self, int64_t since, int64_t epoch):
        """What changed in the epochs (since, epoch], everything for since = 0. -> FrozenSessions

        Takes the time to copy 16 bytes per 256 slots. ValueError: since is not below epoch, or epoch not above the
        last one
        """
        cdef FrozenSessions frozen = FrozenSessions.__new__(FrozenSessions)
        cdef fc_status status
        self.enter()
        status = fc_session_freeze(&self.index, since, epoch, &frozen.frozen)
        self.busy = False
        if status != FC_OK:
            check(status, f"SessionIndex.freeze: changes of the epochs ({since}, {epoch}], the last epoch was "
                          f"{self.index.epoch - 1}")
        frozen.index = self
        frozen.what = "frozen sessions"
        frozen.is_pending = True
        return frozen

    def forget(self, int64_t epoch):
        """No later freeze will have a `since` below `epoch`, but 0. There is nothing to forget."""

    def load(self, const uint8_t[::1] payload):
        """Apply one block of a snapshot; those of older snapshots come first. The index was empty before the first.

        ValueError : no block of sessions; nothing has changed then
        """
        cdef const char *reason = NULL
        cdef fc_status status
        if not self.loading:
            self.enter()
            self.busy = False
            if self.index.slot_bound or self.index.epoch > 1:
                raise RuntimeError("SessionIndex.load: the index is in use; load into a new one")
            self.loading = True
        with nogil:
            status = fc_session_load(&self.index, &payload[0], payload.shape[0], &reason)
        if reason != NULL:
            raise ValueError(f"SessionIndex.load: {payload.shape[0]} bytes are no block of sessions: {reason.decode()}")
        check(status, "SessionIndex.load")

    def loaded(self, int64_t epoch, int64_t group_bound=INT64_MAX):
        """All blocks of the epochs up to `epoch` are in.

        group_bound : the group ids of sessions have to be below; who knows it spares the memory for wrong ones
        ValueError : two sessions of a group touch, or a group id is too large; the index is of no use then
        """
        cdef const char *reason = NULL
        cdef fc_status status
        if not self.loading:
            self.enter()
            self.busy = False
        self.loading = True
        with nogil:
            status = fc_session_loaded(&self.index, epoch, group_bound, &reason)
        if reason != NULL:
            raise ValueError(f"SessionIndex.loaded: {reason.decode()}")
        check(status, f"SessionIndex.loaded: epoch {epoch}, the last one was {self.index.epoch - 1}")
        self.loading = False


cdef class FrozenSessions(Frozen):
    """Sessions as they were when an epoch ended. Made by SessionIndex.freeze, and kept by the index until it is
    released."""

    cdef fc_status plan(self, int64_t *size) noexcept nogil:
        return fc_session_frozen_plan(self.frozen, size)

    cdef void write(self, uint8_t *data) noexcept nogil:
        fc_session_frozen_write(self.frozen, data)

    cdef int give_back(self) except -1:
        self.index.enter()
        fc_session_frozen_release(&self.index.index, self.frozen)
        self.index.busy = False
        return 0


def fail_allocation(int64_t nth):
    """For tests: the nth allocation of this module's kernels fails, once; 0 for none.

    -> how many allocations were left until the one that was to fail; 0 when it has failed
    """
    return fc_buffer_fail_nth(nth)
