# SPDX-License-Identifier: Apache-2.0
"""Printed records and boxes are, character by character, what PyFlink printed (tests/golden/print)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flinkcore.columnar.arrow_types import schema_of
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.format import changelog_lines, java_lines, print_lines
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.java_text import java_double, java_float
from flinkcore.columnar.row import Row
from flinkcore.columnar.rows import from_rows
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.table_box import TableBox, display_width
from flinkcore.common.typeinfo import Types
from flinkcore.errors import SchemaError

GOLDEN = Path(__file__).parents[1] / "golden" / "print"

VALUES = [
    (True, 7, 10**12, 1.5, 1e10, 0.1, "txt", Decimal("1.50"), dt.date(2020, 1, 2), dt.time(3, 4, 5),
     dt.datetime(2020, 1, 2, 3, 4, 5, 60000), [1, 2], {"k": 1}, b"ab"),
    (False, None, -1, -0.0, 1e-5, 100.0, None, None, None, None, None, [], {}, b""),
]  # fmt: skip
TYPES = [
    Types.BOOLEAN(), Types.INT(), Types.LONG(), Types.FLOAT(), Types.DOUBLE(), Types.FLOAT(), Types.STRING(),
    Types.BIG_DEC(), Types.SQL_DATE(), Types.SQL_TIME(), Types.SQL_TIMESTAMP(), Types.LIST(Types.INT()),
    Types.MAP(Types.STRING(), Types.INT()),
]  # fmt: skip
ANY = Types.PICKLED_BYTE_ARRAY()
NESTED = Types.TUPLE([Types.STRING(), Types.ROW([Types.INT(), Types.STRING()])])

# What tests/golden/print/datastream.txt was printed from.
STREAMS = [
    ("tuple", [VALUES[0][:13]], Types.TUPLE(TYPES)),
    ("row", [Row(*row[:13]) for row in VALUES], Types.ROW(TYPES)),
    ("untyped-tuple", VALUES, ANY),
    ("untyped-row", [Row(a=1, b="1"), Row(a=2, b="2")], ANY),
    ("untyped-positional-row", [Row(1, "1"), Row(2, "2")], ANY),
    ("untyped-str", ["s"], ANY),
    ("untyped-none", [None], ANY),
    ("untyped-dict", [{"a": 1}], ANY),
    ("double", [1.0, 1e7, 1.5e-7, float("nan"), float("inf"), 123456789.125], Types.DOUBLE()),
    ("float", [1.0, 1.1, 1e10, 3.4e38], Types.FLOAT()),
    ("bool", [True], Types.BOOLEAN()),
    ("string", ["a"], Types.STRING()),
    ("nested", [("a", Row(1, None))], NESTED),
    (None, [("a", 1), ("b", 2)], Types.TUPLE([Types.STRING(), Types.INT()])),
]


def batch_of(rows, type_info):
    schema = schema_of(type_info)
    return Batch(schema, from_rows(list(rows), schema, "test"))


def test_streams_print_as_recorded():
    printed = []
    for name, rows, type_info in STREAMS:
        prefix = "" if name is None else f"{name}> "
        printed += [prefix + line for line in print_lines(batch_of(rows, type_info))]
        if name == "untyped-str":
            with pytest.raises(SchemaError, match="bytes cannot be printed"):
                print_lines(batch_of([b"s"], ANY))
            printed.append("untyped-bytes> the job fails")
    assert printed == (GOLDEN / "datastream.txt").read_text().splitlines()


TABLE_TYPES = [
    pa.bool_(), pa.int32(), pa.float64(), pa.float32(), pa.string(), pa.decimal128(10, 2), pa.date32(),
    pa.time32("s"), pa.timestamp("ms"), pa.list_(pa.int32()), pa.map_(pa.string(), pa.int32()), pa.binary(),
    pa.struct([("x", pa.int32()), ("y", pa.string())]),
]  # fmt: skip
TABLE_ROW = (
    True, 7, 1.5, 1.1, "txt", Decimal("1.50"), dt.date(2020, 1, 2), dt.time(3, 4, 5),
    dt.datetime(2020, 1, 2, 3, 4, 5, 60000), [1, 2], {"k": 1}, bytearray(b"ab"), Row(1, None),
)  # fmt: skip


def table_batch():
    schema = Schema([f"c{i}" for i in range(13)], TABLE_TYPES)
    return Batch(schema, from_rows([TABLE_ROW, (None,) * 13], schema, "test"))


def test_a_table_prints_as_recorded():
    batch = table_batch()
    recorded = (GOLDEN / "table.txt").read_text().splitlines()
    recorded = recorded[recorded.index(")") + 1 :]
    box = TableBox(batch.schema)
    assert box.lines(batch) + box.end() == recorded


def test_a_box_is_the_same_however_the_rows_are_batched():
    batch = table_batch()
    whole, parts = TableBox(batch.schema), TableBox(batch.schema)
    split = [line for i in range(2) for line in parts.lines(batch.slice(i, 1))]
    assert parts.lines(batch.slice(0, 0)) == []
    assert split + parts.end() == whole.lines(batch) + whole.end()


def test_a_box_has_kinds_in_streaming_mode_only_and_counts_its_rows():
    batch = batch_of([(1,), (2,)], Types.ROW_NAMED(["n"], [Types.LONG()]))
    changes = batch.with_row_kinds(np.array([1, 3], np.uint8))
    streaming = TableBox(batch.schema)
    assert [line[:7] for line in streaming.lines(changes)[3:]] == ["| -U | ", "| -D | "]
    assert streaming.end()[-1] == "2 rows in set"
    bounded = TableBox(batch.schema, with_kinds=False)
    assert bounded.lines(batch.slice(0, 1)) == [
        "+----------------------+",
        "|                    n |",
        "+----------------------+",
        "|                    1 |",
    ]
    assert bounded.end() == ["+----------------------+", "1 row in set"]
    assert TableBox(batch.schema).end() == ["Empty set"]


def test_cells_that_are_too_long_are_cut_and_wide_characters_count_twice():
    schema = Schema(["s"], [pa.string()])
    texts = ["x" * 30, "y" * 31, "中" * 15, "中" * 16, "a" + "中" * 16]
    box = TableBox(schema, with_kinds=False)
    cells = [
        line[2:-2] for line in box.lines(Batch(schema, from_rows([(t,) for t in texts], schema, "test")))[3:]
    ]
    assert cells[:2] == ["x" * 30, "y" * 27 + "..."]
    assert cells[2:] == ["中" * 15, " " + "中" * 13 + "...", "a" + "中" * 13 + "..."]
    assert all(display_width(cell) == 30 for cell in cells)


def test_a_complete_result_is_as_wide_as_its_cells():
    schema = Schema(["table name"], [pa.string()])
    box = TableBox(schema, with_kinds=False, by_data=True)
    assert box.lines(Batch(schema, from_rows([("P",), ("T",)], schema, "test"))) == []
    assert box.end() == [
        "+------------+",
        "| table name |",
        "+------------+",
        "|          P |",
        "|          T |",
        "+------------+",
        "2 rows in set",
    ]
    wide = TableBox(Schema(["w"], [pa.string()]), with_kinds=False, by_data=True)
    wide.lines(Batch(schema, from_rows([("z" * 40,)], schema, "test")))
    assert wide.end()[3] == "| " + "z" * 27 + "... |"


@pytest.mark.parametrize(("type", "width"), [
    (pa.int8(), 6), (pa.int16(), 6), (pa.int32(), 11), (pa.int64(), 20), (pa.uint32(), 20), (pa.bool_(), 6),
    (pa.decimal128(10, 2), 12), (pa.decimal128(38, 18), 40), (pa.date32(), 10), (pa.time32("s"), 8),
    (pa.time32("ms"), 12), (pa.timestamp("s"), 19), (pa.timestamp("ms"), 23), (pa.timestamp("us"), 26),
    (pa.timestamp("ns", "UTC"), 29), (pa.float64(), 30), (pa.list_(pa.int8()), 30),
])  # fmt: skip
def test_widths_by_type(type, width):
    box = TableBox(Schema(["c"], [type]), with_kinds=False)
    box.lines(Batch(Schema(["c"], [type]), from_rows([(None,)], Schema(["c"], [type]), "test")))
    assert len(box.end()[0]) == width + 4


def test_the_print_connector_writes_javas_forms():
    schema = Schema(
        ["t0", "t1", "t2", "z", "h0", "h1", "b", "m", "d", "r", "n"],
        [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.time32("s"),
         pa.time32("ms"), pa.binary(), pa.map_(pa.int8(), pa.bool_()), pa.decimal128(38, 18),
         pa.struct([("x", pa.float64()), ("y", pa.struct([("t", pa.timestamp("ms"))]))]), pa.string()],
    )  # fmt: skip
    row = (
        dt.datetime(2018, 3, 11, 3), dt.datetime(2018, 3, 11, 3, 0, 0, 123000),
        dt.datetime(2018, 3, 11, 3, 0, 1, 5), Instant(0, 0), dt.time(3, 4), dt.time(3, 4, 5, 10000),
        b"aa\xff", {1: True, 2: None}, Decimal(0), Row(1e10, Row(dt.datetime(1, 1, 1))), None,
    )  # fmt: skip
    batch = Batch(schema, from_rows([row], schema, "test"), row_kinds=np.array([2], np.uint8))
    assert changelog_lines(batch) == [
        "+U[2018-03-11T03:00, 2018-03-11T03:00:00.123, 2018-03-11T03:00:01.000005, 1970-01-01T00:00:00Z, "
        "03:04, 03:04:05.010, [97, 97, -1], {1=true, 2=null}, 0E-18, +I[1.0E10, +I[0001-01-01T00:00]], null]"
    ]


def test_text_files_hold_javas_forms_of_streams():
    assert java_lines(batch_of([("a", Row(1, None))], NESTED)) == ["(a,+I[1, null])"]
    assert java_lines(batch_of([(True, None)], Types.ROW([Types.BOOLEAN(), Types.INT()]))) == [
        "+I[true, null]"
    ]
    assert java_lines(batch_of([{"a": 1}], ANY)) == ["{'a': 1}"]
    moments = [dt.datetime(2020, 1, 2, 3, 4, 5), dt.datetime(1969, 12, 31, 23, 59, 59, 999_999), None]
    assert java_lines(batch_of(moments, Types.SQL_TIMESTAMP())) == [
        "2020-01-02 03:04:05.0", "1969-12-31 23:59:59.999999", "null"]  # fmt: skip
    instants = [Instant(0, 60_000_000), Instant(-1, 1_000), Instant(253402300800, 0)]
    assert java_lines(batch_of(instants[:2], Types.INSTANT())) == [
        "1970-01-01T00:00:00.060Z", "1969-12-31T23:59:59.000001Z"]  # fmt: skip
    assert java_lines(batch_of([[Decimal("1E+3"), None]], Types.LIST(Types.BIG_DEC()))) == [
        "[Decimal('1E+3'), None]"
    ]
    assert java_lines(batch_of([([Decimal("1E+3"), True],)], Types.TUPLE([Types.LIST(Types.BIG_DEC())]))) == [
        "([1E+3, true])"]  # fmt: skip


def test_instants_in_a_box_are_in_local_time():
    schema = Schema(["z"], [pa.timestamp("ms", "UTC")])
    box = TableBox(schema, with_kinds=False)
    moment = dt.datetime(2020, 7, 2, 3, 4, 5, 60000)  # naive: local time
    line = box.lines(Batch(schema, from_rows([(moment,)], schema, "test")))[3]
    assert line == "| 2020-07-02 03:04:05.060 |"


def test_nanoseconds_of_a_timestamp_are_not_lost():
    schema = Schema(["t"], [pa.timestamp("ns")])
    batch = Batch.from_arrow(pa.record_batch([pa.array([1, None, -1], pa.timestamp("ns"))], ["t"]), schema)
    assert changelog_lines(batch) == [
        "+I[1970-01-01T00:00:00.000000001]", "+I[null]", "+I[1969-12-31T23:59:59.999999999]"]  # fmt: skip
    assert TableBox(schema).lines(batch)[3].split()[3:5] == ["1970-01-01", "00:00:00.000000001"]


@pytest.mark.parametrize(("number", "text"), [
    (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (0.001, "0.001"), (0.00099, "9.9E-4"),
    (9999999.0, "9999999.0"), (1e7, "1.0E7"), (-1e7, "-1.0E7"), (1e16, "1.0E16"),
    (12345678.9, "1.23456789E7"), (1e-5, "1.0E-5"), (1.5e-7, "1.5E-7"), (5e-324, "4.9E-324"),
    (1.7976931348623157e308, "1.7976931348623157E308"), (2e23, "2.0E23"), (1.0e23, "1.0E23"),
    (2.2250738585072014e-308, "2.2250738585072014E-308"), (9007199254740993.0, "9.007199254740992E15"),
    (123456789012345680.0, "1.2345678901234568E17"), (0.1 + 0.2, "0.30000000000000004"),
    (float("nan"), "NaN"), (float("-inf"), "-Infinity"), (1e-4, "1.0E-4"), (10000000.5, "1.00000005E7"),
    (-5e-324, "-4.9E-324"),
])  # fmt: skip
def test_doubles_are_javas(number, text):
    assert java_double(number) == text
    if number == number:
        assert float(text.replace("Infinity", "inf")) == number


@pytest.mark.parametrize(("number", "text"), [
    (0.1, "0.1"), (1e10, "1.0E10"), (3.4028235e38, "3.4028235E38"), (1e-45, "1.4E-45"),
    (16777216.0, "1.6777216E7"), (86.399994, "86.399994"), (0.001, "0.001"), (1e-4, "1.0E-4"),
    (9999999.0, "9999999.0"), (1e7, "1.0E7"), (-0.0, "-0.0"), (1.17549435e-38, "1.1754944E-38"),
    (float("inf"), "Infinity"), (33554432.0, "3.3554432E7"),
])  # fmt: skip
def test_floats_are_javas(number, text):
    assert java_float(float(np.float32(number))) == text


def test_any_double_reads_back():
    numbers = np.random.default_rng(5).integers(0, 2**63, 3000).view(np.float64)
    for number in numbers[np.isfinite(numbers)].tolist():
        assert float(java_double(number)) == number
        single = float(np.float32(np.clip(number, -3e38, 3e38)))
        assert np.float32(java_float(single)) == np.float32(single)
