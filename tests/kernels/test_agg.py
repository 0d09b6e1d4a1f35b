# SPDX-License-Identifier: Apache-2.0
"""Accumulators against a naive twin: a dict of the records of every row, aggregated anew at each question."""

from __future__ import annotations

import math
import random

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.agg import RETRACTABLE, Accumulators
from flinkcore._native.column import BOOL, BYTES, F64, I64, Column
from flinkcore.errors import UnsupportedOperationError
from tests.kernels.aggregates import (
    ALL_SPECS,
    BY_SPECS,
    MAX64,
    MERGE_SPECS,
    MIN64,
    Twin,
    assert_same,
    column,
    columns_of,
    cut,
    divide,
    exact,
    ids_of,
    random_args,
    random_exact_args,
    random_ids,
)


@pytest.mark.parametrize("specs", [ALL_SPECS, BY_SPECS[:16], BY_SPECS[16:]], ids=["all", "min_by", "max_by"])
@pytest.mark.parametrize("nulls", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("n", [0, 1, 2, 255, 256, 257, 700])
def test_update_gives_what_the_records_give(specs, nulls, n):
    rng = random.Random(n * 10 + int(nulls * 3))
    accumulators, twin = Accumulators(specs), Twin(specs)
    for _ in range(2):
        ids, args = random_ids(rng, n, 40), random_args(rng, specs, n, nulls)
        accumulators.update(ids, columns_of(specs, args))
        twin.update(ids, args)
    asked = ids_of([*range(45), 1_000_000])
    assert_same(accumulators.results(asked), twin.results(asked))
    assert accumulators.used_ids().tolist() == sorted(twin.rows)
    assert accumulators.row_count == len(twin.rows)


@pytest.mark.parametrize("specs", [ALL_SPECS, BY_SPECS], ids=["all", "by"])
def test_the_cut_into_batches_does_not_change_the_answer(specs):
    specs = specs[:23]
    rng = random.Random(7)
    n = 600
    ids, args = random_ids(rng, n, 20), random_args(rng, specs, n, 0.2)
    asked = ids_of(range(20))
    answers = []
    for rows in (1, 7, n):
        accumulators = Accumulators(specs)
        for start in range(0, n, rows):
            accumulators.update(ids[start : start + rows], columns_of(specs, cut(args, start, start + rows)))
        answers.append(
            [[repr(value) for value in result.to_pylist()] for result in accumulators.results(asked)]
        )
    assert answers[0] == answers[1] == answers[2]


def test_sliced_columns_are_read_from_their_offset():
    rng = random.Random(3)
    specs = ALL_SPECS + BY_SPECS[:5]
    args = random_args(rng, specs, 100, 0.3)
    ids = random_ids(rng, 90, 9)
    sliced = [tuple(values.slice(10, 90) for values in arg) for arg in columns_of(specs, args)]
    accumulators, twin = Accumulators(specs), Twin(specs)
    accumulators.update(ids, sliced)
    twin.update(ids, cut(args, 10, 100))
    assert_same(accumulators.results(ids_of(range(9))), twin.results(range(9)))


@pytest.mark.parametrize("specs", [ALL_SPECS, BY_SPECS[:20], BY_SPECS[20:]], ids=["all", "by", "by2"])
@pytest.mark.parametrize("n", [0, 1, 300])
def test_running_update_tells_every_result_before_and_after(specs, n):
    rng = random.Random(n)
    accumulators, twin = Accumulators(specs), Twin(specs)
    for nulls in (0.0, 0.3):
        ids, args = random_ids(rng, n, 12), random_args(rng, specs, n, nulls)
        before_naive, after_naive, new_naive = [[] for _ in specs], [[] for _ in specs], []
        for i in range(n):
            row = ids[i : i + 1]
            new_naive.append(int(row[0]) not in twin.rows)
            for k, result in enumerate(twin.results(row)):
                before_naive[k] += result
            twin.update(row, cut(args, i, i + 1))
            for k, result in enumerate(twin.results(row)):
                after_naive[k] += result
        before, after, was_new = accumulators.update_running(ids, columns_of(specs, args))
        assert_same(before, before_naive)
        assert_same(after, after_naive)
        assert was_new.tolist() == new_naive
    assert_same(accumulators.results(ids_of(range(12))), twin.results(range(12)))


@pytest.mark.parametrize("pane_count", [1, 2, 5])
def test_rows_go_to_the_pane_that_is_named(pane_count):
    rng = random.Random(pane_count)
    specs = ALL_SPECS + BY_SPECS[:6]
    panes = [Accumulators(specs) for _ in range(pane_count)]
    twins = [Twin(specs) for _ in range(pane_count)]
    n = 800
    ids, args = random_ids(rng, n, 30), random_args(rng, specs, n, 0.2)
    pane_of_row = random_ids(rng, n, pane_count)
    Accumulators.update_panes(panes, pane_of_row, ids, columns_of(specs, args))
    for i in range(n):
        twins[pane_of_row[i]].update(ids[i : i + 1], cut(args, i, i + 1))
    for pane, twin in zip(panes, twins):
        assert_same(pane.results(ids_of(range(30))), twin.results(range(30)))
        assert pane.row_count == len(twin.rows)


def test_no_rows_need_no_panes():
    Accumulators.update_panes([], ids_of([]), ids_of([]), [])


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("specs", [MERGE_SPECS[:30], MERGE_SPECS[30:]], ids=["a", "b"])
def test_merging_two_halves_gives_what_one_gives(specs, whole):
    rng = random.Random(11)
    n, bound = 900, 60
    halves, twin = [Accumulators(specs), Accumulators(specs)], Twin(specs)
    for half in halves:
        ids, args = random_ids(rng, n, bound), random_exact_args(rng, specs, n)
        if half is halves[1]:
            ids = np.where(ids % 3 == 0, ids + 4000, ids).astype(np.int32)  # rows and pages of its own
        half.update(ids, columns_of(specs, args))
        twin.update(ids, args)
    if whole:
        halves[0].merge_all(halves[1])
    else:
        used = halves[1].used_ids()
        halves[0].merge(halves[1], used, used)
    asked = ids_of(sorted(twin.rows))
    assert halves[0].used_ids().tolist() == asked.tolist()
    assert_same(halves[0].results(asked), twin.results(asked))


def test_merge_all_into_nothing_copies():
    rng = random.Random(2)
    for specs in (ALL_SPECS, [spec for spec in ALL_SPECS if spec[1] != BYTES]):
        source, target = Accumulators(specs), Accumulators(specs)
        ids, args = random_ids(rng, 3000, 2000), random_args(rng, specs, 3000, 0.2)
        source.update(ids, columns_of(specs, args))
        target.merge_all(source)
        used = source.used_ids()
        assert target.used_ids().tolist() == used.tolist()
        expected = [result.to_pylist() for result in source.results(used)]
        source.clear_all()
        assert_same(target.results(used), expected)


def test_merge_within_itself_follows_the_pairs_in_order():
    specs = [
        ("count_star", I64, 0),
        ("first", BYTES, 0),
        ("last", BYTES, 0),
        ("min", I64, 0),
        ("max_by", BYTES, 0, I64),
    ]
    accumulators = Accumulators(specs)
    words = [b"one", b"two", b"three", b"four"]
    values = column(BYTES, words)
    numbers = column(I64, [5, 3, 9, 1])
    accumulators.update(ids_of([0, 1, 2, 3]), [(), (values,), (values,), (numbers,), (values, numbers)])
    # 3 into 2, then 2 (with 3 in it) into 0; 7 is new and takes over 1; a row into itself changes nothing.
    accumulators.merge(accumulators, ids_of([2, 0, 7, 1]), ids_of([3, 2, 1, 1]))
    asked = ids_of([0, 1, 2, 3, 7])
    assert_same(
        accumulators.results(asked),
        [
            [3, 1, 2, 1, 1],
            [b"one", b"two", b"three", b"four", b"two"],
            [b"four", b"two", b"four", b"four", b"two"],
            [1, 3, 1, 1, 3],
            [b"three", b"two", b"three", b"four", b"two"],
        ],
    )
    assert accumulators.row_count == 5


def test_merging_rows_that_are_not_in_use_changes_nothing():
    specs = [("count_star", I64, 0), ("sum", I64, 0)]
    a, b = Accumulators(specs), Accumulators(specs)
    a.merge(b, ids_of([0, 5]), ids_of([9, 100_000]))
    a.merge_all(b)
    assert a.row_count == 0 and a.used_ids().tolist() == []


RETRACT_SPECS = [
    ("count_star", I64, 0),
    ("count", I64, 0),
    ("sum", I64, RETRACTABLE),
    ("sum0", I64, 0),
    ("avg", I64, 0),
    ("sum", F64, RETRACTABLE),
    ("avg", F64, 0),
]


def test_retracting_everything_leaves_the_results_of_nothing():
    rng = random.Random(5)
    n = 500
    args = random_args(rng, RETRACT_SPECS, n, 0.3)
    args[5] = args[6] = (exact(args[5][0]),)
    ids = random_ids(rng, n, 10)
    accumulators, twin = Accumulators(RETRACT_SPECS), Twin(RETRACT_SPECS)
    accumulators.update(ids, columns_of(RETRACT_SPECS, args))
    half = n // 2
    accumulators.retract(ids[:half], columns_of(RETRACT_SPECS, cut(args, 0, half)))
    twin.update(ids[half:], cut(args, half, n))
    expected = [
        [value + 0.0 if isinstance(value, float) else value for value in result]
        for result in twin.results(range(10))
    ]
    assert_same(accumulators.results(ids_of(range(10))), expected)
    accumulators.retract(ids[half:], columns_of(RETRACT_SPECS, cut(args, half, n)))
    assert_same(accumulators.results(ids_of(range(10))), Twin(RETRACT_SPECS).results(range(10)))
    assert accumulators.row_count == len(set(ids.tolist()))


@pytest.mark.parametrize(
    "spec", [("sum", I64, 0), ("min", I64, 0), ("last", I64, 0), ("max_by", I64, 0, I64)]
)
def test_what_cannot_be_retracted_says_so_and_stays(spec):
    accumulators = Accumulators([("count_star", I64, 0), spec])
    values = column(I64, [4])
    args = [(), (values,) if len(spec) == 3 else (values, values)]
    accumulators.update(ids_of([0]), args)
    with pytest.raises(UnsupportedOperationError, match="retract"):
        accumulators.retract(ids_of([0]), args)
    assert_same(accumulators.results(ids_of([0])), [[1], [4]])


def test_an_integer_sum_wraps_as_in_java_and_is_counted():
    accumulators = Accumulators([("sum", I64, RETRACTABLE), ("avg", I64, 0)])
    values = column(I64, [MAX64, 1])
    accumulators.update(ids_of([0, 0]), [(values,), (values,)])
    assert_same(accumulators.results(ids_of([0])), [[MIN64], [divide(MIN64, 2)]])
    assert accumulators.sum_overflows == 2
    one = column(I64, [1])
    accumulators.retract(ids_of([0]), [(one,), (one,)])
    assert_same(accumulators.results(ids_of([0])), [[MAX64], [MAX64]])
    assert accumulators.sum_overflows == 4
    other = Accumulators([("sum", I64, RETRACTABLE), ("avg", I64, 0)])
    other.merge(accumulators, ids_of([0]), ids_of([0]))
    other.merge(accumulators, ids_of([0]), ids_of([0]))
    assert other.sum_overflows == 2


def test_average_over_minus_one_divides_as_java():
    accumulators = Accumulators([("avg", I64, 0)])
    accumulators.retract(ids_of([0, 1]), [(column(I64, [MIN64, 7]),)])
    # The sum -(-2^63) wraps to itself, and so does its quotient; -7 / -1 is 7.
    assert_same(accumulators.results(ids_of([0, 1])), [[MIN64, 7]])


def test_merging_strings_within_itself_survives_the_growth_of_the_heap():
    accumulators = Accumulators([("last", BYTES, 0)])
    words = [b"%06d" % k * 100 for k in range(1000)]
    accumulators.update(ids_of(range(1000)), [(column(BYTES, words),)])
    for copies in (1, 2, 3):
        accumulators.merge(
            accumulators, ids_of(range(1000 * copies, 1000 * copies + 1000)), ids_of(range(1000))
        )
    assert_same(accumulators.results(ids_of(range(4000))), [words * 4])


@pytest.mark.parametrize(
    "values, least, greatest",
    [
        ([math.nan, 1.0, 2.0], math.nan, math.nan),  # lessThan(x, NaN) is false: the NaN stays
        ([1.0, math.nan, 2.0], 1.0, 2.0),  # lessThan(NaN, x) is false: the NaN is passed over
        ([0.0, -0.0], 0.0, 0.0),  # equal: the first stays
        ([-0.0, 0.0], -0.0, -0.0),
        ([math.inf, -math.inf], -math.inf, math.inf),
    ],
)
def test_min_and_max_of_doubles_compare_as_flinks_generated_code(values, least, greatest):
    accumulators = Accumulators([("min", F64, 0), ("max", F64, 0)])
    numbers = column(F64, values)
    accumulators.update(ids_of([0] * len(values)), [(numbers,), (numbers,)])
    assert_same(accumulators.results(ids_of([0])), [[least], [greatest]])


def test_the_value_of_the_first_extreme_is_kept_and_may_be_null():
    accumulators = Accumulators([("min_by", BYTES, 0), ("max_by", BYTES, 0)])
    values = column(BYTES, [b"a", None, b"c", b"d", b"e"])
    by = column(I64, [2, 1, 1, 9, None])
    accumulators.update(ids_of([0] * 5), [(values, by), (values, by)])
    assert_same(accumulators.results(ids_of([0])), [[None], [b"d"]])


def test_a_comparand_kind_that_is_not_given_is_the_first_that_comes():
    accumulators, other = Accumulators([("max_by", I64, 0)]), Accumulators([("max_by", I64, 0)])
    values = column(I64, [1, 2])
    accumulators.update(ids_of([0, 0]), [(values, column(BYTES, [b"b", b"a"]))])
    with pytest.raises(TypeError, match="comparand of kind BYTES"):
        accumulators.update(ids_of([0, 0]), [(values, values)])
    other.merge(accumulators, ids_of([3]), ids_of([0]))
    with pytest.raises(TypeError, match="comparand of kind BYTES"):
        other.update(ids_of([0, 0]), [(values, values)])
    assert_same(other.results(ids_of([3])), [[1]])
    panes = [Accumulators([("max_by", I64, 0)]) for _ in range(2)]
    Accumulators.update_panes(panes, ids_of([1, 0]), ids_of([0, 0]), [(values, column(BYTES, [b"b", b"a"]))])
    assert_same(panes[0].results(ids_of([0])), [[2]])


@pytest.mark.parametrize("aggregates", [[("count_star", I64, 0)], [], [("sum", I64, 0)] * 40])
def test_rows_around_the_edges_of_pages_are_apart(aggregates):
    accumulators = Accumulators(aggregates)
    ids = ids_of(
        sorted({edge + d for edge in (1, 2**5, 2**6, 2**9, 2**10, 2**11, 2**14) for d in (-1, 0, 1)})
    )
    args = [() if spec[0] == "count_star" else (column(I64, ids.tolist()),) for spec in aggregates]
    accumulators.update(
        ids[::-1].copy(), [tuple(c.take(np.arange(len(ids))[::-1]) for c in arg) for arg in args]
    )
    assert accumulators.used_ids().tolist() == ids.tolist()
    for result, spec in zip(accumulators.results(ids), aggregates):
        assert result.to_pylist() == ([1] * len(ids) if spec[0] == "count_star" else ids.tolist())


def test_a_sparse_pane_costs_the_pages_it_uses():
    accumulators = Accumulators([("sum", I64, 0)])
    empty = accumulators.memory_bytes
    accumulators.update(ids_of([1_000_000]), [(column(I64, [1]),)])
    assert accumulators.memory_bytes - empty < 64 * 1024


def test_cleared_rows_are_as_new():
    rng = random.Random(9)
    specs = ALL_SPECS + BY_SPECS[:8]
    accumulators, twin = Accumulators(specs), Twin(specs)
    for step in range(6):
        ids, args = random_ids(rng, 400, 100), random_args(rng, specs, 400, 0.2)
        accumulators.update(ids, columns_of(specs, args))
        twin.update(ids, args)
        if step == 3:
            accumulators.clear_all()
            twin.rows.clear()
            assert accumulators.row_count == 0
        else:
            gone = random_ids(rng, 50, 130)
            accumulators.clear(gone)
            for row in gone.tolist():
                twin.rows.pop(row, None)
        assert accumulators.used_ids().tolist() == sorted(twin.rows)
        assert_same(accumulators.results(ids_of(range(130))), twin.results(range(130)))


def test_memory_of_a_reused_pane_does_not_grow():
    rng = np.random.default_rng(1)
    pane = Accumulators([("sum", I64, 0), ("last", BYTES, 0)])
    sizes = []
    for _ in range(12):
        ids = rng.integers(0, 20_000, 20_000).astype(np.int32)
        words = Column.from_arrow(pa.array([b"x" * int(k) for k in rng.integers(1, 30, 20_000)], pa.binary()))
        pane.update(ids, [(column(I64, ids.tolist()),), (words,)])
        sizes.append(pane.memory_bytes)
        pane.clear_all()
    assert max(sizes[2:]) <= 1.3 * sizes[1]


def test_replaced_strings_do_not_pile_up():
    rng = random.Random(4)
    accumulators, twin = Accumulators([("last", BYTES, 0), ("min_by", BYTES, 0, BYTES)]), {}
    for _ in range(60):
        words = [bytes(rng.choices(b"xyz", k=rng.randrange(1, 400))) for _ in range(500)]
        ids = random_ids(rng, 500, 50)
        values = column(BYTES, words)
        accumulators.update(ids, [(values,), (values, values)])
        for row, word in zip(ids.tolist(), words):
            least = twin.get(row, (word, word))[1]
            twin[row] = (word, min(least, word))
    rows = sorted(twin)
    assert_same(
        accumulators.results(ids_of(rows)), [[twin[row][0] for row in rows], [twin[row][1] for row in rows]]
    )
    assert accumulators.memory_bytes < 600_000  # 60 batches of 100 KB went through


def test_count_takes_columns_that_no_kernel_reads():
    accumulators = Accumulators([("count", I64, 0), ("count", I64, 0)])
    objects = Column.from_objects([{"a"}, None, 3])
    nested = Column.from_arrow(pa.array([[1], None, None], pa.list_(pa.int64())))
    accumulators.update(ids_of([0, 0, 0]), [(objects,), (nested,)])
    assert_same(accumulators.results(ids_of([0])), [[2], [1]])


@pytest.mark.parametrize(
    "aggregates, error",
    [
        ([("median", I64, 0)], ValueError),
        ([("sum", BYTES, 0)], TypeError),
        ([("avg", BOOL, 0)], TypeError),
        ([("min", 9, 0)], TypeError),
        ([("min_by", I64, 0, 7)], TypeError),
        ([("min", I64)], ValueError),
        ([("min", I64, 0)] * 64, ValueError),
        ([("min", I64, 0)] * 48, OverflowError),
        ([("min_by", I64, 0, I64)] * 24, OverflowError),
    ],
)
def test_aggregates_that_make_no_sense_are_refused(aggregates, error):
    with pytest.raises(error):
        Accumulators(aggregates)


def test_arguments_that_do_not_fit_are_refused_before_anything_is_written():
    accumulators = Accumulators([("sum", I64, 0), ("max_by", I64, 0, F64)])
    numbers, doubles = column(I64, [1, 2]), column(F64, [1.0, 2.0])
    good = [(numbers,), (numbers, doubles)]
    ids = ids_of([0, 1])
    for method in (accumulators.update, accumulators.update_running):
        with pytest.raises(TypeError, match=r"aggregate 0 \(sum\): expected values of kind I64"):
            method(ids, [(doubles,), (numbers, doubles)])
        with pytest.raises(TypeError, match=r"aggregate 1 \(max_by\): expected a comparand of kind F64"):
            method(ids, [(numbers,), (numbers, numbers)])
        with pytest.raises(ValueError, match="2 values for 1 ids"):
            method(ids[:1], good)
        with pytest.raises(ValueError, match="takes 2 column"):
            method(ids, [(numbers,), (numbers,)])
        with pytest.raises(ValueError, match="for 2 aggregates"):
            method(ids, [(numbers,)])
        with pytest.raises(TypeError, match="int32"):
            method(np.array([0, 1]), good)
        with pytest.raises(ValueError, match="0 or more"):
            method(ids_of([0, -1]), good)
    with pytest.raises(ValueError, match="0 or more"):
        accumulators.results(ids_of([-1]))
    with pytest.raises(ValueError, match="0 or more"):
        accumulators.clear(ids_of([-5]))
    with pytest.raises(ValueError, match="0 or more"):
        accumulators.merge(accumulators, ids_of([0]), ids_of([-2]))
    with pytest.raises(ValueError, match="1 rows of self"):
        accumulators.merge(accumulators, ids_of([0]), ids_of([]))
    with pytest.raises(TypeError):
        accumulators.merge(Accumulators([("sum", I64, 0)]), ids_of([0]), ids_of([0]))
    with pytest.raises(ValueError):
        accumulators.merge_all(accumulators)
    with pytest.raises(ValueError, match="panes"):
        Accumulators.update_panes([accumulators], ids_of([0, 1]), ids, good)
    with pytest.raises(TypeError):
        Accumulators.update_panes(
            [accumulators, Accumulators([("sum", I64, 0), ("min", I64, 0)])], ids_of([0, 1]), ids, good
        )
    assert accumulators.row_count == 0
