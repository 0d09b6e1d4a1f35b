# SPDX-License-Identifier: Apache-2.0
"""Rows become columns as Flink converts records of a declared type, and come back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkcore.columnar.arrow_types import schema_of
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.decode import to_pylist
from flinkcore.columnar.encode import from_pylist
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.row import Row, RowKind
from flinkcore.columnar.rows import from_rows, row_kinds_of, to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.common.typeinfo import Types
from flinkcore.errors import SchemaError

EVERY_TYPE = [
    (Types.BOOLEAN(), True),
    (Types.BYTE(), -128),
    (Types.SHORT(), 2**15 - 1),
    (Types.INT(), -(2**31)),
    (Types.LONG(), 2**63 - 1),
    (Types.FLOAT(), 1.5),
    (Types.DOUBLE(), 0.1),
    (Types.STRING(), "中文\x00"),
    (Types.CHAR(), "c"),
    (Types.BIG_INT(), 10**50),
    (Types.BIG_DEC(), Decimal("1.50")),
    (Types.INSTANT(), Instant(-1, 999_999_000)),
    (Types.SQL_DATE(), dt.date(1, 1, 1)),
    (Types.SQL_TIME(), dt.time(23, 59, 59, 999_000)),
    (Types.SQL_TIMESTAMP(), dt.datetime(1960, 2, 29, 3, 4, 5, 678_901)),
    (Types.LIST(Types.INT()), [1, None, 2]),
    (Types.PRIMITIVE_ARRAY(Types.BYTE()), b"a\x00"),
    (Types.PRIMITIVE_ARRAY(Types.DOUBLE()), [1.5]),
    (Types.BASIC_ARRAY(Types.STRING()), ["a", None]),
    (Types.OBJECT_ARRAY(Types.SQL_DATE()), [dt.date(2020, 1, 1)]),
    (Types.MAP(Types.STRING(), Types.LIST(Types.INT())), {"k": [1], "l": None}),
    (Types.ROW([Types.INT(), Types.STRING()]), Row(f0=1, f1=None)),
    (
        Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.LIST(Types.TUPLE([Types.INT()]))]),
        Row(a=1, b=[(1,), (2,)]),
    ),
    (Types.TUPLE([Types.INT(), Types.ROW([Types.STRING()])]), (1, Row(f0="x"))),
    (Types.LIST(Types.MAP(Types.INT(), Types.BOOLEAN())), [{}, {1: True}, None]),
    (Types.PICKLED_BYTE_ARRAY(), {"any": object}),
]


def round_trip(rows, type_info):
    schema = schema_of(type_info)
    return to_rows(Batch(schema, from_rows(rows, schema, "test")))


@pytest.mark.parametrize(("type_info", "value"), EVERY_TYPE, ids=lambda part: str(part)[:40])
def test_every_type_comes_back_as_it_went_in(type_info, value):
    row_type = Types.ROW_NAMED(["x"], [type_info])
    rows = [Row(x=value), Row(x=None), Row(x=value)]
    assert round_trip(rows, row_type) == rows
    assert round_trip([(value,)] * 3, Types.TUPLE([type_info])) == [(value,)] * 3
    assert round_trip([value], type_info) == [value]
    assert round_trip([], row_type) == []
    assert type(round_trip([value], type_info)[0]) is type(value)


@pytest.mark.parametrize(("type_info", "value"), EVERY_TYPE, ids=lambda part: str(part)[:40])
def test_slices_and_selections_of_a_batch_give_the_same_rows(type_info, value):
    schema = schema_of(Types.ROW_NAMED(["x"], [type_info]))
    rows = [Row(x=None if i % 3 == 1 else value) for i in range(17)]
    batch = Batch(schema, from_rows(rows, schema, "test"))
    assert to_rows(batch.slice(5, 9)) == rows[5:14]
    picked = [16, 3, 4, 4, 1]
    assert to_rows(batch.take(np.array(picked))) == [rows[i] for i in picked]
    assert to_rows(batch.slice(5, 9).take(np.array([8, 0]))) == [rows[13], rows[5]]


def test_a_row_may_come_as_tuple_list_dict_object_or_row():
    class Person:
        def __init__(self):
            self.a, self.b, self.other = 1, "x", 0

    row_type = Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()])
    rows = [(1, "x"), [1, "x"], {"b": "x", "a": 1}, Row(1, "x"), Row(b="x", a=1), Person()]
    assert round_trip(rows, row_type) == [Row(a=1, b="x")] * 6
    assert round_trip([{"b": "x"}], row_type) == [Row(a=None, b="x")]


def test_a_typed_tuple_takes_lists_and_rows_and_gives_tuples():
    tuple_type = Types.TUPLE([Types.INT(), Types.STRING()])
    assert round_trip([(1, "x"), [2, "y"], Row(3, "z"), Row(q=4, p="w")], tuple_type) == [
        (1, "x"), (2, "y"), (3, "z"), (4, "w")]  # fmt: skip


def test_row_kinds_travel_beside_the_columns():
    rows = [Row(a=1), Row.of_kind(RowKind.UPDATE_BEFORE, a=1), Row.of_kind(RowKind.DELETE, a=2)]
    kinds = row_kinds_of(rows)
    assert kinds.tolist() == [0, 1, 3]
    schema = schema_of(Types.ROW_NAMED(["a"], [Types.INT()]))
    batch = Batch(schema, from_rows(rows, schema, "test"), row_kinds=kinds)
    assert to_rows(batch) == rows
    assert (
        row_kinds_of([Row(1), Row(2)]) is None and row_kinds_of([(1,)]) is None and row_kinds_of([]) is None
    )


FAULTS = [
    (Types.INT(), 2**31, "INT (int32): outside -2147483648 .. 2147483647"),
    (Types.BYTE(), -129, "BYTE (int8): outside"),
    (Types.LONG(), 2**63, "LONG (int64): outside"),
    (Types.INT(), 1.0, "INT (int32): 'float' object cannot be interpreted as an integer"),
    (Types.INT(), "1", "'1' (str)"),
    (Types.DOUBLE(), "1.5", "DOUBLE (double)"),
    (Types.BOOLEAN(), "yes", "BOOLEAN (bool)"),
    (Types.BOOLEAN(), 2, "BOOLEAN (bool)"),
    (Types.STRING(), b"x", "b'x' (bytes)"),
    (Types.STRING(), 5, "5 (int)"),
    (Types.STRING(), "\ud800", "surrogates"),
    (Types.PRIMITIVE_ARRAY(Types.BYTE()), "x", "'x' (str)"),
    (Types.SQL_DATE(), "2020-01-01", "SQL_DATE"),
    (Types.SQL_TIMESTAMP(), dt.date(2020, 1, 1), "SQL_TIMESTAMP"),
    (Types.SQL_TIME(), dt.time(1, tzinfo=dt.timezone.utc), "drop its tzinfo"),
    (Types.INSTANT(), 5, "INSTANT"),
    (Types.LIST(Types.INT()), "ab", "ListTypeInfo<Integer>"),
    (Types.LIST(Types.INT()), [1, "x"], "'x' (str)"),
    (Types.LIST(Types.LIST(Types.INT())), [[1], [2, 2**40]], "1099511627776 (int)"),
    (Types.MAP(Types.STRING(), Types.INT()), {None: 1}, "without a null key"),
    (Types.MAP(Types.STRING(), Types.INT()), {"a": "b"}, "'b' (str)"),
    (Types.MAP(Types.STRING(), Types.INT()), [("a", 1)], "MapTypeInfo"),
    (Types.ROW([Types.INT()]), (1, 2), "expected 1 fields (f0), not 2"),
    (Types.ROW([Types.INT()]), 5, "a Row, tuple, list or dict"),
    (Types.ROW([Types.INT()]), Row(a=1), "'f0'"),
    (Types.TUPLE([Types.INT()]), (None,), "a typed TUPLE holds no null"),
    (Types.TUPLE([Types.INT()]), {"f0": 1}, "expected a tuple"),
]


@pytest.mark.parametrize(("type_info", "value", "message"), FAULTS)
def test_a_value_that_its_type_cannot_hold_is_named(type_info, value, message):
    good = next((sample for known, sample in EVERY_TYPE if known == type_info), value)
    rows = [(0, good)] * 3 + [(0, value)]
    position = 3 if good is not value else 0
    with pytest.raises(SchemaError) as caught:
        round_trip(rows, Types.TUPLE([Types.INT(), type_info]))
    text = str(caught.value)
    assert text.startswith(f"test: record {position} of the batch has ")
    assert message in text and "field 'f1'" in text


@pytest.mark.parametrize("name", ["BOOLEAN", "BYTE", "SHORT", "INT", "LONG", "FLOAT", "DOUBLE"])
def test_numbers_on_their_own_cannot_be_null_but_objects_can(name):
    with pytest.raises(SchemaError, match="record 1 of the batch has None"):
        round_trip([1, None], getattr(Types, name)())
    assert round_trip(["a", None], Types.STRING()) == ["a", None]
    assert round_trip([None, 5], Types.PICKLED_BYTE_ARRAY()) == [None, 5]


def test_a_tuple_field_of_python_objects_cannot_be_null_either():
    with pytest.raises(SchemaError, match="record 1 of the batch has None"):
        round_trip([(Decimal(1),), (None,)], Types.TUPLE([Types.BIG_DEC()]))


def test_a_nested_tuple_cannot_hold_null_but_can_be_null_inside_a_row():
    nested = Types.ROW([Types.TUPLE([Types.INT(), Types.INT()])])
    assert round_trip([(None,), ((1, 2),)], nested) == [Row(f0=None), Row(f0=(1, 2))]
    with pytest.raises(SchemaError, match="record 1 of the batch has None"):
        round_trip([(None,), ((1, None),)], nested)


def test_float_is_rounded_to_32_bits_and_overflows_to_infinity():
    assert round_trip([0.1, 3, 1e300, Decimal("0.5"), np.float32(1.5)], Types.FLOAT()) == [
        0.10000000149011612, 3.0, float("inf"), 0.5, 1.5]  # fmt: skip
    assert round_trip([(0.1,), (None,)], Types.ROW([Types.FLOAT()])) == [
        Row(f0=0.10000000149011612),
        Row(f0=None),
    ]


@pytest.mark.parametrize(
    ("type", "values"),
    [
        (pa.int64(), [1, None, -(2**63), 2**63 - 1]),
        (pa.int8(), [None, -128, 127]),
        (pa.uint16(), [0, None, 65535]),
        (pa.float64(), [1.5, None, float("inf")]),
        (pa.float32(), [1.5, None, -0.25]),
        (pa.bool_(), [True, None, False]),
        (pa.string(), ["a", None, ""]),
        (pa.binary(), [b"a", None, b""]),
    ],
)
def test_values_and_none_become_the_array_that_arrow_makes_of_them(type, values):
    for some in (values, values[:1], [None], []):
        assert from_pylist(some, type).to_arrow().equals(pa.array(some, type))


def test_numbers_of_numpy_and_bool_are_numbers():
    assert round_trip([np.int16(3), True, np.uint64(7)], Types.LONG()) == [3, 1, 7]
    assert round_trip([np.float64(3), 2**60 + 1, True], Types.DOUBLE()) == [3.0, float(2**60), 1.0]
    assert round_trip([np.bool_(True), 0, 1], Types.BOOLEAN()) == [True, False, True]
    assert round_trip([np.array([1, 2]), (3,)], Types.LIST(Types.LONG())) == [[1, 2], [3]]


def test_times_are_cut_to_their_unit_towards_the_past():
    assert round_trip([dt.time(1, 2, 3, 456_789)], Types.SQL_TIME()) == [dt.time(1, 2, 3, 456_000)]
    before_1970 = dt.datetime(1969, 12, 31, 23, 59, 59, 999_999)
    assert to_pylist(from_pylist([before_1970, None], pa.timestamp("ms"))) == [
        dt.datetime(1969, 12, 31, 23, 59, 59, 999_000), None]  # fmt: skip
    assert round_trip([dt.datetime(2020, 1, 2, 23)], Types.SQL_DATE()) == [dt.date(2020, 1, 2)]


def test_zoned_datetimes_are_instants_and_become_local_where_there_is_no_zone():
    moment = dt.datetime(2020, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert round_trip([moment], Types.INSTANT()) == [Instant(1577836800, 0)]
    assert round_trip([moment], Types.SQL_TIMESTAMP()) == [moment.astimezone().replace(tzinfo=None)]
    naive = dt.datetime(2020, 1, 1)
    assert round_trip([naive], Types.INSTANT()) == [Instant(int(naive.timestamp()), 0)]


def test_decimals_round_to_their_scale_and_refuse_more_digits():
    small, large = pa.decimal128(6, 2), pa.decimal128(38, 18)
    assert to_pylist(from_pylist([Decimal("1.005"), Decimal("-1.005"), 7, None], small)) == [
        Decimal("1.01"), Decimal("-1.01"), Decimal("7.00"), None]  # fmt: skip
    assert [str(value) for value in to_pylist(from_pylist([Decimal("1.5"), Decimal("-0")], small))] == [
        "1.50",
        "0.00",
    ]
    assert to_pylist(from_pylist([Decimal("0.1")], large)) == [Decimal("0.100000000000000000")]
    schema = Schema(["d"], [small])
    for wrong, reason in (
        (Decimal("12345.67"), "more than 6 digits"),
        (1.5, "no exact decimal"),
        (Decimal("NaN"), "NaN"),
    ):
        with pytest.raises(SchemaError, match=reason):
            from_rows([(wrong,)], schema, "test")


def test_a_timestamp_that_python_cannot_hold_is_an_error_not_a_number():
    batch = Batch.from_arrow(pa.record_batch([pa.array([2**60], pa.timestamp("ms"))], ["t"]))
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        to_rows(batch)


def test_rows_of_arrow_data_have_the_names_of_the_columns():
    batch = Batch.from_arrow(
        pa.record_batch({"a": [1, None], "b": pa.array([[1], []], pa.list_(pa.int8(), -1))})
    )
    assert to_rows(batch) == [Row(a=1, b=[1]), Row(a=None, b=[])]
    fixed = pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2))
    assert to_rows(Batch.from_arrow(pa.record_batch({"l": fixed}))) == [
        Row(l=[1, 2]),
        Row(l=None),
        Row(l=[3, 4]),
    ]


def test_arrow_types_beyond_flinks_take_and_give_values_too():
    for type, values in (
        (pa.list_(pa.int32(), 2), [[1, 2], None, [3, None]]),
        (pa.large_list(pa.string()), [["a"], None, []]),
        (pa.null(), [None, None]),
        (pa.decimal256(50, 1), [Decimal("1.5"), None]),
        (pa.duration("ms"), [dt.timedelta(milliseconds=5), None]),
        (pa.uint8(), [255, None]),
        (pa.time64("ns"), [dt.time(1, 2, 3, 4), None]),
        (pa.date64(), [dt.date(1960, 1, 1), None]),
    ):
        assert to_pylist(from_pylist(list(values), type)) == values
        assert from_pylist([], type).type == from_pylist(list(values), type).type
    for type, value, reason in (
        (pa.list_(pa.int32(), 2), [1], "1 elements instead of 2"),
        (pa.null(), 5, "null"),
        (pa.uint8(), -1, "outside 0 .. 255"),
        (pa.duration("s"), 5, "duration"),
    ):
        with pytest.raises(SchemaError, match=reason):
            from_rows([(value,)], Schema(["x"], [type]), "test")


def test_a_record_does_not_share_what_it_holds_with_the_batch():
    schema = schema_of(Types.ROW([Types.LIST(Types.INT())]))
    batch = Batch(schema, from_rows([([1],)], schema, "test"))
    to_rows(batch)[0].f0.append(2)
    assert to_rows(batch) == [Row(f0=[1])]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(allow_nan=False),
            st.none() | st.text(st.characters(exclude_categories=["Cs"])),
            st.none() | st.dates(),
            st.none() | st.datetimes(),
            st.none() | st.lists(st.none() | st.binary()),
            st.none() | st.dictionaries(st.integers(-5, 5), st.none() | st.lists(st.booleans())),
        )
    )
)
def test_any_rows_come_back(rows):
    type_info = Types.ROW([
        Types.LONG(), Types.DOUBLE(), Types.STRING(), Types.SQL_DATE(), Types.SQL_TIMESTAMP(),
        Types.LIST(Types.PRIMITIVE_ARRAY(Types.BYTE())),
        Types.MAP(Types.INT(), Types.LIST(Types.BOOLEAN()))])  # fmt: skip
    assert [tuple(row) for row in round_trip(rows, type_info)] == rows
