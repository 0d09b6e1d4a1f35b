# SPDX-License-Identifier: Apache-2.0
"""What functions of the user return, kept as it was when it was returned.

PyFlink serializes every record that a function emits. Here a record stays the object that it is, so one that its
function can still change (`profile["n"] += 1; yield profile`) is copied where it is emitted. No copy is made of
values that nobody can change, nor of objects that nobody else holds: reference counts say so.
"""

import copy
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from uuid import UUID

import numpy as np
from cpython.bytes cimport PyBytes_CheckExact
from cpython.dict cimport PyDict_CheckExact
from cpython.float cimport PyFloat_CheckExact
from cpython.list cimport PyList_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_CheckExact
from cpython.unicode cimport PyUnicode_CheckExact

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *value)

cdef frozenset _ATOMS = frozenset((bool, complex, date, datetime, time, timedelta, Decimal, Fraction, UUID, range))
cdef object _GENERIC = np.generic

# Nested deeper than this, a value is left to copy.deepcopy, which knows cycles.
cdef enum:
    DEPTH_MAX = 32


def detached(value):
    """The value when nobody can change it, else a copy.

    An object that cannot be copied (a lock, a generator, an open file) is handed on as it is.
    A class whose objects hold all that can change in a list `_values` has a method `_detached` that copies one.
    """
    return _copied(value, 0)


def detached_list(list values not None) -> list:
    """A new list of `detached` values."""
    return [_copied(value, 0) for value in values]


def map_detached(call, list inputs not None, list found not None) -> None:
    """Appends call(input) for each input. When a call raises, `found` holds the results before it."""
    for item in inputs:
        result = call(item)
        found.append(result if _is_own(result, 1) else _copied(result, 0))


def extend_detached(list found not None, results) -> None:
    """Appends each of the results, as it was when the iterable gave it."""
    for result in results:
        found.append(result if _is_own(result, 1) else _copied(result, 0))


def emit_detached(list found not None, results, type tag_type not None, side) -> None:
    """As extend_detached; a tuple (tag, value) goes to side(tag, value) instead."""
    for result in results:
        if PyTuple_CheckExact(result) and len(<tuple>result) == 2 and isinstance((<tuple>result)[0], tag_type):
            tag, value = result
            side(tag, _copied(value, 0))
        else:
            found.append(result if _is_own(result, 1) else _copied(result, 0))


cdef bint _is_plain(object value):
    return (PyUnicode_CheckExact(value) or PyLong_CheckExact(value) or PyFloat_CheckExact(value)
            or PyBytes_CheckExact(value) or value is None)


cdef bint _is_own(object value, int references) except -1:
    """Whether nobody can change the value but those who hold these references to it."""
    return _is_plain(value) or _is_own_part(value, references, 0)


cdef bint _is_own_part(object value, int references, int depth) except -1:
    if _is_plain(value) or type(value) in _ATOMS:
        return True
    if depth == DEPTH_MAX:
        return False
    # A tuple of plain values may have any number of holders.
    cdef int inside = 2 if Py_REFCNT(<PyObject *>value) == references else -1  # its container, the loop below
    if PyTuple_CheckExact(value):
        for item in <tuple>value:
            if not _is_plain(item) and not _is_own_part(item, inside, depth + 1):
                return False
        return True
    if inside < 0:
        return False
    if PyList_CheckExact(value):
        for item in <list>value:
            if not _is_plain(item) and not _is_own_part(item, inside, depth + 1):
                return False
        return True
    if PyDict_CheckExact(value):
        for item in (<dict>value).values():
            if not _is_plain(item) and not _is_own_part(item, inside, depth + 1):
                return False
        return True
    if getattr(type(value), "_detached", None) is not None:
        item = value._values
        return _is_own_part(item, inside, depth + 1)
    return False


cdef object _copied(object value, int depth):
    """See detached."""
    cdef list items
    if _is_plain(value):
        return value
    if depth < DEPTH_MAX:
        if PyTuple_CheckExact(value):
            items = [_copied(item, depth + 1) for item in <tuple>value]
            for one, other in zip(items, <tuple>value):
                if one is not other:
                    return tuple(items)
            return value
        if PyList_CheckExact(value):
            return [_copied(item, depth + 1) for item in <list>value]
        if PyDict_CheckExact(value):
            # Keys can be hashed, and so do not change.
            return {key: _copied(item, depth + 1) for key, item in (<dict>value).items()}
    kind = type(value)
    if kind in _ATOMS or isinstance(value, (_GENERIC, Enum)):
        return value
    method = getattr(kind, "_detached", None)
    try:
        return copy.deepcopy(value) if method is None else method(value)
    except Exception:
        return value
