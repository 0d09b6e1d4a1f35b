# SPDX-License-Identifier: Apache-2.0
"""ORC files, by stripes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import SourceContext, SourceReader
from flinkcore.connectors.files.format import FileEncoder, FileSplit, ReaderFormat, WriterFormat
from flinkcore.connectors.files.paths import InputFile, reading
from flinkcore.connectors.fit import fit
from flinkcore.errors import ConfigurationError, ConnectorError, SchemaError


def _orc() -> Any:
    try:
        import pyarrow.orc
    except ImportError as error:
        raise ConnectorError(
            f"this pyarrow was built without ORC ({error}); install a wheel that has it, or use Parquet"
        ) from error
    return pyarrow.orc


@dataclass
class Orc(ReaderFormat):
    """Columns of ORC files. Only the schema's columns are read; stripes are the splits."""

    name = "ORC"
    compressible = False

    def infer_schema(self, file: InputFile) -> Schema:
        with reading(file.path):
            return Schema.from_arrow(open_orc(file).schema)

    def bind(self, schema: Schema) -> None:
        if schema.form == "object":
            raise SchemaError(
                "ORC holds typed columns, but the schema is one of Python objects; leave it out"
            )

    def split(self, file: InputFile, split_bytes: int) -> list[FileSplit]:
        if file.size <= split_bytes:
            return [FileSplit.of(file)]
        stripes = open_orc(file).nstripes
        step = max(1, stripes * split_bytes // file.size)
        return [
            FileSplit.of(file, start, min(start + step, stripes), part=True)
            for start in range(0, stripes, step)
        ]

    def open(
        self, file: InputFile, split: FileSplit, schema: Schema, inferred: bool, context: SourceContext
    ) -> SourceReader:
        return OrcReader(file, split, schema)


def open_orc(file: InputFile) -> Any:
    """The file's footer. ConnectorError when it is no ORC file."""
    stream = file.open()
    try:
        return _orc().ORCFile(stream)
    except (pa.ArrowException, OSError) as error:
        stream.close()
        if isinstance(error, ConnectorError):
            raise
        raise ConnectorError(
            f"'{file.path}' is not an ORC file, or its end is missing ({str(error).splitlines()[0]}); remove it from "
            "the input, write it again, or read it with its own format"
        ) from error


class OrcReader(SourceReader):
    """Rows of some stripes. A position is a stripe and the rows of it that were returned."""

    def __init__(self, file: InputFile, split: FileSplit, schema: Schema) -> None:
        self.file = file
        self.split = split
        self.schema = schema
        self.orc = open_orc(file)
        names = self.orc.schema.names
        missing = [name for name in schema.names if name not in names]
        if missing:
            raise SchemaError(
                f"'{file.path}' has no column '{missing[0]}'; expected {', '.join(schema.names)}, the file has "
                f"{', '.join(names)}. Correct the schema, or remove the file from the input"
            )
        self.end = min(split.end, self.orc.nstripes)
        self.stripe: pa.RecordBatch | None = None

    def read(self, max_rows: int, timeout_ms: int) -> Batch | None:
        while self.stripe is None or self.split.rows >= self.stripe.num_rows:
            if self.stripe is not None:
                self.split = replace(self.split, start=self.split.start + 1, rows=0)
            if self.split.start >= self.end:
                return None
            with reading(self.file.path):
                self.stripe = self.orc.read_stripe(self.split.start, columns=list(self.schema.names))
        data = self.stripe.slice(self.split.rows, max_rows)
        self.split = replace(self.split, rows=self.split.rows + data.num_rows)
        return Batch.from_arrow(fit(data, self.schema, f"'{self.file.path}'"), self.schema)

    def position(self) -> FileSplit:
        return self.split


#: Options that Orc's writer takes under the names of its properties, and what they are called in pyarrow.
PROPERTIES = {
    "orc.compress": ("compression", str.lower),
    "orc.stripe.size": ("stripe_size", int),
    "orc.row.index.stride": ("row_index_stride", int),
    "orc.create.index": None,  # pyarrow writes an index wherever there is a stride
}


@dataclass
class OrcWriter(WriterFormat):
    """ORC files.

    compression : "uncompressed", "zlib", "snappy", "lz4" or "zstd"
    options : further arguments of pyarrow.orc.ORCWriter
    """

    compression: str = "zlib"
    options: Mapping[str, Any] = field(default_factory=dict)
    name = "ORC"
    suffix = ".orc"
    compressible = False
    joinable = False

    @staticmethod
    def of_properties(properties: Mapping[str, str]) -> OrcWriter:
        """A writer with the properties of Orc's own. ConfigurationError for one that has no counterpart."""
        options: dict[str, Any] = {}
        for key, value in properties.items():
            if key not in PROPERTIES:
                raise ConfigurationError(
                    f"'{key}' is not known to the ORC writer; it takes {', '.join(PROPERTIES)}"
                )
            known = PROPERTIES[key]
            if known is not None:
                options[known[0]] = known[1](value)
        compression = options.pop("compression", "zlib")
        return OrcWriter("uncompressed" if compression == "none" else compression, options)

    def bind(self, schema: Schema) -> None:
        for name, type in zip(schema.names, schema.arrow.types):
            if pa.types.is_time(type) or pa.types.is_duration(type):
                raise SchemaError(
                    f"ORC cannot hold column '{name}' of type {type}; convert it to a timestamp or a number"
                )

    def open(self, stream: pa.NativeFile, schema: Schema) -> FileEncoder:
        return OrcEncoder(stream, schema, self)


class OrcEncoder(FileEncoder):
    """Batches as they come; the writer gathers them into stripes."""

    def __init__(self, stream: pa.NativeFile, schema: Schema, format: OrcWriter) -> None:
        self.schema = schema
        # An ORC file without a batch has no schema, and could not be read: there is always one.
        self.writer = _orc().ORCWriter(stream, compression=format.compression, **format.options)
        self.empty = True

    def write(self, batch: Batch) -> None:
        self.writer.write(pa.Table.from_batches([batch.to_arrow()], self.schema.arrow))
        self.empty = False

    def finish(self) -> None:
        if self.empty:
            self.writer.write(self.schema.arrow.empty_table())
        self.writer.close()
