# SPDX-License-Identifier: Apache-2.0
"""The changelog of running aggregates, against a naive twin that keeps every record."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.hash import hash_columns
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.expr.aggregate import aggregate_call
from flinkcore.operators.base import OperatorContext
from flinkcore.operators.group_aggregate import GroupAggregate
from flinkcore.operators.key import KeyByColumns
from flinkcore.table.expression import to_node
from flinkcore.table.expressions import col, lit
from flinkcore.time import MAX_WATERMARK
from flinkcore.time.clock import ManualClock

SCHEMA = Schema(["k", "v"], [pa.string(), pa.int64()])
KIND = ["+I", "-U", "+U", "-D"]


class Collected:
    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.watermarks: list[int] = []

    def batch(self, batch: Batch) -> None:
        columns = [column.to_pylist() for column in batch.columns]
        self.rows += [(KIND[kind], *values) for kind, *values in zip(batch.kinds().tolist(), *columns)]

    def watermark(self, watermark_ms: int) -> None:
        self.watermarks.append(watermark_ms)

    def side(self, tag: str, batch: Batch) -> None:
        raise AssertionError(tag)

    def idle(self, idle: bool) -> None: ...


def run(calls, rows, emit="record", retracts=False, batch_rows=1000, schema=SCHEMA, end=True):
    key_schema = Schema(["k"], [schema.type_of("k")])
    operator = GroupAggregate(
        schema, key_schema, [aggregate_call(to_node(c), schema, str(c)) for c in calls], None, emit, retracts
    )
    out = Collected()
    operator.open(OperatorContext("test", ManualClock(), None, Configuration()), out)
    for start in range(0, len(rows), batch_rows):
        part = rows[start : start + batch_rows]
        columns = list(zip(*part))
        kinds = np.array([KIND.index(kind) for kind in columns[0]], np.uint8)
        arrays = [pa.array(list(c), type) for c, type in zip(columns[1:], schema.types)]
        batch = Batch.from_arrow(
            pa.RecordBatch.from_arrays(arrays, schema=schema.arrow), schema
        ).with_row_kinds(kinds)
        keys = (batch.column("k"),)
        operator.process_batch(batch.with_keys(keys, hash_columns(keys)))
    if end:
        operator.process_watermark(MAX_WATERMARK)
    return out.rows


def inserts(*rows):
    return [("+I", *row) for row in rows]


def test_a_record_that_changes_a_result_takes_the_old_one_back():
    assert run([col("v").sum], inserts(("a", 1), ("b", 2), ("a", 3))) == [
        ("+I", "a", 1),
        ("+I", "b", 2),
        ("-U", "a", 1),
        ("+U", "a", 4),
    ]


def test_a_record_that_changes_nothing_says_nothing():
    assert run([col("v").max], inserts(("a", 5), ("a", 3), ("a", None), ("a", 5))) == [("+I", "a", 5)]


def test_null_is_a_result_and_a_key():
    assert run([col("v").sum], inserts((None, None), (None, 1))) == [
        ("+I", None, None),
        ("-U", None, None),
        ("+U", None, 1),
    ]


def test_mini_batches_say_one_change_per_key():
    rows = inserts(("a", 1), ("b", 2), ("a", 3), ("a", 4), ("b", 0))
    assert run([col("v").sum], rows, "batch", batch_rows=3) == [
        ("+I", "a", 4),
        ("+I", "b", 2),
        ("-U", "a", 4),
        ("+U", "a", 8),
    ]


def test_final_results_come_once_and_before_the_last_watermark():
    rows = inserts(("a", 1), ("b", 2), ("a", 3))
    assert run([col("v").sum, lit(1).count], rows, "final") == [("+I", "a", 4, 2), ("+I", "b", 2, 1)]
    assert run([col("v").sum], rows, "final", end=False) == []


def test_an_empty_group_is_deleted_and_starts_anew():
    rows = [("+I", "a", 1), ("-D", "a", 1), ("+I", "a", 7)]
    for batch_rows in (1, 2, 3):
        assert run([col("v").sum], rows, retracts=True, batch_rows=batch_rows) == [
            ("+I", "a", 1),
            ("-D", "a", 1),
            ("+I", "a", 7),
        ]


def test_a_record_taken_back_from_an_empty_group_is_ignored():
    rows = [("-U", "a", 9), ("+U", "a", 1), ("-D", "b", 1), ("+I", "a", 1)]
    for batch_rows in (1, 4):
        assert run([col("v").sum, lit(1).count], rows, retracts=True, batch_rows=batch_rows) == [
            ("+I", "a", 1, 1),
            ("-U", "a", 1, 1),
            ("+U", "a", 2, 2),
        ]


def test_no_rest_of_a_float_sum_survives_an_empty_group():
    schema = Schema(["k", "v"], [pa.string(), pa.float64()])
    rows = [("+I", "a", 0.1), ("+I", "a", 0.2), ("-D", "a", 0.1), ("-D", "a", 0.2), ("+I", "a", 0.5)]
    assert run([col("v").sum], rows, retracts=True, schema=schema)[-1] == ("+I", "a", 0.5)


def test_a_null_sum_comes_back_when_the_last_value_goes():
    rows = [("+I", "a", None), ("+I", "a", 3), ("-D", "a", 3)]
    assert run([col("v").sum], rows, retracts=True) == [
        ("+I", "a", None),
        ("-U", "a", None),
        ("+U", "a", 3),
        ("-U", "a", 3),
        ("+U", "a", None),
    ]


# -- against the twin ----------------------------------------------------------------------------------------


def _results(records):
    present = [v for v in records if v is not None]
    total = sum(present) if present else None
    return (
        len(records),
        len(present),
        total,
        total or 0,
        None if not present else int(total / len(present)),
        len(set(present)),
        sum(set(present)) if present else None,
        min(present, default=None),
        max(present, default=None),
        present[0] if present else None,
        present[-1] if present else None,
    )


def twin(rows):
    groups, out = defaultdict(list), []
    for kind, key, value in rows:
        records = groups[key]
        before = _results(records) if records else None
        if kind in ("+I", "+U"):
            records.append(value)
        elif value in records:
            records.remove(value)
        after = _results(records) if records else None
        if before is None and after is not None:
            out.append(("+I", key, *after))
        elif before is not None and after is None:
            out.append(("-D", key, *before))
        elif before != after:
            out += [("-U", key, *before), ("+U", key, *after)]
    return out


CALLS = [
    lit(1).count,
    col("v").count,
    col("v").sum,
    col("v").sum0,
    col("v").avg,
    col("v").count.distinct,
    col("v").sum.distinct,
    col("v").min,
    col("v").max,
    col("v").first_value,
    col("v").last_value,
]


def random_rows(seed, count, retracts):
    rng, held, rows = random.Random(seed), [], []
    for _ in range(count):
        if retracts and held and rng.random() < 0.45:
            rows.append((rng.choice(["-U", "-D"]), *held.pop(rng.randrange(len(held)))))
        else:
            held.append((rng.choice("abc"), rng.choice([None, *range(-3, 4)])))
            rows.append((rng.choice(["+I", "+U"]), *held[-1]))
    return rows


@pytest.mark.parametrize("retracts", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_every_change_is_the_twins_whatever_the_batch_size(seed, retracts):
    rows = random_rows(seed, 120, retracts)
    if not retracts:
        rows = [("+I", *row[1:]) for row in rows]
    expected = twin(rows)
    for batch_rows in (1, 7, 120):
        assert run(CALLS, rows, retracts=retracts, batch_rows=batch_rows) == expected


@pytest.mark.parametrize("retracts", [False, True])
def test_mini_batches_and_final_results_end_where_records_do(retracts):
    for seed in range(5):
        rows = random_rows(seed, 200, retracts)
        per_record, per_batch = {}, {}
        for changes, result in (
            (run(CALLS, rows, "record", retracts), per_record),
            (run(CALLS, rows, "batch", retracts, batch_rows=16), per_batch),
        ):
            for kind, key, *values in changes:
                result.pop(key) if kind in ("-U", "-D") else result.__setitem__(key, values)
        final = {key: values for _, key, *values in run(CALLS, rows, "final", retracts)}
        assert per_record == per_batch == final


def test_it_says_when_python_keeps_values():
    operator = GroupAggregate(
        SCHEMA, Schema(["k"], [pa.string()]), [aggregate_call(to_node(col("v").max), SCHEMA)], retracts=True
    )
    description = operator.describe()
    assert not description.native
    assert "max(v)" in description.reason
    assert KeyByColumns(SCHEMA, ["k"]).describe().native
