# SPDX-License-Identifier: Apache-2.0
"""Text files, a record per line."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.columnar.schema import Schema
from flinkcore.connectors.files.lines import LineFault, LineFormat
from flinkcore.connectors.files.paths import InputFile
from flinkcore.errors import SchemaError

TEXT_SCHEMA = Schema(["value"], [pa.string()], "value")


def split_lines(data: bytes, count: int) -> pa.Array:
    """`count` lines as strings, without \\n or \\r\\n; empty lines are lines. LineFault when one is not UTF-8."""
    if b"\r\n" in data:
        data = data.replace(b"\r\n", b"\n")
    lines = pc.split_pattern(pa.array([data], pa.binary()), b"\n").flatten().slice(0, count)
    try:
        return lines.cast(pa.string())
    except pa.ArrowInvalid:
        raise LineFault("the line is not valid UTF-8; name the file's encoding, e.g. "
                        "TextLines(charset='latin-1')") from None


@dataclass
class TextLines(LineFormat):
    """Lines of text, without their line ends (\\n or \\r\\n), as a stream of strings. Empty lines are
    records.

    charset : encoding of the files, as Python's codecs name it
    """

    name = "text"
    only_schema = TEXT_SCHEMA
    charset: str = "utf-8"

    def infer_schema(self, file: InputFile) -> Schema:
        return TEXT_SCHEMA

    def bind(self, schema: Schema) -> None:
        if len(schema) != 1 or schema.types[0] != pa.string():
            raise SchemaError(f"lines of text are one column of strings, but the schema is {schema}; leave "
                              f"it out, or read the file as CSV or JSON")

    def parse(self, data: bytes, count: int, layout: object) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([split_lines(data, count)], names=["value"])
