# SPDX-License-Identifier: Apache-2.0
"""Accumulators: the running state of a list of aggregates, one row per group id (csrc/fc_agg.h).

Meanings are Flink SQL's; see csrc/fc_agg.h for nulls, NaN, ties and overflow.
"""

import numpy as np
import pyarrow as pa

cimport cython
from cpython.ref cimport Py_DECREF, PyObject
from libc.stdint cimport INT64_MAX, uintptr_t
from libc.string cimport memset

from flinkcore._native.buffer cimport fc_buffer_fail_nth
from flinkcore._native.column cimport Column, FC_BOOL, FC_BYTES, FC_ERR_CAPACITY, FC_ERR_IO, FC_F64, FC_I64, FC_OK, column_of
from flinkcore._native.gil cimport PyThreadState, release_gil, take_gil
from flinkcore._native.memory cimport FC_POOL_PAGE_BYTES, MemoryShare, fc_share_reserve
from flinkcore._native.status cimport check

ROUND_F32 = 1      # round a double sum to float32 after each addition, as Flink's SUM(FLOAT) does
RETRACTABLE = 4    # SUM keeps a count, so that it is null again when everything was retracted

OPS = {
    "count": FC_AGG_COUNT, "count_star": FC_AGG_COUNT_STAR, "sum": FC_AGG_SUM, "sum0": FC_AGG_SUM0,
    "min": FC_AGG_MIN, "max": FC_AGG_MAX, "avg": FC_AGG_AVG, "first": FC_AGG_FIRST, "last": FC_AGG_LAST,
    "min_by": FC_AGG_MIN_BY, "max_by": FC_AGG_MAX_BY,
}

cdef dict KIND_NAMES = {1: "I64", 2: "F64", 3: "BOOL", 4: "BYTES", 5: "OBJECT", 6: "ARROW"}
cdef dict RESULT_TYPES = {1: pa.int64(), 2: pa.float64(), 3: pa.bool_(), 4: pa.binary()}


cdef dict KINDS = {name: kind for kind, name in KIND_NAMES.items()}
cdef int64_t BLOCK_BYTES = 1 << 20
cdef int64_t PAGE_BYTES = FC_POOL_PAGE_BYTES


cdef extern from "Python.h":      # on pointers: bytes change their size only while nobody else has them
    PyObject *PyBytes_FromStringAndSize(const char *value, Py_ssize_t size) except NULL
    char *PyBytes_AS_STRING(PyObject *value) nogil
    int _PyBytes_Resize(PyObject **value, Py_ssize_t size) except -1


cdef const int32_t[::1] ids_of(object ids, str what):
    try:
        return ids
    except (TypeError, ValueError):
        came = getattr(ids, "dtype", type(ids).__name__)
        raise TypeError(f"{what}: expected a contiguous int32 array, got {came}") from None


cdef class HeapBuffer:
    """Owns the bytes that a kernel has written for a column."""
    cdef fc_buffer buffer

    def __dealloc__(self):
        fc_buffer_free(&self.buffer)


cdef class Outputs:
    """The memory that results go to, and the columns made of it."""
    cdef fc_agg_output outputs[FC_AGG_FIELDS_MAX]
    cdef list owners
    cdef int32_t count
    cdef int64_t n

    def __cinit__(self):
        memset(self.outputs, 0, sizeof(self.outputs))

    def __dealloc__(self):
        for k in range(FC_AGG_FIELDS_MAX):
            fc_buffer_free(&self.outputs[k].bytes)

    cdef list columns(self):
        cdef list columns = []
        cdef HeapBuffer heap
        cdef int32_t k
        cdef fc_agg_output *output
        cdef void *values
        for k in range(self.count):
            output = &self.outputs[k]
            values = output.values
            owner = self.owners[k]
            if output.kind == FC_BYTES:
                heap = HeapBuffer.__new__(HeapBuffer)
                heap.buffer = output.bytes
                memset(&output.bytes, 0, sizeof(fc_buffer))
                values = heap.buffer.data
                owner = (owner, heap)
            columns.append(column_of(output.kind, self.n, values, output.offsets, output.validity,
                                     output.null_count, owner, RESULT_TYPES[output.kind]))
        return columns


cdef uintptr_t address_of(object array):
    return <uintptr_t>array.ctypes.data


cdef Outputs outputs_of(const fc_agg_layout *layout, int64_t n):
    cdef Outputs outputs = Outputs.__new__(Outputs)
    cdef int32_t k
    cdef fc_kind kind
    outputs.owners = []
    outputs.count = layout.count
    outputs.n = n
    for k in range(layout.count):
        kind = fc_agg_result_kind(layout, k)
        validity = np.zeros((n + 7) // 8, np.uint8)
        outputs.outputs[k].validity = <uint8_t *>address_of(validity)
        if kind == FC_BYTES:
            values = np.empty(n + 1, np.int32)
            outputs.outputs[k].offsets = <int32_t *>address_of(values)
        else:
            values = np.zeros((n + 7) // 8, np.uint8) if kind == FC_BOOL else np.empty(n, np.int64)
            outputs.outputs[k].values = <void *>address_of(values)
        outputs.owners.append((values, validity))
    return outputs


cdef inline PyThreadState *let_go(Accumulators accumulators, int64_t n):
    """release_gil(n); always where the kernel may wait for a page that another thread holds."""
    return release_gil(n if accumulators.share is None else INT64_MAX)


cdef list taken_of(list columns, object rows):
    """The values at `rows` of columns, some of which may be one."""
    cdef dict taken = {}
    for column in columns:
        if id(column) not in taken:
            taken[id(column)] = column.take(rows)
    return [taken[id(column)] for column in columns]


cdef Column presence_of(Column column):
    """What COUNT needs of a column that no kernel reads: which values are there."""
    if column.kind <= FC_BYTES:
        return column
    valid = column.valid_mask()
    if valid is None and column.kind == 5:
        valid = np.fromiter((value is not None for value in column.to_pylist()), bool, len(column))
    return Column.from_numpy(np.zeros(len(column), bool), None, valid)


@cython.no_gc_clear                # what pages are drawn from outlives them
cdef class Accumulators:
    """Rows of accumulators by group id.

    aggregates : per aggregate (op, kind, flags) or, for "min_by" and "max_by", also (op, kind, flags, comparand
                 kind). op is a key of OPS; kind is column.I64, F64, BOOL or BYTES and says what the value is (for
                 *_by the value that is returned; any kind for counts); flags are 0, ROUND_F32, RETRACTABLE. A
                 comparand kind that is not given is the one of the first column that comes.
    At most 63 aggregates, and at most 47 in which each sum without RETRACTABLE, min, max, first and last counts one,
    each min_by and max_by two, the others nothing. ValueError or TypeError for a wrong op, kind, or a sum of something
    else than numbers; OverflowError for too many.

    Results of counts are I64, of the others of their kind; Column.with_type gives them their logical type.
    Ids are int32, 0 or more; memory is taken for the pages (16 KB) that hold an id in use. A MemoryError or
    OverflowError may leave a batch half applied; all other errors come before anything is written.

    A part of state (flinkcore/state/part.py): snapshots are read by another thread, all else is for one thread.
    """

    kind = "accumulators"

    def __cinit__(self, aggregates):
        cdef int32_t k
        memset(&self.agg, 0, sizeof(fc_agg))
        memset(self.specs, 0, sizeof(self.specs))
        self.aggregates = tuple(tuple(aggregate) for aggregate in aggregates)
        if len(self.aggregates) > FC_AGG_FIELDS_MAX:
            raise ValueError(f"Accumulators: at most {FC_AGG_FIELDS_MAX} aggregates, got {len(self.aggregates)}; "
                             "spread them over several")
        for k, aggregate in enumerate(self.aggregates):
            if not 3 <= len(aggregate) <= 4:
                raise ValueError(f"aggregate {k}: expected (op, kind, flags[, comparand kind]), got {aggregate!r}")
            op, kind, flags = aggregate[:3]
            by_kind = aggregate[3] if len(aggregate) == 4 else 0
            is_by = op == "min_by" or op == "max_by"
            if op not in OPS:
                raise ValueError(f"aggregate {k}: unknown op {op!r}, expected one of {', '.join(OPS)}")
            if op == "count" or op == "count_star":
                kind = FC_I64
            if not FC_I64 <= kind <= FC_BYTES or is_by and by_kind and not FC_I64 <= by_kind <= FC_BYTES:
                raise TypeError(f"aggregate {k} ({op}): kinds are I64, F64, BOOL or BYTES, got {aggregate[1:]}")
            if op in ("sum", "sum0", "avg") and kind != FC_I64 and kind != FC_F64:
                raise TypeError(f"aggregate {k} ({op}): expected numbers (I64 or F64), got {KIND_NAMES[kind]}")
            self.specs[k].op = <fc_agg_op>OPS[op]
            self.specs[k].kind = <fc_kind>kind
            self.specs[k].flags = flags
            if is_by:
                self.specs[k].by_kind = <fc_kind>by_kind
                self.open_comparands |= by_kind == 0
        self.relayout()

    def __dealloc__(self):
        if self.share is not None:
            fc_share_reserve(&self.share.share, -self.waiting_frames)
        with nogil:                                # its share may be at work in another thread
            fc_agg_free(&self.agg)

    cdef int checked(self, fc_status status, str what, Accumulators other=None) except -1:
        """check() for kernels that bring pages back and put them out."""
        cdef MemoryShare share = self.share
        if status == FC_ERR_IO:
            if share is None and other is not None:
                share = other.share
            raise share.pool.failure(what)
        return check(status, what)

    def __repr__(self):
        ops = ", ".join(aggregate[0] for aggregate in self.aggregates)
        return f"Accumulators({ops}; {self.agg.row_count} rows)"

    cdef int relayout(self) except -1:
        """Lay the rows out anew: at the start, and when the kind of a comparand becomes known. Its slots are
        all empty then, and every slot keeps its place."""
        cdef fc_agg_spec specs[FC_AGG_FIELDS_MAX]
        cdef fc_agg_layout layout
        cdef int32_t k, count = len(self.aggregates)
        self.open_comparands = False
        for k in range(count):
            specs[k] = self.specs[k]
            if specs[k].op >= FC_AGG_MIN_BY and specs[k].by_kind == 0:
                specs[k].by_kind = FC_I64
                self.open_comparands = True
        check(fc_agg_layout_init(&layout, specs, count), f"Accumulators of {count} aggregates: rows note for "
              f"{FC_AGG_SEEN_BITS_MAX} values whether there was one; spread the aggregates over several")
        if self.agg.layout.row_words == 0:
            fc_agg_init(&self.agg, &layout)
        else:
            self.agg.layout = layout
        return 0

    cdef int learn(self, Accumulators other) except -1:
        """Take over the comparand kinds that `other` knows; TypeError when the aggregates differ."""
        cdef int32_t k
        if self is other:
            return 0
        if len(self.aggregates) != len(other.aggregates):
            raise TypeError(f"{self!r} and {other!r} have different aggregates")
        for k in range(self.agg.layout.count):
            if self.specs[k].by_kind == 0 and self.specs[k].op == other.specs[k].op:
                self.specs[k].by_kind = other.specs[k].by_kind
        if self.open_comparands:
            self.relayout()
        return 0

    cdef object prepare(self, object args, int64_t n, fc_agg_args *out, str what):
        """Point `out` at the views of the columns in `args`; returns what keeps them alive."""
        cdef Column column
        cdef int32_t k
        cdef list keep = [], learned = []
        if len(args) != self.agg.layout.count:
            raise ValueError(f"{what}: expected columns for {self.agg.layout.count} aggregates, got {len(args)}")
        for k in range(self.agg.layout.count):
            op = self.aggregates[k][0]
            columns = args[k]
            expected = 0 if self.specs[k].op == FC_AGG_COUNT_STAR else 2 if self.specs[k].op >= FC_AGG_MIN_BY else 1
            if len(columns) != expected and expected > 0:
                raise ValueError(f"{what}: aggregate {k} ({op}) takes {expected} column(s), got {len(columns)}")
            out[k].value = out[k].by = NULL
            for position in range(expected):
                column = columns[position]
                if len(column) != n:
                    raise ValueError(f"{what}: aggregate {k} ({op}): {len(column)} values for {n} ids")
                if self.specs[k].op == FC_AGG_COUNT:
                    column = presence_of(column)
                elif position == 0 and column.kind != <int>self.specs[k].kind:
                    raise TypeError(f"{what}: aggregate {k} ({op}): expected values of kind "
                                    f"{KIND_NAMES[self.specs[k].kind]}, got {column!r}")
                elif position == 1 and column.kind != <int>self.specs[k].by_kind:
                    if self.specs[k].by_kind != 0 or column.kind > FC_BYTES:
                        kinds = KIND_NAMES.get(self.specs[k].by_kind, "I64, F64, BOOL or BYTES")
                        raise TypeError(f"{what}: aggregate {k} ({op}): expected a comparand of kind {kinds}, "
                                        f"got {column!r}")
                    learned.append(k)
                keep.append(column)
                if position == 0:
                    out[k].value = &column.view
                else:
                    out[k].by = &column.view
        for k in learned:
            self.specs[k].by_kind = out[k].by.kind
        if learned:
            self.relayout()
        return keep

    def draw_on(self, MemoryShare share not None):
        """Take pages from a share of a budget of memory. They leave memory, and come back, as kernels reach for rows;
        those with byte values stay.

        ValueError : there are pages already, or another share
        Every later call may raise StateSpillError, and may leave a batch half applied then.
        """
        check(fc_agg_draw_on(&self.agg, &share.share), f"draw_on: {self!r} has pages already")
        self.share = share
        self.waiting = []

    # With a budget, records whose pages are out wait for others of the same pages, so that the file is gone through in
    # order: 0.6 M records/s instead of 0.1 where the system has memory to keep a tenth of it (zipf keys, state four
    # times the budget). All but update and update_panes settle them first. Records of one row keep their order, so
    # that results are the same to the last bit.

    cdef bint waits(self):
        """Whether records may have to wait."""
        return self.share is not None and self.agg.slot_count > 0 and self.agg.layout.bytes_slot_count == 0

    cdef int put_off(self, object ids, list columns, object rows) except -1:
        """Let some records wait."""
        cdef dict taken = {}
        cdef int64_t frames, bytes
        cdef fc_status status
        cdef Column column
        cdef Accumulators most
        for column in columns:
            if id(column) not in taken:
                kept = column
                if column.kind == FC_BYTES:        # to be counted only
                    kept = Column.from_numpy(np.zeros(len(column), bool), None, column.valid_mask())
                taken[id(column)] = kept.take(rows)
        self.waiting.append((ids[rows], [taken[id(column)] for column in columns]))
        bytes = len(rows) * (4 + 9 * len(taken))
        self.waiting_bytes += bytes
        self.share.waiting_bytes += bytes
        frames = 2 * self.waiting_bytes // FC_POOL_PAGE_BYTES + 1      # when they are sorted they are there twice
        fc_share_reserve(&self.share.share, frames - self.waiting_frames)
        self.waiting_frames = frames
        if self not in self.share.waiting:
            self.share.waiting.append(self)
        while self.share.exceeds():
            most = self
            for other in self.share.waiting:
                if (<Accumulators>other).waiting_bytes > most.waiting_bytes:
                    most = <Accumulators>other
            most.settle()
        with nogil:                                # they count, too
            status = fc_share_trim(&self.share.share)
        return self.checked(status, "update")

    cdef int settle(self) except -1:
        """Add the records that wait."""
        cdef fc_agg_args columns[FC_AGG_FIELDS_MAX]
        cdef const int32_t[::1] rows
        cdef int64_t n, frames
        cdef fc_status status
        if not self.waiting:
            return 0
        parts, self.waiting = self.waiting, []
        self.share.waiting.remove(self)
        self.share.waiting_bytes -= self.waiting_bytes
        self.waiting_bytes = 0
        ids = np.concatenate([part[0] for part in parts])
        order = self.by_page(ids)
        made = {}
        sorted_columns = []
        for k in range(len(parts[0][1])):
            pieces = [part[1][k] for part in parts]
            which = tuple(map(id, pieces))
            if which not in made:
                made[which] = Column.concat(pieces).take(order)
            sorted_columns.append(made[which])
        rows = ids[order]
        n = rows.shape[0]
        parts = pieces = made = order = ids = None
        frames = self.waiting_frames // 2
        fc_share_reserve(&self.share.share, frames - self.waiting_frames)
        self.waiting_frames = frames
        keep = self.prepare(self.nested(sorted_columns), n, columns, "update")
        with nogil:
            status = fc_agg_update(&self.agg, &rows[0], n, columns)
        frames, self.waiting_frames = self.waiting_frames, 0
        fc_share_reserve(&self.share.share, -frames)
        self.checked(status, "update of pages that were out")
        return 0

    cdef list nested(self, list columns):
        """Columns in a row by aggregate, as update() takes them."""
        cdef int32_t k, at = 0, count
        args = []
        for k in range(self.agg.layout.count):
            count = 0 if self.specs[k].op == FC_AGG_COUNT_STAR else 2 if self.specs[k].op >= FC_AGG_MIN_BY else 1
            args.append(tuple(columns[at : at + count]))
            at += count
        return args

    cdef object by_page(self, const int32_t[::1] rows):
        """int64[n], the positions of ids by page, those of one page in their order."""
        pages = np.asarray(rows) >> self.agg.layout.page_shift
        if self.agg.page_bound <= 1 << 16:
            pages = pages.astype(np.uint16)        # which numpy sorts by counting
        return np.argsort(pages, kind="stable")

    def update(self, ids, args):
        """Add n records.

        ids : int32[n], the row of each record
        args : per aggregate a tuple of columns of n values: () for count_star, (value,), for *_by (value, comparand)
        ValueError : a negative id, a wrong length;  TypeError : a wrong kind
        """
        cdef const int32_t[::1] rows = ids_of(ids, "update")
        cdef fc_agg_args columns[FC_AGG_FIELDS_MAX]
        cdef int64_t n = rows.shape[0], out_count
        cdef fc_status status
        cdef int64_t[::1] there, out
        keep = self.prepare(args, n, columns, "update")
        if self.waits():
            there, out = np.empty(n, np.int64), np.empty(n, np.int64)
            with nogil:
                # None comes back behind split_out: newer records would be added before those that wait.
                status = fc_agg_fetch_wanted(&self.agg)
                out_count = fc_agg_split_out(&self.agg, &rows[0], n, &there[0], &out[0])
            self.checked(status, "update")
            if out_count:
                if out_count < n:
                    self.update_there(ids, keep, np.asarray(there[:n - out_count]))
                self.put_off(np.asarray(ids), keep, np.asarray(out[:out_count]))
                return
        cdef PyThreadState *released = let_go(self, n)
        status = fc_agg_update(&self.agg, &rows[0], n, columns)
        take_gil(released)
        self.checked(status, "update: ids are 0 or more")

    cdef int update_there(self, object ids, list columns, object chosen) except -1:
        """Add those records whose pages are in memory, or have to be made."""
        cdef const int32_t[::1] rows = np.asarray(ids)[chosen]
        cdef fc_agg_args args[FC_AGG_FIELDS_MAX]
        cdef int64_t n = rows.shape[0]
        cdef fc_status status
        keep = self.prepare(self.nested(taken_of(columns, chosen)), n, args, "update")
        with nogil:
            status = fc_agg_update(&self.agg, &rows[0], n, args)
        return self.checked(status, "update: ids are 0 or more")

    @staticmethod
    def update_panes(panes, pane_of_row, ids, args):
        """Add n records, record i to row ids[i] of panes[pane_of_row[i]].

        panes : list of Accumulators with the same aggregates
        pane_of_row : int32[n], positions in panes;  ids, args : as for update
        Overflows of sums are counted in panes[0]. Errors as for update.
        """
        cdef const int32_t[::1] rows = ids_of(ids, "update_panes")
        cdef const int32_t[::1] pane_rows = ids_of(pane_of_row, "update_panes: pane_of_row")
        cdef fc_agg_args columns[FC_AGG_FIELDS_MAX]
        cdef int64_t n = rows.shape[0]
        cdef int32_t p, count = len(panes)
        cdef Accumulators first, pane
        cdef fc_status status
        cdef uintptr_t[::1] pointers = np.empty(count, np.uintp)
        cdef bint may_wait = False
        if pane_rows.shape[0] != n:
            raise ValueError(f"update_panes: {pane_rows.shape[0]} pane numbers for {n} ids")
        if count == 0:
            if n:
                raise ValueError(f"update_panes: {n} rows but no panes")
            return
        held = tuple(panes)
        first = held[0]
        for p in range(1, count):
            first.learn(held[p])
        keep = first.prepare(args, n, columns, "update_panes")
        for p in range(count):
            pane = held[p]
            pane.learn(first)
            pointers[p] = <uintptr_t>&pane.agg
        for p in range(count):
            pane = held[p]
            may_wait = may_wait or pane.waits()
        if may_wait and n:
            # Those that may not wait are never out.
            for p in range(count):
                if not (0 <= np.min(pane_rows) and np.max(pane_rows) < count):
                    break
                mine = np.flatnonzero(np.equal(pane_rows, p)) if count > 1 else np.arange(n)
                if len(mine):
                    pane = held[p]
                    pane.update(np.asarray(ids)[mine], pane.nested(taken_of(keep, mine)))
            else:
                return
        cdef PyThreadState *released = let_go(first, n)
        status = fc_agg_update_panes(<fc_agg *const *>&pointers[0], count, &pane_rows[0], &rows[0], n, columns)
        take_gil(released)
        if status != FC_OK:
            first.checked(status, "update_panes: ids are 0 or more, panes have the same aggregates and are numbered below "
                          f"{count}")

    def update_running(self, ids, args):
        """Add n records one after the other, and say what each changed.

        -> (before, after, was_new): per aggregate the column of its results before and after each record, and
           bool[n], True where the record was the first of its row
        Arguments and errors as for update.
        """
        cdef const int32_t[::1] rows = ids_of(ids, "update_running")
        cdef fc_agg_args columns[FC_AGG_FIELDS_MAX]
        cdef int64_t n = rows.shape[0]
        cdef fc_status status
        self.settle()
        keep = self.prepare(args, n, columns, "update_running")
        cdef Outputs before = outputs_of(&self.agg.layout, n)
        cdef Outputs after = outputs_of(&self.agg.layout, n)
        was_new = np.empty(n, np.bool_)
        cdef uint8_t *new_rows = <uint8_t *>address_of(was_new)
        cdef PyThreadState *released = let_go(self, n)
        status = fc_agg_update_running(&self.agg, &rows[0], n, columns, before.outputs, after.outputs, new_rows)
        take_gil(released)
        self.checked(status, "update_running: ids are 0 or more, results of a batch hold at most 2^31 bytes")
        return before.columns(), after.columns(), was_new

    def retract(self, ids, args):
        """Take n records back. Rows stay in use, empty or not.

        Arguments and errors as for update; UnsupportedOperationError unless every aggregate is count,
        count_star, sum0, avg, or sum with the flag RETRACTABLE.
        """
        cdef const int32_t[::1] rows = ids_of(ids, "retract")
        cdef fc_agg_args columns[FC_AGG_FIELDS_MAX]
        cdef int64_t n = rows.shape[0]
        cdef fc_status status
        self.settle()
        keep = self.prepare(args, n, columns, "retract")
        with nogil:
            status = fc_agg_retract(&self.agg, &rows[0], n, columns)
        if status != FC_OK:
            self.checked(status, f"retract from {self!r}: ids are 0 or more; min, max, first, last, min_by, max_by and a sum "
                          "without RETRACTABLE cannot take records back")

    def merge(self, Accumulators other not None, ids_self, ids_other):
        """Merge row ids_other[i] of `other` into row ids_self[i], one pair after the other.

        other : Accumulators of the same aggregates, may be self; its rows stay as they are
        ids_self, ids_other : int32[m]
        What self held counts as the earlier half: first, and ties of *_by, are its; last is the other's. A row
        that is not in use changes nothing. TypeError for other aggregates; ValueError as for update.
        """
        cdef const int32_t[::1] into = ids_of(ids_self, "merge: ids_self")
        cdef const int32_t[::1] source = ids_of(ids_other, "merge: ids_other")
        cdef int64_t n = into.shape[0]
        cdef fc_status status
        if source.shape[0] != n:
            raise ValueError(f"merge: {n} rows of self but {source.shape[0]} of the other")
        self.learn(other)
        other.learn(self)
        self.settle()
        other.settle()
        with nogil:
            status = fc_agg_merge(&self.agg, &other.agg, &into[0], &source[0], n)
        if status != FC_OK:
            self.checked(status, f"merge {other!r} into {self!r}: ids are 0 or more, the aggregates are the same", other)

    def merge_all(self, Accumulators other not None):
        """Merge every row of `other` into the row of the same id, as merge does. ValueError for self."""
        cdef fc_status status
        self.learn(other)
        other.learn(self)
        self.settle()
        other.settle()
        with nogil:
            status = fc_agg_merge_all(&self.agg, &other.agg)
        if status != FC_OK:
            self.checked(status, f"merge_all {other!r} into {self!r}: the aggregates are the same, the accumulators are not", other)

    def results(self, ids):
        """The results of rows, one column per aggregate.

        ids : int32[m]; an id that is not in use gives the results of nothing (counts 0, the others null)
        ValueError : a negative id;  OverflowError : more than 2^31 bytes of strings
        """
        cdef const int32_t[::1] rows = ids_of(ids, "results")
        cdef int64_t n = rows.shape[0]
        cdef fc_status status
        cdef Outputs outputs = outputs_of(&self.agg.layout, n)
        self.settle()
        cdef PyThreadState *released = let_go(self, n)
        status = fc_agg_results(&self.agg, &rows[0], n, outputs.outputs)
        take_gil(released)
        self.checked(status, "results: ids are 0 or more, a result holds at most 2^31 bytes")
        return outputs.columns()

    def used_ids(self):
        """int32[row_count], the ids in use, ascending."""
        self.settle()
        ids = np.empty(self.agg.row_count, np.int32)
        cdef int32_t *out = <int32_t *>address_of(ids)
        cdef fc_status status
        with nogil:
            status = fc_agg_used_ids(&self.agg, out)
        self.checked(status, "used_ids")
        return ids

    def clear(self, ids):
        """Empty rows; int32[m], ids that are not in use are passed over. ValueError for a negative id."""
        cdef const int32_t[::1] rows = ids_of(ids, "clear")
        cdef int64_t n = rows.shape[0]
        cdef fc_status status
        self.settle()
        with nogil:
            status = fc_agg_clear(&self.agg, &rows[0], n)
        self.checked(status, "clear: ids are 0 or more")

    def clear_all(self):
        """Empty all rows. Memory is kept for the next use when at least half of it was in use."""
        cdef fc_status status
        self.settle()
        with nogil:
            status = fc_agg_clear_all(&self.agg)
        self.checked(status, "clear_all")

    @property
    def row_count(self):
        """Rows in use."""
        self.settle()
        return self.agg.row_count

    @property
    def sum_overflows(self):
        """Additions of integers that left int64 since the beginning. They wrapped, as Java's do.

        With a budget without those of records that wait for their pages.
        """
        return self.agg.sum_overflows

    @property
    def memory_bytes(self):
        return fc_agg_memory_bytes(&self.agg)

    @property
    def resident_bytes(self):
        """Of pages in memory, when they are drawn from a share."""
        return self.agg.frame_count * PAGE_BYTES

    @property
    def spilled_bytes(self):
        """Of pages in the file of the share's pool, those that are in memory as well included."""
        return self.agg.slot_count * PAGE_BYTES

    @property
    def state_bytes(self):
        """About what a snapshot of everything takes."""
        return self.agg.row_count * self.agg.layout.row_words * 8 + self.agg.heap.size - self.agg.heap.garbage

    def describe(self):
        """The aggregates, in values of JSON: {"aggregates": [[op, kind, flags, comparand kind or None], ...]}.

        Kinds are names. A comparand's is the one that was given or learned, None before that.
        """
        cdef int32_t k
        aggregates = []
        for k in range(self.agg.layout.count):
            aggregates.append([self.aggregates[k][0], KIND_NAMES[self.specs[k].kind], self.specs[k].flags,
                               KIND_NAMES.get(self.specs[k].by_kind)])
        return {"aggregates": aggregates}

    @classmethod
    def of_description(cls, description):
        """Empty accumulators as described. ValueError for what describe() does not give."""
        try:
            (aggregates,) = [description[name] for name in description if name == "aggregates"]
            described = [(op, KINDS[kind], flags) if by is None else (op, KINDS[kind], flags, KINDS[by])
                         for op, kind, flags, by in aggregates]
            return cls(described)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"no description of accumulators: {description!r} ({error})") from error

    def adopt(self, description):
        """Take over the comparand kinds of described accumulators, whose blocks are to be loaded.

        ValueError : the description is none, or is of other aggregates
        """
        cdef Accumulators other = Accumulators.of_description(description)
        if len(self.aggregates) == len(other.aggregates):
            self.learn(other)
            other.learn(self)
            if fc_agg_same_layout(&self.agg.layout, &other.agg.layout):
                return
        raise ValueError(f"state of {other!r} does not fit {self!r}; described: {description!r}, "
                         f"expected: {self.describe()!r}")

    def freeze(self, int64_t since, int64_t epoch):
        """What changed in the epochs (since, epoch], as FrozenAccumulators; later changes belong to epoch + 1.

        since : 0 for everything. When what changed since then is not known, because all rows were emptied or loaded
                later, it is everything too, and loading it empties the rows first.
        ValueError : unless 0 <= since < epoch, and epoch has not ended before
        """
        cdef FrozenAccumulators frozen = FrozenAccumulators.__new__(FrozenAccumulators)
        cdef fc_status status
        frozen.accumulators = self
        self.settle()
        with nogil:
            status = fc_agg_freeze(&self.agg, since, epoch, &frozen.frozen)
        if status != FC_OK:
            check(status, f"freeze of {self!r} since {since} at the end of epoch {epoch}: epochs only grow")
        return frozen

    def load(self, payload):
        """Apply one block of a snapshot; those of older snapshots come first.

        ValueError : the bytes are no block of such accumulators, which may then hold a part of it
        """
        cdef const uint8_t[::1] block = payload
        cdef const char *fault = NULL
        cdef fc_status status
        self.settle()
        with nogil:
            status = fc_agg_load(&self.agg, &block[0], block.shape[0], &fault)
        if fault != NULL:
            raise ValueError(f"a block of {block.shape[0]} bytes does not load into {self!r}: {fault.decode()}")
        self.checked(status, f"load a block into {self!r}")

    def loaded(self, int64_t epoch):
        """What is there is what was there at the end of `epoch`. ValueError when that ended before."""
        check(fc_agg_loaded(&self.agg, epoch), f"{self!r}: loaded up to epoch {epoch}")

    def forget(self, int64_t epoch):
        """Nothing: rows say themselves when they changed."""


@cython.no_gc_clear
cdef class FrozenAccumulators:
    """Accumulators as they were when an epoch ended (flinkcore/state/part.py)."""

    def __dealloc__(self):
        if self.frozen != NULL:
            fc_agg_frozen_abandon(self.frozen)     # whatever thread this is

    cdef bytes next_block(self):
        """The next block, empty after the last."""
        cdef int64_t room = BLOCK_BYTES, size = 0
        cdef fc_status status
        cdef PyObject *block
        while True:
            if self.frozen == NULL:
                raise ValueError("blocks: what was frozen has been released")
            block = PyBytes_FromStringAndSize(NULL, room)
            self.is_writing = True
            with nogil:
                status = fc_agg_frozen_write(self.frozen, <uint8_t *>PyBytes_AS_STRING(block), room, &size)
            self.is_writing = False
            if self.is_released:                   # meanwhile
                fc_agg_frozen_abandon(self.frozen)
                self.frozen = NULL
            if status == FC_OK:
                _PyBytes_Resize(&block, size)
            result = <bytes>block
            Py_DECREF(result)
            if status != FC_ERR_CAPACITY:
                self.accumulators.checked(status, "blocks")
                return result
            room = size                            # what the next row takes, which is more than other blocks

    def blocks(self):
        """The snapshot in blocks of 1 MB, or of one row if that is more. Called once, by any thread."""
        while block := self.next_block():
            yield block

    def release(self):
        """Nothing is needed any more. Called by the thread that uses the accumulators."""
        self.is_released = True
        if self.frozen != NULL and not self.is_writing:
            fc_agg_release(&self.accumulators.agg, self.frozen)
            self.frozen = NULL


def fail_allocation(int64_t nth):
    """For tests: the nth allocation of this module's kernels fails, once; 0 for none.

    -> how many allocations were left until the one that was to fail; 0 when it has failed
    """
    return fc_buffer_fail_nth(nth)
