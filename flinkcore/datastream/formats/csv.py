# SPDX-License-Identifier: Apache-2.0
"""CSV (pyflink.datastream.formats.csv)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.columnar.arrow_types import schema_of, type_info_of
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import RowTypeInfo, TypeInformation
from flinkcore.common.serialization import DeserializationSchema, SerializationSchema
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.texts import scalar_texts
from flinkcore.connectors.files.writers import CsvWriter
from flinkcore.connectors.fit import batch_of_values
from flinkcore.connectors.messages import Messages
from flinkcore.datastream.connectors.file_system import BulkWriterFactory, StreamFormat, schema_of_row_type
from flinkcore.errors import DataError, SchemaError, UnsupportedOperationError
from flinkcore.table.types import DataType, DataTypes, NumericType, RowField, RowType

__all__ = [
    "CsvBulkWriters",
    "CsvReaderFormat",
    "CsvRowDeserializationSchema",
    "CsvRowSerializationSchema",
    "CsvSchema",
    "CsvSchemaBuilder",
]

ARRAY_SEPARATOR = ";"


@dataclass(frozen=True)
class _Options:
    column_separator: str = ","
    quote_char: str | None = '"'
    escape_char: str | None = None
    line_separator: str = "\n"
    null_value: str | None = None
    allow_comments: bool = False
    use_header: bool = False
    strict_headers: bool = False
    skip_first_data_row: bool = False
    array_separators: Mapping[str, str] = field(default_factory=dict)


class CsvSchema:
    """Columns of a CSV file and how it is written. Made by CsvSchema.builder()."""

    def __init__(self, row_type: RowType, options: _Options) -> None:
        self._row_type = row_type
        self._options = options

    @staticmethod
    def builder() -> CsvSchemaBuilder:
        return CsvSchemaBuilder()

    def get_type_info(self) -> TypeInformation:
        """The type of the rows."""
        return type_info_of(schema_of_row_type(self._row_type))

    def size(self) -> int:
        """How many columns there are."""
        return len(self._row_type.fields)

    def __len__(self) -> int:
        return self.size()

    def __str__(self) -> str:
        columns = ", ".join(f"{f.name}: {f.data_type}" for f in self._row_type.fields)
        return f"CsvSchema({columns}; separator {self._options.column_separator!r})"

    def __repr__(self) -> str:
        return str(self)


class CsvSchemaBuilder:
    """Collects a CsvSchema: columns in their order, and how they are written."""

    def __init__(self) -> None:
        self._fields: list[RowField] = []
        self._options = _Options()
        self._separators: list[str | None] = []  # of arrays, by column; None: the common one
        self._array_separator = ARRAY_SEPARATOR

    def build(self) -> CsvSchema:
        separators = {
            f.name: self._array_separator if separator is None else separator
            for f, separator in zip(self._fields, self._separators)
        }
        return CsvSchema(RowType(list(self._fields)), replace(self._options, array_separators=separators))

    def _add(self, name: str, data_type: DataType, separator: str | None = None) -> CsvSchemaBuilder:
        self._fields.append(DataTypes.FIELD(name, data_type))
        self._separators.append(separator)
        return self

    def _set(self, **options: object) -> CsvSchemaBuilder:
        self._options = replace(self._options, **options)  # type: ignore[arg-type]
        return self

    def add_array_column(
        self, name: str, separator: str = ";", element_type: DataType | None = None
    ) -> CsvSchemaBuilder:
        """A column of arrays, elements between separators; of strings by default."""
        return self._add(name, DataTypes.ARRAY(element_type or DataTypes.STRING()), separator)

    def add_boolean_column(self, name: str) -> CsvSchemaBuilder:
        return self._add(name, DataTypes.BOOLEAN())

    def add_number_column(self, name: str, number_type: NumericType | None = None) -> CsvSchemaBuilder:
        """A column of numbers, BIGINT by default."""
        return self._add(name, number_type or DataTypes.BIGINT())

    def add_string_column(self, name: str) -> CsvSchemaBuilder:
        return self._add(name, DataTypes.STRING())

    def add_columns_from(self, schema: CsvSchema) -> CsvSchemaBuilder:
        """All columns of another schema."""
        for f in schema._row_type.fields:
            self._add(f.name, f.data_type, schema._options.array_separators.get(f.name))
        return self

    def clear_columns(self) -> CsvSchemaBuilder:
        self._fields.clear()
        self._separators.clear()
        return self

    def set_allow_comments(self, allow: bool = True) -> CsvSchemaBuilder:
        """Lines that begin with # are passed over."""
        return self._set(allow_comments=allow)

    def set_any_property_name(self, name: str) -> CsvSchemaBuilder:
        """UnsupportedOperationError: in Flink, lines may then have more values than there are columns."""
        raise UnsupportedOperationError(
            "lines with more values than columns are not read; declare the further columns, or have such lines passed "
            "over or put aside with FileSource's set_bad_records"
        )

    def disable_array_element_separator(self) -> CsvSchemaBuilder:
        """Arrays are not taken apart: the whole text is one element."""
        self._array_separator = ""
        self._separators = [None] * len(self._separators)
        return self

    def remove_array_element_separator(self, index: int) -> CsvSchemaBuilder:
        """The array column at this position is not taken apart."""
        self._separators[index] = ""
        return self

    def set_array_element_separator(self, separator: str) -> CsvSchemaBuilder:
        """What separates elements where a column does not say."""
        self._array_separator = separator
        return self

    def set_column_separator(self, char: str) -> CsvSchemaBuilder:
        if len(char) != 1:
            raise ValueError(f"Column separator must be a single char, got {char}")
        return self._set(column_separator=char)

    def disable_escape_char(self) -> CsvSchemaBuilder:
        return self._set(escape_char=None)

    def set_escape_char(self, char: str) -> CsvSchemaBuilder:
        if len(char) != 1:
            raise ValueError(f"Escape char must be a single char, got {char}")
        return self._set(escape_char=char)

    def set_line_separator(self, separator: str) -> CsvSchemaBuilder:
        """Of written files; read lines may end in \\n or \\r\\n."""
        return self._set(line_separator=separator)

    def set_null_value(self, null_value: str) -> CsvSchemaBuilder:
        """The text that means null, in columns of any type."""
        return self._set(null_value=null_value)

    def disable_quote_char(self) -> CsvSchemaBuilder:
        return self._set(quote_char=None)

    def set_quote_char(self, char: str) -> CsvSchemaBuilder:
        if len(char) != 1:
            raise ValueError(f"Quote char must be a single char, got {char}")
        return self._set(quote_char=char)

    def set_skip_first_data_row(self, skip: bool = True) -> CsvSchemaBuilder:
        return self._set(skip_first_data_row=skip)

    def set_strict_headers(self, strict: bool = True) -> CsvSchemaBuilder:
        """With a header: its names must be the columns'."""
        return self._set(strict_headers=strict)

    def set_use_header(self, use: bool = True) -> CsvSchemaBuilder:
        """The first line is a header. It is passed over, or compared when headers are strict."""
        return self._set(use_header=use)

    def size(self) -> int:
        return len(self._fields)

    def __len__(self) -> int:
        return self.size()


class CsvReaderFormat(StreamFormat):
    """Reads CSV files; quoted values may hold line breaks, so a file is read by one subtask."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> CsvReaderFormat:
        o = schema._options
        strict = o.use_header and o.strict_headers
        format = Csv(
            header=strict,
            skip_rows=int(o.use_header and not strict),
            skip_data_rows=int(o.skip_first_data_row),
            delimiter=o.column_separator,
            quote=o.quote_char,
            escape=o.escape_char,
            quoted_newlines=o.quote_char is not None and o.escape_char is None,
            null_values=None if o.null_value is None else [o.null_value],
            comment="#" if o.allow_comments else None,
            array_separators=o.array_separators,
        )
        return CsvReaderFormat(format, schema_of_row_type(schema._row_type))


class CsvBulkWriters:
    """Writers of CSV files."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> BulkWriterFactory:
        """Writes rows with the columns of a schema."""
        o = schema._options
        format = CsvWriter(
            header=o.use_header,
            delimiter=o.column_separator,
            quote=o.quote_char,
            escape=o.escape_char,
            null_value=o.null_value or "",
            newline=o.line_separator,
            array_separators=o.array_separators,
        )
        return BulkWriterFactory(format, schema._row_type)


class _CsvRow:
    """Columns of messages: what is a row within a row is one value, its fields joined."""

    def __init__(self, type_info: TypeInformation, separator: str) -> None:
        if not isinstance(type_info, RowTypeInfo):
            raise SchemaError(f"CSV messages are rows: give Types.ROW([...]) or ROW_NAMED, got {type_info!r}")
        self.schema = schema_of(type_info)
        self.separator = separator
        flat = [pa.string() if pa.types.is_struct(type) else type for type in self.schema.arrow.types]
        self.flat = Schema(self.schema.names, flat)

    def flattened(self, batch: Batch) -> list[pa.Array]:
        return [self._flat(column.to_arrow()) for column in batch.columns]

    def nested(self, batch: Batch) -> Batch:
        arrays = [
            self._nested(column.to_arrow(), type)
            for column, type in zip(batch.columns, self.schema.arrow.types)
        ]
        return Batch.from_arrow(
            pa.RecordBatch.from_arrays(arrays, names=list(self.schema.names)), self.schema
        )

    def _flat(self, array: pa.Array) -> pa.Array:
        if not pa.types.is_struct(array.type):
            return array
        texts = [pc.fill_null(scalar_texts(field), "") for field in array.flatten()]
        joined = pc.binary_join_element_wise(*texts, self.separator)
        return pc.if_else(array.is_valid(), joined, pa.scalar(None, pa.string()))

    def _nested(self, array: pa.Array, type: pa.DataType) -> pa.Array:
        if not pa.types.is_struct(type):
            return array
        parts = pc.split_pattern(array, self.separator)
        lengths = pc.list_value_length(parts)
        if pc.any(pc.not_equal(lengths, type.num_fields)).as_py():
            raise DataError(
                f"a row in CSV has {type.num_fields} values with {self.separator!r} between them; got "
                f"{array.filter(pc.not_equal(lengths, type.num_fields))[0].as_py()!r}"
            )
        fields = [pc.list_element(parts, i).cast(field.type) for i, field in enumerate(type)]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(fields, [field.name for field in type], mask=mask)


def _one_character(what: str, c: str) -> str:
    if len(c) != 1:
        raise ValueError(f"{what} must be a single char, got {c!r}")
    return c


class CsvRowDeserializationSchema(DeserializationSchema):
    """Rows from lines of CSV. Made by CsvRowDeserializationSchema.Builder(type_info)."""

    def __init__(self, row: _CsvRow, format: Csv, ignore_parse_errors: bool) -> None:
        self._row = row
        self._messages = Messages(format, row.flat, ignore_parse_errors)

    def get_produced_type(self) -> TypeInformation:
        return type_info_of(self._row.schema)

    def deserialize(self, message: bytes) -> Any:
        """The Row in a message; None for a comment, or one that does not parse and is to be ignored."""
        rows = to_rows(self.deserialize_batch([message]))
        return rows[0] if rows else None

    def deserialize_batch(self, messages: list[bytes]) -> Batch:
        """The rows in some messages, as columns. Beyond PyFlink. DataError : one does not parse"""
        batch = self._messages.parse(messages)
        try:
            return self._row.nested(batch)
        except (DataError, pa.ArrowInvalid):
            if not self._messages.skips_faults:
                raise
        if len(messages) == 1:
            return Batch.empty(self._row.schema)
        return Batch.concat([self.deserialize_batch([message]) for message in messages])

    class Builder:
        """Collects a CsvRowDeserializationSchema."""

        def __init__(self, type_info: TypeInformation) -> None:
            if type_info is None:
                raise TypeError("Type information must not be None")
            self._type_info = type_info
            self._options: dict[str, Any] = {"header": False}
            self._separator = ARRAY_SEPARATOR
            self._ignore_parse_errors = False

        def set_field_delimiter(self, delimiter: str) -> CsvRowDeserializationSchema.Builder:
            self._options["delimiter"] = _one_character("Field delimiter", delimiter)
            return self

        def set_allow_comments(self, allow_comments: bool) -> CsvRowDeserializationSchema.Builder:
            """Messages that begin with # give no row."""
            self._options["comment"] = "#" if allow_comments else None
            return self

        def set_array_element_delimiter(self, delimiter: str) -> CsvRowDeserializationSchema.Builder:
            """Between elements of arrays, and fields of rows within the row."""
            self._separator = delimiter
            return self

        def set_quote_character(self, c: str) -> CsvRowDeserializationSchema.Builder:
            self._options["quote"] = _one_character("Quote character", c)
            return self

        def set_escape_character(self, c: str) -> CsvRowDeserializationSchema.Builder:
            self._options["escape"] = _one_character("Escape character", c)
            return self

        def set_null_literal(self, null_literal: str) -> CsvRowDeserializationSchema.Builder:
            self._options["null_values"] = [null_literal]
            return self

        def set_ignore_parse_errors(self, ignore_parse_errors: bool) -> CsvRowDeserializationSchema.Builder:
            """Messages that do not parse give no row; by default they fail."""
            self._ignore_parse_errors = ignore_parse_errors
            return self

        def build(self) -> CsvRowDeserializationSchema:
            row = _CsvRow(self._type_info, self._separator)
            separators = dict.fromkeys(row.schema.names, self._separator)
            quoted_newlines = self._options.get("escape") is None  # see Csv.quoted_newlines
            format = Csv(array_separators=separators, quoted_newlines=quoted_newlines, **self._options)
            return CsvRowDeserializationSchema(row, format, self._ignore_parse_errors)


class CsvRowSerializationSchema(SerializationSchema):
    """Lines of CSV from rows. Made by CsvRowSerializationSchema.Builder(type_info)."""

    def __init__(self, row: _CsvRow, format: CsvWriter) -> None:
        self._row = row
        self._format = format
        format.bind(row.flat)

    def serialize(self, element: Any) -> bytes:
        """The line of a Row, or of a tuple of its fields, with its end."""
        batch = batch_of_values([element], self._row.schema, "CsvRowSerializationSchema")
        return self.serialize_batch(batch)[0]

    def serialize_batch(self, batch: Batch) -> list[bytes]:
        """The messages of the rows of a batch. Beyond PyFlink."""
        lines = self._format.lines_of(self._row.flat.names, self._row.flattened(batch))
        return [(line + self._format.newline).encode() for line in lines.to_pylist()]

    class Builder:
        """Collects a CsvRowSerializationSchema."""

        def __init__(self, type_info: TypeInformation) -> None:
            if type_info is None:
                raise TypeError("Type information must not be None")
            self._type_info = type_info
            self._options: dict[str, Any] = {}
            self._separator = ARRAY_SEPARATOR

        def set_field_delimiter(self, c: str) -> CsvRowSerializationSchema.Builder:
            self._options["delimiter"] = _one_character("Field delimiter", c)
            return self

        def set_line_delimiter(self, delimiter: str) -> CsvRowSerializationSchema.Builder:
            """What ends each message; may be empty."""
            self._options["newline"] = delimiter
            return self

        def set_array_element_delimiter(self, delimiter: str) -> CsvRowSerializationSchema.Builder:
            """Between elements of arrays, and fields of rows within the row."""
            self._separator = delimiter
            return self

        def disable_quote_character(self) -> CsvRowSerializationSchema.Builder:
            self._options["quote"] = None
            return self

        def set_quote_character(self, c: str) -> CsvRowSerializationSchema.Builder:
            self._options["quote"] = _one_character("Quote character", c)
            return self

        def set_escape_character(self, c: str) -> CsvRowSerializationSchema.Builder:
            self._options["escape"] = _one_character("Escape character", c)
            return self

        def set_null_literal(self, s: str) -> CsvRowSerializationSchema.Builder:
            self._options["null_value"] = s
            return self

        def build(self) -> CsvRowSerializationSchema:
            row = _CsvRow(self._type_info, self._separator)
            separators = dict.fromkeys(row.schema.names, self._separator)
            return CsvRowSerializationSchema(row, CsvWriter(array_separators=separators, **self._options))
