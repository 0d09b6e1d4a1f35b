# SPDX-License-Identifier: Apache-2.0
"""Python objects as keys: canonical bytes that are equal exactly when Flink would call the keys equal.

Flink compares the pickled bytes of untyped keys, so 1, True and 1.0 are three keys. So are they here; but
where pickle gives equal values different bytes (shared references, the order of a set) we do not follow.

A key is a tag byte and a payload; a container holds its items, each after its length:

    N none   T true   F false   i int, big-endian two's complement   d float, 8 bytes   s str, UTF-8
    b bytes  B bytearray   ( tuple   [ list   { dict: key, value, ...   < frozenset, > set: items sorted
    R Row: kind, "has names", names, values   D Decimal, as text   y date   t time   z datetime
    u timedelta   I Instant   p anything else (also times with a zone), pickled
"""

from __future__ import annotations

import datetime
import io
import pickle
import struct
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flinkcore._native.column import Column
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
        try:
            text = pa.array(keys, pa.string())
        except UnicodeEncodeError:
            text = None  # a lone surrogate somewhere
        if isinstance(text, pa.StringArray):
            return Column.from_arrow(pc.binary_join_element_wise(b"s", text.view(pa.binary()), b""))
    if len(kinds) == 1 and (encoder := _ENCODERS.get(next(iter(kinds)))) is not None:
        return Column.from_arrow(pa.array(list(map(encoder, keys)), pa.binary()))
    return Column.from_arrow(pa.array(list(map(encode_key, keys)), pa.binary()))


def decode_key(data: bytes) -> Any:
    """The key of canonical bytes. It unpickles what was pickled: give it only what encode_key made."""
    decoder = _DECODERS.get(data[:1])
    if decoder is None:
        raise ValueError(
            f"{data[:20]!r} is not an encoded key; expected a tag of {', '.join(map(repr, _DECODERS))} first"
        )
    return decoder(data[1:])


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


def _decoded_items(data: bytes) -> list[Any]:
    items = []
    position = 0
    while position < len(data):
        count = shift = 0
        while True:
            group = data[position]
            position += 1
            count |= (group & 0x7F) << shift
            shift += 7
            if group < 0x80:
                break
        items.append(decode_key(data[position : position + count]))
        position += count
    return items


def _decoded_row(data: bytes) -> Row:
    size, *items = _decoded_items(data)
    kind, has_names, *names = items[:size]
    return make_row(names if has_names else None, items[size:], ROW_KINDS[kind])


def _decoded_time(data: bytes) -> datetime.time:
    *parts, fold = _decoded_items(data)
    return datetime.time(*parts, fold=fold)


def _decoded_datetime(data: bytes) -> datetime.datetime:
    *parts, fold = _decoded_items(data)
    return datetime.datetime(*parts, fold=fold)


def _decoded_dict(data: bytes) -> dict[Any, Any]:
    items = _decoded_items(data)
    return dict(zip(items[::2], items[1::2]))


_DECODERS: dict[bytes, Callable[[bytes], Any]] = {
    b"N": lambda data: None,
    b"T": lambda data: True,
    b"F": lambda data: False,
    b"i": lambda data: int.from_bytes(data, "big", signed=True),
    b"d": lambda data: _DOUBLE.unpack(data)[0],
    b"s": lambda data: data.decode("utf-8", "surrogatepass"),
    b"b": bytes,
    b"B": bytearray,
    b"(": lambda data: tuple(_decoded_items(data)),
    b"[": _decoded_items,
    b"{": _decoded_dict,
    b"<": lambda data: frozenset(_decoded_items(data)),
    b">": lambda data: set(_decoded_items(data)),
    b"R": _decoded_row,
    b"D": lambda data: Decimal(data.decode()),
    b"y": lambda data: datetime.date.fromisoformat(data.decode()),
    b"t": _decoded_time,
    b"z": _decoded_datetime,
    b"u": lambda data: datetime.timedelta(*_decoded_items(data)),
    b"I": lambda data: Instant(*_decoded_items(data)),
    b"p": pickle.loads,
}
