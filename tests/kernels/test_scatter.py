# SPDX-License-Identifier: Apache-2.0
"""Scatter: rows to the places of their partitions, in the columns' own layouts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native import partition
from flinkcore._native.column import Column
from flinkcore._native.partition import key_groups, places
from flinkcore._native.scatter import order_of, scattered, scattered_values
from flinkcore.kernels import hash_columns, scatter
from tests.kernels.inputs import forms, sliced


def hash_places(hashes, count):
    return partition.places(key_groups(hashes, count), count)


def places_naive(hashes, count):
    """A stable sort by hash % count."""
    targets = [int(hash) % count for hash in hashes]
    order = sorted(range(len(targets)), key=targets.__getitem__)
    places = [0] * len(targets)
    for place, row in enumerate(order):
        places[row] = place
    return places, [sum(target < t for target in targets) for t in range(count + 1)]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 100, 1001])
@pytest.mark.parametrize("count", [1, 2, 3, 16, 100, 1023, 1024, 1025, 2048])
def test_places_are_those_of_a_stable_sort(n, count):
    hashes = np.random.default_rng(n * count).integers(0, 2**64, n, dtype=np.uint64)
    places, bounds = hash_places(hashes, count)
    assert (places.tolist(), bounds.tolist()) == places_naive(hashes, count)
    order = order_of(places)
    assert [places[row] for row in order] == list(range(n))


@pytest.mark.parametrize("n", [4096, 4100, 4227, 8192, 8195, 16_384 - 4, 65_536, 70_000])
@pytest.mark.parametrize("count", [2, 100, 128, 1024, 3000])
def test_places_of_large_batches_are_those_of_a_stable_sort(n, count):
    """Stripes of rows, and those that are moved apart from each other."""
    hashes = np.random.default_rng(n + count).integers(0, 2**64, n, dtype=np.uint64)
    places, bounds = hash_places(hashes, count)
    targets = hashes % np.uint64(count)
    order = np.argsort(targets, kind="stable")
    np.testing.assert_array_equal(order_of(places), order)
    np.testing.assert_array_equal(bounds, np.searchsorted(targets[order], np.arange(count + 1)))


def test_places_of_one_target_only():
    for count in (2, 16, 2000):
        hashes = np.full(1003, 2**64 - count, np.uint64)
        hashes += np.uint64((count - int(hashes[0]) % count) % count)
        places, bounds = hash_places(hashes, count)
        assert (places.tolist(), bounds.tolist()) == places_naive(hashes, count)


N = 203


def some(rng, values, nulls=True):
    return [None if nulls and rng.random() < 0.2 else values(i) for i in range(N)]


def arrays(nulls):
    rng = np.random.default_rng(7)
    word = lambda i: "w" * int(rng.integers(0, 20)) + str(i)  # noqa: E731
    whole = lambda i: int(rng.integers(0, 100))  # noqa: E731
    made = [
        pa.array(some(rng, whole, nulls), type)
        for type in (
            pa.int8(),
            pa.int16(),
            pa.int32(),
            pa.int64(),
            pa.float32(),
            pa.float64(),
            pa.date32(),
            pa.timestamp("us", "UTC"),
            pa.duration("s"),
            pa.time32("s"),
            pa.decimal128(12, 3),
            pa.decimal256(60, 3),
        )
    ]
    made += [
        pa.array(some(rng, word, nulls), type)
        for type in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary())
    ]
    made += [
        pa.array(some(rng, lambda i: bool(i % 3), nulls), pa.bool_()),
        pa.array(some(rng, lambda i: (str(i) + "xyzxyz").encode()[:5], nulls), pa.binary(5)),
        pa.array(some(rng, lambda i: b"", nulls), pa.binary(0)),
        pa.array(some(rng, lambda i: [i, None], nulls), pa.list_(pa.int64())),
        pa.array(some(rng, lambda i: {"a": i}, nulls), pa.struct({"a": pa.int64()})),
        pa.array(some(rng, lambda i: str(i % 7), nulls)).dictionary_encode(),
        pa.array(some(rng, lambda i: np.float16(i / 2), nulls), pa.float16()),
        pa.ExtensionArray.from_storage(pa.bool8(), pa.array(some(rng, lambda i: i % 2, nulls), pa.int8())),
        pa.nulls(N),
    ]
    return made


@pytest.mark.parametrize("nulls", [False, True])
def test_a_scattered_column_is_the_gathered_one(nulls):
    rng = np.random.default_rng(1)
    order = rng.permutation(N)
    places = np.empty(N, np.int32)
    places[order] = np.arange(N)
    for array in arrays(nulls):
        values = array.to_pylist()
        for same in (array, sliced(array)):
            got = scattered(same, places)
            got.validate(full=True)
            assert got.type == array.type
            assert got.to_pylist() == [values[row] for row in order], array.type
            assert got.null_count == array.null_count
            column = Column.from_arrow(same)
            got = column.scatter(places)
            assert (got.kind, got.type, got.null_count) == (column.kind, column.type, column.null_count)
            assert got.to_pylist() == column.take(order).to_pylist(), array.type


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize("n", [1, 63, 64, 65, 71, 200, 3000])
def test_rows_of_two_targets_go_where_their_places_say(n, share):
    """Their places are two runs, which have a loop of their own, up to a place that is out of line."""
    rng = np.random.default_rng(n)
    values = rng.integers(0, 2**60, n)
    words = np.array([b"x" * int(length) for length in rng.integers(0, 80, n)], object)
    to, _ = places((rng.random(n) < share).astype(np.int32), 2)
    for swapped in (0, 2, 7):
        for _ in range(swapped):
            one, other = rng.integers(0, n, 2)
            to[one], to[other] = to[other], to[one]
        order = np.argsort(to)
        assert scattered_values(values, to).tolist() == values[order].tolist()
        column = Column.from_arrow(pa.array(words.tolist(), pa.binary()))
        assert column.scatter(to).to_pylist() == words[order].tolist()


def test_objects_and_arrays_scatter_too():
    places = np.array([2, 0, 1], np.int32)
    assert Column.from_objects(["a", None, {"b": 1}]).scatter(places).to_pylist() == [None, {"b": 1}, "a"]
    for dtype in (np.uint8, np.int64, np.uint64):
        made = scattered_values(np.array([7, 8, 9], dtype), places)
        assert (made.dtype, made.tolist()) == (dtype, [8, 9, 7])


def test_a_dictionary_is_shared():
    array = pa.array(["a", "b", "a"]).dictionary_encode()
    got = scattered(array, np.array([2, 0, 1], np.int32))
    assert got.to_pylist() == ["b", "a", "a"]
    assert got.dictionary.buffers()[2].address == array.dictionary.buffers()[2].address


def test_places_for_another_number_of_values_are_refused():
    with pytest.raises(ValueError, match="3 places for 2 values"):
        scattered(pa.array([1, 2]), np.arange(3, dtype=np.int32))
    with pytest.raises(ValueError, match="3 places for 2 values"):
        Column.from_numpy([1, 2]).scatter(np.arange(3, dtype=np.int32))
    for values in (np.arange(2), np.arange(6)[::2], np.array(["a", 1, None], object)):
        with pytest.raises(ValueError, match="3 places for an array"):
            scattered_values(values, np.arange(3, dtype=np.int32))


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_partitions_of_a_batch_hold_the_rows_of_their_hashes(count):
    rng = np.random.default_rng(count)
    words = pa.array([None if i % 11 == 0 else f"w{i % 40}" for i in range(500)])
    batch = pa.record_batch({"w": words, "n": rng.integers(0, 5, 500), "x": rng.random(500)})
    got, bounds = scatter(batch, ["w", "n"], count)
    assert got.schema == batch.schema
    targets = hash_columns(words, batch["n"]) % np.uint64(count)
    for p in range(count):
        assert got.slice(bounds[p], bounds[p + 1] - bounds[p]).equals(
            batch.take(pa.array(np.flatnonzero(targets == p)))
        )


def test_partitions_are_slices_of_the_batch():
    got, bounds = scatter({"a": np.arange(100)}, "a", 4)
    part = got.slice(bounds[2], bounds[3] - bounds[2])
    assert part["a"].buffers()[1].address == got["a"].buffers()[1].address


def test_every_form_of_a_batch_is_scattered_alike():
    expected, expected_bounds = scatter({"k": pa.array([5, None, 7, 5, 9])}, "k", 3)
    for name, column in forms([5, None, 7, 5, 9], pa.int64()).items():
        if name != "masked":
            got, bounds = scatter({"k": column}, "k", 3)
            assert got["k"].to_pylist() == expected["k"].to_pylist(), name
            assert bounds.tolist() == expected_bounds.tolist()
    table = pa.table({"k": pa.chunked_array([[5, None], [7], [5, 9]])})
    assert scatter(table, "k", 3)[0].equals(expected)
    empty, bounds = scatter({"k": pa.array([], pa.string())}, "k", 3)
    assert (empty.num_rows, bounds.tolist()) == (0, [0, 0, 0, 0])


def test_faults_of_scatter_are_named():
    batch = pa.record_batch({"a": [1], "b": [[1]]})
    with pytest.raises(ValueError, match=r"column 'c' is not in the schema, which has a, b"):
        scatter(batch, "c", 2)
    with pytest.raises(TypeError, match="nested"):
        scatter(batch, "b", 2)
    with pytest.raises(ValueError, match="count is from 1"):
        scatter(batch, "a", 0)
    with pytest.raises(ValueError, match="at least one key column"):
        scatter(batch, [], 2)
    with pytest.raises(TypeError, match="expected a RecordBatch"):
        scatter(5, "a", 2)  # type: ignore[arg-type]
