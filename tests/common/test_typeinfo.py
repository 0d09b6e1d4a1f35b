# SPDX-License-Identifier: Apache-2.0
"""Type information has PyFlink's text forms and equality, and maps to Arrow and back."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

from flinkcore.columnar.arrow_types import arrow_type, schema_of, type_info_of, type_info_of_arrow
from flinkcore.columnar.schema import Schema
from flinkcore.common.typeinfo import BasicTypeInfo, ExternalTypeInfo, LocalTimeTypeInfo, RowTypeInfo, Types
from flinkcore.errors import SchemaError

TEXTS = {
    Types.TUPLE([Types.STRING(), Types.INT()]): "TupleTypeInfo(String, Integer)",
    Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.STRING()]): "RowTypeInfo(a: String, b: String)",
    Types.ROW([Types.INT()]): "RowTypeInfo(Integer)",
    Types.LIST(Types.BIG_DEC()): "ListTypeInfo<BigDecimal>",
    Types.MAP(Types.CHAR(), Types.BIG_INT()): "MapTypeInfo<Char, BigInteger>",
    Types.PRIMITIVE_ARRAY(Types.BYTE()): "PrimitiveArrayTypeInfo<Byte>",
    Types.BASIC_ARRAY(Types.STRING()): "BasicArrayTypeInfo<String>",
    Types.OBJECT_ARRAY(Types.SQL_DATE()): "ObjectArrayTypeInfo<DateTypeInfo>",
    Types.SQL_TIME(): "TimeTypeInfo",
    Types.SQL_TIMESTAMP(): "TimestampTypeInfo",
    Types.INSTANT(): "Instant",
    Types.PICKLED_BYTE_ARRAY(): "PickledByteArrayTypeInfo",
    LocalTimeTypeInfo(LocalTimeTypeInfo.TimeType.LOCAL_DATE_TIME): "LocalTimeTypeInfo<LOCAL_DATE_TIME>",
    ExternalTypeInfo(Types.LONG()): "ExternalTypeInfo<Long>",
}


@pytest.mark.parametrize(("type_info", "text"), TEXTS.items())
def test_text_forms_are_pyflinks(type_info, text):
    assert str(type_info) == repr(type_info) == text
    assert pickle.loads(pickle.dumps(type_info)) == type_info


def test_rows_are_equal_by_their_types_and_other_types_by_their_parts():
    assert Types.ROW([Types.INT()]) == Types.ROW_NAMED(["a"], [Types.INT()])
    assert Types.ROW([Types.INT()]) != Types.TUPLE([Types.INT()])
    assert Types.TUPLE([Types.INT()]) != Types.TUPLE([Types.LONG()])
    assert Types.LIST(Types.INT()) != Types.OBJECT_ARRAY(Types.INT())
    assert Types.INSTANT() == BasicTypeInfo.INSTANT_TYPE_INFO()
    assert len({Types.INT(), Types.INT(), Types.LONG()}) == 2


def test_rows_without_names_are_named_f0_f1():
    row = RowTypeInfo([Types.STRING(), Types.STRING()])
    assert row.get_field_names() == ["f0", "f1"]
    assert row.get_field_index("f1") == 1
    assert str(row) == "RowTypeInfo(String, String)"
    with pytest.raises(ValueError):
        row.get_field_index("a")
    with pytest.raises(ValueError, match="as many names as types"):
        RowTypeInfo([Types.STRING()], ["a", "b"])


def test_arrays_say_which_elements_they_take():
    with pytest.raises(TypeError, match="primitive array: String"):
        Types.PRIMITIVE_ARRAY(Types.STRING())
    with pytest.raises(TypeError, match="basic array"):
        Types.BASIC_ARRAY(Types.SQL_DATE())


def test_the_form_of_rows_follows_the_type():
    assert schema_of(Types.ROW_NAMED(["a"], [Types.INT()])) == Schema(["a"], [pa.int32()], "row")
    assert schema_of(Types.TUPLE([Types.LONG(), Types.BIG_DEC()])) == Schema(
        ["f0", "f1"], [pa.int64(), None], "tuple"
    )
    assert schema_of(Types.DOUBLE()) == Schema(["value"], [pa.float64()], "value")
    assert schema_of(Types.PICKLED_BYTE_ARRAY()) == schema_of(Types.BIG_INT()) == Schema.of_objects()
    assert schema_of(ExternalTypeInfo(Types.ROW([Types.INT()]))).form == "row"


@pytest.mark.parametrize("type_info", [
    Types.BOOLEAN(), Types.BYTE(), Types.SHORT(), Types.INT(), Types.LONG(), Types.FLOAT(), Types.DOUBLE(),
    Types.STRING(), Types.SQL_DATE(), Types.SQL_TIME(), Types.SQL_TIMESTAMP(), Types.INSTANT(),
    Types.PICKLED_BYTE_ARRAY(), Types.PRIMITIVE_ARRAY(Types.BYTE()),
    Types.LIST(Types.MAP(Types.INT(), Types.STRING())),
    Types.ROW([Types.INT(), Types.TUPLE([Types.STRING(), Types.ROW([Types.INT()])])]),
    Types.TUPLE([Types.TUPLE([Types.INT()]), Types.ROW_NAMED(["f0"], [Types.INT()])]),
])  # fmt: skip
def test_types_come_back_from_their_schema(type_info):
    assert type_info_of(schema_of(type_info)) == type_info
    assert type_info_of_arrow(arrow_type(type_info)) == type_info


def test_arrow_types_without_a_word_in_flink_become_the_next_wider_or_are_refused():
    assert type_info_of_arrow(pa.uint8()) == Types.SHORT()
    assert type_info_of_arrow(pa.uint32()) == Types.LONG()
    assert type_info_of_arrow(pa.decimal128(38, 18)) == Types.BIG_DEC()
    assert type_info_of_arrow(pa.list_(pa.int32(), 3)) == Types.LIST(Types.INT())
    assert type_info_of_arrow(pa.struct([("a", pa.timestamp("ns"))])) == Types.ROW([Types.SQL_TIMESTAMP()])
    with pytest.raises(SchemaError, match="no counterpart"):
        type_info_of_arrow(pa.month_day_nano_interval())
    with pytest.raises(SchemaError, match="is not a type"):
        arrow_type("INT")
