# SPDX-License-Identifier: Apache-2.0
"""Messages: rows from bytes, by the parsers of formats of lines; many at a time, and one by one around a fault."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.files.lines import LineFault, LineFormat
from flinkcore.errors import DataError


class Messages:
    """Parses messages that each are what a line is to a format.

    schema : of the rows;  skips_faults : messages that do not parse give no row; else they raise DataError
    SchemaError : the format cannot read a column
    """

    def __init__(self, format: LineFormat, schema: Schema, skips_faults: bool = False) -> None:
        format.bind(schema)
        self.format = format
        self.schema = schema
        self.skips_faults = skips_faults
        self._layout = format.lines_layout(schema)

    def parse(self, messages: Sequence[bytes]) -> Batch:
        """The rows of some messages, in order. A message that is blank, or a comment, gives none."""
        faults = (LineFault, pa.ArrowInvalid, UnicodeDecodeError)
        try:
            if all(messages):
                return self._parse(messages)
        except faults:
            pass
        found = []
        for message in messages:
            try:
                if message:
                    found.append(self._parse([message]))
            except faults as error:
                if not self.skips_faults:
                    raise DataError(
                        f"{self.format.name}: the message {message[:200]!r} does not parse: {error}; have messages "
                        "that do not parse ignored, or correct what sends them"
                    ) from error
        return Batch.concat(found) if found else Batch.empty(self.schema)

    def _parse(self, messages: Sequence[bytes]) -> Batch:
        data = b"\n".join(message.rstrip(b"\r\n") for message in messages) + b"\n"
        return Batch.from_arrow(self.format.parse(data, len(messages), self._layout), self.schema)
