# SPDX-License-Identifier: Apache-2.0
"""EnvironmentSettings: streaming or batch, and the names of the built-in catalog and database."""

from __future__ import annotations

import warnings

from flinkcore import options
from flinkcore.config import Configuration

_DEFAULT_CATALOG, _DEFAULT_DATABASE = "default_catalog", "default_database"
_warned: set[str] = set()


class EnvironmentSettings:
    """What a table environment is created with. Immutable; made by new_instance(), in_streaming_mode(),
    ..."""

    class Builder:
        """Collects settings; build() makes them."""

        def __init__(self) -> None:
            self._streaming = True
            self._catalog, self._database = _DEFAULT_CATALOG, _DEFAULT_DATABASE
            self._configuration = Configuration()

        def in_streaming_mode(self) -> EnvironmentSettings.Builder:
            """Updates are emitted as they happen. The default."""
            self._streaming = True
            return self

        def in_batch_mode(self) -> EnvironmentSettings.Builder:
            """Bounded inputs; only final results are emitted."""
            self._streaming = False
            return self

        def with_configuration(self, configuration: Configuration) -> EnvironmentSettings.Builder:
            self._configuration.add_all(configuration)
            return self

        def with_built_in_catalog_name(self, built_in_catalog_name: str) -> EnvironmentSettings.Builder:
            self._catalog = built_in_catalog_name
            return self

        def with_built_in_database_name(self, built_in_database_name: str) -> EnvironmentSettings.Builder:
            self._database = built_in_database_name
            return self

        def use_blink_planner(self) -> EnvironmentSettings.Builder:
            """Accepted from programs of Flink 1.10 to 1.14; there is one planner."""
            return self._planner("use_blink_planner")

        def use_old_planner(self) -> EnvironmentSettings.Builder:
            """Accepted from programs of Flink 1.10 to 1.13; there is one planner."""
            return self._planner("use_old_planner")

        def use_any_planner(self) -> EnvironmentSettings.Builder:
            """Accepted from programs of Flink 1.10 to 1.14; there is one planner."""
            return self._planner("use_any_planner")

        def _planner(self, method: str) -> EnvironmentSettings.Builder:
            if method not in _warned:
                _warned.add(method)
                warnings.warn(
                    f"{method}() has no effect: there is one planner. It left PyFlink in 1.15; leave it out",
                    DeprecationWarning,
                    stacklevel=3,
                )
            return self

        def build(self) -> EnvironmentSettings:
            return EnvironmentSettings(self)

    def __init__(self, builder: EnvironmentSettings.Builder | None = None) -> None:
        builder = builder or EnvironmentSettings.Builder()
        self._streaming = builder._streaming
        self._catalog, self._database = builder._catalog, builder._database
        self._configuration = Configuration()
        self._configuration.add_all(builder._configuration)
        self._configuration.set(options.RUNTIME_MODE, "STREAMING" if self._streaming else "BATCH")

    @staticmethod
    def new_instance() -> EnvironmentSettings.Builder:
        return EnvironmentSettings.Builder()

    @staticmethod
    def in_streaming_mode() -> EnvironmentSettings:
        return EnvironmentSettings.Builder().in_streaming_mode().build()

    @staticmethod
    def in_batch_mode() -> EnvironmentSettings:
        return EnvironmentSettings.Builder().in_batch_mode().build()

    def is_streaming_mode(self) -> bool:
        return self._streaming

    def get_built_in_catalog_name(self) -> str:
        return self._catalog

    def get_built_in_database_name(self) -> str:
        return self._database

    def get_configuration(self) -> Configuration:
        return self._configuration
