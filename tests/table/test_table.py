# SPDX-License-Identifier: Apache-2.0
"""Tables from elements, streams and Arrow to results."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flinkcore.columnar.row import Row, RowKind
from flinkcore.common import Duration, Types, WatermarkStrategy
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.errors import (
    ExpressionError,
    FlinkcoreError,
    JobExecutionError,
    SchemaError,
    UnsupportedOperationError,
)
from flinkcore.table import (
    DataTypes,
    EnvironmentSettings,
    StreamTableEnvironment,
    TableConfig,
    TableEnvironment,
)
from flinkcore.table.expressions import (
    array,
    col,
    if_then_else,
    lit,
    range_,
    row,
    with_columns,
    without_columns,
)
from flinkcore.table.table_descriptor import TableDescriptor
from flinkcore.table.udf import udf
from flinkcore.table.window import Session, Slide, Tumble

ROWS = 200_000
WORDS = [("hello", 1), ("world", 2), ("hello", 3)]


def one_subtask(settings):
    """An environment of one subtask, where rows keep their order."""
    t_env = TableEnvironment.create(settings)
    t_env.get_config().set("parallelism.default", "1")
    return t_env


@pytest.fixture
def t_env():
    return one_subtask(EnvironmentSettings.in_streaming_mode())


@pytest.fixture
def batch_env():
    return one_subtask(EnvironmentSettings.in_batch_mode())


def changes(table):
    with table.execute().collect() as rows:
        return [(str(row.get_row_kind()), *row) for row in rows]


# -- where tables begin --------------------------------------------------------------------------------------


def test_types_of_elements(t_env):
    moment = datetime.datetime(2020, 1, 2, 3, 4, 5)
    table = t_env.from_elements(
        [
            (
                1,
                1.5,
                "a",
                True,
                moment,
                Decimal("1.25"),
                [1, None],
                {"k": 1},
                bytearray(b"x"),
                datetime.date(2020, 1, 2),
                None,
            ),
            (2**40, None, None, None, None, None, None, None, None, None, "late"),
        ]
    )
    assert (
        str(table.get_schema())
        == """root
 |-- _1: BIGINT
 |-- _2: DOUBLE
 |-- _3: STRING
 |-- _4: BOOLEAN
 |-- _5: TIMESTAMP_LTZ(6)
 |-- _6: DECIMAL(38, 18)
 |-- _7: ARRAY<BIGINT>
 |-- _8: MAP<STRING NOT NULL, BIGINT>
 |-- _9: BYTES
 |-- _10: DATE
 |-- _11: STRING
"""
    )


def test_names_of_elements(t_env):
    class Point:
        def __init__(self):
            self.y, self.x = 2, 1

    def names(elements, schema=None):
        return t_env.from_elements(elements, schema).get_schema().get_field_names()

    assert names([{"b": 1, "a": 2}]) == ["a", "b"]
    assert names([Row(b=1, a=2)]) == ["b", "a"]
    assert names([Row(1, 2)]) == names([[1, 2]]) == ["_1", "_2"]
    assert names([Point()]) == ["x", "y"]
    assert names([(1, 2)], ["a"]) == ["a", "_2"]
    assert names(
        [(1, 2)],
        DataTypes.ROW([DataTypes.FIELD("a", DataTypes.INT()), DataTypes.FIELD("b", DataTypes.BIGINT())]),
    ) == ["a", "b"]


def test_elements_that_fit_no_schema(t_env):
    with pytest.raises(TypeError, match="Can not merge type"):
        t_env.from_elements([(1,), ("a",)])
    with pytest.raises(ValueError, match="cannot be determined"):
        t_env.from_elements([(None,)])
    with pytest.raises(ValueError, match="empty data set"):
        t_env.from_elements([])
    with pytest.raises(SchemaError, match="field 'a'"):
        t_env.from_elements([("x",)], DataTypes.ROW([DataTypes.FIELD("a", DataTypes.INT())]))


def test_generated_names_are_known_as_those_of_streams(t_env):
    table = t_env.from_elements(WORDS)
    assert table.get_schema().get_field_names() == ["_1", "_2"]
    assert table.select("f0, f1 + 1 as n").get_schema().get_field_names() == ["f0", "n"]
    assert table.select(col("_1"), col("f1")).get_schema().get_field_names() == ["_1", "f1"]
    assert changes(table.where("f1 > 2").select("_1, f0 as again")) == [("+I", "hello", "hello")]
    with pytest.raises(SchemaError, match=r"Cannot resolve field \[f0\], input field list:\[a, b\]"):
        t_env.from_elements(WORDS, ["a", "b"]).select(col("f0"))


def test_bare_values_are_rows_of_one_column(t_env):
    table = t_env.from_elements([3, 1, None])
    assert changes(table.select("f0, _1 as same")) == [("+I", 3, 3), ("+I", 1, 1), ("+I", None, None)]


def test_tables_of_arrow_and_pandas(t_env):
    data = pa.table({"a": [1, 2, 3], "b": ["x", "y", None]})
    assert t_env.from_arrow(data).filter(col("a") > 1).to_arrow() == data.slice(1)
    frame = pd.DataFrame({"a": [1, 2]})
    assert t_env.from_pandas(frame, ["n"]).select((col("n") * 2).alias("m")).to_pandas()["m"].tolist() == [
        2,
        4,
    ]


# -- columns and rows ----------------------------------------------------------------------------------------


def test_a_projection_computes_columns(t_env):
    table = t_env.from_elements(WORDS, ["word", "n"])
    result = table.select(
        col("word").upper_case.alias("w"),
        col("n") / 2,
        lit("x"),
        if_then_else(col("n") > 1, "many", "one").alias("much"),
    )
    assert result.get_schema().get_field_names() == ["w", "_c0", "_c1", "much"]
    assert changes(result)[2] == ("+I", "HELLO", 1, "x", "many")


def test_columns_come_and_go(t_env):
    table = t_env.from_elements([(1, 2, 3)], ["a", "b", "c"])

    def names(table):
        return table.get_schema().get_field_names()

    assert names(table.drop_columns(col("b"))) == names(table.drop_columns("b")) == ["a", "c"]
    assert names(table.rename_columns(col("b").alias("z"))) == ["a", "z", "c"]
    assert names(table.add_columns((col("a") + 1).alias("d"))) == ["a", "b", "c", "d"]
    assert changes(table.add_or_replace_columns((col("a") + 9).alias("b"))) == [("+I", 1, 10, 3)]
    assert names(table.alias("x", "y")) == names(table.alias("x, y")) == ["x", "y", "c"]
    assert names(table.select(with_columns(range_(2, 3)))) == ["b", "c"]
    assert names(table.select(without_columns(col("b")))) == ["a", "c"]
    assert names(table.select(col("*"), lit(1).alias("d"))) == ["a", "b", "c", "d"]
    assert str(table.a) == "a"
    with pytest.raises(AttributeError, match="available columns"):
        table.nothing  # noqa: B018
    with pytest.raises(SchemaError, match="Ambiguous column name: a"):
        table.select(col("a"), col("b").alias("a"))


def test_nested_values(t_env):
    table = t_env.from_elements([(1, "x")], ["a", "b"])
    result = table.select(row(col("a"), col("b")).alias("r"), array(col("a"), 7).alias("l"))
    result = result.select(col("r").get("f1"), col("r").f0, col("l").at(2), col("l").cardinality)
    assert changes(result) == [("+I", "x", 1, 7, 2)]


def test_union_and_limit(t_env):
    left = t_env.from_elements([(1, "a"), (2, "b")], ["n", "s"])
    right = t_env.from_elements([(3, "c")], ["m", "t"])
    both = left.union_all(right)
    assert sorted(changes(both)) == [("+I", 1, "a"), ("+I", 2, "b"), ("+I", 3, "c")]
    assert changes(left.limit(1, 1)) == [("+I", 2, "b")]
    assert len(changes(left.fetch(1))) == len(changes(left.offset(1))) == 1
    with pytest.raises(SchemaError, match="union_all needs"):
        left.union_all(right.select(col("t"), col("m")))


def test_order_is_for_batch_mode(t_env, batch_env):
    rows = [(2, "b"), (1, "x"), (None, "n"), (2, "a")]
    table = batch_env.from_elements(rows, ["n", "s"])
    assert [tuple(r)[1:] for r in changes(table.order_by(col("n").desc, col("s")))] == [
        (2, "a"),
        (2, "b"),
        (1, "x"),
        (None, "n"),
    ]
    assert [tuple(r)[1:] for r in changes(table.order_by(col("n")).limit(2))] == [(None, "n"), (1, "x")]
    with pytest.raises(UnsupportedOperationError, match="in_batch_mode"):
        t_env.from_elements(rows, ["n", "s"]).order_by(col("n"))


# -- aggregates ----------------------------------------------------------------------------------------------


def test_streaming_aggregates_say_every_change(t_env):
    table = t_env.from_elements(WORDS, ["word", "n"])
    result = table.group_by(col("word")).select(col("word"), col("n").sum.alias("total"), lit(1).count)
    assert result.get_schema().get_field_names() == ["word", "total", "EXPR$0"]
    assert changes(result) == [
        ("+I", "hello", 1, 1),
        ("+I", "world", 2, 1),
        ("-U", "hello", 1, 1),
        ("+U", "hello", 4, 2),
    ]


def test_batch_aggregates_say_the_end(batch_env):
    table = batch_env.from_elements(WORDS, ["word", "n"])
    result = table.group_by(col("word")).select(col("word"), (col("n").sum * 10).alias("total"))
    assert changes(result) == [("+I", "hello", 40), ("+I", "world", 20)]
    assert changes(table.select(col("n").sum, lit(1).count)) == [("+I", 6, 3)]
    assert changes(table.where(col("n") > 100).select(lit(1).count)) == [("+I", 0)]


def test_mini_batches_say_less(t_env):
    t_env.get_config().set("table.exec.mini-batch.enabled", "true")
    table = t_env.from_elements(WORDS, ["word", "n"])
    assert changes(table.group_by(col("word")).select(col("word"), col("n").sum)) == [
        ("+I", "hello", 4),
        ("+I", "world", 2),
    ]


def test_an_aggregate_of_an_aggregate_takes_records_back(t_env):
    table = t_env.from_elements(WORDS, ["word", "n"])
    per_word = table.group_by(col("word")).select(col("word"), col("n").sum.alias("total"))
    by_total = per_word.group_by(col("total")).select(col("total"), col("word").count.alias("words"))
    assert changes(by_total) == [("+I", 1, 1), ("+I", 2, 1), ("-D", 1, 1), ("+I", 4, 1)]
    assert changes(per_word.select(col("total").max))[-1] == ("+U", 4)


def test_what_is_left_of_a_changelog(t_env):
    table = t_env.from_elements(WORDS, ["word", "n"])
    per_word = table.group_by(col("word")).select(col("word"), col("n").sum.alias("total"))
    assert per_word.to_arrow().to_pylist() == [{"word": "hello", "total": 4}, {"word": "world", "total": 2}]
    assert per_word.to_pandas()["total"].tolist() == [4, 2]


def three_subtasks(settings):
    t_env = TableEnvironment.create(settings)
    t_env.get_config().set("parallelism.default", "3")
    return t_env


@pytest.mark.parametrize("step", [
    lambda table: table,
    lambda table: table.select(col("n") + 0),
    lambda table: table.filter(col("n") >= 0),
    lambda table: table.select(udf(lambda value: value, result_type=DataTypes.BIGINT())(col("n"))),
    lambda table: table.limit(ROWS).add_columns((col("n") * 2).alias("twice")),
])  # fmt: skip
def test_sorted_rows_stay_sorted_through_what_comes_after(step):
    t_env = three_subtasks(EnvironmentSettings.in_batch_mode())
    table = t_env.from_arrow({"n": np.random.default_rng(0).permutation(ROWS)})
    assert step(table.order_by(col("n"))).to_arrow().column(0).to_pylist() == list(range(ROWS))


def test_a_sorted_table_is_written_in_its_order(capsys):
    t_env = three_subtasks(EnvironmentSettings.in_batch_mode())
    table = t_env.from_arrow({"n": np.arange(3000)[::-1]}).order_by(col("n"))
    table.execute_insert(TableDescriptor.for_connector("print").build()).wait()
    assert capsys.readouterr().out.split() == [f"+I[{n}]" for n in range(3000)]


def test_changes_of_the_only_row_stay_in_order_in_any_number_of_subtasks():
    t_env = three_subtasks(EnvironmentSettings.in_streaming_mode())
    table = t_env.from_arrow({"n": np.arange(ROWS)})
    count = table.select(col("n").count.alias("rows"))
    assert count.select(col("rows")).to_arrow().to_pylist() == [{"rows": ROWS}]
    both = count.union_all(table.filter(col("n") < 1)).select(col("rows"))
    assert sorted(both.to_arrow().column(0).to_pylist()) == [0, ROWS]


def test_computed_and_renamed_keys(t_env):
    table = t_env.from_elements([(1, 2), (3, 4), (5, 7)], ["a", "b"])
    assert changes(table.group_by(col("a").alias("k")).select(col("k"), col("b").max))[0] == ("+I", 1, 2)
    parity = table.group_by(col("b") % 2).select((col("b") % 2).alias("odd"), lit(1).count.alias("n"))
    assert parity.to_arrow().to_pylist() == [{"odd": 0, "n": 2}, {"odd": 1, "n": 1}]


def test_null_is_a_group(t_env):
    table = t_env.from_elements([(None, 1), ("a", 2), (None, 3)], ["k", "v"])
    assert changes(table.group_by(col("k")).select(col("k"), col("v").sum))[-1] == ("+U", None, 4)


def test_distinct(t_env):
    table = t_env.from_elements([(1, "a"), (1, "a"), (2, "a")], ["n", "s"])
    assert changes(table.distinct()) == [("+I", 1, "a"), ("+I", 2, "a")]
    assert not table.distinct()._relation.updating
    assert changes(table.select(col("s").count.distinct, col("n").sum.distinct))[-1] == ("+U", 1, 3)


def test_schema_of_an_aggregate(t_env, capsys):
    table = t_env.from_elements(WORDS, ["word", "n"])
    result = table.group_by(col("word")).select(col("word"), lit(1).count.alias("c"))
    result.print_schema()
    assert capsys.readouterr().out == "(\n  `word` STRING,\n  `c` BIGINT NOT NULL\n)\n"
    assert str(result.get_schema()) == "root\n |-- word: STRING\n |-- c: BIGINT NOT NULL\n"


def test_decimals_are_exact(batch_env):
    rows = [("a", Decimal("0.1")), ("a", Decimal("0.2")), ("a", Decimal("99999999999999999999"))]
    table = batch_env.from_elements(rows, ["k", "v"])
    result = table.group_by(col("k")).select(col("v").sum, col("v").max, col("v").avg, col("v").min)
    assert changes(result) == [
        (
            "+I",
            Decimal("99999999999999999999.300000000000000000"),
            Decimal("99999999999999999999.000000000000000000"),
            Decimal("33333333333333333333.100000000000000000"),
            Decimal("0.100000000000000000"),
        )
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda t: t.group_by(col("word")).select(col("n")),
            r"Cannot resolve field \[n\], input field list:\[word\]",
        ),
        (lambda t: t.select(col("n").sum.max), "cannot stand inside of another"),
        (lambda t: t.filter(col("n") + 1), "expected BOOLEAN"),
        (lambda t: t.filter(col("n").sum > 1), "aggregate functions are for select"),
        (
            lambda t: t.select(col("word").sum),
            "Invalid arguments of sum: expected a number; came word STRING",
        ),
        (lambda t: t.select(col("word") > 1), "comparable types"),
        (lambda t: t.select(5), "takes expressions"),
        (lambda t: t.tumble("word", 1), "an integer number of milliseconds or a timestamp"),
        (lambda t: t.tumble("n", 0), "a positive number of milliseconds"),
    ],
)
def test_errors_come_before_anything_runs(t_env, make, message):
    with pytest.raises(FlinkcoreError, match=message):
        make(t_env.from_elements(WORDS, ["word", "n"]))


def test_conditions_have_no_truth_value(t_env):
    with pytest.raises(TypeError, match="combine conditions with &"):
        bool(col("a") > 1)


def test_a_division_by_zero_fails_the_job_with_its_place(t_env):
    table = t_env.from_elements([(1, 0)], ["a", "b"]).select(col("a") / col("b"))
    with pytest.raises(JobExecutionError, match=r"divide\(a, b\): / by zero"):
        changes(table)


# -- windows -------------------------------------------------------------------------------------------------

CLICKS = [("u", 1_000, 1), ("v", 2_000, 2), ("u", 4_999, 3), ("u", 5_000, 4), ("v", 21_000, 5)]


def clicks(t_env_of=StreamTableEnvironment.create):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    t_env = t_env_of(env)
    stream = env.from_collection(
        CLICKS, Types.ROW_NAMED(["user", "ms", "n"], [Types.STRING(), Types.LONG(), Types.LONG()])
    )
    stream = stream.assign_timestamps_and_watermarks(
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1)).with_timestamp_column("ms")
    )
    return t_env.from_data_stream(stream, col("user"), col("n"), col("ts").rowtime)


def at(seconds):
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)


def test_a_rowtime_attribute_is_the_records_time():
    table = clicks()
    assert str(table.get_schema()).endswith(" |-- ts: TIMESTAMP(3) *ROWTIME*\n")
    assert changes(table.select(col("user"), col("ts")))[2] == ("+I", "u", at(4.999))


def test_tumbling_windows():
    result = (
        clicks()
        .window(Tumble.over(lit(5).seconds).on(col("ts")).alias("w"))
        .group_by(col("w"), col("user"))
        .select(col("user"), col("w").start, col("w").end.alias("until"), col("n").sum.alias("total"))
    )
    assert result.get_schema().get_field_names() == ["user", "EXPR$0", "until", "total"]
    assert sorted(changes(result)) == [
        ("+I", "u", at(0), at(5), 4),
        ("+I", "u", at(5), at(10), 4),
        ("+I", "v", at(0), at(5), 2),
        ("+I", "v", at(20), at(25), 5),
    ]


def test_windows_in_strings_are_the_same():
    result = (
        clicks()
        .window(Slide.over("10.seconds").every("5.seconds").on("ts").alias("w"))
        .group_by("w, user")
        .select("user, w.start as s, n.sum as total")
    )
    assert ("+I", "u", at(0), 8) in changes(result)


def test_session_windows_and_windows_of_all_rows():
    table = clicks()
    sessions = (
        table.window(Session.with_gap(lit(10).seconds).on(col("ts")).alias("w"))
        .group_by(col("w"))
        .select(col("w").start, col("w").end, lit(1).count)
    )
    assert changes(sessions) == [("+I", at(1), at(15), 4), ("+I", at(21), at(31), 1)]


def test_a_window_of_windows():
    small = (
        clicks()
        .window(Tumble.over(lit(5).seconds).on(col("ts")).alias("w"))
        .group_by(col("w"), col("user"))
        .select(col("user"), col("w").rowtime.alias("t"), col("n").sum.alias("total"))
    )
    large = (
        small.window(Tumble.over(lit(1).minute).on(col("t")).alias("w"))
        .group_by(col("w"))
        .select(col("w").start, col("total").sum)
    )
    assert changes(large) == [("+I", at(0), 15)]


def test_batch_windows_take_any_timestamp():
    t_env = one_subtask(EnvironmentSettings.in_batch_mode())
    table = t_env.from_arrow(
        pa.table({"ts": pa.array([at(7), at(1), at(2)], pa.timestamp("us")), "n": [1, 2, 4]})
    )
    result = (
        table.window(Tumble.over(lit(5).seconds).on(col("ts")).alias("w"))
        .group_by(col("w"))
        .select(col("w").start, col("n").sum)
    )
    assert changes(result) == [("+I", at(0), 6), ("+I", at(5), 1)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda t: (
                t.window(Tumble.over(lit(5).seconds).on(col("n")).alias("w"))
                .group_by(col("w"))
                .select(lit(1).count)
            ),
            "expects a time attribute",
        ),
        (
            lambda t: t.window(Tumble.over(lit(5).seconds).on(col("ts")).alias("w")).group_by(col("user")),
            "must name the window 'w'",
        ),
        (
            lambda t: (
                t.window(Tumble.over(lit(5).seconds).on(col("ts")).alias("w"))
                .group_by(col("w"))
                .select(col("w"))
            ),
            "is no column",
        ),
        (
            lambda t: (
                t.window(Tumble.over(lit(5)).on(col("ts")).alias("w"))
                .group_by(col("w"))
                .select(col("w").start)
            ),
            "counts rows",
        ),
        (lambda t: t.window(Tumble.over(lit(1).month).on(col("ts")).alias("w")), "use days"),
        (lambda t: t.window(Tumble.over(lit(5).seconds).on(col("ts"))), "window with an alias"),
        (
            lambda t: (
                t.group_by(col("user"))
                .select(col("user"), col("n").sum.alias("ts"))
                .tumble("ts", 5)
                .window(Tumble.over(lit(5).seconds).on(col("ts")).alias("w"))
                .group_by(col("w"))
                .select(lit(1).count)
            ),
            "expects a time attribute",
        ),
    ],
)
def test_windows_that_cannot_be(make, message):
    with pytest.raises(FlinkcoreError, match=message):
        make(clicks())


def test_tumble_adds_the_window_of_each_row(t_env):
    table = t_env.from_elements([(-1,), (0,), (7,)], ["n"]).tumble(col("n"), 5)
    assert changes(table) == [("+I", -1, -5, 0), ("+I", 0, 0, 5), ("+I", 7, 5, 10)]
    moments = t_env.from_arrow(pa.table({"t": pa.array([at(7.5)], pa.timestamp("us"))})).tumble(
        "t", lit(5).seconds
    )
    assert changes(moments) == [("+I", at(7.5), at(5), at(10))]


# -- streams and results -------------------------------------------------------------------------------------


def test_a_table_becomes_a_stream_and_back():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    t_env = StreamTableEnvironment.create(env)
    stream = env.from_collection([("a", 1), ("b", 2)], Types.TUPLE([Types.STRING(), Types.INT()]))
    table = t_env.from_data_stream(stream).filter(col("f1") > 1)
    rows = t_env.to_data_stream(table).map(lambda row: (row.f0, row.f1 * 10)).execute_and_collect()
    assert list(rows) == [("b", 20)]


def test_changes_become_a_stream_of_rows_with_kinds():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    t_env = StreamTableEnvironment.create(env)
    table = (
        t_env.from_elements([("a", 1), ("a", 2)], ["k", "v"])
        .group_by(col("k"))
        .select(col("k"), col("v").sum)
    )
    with pytest.raises(SchemaError, match="to_changelog_stream"):
        t_env.to_data_stream(table)
    kinds = [row.get_row_kind() for row in t_env.to_changelog_stream(table).execute_and_collect()]
    assert kinds == [RowKind.INSERT, RowKind.UPDATE_BEFORE, RowKind.UPDATE_AFTER]


def test_a_stream_of_python_objects_has_no_columns():
    env = StreamExecutionEnvironment.get_execution_environment()
    with pytest.raises(FlinkcoreError, match="output type"):
        StreamTableEnvironment.create(env).from_data_stream(env.from_collection([object()]))


def test_arguments_of_create_come_in_any_order():
    env = StreamExecutionEnvironment.get_execution_environment()
    settings, config = EnvironmentSettings.in_batch_mode(), TableConfig()
    for t_env in (
        StreamTableEnvironment.create(env, settings),
        StreamTableEnvironment.create(settings, env),
        StreamTableEnvironment.create(environment_settings=settings, stream_execution_environment=env),
        StreamTableEnvironment.create(env, config, settings),
    ):
        assert not t_env.is_streaming
        assert t_env._env is env
    with pytest.raises(FlinkcoreError, match="got str"):
        StreamTableEnvironment.create(env, "streaming")


def test_executing_a_table_runs_nothing_else(capsys):
    env = StreamExecutionEnvironment.get_execution_environment()
    t_env = StreamTableEnvironment.create(env)
    env.from_collection([1], Types.INT()).print()
    assert changes(t_env.from_elements([(1,)])) == [("+I", 1)]
    assert capsys.readouterr().out == ""
    env.execute()
    assert capsys.readouterr().out.endswith("1\n")


def test_the_box(batch_env, t_env, capsys):
    batch_env.from_elements([(1, "a")], ["n", "s"]).execute().print()
    assert (
        capsys.readouterr().out.splitlines()[1] == "|                    n |                              s |"
    )
    t_env.from_elements([(1,)], ["n"]).filter(col("n") > 1).execute().print()
    assert capsys.readouterr().out == "Empty set\n"


def test_rows_are_taken_once(t_env):
    result = t_env.from_elements([(1,)], ["n"]).execute()
    result.wait()
    assert [tuple(row) for row in result.collect()] == [(1,)]
    with pytest.raises(FlinkcoreError, match="taken already"):
        result.print()


def test_more_rows_than_fit_the_queue_can_be_waited_for(t_env):
    result = t_env.from_arrow(pa.table({"n": range(200_000)})).filter(col("n") >= 0).execute()
    result.wait()
    assert result.to_arrow().num_rows == 200_000


def test_old_planners_are_accepted_with_a_warning():
    import flinkcore.table.environment_settings as module

    module._warned.clear()
    with pytest.warns(DeprecationWarning, match="one planner"):
        EnvironmentSettings.new_instance().use_any_planner().in_batch_mode().build()


def test_errors_of_expressions_are_errors_of_values():
    assert issubclass(ExpressionError, ValueError)
