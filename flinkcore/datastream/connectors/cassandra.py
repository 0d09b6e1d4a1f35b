# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="empty-body"
"""Cassandra (pyflink.datastream.connectors.cassandra), whose connector is not available."""

from __future__ import annotations

from enum import Enum
from typing import Any, NoReturn

from flinkcore.common.time import Duration
from flinkcore.datastream.connectors.unavailable import OWN_SINK, Settings, Unavailable, setting

__all__ = [
    "CassandraCommitter",
    "CassandraFailureHandler",
    "CassandraSink",
    "ClusterBuilder",
    "ConsistencyLevel",
    "MapperOptions",
]


class ConsistencyLevel(Enum):
    """How many replicas answer."""

    ANY = 0
    ONE = 1
    TWO = 2
    THREE = 3
    QUORUM = 4
    ALL = 5
    LOCAL_QUORUM = 6
    EACH_QUORUM = 7
    SERIAL = 8
    LOCAL_SERIAL = 9
    LOCAL_ONE = 10


class MapperOptions(Settings):
    """How objects are written."""

    @setting
    def ttl(self, ttl: int) -> MapperOptions: ...

    @setting
    def timestamp(self, timestamp: int) -> MapperOptions: ...

    @setting
    def consistency_level(self, cl: ConsistencyLevel) -> MapperOptions: ...

    @setting
    def tracing(self, enabled: bool) -> MapperOptions: ...

    @setting
    def save_null_fields(self, enabled: bool) -> MapperOptions: ...

    @setting
    def if_not_exists(self, enabled: bool) -> MapperOptions: ...


class ClusterBuilder(Settings):
    """How a cluster is reached."""


class CassandraCommitter(Settings):
    """Where checkpoints of the write-ahead log are kept."""

    @staticmethod
    def default_checkpoint_committer(
        builder: ClusterBuilder, key_space: str | None = None
    ) -> CassandraCommitter:
        return CassandraCommitter._of(
            default_checkpoint_committer={"builder": builder, "key_space": key_space}
        )


class CassandraFailureHandler(Settings):
    """What becomes of a failed write."""

    @staticmethod
    def no_op() -> CassandraFailureHandler:
        return CassandraFailureHandler._of(no_op={})


class CassandraSink(Unavailable):
    """A table as a sink: CassandraSink.add_sink(stream), whose build() attaches it."""

    connector = "Apache Cassandra"
    instead = OWN_SINK

    @setting
    def name(self, name: str) -> CassandraSink: ...

    @setting
    def uid(self, uid: str) -> CassandraSink: ...

    @setting
    def set_uid_hash(self, uid_hash: str) -> CassandraSink: ...

    @setting
    def set_parallelism(self, parallelism: int) -> CassandraSink: ...

    @setting
    def disable_chaining(self) -> CassandraSink: ...

    @setting
    def slot_sharing_group(self, slot_sharing_group: str) -> CassandraSink: ...

    @staticmethod
    def add_sink(input: Any) -> CassandraSink.CassandraSinkBuilder:
        return CassandraSink.CassandraSinkBuilder._of(add_sink={"input": input})

    class CassandraSinkBuilder(Settings):
        """Collects a CassandraSink."""

        @setting
        def set_query(self, query: str) -> CassandraSink.CassandraSinkBuilder: ...

        @setting
        def set_host(self, host: str, port: int = 9042) -> CassandraSink.CassandraSinkBuilder: ...

        @setting
        def set_cluster_builder(self, builder: ClusterBuilder) -> CassandraSink.CassandraSinkBuilder: ...

        @setting
        def enable_write_ahead_log(
            self, committer: CassandraCommitter | None = None
        ) -> CassandraSink.CassandraSinkBuilder: ...

        @setting
        def set_mapper_options(self, options: MapperOptions) -> CassandraSink.CassandraSinkBuilder: ...

        @setting
        def set_failure_handler(
            self, failure_handler: CassandraFailureHandler
        ) -> CassandraSink.CassandraSinkBuilder: ...

        @setting
        def set_max_concurrent_requests(
            self, max_concurrent_requests: int, duration: Duration | None = None
        ) -> CassandraSink.CassandraSinkBuilder: ...

        @setting
        def enable_ignore_null_fields(self) -> CassandraSink.CassandraSinkBuilder: ...

        def build(self) -> NoReturn:
            """UnsupportedOperationError: the sink cannot run."""
            CassandraSink._of(self).refuse()
