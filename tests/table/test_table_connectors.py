# SPDX-License-Identifier: Apache-2.0
"""Tables of descriptors: their names, their columns, and the connectors that read and write them."""

from __future__ import annotations

import datetime
import re

import pytest

from flinkcore.common import Types
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.errors import ConfigurationError, FlinkcoreError, SchemaError, UnsupportedOperationError
from flinkcore.table import (
    DataTypes,
    EnvironmentSettings,
    FormatDescriptor,
    Schema,
    StreamTableEnvironment,
    TableDescriptor,
    TableEnvironment,
)
from flinkcore.table.expressions import col, lit
from flinkcore.table.type_text import parse_type
from flinkcore.table.window import Tumble


@pytest.fixture
def t_env():
    t_env = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    t_env.get_config().set("parallelism.default", "1")
    return t_env


def schema(**columns):
    builder = Schema.new_builder()
    for name, type in columns.items():
        builder.column(name, type)
    return builder.build()


def descriptor(connector, columns=None, **options):
    builder = TableDescriptor.for_connector(connector)
    if columns is not None:
        builder.schema(columns)
    for key, value in options.items():
        builder.option(key, value)
    return builder.build()


def datagen(columns, rows=10, **options):
    more = {f"fields.{key.replace('__', '.')}": value for key, value in options.items()}
    return descriptor("datagen", columns, **{"number-of-rows": str(rows)}, **more)


# -- what a descriptor says ------------------------------------------------------------------------------------


def test_a_schema_shows_its_parts_as_flink_does():
    made = (
        Schema.new_builder()
        .from_row_data_type(DataTypes.ROW([DataTypes.FIELD("a", DataTypes.TINYINT())]))
        .from_fields(["d"], [DataTypes.STRING()])
        .column("id", DataTypes.INT().not_null())
        .column("payload", "ROW<name STRING, age INT>")
        .column_by_metadata("topic", DataTypes.STRING(), None, True)
        .column_by_expression("proctime", "PROCTIME()")
        .column_by_metadata("ts", DataTypes.TIMESTAMP(3), "timestamp")
        .watermark("ts", "ts - INTERVAL '5' SECOND")
        .primary_key("id")
        .build()
    )
    assert str(made) == (
        "(\n  `a` TINYINT,\n  `d` STRING,\n  `id` INT NOT NULL,\n  `payload` [ROW<name STRING, age INT>],\n"
        "  `topic` STRING METADATA VIRTUAL,\n  `proctime` AS [PROCTIME()],\n"
        "  `ts` TIMESTAMP(3) METADATA FROM 'timestamp',\n  WATERMARK FOR `ts` AS [ts - INTERVAL '5' SECOND],\n"
        "  CONSTRAINT `PK_id` PRIMARY KEY (`id`) NOT ENFORCED\n)"
    )
    assert Schema.new_builder().from_schema(made).build() == made


def test_a_descriptor_has_the_options_of_its_format_under_the_format_s_name():
    json = FormatDescriptor.for_format("json").option("ignore-parse-errors", True).build()
    made = (
        TableDescriptor.for_connector("filesystem")
        .schema(schema(f0=DataTypes.STRING()))
        .partitioned_by("f0")
        .format(json)
        .comment("Rows")
        .build()
    )
    assert str(made) == (
        "(\n  `f0` STRING\n)\nCOMMENT 'Rows'\nPARTITIONED BY (`f0`)\nWITH (\n  'connector' = 'filesystem',\n"
        "  'json.ignore-parse-errors' = 'true',\n  'format' = 'json'\n)"
    )
    assert made.get_partition_keys() == ["f0"] and made.get_comment() == "Rows"


@pytest.mark.parametrize(
    "text, type",
    [
        ("BIGINT NOT NULL", DataTypes.BIGINT().not_null()),
        ("decimal(10, 2)", DataTypes.DECIMAL(10, 2)),
        ("TIMESTAMP(3) WITH LOCAL TIME ZONE", DataTypes.TIMESTAMP_LTZ(3)),
        ("TIMESTAMP", DataTypes.TIMESTAMP(6)),
        ("VARCHAR(7)", DataTypes.VARCHAR(7)),
        ("MAP<STRING, ARRAY<INT NOT NULL>>", DataTypes.MAP(DataTypes.STRING(), DataTypes.ARRAY(DataTypes.INT(False)))),
        ("INT ARRAY", DataTypes.ARRAY(DataTypes.INT())),
        (
            "ROW<`a b` STRING, c DOUBLE PRECISION>",
            DataTypes.ROW([DataTypes.FIELD("a b", DataTypes.STRING()), DataTypes.FIELD("c", DataTypes.DOUBLE())]),
        ),
    ],
)
def test_types_can_be_given_as_sql_writes_them(text, type):
    assert parse_type(text) == type


@pytest.mark.parametrize(
    "text", ["", "BIGNT", "ROW<a>", "INT INT", "DECIMAL(1, 2, 3)", "ARRAY<INT", "ROW<, INT>", "INT;"]
)
def test_texts_that_are_no_types(text):
    with pytest.raises(SchemaError, match=r"no data type: .* expected, but .* found"):
        parse_type(text)


# -- names -----------------------------------------------------------------------------------------------------


def test_a_temporary_table_hides_another_of_its_name(t_env):
    t_env.create_table("t", datagen(schema(a="INT"), 1))
    t_env.create_temporary_table("`default_database`.t", datagen(schema(b="INT"), 1))
    assert t_env.from_path("default_catalog.default_database.t").get_schema().get_field_names() == ["b"]
    assert t_env.list_tables() == t_env.list_temporary_tables() == ["t"]
    assert t_env.drop_temporary_table("t") and not t_env.drop_temporary_table("t")
    assert t_env.from_path("t").get_schema().get_field_names() == ["a"]
    assert t_env.drop_table("t") and not t_env.drop_table("t")
    with pytest.raises(ConfigurationError, match="there is no table 't' to drop"):
        t_env.drop_table("t", False)


def test_a_view_is_a_name_of_a_table(t_env):
    t_env.create_temporary_view("v", t_env.from_elements([(1, "a")], ["n", "s"]))
    t_env.create_view("w", t_env.from_path("v").select(col("n")))
    assert t_env.list_views() == ["v", "w"] and t_env.list_temporary_views() == ["v"]
    assert t_env.from_path("w").to_arrow().to_pylist() == [{"n": 1}]
    with pytest.raises(UnsupportedOperationError, match="'v' is a view"):
        t_env.from_path("w").execute_insert("v")
    assert t_env.drop_temporary_view("v") and t_env.drop_view("w")


def test_a_name_means_one_table(t_env):
    t_env.create_temporary_table("T", datagen(schema(a="INT")))
    t_env.create_temporary_table("T", datagen(schema(b="INT")), ignore_if_exists=True)
    with pytest.raises(
        ConfigurationError, match=r"Temporary table '`default_catalog`.`default_database`.`T`' already exists"
    ):
        t_env.create_temporary_table("T", datagen(schema(b="INT")))
    with pytest.raises(ConfigurationError, match="there is no table or view 'U'; there are: T"):
        t_env.from_path("U")
    with pytest.raises(ConfigurationError, match="there is one catalog, default_catalog"):
        t_env.from_path("hive.db.T")


# -- datagen ---------------------------------------------------------------------------------------------------


def test_datagen_makes_values_of_every_type(t_env):
    types = {
        "flag": "BOOLEAN", "tiny": "TINYINT", "long": "BIGINT", "real": "FLOAT", "number": "DOUBLE",
        "price": "DECIMAL(6, 2)", "code": "CHAR(3)", "name": "VARCHAR(20)", "text": "STRING", "data": "BYTES",
        "day": "DATE", "clock": "TIME", "at": "TIMESTAMP(3)", "zoned": "TIMESTAMP_LTZ(3)",
        "list": "ARRAY<INT>", "map": "MAP<BIGINT, STRING>", "row": "ROW<a INT, b STRING>",
    }  # fmt: skip
    options = {
        "long__min": 5, "long__max": "9", "name__var-len": "true", "at__max-past": "1 h", "data__length": "4",
        "list__length": "2", "list__element__max": "0", "list__element__min": "-1", "map__value__length": "1",
        "row__a__min": "7", "row__a__max": "7",
    }  # fmt: skip
    before = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    rows = t_env.from_descriptor(datagen(schema(**types), 300, **options)).to_arrow().to_pylist()
    after = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    assert len(rows) == 300
    assert {row["flag"] for row in rows} == {True, False}
    assert {row["long"] for row in rows} == {5, 6, 7, 8, 9}
    assert min(row["tiny"] for row in rows) < 0 < max(row["tiny"] for row in rows)
    assert all(row["real"] >= 0 and row["number"] >= 0 for row in rows)  # from Java's MIN_VALUE on, as in Flink
    assert all(0 <= row["price"] < 10_000 for row in rows)
    assert all(re.fullmatch("[0-9a-f]{3}", row["code"]) and len(row["text"]) == 100 for row in rows)
    assert {len(row["name"]) for row in rows} == set(range(1, 20)) and {len(row["data"]) for row in rows} == {4}
    assert all(before - datetime.timedelta(hours=1, milliseconds=1) <= row["at"] <= after for row in rows)
    assert {row["day"] for row in rows} <= {before.date(), after.date()} and isinstance(rows[0]["clock"], datetime.time)
    assert all(row["zoned"].tzinfo is not None for row in rows)
    assert {value for row in rows for value in row["list"]} == {-1, 0} and {len(row["list"]) for row in rows} == {2}
    assert all(len(row["map"]) == 3 and len(row["map"][0][1]) == 1 for row in rows)
    assert all(row["row"]["a"] == 7 for row in rows)


def test_datagen_makes_nulls_at_a_rate_and_sequences_that_end_it(t_env):
    columns = schema(i="INT", s="STRING", n="BIGINT")
    options = {"fields.n.null-rate": "0.5"}
    for name in "is":
        options |= {f"fields.{name}.kind": "sequence", f"fields.{name}.start": "1", f"fields.{name}.end": "1000"}
    table = t_env.from_descriptor(descriptor("datagen", columns, **options)).to_arrow()
    assert table["i"].to_pylist() == list(range(1, 1001))
    assert table["s"].to_pylist() == [str(i) for i in range(1, 1001)]
    assert 400 < table["n"].null_count < 600


@pytest.mark.parametrize(
    "options, message",
    [
        ({"fields.a.kind": "randm"}, r"option 'fields.a.kind' takes .* got 'randm': expected one of random, sequence"),
        ({"fields.a.kind": "sequence"}, "option 'fields.a.start' is missing"),
        ({"fields.a.max": "many"}, "option 'fields.a.max' takes a value of type long, got 'many'"),
        ({"fields.a.max": "3000000000"}, "values from -2147483648 to 3000000000 are not all of type INT"),
        ({"fields.b.max": "1"}, r"has no option 'fields.b.max' for this table; it has .*fields.a.min.*rows-per-second"),
        ({"row-per-second": "1"}, "connector 'datagen' has no option 'row-per-second'"),
        ({"rows-per-second": "0"}, "the rate is a positive number"),
    ],
)
def test_options_of_datagen_that_make_no_sense(t_env, options, message):
    with pytest.raises(ConfigurationError, match=message):
        t_env.from_descriptor(descriptor("datagen", schema(a="INT"), **options))


def test_datagen_says_which_types_it_has_no_values_of(t_env):
    with pytest.raises(ConfigurationError, match=r"fields.a is BOOLEAN, of which there are no sequences"):
        t_env.from_descriptor(datagen(schema(a="BOOLEAN"), a__kind="sequence"))
    with pytest.raises(ConfigurationError, match=r"length 9 is more than a VARCHAR\(5\) can hold"):
        t_env.from_descriptor(datagen(schema(a="VARCHAR(5)"), a__length="9"))


# -- computed columns and event time ---------------------------------------------------------------------------


def test_computed_columns_stand_where_they_were_declared(t_env):
    columns = (
        Schema.new_builder()
        .column("i", "BIGINT")
        .column_by_expression("twice", col("i") * 2)
        .column("s", "STRING")
        .column_by_expression("now", "PROCTIME()")
        .build()
    )
    table = t_env.from_descriptor(datagen(columns, 3, i__kind="sequence", i__start=1, i__end=3))
    assert str(table.get_resolved_schema()).splitlines()[4] == "  `now` TIMESTAMP_LTZ(3) NOT NULL *PROCTIME*"
    assert table.select(col("i"), col("twice")).to_arrow().to_pylist() == [{"i": i, "twice": 2 * i} for i in (1, 2, 3)]


@pytest.mark.parametrize("watermark", ["ts - INTERVAL '2' SECONDS", "`ts`", col("ts"), col("ts") - lit(2).seconds])
def test_a_watermark_makes_event_time_of_a_column(t_env, tmp_path, watermark):
    (tmp_path / "a.csv").write_text("a,2024-01-01 00:00:00\nb,2024-01-01 00:00:04\na,2024-01-01 00:00:11\n")
    columns = Schema.new_builder().column("k", "STRING").column("ts", "TIMESTAMP(3)").watermark("ts", watermark).build()
    table = t_env.from_descriptor(descriptor("filesystem", columns, path=str(tmp_path), format="csv"))
    assert "`ts` TIMESTAMP(3) *ROWTIME*" in str(table.get_resolved_schema())
    window = Tumble.over(lit(10).seconds).on(col("ts")).alias("w")
    counted = table.window(window).group_by(col("w")).select(col("w").start.alias("start"), col("k").count.alias("n"))
    assert [(row["start"].second, row["n"]) for row in counted.to_arrow().to_pylist()] == [(0, 2), (10, 1)]


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda b: b.column_by_expression("c", "a + 1"), "column 'c': the expression \"a [+] 1\" is SQL's"),
        (lambda b: b.column_by_metadata("m", "INT"), "connectors here have no metadata, so column 'm' cannot"),
        (lambda b: b.watermark("a", "a"), "a watermark belongs to one column of type TIMESTAMP"),
        (lambda b: b.column("t", "TIMESTAMP(3)").watermark("t", "t + 1"), "the watermark of 't' is that column, or"),
        (lambda b: b.column("t", "NOTHING"), "no data type: the name of a type expected, but 'NOTHING' found"),
    ],
)
def test_columns_that_cannot_be_had(t_env, build, message):
    columns = build(Schema.new_builder().column("a", "INT")).build()
    with pytest.raises(FlinkcoreError, match=message):
        t_env.from_descriptor(datagen(columns))


# -- files, print and inserts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["csv", "json", "parquet", "orc"])
def test_what_was_written_to_files_can_be_read(t_env, tmp_path, format):
    columns = schema(n="BIGINT", s="STRING", d="DOUBLE")
    files = descriptor("filesystem", columns, path=str(tmp_path / "out"), format=format)
    t_env.create_temporary_table("files", files)
    rows = [{"n": 1, "s": "a,b", "d": 0.5}, {"n": 2, "s": None, "d": None}]
    # INT becomes BIGINT by itself
    types = [DataTypes.INT(), DataTypes.STRING(), DataTypes.DOUBLE()]
    row_type = DataTypes.ROW([DataTypes.FIELD(*field) for field in zip("xyz", types)])
    t_env.from_elements([tuple(row.values()) for row in rows], row_type).execute_insert("files").wait()
    read = t_env.from_path("files").to_arrow().to_pylist()
    if format == "csv":  # whose empty texts are texts
        rows[1]["s"] = ""
    assert read == rows


@pytest.mark.parametrize("format", ["csv", "json", "parquet", "orc"])
def test_bytes_and_numbers_that_are_none_are_read_as_they_were_written(t_env, tmp_path, format):
    types = {"f": "FLOAT", "d": "DOUBLE", "s": "STRING", "b": "BYTES", "a": "ARRAY<BYTES>"}
    row_type = DataTypes.ROW([DataTypes.FIELD(name, parse_type(type)) for name, type in types.items()])
    files = descriptor("filesystem", schema(**types), path=str(tmp_path / "out"), format=format)
    infinite = float("inf")
    rows = [(float("nan"), -infinite, "NaN", b"\x00\xff", [b"a", b""]), (infinite, 1.5, '"d":"NaN"', b"", [b"YQ=="])]
    t_env.from_elements(rows, row_type).execute_insert(files).wait()
    read = [tuple(row.values()) for row in t_env.from_descriptor(files).to_arrow().to_pylist()]
    assert repr(read) == repr(rows)


def test_options_of_formats(t_env, tmp_path):
    (tmp_path / "a.csv").write_text("# first\n1|x;y\nno|z\n2|NULL\n")
    format = (
        FormatDescriptor.for_format("csv")
        .option("field-delimiter", "|")
        .option("allow-comments", "true")
        .option("ignore-parse-errors", "true")
        .option("null-literal", "NULL")
        .build()
    )
    builder = TableDescriptor.for_connector("filesystem").schema(schema(n="INT", s="ARRAY<STRING>"))
    made = builder.option("path", str(tmp_path)).format(format).build()
    assert t_env.from_descriptor(made).to_arrow().to_pylist() == [{"n": 1, "s": ["x", "y"]}, {"n": 2, "s": None}]
    lines = descriptor("filesystem", schema(line="STRING"), path=str(tmp_path), format="raw")
    assert t_env.from_descriptor(lines).to_arrow()["line"].to_pylist() == ["# first", "1|x;y", "no|z", "2|NULL"]
    copied = descriptor("filesystem", None, path=str(tmp_path / "copy"), format="raw")
    t_env.from_descriptor(lines).execute_insert(copied).wait()
    assert "".join(part.read_text() for part in (tmp_path / "copy").iterdir()) == (tmp_path / "a.csv").read_text()


def test_print_shows_rows_as_java_does(t_env, capsys):
    table = t_env.from_elements([(1, 2.0, None, [True]), (2, 3.0, "x", [])], ["a", "b", "c", "d"])
    table.execute_insert(descriptor("print", **{"print-identifier": "out"})).wait()
    assert capsys.readouterr().out == "out> +I[1, 2.0, null, [true]]\nout> +I[2, 3.0, x, []]\n"


def test_print_shows_changes(t_env, capsys):
    table = t_env.from_elements(["a", "b", "a"], ["w"])
    counted = table.group_by(col("w")).select(col("w"), col("w").count.alias("n"))
    counted.execute_insert(descriptor("print")).wait()
    assert capsys.readouterr().out.splitlines() == ["+I[a, 1]", "+I[b, 1]", "-U[a, 1]", "+U[a, 2]"]


def test_a_statement_set_is_one_job(t_env, capsys):
    table = t_env.from_elements([1, 2], ["n"])
    statements = t_env.create_statement_set()
    for name in ("one", "two"):
        sink = descriptor("print", schema(n="BIGINT"), **{"print-identifier": name})
        t_env.create_temporary_table(name, sink)
        statements.add_insert(name, table)
    statements.add_insert(descriptor("blackhole"), table).add_insert(descriptor("blackhole"), table)
    result = statements.execute()
    assert result.get_table_schema().get_field_names() == [
        "default_catalog.default_database.one", "default_catalog.default_database.two",
        "default_catalog.default_database.Unnamed_1", "default_catalog.default_database.Unnamed_2",
    ]  # fmt: skip
    assert [tuple(row) for row in result.collect()] == [(-1, -1, -1, -1)]
    assert sorted(capsys.readouterr().out.splitlines()) == ["one> +I[1]", "one> +I[2]", "two> +I[1]", "two> +I[2]"]
    with pytest.raises(ConfigurationError, match="the statement set has no inserts"):
        statements.execute()


def test_a_statement_set_can_be_part_of_a_stream_program(capsys):
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    t_env = StreamTableEnvironment.create(env)
    t_env.create_temporary_view("numbers", env.from_collection([1, 2], Types.LONG()), col("n"))
    statements = t_env.create_statement_set()
    statements.add_insert(descriptor("print", **{"print-identifier": "table"}), t_env.from_path("numbers"))
    statements.attach_as_datastream()
    t_env.to_data_stream(t_env.from_path("numbers")).map(lambda row: row[0] * 10).print("stream")
    assert capsys.readouterr().out == ""
    env.execute()
    assert sorted(capsys.readouterr().out.splitlines()) == ["stream> 10", "stream> 20", "table> +I[1]", "table> +I[2]"]


def test_the_failure_of_an_insert_is_told_by_its_result(t_env):
    table = t_env.from_elements([(1, 0)], ["a", "b"]).select(col("a") / col("b"))
    result = table.execute_insert(descriptor("blackhole"))
    with pytest.raises(FlinkcoreError, match="zero"):
        list(result.collect())


@pytest.mark.parametrize(
    "target, message",
    [
        (descriptor("kafka"), "no connector 'kafka' for tables; there are blackhole, datagen, filesystem, print"),
        (descriptor("datagen"), "tables of connector 'datagen' cannot be written; those that can: blackhole, file"),
        (descriptor("print", schema(a="STRING")), "not match.*\nQuery schema: .n: BIGINT.\nSink schema:  .a: STRING"),
        (descriptor("print", schema(a="BIGINT", b="INT")), "do not match"),
        (descriptor("filesystem", path="/tmp/x", format="avro"), "expected one of csv, json, orc, parquet, raw"),
        (descriptor("filesystem", format="csv"), "option 'path' is missing"),
        (descriptor("print", **{"sink.parallelism": "0"}), "sink.parallelism must be positive"),
    ],
)
def test_targets_that_cannot_be_written(t_env, target, message):
    with pytest.raises(FlinkcoreError, match=message):
        t_env.from_elements([1], ["n"]).execute_insert(target)


def test_files_take_no_changes_and_are_not_overwritten(t_env, tmp_path):
    files = descriptor("filesystem", path=str(tmp_path), format="csv")
    table = t_env.from_elements([1], ["n"])
    with pytest.raises(SchemaError, match="doesn't support consuming update changes"):
        table.select(col("n").sum.alias("s")).execute_insert(files)
    with pytest.raises(UnsupportedOperationError, match="INSERT OVERWRITE"):
        table.execute_insert(files, overwrite=True)


def test_printed_tables_cannot_be_read(t_env):
    with pytest.raises(UnsupportedOperationError, match="cannot be read; those that can: datagen, filesystem"):
        t_env.from_descriptor(descriptor("print", schema(a="INT")))
    with pytest.raises(SchemaError, match="has no columns to be read"):
        t_env.from_descriptor(descriptor("datagen"))
