# SPDX-License-Identifier: Apache-2.0
"""The tables and views that an environment knows by name.

There is one catalog with one database, under Flink's default names, which may stand before the name of a table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flinkcore.errors import ConfigurationError
from flinkcore.table.table import Table
from flinkcore.table.table_descriptor import TableDescriptor

CATALOG = "default_catalog"
DATABASE = "default_database"

_PART = re.compile(r"`((?:[^`]|``)*)`|([^`.]+)")


@dataclass(frozen=True)
class NamedTable:
    """What a name stands for: a Table is a view."""

    meaning: TableDescriptor | Table
    temporary: bool

    @property
    def is_view(self) -> bool:
        return isinstance(self.meaning, Table)

    @property
    def kind(self) -> str:
        return ("temporary " if self.temporary else "") + ("view" if self.is_view else "table")


class NamedTables:
    """Names of tables. A temporary table hides another one of its name."""

    def __init__(self) -> None:
        self._named: dict[tuple[str, bool], NamedTable] = {}

    def add(self, path: str, table: NamedTable, ignore_if_exists: bool = False) -> None:
        """Gives a table a name. ConfigurationError when it has another meaning already."""
        name = table_name(path)
        if (name, table.temporary) not in self._named:
            self._named[name, table.temporary] = table
        elif not ignore_if_exists:
            kind = self._named[name, table.temporary].kind
            raise ConfigurationError(
                f"{kind.capitalize()} '{identifier(name, quoted=True)}' already exists; drop it first"
            )

    def drop(self, path: str, view: bool, temporary: bool) -> bool:
        """Forgets a name; whether there was one."""
        key = (table_name(path), temporary)
        found = self._named.get(key)
        if found is None or found.is_view is not view:
            return False
        del self._named[key]
        return True

    def find(self, path: str) -> NamedTable:
        """ConfigurationError, with the names that there are, when there is none of this name."""
        name = table_name(path)
        found = self._named.get((name, True)) or self._named.get((name, False))
        if found is None:
            known = ", ".join(self.names()) or "none"
            raise ConfigurationError(f"there is no table or view '{name}'; there are: {known}")
        return found

    def names(self, view: bool | None = None, temporary: bool | None = None) -> list[str]:
        """The names of all tables and views, or of those that are as asked, in order."""
        return sorted({
            name
            for (name, is_temporary), table in self._named.items()
            if view in (None, table.is_view) and temporary in (None, is_temporary)
        })  # fmt: skip


def table_name(path: str) -> str:
    """The name of a table in a path: with or without the catalog and database, in backquotes or not."""
    parts = [(quoted or plain).replace("``", "`") for quoted, plain in _PART.findall(path)]
    if not parts or parts[:-1] not in ([], [DATABASE], [CATALOG, DATABASE]):
        raise ConfigurationError(
            f"'{path}' is no path of a table: there is one catalog, {CATALOG}, with one database, {DATABASE}"
        )
    return parts[-1]


def identifier(name: str, quoted: bool = False) -> str:
    """The whole path of a table."""
    return ".".join(f"`{part}`" if quoted else part for part in (CATALOG, DATABASE, name))
