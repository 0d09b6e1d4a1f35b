# SPDX-License-Identifier: Apache-2.0
"""Accumulators as other libraries have them, against records that are aggregated anew at each question."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from flinkcore.errors import UnsupportedOperationError
from flinkcore.kernels import Accumulators, Aggregate, pane_index, pane_starts
from tests.kernels.aggregates import result_naive, same
from tests.kernels.inputs import address, forms

AGGREGATES = [
    Aggregate("count_star"),
    Aggregate("count"),
    *[Aggregate(op, type) for op in ("sum", "sum0", "avg") for type in (pa.int64(), pa.float64())],
    *[
        Aggregate(op, type)
        for op in ("min", "max", "first", "last")
        for type in (pa.int32(), pa.float64(), pa.string(), pa.bool_(), pa.timestamp("ms"))
    ],
    *[
        Aggregate(op, pa.string(), by)
        for op in ("min_by", "max_by")
        for by in (pa.int64(), pa.float64(), pa.string())
    ],
]
RETRACTABLE = [
    Aggregate("count_star"),
    Aggregate("count"),
    Aggregate("sum", pa.int64()),
    Aggregate("sum0", pa.int64()),
    Aggregate("avg", pa.int64()),
]


def random_values(rng, type, n):
    def one():
        if type is None or pa.types.is_integer(type):
            return rng.randint(-50, 50)
        if pa.types.is_timestamp(type):
            return rng.randint(-(10**12), 10**12)
        if pa.types.is_floating(type):
            return float(rng.randint(-100, 100)) / 4
        if pa.types.is_boolean(type):
            return rng.random() < 0.5
        return rng.choice("abcde") * rng.choice((0, 1, 3, 20))

    return [None if rng.random() < 0.2 else one() for _ in range(n)]


def columns_of(aggregates):
    """The type of each column that update takes."""
    return [
        type
        for each in aggregates
        for type in (
            [] if each.op == "count_star" else [each.type] if each.by is None else [each.type, each.by]
        )
    ]


def physical(array):
    """Values as the twin aggregates them: times as integers."""
    return array.cast(pa.int64()).to_pylist() if pa.types.is_temporal(array.type) else array.to_pylist()


class Twin:
    """The records of each row."""

    def __init__(self, aggregates):
        self.aggregates = aggregates
        self.rows = {}

    def update(self, ids, arrays):
        values = iter([physical(array) for array in arrays])
        taken = [
            tuple(next(values) for _ in range(0 if each.op == "count_star" else 1 if each.by is None else 2))
            for each in self.aggregates
        ]
        for i, row in enumerate(ids):
            record = [
                (columns[0][i] if columns else None, columns[1][i] if len(columns) > 1 else None)
                for columns in taken
            ]
            self.rows.setdefault(row, []).append(record)

    def results(self, ids):
        return [
            [
                result_naive(
                    (each.op, 2 if each.type is not None and pa.types.is_floating(each.type) else 1, 0),
                    [record[k] for record in self.rows.get(row, [])],
                )
                for row in ids
            ]
            for k, each in enumerate(self.aggregates)
        ]

    def check(self, state, ids):
        for array, expected in zip(state.results(ids), self.results(ids), strict=True):
            got = physical(array)
            assert len(got) == len(expected)
            assert all(same(a, b) for a, b in zip(got, expected)), (array, expected)
            array.validate(full=True)


def random_arrays(rng, aggregates, n):
    return [pa.array(random_values(rng, type, n), type or pa.int64()) for type in columns_of(aggregates)]


@pytest.mark.parametrize("seed", range(5))
def test_results_are_those_of_the_records(seed):
    rng = random.Random(seed)
    state, twin = Accumulators(*AGGREGATES), Twin(AGGREGATES)
    for n in (0, 1, 7, 200, 1):
        ids = [rng.randrange(20) for _ in range(n)]
        arrays = random_arrays(rng, AGGREGATES, n)
        state.update(ids, *arrays)
        twin.update(ids, arrays)
        twin.check(state, list(range(25)))
    assert len(state) == len(twin.rows)
    assert state.ids().tolist() == sorted(twin.rows)
    assert state.types == tuple(array.type for array in state.results([]))
    state.clear([3, 24])
    twin.rows.pop(3, None)
    twin.check(state, list(range(25)))
    state.clear()
    assert len(state) == 0 and state.memory_bytes >= 0


@pytest.mark.parametrize("seed", range(3))
def test_merged_halves_are_the_whole(seed):
    rng = random.Random(seed)
    twin = Twin(AGGREGATES)
    halves = [Accumulators(*AGGREGATES), Accumulators(*AGGREGATES)]
    for half in halves:
        ids = [rng.randrange(20) for _ in range(100)]
        arrays = random_arrays(rng, AGGREGATES, 100)
        half.update(ids, *arrays)
        twin.update(ids, arrays)
    halves[0].merge(halves[1], np.arange(20), np.arange(20))
    twin.check(halves[0], list(range(20)))


def test_a_row_merges_into_another_of_the_same():
    state = Accumulators(("sum", pa.int64()))
    state.update([0, 1], [5, 6])
    state.merge(state, [0], [1])
    assert state.results([0, 1])[0].to_pylist() == [11, 6]


@pytest.mark.parametrize("seed", range(3))
def test_retracted_records_are_as_if_they_never_came(seed):
    rng = random.Random(seed)
    state, twin = Accumulators(*RETRACTABLE, retractable=True), Twin(RETRACTABLE)
    kept, gone = ([rng.randrange(9) for _ in range(50)] for _ in range(2))
    kept_arrays, gone_arrays = (random_arrays(rng, RETRACTABLE, 50) for _ in range(2))
    state.update(kept, *kept_arrays)
    state.update(gone, *gone_arrays)
    state.retract(gone, *gone_arrays)
    twin.update(kept, kept_arrays)
    twin.check(state, list(range(9)))


def test_what_a_record_changes_is_told():
    state = Accumulators(("sum", pa.int64()), ("max", pa.string()))
    before, after, was_new = state.update_running([0, 0, 1], [1, 2, 3], ["a", None, "b"])
    assert [array.to_pylist() for array in before] == [[None, 1, None], [None, "a", None]]
    assert [array.to_pylist() for array in after] == [[1, 3, 3], ["a", "a", "b"]]
    assert was_new.tolist() == [True, False, True]


def test_panes_are_updated_side_by_side():
    rng = np.random.default_rng(5)
    timestamps, ids, values = rng.integers(0, 10_000, 500), rng.integers(0, 7, 500), rng.integers(0, 100, 500)
    starts, pane_of_row = pane_index(pane_starts(timestamps, 1000))
    panes = [Accumulators(("sum", pa.int64())) for _ in starts]
    Accumulators.update_panes(panes, pane_of_row, ids, values)
    for start, pane in zip(starts, panes):
        for row in range(7):
            mine = (timestamps // 1000 * 1000 == start) & (ids == row)
            assert pane.results([row])[0].to_pylist() == [int(values[mine].sum()) if mine.any() else None]
    with pytest.raises(ValueError, match="at least one pane"):
        Accumulators.update_panes([], [], [])
    with pytest.raises(TypeError, match="different aggregates"):
        Accumulators.update_panes([panes[0], Accumulators(("max", pa.int64()))], [0], [0], [1])
    with pytest.raises(RuntimeError, match="two threads at once"):
        Accumulators.update_panes([panes[0], panes[0]], [0], [0], [1])
    panes[0].update([0], [1])  # it is free again


@pytest.mark.parametrize(
    "values, type, op",
    [
        ([3, None, 1, 9], pa.int64(), "sum"),
        ([3, 4, 1, 9], pa.int64(), "sum"),
        (["b", None, "a", ""], pa.string(), "min"),
        ([3, 4, 1, 9], pa.int16(), "max"),
        ([None, True, False, True], pa.bool_(), "first"),
        ([Decimal("1.50"), None, Decimal("-3.00"), None], pa.decimal128(9, 2), "min"),
    ],
)
def test_every_form_of_a_column_aggregates_alike(values, type, op):
    expected = Accumulators((op, type))
    expected.update([0, 1, 0, 1], pa.array(values, type))
    for name, form in forms(values, type).items():
        state = Accumulators((op, type))
        state.update(np.array([0, 1, 0, 1], np.int32), form)
        assert state.results([0, 1])[0].equals(expected.results([0, 1])[0]), name


def test_narrow_integers_come_as_wider_types_and_as_floats():
    state = Accumulators(("sum", pa.int64()), ("avg", pa.float64()))
    narrow = np.array([1, 2], np.int8)
    state.update([0, 0], narrow, narrow)
    assert [array.to_pylist() for array in state.results([0])] == [[3], [1.5]]


def test_durations_sum_and_times_have_extremes_in_their_unit():
    state = Accumulators(("sum", pa.duration("s")), ("max", pa.timestamp("us", "UTC")), ("min", pa.date32()))
    state.update(
        [0, 0],
        pa.array([1, 2], pa.duration("s")),
        pa.array([5, 6], pa.timestamp("ms", "UTC")),
        pa.array([3, 2], pa.int32()).view(pa.date32()),
    )
    total, last, day = state.results([0])
    assert total.to_pylist() == [timedelta(seconds=3)]
    assert last.cast(pa.int64()).to_pylist() == [6000] and last.type == pa.timestamp("us", "UTC")
    assert day.cast(pa.int32()).to_pylist() == [2]


def test_sums_wrap_and_the_wraps_are_counted():
    state = Accumulators(("sum", pa.int64()))
    state.update([0, 0], [2**63 - 1, 1])
    assert (state.results([0])[0].to_pylist(), state.sum_overflows) == ([-(2**63)], 1)


def test_results_are_handed_on_without_a_copy_and_own_their_memory():
    state = Accumulators(("sum", pa.int64()))
    state.update(np.arange(1000), np.arange(1000))
    columns = state.native.results(np.arange(1000, dtype=np.int32))
    (first,) = state._arrow(columns)
    assert address(first) == columns[0].to_numpy().__array_interface__["data"][0]
    del columns
    state.update(np.arange(1000), np.arange(1000))
    state.clear()
    assert first.to_pylist() == list(range(1000))


def test_one_object_given_twice_is_one_column():
    state = Accumulators(("sum", pa.int64()), ("min", pa.int64()), ("avg", pa.float64()))
    values = np.array([1, 2, 4])
    made = state.arguments([values, values, values])
    assert made[0][0] is made[1][0]
    assert made[2][0] is not made[0][0]


@pytest.mark.parametrize(
    "given, error, match",
    [
        (("median", pa.int64()), ValueError, r"aggregate 0 \(median\): expected one of count, count_star"),
        (("sum",), TypeError, "expected a value type"),
        (("sum", pa.int64(), pa.int64()), TypeError, "expected a value type, e.g."),
        (("max_by", pa.int64()), TypeError, "expected a value type and a comparand type"),
        (("sum", pa.string()), TypeError, "expected integers, floats or a duration"),
        (("sum", pa.decimal128(9, 2)), TypeError, "cast decimals"),
        (("avg", pa.timestamp("ms")), TypeError, "expected integers, floats or a duration"),
        (("min", pa.list_(pa.int64())), TypeError, "expected a number, boolean"),
        (("max_by", pa.int64(), pa.decimal128(38, 2)), TypeError, "at most 18 digits"),
        (("min", "int"), TypeError, "are Arrow types"),
        ((), TypeError, r"expected \(op, type\)"),
        (5, TypeError, r"expected \(op, type\)"),
    ],
)
def test_an_aggregate_that_there_is_not_is_refused(given, error, match):
    with pytest.raises(error, match=match):
        Accumulators(given)


def test_what_cannot_be_taken_back_says_so():
    with pytest.raises(ValueError, match=r"aggregate 1 \(max\) cannot take records back"):
        Accumulators(("sum", pa.int64()), ("max", pa.int64()), retractable=True)
    with pytest.raises(UnsupportedOperationError, match="make it with retractable=True"):
        Accumulators(("sum", pa.int64())).retract([0], [1])
    with pytest.raises(ValueError, match="at most 63 aggregates"):
        Accumulators(*[("count_star",)] * 64)


def test_a_wrong_call_changes_nothing():
    state = Accumulators(("sum", pa.int64()), ("max_by", pa.string(), pa.int64()))
    state.update([0], [1], ["a"], [1])
    for ids, columns, error, match in [
        (
            [0],
            ([1], ["a"]),
            ValueError,
            r"expected 3 columns \(aggregate 0 \(sum\), aggregate 1 \(max_by\), value",
        ),
        ([0, 0], ([1, 2], ["a", "b"], [1]), ValueError, "1 values for 2 ids"),
        ([-1], ([1], ["a"], [1]), ValueError, "ids"),
        (np.array([-1], np.int32), ([1], ["a"], [1]), ValueError, "ids are 0 or more"),
        ([2**31], ([1], ["a"], [1]), ValueError, "between 0 and"),
        ([0.5], ([1], ["a"], [1]), TypeError, "sequence of integers"),
        ([[0]], ([1], ["a"], [1]), TypeError, "of shape"),
        (
            [0],
            (pa.array(["x"]), ["a"], [1]),
            TypeError,
            r"aggregate 0 \(sum\) is declared as int64, came as string",
        ),
        (
            [0],
            ([1], pa.array([5]), [1]),
            TypeError,
            r"aggregate 1 \(max_by\), value is declared as string, came as int64",
        ),
        ([0], (np.array([1.5]), ["a"], [1]), TypeError, "declared as int64, came as double"),
        (
            [0],
            (pa.array([2**63], pa.uint64()), ["a"], [1]),
            ValueError,
            "2\\^63|out of|not in range|out of bounds",
        ),
    ]:
        with pytest.raises(error, match=match):
            state.update(ids, *columns)
    assert [array.to_pylist() for array in state.results([0, 1])] == [[1, None], ["a", None]]
    with pytest.raises(TypeError, match="different aggregates"):
        state.merge(Accumulators(("sum", pa.int64())), [0], [0])
    with pytest.raises(ValueError, match="1 rows of self but 2"):
        state.merge(state, [0], [0, 1])


def test_a_second_thread_gets_an_error_not_torn_state():
    state = Accumulators(("count_star",), ("sum", pa.int64()))
    ids, values = np.arange(200_000) % 50_000, np.ones(200_000, np.int64)
    done = []

    def work() -> None:
        for _ in range(30):
            try:
                state.update(ids, values)
                done.append(1)
            except RuntimeError as error:
                assert "two threads at once" in str(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done
    counts, sums = state.results(np.arange(50_000))
    assert set(counts.to_pylist()) == set(sums.to_pylist()) == {4 * len(done)}
