# SPDX-License-Identifier: Apache-2.0
"""JSON lines files, read by pyarrow's parser."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

from flinkcore.columnar.schema import Schema
from flinkcore.connectors.files import decimals
from flinkcore.connectors.files.format import one_chunk
from flinkcore.connectors.files.lines import LineFault, LineFormat, first_lines
from flinkcore.connectors.files.paths import InputFile, reading
from flinkcore.connectors.files.texts import decoded
from flinkcore.errors import SchemaError

_BLANK = b" \t\r\n"
_CHANGED = re.compile(r"Column\(/(.*?)\) changed from (\w+) to (\w+)")
_COUNT = re.compile(r" in row \d+")


@dataclass(frozen=True)
class JsonLayout:
    """The types that pyarrow's parser is asked for, and what they become."""

    schema: Schema
    options: pajson.ParseOptions
    quoted_float: re.Pattern[bytes] | None

    def with_bare_floats(self, data: bytes) -> bytes:
        """NaN and the infinities are texts in JSON, and bare words to pyarrow's parser."""
        if self.quoted_float is None or (b'"NaN"' not in data and b'Infinity"' not in data):
            return data
        return self.quoted_float.sub(rb"\1\2", data)


@dataclass
class JsonLines(LineFormat):
    """A JSON object per line. A field that is missing or null is null; blank lines are passed over.

    unexpected : what a field that the schema does not know means: "ignore" it, as Flink does, or "fault" the
        line. By default it is ignored when the schema was given, and a fault when it was inferred from the
        first lines.
    charset : encoding of the files

    Timestamps, dates and times are texts in ISO form (2024-05-01T12:00:00.5 or with a blank), bytes texts in base 64.
    A line is at fault when it is not one JSON object, or a value is not of its field's type.
    """

    name = "JSON"
    unexpected: str | None = None
    charset: str = "utf-8"

    def infer_schema(self, file: InputFile) -> Schema | None:
        data, count = first_lines(self, file)
        if not data.strip():
            return None
        _check_objects(data, count)
        with reading(file.path):
            table = pajson.read_json(pa.py_buffer(data), _one_block(data))
        return Schema(table.schema.names, [_without_null(type) for type in table.schema.types])

    def bind(self, schema: Schema) -> None:
        if self.unexpected not in (None, "ignore", "fault"):
            raise SchemaError(f"unexpected is 'ignore' or 'fault', got {self.unexpected!r}")
        for name, type in zip(schema.names, schema.types):
            if type is None or not _readable(type):
                raise SchemaError(f"JSON cannot be read into column '{name}' of type {type or 'object'}; "
                                  f"read it as a string, a number or a struct and convert it")

    def layout(self, file: InputFile, schema: Schema, inferred: bool) -> tuple[JsonLayout, int]:
        return self.lines_layout(schema, inferred), 0

    def lines_layout(self, schema: Schema, inferred: bool = False) -> JsonLayout:
        unexpected = self.unexpected or ("fault" if inferred else "ignore")
        fields = [(name, _read_as(type)) for name, type in zip(schema.names, schema.types)]
        return JsonLayout(schema, pajson.ParseOptions(
            explicit_schema=pa.schema(fields),
            unexpected_field_behavior="error" if unexpected == "fault" else "ignore"), _quoted_float(schema))

    def parse(self, data: bytes, count: int, layout: object) -> pa.RecordBatch:
        assert isinstance(layout, JsonLayout)
        schema = layout.schema
        objects = _check_objects(data, count)
        if objects == 0:
            return pa.RecordBatch.from_pylist([], schema.arrow)
        data = layout.with_bare_floats(data)
        try:
            table = pajson.read_json(pa.py_buffer(data), _one_block(data), layout.options)
            arrays = [_finish(one_chunk(table.column(name)), type)
                      for name, type in zip(schema.names, schema.types)]
        except pa.ArrowInvalid as error:
            raise LineFault(_reason(str(error), schema)) from error
        if table.num_rows != objects:
            raise LineFault("expected one JSON object in the line, got more than one, or one that goes on in "
                            "the next")
        return pa.RecordBatch.from_arrays(arrays, names=list(schema.names))


def _one_block(data: bytes) -> pajson.ReadOptions:
    return pajson.ReadOptions(use_threads=False, block_size=len(data) + 1)


def _check_objects(data: bytes, count: int) -> int:
    """How many of the lines hold something. LineFault when one does not begin as an object does, or is not
    UTF-8: pyarrow's parser takes both, and a leading `null` crashes it (seen with pyarrow 26)."""
    try:
        data.decode()
    except UnicodeDecodeError:
        raise LineFault("the line is not valid UTF-8; name the file's encoding, e.g. "
                        "JsonLines(charset='latin-1')") from None
    if data.count(b"\n{") + data.startswith(b"{") == count and not data.endswith(b"\n{"):
        return count
    objects = 0
    for line in data.split(b"\n"):
        line = line.strip(_BLANK)
        if line and not line.startswith(b"{"):
            raise LineFault("expected a JSON object in the line, {\"field\": value, ...}")
        objects += bool(line)
    return objects


def _reason(error: str, schema: Schema) -> str:
    if match := _CHANGED.search(error):
        name = match[1].split("/")[0]
        type = schema.type_of(name) if name in schema.names else match[2]
        return f"field '{match[1]}' expects {type}, got a {match[3]}"
    if "unexpected field" in error:
        return ("the line has a field that the first lines did not have; give a schema to name all fields, "
                "or to ignore it")
    return _COUNT.sub("", error.replace("JSON parse error: ", "not JSON: "))


def _read_as(type: pa.DataType) -> pa.DataType:
    """Dates and times are texts in JSON, while pyarrow's parser expects numbers."""
    return pa.string() if pa.types.is_date(type) or pa.types.is_time(type) else decimals.wide(type)


def _quoted_float(schema: Schema) -> re.Pattern[bytes] | None:
    """Matches a field that is a number with a point, and has one of the texts that are such numbers as well."""
    names = [json.dumps(name, ensure_ascii=False) for type, name in zip(schema.types, schema.names)
             if pa.types.is_floating(type)]
    if not names:
        return None
    return re.compile(rf'((?:{"|".join(map(re.escape, names))})\s*:\s*)"(NaN|-?Infinity)"'.encode())


def _finish(array: pa.Array, type: pa.DataType) -> pa.Array:
    """What pyarrow read as _read_as(type), as `type`."""
    if pa.types.is_time(type):      # there is no cast from a text, but from a moment of the first day
        moments = pc.binary_join_element_wise("1970-01-01T", array, "").cast(pa.timestamp(type.unit))
        return moments.cast(type)
    return decoded(decimals.rounded(array, type), type).cast(type)


def _readable(type: pa.DataType) -> bool:
    t = pa.types
    if t.is_list(type):
        return _nested_readable(type.value_type)
    if t.is_struct(type):
        return all(_nested_readable(field.type) for field in type)
    return _nested_readable(type) or t.is_date(type) or t.is_time(type)


def _nested_readable(type: pa.DataType) -> bool:
    t = pa.types
    if t.is_list(type) or t.is_struct(type):
        return _readable(type)
    scalars = (t.is_integer, t.is_floating, t.is_boolean, t.is_string, t.is_binary, t.is_timestamp,
               t.is_decimal)
    return any(is_type(type) for is_type in scalars)


def _without_null(type: pa.DataType) -> pa.DataType:
    """A field that was null in all of the first lines is a string."""
    if pa.types.is_null(type):
        return pa.string()
    if pa.types.is_list(type):
        return pa.list_(_without_null(type.value_type))
    if pa.types.is_struct(type):
        return pa.struct([(field.name, _without_null(field.type)) for field in type])
    return type
