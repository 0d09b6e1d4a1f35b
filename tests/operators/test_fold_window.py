# SPDX-License-Identifier: Apache-2.0
"""Windows of functions on columns: what they give is what Python gives, whatever form their state has."""

from __future__ import annotations

import math
import random
from typing import Any

import pyarrow as pa
import pytest

from flinkcore.columnar.row import Row
from flinkcore.columnar.schema import Schema
from flinkcore.common import Types
from flinkcore.errors import FlinkcoreError, StateFormatError, UserFunctionError
from flinkcore.expr.folded import FoldedFields
from flinkcore.expr.translate.loop import Loop
from flinkcore.operators import folding
from flinkcore.operators.fold_window import FoldWindow
from flinkcore.operators.functions import AggregateFunction, ProcessWindowFunction
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.row_window import RowWindow
from flinkcore.state.descriptors import ValueStateDescriptor
from flinkcore.time.assigners import (
    CountTumblingWindowAssigner,
    SlidingEventTimeWindows,
    SlidingProcessingTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.time.evictors import CountEvictor
from flinkcore.time.triggers import CountTrigger, EventTimeTrigger
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
    outcome,
    run,
)

OBJECTS = Schema.of_objects()
TRIPLE = Schema(["a", "b", "c"], [pa.int64(), pa.int64(), pa.float64()], "tuple")
SEEDS = 20


class Stats(AggregateFunction):
    """(count, sum, highest)"""

    def create_accumulator(self):
        return 0, 0, -math.inf

    def add(self, value, accumulator):
        count, total, highest = accumulator
        return count + 1, total + value[1], max(highest, value[2])

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        raise AssertionError("tumbling windows do not merge")


class InPlace(Stats):
    """The same in a list that is changed, with a mean as its result."""

    def create_accumulator(self):
        return [0, 0.0]

    def add(self, value, accumulator):
        if value[3]:
            accumulator[0] += 1
            accumulator[1] += value[2]
        return accumulator

    def get_result(self, accumulator):
        return accumulator[1] / accumulator[0]


def window(
    function: Any = None, size_ms: int = 10, schema_out: Schema = OBJECTS, schema: Schema = SCHEMA, **settings: Any
) -> FoldWindow:
    if function is not None:
        settings["aggregate"] = function
    return FoldWindow(schema, TumblingEventTimeWindows.of(size_ms), schema_out, key_schema=KEY, **settings)


def records(*rows: tuple[int, Any], x: float = 0.5) -> list[tuple[Any, ...]]:
    return [(key, value, x, True, "s") for key, value in rows]


# -- stories -------------------------------------------------------------------------------------------------


def test_an_aggregate_function_folds_whole_batches():
    op = run(window(Stats(), schema_out=TRIPLE))
    op.batch(records((1, 5), (2, 7), (1, 1)), [0, 1, 9])
    op.batch(records((1, 4), (2, 2)), [10, 3])
    op.watermark(8)
    assert op.output() == []
    op.watermark(9)
    assert op.timestamped() == [((2, 6, 0.5), 9), ((2, 9, 0.5), 9)]
    op.watermark(19)
    assert op.timestamped() == [((1, 4, 0.5), 19)]
    assert in_columns(op) and not op.metrics.counts


def test_a_list_that_is_changed_in_place_is_understood_and_its_result_may_fail():
    op = run(window(InPlace(), schema_out=Schema(["mean"], [pa.float64()], "value")))
    op.batch([(1, 0, 2.5, True, ""), (1, 0, 9.0, False, ""), (1, 0, 0.5, True, "")], [0, 1, 2])
    op.watermark(9)
    assert op.output() == [1.5] and in_columns(op)
    op.batch([(1, 0, 2.5, False, "")], [10])
    with pytest.raises(UserFunctionError, match=r"InPlace, at timer 19 of TimeWindow.* of key 1,.*ZeroDivisionError"):
        op.watermark(19)


@pytest.mark.parametrize("translate", [True, False])
def test_a_window_function_is_called_with_each_result_and_has_its_state(translate):
    class Numbered(ProcessWindowFunction):
        def open(self, runtime_context):
            self.fired = runtime_context.get_state(ValueStateDescriptor("fired", Types.INT()))
            self.cleared = []

        def process(self, key, context, elements):
            seen = context.window_state().get_state(ValueStateDescriptor("seen", Types.INT()))
            seen.update((seen.value() or 0) + 1)
            self.fired.update((self.fired.value() or 0) + 1)
            ends = context.window().end, context.current_watermark()
            yield (key, *elements, *ends, self.fired.value(), seen.value(), tuple(self.cleared))

        def clear(self, context):
            self.cleared.append(context.window().end)
            context.window_state().get_state(ValueStateDescriptor("seen", Types.INT())).clear()

    op = run(window(Stats(), window_function=Numbered(), allowed_lateness_ms=5), translate)
    op.batch(records((1, 5)), [0]).watermark(9)
    assert op.output() == [(1, (1, 5, 0.5), 10, 9, 1, 1, ())]
    op.batch(records((1, 6)), [3])  # late, and allowed
    assert op.output() == [(1, (2, 11, 0.5), 10, 9, 2, 2, ())]
    op.batch(records((1, 7)), [12]).watermark(30)
    assert op.output() == [(1, (1, 7, 0.5), 20, 30, 3, 1, (10,))]
    assert in_columns(op) is translate


def test_late_records_are_dropped_or_go_aside():
    tag = OutputTag("late", Types.TUPLE([Types.LONG()] * 5))
    for settings in ({}, {"late_tag": tag}):
        for translate in (True, False):
            op = run(window(Stats(), **settings), translate)
            op.batch(records((1, 5)), [0]).watermark(12)
            op.output()
            op.batch(records((1, 6), (1, 7), (1, 8)), [1, 13, 2])
            assert op.side(tag) == ([(1, 6, 0.5, True, "s"), (1, 8, 0.5, True, "s")] if settings else [])
            assert op.metrics.late_dropped == (0 if settings else 2)
            op.watermark(19)
            assert op.output() == [(1, 7, 0.5)]


def test_a_sum_that_needs_more_than_64_bits_is_left_to_python_before_it_does():
    op = run(window(Stats()))
    op.batch(records((1, 2**62), (2, 3)), [0, 0])
    assert in_columns(op)
    op.batch(records((1, 2**62), (1, 2**62)), [1, 1])
    assert not in_columns(op)
    assert op.metrics.counts == {"rows_by_python": 2, "functions_by_python": 1}
    op.watermark(9)
    assert sorted(op.output()) == [(1, 3, 0.5), (3, 3 * 2**62, 0.5)]
    assert not op.state.namespaces("folded")


def test_sums_near_their_limit_are_counted_again_rather_than_given_up():
    op = run(window(Stats()))
    for start in range(0, 400, 10):
        op.batch(records(*[(1, 2**59)] * 8, *[(2, -(2**59))] * 8), [start] * 16).watermark(start + 9)
    assert in_columns(op) and not op.metrics.counts
    assert op.output() == [(8, 8 * 2**59, 0.5), (8, -8 * 2**59, 0.5)] * 40


def test_an_error_of_python_names_the_record_at_fault():
    op = run(window(Stats(), schema=ROWS))
    op.batch(records((1, 5)), [0])
    with pytest.raises(UserFunctionError, match="TypeError") as caught:
        op.batch(records((1, 1), (1, None), (1, 2)), [1, 2, 3])
    assert (caught.value.position, tuple(caught.value.record)) == (1, (1, None, 0.5, True, "s"))
    assert op.operator.reason == "None"


def test_a_record_without_a_timestamp_is_at_fault():
    for translate in (True, False):
        op = run(window(Stats()), translate)
        with pytest.raises(FlinkcoreError, match="timestamp"):
            op.batch(records((1, 1)))


def test_keys_of_windows_that_are_over_are_given_back():
    op = run(window(Stats()))
    for start in range(0, 100_000, 10_000):
        op.batch(records(*((start + i, 1) for i in range(10_000))), [start // 1000] * 10_000)
        op.watermark(start // 1000 + 9)
    assert len(op.operator.index) < 30_000


@pytest.mark.parametrize(
    ("takes", "settings"),
    [
        (True, {}),
        (True, {"trigger": EventTimeTrigger.create()}),
        (False, {"trigger": CountTrigger.of(3)}),
        (True, {"assigner": SlidingEventTimeWindows.of(10, 5)}),
        (False, {"assigner": SlidingProcessingTimeWindows.of(10, 5)}),
        (False, {"aggregate": None, "window_function": object()}),
    ],
)
def test_which_windows_may_run_on_columns(takes, settings):
    assert FoldWindow.takes(**{"assigner": TumblingEventTimeWindows.of(10), "aggregate": Stats(), **settings}) is takes


def test_explain_says_why_windows_are_not_tried_on_columns():
    for settings, reason in (
        ({"trigger": CountTrigger.of(3)}, "CountTrigger may ask for results after any of them"),
        ({"evictor": CountEvictor.of(3)}, "an evictor wants to see them"),
        ({"assigner": CountTumblingWindowAssigner.of(3)}, "of CountTumblingWindowAssigner, no accumulators are kept"),
    ):
        made = {"assigner": TumblingEventTimeWindows.of(10), "aggregate": Stats(), **settings}
        assert reason in RowWindow(SCHEMA, schema_out=OBJECTS, **made).describe().reason


def test_explain_says_how_a_function_runs_and_why():
    class Joined(Stats):
        def add(self, value, accumulator):
            return str(value)[::-1] + accumulator

    assert window(Stats()).describe().native
    assert "Stats.add, as columns" in window(Stats()).describe().detail
    described = window(Joined()).describe()
    assert not described.native
    assert "Joined is called for each record: `str(value)[::-1]`" not in described.detail
    assert described.reason.startswith("Joined is called for each record: ")


class Named(AggregateFunction):
    """The same by names."""

    def create_accumulator(self):
        return {"n": 0, "total": 0.0, "best": 0}

    def add(self, value, accumulator):
        accumulator["n"] += 1
        if value[3]:
            accumulator["total"] += value[2]
        best = value[1] if value[1] > 2 else -value[1] if value[1] > 0 else 0
        accumulator["best"] = max(accumulator["best"], best)
        return accumulator

    def get_result(self, accumulator):
        return accumulator["n"], accumulator["best"], accumulator["total"] / accumulator["n"]

    def merge(self, acc_a, acc_b):
        raise AssertionError


class AsRows(Named):
    def create_accumulator(self):
        return Row(n=0, total=0.0, best=0)

    def add(self, value, a):
        best = value[1] if value[1] > 2 else -value[1] if value[1] > 0 else 0
        if value[3]:
            return Row(n=a.n + 1, total=a.total + value[2], best=max(a.best, best))
        return Row(n=a.n + 1, total=a.total, best=max(a.best, best)) if value[1] < 100 else Row(n=0, total=0.0, best=0)

    def get_result(self, a):
        return a.n, a.best, a.total / a.n


@pytest.mark.parametrize("function", [Named(), AsRows()])
def test_accumulators_with_names_are_columns(function):
    found = []
    for translate in (True, False):
        op = run(window(function, schema_out=TRIPLE), translate)
        op.batch([(1, 5, 0.5, True, ""), (1, 2, 9.0, False, ""), (2, 1, 0.25, True, "")], [0, 1, 2])
        assert in_columns(op) is translate
        op = run(window(function, schema_out=TRIPLE), not translate, restore=op.snapshot())
        op.batch([(1, 1, 0.25, True, "")], [3]).watermark(9)
        assert in_columns(op) is not translate
        found.append(sorted(op.output()))
    assert found[0] == found[1] == [(1, 0, 0.25), (3, 5, 0.25)]


def test_a_dict_whose_keys_change_is_left_to_python():
    class Counts(Named):
        def add(self, value, accumulator):
            accumulator[value[4]] = 1
            return accumulator

    class Turned(Named):
        def add(self, value, accumulator):
            return {"total": accumulator["total"], "n": accumulator["n"] + 1, "best": 0}

    class Unpacked(Named):
        def add(self, value, accumulator):
            _n, _total, _best = accumulator
            return accumulator

    for function, reason in (
        (Counts(), "an assignment to an item of accumulator"),
        (Turned(), "created with other names, or in another order"),
        (Unpacked(), "an assignment to `(_n, _total, _best)`"),
    ):
        assert reason in window(function).describe().reason


def test_an_accumulator_that_no_record_changes_is_there_for_every_window():
    class Seven(Stats):
        def create_accumulator(self):
            return (7,)

        def add(self, value, accumulator):
            return accumulator

    op = run(window(Seven()))
    op.batch(records((1, 2), (2, 3), (1, 2)), [0, 1, 12])
    op = run(window(Seven()), restore=op.snapshot()).watermark(20)
    assert op.output() == [(7,)] * 3 and in_columns(op)


def test_a_constant_that_changes_leaves_the_function_to_python(monkeypatch):
    op = run(window(Scaled()))
    op.batch(records((1, 2)), [0])
    monkeypatch.setattr(Scaled, "factor", 10)
    op.batch(records((1, 3)), [1]).watermark(9)
    assert (op.output(), in_columns(op), op.operator.reason) == ([34], False, "a changelog, or a constant that changed")


class Scaled(Stats):
    factor = 2

    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + value[1] * self.factor


def saved_in_columns() -> Any:
    op = run(window(Stats()))
    op.batch(records((1, 5), (2, 7), (1, 1)), [0, 1, 12]).watermark(5)
    assert in_columns(op)
    return op.snapshot()


class Other(EventTimeTrigger):
    """A trigger of the user's own, under which windows run by rows."""


def test_windows_in_columns_go_on_under_a_trigger_of_the_users_own():
    settings = {"aggregate": Stats(), "trigger": Other(), "key_schema": KEY}
    op = run(RowWindow(SCHEMA, TumblingEventTimeWindows.of(10), OBJECTS, **settings), restore=saved_in_columns())
    op.batch(records((2, 1)), [3]).watermark(30)
    assert op.output() == [(1, 5, 0.5), (2, 8, 0.5), (1, 1, 0.5)]


def test_windows_in_columns_keep_their_size_where_the_program_has_another():
    op = run(window(Stats(), size_ms=8), restore=saved_in_columns())
    assert (in_columns(op), op.operator.reason) == (False, "windows of another size")
    op.batch(records((1, 100)), [13]).watermark(30)
    assert sorted(op.timestamped()) == [((1, 1, 0.5), 19), ((1, 5, 0.5), 9), ((1, 7, 0.5), 9), ((1, 100, 0.5), 15)]


def test_accumulators_of_one_function_go_on_in_those_of_another_where_they_fit():
    class Lowest(Stats):
        def create_accumulator(self):
            return 0, 10**6, -math.inf

        def add(self, value, accumulator):
            return accumulator[0] + 1, min(accumulator[1], value[1]), max(accumulator[2], value[2])

    class AtMostSix(Lowest):
        def create_accumulator(self):
            return 0, 6, -math.inf

    op = run(window(Lowest()), restore=saved_in_columns())
    assert in_columns(op)
    assert sorted(op.batch(records((2, 3)), [3]).watermark(30).output()) == [(1, 1, 0.5), (1, 5, 0.5), (2, 3, 0.5)]
    op = run(window(AtMostSix()), restore=saved_in_columns())
    assert (in_columns(op), op.operator.reason) == (False, "an accumulator that the function does not make")
    assert sorted(op.batch(records((2, 8)), [3]).watermark(30).output()) == [(1, 1, 0.5), (1, 5, 0.5), (2, 7, 0.5)]


def test_damaged_descriptions_are_no_accumulators():
    good = {"kind": "value", "names": None, "fields": [["int", "sum", "0"]]}
    assert FoldedFields.of_description(good).describe() == good
    for bad in (
        None, {}, {**good, "kind": "set"}, {**good, "fields": []}, {**good, "fields": [["int", "keep", None]]},
        {**good, "fields": [["int", "sum", "x"]]}, {**good, "fields": [["long", "sum", "0"]]},
        {**good, "fields": [["str", "sum", None]]},
    ):  # fmt: skip
        with pytest.raises(StateFormatError):
            FoldedFields.of_description(bad)


# -- whatever functions do -----------------------------------------------------------------------------------


def random_window(rng: random.Random, seed: int) -> Any:
    writer = Writer(rng)
    lateness = rng.choice([0, 0, 4, 30])
    if rng.random() < 0.3:
        source = writer.reduce()
        function = compiled(source, f"<reduce {seed}>")
        return lambda: window(schema_out=SCHEMA, reduce=function, allowed_lateness_ms=lateness), source
    source, type = writer.aggregate()
    function = compiled(source, f"<aggregate {seed}>")()
    return lambda: window(function, schema=ROWS, accumulator_type=type, allowed_lateness_ms=lateness), source


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


@pytest.mark.parametrize("seed", range(4))
def test_compiled_loops_give_what_python_gives(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(folding, "LOOP_ROWS_MIN", 1)
    monkeypatch.setattr(folding, "compile_beside", folding.compiled)
    ran = 0
    run_loop = Loop.run

    def counted(*args):
        nonlocal ran
        run_loop(*args)
        ran += 1

    monkeypatch.setattr(Loop, "run", counted)
    for i in range(20):
        make, source = random_window(rng, 1000 + seed * 100 + i)
        for _ in range(3):
            data = batches(rng, make().schema is ROWS)
            by_rows = outcome(make, data, [{"translate": False, "parallelism": 1}] * len(data))
            found = outcome(make, data, [{"translate": True, "parallelism": 1}] * len(data))
            assert found[:2] == by_rows[:2], source
    assert ran
