# SPDX-License-Identifier: Apache-2.0
"""Rows as JSON messages (pyflink.datastream.formats.json). Files of JSON lines: flinkcore.connectors.files.json."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.columnar.arrow_types import arrow_type
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import (
    BasicArrayTypeInfo,
    ListTypeInfo,
    ObjectArrayTypeInfo,
    RowTypeInfo,
    TypeInformation,
)
from flinkcore.common.serialization import DeserializationSchema, SerializationSchema
from flinkcore.common.typeinfo import Types
from flinkcore.connectors.files.json import JsonLines
from flinkcore.connectors.files.texts import json_object_texts
from flinkcore.connectors.fit import batch_of_values
from flinkcore.connectors.messages import Messages
from flinkcore.errors import DataError, SchemaError

#: What a number of any size becomes: Flink's DECIMAL(38, 18).
BIG_DEC = pa.decimal128(38, 18)

__all__ = ["JsonRowDeserializationSchema", "JsonRowSerializationSchema"]


class JsonRowDeserializationSchema(DeserializationSchema):
    """Rows from JSON objects: fields by their names; others are ignored. Made by its builder().

    Timestamps are in ISO form with a Z, times of day and dates in ISO form, bytes are texts in base 64. Types.BIG_DEC()
    has 38 digits, 18 of them behind the point.
    """

    def __init__(
        self, type_info: RowTypeInfo, fail_on_missing_field: bool, ignore_parse_errors: bool
    ) -> None:
        self._type_info = type_info
        self._fail_on_missing_field = fail_on_missing_field
        self._schema = _columns(type_info)
        zoned = Schema(self._schema.names, [_zoned(type) for type in self._schema.arrow.types])
        self._messages = Messages(JsonLines(unexpected="ignore"), zoned, ignore_parse_errors)

    @staticmethod
    def builder() -> JsonRowDeserializationSchema.Builder:
        return JsonRowDeserializationSchema.Builder()

    def get_produced_type(self) -> TypeInformation:
        return self._type_info

    def deserialize(self, message: bytes) -> Any:
        """The Row in a message; None for one that is empty, or does not parse and is to be ignored."""
        rows = to_rows(self.deserialize_batch([message]))
        return rows[0] if rows else None

    def deserialize_batch(self, messages: list[bytes]) -> Batch:
        """The rows in some messages, as columns. Beyond PyFlink. DataError : one does not parse"""
        messages = [
            message.replace(b"\n", b" ") for message in messages
        ]  # JSON has none but between its tokens
        if self._fail_on_missing_field:
            messages = [message for message in messages if self._is_complete(message)]
        batch = self._messages.parse(messages).to_arrow()
        columns = [batch.column(i).cast(type) for i, type in enumerate(self._schema.arrow.types)]
        return Batch.from_arrow(
            pa.RecordBatch.from_arrays(columns, names=list(self._schema.names)), self._schema
        )

    def _is_complete(self, message: bytes) -> bool:
        try:
            missing = _missing(json.loads(message), self._type_info)
        except ValueError:
            return True  # the parser of all says why
        if missing is None:
            return True
        if self._messages.skips_faults:
            return False
        raise DataError(f"Could not find field with name '{missing}'; the message is {message[:200]!r}")

    class Builder:
        """Collects a JsonRowDeserializationSchema."""

        def __init__(self) -> None:
            self._type_info: TypeInformation | None = None
            self._fail_on_missing_field = False
            self._ignore_parse_errors = False

        def type_info(self, type_info: TypeInformation) -> JsonRowDeserializationSchema.Builder:
            """The type of the rows; its names are those of the fields."""
            self._type_info = type_info
            return self

        def json_schema(self, json_schema: str) -> JsonRowDeserializationSchema.Builder:
            """A JSON schema in the place of a type: numbers and integers are decimals, as in Flink."""
            if json_schema is None:
                raise TypeError("The json_schema must not be None.")
            self._type_info = type_of_json_schema(json_schema)
            return self

        def fail_on_missing_field(self) -> JsonRowDeserializationSchema.Builder:
            """A field that is missing is a fault; by default it is null."""
            self._fail_on_missing_field = True
            return self

        def ignore_parse_errors(self) -> JsonRowDeserializationSchema.Builder:
            """Messages that do not parse are ignored; by default they fail."""
            self._ignore_parse_errors = True
            return self

        def build(self) -> JsonRowDeserializationSchema:
            return JsonRowDeserializationSchema(
                _row_type(self._type_info), self._fail_on_missing_field, self._ignore_parse_errors
            )


class JsonRowSerializationSchema(SerializationSchema):
    """JSON objects from rows; null fields are written as null. Made by its builder()."""

    def __init__(self, type_info: RowTypeInfo) -> None:
        self._schema = _columns(type_info)

    @staticmethod
    def builder() -> JsonRowSerializationSchema.Builder:
        return JsonRowSerializationSchema.Builder()

    def serialize(self, element: Any) -> bytes:
        """The bytes of a Row, or of a tuple of its fields."""
        return self.serialize_batch(batch_of_values([element], self._schema, "JsonRowSerializationSchema"))[0]

    def serialize_batch(self, batch: Batch) -> list[bytes]:
        """The messages of the rows of a batch. Beyond PyFlink."""
        arrays = [_iso(column.to_arrow()) for column in batch.columns]
        return [text.encode() for text in json_object_texts(list(self._schema.names), arrays).to_pylist()]

    class Builder:
        """Collects a JsonRowSerializationSchema."""

        def __init__(self) -> None:
            self._type_info: TypeInformation | None = None

        def with_type_info(self, type_info: TypeInformation) -> JsonRowSerializationSchema.Builder:
            """The type of the rows; its names become those of the fields."""
            self._type_info = type_info
            return self

        def build(self) -> JsonRowSerializationSchema:
            if self._type_info is None:
                raise TypeError("Typeinfo should be set.")
            return JsonRowSerializationSchema(_row_type(self._type_info))


def _row_type(type_info: TypeInformation | None) -> RowTypeInfo:
    if not isinstance(type_info, RowTypeInfo):
        raise SchemaError(
            f"JSON messages are rows: give the type with Types.ROW_NAMED([names], [types]), got {type_info!r}"
        )
    return type_info


def _columns(type_info: RowTypeInfo) -> Schema:
    types = [_arrow_type(field) for field in type_info.get_field_types()]
    return Schema(type_info.get_field_names(), types)


def _arrow_type(type_info: TypeInformation) -> pa.DataType:
    """The column of a type; SchemaError for Python objects, which have no form in JSON."""
    if isinstance(type_info, RowTypeInfo):
        return pa.struct(list(_columns(type_info).arrow))
    if isinstance(type_info, (ListTypeInfo, ObjectArrayTypeInfo, BasicArrayTypeInfo)):
        return pa.list_(_arrow_type(type_info.element_type))
    type = BIG_DEC if type_info == Types.BIG_DEC() else arrow_type(type_info)
    if type is None:
        raise SchemaError(f"{type_info!r} has no form in JSON; give each field a type of its own")
    return type


def _missing(value: Any, type_info: TypeInformation) -> str | None:
    """The first field of a row type, or of one within it, that an object has not."""
    if not isinstance(type_info, RowTypeInfo) or not isinstance(value, dict):
        return None
    for name, field in zip(type_info.get_field_names(), type_info.get_field_types()):
        if name not in value:
            return name
        missing = _missing(value[name], field)
        if missing is not None:
            return missing
    return None


def _zoned(type: pa.DataType) -> pa.DataType:
    """Flink's timestamps are written with a Z, which pyarrow reads as a time zone, and only then."""
    if pa.types.is_timestamp(type) and type.tz is None:
        return pa.timestamp(type.unit, "UTC")
    if pa.types.is_struct(type):
        return pa.struct([(field.name, _zoned(field.type)) for field in type])
    if pa.types.is_list(type):
        return pa.list_(_zoned(type.value_type))
    return type


def _iso(array: pa.Array) -> pa.Array:
    """Timestamps as texts in Flink's form for these messages: 2024-05-01T12:00:00.5Z."""
    type = array.type
    if pa.types.is_timestamp(type):
        texts = pc.strftime(array, "%Y-%m-%dT%H:%M:%S")
        texts = pc.replace_substring_regex(
            pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1"), r"\.$", ""
        )
        return pc.binary_join_element_wise(texts, "Z", "")
    if pa.types.is_struct(type):
        mask = array.is_null() if array.null_count else None
        names = [field.name for field in type]
        return pa.StructArray.from_arrays([_iso(field) for field in array.flatten()], names, mask=mask)
    if pa.types.is_list(type):
        mask = array.is_null() if array.null_count else None
        offsets = pa.array(array.offsets.to_numpy(), pa.int32())
        return pa.ListArray.from_arrays(offsets, _iso(array.values), mask=mask)
    return array


def type_of_json_schema(json_schema: str) -> TypeInformation:
    """The type that a JSON schema describes (Flink: JsonRowSchemaConverter). SchemaError for what has none."""
    try:
        root = json.loads(json_schema)
    except ValueError as error:
        raise SchemaError(f"the JSON schema is no JSON: {error}") from error
    return _type_of(root, root, "<root>")


def _type_of(node: Any, root: Any, where: str) -> TypeInformation:
    if not isinstance(node, dict):
        raise SchemaError(f"JSON schema, {where}: expected an object, got {node!r:.80}")
    if "$ref" in node:
        found: Any = root
        for step in str(node["$ref"]).removeprefix("#/").split("/"):
            found = found.get(step) if isinstance(found, dict) else None
        if found is None or found is root or not str(node["$ref"]).startswith("#/"):
            raise SchemaError(
                f"JSON schema, {where}: cannot resolve {node['$ref']!r}; references are '#/a/b'"
            )
        return _type_of(found, root, where)
    kinds = node.get("type")
    alternatives = [kinds] if isinstance(kinds, str) else kinds or node.get("oneOf")
    for keyword in ("allOf", "anyOf", "not", "additionalItems"):
        if keyword in node and node[keyword] is not False:
            raise SchemaError(f"JSON schema, {where}: '{keyword}' has no type in Flink")
    if not isinstance(alternatives, list):
        raise SchemaError(f"JSON schema, {where}: it has no type")
    solid = [kind for kind in alternatives if kind not in ("null", {"type": "null"})]
    if len(solid) > 1:
        raise SchemaError(
            f"JSON schema, {where}: a union can have null and one other type, got {alternatives}"
        )
    if solid and isinstance(solid[0], dict):
        return _type_of(solid[0], root, where)
    return _simple_type(solid[0] if solid else "null", node, root, where)


def _simple_type(kind: str, node: dict[str, Any], root: Any, where: str) -> TypeInformation:
    if kind == "object":
        fields = node.get("properties", {})
        types = [_type_of(field, root, f"{where}.{name}") for name, field in fields.items()]
        return Types.ROW_NAMED(list(fields), types)
    if kind == "array":
        items = node.get("items")
        if isinstance(items, list):
            return Types.ROW([_type_of(item, root, f"{where}[{i}]") for i, item in enumerate(items)])
        return Types.OBJECT_ARRAY(_type_of(items, root, f"{where}[]"))
    if kind == "string":
        if node.get("contentEncoding") == "base64":
            return Types.PRIMITIVE_ARRAY(Types.BYTE())
        return {
            "date": Types.SQL_DATE,
            "date-time": Types.SQL_TIMESTAMP,
            "time": Types.SQL_TIME,
        }.get(node.get("format", ""), Types.STRING)()
    simple = {
        "number": Types.BIG_DEC,
        "integer": Types.BIG_DEC,
        "boolean": Types.BOOLEAN,
        "null": Types.STRING,
    }
    if kind not in simple:
        raise SchemaError(f"JSON schema, {where}: unknown type {kind!r}")
    return simple[kind]()
