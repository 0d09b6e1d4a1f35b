# SPDX-License-Identifier: Apache-2.0
"""Arrow data of every kind in, and results out to other libraries."""

from __future__ import annotations

import datetime
import mmap
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flinkcore.common import Types
from flinkcore.errors import JobExecutionError, SchemaError
from flinkcore.table.expressions import col
from tests.datastream.jobs import environment, table_of

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "y", None]})
DAY = datetime.datetime(2020, 1, 1)


class Capsule:
    def __init__(self, data):
        self.data = data

    def __arrow_c_array__(self, requested_schema=None):
        return self.data.__arrow_c_array__()


class UserType(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.int64(), "tests.user")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls()


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.to_batches()[0],
        lambda: TABLE.to_reader(),
        pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]}),
        pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]}, index=["p", "q", "r"]),
        lambda: duckdb.sql("select * from (values (1::bigint, 'x'), (2, 'y'), (3, null)) t(a, b)"),
        {"a": np.array([1, 2, 3]), "b": np.array(["x", "y", None], object)},
        {"a": [1, 2, 3], "b": pa.array(["x", "y", None])},
        Capsule(TABLE.to_batches()[0]),
    ],
)
@pytest.mark.parametrize("parallelism", [1, 3])
def test_the_same_rows_from_every_library(data, parallelism):
    data = data() if callable(data) else data
    found = environment(parallelism).from_arrow(data).execute_and_collect_arrow().read_all().sort_by("a")
    assert found.to_pydict() == TABLE.to_pydict()
    assert found.schema.types == [pa.int64(), pa.string()]


@pytest.mark.parametrize(
    ("array", "values"),
    [
        (pa.chunked_array([[1], [], [2]]), [1, 2]),
        (pa.array(["x", "y", "x", None]).dictionary_encode(), ["x", "y", "x", None]),
        (pa.array([5, 6, 5]).dictionary_encode(), [5, 6, 5]),
        (
            pa.DictionaryArray.from_arrays(pa.array([1, 0, None]), pa.array(["a", "b"], pa.string_view())),
            ["b", "a", None],
        ),
        (pa.array(["x", None], pa.large_string()), ["x", None]),
        (pa.array(["x", "longer than twelve bytes"], pa.string_view()), ["x", "longer than twelve bytes"]),
        (pa.array([b"x", None], pa.large_binary()), [b"x", None]),
        (pa.array([b"xx", b"yy"], pa.binary(2)), [b"xx", b"yy"]),
        (pa.array([[1], None], pa.large_list(pa.int32())), [[1], None]),
        (pa.array([{"x": 1, "y": [1, 2]}, None]), [{"x": 1, "y": [1, 2]}, None]),
        (pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())), [[("k", 1)], None]),
        (pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)), [Decimal("1.50"), None]),
        (pa.array([Decimal("1.50"), None], pa.decimal256(50, 2)), [Decimal("1.50"), None]),
        (pa.array([2**62], pa.uint64()), [2**62]),
        (pa.array(np.array([1.5], np.float16)), [1.5]),
        (pa.array([1], pa.time32("s")), [datetime.time(0, 0, 1)]),
        (pa.array([DAY], pa.timestamp("us")), [DAY]),
        (pa.nulls(2), [None, None]),
        (pa.array([True, None, False, True])[1:3], [None, False]),
        (pa.array(["a", None, "c", "d"])[1:3], [None, "c"]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], ["x", "y"]), ["x", "x", "y"]),
        (pa.ExtensionArray.from_storage(UserType(), pa.array([1, 2])), [1, 2]),
        (np.arange(10)[::3], [0, 3, 6, 9]),
        (np.array(["2020-01-01", "NaT"], "M8[s]"), [DAY, None]),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
        (pl.Series(["a", "b"], dtype=pl.Categorical), ["a", "b"]),
    ],
)
def test_a_column_of_every_layout_keeps_its_values(array, values):
    assert table_of(environment().from_arrow({"v": array}))["v"] == values
    assert table_of(environment().from_arrow({"v": array}).select(col("v").alias("w")))["w"] == values


def test_no_rows_are_no_records():
    assert table_of(environment(2).from_arrow(TABLE.slice(0, 0))) == {"a": [], "b": []}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pl.LazyFrame({"a": [1]}), "got a LazyFrame, which is a plan; call its collect"),
        (pd.Series([1, 2]), "it is one column; give it a name"),
        (pa.array([1]), "expected a table, got one column"),
        (pd.DataFrame({"a": [1, "x"]}), "column a .*Could not convert 'x'"),
        ({"a": np.arange(3), "b": np.arange(2)}, "equally long, got 'a': 3 rows, 'b': 2 rows"),
        ({"a": np.zeros((2, 2))}, "column 'a' has 2 dimensions"),
        ({"a": np.array(5)}, "column 'a' has 0 dimensions"),
        ({"a": np.array([1, "x"], object)}, "column 'a' .*Could not convert 'x'"),
        ({"a": np.array([1j])}, "column 'a' .ndarray of complex128"),
        ({"a": "abc"}, "column 'a' is one str 'abc'"),
        ({"a": 5}, "column 'a' .*not iterable"),
        ({1: [1]}, "names of columns are texts, got 1"),
        ({}, "has no columns"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), "names must differ.*: a"),
        (None, "got NoneType"),
        ("abc", "a text is no table"),
        ([{"a": 1}], "For Python values use from_collection"),
        (Capsule(pa.array([1])), "it is one column"),
        (Capsule(None), "cannot be read as an Arrow table"),
    ],
)
def test_what_is_no_table_is_refused_when_the_job_is_built(data, message):
    with pytest.raises(SchemaError, match=message):
        environment().from_arrow(data)


def test_a_reader_is_the_source_of_one_stream():
    reader = TABLE.to_reader()
    environment().from_arrow(reader)
    with pytest.raises(SchemaError, match="already the source of another stream"):
        environment().from_arrow(reader)


def test_an_integer_that_no_kernel_holds_names_its_column():
    data = pa.table({"a": pa.array([1, 2**63], pa.uint64())})
    with pytest.raises(JobExecutionError, match=r"column 'a' is uint64: .*cast it to decimal or string"):
        table_of(environment().from_arrow(data))


def test_text_that_is_no_utf8_names_its_column():
    buffers = [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    data = pa.table({"a": pa.Array.from_buffers(pa.string(), 1, buffers)})
    with pytest.raises(JobExecutionError, match="column 'a': a string is not UTF-8"):
        environment().from_arrow(data).map(str, Types.STRING()).execute_and_collect_arrow().read_all()


def test_a_column_of_more_text_than_an_array_can_number_is_refused():
    size = 2**31 + 10
    text = pa.py_buffer(mmap.mmap(-1, size))  # of which no page is ever touched
    offsets = pa.py_buffer(np.array([0, 2**30, size], np.int64))
    array = pa.Array.from_buffers(pa.large_string(), 2, [None, offsets, text])
    with pytest.raises(JobExecutionError, match=r"column 'a' is large_string: .*too large"):
        table_of(environment().from_arrow(pa.table({"a": array})))


def test_a_reader_that_breaks_fails_the_job():
    def batches():
        yield TABLE.to_batches()[0]
        raise ValueError("the reader broke")

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
    with pytest.raises(JobExecutionError, match=r"operator 'Arrow Source'.*(?s:the reader broke)"):
        table_of(environment().from_arrow(reader))


def test_results_go_to_every_library():
    def results():
        return environment().from_arrow(TABLE).execute_and_collect_arrow()

    assert pa.table(results()) == TABLE
    assert pl.DataFrame(results()).to_dict(as_series=False) == TABLE.to_pydict()
    relation = results()  # noqa: F841  DuckDB finds it by its name
    assert duckdb.sql("select sum(a) from relation").fetchall() == [(6,)]
    assert results().read_all().to_pandas()["a"].tolist() == [1, 2, 3]


def test_a_failure_reaches_the_library_that_reads():
    def results():
        broken = environment().from_arrow(TABLE).map(lambda row: 1 // 0, Types.INT())
        return broken.execute_and_collect_arrow()

    for read in (pa.table, pl.DataFrame, lambda reader: reader.read_all()):
        with pytest.raises(Exception, match="division"):
            read(results())


def test_python_objects_have_no_columns():
    with pytest.raises(SchemaError, match="give the function that makes them an output type"):
        environment().from_collection([1]).execute_and_collect_arrow()
