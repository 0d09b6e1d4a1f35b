# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="empty-body"
"""RabbitMQ (pyflink.datastream.connectors.rabbitmq), whose connector is not available."""

from __future__ import annotations

from flinkcore.common.serialization import DeserializationSchema, SerializationSchema
from flinkcore.datastream.connectors.unavailable import Settings, UnavailableSink, UnavailableSource, setting

__all__ = ["RMQConnectionConfig", "RMQSink", "RMQSource"]


class RMQConnectionConfig(Settings):
    """How a broker is reached."""

    def get_host(self) -> str:
        return self._value("set_host")

    def get_port(self) -> int:
        return self._value("set_port")

    def get_virtual_host(self) -> str:
        return self._value("set_virtual_host")

    def get_user_name(self) -> str:
        return self._value("set_user_name")

    def get_password(self) -> str:
        return self._value("set_password")

    def get_uri(self) -> str:
        return self._value("set_uri")

    def get_network_recovery_interval(self) -> int:
        return self._value("set_network_recovery_interval")

    def is_automatic_recovery(self) -> bool:
        return self._value("set_automatic_recovery")

    def is_topology_recovery(self) -> bool:
        return self._value("set_topology_recovery_enabled")

    def get_connection_timeout(self) -> int:
        return self._value("set_connection_timeout")

    def get_requested_channel_max(self) -> int:
        return self._value("set_requested_channel_max")

    def get_requested_frame_max(self) -> int:
        return self._value("set_requested_frame_max")

    def get_requested_heartbeat(self) -> int:
        return self._value("set_requested_heartbeat")

    class Builder(Settings):
        """Collects them."""

        @setting
        def set_port(self, port: int) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_host(self, host: str) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_virtual_host(self, vhost: str) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_user_name(self, user_name: str) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_password(self, password: str) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_uri(self, uri: str) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_topology_recovery_enabled(
            self, topology_recovery_enabled: bool
        ) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_requested_heartbeat(self, requested_heartbeat: int) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_requested_frame_max(self, requested_frame_max: int) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_requested_channel_max(self, requested_channel_max: int) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_network_recovery_interval(
            self, network_recovery_interval: int
        ) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_connection_timeout(self, connection_timeout: int) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_automatic_recovery(self, automatic_recovery: bool) -> RMQConnectionConfig.Builder: ...

        @setting
        def set_prefetch_count(self, prefetch_count: int) -> RMQConnectionConfig.Builder: ...

        def build(self) -> RMQConnectionConfig:
            return RMQConnectionConfig._of(self)


class RMQSource(UnavailableSource):
    """A queue as a source."""

    connector = "RabbitMQ"

    def __init__(
        self,
        connection_config: RMQConnectionConfig,
        queue_name: str,
        use_correlation_id: bool,
        deserialization_schema: DeserializationSchema,
    ) -> None:
        super().__init__()
        self.settings["__init__"] = {
            "connection_config": connection_config,
            "queue_name": queue_name,
            "use_correlation_id": use_correlation_id,
            "deserialization_schema": deserialization_schema,
        }


class RMQSink(UnavailableSink):
    """A queue as a sink."""

    connector = "RabbitMQ"

    def __init__(
        self,
        connection_config: RMQConnectionConfig,
        queue_name: str,
        serialization_schema: SerializationSchema,
    ) -> None:
        super().__init__()
        self.settings["__init__"] = {
            "connection_config": connection_config,
            "queue_name": queue_name,
            "serialization_schema": serialization_schema,
        }
