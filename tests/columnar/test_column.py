# SPDX-License-Identifier: Apache-2.0
"""A column says the same values whatever its encoding, slicing or gathering."""

from __future__ import annotations

import datetime
import decimal
import gc

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch

ARRAYS = {
    "int32": pa.array([1, None, 3, 4, 5], pa.int32()),
    "uint8": pa.array([0, 255, None], pa.uint8()),
    "int64": pa.array([1, 2, 3, -(2**63)]),
    "uint64": pa.array([0, 2**63 - 1], pa.uint64()),
    "float32": pa.array([1.5, None], pa.float32()),
    "double": pa.array([1.5, float("inf"), -0.0]),
    "bool": pa.array([True, False, None, True] * 5),
    "string": pa.array(["a", None, "", "ccc", "\x00", "中文"] * 3),
    "large_string": pa.array(["a", None, "", "ccc"], pa.large_string()),
    "string_view": pa.array(["a", None, "longer than twelve bytes"], pa.string_view()),
    "binary": pa.array([b"\x00\xff", None]),
    "timestamp": pa.array([datetime.datetime(2020, 1, 1), None]),
    "zoned": pa.array([0, None, 1], pa.timestamp("ms", "UTC")),
    "date32": pa.array([datetime.date(1960, 1, 1), None]),
    "date64": pa.array([datetime.date(2020, 1, 1)], pa.date64()),
    "time32": pa.array([datetime.time(1, 2, 3)], pa.time32("s")),
    "duration": pa.array([datetime.timedelta(seconds=-1), None]),
    "small decimal": pa.array(
        [decimal.Decimal("-1.50"), None, decimal.Decimal("99.99")], pa.decimal128(10, 2)
    ),
    "large decimal": pa.array([decimal.Decimal("-1.50"), None], pa.decimal128(38, 18)),
    "null": pa.nulls(3),
    "list": pa.array([[1], None, [2, 3]]),
    "struct": pa.array([{"a": 1}, None]),
    "dictionary": pa.array(["x", "y", "x"]).dictionary_encode(),
    "empty string": pa.array([], pa.string()),
    "empty int": pa.array([], pa.int64()),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("offset", [0, 1])
def test_column_keeps_the_values_of_an_array(name, offset):
    array = ARRAYS[name].slice(min(offset, len(ARRAYS[name])))
    expected = array.to_pylist()
    column = Column.from_arrow(array)
    assert column.to_pylist() == expected
    backwards = column.take(np.arange(len(array))[::-1])
    assert backwards.to_pylist() == expected[::-1]
    assert Column.concat([column, backwards]).to_pylist() == expected + expected[::-1]
    for cut in range(len(array) + 1):
        tail = backwards.slice(cut, len(array) - cut)
        assert tail.to_pylist() == expected[::-1][cut:]
        assert tail.take(np.arange(len(tail))).to_pylist() == expected[::-1][cut:]
        assert tail.null_count == sum(value is None for value in expected[::-1][cut:])
        mask = tail.valid_mask()
        assert mask is None or mask.tolist() == [value is not None for value in expected[::-1][cut:]]
        if tail.type is not None:
            tail.to_arrow().validate(full=True)


@pytest.mark.parametrize(
    ("values", "type"),
    [
        (["a", None, "", "ccc", "\x00", "中文", None], pa.string()),
        ([b"\x00\xff", None, b"", bytearray(b"abc")], pa.binary()),
        (["é" * 300, *map(str, range(100))], pa.string()),
        ([None, None], pa.string()),
        ([], pa.binary()),
    ],
)
def test_texts_become_the_column_that_arrow_makes_of_them(values, type):
    column = Column.from_texts(values, type)
    column.to_arrow().validate(full=True)
    assert column.to_arrow().equals(pa.array(values, type))
    assert column.to_pylist() == pa.array(values, type).to_pylist()
    assert column.null_count == values.count(None)
    for cut in range(min(9, len(values))):
        assert column.slice(cut, len(values) - cut).to_pylist() == values[cut:]
    raw = [value.encode() if isinstance(value, str) else value for value in values]
    prefixed = Column.from_texts(values, pa.binary(), b"s:")
    assert prefixed.to_pylist() == [None if value is None else b"s:" + value for value in raw]


def test_texts_that_no_column_holds_are_refused():
    with pytest.raises(UnicodeEncodeError):
        Column.from_texts(["a", "\ud800"], pa.string())
    with pytest.raises(TypeError, match="expected str, bytes or None, got int"):
        Column.from_texts(["a", 1], pa.string())


def test_narrow_integers_wrap_when_they_leave_the_engine():
    assert Column.from_numpy(np.array([2**31, -1]), pa.int32()).to_pylist() == [-(2**31), -1]


def test_numpy_columns_share_memory_and_know_their_nulls():
    values = np.arange(10)
    column = Column.from_numpy(values, valid=values % 3 > 0)
    assert column.to_pylist() == [None, 1, 2, None, 4, 5, None, 7, 8, None]
    assert np.shares_memory(column.to_numpy(), values)
    assert Column.from_numpy(values > 4).to_pylist() == [False] * 5 + [True] * 5


def test_a_uint64_beyond_int64_is_refused():
    with pytest.raises(OverflowError, match=r"2\^63"):
        Column.from_numpy(np.array([2**63], np.uint64))
    with pytest.raises(pa.ArrowInvalid):
        Column.from_arrow(pa.array([2**63], pa.uint64()))


def test_positions_outside_the_column_are_refused():
    column = Column.from_numpy(np.arange(3))
    for rows in ([3], [-1]):
        with pytest.raises(IndexError):
            column.take(rows)
    with pytest.raises(IndexError):
        column.slice(2, 2)


def test_filters_compose_before_columns_are_gathered():
    batch = Batch.from_arrow(pa.RecordBatch.from_pydict({"a": [1, 2, 3, 4], "b": ["x", "y", "z", None]}))
    batch = batch.with_timestamps(np.array([10, 20, 30, 40]))
    kept = batch.filter(np.array([True, False, True, True])).filter(np.array([False, True, True]))
    assert kept.to_arrow().to_pydict() == {"a": [3, 4], "b": ["z", None]}
    assert kept.timestamps_ms.tolist() == [30, 40]
    assert kept.take(np.array([1, 0])).column("a").to_pylist() == [4, 3]
    assert Batch.concat([kept, batch]).column("a").to_pylist() == [3, 4, 1, 2, 3, 4]
    assert kept.slice(1, 1).to_arrow().to_pydict() == {"a": [4], "b": [None]}


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", "bc", None]),
        pa.array([1, None, 3]),
        pa.array([1.5, None, 2.5]),
        pa.array([True, None, False]),
        pa.array([1, 2, 3], pa.timestamp("ms")),
        pa.array([1, 2, 3], pa.int32()),
    ],
    ids=str,
)
def test_a_column_that_was_read_through_arrow_is_freed(array):
    def living():
        gc.collect()
        return sum(type(each) is Column for each in gc.get_objects())

    column = Column.from_arrow(array)
    before = living()
    for _ in range(10):
        taken = column.take(np.array([2, 0]))
        rest = taken.slice(1, 1)
        assert taken.to_arrow().to_pylist() == array.take(pa.array([2, 0])).to_pylist()
        assert rest.with_type(column.type).to_arrow().to_pylist() == array.slice(0, 1).to_pylist()
    del taken, rest
    assert living() == before


def test_arrow_data_of_a_column_outlives_it():
    array = Column.from_arrow(pa.array(["x" * 100, "y" * 100])).take(np.array([1, 0, 1])).to_arrow()
    gc.collect()
    noise = [np.full(300, i, np.uint8) for i in range(100)]
    assert array.to_pylist() == ["y" * 100, "x" * 100, "y" * 100] and len(noise) == 100


@pytest.mark.parametrize("length", [0, 1, 8, 31, 32, 33, 64, 100])
def test_taken_texts_are_whole_whatever_their_length(length):
    """Short ones are copied with what lies behind them, where something does."""
    texts = [chr(97 + i % 26) * (length + i % 3) for i in range(40)]
    column = Column.from_arrow(pa.array([*texts, "tail"])).slice(0, 40)
    rows = np.random.default_rng(length).integers(0, 40, 300)
    assert column.take(rows).to_pylist() == [texts[row] for row in rows]
    assert column.take(np.array([39])).to_pylist() == texts[39:]
