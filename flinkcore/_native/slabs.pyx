# SPDX-License-Identifier: Apache-2.0
"""Memory of NumPy arrays from slabs that are recycled (csrc/fc_slab.h), for the threads that ask for it.

Arrays know where their memory came from: they may live on, and die, in any thread.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset, strcpy
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New

# Addresses cost nothing. What is beyond is NumPy's own allocator's.
cdef int64_t RESERVED = 1 << 38
# As much as a job of a few operators has in flight, and little beside its state.
cdef int64_t RETAINED = 256 << 20

cdef extern from "fc_slab.h" nogil:
    const int64_t FC_SLAB_BLOCK_MIN
    ctypedef struct fc_slabs:
        pass

    fc_slabs *fc_slabs_new(int64_t reserved, int64_t retained)
    void *fc_slabs_take(fc_slabs *slabs, int64_t bytes)
    bint fc_slabs_own(const fc_slabs *slabs, const void *block)
    int64_t fc_slabs_room(fc_slabs *slabs, const void *block)
    void fc_slabs_give(fc_slabs *slabs, void *block)
    void fc_slabs_bytes(fc_slabs *slabs, int64_t *used, int64_t *kept)

cdef extern from *:
    """
    #define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
    #define NPY_TARGET_VERSION NPY_1_22_API_VERSION
    """

cdef extern from "numpy/arrayobject.h":
    int _import_array() except -1
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *ctx, size_t size) noexcept
        void *(*calloc)(void *ctx, size_t count, size_t size) noexcept
        void *(*realloc)(void *ctx, void *block, size_t size) noexcept
        void (*free)(void *ctx, void *block, size_t size) noexcept
    ctypedef struct PyDataMem_Handler:
        char name[127]
        unsigned char version
        PyDataMemAllocator allocator
    object PyDataMem_SetHandler(object handler)
    object PyDataMem_GetHandler()

_import_array()

cdef fc_slabs *slabs = NULL
cdef PyDataMem_Handler handler
cdef PyDataMemAllocator *plain = NULL    # NumPy's own, for what is small or does not fit
cdef object capsule = None
cdef object plain_capsule = None


cdef void *take(void *ctx, size_t size) noexcept:
    cdef void *block = NULL
    if size >= <size_t>FC_SLAB_BLOCK_MIN:
        block = fc_slabs_take(slabs, <int64_t>size)
    return block if block != NULL else plain.malloc(plain.ctx, size)


cdef void *take_zeroed(void *ctx, size_t count, size_t size) noexcept:
    cdef size_t bytes = count * size    # NumPy has seen to it that it is no more than there are
    if bytes < <size_t>FC_SLAB_BLOCK_MIN:
        return plain.calloc(plain.ctx, count, size)
    cdef void *block = take(ctx, bytes)
    if block != NULL:
        memset(block, 0, bytes)
    return block


cdef void give(void *ctx, void *block, size_t size) noexcept:
    if block != NULL and fc_slabs_own(slabs, block):
        fc_slabs_give(slabs, block)
    else:
        plain.free(plain.ctx, block, size)


cdef void *resize(void *ctx, void *block, size_t size) noexcept:
    cdef void *moved
    cdef size_t room
    if block == NULL:
        return take(ctx, size)
    if not fc_slabs_own(slabs, block):
        return plain.realloc(plain.ctx, block, size)
    room = <size_t>fc_slabs_room(slabs, block)
    if size <= room and size > room // 2:
        return block
    moved = take(ctx, size)
    if moved != NULL:
        memcpy(moved, block, min(size, room))
        fc_slabs_give(slabs, block)
    return moved


cdef void _prepare():
    global slabs, plain, capsule, plain_capsule
    plain_capsule = PyDataMem_GetHandler()
    plain = &(<PyDataMem_Handler *>PyCapsule_GetPointer(plain_capsule, "mem_handler")).allocator
    slabs = fc_slabs_new(RESERVED, RETAINED)
    if slabs == NULL:
        return
    strcpy(handler.name, b"flinkcore slabs")
    handler.version = 1
    handler.allocator.ctx = NULL
    handler.allocator.malloc = take
    handler.allocator.calloc = take_zeroed
    handler.allocator.realloc = resize
    handler.allocator.free = give
    capsule = PyCapsule_New(&handler, "mem_handler", NULL)


def use_slabs():
    """From now on, arrays of 16 KB and more that the calling thread makes lie in slabs.

    -> bool: False where the system has no address range for them; then arrays lie where they always do
    """
    if capsule is None:
        return False
    PyDataMem_SetHandler(capsule)
    return True


def slab_bytes():
    """-> (bytes of slabs in use, bytes of free slabs that stay in memory); of the whole process"""
    cdef int64_t used = 0, kept = 0
    if slabs != NULL:
        fc_slabs_bytes(slabs, &used, &kept)
    return used, kept


_prepare()
