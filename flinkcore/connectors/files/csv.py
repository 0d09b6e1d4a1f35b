# SPDX-License-Identifier: Apache-2.0
"""CSV files, read by pyarrow's parser."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from flinkcore.columnar.schema import Schema
from flinkcore.connectors.files import decimals
from flinkcore.connectors.files.format import WHOLE, one_chunk
from flinkcore.connectors.files.lines import LineFault, LineFormat, Records
from flinkcore.connectors.files.paths import InputFile, reading
from flinkcore.connectors.files.texts import decoded
from flinkcore.errors import ConfigurationError, ConnectorError, SchemaError

_VALUE_FAULT = re.compile(r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to ([^:]+): (.*)",
                          re.DOTALL)
_COUNT_FAULT = re.compile(r"Expected (\d+) columns, got (\d+)")


@dataclass
class Csv(LineFormat):
    """Comma separated values, a record per line.

    header : whether the first line (after skip_rows) names the columns: then a file may order them as it
        likes and have further ones. Without a header, columns are taken by position, named f0, f1, ... when
        there is no schema.
    delimiter : what stands between two values
    quote : what encloses a value that holds a delimiter, doubled inside; None to take quotes as they are
    escape : what makes the next character stand for itself, None for nothing
    quoted_newlines : whether a quoted value may hold line breaks; a file is then read by one subtask as a
        whole
    null_values : unquoted texts that mean null; without them an empty text is null, but in columns of strings
    true_values, false_values : texts of booleans; without them 1, true, True, TRUE and 0, false, False, FALSE
    skip_rows, skip_data_rows : lines to pass over at the start of each file, and after its header
    comment : lines that begin with it are passed over
    array_separators : what separates the elements of a list column, by its name; else ";"
    charset : encoding of the files

    Blank lines are passed over. A line is at fault when it has too few or too many values, or one that does
    not parse as its column's type. Bytes are texts in base 64, and decimals rounded half up to the type's scale, as in
    Flink.
    """

    name = "CSV"
    header: bool = True
    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    quoted_newlines: bool = False
    null_values: Sequence[str] | None = None
    true_values: Sequence[str] | None = None
    false_values: Sequence[str] | None = None
    skip_rows: int = 0
    skip_data_rows: int = 0
    comment: str | None = None
    array_separators: Mapping[str, str] = field(default_factory=dict)
    charset: str = "utf-8"

    def __post_init__(self) -> None:
        for what, text in (("delimiter", self.delimiter), ("quote", self.quote), ("escape", self.escape)):
            if text is not None and (len(text) != 1 or not text.isascii() or text in "\r\n"):
                raise ConfigurationError(f"the {what} of a CSV format is one ASCII character, got {text!r}")
        if self.skip_rows < 0 or self.skip_data_rows < 0:
            raise ConfigurationError("skip_rows and skip_data_rows cannot be negative, got "
                                     f"{self.skip_rows} and {self.skip_data_rows}")
        if self.quoted_newlines and (self.escape or not self.quote):
            raise ConfigurationError("quoted_newlines needs a quote character and no escape character: only "
                                     "then do quotes tell where a record ends")

    def record_quote(self) -> str | None:
        return self.quote if self.quoted_newlines else None

    def infer_schema(self, file: InputFile) -> Schema | None:
        names, _, data = self._start_of(file)
        if not data.strip():
            return None
        if names is None:
            names = [f"f{i}" for i in range(len(self._values_of(data.splitlines(keepends=True)[0])))]
        with reading(file.path):
            table = pacsv.read_csv(pa.py_buffer(data), self._read_options(names, data),
                                   self._parse_options(skip=True), self._convert_options())
        types = [pa.string() if pa.types.is_null(type) else type for type in table.schema.types]
        return Schema(names, types)

    def bind(self, schema: Schema) -> None:
        for name, type in zip(schema.names, schema.types):
            scalar = type.value_type if type is not None and pa.types.is_list(type) else type
            if scalar is None or any(is_type(scalar) for is_type in
                                     (pa.types.is_nested, pa.types.is_duration, pa.types.is_interval)):
                raise SchemaError(f"CSV cannot hold column '{name}' of type {type or 'object'}; read it as a "
                                  f"string and convert it, or keep the data as JSON lines or Parquet")
            separator = self.array_separators.get(name, ";")
            if pa.types.is_list(type) and separator == self.delimiter and not self.quote:
                raise SchemaError(f"elements of column '{name}' are separated by the delimiter of values "
                                  f"{self.delimiter!r}; set array_separators")

    def layout(self, file: InputFile, schema: Schema, inferred: bool) -> tuple[CsvLayout, int]:
        names, begin, _ = self._start_of(file)
        if names is None:
            names = list(schema.names)
        missing = [name for name in schema.names if name not in names]
        if missing:
            raise ConnectorError(f"the header of '{file.path}' has no column '{missing[0]}'; expected "
                                 f"{', '.join(schema.names)}, found {', '.join(names)}. Correct the file, or "
                                 f"set header=False if its first line is data")
        return self.lines_layout(schema, names, inferred), begin

    def lines_layout(self, schema: Schema, names: list[str] | None = None, inferred: bool = False) -> CsvLayout:
        convert = self._convert_options()
        convert.column_types = {name: self._read_as(type) for name, type in zip(schema.names, schema.types)}
        convert.include_columns = list(schema.names)
        return CsvLayout(list(schema.names) if names is None else names, convert, schema, inferred)

    def parse(self, data: bytes, count: int, layout: object) -> pa.RecordBatch:
        assert isinstance(layout, CsvLayout)
        data, count = self._without_comments(data, count)
        if self.quote and self._quote_count(data) % 2:
            raise LineFault("a quote is not closed; if values may hold line breaks, set quoted_newlines=True")
        if not data.strip():
            return pa.RecordBatch.from_pylist([], layout.schema.arrow)
        try:
            table = pacsv.read_csv(pa.py_buffer(data), self._read_options(layout.names, data),
                                   self._parse_options(), layout.convert)
            arrays = [self._finish(name, type, column) for name, type, column
                      in zip(layout.schema.names, layout.schema.types, table.columns)]
        except pa.ArrowInvalid as error:
            raise LineFault(layout.reason(str(error))) from error
        if table.num_rows != count and table.num_rows != count - self._blank_count(data):
            raise LineFault("a line break within the values; if they may hold any, set quoted_newlines=True")
        return pa.RecordBatch.from_arrays(arrays, names=list(layout.schema.names))

    # -- the start of a file -------------------------------------------------------------------------------

    def _start_of(self, file: InputFile) -> tuple[list[str] | None, int, bytes]:
        """Names in the header, None without one; the byte at which the data begin; the first of the data."""
        with self.open_bytes(file) as stream:
            records = Records(stream, file.path, 0, WHOLE, self.record_quote())
            skipped = len(self._take(records, self.skip_rows))
            names = None
            while self.header and names is None:
                line = b"".join(self._take(records, 1))
                if not line:
                    raise ConnectorError(f"'{file.path}' has no header line, but the format says "
                                         f"header=True; its lines end after {skipped}. Set header=False, or "
                                         "remove the file")
                skipped += 1
                if line.strip() and not (self.comment and line.startswith(self.comment.encode())):
                    names = self._values_of(line)
                    if len(set(names)) < len(names):
                        twice = next(name for name in names if names.count(name) > 1)
                        raise ConnectorError(f"the header of '{file.path}' names column '{twice}' more than "
                                             "once; rename one, or pass over the header with skip_rows=1 "
                                             "and give a schema")
            skipped += len(self._take(records, self.skip_data_rows))
            begin = records.position if skipped else 0
            data, ends = records.take(1 << 62)
            return names, begin, self._without_comments(data, len(ends))[0]

    @staticmethod
    def _take(records: Records, count: int) -> list[bytes]:
        taken: list[bytes] = []
        while len(taken) < count:
            data, ends = records.take(count - len(taken))
            if not len(ends):
                break
            taken.extend(data[start:end] for start, end in zip([0, *ends[:-1]], ends))
        return taken

    def _values_of(self, line: bytes) -> list[str]:
        options = pacsv.ReadOptions(use_threads=False, autogenerate_column_names=True,
                                    block_size=len(line) + 1)
        convert = pacsv.ConvertOptions(strings_can_be_null=False, null_values=[])
        table = pacsv.read_csv(pa.py_buffer(line), options, self._parse_options(),
                               convert) if line.strip() else pa.table({})
        return [str(column[0].as_py()).strip() for column in table.columns]

    # -- lines ---------------------------------------------------------------------------------------------

    def _without_comments(self, data: bytes, count: int) -> tuple[bytes, int]:
        if not self.comment or self.comment.encode() not in data:
            return data, count
        kept = [line for line in data.splitlines(keepends=True) if not line.startswith(self.comment.encode())]
        return b"".join(kept), count - (data.count(b"\n") + (not data.endswith(b"\n")) - len(kept))

    def _quote_count(self, data: bytes) -> int:
        assert self.quote
        if self.escape:      # what it escapes, itself included, is no quote
            data = re.sub(re.escape(self.escape.encode()) + b".", b"", data, flags=re.DOTALL)
        return data.count(self.quote.encode())

    @staticmethod
    def _blank_count(data: bytes) -> int:
        return sum(1 for line in data.splitlines() if not line)

    # -- pyarrow's options ---------------------------------------------------------------------------------

    @staticmethod
    def _read_options(names: Sequence[str], data: bytes) -> pacsv.ReadOptions:
        return pacsv.ReadOptions(use_threads=False, column_names=names, block_size=len(data) + 1)

    def _parse_options(self, skip: bool = False) -> pacsv.ParseOptions:
        return pacsv.ParseOptions(delimiter=self.delimiter, quote_char=self.quote or False, double_quote=True,
                                  escape_char=self.escape or False, newlines_in_values=self.quoted_newlines,
                                  invalid_row_handler=(lambda row: "skip") if skip else None)

    def _convert_options(self) -> pacsv.ConvertOptions:
        nulls = [""] if self.null_values is None else list(self.null_values)
        options = pacsv.ConvertOptions(null_values=nulls,
                                       strings_can_be_null=self.null_values is not None,
                                       quoted_strings_can_be_null=False)
        if self.true_values is not None:
            options.true_values = list(self.true_values)
        if self.false_values is not None:
            options.false_values = list(self.false_values)
        return options

    @staticmethod
    def _read_as(type: pa.DataType) -> pa.DataType:
        """The type that pyarrow's parser is asked for: a decimal with more digits than are kept, texts of others."""
        if pa.types.is_list(type) or pa.types.is_binary(type):
            return pa.string()
        return decimals.wide(type)

    def _finish(self, name: str, type: pa.DataType, column: pa.ChunkedArray) -> pa.Array:
        array = one_chunk(column)
        if pa.types.is_list(type):
            separator = self.array_separators.get(name, ";")
            elements = pc.split_pattern(array, separator or "\n")       # without one, the text is one element
            empty = pc.equal(array, "")
            if pc.any(empty).as_py():
                elements = pc.if_else(empty, pa.scalar([], elements.type), elements)
            return decoded(elements, type).cast(type)
        return decoded(decimals.rounded(array, type), type)


@dataclass(frozen=True)
class CsvLayout:
    """One file's columns: their names in the file's order, and how pyarrow is told to convert them."""

    names: list[str]
    convert: pacsv.ConvertOptions
    schema: Schema
    inferred: bool

    def reason(self, error: str) -> str:
        """pyarrow's words for a fault, in the words of the file's reader."""
        if match := _COUNT_FAULT.search(error):
            return f"expected {match[1]} values, got {match[2]}"
        if match := _VALUE_FAULT.search(error):
            name, what = self.names[int(match[1])], match[3].replace("invalid value ", "got ")
            type = self.schema.type_of(name) if name in self.schema.names else match[2]
            how = " (inferred from the first lines; give a schema to change it)" if self.inferred else ""
            return f"column '{name}' expects {type}{how}, {what}"
        return error
