# SPDX-License-Identifier: Apache-2.0
"""Aggregate calls: result types, shared kernels, and select lists taken apart."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from flinkcore._native.agg import Accumulators
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ExpressionError, SchemaError, UnsupportedOperationError
from flinkcore.expr.aggregate import Aggregation, aggregate_call, plan, result_name
from flinkcore.table.expressions import col, lit

TYPES = {
    "k": pa.string(),
    "l": pa.int64(),
    "i": pa.int32(),
    "f": pa.float32(),
    "d": pa.float64(),
    "m": pa.decimal128(10, 2),
    "n": pa.decimal128(38, 18),
    "t": pa.timestamp("ms"),
    "b": pa.bool_(),
}
SCHEMA = Schema(list(TYPES), list(TYPES.values()))


@pytest.mark.parametrize(
    ("expression", "type", "nullable"),
    [
        (lit(1).count, pa.int64(), False),
        (col("k").count, pa.int64(), False),
        (col("i").sum, pa.int32(), True),
        (col("l").sum, pa.int64(), True),
        (col("f").sum, pa.float32(), True),
        (col("m").sum, pa.decimal128(38, 2), True),
        (col("i").sum0, pa.int32(), False),
        (col("i").avg, pa.int32(), True),
        (col("f").avg, pa.float32(), True),
        (col("m").avg, pa.decimal128(38, 6), True),
        (col("t").max, pa.timestamp("ms"), True),
        (col("k").min, pa.string(), True),
        (col("b").first_value, pa.bool_(), True),
        (col("k").max_by(col("l")), pa.string(), True),
        ((col("l") + 1).sum, pa.int64(), True),
    ],
)
def test_result_types(expression, type, nullable):
    call = aggregate_call(expression.node, SCHEMA)
    assert (call.result_type, call.nullable) == (type, nullable)


def results(expressions, rows):
    """Results of aggregates over all rows, by one group."""
    import numpy as np

    batch = Batch.from_arrow(rows)
    aggregation = Aggregation([aggregate_call(e.node, batch.schema) for e in expressions])
    accumulators = Accumulators(aggregation.kernels)
    accumulators.update(np.zeros(batch.num_rows, np.int32), aggregation.arguments(batch))
    columns = aggregation.results(accumulators.results(np.zeros(1, np.int32)))
    assert [column.type for column in columns] == list(aggregation.types)
    return [column.to_pylist()[0] for column in columns]


def test_sums_wrap_and_means_truncate_at_the_width_of_their_type():
    rows = pa.record_batch({"i": pa.array([2**31 - 1, 2], pa.int32())})
    assert results([col("i").sum, col("i").avg], rows) == [-(2**31) + 1, 2**30]
    rows = pa.record_batch({"i": pa.array([-3, -4], pa.int32())})
    assert results([col("i").avg], rows) == [-3]


def test_floats_sum_in_32_bits():
    import numpy as np

    values = [0.1, 0.2, 16777216.0, 1.0]
    total = np.float32(0)
    for value in values:
        total += np.float32(value)
    assert results([col("f").sum], pa.record_batch({"f": pa.array(values, pa.float32())})) == [float(total)]


def test_decimals_of_any_size_are_exact():
    small = pa.array([Decimal("99999999.99"), Decimal("-0.01"), None], pa.decimal128(10, 2))
    large = pa.array(
        [Decimal("-12345678901234567890.123456789012345678"), Decimal("1"), Decimal("-7.5")],
        pa.decimal128(38, 18),
    )
    rows = pa.record_batch({"s": small, "x": large})
    assert results(
        [col("s").sum, col("s").avg, col("x").sum, col("x").min, col("x").max, col("x").first_value], rows
    ) == [
        Decimal("99999999.98"),
        Decimal("49999999.990000"),
        Decimal("-12345678901234567896.623456789012345678"),
        Decimal("-12345678901234567890.123456789012345678"),
        Decimal("1"),
        Decimal("-12345678901234567890.123456789012345678"),
    ]


def test_nothing_but_nulls():
    rows = pa.record_batch(
        {"v": pa.array([None, None], pa.int64()), "m": pa.array([None, None], pa.decimal128(38, 2))}
    )
    assert results(
        [
            col("v").sum,
            col("v").sum0,
            col("v").count,
            lit(1).count,
            col("v").avg,
            col("v").max,
            col("m").sum,
            col("m").avg,
            col("m").max,
        ],
        rows,
    ) == [None, 0, 0, 2, None, None, None, None, None]


def test_calls_share_kernels():
    calls = [
        aggregate_call(e.node, SCHEMA) for e in (col("l").avg, col("l").sum, col("l").count, col("l").sum0)
    ]
    assert [op for op, _, _ in Aggregation(calls).kernels] == ["sum", "count", "sum0"]


def test_a_select_list_is_taken_apart():
    split = plan(
        [col("k").node, (col("l").sum / col("l").count).alias("mean").node, col("l").sum.node], SCHEMA, ["k"]
    )
    assert [call.text for call in split.calls] == ["sum(l)", "count(l)"]
    assert list(map(str, split.outputs)) == [
        "k",
        f"divide({result_name(0)}, {result_name(1)})",
        result_name(0),
    ]
    assert split.names == ("k", "mean", "EXPR$0")
    assert not split.trivial
    assert plan([col("l").sum.alias("s").node], SCHEMA, ["k"]).trivial


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (col("l"), r"Cannot resolve field \[l\], input field list:\[k\]"),
        (col("k").sum, "Invalid arguments of sum: expected a number; came k STRING"),
        (col("l").sum.max, "cannot stand inside of another"),
        (col("l").distinct, "Distinct modifier cannot be applied to l"),
        (col("l").last_value.distinct, "not defined"),
    ],
)
def test_select_lists_that_make_no_sense(expression, message):
    with pytest.raises((ExpressionError, SchemaError), match=message):
        plan([expression.node], SCHEMA, ["k"])


def test_kernels_that_cannot_take_back_say_so():
    with pytest.raises(ExpressionError, match=r"takes rows back from max\(l\)"):
        Aggregation([aggregate_call(col("l").max.node, SCHEMA)], retracts=True)


def test_distinct_is_for_who_knows_which_values_were_there():
    with pytest.raises(UnsupportedOperationError, match="DISTINCT aggregates of k"):
        results([col("k").count.distinct], pa.record_batch({"k": ["a"]}))
