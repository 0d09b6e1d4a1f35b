# SPDX-License-Identifier: Apache-2.0
"""Python objects as keys: bytes that tell keys apart exactly as Flink does, and lead back to them."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import itertools
import math
import random
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkcore._native.column import Column
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.objects import (
    decode_column,
    decode_key,
    encode_column,
    encode_key,
    encode_keys,
    holds_pickle,
)
from flinkcore.columnar.row import Row, RowKind
from flinkcore.errors import SchemaError

Point = collections.namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = 1


KEYS = [
    None, True, False, 0, 1, -1, 127, 128, -128, -129, 255, 256, 2**63, -(2**63), 10**40, 0.0, -0.0, 1.0,
    math.inf, -math.inf, 5e-324, "", "1", "a", "ab", "中", "\ud800", "\x00", b"", b"1", b"a",
    bytearray(b"a"), (), (1,), (True,), (1.0,), ("1",), (1, 2), (12,), ((1,), 2), ((1, 2),), ("a", "b"),
    ("ab",), ("", "ab"), [], [1], [1, 2], [[1], 2], {}, {1: 2}, {"1": 2}, frozenset(), frozenset({1}),
    {1}, Row(), Row(1), Row(a=1), Row(b=1), Row("a", 1), Row(a=1, b=2), Row.of_kind(RowKind.DELETE, 1),
    Decimal("1"), Decimal("1.0"), Decimal("NaN"), dt.date(2020, 1, 1), dt.datetime(2020, 1, 1),
    dt.datetime(2020, 1, 1, fold=1), dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc), dt.time(),
    dt.time(1, 2, 3, 4), dt.timedelta(1), dt.timedelta(-1), Instant(1, 0), Instant(0, 1), Point(1, 2),
    Colour.RED, "x" * 127, "x" * 128, ("x" * 200,), ("x" * 20000, 1),
]  # fmt: skip


def test_different_keys_have_different_bytes():
    for left, right in itertools.combinations(KEYS, 2):
        assert encode_key(left) != encode_key(right), (left, right)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:30])
def test_keys_come_back(key):
    back = decode_key(encode_key(key), allow_pickle=True)
    assert type(back) is type(key) and repr(back) == repr(key)


def test_many_keys_have_the_bytes_that_each_has_alone():
    for keys in (
        KEYS,
        ["a", "", "中"],
        ["a", "\ud800"],
        [1, -5, 2**70],
        [(1, "a"), ()],
        [],
        [Colour.RED],
        [None, None],
    ):
        column = encode_keys(list(keys))
        assert column.null_count == 0
        assert column.to_pylist() == [encode_key(key) for key in keys]


def test_equal_values_have_equal_bytes_whether_shared_or_not():
    shared = "".join(["sha", "red"])
    other = "".join(["sha", "red"])
    assert shared is not other
    assert encode_key(Point(shared, shared)) == encode_key(Point(shared, other))
    assert encode_key(frozenset("abcdefgh")) == encode_key(frozenset("hgfedcba"))
    assert encode_key(math.nan) == encode_key(float("-nan")) and math.isnan(decode_key(encode_key(math.nan)))


def test_what_cannot_be_pickled_cannot_be_a_key():
    with pytest.raises(SchemaError, match="cannot be a key"):
        encode_key((1, lambda: 0))
    with pytest.raises(ValueError, match="not an encoded key"):
        decode_key(b"?")


KEY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(KEY, KEY)
def test_bytes_are_equal_exactly_when_the_keys_look_equal(left, right):
    assert (encode_key(left) == encode_key(right)) == (repr(left) == repr(right))
    assert repr(decode_key(encode_key(left))) == repr(left)


def test_only_what_was_pickled_needs_pickle():
    for key in KEYS:
        data = encode_key(key)
        assert holds_pickle(data) == (type(key) in (Point, Colour) or getattr(key, "tzinfo", None) is not None)
        assert holds_pickle(encode_key((1, [key]))) == holds_pickle(data)
        if not holds_pickle(data):
            assert repr(decode_key(data)) == repr(key)
            continue
        for hidden in (data, encode_key((1, {"a": key}))):
            with pytest.raises(ValueError, match="pickled Python object"):
                decode_key(hidden)
    assert not holds_pickle(encode_key(("p", "pp", b"p")))


@pytest.mark.parametrize("seed", range(20))
def test_bytes_that_are_no_key_are_refused_and_run_nothing(seed):
    rng = random.Random(seed)
    for _ in range(300):
        data = bytearray(encode_key(rng.choice(KEYS)))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.choice(b"NTFidsbB([{<>RDytzuIp\x00\x01\x7f\xff")
        try:
            decode_key(bytes(data))
        except ValueError:
            pass
    for data in (b"", b"(\x05T", b"d\0", b"{\x02[\0", b"R", b"R\x02i\x09", b"Dx", b"y2020", b"u\1s", b"(\x01(" * 5000):
        with pytest.raises(ValueError, match=r"."):
            decode_key(data)
    deep = b"T"
    for _ in range(5000):
        size, length = len(deep), bytearray()
        while size >= 0x80:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        deep = b"(" + bytes([*length, size]) + deep
    with pytest.raises(ValueError, match="RecursionError"):
        decode_key(deep)


NESTED = [
    (pa.list_(pa.int64()), [[1, 2], [], None, [None]]),
    (pa.struct([("a", pa.timestamp("ns", "Europe/Berlin")), ("b", pa.date32())]), [{"a": 5, "b": None}, None]),
    (pa.struct([pa.field("f0", pa.duration("us"), nullable=False)]), [{"f0": dt.timedelta(microseconds=3)}]),
    (pa.map_(pa.string(), pa.list_(pa.time64("ns"))), [[("x", [1]), ("y", None)], []]),
    (pa.large_list(pa.timestamp("s")), [[1], None]),
    (pa.list_(pa.date64(), 2), [[0, 86_400_000], None]),
    (pa.decimal128(30, 4), [Decimal("12345678901234567890.1234"), None]),
    (pa.month_day_nano_interval(), [pa.MonthDayNano([1, 2, 3]), None]),
    (pa.null(), [None, None]),
]


@pytest.mark.parametrize("type, values", NESTED, ids=lambda value: str(value) if isinstance(value, pa.DataType) else "")
def test_nested_values_come_back_without_pickle(type, values):
    array = pa.array(values, type)
    for column in (Column.from_arrow(array), Column.from_arrow(pa.concat_arrays([array, array]).slice(len(values)))):
        encoded = encode_column(column)
        assert not any(map(holds_pickle, encoded.to_pylist()))
        assert decode_column(encoded, type).to_arrow().equals(array)
    with pytest.raises(ValueError, match="not the encoded values"):
        decode_column(encode_keys(["text"]), type)
