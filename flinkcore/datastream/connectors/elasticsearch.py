# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="empty-body"
"""Elasticsearch (pyflink.datastream.connectors.elasticsearch), whose connector is not available."""

from __future__ import annotations

from abc import ABC
from enum import Enum
from typing import NoReturn

from flinkcore.common.utils import no_java_object
from flinkcore.datastream.connectors.base import DeliveryGuarantee
from flinkcore.datastream.connectors.unavailable import Settings, UnavailableSink, setting

__all__ = [
    "Elasticsearch6SinkBuilder",
    "Elasticsearch7SinkBuilder",
    "ElasticsearchEmitter",
    "ElasticsearchSink",
    "FlushBackoffType",
]


class FlushBackoffType(Enum):
    """How requests are tried again."""

    CONSTANT = 0
    EXPONENTIAL = 1
    NONE = 2


class ElasticsearchEmitter(Settings):
    """Which request a record becomes."""

    @staticmethod
    def static_index(
        index: str, key_field: str | None = None, doc_type: str | None = None
    ) -> ElasticsearchEmitter:
        return ElasticsearchEmitter._of(
            static_index={"index": index, "key_field": key_field, "doc_type": doc_type}
        )

    @staticmethod
    def dynamic_index(
        index_field: str, key_field: str | None = None, doc_type: str | None = None
    ) -> ElasticsearchEmitter:
        return ElasticsearchEmitter._of(
            dynamic_index={"index_field": index_field, "key_field": key_field, "doc_type": doc_type}
        )


class ElasticsearchSinkBuilderBase(Settings, ABC):
    """Collects an ElasticsearchSink."""

    def get_http_host_class(self) -> NoReturn:
        """UnsupportedOperationError: it is a class of Java's."""
        no_java_object("HttpHost", "hosts are texts, http://host:port")

    @setting
    def set_emitter(self, emitter: ElasticsearchEmitter) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_hosts(self, hosts: str | list[str]) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_delivery_guarantee(
        self, delivery_guarantee: DeliveryGuarantee
    ) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_bulk_flush_max_actions(self, num_max_actions: int) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_bulk_flush_max_size_mb(self, max_size_mb: int) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_bulk_flush_interval(self, interval_millis: int) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_bulk_flush_backoff_strategy(
        self, flush_backoff_type: FlushBackoffType, max_retries: int, delay_millis: int
    ) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_connection_username(self, username: str) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_connection_password(self, password: str) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_connection_path_prefix(self, prefix: str) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_connection_request_timeout(self, timeout: int) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_connection_timeout(self, timeout: int) -> ElasticsearchSinkBuilderBase: ...

    @setting
    def set_socket_timeout(self, timeout: int) -> ElasticsearchSinkBuilderBase: ...

    def build(self) -> ElasticsearchSink:
        return ElasticsearchSink._of(self)


class Elasticsearch6SinkBuilder(ElasticsearchSinkBuilderBase):
    """Collects an ElasticsearchSink for version 6."""


class Elasticsearch7SinkBuilder(ElasticsearchSinkBuilderBase):
    """Collects an ElasticsearchSink for version 7."""


class ElasticsearchSink(UnavailableSink):
    """An index as a sink."""

    connector = "Elasticsearch"
