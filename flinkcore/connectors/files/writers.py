# SPDX-License-Identifier: Apache-2.0
"""Lines as files: text, CSV and JSON, a line per record, written a batch at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.format import java_lines
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.files.format import FileEncoder, WriterFormat
from flinkcore.connectors.files.texts import json_object_texts, list_texts, scalar_texts
from flinkcore.errors import ConfigurationError, SchemaError

# Jackson looks at no more characters than these before it encloses a text in quotes.
UNQUOTED_CHARS_MAX = 24


class LineEncoder(FileEncoder):
    """Writes the lines of each batch in one piece."""

    def __init__(self, stream: pa.NativeFile, lines: Callable[[Batch], pa.Array], newline: str = "\n",
                 header: str | None = None) -> None:
        self.stream = stream
        self.lines = lines
        self.newline = newline
        if header is not None:
            stream.write((header + newline).encode())

    def write(self, batch: Batch) -> None:
        lines = pc.binary_join_element_wise(self.lines(batch), self.newline, "")
        if lines.null_count:
            raise SchemaError("a line of text cannot be null")
        if len(lines):
            start, end = lines.offset, lines.offset + len(lines)
            offsets = memoryview(lines.buffers()[1]).cast("i")
            self.stream.write(lines.buffers()[2].slice(offsets[start], offsets[end] - offsets[start]))


class BytesEncoder(FileEncoder):
    """Writes what a function makes of each batch."""

    def __init__(self, stream: pa.NativeFile, encode: Callable[[Batch], bytes]) -> None:
        self.stream = stream
        self.encode = encode

    def write(self, batch: Batch) -> None:
        self.stream.write(self.encode(batch))


def text_lines(batch: Batch) -> bytes:
    """The text form of each record, as DataStream.print has it, and a newline."""
    return "".join(line + "\n" for line in java_lines(batch)).encode()


@dataclass
class TextWriter(WriterFormat):
    """Each record's text form and a newline, as Flink's SimpleStringEncoder; a string is written as it is.

    encode : another function from a batch to the bytes of its records
    """

    encode: Callable[[Batch], bytes] | None = field(default=None, repr=False)
    name = "text"

    def bind(self, schema: Schema) -> None:
        pass

    def open(self, stream: pa.NativeFile, schema: Schema) -> FileEncoder:
        if self.encode is None and schema.form == "value" and schema.types[0] == pa.string():
            return LineEncoder(stream, lambda batch: pc.fill_null(batch.column(0).to_arrow(), "null"))
        return BytesEncoder(stream, self.encode or text_lines)


@dataclass
class CsvWriter(WriterFormat):
    """Comma separated values, quoted where Jackson's writer quotes, which Flink uses: a text of more than 24
    characters, or with a character not above the delimiter and the quote. An empty text is quoted too, so
    that it is not read as null.

    header : whether each file begins with the names of its columns
    null_value : what stands for null. In a file of one column, an empty one makes a blank line, which readers pass
        over: set it there if there are nulls
    array_separators : what separates the elements of a list column, by its name; else ";"
    """

    header: bool = False
    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    null_value: str = ""
    newline: str = "\n"
    array_separators: Mapping[str, str] = field(default_factory=dict)
    name = "CSV"
    suffix = ".csv"

    def __post_init__(self) -> None:
        for what, text in (("delimiter", self.delimiter), ("quote", self.quote), ("escape", self.escape)):
            if text is not None and (len(text) != 1 or not text.isascii()):
                raise ConfigurationError(f"the {what} of a CSV format is one ASCII character, got {text!r}")
        self.joinable = not self.header
        highest = max(self.delimiter, self.quote or "", *self.newline)
        self._quoted = f"[\\x00-{re.escape(highest)}{re.escape(self.escape or '')}]"

    def bind(self, schema: Schema) -> None:
        for name, type in zip(schema.names, schema.arrow.types):
            element = type.value_type if pa.types.is_list(type) else type
            if pa.types.is_nested(element):
                raise SchemaError(f"CSV cannot hold column '{name}' of type {type}; write JSON lines or "
                                  f"Parquet, or select its fields as columns")

    def open(self, stream: pa.NativeFile, schema: Schema) -> FileEncoder:
        names = pa.array(schema.names, pa.string())
        header = self.delimiter.join(self._enclosed(names).to_pylist()) if self.header else None
        return LineEncoder(stream, self._lines, self.newline, header)

    def _lines(self, batch: Batch) -> pa.Array:
        return self.lines_of(batch.schema.names, [column.to_arrow() for column in batch.columns])

    def lines_of(self, names: Sequence[str], arrays: Sequence[pa.Array]) -> pa.Array:
        """The lines of some columns, without their ends."""
        return pc.binary_join_element_wise(*map(self._texts, names, arrays), self.delimiter)

    def _texts(self, name: str, array: pa.Array) -> pa.Array:
        if pa.types.is_list(array.type):
            texts = self._enclosed(list_texts(array, self.array_separators.get(name, ";")))
        elif pa.types.is_primitive(array.type) and not pa.types.is_temporal(array.type):
            texts = scalar_texts(array)
        else:
            texts = self._enclosed(scalar_texts(array))
        return pc.fill_null(texts, self.null_value)

    def _enclosed(self, texts: pa.Array) -> pa.Array:
        if self.quote is None:
            return texts
        length = pc.utf8_length(texts)
        needs = pc.or_(pc.or_(pc.greater(length, UNQUOTED_CHARS_MAX), pc.equal(length, 0)),
                       pc.match_substring_regex(texts, self._quoted))
        if not pc.any(needs).as_py():
            return texts
        doubled = pc.replace_substring(texts, self.quote, self.quote * 2)
        if self.escape and self.escape != self.quote:
            doubled = pc.replace_substring(doubled, self.escape, self.escape * 2)
        return pc.if_else(needs, pc.binary_join_element_wise(self.quote, doubled, self.quote, ""), texts)


@dataclass
class JsonWriter(WriterFormat):
    """A JSON object per line; null fields are written as null. Timestamps have a blank before the time, as
    Flink's SQL format; not-a-number and infinities are texts."""

    name = "JSON"
    suffix = ".json"

    def bind(self, schema: Schema) -> None:
        for name, type in zip(schema.names, schema.arrow.types):
            if pa.types.is_duration(type) or pa.types.is_interval(type):
                raise SchemaError(f"JSON has no form for column '{name}' of type {type}; convert it to a "
                                  "number")

    def open(self, stream: pa.NativeFile, schema: Schema) -> FileEncoder:
        names = list(schema.names)
        return LineEncoder(
            stream, lambda batch: json_object_texts(names, [column.to_arrow() for column in batch.columns]))
