# SPDX-License-Identifier: Apache-2.0
"""Windows of functions on columns: what they give is what Python gives, whatever form their state has."""

from __future__ import annotations

import linecache
import math
import random
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.common import Types
from flinkcore.config import Configuration
from flinkcore.errors import FlinkcoreError, SchemaError, UserFunctionError
from flinkcore.operators.fold_window import FoldWindow
from flinkcore.operators.functions import AggregateFunction, ProcessWindowFunction
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.row_window import RowWindow
from flinkcore.state.descriptors import ValueStateDescriptor
from flinkcore.testing.harness import Harness, harness
from flinkcore.time.assigners import SlidingEventTimeWindows, TumblingEventTimeWindows
from flinkcore.time.triggers import CountTrigger, EventTimeTrigger

SCHEMA = Schema(["k", "v", "x", "f", "s"], [pa.int64(), pa.int64(), pa.float64(), pa.bool_(), pa.string()], "tuple")
ROWS = Schema(SCHEMA.names, SCHEMA.types, "row")
KEY = Schema(["k"], [pa.int64()], "value")
OBJECTS = Schema.of_objects()
TRIPLE = Schema(["a", "b", "c"], [pa.int64(), pa.int64(), pa.float64()], "tuple")
BY_ROWS = Configuration().set_string("flinkcore.functions.translate", "false")
SEEDS = 40


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


def run(operator: Any, translate: bool = True, **options: Any) -> Harness:
    return harness(operator, key="k", config=None if translate else BY_ROWS, **options)


def records(*rows: tuple[int, Any], x: float = 0.5) -> list[tuple[Any, ...]]:
    return [(key, value, x, True, "s") for key, value in rows]


def in_columns(op: Harness) -> bool:
    return op.operator._columns is not None


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
    with pytest.raises(UserFunctionError, match="InPlace, at timer 19 of TimeWindow.* of key 1,.*ZeroDivisionError"):
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
        (False, {"assigner": SlidingEventTimeWindows.of(10, 5)}),
        (False, {"aggregate": None, "window_function": object()}),
    ],
)
def test_which_windows_may_run_on_columns(takes, settings):
    assert FoldWindow.takes(**{"assigner": TumblingEventTimeWindows.of(10), "aggregate": Stats(), **settings}) is takes


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


# -- whatever functions do -----------------------------------------------------------------------------------


class Writer:
    """Writes aggregate and reduce functions."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def number(self, kind: str) -> str:
        """Of a record, r."""
        rng = self.rng
        if kind == "int":
            return rng.choice(["r[1]", "r[1]", "r[1] * 2 + r[0]", "abs(r[1])", "len(r[4])", "1", "r[3]", "(r[1] if r[3] else -1)"])
        return rng.choice(["r[2]", "r[2]", "r[2] * 0.5", "r[1] * 1.5", "abs(r[2])", "float(r[1])", "1.0", "-r[2]"])

    def condition(self) -> str:
        return self.rng.choice(["r[3]", "r[1] > 3", "r[2] < 1.5", "r[4] == 'a'", "not r[3]", "r[1] % 3 == r[0]"])

    def change(self, kind: str, own: str) -> str:
        """What becomes of a field of an accumulator."""
        rng, number = self.rng, self.number
        e = number(kind)
        plain = [
            f"{own} + {e}", f"{e} + {own}", f"{own} - {e}", f"{own} + 1", f"min({own}, {e})", f"max({own}, {e})",
            f"{e} if {e} > {own} else {own}", f"{own} if {own} <= {e} else {e}", f"{own}", f"{e}",
            f"{own} + ({e} if {self.condition()} else 0)", f"min({e}, {own})", f"{own} + {e} + {number(kind)}",
        ]  # fmt: skip
        change = rng.choice(plain)
        if rng.random() < 0.25:
            change = f"{change} if {self.condition()} else {own}"
        return f"({change})"

    def aggregate(self) -> tuple[str, Any]:
        """The source of an AggregateFunction, and the type that is declared for its accumulator."""
        rng = self.rng
        kinds = [rng.choice(["int", "float"]) for _ in range(rng.randint(1, 4))]
        starts = [
            rng.choice(["0", "0", "7", "-3"] if kind == "int" else ["0.0", "0", "-0.0", "math.inf", "-math.inf", "2.5"])
            for kind in kinds
        ]
        form = rng.choice(["tuple", "list", "place", "value"])
        if form == "value":
            kinds, starts = kinds[:1], starts[:1]
            own, created, lines = ["a"], starts[0], [f"        return {self.change(kinds[0], 'a')}"]
        else:
            own = [f"a[{i}]" for i in range(len(kinds))]
            comma = "," if form == "tuple" else ""
            created = f"({', '.join(starts)}{comma})" if form == "tuple" else f"[{', '.join(starts)}]"
            changes = [self.change(kind, each) for kind, each in zip(kinds, own)]
            made = f"({', '.join(changes)}{comma})" if form == "tuple" else f"[{', '.join(changes)}]"
            lines = [f"        return {made}"]
            if form == "place":
                lines = [f"        {each} = {change}" for each, change in zip(own, changes)] + ["        return a"]
        if rng.random() < 0.2:
            lines = [f"        if {self.condition()}:", "            return a", *lines]
        result = rng.choice(["a", own[0], f"{own[0]} / {own[-1]}", f"({own[0]}, {own[-1]} + 1)", f"str({own[0]})"])
        types = {"int": Types.LONG(), "float": Types.DOUBLE()}
        declared = [types[kind] for kind in kinds]
        type = None
        if rng.random() < 0.4:
            if form == "value":
                type = declared[0]
            elif form == "tuple":
                type = Types.TUPLE(declared)
            elif len(set(kinds)) == 1:
                type = Types.LIST(declared[0])
        source = "\n".join([
            "class Function(AggregateFunction):", "    def create_accumulator(self):", f"        return {created}",
            "    def add(self, r, a):", *lines, "    def get_result(self, a):", f"        return {result}",
            "    def merge(self, a, b):", "        return a", "",
        ])  # fmt: skip
        return source, type

    def reduce(self) -> str:
        rng = self.rng
        fields = ["a[0]"]
        for i, kind in ((1, "int"), (2, "float")):
            own, e = f"a[{i}]", f"r[{i}]"
            fields.append(rng.choice([f"{own} + {e}", f"max({own}, {e})", f"min({own}, {e})", own, e, f"{own} - {e}",
                                      self.change(kind, own)]))  # fmt: skip
        fields += [rng.choice(["a[3]", "r[3]"]), rng.choice(["a[4]", "r[4]"])]
        return f"def Function(a, r):\n    return ({', '.join(fields)})\n"


def compiled(source: str, name: str) -> Any:
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    scope: dict[str, Any] = {"math": math, "AggregateFunction": AggregateFunction}
    exec(compile(source, name, "exec", dont_inherit=True), scope)
    return scope["Function"]


def batches(rng: random.Random, has_none: bool) -> list[tuple[list[Any], list[int], int]]:
    """Batches as (rows, timestamps, the watermark behind)."""
    wild = rng.random() < 0.4
    found = []
    watermark = 0
    for _ in range(rng.randint(1, 6)):
        rows, times = [], []
        for _ in range(rng.choice([1, 5, 40])):
            v: Any = rng.randint(-9, 9)
            x: Any = rng.choice([rng.uniform(-4, 4), 0.5, 0.1, -0.0, 0.0])
            if wild and rng.random() < 0.1:
                v = rng.choice([2**62, -(2**62), 2**53 + 1, None if has_none else 0])
                x = rng.choice([math.nan, math.inf, -math.inf, 1e308, None if has_none else 0.0])
            rows.append((rng.randint(0, 4), v, x, rng.random() < 0.5, rng.choice(["a", "b", ""])))
            times.append(max(0, watermark + rng.randint(-15, 25)))
        watermark += rng.randint(0, 15)
        found.append((rows, times, watermark))
    return found


def outcome(make: Any, data: Any, settings: list[dict[str, Any]]) -> tuple[list[list[str]], Any, set[bool]]:
    """What comes out, sorted by window, and the error that ends it. settings : for each batch, how it is run; a
    change is a restore"""
    found: list[list[str]] = []
    forms = set()
    ops = None
    try:
        for (rows, times, watermark), how in zip(data, settings):
            if ops is None or how != before:  # noqa: F821
                saved = None if ops is None else [op.snapshot() for op in ops]
                count = how["parallelism"]
                ops = [
                    run(make(), how["translate"], parallelism=count, subtask_index=i,
                        **({} if saved is None else {"restore": saved}))
                    for i in range(count)
                ]  # fmt: skip
            before = how  # noqa: F841
            for op in ops:
                op.batch(rows, times)
            found.append(sorted(repr(each) for op in ops for each in op.timestamped()))
            for op in ops:
                op.watermark(watermark)
                forms.add(in_columns(op))
            found.append(sorted(repr(each) for op in ops for each in op.timestamped()))
        for op in ops or ():
            op.watermark(10**6)
        found.append(sorted(repr(each) for op in ops or () for each in op.timestamped()))
    except UserFunctionError as error:
        return found, (type(error.__cause__), str(error.__cause__), repr(error.record)), forms
    except SchemaError as error:  # more than a declared type holds, in a snapshot or among results
        assert "expected LONG" in str(error)
        return found, type(error), forms
    return found, None, forms


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
def test_columns_give_what_python_gives(seed):
    rng = random.Random(seed)
    forms: set[bool] = set()
    for i in range(12):
        make, source = random_window(rng, seed * 100 + i)
        data = batches(rng, make().schema is ROWS)
        by_rows = outcome(make, data, [{"translate": False, "parallelism": 1}] * len(data))
        found = outcome(make, data, [{"translate": True, "parallelism": 1}] * len(data))
        assert found[:2] == by_rows[:2], source
        forms |= found[2]
    assert True in forms


@pytest.mark.parametrize("seed", range(SEEDS))
def test_state_of_one_form_goes_on_in_the_other_at_another_parallelism(seed):
    rng = random.Random(seed)
    for i in range(8):
        make, source = random_window(rng, seed * 100 + i)
        data = batches(rng, make().schema is ROWS)
        other = [{"translate": rng.random() < 0.6, "parallelism": rng.randint(1, 3)} for _ in data]
        runs = accumulate((how != before for before, how in zip(other, other[1:])), initial=0)
        same = [{**how, "translate": False, "run": i} for i, how in zip(runs, other)]
        assert outcome(make, data, other)[:2] == outcome(make, data, same)[:2], (source, other)
