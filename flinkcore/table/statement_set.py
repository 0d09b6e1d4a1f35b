# SPDX-License-Identifier: Apache-2.0
"""StatementSet: several inserts as one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flinkcore.datastream.data_stream import DataStream
from flinkcore.errors import ConfigurationError
from flinkcore.table.insert import inserted, refuse_overwrite
from flinkcore.table.table import Table
from flinkcore.table.table_descriptor import TableDescriptor
from flinkcore.table.table_result import TableResult

if TYPE_CHECKING:
    from flinkcore.table.table_environment import TableEnvironment

__all__ = ["StatementSet"]


class StatementSet:
    """Collects inserts, and runs them as one job. Made by TableEnvironment.create_statement_set()."""

    def __init__(self, t_env: TableEnvironment) -> None:
        self._t_env = t_env
        self._inserts: list[tuple[str, DataStream]] = []

    def add_insert(
        self, target_path_or_descriptor: str | TableDescriptor, table: Table, overwrite: bool = False
    ) -> StatementSet:
        """The rows of a table into another one, given by its name or as such.

        SchemaError : the columns of the two do not fit
        """
        target = self._t_env._sink_table(target_path_or_descriptor)
        refuse_overwrite(overwrite, target.name)
        self._inserts.append((target.name, inserted(table, target)))
        return self

    def attach_as_datastream(self) -> None:
        """Makes the inserts part of what the stream environment's execute() runs."""
        for _, stream in self._taken():
            self._t_env._planner.release(stream)

    def execute(self) -> TableResult:
        """Runs the inserts as one job."""
        return self._t_env._execute_inserts(self._taken())

    def _taken(self) -> list[tuple[str, DataStream]]:
        if not self._inserts:
            raise ConfigurationError("the statement set has no inserts; add_insert adds one")
        inserts, self._inserts = self._inserts, []
        return inserts
