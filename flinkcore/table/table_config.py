# SPDX-License-Identifier: Apache-2.0
"""TableConfig: the options of a table environment, which are those of its streams too."""

from __future__ import annotations

from flinkcore import options
from flinkcore.config import Configuration


class TableConfig:
    """A view on a configuration."""

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._configuration = Configuration() if configuration is None else configuration

    @staticmethod
    def get_default() -> TableConfig:
        return TableConfig()

    def get_configuration(self) -> Configuration:
        return self._configuration

    def get(self, key: str, default_value: str) -> str:
        return self._configuration.get_string(key, default_value)

    def set(self, key: str, value: str) -> TableConfig:
        """Sets an option by its Flink key."""
        self._configuration.set_string(key, str(value))
        return self

    def add_configuration(self, configuration: Configuration) -> None:
        self._configuration.add_all(configuration)

    def to_map(self) -> dict[str, str]:
        return self._configuration.to_dict()

    def get_local_timezone(self) -> str:
        return self._configuration.get(options.LOCAL_TIME_ZONE)

    def set_local_timezone(self, timezone_id: str) -> None:
        self._configuration.set(options.LOCAL_TIME_ZONE, timezone_id)
