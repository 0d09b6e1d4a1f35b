# SPDX-License-Identifier: Apache-2.0
"""Columns as the texts that Flink's CSV and JSON formats write, by Arrow kernels."""

from __future__ import annotations

import base64
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.columnar.java_text import java_double, java_float

# Java's Double.toString has no exponent in [1e-3, 1e7).
PLAIN_FLOAT_LOWER, PLAIN_FLOAT_UPPER = 1e-3, 1e7


def scalar_texts(array: pa.Array) -> pa.StringArray:
    """Texts of a column without nesting, null where it is null.

    Numbers and booleans as Java prints them (1.0E10, true); dates and times in ISO form; timestamps with a
    blank (2024-05-01 12:00:00.5), with a Z when they have a time zone; binary in base 64. Source: Flink,
    RowDataToCsvConverters and RowDataToJsonConverters
    """
    t, type = pa.types, array.type
    if t.is_string(type):
        return array
    if t.is_floating(type):
        return _floats(array)
    if t.is_timestamp(type):
        utc = array.cast(pa.timestamp(type.unit, "UTC")) if type.tz else array
        texts = _without_zeros(pc.strftime(utc, "%Y-%m-%d %H:%M:%S"))
        return pc.binary_join_element_wise(texts, "Z", "") if type.tz else texts
    if t.is_time(type):
        return _without_zeros(array.cast(pa.string()))
    if t.is_binary(type):
        return pa.array([None if value is None else base64.b64encode(value).decode()
                         for value in array.to_pylist()], pa.string())
    return array.cast(pa.string())


def decoded(array: pa.Array, type: pa.DataType) -> pa.Array:
    """Texts in base 64 as the bytes that they are, wherever a type has some; other values as they came.

    ArrowInvalid : a text that is not in base 64
    """
    t = pa.types
    if t.is_binary(type):
        try:
            return pa.array([None if text is None else base64.b64decode(text, validate=True)
                             for text in array.to_pylist()], pa.binary())
        except ValueError as error:
            raise pa.ArrowInvalid(f"a value of type binary is a text in base 64: {error}") from None
    if not _holds_binary(type):
        return array
    mask = array.is_null() if array.null_count else None
    if t.is_struct(type):
        fields = [decoded(field, type.field(i).type) for i, field in enumerate(array.flatten())]
        return pa.StructArray.from_arrays(fields, [field.name for field in type], mask=mask)
    offsets = pa.array(array.offsets.to_numpy(), pa.int32())
    return pa.ListArray.from_arrays(offsets, decoded(array.values, type.value_type), mask=mask)


def _holds_binary(type: pa.DataType) -> bool:
    t = pa.types
    if t.is_struct(type):
        return any(_holds_binary(field.type) for field in type)
    return _holds_binary(type.value_type) if t.is_list(type) else t.is_binary(type)


def json_texts(array: pa.Array) -> pa.StringArray:
    """JSON of each value; a null value is the text null."""
    return pc.fill_null(_json(array), "null")


def _json(array: pa.Array) -> pa.Array:
    t, type = pa.types, array.type
    if t.is_floating(type):
        texts = _floats(array)
        finite = pc.is_finite(array)      # NaN and the infinities are texts, as Jackson writes them
        return texts if pc.all(finite).as_py() in (True, None) else pc.if_else(finite, texts, _quoted(texts))
    if t.is_integer(type) or t.is_boolean(type) or t.is_decimal(type):
        return scalar_texts(array)
    if t.is_timestamp(type) or t.is_date(type) or t.is_time(type) or t.is_binary(type):
        return _enclosed('"', scalar_texts(array), '"')
    if t.is_string(type):
        return _quoted(array)
    if t.is_map(type):
        keys, items = _quoted(scalar_texts(array.keys)), json_texts(array.items)
        return _enclosed("{", _joined(array, pc.binary_join_element_wise(keys, items, ":")), "}")
    if t.is_list(type) or t.is_large_list(type):
        return _enclosed("[", _joined(array, json_texts(array.values)), "]")
    if t.is_struct(type):
        fields = [pc.binary_join_element_wise(json.dumps(field.name), json_texts(values), ":")
                  for field, values in zip(type, array.flatten())]
        body = pc.binary_join_element_wise(*fields, ",") if fields else pa.array([""] * len(array))
        return pc.if_else(array.is_valid(), _enclosed("{", body, "}"), pa.scalar(None, pa.string()))
    raise TypeError(f"no JSON form for {type}")


def json_object_texts(names: list[str], arrays: list[pa.Array]) -> pa.StringArray:
    """One JSON object per row, with a field for each column."""
    parts: list[object] = []
    for i, (name, array) in enumerate(zip(names, arrays)):
        parts.append(("{" if i == 0 else ",") + json.dumps(name, ensure_ascii=False) + ":")
        parts.append(json_texts(array))
    return pc.binary_join_element_wise(*parts, "}", "")


def list_texts(array: pa.Array, separator: str) -> pa.StringArray:
    """The elements of each list, joined."""
    return pc.binary_join(_rebuilt(array, pc.fill_null(scalar_texts(array.values), "")), separator)


def _joined(array: pa.Array, element_texts: pa.Array) -> pa.Array:
    return pc.binary_join(_rebuilt(array, element_texts), ",")


def _rebuilt(array: pa.Array, values: pa.Array) -> pa.ListArray:
    """A list column with other elements. `array.values` ignores the column's offset, and so do its offsets."""
    mask = array.is_null() if array.null_count else None
    return pa.ListArray.from_arrays(pa.array(array.offsets.to_numpy(), pa.int32()), values, mask=mask)


def _enclosed(left: str, texts: pa.Array, right: str) -> pa.Array:
    return pc.binary_join_element_wise(left, texts, right, "")


def _quoted(texts: pa.Array) -> pa.Array:
    """JSON strings. Characters to escape are rare: one scan tells whether there are any."""
    if pc.any(pc.match_substring_regex(texts, r'[\x00-\x1f"\\]')).as_py():
        texts = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
        for character, escape in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
            texts = pc.replace_substring(texts, character, escape)
        if pc.any(pc.match_substring_regex(texts, r"[\x00-\x1f]")).as_py():
            for code in range(32):
                texts = pc.replace_substring(texts, chr(code), f"\\u{code:04x}")
    return _enclosed('"', texts, '"')


def _without_zeros(texts: pa.Array) -> pa.Array:
    """Fractions of a second without zeros at their end, and without the point when nothing is left."""
    if not pc.any(pc.match_substring(texts, ".")).as_py():
        return texts
    return pc.replace_substring_regex(pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1"), r"\.$", "")


def _floats(array: pa.Array) -> pa.Array:
    """Java's Double.toString and Float.toString: shortest digits, at least one after the point, exponent as E10."""
    texts = array.cast(pa.string())
    numbers = np.abs(array.cast(pa.float64()).fill_null(1.0).to_numpy(zero_copy_only=False))
    plain = (numbers >= PLAIN_FLOAT_LOWER) & (numbers < PLAIN_FLOAT_UPPER) | (numbers == 0)
    with_point = pc.if_else(pc.match_substring(texts, "."), texts,
                            pc.binary_join_element_wise(texts, ".0", ""))
    if plain.all():
        return with_point
    mask = pa.array(~plain)
    text_of = java_float if array.type == pa.float32() else java_double
    others = [None if number is None else text_of(number) for number in array.filter(mask).to_pylist()]
    return pc.replace_with_mask(with_point, mask, pa.array(others, pa.string()))
