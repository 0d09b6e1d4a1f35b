# SPDX-License-Identifier: Apache-2.0
# mypy: disable-error-code="empty-body"
"""Databases by JDBC (pyflink.datastream.connectors.jdbc), whose connector is not available."""

from __future__ import annotations

from flinkcore.columnar.typeinfo import RowTypeInfo
from flinkcore.datastream.connectors.unavailable import Settings, UnavailableSink, setting

__all__ = ["JdbcConnectionOptions", "JdbcExecutionOptions", "JdbcSink"]


class JdbcSink(UnavailableSink):
    """A statement for each row as a sink: JdbcSink.sink(...)."""

    connector = "databases by JDBC"

    @staticmethod
    def sink(
        sql: str,
        type_info: RowTypeInfo,
        jdbc_connection_options: JdbcConnectionOptions,
        jdbc_execution_options: JdbcExecutionOptions | None = None,
    ) -> JdbcSink:
        return JdbcSink._of(
            sink={
                "sql": sql,
                "type_info": type_info,
                "jdbc_connection_options": jdbc_connection_options,
                "jdbc_execution_options": jdbc_execution_options,
            }
        )


class JdbcConnectionOptions(Settings):
    """How a database is reached."""

    def get_db_url(self) -> str:
        return self._value("with_url")

    def get_driver_name(self) -> str:
        return self._value("with_driver_name")

    def get_user_name(self) -> str:
        return self._value("with_user_name")

    def get_password(self) -> str:
        return self._value("with_password")

    class JdbcConnectionOptionsBuilder(Settings):
        """Collects JdbcConnectionOptions."""

        @setting
        def with_url(self, url: str) -> JdbcConnectionOptions.JdbcConnectionOptionsBuilder: ...

        @setting
        def with_driver_name(
            self, driver_name: str
        ) -> JdbcConnectionOptions.JdbcConnectionOptionsBuilder: ...

        @setting
        def with_user_name(self, user_name: str) -> JdbcConnectionOptions.JdbcConnectionOptionsBuilder: ...

        @setting
        def with_password(self, password: str) -> JdbcConnectionOptions.JdbcConnectionOptionsBuilder: ...

        def build(self) -> JdbcConnectionOptions:
            return JdbcConnectionOptions._of(self)


class JdbcExecutionOptions(Settings):
    """How many rows go together, and how often they are tried."""

    def get_batch_interval_ms(self) -> int:
        return self._value("with_batch_interval_ms", 0)

    def get_batch_size(self) -> int:
        return self._value("with_batch_size", 5000)

    def get_max_retries(self) -> int:
        return self._value("with_max_retries", 3)

    @staticmethod
    def defaults() -> JdbcExecutionOptions:
        return JdbcExecutionOptions._of(defaults={})

    @staticmethod
    def builder() -> JdbcExecutionOptions.Builder:
        return JdbcExecutionOptions.Builder()

    class Builder(Settings):
        """Collects them."""

        @setting
        def with_batch_size(self, size: int) -> JdbcExecutionOptions.Builder: ...

        @setting
        def with_batch_interval_ms(self, interval_ms: int) -> JdbcExecutionOptions.Builder: ...

        @setting
        def with_max_retries(self, max_retries: int) -> JdbcExecutionOptions.Builder: ...

        def build(self) -> JdbcExecutionOptions:
            return JdbcExecutionOptions._of(self)
