# SPDX-License-Identifier: Apache-2.0
"""Part files: what is in them, when they end, what they are called, and that no half of one is ever seen."""

from __future__ import annotations

import datetime
import logging
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pytest

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.files.buckets import ColumnBuckets, DateTimeBuckets
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.ipc import ArrowIpc, ArrowIpcWriter
from flinkcore.connectors.files.json import JsonLines
from flinkcore.connectors.files.parquet import Parquet, ParquetWriter
from flinkcore.connectors.files.sink import FileSink, PendingFile, RollingPolicy
from flinkcore.connectors.files.source import FileSource, text_source
from flinkcore.connectors.files.text import TextLines
from flinkcore.connectors.files.writers import CsvWriter, JsonWriter, TextWriter
from flinkcore.connectors.fit import batch_of_values
from flinkcore.errors import ConfigurationError, ConnectorError, SchemaError, StateFormatError

NEVER = RollingPolicy(None, None, None)


def batch(**columns):
    return Batch.from_arrow(pa.record_batch(columns))


def texts(*values):
    return batch_of_values(list(values), Schema(["value"], [pa.string()], "value"), "test")


def files(folder, hidden=False):
    """Contents by relative name."""
    return {
        str(path.relative_to(folder)): path.read_bytes().decode(errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (hidden or not path.name.startswith("."))
    }


# -- contents -------------------------------------------------------------------------------------------------

ALL = batch(
    i=pa.array([1, None, -3], pa.int32()),
    f=[1.0, 1e10, None],
    s=["plain", 'with, comma and "quote"\nline', None],
    b=[True, None, False],
    d=pa.array([datetime.date(2024, 2, 29), None, datetime.date(1969, 12, 31)]),
    ts=pa.array(
        [datetime.datetime(2024, 2, 29, 1, 2, 3, 500_000), None, datetime.datetime(1960, 1, 1)],
        pa.timestamp("ms"),
    ),
    dec=pa.array([Decimal("1.50"), None, Decimal("-0.01")], pa.decimal128(10, 2)),
    l=pa.array([[1, 2], None, []], pa.list_(pa.int64())),
)
PLAIN = ALL.schema


@pytest.mark.parametrize(
    "writer, reader, compression",
    [
        (CsvWriter(header=True), Csv(quoted_newlines=True, null_values=[""]), None),
        (
            CsvWriter(header=True, delimiter="\t", quote="'", null_value="NULL"),
            Csv(delimiter="\t", quote="'", quoted_newlines=True, null_values=["NULL"]),
            "gzip",
        ),
        (JsonWriter(), JsonLines(), None),
        (JsonWriter(), JsonLines(), "zstd"),
        (JsonWriter(), JsonLines(), "lz4"),
        (JsonWriter(), JsonLines(), "bz2"),
        (ParquetWriter(), Parquet(), None),
        (ParquetWriter(compression="zstd", row_group_rows=1), Parquet(), None),
        (ArrowIpcWriter(), ArrowIpc(), None),
        (ArrowIpcWriter(compression="lz4"), ArrowIpc(), None),
    ],
)
def test_what_is_written_is_read_back(reading, writing, tmp_path, writer, reader, compression):
    sink = FileSink(tmp_path, writer, compression=compression)
    writing.write(sink, [ALL, ALL.slice(1, 2)])
    rows = to_rows(ALL) + to_rows(ALL.slice(1, 2))
    assert reading.rows(FileSource(tmp_path, reader, PLAIN)) == rows


def test_text_is_the_form_of_print_and_strings_are_as_they_are(writing, tmp_path):
    writing.write(FileSink(tmp_path / "s", TextWriter()), [texts("a", "", "b c")])
    writing.write(FileSink(tmp_path / "r", TextWriter()), [batch(a=[1, None], b=[1.0, 1e10])])
    assert list(files(tmp_path / "s").values()) == ["a\n\nb c\n"]
    assert list(files(tmp_path / "r").values()) == ["+I[1, 1.0]\n+I[null, 1.0E10]\n"]


def test_csv_quotes_as_jackson_does(writing, tmp_path):
    values = ["short", "two words", "a,b", 'say "hi"', "x" * 24, "x" * 25, "", None]
    writing.write(FileSink(tmp_path, CsvWriter()), [batch(a=values, n=[1] * 8)])
    (text,) = files(tmp_path).values()
    assert text.splitlines() == [
        "short,1",
        '"two words",1',
        '"a,b",1',
        '"say ""hi""",1',
        "x" * 24 + ",1",
        '"' + "x" * 25 + '",1',
        '"",1',
        ",1",
    ]


def test_json_of_every_kind_of_value(writing, tmp_path):
    data = pa.record_batch(
        {
            "s": ['a"b\\c\n\t\x01é', None],
            "f": [float("nan"), 1.5],
            "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
            "r": [{"x": 1, "y": [None, "z"]}, None],
            "t": pa.array([datetime.time(1, 2, 3), None], pa.time32("ms")),
            "z": pa.array([datetime.datetime(2024, 2, 29, 1, 2, 3), None], pa.timestamp("us", "UTC")),
        }
    )
    writing.write(FileSink(tmp_path, JsonWriter()), [Batch.from_arrow(data)])
    (text,) = files(tmp_path).values()
    assert text.splitlines() == [
        '{"s":"a\\"b\\\\c\\n\\t\\u0001é","f":"NaN","m":{"k":1},"r":{"x":1,"y":[null,"z"]},"t":"01:02:03",'
        '"z":"2024-02-29 01:02:03Z"}',
        '{"s":null,"f":1.5,"m":null,"r":null,"t":null,"z":null}',
    ]


# -- visibility -----------------------------------------------------------------------------------------------


def test_nothing_is_visible_before_it_is_committed(writing, reading, tmp_path):
    sink = FileSink(tmp_path, TextWriter())
    writer, committer = sink.create_writer(writing.context(texts().schema)), sink.create_committer()
    watcher = FileSource(tmp_path, TextLines(), monitor_interval_ms=1)
    enumerator = watcher.create_enumerator(1)

    def seen():
        enumerator.poll(0)
        return reading.take(watcher, enumerator)

    writer.write_batch(texts("a"))
    assert files(tmp_path) == {} and seen() == []
    writer.flush(False)
    prepared = writer.prepare_commit()
    assert files(tmp_path) == {} and seen() == []
    (hidden,) = files(tmp_path, hidden=True)
    assert hidden == ".part-run-one-0000-0-0.inprogress.run-one-0000"
    committer.commit(prepared)
    assert files(tmp_path, hidden=True) == {"part-run-one-0000-0-0": "a\n"} and seen() == ["a"]


def test_committing_twice_is_committing_once(writing, tmp_path):
    sink = FileSink(tmp_path, TextWriter())
    prepared = writing.write(sink, [texts("a")])
    sink.create_committer().commit(prepared)
    assert list(files(tmp_path).values()) == ["a\n"]


def test_a_committable_whose_data_is_gone_is_an_error(writing, tmp_path):
    sink = FileSink(tmp_path, TextWriter())
    prepared = writing.write(sink, [texts("a")])
    (tmp_path / "part-run-one-0000-0-0").unlink()
    with pytest.raises(
        ConnectorError, match=r"cannot commit '.*part-run-one-0000-0-0': its data, .* is gone. Records are lost"
    ):
        sink.create_committer().commit(prepared)


def test_a_crafted_committable_moves_nothing_else(writing, tmp_path):
    (tmp_path / "precious").write_text("kept")
    committer = FileSink(tmp_path / "out", TextWriter()).create_committer()
    for hidden, path in (
        ("precious", "out/part-0"),
        (".p.inprogress.x", "q"),
        (".p.inprogress.x/../precious", "p"),
    ):
        with pytest.raises(StateFormatError, match="is no unfinished part of"):
            committer.commit([PendingFile(f"{tmp_path}/{hidden}", f"{tmp_path}/{path}")])
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_writer_that_is_closed_leaves_nothing(writing, tmp_path):
    writer = FileSink(tmp_path, TextWriter(), rolling=RollingPolicy(part_size=1)).create_writer(
        writing.context(texts().schema)
    )
    writer.write_batch(texts("rolled"))
    writer.close()
    writer = FileSink(tmp_path, TextWriter()).create_writer(writing.context(texts().schema))
    writer.write_batch(texts("open"))
    writer.close()
    assert files(tmp_path, hidden=True) == {}


def test_what_a_crashed_run_left_is_reported_and_not_read(writing, reading, tmp_path, caplog):
    crashed = FileSink(tmp_path, TextWriter()).create_writer(
        writing.context(texts().schema, run_id="crashed-run")
    )
    crashed.write_batch(texts("lost"))
    with caplog.at_level(logging.WARNING):
        writing.write(FileSink(tmp_path, TextWriter()), [texts("kept")], run_id="second-run")
    assert "1 part files in" in caplog.text and ".part-crashed-run-0-0.inprogress.crashed-run" in caplog.text
    assert writing.metrics.counts["leftover_files"] == 1
    assert reading.rows(text_source(tmp_path)) == ["kept"]


def test_two_runs_and_two_subtasks_do_not_touch_each_other(writing, reading, tmp_path):
    for run in ("first", "second"):
        for subtask in (0, 1):
            writing.write(
                FileSink(tmp_path, TextWriter()),
                [texts(f"{run} {subtask}")],
                run_id=run,
                subtask_index=subtask,
            )
    assert reading.rows(text_source(tmp_path)) == ["first 0", "first 1", "second 0", "second 1"]


def test_a_stream_without_records_makes_no_files(writing, tmp_path):
    writing.write(FileSink(tmp_path, CsvWriter(header=True)), [ALL.select([0]).slice(0, 0)])
    assert files(tmp_path, hidden=True) == {}


# -- rolling --------------------------------------------------------------------------------------------------


def rolled(writing, sink, schema):
    """A writer, and how many files it has finished since the last call."""
    writer = sink.create_writer(writing.context(schema))
    return writer, lambda: len(writer.take_finished())


def test_a_part_ends_when_it_is_large_enough(writing, tmp_path):
    sink = FileSink(tmp_path, TextWriter(), rolling=RollingPolicy(part_size=10))
    prepared = writing.write(
        sink, [texts("12345"), texts("6789"), texts("next"), texts("a line of more than ten")]
    )
    assert list(files(tmp_path).values()) == ["12345\n6789\n", "next\na line of more than ten\n"]
    assert [pending.path[-3:] for pending in prepared] == ["0-0", "0-1"]


def test_parts_end_by_age_and_by_silence(writing, tmp_path):
    sink = FileSink(tmp_path, TextWriter(), rolling=RollingPolicy(None, 1000, 300), check_interval_ms=100)
    writer, finished = rolled(writing, sink, texts().schema)
    clock, start = writing.clock, writing.clock.now_ms()

    def advance(duration_ms):
        clock.advance(duration_ms)
        if writing.timers and writing.timers[-1] <= clock.now_ms():
            writer.on_timer(clock.now_ms())

    writer.write_batch(texts("a"))
    assert writing.timers == [start + 100]
    for _ in range(9):
        advance(100)
        writer.write_batch(texts("b"))
        assert finished() == 0
    advance(100)
    assert finished() == 1  # 1000 ms old
    timers = len(writing.timers)
    advance(100)
    assert len(writing.timers) == timers  # nothing is open, so nothing is asked for
    writer.write_batch(texts("c"))
    advance(200)
    assert finished() == 0
    advance(100)
    assert finished() == 1  # 300 ms without a record


def test_without_a_rolling_policy_a_part_ends_at_a_checkpoint_only(writing, tmp_path):
    writer, finished = rolled(writing, FileSink(tmp_path, TextWriter(), rolling=NEVER), texts().schema)
    writer.write_batch(texts("a" * 1000))
    writing.clock.advance(10**9)
    writer.on_timer(writing.clock.now_ms())
    assert finished() == 0
    assert len(writer.prepare_commit()) == 1 and writer.prepare_commit() == []
    writer.write_batch(texts("b"))
    assert len(writer.prepare_commit()) == 1


# -- names and folders ----------------------------------------------------------------------------------------


def test_names_have_prefix_run_subtask_counter_and_suffix(writing, tmp_path):
    writing.write(
        FileSink(tmp_path, CsvWriter(), part_prefix="orders", part_suffix="-v1", compression="gzip"),
        [batch(a=[1])],
        subtask_index=3,
        run_id="0123456789abcdef",
    )
    assert list(files(tmp_path)) == ["orders-0123456789abcdef-3-0-v1.gz"]


@pytest.mark.parametrize(
    "pattern, zone, expected",
    [
        ("yyyy-MM-dd--HH", "UTC", "2024-02-29--23"),
        ("yyyy-MM-dd--HH", "Europe/Berlin", "2024-03-01--00"),
        ("'day='yyyyMMdd/'hour='HH", "UTC", "day=20240229/hour=23"),
        ("100%yy", "UTC", "100%24"),
    ],
)
def test_a_folder_per_hour_of_processing_time(writing, tmp_path, pattern, zone, expected):
    moment = datetime.datetime(2024, 2, 29, 23, 5, tzinfo=datetime.timezone.utc)
    writing.clock.advance(int(moment.timestamp() * 1000) - writing.clock.now_ms())
    writing.write(FileSink(tmp_path, TextWriter(), buckets=DateTimeBuckets(pattern, zone)), [texts("a")])
    assert list(files(tmp_path)) == [f"{expected}/part-run-one-0000-0-0"]


def test_a_folder_per_value_of_columns(writing, reading, tmp_path):
    data = batch(k=["b", "a", None, "b", "x/y"], n=[1, 1, 2, 2, 1], v=[1, 2, 3, 4, 5])
    for size in (1, 2, 5):
        folder = tmp_path / str(size)
        sink = FileSink(folder, CsvWriter(), buckets=ColumnBuckets(("k", "n")), rolling=NEVER)
        writing.write(sink, [data.slice(i, min(size, 5 - i)) for i in range(0, 5, size)])
        assert {name.rpartition("/")[0]: text for name, text in files(folder).items()} == {
            "k=b/n=1": "b,1,1\n",
            "k=a/n=1": "a,1,2\n",
            "k=__HIVE_DEFAULT_PARTITION__/n=2": ",2,3\n",
            "k=b/n=2": "b,2,4\n",
            "k=x%2Fy/n=1": "x/y,1,5\n",
        }


def test_a_pyarrow_file_system_can_be_given_and_a_uri_used(writing, reading, tmp_path):
    filesystem = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    writing.write(FileSink("deep/er", TextWriter(), filesystem=filesystem), [texts("a")])
    writing.write(FileSink(tmp_path.as_uri() + "/uri", TextWriter()), [texts("b")])
    assert reading.rows(text_source(tmp_path)) == ["a", "b"]


# -- bad input ------------------------------------------------------------------------------------------------


def test_a_path_that_cannot_be_written_is_an_error_before_any_record(writing, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        ConnectorError, match=r"cannot write to '.*file/below': .*; give a folder that this process may write"
    ):
        FileSink(tmp_path / "file" / "below", TextWriter()).create_writer(writing.context(texts().schema))
    with pytest.raises(ConnectorError, match=r"cannot write to '/proc/nothing/here'"):
        FileSink("/proc/nothing/here", TextWriter()).create_writer(writing.context(texts().schema))


def test_a_disk_that_fails_later_is_an_error_too(writing, tmp_path):
    writer = FileSink(tmp_path / "out", TextWriter()).create_writer(writing.context(texts().schema))
    (tmp_path / "out").rmdir()
    (tmp_path / "out").touch()
    with pytest.raises(ConnectorError, match=r"cannot write to '.*part-run-one-0000-0-0.inprogress"):
        writer.write_batch(texts("a"))


@pytest.mark.parametrize(
    "format, column, message",
    [
        (CsvWriter(), pa.array([{"x": 1}]), "CSV cannot hold column 'c' of type struct"),
        (JsonWriter(), pa.array([1], pa.duration("s")), "JSON has no form for column 'c' of type duration"),
    ],
)
def test_types_that_a_format_cannot_hold(writing, tmp_path, format, column, message):
    with pytest.raises(SchemaError, match=message):
        FileSink(tmp_path, format).create_writer(writing.context(Schema(["c"], [column.type])))


@pytest.mark.parametrize("format", [CsvWriter(), JsonWriter(), ParquetWriter(), ArrowIpcWriter()])
def test_python_objects_have_no_columns(writing, tmp_path, format):
    with pytest.raises(SchemaError, match=r"the stream holds Python objects, which have no columns"):
        FileSink(tmp_path, format).create_writer(writing.context(Schema.of_objects()))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"compression": "rar"}, "compression of a file sink is gzip, zstd, bz2 or lz4"),
        ({"part_prefix": ".x"}, "part files' prefix must not be empty, begin with . or _"),
        ({"part_prefix": "a/b"}, "part files' prefix must not be empty"),
        ({"check_interval_ms": 0}, "the check interval of a file sink must be positive, got 0 ms"),
    ],
)
def test_options_out_of_range(tmp_path, options, message):
    with pytest.raises(ConfigurationError, match=message):
        FileSink(tmp_path, TextWriter(), **options)


def test_more_options_out_of_range(writing, tmp_path):
    with pytest.raises(ConfigurationError, match=r"compression of a file sink is .* got 'gzip' for Parquet"):
        FileSink(tmp_path, ParquetWriter(), compression="gzip")
    with pytest.raises(ConfigurationError, match=r"part_size of a rolling policy must be positive, got 0"):
        RollingPolicy(part_size=0)
    with pytest.raises(ConfigurationError, match=r"the bucket pattern 'yyyy-QQ' has 'QQ'"):
        DateTimeBuckets("yyyy-QQ")
    with pytest.raises(ConfigurationError, match=r"unknown time zone 'Mars'"):
        DateTimeBuckets(timezone="Mars")
    with pytest.raises(SchemaError, match=r"no column named 'z'"):
        FileSink(tmp_path, TextWriter(), buckets=ColumnBuckets(("z",))).create_writer(
            writing.context(ALL.schema)
        )


def test_a_selection_not_yet_applied_is_written_as_selected(writing, tmp_path):
    data = batch(a=[1, 2, 3, 4]).take(np.array([3, 1]))
    writing.write(FileSink(tmp_path, CsvWriter()), [data])
    assert list(files(tmp_path).values()) == ["4\n2\n"]
