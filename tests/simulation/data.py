# SPDX-License-Identifier: Apache-2.0
"""Random records: nulls, strings, numbers around every edge, negative times, disorder within a bound."""

from __future__ import annotations

import datetime
import math
import random
from typing import Any

import pyarrow as pa

from flinkcore.common import Row, Types

Record = tuple[Any, ...]

FIELDS = ("id", "k", "g", "i", "v", "x", "s", "ts")
ID, K, G, INT, V, X, S, TS = range(8)
TYPE = Types.ROW_NAMED(
    list(FIELDS),
    [
        Types.LONG(),
        Types.STRING(),
        Types.LONG(),
        Types.INT(),
        Types.LONG(),
        Types.DOUBLE(),
        Types.STRING(),
        Types.LONG(),
    ],
)
ARROW = pa.schema(
    [
        ("id", pa.int64()),
        ("k", pa.string()),
        ("g", pa.int64()),
        ("i", pa.int32()),
        ("v", pa.int64()),
        ("x", pa.float64()),
        ("s", pa.string()),
        ("ts", pa.int64()),
    ]
)

WORDS = ["", "a", "b", "ab", "ä", "日本", "a b", "Z" * 40, "\U0001f600", "z"]
EPOCH = datetime.datetime(1970, 1, 1)


def random_records(
    rng: random.Random, count: int, first_id: int, base_ms: int, disorder_ms: int, wild: bool, even: bool = True
) -> list[Record]:
    """Records whose time is at most `disorder_ms` behind the highest before them.

    even : times are even, see windows.random_windows; `disorder_ms` is then even, too
    wild : floats may be NaN, infinite or -0.0, and integers so large that sums wrap
    """
    keys = rng.sample(WORDS, rng.randint(1, 6)) + ([None] if rng.random() < 0.3 else [])
    groups = [rng.choice([0, 1, -1, 7, 2**40, -(2**62)]) for _ in range(rng.randint(1, 4))]
    pace_ms = rng.choice([0, 1, 5, 40])
    now_ms = base_ms
    records = []
    for place in range(count):
        now_ms += rng.randint(0, pace_ms)
        if rng.random() < 0.02:
            now_ms += rng.randint(0, 2000)
        v = None if rng.random() < 0.1 else rng.randint(-20, 100)
        i = None if rng.random() < 0.1 else rng.randint(-5, 5)
        x = None if rng.random() < 0.1 else rng.randint(-400, 400) / 4
        if wild and rng.random() < 0.1:
            v, i = rng.choice([2**62, -(2**63), 2**63 - 1]), rng.choice([2**31 - 1, -(2**31)])
            x = rng.choice([math.nan, math.inf, -math.inf, -0.0, 0.0])
        s = None if rng.random() < 0.1 else rng.choice(WORDS)
        time_ms = now_ms - rng.randint(0, disorder_ms)
        if even:
            time_ms -= time_ms % 2
        records.append((first_id + place, rng.choice(keys), rng.choice(groups), i, v, x, s, time_ms))
    return records


def rows_of(records: list[Record]) -> list[Row]:
    return [Row(*record) for record in records]


def table_of(records: list[Record], chunks: int) -> pa.Table:
    """The records as a table of `chunks` record batches, some of them perhaps empty."""
    size = max(1, -(-len(records) // chunks))
    batches = [
        pa.RecordBatch.from_arrays(
            [pa.array(column, type) for column, type in zip(zip(*part), ARROW.types)], schema=ARROW
        )
        for start in range(0, len(records), size)
        if (part := records[start : start + size])
    ]
    return pa.Table.from_batches(batches, ARROW)


def plain(value: Any) -> Any:
    """A value that is equal exactly when results are the same: NaN is NaN, 0.0 is not -0.0, 1 is not True."""
    if isinstance(value, float):
        return f"float {value!r}"
    if isinstance(value, bool):
        return f"bool {value}"
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // datetime.timedelta(milliseconds=1)
    if isinstance(value, (Row, tuple, list)):
        return tuple(map(plain, value))
    return value
