# SPDX-License-Identifier: Apache-2.0
"""Parquet files, by row groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import SourceContext, SourceReader
from flinkcore.connectors.files.format import FileEncoder, FileSplit, ReaderFormat, WriterFormat
from flinkcore.connectors.files.paths import InputFile, reading
from flinkcore.connectors.fit import fit
from flinkcore.errors import ConnectorError, SchemaError


@dataclass
class Parquet(ReaderFormat):
    """Columns of Parquet files. Only the schema's columns are read; row groups are the splits."""

    name = "Parquet"
    compressible = False

    def infer_schema(self, file: InputFile) -> Schema:
        with open_parquet(file) as parquet, reading(file.path):
            return Schema.from_arrow(parquet.schema_arrow)

    def bind(self, schema: Schema) -> None:
        if schema.form == "object":
            raise SchemaError("Parquet holds typed columns, but the schema is one of Python objects; leave "
                              "it out")

    def split(self, file: InputFile, split_bytes: int) -> list[FileSplit]:
        if file.size <= split_bytes:
            return [FileSplit.of(file)]
        with open_parquet(file) as parquet:
            groups = parquet.metadata.num_row_groups
        step = max(1, groups * split_bytes // file.size)
        return [FileSplit.of(file, start, min(start + step, groups), part=True)
                for start in range(0, groups, step)]

    def open(self, file: InputFile, split: FileSplit, schema: Schema, inferred: bool,
             context: SourceContext) -> SourceReader:
        return ParquetReader(file, split, schema)


def open_parquet(file: InputFile) -> pq.ParquetFile:
    """The file's footer. ConnectorError when it is no Parquet file."""
    stream = file.open()
    try:
        return pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        stream.close()
        raise ConnectorError(f"'{file.path}' is not a Parquet file, or its end is missing "
                             f"({str(error).splitlines()[0]}); remove it from the input, write it again, or "
                             "read it with its own format") from error


class ParquetReader(SourceReader):
    """Rows of some row groups. A position is a row group and the rows of it that were returned."""

    def __init__(self, file: InputFile, split: FileSplit, schema: Schema) -> None:
        self.file = file
        self.split = split
        self.schema = schema
        self.parquet = open_parquet(file)
        names = self.parquet.schema_arrow.names
        missing = [name for name in schema.names if name not in names]
        if missing:
            self.parquet.close()
            raise SchemaError(f"'{file.path}' has no column '{missing[0]}'; expected "
                              f"{', '.join(schema.names)}, the file has {', '.join(names)}. Correct the "
                              "schema, or remove the file from the input")
        self.group_end = min(split.end, self.parquet.metadata.num_row_groups)
        self.batches: Iterator[pa.RecordBatch] | None = None
        self.rest: pa.RecordBatch | None = None

    def read(self, max_rows: int, timeout_ms: int) -> Batch | None:
        while self.rest is None or not self.rest.num_rows:
            if self.batches is None:
                if self.split.start >= self.group_end:
                    return None
                self.batches = self._open_group(max_rows)
            with reading(self.file.path):
                self.rest = next(self.batches, None)
            if self.rest is None:
                self.batches = None
                self.split = replace(self.split, start=self.split.start + 1, rows=0)
        count = min(max_rows, self.rest.num_rows)
        data, self.rest = self.rest.slice(0, count), self.rest.slice(count)
        self.split = replace(self.split, rows=self.split.rows + count)
        return Batch.from_arrow(fit(data, self.schema, f"'{self.file.path}'"), self.schema)

    def _open_group(self, max_rows: int) -> Iterator[pa.RecordBatch]:
        """The row group's batches after those of its rows that were returned before."""
        skip = self.split.rows
        columns = list(self.schema.names)
        for batch in self.parquet.iter_batches(max_rows, [self.split.start], columns, use_threads=False):
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            yield batch.slice(skip)
            skip = 0

    def position(self) -> FileSplit:
        return self.split

    def close(self) -> None:
        self.parquet.close(force=True)


@dataclass
class ParquetWriter(WriterFormat):
    """Parquet files.

    compression : of the column chunks: "snappy", "zstd", "gzip", "lz4" or "none"
    row_group_rows : rows that are gathered for one row group; what is written appears in the file's size by
        row groups
    """

    compression: str = "snappy"
    row_group_rows: int = 1 << 17
    name = "Parquet"
    suffix = ".parquet"
    compressible = False
    joinable = False

    def bind(self, schema: Schema) -> None:
        if schema.form == "object":
            schema.arrow  # noqa: B018  raises, with the remedy for streams of objects

    def open(self, stream: pa.NativeFile, schema: Schema) -> FileEncoder:
        return ParquetEncoder(stream, schema, self)


class ParquetEncoder(FileEncoder):
    """Gathers batches into row groups."""

    def __init__(self, stream: pa.NativeFile, schema: Schema, format: ParquetWriter) -> None:
        self.writer = pq.ParquetWriter(stream, schema.arrow, compression=format.compression)
        self.schema = schema
        self.row_group_rows = format.row_group_rows
        self.waiting: list[pa.RecordBatch] = []
        self.waiting_rows = 0

    def write(self, batch: Batch) -> None:
        self.waiting.append(batch.to_arrow())
        self.waiting_rows += batch.num_rows
        if self.waiting_rows >= self.row_group_rows:
            self._write_group()

    def finish(self) -> None:
        if self.waiting:
            self._write_group()
        self.writer.close()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self.waiting, self.schema.arrow)
        self.writer.write_table(table, row_group_size=self.row_group_rows)
        self.waiting, self.waiting_rows = [], 0
