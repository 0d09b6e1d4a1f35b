# SPDX-License-Identifier: Apache-2.0
"""The connector 'filesystem': files of csv, json, parquet, orc or raw lines, with the options of Flink's."""

from __future__ import annotations

from collections.abc import Callable

from flinkcore.columnar.batch import Batch
from flinkcore.connectors.base import Sink, Source
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.format import ReaderFormat, WriterFormat
from flinkcore.connectors.files.json import JsonLines
from flinkcore.connectors.files.orc import Orc, OrcWriter
from flinkcore.connectors.files.parquet import Parquet, ParquetWriter
from flinkcore.connectors.files.sink import FileSink, RollingPolicy
from flinkcore.connectors.files.source import FileSource
from flinkcore.connectors.files.text import TextLines
from flinkcore.connectors.files.writers import CsvWriter, JsonWriter, TextWriter
from flinkcore.table.connectors.declaration import Declaration
from flinkcore.table.types import CharType, VarCharType

MINUTE_MS = 60_000
# Flink: FileSystemConnectorOptions
PART_BYTES = 128 << 20
ROLLOVER_INTERVAL_MS = 30 * MINUTE_MS


def filesystem_source(table: Declaration) -> Source:
    """The rows of files; new ones as well where the table says source.monitor-interval."""
    format = _format(table)
    ignore = format in ("csv", "json") and table.option(f"{format}.ignore-parse-errors", "boolean", False)
    return FileSource(
        table.required("path", "string"),
        _READERS[format](table),
        table.schema,
        monitor_interval_ms=table.option("source.monitor-interval", "duration"),
        bad_records="drop" if ignore else "fail",
    )


def filesystem_sink(table: Declaration) -> Sink:
    """Part files in a folder."""
    rolling = RollingPolicy(
        table.option("sink.rolling-policy.file-size", "memory", PART_BYTES),
        table.option("sink.rolling-policy.rollover-interval", "duration", ROLLOVER_INTERVAL_MS),
        table.option("sink.rolling-policy.inactivity-interval", "duration", ROLLOVER_INTERVAL_MS),
    )
    return FileSink(
        table.required("path", "string"),
        _WRITERS[_format(table)](table),
        rolling=rolling,
        check_interval_ms=table.option("sink.rolling-policy.check-interval", "duration", MINUTE_MS),
    )


def _format(table: Declaration) -> str:
    return str(table.required("format", "enum", tuple(_READERS)))


def _csv(table: Declaration) -> dict[str, object]:
    """What reading and writing have in common."""
    quoted = not table.option("csv.disable-quote-character", "boolean", False)
    quote = table.option("csv.quote-character", "string", '"')
    separator = table.option("csv.array-element-delimiter", "string", ";")
    return {
        "header": False,
        "delimiter": table.option("csv.field-delimiter", "string", ",").replace("\\t", "\t"),
        "quote": quote if quoted else None,
        "escape": table.option("csv.escape-character", "string"),
        "array_separators": dict.fromkeys(table.columns, separator),
    }


def _csv_reader(table: Declaration) -> ReaderFormat:
    null = table.option("csv.null-literal", "string")
    comment = "#" if table.option("csv.allow-comments", "boolean", False) else None
    return Csv(**_csv(table), null_values=None if null is None else [null], comment=comment)  # type: ignore[arg-type]


def _csv_writer(table: Declaration) -> WriterFormat:
    null = table.option("csv.null-literal", "string", "")
    return CsvWriter(**_csv(table), null_value=null)  # type: ignore[arg-type]


def _raw(table: Declaration) -> None:
    types = list(table.columns.values())
    if len(types) != 1 or not isinstance(types[0], (CharType, VarCharType)):
        table.refuse("format 'raw' is for tables of one column of texts")


def _raw_reader(table: Declaration) -> ReaderFormat:
    _raw(table)
    return TextLines()


def _raw_writer(table: Declaration) -> WriterFormat:
    _raw(table)
    return TextWriter(_raw_lines)


def _raw_lines(batch: Batch) -> bytes:
    return "".join(f"{text or ''}\n" for text in batch.column(0).to_pylist()).encode()


def _parquet_writer(table: Declaration) -> WriterFormat:
    return ParquetWriter(table.option("parquet.compression", "string", "snappy").lower())


_READERS: dict[str, Callable[[Declaration], ReaderFormat]] = {
    "csv": _csv_reader,
    "json": lambda table: JsonLines("ignore"),
    "orc": lambda table: Orc(),
    "parquet": lambda table: Parquet(),
    "raw": _raw_reader,
}
_WRITERS: dict[str, Callable[[Declaration], WriterFormat]] = {
    "csv": _csv_writer,
    "json": lambda table: JsonWriter(),
    "orc": lambda table: OrcWriter(),
    "parquet": _parquet_writer,
    "raw": _raw_writer,
}
