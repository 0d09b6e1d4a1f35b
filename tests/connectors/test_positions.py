# SPDX-License-Identifier: Apache-2.0
"""A reader's position, through a checkpoint and a new reader, loses no row and repeats none; for every source."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from flinkcore import options
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.connectors.arrow import ArrowSource
from flinkcore.connectors.base import (
    AssignedSplits,
    RangeSplit,
    Source,
    SourceReader,
    SourceSplit,
    SplitQueue,
)
from flinkcore.connectors.collection import CollectionSource
from flinkcore.connectors.datagen import DataGeneratorSource
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.ipc import ArrowIpc
from flinkcore.connectors.files.json import JsonLines
from flinkcore.connectors.files.parquet import Parquet
from flinkcore.connectors.files.source import FileSource
from flinkcore.connectors.files.text import TextLines
from flinkcore.connectors.generated_columns import RandomColumn, SequenceColumn
from flinkcore.connectors.nexmark import NexmarkSource
from flinkcore.connectors.sequence import NumberSequenceSource
from flinkcore.connectors.socket import SocketTextSource
from flinkcore.errors import ConfigurationError, ConnectorError, SchemaError

COUNT = 120
TABLE = pa.table(
    {
        "id": range(COUNT),
        "name": [f'nö {i % 7}, "{i}"' + "\nmore\n\n" * (i % 3) for i in range(COUNT)],
        "price": [i / 8 for i in range(COUNT)],
    }
)
CODECS = {"gz": "gzip", "zst": "zstd", "bz2": "bz2", "lz4": "lz4"}


@dataclass(frozen=True)
class WordSplit(SourceSplit):
    words: tuple[str, ...]


class Words(Source):
    """A user's source, whose position is what is left to read."""

    schema = Schema(["w"], [pa.string()], "value")

    def create_enumerator(self, parallelism):
        return SplitQueue(WordSplit(str(i), tuple("abcdefghijk"[i::3])) for i in range(3))

    def create_reader(self, split, context):
        return WordReader(split)


class WordReader(SourceReader):
    def __init__(self, split):
        self.split = split

    def read(self, max_rows, timeout_ms):
        if not self.split.words:
            return None
        words, left = self.split.words[:max_rows], self.split.words[max_rows:]
        self.split = replace(self.split, words=left)
        return list(words)

    def position(self):
        return self.split


def csv_text(newline="\n", quoted_newlines=True):
    def quoted(name):
        name = name if quoted_newlines else name.replace("\n", " ")
        return '"' + name.replace('"', '""') + '"'

    rows = (f"{row['id']},{quoted(row['name'])},{row['price']}" for row in TABLE.to_pylist())
    return newline.join(["# by us", "id,name,price", *rows])


def write(path, text, encoding="utf-8"):
    data = text.encode(encoding)
    codec = CODECS.get(path.suffix[1:])
    if codec is None:
        path.write_bytes(data)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.CompressedOutputStream(file, codec) as stream:
            stream.write(data)
    return path


def json_text():
    return "".join(json.dumps(row) + "\n\n" for row in TABLE.to_pylist())


def parquet(path):
    pq.write_table(TABLE, path, row_group_size=17)
    return path


def ipc_file(path):
    pyarrow.feather.write_feather(TABLE, path, chunksize=17)
    return path


def ipc_stream(path):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, TABLE.schema) as stream:
        stream.write_table(TABLE, max_chunksize=17)
    with pa.OSFile(str(path), "wb") as file:
        codec = CODECS.get(path.suffix[1:])
        if codec is None:
            file.write(sink.getvalue())
        else:
            with pa.CompressedOutputStream(file, codec) as out:
                out.write(sink.getvalue())
    return path


LINES = "\n".join("" if i % 5 == 0 else f"line é✓ {i}" for i in range(COUNT))
COLUMNS = {
    "i": SequenceColumn(),
    "r": RandomColumn(pa.float64()),
    "n": RandomColumn(pa.int64(), 0, 9, null_rate=0.3),
}

SOURCES = {
    "text": lambda p: FileSource(write(p / "a.txt", LINES), TextLines()),
    "text in splits": lambda p: FileSource(write(p / "a.txt", LINES), TextLines(), split_bytes=50),
    "text, last line empty": lambda p: FileSource(write(p / "a.txt", LINES + "\n\n"), TextLines()),
    "text, carriage returns": lambda p: FileSource(write(p / "a.txt", LINES.replace("\n", "\r\n")), TextLines()),
    "text, byte order mark": lambda p: FileSource(write(p / "a.txt", LINES, "utf-8-sig"), TextLines()),
    "text, latin-1": lambda p: FileSource(
        write(p / "a.txt", LINES.replace("✓", "v"), "latin-1"), TextLines(charset="latin-1")
    ),
    "text, utf-16 compressed": lambda p: FileSource(write(p / "a.gz", LINES, "utf-16"), TextLines(charset="utf-16")),
    "csv with quoted newlines": lambda p: FileSource(
        write(p / "a.csv", csv_text()), Csv(quoted_newlines=True, skip_rows=1)
    ),
    "csv in splits": lambda p: FileSource(
        write(p / "a.csv", csv_text(quoted_newlines=False)), Csv(comment="#"), split_bytes=333
    ),
    "csv, skipped rows, carriage returns": lambda p: FileSource(
        write(p / "a.csv", csv_text("\r\n")), Csv(quoted_newlines=True, skip_rows=1, skip_data_rows=2)
    ),
    "csv, some bad": lambda p: FileSource(
        write(p / "a.csv", csv_text(quoted_newlines=False).replace("7,", "seven,")),
        Csv(skip_rows=1),
        pa.schema({"id": pa.int64(), "name": pa.string(), "price": pa.float64()}),
        bad_records="drop",
    ),
    "json": lambda p: FileSource(write(p / "a.json", json_text()), JsonLines()),
    "json in splits": lambda p: FileSource(write(p / "a.json", json_text()), JsonLines(), split_bytes=100),
    "parquet": lambda p: FileSource(parquet(p / "a.parquet"), Parquet()),
    "parquet in splits": lambda p: FileSource(parquet(p / "a.parquet"), Parquet(), split_bytes=900),
    "ipc file": lambda p: FileSource(ipc_file(p / "a.arrow"), ArrowIpc()),
    "ipc file in splits": lambda p: FileSource(ipc_file(p / "a.arrow"), ArrowIpc(), split_bytes=900),
    "ipc stream": lambda p: FileSource(ipc_stream(p / "a.arrows"), ArrowIpc()),
    **{
        f"text.{end}": lambda p, end=end: FileSource(write(p / f"a.{end}", LINES), TextLines()) for end in CODECS
    },
    **{
        f"csv.{end}": lambda p, end=end: FileSource(
            write(p / f"a.csv.{end}", csv_text()), Csv(quoted_newlines=True, skip_rows=1)
        )
        for end in CODECS
    },
    **{f"json.{end}": lambda p, end=end: FileSource(write(p / f"a.{end}", json_text()), JsonLines()) for end in CODECS},
    **{f"ipc stream.{end}": lambda p, end=end: FileSource(ipc_stream(p / f"a.{end}"), ArrowIpc()) for end in CODECS},
    "many files": lambda p: FileSource([write(p / f"{i}.txt", LINES[i::3]) for i in range(3)], TextLines()),
    "collection of objects": lambda p: CollectionSource([1, "two", (3, None), None] * 9),
    "collection of rows": lambda p: CollectionSource(
        [(i, str(i)) for i in range(30)], Schema(["n", "s"], [pa.int32(), pa.string()])
    ),
    "arrow": lambda p: ArrowSource(pa.concat_tables([TABLE.slice(0, 50), TABLE.slice(50)])),
    "sequence": lambda p: NumberSequenceSource(-10, 50),
    "generated columns": lambda p: DataGeneratorSource(COLUMNS, count=50, seed=7),
    "generated values": lambda p: DataGeneratorSource(lambda i: (i, str(i)), count=50),
    "nexmark": lambda p: NexmarkSource("events", ["event_type", "bid_price"], event_count=300),
    "nexmark out of order": lambda p: NexmarkSource("bids", event_count=300, out_of_order_group=10),
    "a user's": lambda p: Words(),
}  # fmt: skip


def through_a_checkpoint(source, split):
    return source.decode_split(json.loads(json.dumps(source.encode_split(split))))


def rows_of(source, reading, rng, splits, batch_rows, batches_max):
    """What the splits hold, each read by many readers that read a few batches each."""
    found = []
    for split in splits:
        while split is not None:
            source.check_restored(split)
            reader = source.create_reader(split, reading.context(source.bad_records))
            for _ in range(rng.randint(0, batches_max)):
                rows = reader.read(rng.choice(batch_rows), 0)
                if rows is None:
                    split = None
                    break
                found.extend(to_rows(source.batch_of(rows)))
            else:
                split = through_a_checkpoint(source, reader.position())
            reader.close()
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_a_position_goes_on_exactly_behind_the_rows_returned(reading, tmp_path, name):
    source = SOURCES[name](tmp_path)
    rng = random.Random(name)
    for parallelism in (1, 3):
        splits = all_of(source.create_enumerator(parallelism), parallelism)
        whole = rows_of(source, reading, random.Random(0), splits, [10_000], 10**6)
        assert len(whole) > 10
        for batch_rows in ([1], [7], [1, 2, 30], [1000]):
            assert rows_of(source, reading, rng, splits, batch_rows, 4) == whole, batch_rows


def all_of(enumerator, parallelism):
    enumerator.poll(0)
    found = []
    while found[-parallelism:] != [None] * parallelism:
        found.append(enumerator.next_split(len(found) % parallelism))
    return [split for split in found if split is not None]


# -- enumerators ----------------------------------------------------------------------------------------------


def enumerator_through_a_checkpoint(source, enumerator, parallelism):
    stored = json.loads(json.dumps(source.encode_state(enumerator.snapshot())))
    return source.restore_enumerator(parallelism, source.decode_state(stored))


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("before, after", [(1, 1), (3, 2), (2, 5)])
def test_an_enumerator_goes_on_with_any_parallelism(tmp_path, name, before, after):
    source = SOURCES[name](tmp_path)
    whole = {split.split_id: split for split in all_of(source.create_enumerator(before), before)}
    for handed_out in range(len(whole) + 1):
        enumerator = source.create_enumerator(before)
        enumerator.poll(0)
        gone = [enumerator.next_split(i % before) for i in range(handed_out)]
        back = [split for i, split in enumerate(gone) if i % 2 and split is not None]
        enumerator = enumerator_through_a_checkpoint(source, enumerator, after)
        enumerator.add_back(back)
        enumerator = enumerator_through_a_checkpoint(source, enumerator, before)
        left = all_of(enumerator, before)
        expected = whole.keys() - {
            split.split_id for split in gone if split is not None and split not in back
        }
        assert {split.split_id for split in left} == expected and len(left) == len(expected)
        assert all(whole[split.split_id] == split for split in left)


def test_assigned_splits_keep_their_subtask_or_take_another_when_it_is_gone():
    splits = AssignedSplits([RangeSplit(name, 0, 1) for name in "abcdef"], 3)
    taken = splits.next_split(1)
    assert taken.split_id == "b"
    same = AssignedSplits(splits.snapshot(), 3)
    same.add_back([taken, RangeSplit("new", 0, 1)])
    assert [[split.split_id for split in iter(lambda i=i: same.next_split(i), None)] for i in range(3)] == [
        ["a", "d", "new"],
        ["e", "b"],
        ["c", "f"],
    ]
    fewer = AssignedSplits(splits.snapshot(), 2)
    fewer.add_back([taken])
    assert [[split.split_id for split in iter(lambda i=i: fewer.next_split(i), None)] for i in range(2)] == [
        ["a", "c", "d", "f"],
        ["e", "b"],
    ]


def test_a_monitored_folder_is_watched_on_and_no_file_is_read_twice(tmp_path):
    write(tmp_path / "a.txt", "a")
    write(tmp_path / "b.txt", "b")
    source = FileSource(tmp_path, TextLines(), monitor_interval_ms=10)
    enumerator = source.create_enumerator(2)
    enumerator.poll(0)
    taken = enumerator.next_split(0)
    write(tmp_path / "c.txt", "c")
    enumerator = enumerator_through_a_checkpoint(source, enumerator, 3)
    enumerator.add_back([taken])
    enumerator.poll(10)
    left = [os.path.basename(split.path) for split in iter(lambda: enumerator.next_split(0), None)]
    assert left == ["a.txt", "b.txt", "c.txt"]
    enumerator = enumerator_through_a_checkpoint(source, enumerator, 1)
    enumerator.poll(20)
    assert enumerator.next_split(0) is None and not enumerator.is_finished()


def test_a_source_that_is_now_monitored_cannot_know_what_was_read(tmp_path):
    write(tmp_path / "a.txt", "a")
    once, watched = (
        FileSource(tmp_path, TextLines()),
        FileSource(tmp_path, TextLines(), monitor_interval_ms=10),
    )
    for source, other, words in (
        (once, watched, "was read once .* is monitored"),
        (watched, once, "was monitored"),
    ):
        state = source.create_enumerator(1).snapshot()
        with pytest.raises(ConfigurationError, match=words):
            other.restore_enumerator(1, state)


# -- files that change between a checkpoint and a restore -----------------------------------------------------


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda path: path.write_text("a\nb\nc\nd\n"), "has 8 bytes, it had 6"),
        (lambda path: path.write_text("a\n"), "has 2 bytes, it had 6"),
        (lambda path: os.utime(path, ns=(1, 1)), "was written again"),
        (lambda path: path.unlink(), "is gone"),
        (lambda path: (path.unlink(), path.mkdir()), "is gone"),
    ],
)
@pytest.mark.parametrize("monitor_interval_ms", [None, 10])
def test_a_file_that_changed_is_not_read_on(reading, tmp_path, change, words, monitor_interval_ms):
    path = write(tmp_path / "a.txt", "a\nb\nc\n")
    source = FileSource(tmp_path, TextLines(), monitor_interval_ms=monitor_interval_ms)
    enumerator = source.create_enumerator(1)
    enumerator.poll(0)
    state = enumerator.snapshot()
    split = enumerator.next_split(0)
    reader = source.create_reader(split, reading.context())
    reader.read(1, 0)
    source.check_restored(reader.position())
    source.restore_enumerator(1, state)
    change(path)
    message = rf"a.txt' {words} since it was found, .* Put the file back as it was"
    with pytest.raises(ConnectorError, match=message):
        source.check_restored(reader.position())
    with pytest.raises(ConnectorError, match=message):
        source.restore_enumerator(1, state)


@pytest.mark.parametrize(
    "before, after, words",
    [
        (CollectionSource([1, 2, 3]), CollectionSource([1, 2]), "the collection had 3 values .* has 2 in this program"),
        (CollectionSource([1, 2]), CollectionSource([1, 2, 3]), "the collection had 2 values .* has 3 in this program"),
        (ArrowSource({"n": [1, 2]}), ArrowSource({"n": [1]}), "the table had at least 2 rows .* has 1 in this program"),
    ],
)
def test_a_program_with_other_data_does_not_go_on_reading(before, after, words):
    enumerator = before.create_enumerator(1)
    state = before.encode_state(enumerator.snapshot())
    before.restore_enumerator(1, before.decode_state(state))
    for check in (
        lambda: after.check_restored(enumerator.next_split(0)),
        lambda: after.restore_enumerator(1, after.decode_state(state)),
    ):
        with pytest.raises(ConnectorError, match=words):
            check()


# -- what cannot be read again --------------------------------------------------------------------------------


def numbers():
    yield from range(20)


def record_batches():
    return pa.RecordBatchReader.from_batches(
        pa.schema({"n": pa.int64()}), (pa.record_batch({"n": [i, i + 1]}) for i in range(0, 20, 2))
    )


ONCE = {
    "iterator": lambda: CollectionSource(numbers(), Schema(["n"], [pa.int64()], "value")),
    "arrow stream": lambda: ArrowSource(record_batches()),
}


def values_of(source, rows):
    return [row if isinstance(row, int) else row.n for row in to_rows(source.batch_of(rows))]


def test_every_source_that_cannot_go_back_says_why():
    for source in (ONCE["iterator"](), ONCE["arrow stream"](), SocketTextSource("localhost", 80)):
        assert len(source.not_replayable) > 20


@pytest.mark.parametrize("name", ONCE)
def test_a_stream_that_cannot_go_back_is_not_read_as_if_it_could(reading, name):
    source = ONCE[name]()
    start = source.create_enumerator(1).next_split(0)
    reader = source.create_reader(start, reading.context())
    assert values_of(source, reader.read(2, 0)) == [0, 1]
    position = reader.position()
    reader.read(3, 0)
    for context_of, split in ((source, position), (source, start), (ONCE[name](), position)):
        with pytest.raises(ConnectorError, match=r"cannot go back to row .* once"):
            context_of.create_reader(split, reading.context())


@pytest.mark.parametrize("name", ONCE)
def test_who_accepts_losses_goes_on_from_where_the_stream_is(reading, name):
    allowed = replace(reading.context(), config=Configuration().set(options.ALLOW_UNREPLAYABLE_SOURCES, True))
    source = ONCE[name]()
    reader = source.create_reader(source.create_enumerator(1).next_split(0), allowed)
    reader.read(2, 0)
    position = reader.position()
    reader.read(2, 0)  # lost with the failure
    reader = source.create_reader(position, allowed)
    assert values_of(source, reader.read(2, 0)) == [4, 5]
    position = through_a_checkpoint(source, reader.position())
    another = ONCE[name]()  # in a new process, the program makes the stream anew
    reader = another.create_reader(position, allowed)
    assert values_of(another, reader.read(2, 0)) == [6, 7]


def test_a_socket_goes_on_with_what_comes(reading):
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        for text in (b"a\nb\n", b"c\n"):
            connection, _ = server.accept()
            connection.sendall(text)
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    source = SocketTextSource("127.0.0.1", server.getsockname()[1])
    split = source.create_enumerator(1).next_split(0)
    found = []
    for _ in range(2):
        reader = source.create_reader(split, reading.context())
        while (rows := reader.read(10, 1000)) is not None:
            found.extend(rows)
        split = through_a_checkpoint(source, reader.position())
        reader.close()
    thread.join()
    server.close()
    assert found == ["a", "b", "c"] and split.start == 3


def test_a_position_that_is_no_split_is_refused():
    with pytest.raises(SchemaError, match=r"a reader of Words is at 7; position\(\) returns a SourceSplit"):
        Words().encode_split(7)
