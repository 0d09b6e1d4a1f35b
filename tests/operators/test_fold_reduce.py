# SPDX-License-Identifier: Apache-2.0
"""Running reductions on columns: what they give is what Python gives, whatever form their state has."""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.errors import SchemaError
from flinkcore.operators import folding
from flinkcore.operators.row_reduce import OPS, RowAccumulate, RowReduce
from flinkcore.time import MAX_WATERMARK
from tests.operators.folds import (
    KEY,
    ROWS,
    SCHEMA,
    Writer,
    batches,
    check_columns_against_python,
    check_forms_go_on_in_each_other,
    compiled,
    in_columns,
    run,
)

COUNTS = Schema(["count"], [pa.int64()], "value")
PAIRS = Schema(["k", "v"], [pa.string(), pa.int64()], "tuple")
SEEDS = 20


def test_a_count_of_words_runs_on_columns():
    op = run(RowReduce(PAIRS, lambda a, b: (a[0], a[1] + b[1])))
    op.batch([("a", 1), ("b", 1), ("a", 1)], [1, 2, 3]).batch([("b", 5)], [4])
    assert op.timestamped() == [(("a", 1), 1), (("b", 1), 2), (("a", 2), 3), (("b", 6), 4)]
    assert in_columns(op) and op.operator.describe().native and not op.metrics.counts


def test_in_batch_mode_each_key_gives_one_value_in_the_order_of_their_coming():
    for translate in (True, False):
        op = run(RowReduce(PAIRS, lambda a, b: (a[0], max(a[1], b[1])), final_only=True), translate)
        op.batch([("b", 1), ("a", 3), ("b", 2)]).watermark(5)
        assert op.output() == []
        op = run(RowReduce(PAIRS, lambda a, b: (a[0], max(a[1], b[1])), final_only=True), not translate,
                 restore=op.snapshot())  # fmt: skip
        op.batch([("a", 1), ("c", 7)]).end()
        assert op.timestamped() == [(pair, MAX_WATERMARK) for pair in (("b", 2), ("a", 3), ("c", 7))]


def test_a_number_of_more_than_64_bits_is_refused_where_it_leaves_python():
    op = run(RowReduce(SCHEMA, lambda a, b: (a[0], a[1] + b[1], a[2], a[3], a[4])))
    op.batch([(1, 2**62, 0.5, True, "")])
    assert in_columns(op)
    with pytest.raises(SchemaError, match=f"{2**63} .*outside"):
        op.batch([(1, 2**62, 0.5, True, "")])
    assert op.metrics.counts == {"rows_by_python": 1, "functions_by_python": 1}


def test_explain_says_what_of_a_function_is_not_understood():
    described = RowReduce(PAIRS, lambda a, b: (a[0] + b[0], b[1])).describe()
    assert (described.native, described.reason) == (
        False, "<lambda> is called for each record: what a record does to a str depends on what is there"
    )  # fmt: skip
    assert RowAccumulate(PAIRS, "sum", 1).describe().native
    assert not RowAccumulate(PAIRS, "sum", 0).describe().native


def random_reduction(rng: random.Random, seed: int) -> Any:
    final = rng.random() < 0.3
    schema = rng.choice([SCHEMA, ROWS])
    if rng.random() < 0.4:
        op, field = rng.choice(OPS), rng.choice([1, 2, 3, 4, "x"] if schema is ROWS else [1, 2, 3, 4])
        schema_out = COUNTS if op == "count" else None
        return lambda: RowAccumulate(schema, op, field, schema_out, final, KEY), f"{op} {field}"
    source = Writer(rng).reduce()
    if schema is ROWS:
        start, values = source[:-2].split("return (")
        named = ", ".join(f"{name}={value}" for name, value in zip(schema.names, _split(values)))
        source = f"{start}return Row({named})\n"
    function = compiled(source, f"<reduce {seed}>")
    return lambda: RowReduce(schema, function, None, final, KEY), source


def _split(values: str) -> list[str]:
    depths = accumulate({"(": 1, ")": -1}.get(letter, 0) for letter in values)
    return "".join("\0" if letter == "," and not depth else letter for letter, depth in zip(values, depths)).split("\0")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_columns_give_what_python_gives(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(folding, "ROWS_MIN", rng.choice([1, 2, 3, 48]))
    seeds = range(seed * 100, seed * 100 + 12)
    check_columns_against_python(rng, seeds, random_reduction, batches, ordered=True)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_state_of_one_form_goes_on_in_the_other_at_another_parallelism(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(folding, "ROWS_MIN", rng.choice([1, 2, 3, 48]))
    seeds = range(seed * 100, seed * 100 + 8)
    check_forms_go_on_in_each_other(rng, seeds, random_reduction, batches)


NUMBERS = Schema(["k", "v", "x"], [pa.int64(), pa.int32(), pa.float64()], "tuple")


@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a if a[1] > b[1] else b,
        lambda a, b: (a[0], a[1] * b[1] % 1000, a[2] * 0.5 + b[2]),
        lambda a, b: (a[0], abs(a[1] - b[1]) // 2, -a[2] if b[1] > 0 or a[1] == 0 else b[2] / (a[1] * a[1] + 1)),
    ],
    ids=["greatest", "decay", "signs"],
)
def test_records_that_depend_on_those_before(function, compiles, monkeypatch):
    monkeypatch.setattr(folding, "ROWS_MIN", 2)
    if compiles:
        monkeypatch.setattr(folding, "LOOP_ROWS_MIN", 1)
        monkeypatch.setattr(folding, "compile_beside", folding.compiled)
    rng = random.Random(1)
    ops = [run(RowReduce(NUMBERS, function), translate) for translate in (True, False)]
    for _ in range(5):
        rows = [(rng.randint(0, 6), rng.randint(-99, 99), rng.choice([0.1, -0.0, 2.5, 1e300])) for _ in range(60)]
        for op in ops:
            op.batch(rows)
        assert repr(ops[0].output()) == repr(ops[1].output())
    assert in_columns(ops[0])
    assert ops[0].operator._columns._loop.is_ready is compiles
