# SPDX-License-Identifier: Apache-2.0
"""Collections, Arrow data, number sequences and generators as sources."""

from __future__ import annotations

import decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.row import Row
from flinkcore.columnar.schema import Schema
from flinkcore.connectors import arrow
from flinkcore.connectors.arrow import ArrowSource
from flinkcore.connectors.base import Boundedness
from flinkcore.connectors.collection import CollectionSource
from flinkcore.connectors.datagen import DataGeneratorSource
from flinkcore.connectors.generated_columns import RandomColumn, SequenceColumn
from flinkcore.connectors.sequence import NumberSequenceSource
from flinkcore.errors import (
    ConfigurationError,
    ConnectorError,
    FlinkcoreWarning,
    SchemaError,
    UserFunctionError,
)

NUMBERS = Schema(["value"], [pa.int64()], "value")


# -- collections ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_a_collection_is_read_in_order(reading, batch_rows):
    values = [1, "two", (3, None), {"four": 4}, None]
    assert reading.rows(CollectionSource(values), 4, batch_rows, resume=True) == values
    assert reading.rows(CollectionSource([3, 1, 2], NUMBERS), 4, batch_rows, resume=True) == [3, 1, 2]
    rows = CollectionSource([(1, "a"), Row(2, "b")], Schema(["n", "s"], [pa.int32(), pa.string()]))
    assert reading.rows(rows, 1, batch_rows) == [Row(n=1, s="a"), Row(n=2, s="b")]


def test_what_functions_change_in_a_collection_is_not_read_again(reading):
    source = CollectionSource([[1], [2]])
    for value in reading.rows(source):
        value.append(9)
    assert reading.rows(source) == [[1], [2]]


def test_an_empty_collection(reading):
    assert reading.rows(CollectionSource([])) == []
    assert reading.rows(CollectionSource([], NUMBERS)) == []


def test_a_value_that_does_not_fit_is_an_error_at_once_with_its_position():
    with pytest.raises(SchemaError, match=r"from_collection: record 2 of the batch has 'three'"):
        CollectionSource([1, 2, "three"], NUMBERS)


def test_any_iterable_is_a_collection(reading):
    assert reading.rows(CollectionSource(range(3))) == [0, 1, 2]
    assert reading.rows(CollectionSource({"a": 1, "b": 2}.items())) == [("a", 1), ("b", 2)]


def test_an_iterator_is_not_run_ahead_and_says_that_it_can_be_read_once(reading):
    taken = []

    def numbers():
        for i in range(5):
            taken.append(i)
            yield i

    source = CollectionSource(numbers(), NUMBERS)
    assert "a generator gives its values once" in source.not_replayable and taken == []
    split = source.create_enumerator(2).next_split(0)
    reader = source.create_reader(split, reading.context())
    assert reader.read(2, 0) == [0, 1] and taken == [0, 1]
    with pytest.raises(
        ConnectorError, match=r"source 'source under test' cannot go back to row 0: a generator"
    ):
        source.create_reader(split, reading.context())
    reader = source.create_reader(reader.position(), reading.context())  # nothing was lost in between
    assert [reader.read(9, 0), reader.read(9, 0)] == [[2, 3, 4], None]


def test_batches_keep_their_timestamps():
    batch = Batch.from_arrow(pa.record_batch({"n": [1, 2]})).with_timestamps(np.array([10, 20]))
    source = CollectionSource.of_batches([batch, batch])
    reader = source.create_reader(source.create_enumerator(1).next_split(0), None)
    assert reader.read(3, 0).timestamps_ms.tolist() == [10, 20, 10]


# -- Arrow ----------------------------------------------------------------------------------------------------

TABLE = pa.table(
    {"n": pa.chunked_array([[1, 2, 3], [], [4, 5]], pa.int64()), "s": ["a", None, "c", "d", "e"]}
)
ROWS = [Row(**row) for row in TABLE.to_pylist()]


class OnlyStream:
    """Speaks the stream protocol and says nothing else about itself."""

    def __arrow_c_stream__(self, requested_schema=None):
        return TABLE.__arrow_c_stream__(requested_schema)


class OnlyArray:
    def __arrow_c_array__(self, requested_schema=None):
        return TABLE.combine_chunks().to_batches()[0].__arrow_c_array__(requested_schema)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TABLE,
        lambda: TABLE.combine_chunks().to_batches()[0],
        lambda: pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches()),
        lambda: pl.from_arrow(TABLE),
        lambda: pd.DataFrame({"n": [1, 2, 3, 4, 5], "s": ["a", None, "c", "d", "e"]}, index=list("vwxyz")),
        lambda: duckdb.from_arrow(TABLE),
        OnlyStream,
        OnlyArray,
        lambda: {"n": np.arange(1, 6), "s": ["a", None, "c", "d", "e"]},
        lambda: {
            "n": np.arange(1, 6, dtype=np.int64),
            "s": pa.array(["a", None, "c", "d", "e"]).dictionary_encode(),
        },
    ],
    ids=[
        "table",
        "record batch",
        "reader",
        "polars",
        "pandas",
        "duckdb",
        "c stream",
        "c array",
        "numpy",
        "dictionary",
    ],
)
@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_anything_that_speaks_arrow_is_a_source(reading, make, batch_rows):
    source = ArrowSource(make())
    assert source.schema == Schema(["n", "s"], [pa.int64(), pa.string()])
    assert reading.rows(source, 1, batch_rows) == ROWS


@pytest.mark.parametrize("parallelism", [1, 2, 7])
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_a_table_is_the_same_in_any_number_of_splits(reading, parallelism, batch_rows):
    assert reading.rows(ArrowSource(TABLE), parallelism, batch_rows, resume=True) == ROWS


def test_a_large_table_is_cut_into_neighbouring_ranges_that_are_not_too_large(monkeypatch):
    monkeypatch.setattr(arrow, "SPLIT_ROWS_MAX", 10)
    source = ArrowSource({"n": np.zeros(95, np.int64)})
    splits = list(source.create_enumerator(2).splits)
    assert [(split.start, split.end) for split in splits] == [(i, min(i + 10, 95)) for i in range(0, 95, 10)]


def test_numbers_are_not_copied(reading):
    values = np.arange(1000)
    source = ArrowSource({"n": values})
    reader = source.create_reader(source.create_enumerator(1).next_split(0), reading.context())
    reader.read(10, 0)
    assert reader.read(10, 0).column(0).to_numpy().__array_interface__["data"][0] == values[10:].ctypes.data


def test_a_stream_is_read_as_the_job_runs_and_once(reading):
    pulled = []

    def batches():
        for i in range(3):
            pulled.append(i)
            yield pa.record_batch({"n": [i, i]})

    source = ArrowSource(pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), batches()))
    assert source.parallelism_max == 1 and "can be read once; pass a table" in source.not_replayable
    reader = source.create_reader(source.create_enumerator(4).next_split(0), reading.context())
    assert reader.read(1, 0).num_rows == 1 and pulled == [0]
    with pytest.raises(ConnectorError, match=r"cannot go back to row 1: a stream of Arrow batches"):
        source.create_reader(reader.position(), reading.context())


def test_empty_tables(reading):
    for rows in (TABLE.slice(0, 0), pa.table({"n": pa.array([], pa.int64())})):
        assert reading.rows(ArrowSource(rows), 3) == []


@pytest.mark.parametrize(
    "data, message",
    [
        ([1, 2], "expected a pyarrow Table, .* got list. For Python values use from_collection"),
        (pa.array([1]), "expected a table, got one column \\(int64\\); give it a name: {'value': array}"),
        (pl.Series([1]), "polars's Series cannot be read as an Arrow table"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, "columns must be equally long, got 'a': 2 rows, 'b': 3 rows"),
        ({"a": np.zeros((2, 2))}, "column 'a' has 2 dimensions; a column has one"),
        ({"a": np.array([object()])}, "column 'a' \\(ndarray of object\\) cannot be an Arrow column"),
    ],
)
def test_what_does_not_speak_arrow_is_refused(data, message):
    with pytest.raises(SchemaError, match=message):
        ArrowSource(data)


# -- number sequences -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start, end", [(0, 9), (-3, 3), (5, 5), (2**63 - 4, 2**63 - 1), (-(2**63), -(2**63) + 2)]
)
@pytest.mark.parametrize("parallelism", [1, 2, 7])
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_a_number_sequence_has_both_its_ends(reading, start, end, parallelism, batch_rows):
    assert reading.rows(NumberSequenceSource(start, end), parallelism, batch_rows, resume=True) == list(
        range(start, end + 1)
    )


@pytest.mark.parametrize("start, end", [(1, 0), (0, 2**63), (-(2**63) - 1, 0)])
def test_a_number_sequence_needs_a_range_of_longs(start, end):
    with pytest.raises(ConfigurationError, match=r"a number sequence"):
        NumberSequenceSource(start, end)


# -- generators -----------------------------------------------------------------------------------------------

COLUMNS = {
    "id": SequenceColumn(100),
    "price": RandomColumn(pa.float64(), 10, 20),
    "n": RandomColumn(pa.int32(), -5, 5),
    "ok": RandomColumn(pa.bool_()),
    "s": RandomColumn(pa.string(), length=20),
    "at": RandomColumn(pa.timestamp("ms"), 0, 10**12),
    "maybe": RandomColumn(pa.int64(), 0, 9, null_rate=0.5),
}


@pytest.mark.parametrize("parallelism", [2, 7])
def test_generated_rows_are_the_same_for_any_parallelism_and_batch(reading, parallelism):
    source = DataGeneratorSource(COLUMNS, count=100)
    rows = reading.rows(source)
    assert [row.id for row in rows] == list(range(100, 200))
    assert sorted(reading.rows(source, parallelism, 9, resume=True), key=lambda row: row.id) == rows


def test_random_values_stay_in_range_and_fill_it():
    table = pa.table(
        dict(
            zip(
                COLUMNS,
                (
                    column.to_arrow()
                    for column in DataGeneratorSource(COLUMNS, count=10_000)
                    .rows_of(np.arange(10_000), 0)
                    .columns
                ),
            )
        )
    )
    assert 10 <= pc.min(table["price"]).as_py() < 10.1 and 19.9 < pc.max(table["price"]).as_py() < 20
    assert pc.unique(table["n"]).sort().to_pylist() == list(range(-5, 6))
    assert 4500 < pc.sum(table["ok"]).as_py() < 5500
    assert 4500 < table["maybe"].null_count < 5500 and table["n"].null_count == 0
    assert set(map(len, table["s"].to_pylist())) == {20} and len(pc.unique(table["s"])) == 10_000


def test_the_full_range_of_longs_can_be_drawn():
    column = RandomColumn(pa.int64(), -(2**63), 2**63 - 1).values(np.arange(1000), 1, 0).to_numpy()
    assert (column < 0).any() and (column > 0).any() and np.abs(column.astype(float)).max() > 2**62


def test_a_sequence_with_an_end_ends_the_source(reading):
    source = DataGeneratorSource({"id": SequenceColumn(5, 8), "x": RandomColumn(pa.bool_())})
    assert source.boundedness is Boundedness.BOUNDED
    assert [row.id for row in reading.rows(source, 3)] == [5, 8, 6, 7]


def test_a_generator_function_gets_the_row_s_number(reading):
    assert reading.rows(DataGeneratorSource(lambda i: i * i, 5, schema=NUMBERS), batch_rows=2) == [
        0,
        1,
        4,
        9,
        16,
    ]
    assert reading.rows(DataGeneratorSource(lambda i: (i, "x"), 2)) == [(0, "x"), (1, "x")]
    assert reading.rows(DataGeneratorSource(lambda i: {"value": i * 2}, 3, schema=NUMBERS, batches=True)) == [
        0,
        2,
        4,
    ]


def test_a_generator_function_that_raises_is_named_with_its_row(reading):
    def inverse(i):
        return 1 / (3 - i)

    with pytest.raises(
        UserFunctionError, match=r"inverse raised ZeroDivisionError.*\n.*at record 3 of its batch: 3"
    ):
        reading.rows(DataGeneratorSource(inverse, 5))


def read_until_idle(reader):
    counts = []
    while batch := reader.read(1000, 0):
        counts.append(len(batch))
    return sum(counts)


def test_the_rate_follows_the_clock(reading):
    source = DataGeneratorSource({"id": SequenceColumn()}, rate_per_second=100)
    assert source.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    enumerator = source.create_enumerator(2)
    readers = [source.create_reader(enumerator.next_split(i), reading.context()) for i in (0, 1)]
    assert [read_until_idle(reader) for reader in readers] == [1, 1]  # the first row is due at once
    reading.clock.advance(1000)
    assert [read_until_idle(reader) for reader in readers] == [50, 50]
    reading.clock.advance(10)
    assert [read_until_idle(reader) for reader in readers] == [0, 0]
    reading.clock.advance(10)
    assert [read_until_idle(reader) for reader in readers] == [1, 1]
    assert readers[0].position().index == 104


def test_endless_splits_survive_a_restore():
    source = DataGeneratorSource({"id": SequenceColumn()})
    enumerator = source.create_enumerator(2)
    enumerator.next_split(0)
    restored = source.restore_enumerator(2, enumerator.snapshot())
    assert restored.next_split(0) is None  # it has one already
    assert restored.next_split(1).index == 1 and restored.is_finished()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: DataGeneratorSource(str, -1), "the number of rows cannot be negative, got -1"),
        (
            lambda: DataGeneratorSource(str, rate_per_second=0),
            "the rate is a positive number of rows per second, got 0",
        ),
        (lambda: DataGeneratorSource(str, batches=True), "a generator of batches needs a schema"),
        (lambda: RandomColumn(pa.int64(), 2, 1), "a random column needs lower <= upper"),
    ],
)
def test_generator_options_out_of_range(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_types_that_cannot_be_drawn():
    with pytest.raises(SchemaError, match=r"random values are integers, floats, .* not list"):
        RandomColumn(pa.list_(pa.int64()))


def test_decimals_stay_objects_in_a_collection(reading):
    assert reading.rows(CollectionSource([decimal.Decimal("1.10")])) == [decimal.Decimal("1.10")]


def test_numbers_of_a_collection_outside_of_their_type_lose_their_upper_bits_as_in_flink():
    values = [(43878, 9147483648, 2**62), (True, -1, -1)]
    schema = Schema(["a", "b", "c"], [pa.int16(), pa.int32(), pa.int64()], "tuple")
    with pytest.warns(FlinkcoreWarning) as warned:
        source = CollectionSource(values, schema)
    assert source.data.to_arrow().to_pylist() == [
        {"a": -21658, "b": 557549056, "c": 2**62},
        {"a": 1, "b": -1, "c": -1},
    ]
    assert [str(each.message).split("numbers of ")[1][:9] for each in warned] == ["field 'a'", "field 'b'"]
    with pytest.raises(SchemaError, match=r"1\.5"):
        CollectionSource([(43878, 1.5, 0)], schema)
    with pytest.raises(SchemaError, match="18446744073709551616"):
        CollectionSource([(2**64, 1, 0)], schema)
