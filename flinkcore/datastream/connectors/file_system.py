# SPDX-License-Identifier: Apache-2.0
"""Files as sources and sinks (pyflink.datastream.connectors.file_system).

FileSource and FileSink are the engine's own (flinkcore.connectors.files), with PyFlink's builders. Where
PyFlink takes a format, an engine format does as well: FileSource.for_record_stream_format(JsonLines(), "in").
"""

from __future__ import annotations

import codecs
from typing import Any

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.common.serialization import Encoder
from flinkcore.common.time import Duration
from flinkcore.connectors.files import buckets, sink, source
from flinkcore.connectors.files.format import FileEncoder, ReaderFormat, WriterFormat
from flinkcore.connectors.files.text import TextLines
from flinkcore.connectors.files.writers import TextWriter
from flinkcore.connectors.fit import batch_of_values, fit
from flinkcore.errors import ConfigurationError
from flinkcore.table.types import RowType

__all__ = [
    "BucketAssigner",
    "BulkFormat",
    "BulkWriterFactory",
    "FileEnumeratorProvider",
    "FileSink",
    "FileSource",
    "FileSourceBuilder",
    "FileSplitAssignerProvider",
    "OutputFileConfig",
    "RollingPolicy",
    "StreamFormat",
]

UNSPLIT_BYTES = 2**62


def schema_of_row_type(row_type: RowType) -> Schema:
    """A table API row type as the schema of a stream of rows."""
    return Schema.from_arrow(pa.schema(list(row_type.to_arrow())))


# -- sources ------------------------------------------------------------------------------------------------


class FileEnumeratorProvider:
    """How files are found and cut into splits."""

    def __init__(self, split_bytes: int | None) -> None:
        self.split_bytes = split_bytes

    @staticmethod
    def default_splittable_file_enumerator() -> FileEnumeratorProvider:
        """All files of a folder and its folders, but hidden ones; large files in several splits, unless compressed."""
        return FileEnumeratorProvider(None)

    @staticmethod
    def default_non_splittable_file_enumerator() -> FileEnumeratorProvider:
        """The same files, each in one split."""
        return FileEnumeratorProvider(UNSPLIT_BYTES)


class FileSplitAssignerProvider:
    """Which subtask reads which split next."""

    @staticmethod
    def locality_aware_split_assigner() -> FileSplitAssignerProvider:
        """Splits in their order, to whoever asks: every file is as near to one subtask as to the other here."""
        return FileSplitAssignerProvider()


class StreamFormat:
    """A format that reads single records from a stream of bytes, and decompresses by the file's suffix."""

    def __init__(self, format: ReaderFormat, schema: Schema | None = None) -> None:
        self.format = format
        self.schema = schema

    @staticmethod
    def text_line_format(charset_name: str = "UTF-8") -> StreamFormat:
        """Lines of text, as strings."""
        return StreamFormat(TextLines(codecs.lookup(charset_name).name))


class BulkFormat:
    """A format that reads whole batches, such as Parquet."""

    def __init__(self, format: ReaderFormat, schema: Schema | None = None) -> None:
        self.format = format
        self.schema = schema


class FileSource(source.FileSource):
    """Reads files, to their end or watching for new ones; see flinkcore.connectors.files.source.FileSource.

    Splits, compression by suffix, file systems and the treatment of bad records are described there.
    """

    @staticmethod
    def for_record_stream_format(stream_format: StreamFormat | ReaderFormat,
                                 *paths: str) -> FileSourceBuilder:
        """Begins a source that reads records of a format from files and folders."""
        return FileSourceBuilder(stream_format, paths)

    @staticmethod
    def for_bulk_file_format(bulk_format: BulkFormat | ReaderFormat, *paths: str) -> FileSourceBuilder:
        """Begins a source that reads batches of a format from files and folders."""
        return FileSourceBuilder(bulk_format, paths)


class FileSourceBuilder:
    """Collects what a FileSource needs."""

    def __init__(self, format: StreamFormat | BulkFormat | ReaderFormat, paths: tuple[str, ...]) -> None:
        self._format: ReaderFormat
        self._options: dict[str, Any] = {}
        if isinstance(format, ReaderFormat):
            self._format = format
        else:
            self._format = format.format
            self._options["schema"] = format.schema
        self._paths = list(paths)

    def monitor_continuously(self, discovery_interval: Duration) -> FileSourceBuilder:
        """Looks for new files after each interval, for ever."""
        self._options["monitor_interval_ms"] = discovery_interval.to_millis()
        return self

    def process_static_file_set(self) -> FileSourceBuilder:
        """Reads the files that are there when the job starts, and ends. The default."""
        self._options["monitor_interval_ms"] = None
        return self

    def set_file_enumerator(self, file_enumerator: FileEnumeratorProvider) -> FileSourceBuilder:
        self._options["split_bytes"] = file_enumerator.split_bytes
        return self

    def set_split_assigner(self, split_assigner: FileSplitAssignerProvider) -> FileSourceBuilder:
        return self

    def set_schema(self, schema: Any) -> FileSourceBuilder:
        """Names and types of the columns: a pyarrow schema or TypeInformation. Beyond PyFlink."""
        self._options["schema"] = schema
        return self

    def set_bad_records(self, policy: Any) -> FileSourceBuilder:
        """"fail", "drop" or an OutputTag for records that cannot be read. Beyond PyFlink."""
        self._options["bad_records"] = policy
        return self

    def build(self) -> FileSource:
        return FileSource(self._paths, self._format, **self._options)


# -- sinks --------------------------------------------------------------------------------------------------


class BucketAssigner:
    """Which folder below the base path a record goes to."""

    def __init__(self, buckets: buckets.BucketAssigner) -> None:
        self.buckets = buckets

    @staticmethod
    def base_path_bucket_assigner() -> BucketAssigner:
        """No folders."""
        return BucketAssigner(buckets.BasePathBuckets())

    @staticmethod
    def date_time_bucket_assigner(format_str: str = "yyyy-MM-dd--HH",
                                  timezone_id: str | None = None) -> BucketAssigner:
        """A folder per hour of processing time, or as the pattern says; in the machine's time zone by default."""
        return BucketAssigner(buckets.DateTimeBuckets(format_str, timezone_id))

    @staticmethod
    def column_bucket_assigner(*names: str) -> BucketAssigner:
        """A folder per value of some columns, name=value/... Beyond PyFlink."""
        return BucketAssigner(buckets.ColumnBuckets(names))


class RollingPolicy:
    """When a part file ends and the next begins. Each checkpoint ends it, whatever the policy."""

    def __init__(self, policy: sink.RollingPolicy) -> None:
        self.policy = policy

    @staticmethod
    def default_rolling_policy(part_size: int = 1024 * 1024 * 128, rollover_interval: int = 60 * 1000,
                               inactivity_interval: int = 60 * 1000) -> DefaultRollingPolicy:
        """By bytes written, and by milliseconds since the file was begun and since its last record."""
        return DefaultRollingPolicy(sink.RollingPolicy(part_size, rollover_interval, inactivity_interval))

    @staticmethod
    def on_checkpoint_rolling_policy() -> OnCheckpointRollingPolicy:
        """Only at checkpoints, and at the end."""
        return OnCheckpointRollingPolicy(sink.RollingPolicy(None, None, None))


class DefaultRollingPolicy(RollingPolicy):
    """Rolls by size and time."""


class OnCheckpointRollingPolicy(RollingPolicy):
    """Rolls at checkpoints only."""


class OutputFileConfig:
    """Beginning and end of part files' names."""

    def __init__(self, part_prefix: str, part_suffix: str) -> None:
        self._part_prefix = part_prefix
        self._part_suffix = part_suffix

    @staticmethod
    def builder() -> OutputFileConfig.OutputFileConfigBuilder:
        return OutputFileConfig.OutputFileConfigBuilder()

    def get_part_prefix(self) -> str:
        return self._part_prefix

    def get_part_suffix(self) -> str:
        return self._part_suffix

    class OutputFileConfigBuilder:
        """Collects an OutputFileConfig."""

        def __init__(self) -> None:
            self.part_prefix = "part"
            self.part_suffix = ""

        def with_part_prefix(self, prefix: str) -> OutputFileConfig.OutputFileConfigBuilder:
            self.part_prefix = prefix
            return self

        def with_part_suffix(self, suffix: str) -> OutputFileConfig.OutputFileConfigBuilder:
            self.part_suffix = suffix
            return self

        def build(self) -> OutputFileConfig:
            return OutputFileConfig(self.part_prefix, self.part_suffix)


class BulkWriterFactory(WriterFormat):
    """Writes rows of a declared row type in an engine format: columns are found by name, or by position in a
    stream of tuples or Python objects, and get the declared types."""

    def __init__(self, format: WriterFormat, row_type: RowType) -> None:
        self.format = format
        self.name = format.name
        self.suffix = format.suffix
        self.compressible = format.compressible
        self.row_type = row_type
        self.schema = schema_of_row_type(row_type)

    def get_row_type(self) -> RowType:
        return self.row_type

    def bind(self, schema: Schema) -> None:
        self.format.bind(self.schema)
        if schema.form != "object":
            self._fitted(Batch.empty(schema))      # says at once when a column is missing

    def open(self, stream: pa.NativeFile, schema: Schema) -> FileEncoder:
        return _FittedEncoder(self.format.open(stream, self.schema), self)

    def _fitted(self, batch: Batch) -> Batch:
        what = f"{self.name} sink"
        if batch.schema.form != "row":
            return batch_of_values(to_rows(batch), self.schema, what)
        return Batch.from_arrow(fit(batch.to_arrow(), self.schema, what), self.schema)


class _FittedEncoder(FileEncoder):
    """Gives each batch the declared types first."""

    def __init__(self, encoder: FileEncoder, factory: BulkWriterFactory) -> None:
        self.encoder = encoder
        self.factory = factory

    def write(self, batch: Batch) -> None:
        self.encoder.write(self.factory._fitted(batch))

    def finish(self) -> None:
        self.encoder.finish()


class FileSink(sink.FileSink):
    """Writes part files that appear when they are complete; see flinkcore.connectors.files.sink.FileSink.

    As in Flink, there is a folder per hour unless a bucket assigner says otherwise.
    """

    class BaseBuilder:
        """Collects what a FileSink needs."""

        def __init__(self, base_path: str, format: WriterFormat, rolling: RollingPolicy) -> None:
            self._base_path = base_path
            self._format = format
            self._options: dict[str, Any] = {"rolling": rolling.policy, "buckets": buckets.DateTimeBuckets(),
                                             "part_suffix": ""}

        def with_bucket_check_interval(self, interval: int) -> FileSink.BaseBuilder:
            """How often, in milliseconds, the rolling policy's intervals are looked at."""
            self._options["check_interval_ms"] = interval
            return self

        def with_bucket_assigner(self, bucket_assigner: BucketAssigner) -> FileSink.BaseBuilder:
            self._options["buckets"] = bucket_assigner.buckets
            return self

        def with_output_file_config(self, output_file_config: OutputFileConfig) -> FileSink.BaseBuilder:
            self._options["part_prefix"] = output_file_config.get_part_prefix()
            self._options["part_suffix"] = output_file_config.get_part_suffix()
            return self

        def with_rolling_policy(self, rolling_policy: RollingPolicy) -> FileSink.BaseBuilder:
            self._options["rolling"] = rolling_policy.policy
            return self

        def with_compression(self, compression: str | None) -> FileSink.BaseBuilder:
            """Compresses files of lines: "gzip", "zstd", "bz2" or "lz4". Beyond PyFlink."""
            self._options["compression"] = compression
            return self

        def build(self) -> FileSink:
            return FileSink(self._base_path, self._format, **self._options)

    class RowFormatBuilder(BaseBuilder):
        """For records that are encoded one after the other."""

    class BulkFormatBuilder(BaseBuilder):
        """For formats of whole batches. They roll at checkpoints only, as Flink's do."""

        def with_rolling_policy(self, rolling_policy: RollingPolicy) -> FileSink.BulkFormatBuilder:
            if not isinstance(rolling_policy, OnCheckpointRollingPolicy):
                raise ConfigurationError("a bulk format takes RollingPolicy.on_checkpoint_rolling_policy() "
                                         "only, as in Flink; flinkcore.connectors.files.sink.FileSink rolls "
                                         "any format by size and time")
            super().with_rolling_policy(rolling_policy)
            return self

    @staticmethod
    def for_row_format(base_path: str, encoder: Encoder | WriterFormat) -> FileSink.RowFormatBuilder:
        """Begins a sink that writes records as an encoder says, e.g. Encoder.simple_string_encoder()."""
        format = encoder if isinstance(encoder, WriterFormat) else TextWriter(encoder.encode_batch)
        return FileSink.RowFormatBuilder(base_path, format, RollingPolicy.default_rolling_policy())

    @staticmethod
    def for_bulk_format(base_path: str, writer_factory: WriterFormat) -> FileSink.BulkFormatBuilder:
        """Begins a sink that writes batches, e.g. ParquetBulkWriters.for_row_type(...)."""
        rolling = RollingPolicy.on_checkpoint_rolling_policy()
        return FileSink.BulkFormatBuilder(base_path, writer_factory, rolling)
