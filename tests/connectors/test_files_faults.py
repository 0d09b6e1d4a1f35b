# SPDX-License-Identifier: Apache-2.0
"""Bad input: each case has its message, or goes where the user asked."""

from __future__ import annotations

import gzip
import re

import pyarrow as pa
import pyarrow.feather
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from flinkcore.columnar.row import Row
from flinkcore.connectors.files import lines
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.ipc import ArrowIpc
from flinkcore.connectors.files.json import JsonLines
from flinkcore.connectors.files.parquet import Parquet
from flinkcore.connectors.files.source import FileSource, text_source
from flinkcore.connectors.files.text import TextLines
from flinkcore.errors import ConfigurationError, ConnectorError, DataError, SchemaError

TYPES = pa.schema({"id": pa.int64(), "name": pa.string()})
POLICY = "such records can also be dropped and counted, or sent to a side output"

CSV = b"""id,name
1,one
two,2
3
4,four,more
5,"five
6,six

7,\xff
8,eight
"""
CSV_FAULTS = [
    (3, "two,2", "column 'id' expects int64, got 'two'"),
    (4, "3", "expected 2 values, got 1"),
    (5, "4,four,more", "expected 2 values, got 3"),
    (6, '5,"five', "a quote is not closed; if values may hold line breaks, set quoted_newlines=True"),
    (9, "7,\\xff", "column 'name' expects string, invalid UTF8 data"),
]
CSV_ROWS = [Row(id=1, name="one"), Row(id=6, name="six"), Row(id=8, name="eight")]

JSON = b"""{"id": 1, "name": "one"}
{"id": 2, "name":
{"id": "three"}
null
{"id": 6} {"id": 7}
[8]

{"id": 9.5}
{"id": 10, "id": 11}
{"id": 12, "name": "\xff"}
{"id": 13, "name": "last", "extra": true}
"""
JSON_FAULTS = [
    (2, '{"id": 2, "name":', "not JSON: Invalid value."),
    (3, '{"id": "three"}', "field 'id' expects int64, got a string"),
    (4, "null", 'expected a JSON object in the line, {"field": value, ...}'),
    (
        5,
        '{"id": 6} {"id": 7}',
        "expected one JSON object in the line, got more than one, or one that goes on in the next",
    ),
    (6, "[8]", 'expected a JSON object in the line, {"field": value, ...}'),
    (8, '{"id": 9.5}', "Failed to convert JSON to int64, couldn't parse:9.5"),
    (9, '{"id": 10, "id": 11}', "not JSON: Column(/id) was specified twice"),
    (
        10,
        '{"id": 12, "name": "\\xff"}',
        "the line is not valid UTF-8; name the file's encoding, e.g. JsonLines(charset='latin-1')",
    ),
]
JSON_ROWS = [Row(id=1, name="one"), Row(id=13, name="last")]

CASES = pytest.mark.parametrize(
    "data, format, faults, rows",
    [(CSV, Csv(), CSV_FAULTS, CSV_ROWS), (JSON, JsonLines(), JSON_FAULTS, JSON_ROWS)],
    ids=["csv", "json"],
)


# -- records --------------------------------------------------------------------------------------------------


@CASES
@pytest.mark.parametrize("split_bytes", [1000, 20, 7])
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_bad_lines_go_to_a_side_output_with_place_and_reason(
    reading, tmp_path, data, format, faults, rows, split_bytes, batch_rows
):
    path = tmp_path / "orders"
    path.write_bytes(data)
    source = FileSource(path, format, TYPES, split_bytes=split_bytes, bad_records="bad orders")
    assert reading.rows(source, 2, batch_rows) == rows
    assert reading.side == [
        ("bad orders", Row(record=text, reason=f"{path}, line {line}: {reason}"))
        for line, text, reason in faults
    ]
    assert reading.metrics.counts["bad_records_sent_aside"] == len(faults)


@CASES
def test_bad_lines_are_dropped_and_counted(reading, tmp_path, data, format, faults, rows):
    (tmp_path / "orders").write_bytes(data)
    assert reading.rows(FileSource(tmp_path / "orders", format, TYPES, bad_records="drop")) == rows
    assert reading.metrics.counts["bad_records_dropped"] == len(faults)


@CASES
def test_each_bad_line_fails_by_default_and_says_what_to_do(reading, tmp_path, data, format, faults, rows):
    all_lines = data.splitlines(keepends=True)
    for line, text, reason in faults:
        path = tmp_path / f"orders-{line}"
        path.write_bytes((all_lines[0] if format.name == "CSV" else b"") + all_lines[line - 1])
        number = 2 if format.name == "CSV" else 1
        expected = f"{path}, line {number}: {reason}, in the record {text}; {POLICY}"
        with pytest.raises(DataError, match=r"^" + re.escape(expected)):
            reading.rows(FileSource(path, format, TYPES))


@CASES
def test_a_checkpointed_position_does_not_report_a_bad_line_twice(
    reading, tmp_path, data, format, faults, rows
):
    (tmp_path / "orders").write_bytes(data)
    source = FileSource(tmp_path / "orders", format, TYPES, bad_records="drop")
    assert reading.rows(source, batch_rows=2, resume=True) == rows
    assert reading.metrics.counts["bad_records_dropped"] == len(faults)


def test_many_bad_lines_among_many_are_all_found(reading, tmp_path):
    (tmp_path / "x.csv").write_text("id,name\n" + "".join(f"{i if i % 3 else 'x'},n\n" for i in range(3000)))
    source = FileSource(tmp_path / "x.csv", Csv(), TYPES, bad_records="drop")
    assert [row.id for row in reading.rows(source, batch_rows=500)] == [i for i in range(3000) if i % 3]
    assert reading.metrics.counts["bad_records_dropped"] == 1000


def test_the_text_of_a_long_record_is_cut(reading, tmp_path):
    (tmp_path / "x.csv").write_text("id,name\nx," + "y" * 1000 + "\n")
    with pytest.raises(DataError) as caught:
        reading.rows(FileSource(tmp_path / "x.csv", Csv(), TYPES))
    assert len(str(caught.value)) < 500 and "yyy..." in str(caught.value)


def test_lines_that_are_not_text(reading, tmp_path):
    (tmp_path / "x.txt").write_bytes(b"good\n\xe9t\xe9\n")
    message = r"x.txt, line 2: the line is not valid UTF-8; name the file's encoding, e.g. TextLines\(charset="
    with pytest.raises(DataError, match=message):
        reading.rows(text_source(tmp_path / "x.txt"))
    assert reading.rows(FileSource(tmp_path / "x.txt", TextLines("latin-1"))) == ["good", "été"]


def test_the_line_number_counts_through_compressed_files(reading, tmp_path):
    with gzip.open(tmp_path / "x.csv.gz", "wt") as file:
        file.write("id,name\n" + "1,a\n" * 50_000 + "x,b\n")
    with pytest.raises(DataError, match=r"x.csv.gz, line 50002: column 'id' expects int64, got 'x'"):
        reading.rows(FileSource(tmp_path / "x.csv.gz", Csv(), TYPES), batch_rows=64)


def test_an_inferred_type_is_named_as_such(reading, tmp_path):
    (tmp_path / "1.csv").write_text("id\n1\n")
    (tmp_path / "2.csv").write_text("id\n1.5\n")
    message = r"2.csv, line 2: column 'id' expects int64 \(inferred from the first lines; give a schema to change it\)"
    with pytest.raises(DataError, match=message):
        reading.rows(FileSource(tmp_path, Csv()))


def test_a_json_field_that_no_schema_knew_is_not_lost_silently(reading, tmp_path):
    (tmp_path / "1.json").write_text('{"a": 1}\n')
    (tmp_path / "2.json").write_text('{"a": 2, "b": 3}\n')
    with pytest.raises(
        DataError, match=r"2.json, line 1: the line has a field that the first lines did not have"
    ):
        reading.rows(FileSource(tmp_path, JsonLines()))
    assert reading.rows(FileSource(tmp_path, JsonLines(), pa.schema({"a": pa.int64()}))) == [
        Row(a=1),
        Row(a=2),
    ]
    assert reading.rows(FileSource(tmp_path, JsonLines(unexpected="ignore"))) == [Row(a=1), Row(a=2)]


def test_a_quote_that_is_never_closed_does_not_eat_the_file(reading, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LINE_BYTES_MAX", 1 << 20)
    (tmp_path / "x.csv").write_text('id,name\n1,"open\n' + "2,two\n" * 500_000)
    source = FileSource(tmp_path / "x.csv", Csv(quoted_newlines=True), TYPES, bad_records="drop")
    with pytest.raises(
        DataError, match=r"the record at byte 8 has more than 1048576 bytes; the file may be binary"
    ):
        reading.rows(source)


# -- files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".lz4"])
@pytest.mark.parametrize("damage", ["cut", "not compressed"])
def test_a_damaged_compressed_file(reading, tmp_path, suffix, damage):
    path = tmp_path / f"x.txt{suffix}"
    codec = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}[suffix]
    with pa.OSFile(str(path), "wb") as file, pa.CompressedOutputStream(file, codec) as stream:
        stream.write(b"some text that is long enough\n" * 1000)
    data = path.read_bytes()
    path.write_bytes(data[:-3] if damage == "cut" else b"plain text\n")
    message = f"cannot read '{path}': .*; its name says {codec}, but the data is cut off or is not {codec}"
    with pytest.raises(ConnectorError, match=message):
        reading.rows(text_source(path))


def test_a_file_that_is_not_parquet(reading, tmp_path):
    (tmp_path / "x.parquet").write_text("id,name\n")
    message = (
        "x.parquet' is not a Parquet file, or its end is missing .*; remove it from the input, write it again"
    )
    with pytest.raises(ConnectorError, match=message):
        FileSource(tmp_path, Parquet())
    with pytest.raises(ConnectorError, match=message):
        reading.rows(FileSource(tmp_path, Parquet(), TYPES))


def test_parquet_with_damage_in_the_middle(reading, tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": range(10_000)}), path, compression="snappy", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[4:2000] = b"\xff" * 1996
    path.write_bytes(data)
    with pytest.raises(
        ConnectorError, match=r"cannot read '.*x.parquet': .*; the file is damaged or unreadable"
    ):
        reading.rows(FileSource(path, Parquet(), pa.schema({"id": pa.int64()})))


def test_a_file_that_is_not_arrow(reading, tmp_path):
    (tmp_path / "text.arrow").write_text("id,name\nand more text")
    with pytest.raises(
        ConnectorError, match=r"text.arrow' is not an Arrow IPC file or stream, or part of it is missing"
    ):
        FileSource(tmp_path / "text.arrow", ArrowIpc())
    pyarrow.feather.write_feather(
        pa.table({"id": range(1000)}), tmp_path / "cut.arrow", compression="uncompressed"
    )
    (tmp_path / "cut.arrow").write_bytes((tmp_path / "cut.arrow").read_bytes()[:-100])
    with pytest.raises(ConnectorError, match=r"cut.arrow' is not an Arrow IPC file"):
        FileSource(tmp_path / "cut.arrow", ArrowIpc())


def test_arrow_offsets_that_lead_out_of_the_buffer_are_found(reading, tmp_path):
    path = tmp_path / "x.arrow"
    table = pa.table({"s": ["aaaa", "bbbb", "cccc"]})
    pyarrow.feather.write_feather(table, path, compression="uncompressed")
    data = path.read_bytes()
    offsets = b"".join(i.to_bytes(4, "little") for i in (0, 4, 8, 12))
    assert data.count(offsets) == 1
    path.write_bytes(data.replace(offsets, b"".join(i.to_bytes(4, "little") for i in (0, 4, 1 << 30, 12))))
    with pytest.raises(
        ConnectorError, match=r"x.arrow' is not an Arrow IPC file or stream, or part of it is missing"
    ):
        reading.rows(FileSource(path, ArrowIpc()))


@pytest.mark.parametrize("format, name", [(Parquet(), "Parquet")])
def test_formats_with_compression_inside_are_not_compressed_as_a_whole(reading, tmp_path, format, name):
    (tmp_path / "x.parquet.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(
        ConnectorError, match=f"is compressed as a whole, which {name} cannot read; decompress it"
    ):
        reading.rows(FileSource(tmp_path, format, TYPES))


def test_a_missing_column(reading, tmp_path):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "x.parquet")
    pyarrow.feather.write_feather(pa.table({"id": [1]}), tmp_path / "x.arrow")
    (tmp_path / "x.csv").write_text("id\n1\n")
    with pytest.raises(
        SchemaError, match=r"x.parquet' has no column 'name'; expected id, name, the file has id"
    ):
        reading.rows(FileSource(tmp_path / "x.parquet", Parquet(), TYPES))
    with pytest.raises(SchemaError, match=r"x.arrow': no column 'name'; expected id, name, the data has id"):
        reading.rows(FileSource(tmp_path / "x.arrow", ArrowIpc(), TYPES))
    with pytest.raises(
        ConnectorError, match=r"header of '.*x.csv' has no column 'name'; expected id, name, found id"
    ):
        reading.rows(FileSource(tmp_path / "x.csv", Csv(), TYPES))


def test_a_column_that_cannot_become_the_type(reading, tmp_path):
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "x.parquet")
    with pytest.raises(
        SchemaError, match=r"column 'id' is string and cannot become int64 without changing values"
    ):
        reading.rows(FileSource(tmp_path, Parquet(), pa.schema({"id": pa.int64()})))


def test_headers_that_cannot_be_used(reading, tmp_path):
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    (tmp_path / "none.csv").write_text("\n")
    with pytest.raises(ConnectorError, match=r"header of '.*twice.csv' names column 'a' more than once"):
        FileSource(tmp_path / "twice.csv", Csv())
    with pytest.raises(
        ConnectorError, match=r"'.*none.csv' has no header line, but the format says header=True"
    ):
        FileSource(tmp_path / "none.csv", Csv())


# -- paths ----------------------------------------------------------------------------------------------------


def test_paths_that_lead_nowhere(reading, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "_SUCCESS").touch()
    with pytest.raises(
        ConnectorError, match=r"no such file or folder: '/no/such/file'; give an existing path"
    ):
        reading.rows(text_source("/no/such/file"))
    with pytest.raises(
        ConnectorError, match=r"folder '.*empty' holds no file to read in it or its folders; names starting"
    ):
        reading.rows(text_source(tmp_path / "empty"))
    with pytest.raises(ConnectorError, match=r"no file matches '.*/\*.csv'; check the pattern"):
        reading.rows(text_source(tmp_path / "*.csv"))
    with pytest.raises(ConnectorError, match=r"cannot open the file system of 'gopher://x/y'"):
        text_source("gopher://x/y")
    with pytest.raises(ConfigurationError, match=r"at least one path, got an empty list"):
        text_source([])


def test_a_file_that_may_not_be_read(reading, tmp_path):
    class Locked(pafs.FileSystemHandler):
        """A file system on which the file can be seen but not opened."""

        def get_file_info(self, paths):
            return [pafs.FileInfo(path, pafs.FileType.File, size=5) for path in paths]

        def open_input_file(self, path):
            raise PermissionError(13, "Permission denied", path)

        def __getattr__(self, name):
            raise NotImplementedError(name)

        def get_type_name(self):
            return "locked"

        copy_file = create_dir = delete_dir = delete_dir_contents = delete_file = delete_root_dir_contents = (
            None
        )
        get_file_info_selector = move = normalize_path = open_append_stream = open_input_stream = (
            open_output_stream
        ) = None

    source = FileSource("secret.txt", TextLines(), filesystem=pafs.PyFileSystem(Locked()))
    with pytest.raises(
        ConnectorError, match=r"cannot read 'secret.txt': Permission denied; the process may not read it"
    ):
        reading.rows(source)


def test_a_file_that_goes_away(reading, tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("x")
    source = text_source(path)
    enumerator = source.create_enumerator(1)
    path.unlink()
    with pytest.raises(
        ConnectorError, match=r"cannot read '.*x.txt': .*; it is gone since the source listed it"
    ):
        reading.take(source, enumerator)


def test_one_source_reads_one_file_system(tmp_path):
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ConfigurationError, match=r"the paths of one file source are on one file system"):
        text_source([tmp_path / "x.txt", "mock:///x.txt"])


# -- options --------------------------------------------------------------------------------------------------


def test_a_schema_must_come_from_somewhere(tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(
        SchemaError, match=r"cannot be inferred, since there is no file with rows yet; give it: schema="
    ):
        FileSource(tmp_path, Csv())
    with pytest.raises(
        SchemaError,
        match=r"schema of a file source is a Schema, a pyarrow schema or TypeInformation, not dict",
    ):
        FileSource(tmp_path, Csv(), {"a": "int"})


@pytest.mark.parametrize(
    "format, type, message",
    [
        (Csv(), pa.struct({"x": pa.int64()}), "CSV cannot hold column 'c' of type struct"),
        (Csv(), pa.duration("s"), "CSV cannot hold column 'c' of type duration"),
        (JsonLines(), pa.map_(pa.string(), pa.int64()), "JSON cannot be read into column 'c' of type map"),
        (JsonLines(), pa.duration("s"), "JSON cannot be read into column 'c' of type duration"),
        (TextLines(), pa.int64(), "lines of text are one column of strings, but the schema is"),
    ],
)
def test_types_that_a_format_cannot_hold(tmp_path, format, type, message):
    with pytest.raises(SchemaError, match=message):
        FileSource(tmp_path, format, pa.schema({"c": type}))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Csv(delimiter="||"), "the delimiter of a CSV format is one ASCII character, got '||'"),
        (lambda: Csv(quote="\n"), "the quote of a CSV format is one ASCII character"),
        (
            lambda: Csv(quoted_newlines=True, escape="\\"),
            "quoted_newlines needs a quote character and no escape character",
        ),
        (lambda: Csv(skip_rows=-1), "skip_rows and skip_data_rows cannot be negative, got -1 and 0"),
        (lambda: FileSource("/x", TextLines(), split_bytes=0), "split_bytes must be positive, got 0"),
        (
            lambda: FileSource("/x", TextLines(), monitor_interval_ms=0),
            "interval between two looks .* must be positive",
        ),
    ],
)
def test_options_out_of_range(make, message):
    with pytest.raises(ConfigurationError, match=message.replace("||", r"\|\|")):
        make()
