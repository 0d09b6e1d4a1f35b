# SPDX-License-Identifier: Apache-2.0
"""Chains: the rows of one side of a join by id, and the pairs that rows of the other side make (csrc/fc_chain.h)."""

import numpy as np

from libc.stdint cimport int32_t, int64_t

from flinkcore._native.buffer cimport fc_buffer_fail_nth
from flinkcore._native.column cimport fc_status
from flinkcore._native.gil cimport PyThreadState, release_gil, take_gil
from flinkcore._native.status cimport check

PAIRS_MIN = 1024


cdef class Chains:
    """Rows numbered as they come. timed : whether they have times.  Not for concurrent use."""

    def __cinit__(self, bint timed=False):
        self.chain.timed = timed

    def __dealloc__(self):
        fc_chain_free(&self.chain)

    def __len__(self):
        return self.chain.row_count

    def append(self, const int32_t[::1] ids, const int64_t[::1] times_ms=None):
        """Rows of these ids behind those that there are.

        ids : int32[n], >= 0;  times_ms : int64[n], given when the chains are timed
        ValueError : a negative id, or times where there are none to be;  OverflowError : past 2^31 - 2 rows
        MemoryError. No row was added then.
        """
        cdef int64_t n = ids.shape[0]
        cdef fc_status status
        cdef PyThreadState *released
        cdef const int64_t *times = NULL
        if (times_ms is not None) != self.chain.timed or (times_ms is not None and times_ms.shape[0] != n):
            raise ValueError(f"Chains.append: {n} ids; times are for chains that are timed, one for each id")
        if n == 0:
            return
        if times_ms is not None:
            times = &times_ms[0]
        released = release_gil(n)
        status = fc_chain_append(&self.chain, &ids[0], times, n)
        take_gil(released)
        check(status, f"Chains.append: {n} rows behind {self.chain.row_count}; ids are 0 or more")

    def match(self, const int32_t[::1] ids, int64_t first, int64_t end, int64_t pairs_max, const int64_t[::1] times_ms=None,
              int64_t lower_ms=0, int64_t upper_ms=0, int64_t after_ms=0):
        """The pairs of rows [first, end) that ask for the rows of their ids.

        ids : int32[n], -1 for a row that has no partner
        pairs_max : about so many pairs in one answer; a row's own pairs are never parted
        times_ms : int64[n], when only rows in [time + lower_ms, time + upper_ms] and > after_ms count; the chains are
            timed then
        -> (int64[m], rows of ids, ascending; int64[m], rows here; the row to go on from, `end` at last)
        ValueError : rows that there are not, or times for chains without;  MemoryError
        """
        cdef int64_t n = ids.shape[0], count = 0, stop = first
        cdef int64_t capacity
        cdef fc_chain_span span
        cdef const fc_chain_span *given = NULL
        cdef const int32_t *asked = &ids[0] if n else NULL
        cdef int64_t[::1] asker_view, row_view
        cdef PyThreadState *released
        if not 0 <= first <= end <= n or pairs_max < 1:
            raise ValueError(f"Chains.match: rows {first} to {end} of {n}, {pairs_max} pairs")
        if times_ms is not None:
            if not self.chain.timed or times_ms.shape[0] != n:
                raise ValueError("Chains.match: times are for chains that are timed, one for each id")
            if n:
                span = fc_chain_span(&times_ms[0], lower_ms, upper_ms, after_ms)
                given = &span
        # Most joins find about one partner for each row, or none: no more memory than that may need.
        capacity = min(pairs_max, max(<int64_t>PAIRS_MIN, 2 * (end - first)))
        while True:
            askers, rows = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
            asker_view, row_view = askers, rows
            if first < end:
                released = release_gil(end - first)
                count = fc_chain_match(&self.chain, asked, first, end, given, capacity, &asker_view[0], &row_view[0], &stop)
                take_gil(released)
            if stop > first or first == end:
                return askers[:count], rows[:count], stop
            capacity *= 2


def fail_allocation(int64_t nth):
    """For tests: the nth allocation of this module's kernels fails, once; 0 for none.

    -> how many allocations were left until the one that was to fail; 0 when it has failed
    """
    return fc_buffer_fail_nth(nth)
