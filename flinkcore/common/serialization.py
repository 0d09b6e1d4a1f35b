# SPDX-License-Identifier: Apache-2.0
"""Schemas between values and bytes, for sources and sinks of messages and of lines."""

from __future__ import annotations

import codecs
import importlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flinkcore.columnar.batch import Batch

__all__ = [
    "ByteArraySchema",
    "DeserializationSchema",
    "Encoder",
    "RowFieldExtractorSchema",
    "SerializationSchema",
    "SimpleStringSchema",
]


class SerializationSchema(ABC):
    """Turns a value into the bytes of a message. Subclasses may be written in Python, beyond PyFlink."""

    @abstractmethod
    def serialize(self, element: Any) -> bytes:
        """The bytes of a value."""


class DeserializationSchema(ABC):
    """Turns the bytes of a message into a value. Subclasses may be written in Python, beyond PyFlink."""

    @abstractmethod
    def deserialize(self, message: bytes) -> Any:
        """The value in the bytes."""


class SimpleStringSchema(SerializationSchema, DeserializationSchema):
    """Text in a character set."""

    def __init__(self, charset: str = "UTF-8") -> None:
        self._charset = codecs.lookup(charset).name  # LookupError for an unknown one

    def serialize(self, element: str) -> bytes:
        return element.encode(self._charset)

    def deserialize(self, message: bytes) -> str:
        # Java's decoder puts U+FFFD where the bytes are wrong, so a bad message does not end the job.
        return message.decode(self._charset, "replace")


class ByteArraySchema(SerializationSchema, DeserializationSchema):
    """Bytes as they are."""

    def serialize(self, element: bytes) -> bytes:
        return bytes(element)

    def deserialize(self, message: bytes) -> bytes:
        return message


class RowFieldExtractorSchema(SerializationSchema):
    """One field of a row, which must be bytes; a null row or field is empty. For the key of a message."""

    def __init__(self, field_index: int) -> None:
        if field_index < 0:
            raise ValueError(f"Field index must be non-negative, got: {field_index}")
        self._field_index = field_index

    def get_field_index(self) -> int:
        return self._field_index

    def serialize(self, element: Any) -> bytes:
        value = None if element is None else element[self._field_index]
        if value is None:
            return b""
        if not isinstance(value, (bytes, bytearray)):
            raise ValueError(
                f"field {self._field_index} of {element!r} is {type(value).__name__}, expected bytes; "
                "encode it before this schema"
            )
        return bytes(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowFieldExtractorSchema) and self._field_index == other._field_index

    def __hash__(self) -> int:
        return hash(self._field_index)


class Encoder:
    """Writes records into files, one line each, in the text form of DataStream.print."""

    def __init__(self, charset: str) -> None:
        self._charset = codecs.lookup(charset).name

    @staticmethod
    def simple_string_encoder(charset_name: str = "UTF-8") -> Encoder:
        """Each record as text and a line feed."""
        return Encoder(charset_name)

    def encode_batch(self, batch: Batch) -> bytes:
        """The bytes of a batch's records. Beyond PyFlink."""
        from flinkcore.columnar.format import java_lines

        return "".join(line + "\n" for line in java_lines(batch)).encode(self._charset)


#: What is elsewhere, and where: writers of files and, as in PyFlink 1.13, schemas of rows. They need columns, which
#: this module does not import.
_ELSEWHERE = {
    "BulkWriterFactory": ("datastream.connectors.file_system", "BulkWriterFactory"),
    "RowDataBulkWriterFactory": ("datastream.connectors.file_system", "BulkWriterFactory"),
    "AvroRowDeserializationSchema": ("datastream.formats.avro", "AvroRowDeserializationSchema"),
    "AvroRowSerializationSchema": ("datastream.formats.avro", "AvroRowSerializationSchema"),
    "CsvRowDeserializationSchema": ("datastream.formats.csv", "CsvRowDeserializationSchema"),
    "CsvRowSerializationSchema": ("datastream.formats.csv", "CsvRowSerializationSchema"),
    "JsonRowDeserializationSchema": ("datastream.formats.json", "JsonRowDeserializationSchema"),
    "JsonRowSerializationSchema": ("datastream.formats.json", "JsonRowSerializationSchema"),
}


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    module, there = _ELSEWHERE[name]
    try:
        return getattr(importlib.import_module(f"flinkcore.{module}"), there)
    except ModuleNotFoundError as error:
        raise AttributeError(f"'{name}' is not there: {error}") from error
