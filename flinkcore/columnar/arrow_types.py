# SPDX-License-Identifier: Apache-2.0
"""Type information as Arrow types and schemas, and back.

    STRING CHAR      string             BOOLEAN   bool      BYTE SHORT INT LONG    int8 int16 int32 int64
    FLOAT DOUBLE     float double       SQL_DATE  date32    SQL_TIME               time32[ms]
    SQL_TIMESTAMP    timestamp[us]      INSTANT   timestamp[us, UTC]
    LIST, arrays     list               MAP       map       PRIMITIVE_ARRAY(BYTE)  binary
    ROW              struct             TUPLE     struct whose fields f0, f1, ... cannot be null
    BIG_INT BIG_DEC PICKLED_BYTE_ARRAY  Python objects; Arrow's decimals have one scale for a whole column

Flink's own precision: SQL_TIME is a millisecond (TimeCoder), SQL_TIMESTAMP a microsecond in Python.
"""

from __future__ import annotations

import pyarrow as pa

from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import BasicType, TypeInformation
from flinkcore.errors import SchemaError

_ARROW_OF_BASIC: dict[BasicType, pa.DataType | None] = {
    BasicType.STRING: pa.string(),
    BasicType.CHAR: pa.string(),
    BasicType.BOOLEAN: pa.bool_(),
    BasicType.BYTE: pa.int8(),
    BasicType.SHORT: pa.int16(),
    BasicType.INT: pa.int32(),
    BasicType.LONG: pa.int64(),
    BasicType.FLOAT: pa.float32(),
    BasicType.DOUBLE: pa.float64(),
    BasicType.INSTANT: pa.timestamp("us", "UTC"),
    BasicType.BIG_INT: None,
    BasicType.BIG_DEC: None,
}
_BASIC_OF_ARROW = {
    pa.string(): BasicType.STRING,
    pa.bool_(): BasicType.BOOLEAN,
    pa.int8(): BasicType.BYTE,
    pa.int16(): BasicType.SHORT,
    pa.int32(): BasicType.INT,
    pa.int64(): BasicType.LONG,
    pa.uint8(): BasicType.SHORT,
    pa.uint16(): BasicType.INT,
    pa.uint32(): BasicType.LONG,
    pa.uint64(): BasicType.LONG,
    pa.float16(): BasicType.FLOAT,
    pa.float32(): BasicType.FLOAT,
    pa.float64(): BasicType.DOUBLE,
    pa.duration("s"): BasicType.LONG,
    pa.duration("ms"): BasicType.LONG,
    pa.duration("us"): BasicType.LONG,
    pa.duration("ns"): BasicType.LONG,
}
_ARROW_OF_LOCAL = {
    ti.LocalTimeTypeInfo.TimeType.LOCAL_DATE: pa.date32(),
    ti.LocalTimeTypeInfo.TimeType.LOCAL_TIME: pa.time64("us"),
    ti.LocalTimeTypeInfo.TimeType.LOCAL_DATE_TIME: pa.timestamp("us"),
}


def is_tuple_type(type: pa.DataType) -> bool:
    """Whether a struct type stands for a typed tuple: fields f0, f1, ... none of which can be null."""
    return type.num_fields > 0 and all(
        not type.field(i).nullable and type.field(i).name == f"f{i}" for i in range(type.num_fields)
    )


def arrow_type(info: TypeInformation) -> pa.DataType | None:
    """The Arrow type of a column of this type; None for a column of Python objects, or of what contains them.

    SchemaError for what is no type information.
    """
    match info:
        case ti.BasicTypeInfo():
            return _ARROW_OF_BASIC[info.basic_type]
        case ti.PickledBytesTypeInfo():
            return None
        case ti.DateTypeInfo():
            return pa.date32()
        case ti.TimeTypeInfo():
            return pa.time32("ms")
        case ti.TimestampTypeInfo():
            return pa.timestamp("us")
        case ti.LocalTimeTypeInfo():
            return _ARROW_OF_LOCAL[info.time_type]
        case ti.ExternalTypeInfo():
            return arrow_type(info.type_info)
        case ti.PrimitiveArrayTypeInfo() if info.element_type == ti.BasicTypeInfo(BasicType.BYTE):
            return pa.binary()
    parts = {
        ti.MapTypeInfo: lambda i: (i.key_type, i.value_type),
        ti.RowTypeInfo: lambda i: i.get_field_types(),
        ti.TupleTypeInfo: lambda i: i.get_field_types(),
    }.get(type(info), lambda i: (i.element_type,) if hasattr(i, "element_type") else None)(info)
    if parts is None:
        raise SchemaError(
            f"{info!r} is not a type; expected one made by flinkcore.common.Types, e.g. Types.STRING()"
        )
    types = [arrow_type(part) for part in parts]
    if None in types:
        return None  # a container of Python objects is a Python object
    if isinstance(info, ti.MapTypeInfo):
        return pa.map_(types[0], types[1])
    if isinstance(info, ti.RowTypeInfo):
        return pa.struct(list(zip(info.get_field_names(), types)))
    if isinstance(info, ti.TupleTypeInfo):
        return pa.struct([pa.field(f"f{i}", type, nullable=False) for i, type in enumerate(types)])
    return pa.list_(types[0])


def schema_of(info: TypeInformation) -> Schema:
    """The schema of a stream of this type: rows, tuples, bare values, or Python objects."""
    if isinstance(info, ti.ExternalTypeInfo):
        return schema_of(info.type_info)
    if isinstance(info, ti.RowTypeInfo):
        return Schema(info.get_field_names(), [arrow_type(field) for field in info.get_field_types()], "row")
    if isinstance(info, ti.TupleTypeInfo):
        types = info.get_field_types()
        return Schema([f"f{i}" for i in range(len(types))], [arrow_type(field) for field in types], "tuple")
    type = arrow_type(info)
    return Schema.of_objects() if type is None else Schema(("value",), (type,), "value")


def type_info_of_arrow(type: pa.DataType | None) -> TypeInformation:
    """The type information of a column. Widths that Java does not have become the next wider one.

    SchemaError for an Arrow type that Flink has no word for (unions, intervals).
    """
    if type is None:
        return ti.PickledBytesTypeInfo()
    basic = _BASIC_OF_ARROW.get(type)
    if basic is not None:
        return ti.BasicTypeInfo(basic)
    t = pa.types
    if t.is_timestamp(type):
        return ti.TimestampTypeInfo() if type.tz is None else ti.InstantTypeInfo()
    if t.is_date(type):
        return ti.DateTypeInfo()
    if t.is_time(type):
        return ti.TimeTypeInfo()
    if t.is_decimal(type):
        return ti.BasicTypeInfo(BasicType.BIG_DEC)
    if t.is_binary(type):
        return ti.PrimitiveArrayTypeInfo(ti.BasicTypeInfo(BasicType.BYTE))
    if t.is_map(type):
        return ti.MapTypeInfo(type_info_of_arrow(type.key_type), type_info_of_arrow(type.item_type))
    if t.is_struct(type):
        fields = [type_info_of_arrow(type.field(i).type) for i in range(type.num_fields)]
        if is_tuple_type(type):
            return ti.TupleTypeInfo(fields)
        return ti.RowTypeInfo(fields, [type.field(i).name for i in range(type.num_fields)])
    if t.is_list(type) or t.is_large_list(type) or t.is_fixed_size_list(type):
        return ti.ListTypeInfo(type_info_of_arrow(type.value_type))
    if t.is_null(type):
        return ti.BasicTypeInfo(BasicType.STRING)
    raise SchemaError(
        f"Arrow type {type} has no counterpart in Flink; cast the column before it enters the stream"
    )


def type_info_of(schema: Schema) -> TypeInformation:
    """The type information of a stream with this schema."""
    fields = [type_info_of_arrow(type) for type in schema.types]
    if schema.form == "tuple":
        return ti.TupleTypeInfo(fields)
    if schema.form == "row":
        return ti.RowTypeInfo(fields, schema.names)
    return fields[0]
