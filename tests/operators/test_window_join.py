# SPDX-License-Identifier: Apache-2.0
"""Window joins on columns give the pairs that Flink's co-group of a tagged union gives, whatever the batches are."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from flinkcore.columnar.arrow_types import schema_of
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import from_rows
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import BasicTypeInfo, TupleTypeInfo
from flinkcore.config import Configuration
from flinkcore.errors import DataError, SchemaError, StateMigrationError, UserFunctionError
from flinkcore.operators.co_group import CoGroupWindow
from flinkcore.operators.functions import CoGroupFunction, FlatJoinFunction, JoinFunction
from flinkcore.operators.pairs import CalledPairs, SelectedPairs
from flinkcore.operators.window_join import WindowJoin
from flinkcore.table.expression import to_node
from flinkcore.table.expressions import col
from flinkcore.testing.harness import Harness
from flinkcore.time import MAX_WATERMARK
from flinkcore.time.assigners import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.time.evictors import CountEvictor
from flinkcore.time.triggers import CountTrigger, PurgingTrigger
from tests.operators.joins import KEYS, LEFT, OBJECTS, RIGHT, NaiveWindowJoin, naive, played, script

LONG, STRING = BasicTypeInfo.LONG_TYPE_INFO(), BasicTypeInfo.STRING_TYPE_INFO()
TRIPLE = schema_of(TupleTypeInfo([STRING, LONG, LONG]))


def triple(left, right):
    return left[0], left[1], right[1]


class Flat(FlatJoinFunction):
    def join(self, first, second):
        yield triple(first, second)


def by_columns():
    return CalledPairs((LEFT, RIGHT), lambda left, right: (left[0], left[1], right.w), TRIPLE)


def by_rows():
    return CalledPairs((LEFT, RIGHT), Flat(), OBJECTS)


def selected(*expressions):
    nodes = [to_node(col(each) if isinstance(each, str) else each) for each in expressions]
    return SelectedPairs((LEFT, RIGHT), nodes, None, windowed=True)


def objects():
    return CalledPairs((OBJECTS, OBJECTS), triple, OBJECTS)


def window(pairs, *sizes, columns=((0,), (0,)), keys=KEYS, **settings):
    return WindowJoin(pairs, keys, columns, *sizes, **settings)


def joined(*sizes, pairs=by_columns, **settings):
    return Harness(window(pairs(), *sizes, **settings), key="k", key2="user")


WINDOWS = [(10,), (50, None, 7), (50, 10), (30, 20, 3), (10, 25)]


@pytest.mark.parametrize("sizes", WINDOWS)
@pytest.mark.parametrize("lateness_ms", [0, 15])
@pytest.mark.parametrize("pairs", [by_columns, by_rows])
def test_pairs_are_those_of_flink_whatever_the_batches_are(sizes, lateness_ms, pairs):
    pairs_found = late = 0
    for seed in range(2):
        steps = script(seed)
        expected = naive(NaiveWindowJoin(*sizes, lateness_ms=lateness_ms), steps)
        pairs_found, late = pairs_found + sum(map(len, expected[0])), late + expected[1]
        for batch_rows in (1, 9):
            make = lambda: window(pairs(), *sizes, lateness_ms=lateness_ms)  # noqa: E731
            assert played(make, steps, batch_rows) == expected
    assert pairs_found > 10 and late


@pytest.mark.parametrize("sizes", WINDOWS)
@pytest.mark.parametrize("seed", range(3))
def test_restored_with_any_parallelism_nothing_is_lost_or_paired_twice(sizes, seed):
    steps = script(seed, keys=8)
    expected = naive(NaiveWindowJoin(*sizes, lateness_ms=10), steps)
    found = played(lambda: window(by_columns(), *sizes, lateness_ms=10), steps, 5, random.Random(seed))
    assert found == expected


def test_python_objects_are_joined_and_restored_as_well():
    keys = (OBJECTS, OBJECTS)
    steps = script(1)
    expected = naive(NaiveWindowJoin(50, 10), steps)
    make = lambda: window(objects(), 50, 10, columns=(None, None), keys=keys)  # noqa: E731
    assert played(make, steps, 5, schemas=(OBJECTS, OBJECTS)) == expected
    assert played(make, steps, 5, random.Random(1), (OBJECTS, OBJECTS)) == expected


@pytest.mark.parametrize("assigner", [TumblingEventTimeWindows(50, 7), SlidingEventTimeWindows(50, 10, 0)])
def test_windows_of_rows_give_the_same_pairs_of_each_key(assigner):
    sizes = (50, None, 7) if isinstance(assigner, TumblingEventTimeWindows) else (50, 10)
    for seed in range(2):
        steps = script(seed)
        expected = naive(NaiveWindowJoin(*sizes, lateness_ms=15), steps)

        def make():
            settings = {"allowed_lateness_ms": 15, "key_schema": KEYS[0]}
            return CoGroupWindow((LEFT, RIGHT), assigner, triple, OBJECTS, **settings)

        assert played(make, steps, 7) == expected
        assert played(make, steps, 7, random.Random(seed)) == expected


def test_a_key_without_a_partner_gives_no_pair_and_a_window_holds_its_own_records_only():
    op = joined(10)
    op.batch([("a", 1), ("b", 2), ("a", 3)], timestamps_ms=[0, 0, 10])
    op.batch([("a", 7), ("c", 8)], timestamps_ms=[9, 0], input=1)
    assert op.watermark(8).timestamped() == []
    assert op.watermark(9).timestamped() == [(("a", 1, 7), 9)]
    assert op.watermark(MAX_WATERMARK).timestamped() == []
    assert not op.state.entries()


def test_keys_are_compared_and_not_only_their_hashes_and_null_rows_stay_nulls():
    op = joined(10, pairs=lambda: selected("k", "v", "w"))
    hashes = np.zeros(1, np.uint64)
    for input, (schema, rows) in enumerate([(LEFT, [("a", 1), ("b", 2)]), (RIGHT, [("a", None), ("a", 5)])]):
        for row in rows:
            batch = Batch(schema, from_rows([row], schema, "a test"), 1, np.zeros(1, np.int64))
            op.operator.process_batch(batch.with_keys((batch.column(0),), hashes), input)
    assert sorted(op.watermark(9).output(), key=str) == [("a", 1, 5), ("a", 1, None)]


def test_select_sees_the_columns_of_both_and_the_bounds_of_the_window():
    op = joined(10, pairs=lambda: selected((col("v") + col("w")).alias("sum"), "window_start", "window_end"))
    op.batch([("a", 1)], timestamps_ms=[12]).batch([("a", 7)], timestamps_ms=[19], input=1)
    op.watermark(19)
    (batch,) = op.collected.batches
    assert [column.to_numpy().tolist() for column in batch.columns] == [[8], [10], [20]]
    assert op.operator.output_schema().names == ("sum", "window_start", "window_end")
    assert op.operator.describe().native


def test_select_refuses_columns_of_one_name_and_records_that_take_others_back():
    with pytest.raises(SchemaError, match="both streams of the join have a column 'k'"):
        SelectedPairs((LEFT, LEFT), [to_node(col("v"))], None, windowed=True)
    op = joined(10, pairs=lambda: selected("v"))
    op.batch([("a", 1)], timestamps_ms=[0])
    op.batch([("a", 2)], timestamps_ms=[0], input=1)
    for rows in op.operator.panes.values():
        chunk = rows[0].batches[0]
        chunk.row_kinds = chunk.kinds() + 3
    with pytest.raises(DataError, match="take back"):
        op.watermark(9)


def test_a_hot_key_makes_all_its_pairs_in_several_batches():
    op = joined(10)
    op.batch([("a", i) for i in range(300)], timestamps_ms=[0] * 300)
    op.batch([("a", i) for i in range(400)], timestamps_ms=[0] * 400, input=1)
    op.watermark(9)
    assert len(op.collected.batches) > 1 and max(map(len, op.collected.batches)) <= 32_768
    assert sorted(op.output()) == [("a", v, w) for v in range(300) for w in range(400)]


def test_processing_time_windows_go_by_the_clock():
    op = joined(1000, processing_time=True)
    op.batch([("a", 1)])
    op.advance(400).batch([("a", 2)], input=1)
    assert op.advance(599).output() == []
    assert op.advance(1).output() == [("a", 1, 2)]


@pytest.mark.parametrize("parallelism", [1, 3])
def test_windows_that_one_subtask_fired_ahead_fire_for_no_key_again_after_a_rescale(parallelism):
    def subtask(index, count, now_ms, restore=None):
        options = {"now_ms": now_ms, "parallelism": count, "subtask_index": index, "restore": restore}
        return Harness(window(by_columns(), 30, 10, processing_time=True), key="k", key2="user", **options)

    before = [subtask(index, 2, 5) for index in range(2)]
    rows = [(f"key {i}", i) for i in range(20)]
    for harness, until_ms in zip(before, (12, 25)):
        harness.batch(rows).batch(rows, input=1).advance(until_ms - 5)
    found = [row for harness in before for row in harness.output()]
    snapshots = [harness.snapshot() for harness in before]
    for index in range(parallelism):
        found += subtask(index, parallelism, 11, snapshots).advance(100).output()
    assert sorted(found) == sorted((key, i, i) for key, i in rows for _ in range(3))


class Failing(JoinFunction):
    def join(self, first, second):
        return 1 // second.w


def test_a_function_that_fails_names_its_pair():
    op = joined(10, pairs=lambda: CalledPairs((LEFT, RIGHT), Failing(), OBJECTS))
    op.batch([("a", 1)], timestamps_ms=[0]).batch([("a", 0)], timestamps_ms=[0], input=1)
    with pytest.raises(UserFunctionError, match=r"Failing raised ZeroDivisionError.*\n.*Row\(user='a', w=0\)"):
        op.watermark(9)


def test_what_a_function_changes_in_a_record_is_not_changed_in_its_other_pairs():
    def append(left, right):
        left.append(right)
        return left

    pairs = CalledPairs((OBJECTS, OBJECTS), append, OBJECTS)
    op = Harness(window(pairs, 10, columns=(None, None), keys=(OBJECTS, OBJECTS)))
    op.batch([[0]], timestamps_ms=[0], keys=[()]).batch([1, 2], timestamps_ms=[0, 0], keys=[(), ()], input=1)
    assert op.watermark(9).output() == [[0, 1], [0, 2]]


def test_a_function_runs_on_columns_where_it_can_and_says_why_it_does_not():
    assert window(by_columns(), 10).describe().native
    described = window(by_rows(), 10).describe()
    assert not described.native and described.reason == "Flat is called for each pair"
    described = window(CalledPairs((LEFT, RIGHT), lambda left, right: print(left), TRIPLE), 10).describe()
    assert not described.native and "print" in described.reason
    config = Configuration().set_string("flinkcore.functions.translate", "false")
    op = Harness(window(by_columns(), 10), key="k", key2="user", config=config)
    op.batch([("a", 1)] * 9, timestamps_ms=[0] * 9).batch([("a", 2)], timestamps_ms=[0], input=1)
    assert op.watermark(9).output() == [("a", 1, 2)] * 9


class Both(CoGroupFunction):
    def co_group(self, first, second):
        yield sorted(v for _, v in first), sorted(row.w for row in second)


def test_a_co_group_sees_keys_of_either_stream():
    op = Harness(
        CoGroupWindow((LEFT, RIGHT), TumblingEventTimeWindows(10, 0), Both(), OBJECTS, key_schema=KEYS[0]),
        key="k", key2="user",
    )  # fmt: skip
    op.batch([("a", 1), ("b", 2)], timestamps_ms=[0, 0]).batch([("a", 7), ("c", 8)], timestamps_ms=[1, 2], input=1)
    assert sorted(op.watermark(9).timestamped()) == [(([], [8]), 9), (([1], [7]), 9), (([2], []), 9)]


def test_sessions_of_both_streams_merge():
    op = Harness(
        CoGroupWindow((LEFT, RIGHT), EventTimeSessionWindows.with_gap(10), Both(), OBJECTS, key_schema=KEYS[0]),
        key="k", key2="user",
    )  # fmt: skip
    op.batch([("a", 1), ("a", 2)], timestamps_ms=[0, 14]).batch([("a", 7)], timestamps_ms=[8], input=1)
    assert op.watermark(100).output() == [([1, 2], [7])]


def test_triggers_and_evictors_see_tagged_records():
    seen = []

    class Trigger(CountTrigger):
        def on_element(self, element, timestamp, window, ctx):
            seen.append((element.is_one(), element.get_one(), element.is_two(), element.get_two()))
            return super().on_element(element, timestamp, window, ctx)

    op = Harness(
        CoGroupWindow(
            (LEFT, RIGHT), TumblingEventTimeWindows(10, 0), Both(), OBJECTS, key_schema=KEYS[0],
            trigger=PurgingTrigger.of(Trigger(3)), evictor=CountEvictor.of(2),
        ),
        key="k", key2="user",
    )  # fmt: skip
    op.batch([("a", 1), ("a", 2)], timestamps_ms=[0, 0]).batch([("a", 7)], timestamps_ms=[1], input=1)
    assert op.output() == [([2], [7])]
    assert seen[0] == (True, ("a", 1), False, None) and not seen[2][0] and seen[2][3].w == 7


def test_state_of_records_of_other_types_is_refused():
    op = joined(10)
    op.batch([("a", 1)], timestamps_ms=[0])
    saved = op.snapshot()
    other = LEFT.names, (pa.string(), pa.float64())
    pairs = CalledPairs((Schema(*other, "tuple"), RIGHT), triple, OBJECTS)
    with pytest.raises(StateMigrationError, match=r"the record is .*int64.*, the program's is .*double"):
        Harness(window(pairs, 10), key="k", key2="user", restore=saved)


@pytest.mark.parametrize("on_columns", [True, False])
def test_state_of_windows_of_rows_and_of_joins_on_columns_is_not_taken_for_the_other(on_columns):
    def rows():
        return CoGroupWindow((LEFT, RIGHT), TumblingEventTimeWindows(10, 0), triple, OBJECTS, key_schema=KEYS[0])

    makes = [lambda: window(by_rows(), 10), rows]
    before, after = makes if on_columns else reversed(makes)
    saved = Harness(before(), key="k", key2="user").batch([("a", 1)], timestamps_ms=[0]).snapshot()
    with pytest.raises(StateMigrationError, match="the program asks for it in another way now"):
        Harness(after(), key="k", key2="user", restore=saved)
