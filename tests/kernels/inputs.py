# SPDX-License-Identifier: Apache-2.0
"""The same values in all the forms in which other libraries have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa


class ExportsArray:
    """Nothing but Arrow's C data interface."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        return self._array.__arrow_c_array__(requested_schema)


class ExportsStream:
    """Nothing but Arrow's C stream interface."""

    def __init__(self, chunked: Any) -> None:
        self._chunked = chunked

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._chunked.__arrow_c_stream__(requested_schema)


class ExportsSchema:
    """Nothing but Arrow's C schema interface."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()


def sliced(array: pa.Array) -> pa.Array:
    """The same values at an offset that is no multiple of 8, with others around."""
    if not len(array):
        return pa.nulls(3, array.type).slice(3, 0)
    before = array[-3:]
    return pa.concat_arrays([before, array, array[:3]]).slice(len(before), len(array))


def forms(values: list[Any], type: pa.DataType) -> dict[str, Any]:
    """Inputs that hold these values, by a name for the form."""
    array = pa.array(values, type)
    half = len(values) // 2
    chunked = pa.chunked_array([array[:half], array[half:]], type)
    made = {
        "array": array,
        "sliced": sliced(array),
        "chunked": chunked,
        "one chunk": pa.chunked_array([array]),
        "no chunk at the ends": pa.chunked_array([array[:0], array, array[:0]], type),
        "__arrow_c_array__": ExportsArray(array),
        "__arrow_c_stream__": ExportsStream(chunked),
    }
    t = pa.types
    if not (t.is_boolean(type) or t.is_decimal(type)):
        made["dictionary"] = array.dictionary_encode()
        made["sliced dictionary"] = sliced(array.dictionary_encode())
    if t.is_string(type):
        made["large_string"] = array.cast(pa.large_string())
        made["string_view"] = array.cast(pa.string_view())
        made["list"] = values
    if t.is_integer(type) and array.null_count == 0:
        plain = array.to_numpy()
        made["numpy"] = plain
        made["strided"] = np.repeat(plain, 2)[::2]
        made["list"] = values
        made["read-only"] = np.frombuffer(plain.tobytes(), plain.dtype)
    if t.is_integer(type) and array.null_count:
        valid = np.asarray(array.is_valid())
        made["masked"] = np.ma.MaskedArray(array.fill_null(0).to_numpy(), mask=~valid)
    return made


def address(array: pa.Array, buffer: int = 1) -> int:
    """Where the values of an array begin."""
    found = array.buffers()[buffer]
    assert found is not None
    return int(found.address) + array.offset * (array.type.bit_width // 8)
