# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="empty-body"
"""Kafka (pyflink.datastream.connectors.kafka), whose connector is not available."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

from flinkcore.common.serialization import DeserializationSchema, SerializationSchema
from flinkcore.datastream.connectors.base import DeliveryGuarantee, StreamTransformer, SupportsPreprocessing
from flinkcore.datastream.connectors.unavailable import Settings, UnavailableSink, UnavailableSource, setting

__all__ = [
    "FlinkKafkaConsumer",
    "FlinkKafkaProducer",
    "KafkaOffsetResetStrategy",
    "KafkaOffsetsInitializer",
    "KafkaRecordSerializationSchema",
    "KafkaRecordSerializationSchemaBuilder",
    "KafkaSink",
    "KafkaSinkBuilder",
    "KafkaSource",
    "KafkaSourceBuilder",
    "KafkaTopicPartition",
    "KafkaTopicSelector",
    "Semantic",
]


class FlinkKafkaConsumerBase(UnavailableSource):
    """Settings of the older source."""

    connector = "Apache Kafka"

    @setting
    def set_commit_offsets_on_checkpoints(self, commit_on_checkpoints: bool) -> FlinkKafkaConsumerBase: ...

    @setting
    def set_start_from_earliest(self) -> FlinkKafkaConsumerBase: ...

    @setting
    def set_start_from_latest(self) -> FlinkKafkaConsumerBase: ...

    @setting
    def set_start_from_timestamp(self, startup_offsets_timestamp: int) -> FlinkKafkaConsumerBase: ...

    @setting
    def set_start_from_group_offsets(self) -> FlinkKafkaConsumerBase: ...

    @setting
    def disable_filter_restored_partitions_with_subscribed_topics(self) -> FlinkKafkaConsumerBase: ...

    def get_produced_type(self) -> NoReturn:
        """UnsupportedOperationError: the source cannot run."""
        self.refuse()


class FlinkKafkaConsumer(FlinkKafkaConsumerBase):
    """The older source of Kafka."""

    def __init__(
        self,
        topics: str | list[str],
        deserialization_schema: DeserializationSchema,
        properties: dict[str, Any],
    ) -> None:
        super().__init__()
        self.settings["__init__"] = {
            "topics": topics,
            "deserialization_schema": deserialization_schema,
            "properties": properties,
        }


class Semantic(Enum):
    """What FlinkKafkaProducer promises."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
    NONE = 2


class FlinkKafkaProducerBase(UnavailableSink):
    """Settings of the older sink."""

    connector = "Apache Kafka"

    @setting
    def set_log_failures_only(self, log_failures_only: bool) -> FlinkKafkaProducerBase: ...

    @setting
    def set_flush_on_checkpoint(self, flush_on_checkpoint: bool) -> FlinkKafkaProducerBase: ...

    @setting
    def set_write_timestamp_to_kafka(self, write_timestamp_to_kafka: bool) -> FlinkKafkaProducerBase: ...


class FlinkKafkaProducer(FlinkKafkaProducerBase):
    """The older sink of Kafka."""

    def __init__(
        self,
        topic: str,
        serialization_schema: SerializationSchema,
        producer_config: dict[str, Any],
        kafka_producer_pool_size: int = 5,
        semantic: Any = Semantic.AT_LEAST_ONCE,
    ) -> None:
        super().__init__()
        self.settings["__init__"] = {
            "topic": topic,
            "serialization_schema": serialization_schema,
            "producer_config": producer_config,
            "kafka_producer_pool_size": kafka_producer_pool_size,
            "semantic": semantic,
        }

    @setting
    def ignore_failures_after_transaction_timeout(self) -> FlinkKafkaProducer: ...


class KafkaSource(UnavailableSource):
    """Topics of Kafka as a source: KafkaSource.builder()."""

    connector = "Apache Kafka"

    @staticmethod
    def builder() -> KafkaSourceBuilder:
        return KafkaSourceBuilder()


class KafkaSourceBuilder(Settings):
    """Collects a KafkaSource."""

    def build(self) -> KafkaSource:
        return KafkaSource._of(self)

    @setting
    def set_bootstrap_servers(self, bootstrap_servers: str) -> KafkaSourceBuilder: ...

    @setting
    def set_group_id(self, group_id: str) -> KafkaSourceBuilder: ...

    @setting
    def set_topics(self, *topics: str) -> KafkaSourceBuilder: ...

    @setting
    def set_topic_pattern(self, topic_pattern: str) -> KafkaSourceBuilder: ...

    @setting
    def set_partitions(self, partitions: set[KafkaTopicPartition]) -> KafkaSourceBuilder: ...

    @setting
    def set_starting_offsets(
        self, starting_offsets_initializer: KafkaOffsetsInitializer
    ) -> KafkaSourceBuilder: ...

    @setting
    def set_unbounded(self, stopping_offsets_initializer: KafkaOffsetsInitializer) -> KafkaSourceBuilder: ...

    @setting
    def set_bounded(self, stopping_offsets_initializer: KafkaOffsetsInitializer) -> KafkaSourceBuilder: ...

    @setting
    def set_value_only_deserializer(
        self, deserialization_schema: DeserializationSchema
    ) -> KafkaSourceBuilder: ...

    @setting
    def set_client_id_prefix(self, prefix: str) -> KafkaSourceBuilder: ...

    @setting
    def set_property(self, key: str, value: str) -> KafkaSourceBuilder: ...

    @setting
    def set_properties(self, props: dict[str, Any]) -> KafkaSourceBuilder: ...


@dataclass(frozen=True)
class KafkaTopicPartition:
    """A partition of a topic."""

    topic: str
    partition: int


class KafkaOffsetResetStrategy(Enum):
    """Where to read when an offset is not there."""

    LATEST = 0
    EARLIEST = 1
    NONE = 2


class KafkaOffsetsInitializer(Settings):
    """Where reading begins, or ends."""

    @staticmethod
    def committed_offsets(
        offset_reset_strategy: KafkaOffsetResetStrategy = KafkaOffsetResetStrategy.NONE,
    ) -> KafkaOffsetsInitializer:
        return KafkaOffsetsInitializer._of(committed_offsets={"offset_reset_strategy": offset_reset_strategy})

    @staticmethod
    def timestamp(timestamp: int) -> KafkaOffsetsInitializer:
        return KafkaOffsetsInitializer._of(timestamp={"timestamp": timestamp})

    @staticmethod
    def earliest() -> KafkaOffsetsInitializer:
        return KafkaOffsetsInitializer._of(earliest={})

    @staticmethod
    def latest() -> KafkaOffsetsInitializer:
        return KafkaOffsetsInitializer._of(latest={})

    @staticmethod
    def offsets(
        offsets: dict[KafkaTopicPartition, int],
        offset_reset_strategy: KafkaOffsetResetStrategy = KafkaOffsetResetStrategy.EARLIEST,
    ) -> KafkaOffsetsInitializer:
        return KafkaOffsetsInitializer._of(
            offsets={"offsets": offsets, "offset_reset_strategy": offset_reset_strategy}
        )


class KafkaSink(UnavailableSink, SupportsPreprocessing):
    """Topics of Kafka as a sink: KafkaSink.builder()."""

    connector = "Apache Kafka"

    @staticmethod
    def builder() -> KafkaSinkBuilder:
        return KafkaSinkBuilder()

    def get_transformer(self) -> StreamTransformer | None:
        return None


class KafkaSinkBuilder(Settings):
    """Collects a KafkaSink."""

    def build(self) -> KafkaSink:
        return KafkaSink._of(self)

    @setting
    def set_bootstrap_servers(self, bootstrap_servers: str) -> KafkaSinkBuilder: ...

    @setting
    def set_delivery_guarantee(self, delivery_guarantee: DeliveryGuarantee) -> KafkaSinkBuilder: ...

    @setting
    def set_transactional_id_prefix(self, transactional_id_prefix: str) -> KafkaSinkBuilder: ...

    @setting
    def set_record_serializer(
        self, record_serializer: KafkaRecordSerializationSchema
    ) -> KafkaSinkBuilder: ...

    @setting
    def set_property(self, key: str, value: str) -> KafkaSinkBuilder: ...


class KafkaRecordSerializationSchema(Settings, SerializationSchema):
    """Records as Kafka's, with their topics: KafkaRecordSerializationSchema.builder()."""

    @staticmethod
    def builder() -> KafkaRecordSerializationSchemaBuilder:
        return KafkaRecordSerializationSchemaBuilder()

    def serialize(self, element: Any) -> bytes:
        """The value of the record."""
        return self._value("set_value_serialization_schema").serialize(element)


class KafkaRecordSerializationSchemaBuilder(Settings):
    """Collects a KafkaRecordSerializationSchema."""

    def build(self) -> KafkaRecordSerializationSchema:
        return KafkaRecordSerializationSchema._of(self)

    @setting
    def set_topic(self, topic: str) -> KafkaRecordSerializationSchemaBuilder: ...

    @setting
    def set_topic_selector(
        self, topic_selector: Callable[[Any], str] | KafkaTopicSelector
    ) -> KafkaRecordSerializationSchemaBuilder: ...

    @setting
    def set_key_serialization_schema(
        self, key_serialization_schema: SerializationSchema
    ) -> KafkaRecordSerializationSchemaBuilder: ...

    @setting
    def set_value_serialization_schema(
        self, value_serialization_schema: SerializationSchema
    ) -> KafkaRecordSerializationSchemaBuilder: ...


class KafkaTopicSelector(ABC):
    """The topic of a record."""

    @abstractmethod
    def apply(self, data: Any) -> str:
        """The name of the topic."""
