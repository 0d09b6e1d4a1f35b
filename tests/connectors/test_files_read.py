# SPDX-License-Identifier: Apache-2.0
"""Files are read whole and once, however they are cut, compressed, named or encoded."""

from __future__ import annotations

import datetime
import random
from decimal import Decimal

import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from flinkcore.columnar.row import Row
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.files.csv import Csv
from flinkcore.connectors.files.ipc import ArrowIpc
from flinkcore.connectors.files.json import JsonLines
from flinkcore.connectors.files.parquet import Parquet
from flinkcore.connectors.files.source import FileSource, text_source
from flinkcore.connectors.files.text import TextLines

SEED = random.Random(7)
LINES = ["".join(SEED.choices('abcdefgh é✓,"', k=SEED.choice([0, 1, 7, 40]))) for _ in range(600)] + [
    "",
    "",
    "last",
]
TABLE = pa.table(
    {
        "id": range(500),
        "name": [f'name {i % 7}, "{i}"' for i in range(500)],
        "price": [i / 8 for i in range(500)],
    }
)
ROWS = [Row(**row) for row in TABLE.to_pylist()]


def compressed(path, data, codec):
    with pa.OSFile(str(path), "wb") as file, pa.CompressedOutputStream(file, codec) as stream:
        stream.write(data)
    return path


@pytest.fixture
def written(tmp_path):
    """The same 500 rows in each format."""
    csv_lines = [
        '{},"{}",{}'.format(row["id"], row["name"].replace('"', '""'), row["price"])
        for row in TABLE.to_pylist()
    ]
    (tmp_path / "t.csv").write_text("id,name,price\n" + "\n".join(csv_lines))
    json_lines = [
        '{{"id": {id}, "name": "{name}", "price": {price}}}'.format(
            **row | {"name": row["name"].replace('"', '\\"')}
        )
        for row in TABLE.to_pylist()
    ]
    (tmp_path / "t.json").write_text("\n".join(json_lines) + "\n")
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=64)
    pyarrow.feather.write_feather(TABLE, tmp_path / "t.arrow", chunksize=64)
    with pa.ipc.new_stream(tmp_path / "t.arrows", TABLE.schema) as stream:
        stream.write_table(TABLE, max_chunksize=64)
    return tmp_path


FORMATS = [
    ("t.csv", Csv()),
    ("t.csv", Csv(quoted_newlines=True)),
    ("t.json", JsonLines()),
    ("t.parquet", Parquet()),
    ("t.arrow", ArrowIpc()),
    ("t.arrows", ArrowIpc()),
]
format_ids = ["csv", "csv with quoted newlines", "json", "parquet", "ipc file", "ipc stream"]


# -- the cut does not matter ----------------------------------------------------------------------------------


@pytest.mark.parametrize("split_bytes", [None, 1_000_000, 5000, 333, 64])
@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_lines_are_the_same_however_they_are_cut(reading, tmp_path, split_bytes, batch_rows):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(LINES))
    source = FileSource(path, TextLines(), split_bytes=split_bytes)
    assert reading.rows(source, parallelism=3, batch_rows=batch_rows) == LINES


def test_every_byte_may_be_a_border(reading, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"ab\n\ncde\r\nf\n")
    for split_bytes in range(1, 14):
        assert reading.rows(FileSource(path, TextLines(), split_bytes=split_bytes), 2) == [
            "ab",
            "",
            "cde",
            "f",
        ]


@pytest.mark.parametrize("file, format", FORMATS, ids=format_ids)
@pytest.mark.parametrize("splits", [1, 2, 7])
@pytest.mark.parametrize("batch_rows", [1, 13, 1000])
def test_rows_are_the_same_in_any_number_of_splits(reading, written, file, format, splits, batch_rows):
    size = (written / file).stat().st_size
    source = FileSource(written / file, format, split_bytes=size // splits + 1)
    assert reading.rows(source, splits, batch_rows) == ROWS


@pytest.mark.parametrize("file, format", FORMATS, ids=format_ids)
def test_a_reader_continues_exactly_after_the_rows_it_returned(reading, written, file, format):
    source = FileSource(written / file, format, split_bytes=3000)
    assert reading.rows(source, 2, batch_rows=11, resume=True) == ROWS
    assert reading.rows(source, 2, batch_rows=100, resume=True) == ROWS


def test_a_position_before_the_first_row_is_the_split_itself(reading, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbffirst\nsecond\n")
    source = FileSource(path, TextLines())
    split = source.create_enumerator(1).next_split(0)
    reader = source.create_reader(split, reading.context())
    assert reader.position() == split
    assert source.create_reader(reader.position(), reading.context()).read(9, 0).column(0).to_pylist() == [
        "first",
        "second",
    ]


def test_a_large_input_is_cut_for_parallel_subtasks_and_a_small_one_is_not(written):
    source = FileSource(written / "t.csv", Csv())
    assert len(source.create_enumerator(4).splits) == 1
    with open(written / "big.txt", "w") as file:
        file.write("a line of text\n" * 300_000)
    assert len(text_source(written / "big.txt").create_enumerator(1).splits) == 1
    assert len(text_source(written / "big.txt").create_enumerator(4).splits) == 5


def test_a_long_line_crosses_blocks_and_splits(reading, tmp_path):
    lines = ["x" * 3_000_000, "y", "z" * 1_500_000]
    (tmp_path / "long.txt").write_text("\n".join(lines))
    assert reading.rows(FileSource(tmp_path / "long.txt", TextLines(), split_bytes=1_000_000), 2) == lines


# -- compression, encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "suffix, codec", [(".gz", "gzip"), (".zst", "zstd"), (".bz2", "bz2"), (".lz4", "lz4")]
)
def test_compressed_files_are_read_by_their_suffix(reading, tmp_path, suffix, codec):
    data = "\n".join(LINES).encode()
    source = text_source(compressed(tmp_path / f"a.txt{suffix}", data, codec))
    assert len(source.create_enumerator(8).splits) == 1
    assert reading.rows(source, batch_rows=50) == LINES
    assert reading.rows(source, batch_rows=50, resume=True) == LINES


def test_compressed_csv_and_ipc_streams(reading, written):
    for file, format in (("t.csv", Csv()), ("t.arrows", ArrowIpc())):
        path = compressed(written / f"{file}.zst", (written / file).read_bytes(), "zstd")
        assert reading.rows(FileSource(path, format), batch_rows=99, resume=True) == ROWS


@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "utf-16", "cp1252"])
def test_text_in_other_encodings(reading, tmp_path, charset):
    (tmp_path / "a.txt").write_text("naïve\ncafé\nend", encoding=charset)
    assert reading.rows(FileSource(tmp_path / "a.txt", TextLines(charset)), 2, batch_rows=1, resume=True) == [
        "naïve",
        "café",
        "end",
    ]


# -- empty things ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", [TextLines(), Csv(), JsonLines(), Parquet(), ArrowIpc()])
def test_an_empty_file_has_no_rows(reading, tmp_path, format):
    (tmp_path / "empty").touch()
    schema = Schema(["value"], [pa.string()], "value")
    assert reading.rows(FileSource(tmp_path / "empty", format, schema), 2) == []


def test_files_of_blank_lines_or_a_header_alone_have_no_rows(reading, tmp_path):
    schema = pa.schema({"a": pa.int64()})
    (tmp_path / "blank").write_text("\n\n\n")
    (tmp_path / "header").write_text("a\n")
    assert reading.rows(FileSource(tmp_path / "blank", Csv(header=False), schema)) == []
    assert reading.rows(FileSource(tmp_path / "blank", JsonLines(), schema)) == []
    assert reading.rows(FileSource(tmp_path / "header", Csv(), schema)) == []


def test_a_table_without_rows(reading, tmp_path):
    pq.write_table(TABLE.slice(0, 0), tmp_path / "none.parquet")
    pyarrow.feather.write_feather(TABLE.slice(0, 0), tmp_path / "none.arrow")
    assert reading.rows(FileSource(tmp_path / "none.parquet", Parquet())) == []
    assert reading.rows(FileSource(tmp_path / "none.arrow", ArrowIpc())) == []


# -- CSV ------------------------------------------------------------------------------------------------------


def csv_rows(reading, tmp_path, text, schema=None, **options):
    (tmp_path / "x.csv").write_text(text)
    return reading.rows(FileSource(tmp_path / "x.csv", Csv(**options), schema and pa.schema(schema)))


def test_csv_types_are_inferred_from_the_first_block(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,c,d,e\n1,1.5,x,2024-05-01 10:00:00,\n2,2,y,2024-05-02 11:00:00,\n")
    assert FileSource(tmp_path / "x.csv", Csv()).schema == Schema(
        list("abcde"), [pa.int64(), pa.float64(), pa.string(), pa.timestamp("s"), pa.string()]
    )


def test_csv_columns_are_found_by_the_header_whatever_their_order(reading, tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,x\n")
    (tmp_path / "2.csv").write_text("b,more,a\ny,0,2\n")
    source = FileSource(tmp_path, Csv(), pa.schema({"a": pa.int32(), "b": pa.string()}))
    assert reading.rows(source) == [Row(a=1, b="x"), Row(a=2, b="y")]


def test_csv_without_a_header_goes_by_position(reading, tmp_path):
    assert csv_rows(reading, tmp_path, "1;x\n2;y\n", header=False, delimiter=";") == [
        Row(f0=1, f1="x"),
        Row(f0=2, f1="y"),
    ]
    assert csv_rows(reading, tmp_path, "1,x\n", {"n": pa.int64(), "s": pa.string()}, header=False) == [
        Row(n=1, s="x")
    ]


def test_csv_quotes_escapes_and_line_ends(reading, tmp_path):
    assert csv_rows(reading, tmp_path, 'a,b\r\n"x, y","say ""hi"""\r\n') == [Row(a="x, y", b='say "hi"')]
    assert csv_rows(reading, tmp_path, "a|b\n'x|y'|z\n", delimiter="|", quote="'") == [Row(a="x|y", b="z")]
    assert csv_rows(reading, tmp_path, 'a,b\nx\\,y,\\"z\\"\n', escape="\\") == [Row(a="x,y", b='"z"')]
    assert csv_rows(reading, tmp_path, 'a,b\n"x,"y"\n', quote=None) == [Row(a='"x', b='"y"')]


def test_csv_quoted_values_may_hold_line_breaks_when_told(reading, tmp_path):
    text = 'a,b\n1,"two\nlines"\n2,"with ""quotes""\n\nand a blank line"\n3,plain\n'
    rows = [Row(a=1, b="two\nlines"), Row(a=2, b='with "quotes"\n\nand a blank line'), Row(a=3, b="plain")]
    assert csv_rows(reading, tmp_path, text, quoted_newlines=True) == rows
    source = FileSource(tmp_path / "x.csv", Csv(quoted_newlines=True), split_bytes=5)
    assert reading.rows(source, 3, batch_rows=1, resume=True) == rows


def test_csv_nulls(reading, tmp_path):
    types = {"n": pa.int64(), "s": pa.string()}
    assert csv_rows(reading, tmp_path, "n,s\n,\n1,NULL\n", types) == [Row(n=None, s=""), Row(n=1, s="NULL")]
    assert csv_rows(reading, tmp_path, 'n,s\nNULL,NULL\n1,"NULL"\n', types, null_values=["NULL"]) == [
        Row(n=None, s=None),
        Row(n=1, s="NULL"),
    ]


def test_csv_comments_and_skipped_rows(reading, tmp_path):
    text = "written by a tool\n# columns\na,b\nunits,none\n1,x\n# 2,y\n3,z\n"
    assert csv_rows(
        reading,
        tmp_path,
        text,
        {"a": pa.int64(), "b": pa.string()},
        skip_rows=1,
        skip_data_rows=1,
        comment="#",
    ) == [Row(a=1, b="x"), Row(a=3, b="z")]


def test_csv_types(reading, tmp_path):
    text = (
        "i,f,b,d,ts,t,dec,l\n"
        "-7,1e3,true,2024-02-29,2024-02-29T01:02:03.5,04:05:06,1.255,1;2;3\n"
        "0,,false,,,,-0.005,\n"
    )
    schema = {
        "i": pa.int8(),
        "f": pa.float32(),
        "b": pa.bool_(),
        "d": pa.date32(),
        "ts": pa.timestamp("ms"),
        "t": pa.time32("s"),
        "dec": pa.decimal128(5, 2),
        "l": pa.list_(pa.int64()),
    }
    assert csv_rows(reading, tmp_path, text, schema) == [
        Row(
            i=-7,
            f=1000.0,
            b=True,
            d=datetime.date(2024, 2, 29),
            ts=datetime.datetime(2024, 2, 29, 1, 2, 3, 500_000),
            t=datetime.time(4, 5, 6),
            dec=Decimal("1.26"),
            l=[1, 2, 3],
        ),
        Row(i=0, f=None, b=False, d=None, ts=None, t=None, dec=Decimal("-0.01"), l=[]),
    ]


# -- JSON -----------------------------------------------------------------------------------------------------


def test_json_missing_is_null_and_types_are_the_schema_s(reading, tmp_path):
    (tmp_path / "x.json").write_text(
        '{"i": 1, "f": 2, "d": "2024-02-29", "ts": "2024-02-29 01:02:03.5", "dec": 1.255, "t": "04:05:06"}\n\n'
        '{"more": [1], "s": {"x": 1, "y": ["a", null]}}\n'
    )
    schema = pa.schema(
        {
            "i": pa.int16(),
            "f": pa.float64(),
            "d": pa.date32(),
            "ts": pa.timestamp("ms"),
            "t": pa.time32("s"),
            "dec": pa.decimal128(5, 2),
            "s": pa.struct({"x": pa.int64(), "y": pa.list_(pa.string())}),
        }
    )
    assert reading.rows(FileSource(tmp_path / "x.json", JsonLines(), schema)) == [
        Row(
            i=1,
            f=2.0,
            d=datetime.date(2024, 2, 29),
            ts=datetime.datetime(2024, 2, 29, 1, 2, 3, 500_000),
            t=datetime.time(4, 5, 6),
            dec=Decimal("1.26"),
            s=None,
        ),
        Row(i=None, f=None, d=None, ts=None, t=None, dec=None, s=Row(x=1, y=["a", None])),
    ]


def test_json_fields_that_are_always_null_are_strings(tmp_path):
    (tmp_path / "x.json").write_text('{"a": null, "b": [], "c": 1}\n')
    assert FileSource(tmp_path / "x.json", JsonLines()).schema == Schema(
        ["a", "b", "c"], [pa.string(), pa.list_(pa.string()), pa.int64()]
    )


# -- columns of Parquet and Arrow files -----------------------------------------------------------------------


@pytest.mark.parametrize("file, format", [("t.parquet", Parquet()), ("t.arrow", ArrowIpc())])
def test_columns_are_chosen_reordered_and_widened(reading, written, file, format):
    source = FileSource(written / file, format, pa.schema({"price": pa.float64(), "id": pa.int32()}))
    assert reading.rows(source, 2) == [Row(price=row["price"], id=row["id"]) for row in TABLE.to_pylist()]


# -- which files ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for name in (
        "a.txt",
        "b.log",
        "sub/c.txt",
        "sub/deep/d.txt",
        ".hidden",
        "_SUCCESS",
        "sub/.e.txt.inprogress.1",
        "_temporary/f.txt",
        ".git/g.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("", ["a.txt", "b.log", "sub/c.txt", "sub/deep/d.txt"]),
        ("a.txt", ["a.txt"]),
        ("*.txt", ["a.txt"]),
        ("*/*.txt", ["sub/c.txt"]),
        ("**/*.txt", ["a.txt", "sub/c.txt", "sub/deep/d.txt"]),
        ("[ab].*", ["a.txt", "b.log"]),
        ("su?", ["sub/c.txt", "sub/deep/d.txt"]),
        (".hidd*", [".hidden"]),
        (".hidden", [".hidden"]),
    ],
)
def test_paths_folders_and_globs(reading, folder, pattern, expected):
    assert reading.rows(text_source(folder / pattern)) == expected
    if "?" not in pattern:  # which begins the query of a URI
        assert reading.rows(text_source(f"file://{folder}/{pattern}")) == expected


def test_a_file_named_twice_is_read_once(reading, folder):
    assert reading.rows(text_source([folder / "b.log", folder / "a.txt", str(folder / "*.txt")])) == [
        "b.log",
        "a.txt",
    ]


def test_folders_of_a_folder_can_be_left_out(reading, folder):
    assert reading.rows(FileSource(folder, TextLines(), recursive=False)) == ["a.txt", "b.log"]


def test_a_file_system_can_be_given(reading, folder):
    filesystem = pa.fs.SubTreeFileSystem(str(folder), pa.fs.LocalFileSystem())
    assert reading.rows(FileSource("sub", TextLines(), filesystem=filesystem)) == [
        "sub/c.txt",
        "sub/deep/d.txt",
    ]


def test_a_name_that_looks_like_a_glob_but_exists_is_a_name(reading, tmp_path):
    (tmp_path / "a[1].txt").write_text("brackets")
    (tmp_path / "a1.txt").write_text("no brackets")
    assert reading.rows(text_source(tmp_path / "a[1].txt")) == ["brackets"]


@pytest.mark.parametrize("split_bytes", range(1, 60, 3))
def test_what_comes_before_the_data_may_span_splits(reading, tmp_path, split_bytes):
    path = tmp_path / "a.csv"
    path.write_text("# a long line of comment\nx\nidentifier,name\nskipped,1\n1,a\n2,b\n3,c\n")
    source = FileSource(path, Csv(skip_rows=2, skip_data_rows=1), split_bytes=split_bytes)
    assert reading.rows(source, 2, resume=True) == [Row(identifier=i, name=name) for i, name in enumerate("abc", 1)]
