# SPDX-License-Identifier: Apache-2.0
"""Stages in one pass give what their operators give one after the other, or nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ExpressionError
from flinkcore.expr import compile, compile_predicate
from flinkcore.expr.stages import Stage, Stages
from flinkcore.table import DataTypes
from flinkcore.table.expression import to_node
from flinkcore.table.expressions import col, if_then_else, lit

TYPES = {
    "byte": pa.int8(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(),
    "truth": pa.bool_(), "other": pa.bool_(), "more": pa.int64(), "text": pa.string(), "day": pa.date32(),
    "small": pa.decimal128(9, 2),
}  # fmt: skip
NUMBERS = ("byte", "int", "long", "float", "double", "more")


def values(rng: random.Random, name: str, rows: int) -> list[Any]:
    edges = {
        "byte": [-128, 127], "int": [-(2**31), 2**31 - 1], "long": [-(2**63), 2**63 - 1, 2**53 + 1],
        "float": [float("nan"), float("inf"), -0.0, 3.4e38], "double": [float("nan"), -float("inf"), -0.0, 1e308],
    }  # fmt: skip
    wild = rng.random() < 0.3

    def one() -> Any:
        if wild and rng.random() < 0.2 and name in edges:
            return rng.choice(edges[name])
        if name in ("truth", "other"):
            return rng.random() < 0.5
        if name == "text":
            return rng.choice(["", "a", "bc"])
        if name in ("float", "double"):
            return rng.choice([0.0, 0.5, -1.25, float(rng.randint(-9, 9))])
        return rng.randint(-9, 9)

    return [one() for _ in range(rows)]


def batch_of(rng: random.Random, rows: int) -> Batch:
    arrays = []
    for name, type in TYPES.items():
        nulls = rng.choice([0, 0, 0.2])
        column = [None if rng.random() < nulls else each for each in values(rng, name, rows)]
        if name == "small":
            column = [None if each is None else Decimal(each) for each in column]
        arrays.append(pa.array(column, type))
    table = pa.record_batch(arrays, names=list(TYPES))
    skipped = rng.randint(0, min(3, rows))  # columns that begin within a byte of a bitmap
    batch = Batch.from_arrow(table.slice(skipped))
    if rng.random() < 0.5:
        batch = batch.with_timestamps(np.arange(batch.num_rows) * 7)
    if rng.random() < 0.2:
        batch = batch.with_row_kinds(np.array([rng.randint(0, 3) for _ in range(batch.num_rows)], np.uint8))
    if rng.random() < 0.2 and batch.num_rows:
        batch = batch.take(
            np.sort(np.array(rng.sample(range(batch.num_rows), batch.num_rows // 2), np.int64))
        )
    return batch


class Writer:
    """Writes expressions over columns of the names above that are there."""

    def __init__(self, rng: random.Random, names: Sequence[str]) -> None:
        self.rng = rng
        self.numbers = [name for name in names if name in NUMBERS]
        self.truths = [name for name in names if name in ("truth", "other")]

    def number(self, depth: int) -> Any:
        rng = self.rng
        if depth == 0 or rng.random() < 0.2:
            if self.numbers and rng.random() < 0.7:
                return col(rng.choice(self.numbers))
            return lit(rng.choice([0, 1, 3, -7, 100, 2**40, 0.5, -0.0]))
        kind = rng.randint(0, 9)
        if kind == 0:
            return if_then_else(self.truth(depth - 1), self.number(depth - 1), self.number(depth - 1))
        if kind == 1:
            return -self.number(depth - 1)
        if kind == 2:
            return self.number(depth - 1).abs
        if kind == 3:
            type = rng.choice([DataTypes.TINYINT(), DataTypes.INT(), DataTypes.BIGINT(), DataTypes.DOUBLE()])
            return self.number(depth - 1).cast(type)
        left, right = self.number(depth - 1), self.number(depth - 1)
        return [left + right, left - right, left * right, left + right, left / right, left % right][kind - 4]

    def truth(self, depth: int) -> Any:
        rng = self.rng
        if self.truths and (depth == 0 or rng.random() < 0.2):
            return col(rng.choice(self.truths))
        kind = rng.randint(0, 5) if depth else 0
        if kind <= 2:
            left, right = self.number(max(0, depth - 1)), self.number(max(0, depth - 1))
            return rng.choice(
                [left < right, left <= right, left > right, left >= right, left == right, left != right]
            )
        if kind == 3:
            return (
                self.number(depth - 1).is_null if rng.random() < 0.5 else self.number(depth - 1).is_not_null
            )
        if kind == 4:
            return ~self.truth(depth - 1)
        left, right = self.truth(depth - 1), self.truth(depth - 1)
        return left & right if rng.random() < 0.5 else left | right


Step = tuple[str, Any, Schema]


def random_steps(rng: random.Random, schema: Schema) -> list[Step]:
    """Filters and projections as (kind, compiled, schema behind it)."""
    steps: list[Step] = []
    for _ in range(rng.randint(1, 4)):
        writer = Writer(rng, schema.names)
        depth = rng.randint(0, 3)
        if rng.random() < 0.5:
            steps.append(("filter", compile_predicate(to_node(writer.truth(depth)), schema), schema))
            continue
        names = rng.sample(list(schema.names), rng.randint(1, len(schema.names)))
        expressions = [to_node(col(name)) for name in names]
        unused = [name for name in NUMBERS if name not in names]
        for name in rng.sample(unused, min(len(unused), rng.randint(0, 1))):
            names.append(name)
            expressions.append(to_node(writer.number(depth)))
        compiled = compile(expressions, schema)
        schema = Schema(names, compiled.types)
        steps.append(("project", compiled, schema))
    return steps


def one_by_one(steps: Sequence[Step], batch: Batch) -> tuple[list[int], Batch]:
    counts = []
    for kind, compiled, schema in steps:
        if batch.num_rows:  # operators emit no empty batches
            if kind == "filter":
                batch = batch.filter(compiled.filter_mask(batch))
            else:
                batch = batch.with_columns(schema, compiled.project(batch))
        counts.append(batch.num_rows)
    return counts, batch


def stage_of(step: Step) -> Stage:
    kind, compiled, schema = step
    if kind == "filter":
        return Stage(schema, condition=compiled.expressions[0])
    return Stage(schema, columns=compiled.expressions)


def bits(array: pa.Array) -> list[Any]:
    """Values that tell -0.0 from 0.0 and equal NaN."""
    return [repr(value) for value in array.to_pylist()]


def same(left: Batch, right: Batch) -> None:
    for a, b in zip(left.columns, right.columns):
        assert a.type == b.type
        assert bits(a.to_arrow()) == bits(b.to_arrow())
    for one, other in ((left.timestamps_ms, right.timestamps_ms), (left.row_kinds, right.row_kinds)):
        assert (one is None) == (other is None)
        assert one is None or one.tolist() == other.tolist()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(12))
def test_one_pass_gives_what_the_steps_give(seed: int) -> None:
    done = failed = 0
    for number in range(60):
        rng = random.Random(1000 * seed + number)
        batch = batch_of(rng, rng.choice([1, 2, 9, 127, 128, 129, 300]))
        if not batch.num_rows:
            continue
        try:
            steps = random_steps(rng, batch.schema)
        except ExpressionError:
            continue  # of types that do not fit
        stages = Stages(batch.schema, [stage_of(step) for step in steps])
        try:
            counts, expected = one_by_one(steps, batch)
        except ExpressionError:
            failed += 1
            assert stages.run(batch) is None
            continue
        found = stages.run(batch)
        if found is not None:
            done += 1
            assert found[0] == counts
            assert found[1].num_rows == counts[-1]
            if counts[-1]:
                same(expected, found[1])
                again = stages.run(batch)  # registers hold what the last run left
                assert again is not None
                same(expected, again[1])
    assert done > 25
    assert failed < 30


def numbers(**columns: Sequence[Any]) -> Batch:
    return Batch.from_arrow(pa.record_batch({name: pa.array(column) for name, column in columns.items()}))


def test_a_division_by_zero_counts_only_where_it_is_computed() -> None:
    batch = numbers(a=[1, 2, 3] * 100, b=[1, 0, 2] * 100)
    guarded = compile(
        [to_node(if_then_else(col("b") != 0, col("a") / col("b"), lit(0)).alias("c"))], batch.schema
    )
    schema = Schema(["c"], guarded.types)
    counts, made = Stages(batch.schema, [Stage(schema, columns=guarded.expressions)]).run(batch) or (
        [],
        batch,
    )
    assert counts == [300]
    assert made.column(0).to_pylist() == [1, 0, 1] * 100
    bare = compile([to_node((col("a") / col("b")).alias("c"))], batch.schema)
    assert Stages(batch.schema, [Stage(schema, columns=bare.expressions)]).run(batch) is None


def test_a_division_that_nobody_reads_fails_all_the_same() -> None:
    batch = numbers(a=[1, 2], b=[1, 0])
    both = compile([to_node((col("a") / col("b")).alias("c")), to_node(col("a"))], batch.schema)
    middle = Schema(["c", "a"], both.types)
    last = compile([to_node(col("a"))], middle)
    end = Stage(Schema(["a"], last.types), columns=last.expressions)
    assert Stages(batch.schema, [Stage(middle, columns=both.expressions), end]).run(batch) is None


def test_a_pass_that_stops_is_tried_less_and_less() -> None:
    batch, good = numbers(a=[1, 2], b=[1, 0]), numbers(a=[1, 2], b=[1, 2])
    bare = compile([to_node((col("a") / col("b")).alias("c"))], batch.schema)
    stages = Stages(batch.schema, [Stage(Schema(["c"], bare.types), columns=bare.expressions)])
    assert stages.run(batch) is None
    assert stages.run(good) is None  # skipped
    assert stages.run(batch) is None
    assert [stages.run(good) is None for _ in range(4)] == [True, True, True, False]


def test_columns_that_a_pass_cannot_compute_move_along() -> None:
    batch = Batch.from_arrow(pa.record_batch({"text": ["a", "b", None, "d"], "n": [1, 2, 3, 4]}))
    kept = compile_predicate(to_node(col("n") > 1), batch.schema)
    picked = compile([to_node(col("text")), to_node((col("n") * 2).alias("n"))], batch.schema)
    schema = Schema(["text", "n"], picked.types)
    stages = Stages(
        batch.schema,
        [Stage(batch.schema, condition=kept.expressions[0]), Stage(schema, columns=picked.expressions)],
    )
    counts, made = stages.run(batch) or ([], batch)
    assert counts == [3, 3]
    assert made.to_arrow().to_pydict() == {"text": ["b", None, "d"], "n": [4, 6, 8]}
