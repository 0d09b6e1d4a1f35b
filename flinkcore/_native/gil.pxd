# SPDX-License-Identifier: Apache-2.0
"""Releasing the GIL for kernels over many rows only.

A thread that lets the GIL go while others wait for it has it back when they let go in turn, 50 us to 5 ms later. For a
few hundred rows that is far more than the kernel takes: two subtasks with 100,000 records/s between them took 3 ms for
a record with the GIL let go in every kernel, and 1 ms without (python -m bench latency).

    released = release_gil(n)
    status = fc_kernel(...)         # C alone: no Python object is touched, nothing raises
    take_gil(released)

Not for what may wait, be it for a lock: those who hold it may need the GIL to go on.
"""

from libc.stdint cimport int64_t

cdef extern from *:
    """
    static inline PyThreadState *fc_release_gil(int64_t rows) {
        return rows < 1024 ? NULL : PyEval_SaveThread();
    }
    static inline void fc_take_gil(PyThreadState *released) {
        if (released != NULL) PyEval_RestoreThread(released);
    }
    """
    ctypedef struct PyThreadState:
        pass
    PyThreadState *release_gil "fc_release_gil"(int64_t rows)
    void take_gil "fc_take_gil"(PyThreadState *released)
