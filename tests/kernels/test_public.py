# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import doctest
from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flinkcore import kernels


def test_the_examples_in_the_docstrings_are_true():
    results = doctest.testmod(kernels)
    assert results.attempted > 0
    assert results.failed == 0


def test_arrow_and_numpy_hash_alike():
    values = np.array([3, 1, 2])
    expected = kernels.hash_columns(values).tolist()
    twins = (values.astype(np.int16), pa.array(values), pa.chunked_array([[3], [1, 2]]), [3, 1, 2],
             np.repeat(values, 2)[::2])
    for same in twins:
        assert kernels.hash_columns(same).tolist() == expected
    text = np.array(["a", "bc"])
    assert kernels.hash_columns(text).tolist() == kernels.hash_columns(pa.array(["a", "bc"])).tolist()
    days = np.array(["2024-01-01", "1969-12-31"], "datetime64[s]")
    assert kernels.hash_columns(days).tolist() == kernels.hash_columns(days.astype(np.int64)).tolist()


def test_every_row_is_in_the_partition_of_its_hash():
    words = pa.array([f"word {i % 40}" for i in range(500)])
    numbers = np.arange(500) % 3
    order, bounds = kernels.hash_partition(words, numbers, count=7)
    targets = kernels.hash_columns(words, numbers) % np.uint64(7)
    for p in range(7):
        assert order[bounds[p] : bounds[p + 1]].tolist() == np.flatnonzero(targets == p).tolist()


def test_ids_number_the_distinct_keys():
    index = kernels.GroupIndex(pa.string(), pa.date32())
    words = pa.array(["a", None, "a", "b"])
    days = pa.array([1, 1, None, 1], pa.int32()).view(pa.date32())
    assert index.intern(words, days).tolist() == [0, 1, 2, 3]
    assert (len(index), index.id_bound) == (4, 4)
    assert index.keys(np.arange(4)) == [words, days]
    index.release([1, 2])
    assert index.ids().tolist() == [0, 3]
    assert index.find(words, days).tolist() == [0, -1, -1, 3]
    index.release([])
    assert index.keys([])[0].equals(pa.array([], pa.string()))


def test_keys_come_in_the_unit_scale_and_width_of_the_index():
    index = kernels.GroupIndex(pa.timestamp("ms"), pa.decimal128(10, 2))
    ids = index.intern(pa.array([1], pa.timestamp("s")), pa.array([Decimal("1.500")], pa.decimal128(10, 3)))
    assert [column.to_pylist() for column in index.keys(ids)] == [[datetime(1970, 1, 1, 0, 0, 1)], [Decimal("1.50")]]
    with pytest.raises(ValueError, match="of int64 cannot become int32, the index's type"):
        kernels.GroupIndex(pa.int32()).intern(np.array([2**40]))
    with pytest.raises(TypeError, match="are Arrow types"):
        kernels.GroupIndex("int")


def test_a_column_of_a_data_frame_keeps_its_nulls():
    plain = kernels.hash_columns(pa.array([1, None]))
    assert kernels.hash_columns(pl.Series([1, None])).tolist() == plain.tolist()
    assert kernels.hash_columns(pd.Series([1, None], dtype="Int64")).tolist() == plain.tolist()


@pytest.mark.parametrize("count", [0, -1, 2**40])
def test_the_count_of_partitions_fits_32_bits(count):
    with pytest.raises(ValueError, match="count is from 1"):
        kernels.hash_partition(np.array([1]), count=count)


def test_ids_that_are_none_are_refused():
    index = kernels.GroupIndex(pa.int64())
    index.intern([1, 2])
    with pytest.raises(ValueError, match="id 2 at position 0 has no key"):
        index.keys([2])
    with pytest.raises(ValueError, match="between 0 and"):
        index.release([2**32])
    with pytest.raises(TypeError, match="sequence of integers"):
        index.keys([0.5])
    with pytest.raises(ValueError, match="at least one key column"):
        kernels.GroupIndex()
    with pytest.raises(TypeError, match="nested"):
        kernels.GroupIndex(pa.list_(pa.int64()))
