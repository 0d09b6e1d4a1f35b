# SPDX-License-Identifier: Apache-2.0
"""Column: one immutable Arrow column as kernels read it.

A column has a physical kind, which decides the kernel, and a logical type, which decides what a user sees.
Kernels know four kinds (I64, F64, BOOL, BYTES); every narrower or richer type is widened once, here, at the
border: integers, dates, times, timestamps, durations and decimals of up to 18 digits become I64, floats F64,
strings and binary BYTES. Two more kinds never reach a kernel: ARROW (nested values and large decimals, held
as a pyarrow array) and OBJECT (a list of Python objects, perhaps known to be the values of a typed column).

Invariant: `view.values` of I64/F64, and `view.offsets` of BYTES, point `view.bit_offset` elements after the
start of their buffer, so that one offset serves values and bitmaps alike.
"""

import numpy as np
import pyarrow as pa

cimport cython
cimport numpy as cnp
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Check, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_Check, PyUnicode_DecodeUTF8
from libc.stdint cimport INT32_MAX, uintptr_t
from libc.string cimport memcpy

from flinkcore._native.gil cimport PyThreadState, release_gil, take_gil
from flinkcore._native.scatter cimport fc_scatter_bits, fc_scatter_bytes_i32, fc_scatter_fixed, fc_scatter_offsets_i32
from flinkcore._native.scatter import order_of

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cnp.import_array()

I64 = 1
F64 = 2
BOOL = 3
BYTES = 4
OBJECT = 5
ARROW = 6

DECIMAL_DIGITS_MAX = 18    # the digits that every int64 can hold


cdef dict KIND_OF_ID = {}    # by DataType.id, of types without parameters that matter: a look takes 0.1 us, not 2


def physical_kind(type):
    """The kind that carries values of a logical type.

    type : pyarrow.DataType, or None for Python objects
    -> I64, F64, BOOL, BYTES, ARROW or OBJECT
    """
    if type is None:
        return OBJECT
    kind = KIND_OF_ID.get(type.id)
    return kind_of(type) if kind is None else kind


cdef object kind_of(object type):
    t = pa.types
    if t.is_integer(type) or t.is_temporal(type) and not t.is_interval(type):
        return I64
    if t.is_floating(type):
        return F64
    if t.is_boolean(type):
        return BOOL
    if (t.is_string(type) or t.is_binary(type) or t.is_large_string(type) or t.is_large_binary(type)
            or t.is_string_view(type) or t.is_binary_view(type)):
        return BYTES
    if t.is_fixed_size_binary(type) and not t.is_decimal(type):
        return BYTES
    if t.is_decimal128(type) and type.precision <= DECIMAL_DIGITS_MAX:
        return I64
    if t.is_dictionary(type):
        return physical_kind(type.value_type)
    return ARROW


for _type in (pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(),
              pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.date32(), pa.date64(), pa.time32("s"),
              pa.time64("us"), pa.timestamp("us"), pa.duration("us"), pa.string(), pa.binary()):
    KIND_OF_ID[_type.id] = kind_of(_type)


# Of these too: their arrays lie as the kernels read them.
cdef frozenset OWN_LAYOUTS = frozenset(_type.id for _type in (
    pa.bool_(), pa.int64(), pa.float64(), pa.date64(), pa.time64("us"), pa.timestamp("us"), pa.duration("us"),
    pa.string(), pa.binary()))


def is_own_layout(type):
    """Whether arrays of a type lie as the kernels read them, so that a column over one is a view of it."""
    return type.id in OWN_LAYOUTS


def normal_type(type):
    """The one logical type that stands for all encodings of the same values: dictionary, large and view
    forms of strings and binary become pyarrow.string() and pyarrow.binary()."""
    if type is None or type.id in KIND_OF_ID:
        return type
    t = pa.types
    if t.is_dictionary(type):
        return normal_type(type.value_type)
    if t.is_large_string(type) or t.is_string_view(type):
        return pa.string()
    if t.is_large_binary(type) or t.is_binary_view(type) or t.is_fixed_size_binary(type) and not t.is_decimal(type):
        return pa.binary()
    return type


cdef Column column_of(int kind, int64_t length, const void *values, const int32_t *offsets,
                      const uint8_t *validity, int64_t null_count, object owner, object type):
    cdef Column column = Column.__new__(Column)
    column.kind = kind
    column.type = type
    column.null_count = null_count
    column.owner = owner
    column.view.kind = <fc_kind>kind
    column.view.length = length
    column.view.bit_offset = 0
    column.view.values = values
    column.view.offsets = offsets
    column.view.validity = validity if null_count else NULL
    return column


cdef inline const char *bytes_of(object value, Py_ssize_t *size) except NULL:
    """Where the UTF-8 of a str, or the bytes of a bytes or bytearray, are; owned by the value."""
    if PyUnicode_Check(value):
        return PyUnicode_AsUTF8AndSize(value, size)
    if PyBytes_Check(value):
        size[0] = PyBytes_GET_SIZE(value)
        return PyBytes_AS_STRING(value)
    if PyByteArray_Check(value):
        size[0] = PyByteArray_GET_SIZE(value)
        return PyByteArray_AS_STRING(value)
    raise TypeError(f"expected str, bytes or None, got {type(value).__name__}")


cdef uintptr_t address_of(object buffer):
    return 0 if buffer is None else <uintptr_t>buffer.address


cdef object physical_array(object array, int kind):
    """`array` with the layout of its kind: 8-byte values, 32-bit offsets, or a bitmap."""
    type = array.type
    t = pa.types
    if t.is_dictionary(type):
        values = array.dictionary
        plain = normal_type(values.type)
        if values.type != plain:                   # Arrow takes nothing from an array of views
            values = values.cast(plain)
        return physical_array(values.take(array.indices), kind)
    if kind == I64:
        if t.is_decimal(type):
            return small_decimal_to_int64(array)
        if type.bit_width == 64 and not t.is_uint64(type):
            return array
        if t.is_temporal(type):
            array = array.view(pa.int32())
        return array.cast(pa.int64())              # uint64 above 2^63 - 1 raises ArrowInvalid
    if kind == F64:
        return array if type.bit_width == 64 else array.cast(pa.float64())
    if kind == BYTES:
        plain = normal_type(type)
        return array if type == plain else array.cast(plain)
    return array


cdef object small_decimal_to_int64(object array):
    n = len(array)
    if n == 0:
        return pa.array([], pa.int64())
    words = np.frombuffer(array.buffers()[1], np.int64).reshape(-1, 2)[array.offset : array.offset + n, 0]
    valid = None if array.null_count == 0 else np.asarray(array.is_valid())
    return pa.array(np.ascontiguousarray(words), mask=None if valid is None else ~valid)


cdef object int64_to_small_decimal(object array, object type):
    values = array.fill_null(0).to_numpy(zero_copy_only=False)
    words = np.empty((len(values), 2), np.int64)
    words[:, 0] = values
    words[:, 1] = values >> 63
    validity = None
    if array.null_count:
        valid = np.asarray(array.is_valid())
        validity = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(type, len(values), [validity, pa.py_buffer(words)])


cdef class Column:
    """One column of a batch. Immutable and shared; made by from_arrow, from_numpy and from_objects."""

    def __init__(self):
        raise TypeError("a Column is made by Column.from_arrow, Column.from_numpy or Column.from_objects")

    def __len__(self):
        if self.kind == OBJECT:
            return self.view.length
        return self.view.length

    def __repr__(self):
        return f"Column({self.type if self.kind != OBJECT else 'object'}, {len(self)} values, {self.null_count} null)"

    @staticmethod
    def from_arrow(array):
        """A column over a pyarrow Array or ChunkedArray; zero copy where the layout is the kernels' own.

        Raises pyarrow.ArrowInvalid for a uint64 above 2^63 - 1.
        """
        cdef Column column
        cdef uintptr_t values, offsets, validity
        cdef int64_t offset
        if isinstance(array, pa.ChunkedArray):
            array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
            if isinstance(array, pa.ChunkedArray):       # more bytes than one array can number
                raise OverflowError("a column of one batch holds more than 2^31 bytes of strings; use smaller batches")
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        cdef object type = array.type
        cdef object logical = normal_type(type)
        cdef int kind = physical_kind(type)
        cdef bint own = type.id in OWN_LAYOUTS
        column = Column.__new__(Column)
        column.kind = kind
        column.type = logical
        column.null_count = array.null_count
        column.view.length = len(array)
        if kind == ARROW:
            if pa.types.is_null(type):
                column.null_count = len(array)
            column.arrow = array
            column.owner = array
            return column
        physical = array if own else physical_array(array, kind)
        if own or type == logical:
            column.arrow = array
        column.owner = physical
        column.view.kind = <fc_kind>kind
        offset = physical.offset
        column.view.bit_offset = offset
        buffers = physical.buffers()
        validity = address_of(buffers[0])
        if column.null_count:
            column.view.validity = <const uint8_t *>validity
        if kind == BYTES:
            offsets = address_of(buffers[1])
            column.view.offsets = <const int32_t *>offsets + offset if offsets else NULL
            values = address_of(buffers[2])
            column.view.values = <const void *>values
        else:
            values = address_of(buffers[1])
            if kind == BOOL:
                column.view.values = <const void *>values
            else:
                column.view.values = <const void *>(values + 8 * offset) if values else NULL
        return column

    @staticmethod
    def from_numpy(values, type=None, valid=None):
        """A column over a NumPy array.

        values : int64[n], float64[n] (both zero copy when contiguous) or bool[n]; other number types are
                 widened as from_arrow does
        type : the logical pyarrow type; by default int64, double or bool
        valid : bool[n], True where a value is present; None when all are
        """
        values = np.asarray(values)
        if values.ndim != 1:
            raise ValueError(f"a column has one dimension, the array has {values.ndim}")
        kind = values.dtype.kind
        if kind not in "iufb":
            return Column.from_arrow(pa.array(values, type=type, mask=None if valid is None else ~np.asarray(valid, bool)))
        cdef Column column = Column.__new__(Column)
        cdef uintptr_t address
        cdef int64_t n = len(values)
        if kind == "b":
            column.kind = BOOL
            values = np.packbits(values, bitorder="little")
            type = type or pa.bool_()
        elif kind == "f":
            column.kind = F64
            type = type or pa.from_numpy_dtype(values.dtype)
            values = np.ascontiguousarray(values, np.float64)
        else:
            column.kind = I64
            type = type or pa.from_numpy_dtype(values.dtype)
            if values.dtype == np.uint64 and n and int(values.max()) > 2**63 - 1:
                raise OverflowError("a uint64 above 2^63 - 1 does not fit a 64-bit signed column; cast it to decimal or string")
            values = np.ascontiguousarray(values, np.int64)
        if physical_kind(type) != column.kind:
            raise TypeError(f"values of dtype {values.dtype} cannot be a column of type {type}")
        column.type = normal_type(type)
        column.view.kind = <fc_kind>column.kind
        column.view.length = n
        address = <uintptr_t>values.ctypes.data if n else 0
        column.view.values = <const void *>address
        bits = None
        if valid is not None:
            valid = np.asarray(valid, bool)
            if len(valid) != n:
                raise ValueError(f"{n} values but {len(valid)} validity flags")
            column.null_count = n - int(np.count_nonzero(valid))
            if column.null_count:
                bits = np.packbits(valid, bitorder="little")
                address = <uintptr_t>bits.ctypes.data
                column.view.validity = <const uint8_t *>address
        column.owner = (values, bits)
        return column

    @staticmethod
    @cython.boundscheck(False)
    def from_texts(list values not None, type, bytes prefix not None=b""):
        """A column of strings or bytes, without the pandas that pa.array imports where it is installed.

        values : str (kept as UTF-8), bytes or bytearray, or None;  type : pyarrow.string() or pyarrow.binary(), as
            the caller knows the values to be;  prefix : what each value begins with besides
        UnicodeEncodeError : a lone surrogate;  OverflowError : more than 2^31 - 1 bytes
        """
        cdef int64_t i, n = len(values), total = 0, null_count = 0, extra = len(prefix)
        cdef const char *text
        cdef const char *head = prefix
        cdef Py_ssize_t size = 0
        out_offsets = np.empty(n + 1, np.int32)
        cdef int32_t[::1] offsets = out_offsets
        cdef uint8_t[::1] present
        valid = bits = None
        offsets[0] = 0
        for i in range(n):
            value = values[i]
            if value is None:
                if valid is None:
                    valid = np.ones(n, np.uint8)
                    present = valid
                present[i] = 0
                null_count += 1
            else:
                bytes_of(value, &size)
                total += extra + size
                if total > INT32_MAX:
                    raise OverflowError("a column of one batch holds more than 2^31 bytes of strings; use smaller batches")
            offsets[i + 1] = <int32_t>total
        data = np.empty(max(1, total), np.uint8)
        cdef uint8_t[::1] out = data
        for i in range(n):
            value = values[i]
            if value is not None:
                text = bytes_of(value, &size)
                if extra:
                    memcpy(&out[offsets[i]], head, extra)
                if size:
                    memcpy(&out[offsets[i] + extra], text, size)
        cdef const uint8_t *validity = NULL
        cdef uint8_t[::1] bitmap
        if null_count:
            bits = np.packbits(valid, bitorder="little")
            bitmap = bits
            validity = &bitmap[0]
        return column_of(BYTES, n, &out[0], &offsets[0], validity, null_count, (data, out_offsets, bits), type)

    @staticmethod
    def from_objects(list values):
        """A column of Python objects; the list becomes the column's and must not change any more."""
        cdef Column column = Column.__new__(Column)
        column.kind = OBJECT
        column.objects = values
        column.view.length = len(values)
        return column

    @staticmethod
    def of_known(Column known not None):
        """A column of the Python objects that the values of a typed column are. They are made when they are asked for."""
        cdef Column column = Column.__new__(Column)
        column.kind = OBJECT
        column.known = known
        column.view.length = len(known)
        return column

    cdef object as_physical_arrow(self):
        """The kernels' own layout as a pyarrow array of int64, double, bool, string or binary."""
        cdef int64_t n = self.view.length, offset = self.view.bit_offset
        cdef int64_t bitmap_bytes = (offset + n + 7) // 8
        # Not this column: it keeps the array, and a cycle through Arrow's C++ is one that no collector sees.
        base = self.owner
        validity = values = None
        if self.view.validity != NULL:
            validity = pa.foreign_buffer(<uintptr_t>self.view.validity, bitmap_bytes, base)
        if self.kind == BYTES:
            type = self.type
            if self.view.offsets == NULL:
                return pa.array([], type)
            offsets = pa.foreign_buffer(<uintptr_t>(self.view.offsets - offset), 4 * (offset + n + 1), base)
            if self.view.values != NULL:
                values = pa.foreign_buffer(<uintptr_t>self.view.values, self.view.offsets[n], base)
            else:
                values = pa.py_buffer(b"")
            return pa.Array.from_buffers(type, n, [validity, offsets, values], offset=offset)
        type = pa.int64() if self.kind == I64 else pa.float64() if self.kind == F64 else pa.bool_()
        if n == 0:
            return pa.array([], type)
        if self.kind == BOOL:
            values = pa.foreign_buffer(<uintptr_t>self.view.values, bitmap_bytes, base)
        else:
            values = pa.foreign_buffer(<uintptr_t>self.view.values - 8 * offset, 8 * (offset + n), base)
        return pa.Array.from_buffers(type, n, [validity, values], offset=offset)

    def to_arrow(self):
        """The column as a pyarrow.Array of its logical type. TypeError for a column of Python objects."""
        if self.arrow is not None:
            return self.arrow
        if self.kind == OBJECT:
            raise TypeError("a column of Python objects has no Arrow type; declare an output type for the function that made it")
        array = self.as_physical_arrow()
        type = self.type
        if array.type != type:
            if pa.types.is_decimal(type):
                array = int64_to_small_decimal(array, type)
            elif pa.types.is_temporal(type):
                array = array.view(type) if type.bit_width == 64 else array.cast(pa.int32(), safe=False).view(type)
            else:
                array = array.cast(type, safe=False)       # narrower integers wrap, as Java's casts do
        self.arrow = array
        return array

    def to_pylist(self):
        """The values as Python objects of the logical type, None where null."""
        if self.kind == OBJECT:
            if self.objects is None:
                self.objects = self.known.to_pylist()
            return self.objects
        if self.null_count == 0 and self.view.length and pa.types.is_primitive(self.type) and not pa.types.is_temporal(self.type):
            if self.kind == I64 and pa.types.is_int64(self.type):
                return self.to_numpy().tolist()
            if self.kind == F64 and pa.types.is_float64(self.type) or self.kind == BOOL:
                return self.to_numpy().tolist()
        if self.kind == BYTES:
            return self.texts()
        return self.to_arrow().to_pylist()

    cdef list texts(self):
        """The values of a column of strings or bytes, None where null."""
        cdef int64_t i, n = self.view.length, bit
        cdef const int32_t *offsets = self.view.offsets
        cdef const char *data = <const char *>self.view.values
        cdef const uint8_t *validity = self.view.validity
        cdef bint is_text = self.type == pa.string()
        cdef list values = [None] * n
        for i in range(n):
            bit = self.view.bit_offset + i
            if validity != NULL and not validity[bit >> 3] >> (bit & 7) & 1:
                continue
            if is_text:
                values[i] = PyUnicode_DecodeUTF8(data + offsets[i], offsets[i + 1] - offsets[i], NULL)
            else:
                values[i] = PyBytes_FromStringAndSize(data + offsets[i], offsets[i + 1] - offsets[i])
        return values

    def to_numpy(self):
        """The physical values: int64[n] or float64[n] without a copy, bool[n] unpacked. Null places hold any
        value; see valid_mask. Read-only. TypeError for strings, nested values and objects."""
        cdef int64_t n = self.view.length
        if self.kind == I64 or self.kind == F64:
            number = cnp.NPY_INT64 if self.kind == I64 else cnp.NPY_FLOAT64
            if n == 0:
                return np.empty(0, np.int64 if self.kind == I64 else np.float64)
            values = cnp.PyArray_SimpleNewFromData(1, &n, number, <void *>self.view.values)
            cnp.set_array_base(values, self)
            cnp.PyArray_CLEARFLAGS(values, cnp.NPY_ARRAY_WRITEABLE)
            return values
        if self.kind == BOOL:
            return self.unpack(<const uint8_t *>self.view.values)
        raise TypeError(f"a column of {self.type or 'Python objects'} has no NumPy form")

    def valid_mask(self):
        """bool[n], True where a value is present; None when all are."""
        if self.kind == OBJECT:
            return None
        if self.kind == ARROW:
            return None if self.null_count == 0 else np.asarray(self.arrow.is_valid())
        return None if self.view.validity == NULL else self.unpack(self.view.validity)

    cdef object unpack(self, const uint8_t *bits):
        cdef int64_t n = self.view.length, offset = self.view.bit_offset
        if n == 0:
            return np.empty(0, bool)
        packed = np.frombuffer(pa.foreign_buffer(<uintptr_t>bits, (offset + n + 7) // 8, self), np.uint8)
        return np.unpackbits(packed[offset // 8:], bitorder="little", count=offset % 8 + n)[offset % 8:].view(bool)

    def take(self, rows):
        """The values at positions rows[0], rows[1], ... as a new column.

        rows : integers in [0, len(self)); IndexError when one is not
        """
        cdef int64_t n, length = len(self)
        cdef const int64_t[::1] index = np.ascontiguousarray(rows, np.int64)
        cdef fc_status status = FC_OK
        cdef bint inside = True
        n = index.shape[0]
        cdef PyThreadState *released = release_gil(n)
        inside = fc_rows_are_below(&index[0], n, length)
        take_gil(released)
        if not inside:
            raise IndexError(f"a position is outside the {length} rows of the column")
        if self.known is not None:
            return Column.of_known(self.known.take(rows))
        if self.kind == OBJECT:
            objects = self.objects
            return Column.from_objects([objects[i] for i in index])
        if self.kind == ARROW:
            return Column.from_arrow(self.arrow.take(pa.array(np.asarray(index))))
        if n == 0:
            return self.slice(0, 0)
        cdef uint8_t[::1] valid_bits
        cdef uint64_t[::1] words
        cdef int32_t[::1] offsets
        cdef uint8_t[::1] data
        cdef int64_t valid_count = n
        cdef const uint8_t *validity = NULL
        bits = None
        if self.view.validity != NULL:
            bits = np.zeros((n + 7) // 8, np.uint8)
            valid_bits = bits
            validity = &valid_bits[0]
            released = release_gil(n)
            valid_count = fc_take_bits(self.view.validity, self.view.bit_offset, &index[0], n, &valid_bits[0])
            take_gil(released)
        if self.kind == BYTES:
            out_offsets = np.empty(n + 1, np.int32)
            offsets = out_offsets
            released = release_gil(n)
            status = fc_take_offsets(self.view.offsets, &index[0], n, &offsets[0])
            take_gil(released)
            if status != FC_OK:
                raise OverflowError("the taken strings hold more than 2^31 bytes; use smaller batches")
            out = np.empty(int(offsets[n]) + FC_COPY_SLACK, np.uint8)
            data = out
            released = release_gil(n)
            fc_take_bytes(self.view.offsets, self.view.length, <const uint8_t *>self.view.values, &index[0], n, &offsets[0],
                          &data[0])
            take_gil(released)
            return column_of(BYTES, n, &data[0], &offsets[0], validity, n - valid_count, (out, out_offsets, bits), self.type)
        if self.kind == BOOL:
            out = np.zeros((n + 7) // 8, np.uint8)
            data = out
            released = release_gil(n)
            fc_take_bits(<const uint8_t *>self.view.values, self.view.bit_offset, &index[0], n, &data[0])
            take_gil(released)
            return column_of(BOOL, n, &data[0], NULL, validity, n - valid_count, (out, bits), self.type)
        out = np.empty(n, np.uint64)
        words = out
        released = release_gil(n)
        fc_take_words(<const uint64_t *>self.view.values, &index[0], n, &words[0])
        take_gil(released)
        return column_of(self.kind, n, &words[0], NULL, validity, n - valid_count, (out, bits), self.type)

    def scatter(self, places):
        """Value i at places[i] of a new column.

        places : int32[len(self)], a permutation of 0 .. n - 1 as partition.places gives it: not looked at
        ValueError : another number of places
        """
        cdef const int32_t[::1] to = places
        cdef int64_t n = to.shape[0]
        if n != len(self):
            raise ValueError(f"scatter: {n} places for {len(self)} values")
        if n == 0:
            return self
        if self.kind == OBJECT or self.kind == ARROW:
            return self.take(order_of(places))
        cdef uint8_t[::1] values, valid_bits
        cdef int32_t[::1] offsets
        cdef const int32_t *out_offsets = NULL
        cdef const uint8_t *validity = NULL
        cdef PyThreadState *released
        cdef int32_t size
        bits = starts = None
        if self.view.validity != NULL:
            bits = np.zeros((n + 7) // 8, np.uint8)
            valid_bits = bits
            validity = &valid_bits[0]
            released = release_gil(n)
            fc_scatter_bits(self.view.validity, self.view.bit_offset, &to[0], n, &valid_bits[0])
            take_gil(released)
        if self.kind == BYTES:
            size = self.view.offsets[n] - self.view.offsets[0]
            starts, out = np.empty(n + 1, np.int32), np.empty(max(1, size), np.uint8)
            offsets, values = starts, out
            out_offsets = &offsets[0]
            released = release_gil(n)
            fc_scatter_offsets_i32(self.view.offsets, &to[0], n, &offsets[0])
            fc_scatter_bytes_i32(self.view.offsets, <const uint8_t *>self.view.values, &to[0], n, &offsets[0], &values[0])
            take_gil(released)
        elif self.kind == BOOL:
            out = np.zeros((n + 7) // 8, np.uint8)
            values = out
            released = release_gil(n)
            fc_scatter_bits(<const uint8_t *>self.view.values, self.view.bit_offset, &to[0], n, &values[0])
            take_gil(released)
        else:
            out = np.empty(8 * n, np.uint8)
            values = out
            released = release_gil(n)
            fc_scatter_fixed(<const uint8_t *>self.view.values, 8, &to[0], n, &values[0])
            take_gil(released)
        return column_of(self.kind, n, &values[0], out_offsets, validity, self.null_count, (out, starts, bits), self.type)

    def slice(self, int64_t offset, int64_t length):
        """Values [offset, offset + length), sharing this column's buffers. IndexError outside the column."""
        if offset < 0 or length < 0 or offset + length > len(self):
            raise IndexError(f"rows [{offset}, {offset + length}) are outside the {len(self)} rows of the column")
        if self.known is not None:
            return Column.of_known(self.known.slice(offset, length))
        if self.kind == OBJECT:
            return Column.from_objects(self.objects[offset:offset + length])
        cdef Column column = Column.__new__(Column)
        column.kind = self.kind
        column.type = self.type
        column.owner = self.owner
        column.view = self.view
        column.view.length = length
        if self.arrow is not None and not self.type.id in OWN_LAYOUTS:    # else it can be had from the view
            column.arrow = self.arrow.slice(offset, length)
        if self.kind == ARROW:
            column.null_count = length if pa.types.is_null(self.type) else column.arrow.null_count
            return column
        column.view.bit_offset += offset
        if self.kind == BYTES:
            if self.view.offsets != NULL:
                column.view.offsets = self.view.offsets + offset
        elif self.kind != BOOL and self.view.values != NULL:
            column.view.values = <const char *>self.view.values + 8 * offset
        if self.view.validity != NULL:
            column.null_count = length - int(np.count_nonzero(column.valid_mask()))
            if column.null_count == 0:
                column.view.validity = NULL
        return column

    def with_type(self, type):
        """The same values under another logical type of the same kind; TypeError when the kinds differ."""
        if physical_kind(type) != self.kind or self.kind == OBJECT or self.kind == ARROW:
            raise TypeError(f"a column of {self.type} cannot be read as {type}")
        cdef Column column = column_of(self.kind, self.view.length, self.view.values, self.view.offsets,
                                       self.view.validity, self.null_count, self.owner, normal_type(type))
        column.view.bit_offset = self.view.bit_offset
        return column

    @staticmethod
    def concat(columns):
        """The values of several columns of one type, one after the other. ValueError without a column."""
        columns = list(columns)
        if not columns:
            raise ValueError("concat needs at least one column")
        first = columns[0]
        if len(columns) == 1:
            return first
        if first.kind == OBJECT:
            if first.known is not None and all(c.known is not None and c.known.type == first.known.type for c in columns):
                return Column.of_known(Column.concat([column.known for column in columns]))
            return Column.from_objects([value for column in columns for value in column.to_pylist()])
        if (first.kind == I64 or first.kind == F64) and all(column.null_count == 0 for column in columns):
            return Column.from_numpy(np.concatenate([column.to_numpy() for column in columns]), first.type)
        return Column.from_arrow(pa.concat_arrays([column.to_arrow() for column in columns]))
