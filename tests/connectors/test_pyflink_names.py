# SPDX-License-Identifier: Apache-2.0
"""FileSource, FileSink and their formats as PyFlink programs write them, through whole jobs."""

from __future__ import annotations

import datetime
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flinkcore.common import Duration, Row, Types, WatermarkStrategy
from flinkcore.common.serialization import Encoder
from flinkcore.connectors.base import Boundedness
from flinkcore.connectors.files.json import JsonLines
from flinkcore.connectors.files.writers import JsonWriter
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.connectors import DeliveryGuarantee, Sink, Source
from flinkcore.datastream.connectors.file_system import (
    BucketAssigner,
    FileEnumeratorProvider,
    FileSink,
    FileSource,
    FileSplitAssignerProvider,
    OutputFileConfig,
    RollingPolicy,
    StreamFormat,
)
from flinkcore.datastream.connectors.number_seq import NumberSequenceSource
from flinkcore.datastream.formats.csv import CsvBulkWriters, CsvReaderFormat, CsvSchema
from flinkcore.datastream.formats.parquet import ParquetBulkWriters, ParquetColumnarRowInputFormat
from flinkcore.errors import ConfigurationError, UnsupportedOperationError
from flinkcore.table.types import DataTypes


@pytest.fixture
def env():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    return env


def read(env, source):
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "files")
    with stream.execute_and_collect() as rows:
        return list(rows)


def csv(env, tmp_path, schema, text):
    """Rows of the text, and the text that they become when written again."""
    (tmp_path / "in.csv").write_text(text)
    source = FileSource.for_record_stream_format(
        CsvReaderFormat.for_schema(schema), str(tmp_path / "in.csv")
    ).build()
    rows = read(env, source)
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "csv-source")
    stream.sink_to(FileSink.for_bulk_format(str(tmp_path / "out"), CsvBulkWriters.for_schema(schema)).build())
    env.execute()
    (written,) = (tmp_path / "out").glob("*/*")
    return rows, written.read_text()


# The cases of upstream's test_csv.py: columns, text, the first row, and what CsvBulkWriters makes of it.
UPSTREAM = {
    "primitive": (
        CsvSchema.builder()
        .add_number_column("tinyint", DataTypes.TINYINT())
        .add_number_column("smallint", DataTypes.SMALLINT())
        .add_number_column("int", DataTypes.INT())
        .add_number_column("bigint", DataTypes.BIGINT())
        .add_number_column("float", DataTypes.FLOAT())
        .add_number_column("double", DataTypes.DOUBLE())
        .add_number_column("decimal", DataTypes.DECIMAL(2, 0))
        .add_boolean_column("boolean")
        .add_string_column("string"),
        "127,-32767,2147483647,-9223372036854775808,3e38,2e-308,1.5,true,string\n",
        {
            "tinyint": 127,
            "smallint": -32767,
            "int": 2147483647,
            "bigint": -(2**63),
            "double": 2e-308,
            "decimal": 2,
            "boolean": True,
            "string": "string",
        },
        "127,-32767,2147483647,-9223372036854775808,3.0E38,2.0E-308,2,true,string\n",
    ),
    "array": (
        CsvSchema.builder()
        .add_array_column("numbers", separator=";", element_type=DataTypes.INT())
        .add_array_column("booleans", separator=":", element_type=DataTypes.BOOLEAN())
        .add_array_column("strings", separator=",", element_type=DataTypes.STRING())
        .set_column_separator("|")
        .disable_quote_char(),
        "1;2;3|true:false|a,b,c\n",
        {"numbers": [1, 2, 3], "booleans": [True, False], "strings": ["a", "b", "c"]},
        "1;2;3|true:false|a,b,c\n",
    ),
    "comments": (
        CsvSchema.builder().add_string_column("string").set_allow_comments(),
        "a\n# this is comment\nb\n",
        {"string": "a"},
        "a\nb\n",
    ),
    "header": (
        CsvSchema.builder().add_string_column("string").add_number_column("number").set_use_header(),
        "h1,h2\nstring,123\n",
        {"string": "string", "number": 123},
        "string,number\nstring,123\n",
    ),
    "strict header": (
        CsvSchema.builder()
        .add_string_column("string")
        .add_number_column("number")
        .set_use_header()
        .set_strict_headers(),
        "string,number\nstring,123\n",
        {"string": "string", "number": 123},
        "string,number\nstring,123\n",
    ),
    "null value": (
        CsvSchema.builder().add_string_column("string").add_number_column("number").set_null_value(""),
        ",123\n",
        {"string": None, "number": 123},
        ",123\n",
    ),
    "default quote": (
        CsvSchema.builder()
        .add_string_column("string")
        .add_string_column("string2")
        .set_column_separator("|"),
        '"string"|"string2"\n',
        {"string": "string"},
        '"string"|"string2"\n',
    ),
    "other quote": (
        CsvSchema.builder()
        .add_string_column("string")
        .add_string_column("string2")
        .set_column_separator("|")
        .set_quote_char("`"),
        "`string`|`string2`\n",
        {"string": "string"},
        "`string`|`string2`\n",
    ),
    "escape": (
        CsvSchema.builder()
        .add_string_column("string")
        .add_string_column("string2")
        .set_column_separator(",")
        .set_escape_char("\\"),
        'string\\,,\\"string2\\"\n',
        {"string": "string,", "string2": '"string2"'},
        '"string,","""string2"""\n',
    ),
}


@pytest.mark.parametrize("case", UPSTREAM)
def test_csv_as_upstream_tests_it(env, tmp_path, case):
    builder, text, expected, written = UPSTREAM[case]
    rows, again = csv(env, tmp_path, builder.build(), text)
    assert {name: rows[0][name] for name in expected} == expected
    assert again == written


def test_a_csv_schema_copies_columns_with_their_separators(env, tmp_path):
    original = CsvSchema.builder().add_array_column("a", ":").add_string_column("b").build()
    schema = CsvSchema.builder().add_boolean_column("ok").add_columns_from(original).build()
    assert (len(schema), schema.size()) == (3, 3)
    assert schema.get_type_info() == Types.ROW_NAMED(
        ["ok", "a", "b"], [Types.BOOLEAN(), Types.LIST(Types.STRING()), Types.STRING()]
    )
    rows, _ = csv(env, tmp_path, schema, "true,x:y,z\n")
    assert rows == [Row(ok=True, a=["x", "y"], b="z")]


def test_quoted_line_breaks_are_part_of_a_value_as_in_flink(env, tmp_path):
    schema = CsvSchema.builder().add_string_column("a").set_skip_first_data_row().build()
    rows, _ = csv(env, tmp_path, schema, 'skipped\n"two\nlines"\n')
    assert rows == [Row(a="two\nlines")]


def test_lines_of_text_to_files_of_text(env, tmp_path):
    (tmp_path / "in.txt").write_text("ab\nbdc\ncfgs\n")
    source = (
        FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path / "in.txt"))
        .set_file_enumerator(FileEnumeratorProvider.default_splittable_file_enumerator())
        .set_split_assigner(FileSplitAssignerProvider.locality_aware_split_assigner())
        .process_static_file_set()
        .build()
    )
    sink = (
        FileSink.for_row_format(str(tmp_path / "out"), Encoder.simple_string_encoder())
        .with_bucket_check_interval(1000)
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .with_rolling_policy(
            RollingPolicy.default_rolling_policy(
                part_size=1024**3, rollover_interval=15 * 60 * 1000, inactivity_interval=5 * 60 * 1000
            )
        )
        .with_output_file_config(
            OutputFileConfig.builder().with_part_prefix("prefix").with_part_suffix("suffix").build()
        )
        .build()
    )
    env.from_source(source, WatermarkStrategy.no_watermarks(), "text").map(
        lambda line: line.upper(), output_type=Types.STRING()
    ).sink_to(sink)
    env.execute()
    (part,) = (tmp_path / "out").iterdir()
    assert re.fullmatch("prefix-[0-9a-f]{32}-0-0suffix", part.name)
    assert part.read_text() == "AB\nBDC\nCFGS\n"


def test_parquet_by_row_type(env, tmp_path):
    row_type = DataTypes.ROW(
        [DataTypes.FIELD("a", DataTypes.INT()), DataTypes.FIELD("b", DataTypes.STRING())]
    )
    stream = env.from_collection([(1, "x"), (2, None)], Types.ROW([Types.LONG(), Types.STRING()]))
    with pytest.raises(Exception, match=r"Parquet sink: no column 'a'; expected a, b, the data has f0, f1"):
        stream.sink_to(
            FileSink.for_bulk_format(str(tmp_path), ParquetBulkWriters.for_row_type(row_type)).build()
        )
        env.execute()
    stream = env.from_collection([Row(1, "x"), Row(2, None)])  # untyped: the row type says what they are
    stream.sink_to(
        FileSink.for_bulk_format(str(tmp_path / "out"), ParquetBulkWriters.for_row_type(row_type)).build()
    )
    env.execute()
    (part,) = (tmp_path / "out").glob("*/*")
    assert pq.read_schema(part).types == [pa.int32(), pa.string()]
    source = FileSource.for_bulk_file_format(
        ParquetColumnarRowInputFormat(row_type), str(tmp_path / "out")
    ).build()
    assert read(env, source) == [Row(a=1, b="x"), Row(a=2, b=None)]
    with pytest.raises(UnsupportedOperationError, match=r"Parquet columns are found by their exact names"):
        ParquetColumnarRowInputFormat(row_type, is_case_sensitive=False)


def test_files_go_to_a_folder_per_hour_by_default(env, tmp_path):
    env.from_collection(["a"], Types.STRING()).sink_to(
        FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).build()
    )
    env.execute()
    (folder,) = tmp_path.iterdir()
    datetime.datetime.strptime(folder.name, "%Y-%m-%d--%H")


def test_bulk_formats_roll_at_checkpoints_only(tmp_path):
    row_type = DataTypes.ROW([DataTypes.FIELD("a", DataTypes.INT())])
    builder = FileSink.for_bulk_format(str(tmp_path), ParquetBulkWriters.for_row_type(row_type))
    with pytest.raises(
        ConfigurationError, match=r"a bulk format takes RollingPolicy.on_checkpoint_rolling_policy"
    ):
        builder.with_rolling_policy(RollingPolicy.default_rolling_policy())
    builder.with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy()).build()


def test_engine_formats_work_with_pyflink_s_builders(env, tmp_path):
    sink = (
        FileSink.for_row_format(str(tmp_path), JsonWriter())
        .with_compression("gzip")
        .with_bucket_assigner(BucketAssigner.column_bucket_assigner("k"))
        .build()
    )
    env.from_collection(
        [("x", 1), ("y", 2)], Types.ROW_NAMED(["k", "n"], [Types.STRING(), Types.INT()])
    ).sink_to(sink)
    env.execute()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k=x", "k=y"]
    source = (
        FileSource.for_record_stream_format(JsonLines(), str(tmp_path))
        .set_schema(pa.schema({"n": pa.int64()}))
        .set_bad_records("drop")
        .build()
    )
    assert read(env, source) == [Row(n=1), Row(n=2)]


def test_a_monitored_source_is_unbounded(tmp_path):
    source = (
        FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path))
        .monitor_continuously(Duration.of_seconds(5))
        .build()
    )
    assert source.monitor_interval_ms == 5000 and source.boundedness is Boundedness.CONTINUOUS_UNBOUNDED


def test_number_sequence(env):
    assert read(env, NumberSequenceSource(1, 5)) == [1, 2, 3, 4, 5]


def test_base_names():
    assert issubclass(FileSource, Source) and issubclass(FileSink, Sink)
    assert [guarantee.name for guarantee in DeliveryGuarantee] == ["EXACTLY_ONCE", "AT_LEAST_ONCE", "NONE"]
