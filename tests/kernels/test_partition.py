# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore._native.hash import hash_columns
from flinkcore._native.partition import key_groups, key_places, places, subtasks

EDGES = np.array([0, 1, 127, 128, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1], np.uint64)


def hashes_of(n, seed=0):
    return np.concatenate([EDGES, np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)])


@pytest.mark.parametrize("max_parallelism", [
    1, 2, 3, 7, 100, 127, 128, 32767, 32768, 2**20 - 1, 2**20, 2**20 + 1, 2**31 - 1,
])
def test_key_group_is_the_hash_modulo_max_parallelism(max_parallelism):
    hashes = hashes_of(2000)
    multiples = hashes // np.uint64(max_parallelism) * np.uint64(max_parallelism)
    hashes = np.concatenate([hashes, multiples, multiples - np.uint64(1)])       # where a quotient may be off by one
    groups = key_groups(hashes, max_parallelism)
    assert groups.dtype == np.int32
    assert groups.tolist() == [h % max_parallelism for h in hashes.tolist()]


@pytest.mark.parametrize("parallelism, max_parallelism", [
    (1, 1), (1, 5), (5, 5), (3, 128), (127, 128), (128, 128), (5, 32768), (32768, 32768), (3, 2**31 - 1),
    (2**31 - 1, 2**31 - 1),
])
def test_subtask_owns_a_range_of_key_groups(parallelism, max_parallelism):
    hashes = hashes_of(1000)
    assert subtasks(hashes, max_parallelism, parallelism).tolist() == [
        h % max_parallelism * parallelism // max_parallelism for h in hashes.tolist()
    ]


@pytest.mark.parametrize("parallelism, max_parallelism", [(1, 1), (2, 128), (3, 128), (2, 100), (1025, 1030)])
@pytest.mark.parametrize("n", [0, 1, 511, 512, 513, 3000])
def test_places_of_keys_are_those_of_the_subtasks_that_own_their_hashes(n, parallelism, max_parallelism):
    numbers = pa.array([None if i % 7 == 3 else i * i for i in range(n + 5)], pa.int64()).slice(5)
    texts = pa.array([None if i % 5 == 2 else "x" * (i % 40) for i in range(n + 5)]).slice(5)
    for keys in ([numbers], [texts], [texts, numbers]):
        columns = [Column.from_arrow(key) for key in keys]
        made, bounds = key_places(columns, max_parallelism, parallelism)
        expected, edges = places(subtasks(hash_columns(columns), max_parallelism, parallelism), parallelism)
        assert made.tolist() == expected.tolist()
        assert bounds.tolist() == edges.tolist()


def test_arguments_outside_their_range_are_refused():
    hashes = EDGES
    with pytest.raises(ValueError, match="max_parallelism is 0"):
        key_groups(hashes, 0)
    for parallelism in (0, 5):
        with pytest.raises(ValueError, match=r"expected 1 to max_parallelism \(4\)"):
            subtasks(hashes, 4, parallelism)
        with pytest.raises(ValueError, match=r"expected 1 to max_parallelism \(4\)"):
            key_places([Column.from_numpy(np.arange(3))], 4, parallelism)
    with pytest.raises(ValueError, match="count is 0"):
        places(np.zeros(1, np.int32), 0)
    for target, count in ((-1, 3), (3, 3), (4, 3), (-1, 2), (2, 2)):
        with pytest.raises(ValueError, match=rf"a target is outside \[0, {count}\)"):
            places(np.array([0, target], np.int32), count)
    with pytest.raises(ValueError, match="dtype mismatch"):
        key_groups(hashes.view(np.int64), 4)
