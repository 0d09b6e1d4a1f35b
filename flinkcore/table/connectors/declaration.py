# SPDX-License-Identifier: Apache-2.0
"""Declaration: a table as a connector sees it, with options that are taken one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from flinkcore.columnar.schema import Schema
from flinkcore.config import OptionType, convert
from flinkcore.errors import ConfigurationError
from flinkcore.table.schema import PhysicalColumn

_FOR_ALL = ("connector", "format")


class Declaration:
    """The name of a table, the columns that its connector has, and its options.

    option() and required() take an option; check_options() says which were never taken, and which there are.
    """

    def __init__(self, name: str, columns: Sequence[PhysicalColumn], options: Mapping[str, str]) -> None:
        self.name = name
        self.columns = {column.name: column.data_type for column in columns}
        self._options = options
        self._known: set[str] = set(_FOR_ALL)

    def with_columns(self, columns: Sequence[PhysicalColumn]) -> Declaration:
        """The same table with these columns."""
        return Declaration(self.name, columns, self._options)

    @property
    def schema(self) -> Schema:
        """The columns of the connector."""
        return Schema(list(self.columns), [type.to_arrow() for type in self.columns.values()])

    def option(self, key: str, type: OptionType, default: Any = None, choices: tuple[str, ...] = ()) -> Any:
        """The value of an option as one of its type; `default` where it is not set."""
        self._known.add(key)
        if key not in self._options:
            return default
        text = self._options[key]
        try:
            return convert(text, type, choices)
        except (ConfigurationError, ValueError) as error:
            reason = f": {error}" if choices else ""
            self.refuse(f"option '{key}' takes a value of type {type}, got '{text}'{reason}")

    def required(self, key: str, type: OptionType, choices: tuple[str, ...] = ()) -> Any:
        """The value of an option that has no default."""
        value = self.option(key, type, choices=choices)
        if value is None:
            self.refuse(f"option '{key}' is missing")
        return value

    def check_options(self) -> None:
        """ConfigurationError for options that nobody took."""
        unknown = sorted(set(self._options) - self._known)
        if unknown:
            self.refuse(
                f"connector '{self._options['connector']}' has no option {', '.join(map(repr, unknown))} for this "
                f"table; it has {', '.join(sorted(self._known))}"
            )

    def refuse(self, message: str) -> NoReturn:
        raise ConfigurationError(f"table '{self.name}': {message}")
