# SPDX-License-Identifier: Apache-2.0
"""Avro files and records, by fastavro (the extra "avro"). Their records are Python values, as in PyFlink."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.row import Row
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import SourceContext, SourceReader, SourceSplit
from flinkcore.connectors.files.format import FileEncoder, FileSplit, ReaderFormat, WriterFormat
from flinkcore.connectors.files.parquet import Parquet, ParquetWriter
from flinkcore.connectors.files.paths import InputFile
from flinkcore.errors import ConnectorError, DataError, SchemaError


def fastavro() -> Any:
    """The package. ConnectorError when it is not installed."""
    try:
        import fastavro.write
    except ImportError as error:
        raise ConnectorError(
            "Avro needs the package fastavro, which is not installed: pip install 'flinkcore[avro]'"
        ) from error
    return fastavro


def parsed(schema: Any, what: str = "the Avro schema") -> Any:
    """A schema as fastavro wants it, from its JSON. SchemaError when it is none."""
    try:
        return fastavro().parse_schema(json.loads(schema) if isinstance(schema, str) else schema)
    except ConnectorError:
        raise
    except Exception as error:  # fastavro raises many kinds, JSON's decoder others
        raise SchemaError(f"{what} is no Avro schema: {type(error).__name__}: {error}") from error


class Avro(ReaderFormat):
    """Avro object container files, each read by one subtask, block by block.

    schema : what records are to look like, as JSON or as Python values; None: as their file says
    Records are dicts, or what else the schema describes, in a stream of Python objects.
    """

    name = "Avro"
    compressible = False
    only_schema = Schema.of_objects()

    def __init__(self, schema: Any = None) -> None:
        fastavro()
        self.schema = None if schema is None else parsed(schema)

    def infer_schema(self, file: InputFile) -> Schema:
        return Schema.of_objects()

    def bind(self, schema: Schema) -> None:
        if schema.form != "object":
            raise SchemaError(f"Avro records are Python values, but the schema says {schema}; leave it out")

    def split(self, file: InputFile, split_bytes: int) -> list[FileSplit]:
        return [FileSplit.of(file)]

    def open(
        self, file: InputFile, split: FileSplit, schema: Schema, inferred: bool, context: SourceContext
    ) -> SourceReader:
        return AvroReader(file, split, self.schema)


class AvroReader(SourceReader):
    """Records of a file. A position is a block and the records of it that were returned."""

    def __init__(self, file: InputFile, split: FileSplit, schema: Any) -> None:
        self.file = file
        self.split = split
        self.stream = file.open()
        try:
            blocks = fastavro().block_reader(self.stream, reader_schema=schema)
        except Exception as error:
            self.stream.close()
            raise self._damaged(error) from error
        self.blocks = islice(blocks, split.start, None)  # blocks that are passed over are not decoded
        self.records: Iterator[Any] | None = None

    def read(self, max_rows: int, timeout_ms: int) -> list[Any] | None:
        try:
            while True:
                if self.records is None:
                    block = next(self.blocks, None)
                    if block is None:
                        return None
                    self.records = islice(iter(block), self.split.rows, None)
                found = list(islice(self.records, max_rows))
                if found:
                    self.split = replace(self.split, rows=self.split.rows + len(found))
                    return found
                self.records = None
                self.split = replace(self.split, start=self.split.start + 1, rows=0)
        except Exception as error:
            raise self._damaged(error) from error

    def position(self) -> FileSplit:
        return self.split

    def close(self) -> None:
        self.stream.close()

    def _damaged(self, error: Exception) -> Exception:
        if isinstance(error, ConnectorError):
            return error
        return ConnectorError(
            f"'{self.file.path}' cannot be read as an Avro file of this schema ({type(error).__name__}: {error}); "
            "correct the schema, write the file again, or remove it from the input"
        )


class AvroWriter(WriterFormat):
    """Avro object container files.

    schema : of the records, as JSON or as Python values;  codec : "null", "deflate", "bzip2" or "xz"
    Records are dicts, Rows with names, or what else the schema describes.
    """

    name = "Avro"
    suffix = ".avro"
    compressible = False
    joinable = False

    def __init__(self, schema: Any, codec: str = "null") -> None:
        self.schema = parsed(schema)
        self.codec = codec

    def bind(self, schema: Schema) -> None:
        pass  # records are looked at one by one

    def open(self, stream: pa.NativeFile, schema: Schema) -> FileEncoder:
        return AvroEncoder(stream, self)


class AvroEncoder(FileEncoder):
    """Gathers records into blocks."""

    def __init__(self, stream: pa.NativeFile, format: AvroWriter) -> None:
        self.writer = fastavro().write.Writer(stream, format.schema, codec=format.codec)

    def write(self, batch: Batch) -> None:
        for position, record in enumerate(to_rows(batch)):
            try:
                self.writer.write(plain(record))
            except (TypeError, ValueError, KeyError, OverflowError, AttributeError) as error:
                raise DataError(
                    f"record {position} of a batch does not fit the Avro schema: {error}; it is {record!r:.200}"
                ) from error

    def finish(self) -> None:
        self.writer.flush()


class AvroRecords:
    """Single records as bytes without a header, as messages have them."""

    def __init__(self, schema: Any) -> None:
        self.schema = parsed(schema)
        self._fastavro = fastavro()

    def encode(self, record: Any) -> bytes:
        """DataError : the record does not fit the schema"""
        stream = io.BytesIO()
        try:
            self._fastavro.schemaless_writer(stream, self.schema, plain(record))
        except (TypeError, ValueError, KeyError, OverflowError, AttributeError) as error:
            raise DataError(f"{record!r:.200} does not fit the Avro schema: {error}") from error
        return stream.getvalue()

    def decode(self, message: bytes) -> Any:
        """DataError : the bytes are no record of the schema"""
        try:
            return self._fastavro.schemaless_reader(io.BytesIO(message), self.schema, None)
        except (EOFError, ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
            raise DataError(f"{message[:80]!r} is no record of the Avro schema: {error!r}") from error


def plain(value: Any) -> Any:
    """Rows with names as dicts, in whatever holds them."""
    if isinstance(value, Row):
        return {name: plain(field) for name, field in value.as_dict().items()}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


# -- records in Parquet --------------------------------------------------------------------------------------

_PRIMITIVES = {
    "boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(),
    "bytes": pa.binary(), "string": pa.string(), "null": pa.null(),
}  # fmt: skip
_LOGICAL = {
    "date": pa.date32(), "time-millis": pa.time32("ms"), "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"), "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"), "local-timestamp-micros": pa.timestamp("us"),
}  # fmt: skip


def arrow_schema(schema: Any) -> pa.Schema:
    """The columns of Avro records. SchemaError for a schema that is no record, or has types without a column."""
    schema = parsed(schema)
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise SchemaError(
            f"Parquet holds records; expected an Avro schema of type record, got {schema!r:.200}"
        )
    return pa.schema(_fields(schema, {}))


def _fields(schema: dict[str, Any], known: dict[str, Any]) -> list[pa.Field]:
    fields = []
    for field in schema["fields"]:
        optional = isinstance(field["type"], list) and "null" in field["type"]
        fields.append(
            pa.field(field["name"], _arrow_type(field["type"], known, field["name"]), nullable=optional)
        )
    return fields


def _arrow_type(schema: Any, known: dict[str, Any], where: str) -> pa.DataType:
    if isinstance(schema, list):
        solid = [part for part in schema if part != "null"]
        if len(solid) != 1:
            raise SchemaError(
                f"field '{where}' is a union of {len(solid)} types, which no column can hold; use Avro files"
            )
        return _arrow_type(solid[0], known, where)
    if isinstance(schema, str):
        if schema in _PRIMITIVES:
            return _PRIMITIVES[schema]
        if schema in known:
            return _arrow_type(known[schema], known, where)
        raise SchemaError(f"field '{where}': '{schema}' is unknown, or contains itself, which no column can")
    if schema.get("logicalType") == "decimal":
        return pa.decimal128(schema["precision"], schema.get("scale", 0))
    if schema.get("logicalType") in _LOGICAL:
        return _LOGICAL[schema["logicalType"]]
    kind = schema["type"]
    if kind == "record":
        type: pa.DataType = pa.struct(_fields(schema, known))
    elif kind == "array":
        type = pa.list_(_arrow_type(schema["items"], known, where))
    elif kind == "map":
        type = pa.map_(pa.string(), _arrow_type(schema["values"], known, where))
    elif kind == "enum":
        type = pa.string()
    elif kind == "fixed":
        type = pa.binary()
    else:
        type = _arrow_type(kind, known, where)
    if "name" in schema:
        known[schema["name"]] = schema
    return type


class ParquetRecords(ReaderFormat):
    """Records of an Avro schema in Parquet files: dicts, in a stream of Python objects."""

    name = "Parquet"
    compressible = False
    only_schema = Schema.of_objects()

    def __init__(self, schema: Any) -> None:
        self.columns = Schema.from_arrow(arrow_schema(schema))
        self.parquet = Parquet()

    def infer_schema(self, file: InputFile) -> Schema:
        return Schema.of_objects()

    def bind(self, schema: Schema) -> None:
        self.parquet.bind(self.columns)

    def split(self, file: InputFile, split_bytes: int) -> list[FileSplit]:
        return self.parquet.split(file, split_bytes)

    def open(
        self, file: InputFile, split: FileSplit, schema: Schema, inferred: bool, context: SourceContext
    ) -> SourceReader:
        return ParquetRecordReader(self.parquet.open(file, split, self.columns, inferred, context))


class ParquetRecordReader(SourceReader):
    """The rows of a reader of columns, as dicts."""

    def __init__(self, columns: SourceReader) -> None:
        self.columns = columns

    def read(self, max_rows: int, timeout_ms: int) -> list[Any] | None:
        batch = self.columns.read(max_rows, timeout_ms)
        if batch is None:
            return None
        assert isinstance(batch, Batch)
        return batch.to_arrow().to_pylist(maps_as_pydicts="strict")

    def position(self) -> SourceSplit:
        return self.columns.position()

    def close(self) -> None:
        self.columns.close()


class ParquetRecordWriter(WriterFormat):
    """Parquet files of records of an Avro schema."""

    name = "Parquet"
    suffix = ".parquet"
    compressible = False
    joinable = False

    def __init__(self, schema: Any) -> None:
        self.columns = Schema.from_arrow(arrow_schema(schema))

    def bind(self, schema: Schema) -> None:
        pass  # records are looked at when they come

    def open(self, stream: pa.NativeFile, schema: Schema) -> FileEncoder:
        return ParquetRecordEncoder(ParquetWriter().open(stream, self.columns), self.columns)


class ParquetRecordEncoder(FileEncoder):
    """Makes columns of records."""

    def __init__(self, encoder: FileEncoder, columns: Schema) -> None:
        self.encoder = encoder
        self.columns = columns

    def write(self, batch: Batch) -> None:
        try:
            data = pa.RecordBatch.from_pylist(
                [plain(record) for record in to_rows(batch)], self.columns.arrow
            )
        except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"a record does not fit the Avro schema: {error}; the columns are {self.columns}"
            ) from error
        self.encoder.write(Batch.from_arrow(data, self.columns))

    def finish(self) -> None:
        self.encoder.finish()
