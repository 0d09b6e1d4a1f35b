# SPDX-License-Identifier: Apache-2.0
"""Rows of Arrow arrays to places, in their own layout (csrc/fc_scatter.h)."""

import numpy as np
import pyarrow as pa

from libc.stdint cimport uintptr_t

from flinkcore._native.gil cimport PyThreadState, release_gil, take_gil


cdef uintptr_t address_of(object buffer):
    return 0 if buffer is None else <uintptr_t>buffer.address


cdef object room(int64_t bytes):
    """Memory to be written, and its buffer: what Arrow's allocator gives is aligned, and reused."""
    return pa.allocate_buffer(bytes)


cdef object scattered_bits(object buffer, int64_t bit_offset, const int32_t[::1] places):
    cdef int64_t n = places.shape[0]
    cdef uintptr_t bits = address_of(buffer), target
    out = np.zeros((n + 7) // 8, np.uint8)
    target = <uintptr_t>out.ctypes.data
    with nogil:
        fc_scatter_bits(<const uint8_t *>bits, bit_offset, &places[0], n, <uint8_t *>target)
    return pa.py_buffer(out)


cdef list scattered_bytes(list buffers, int64_t offset, const int32_t[::1] places, bint is_large):
    """[offsets, data]"""
    cdef int64_t n = places.shape[0], size
    cdef uintptr_t offsets = address_of(buffers[1]), data = address_of(buffers[2]), out_offsets, out
    offsets += offset * (8 if is_large else 4)
    if is_large:
        size = (<const int64_t *>offsets)[n] - (<const int64_t *>offsets)[0]
    else:
        size = (<const int32_t *>offsets)[n] - (<const int32_t *>offsets)[0]
    out_offset_buffer, out_buffer = room((n + 1) * (8 if is_large else 4)), room(size)
    out_offsets, out = address_of(out_offset_buffer), address_of(out_buffer)
    with nogil:
        if is_large:
            fc_scatter_offsets_i64(<const int64_t *>offsets, &places[0], n, <int64_t *>out_offsets)
            fc_scatter_bytes_i64(<const int64_t *>offsets, <const uint8_t *>data, &places[0], n,
                                 <const int64_t *>out_offsets, <uint8_t *>out)
        else:
            fc_scatter_offsets_i32(<const int32_t *>offsets, &places[0], n, <int32_t *>out_offsets)
            fc_scatter_bytes_i32(<const int32_t *>offsets, <const uint8_t *>data, &places[0], n,
                                 <const int32_t *>out_offsets, <uint8_t *>out)
    return [out_offset_buffer, out_buffer]


def order_of(const int32_t[::1] places):
    """int64[n] with order[places[i]] = i: what a gather takes. places : int32[n], a permutation of 0 .. n - 1"""
    cdef int64_t n = places.shape[0]
    result = np.empty(n, np.int64)
    cdef int64_t[::1] order = result
    if n:
        with nogil:
            fc_scatter_order(&places[0], n, &order[0])
    return result


def scattered_values(values, const int32_t[::1] places):
    """Value i of a NumPy array at places[i] of a new one.

    values : [n] of any type without objects, contiguous;  places : int32[n], a permutation, not looked at
    """
    cdef int64_t n = places.shape[0], width = values.itemsize
    if values.shape != (n,) or not values.flags.c_contiguous or values.dtype.hasobject:
        raise ValueError(f"scatter: {n} places for an array of {values.dtype} and shape {values.shape}")
    result = np.empty(n * width, np.uint8)
    cdef const uint8_t[::1] source = values.view(np.uint8)
    cdef uint8_t[::1] target = result
    cdef PyThreadState *released = release_gil(n)
    fc_scatter_fixed(&source[0], width, &places[0], n, &target[0])
    take_gil(released)
    return result.view(values.dtype)


def scattered(array, const int32_t[::1] places):
    """Value i of an Arrow array at places[i] of a new one of the same type.

    places : int32[len(array)], a permutation of 0 .. n - 1 as partition.places gives it: not looked at
    ValueError : another number of places
    Numbers, times, decimals, booleans, strings, binary, views and codes of dictionaries are scattered here, nested
    values gathered by Arrow.
    """
    cdef int64_t n = places.shape[0], width, offset = array.offset
    cdef uintptr_t values, out
    if len(array) != n:
        raise ValueError(f"scatter: {n} places for {len(array)} values")
    type = array.type
    t = pa.types
    if n == 0 or t.is_null(type):
        return array
    if isinstance(array, pa.ExtensionArray):
        return pa.ExtensionArray.from_storage(type, scattered(array.storage, places))
    if t.is_dictionary(type):
        return pa.DictionaryArray.from_arrays(scattered(array.indices, places), array.dictionary,
                                              ordered=type.ordered, safe=False)
    is_bytes = t.is_string(type) or t.is_binary(type)
    is_large = t.is_large_string(type) or t.is_large_binary(type)
    is_view = t.is_string_view(type) or t.is_binary_view(type)
    if not (is_view or t.is_primitive(type) or t.is_decimal(type) or t.is_fixed_size_binary(type) and type.byte_width > 0
            or is_bytes or is_large):
        return array.take(pa.array(order_of(places)))
    null_count = array.null_count
    buffers = array.buffers()
    validity = scattered_bits(buffers[0], offset, places) if null_count else None
    if is_bytes or is_large:
        made = scattered_bytes(buffers, offset, places, is_large)
    elif t.is_boolean(type):
        made = [scattered_bits(buffers[1], offset, places)]
    else:
        width = 16 if is_view else type.bit_width // 8
        values = address_of(buffers[1]) + offset * width
        buffer = room(n * width)
        out = address_of(buffer)
        with nogil:
            fc_scatter_fixed(<const uint8_t *>values, width, &places[0], n, <uint8_t *>out)
        made = [buffer, *buffers[2:]]              # what views point to is shared
    return pa.Array.from_buffers(type, n, [validity, *made], null_count)
