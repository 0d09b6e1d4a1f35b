# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import doctest
import importlib
import pkgutil
import sys
import threading
from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flinkcore import kernels
from flinkcore.kernels.columns import batch_of, batches_of, column_of
from tests.kernels.inputs import ExportsArray, ExportsSchema, ExportsStream, address, forms

WORDS = ["a", None, "", "bc", "a", "a longer word than a slot holds", None, "bc", "c" * 300]
NUMBERS = [3, None, -1, 2**40, 3, 0, 7, None, 2**63 - 1]


def test_the_examples_in_the_docstrings_are_true():
    attempted = 0
    for module in pkgutil.iter_modules(kernels.__path__, "flinkcore.kernels."):
        results = doctest.testmod(importlib.import_module(module.name))
        assert results.failed == 0, module.name
        attempted += results.attempted
    assert attempted > 30


def test_the_list_of_public_names_is_whole():
    for name in kernels.__all__:
        assert getattr(kernels, name).__doc__
    assert kernels.__all__ == sorted(kernels.__all__)


@pytest.mark.parametrize("values, type", [
    (WORDS, pa.string()), (NUMBERS, pa.int64()), ([1, 2, 3, 1], pa.int64()), ([], pa.int64()), ([], pa.string()),
    ([True, None, False], pa.bool_()), ([0.5, float("nan"), -0.0, None], pa.float64()),
    ([Decimal("1.50"), None], pa.decimal128(10, 2)), ([1, None, -5], pa.timestamp("us")),
])
def test_every_form_of_a_column_hashes_and_interns_alike(values, type):
    array = pa.array(values, type)
    hashes = kernels.hash_columns(array).tolist()
    ids = kernels.GroupIndex(type).intern(array).tolist()
    order, bounds = kernels.hash_partition(array, count=3)
    firsts = list(dict.fromkeys(map(repr, values)))
    assert ids == [firsts.index(repr(value)) for value in values]
    for name, same in forms(values, type).items():
        assert kernels.hash_columns(same).tolist() == hashes, name
        assert kernels.GroupIndex(type).intern(same).tolist() == ids, name
        got = kernels.hash_partition(same, count=3)
        assert got[0].tolist() == order.tolist() and got[1].tolist() == bounds.tolist(), name


def test_words_and_masks_are_borrowed_not_copied():
    """The kernels read the caller's memory: what is changed there before a call is seen by it."""
    plain = np.arange(1000)
    assert column_of(plain).to_numpy().__array_interface__["data"][0] == plain.__array_interface__["data"][0]
    array = pa.array(plain)
    for same in (array, array.slice(10), pa.chunked_array([array]), ExportsArray(array)):
        start = 8 * (len(array) - len(column_of(same)))
        assert column_of(same).to_numpy().__array_interface__["data"][0] == address(array) + start
    doubles = pa.array(plain / 2)
    assert column_of(doubles).to_numpy().__array_interface__["data"][0] == address(doubles)


def test_what_is_no_column_is_refused():
    for values in (pa.array([[1]]), pa.array([{"a": 1}]), pa.nulls(2), np.array([object()]), np.zeros((2, 2)), 5):
        with pytest.raises((TypeError, ValueError)):
            kernels.hash_columns(values)
    with pytest.raises(TypeError, match="nested Arrow values, expected int64, float64, bool, string or binary"):
        kernels.hash_columns(pa.array([[1]]))
    with pytest.raises(ValueError, match="key column 1 has 1 rows, column 0 has 2"):
        kernels.hash_columns([1, 2], [1])
    with pytest.raises(ValueError, match="at least one key column"):
        kernels.hash_columns()


def test_hashes_and_partitions_from_several_threads():
    rng = np.random.default_rng(3)
    columns = [rng.integers(0, 1000, 50_000) for _ in range(8)]
    expected = [(kernels.hash_columns(column).tolist(), kernels.hash_partition(column, count=7)[0].tolist())
                for column in columns]
    got: dict[int, tuple[list[int], list[int]]] = {}

    def work(i: int) -> None:
        got[i] = (kernels.hash_columns(columns[i]).tolist(), kernels.hash_partition(columns[i], count=7)[0].tolist())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(columns))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[i] for i in range(len(columns))] == expected


@pytest.mark.parametrize("type, expected", [
    (pa.int32(), pa.int32()), (np.int16, pa.int16()), (np.dtype("float64"), pa.float64()),
    (ExportsSchema(pa.field("a", pa.string())), pa.string()), (pa.field("a", pa.bool_()), pa.bool_()),
])
def test_types_come_from_arrow_numpy_and_what_exports_a_schema(type, expected):
    assert kernels.GroupIndex(type).types == (expected,)


@pytest.mark.parametrize("data", [
    pa.table({"a": [1, 2, 3]}),
    pa.record_batch({"a": [1, 2, 3]}),
    pa.table({"a": pa.chunked_array([[1], [2, 3]])}),
    {"a": [1, 2, 3]},
    {"a": np.array([1, 2, 3])},
    {"a": ExportsStream(pa.chunked_array([[1], [2, 3]]))},
    ExportsArray(pa.record_batch({"a": [1, 2, 3]})),
    ExportsStream(pa.table({"a": [1, 2, 3]})),
    [pa.table({"a": [1, 2]}), {"a": [3]}],
    pl.DataFrame({"a": [1, 2, 3]}),
    pd.DataFrame({"a": [1, 2, 3]}),
], ids=lambda data: type(data).__name__)
def test_batches_come_in_any_form(data):
    assert [value for batch in batches_of(data) for value in batch["a"].to_pylist()] == [1, 2, 3]
    assert batch_of(data)["a"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize("data", [{"a": []}, pa.table({"a": pa.array([], pa.int64())}),
                                  ExportsStream(pa.table({"a": pa.chunked_array([], pa.int64())}))])
def test_an_empty_batch_still_says_its_schema(data):
    assert [(batch.num_rows, batch.schema.names) for batch in batches_of(data)] == [(0, ["a"])]


@pytest.mark.parametrize("data", [5, "table", np.array([1]), [1]])
def test_what_is_no_batch_is_refused(data):
    with pytest.raises(TypeError, match="expected a RecordBatch"):
        list(batches_of(data))


def test_an_index_that_is_cleared_starts_anew():
    index = kernels.GroupIndex(pa.int64(), ids_max=2)
    index.reserve(2)
    assert index.intern([5, 6]).tolist() == [0, 1]
    with pytest.raises(OverflowError, match="2 keys are live, ids_max is 2"):
        index.intern([5, 7])
    index.clear()
    assert (len(index), index.id_bound) == (0, 0)
    assert index.intern([7, 5]).tolist() == [0, 1]
    assert repr(index) == "GroupIndex(int64; 2 keys)"


def test_a_second_thread_gets_an_error_not_torn_state():
    """Threads that intern at once: each call is done whole, or refused."""
    index = kernels.GroupIndex(pa.int64())
    columns = [np.random.default_rng(i).integers(0, 10**6, 20_000) for i in range(20)]
    refused = [0]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def work() -> None:
        for column in columns:
            try:
                index.intern(column)
            except RuntimeError as error:
                assert "two threads" in str(error)
                refused[0] += 1

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert refused[0] < 2 * len(columns)
    for column in columns:
        index.intern(column)
    keys = index.keys(index.ids())[0].to_pylist()
    assert sorted(keys) == sorted(set(np.concatenate(columns).tolist()))


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
    with pytest.raises(ValueError, match="of int64 cannot become int32, its declared type"):
        kernels.GroupIndex(pa.int32()).intern(np.array([2**40]))
    with pytest.raises(TypeError, match="are Arrow types"):
        kernels.GroupIndex("int")


def test_a_column_of_a_data_frame_keeps_its_nulls():
    plain = kernels.hash_columns(pa.array([1, None]))
    assert kernels.hash_columns(pl.Series([1, None])).tolist() == plain.tolist()
    assert kernels.hash_columns(pd.Series([1, None], dtype="Int64")).tolist() == plain.tolist()


def test_types_that_numpy_has_not_keep_their_nulls():
    class Extension:
        dtype = "Int64"

        def __arrow_array__(self, type=None):
            return pa.array([1, None], type)

        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, np.nan])

    plain = kernels.hash_columns(pa.array([1, None])).tolist()
    assert kernels.hash_columns(Extension()).tolist() == plain
    assert kernels.hash_columns(pd.array([1, None], dtype="Int64")).tolist() == plain


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
