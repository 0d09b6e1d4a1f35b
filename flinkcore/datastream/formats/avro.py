# SPDX-License-Identifier: Apache-2.0
"""Avro (pyflink.datastream.formats.avro), with the extra "avro".

Generic records are dicts, in streams of Python objects, as in PyFlink. Message schemas give Rows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from flinkcore.columnar.row import Row
from flinkcore.columnar.typeinfo import PickledBytesTypeInfo
from flinkcore.common.serialization import DeserializationSchema, SerializationSchema
from flinkcore.common.utils import no_java_object
from flinkcore.connectors.files.avro import Avro, AvroRecords, AvroWriter, parsed
from flinkcore.connectors.files.format import WriterFormat
from flinkcore.connectors.files.source import FileSource
from flinkcore.errors import UnsupportedOperationError

__all__ = [
    "AvroBulkWriters",
    "AvroInputFormat",
    "AvroRowDeserializationSchema",
    "AvroRowSerializationSchema",
    "AvroSchema",
    "GenericRecordAvroTypeInfo",
]


class AvroSchema:
    """A schema of Avro. str() is its JSON."""

    def __init__(self, schema: Any) -> None:
        parsed(schema)  # what is no schema is said here
        self.schema = schema

    @staticmethod
    def parse_string(json_schema: str) -> AvroSchema:
        """SchemaError : it is no schema"""
        parsed(json_schema)
        return AvroSchema(json.loads(json_schema))

    @staticmethod
    def parse_file(file_path: str) -> AvroSchema:
        """The schema in a file of JSON."""
        return AvroSchema.parse_string(Path(file_path).read_text())

    def __str__(self) -> str:
        return json.dumps(self.schema, separators=(",", ":"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AvroSchema) and self.schema == other.schema

    def __hash__(self) -> int:
        return hash(str(self))


class GenericRecordAvroTypeInfo(PickledBytesTypeInfo):
    """The type of streams of Avro's generic records: Python objects, dicts for records."""

    def __init__(self, schema: AvroSchema) -> None:
        self.schema = schema
        self._parts = (schema,)

    def __repr__(self) -> str:
        return f'GenericRecord("{self.schema}")'


class AvroInputFormat(FileSource):
    """The records of Avro files, for StreamExecutionEnvironment.create_input and from_source.

    path : a file, a folder or a glob;  schema : of the records
    """

    def __init__(self, path: str, schema: AvroSchema) -> None:
        super().__init__(path, Avro(schema.schema))
        self._type_info = GenericRecordAvroTypeInfo(schema)

    def get_produced_type(self) -> GenericRecordAvroTypeInfo:
        return self._type_info

    def get_java_object(self) -> NoReturn:
        """UnsupportedOperationError: there is no JVM."""
        no_java_object("AvroInputFormat", "give it to create_input or from_source")


class AvroBulkWriters:
    """Writers of Avro files."""

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> WriterFormat:
        """Writes dicts, or Rows with names, that fit the schema."""
        return AvroWriter(schema.schema)


def _schema_of(record_class: str | None, avro_schema_string: str | None) -> AvroSchema:
    if avro_schema_string is None and record_class is None:
        raise TypeError("record_class or avro_schema_string should be specified.")
    if avro_schema_string is None:
        raise UnsupportedOperationError(
            f"the record class {record_class!r} is one of Java's, and there is no JVM; give avro_schema_string"
        )
    return AvroSchema.parse_string(avro_schema_string)


class AvroRowDeserializationSchema(DeserializationSchema):
    """Rows from Avro records without a header.

    UnsupportedOperationError : a record class alone, which is one of Java's
    """

    def __init__(self, record_class: str | None = None, avro_schema_string: str | None = None) -> None:
        self._records = AvroRecords(_schema_of(record_class, avro_schema_string).schema)

    def deserialize(self, message: bytes) -> Any:
        """The Row in a message; records within it are Rows, too. DataError : it is none of the schema"""
        return _to_rows(self._records.decode(message), self._records.schema, {})


class AvroRowSerializationSchema(SerializationSchema):
    """Avro records without a header from Rows with the names of the schema, or from dicts.

    UnsupportedOperationError : a record class alone, which is one of Java's
    """

    def __init__(self, record_class: str | None = None, avro_schema_string: str | None = None) -> None:
        self._records = AvroRecords(_schema_of(record_class, avro_schema_string).schema)

    def serialize(self, element: Any) -> bytes:
        """DataError : the element does not fit the schema"""
        return self._records.encode(element)


def _to_rows(value: Any, schema: Any, known: dict[str, Any]) -> Any:
    """The records in a value as Rows. known : schemas that have had their name"""
    if isinstance(schema, str):
        return _to_rows(value, known[schema], known) if schema in known else value
    if isinstance(schema, list):
        solid = [part for part in schema if part != "null"]
        return _to_rows(value, solid[0], known) if value is not None and len(solid) == 1 else value
    if "name" in schema:
        known[schema["name"]] = schema
    if schema["type"] == "record":
        return Row(**{f["name"]: _to_rows(value[f["name"]], f["type"], known) for f in schema["fields"]})
    if schema["type"] == "array":
        return [_to_rows(item, schema["items"], known) for item in value]
    if schema["type"] == "map":
        return {key: _to_rows(item, schema["values"], known) for key, item in value.items()}
    return value if isinstance(schema["type"], str) else _to_rows(value, schema["type"], known)
