# SPDX-License-Identifier: Apache-2.0
"""TableDescriptor and FormatDescriptor: what a table is read from or written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flinkcore.config import ConfigOption
from flinkcore.config_text import to_text
from flinkcore.table.schema import Schema

__all__ = ["FormatDescriptor", "TableDescriptor"]


@dataclass(frozen=True)
class TableDescriptor:
    """The schema of a table, its connector, and the options of both. Made by TableDescriptor.for_connector()."""

    _schema: Schema | None
    _options: Mapping[str, str]
    _partition_keys: tuple[str, ...] = ()
    _comment: str | None = None

    @staticmethod
    def for_connector(connector: str) -> TableDescriptor.Builder:
        """connector : "datagen", "print", "filesystem", ..."""
        return TableDescriptor.Builder(connector)

    def get_schema(self) -> Schema | None:
        return self._schema

    def get_options(self) -> dict[str, str]:
        return dict(self._options)

    def get_partition_keys(self) -> list[str]:
        return list(self._partition_keys)

    def get_comment(self) -> str | None:
        return self._comment

    def __str__(self) -> str:
        options = ",\n".join(f"  '{key}' = '{value}'" for key, value in self._options.items())
        keys = ", ".join(f"`{key}`" for key in self._partition_keys)
        return (
            f"{'' if self._schema is None else self._schema}\n"
            + ("" if self._comment is None else f"COMMENT '{self._comment}'\n")
            + (f"PARTITIONED BY ({keys})\n" if keys else "")
            + f"WITH (\n{options}\n)"
        )

    def __hash__(self) -> int:
        return hash((self._schema, frozenset(self._options.items()), self._partition_keys, self._comment))

    class Builder:
        """Collects what a descriptor says."""

        def __init__(self, connector: str) -> None:
            self._schema: Schema | None = None
            self._options = {"connector": connector}
            self._partition_keys: tuple[str, ...] = ()
            self._comment: str | None = None

        def schema(self, schema: Schema) -> TableDescriptor.Builder:
            self._schema = schema
            return self

        def option(self, key: str | ConfigOption[Any], value: Any) -> TableDescriptor.Builder:
            """An option under its whole key."""
            self._options[_key(key)] = to_text(value)
            return self

        def format(
            self, format: str | FormatDescriptor, format_option: ConfigOption[str] | None = None
        ) -> TableDescriptor.Builder:
            """The format of the data, with its options; under another key than `format` if it is given."""
            key = "format" if format_option is None else format_option.key
            if isinstance(format, str):
                format = FormatDescriptor(format)
            name = format.get_format()
            # "key.format" of a format "json" has its options under "key.json.".
            prefix = key.removesuffix("format") + name
            self._options |= {f"{prefix}.{each}": value for each, value in format.get_options().items()}
            self._options[key] = name
            return self

        def partitioned_by(self, *partition_keys: str) -> TableDescriptor.Builder:
            """Columns whose values tell apart where rows are stored."""
            self._partition_keys = partition_keys
            return self

        def comment(self, comment: str) -> TableDescriptor.Builder:
            self._comment = comment
            return self

        def build(self) -> TableDescriptor:
            return TableDescriptor(self._schema, dict(self._options), self._partition_keys, self._comment)


@dataclass(frozen=True)
class FormatDescriptor:
    """A format and its options, without the format's name before them. Made by FormatDescriptor.for_format()."""

    _format: str
    _options: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def for_format(format: str) -> FormatDescriptor.Builder:
        """format : "csv", "json", ..."""
        return FormatDescriptor.Builder(format)

    def get_format(self) -> str:
        return self._format

    def get_options(self) -> dict[str, str]:
        return dict(self._options)

    def __str__(self) -> str:
        return f"{self._format}[{{{', '.join(f'{key}={value}' for key, value in self._options.items())}}}]"

    def __hash__(self) -> int:
        return hash((self._format, frozenset(self._options.items())))

    class Builder:
        """Collects the options of a format."""

        def __init__(self, format: str) -> None:
            self._format = format
            self._options: dict[str, str] = {}

        def option(self, key: str | ConfigOption[Any], value: Any) -> FormatDescriptor.Builder:
            self._options[_key(key)] = to_text(value)
            return self

        def build(self) -> FormatDescriptor:
            return FormatDescriptor(self._format, dict(self._options))


def _key(key: str | ConfigOption[Any]) -> str:
    return key if isinstance(key, str) else key.key
