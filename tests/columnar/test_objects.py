# SPDX-License-Identifier: Apache-2.0
"""Python objects as keys: bytes that tell keys apart exactly as Flink does, and lead back to them."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import itertools
import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkcore.columnar.instant import Instant
from flinkcore.columnar.objects import decode_key, encode_key, encode_keys
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
    back = decode_key(encode_key(key))
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
