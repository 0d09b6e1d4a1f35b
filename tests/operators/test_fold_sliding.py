# SPDX-License-Identifier: Apache-2.0
"""Sliding windows of functions on columns: what they give is what Python gives, in panes or in each window."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.operators import fold_window, folding
from flinkcore.operators.fold_window import FoldWindow
from flinkcore.operators.functions import AggregateFunction, ProcessWindowFunction
from flinkcore.time.assigners import SlidingEventTimeWindows
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

OBJECTS = Schema.of_objects()
SEEDS = 16


class Stats(AggregateFunction):
    """(count, sum, highest): the same in whatever order."""

    def create_accumulator(self):
        return 0, 0, -math.inf

    def add(self, value, accumulator):
        count, total, highest = accumulator
        return count + 1, total + value[1], max(highest, value[2])

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        raise AssertionError("sliding windows do not merge")


class Mean(Stats):
    """A sum of floats, which rounds as the order of records says."""

    def create_accumulator(self):
        return 0, 0.0

    def add(self, value, accumulator):
        return accumulator[0] + 1, accumulator[1] + value[2]


def sliding(
    function: Any = None, size_ms: int = 10, slide_ms: int = 5, offset_ms: int = 0, **settings: Any
) -> FoldWindow:
    if function is not None:
        settings["aggregate"] = function
    settings = {"key_schema": KEY, "schema": SCHEMA, "schema_out": OBJECTS, **settings}
    return FoldWindow(assigner=SlidingEventTimeWindows.of(size_ms, slide_ms, offset_ms), **settings)


def records(*rows: tuple[int, Any], x: float = 0.5) -> list[tuple[Any, ...]]:
    return [(key, value, x, True, "s") for key, value in rows]


def shares(op: Any) -> bool:
    return in_columns(op) and op.operator.merges


# -- stories -------------------------------------------------------------------------------------------------


def test_a_record_updates_one_pane_where_nobody_can_tell_the_order():
    op = run(sliding(Stats()))
    op.batch(records((1, 5), (2, 7), (1, 1)), [0, 4, 7])
    assert sorted(op.state.namespaces("folded-panes")) == [0, 5] and not op.state.namespaces("folded")
    op.watermark(4)
    assert op.timestamped() == [((1, 5, 0.5), 4), ((1, 7, 0.5), 4)]
    op.watermark(14)
    assert op.timestamped() == [((2, 6, 0.5), 9), ((1, 7, 0.5), 9), ((1, 1, 0.5), 14)]
    assert shares(op) and not op.state.namespaces("folded-panes")


def test_sums_of_floats_go_into_each_window_in_the_order_of_the_records():
    op = run(sliding(Mean()))
    values = [(1, 0, x, True, "") for x in (0.1, 1e16, -1e16, 0.3)]
    op.batch(values, [7, 3, 8, 2]).watermark(30)
    assert op.timestamped() == [
        ((2, 1e16 + 0.3), 4), ((4, 0.1 + 1e16 - 1e16 + 0.3), 9), ((2, 0.1 - 1e16), 14)
    ]  # fmt: skip
    assert in_columns(op) and not shares(op) and not op.metrics.counts


@pytest.mark.parametrize("second", [-0.0, math.nan])
def test_what_is_first_among_equals_ends_the_sharing_of_panes_not_the_columns(second):
    def first(a, b):
        return (a[0], a[1], b[2] if b[2] < a[2] else a[2], a[3], a[4])

    op = run(sliding(schema_out=SCHEMA, reduce=first))
    op.batch([(1, 1, 4.0, True, "")], [1])
    assert not shares(op)  # fields beside the key are those of the first record

    class Lowest(Stats):
        def create_accumulator(self):
            return 1.0

        def add(self, value, accumulator):
            return min(accumulator, value[2])

    op = run(sliding(Lowest()))
    op.batch([(1, 1, 0.0, True, "")], [7])
    assert shares(op)
    op = run(sliding(Lowest()), restore=op.snapshot())
    op.batch([(1, 1, second, True, "")], [3])
    assert in_columns(op) and not shares(op) and not op.state.namespaces("folded-panes")
    op.watermark(30)
    assert [str(value) for value in op.output()] == [str(min(1.0, second)), "0.0", "0.0"]


def test_the_first_value_of_a_field_that_is_the_key_is_the_same_in_any_order():
    pairs = Schema(["k", "v"], SCHEMA.types[:2], "tuple")
    op = run(sliding(schema_out=pairs, schema=pairs, reduce=lambda a, b: (a[0], a[1] + b[1])))
    op.batch([(1, 5), (2, 7), (1, 1)], [0, 4, 7])
    assert shares(op)
    assert sorted(op.watermark(9).output()) == [(1, 5), (1, 6), (2, 7), (2, 7)]


def test_a_window_function_that_clears_hears_of_each_window():
    class Cleared(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield (key, *elements, context.window().start)

        def clear(self, context):
            gone.append((context.window().start, context.window().end))

    gone: list[Any] = []
    op = run(sliding(Stats(), window_function=Cleared()))
    op.batch(records((1, 5)), [7]).watermark(20)
    assert op.output() == [(1, (1, 5, 0.5), 0), (1, (1, 5, 0.5), 5)]
    assert op.operator._functions[0].clear and in_columns(op) and not shares(op)


def test_sums_of_several_panes_are_looked_after_together():
    op = run(sliding(Stats()))
    op.batch(records((1, 2**60)), [0]).batch(records((1, 2**60)), [7])
    assert shares(op)
    op.batch(records((1, 2**61)), [8])
    assert not in_columns(op) and op.metrics.counts["functions_by_python"] == 1
    op.watermark(30)
    assert [value[1] for value in op.output()] == [2**60, 2**62, 3 * 2**60]


def test_long_windows_with_short_panes_have_none():
    assert run(sliding(Stats(), size_ms=1000, slide_ms=301)).operator.merges is False
    assert run(sliding(Stats(), size_ms=60, slide_ms=7)).operator.merges is True
    assert run(sliding(Stats(), size_ms=5, slide_ms=7)).operator.merges is False


def test_many_windows_of_many_records_go_in_by_parts(monkeypatch):
    monkeypatch.setattr(fold_window, "ADDED_MAX", 50)
    rng = random.Random(5)
    rows = [(rng.randint(0, 3), rng.randint(0, 9), rng.random(), True, "") for _ in range(200)]
    times = [rng.randint(0, 300) for _ in rows]
    found = []
    for translate in (True, False):
        op = run(sliding(Mean(), size_ms=100, slide_ms=10), translate)
        op.batch(rows, times).watermark(150)
        found.append(sorted(map(repr, op.timestamped())))
        assert in_columns(op) is translate
    assert found[0] == found[1]


def test_what_rows_hold_is_carried_beside_panes_until_it_is_over():
    op = run(sliding(Stats()), translate=False)
    op.batch(records((1, 5), (2, 7), (1, 1)), [0, 4, 7])
    op = run(sliding(Stats()), restore=op.snapshot())
    assert shares(op) and sorted(op.state.namespaces("folded")) == [-5, 0, 5]
    op.batch(records((1, 10), (3, 20)), [3, 9])
    op = run(sliding(Stats()), restore=op.snapshot())
    op.watermark(9)
    assert sorted(op.timestamped()) == [
        ((1, 7, 0.5), 4), ((1, 7, 0.5), 9), ((1, 20, 0.5), 9), ((2, 15, 0.5), 4), ((3, 16, 0.5), 9)
    ]  # fmt: skip
    op.watermark(14)
    assert sorted(op.timestamped()) == [((1, 1, 0.5), 14), ((1, 20, 0.5), 14)]
    assert not op.state.namespaces("folded")


def test_panes_go_on_as_windows_of_the_old_times_where_the_program_has_others():
    op = run(sliding(Stats()))
    op.batch(records((1, 5), (2, 7), (1, 1)), [0, 4, 7])
    op = run(sliding(Stats(), size_ms=20), restore=op.snapshot())
    assert (in_columns(op), op.operator.reason) == (False, "windows of another size")
    op.batch(records((1, 100)), [3]).watermark(30)
    assert ((1, 5, 0.5), 4) in (found := op.timestamped()) and ((1, 100, 0.5), 19) in found


def test_explain_says_how_records_get_into_windows():
    assert "Stats.add, as columns, in panes that windows share; get_result" in sliding(Stats()).describe().detail
    assert "Mean.add, as columns, in each window of a record; get_result" in sliding(Mean()).describe().detail


# -- whatever functions do -----------------------------------------------------------------------------------


def random_window(rng: random.Random, seed: int) -> Any:
    writer = Writer(rng)
    size, slide = rng.choice([(10, 5), (12, 5), (12, 4), (30, 10), (5, 5), (5, 8)])
    times = {"size_ms": size, "slide_ms": slide, "offset_ms": rng.choice([0, 0, 3, -2])}
    times["allowed_lateness_ms"] = rng.choice([0, 0, 4, 30])
    if rng.random() < 0.3:
        source = writer.reduce()
        function = compiled(source, f"<sliding reduce {seed}>")
        return lambda: sliding(schema_out=SCHEMA, reduce=function, **times), source
    source, type = writer.aggregate()
    function = compiled(source, f"<sliding aggregate {seed}>")()
    return lambda: sliding(function, schema=ROWS, accumulator_type=type, **times), source


@pytest.mark.parametrize("seed", range(SEEDS))
def test_columns_give_what_python_gives(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(folding, "ROWS_MIN", rng.choice([1, 2, 3, 48]))
    seeds = range(seed * 100, seed * 100 + 12)
    check_columns_against_python(rng, seeds, random_window, batches)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_state_of_one_form_goes_on_in_the_other_at_another_parallelism(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(folding, "ROWS_MIN", rng.choice([1, 2, 3, 48]))
    seeds = range(seed * 100, seed * 100 + 8)
    check_forms_go_on_in_each_other(rng, seeds, random_window, batches)
