# SPDX-License-Identifier: Apache-2.0
"""CSV (pyflink.datastream.formats.csv)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flinkcore.columnar.arrow_types import type_info_of
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.writers import CsvWriter
from flinkcore.datastream.connectors.file_system import BulkWriterFactory, StreamFormat, schema_of_row_type
from flinkcore.table.types import DataType, DataTypes, NumericType, RowField, RowType

if TYPE_CHECKING:
    from flinkcore.columnar.typeinfo import TypeInformation

__all__ = ["CsvBulkWriters", "CsvReaderFormat", "CsvSchema", "CsvSchemaBuilder"]

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
        self._separators: list[str | None] = []       # of arrays, by column; None: the common one
        self._array_separator = ARRAY_SEPARATOR

    def build(self) -> CsvSchema:
        separators = {f.name: self._array_separator if separator is None else separator
                      for f, separator in zip(self._fields, self._separators)}
        return CsvSchema(RowType(list(self._fields)), replace(self._options, array_separators=separators))

    def _add(self, name: str, data_type: DataType, separator: str | None = None) -> CsvSchemaBuilder:
        self._fields.append(DataTypes.FIELD(name, data_type))
        self._separators.append(separator)
        return self

    def _set(self, **options: object) -> CsvSchemaBuilder:
        self._options = replace(self._options, **options)      # type: ignore[arg-type]
        return self

    def add_array_column(self, name: str, separator: str = ";",
                         element_type: DataType | None = None) -> CsvSchemaBuilder:
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
            header=strict, skip_rows=int(o.use_header and not strict),
            skip_data_rows=int(o.skip_first_data_row),
            delimiter=o.column_separator, quote=o.quote_char, escape=o.escape_char,
            quoted_newlines=o.quote_char is not None and o.escape_char is None,
            null_values=None if o.null_value is None else [o.null_value],
            comment="#" if o.allow_comments else None, array_separators=o.array_separators)
        return CsvReaderFormat(format, schema_of_row_type(schema._row_type))


class CsvBulkWriters:
    """Writers of CSV files."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> BulkWriterFactory:
        """Writes rows with the columns of a schema."""
        o = schema._options
        format = CsvWriter(header=o.use_header, delimiter=o.column_separator, quote=o.quote_char,
                           escape=o.escape_char, null_value=o.null_value or "", newline=o.line_separator,
                           array_separators=o.array_separators)
        return BulkWriterFactory(format, schema._row_type)
