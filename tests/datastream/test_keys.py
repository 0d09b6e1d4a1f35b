# SPDX-License-Identifier: Apache-2.0
"""key_by, running aggregates, and what a stream with keys is not."""

from __future__ import annotations

import pytest

from flinkcore.common import Row, Types
from flinkcore.datastream import OutputTag
from flinkcore.errors import ConfigurationError, JobExecutionError, SchemaError
from flinkcore.table.expressions import col, lit
from tests.datastream.jobs import collected, environment, table_of

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])
NAMED = Types.ROW_NAMED(["word", "n"], [Types.STRING(), Types.INT()])
ROWS = [("a", 3), ("b", 1), ("a", 1), ("a", 2)]


def first(record):
    return record[0]


@pytest.mark.parametrize(
    "keyed",
    [
        lambda stream: stream.key_by(first),
        lambda stream: stream.key_by(first, Types.STRING()),
        lambda stream: stream.key_by(key_selector=first, key_type=Types.STRING()),
    ],
)
def test_key_by_takes_a_function_and_its_type_as_pyflink_does(keyed):
    stream = keyed(environment(2).from_collection(ROWS, PAIR))
    assert sorted(collected(stream.sum(1))) == [("a", 3), ("a", 4), ("a", 6), ("b", 1)]


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("sum", [("a", 3), ("b", 1), ("a", 4), ("a", 6)]),
        ("min", [("a", 3), ("b", 1), ("a", 1), ("a", 1)]),
        ("max", [("a", 3), ("b", 1), ("a", 3), ("a", 3)]),
        ("min_by", [("a", 3), ("b", 1), ("a", 1), ("a", 1)]),
        ("max_by", [("a", 3), ("b", 1), ("a", 3), ("a", 3)]),
    ],
)
def test_running_aggregates_of_a_field(op, expected):
    assert collected(getattr(environment().from_collection(ROWS, PAIR).key_by(first), op)(1)) == expected
    named = collected(
        getattr(environment().from_collection(ROWS, NAMED).key_by(lambda row: row.word), op)("n")
    )
    assert named == [Row(word=word, n=n) for word, n in expected]


def test_running_aggregates_take_the_first_field_or_the_bare_number_by_default():
    assert collected(environment().from_collection([1, 2, 3], Types.INT()).key_by(lambda n: 0).sum()) == [
        1,
        3,
        6,
    ]


def test_a_keyed_stream_is_collected_with_its_keys_as_in_pyflink():
    keyed = environment().from_collection([("a", 1)], PAIR).key_by(first)
    assert collected(keyed) == [Row(f0="a", f1=("a", 1))]
    assert environment().from_collection([5]).key_by(str).execute_and_collect(limit=1) == [Row(f0="5", f1=5)]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("name", ("x",)),
        ("uid", ("x",)),
        ("set_parallelism", (1,)),
        ("set_max_parallelism", (1,)),
        ("shuffle", ()),
        ("rebalance", ()),
        ("rescale", ()),
        ("broadcast", ()),
        ("forward", ()),
        ("slot_sharing_group", ("x",)),
    ],
)
def test_a_keyed_stream_is_no_operator_to_be_configured(method, arguments):
    keyed = environment().from_collection([1]).key_by(lambda value: value)
    with pytest.raises(ConfigurationError, match="KeyedStream"):
        getattr(keyed, method)(*arguments)


@pytest.mark.parametrize("key", [[1], {"k": 1}, None, 1.5, float("nan"), (1, [2]), b"x"])
def test_any_object_can_be_a_key(key):
    reduced = environment(2).from_collection([1, 2]).key_by(lambda value: key).reduce(lambda a, b: a + b)
    assert collected(reduced) == [1, 3]


def test_nan_is_one_key_and_the_zeros_are_two():
    data = {"k": [float("nan"), -float("nan"), 0.0, -0.0]}
    counted = table_of(
        environment().from_arrow(data).key_by("k").aggregate(lit(1).count.alias("n"), emit="final")
    )
    assert counted["n"] == [2, 1, 1]


def test_a_null_key_column_fails_is_dropped_goes_aside_or_is_a_key():
    def keyed(on_null):
        return environment().from_arrow({"k": [1, None, 1]}).key_by("k", on_null=on_null)

    count = lit(1).count.alias("n")
    with pytest.raises(JobExecutionError, match="key column 'k' is null at record 1 of its batch"):
        collected(keyed("fail").aggregate(count))
    assert table_of(keyed("drop").aggregate(count, emit="final")) == {"k": [1], "n": [2]}
    assert table_of(keyed("group").aggregate(count, emit="final")) == {"k": [1, None], "n": [2, 1]}


def test_a_null_key_goes_to_the_side_output_of_the_keyed_stream():
    keyed = environment(2).from_arrow({"k": [1, None]}).key_by("k", on_null=OutputTag("null"))
    (fault,) = collected(keyed.get_side_output(OutputTag("null")))
    assert fault.record == "Row(k=None)" and "key column 'k' is null" in fault.reason


@pytest.mark.parametrize("parallelism", [1, 3])
def test_records_of_one_key_keep_their_order(parallelism):
    env = environment(parallelism)
    records = [(n % 5, n) for n in range(3000)]
    streams = [env.from_collection(records[start : start + 1000]) for start in (0, 1000, 2000)]
    narrow = streams[2].map(lambda record: record).set_parallelism(1)
    both = streams[0].union(narrow).key_by(first).map(lambda record: record)
    found = collected(both)
    for key in range(5):
        for start in (0, 2000):
            of_key = [n for k, n in found if k == key and start <= n < start + 1000]
            assert of_key == list(range(start + key, start + 1000, 5))


@pytest.mark.parametrize("field", ["missing", 7])
def test_a_field_that_does_not_exist_is_said_when_the_job_is_built(field):
    with pytest.raises(SchemaError, match="the records have 2 fields: word, n"):
        environment().from_collection(ROWS, NAMED).key_by(lambda row: row.word).sum(field)


def test_a_key_function_that_raises_stop_iteration_loses_nothing():
    stream = (
        environment().from_collection([1, 2]).key_by(lambda value: next(iter(()))).map(lambda value: value)
    )
    with pytest.raises(JobExecutionError, match="StopIteration"):
        collected(stream)


def test_expressions_of_a_key_are_computed_first():
    with pytest.raises(ConfigurationError, match="with_columns first"):
        environment().from_arrow({"k": [1]}).key_by(col("k") + 1)
