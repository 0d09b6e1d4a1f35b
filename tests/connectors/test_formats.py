# SPDX-License-Identifier: Apache-2.0
"""ORC, Avro and Parquet records as files; CSV, JSON and Avro messages; and what does not fit any of them."""

from __future__ import annotations

import datetime
import json
import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from flinkcore.common import Configuration, Row, Types, WatermarkStrategy
from flinkcore.connectors.files.avro import AvroWriter
from flinkcore.connectors.files.orc import Orc, OrcWriter
from flinkcore.connectors.files.source import FileSource
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.connectors.file_system import BucketAssigner, FileSink
from flinkcore.datastream.connectors.file_system import FileSource as PyFlinkFileSource
from flinkcore.datastream.formats.avro import (
    AvroBulkWriters,
    AvroInputFormat,
    AvroRowDeserializationSchema,
    AvroRowSerializationSchema,
    AvroSchema,
    GenericRecordAvroTypeInfo,
)
from flinkcore.datastream.formats.csv import (
    CsvRowDeserializationSchema,
    CsvRowSerializationSchema,
    CsvSchema,
)
from flinkcore.datastream.formats.json import (
    JsonRowDeserializationSchema,
    JsonRowSerializationSchema,
    type_of_json_schema,
)
from flinkcore.datastream.formats.orc import OrcBulkWriters
from flinkcore.datastream.formats.parquet import AvroParquetReaders, AvroParquetWriters
from flinkcore.errors import (
    ConfigurationError,
    ConnectorError,
    DataError,
    FlinkcoreError,
    JobExecutionError,
    SchemaError,
    UnsupportedOperationError,
)
from flinkcore.table.types import DataTypes


@pytest.fixture
def env():
    return StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)


def bulk(folder, writers):
    builder = FileSink.for_bulk_format(str(folder), writers)
    return builder.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build()


def read(env, source):
    return list(env.from_source(source, WatermarkStrategy.no_watermarks(), "files").execute_and_collect())


# -- ORC -----------------------------------------------------------------------------------------------------

ORC_ROW = DataTypes.ROW([
    DataTypes.FIELD("n", DataTypes.BIGINT()),
    DataTypes.FIELD("s", DataTypes.STRING()),
    DataTypes.FIELD("a", DataTypes.ARRAY(DataTypes.INT())),
    DataTypes.FIELD("d", DataTypes.DECIMAL(10, 2)),
])  # fmt: skip
ORC_ROWS = [Row(n=1, s="one", a=[1, 2], d=Decimal("1.50")), Row(n=2, s=None, a=[], d=None)]


def test_rows_go_through_orc_files(env, tmp_path):
    types = [Types.LONG(), Types.STRING(), Types.LIST(Types.INT()), Types.BIG_DEC()]
    stream = env.from_collection(ORC_ROWS, Types.ROW_NAMED(["n", "s", "a", "d"], types))
    properties = Configuration()
    properties.set_string("orc.compress", "ZSTD")
    stream.sink_to(bulk(tmp_path, OrcBulkWriters.for_row_type(ORC_ROW, properties)))
    env.execute()
    (path,) = tmp_path.iterdir()
    assert orc.ORCFile(str(path)).compression == "ZSTD"
    assert read(env, FileSource(str(tmp_path), Orc())) == ORC_ROWS


@pytest.fixture
def striped(tmp_path):
    """A file of many stripes, the numbers below 50,000."""
    with orc.ORCWriter(str(tmp_path / "many.orc"), stripe_size=1, batch_size=1024) as writer:
        for start in range(0, 50_000, 10_000):
            writer.write(pa.table({"n": range(start, start + 10_000), "other": ["x"] * 10_000}))
    assert orc.ORCFile(str(tmp_path / "many.orc")).nstripes > 2
    return tmp_path


@pytest.mark.parametrize("batch_rows, resume", [(1000, False), (7919, False), (3000, True)])
def test_stripes_are_splits_and_any_row_a_position(reading, striped, batch_rows, resume):
    source = FileSource(str(striped), Orc(), pa.schema([("n", pa.int64())]), split_bytes=1000)
    assert len(source.create_enumerator(2).splits) > 2
    found = reading.rows(source, parallelism=2, batch_rows=batch_rows, resume=resume)
    assert sorted(row[0] for row in found) == list(range(50_000))


def test_an_empty_orc_file_keeps_its_columns(env, tmp_path):
    from flinkcore.columnar.schema import Schema

    schema = Schema.from_arrow(pa.schema([("n", pa.int64())]))
    with pa.OSFile(str(tmp_path / "empty.orc"), "wb") as stream:
        OrcWriter().open(stream, schema).finish()
    assert read(env, FileSource(str(tmp_path), Orc())) == []


def test_what_is_no_orc_file_or_has_not_the_column_is_named(env, tmp_path, striped):
    with pytest.raises(JobExecutionError, match="has no column 'm'"):
        read(env, FileSource(str(striped), Orc(), pa.schema([("m", pa.int64())])))
    (tmp_path / "damaged.orc").write_bytes(b"no such thing")
    with pytest.raises(ConnectorError, match=r"damaged.orc' is not an ORC file"):
        FileSource(str(tmp_path / "damaged.orc"), Orc())


def test_a_property_that_the_orc_writer_does_not_know_is_refused():
    with pytest.raises(ConfigurationError, match=r"'orc.bloom' is not known"):
        OrcWriter.of_properties({"orc.bloom": "1"})


# -- Avro ----------------------------------------------------------------------------------------------------

AVRO = AvroSchema.parse_string(json.dumps({
    "type": "record", "name": "order", "fields": [
        {"name": "id", "type": "long"},
        {"name": "suit", "type": {"type": "enum", "name": "Suit", "symbols": ["SPADES", "HEARTS"]}},
        {"name": "items", "type": {"type": "array", "items": {
            "type": "record", "name": "item", "fields": [{"name": "name", "type": "string"}]}}},
        {"name": "counts", "type": {"type": "map", "values": "long"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
    ]}))  # fmt: skip
RECORDS = [
    {"id": 1, "suit": "SPADES", "items": [{"name": "a"}, {"name": "b"}], "counts": {"x": 1}, "day": None},
    {"id": 2, "suit": "HEARTS", "items": [], "counts": {}, "day": datetime.date(2024, 5, 1)},
]


@pytest.mark.parametrize("writers", [AvroBulkWriters, AvroParquetWriters])
def test_records_go_through_files(env, tmp_path, writers):
    stream = env.from_collection(RECORDS).map(lambda record: record, GenericRecordAvroTypeInfo(AVRO))
    stream.sink_to(bulk(tmp_path, writers.for_generic_record(AVRO)))
    env.execute()
    if writers is AvroBulkWriters:
        source = AvroInputFormat(str(tmp_path), AVRO)
        assert source.get_produced_type() == GenericRecordAvroTypeInfo(AVRO)
    else:
        (path,) = tmp_path.iterdir()
        assert pq.read_schema(path).field("suit").type == pa.string()
        format = AvroParquetReaders.for_generic_record(AVRO)
        source = PyFlinkFileSource.for_record_stream_format(format, str(tmp_path)).build()
    assert read(env, source) == RECORDS


def test_rows_with_names_are_records_too(env, tmp_path):
    schema = AvroSchema.parse_string(
        '{"type":"record","name":"r","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","string"]}]}'
    )
    type_info = Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()])
    stream = env.from_collection([Row(a=1, b="x"), Row(a=2, b=None)], type_info)
    stream.sink_to(bulk(tmp_path, AvroBulkWriters.for_generic_record(schema)))
    env.execute()
    assert read(env, AvroInputFormat(str(tmp_path), schema)) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


@pytest.mark.parametrize("batch_rows", [1, 3, 1000])
def test_an_avro_file_is_read_on_from_any_record(reading, tmp_path, batch_rows):
    import fastavro

    schema = AvroSchema.parse_string('{"type":"record","name":"r","fields":[{"name":"n","type":"long"}]}')
    with open(tmp_path / "n.avro", "wb") as stream:
        fastavro.writer(stream, schema.schema, [{"n": n} for n in range(100)], sync_interval=20)
    found = reading.rows(AvroInputFormat(str(tmp_path), schema), batch_rows=batch_rows, resume=True)
    assert found == [{"n": n} for n in range(100)]


def test_a_union_of_several_types_is_no_column_but_goes_into_avro_files(env, tmp_path):
    schema = AvroSchema.parse_string(
        '{"type":"record","name":"r","fields":[{"name":"u","type":["int","double","null"]}]}'
    )
    records = [{"u": 1}, {"u": 2.5}, {"u": None}]
    env.from_collection(records).sink_to(bulk(tmp_path, AvroBulkWriters.for_generic_record(schema)))
    env.execute()
    assert read(env, AvroInputFormat(str(tmp_path), schema)) == records
    with pytest.raises(SchemaError, match="'u' is a union of 2 types"):
        AvroParquetWriters.for_generic_record(schema)


def test_avro_messages_are_rows():
    text = str(AVRO)
    message = AvroRowSerializationSchema(avro_schema_string=text).serialize(RECORDS[0])
    row = AvroRowDeserializationSchema(avro_schema_string=text).deserialize(message)
    assert row == Row(id=1, suit="SPADES", items=[Row(name="a"), Row(name="b")], counts={"x": 1}, day=None)
    assert AvroRowSerializationSchema(avro_schema_string=text).serialize(row) == message


def test_what_does_not_fit_an_avro_schema_is_named(env, tmp_path):
    env.from_collection([{"id": "text"}]).sink_to(bulk(tmp_path, AvroBulkWriters.for_generic_record(AVRO)))
    with pytest.raises(JobExecutionError, match="record 0 of a batch does not fit the Avro schema"):
        env.execute()
    with pytest.raises(DataError, match="is no record of the Avro schema"):
        AvroRowDeserializationSchema(avro_schema_string=str(AVRO)).deserialize(b"\x01")
    with pytest.raises(SchemaError, match="is no Avro schema"):
        AvroSchema.parse_string('{"type": "no such type"}')
    with pytest.raises(UnsupportedOperationError, match=r"'org.Order' is one of Java's"):
        AvroRowSerializationSchema("org.Order")
    with pytest.raises(TypeError, match="should be specified"):
        AvroRowDeserializationSchema()


def test_an_avro_schema_comes_from_a_file_and_goes_back_to_text(tmp_path):
    (tmp_path / "schema.avsc").write_text(str(AVRO))
    assert AvroSchema.parse_file(str(tmp_path / "schema.avsc")) == AVRO


def test_without_fastavro_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(ConnectorError, match=r"pip install 'flinkcore\[avro\]'"):
        AvroWriter("string")


# -- messages ------------------------------------------------------------------------------------------------


def csv_schemas(type_info, ignore=False):
    writer = CsvRowSerializationSchema.Builder(type_info)
    reader = CsvRowDeserializationSchema.Builder(type_info).set_ignore_parse_errors(ignore)
    for builder in (writer, reader):
        builder.set_escape_character("*").set_quote_character("'")
        builder.set_array_element_delimiter(":").set_field_delimiter(";")
    return writer.build(), reader.build()


# The cases of upstream's test_csv_row_serialization_schema.
@pytest.mark.parametrize("type_info, text, value", [
    (Types.STRING(), "'123''4**'", "123'4*"),
    (Types.STRING(), "'a;b''c'", "a;b'c"),
    (Types.INT(), "12", 12),
    (Types.ROW([Types.STRING(), Types.STRING()]), "'1:hello'", Row(f0="1", f1="hello")),
    (Types.ROW([Types.STRING(), Types.STRING()]), "'1:hello world'", Row(f0="1", f1="hello world")),
    (Types.STRING(), "null", "null"),
    (Types.LIST(Types.INT()), "'1:2:3'", [1, 2, 3]),
])  # fmt: skip
def test_csv_messages_as_upstream_tests_them(type_info, text, value):
    writer, reader = csv_schemas(Types.ROW([Types.STRING(), type_info, Types.STRING()]))
    message = f"BEGIN;{text};END\n".encode()
    assert writer.serialize(Row("BEGIN", value, "END")) == message
    assert reader.deserialize(message) == Row(f0="BEGIN", f1=value, f2="END")


def test_csv_messages_that_do_not_parse_fail_or_are_ignored():
    type_info = Types.ROW([Types.INT(), Types.ROW([Types.INT(), Types.INT()])])
    _, reader = csv_schemas(type_info)
    for bad in (b"one;1:2", b"1", b"1;1:2:3", b"1;x:2"):
        with pytest.raises((DataError, pa.ArrowInvalid)):
            reader.deserialize(bad)
    _, reader = csv_schemas(type_info, ignore=True)
    assert reader.deserialize(b"one;1:2") is None and reader.deserialize(b"1;1:2:3") is None
    found = reader.deserialize_batch([b"1;1:2", b"no", b"3;5", b"4;5:6"])
    assert found.to_arrow().column(0).to_pylist() == [1, 4]


def test_csv_messages_may_have_line_breaks_comments_and_a_text_for_null():
    type_info = Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.INT()])
    builder = CsvRowDeserializationSchema.Builder(type_info)
    reader = builder.set_allow_comments(True).set_null_literal("n/a").build()
    assert reader.deserialize(b'"two\nlines",1') == Row(a="two\nlines", b=1)
    assert reader.deserialize(b"n/a,n/a\r\n") == Row(a=None, b=None)
    assert reader.deserialize(b"# a comment") is None
    writer = CsvRowSerializationSchema.Builder(type_info).set_null_literal("n/a").set_line_delimiter("").build()
    assert writer.serialize(Row(a=None, b=7)) == b"n/a,7"


def test_a_csv_schema_refuses_what_the_reader_cannot():
    with pytest.raises(UnsupportedOperationError, match="more values than columns"):
        CsvSchema.builder().set_any_property_name("rest")
    with pytest.raises(TypeError, match="must not be None"):
        CsvRowSerializationSchema.Builder(None)
    with pytest.raises(SchemaError, match="CSV messages are rows"):
        CsvRowSerializationSchema.Builder(Types.INT()).build()


JSON_TYPE = Types.ROW_NAMED(
    ["id", "at", "inner", "tags", "data"],
    [
        Types.LONG(),
        Types.SQL_TIMESTAMP(),
        Types.ROW_NAMED(["x", "at"], [Types.DOUBLE(), Types.SQL_TIMESTAMP()]),
        Types.LIST(Types.STRING()),
        Types.PRIMITIVE_ARRAY(Types.BYTE()),
    ],
)
JSON_ROW = Row(
    id=1,
    at=datetime.datetime(2024, 5, 1, 12, 0, 0, 500_000),
    inner=Row(x=1.5, at=datetime.datetime(1969, 12, 31)),
    tags=["a", None, 'q"'],
    data=b"\x00\xff",
)
JSON_TEXT = (
    b'{"id":1,"at":"2024-05-01T12:00:00.5Z","inner":{"x":1.5,"at":"1969-12-31T00:00:00Z"},'
    b'"tags":["a",null,"q\\""],"data":"AP8="}'
)


def test_json_messages_go_both_ways():
    assert JsonRowSerializationSchema.builder().with_type_info(JSON_TYPE).build().serialize(JSON_ROW) == JSON_TEXT
    assert JsonRowDeserializationSchema.builder().type_info(JSON_TYPE).build().deserialize(JSON_TEXT) == JSON_ROW


def test_json_fields_that_are_missing_are_null_unless_that_is_a_fault():
    builder = JsonRowDeserializationSchema.builder().type_info(JSON_TYPE)
    assert builder.build().deserialize(b'{"id":\n 3, "more": 1}') == Row(
        id=3, at=None, inner=None, tags=None, data=None
    )
    strict = builder.fail_on_missing_field().build()
    with pytest.raises(DataError, match="Could not find field with name 'at'"):
        strict.deserialize(b'{"id": 3}')
    inner = JSON_TEXT.replace(b'"x":1.5,', b"")
    with pytest.raises(DataError, match="Could not find field with name 'x'"):
        strict.deserialize(inner)
    assert builder.ignore_parse_errors().build().deserialize(inner) is None


def test_json_that_does_not_parse_fails_or_is_ignored():
    builder = JsonRowDeserializationSchema.builder().type_info(JSON_TYPE)
    for bad in (b"[1]", b"{", b'{"id": "x"}', b'{"at": "yesterday"}', b"\xff"):
        with pytest.raises(DataError, match="does not parse"):
            builder.build().deserialize(bad)
    lenient = builder.ignore_parse_errors().build()
    assert lenient.deserialize(b"{") is None and lenient.deserialize(b"") is None
    found = lenient.deserialize_batch([b'{"id": 1}', b"{", b'{"id": 2}'])
    assert found.to_arrow().column(0).to_pylist() == [1, 2]


def test_a_json_schema_gives_the_type_that_flink_gives_it():
    found = type_of_json_schema(json.dumps({
        "type": "object",
        "definitions": {"place": {"type": "object", "properties": {"x": {"type": "number"}}}},
        "properties": {
            "n": {"type": "integer"},
            "s": {"type": ["string", "null"]},
            "d": {"type": "string", "format": "date"},
            "b": {"type": "string", "contentEncoding": "base64"},
            "a": {"type": "array", "items": {"type": "boolean"}},
            "p": {"$ref": "#/definitions/place"},
            "o": {"oneOf": [{"type": "null"}, {"type": "string"}]},
        },
    }))  # fmt: skip
    assert found == Types.ROW_NAMED(["n", "s", "d", "b", "a", "p", "o"], [
        Types.BIG_DEC(), Types.STRING(), Types.SQL_DATE(), Types.PRIMITIVE_ARRAY(Types.BYTE()),
        Types.OBJECT_ARRAY(Types.BOOLEAN()), Types.ROW_NAMED(["x"], [Types.BIG_DEC()]), Types.STRING(),
    ])  # fmt: skip


def test_numbers_of_a_json_schema_are_decimals():
    fields = {"a": {"type": "number"}, "l": {"type": "array", "items": {"type": "integer"}}}
    schema = json.dumps({"type": "object", "properties": fields})
    reader = JsonRowDeserializationSchema.builder().json_schema(schema).build()
    assert reader.deserialize(b'{"a": 1.25, "l": [7, 8]}') == Row(a=Decimal("1.25"), l=[7, 8])


def test_python_objects_have_no_form_in_json():
    with pytest.raises(SchemaError, match="has no form in JSON"):
        JsonRowSerializationSchema.builder().with_type_info(Types.ROW([Types.PICKLED_BYTE_ARRAY()])).build()


@pytest.mark.parametrize("schema, words", [
    ("{", "no JSON"),
    ('{"type": ["string", "number"]}', "one other type"),
    ('{"type": "object", "properties": {"a": {"anyOf": []}}}', r"<root>.a: 'anyOf'"),
    ('{"$ref": "#/nowhere"}', "cannot resolve"),
    ('{"type": "point"}', "unknown type 'point'"),
])  # fmt: skip
def test_a_json_schema_without_a_type_says_why(schema, words):
    with pytest.raises(SchemaError, match=words):
        type_of_json_schema(schema)
    with pytest.raises(FlinkcoreError):
        JsonRowDeserializationSchema.builder().json_schema(schema).build()
