# SPDX-License-Identifier: Apache-2.0
"""Sources, sinks and files at fault: an error that names them, or their records go where the user asked."""

from __future__ import annotations

import sys

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.common import Types, WatermarkStrategy
from flinkcore.connectors import (
    Boundedness,
    Committer,
    RangeSplit,
    Sink,
    SinkWriter,
    Source,
    SourceReader,
    SplitQueue,
)
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.json import JsonLines
from flinkcore.connectors.files.parquet import Parquet
from flinkcore.connectors.files.sink import FileSink
from flinkcore.connectors.files.source import FileSource
from flinkcore.connectors.files.writers import CsvWriter
from flinkcore.errors import (
    ConnectorError,
    FlinkcoreError,
    JobExecutionError,
)
from tests.datastream.jobs import collected, environment, numbers, objects, printed

pytestmark = pytest.mark.timeout(30)

NONE = WatermarkStrategy.no_watermarks()
ASCENDING = WatermarkStrategy.for_monotonous_timestamps()
INT = Types.INT()


class Letters(Source):
    """A source that misbehaves in one way."""

    boundedness = Boundedness.BOUNDED
    schema = Schema(["n"], [pa.int64()], "value")

    def __init__(self, fault):
        self.fault = fault

    def create_enumerator(self, parallelism):
        if self.fault == "create_enumerator":
            raise ValueError("of the user")
        if self.fault == "no enumerator":
            return None
        if self.fault == "next_split":
            return Broken([])
        return SplitQueue([1] if self.fault == "no split" else [RangeSplit("all", 0, 3)])

    def create_reader(self, split, context):
        if self.fault == "create_reader":
            raise ValueError("of the user")
        return None if self.fault == "no reader" else LetterReader(self.fault, split)


class Broken(SplitQueue):
    def next_split(self, subtask_index):
        raise ValueError("of the user")


class LetterReader(SourceReader):
    def __init__(self, fault, split):
        self.fault, self.split, self.reads = fault, split, 0

    def read(self, max_rows, timeout_ms):
        self.reads += 1
        if self.fault == "never":
            return []
        if self.fault == "read" and self.reads == 2:
            raise ValueError("of the user")
        if self.fault == "exit":
            sys.exit(1)
        if self.reads > 1 and self.fault != "read":
            return None
        returned = {
            "int": 5,
            "tuple": (1, 2),
            "generator": (n for n in range(3)),
            "columns": pa.record_batch({"z": [1]}),
            "types": pa.record_batch({"n": ["x"]}),
            "values": [1, "x"],
            "nulls": [1, None],
            "many": list(range(3 * max_rows)),
            "narrow": pa.record_batch({"n": pa.array([1], pa.int8()), "more": [2]}),
        }
        return returned.get(self.fault, [1, 2, 3])

    def position(self):
        return self.split

    def close(self):
        if self.fault == "close":
            raise ValueError("of the user")


def letters(fault):
    return environment(2).from_source(Letters(fault), NONE, "letters")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("create_enumerator", "operator 'letters': Letters.create_enumerator raised ValueError: of the user"),
        ("no enumerator", "operator 'letters': Letters.create_enumerator returned NoneType"),
        ("next_split", "operator 'letters': ValueError: of the user"),
        ("no split", "the enumerator of Letters gave 1 .int., expected a SourceSplit"),
        ("create_reader", "operator 'letters': ValueError: of the user\nTraceback"),
        ("no reader", "Letters.create_reader returned NoneType, expected a SourceReader"),
        ("read", "operator 'letters': ValueError: of the user\nTraceback"),
        ("exit", "operator 'letters': SystemExit: 1"),
        ("int", "the reader of Letters returned int; read.. returns"),
        ("tuple", "the reader of Letters returned tuple"),
        ("generator", "the reader of Letters returned generator"),
        ("columns", "Letters: no column 'n'; expected n, the data has z"),
        ("types", "Letters: column 'n' is string and cannot become int64"),
        ("values", "Letters: record 1 of the batch has 'x'"),
        ("nulls", "Letters: record 1 of the batch has None"),
        ("close", "operator 'letters': ValueError: of the user"),
    ],
)
def test_a_source_at_fault_fails_the_job(fault, message):
    with pytest.raises(FlinkcoreError, match=message):
        collected(letters(fault))


def test_what_a_reader_may_do():
    assert collected(letters("fine")) == [1, 2, 3]
    assert collected(letters("narrow")) == [1]
    assert len(collected(letters("many"))) % 3 == 0


def test_a_source_that_never_ends_is_cancelled():
    stream = letters("never")
    stream.print()
    client = stream.get_execution_environment().execute_async()
    client.cancel().result()
    assert client.get_job_status().result().name == "CANCELED"


class Outlet(Sink):
    """A sink that misbehaves in one way."""

    def __init__(self, fault):
        self.fault = fault

    def create_writer(self, context):
        if self.fault == "create_writer":
            raise ValueError("of the user")
        return None if self.fault == "no writer" else OutletWriter(self.fault)

    def create_committer(self):
        if self.fault == "create_committer":
            raise ValueError("of the user")
        return OutletCommitter(self.fault)


class OutletWriter(SinkWriter):
    def __init__(self, fault):
        self.fault = fault

    def _fail(self, here):
        if here == self.fault:
            raise ValueError("of the user")

    def write(self, value, context):
        if value == 2:
            self._fail("write")

    def write_watermark(self, watermark_ms):
        self._fail("write_watermark")

    def flush(self, end_of_input):
        self._fail("flush")

    def prepare_commit(self):
        self._fail("prepare_commit")
        return [1]

    def close(self):
        self._fail("close")


class OutletCommitter(Committer):
    def __init__(self, fault):
        self.fault = fault

    def commit(self, committables):
        if self.fault == "commit":
            raise ValueError("of the user")

    def close(self):
        if self.fault == "close committer":
            raise ValueError("of the user")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("create_writer", "operator 'Sink': ValueError: of the user\nTraceback"),
        ("no writer", "Outlet.create_writer returned NoneType, expected a SinkWriter"),
        ("create_committer", "operator 'Sink': ValueError: of the user"),
        ("write", "OutletWriter.write raised ValueError: of the user\n  at record 1 of its batch: 2"),
        ("write_watermark", "operator 'Sink': ValueError: of the user"),
        ("flush", "operator 'Sink': ValueError: of the user"),
        ("prepare_commit", "operator 'Sink': ValueError: of the user"),
        ("commit", "operator 'Sink': ValueError: of the user"),
        ("close", "operator 'Sink': ValueError: of the user"),
        ("close committer", "operator 'Sink': ValueError: of the user"),
    ],
)
def test_a_sink_at_fault_fails_the_job(fault, message):
    stream = objects()
    stream.sink_to(Outlet(fault))
    with pytest.raises(JobExecutionError, match=message):
        stream.get_execution_environment().execute()


def test_a_print_that_nobody_takes_fails_the_job(monkeypatch):
    class Closed:
        def write(self, text):
            raise BrokenPipeError("nobody reads")

        def flush(self):
            pass

    stream = objects()
    stream.print()
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(JobExecutionError, match="nobody reads"):
        stream.get_execution_environment().execute()


@pytest.mark.parametrize("path", ["file", "file/below", "/proc/none"])
def test_a_folder_that_cannot_be_written_fails_the_job(tmp_path, path):
    (tmp_path / "file").write_text("in the way")
    stream = numbers()
    stream.sink_to(FileSink(str(tmp_path / path), CsvWriter()))
    with pytest.raises(
        JobExecutionError, match=r"operator 'Sink': cannot write to '.*give a folder that this process"
    ):
        stream.get_execution_environment().execute()


AB = pa.schema({"a": pa.int64(), "b": pa.string()})


@pytest.mark.parametrize(
    ("name", "content", "format", "good", "bad"),
    [
        (
            "ragged.csv",
            b"a,b\n1,x\n2\n3,z,4\n5,w\n",
            Csv(header=True),
            2,
            ["line 3: expected 2 values, got 1", "line 4"],
        ),
        (
            "types.csv",
            b"a,b\n1,x\nfoo,y\n",
            Csv(header=True),
            1,
            ["line 3: column 'a' expects int64, got 'foo'"],
        ),
        ("bytes.csv", b"a,b\n1,x\n\xff,\xfe\n", Csv(header=True), 1, ["line 3"]),
        ("broken.json", b'{"a":1,"b":"x"}\n{"a":\n', JsonLines(), 1, ["line 2: not JSON"]),
        (
            "types.json",
            b'{"a":"z"}\n[1]\n5\n{"a":1,"b":"x"}\n',
            JsonLines(),
            1,
            ["line 1: field 'a' expects int64, got a string", "line 2: expected a JSON object", "line 3"],
        ),
        ("large.json", b'{"a":99999999999999999999}\n', JsonLines(), 0, ["line 1"]),
        ("deep.json", b'{"a":' + b"[" * 100_000 + b'\n{"a":1}\n', JsonLines(), 1, ["line 1"]),
    ],
)
def test_a_line_at_fault_fails_is_dropped_or_goes_aside(tmp_path, name, content, format, good, bad):
    path = tmp_path / name
    path.write_bytes(content)

    def read(policy):
        return environment().from_source(FileSource(str(path), format, AB, bad_records=policy), NONE, "files")

    with pytest.raises(JobExecutionError, match=f"operator 'files': {path}, {bad[0]}"):
        collected(read("fail"))
    assert len(collected(read("drop"))) == good
    stream = read("bad")
    stream.map(str).filter(lambda text: False).print()
    stream.get_side_output("bad").map(lambda fault: fault.reason).print()
    reasons = printed(stream.get_execution_environment())
    assert len(reasons) == len(bad)
    for reason, expected in zip(reasons, bad):
        assert f"{name}, {expected}" in reason


@pytest.mark.parametrize(
    ("name", "content", "format", "message"),
    [
        ("a.parquet", b"PAR1 garbage PAR1", Parquet(), "is not a Parquet file"),
        ("a.gz", b"not gzip", None, "its name says gzip"),
        ("a.txt", b"fine\n\xff\xfe\n", None, "line 2: the line is not valid UTF-8"),
        ("header.csv", b"a,c\n1,x\n", Csv(header=True), "has no column 'b'; expected a, b, found a, c"),
    ],
)
def test_a_file_at_fault_fails_the_job_and_is_named(tmp_path, name, content, format, message):
    path = tmp_path / name
    path.write_bytes(content)
    env = environment()
    if format is None:
        stream = env.read_text_file(str(path))
    else:
        stream = env.from_source(FileSource(str(path), format, AB), NONE, "files")
    with pytest.raises(JobExecutionError, match=f"{name}.*{message}|{message}"):
        collected(stream)


@pytest.mark.parametrize("path", ["missing.csv", "no*match.csv", "empty"])
def test_files_that_are_not_there_fail_the_job_before_it_starts(tmp_path, path):
    (tmp_path / "empty").mkdir()
    source = FileSource(str(tmp_path / path), Csv(), AB)
    with pytest.raises(ConnectorError, match=path.replace("*", r"\*")):
        collected(environment().from_source(source, NONE, "files"))


def test_empty_files_are_no_records(tmp_path):
    for name, format in (("e.csv", Csv(header=True)), ("e.json", JsonLines()), ("e.parquet", Parquet())):
        (tmp_path / name).write_bytes(b"")
        assert (
            collected(environment().from_source(FileSource(str(tmp_path / name), format, AB), NONE, "e"))
            == []
        )
    (tmp_path / "e.txt").write_bytes(b"")
    assert collected(environment().read_text_file(str(tmp_path / "e.txt"))) == []
