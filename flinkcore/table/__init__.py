# SPDX-License-Identifier: Apache-2.0
"""The Table API with PyFlink's names: environments, tables, types, windows. Names load when they are first
used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "DataTypes": "types",
    "EnvironmentSettings": "environment_settings",
    "Expression": "expression",
    "FormatDescriptor": "table_descriptor",
    "FunctionContext": "udf",
    "GroupWindowedTable": "table",
    "GroupedTable": "table",
    "ResultKind": "result_kind",
    "ScalarFunction": "udf",
    "Schema": "schema",
    "StatementSet": "statement_set",
    "StreamTableEnvironment": "table_environment",
    "Table": "table",
    "TableConfig": "table_config",
    "TableDescriptor": "table_descriptor",
    "TableEnvironment": "table_environment",
    "TableResult": "table_result",
    "TableSchema": "table_schema",
    "WindowGroupedTable": "table",
}

if TYPE_CHECKING:
    from flinkcore.columnar.row import Row, RowKind
    from flinkcore.table.environment_settings import EnvironmentSettings
    from flinkcore.table.expression import Expression
    from flinkcore.table.result_kind import ResultKind
    from flinkcore.table.schema import Schema
    from flinkcore.table.statement_set import StatementSet
    from flinkcore.table.table import GroupedTable, GroupWindowedTable, Table, WindowGroupedTable
    from flinkcore.table.table_config import TableConfig
    from flinkcore.table.table_descriptor import FormatDescriptor, TableDescriptor
    from flinkcore.table.table_environment import StreamTableEnvironment, TableEnvironment
    from flinkcore.table.table_result import TableResult
    from flinkcore.table.table_schema import TableSchema
    from flinkcore.table.types import DataTypes
    from flinkcore.table.udf import FunctionContext, ScalarFunction

__all__ = [
    "DataTypes", "EnvironmentSettings", "Expression", "FormatDescriptor", "FunctionContext",
    "GroupWindowedTable", "GroupedTable", "ResultKind", "Row", "RowKind", "ScalarFunction", "Schema",
    "StatementSet", "StreamTableEnvironment", "Table", "TableConfig", "TableDescriptor", "TableEnvironment",
    "TableResult", "TableSchema", "WindowGroupedTable",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("Row", "RowKind"):
        return getattr(importlib.import_module("flinkcore.columnar.row"), name)
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'flinkcore.table' has no attribute '{name}'")
    return getattr(importlib.import_module(f"flinkcore.table.{home}"), name)
