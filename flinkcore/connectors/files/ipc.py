# SPDX-License-Identifier: Apache-2.0
"""Arrow IPC files: the file format (also called Feather), by record batches, and the stream format, as a whole."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.ipc as paipc

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import SourceContext, SourceReader
from flinkcore.connectors.files.format import FileEncoder, FileSplit, ReaderFormat, WriterFormat
from flinkcore.connectors.files.paths import InputFile
from flinkcore.connectors.fit import fit
from flinkcore.errors import ConnectorError, SchemaError

MAGIC = b"ARROW1"


@dataclass
class ArrowIpc(ReaderFormat):
    """Arrow IPC in either form, told apart by the file's first bytes. Files of the file format are split by
    record batches; streams, which may be compressed as a whole, are not."""

    name = "Arrow IPC"

    def infer_schema(self, file: InputFile) -> Schema:
        reader = open_ipc(file)
        try:
            return Schema.from_arrow(reader.schema)
        finally:
            reader.close()

    def bind(self, schema: Schema) -> None:
        if schema.form == "object":
            raise SchemaError("Arrow IPC holds typed columns, but the schema is one of Python objects; leave "
                              "it out")

    def split(self, file: InputFile, split_bytes: int) -> list[FileSplit]:
        if file.size <= split_bytes or file.codec:
            return [FileSplit.of(file)]
        reader = open_ipc(file)
        try:
            if isinstance(reader, StreamBatches):
                return [FileSplit.of(file)]
            batches = reader.count
        finally:
            reader.close()
        step = max(1, batches * split_bytes // file.size)
        return [FileSplit.of(file, start, min(start + step, batches), part=True)
                for start in range(0, batches, step)]

    def open(self, file: InputFile, split: FileSplit, schema: Schema, inferred: bool,
             context: SourceContext) -> SourceReader:
        return IpcReader(file, split, schema)


class FileBatches:
    """Record batches of the file format, by their number."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self.stream = stream
        self.reader = paipc.open_file(stream)
        self.schema = self.reader.schema
        self.count = self.reader.num_record_batches

    def get(self, index: int) -> pa.RecordBatch | None:
        return self.reader.get_batch(index) if index < self.count else None

    def close(self) -> None:
        self.stream.close()


class StreamBatches:
    """Record batches of the stream format; one with a smaller number than the last is not found again."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self.stream = stream
        self.reader = paipc.open_stream(stream)
        self.schema = self.reader.schema
        self.next = 0

    def get(self, index: int) -> pa.RecordBatch | None:
        while True:
            try:
                batch = self.reader.read_next_batch()
            except StopIteration:
                return None
            self.next += 1
            if self.next > index:
                return batch

    def close(self) -> None:
        self.stream.close()


def open_ipc(file: InputFile) -> FileBatches | StreamBatches:
    """The batches of a file of either form; ConnectorError when it is neither."""
    with file.open() as stream:
        is_file = stream.read(len(MAGIC)) == MAGIC
    stream = file.open() if is_file else file.open_stream()
    try:
        return FileBatches(stream) if is_file else StreamBatches(stream)
    except (pa.ArrowException, OSError) as error:
        stream.close()
        raise _damaged(file.path, error) from error


def _damaged(path: str, error: Exception) -> ConnectorError:
    return ConnectorError(f"'{path}' is not an Arrow IPC file or stream, or part of it is missing "
                          f"({str(error).splitlines()[0]}); remove it from the input, write it again, or "
                          f"read it with its own format")


class IpcReader(SourceReader):
    """Rows of some record batches. A position is a batch and the rows of it that were returned.

    Batches are checked before anyone reads them: a damaged offset would otherwise lead a kernel out of its
    buffer.
    """

    def __init__(self, file: InputFile, split: FileSplit, schema: Schema) -> None:
        self.file = file
        self.split = split
        self.schema = schema
        self.batches = open_ipc(file)
        self.current: pa.RecordBatch | None = None       # batch number split.start

    def read(self, max_rows: int, timeout_ms: int) -> Batch | None:
        while self.current is None or self.split.rows >= self.current.num_rows:
            if self.current is not None:
                self.current = None
                self.split = replace(self.split, start=self.split.start + 1, rows=0)
            if self.split.start >= self.split.end:
                return None
            try:
                self.current = self.batches.get(self.split.start)
                if self.current is None:
                    return None
                self.current.validate(full=True)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(self.file.path, error) from error
        data = self.current.slice(self.split.rows, max_rows)
        self.split = replace(self.split, rows=self.split.rows + data.num_rows)
        return Batch.from_arrow(fit(data, self.schema, f"'{self.file.path}'"), self.schema)

    def position(self) -> FileSplit:
        return self.split

    def close(self) -> None:
        self.batches.close()


@dataclass
class ArrowIpcWriter(WriterFormat):
    """Arrow IPC files (Feather version 2).

    compression : of the buffers: None, "lz4" or "zstd"
    """

    compression: str | None = None
    name = "Arrow IPC"
    suffix = ".arrow"
    compressible = False
    joinable = False

    def bind(self, schema: Schema) -> None:
        if schema.form == "object":
            schema.arrow  # noqa: B018  raises, with the remedy for streams of objects

    def open(self, stream: pa.NativeFile, schema: Schema) -> FileEncoder:
        return IpcEncoder(stream, schema, self.compression)


class IpcEncoder(FileEncoder):
    """A record batch in the file for each batch of the stream."""

    def __init__(self, stream: pa.NativeFile, schema: Schema, compression: str | None) -> None:
        options = paipc.IpcWriteOptions(compression=compression)
        self.writer = paipc.new_file(stream, schema.arrow, options=options)

    def write(self, batch: Batch) -> None:
        self.writer.write_batch(batch.to_arrow())

    def finish(self) -> None:
        self.writer.close()
