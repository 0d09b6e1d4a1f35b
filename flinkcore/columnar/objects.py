# SPDX-License-Identifier: Apache-2.0
"""Python objects as keys: canonical bytes that are equal exactly when Flink would call the keys equal.

Flink compares the pickled bytes of untyped keys, so 1, True and 1.0 are three keys. So are they here; but
where pickle gives equal values different bytes (shared references, the order of a set) we do not follow.

A key is a tag byte and a payload; a container holds its items, each after its length:

    N none   T true   F false   i int, big-endian two's complement   d float, 8 bytes   s str, UTF-8
    b bytes  B bytearray   ( tuple   [ list   { dict: key, value, ...   < frozenset, > set: items sorted
    R Row: kind, "has names", names, values   D Decimal, as text   y date   t time   z datetime
    u timedelta   I Instant   p anything else (also times with a zone), pickled

Nested Arrow values are encoded as the Python values of their storage: dates, times and timestamps as integers,
structs as dicts. So none of them is ever pickled, and all that is not can be decoded without running anything.
"""

from __future__ import annotations

import datetime
import io
import pickle
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore._native.column import ARROW, OBJECT, Column
from flinkcore._native.hash import hash_columns
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.row import ROW_KINDS, Row, make_row
from flinkcore.errors import SchemaError

_DOUBLE = struct.Struct(">d")
_NAN = b"d\x7f\xf8\x00\x00\x00\x00\x00\x00"


def encode_key(key: Any) -> bytes:
    """The canonical bytes of a key. SchemaError when it cannot be pickled and so cannot be a key."""
    encoder = _ENCODERS.get(type(key))
    return _pickled(key) if encoder is None else encoder(key)


def encode_keys(keys: list[Any]) -> Column:
    """The canonical bytes of many keys, as a binary column without nulls."""
    kinds = set(map(type, keys))
    if kinds == {str}:
        with suppress(UnicodeEncodeError):  # a lone surrogate somewhere
            return Column.from_texts(keys, pa.binary(), b"s")
    if len(kinds) == 1 and (encoder := _ENCODERS.get(next(iter(kinds)))) is not None:
        return Column.from_texts(list(map(encoder, keys)), pa.binary())
    return Column.from_texts(list(map(encode_key, keys)), pa.binary())


def decode_key(data: bytes, allow_pickle: bool = False) -> Any:
    """The key of canonical bytes.

    allow_pickle : keys that were pickled are unpickled, which may run anything; else they are refused
    ValueError : no canonical bytes, or pickled ones
    """
    try:
        return _decoded(data, allow_pickle)
    except (TypeError, LookupError, ArithmeticError, RecursionError, struct.error) as error:
        raise ValueError(f"{data[:20]!r} is not an encoded key: {error!r}") from error


def holds_pickle(data: bytes) -> bool:
    """Whether canonical bytes need pickle to be decoded."""
    if b"p" not in data:
        return False
    return data[:1] == b"p" or (data[:1] in _CONTAINERS and any(map(holds_pickle, _split(data))))


# -- columns -------------------------------------------------------------------------------------------------

# Of buffers, since pyarrow asks of a Python value whether it is one of pandas, and imports that: 0.2 s of a short job.
_TEXT, _NOTHING = pa.Array.from_buffers(
    pa.binary(), 2, [None, pa.py_buffer(struct.pack("=3i", 0, 1, 1)), pa.py_buffer(b"s")]
)


def plain_keys(keys: Sequence[Column]) -> list[Column]:
    """Key columns as kernels know them: Python objects and nested values by their canonical bytes."""
    return [encode_column(key) if key.kind in (OBJECT, ARROW) else key for key in keys]


def hash_keys(keys: Sequence[Column]) -> np.ndarray:
    """uint64[n]: one hash per row of key columns; Python objects and nested values by their canonical bytes."""
    return hash_columns(plain_keys(keys))


def encode_column(column: Column) -> Column:
    """The canonical bytes of a column of Python objects or nested Arrow values, as a binary column."""
    if column.kind == OBJECT:
        known = column.known
        if known is not None and known.type == pa.string() and not known.null_count:
            texts = known.to_arrow().cast(pa.binary())
            return Column.from_arrow(pc.binary_join_element_wise(_TEXT, texts, _NOTHING))
        return encode_keys(column.to_pylist())
    array = column.to_arrow()
    return encode_keys(array.view(_storage_type(array.type)).to_pylist())


def decode_column(encoded: Column, type: pa.DataType) -> Column:
    """The nested Arrow values of canonical bytes. ValueError: they are of no such values."""
    try:
        values = [decode_key(data) for data in encoded.to_pylist()]
        return Column.from_arrow(pa.array(values, _storage_type(type)).view(type))
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise ValueError(f"not the encoded values of a column of {type}: {error}") from error


@lru_cache(maxsize=1024)
def _storage_type(type: pa.DataType) -> pa.DataType:
    """The type with integers in place of dates, times, timestamps and durations, wherever they are inside."""
    t = pa.types
    if t.is_interval(type):
        return pa.binary(16)
    if t.is_temporal(type):
        return pa.int64() if type.bit_width == 64 else pa.int32()
    if t.is_struct(type):
        return pa.struct([field.with_type(_storage_type(field.type)) for field in type])
    if t.is_map(type):
        return pa.map_(_storage_type(type.key_type), _storage_type(type.item_type), type.keys_sorted)
    if t.is_list(type) or t.is_large_list(type) or t.is_fixed_size_list(type):
        inner = type.value_field.with_type(_storage_type(type.value_type))
        if t.is_fixed_size_list(type):
            return pa.list_(inner, type.list_size)
        return pa.list_(inner) if t.is_list(type) else pa.large_list(inner)
    return type


# -- encoding ------------------------------------------------------------------------------------------------


def _int(number: int) -> bytes:
    return b"i" + number.to_bytes((number.bit_length() >> 3) + 1, "big", signed=True)


def _float(number: float) -> bytes:
    # Every NaN is one key; 0.0 and -0.0 are two, as in Java's Double.equals.
    return b"d" + _DOUBLE.pack(number) if number == number else _NAN


_SHORT_LENGTHS = [bytes((count,)) for count in range(0x80)]


def _length(count: int) -> bytes:
    """A length in 7-bit groups, lowest first, so that short items cost one byte."""
    groups = bytearray()
    while count >= 0x80:
        groups.append(count & 0x7F | 0x80)
        count >>= 7
    groups.append(count)
    return bytes(groups)


def _items(tag: bytes, items: Iterable[Any]) -> bytes:
    return _joined(tag, map(encode_key, items))


def _joined(tag: bytes, encoded: Iterable[bytes]) -> bytes:
    parts = [tag]
    for item in encoded:
        count = len(item)
        parts += (_SHORT_LENGTHS[count] if count < 0x80 else _length(count), item)
    return b"".join(parts)


def _row(row: Row) -> bytes:
    names = row._names
    head = [row._row_kind.value, names is not None, *(names or ())]
    return _items(b"R", [len(head), *head, *row._values])


def _datetime(moment: datetime.datetime) -> bytes:
    if moment.tzinfo is not None:
        return _pickled(moment)
    return _items(b"z", (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second,
                         moment.microsecond, moment.fold))  # fmt: skip


def _time(moment: datetime.time) -> bytes:
    if moment.tzinfo is not None:
        return _pickled(moment)
    return _items(b"t", (moment.hour, moment.minute, moment.second, moment.microsecond, moment.fold))


def _pickled(key: Any) -> bytes:
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=4)
    pickler.fast = True  # no memo: equal values pickle alike whether shared or not
    try:
        pickler.dump(key)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise SchemaError(
            f"{key!r} ({type(key).__name__}) cannot be a key, since it cannot be pickled: {error}; "
            "let the key selector return numbers, strings, or tuples of them"
        ) from error
    return b"p" + buffer.getvalue()


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda key: b"N",
    bool: lambda key: b"T" if key else b"F",
    int: _int,
    float: _float,
    str: lambda key: b"s" + key.encode("utf-8", "surrogatepass"),
    bytes: lambda key: b"b" + key,
    bytearray: lambda key: b"B" + bytes(key),
    tuple: lambda key: _items(b"(", key),
    list: lambda key: _items(b"[", key),
    dict: lambda key: _items(b"{", (part for item in key.items() for part in item)),
    frozenset: lambda key: _joined(b"<", sorted(map(encode_key, key))),
    set: lambda key: _joined(b">", sorted(map(encode_key, key))),
    Row: _row,
    Decimal: lambda key: b"D" + str(key).encode(),
    datetime.date: lambda key: b"y" + key.isoformat().encode(),
    datetime.time: _time,
    datetime.datetime: _datetime,
    datetime.timedelta: lambda key: _items(b"u", (key.days, key.seconds, key.microseconds)),
    Instant: lambda key: _items(b"I", (key.seconds, key.nanos)),
}


# -- decoding ------------------------------------------------------------------------------------------------


def _decoded(data: bytes, allow_pickle: bool) -> Any:
    tag = data[:1]
    if (build := _CONTAINERS.get(tag)) is not None:
        return build([_decoded(item, allow_pickle) for item in _split(data)])
    if (decode := _ATOMS.get(tag)) is not None:
        return decode(data[1:])
    if tag != b"p":
        tags = ", ".join(map(repr, (*_ATOMS, *_CONTAINERS)))
        raise ValueError(f"{data[:20]!r} is not an encoded key; expected a tag of {tags} first")
    if not allow_pickle:
        raise ValueError(
            "the key is a pickled Python object, which only a program that declares such keys may unpickle"
        )
    return pickle.loads(data[1:])


def _split(data: bytes) -> Iterator[bytes]:
    """The encoded items of a container."""
    position = 1
    while position < len(data):
        count = shift = 0
        while True:
            group = data[position]
            position += 1
            count |= (group & 0x7F) << shift
            shift += 7
            if group < 0x80:
                break
        if count > len(data) - position:
            raise ValueError(f"{data[:20]!r} is not an encoded key; an item is longer than what holds it")
        yield data[position : position + count]
        position += count


def _built_row(items: list[Any]) -> Row:
    size, *rest = items
    kind, has_names, *names = rest[:size]
    return make_row(names if has_names else None, rest[size:], ROW_KINDS[kind])


def _built_time(items: list[Any]) -> datetime.time:
    *parts, fold = items
    return datetime.time(*parts, fold=fold)


def _built_datetime(items: list[Any]) -> datetime.datetime:
    *parts, fold = items
    return datetime.datetime(*parts, fold=fold)


_ATOMS: dict[bytes, Callable[[bytes], Any]] = {
    b"N": lambda data: None,
    b"T": lambda data: True,
    b"F": lambda data: False,
    b"i": lambda data: int.from_bytes(data, "big", signed=True),
    b"d": lambda data: _DOUBLE.unpack(data)[0],
    b"s": lambda data: data.decode("utf-8", "surrogatepass"),
    b"b": bytes,
    b"B": bytearray,
    b"D": lambda data: Decimal(data.decode()),
    b"y": lambda data: datetime.date.fromisoformat(data.decode()),
}
_CONTAINERS: dict[bytes, Callable[[list[Any]], Any]] = {
    b"(": tuple,
    b"[": list,
    b"{": lambda items: dict(zip(items[::2], items[1::2])),
    b"<": frozenset,
    b">": set,
    b"R": _built_row,
    b"t": _built_time,
    b"z": _built_datetime,
    b"u": lambda items: datetime.timedelta(*items),
    b"I": lambda items: Instant(*items),
}
