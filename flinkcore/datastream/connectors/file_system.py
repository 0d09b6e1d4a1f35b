# SPDX-License-Identifier: Apache-2.0
"""Files as sources and sinks (pyflink.datastream.connectors.file_system).

FileSource and FileSink are the engine's own (flinkcore.connectors.files), with PyFlink's builders. Where
PyFlink takes a format, an engine format does as well: FileSource.for_record_stream_format(JsonLines(), "in").
"""

from __future__ import annotations

import codecs
import warnings
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.common.serialization import Encoder
from flinkcore.common.time import Duration
from flinkcore.common.utils import no_java_object
from flinkcore.connectors.files import buckets, sink, source
from flinkcore.connectors.files.compaction import Compaction
from flinkcore.connectors.files.format import FileEncoder, ReaderFormat, WriterFormat
from flinkcore.connectors.files.text import TextLines
from flinkcore.connectors.files.writers import TextWriter
from flinkcore.connectors.fit import batch_of_values, fit
from flinkcore.datastream.connectors.base import StreamTransformer, SupportsPreprocessing
from flinkcore.errors import ConfigurationError
from flinkcore.table.types import RowType

__all__ = [
    "BucketAssigner",
    "BulkFormat",
    "BulkWriterFactory",
    "DefaultRollingPolicy",
    "FileCompactStrategy",
    "FileCompactor",
    "FileEnumeratorProvider",
    "FileSink",
    "FileSource",
    "FileSourceBuilder",
    "FileSplitAssignerProvider",
    "OnCheckpointRollingPolicy",
    "OutputFileConfig",
    "RollingPolicy",
    "StreamFormat",
    "StreamingFileSink",
]

UNSPLIT_BYTES = 2**62


class _Setting:
    """A setting of a source or a sink. In PyFlink it is an object of Java's."""

    def get_java_object(self) -> NoReturn:
        """UnsupportedOperationError: there is no JVM."""
        no_java_object(type(self).__name__, "give it to the builder of a FileSource or FileSink")


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


class BucketAssigner(_Setting):
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


class RollingPolicy(_Setting):
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


class OutputFileConfig(_Setting):
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

    def get_java_object(self) -> Any:
        """UnsupportedOperationError: there is no JVM."""
        no_java_object("BulkWriterFactory", "give it to FileSink.for_bulk_format")

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
        if None in batch.schema.types:      # of values that have no column yet, as those of Types.BIG_DEC()
            order = [batch.schema.index_of(name) for name in self.schema.names]
            rows = [tuple(row[index] for index in order) for row in to_rows(batch)]
            return batch_of_values(rows, self.schema, what)
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


class FileCompactStrategy(_Setting):
    """When part files are joined before they are committed: FileCompactStrategy.builder()."""

    def __init__(self, compaction: Compaction, num_compact_threads: int = 1) -> None:
        self.compaction = compaction
        self.num_compact_threads = num_compact_threads

    @staticmethod
    def builder() -> FileCompactStrategy.Builder:
        return FileCompactStrategy.Builder()

    class Builder:
        """Collects a FileCompactStrategy: at least one of the first two has to be said."""

        def __init__(self) -> None:
            self._checkpoints: int | None = None
            self._size_bytes: int | None = None
            self._threads = 1

        def enable_compaction_on_checkpoint(
            self, num_checkpoints_before_compaction: int
        ) -> FileCompactStrategy.Builder:
            """At every so many checkpoints."""
            self._checkpoints = num_checkpoints_before_compaction
            return self

        def set_size_threshold(self, size_threshold: int) -> FileCompactStrategy.Builder:
            """When the files that wait in a bucket have so many bytes."""
            self._size_bytes = None if size_threshold == -1 else size_threshold
            return self

        def set_num_compact_threads(self, num_compact_threads: int) -> FileCompactStrategy.Builder:
            """Accepted as in PyFlink; each subtask joins its own files, by the thread that writes checkpoints."""
            if num_compact_threads <= 0:
                raise ConfigurationError(f"Compact threads should be more than 0, got {num_compact_threads}")
            self._threads = num_compact_threads
            return self

        def build(self) -> FileCompactStrategy:
            return FileCompactStrategy(Compaction(self._checkpoints, self._size_bytes), self._threads)


class FileCompactor(_Setting):
    """How part files are joined."""

    def __init__(self, delimiter: bytes = b"", joins: bool = True) -> None:
        self.delimiter = delimiter
        self.joins = joins

    @staticmethod
    def concat_file_compactor(file_delimiter: bytes | None = None) -> FileCompactor:
        """One behind the other, with some bytes in between."""
        return FileCompactor(file_delimiter or b"")

    @staticmethod
    def identical_file_compactor() -> FileCompactor:
        """Not at all: each file is committed as it is, when the strategy says so."""
        return FileCompactor(joins=False)


class _Builder:
    """Collects what a FileSink or StreamingFileSink needs."""

    def __init__(self, base_path: str, format: WriterFormat, rolling: RollingPolicy) -> None:
        self._base_path = base_path
        self._format = format
        self._options: dict[str, Any] = {
            "rolling": rolling.policy,
            "buckets": buckets.DateTimeBuckets(),
            "part_suffix": "",
        }

    def with_bucket_check_interval(self: B, interval: int) -> B:
        """How often, in milliseconds, the rolling policy's intervals are looked at."""
        self._options["check_interval_ms"] = interval
        return self

    def with_bucket_assigner(self: B, bucket_assigner: BucketAssigner) -> B:
        self._options["buckets"] = bucket_assigner.buckets
        return self

    def with_output_file_config(self: B, output_file_config: OutputFileConfig) -> B:
        self._options["part_prefix"] = output_file_config.get_part_prefix()
        self._options["part_suffix"] = output_file_config.get_part_suffix()
        return self


B = TypeVar("B", bound=_Builder)


class _FileSinkBuilder(_Builder):
    def with_rolling_policy(self: B, rolling_policy: RollingPolicy) -> B:
        self._options["rolling"] = rolling_policy.policy
        return self

    def enable_compact(self: B, strategy: FileCompactStrategy, compactor: FileCompactor) -> B:
        """Joins part files before they are committed. Their names begin with compacted-."""
        self._options["compaction"] = replace(
            strategy.compaction, delimiter=compactor.delimiter, joins=compactor.joins
        )
        return self

    def disable_compact(self: B) -> B:
        """Commits part files as they are; also those that a checkpoint says are to be joined."""
        self._options["compaction"] = None
        return self

    def with_compression(self: B, compression: str | None) -> B:
        """Compresses files of lines: "gzip", "zstd", "bz2" or "lz4". Beyond PyFlink."""
        self._options["compression"] = compression
        return self

    def build(self) -> FileSink:
        return FileSink(self._base_path, self._format, **self._options)


class FileSink(sink.FileSink, SupportsPreprocessing):
    """Writes part files that appear when they are complete; see flinkcore.connectors.files.sink.FileSink.

    As in Flink, there is a folder per hour unless a bucket assigner says otherwise.
    """

    BaseBuilder = _FileSinkBuilder

    class RowFormatBuilder(_FileSinkBuilder):
        """For records that are encoded one after the other."""

    class BulkFormatBuilder(_FileSinkBuilder):
        """For formats of whole batches. They roll at checkpoints only, as Flink's do."""

        def with_rolling_policy(self, rolling_policy: RollingPolicy) -> FileSink.BulkFormatBuilder:
            _require_on_checkpoint(rolling_policy)
            return super().with_rolling_policy(rolling_policy)

    @staticmethod
    def for_row_format(base_path: str, encoder: Encoder | WriterFormat) -> FileSink.RowFormatBuilder:
        """Begins a sink that writes records as an encoder says, e.g. Encoder.simple_string_encoder()."""
        return FileSink.RowFormatBuilder(
            base_path, _row_format(encoder), RollingPolicy.default_rolling_policy()
        )

    @staticmethod
    def for_bulk_format(base_path: str, writer_factory: WriterFormat) -> FileSink.BulkFormatBuilder:
        """Begins a sink that writes batches, e.g. ParquetBulkWriters.for_row_type(...)."""
        return FileSink.BulkFormatBuilder(
            base_path, writer_factory, RollingPolicy.on_checkpoint_rolling_policy()
        )

    def get_transformer(self) -> StreamTransformer | None:
        """None: columns are found by name, so the stream is written as it is."""
        return None


def _row_format(encoder: Encoder | WriterFormat) -> WriterFormat:
    return encoder if isinstance(encoder, WriterFormat) else TextWriter(encoder.encode_batch)


def _require_on_checkpoint(rolling_policy: RollingPolicy) -> None:
    if not isinstance(rolling_policy, OnCheckpointRollingPolicy):
        raise ConfigurationError(
            "a bulk format takes RollingPolicy.on_checkpoint_rolling_policy() only, as in Flink; "
            "flinkcore.connectors.files.sink.FileSink rolls any format by size and time"
        )


class _StreamingFileSinkBuilder(_Builder):
    def with_rolling_policy(self: B, policy: RollingPolicy) -> B:
        self._options["rolling"] = policy.policy
        return self

    def build(self) -> StreamingFileSink:
        return StreamingFileSink(self._base_path, self._format, **self._options)


class StreamingFileSink(sink.FileSink):
    """The older FileSink, deprecated in Flink since 1.15.

    Its files get their names at checkpoints alone. In a job that makes none they stay hidden, as Flink's do: such a job
    writes with FileSink.
    """

    def __init__(self, base_path: str, format: WriterFormat, **options: Any) -> None:
        warnings.warn("Deprecated in 1.15. Use FileSink instead.", DeprecationWarning, stacklevel=2)
        super().__init__(base_path, format, commits_unasked=False, **options)

    BaseBuilder = _StreamingFileSinkBuilder

    class DefaultRowFormatBuilder(_StreamingFileSinkBuilder):
        """For records that are encoded one after the other."""

    class DefaultBulkFormatBuilder(_StreamingFileSinkBuilder):
        """For formats of whole batches, which roll at checkpoints only."""

        def with_rolling_policy(self, policy: RollingPolicy) -> StreamingFileSink.DefaultBulkFormatBuilder:
            _require_on_checkpoint(policy)
            return super().with_rolling_policy(policy)

    @staticmethod
    def for_row_format(
        base_path: str, encoder: Encoder | WriterFormat
    ) -> StreamingFileSink.DefaultRowFormatBuilder:
        """Begins a sink that writes records as an encoder says."""
        return StreamingFileSink.DefaultRowFormatBuilder(
            base_path, _row_format(encoder), RollingPolicy.default_rolling_policy()
        )

    @staticmethod
    def for_bulk_format(
        base_path: str, writer_factory: WriterFormat
    ) -> StreamingFileSink.DefaultBulkFormatBuilder:
        """Begins a sink that writes batches."""
        return StreamingFileSink.DefaultBulkFormatBuilder(
            base_path, writer_factory, RollingPolicy.on_checkpoint_rolling_policy()
        )
