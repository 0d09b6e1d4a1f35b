# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="empty-body"
"""Pulsar (pyflink.datastream.connectors.pulsar), whose connector is not available."""

from __future__ import annotations

from enum import Enum
from typing import Any

from flinkcore.common.config_options import ConfigOption
from flinkcore.common.serialization import DeserializationSchema, SerializationSchema
from flinkcore.common.time import Duration
from flinkcore.datastream.connectors.base import DeliveryGuarantee
from flinkcore.datastream.connectors.unavailable import Settings, UnavailableSink, UnavailableSource, setting

__all__ = [
    "MessageDelayer",
    "PulsarSink",
    "PulsarSinkBuilder",
    "PulsarSource",
    "PulsarSourceBuilder",
    "RangeGenerator",
    "StartCursor",
    "StopCursor",
    "TopicRoutingMode",
]


class StartCursor(Settings):
    """Where reading begins."""

    @staticmethod
    def default_start_cursor() -> StartCursor:
        return StartCursor._of(default_start_cursor={})

    @staticmethod
    def earliest() -> StartCursor:
        return StartCursor._of(earliest={})

    @staticmethod
    def latest() -> StartCursor:
        return StartCursor._of(latest={})

    @staticmethod
    def from_message_id(message_id: bytes, inclusive: bool = True) -> StartCursor:
        return StartCursor._of(from_message_id={"message_id": message_id, "inclusive": inclusive})

    @staticmethod
    def from_publish_time(timestamp: int) -> StartCursor:
        return StartCursor._of(from_publish_time={"timestamp": timestamp})


class StopCursor(Settings):
    """Where reading ends."""

    @staticmethod
    def default_stop_cursor() -> StopCursor:
        return StopCursor._of(default_stop_cursor={})

    @staticmethod
    def never() -> StopCursor:
        return StopCursor._of(never={})

    @staticmethod
    def latest() -> StopCursor:
        return StopCursor._of(latest={})

    @staticmethod
    def at_event_time(timestamp: int) -> StopCursor:
        return StopCursor._of(at_event_time={"timestamp": timestamp})

    @staticmethod
    def after_event_time(timestamp: int) -> StopCursor:
        return StopCursor._of(after_event_time={"timestamp": timestamp})

    @staticmethod
    def at_publish_time(timestamp: int) -> StopCursor:
        return StopCursor._of(at_publish_time={"timestamp": timestamp})

    @staticmethod
    def after_publish_time(timestamp: int) -> StopCursor:
        return StopCursor._of(after_publish_time={"timestamp": timestamp})

    @staticmethod
    def at_message_id(message_id: bytes) -> StopCursor:
        return StopCursor._of(at_message_id={"message_id": message_id})

    @staticmethod
    def after_message_id(message_id: bytes) -> StopCursor:
        return StopCursor._of(after_message_id={"message_id": message_id})


class RangeGenerator(Settings):
    """Which keys a subtask reads."""

    @staticmethod
    def full() -> RangeGenerator:
        return RangeGenerator._of(full={})

    @staticmethod
    def fixed_key(
        support_null_key: bool = False,
        keys: str | list[str] | None = None,
        key_bytes: bytes | None = None,
        ordering_key_bytes: bytes | None = None,
    ) -> RangeGenerator:
        return RangeGenerator._of(
            fixed_key={
                "support_null_key": support_null_key,
                "keys": keys,
                "key_bytes": key_bytes,
                "ordering_key_bytes": ordering_key_bytes,
            }
        )


class PulsarSource(UnavailableSource):
    """Topics of Pulsar as a source: PulsarSource.builder()."""

    connector = "Apache Pulsar"

    @staticmethod
    def builder() -> PulsarSourceBuilder:
        return PulsarSourceBuilder()


class PulsarSourceBuilder(Settings):
    """Collects a PulsarSource."""

    @setting
    def set_admin_url(self, admin_url: str) -> PulsarSourceBuilder: ...

    @setting
    def set_service_url(self, service_url: str) -> PulsarSourceBuilder: ...

    @setting
    def set_subscription_name(self, subscription_name: str) -> PulsarSourceBuilder: ...

    @setting
    def set_topics(self, topics: str | list[str]) -> PulsarSourceBuilder: ...

    @setting
    def set_topic_pattern(self, topic_pattern: str) -> PulsarSourceBuilder: ...

    @setting
    def set_consumer_name(self, consumer_name: str) -> PulsarSourceBuilder: ...

    @setting
    def set_range_generator(self, range_generator: RangeGenerator) -> PulsarSourceBuilder: ...

    @setting
    def set_start_cursor(self, start_cursor: StartCursor) -> PulsarSourceBuilder: ...

    @setting
    def set_unbounded_stop_cursor(self, stop_cursor: StopCursor) -> PulsarSourceBuilder: ...

    @setting
    def set_bounded_stop_cursor(self, stop_cursor: StopCursor) -> PulsarSourceBuilder: ...

    @setting
    def set_deserialization_schema(
        self, deserialization_schema: DeserializationSchema
    ) -> PulsarSourceBuilder: ...

    @setting
    def set_authentication(
        self, auth_plugin_class_name: str, auth_params_string: str | dict[str, str]
    ) -> PulsarSourceBuilder: ...

    @setting
    def set_config(self, key: str | ConfigOption, value: Any) -> PulsarSourceBuilder: ...

    @setting
    def set_config_with_dict(self, config: dict[str, Any]) -> PulsarSourceBuilder: ...

    @setting
    def set_properties(self, config: dict[str, Any]) -> PulsarSourceBuilder: ...

    def build(self) -> PulsarSource:
        return PulsarSource._of(self)


class TopicRoutingMode(Enum):
    """How records are spread over partitions."""

    ROUND_ROBIN = 0
    MESSAGE_KEY_HASH = 1
    CUSTOM = 2


class MessageDelayer(Settings):
    """When messages are delivered."""

    @staticmethod
    def never() -> MessageDelayer:
        return MessageDelayer._of(never={})

    @staticmethod
    def fixed(duration: Duration) -> MessageDelayer:
        return MessageDelayer._of(fixed={"duration": duration})


class PulsarSink(UnavailableSink):
    """Topics of Pulsar as a sink: PulsarSink.builder()."""

    connector = "Apache Pulsar"

    @staticmethod
    def builder() -> PulsarSinkBuilder:
        return PulsarSinkBuilder()


class PulsarSinkBuilder(Settings):
    """Collects a PulsarSink."""

    @setting
    def set_admin_url(self, admin_url: str) -> PulsarSinkBuilder: ...

    @setting
    def set_service_url(self, service_url: str) -> PulsarSinkBuilder: ...

    @setting
    def set_producer_name(self, producer_name: str) -> PulsarSinkBuilder: ...

    @setting
    def set_topics(self, topics: str | list[str]) -> PulsarSinkBuilder: ...

    @setting
    def set_delivery_guarantee(self, delivery_guarantee: DeliveryGuarantee) -> PulsarSinkBuilder: ...

    @setting
    def set_topic_routing_mode(self, topic_routing_mode: TopicRoutingMode) -> PulsarSinkBuilder: ...

    @setting
    def set_topic_router(self, topic_router_class_name: str) -> PulsarSinkBuilder: ...

    @setting
    def set_serialization_schema(self, serialization_schema: SerializationSchema) -> PulsarSinkBuilder: ...

    @setting
    def set_authentication(
        self, auth_plugin_class_name: str, auth_params_string: str | dict[str, str]
    ) -> PulsarSinkBuilder: ...

    @setting
    def delay_sending_message(self, message_delayer: MessageDelayer) -> PulsarSinkBuilder: ...

    @setting
    def set_config(self, key: str, value: Any) -> PulsarSinkBuilder: ...

    @setting
    def set_properties(self, config: dict[str, Any]) -> PulsarSinkBuilder: ...

    def build(self) -> PulsarSink:
        return PulsarSink._of(self)
