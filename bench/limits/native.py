# SPDX-License-Identifier: Apache-2.0
"""bare.c as Python calls it, and memory of its kind."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench import compiled

POINTER, INT64, INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
SIGNATURES: dict[str, tuple[object, list[object]]] = {
    "bare_memory": (POINTER, [INT64]),
    "bare_free": (None, [POINTER]),
    "bare_read": (INT64, [POINTER, INT64]),
    "bare_copy": (None, [POINTER, POINTER, INT64]),
    "bare_random": (None, [POINTER, INT, INT64]),
    "bare_filter": (INT64, [POINTER, POINTER, POINTER, INT64, INT64, POINTER, POINTER, POINTER]),
    "bare_map": (None, [POINTER, INT64, INT64, POINTER]),
    "bare_table": (POINTER, [INT64]),
    "bare_table_free": (None, [POINTER]),
    "bare_table_rows": (POINTER, [POINTER]),
    "bare_table_used": (INT64, [POINTER]),
    "bare_group_by": (None, [POINTER, POINTER, POINTER, INT64, INT]),
    "bare_update": (None, [POINTER, POINTER, POINTER, INT64]),
    "bare_intern": (None, [POINTER, POINTER, POINTER, INT64, POINTER, INT]),
    "bare_windows": (POINTER, [INT64]),
    "bare_windows_free": (None, [POINTER]),
    "bare_tumbling": (INT64, [POINTER, POINTER, POINTER, POINTER, INT64, INT64, INT, POINTER]),
    "bare_texts": (POINTER, [INT64, INT64]),
    "bare_texts_free": (None, [POINTER]),
    "bare_texts_entries": (POINTER, [POINTER]),
    "bare_texts_capacity": (INT64, [POINTER]),
    "bare_texts_records": (POINTER, [POINTER]),
    "bare_count_texts": (None, [POINTER, POINTER, POINTER, INT64, INT]),
}


@functools.cache
def library() -> ctypes.CDLL:
    """The bare kernels, compiled when they are first needed."""
    found = compiled.library(Path(__file__).with_name("bare.c"))
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


@contextmanager
def memory(words: int) -> Iterator[np.ndarray]:
    """int64[words], in use, on large pages where there are any."""
    address = library().bare_memory(8 * words)
    if not address:
        raise MemoryError(f"no {8 * words:,} bytes for a bare kernel")
    try:
        yield at_address(address, words)
    finally:
        library().bare_free(address)


def at_address(address: int, words: int) -> np.ndarray:
    """int64[words] of memory that belongs to bare.c."""
    if not words:
        return np.empty(0, np.int64)
    return np.ctypeslib.as_array((ctypes.c_int64 * words).from_address(address))


def pointer(array: np.ndarray) -> int:
    if not array.flags.c_contiguous:
        raise ValueError("a bare kernel reads contiguous columns only")
    return array.ctypes.data
