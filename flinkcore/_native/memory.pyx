# SPDX-License-Identifier: Apache-2.0
"""MemoryPool: pages of state in memory up to a budget, and in a file beyond it (csrc/fc_pool.h, csrc/fc_agg_spill.h).

The file is read and written here; csrc does no I/O.
"""

cimport cython
from libc.errno cimport EINTR, EIO, errno
from posix.types cimport off_t
from posix.unistd cimport close, pread, pwrite

from flinkcore import faultpoint
from flinkcore._native.column cimport FC_ERR_IO, FC_OK, fc_status

import os

PAGE_BYTES = FC_POOL_PAGE_BYTES
cdef int64_t WAITING_PARTS = 6     # of the budget: one may be taken by records that wait for their pages


cdef extern from "<sys/mman.h>":
    void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t position) nogil
    int munmap(void *address, size_t bytes) nogil
    int madvise(void *address, size_t bytes, int advice) nogil
    int PROT_READ, PROT_WRITE, MAP_SHARED, MADV_RANDOM
    void *MAP_FAILED


cdef bint fails_now(PageFile *file) noexcept nogil:
    if file.failing > 0:
        file.failing -= 1
        return file.failing == 0
    return False


cdef fc_status transfer(PageFile *file, int64_t slot, uint8_t *page, bint writes) noexcept nogil:
    """One page to or from the file, in however many calls that takes."""
    cdef off_t position = <off_t>slot * FC_POOL_PAGE_BYTES
    cdef int64_t done = 0, asked, moved
    while done < FC_POOL_PAGE_BYTES:
        asked = FC_POOL_PAGE_BYTES - done
        if fails_now(file):
            if file.failing_error != 0:
                file.error = file.failing_error
                return FC_ERR_IO
            asked = (asked + 1) // 2
        if writes:
            moved = pwrite(file.fd, page + done, asked, position + done)
        else:
            moved = pread(file.fd, page + done, asked, position + done)
        if moved > 0:
            done += moved
        elif moved == 0 or errno != EINTR:
            file.error = EIO if moved == 0 else errno
            return FC_ERR_IO
    return FC_OK


cdef bint tell(PageFile *file, str name):
    return (<MemoryPool>file.owner).reached(name)


cdef fc_status page_read(void *context, int64_t slot, uint8_t *page) noexcept nogil:
    return transfer(<PageFile *>context, slot, page, False)


cdef fc_status page_write(void *context, int64_t slot, const uint8_t *page) noexcept nogil:
    cdef PageFile *file = <PageFile *>context
    cdef fc_status status
    cdef bint goes_on = True
    if not file.is_watched:
        return transfer(file, slot, <uint8_t *>page, True)
    with gil:
        goes_on = tell(file, "spill.begun")
    if not goes_on:
        return FC_ERR_IO
    status = transfer(file, slot, <uint8_t *>page, True)
    if status == FC_OK:
        file.has_written = True
        with gil:
            goes_on = tell(file, "spill.written")
    return status if goes_on else FC_ERR_IO


cdef uint8_t *page_map(void *context, int64_t position, int64_t bytes) noexcept nogil:
    cdef PageFile *file = <PageFile *>context
    cdef void *address
    if fails_now(file):
        return NULL
    address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, position)
    if address == MAP_FAILED:
        return NULL
    madvise(address, bytes, MADV_RANDOM)       # advice only
    return <uint8_t *>address


cdef void page_unmap(void *context, uint8_t *address, int64_t bytes) noexcept nogil:
    munmap(address, bytes)


cdef void pages_left(void *context) noexcept nogil:
    cdef PageFile *file = <PageFile *>context
    if file.has_written:
        file.has_written = False
        with gil:
            tell(file, "spill.done")


cdef class MemoryPool:
    """Room for pages of accumulators, shared by the threads of a process.

    fd : of a file that can be read and written, which the pool owns from here on
    budget_bytes : how much of the pages stays in memory; beyond it only what a kernel works on at the moment
    place : where the file is, for errors
    """

    def __cinit__(self, int fd, int64_t budget_bytes, str place):
        cdef fc_pool_file file
        self.place = place
        self.file.fd = fd
        self.file.owner = <void *>self
        self.file.is_watched = faultpoint.hook is not None
        file.context = <void *>&self.file
        file.read = page_read
        file.write = page_write
        file.map = page_map
        file.unmap = page_unmap
        file.trimmed = NULL
        if self.file.is_watched:
            file.trimmed = pages_left
        fc_pool_init(&self.pool, file, budget_bytes // FC_POOL_PAGE_BYTES)

    def __dealloc__(self):
        fc_pool_free(&self.pool)
        close(self.file.fd)

    cdef bint reached(self, str name):
        """Tell a test where this is. False when it raised."""
        try:
            faultpoint.reached(name)
            return True
        except BaseException as error:
            self.raised = error
            return False

    cdef object failure(self, str what):
        """The exception for FC_ERR_IO."""
        from flinkcore.errors import StateSpillError
        if self.raised is not None:
            raised, self.raised = self.raised, None
            return raised
        return StateSpillError(
            f"{what}: state beyond the memory budget of {self.pool.budget_pages * FC_POOL_PAGE_BYTES} bytes does not "
            f"get to or from a file in '{self.place}': {os.strerror(self.file.error)}; make room there, name another folder "
            f"in io.tmp.dirs, or raise taskmanager.memory.managed.size")

    def fail_nth(self, int64_t nth, int error):
        """For tests: the nth read, write or mapping from now on fails, once; 0 for none.

        error : what errno then is; 0 for a call that moves only a half
        -> how many calls were left until the one that was to fail; 0 when it has failed
        """
        left = self.file.failing
        self.file.failing, self.file.failing_error = nth, error
        return left

    @property
    def budget_bytes(self):
        return self.pool.budget_pages * FC_POOL_PAGE_BYTES

    @property
    def resident_bytes(self):
        """Of pages in memory."""
        return self.pool.frames_used * FC_POOL_PAGE_BYTES

    @property
    def spilled_bytes(self):
        """Of pages in the file, those that are in memory as well included."""
        return self.pool.slots_used * FC_POOL_PAGE_BYTES

    @property
    def pages_written(self):
        return self.pool.pages_written

    @property
    def pages_read(self):
        return self.pool.pages_read


@cython.no_gc_clear                # accumulators that are freed still need the pool
cdef class MemoryShare:
    """What one thread has of a pool: its accumulators draw on it. Shares that have accumulators are entitled to equal
    parts of the budget, and take what the others leave."""

    def __cinit__(self, MemoryPool pool not None):
        self.pool = pool
        self.waiting = []
        fc_share_init(&self.share, &pool.pool)

    cdef bint exceeds(self):
        """Whether the records that wait take more than they may."""
        return self.waiting_bytes * WAITING_PARTS * max(1, self.pool.pool.share_count) > self.pool.budget_bytes

    @property
    def resident_bytes(self):
        """Of its pages in memory."""
        return self.share.frames_used * FC_POOL_PAGE_BYTES
