# SPDX-License-Identifier: Apache-2.0
"""What an index gives when it is frozen, as flinkcore/state/part.py asks for it."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t

from flinkcore._native.column cimport FC_ERR_INVALID, FC_OK
from flinkcore._native.status cimport check


cdef class Frozen:
    """The state of an index as it was when an epoch ended. Made by its `freeze`, and kept by it until it is released."""

    def __init__(self):
        raise TypeError("made by the index that is frozen")

    def blocks(self):
        """The snapshot in pieces of about 1 MB; may run on another thread than the one that uses the index."""
        while (block := self.next_block()) is not None:
            yield block

    def release(self):
        """Nothing is needed any more; by the thread that uses the index, once, when nobody runs blocks()."""
        if not self.is_pending or self.is_written:
            raise RuntimeError(f"{self.what} are released once, and not while they are written")
        self.give_back()
        self.is_pending = False

    cdef object next_block(self):
        cdef int64_t size = 0
        cdef fc_status status
        cdef uint8_t *data
        if not self.is_pending:
            raise RuntimeError(f"these {self.what} have been released")
        if self.is_written:
            raise RuntimeError(f"{self.what} are written by two threads at once")
        self.is_written = True
        try:
            with nogil:
                status = self.plan(&size)
            if status != FC_OK:
                check(status, f"a block of {self.what}")
            if size == 0:
                return None
            block = PyBytes_FromStringAndSize(NULL, size)
            data = <uint8_t *>PyBytes_AS_STRING(block)
            with nogil:
                self.write(data)
            return block
        finally:
            self.is_written = False

    cdef fc_status plan(self, int64_t *size) noexcept nogil:
        """The bytes of the next block; 0 after the last."""
        return FC_ERR_INVALID

    cdef void write(self, uint8_t *data) noexcept nogil:
        """The planned block, to memory of its size."""

    cdef int give_back(self) except -1:
        """What only this needed goes back to the index."""
        return 0
