# SPDX-License-Identifier: Apache-2.0
"""Values of every type are the same after they were columns: equal, and of the same Python types."""

from __future__ import annotations

import datetime
import pickle
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.fields import ValueFault
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.row import Row, RowKind
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import BasicType, BasicTypeInfo
from flinkcore.errors import SchemaError, StateFormatError
from flinkcore.state.codec import (
    Codec,
    Serialized,
    codec_of,
    codec_of_arrow,
    codec_of_description,
    codec_of_schema,
)
from flinkcore.state.types import converter
from flinkcore.time.assigners import CountTumblingWindowAssigner
from flinkcore.time.evictors import TimestampedValue
from flinkcore.time.window_codec import TimestampedValues, TimeWindows, window_codec
from flinkcore.time.windows import (
    CountWindow,
    CountWindowSerializer,
    GlobalWindow,
    GlobalWindowSerializer,
    TimeWindow,
    TimeWindowSerializer,
)

LONG, STRING = BasicTypeInfo(BasicType.LONG), BasicTypeInfo(BasicType.STRING)
LOCAL = ti.LocalTimeTypeInfo.TimeType


def basic(name):
    return BasicTypeInfo(BasicType[name])


def same(one, other):
    """Equal, of the same types, all the way down; a NaN is a NaN."""
    assert type(one) is type(other), (one, other)
    if isinstance(one, Row):
        assert getattr(one, "_fields", None) == getattr(other, "_fields", None)
        assert one.get_row_kind() == other.get_row_kind()
    if isinstance(one, (list, tuple, Row)):
        assert len(one) == len(other)
        for left, right in zip(one, other):
            same(left, right)
    elif isinstance(one, dict):
        same(list(one), list(other))
        same(list(one.values()), list(other.values()))
    elif isinstance(one, Decimal):
        assert str(one) == str(other)
    else:
        assert one == other or (one != one and other != other)


def round_trip(codec: Codec, values):
    array = codec.encode(values)
    assert array.type == codec.type
    array.validate(full=True)
    sink = pa.BufferOutputStream()
    batch = pa.RecordBatch.from_arrays([array], ["v"])
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch.slice(1))
    back = pa.ipc.open_stream(sink.getvalue()).read_all()["v"].combine_chunks()
    found = codec.decode(array, allow_pickle=True)
    same(found, values)
    same(codec.decode(back, allow_pickle=True), values[1:])
    same(codec.decode(array.slice(1), allow_pickle=True), values[1:])


VALUES = {
    "STRING": (STRING, ["", "ä\U0001f600", "x" * 300]),
    "CHAR": (basic("CHAR"), ["a"]),
    "BOOLEAN": (basic("BOOLEAN"), [True, False]),
    "BYTE": (basic("BYTE"), [-128, 127]),
    "SHORT": (basic("SHORT"), [-(2**15), 2**15 - 1]),
    "INT": (basic("INT"), [-(2**31), 2**31 - 1]),
    "LONG": (LONG, [-(2**63), 0, 2**63 - 1]),
    "FLOAT": (basic("FLOAT"), [0.1, float("nan"), float("-inf"), -0.0]),
    "DOUBLE": (basic("DOUBLE"), [0.1, 5e-324, float("inf")]),
    "BIG_INT": (basic("BIG_INT"), [0, -(2**200), 10**5000]),
    "BIG_DEC": (basic("BIG_DEC"), [Decimal("1.10"), Decimal("-0E+3"), Decimal("NaN"), Decimal("1e-400")]),
    "INSTANT": (basic("INSTANT"), [Instant(-(2**40), 999_999_999), Instant(0, 1)]),
    "SQL_DATE": (ti.DateTypeInfo(), [datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]),
    "SQL_TIME": (ti.TimeTypeInfo(), [datetime.time(0, 0), datetime.time(23, 59, 59, 999_999)]),
    "SQL_TIMESTAMP": (
        ti.TimestampTypeInfo(),
        [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999)],
    ),
    "LOCAL_DATE": (ti.LocalTimeTypeInfo(LOCAL.LOCAL_DATE), [datetime.date(1969, 12, 31)]),
    "LOCAL_TIME": (ti.LocalTimeTypeInfo(LOCAL.LOCAL_TIME), [datetime.time(12, 0, 0, 1)]),
    "LOCAL_DATE_TIME": (
        ti.LocalTimeTypeInfo(LOCAL.LOCAL_DATE_TIME),
        [datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999)],
    ),
    "BYTES": (ti.PrimitiveArrayTypeInfo(basic("BYTE")), [b"", b"\x00\xff"]),
    "PRIMITIVE_ARRAY": (ti.PrimitiveArrayTypeInfo(LONG), [[], [1, 2]]),
    "BASIC_ARRAY": (ti.BasicArrayTypeInfo(STRING), [["a", None]]),
    "OBJECT_ARRAY": (ti.ObjectArrayTypeInfo(ti.ListTypeInfo(LONG)), [[[1], None, []]]),
    "LIST": (ti.ListTypeInfo(basic("BIG_DEC")), [[Decimal("1.0"), None], []]),
    "MAP": (ti.MapTypeInfo(STRING, basic("FLOAT")), [{}, {"b": 0.1, "a": None}]),
    "TUPLE": (ti.TupleTypeInfo([STRING, ti.TupleTypeInfo([LONG])]), [("a", (1,))]),
    "EMPTY_TUPLE": (ti.TupleTypeInfo([]), [(), ()]),
    "ROW": (
        ti.RowTypeInfo([STRING, ti.RowTypeInfo([LONG], ["n"])], ["s", "r"]),
        [Row(s=None, r=Row(n=1)), Row(s="x", r=None)],
    ),
    "ROW_UNNAMED": (ti.RowTypeInfo([LONG, basic("BIG_INT")]), [Row(f0=1, f1=2)]),
    "EMPTY_ROW": (ti.RowTypeInfo([], []), [Row()]),
    "PICKLED": (ti.PickledBytesTypeInfo(), [{1: object}, (1, "a"), b"x", {1, 2}]),
    "UNDECLARED": (None, [[1, [2]], 1.5, True]),
    "EXTERNAL": (ti.ExternalTypeInfo(LONG), [1]),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_equal_and_of_the_same_types(name):
    info, values = VALUES[name]
    convert = converter(info, "state 'v'")
    stored = [value if convert is None else convert(value) for value in values]
    codec = codec_of(info)
    for chosen in (stored, [None, *stored, None], [None], stored * 20):
        round_trip(codec, chosen)
    assert codec.decode(codec.encode([]), allow_pickle=True) == []
    again = codec_of_description(codec.describe())
    assert again.type == codec.type and again.describe() == codec.describe()
    assert again.immutable == codec.immutable


def test_rows_keep_their_kind_also_inside_of_others():
    info = ti.RowTypeInfo([ti.ListTypeInfo(ti.RowTypeInfo([LONG], ["n"]))], ["rows"])
    inner = [Row.of_kind(kind, n=1) for kind in RowKind]
    stored = converter(info, "v")(Row.of_kind(RowKind.DELETE, rows=inner))
    round_trip(codec_of(info), [stored, None])


_LEAVES = st.sampled_from(
    [
        (LONG, st.integers(-(2**63), 2**63 - 1)),
        (STRING, st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
        (basic("DOUBLE"), st.floats()),
        (basic("FLOAT"), st.floats(width=32)),
        (basic("BOOLEAN"), st.booleans()),
        (basic("BIG_INT"), st.integers()),
        (basic("BIG_DEC"), st.decimals(allow_nan=True)),
        (ti.DateTypeInfo(), st.dates()),
        (ti.TimeTypeInfo(), st.times()),
        (ti.TimestampTypeInfo(), st.datetimes()),
        (ti.PickledBytesTypeInfo(), st.binary(max_size=4) | st.tuples(st.integers())),
    ]
)


def _containers(inner):
    def of(pairs):
        types, values = [info for info, _ in pairs], [value for _, value in pairs]
        (info, value), names = pairs[0], [f"n{i}" for i in range(len(pairs))]
        return st.sampled_from(
            [
                (ti.ListTypeInfo(info), st.lists(st.none() | value, max_size=3)),
                (ti.MapTypeInfo(STRING, info), st.dictionaries(st.sampled_from("abc"), st.none() | value)),
                (ti.TupleTypeInfo(types), st.tuples(*values)),
                (
                    ti.RowTypeInfo(types, names),
                    st.tuples(*[st.none() | value for value in values]).map(
                        lambda row: Row(**dict(zip(names, row)))
                    ),
                ),
            ]
        )

    return st.lists(inner, min_size=1, max_size=3).flatmap(of)


@settings(max_examples=150, deadline=None)
@given(st.recursive(_LEAVES, _containers, max_leaves=6).flatmap(
    lambda pair: st.tuples(st.just(pair[0]), st.lists(pair[1], max_size=4))
))  # fmt: skip
def test_any_nested_type_round_trips(pair):
    info, values = pair
    convert = converter(info, "v")
    stored = [value if convert is None else convert(value) for value in values]
    codec = codec_of(info)
    same(codec.decode(codec.encode(stored), allow_pickle=True), stored)


RECORDS = pa.table(
    {
        "i": pa.array([1, None, -5], pa.int16()),
        "f": pa.array([0.5, None, 2.0], pa.float32()),
        "s": pa.array(["a", None, ""]),
        "b": pa.array([b"x", None, b""]),
        "d": pa.array([Decimal("1.50"), None, Decimal("0.01")], pa.decimal128(10, 2)),
        "t": pa.array([0, None, -1], pa.timestamp("ms")),
        "z": pa.array([0, None, -1], pa.timestamp("us", "UTC")),
        "u": pa.array([1, None, 2], pa.duration("ms")),
        "l": pa.array([[1], None, []], pa.list_(pa.int32())),
        "m": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "r": pa.array([{"x": 1}, None, {"x": None}], pa.struct([("x", pa.int64())])),
    }
)


@pytest.mark.parametrize("form", ["row", "tuple"])
def test_records_of_a_stream_come_back_as_its_functions_see_them(form):
    batch = Batch.from_arrow(RECORDS.to_batches()[0], Schema.from_arrow(RECORDS.schema, form))
    round_trip(codec_of_schema(batch.schema), to_rows(batch))


def test_records_that_are_bare_values_or_objects_have_their_columns_codec():
    assert codec_of_schema(Schema(["v"], [pa.int64()], "value")) is codec_of_arrow(pa.int64())
    round_trip(codec_of_schema(Schema.of_objects()), [1, "a", None, [2]])


def test_windows_are_columns_or_their_serializers_bytes():
    round_trip(TimeWindows(), [TimeWindow(-5, 10), TimeWindow(0, 2**62)])
    assert isinstance(window_codec(TimeWindowSerializer()), TimeWindows)
    counts, whole = window_codec(CountWindowSerializer()), window_codec(GlobalWindowSerializer())
    round_trip(counts, [CountWindow(3), CountWindow(-1)])
    round_trip(whole, [GlobalWindow.get(), GlobalWindow.get()])
    assert counts.describe()["serializer"].endswith("CountWindowSerializer")
    round_trip(window_codec(CountTumblingWindowAssigner.of(2).get_window_serializer()), [CountWindow(7)] * 2)
    round_trip(TimestampedValues(codec_of(LONG)), [TimestampedValue(1, -(2**63)), TimestampedValue(2, 0)])
    with pytest.raises(ValueFault, match="expected a TimeWindow"):
        TimeWindows().encode([GlobalWindow.get()])


def test_a_serializer_at_fault_is_named():
    with pytest.raises(StateFormatError, match="did not read all"):
        Serialized(CountWindowSerializer()).decode(pa.array([b"123456789"]))
    with pytest.raises(StateFormatError, match="cannot read b'1'"):
        Serialized(CountWindowSerializer()).decode(pa.array([b"1"]))


@pytest.mark.parametrize(
    ("info", "value"),
    [
        (LONG, "x"),
        (STRING, "\ud800"),
        (basic("BIG_INT"), 1.5),
        (basic("BIG_DEC"), 1.5),
        (basic("INSTANT"), 5),
        (ti.MapTypeInfo(STRING, LONG), {None: 1}),
        (ti.RowTypeInfo([LONG]), (1, 2)),
        (None, lambda: 0),
    ],
)
def test_a_value_that_does_not_fit_is_a_fault_that_names_it(info, value):
    with pytest.raises(ValueFault) as caught:
        codec_of(info).encode([None, value])
    assert caught.value.value is value and caught.value.position == 1


class Trap:
    """What unpickling it would do is seen."""

    sprung = False

    def __reduce__(self):
        return Trap.spring, ()

    @staticmethod
    def spring():
        Trap.sprung = True


def test_nothing_is_unpickled_unless_that_is_allowed():
    array = pa.array([pickle.dumps(Trap())])
    for codec in (codec_of(None), codec_of(ti.PickledBytesTypeInfo())):
        with pytest.raises(StateFormatError, match="allow_pickle"):
            codec.decode(array)
    lists = pa.array([[pickle.dumps(Trap())]])
    with pytest.raises(StateFormatError, match="allow_pickle"):
        codec_of(ti.ListTypeInfo(ti.PickledBytesTypeInfo())).decode(lists)
    assert not Trap.sprung
    with pytest.raises(StateFormatError, match="cannot be read"):
        codec_of(None).decode(pa.array([b"no pickle"]), allow_pickle=True)


@pytest.mark.parametrize(
    ("info", "array"),
    [
        (basic("BIG_INT"), pa.array(["1e9"])),
        (basic("BIG_INT"), pa.array(["٣"])),
        (basic("BIG_DEC"), pa.array(["x"])),
        (basic("INSTANT"), pa.array([{"seconds": 1, "nanos": -1}], codec_of(basic("INSTANT")).type)),
        (basic("INSTANT"), pa.array([{"seconds": None, "nanos": 1}], codec_of(basic("INSTANT")).type)),
        (ti.RowTypeInfo([]), pa.array([{"$row_kind": 4}], codec_of(ti.RowTypeInfo([])).type)),
        (ti.TimestampTypeInfo(), pa.array([2**62], pa.int64()).view(pa.timestamp("us"))),
        (ti.DateTypeInfo(), pa.array([2**30], pa.int32()).view(pa.date32())),
    ],
)
def test_columns_that_hold_no_such_values_are_refused(info, array):
    with pytest.raises(ValueError):
        codec_of(info).decode(array)


@pytest.mark.parametrize(
    "description",
    [{}, {"type": "NONE"}, {"type": "LIST"}, {"type": "ROW", "fields": [1]}, [], None, {"type": []},
     {"type": "MAP", "key": {"type": "LONG"}}, {"type": "SERIALIZED", "serializer": "os.system"}],
)  # fmt: skip
def test_what_describes_no_type_is_refused(description):
    with pytest.raises(StateFormatError, match="describes no type"):
        codec_of_description(description)


def test_what_is_no_type_information_is_refused():
    with pytest.raises(SchemaError, match=r"such as Types\.LONG"):
        codec_of("LONG")
