# SPDX-License-Identifier: Apache-2.0
"""Aggregates by a naive twin: a dict of the records of every row, aggregated anew at each question."""

from __future__ import annotations

import math
import struct

import numpy as np
import pyarrow as pa

from flinkcore._native.agg import RETRACTABLE, ROUND_F32
from flinkcore._native.column import BOOL, BYTES, F64, I64, Column

TYPES = {I64: pa.int64(), F64: pa.float64(), BOOL: pa.bool_(), BYTES: pa.binary()}
KINDS = (I64, F64, BOOL, BYTES)
MIN64, MAX64 = -(2**63), 2**63 - 1


def column(kind, values):
    return Column.from_arrow(pa.array(values, TYPES[kind]))


def ids_of(values):
    return np.array(values, np.int32)


def to_f32(x):
    return float(np.float32(x))


def wrap(x):
    return (x + 2**63) % 2**64 - 2**63


def divide(total, count):
    quotient = abs(total) // abs(count)
    return wrap(quotient if (total < 0) == (count < 0) else -quotient)


def result_naive(spec, records):
    """One aggregate over records (value, comparand), in order of arrival."""
    op, kind, flags = spec[:3]
    if op == "count_star":
        return len(records)
    seen = [record for record in records if record[0] is not None]
    if op == "count":
        return len(seen)
    if op in ("sum", "sum0", "avg"):
        total = None if op == "sum" else 0 if kind == I64 else 0.0
        for value, _ in seen:
            total = value if total is None else total + value
            total = wrap(total) if kind == I64 else to_f32(total) if flags & ROUND_F32 else total
        if op == "avg":
            return None if not seen else divide(total, len(seen)) if kind == I64 else total / len(seen)
        return total
    if op in ("first", "last"):
        return None if not seen else seen[0 if op == "first" else -1][0]
    if op in ("min", "max"):
        held = None
        for value, _ in seen:
            if held is None or (value < held if op == "min" else value > held):
                held = value
        return held
    best = None
    for value, by in records:
        if by is not None and (best is None or (by < best[1] if op == "min_by" else by > best[1])):
            best = (value, by)
    return None if best is None else best[0]


class Twin:
    """The records of every row."""

    def __init__(self, specs):
        self.specs = specs
        self.rows = {}

    def update(self, ids, args):
        for i, row in enumerate(ids):
            self.rows.setdefault(int(row), []).append(record_at(args, i))

    def results(self, ids):
        return [
            [result_naive(spec, [record[k] for record in self.rows.get(int(row), [])]) for row in ids]
            for k, spec in enumerate(self.specs)
        ]


def record_at(args, i):
    return [(values[0][i] if values else None, values[1][i] if len(values) > 1 else None) for values in args]


def same(a, b):
    """Equal, doubles bit by bit (all NaN alike)."""
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or struct.pack("d", a) == struct.pack("d", b)
    return type(a) is type(b) and a == b


def assert_same(columns, expected):
    assert len(columns) == len(expected)
    for k, (got, want) in enumerate(zip(columns, expected)):
        values = got.to_pylist()
        assert len(values) == len(want)
        assert got.null_count == sum(value is None for value in want)
        for i, (a, b) in enumerate(zip(values, want)):
            assert same(a, b), f"aggregate {k}, row {i}: {a!r} is not {b!r}"


ALL_SPECS = [
    ("count_star", I64, 0),
    *[("count", kind, 0) for kind in KINDS],
    ("sum", I64, 0),
    ("sum", F64, 0),
    ("sum", F64, ROUND_F32),
    ("sum", I64, RETRACTABLE),
    ("sum0", I64, 0),
    ("sum0", F64, 0),
    ("avg", I64, 0),
    ("avg", F64, 0),
    *[(op, kind, 0) for op in ("min", "max", "first", "last") for kind in KINDS],
]
BY_SPECS = [(op, kind, 0, by) for op in ("min_by", "max_by") for kind in KINDS for by in KINDS]


def random_values(rng, kind, n, nulls):
    def one():
        if rng.random() < nulls:
            return None
        if kind == I64:
            return rng.choice((0, 1, -1, rng.randint(-50, 50), rng.randint(MIN64, MAX64)))
        if kind == F64:
            return rng.choice(
                (0.0, -0.0, math.nan, math.inf, -math.inf, rng.uniform(-9, 9), to_f32(rng.gauss(0, 1)))
            )
        if kind == BOOL:
            return rng.random() < 0.5
        return bytes(rng.choices(b"ab", k=rng.choice((0, 1, 2, 7, 8, 9, 30))))

    return [one() for _ in range(n)]


def random_args(rng, specs, n, nulls):
    args = []
    for spec in specs:
        kinds = () if spec[0] == "count_star" else (spec[1],) if len(spec) == 3 else (spec[1], spec[3])
        args.append(tuple(random_values(rng, kind, n, nulls) for kind in kinds))
    return args


def columns_of(specs, args):
    return [
        tuple(column(kind, values) for kind, values in zip((spec[1], spec[-1]), arg))
        for spec, arg in zip(specs, args)
    ]


def cut(args, start, end):
    return [tuple(values[start:end] for values in arg) for arg in args]


def random_ids(rng, n, bound):
    return ids_of([rng.randrange(bound) for _ in range(n)])


def exact(values):
    """Doubles whose sums do not depend on the order of addition."""
    return [None if value is None else float(int(value)) if math.isfinite(value) else 1.0 for value in values]


def random_exact_args(rng, specs, n):
    args = random_args(rng, specs, n, 0.3)
    return [
        tuple(exact(values) for values in arg)
        if spec[1] == F64 and spec[0] in ("sum", "sum0", "avg")
        else arg
        for spec, arg in zip(specs, args)
    ]


MERGE_SPECS = [spec for spec in ALL_SPECS if not (spec[1] == F64 and spec[0] in ("min", "max"))] + [
    spec for spec in BY_SPECS if spec[3] in (I64, BYTES)
]
# A NaN that comes first is kept, so min and max of doubles with NaN depend on where the cut is.
