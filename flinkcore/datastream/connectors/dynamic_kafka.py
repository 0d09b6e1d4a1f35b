# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="empty-body"
"""Kafka clusters that change (pyflink.datastream.connectors.dynamic_kafka), whose connector is not available."""

from __future__ import annotations

from typing import Any

from flinkcore.common.serialization import DeserializationSchema
from flinkcore.datastream.connectors.kafka import KafkaOffsetsInitializer
from flinkcore.datastream.connectors.unavailable import Settings, UnavailableSource, setting

__all__ = [
    "DynamicKafkaSource",
    "DynamicKafkaSourceBuilder",
    "KafkaMetadataService",
    "KafkaRecordDeserializationSchema",
    "KafkaStreamSetSubscriber",
    "KafkaStreamSubscriber",
    "SingleClusterTopicMetadataService",
    "StreamPatternSubscriber",
]


class KafkaMetadataService(Settings):
    """Where streams are found."""


class SingleClusterTopicMetadataService(KafkaMetadataService):
    """The topics of one cluster."""

    def __init__(self, kafka_cluster_id: str, properties: dict[str, str]) -> None:
        super().__init__()
        self.settings["__init__"] = {"kafka_cluster_id": kafka_cluster_id, "properties": properties}


class KafkaStreamSubscriber(Settings):
    """Which streams are read."""


class KafkaStreamSetSubscriber(KafkaStreamSubscriber):
    """Streams by their names."""

    def __init__(self, stream_ids: set[str]) -> None:
        super().__init__()
        self.settings["__init__"] = {"stream_ids": stream_ids}


class StreamPatternSubscriber(KafkaStreamSubscriber):
    """Streams whose names match."""

    def __init__(self, stream_pattern: str) -> None:
        super().__init__()
        self.settings["__init__"] = {"stream_pattern": stream_pattern}


class KafkaRecordDeserializationSchema(Settings, DeserializationSchema):
    """Values of Kafka's records."""

    @staticmethod
    def value_only(deserialization_schema: DeserializationSchema) -> KafkaRecordDeserializationSchema:
        return KafkaRecordDeserializationSchema._of(
            value_only={"deserialization_schema": deserialization_schema}
        )

    def deserialize(self, message: bytes) -> Any:
        """The value in the bytes of a record's value."""
        return self._value("value_only").deserialize(message)


class DynamicKafkaSource(UnavailableSource):
    """Streams over clusters as a source: DynamicKafkaSource.builder()."""

    connector = "Apache Kafka"

    @staticmethod
    def builder() -> DynamicKafkaSourceBuilder:
        return DynamicKafkaSourceBuilder()


class DynamicKafkaSourceBuilder(Settings):
    """Collects a DynamicKafkaSource."""

    def build(self) -> DynamicKafkaSource:
        return DynamicKafkaSource._of(self)

    @setting
    def set_stream_ids(self, stream_ids: set[str]) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_stream_pattern(self, stream_pattern: str) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_kafka_stream_subscriber(
        self, kafka_stream_subscriber: KafkaStreamSubscriber | Any
    ) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_kafka_metadata_service(
        self, kafka_metadata_service: KafkaMetadataService | Any
    ) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_deserializer(
        self, deserializer: KafkaRecordDeserializationSchema | Any
    ) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_value_only_deserializer(
        self, deserialization_schema: DeserializationSchema
    ) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_starting_offsets(
        self, starting_offsets_initializer: KafkaOffsetsInitializer
    ) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_bounded(
        self, stopping_offsets_initializer: KafkaOffsetsInitializer
    ) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_properties(self, props: dict[str, str]) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_property(self, key: str, value: str) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_group_id(self, group_id: str) -> DynamicKafkaSourceBuilder: ...

    @setting
    def set_client_id_prefix(self, prefix: str) -> DynamicKafkaSourceBuilder: ...
