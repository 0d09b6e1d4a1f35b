# SPDX-License-Identifier: Apache-2.0
"""Running reductions on rows: one value per record, or one per key at the end."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.columnar.row import Row
from flinkcore.columnar.schema import Schema
from flinkcore.errors import SchemaError, UserFunctionError
from flinkcore.operators.functions import ReduceFunction
from flinkcore.operators.row_reduce import RowAccumulate, RowReduce
from flinkcore.testing.harness import harness

PAIRS = Schema(("k", "v"), (pa.string(), pa.int64()), "tuple")
ROWS = Schema(("k", "v", "w"), (pa.string(), pa.int64(), pa.string()), "row")
LONGS = Schema(("value",), (pa.int64(),), "value")
OBJECTS = Schema.of_objects()

DATA = [("a", 3), ("b", 1), ("a", 1), ("a", 2), ("b", 5)]


def add_pairs(left, right):
    return left[0], left[1] + right[1]


def test_reduce_emits_the_value_so_far_for_each_record_at_its_timestamp():
    op = harness(RowReduce(PAIRS, add_pairs), key="k")
    op.batch(DATA, timestamps_ms=[1, 2, 3, 4, 5])
    assert op.timestamped() == [(("a", 3), 1), (("b", 1), 2), (("a", 4), 3), (("a", 6), 4), (("b", 6), 5)]


def test_batch_size_does_not_change_the_answer():
    one, all_at_once = (
        harness(RowReduce(PAIRS, add_pairs), key="k"),
        harness(RowReduce(PAIRS, add_pairs), key="k"),
    )
    for pair in DATA:
        one.batch([pair])
    all_at_once.batch(DATA)
    assert one.output() == all_at_once.output()


def test_in_batch_mode_each_key_gives_one_value_at_the_end():
    op = harness(RowReduce(PAIRS, add_pairs, final_only=True), key="k")
    op.batch(DATA[:2]).batch(DATA[2:]).watermark(10)
    assert op.output() == []
    op.end()
    assert op.output() == [("a", 6), ("b", 6)]


def test_a_function_that_changes_and_returns_its_first_value_still_emits_one_value_per_record():
    class Merge(ReduceFunction):
        def reduce(self, value1, value2):
            value1["n"] += value2["n"]
            return value1

    op = harness(RowReduce(OBJECTS, Merge()))
    op.batch([{"n": 1}, {"n": 2}, {"n": 3}], keys=["a", "a", "a"])
    assert op.output() == [{"n": 1}, {"n": 3}, {"n": 6}]


@pytest.mark.parametrize(
    ("op_name", "expected"),
    [
        ("sum", [("a", 3, "x"), ("a", 4, "x"), ("a", 5, "x")]),
        ("min", [("a", 3, "x"), ("a", 1, "x"), ("a", 1, "x")]),
        ("max", [("a", 3, "x"), ("a", 3, "x"), ("a", 3, "x")]),
        ("min_by", [("a", 3, "x"), ("a", 1, "y"), ("a", 1, "y")]),
        ("max_by", [("a", 3, "x"), ("a", 3, "x"), ("a", 3, "x")]),
    ],
)
@pytest.mark.parametrize("field", [1, "v"])
def test_fields_of_rows_accumulate_and_the_others_stay_those_of_the_first(op_name, expected, field):
    op = harness(RowAccumulate(ROWS, op_name, field), key="k")
    op.batch([("a", 3, "x"), ("a", 1, "y"), ("a", 1, "z")])
    assert op.output() == expected


def test_tuples_lists_and_bare_values_accumulate():
    for rows, expected in [
        ([("a", 1), ("a", 2)], [("a", 1), ("a", 3)]),
        ([["a", 1], ["a", 2]], [["a", 1], ["a", 3]]),
        ([Row("a", 1), Row("a", 2)], [Row("a", 1), Row("a", 3)]),
    ]:
        op = harness(RowAccumulate(OBJECTS, "sum", 1))
        op.batch(rows, keys=["a", "a"])
        assert op.output() == expected
    op = harness(RowAccumulate(LONGS, "max"))
    op.batch([1, 5, 3], keys=[0, 0, 0])
    assert op.output() == [1, 5, 5]


def test_counting_needs_no_field():
    op = harness(RowAccumulate(PAIRS, "count", schema_out=LONGS), key="k")
    op.batch(DATA)
    assert op.output() == [1, 1, 2, 3, 2]


def test_a_bare_value_has_only_field_0():
    op = harness(RowAccumulate(LONGS, "sum", 1))
    with pytest.raises(UserFunctionError, match="can only select the 0th field"):
        op.batch([1, 2], keys=[0, 0])


def test_a_failing_reduction_names_the_record():
    op = harness(RowReduce(PAIRS, lambda left, right: left[7]), key="k")
    with pytest.raises(UserFunctionError, match="at record 2 of its batch") as failure:
        op.batch(DATA)
    assert failure.value.record == ("a", 1)


def test_a_result_of_another_type_than_the_stream_is_refused():
    op = harness(RowReduce(PAIRS, lambda left, right: ("a", "text")), key="k")
    with pytest.raises(SchemaError, match="text"):
        op.batch(DATA)


def test_field_must_be_a_position_or_a_name():
    with pytest.raises(TypeError, match="must be of int or str type"):
        RowAccumulate(PAIRS, "sum", 1.5)
