# SPDX-License-Identifier: Apache-2.0
"""Sessions of functions on columns: what they give is what Python gives, whoever makes sessions one."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.common import Types
from flinkcore.errors import UserFunctionError
from flinkcore.operators import fold_session, folding
from flinkcore.operators.fold_session import FoldSession
from flinkcore.operators.functions import AggregateFunction, ProcessWindowFunction
from flinkcore.operators.output_tag import OutputTag
from flinkcore.time.assigners import (
    EventTimeSessionWindows,
    ProcessingTimeSessionWindows,
    SlidingEventTimeWindows,
)
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
    """(count, sum, highest)"""

    def create_accumulator(self):
        return 0, 0, -math.inf

    def add(self, value, accumulator):
        count, total, highest = accumulator
        return count + 1, total + value[1], max(highest, value[2])

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a[0] + acc_b[0], acc_b[1] + acc_a[1], max(acc_a[2], acc_b[2])


class Mean(AggregateFunction):
    """A sum of floats, which rounds as the order of records says."""

    def create_accumulator(self):
        return [0, 0.0]

    def add(self, value, accumulator):
        accumulator[0] += 1
        accumulator[1] += value[2]
        return accumulator

    def get_result(self, accumulator):
        return tuple(accumulator)

    def merge(self, acc_a, acc_b):
        MERGED.append((acc_a[0], acc_b[0]))
        return [acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]]


MERGED: list[tuple[int, int]] = []


def sessions(function: Any = None, gap_ms: int = 10, **settings: Any) -> FoldSession:
    if function is not None:
        settings["aggregate"] = function
    settings = {"key_schema": KEY, "schema": SCHEMA, "schema_out": OBJECTS, **settings}
    return FoldSession(assigner=EventTimeSessionWindows.with_gap(gap_ms), **settings)


def records(*rows: tuple[int, Any], x: float = 0.5) -> list[tuple[Any, ...]]:
    return [(key, value, x, True, "s") for key, value in rows]


def by_kernels(op: Any) -> bool:
    return in_columns(op) and op.operator._columns.merged > 1


# -- stories -------------------------------------------------------------------------------------------------


def test_sessions_become_one_in_kernels_where_merge_does_as_add():
    op = run(sessions(Stats()))
    op.batch(records((1, 5), (2, 7), (1, 1), (1, 3)), [0, 4, 30, 9])
    op.batch(records((1, 10)), [20])
    op.watermark(13)
    assert op.timestamped() == [((1, 7, 0.5), 13)]
    op.batch(records((1, 100)), [19])
    op.watermark(50)
    assert op.timestamped() == [((5, 119, 0.5), 39)]
    assert by_kernels(op) and not op.metrics.counts


def test_merge_is_called_where_the_order_of_records_shows():
    op = run(sessions(Mean()))
    MERGED.clear()
    values = [(1, 0, x, True, "") for x in (0.1, 1e16, -1e16, 0.3, 0.7)]
    op.batch(values, [0, 25, 1, 12, 14]).watermark(50)
    assert op.timestamped() == [((2, 0.1 - 1e16), 10), ((2, 0.3 + 0.7), 23), ((1, 1e16), 34)]
    assert MERGED == []
    op.batch(values, [100, 115, 101, 107, 106]).watermark(200)
    assert op.timestamped() == [((5, ((0.1 - 1e16) + 1e16 + 0.3) + 0.7), 124)]
    assert MERGED == [(2, 1)]
    assert in_columns(op) and not by_kernels(op) and not op.metrics.counts


def test_an_error_of_merge_names_the_record_that_made_sessions_one():
    class Bad(Mean):
        def merge(self, acc_a, acc_b):
            return [acc_a[0] // (acc_b[0] - 1), acc_a[1]]

    for translate in (True, False):
        op = run(sessions(Bad()), translate)
        op.batch(records((1, 5), (1, 6)), [0, 20])
        with pytest.raises(UserFunctionError, match="ZeroDivisionError") as caught:
            op.batch(records((2, 5), (1, 7), (2, 6)), [0, 10, 3])
        assert caught.value.record == (1, 7, 0.5, True, "s")


def test_a_session_fires_again_for_each_record_within_the_allowed_lateness():
    class Cleared(ProcessWindowFunction):
        def process(self, key, context, elements):
            yield (key, *elements, *context.window(), context.current_watermark())

        def clear(self, context):
            gone.append((context.window().start, context.window().end))

    found = []
    for translate in (True, False):
        gone: list[Any] = []
        op = run(sessions(Stats(), window_function=Cleared(), allowed_lateness_ms=20), translate)
        op.batch(records((1, 5), (2, 1)), [0, 2]).watermark(12)
        op.batch(records((1, 6), (1, 8), (3, 9)), [1, 2, 14])
        op.batch(records((1, 1)), [4]).watermark(14)
        op.watermark(100)
        found.append((op.timestamped(), sorted(gone)))
        assert in_columns(op) is translate
    assert found[0] == found[1]
    assert ((1, (2, 11, 0.5), 0, 11, 12), 10) in found[0][0]


def test_late_records_are_dropped_or_go_aside():
    tag = OutputTag("late", Types.TUPLE([Types.LONG()] * 5))
    for settings in ({}, {"late_tag": tag}):
        op = run(sessions(Stats(), **settings))
        op.batch(records((1, 5)), [0]).watermark(12)
        op.batch(records((1, 6), (1, 7), (1, 8)), [1, 13, 2])
        assert len(op.side(tag)) == (2 if settings else 0) and op.metrics.late_dropped == (0 if settings else 2)
        assert op.watermark(30).output() == [(1, 5, 0.5), (1, 7, 0.5)]


def test_a_sum_that_needs_more_than_64_bits_is_left_to_python_before_it_does():
    op = run(sessions(Stats()))
    op.batch(records((1, 2**60), (1, 2**60)), [0, 40]).batch(records((1, 2**60)), [20])
    assert by_kernels(op)
    op.batch(records((1, 5), (1, 6)), [10, 30])  # two merges: 3 * 2**60 + 11
    assert in_columns(op)
    op.batch(records((1, 2**62)), [41])
    assert not in_columns(op)
    assert op.watermark(100).output() == [(6, 3 * 2**60 + 2**62 + 11, 0.5)]


def test_sums_that_merging_would_wrap_are_python_s():
    op = run(sessions(Stats()))
    op.batch(records((1, 2**61)), [0]).batch(records((1, 2**61)), [20])
    for time in (40, 60, 80):
        op.batch(records((1, 2**61)), [time])
    for time in (10, 30, 50, 70):
        op.batch(records((1, 0)), [time])
    assert op.watermark(200).output() == [(9, 5 * 2**61, 0.5)]
    assert not in_columns(op)


def test_batches_that_would_be_cut_too_often_are_left_to_python(monkeypatch):
    monkeypatch.setattr(fold_session, "CUTS_MIN", 3)
    found = []
    for translate in (True, False):
        op = run(sessions(Mean()), translate)
        op.batch([(i, 0, 0.1, True, "") for i in range(20)], [0] * 20)
        op.batch([(i, 0, 0.2, True, "") for i in range(20)], [20] * 20)
        op.batch([(i, 0, 0.4, True, "") for i in range(20)], [10] * 20)
        if translate:
            assert (in_columns(op), op.operator.reason) == (False, "sessions that become one too often")
        found.append(sorted(op.watermark(100).timestamped()))
    assert found[0] == found[1] and len(found[0]) == 20


def test_keys_of_sessions_that_are_over_are_given_back():
    op = run(sessions(Stats()))
    for start in range(0, 100_000, 10_000):
        op.batch(records(*((start + i, 1) for i in range(10_000))), [start // 100] * 10_000)
        op.watermark(start // 100 + 20)
    assert len(op.operator.index) < 30_000


def test_sessions_stay_due_or_fired_from_form_to_form():
    ways = [(True, False, True), (False, True, False), (True, True, True), (False, False, False)]
    found = []
    for first, second, third in ways:
        op = run(sessions(Stats(), allowed_lateness_ms=30), first)
        op.batch(records((1, 5), (2, 7)), [0, 12]).watermark(15)
        seen = op.timestamped()
        op = run(sessions(Stats(), allowed_lateness_ms=30), second, restore=op.snapshot())
        op.batch(records((1, 1), (2, 2)), [3, 20])
        seen += op.timestamped()
        op = run(sessions(Stats(), allowed_lateness_ms=30), third, restore=op.snapshot())
        seen += op.watermark(60).timestamped()
        found.append(seen)
    assert found == [[((1, 5, 0.5), 9), ((2, 6, 0.5), 12), ((2, 9, 0.5), 29)]] * 4


def test_which_windows_may_be_sessions_on_columns():
    assert FoldSession.takes(EventTimeSessionWindows.with_gap(5), aggregate=Stats())
    assert not FoldSession.takes(ProcessingTimeSessionWindows.with_gap(5), aggregate=Stats())
    assert not FoldSession.takes(EventTimeSessionWindows.with_dynamic_gap(lambda r: r[1]), aggregate=Stats())
    assert not FoldSession.takes(SlidingEventTimeWindows.of(10, 5), aggregate=Stats())


def test_explain_says_who_merges():
    assert "Stats.add, as columns; get_result" in sessions(Stats()).describe().detail
    assert "; Mean.merge is called for sessions that become one; get_result" in sessions(Mean()).describe().detail


def test_a_record_that_belongs_to_a_session_of_the_same_batch_is_not_late():
    found = []
    for translate in (True, False):
        op = run(sessions(Mean(), allowed_lateness_ms=0), translate)
        op.batch(records((1, 5)), [20]).watermark(15)
        op.batch(records((1, 6), (1, 7), (1, 8)), [2, 11, 3])  # the second one reaches back, then the third one is in
        found.append((op.watermark(100).timestamped(), op.metrics.late_dropped))
    assert found[0] == found[1] == ([((3, 1.5), 29)], 1)


# -- whatever functions do -----------------------------------------------------------------------------------


def random_window(rng: random.Random, seed: int) -> Any:
    writer = Writer(rng)
    settings = {"gap_ms": rng.choice([1, 2, 3, 8]), "allowed_lateness_ms": rng.choice([0, 0, 4, 30])}
    if rng.random() < 0.3:
        source = writer.reduce()
        function = compiled(source, f"<session reduce {seed}>")
        return lambda: sessions(schema_out=SCHEMA, reduce=function, **settings), source
    source, type = writer.aggregate()
    function = compiled(source, f"<session aggregate {seed}>")()
    return lambda: sessions(function, schema=ROWS, accumulator_type=type, **settings), source


def sparse(rng: random.Random, has_none: bool) -> Any:
    """Batches whose records are far enough from one another for several sessions."""
    keys = rng.choice([5, 40])
    found = []
    for rows, times, watermark in batches(rng, has_none):
        rows = [(rng.randrange(keys), *row[1:]) for row in rows]
        found.append((rows, [3 * time for time in times], 3 * watermark))
    return found


@pytest.mark.parametrize("seed", range(SEEDS))
def test_columns_give_what_python_gives(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(folding, "ROWS_MIN", rng.choice([1, 2, 3, 48]))
    seeds = range(seed * 100, seed * 100 + 16)
    check_columns_against_python(rng, seeds, random_window, sparse)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_state_of_one_form_goes_on_in_the_other_at_another_parallelism(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(folding, "ROWS_MIN", rng.choice([1, 2, 3, 48]))
    seeds = range(seed * 100, seed * 100 + 12)
    check_forms_go_on_in_each_other(rng, seeds, random_window, sparse)
