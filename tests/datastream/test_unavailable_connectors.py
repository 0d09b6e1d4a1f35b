# SPDX-License-Identifier: Apache-2.0
"""Connectors that cannot run here: programs may import and configure them, and are told when they use them."""

from __future__ import annotations

import importlib
import inspect

import pytest

from flinkcore.common import Types, WatermarkStrategy
from flinkcore.common.serialization import SimpleStringSchema
from flinkcore.connectors.base import Sink, Source
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.connectors.cassandra import CassandraSink, ClusterBuilder
from flinkcore.datastream.connectors.dynamic_kafka import DynamicKafkaSource, KafkaRecordDeserializationSchema
from flinkcore.datastream.connectors.elasticsearch import Elasticsearch7SinkBuilder, ElasticsearchEmitter
from flinkcore.datastream.connectors.hybrid_source import HybridSource
from flinkcore.datastream.connectors.jdbc import JdbcConnectionOptions, JdbcExecutionOptions, JdbcSink
from flinkcore.datastream.connectors.kafka import (
    FlinkKafkaConsumer,
    FlinkKafkaProducer,
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
    KafkaTopicPartition,
)
from flinkcore.datastream.connectors.kinesis import (
    FlinkKinesisConsumer,
    KinesisFirehoseSink,
    KinesisStreamsSink,
)
from flinkcore.datastream.connectors.pulsar import PulsarSink, PulsarSource, StartCursor
from flinkcore.datastream.connectors.rabbitmq import RMQConnectionConfig, RMQSink, RMQSource
from flinkcore.errors import UnsupportedOperationError

MODULES = ["kafka", "dynamic_kafka", "pulsar", "rabbitmq", "kinesis", "elasticsearch", "cassandra", "jdbc"]


@pytest.fixture
def stream():
    return StreamExecutionEnvironment.get_execution_environment().from_collection(["a"], Types.STRING())


def rabbit():
    return RMQConnectionConfig.Builder().set_host("localhost").set_port(5672).set_automatic_recovery(True).build()


SOURCES = {
    "KafkaSource": lambda: (
        KafkaSource.builder()
        .set_bootstrap_servers("localhost:9092")
        .set_topics("a", "b")
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_value_only_deserializer(SimpleStringSchema())
        .build()
    ),
    "FlinkKafkaConsumer": lambda: FlinkKafkaConsumer("t", SimpleStringSchema(), {}).set_start_from_earliest(),
    "DynamicKafkaSource": lambda: DynamicKafkaSource.builder().set_stream_ids({"s"}).build(),
    "PulsarSource": lambda: PulsarSource.builder().set_start_cursor(StartCursor.latest()).build(),
    "RMQSource": lambda: RMQSource(rabbit(), "queue", True, SimpleStringSchema()),
    "FlinkKinesisConsumer": lambda: FlinkKinesisConsumer("s", SimpleStringSchema(), {}),
}
SINKS = {
    "KafkaSink": lambda: (
        KafkaSink.builder()
        .set_record_serializer(
            KafkaRecordSerializationSchema.builder()
            .set_topic("t")
            .set_value_serialization_schema(SimpleStringSchema())
            .build()
        )
        .build()
    ),
    "FlinkKafkaProducer": lambda: FlinkKafkaProducer("t", SimpleStringSchema(), {}),
    "PulsarSink": lambda: PulsarSink.builder().set_topics("t").build(),
    "RMQSink": lambda: RMQSink(rabbit(), "queue", SimpleStringSchema()),
    "KinesisStreamsSink": lambda: KinesisStreamsSink.builder().set_stream_name("s").build(),
    "KinesisFirehoseSink": lambda: KinesisFirehoseSink.builder().set_delivery_stream_name("s").build(),
    "ElasticsearchSink": lambda: (
        Elasticsearch7SinkBuilder().set_emitter(ElasticsearchEmitter.static_index("i")).set_hosts(["h"]).build()
    ),
    "JdbcSink": lambda: JdbcSink.sink(
        "insert into t values (?)",
        Types.ROW([Types.INT()]),
        JdbcConnectionOptions.JdbcConnectionOptionsBuilder().with_url("jdbc:x").build(),
        JdbcExecutionOptions.builder().with_batch_size(10).build(),
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_made_and_says_what_is_missing_when_it_meets_an_environment(name):
    source = SOURCES[name]()
    assert isinstance(source, Source) and type(source).__name__ == name
    env = StreamExecutionEnvironment.get_execution_environment()
    with pytest.raises(UnsupportedOperationError, match=f"{name} cannot run: .* no connector to .*docs/writing-connec"):
        env.from_source(source, WatermarkStrategy.no_watermarks(), "source")
    with pytest.raises(UnsupportedOperationError, match=f"{name} cannot run"):
        HybridSource.builder(source)


@pytest.mark.parametrize("name", SINKS)
def test_a_sink_is_made_and_says_what_is_missing_when_it_meets_a_stream(stream, name):
    sink = SINKS[name]()
    assert isinstance(sink, Sink) and type(sink).__name__ == name
    with pytest.raises(UnsupportedOperationError, match=f"{name} cannot run: .* no connector to .*docs/writing-connec"):
        stream.sink_to(sink)


def test_cassandra_says_so_when_it_is_attached(stream):
    builder = CassandraSink.add_sink(stream).set_query("insert").set_host("localhost").enable_ignore_null_fields()
    with pytest.raises(UnsupportedOperationError, match=r"CassandraSink cannot run: .* Apache Cassandra"):
        builder.build()


def test_what_a_program_said_can_be_read():
    source = KafkaSource.builder().set_topics("a", "b").set_property("k", "v").build()
    assert source.settings == {"set_topics": {"topics": ("a", "b")}, "set_property": {"key": "k", "value": "v"}}
    config = rabbit()
    assert (config.get_host(), config.get_port(), config.is_automatic_recovery()) == ("localhost", 5672, True)
    assert config.get_user_name() is None
    options = JdbcExecutionOptions.builder().with_batch_size(10).build()
    assert (options.get_batch_size(), options.get_max_retries()) == (10, 3)
    assert KafkaTopicPartition("t", 1) == KafkaTopicPartition("t", 1)
    assert len({KafkaTopicPartition("t", 1), KafkaTopicPartition("t", 1)}) == 1


def test_arguments_are_checked_against_the_signature():
    with pytest.raises(TypeError, match="missing a required argument: 'value'"):
        KafkaSource.builder().set_property("k")
    with pytest.raises(TypeError, match="abstract"):
        importlib.import_module("flinkcore.datastream.connectors.kafka").KafkaTopicSelector()
    assert inspect.signature(KafkaSource.builder().set_property).parameters.keys() == {"key", "value"}


def test_schemas_of_messages_work_by_themselves():
    assert KafkaRecordDeserializationSchema.value_only(SimpleStringSchema()).deserialize(b"a") == "a"
    schema = KafkaRecordSerializationSchema.builder().set_value_serialization_schema(SimpleStringSchema()).build()
    assert schema.serialize("a") == b"a"


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_a_documented_class(module):
    found = importlib.import_module(f"flinkcore.datastream.connectors.{module}")
    for name in found.__all__:
        assert inspect.isclass(getattr(found, name)) and getattr(found, name).__doc__
    if module == "cassandra":
        assert ClusterBuilder().settings == {}


def test_names_that_older_programs_import_from_the_package_are_those_of_its_modules():
    from flinkcore.datastream import connectors
    from flinkcore.datastream.connectors import FileSource, FlinkKafkaConsumer, NumberSequenceSource
    from flinkcore.datastream.connectors.file_system import FileSource as TheSource
    from flinkcore.datastream.connectors.kafka import FlinkKafkaConsumer as TheConsumer
    from flinkcore.datastream.connectors.number_seq import NumberSequenceSource as TheSequence

    assert (FileSource, FlinkKafkaConsumer, NumberSequenceSource) == (TheSource, TheConsumer, TheSequence)
    for names in connectors._OLDER.values():
        assert all(hasattr(connectors, name) for name in names)
    with pytest.raises(AttributeError, match="no attribute 'NoSource'"):
        connectors.NoSource  # noqa: B018
