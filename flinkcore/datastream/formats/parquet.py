# SPDX-License-Identifier: Apache-2.0
"""Parquet (pyflink.datastream.formats.parquet). What takes an Avro schema needs the extra "avro"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flinkcore.connectors.files.format import WriterFormat
from flinkcore.connectors.files.parquet import Parquet, ParquetWriter
from flinkcore.datastream.connectors.file_system import (
    BulkFormat,
    BulkWriterFactory,
    StreamFormat,
    schema_of_row_type,
)
from flinkcore.errors import UnsupportedOperationError
from flinkcore.table.types import RowType

if TYPE_CHECKING:
    from flinkcore.datastream.formats.avro import AvroSchema

__all__ = ["AvroParquetReaders", "AvroParquetWriters", "ParquetBulkWriters", "ParquetColumnarRowInputFormat"]


class AvroParquetReaders:
    """Readers of Parquet files as records of an Avro schema."""

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> StreamFormat:
        """Reads dicts. ParquetColumnarRowInputFormat reads columns, which is much faster."""
        from flinkcore.connectors.files.avro import ParquetRecords

        return StreamFormat(ParquetRecords(schema.schema))


class AvroParquetWriters:
    """Writers of Parquet files from records of an Avro schema."""

    @staticmethod
    def for_generic_record(schema: AvroSchema) -> WriterFormat:
        """Writes dicts, or Rows with names, that fit the schema."""
        from flinkcore.connectors.files.avro import ParquetRecordWriter

        return ParquetRecordWriter(schema.schema)


class ParquetColumnarRowInputFormat(BulkFormat):
    """Reads columns of Parquet files, nested ones too.

    row_type : the columns to read and their types;  hadoop_config, batch_size, is_utc_timestamp : accepted;
        batches have the job's size, and timestamps are what the files say
    is_case_sensitive : only True: names are compared as they are
    """

    def __init__(
        self,
        row_type: RowType,
        hadoop_config: Any = None,
        batch_size: int = 2048,
        is_utc_timestamp: bool = False,
        is_case_sensitive: bool = True,
    ) -> None:
        if not is_case_sensitive:
            raise UnsupportedOperationError(
                "Parquet columns are found by their exact names; give row_type "
                "the names of the files, and rename the columns with select"
            )
        super().__init__(Parquet(), schema_of_row_type(row_type))


class ParquetBulkWriters:
    """Writers of Parquet files."""

    @staticmethod
    def for_row_type(
        row_type: RowType, hadoop_config: Any = None, utc_timestamp: bool = False
    ) -> BulkWriterFactory:
        """Writes rows of this type."""
        return BulkWriterFactory(ParquetWriter(), row_type)
