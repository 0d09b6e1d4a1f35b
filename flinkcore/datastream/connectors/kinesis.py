# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="empty-body"
"""Kinesis (pyflink.datastream.connectors.kinesis), whose connector is not available."""

from __future__ import annotations

from typing import Any

from flinkcore.common.serialization import DeserializationSchema, SerializationSchema
from flinkcore.datastream.connectors.unavailable import Settings, UnavailableSink, UnavailableSource, setting

__all__ = [
    "FlinkKinesisConsumer",
    "KinesisDeserializationSchema",
    "KinesisFirehoseSink",
    "KinesisFirehoseSinkBuilder",
    "KinesisShardAssigner",
    "KinesisStreamsSink",
    "KinesisStreamsSinkBuilder",
    "PartitionKeyGenerator",
    "WatermarkTracker",
]


class KinesisShardAssigner(Settings):
    """Which subtask reads a shard."""

    @staticmethod
    def default_shard_assigner() -> KinesisShardAssigner:
        return KinesisShardAssigner._of(default_shard_assigner={})

    @staticmethod
    def uniform_shard_assigner() -> KinesisShardAssigner:
        return KinesisShardAssigner._of(uniform_shard_assigner={})


class KinesisDeserializationSchema(Settings):
    """Records of Kinesis as values."""


class WatermarkTracker(Settings):
    """Holds shards that are ahead back."""

    @staticmethod
    def job_manager_watermark_tracker(
        aggregate_name: str, log_accumulator_interval_millis: int = -1
    ) -> WatermarkTracker:
        return WatermarkTracker._of(
            job_manager_watermark_tracker={
                "aggregate_name": aggregate_name,
                "log_accumulator_interval_millis": log_accumulator_interval_millis,
            }
        )


class FlinkKinesisConsumer(UnavailableSource):
    """Streams of Kinesis as a source."""

    connector = "Amazon Kinesis"

    def __init__(
        self,
        streams: str | list[str],
        deserializer: DeserializationSchema | KinesisDeserializationSchema,
        config_props: dict[str, Any],
    ) -> None:
        super().__init__()
        self.settings["__init__"] = {
            "streams": streams,
            "deserializer": deserializer,
            "config_props": config_props,
        }

    @setting
    def set_shard_assigner(self, shard_assigner: KinesisShardAssigner) -> FlinkKinesisConsumer: ...

    @setting
    def set_periodic_watermark_assigner(self, periodic_watermark_assigner: Any) -> FlinkKinesisConsumer: ...

    @setting
    def set_watermark_tracker(self, watermark_tracker: WatermarkTracker) -> FlinkKinesisConsumer: ...


class PartitionKeyGenerator(Settings):
    """The partition key of a record."""

    @staticmethod
    def fixed() -> PartitionKeyGenerator:
        return PartitionKeyGenerator._of(fixed={})

    @staticmethod
    def random() -> PartitionKeyGenerator:
        return PartitionKeyGenerator._of(random={})


class KinesisStreamsSink(UnavailableSink):
    """A stream of Kinesis as a sink: KinesisStreamsSink.builder()."""

    connector = "Amazon Kinesis"

    @staticmethod
    def builder() -> KinesisStreamsSinkBuilder:
        return KinesisStreamsSinkBuilder()


class KinesisStreamsSinkBuilder(Settings):
    """Collects a KinesisStreamsSink."""

    @setting
    def set_stream_name(self, stream_name: str | list[str]) -> KinesisStreamsSinkBuilder: ...

    @setting
    def set_serialization_schema(
        self, serialization_schema: SerializationSchema
    ) -> KinesisStreamsSinkBuilder: ...

    @setting
    def set_partition_key_generator(
        self, partition_key_generator: PartitionKeyGenerator
    ) -> KinesisStreamsSinkBuilder: ...

    @setting
    def set_fail_on_error(self, fail_on_error: bool) -> KinesisStreamsSinkBuilder: ...

    @setting
    def set_kinesis_client_properties(
        self, kinesis_client_properties: dict[str, Any]
    ) -> KinesisStreamsSinkBuilder: ...

    @setting
    def set_max_batch_size(self, max_batch_size: int) -> KinesisStreamsSinkBuilder: ...

    @setting
    def set_max_in_flight_requests(self, max_in_flight_requests: int) -> KinesisStreamsSinkBuilder: ...

    @setting
    def set_max_buffered_requests(self, max_buffered_requests: int) -> KinesisStreamsSinkBuilder: ...

    @setting
    def set_max_batch_size_in_bytes(self, max_batch_size_in_bytes: int) -> KinesisStreamsSinkBuilder: ...

    @setting
    def set_max_time_in_buffer_ms(self, max_time_in_buffer_ms: int) -> KinesisStreamsSinkBuilder: ...

    @setting
    def set_max_record_size_in_bytes(self, max_record_size_in_bytes: int) -> KinesisStreamsSinkBuilder: ...

    def build(self) -> KinesisStreamsSink:
        return KinesisStreamsSink._of(self)


class KinesisFirehoseSink(UnavailableSink):
    """A Firehose as a sink: KinesisFirehoseSink.builder()."""

    connector = "Amazon Kinesis"

    @staticmethod
    def builder() -> KinesisFirehoseSinkBuilder:
        return KinesisFirehoseSinkBuilder()


class KinesisFirehoseSinkBuilder(Settings):
    """Collects a KinesisFirehoseSink."""

    @setting
    def set_delivery_stream_name(self, delivery_stream_name: str) -> KinesisFirehoseSinkBuilder: ...

    @setting
    def set_serialization_schema(
        self, serialization_schema: SerializationSchema
    ) -> KinesisFirehoseSinkBuilder: ...

    @setting
    def set_fail_on_error(self, fail_on_error: bool) -> KinesisFirehoseSinkBuilder: ...

    @setting
    def set_firehose_client_properties(
        self, firehose_client_properties: dict[str, Any]
    ) -> KinesisFirehoseSinkBuilder: ...

    @setting
    def set_max_batch_size(self, max_batch_size: int) -> KinesisFirehoseSinkBuilder: ...

    @setting
    def set_max_in_flight_requests(self, max_in_flight_requests: int) -> KinesisFirehoseSinkBuilder: ...

    @setting
    def set_max_buffered_requests(self, max_buffered_requests: int) -> KinesisFirehoseSinkBuilder: ...

    @setting
    def set_max_batch_size_in_bytes(self, max_batch_size_in_bytes: int) -> KinesisFirehoseSinkBuilder: ...

    @setting
    def set_max_time_in_buffer_ms(self, max_time_in_buffer_ms: int) -> KinesisFirehoseSinkBuilder: ...

    @setting
    def set_max_record_size_in_bytes(self, max_record_size_in_bytes: int) -> KinesisFirehoseSinkBuilder: ...

    def build(self) -> KinesisFirehoseSink:
        return KinesisFirehoseSink._of(self)
