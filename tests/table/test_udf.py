# SPDX-License-Identifier: Apache-2.0
"""Scalar functions of the user in tables: their types, where they may stand, their life, and their errors."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass

import pytest

from flinkcore.common import Types
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.errors import ExpressionError, JobExecutionError, UnsupportedOperationError
from flinkcore.table import DataTypes, EnvironmentSettings, StreamTableEnvironment, TableEnvironment
from flinkcore.table.expressions import col
from flinkcore.table.udf import FunctionContext, ScalarFunction, udf


@pytest.fixture(params=["true", "false"])
def t_env(request):
    """On columns and by rows."""
    settings = EnvironmentSettings.new_instance().build()
    settings.get_configuration().set_string("flinkcore.functions.translate", request.param)
    return TableEnvironment.create(settings)


@udf(result_type=DataTypes.BIGINT())
def plus_one(value):
    return value + 1


@udf(result_type="DOUBLE", input_types=["DOUBLE", DataTypes.INT()])
def scaled(value, factor):
    return value * factor


class Labelled(ScalarFunction):
    def __init__(self, label):
        self.label = label

    def open(self, function_context):
        assert isinstance(function_context, FunctionContext)
        self.subtask = function_context.get_index_of_this_subtask()

    def eval(self, value):
        return None if value is None else f"{self.label}{value}/{self.subtask}"


@dataclass
class Added(ScalarFunction):
    """Equal to others of its number, and without a hash."""

    number: int

    def eval(self, value):
        return value + self.number


def rows(table):
    return [tuple(row.values()) for row in table.to_arrow().to_pylist()]


def numbers(t_env, count=20):
    return t_env.from_elements([(i, f"s{i}") for i in range(count)], ["n", "s"])


def test_functions_make_columns(t_env):
    label = udf(Labelled("#"), result_type=DataTypes.STRING())
    table = numbers(t_env).select(col("n"), plus_one(col("n") * 2), scaled(col("n"), 3).alias("x"), label(col("s")))
    assert table.get_schema().get_field_names() == ["n", "_c0", "x", "_c1"]
    assert [str(type) for type in table.get_schema().get_field_data_types()[1:3]] == [
        str(DataTypes.BIGINT()), str(DataTypes.DOUBLE())
    ]  # fmt: skip
    assert rows(table) == [(n, 2 * n + 1, n * 3.0, f"#s{n}/0") for n in range(20)]


def test_a_function_object_needs_no_hash(t_env):
    add = udf(Added(5), result_type=DataTypes.BIGINT())
    assert rows(numbers(t_env, 2).select(add(col("n")), add(add(col("n"))))) == [(5, 10), (6, 11)]


def test_functions_stand_within_functions_and_expressions(t_env):
    table = numbers(t_env).select((plus_one(plus_one(col("n"))) + plus_one(col("n"))).alias("sum"))
    assert rows(table) == [(2 * n + 3,) for n in range(20)]


def test_functions_stand_in_conditions_and_added_columns(t_env):
    is_even = udf(lambda n: n % 2 == 0, result_type=DataTypes.BOOLEAN())
    table = numbers(t_env).filter(is_even(col("n"))).add_columns(plus_one(col("n")).alias("m")).drop_columns(col("s"))
    assert table.get_schema().get_field_names() == ["n", "m"]
    assert rows(table) == [(n, n + 1) for n in range(0, 20, 2)]


def test_results_can_be_grouped(t_env):
    third = udf(lambda n: n % 3, result_type=DataTypes.BIGINT())
    table = numbers(t_env).select(third(col("n")).alias("k"), col("n"))
    counted = table.group_by(col("k")).select(col("k"), col("n").sum.alias("sum"))
    assert sorted(rows(counted)) == [(0, 63), (1, 70), (2, 57)]


def test_null_is_none_both_ways(t_env):
    maybe = udf(lambda v: None if v is None or v > 5 else v, result_type=DataTypes.BIGINT())
    row_type = DataTypes.ROW([DataTypes.FIELD("v", DataTypes.BIGINT())])
    table = t_env.from_elements([(1,), (None,), (7,)] * 10, row_type)
    assert rows(table.select(maybe(col("v")))) == [(1,), (None,), (None,)] * 10


def test_functions_without_arguments_and_of_other_callables(t_env):
    answer = udf(lambda: 42, result_type=DataTypes.INT())
    root = udf(math.sqrt, result_type=DataTypes.DOUBLE())
    day = udf(lambda text: datetime.date.fromisoformat(text), result_type=DataTypes.DATE(), name="day")
    table = t_env.from_elements([(4.0, "2024-02-29")], ["x", "d"]).select(answer(), root(col("x")), day(col("d")))
    assert rows(table) == [(42, 2.0, datetime.date(2024, 2, 29))]


def test_results_become_a_stream():
    env = StreamExecutionEnvironment.get_execution_environment()
    t_env = StreamTableEnvironment.create(env)
    table = t_env.from_data_stream(env.from_collection([1, 2], Types.LONG()), col("a")).select(plus_one(col("a")))
    with t_env.to_append_stream(table, Types.ROW([Types.LONG()])).map(lambda row: row[0]).execute_and_collect() as got:
        assert sorted(got) == [2, 3]


def test_a_failing_function_is_named_with_its_arguments(t_env):
    def inverse(value):
        return 1 // (value - 3)

    table = numbers(t_env).select(udf(inverse, result_type=DataTypes.BIGINT())(col("n")))
    with pytest.raises(JobExecutionError) as failure:
        table.execute().wait()
    text = str(failure.value)
    assert "operator 'PythonCalc': inverse raised ZeroDivisionError" in text
    assert "at record 3 of its batch: (3,)" in text and "return 1 // (value - 3)" in text


def test_a_result_of_another_type_is_an_error(t_env):
    text = udf(lambda n: n, result_type=DataTypes.STRING(), name="text")
    with pytest.raises(JobExecutionError, match=r"text returned 0 for \(0,\) where its result_type is string"):
        numbers(t_env).select(text(col("n"))).execute().wait()


async def later(value):
    return value


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: udf(lambda a: a), TypeError, "udf needs the result_type"),
        (lambda: udf(3, result_type="INT"), TypeError, "udf takes a function or an object of a ScalarFunction"),
        (lambda: udf(Labelled, result_type="INT"), TypeError, "udf takes a function or an object"),
        (lambda: udf(len, result_type=int), TypeError, "a type of a udf is one of DataTypes"),
        (lambda: udf(len, result_type="INT", func_type="rows"), ValueError, "func_type must be one of"),
        (lambda: udf(len, result_type="INT", func_type="pandas"), UnsupportedOperationError, "pandas.Series"),
        (lambda: udf(later, result_type="INT"), UnsupportedOperationError, "asynchronous functions"),
        (lambda: udf(Labelled("a"), result_type="INT", deterministic=False), ValueError, "Inconsistent"),
        (lambda: scaled(col("n")), TypeError, "scaled takes 2 arguments, got 1"),
    ],
)
def test_functions_that_cannot_be_had(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_arguments_of_aggregates_have_to_be_columns_first(t_env):
    with pytest.raises(ExpressionError, match="make a column of it first"):
        numbers(t_env).group_by(col("s")).select(plus_one(col("n")).sum)
