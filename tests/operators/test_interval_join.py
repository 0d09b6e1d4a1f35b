# SPDX-License-Identifier: Apache-2.0
"""Interval joins on columns give the pairs that Flink's IntervalJoinOperator gives, record by record."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError, DataError, StateFormatError, UserFunctionError
from flinkcore.expr.translate.translation import BLOCK_ROWS
from flinkcore.operators.functions import ProcessJoinFunction
from flinkcore.operators.interval_join import BUCKET_MS_MIN, IntervalJoin
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.pairs import CalledPairs, SelectedPairs
from flinkcore.table.expression import to_node
from flinkcore.table.expressions import col
from flinkcore.testing.harness import Harness
from flinkcore.time import MAX_WATERMARK
from tests.operators.joins import KEYS, LEFT, OBJECTS, RIGHT, NaiveIntervalJoin, naive, played, script

TRIPLE = Schema(("k", "v", "w"), (pa.string(), pa.int64(), pa.int64()), "tuple")


class Triple(ProcessJoinFunction):
    def process_element(self, left, right, ctx):
        assert ctx.get_timestamp() == max(ctx.get_left_timestamp(), ctx.get_right_timestamp())
        yield left[0], left[1], right[1]


def join(lower_ms, upper_ms, schemas=(LEFT, RIGHT), pairs=None, **settings):
    has_objects = OBJECTS in schemas
    keys, columns = (schemas, (None, None)) if has_objects else (KEYS, ((0,), (0,)))
    pairs = pairs or CalledPairs(schemas, Triple(), OBJECTS)
    return IntervalJoin(pairs, keys, columns, lower_ms, upper_ms, **settings)


def joined(*bounds, **settings):
    return Harness(join(*bounds, **settings), key="k", key2="user")


BOUNDS = [(-10, 10), (0, 0), (5, 20), (-20, -5), (0, 15), (-15, 0), (-1000, 1)]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("bucket_ms", [7, BUCKET_MS_MIN])
def test_pairs_are_those_of_flink_whatever_the_batches_and_buckets_are(bounds, bucket_ms, monkeypatch):
    monkeypatch.setattr("flinkcore.operators.interval_join.BUCKET_MS_MIN", bucket_ms)
    pairs_found = late = 0
    for seed in range(2):
        steps = script(seed, keys=2)
        expected = naive(NaiveIntervalJoin(*bounds), steps)
        pairs_found, late = pairs_found + sum(map(len, expected[0])), late + expected[1]
        for batch_rows in (1, 9):
            assert played(lambda: join(*bounds), steps, batch_rows) == expected
    assert pairs_found > 10 and late


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("seed", range(3))
def test_restored_with_any_parallelism_nothing_is_lost_or_paired_twice(bounds, seed):
    steps = script(seed, keys=8)
    found = played(lambda: join(*bounds), steps, 5, random.Random(seed))
    assert found == naive(NaiveIntervalJoin(*bounds), steps)


def test_python_objects_are_joined_and_restored_as_well():
    steps, schemas = script(3), (OBJECTS, OBJECTS)
    expected = naive(NaiveIntervalJoin(-10, 10), steps)
    assert played(lambda: join(-10, 10, schemas), steps, 5, schemas=schemas) == expected
    assert played(lambda: join(-10, 10, schemas), steps, 5, random.Random(1), schemas) == expected


def test_a_pair_comes_with_its_second_record_and_carries_the_later_time():
    op = joined(-5, 5)
    op.batch([("a", 1)], timestamps_ms=[10])
    assert op.timestamped() == []
    op.batch([("a", 7), ("a", 8), ("b", 9)], timestamps_ms=[5, 16, 10], input=1)
    assert op.timestamped() == [(("a", 1, 7), 10)]
    op.batch([("a", 2)], timestamps_ms=[21])
    assert op.timestamped() == [(("a", 2, 8), 21)]


def test_pairs_of_a_record_come_together_in_the_order_of_time_buckets(monkeypatch):
    monkeypatch.setattr("flinkcore.operators.interval_join.BUCKET_MS_MIN", 1)
    op = joined(-100, 100)
    op.batch([("a", 3), ("a", 1), ("a", 2)], timestamps_ms=[180, 0, 90])
    op.batch([("a", 7), ("a", 8)], timestamps_ms=[90, 95], input=1)
    assert op.output() == [("a", v, w) for w in (7, 8) for v in (1, 2, 3)]


def test_late_records_go_to_side_outputs_or_are_counted():
    tag = OutputTag("late orders")
    op = joined(-5, 5, late_tags=(tag, None))
    op.batch([("a", 1)], timestamps_ms=[10]).watermark(10)
    op.batch([("a", 2), ("a", 3)], timestamps_ms=[9, 10]).batch([("a", 7)], timestamps_ms=[8], input=1)
    assert op.side(tag) == [("a", 2)] and op.output() == [] and op.metrics.late_dropped == 1
    op.batch([("a", 8)], timestamps_ms=[10], input=1)
    assert op.output() == [("a", 1, 8), ("a", 3, 8)]


def test_records_go_when_no_partner_can_come_any_more():
    op = joined(0, 3000)
    op.batch([("a", 1)], timestamps_ms=[0]).batch([("a", 7)], timestamps_ms=[0], input=1)
    op.watermark(1499)
    assert [entry.name for entry in op.state.entries()] == ["rows/left"]  # a right record waits for no one
    op.watermark(4499)
    assert op.state.entries() == []
    assert op.output() == [("a", 1, 7)]


def test_a_record_at_the_time_of_the_watermark_waits_for_the_next_one_only():
    saved = joined(0, 0).watermark(10).batch([("a", 1)], timestamps_ms=[10]).snapshot()
    for watermark, expected in ((None, [("a", 1, 7)]), (11, [])):
        op = Harness(join(0, 0), key="k", key2="user", restore=saved)
        if watermark is not None:
            op.watermark(watermark)
            assert not op.state.entries()
        op.batch([("a", 7)], timestamps_ms=[10], input=1)
        assert op.output() == expected


def test_a_hot_key_makes_all_its_pairs_in_several_batches():
    op = joined(-5, 5)
    op.batch([("a", i) for i in range(300)], timestamps_ms=[0] * 300)
    op.batch([("a", i) for i in range(400)], timestamps_ms=[0] * 400, input=1)
    assert max(map(len, op.collected.batches)) <= 32_768
    assert op.output() == [("a", v, w) for w in range(400) for v in range(300)]


def test_a_record_may_have_more_partners_than_columns_are_computed_at_once():
    count = BLOCK_ROWS + 5
    pairs = CalledPairs((LEFT, RIGHT), lambda left, right: (left[0], left[1] + 1, right.w), TRIPLE)
    op = joined(-5, 5, pairs=pairs)
    op.batch([("a", i) for i in range(count)], timestamps_ms=[0] * count)
    op.batch([("a", 7)], timestamps_ms=[0], input=1)
    assert op.output() == [("a", i + 1, 7) for i in range(count)]


def test_select_runs_on_columns():
    nodes = [to_node((col("v") - col("w")).alias("difference"))]
    op = joined(-5, 5, pairs=SelectedPairs((LEFT, RIGHT), nodes, None, windowed=False))
    op.batch([("a", 1)], timestamps_ms=[10]).batch([("a", 7)], timestamps_ms=[5], input=1)
    assert op.timestamped() == [((-6,), 10)]
    assert op.operator.describe().native


class Sides(ProcessJoinFunction):
    def process_element(self, left, right, ctx):
        yield OutputTag("pairs"), (left[1], right.w)
        yield 1 // right.w


def test_side_outputs_and_failures_of_a_function():
    op = joined(-5, 5, pairs=CalledPairs((LEFT, RIGHT), Sides(), OBJECTS))
    op.batch([("a", 1)], timestamps_ms=[10]).batch([("a", 1)], timestamps_ms=[5], input=1)
    assert op.output() == [1] and op.side("pairs") == [(1, 1)]
    with pytest.raises(UserFunctionError, match="Sides raised ZeroDivisionError"):
        op.batch([("a", 0)], timestamps_ms=[5], input=1)
    assert op.operator.describe().reason == "Sides is called for each pair"


def test_bad_bounds_and_records_without_time_are_refused():
    with pytest.raises(ConfigurationError, match="lower bound <= upper bound"):
        join(1, 0)
    with pytest.raises(DataError, match="its right stream have no timestamps"):
        joined(0, 1).batch([("a", 1)], input=1)


def test_times_near_the_ends_of_int64_overflow_nowhere():
    op = joined(-(2**62), 2**62)
    op.batch([("a", 1)], timestamps_ms=[-(2**62) - 2**61])
    op.batch([("a", 7), ("a", 8)], timestamps_ms=[-(2**61), 2**62], input=1)
    assert op.output() == [("a", 1, 7)]
    assert op.watermark(MAX_WATERMARK).output() == []


def test_pickled_records_are_read_by_the_program_alone():
    schemas = (OBJECTS, OBJECTS)
    op = Harness(join(-5, 5, schemas))
    op.batch([{"a": 1}], timestamps_ms=[0], keys=[()])
    (part,) = [part for part in op.state._parts.values() if part.name == "rows/left"]
    frozen = part.part.freeze(0, 1)
    from flinkcore.state.parts import make_part

    stored = make_part("rows", part.part.describe())
    for block in frozen.blocks():
        stored.load(memoryview(block))
    stored.loaded(1)
    assert stored.batches[0].column(0).to_pylist()[0].startswith(b"\x80\x05")
    with pytest.raises(StateFormatError):
        stored.load(memoryview(b"none"))
