# SPDX-License-Identifier: Apache-2.0
"""One operator at a time, fed batches directly: kernels, state and its own Python, no runtime around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from bench import data, workloads
from bench.kernels.batches import BATCH_ROWS
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.expr.aggregate import AggregateCall, aggregate_call
from flinkcore.operators import folding
from flinkcore.operators.base import Operator, OperatorContext
from flinkcore.operators.batches import Filter, Project
from flinkcore.operators.fold_session import FoldSession
from flinkcore.operators.fold_window import FoldWindow
from flinkcore.operators.functions import AggregateFunction
from flinkcore.operators.group_aggregate import GroupAggregate
from flinkcore.operators.interval_join import IntervalJoin
from flinkcore.operators.key import KeyByColumns
from flinkcore.operators.pairs import SelectedPairs
from flinkcore.operators.pane_window import PaneWindow
from flinkcore.operators.row_reduce import RowReduce
from flinkcore.operators.session_window import SessionWindow
from flinkcore.operators.window_join import WindowJoin
from flinkcore.table.expression import to_node
from flinkcore.table.expressions import col, lit
from flinkcore.testing.harness import CollectedOutput, ManualTimers
from flinkcore.time import MAX_WATERMARK
from flinkcore.time.assigners import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.time.clock import ManualClock

KEY = Schema(["key"], [pa.int64()], "value")
ROWS = {"smoke": 20_000, "full": 10_000_000}
INTERVAL_MS = 100


def batches_of(table: pa.Table) -> list[Batch]:
    batches = [Batch.from_arrow(part) for part in table.combine_chunks().to_batches(BATCH_ROWS)]
    return [batch.with_timestamps(batch.column("date_time").to_numpy()) for batch in batches]


def feed(operator: Operator, batches: list[Batch]) -> list[Batch]:
    """Batches with a watermark 5 s behind after each, and the end of the input; what comes out."""
    out = CollectedOutput()
    operator.open(OperatorContext("bench", ManualClock(), ManualTimers(), Configuration()), out)
    highest_ms = -(2**62)
    for batch in batches:
        operator.process_batch(batch)
        if batch.timestamps_ms is not None:
            highest_ms = max(highest_ms, int(batch.timestamps_ms.max()))
            operator.process_watermark(highest_ms - workloads.OUT_OF_ORDERNESS_MS - 1)
    operator.process_watermark(MAX_WATERMARK)
    operator.end_input()
    operator.close()
    return out.batches


def keyed(batches: list[Batch]) -> list[Batch]:
    return feed(KeyByColumns(batches[0].schema, ["key"]), batches)


def calls(*expressions: object) -> tuple[list[AggregateCall], list[str]]:
    schema = Schema.from_arrow(data.events(0, 1).schema)
    made = [aggregate_call(to_node(expression), schema) for expression in expressions]
    return made, [call.alias for call in made]


COUNT = [lit(1).count.alias("count")]
COUNT_SUM_MAX = [*COUNT, col("value").sum.alias("sum"), col("value").max.alias("max")]


def measure(
    timed, make: Callable[[], Operator], batches: list[Batch], table: pa.Table, limit: str | None = None
) -> pa.Table:
    made = timed(lambda: feed(make(), batches), rows=table.num_rows, bytes=table.nbytes, limit=limit)
    return pa.Table.from_batches([batch.to_arrow() for batch in made])


def assert_answer(found: pa.Table, job: str, table: pa.Table) -> None:
    answer = workloads.WORKLOADS[job].answer(table)
    assert workloads.checksum(found.select(answer.column_names)) == workloads.checksum(answer)


def bench_filter(timed, size):
    table = data.events(size(**ROWS), 1_000)
    batches = batches_of(table)
    condition = to_node(col("value") >= workloads.VALUE_MIN)
    found = measure(timed, lambda: Filter(batches[0].schema, condition), batches, table, "filter")
    assert found.num_rows == np.count_nonzero(table["value"].to_numpy() >= workloads.VALUE_MIN)


def bench_project(timed, size):
    table = data.events(size(**ROWS), 1_000)
    batches = batches_of(table)
    nodes = [to_node(col("key")), to_node((col("value") * 3 + 1).alias("amount"))]
    found = measure(timed, lambda: Project(batches[0].schema, nodes), batches, table, "map")
    np.testing.assert_array_equal(found["amount"].to_numpy(), table["value"].to_numpy() * 3 + 1)


def bench_key_by(timed, size):
    table = data.events(size(**ROWS), 1_000)
    batches = batches_of(table)
    found = timed(lambda: keyed(batches), rows=table.num_rows, bytes=8 * table.num_rows)
    assert len(np.unique(np.concatenate([batch.hashes() for batch in found]))) == 1_000


@pytest.mark.parametrize("emit", ["record", "batch", "final"])
@pytest.mark.parametrize("keys", [1_000, 1_000_000])
def bench_group_aggregate(timed, size, keys, emit):
    table = data.events(size(**ROWS), keys)
    batches = keyed(batches_of(table))
    aggregates, names = calls(col("value").sum.alias("sum"), *COUNT)
    operator = lambda: GroupAggregate(batches[0].schema, KEY, aggregates, names, emit)  # noqa: E731
    run = lambda: feed(operator(), batches)  # noqa: E731
    made = timed(run, rows=table.num_rows, bytes=table.nbytes, limit=f"group_by:{keys}")
    signs = np.concatenate([np.where(np.isin(batch.kinds(), (0, 2)), 1, -1) for batch in made])
    sums = np.concatenate([batch.column("sum").to_numpy() for batch in made])
    counts = np.concatenate([batch.column("count").to_numpy() for batch in made])
    assert (signs * sums).sum() == table["value"].to_numpy().sum()
    assert (signs * counts).sum() == table.num_rows
    assert signs.sum() == len(np.unique(table["key"].to_numpy()))


@pytest.mark.parametrize("keys", [1_000, 100_000, 1_000_000])
def bench_tumbling_window(timed, size, keys):
    table = data.events(size(**ROWS), keys)
    batches = keyed(batches_of(table))
    aggregates, names = calls(*COUNT_SUM_MAX)

    def make() -> Operator:
        return PaneWindow(batches[0].schema, KEY, aggregates, names, workloads.WINDOW_MS)

    assert_answer(measure(timed, make, batches, table, f"tumbling:{keys}"), "W1", table)


class CountSumMax(AggregateFunction):
    """COUNT_SUM_MAX, as a user writes it."""

    def create_accumulator(self):
        return 0, 0, 0

    def add(self, value, accumulator):
        count, total, highest = accumulator
        return count + 1, total + value.value, max(highest, value.value)

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1], max(acc_a[2], acc_b[2])


@pytest.mark.parametrize("keys", [1_000, 100_000, 1_000_000])
def bench_function_window(timed, size, keys):
    table = data.events(size(**ROWS), keys)
    batches = keyed(batches_of(table))
    assigner = TumblingEventTimeWindows.of(workloads.WINDOW_MS)
    schema = Schema(["count", "sum", "max"], [pa.int64()] * 3, "tuple")

    def make() -> Operator:
        return FoldWindow(batches[0].schema, assigner, schema, aggregate=CountSumMax(), key_schema=KEY)

    found = measure(timed, make, batches, table)
    answer = workloads.WORKLOADS["W1"].answer(table)
    names = ["count", "sum", "max"]
    assert found.sort_by([(name, "ascending") for name in names]) == answer.select(names).sort_by(
        [(name, "ascending") for name in names]
    ).cast(found.schema)


class Decayed(CountSumMax):
    """What each record does depends on those before it."""

    def create_accumulator(self):
        return 0.0

    def add(self, value, accumulator):
        return accumulator * 0.5 + value.value

    def merge(self, acc_a, acc_b):
        raise NotImplementedError


@pytest.mark.parametrize("compiles", [False, True], ids=["rounds", "loop"])
@pytest.mark.parametrize("keys", [1_000, 100_000])
def bench_decayed_window(timed, size, keys, compiles, monkeypatch):
    table = data.events(size(**ROWS), keys)
    batches = keyed(batches_of(table))
    monkeypatch.setattr(folding, "LOOP_ROWS_MIN", 1 if compiles else 2**62)
    monkeypatch.setattr(folding, "compile_beside", folding.compiled)
    assigner, schema = TumblingEventTimeWindows.of(2**40), Schema(["decayed"], [pa.float64()], "value")

    def make() -> Operator:
        return FoldWindow(batches[0].schema, assigner, schema, aggregate=Decayed(), key_schema=KEY)

    found = measure(timed, make, batches, table)
    wanted: dict[int, float] = {}
    for key, value in zip(table["key"].to_pylist(), table["value"].to_pylist()):
        wanted[key] = wanted.get(key, 0.0) * 0.5 + value
    assert sorted(found["decayed"].to_pylist()) == sorted(wanted.values())


@pytest.mark.parametrize("final", [False, True], ids=["record", "final"])
@pytest.mark.parametrize("keys", [1_000, 100_000])
def bench_function_reduce(timed, size, keys, final):
    table = data.events(size(**ROWS), keys).select(["key", "value"])
    schema = Schema(table.schema.names, table.schema.types, "tuple")
    batches = keyed([Batch.from_arrow(part, schema) for part in table.combine_chunks().to_batches(BATCH_ROWS)])

    def make() -> Operator:
        return RowReduce(schema, lambda a, b: (a[0], a[1] + b[1]), None, final, KEY)

    found = measure(timed, make, batches, table)
    last = found.group_by("key", use_threads=False).aggregate([("value", "last")])
    sums = table.group_by("key").aggregate([("value", "sum")])
    assert last.sort_by("key")["value_last"] == sums.sort_by("key")["value_sum"]
    assert found.num_rows == (len(sums) if final else table.num_rows)


@pytest.mark.parametrize("keys", [1_000, 100_000])
def bench_sliding_window(timed, size, keys):
    table = data.events(size(**ROWS), keys)
    batches = keyed(batches_of(table))
    aggregates, names = calls(*COUNT)

    def make() -> Operator:
        return PaneWindow(batches[0].schema, KEY, aggregates, names, workloads.WINDOW_MS, workloads.SLIDE_MS)

    assert_answer(measure(timed, make, batches, table), "W2", table)


@pytest.mark.parametrize("keys", [1_000, 1_000_000])
def bench_session_window(timed, size, keys):
    table = data.events(size(**ROWS), keys)
    batches = keyed(batches_of(table))
    aggregates, names = calls(*COUNT)

    def make() -> Operator:
        return SessionWindow(batches[0].schema, KEY, aggregates, names, workloads.SESSION_GAP_MS)

    assert_answer(measure(timed, make, batches, table), "W6", table)


class Totals(CountSumMax):
    """A count and a sum of doubles, which rounds as the order of records says."""

    def create_accumulator(self):
        return 0, 0.0

    def add(self, value, accumulator):
        return accumulator[0] + 1, accumulator[1] + value.value

    def get_result(self, accumulator):
        return (accumulator[0],)

    def merge(self, acc_a, acc_b):
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


class Counted(CountSumMax):
    """What any order of records gives."""

    def get_result(self, accumulator):
        return (accumulator[0],)


COUNTS = Schema(["count"], [pa.int64()], "tuple")


@pytest.mark.parametrize("function", [Counted(), Totals()], ids=["panes", "each"])
@pytest.mark.parametrize("keys", [1_000, 100_000])
def bench_function_sliding(timed, size, keys, function):
    table = data.events(size(**ROWS), keys)
    batches = keyed(batches_of(table))
    assigner = SlidingEventTimeWindows.of(workloads.WINDOW_MS, workloads.SLIDE_MS)

    def make() -> Operator:
        return FoldWindow(batches[0].schema, assigner, COUNTS, aggregate=function, key_schema=KEY)

    found = measure(timed, make, batches, table)
    answer = workloads.WORKLOADS["W2"].answer(table)
    assert sorted(found["count"].to_pylist()) == sorted(answer["count"].to_pylist())


@pytest.mark.parametrize("function", [Counted(), Totals()], ids=["kernels", "python"])
@pytest.mark.parametrize("keys", [1_000, 1_000_000])
def bench_function_session(timed, size, keys, function):
    """function : whose sessions kernels merge, or Python"""
    table = data.events(size(**ROWS), keys)
    batches = keyed(batches_of(table))
    assigner = EventTimeSessionWindows.with_gap(workloads.SESSION_GAP_MS)

    def make() -> Operator:
        return FoldSession(batches[0].schema, assigner, COUNTS, aggregate=function, key_schema=KEY)

    found = measure(timed, make, batches, table)
    answer = workloads.WORKLOADS["W6"].answer(table)
    assert sorted(found["count"].to_pylist()) == sorted(answer["count"].to_pylist())


def sides_of(table: pa.Table) -> tuple[list[Batch], list[Batch]]:
    """The odd and the even records of a table, keyed, the latter under other names."""
    batches = batches_of(table)
    odd, even = ([batch.take(np.arange(first, batch.num_rows, 2)) for batch in batches] for first in (1, 0))
    other = Schema([f"other_{name}" for name in batches[0].schema.names], batches[0].schema.types)
    even = [batch.with_columns(other, batch.columns) for batch in even]
    return feed(KeyByColumns(batches[0].schema, ["key"]), odd), feed(KeyByColumns(other, ["other_key"]), even)


def feed_two(operator: Operator, sides: tuple[list[Batch], list[Batch]]) -> list[Batch]:
    """As feed, in turns."""
    out = CollectedOutput()
    operator.open(OperatorContext("bench", ManualClock(), ManualTimers(), Configuration()), out)
    highest_ms = -(2**62)
    for pair in zip(*sides):
        for side, batch in enumerate(pair):
            operator.process_batch(batch, side)
            assert batch.timestamps_ms is not None
            highest_ms = max(highest_ms, int(batch.timestamps_ms.max()))
        operator.process_watermark(highest_ms - workloads.OUT_OF_ORDERNESS_MS - 1)
    operator.process_watermark(MAX_WATERMARK)
    operator.close()
    return out.batches


def check_joined_halves(timed, size, keys, make, pairs_of) -> None:
    """Times a join of two halves of a table on its key; its pairs are counted, and their values added up."""
    table = data.events(size(smoke=20_000, full=4_000_000), size(smoke=min(keys, 1_000), full=keys))
    sides = sides_of(table)
    schemas = sides[0][0].schema, sides[1][0].schema
    nodes = [to_node((col("value") + col("other_value")).alias("sum"))]
    pairs = SelectedPairs(schemas, nodes, None, windowed=make is WindowJoin)
    key_schemas = KEY, Schema(["other_key"], [pa.int64()], "value")
    places = schemas[0].index_of("key"), schemas[1].index_of("other_key")
    columns = (places[0],), (places[1],)
    run = lambda: feed_two(pairs_of(pairs, key_schemas, columns), sides)  # noqa: E731
    made = timed(run, rows=table.num_rows, bytes=table.nbytes)
    halves = [table.take(pa.array(np.arange(first, table.num_rows, 2))) for first in (1, 0)]
    assert sum(batch.num_rows for batch in made), "a join without pairs measures nothing"
    found = sum(batch.num_rows for batch in made), sum(int(batch.column("sum").to_numpy().sum()) for batch in made)
    assert found == counted_pairs(*halves, by_window=make is WindowJoin)


def counted_pairs(left: pa.Table, right: pa.Table, by_window: bool) -> tuple[int, int]:
    """(pairs, sum of their values) by sorted times of each key."""
    parts = [
        (each["key"].to_numpy(), each["date_time"].cast(pa.int64()).to_numpy(), each["value"].to_numpy())
        for each in (left, right)
    ]
    lowest = min(int(times.min()) for _, times, _ in parts)
    span = 2 * (max(int(times.max()) for _, times, _ in parts) - lowest + workloads.WINDOW_MS + INTERVAL_MS)
    _, codes = np.unique(np.concatenate([keys for keys, _, _ in parts]), return_inverse=True)
    codes = codes[: len(parts[0][0])], codes[len(parts[0][0]) :]
    places = [codes[i] * span + parts[i][1] - lowest for i in (0, 1)]
    order = np.argsort(places[1], kind="stable")
    ordered, sums = places[1][order], np.concatenate([[0], np.cumsum(parts[1][2][order])])
    if by_window:
        starts = parts[0][1] // workloads.WINDOW_MS * workloads.WINDOW_MS - lowest
        first, end = codes[0] * span + starts, codes[0] * span + starts + workloads.WINDOW_MS
    else:
        first, end = places[0] - INTERVAL_MS, places[0] + INTERVAL_MS + 1
    first, end = (np.searchsorted(ordered, bounds) for bounds in (first, end))
    return int((end - first).sum()), int((sums[end] - sums[first] + parts[0][2] * (end - first)).sum())


@pytest.mark.parametrize("keys", [100_000, 1_000_000])
def bench_window_join(timed, size, keys):
    check_joined_halves(timed, size, keys, WindowJoin, lambda *parts: WindowJoin(*parts, workloads.WINDOW_MS))


@pytest.mark.parametrize("keys", [1_000, 100_000])
def bench_interval_join(timed, size, keys):
    check_joined_halves(timed, size, keys, IntervalJoin, lambda *parts: IntervalJoin(*parts, -INTERVAL_MS, INTERVAL_MS))
