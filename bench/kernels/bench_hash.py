# SPDX-License-Identifier: Apache-2.0
"""Key columns to hashes, in batches as operators see them."""

from __future__ import annotations

import numpy as np
import pytest

from bench import data
from bench.kernels.batches import batches_of, bytes_of
from flinkcore._native.column import Column
from flinkcore._native.hash import hash_columns


def columns(kind: str, rows: int) -> list[Column]:
    table = data.events(rows, 100_000)
    key, value = Column.from_arrow(table["key"]), Column.from_arrow(table["value"])
    match kind:
        case "i64":
            return [key]
        case "f64":
            return [Column.from_numpy(value.to_numpy() / 8)]
        case "bool":
            return [Column.from_numpy(value.to_numpy() % 2 == 0)]
        case "i64 with nulls":
            return [Column.from_numpy(key.to_numpy(), valid=value.to_numpy() % 10 != 0)]
        case "i64, i64":
            return [key, value]
        case "url":
            return [Column.from_arrow(data.urls(rows, 1000)["url"])]
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["i64", "f64", "bool", "i64 with nulls", "i64, i64", "url"])
def bench_hash_columns(timed, size, kind):
    rows = size(smoke=10_000, full=10_000_000)
    keys = columns(kind, rows)
    batches = batches_of(keys)
    hashes = timed(lambda: [hash_columns(batch) for batch in batches], rows=rows, bytes=bytes_of(keys))
    assert sum(map(len, hashes)) == rows
    again = hash_columns(batches[-1])
    np.testing.assert_array_equal(hashes[-1], again)
    if kind == "url":
        assert len(np.unique(np.concatenate(hashes))) == 1000
