# SPDX-License-Identifier: Apache-2.0
"""The two small interfaces of a file format: how bytes become rows, and rows bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import SourceContext, SourceReader, SourceSplit
from flinkcore.connectors.files.paths import InputFile

WHOLE = 2**63 - 1      # the end of a split that reads a file to its end


@dataclass(frozen=True)
class FileSplit(SourceSplit):
    """Units [start, end) of a file: bytes of lines, row groups of Parquet, record batches of Arrow IPC.

    size : bytes of the file when it was found
    rows : rows of unit `start` that were read already (0 where a unit is a byte)
    mtime_ns : time of the file's last change when it was found, 0 when the file system does not say
    """

    path: str
    size: int
    start: int
    end: int
    rows: int = 0
    mtime_ns: int = 0

    @staticmethod
    def of(file: InputFile, start: int = 0, end: int = WHOLE, *, part: bool = False) -> FileSplit:
        """The units [start, end) of a file; `part` when they are one of its splits."""
        split_id = f"{file.path}:{start}" if part else file.path
        return FileSplit(split_id, file.path, file.size, start, end, mtime_ns=file.mtime_ns)


class ReaderFormat(ABC):
    """How the files of a source are read. Frozen options; one object serves all files and subtasks.

    compressible : whether a file may be compressed as a whole, as its name says (.gz, .zst, ...)
    only_schema : the schema of every file, for formats that have but one; nothing is inferred then
    """

    name: str
    compressible: bool = True
    only_schema: Schema | None = None

    @abstractmethod
    def infer_schema(self, file: InputFile) -> Schema | None:
        """The schema of a file, from its first block or its footer; None when the file has no rows to tell."""

    @abstractmethod
    def bind(self, schema: Schema) -> None:
        """Checks that the format can read columns of these types; SchemaError when it cannot."""

    @abstractmethod
    def split(self, file: InputFile, split_bytes: int) -> list[FileSplit]:
        """Splits of about `split_bytes` bytes, at least one; together they read each row once."""

    @abstractmethod
    def open(self, file: InputFile, split: FileSplit, schema: Schema, inferred: bool,
             context: SourceContext) -> SourceReader:
        """A reader for one split. `inferred` tells whether the schema came from infer_schema."""


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """A table's column as one array, without a copy when it is one already."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


class FileEncoder(ABC):
    """Writes the batches of one part file."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Appends rows."""

    def finish(self) -> None:  # noqa: B027  lines need none
        """Writes what closes the file, such as a footer. The stream is closed by the caller."""


class WriterFormat(ABC):
    """How the files of a sink are written.

    suffix : end of the part files' names when the user gives none
    compressible : whether a file may be compressed as a whole
    joinable : whether the bytes of one file behind those of another are a file, too
    """

    name: str
    suffix: str = ""
    compressible: bool = True
    joinable: bool = True

    @abstractmethod
    def bind(self, schema: Schema) -> None:
        """Checks that the format can write columns of these types; SchemaError when it cannot."""

    @abstractmethod
    def open(self, stream: pa.NativeFile, schema: Schema) -> FileEncoder:
        """An encoder that appends to a new file."""
