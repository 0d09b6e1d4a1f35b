# SPDX-License-Identifier: Apache-2.0
"""The bare kernels give the right answers: each against a twin in NumPy and pyarrow. Speeds are for
python -m bench limits."""

from __future__ import annotations

import ctypes

import numpy as np
import pyarrow as pa
import pytest

from bench import data
from bench.limits import kernels
from bench.limits.command import NAMES
from bench.limits.measure import OF_JOB, measure, together
from bench.limits.native import at_address, library
from bench.workloads import VALUE_MIN, WINDOW_MS, WORKLOADS, filtered, tumbling

ROWS = 20_011  # no multiple of a block


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("keys", [1, 7, 5_000])
def bench_bare_group_by(keys, staged, threads):
    parts = kernels.events_by_key(ROWS, keys, "uniform", threads)
    with kernels.grouping(parts, kernels.distinct_keys(parts), staged) as calls:
        together(calls)
        found = np.concatenate([rows_of(call) for call in calls])
    table = data.events(ROWS, keys)
    answer = table.group_by("key").aggregate([("value", "count"), ("value", "sum"), ("value", "max")])
    expected = np.stack([column.to_numpy() for column in answer.columns], axis=1)
    np.testing.assert_array_equal(found[found[:, 0].argsort()], expected[expected[:, 0].argsort()])


def rows_of(call) -> np.ndarray:
    table, _ = call.__defaults__  # what the call was made for
    return kernels.table_rows(table).copy()


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("keys", [1, 7, 5_000])
def bench_bare_intern(keys, staged):
    parts = kernels.events_by_key(ROWS, keys, "uniform", 1)
    results: list[np.ndarray] = []
    with kernels.interning(parts, kernels.distinct_keys(parts), staged, results) as calls:
        together(calls)
    seen: dict[int, int] = {}
    assert results[0].tolist() == [seen.setdefault(key, len(seen)) for key in parts[0][0].tolist()]


def bench_bare_update():
    ids, values = np.arange(100, dtype=np.int32) % 7, np.arange(100)
    rows = np.zeros((7, 4), np.int64)
    library().bare_update(rows.ctypes.data, ids.ctypes.data, values.ctypes.data, 100)
    for i, (_, count, total, top) in enumerate(rows.tolist()):
        mine = values[ids == i]
        assert (count, total, top) == (len(mine), mine.sum(), mine.max())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("keys", [3, 5_000])
def bench_bare_tumbling(keys, staged, threads):
    results: list[np.ndarray] = []
    with kernels.tumbling(
        kernels.events_by_key(ROWS, keys, "uniform", threads), keys, staged, results
    ) as calls:
        together(calls)
    found = np.concatenate(results, axis=1)
    answer = tumbling(data.events(ROWS, keys))
    expected = np.stack([column.to_numpy() for column in answer.columns])
    order, expected_order = np.lexsort(found[:2]), np.lexsort(expected[:2])
    np.testing.assert_array_equal(found[:, order], expected[:, expected_order])


def bench_bare_tumbling_says_when_too_many_windows_are_open():
    times = np.arange(10) * WINDOW_MS
    windows = kernels.made(library().bare_windows(10), "windows")
    outputs = [np.zeros(10, np.int64) for _ in range(5)]
    columns = (ctypes.c_void_p * 5)(*(output.ctypes.data for output in outputs))
    keys = np.arange(10)
    written = library().bare_tumbling(
        windows, keys.ctypes.data, keys.ctypes.data, times.ctypes.data, 10, 10, False, columns
    )
    library().bare_windows_free(windows)
    assert written == -1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("staged", [False, True])
def bench_bare_count_of_texts(staged, threads):
    words = ["", "a", "b", "ab", "x" * 8, "x" * 9, "x" * 15 + "y", "x" * 16, "x" * 17, "x" * 100, "é"]
    texts = pa.array([words[i * i % len(words)] + str(i % 50 or "") for i in range(ROWS)])
    parts = kernels.texts_by_key(texts, threads)
    with kernels.counting(parts, kernels.distinct_texts(parts), staged) as calls:
        together(calls)
        found = {text: count for call in calls for text, count in counts_of(call).items()}
    answer = pa.table({"text": texts}).group_by("text").aggregate([([], "count_all")])
    assert found == {text.encode(): count for text, count in zip(*answer.to_pydict().values())}


def counts_of(call) -> dict[bytes, int]:
    table = call.__defaults__[0]
    start = library().bare_texts_records(table)
    found = {}
    for place, count in zip(kernels.text_places(table).tolist(), kernels.text_counts(table).tolist()):
        length = ctypes.c_int32.from_address(start + 8 * place + 8).value
        found[ctypes.string_at(start + 8 * place + 12, length)] = count
    return found


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 1_001])
def bench_bare_filter(rows):
    table = data.events(rows, 10)
    inputs = [table[name].combine_chunks().view(pa.int64()).to_numpy() for name in table.column_names]
    outputs = [np.zeros(rows + 8, np.int64) for _ in range(3)]
    pointers = [column.ctypes.data for column in inputs]
    kept = library().bare_filter(*pointers, rows, VALUE_MIN, *(column.ctypes.data for column in outputs))
    for found, expected in zip(outputs, filtered(table).columns):
        np.testing.assert_array_equal(found[:kept], expected.cast(pa.int64()).to_numpy())


def bench_bare_memory_is_in_use_and_its_own():
    address = library().bare_memory(800)
    block = at_address(address, 100)
    assert not block.any()
    block[:] = 1
    assert library().bare_read(address, 100) == 100
    library().bare_free(address)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def bench_limit(name, threads):
    limit = measure(name, 2_000, threads, repetitions=2)
    assert len(limit.rates) == 2 and limit.rate > 0


def bench_limits_of_jobs_are_known():
    assert set(OF_JOB) <= set(WORKLOADS)
    for name in OF_JOB.values():
        assert kernels.work(name, 100, 1).amount == 100
    with pytest.raises(ValueError, match="is no limit"):
        kernels.work("fly", 100, 1)
