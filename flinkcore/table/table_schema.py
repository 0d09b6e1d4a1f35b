# SPDX-License-Identifier: Apache-2.0
"""The schema of a table: as PyFlink's TableSchema, and as the resolved schema that print_schema shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from flinkcore.columnar.schema import Schema
from flinkcore.table.types import DataType, RowField, RowType, of_arrow


@dataclass(frozen=True)
class Column:
    """A column of a table. time : "" for a plain one, "ROWTIME" or "PROCTIME" for a time attribute."""

    name: str
    data_type: DataType
    time: str = ""

    @property
    def arrow(self) -> pa.DataType:
        return self.data_type.to_arrow()

    def renamed(self, name: str) -> Column:
        return replace(self, name=name)

    def summary(self) -> str:
        return self.data_type.as_summary_string() + (f" *{self.time}*" if self.time else "")


@dataclass(frozen=True)
class ResolvedSchema:
    """Names, types and time attributes of a table's columns. str() is what print_schema prints."""

    columns: tuple[Column, ...]

    def get_column_count(self) -> int:
        return len(self.columns)

    def get_column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    def get_column_data_types(self) -> list[DataType]:
        return [column.data_type for column in self.columns]

    def __str__(self) -> str:
        return "(\n" + ",\n".join(f"  `{column.name}` {column.summary()}" for column in self.columns) + "\n)"

    @staticmethod
    def of(schema: Schema) -> ResolvedSchema:
        return ResolvedSchema(tuple(Column(n, of_arrow(type)) for n, type in zip(schema.names, schema.types)))


class TableSchema:
    """Names and types of a table's columns."""

    class Builder:
        """Adds columns one by one."""

        def __init__(self) -> None:
            self._fields: list[tuple[str, DataType]] = []

        def field(self, name: str, data_type: DataType) -> TableSchema.Builder:
            self._fields.append((name, data_type))
            return self

        def build(self) -> TableSchema:
            return TableSchema([name for name, _ in self._fields], [type for _, type in self._fields])

    def __init__(
        self,
        field_names: Sequence[str] | None = None,
        data_types: Sequence[DataType] | None = None,
        times: Sequence[str] | None = None,
    ) -> None:
        self._names = list(field_names or [])
        self._types = list(data_types or [])
        self._times = list(times or [""] * len(self._names))

    @classmethod
    def builder(cls) -> TableSchema.Builder:
        return TableSchema.Builder()

    def copy(self) -> TableSchema:
        return TableSchema(self._names, self._types, self._times)

    def get_field_data_types(self) -> list[DataType]:
        return self._types

    def get_field_data_type(self, field: int | str) -> DataType | None:
        """The type of a column by position or name; None when there is no such column."""
        index = field if isinstance(field, int) else self._names.index(field) if field in self._names else -1
        return self._types[index] if 0 <= index < len(self._types) else None

    def get_field_count(self) -> int:
        return len(self._names)

    def get_field_names(self) -> list[str]:
        return self._names

    def get_field_name(self, field_index: int) -> str | None:
        return self._names[field_index] if 0 <= field_index < len(self._names) else None

    def to_row_data_type(self) -> RowType:
        return RowType([RowField(name, type) for name, type in zip(self._names, self._types)])

    def __repr__(self) -> str:
        lines = (
            f" |-- {name}: {type.as_summary_string()}" + (f" *{time}*" if time else "") + "\n"
            for name, type, time in zip(self._names, self._types, self._times)
        )
        return "root\n" + "".join(lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TableSchema) and self._names == other._names and self._types == other._types

    def __hash__(self) -> int:
        return hash(tuple(self._names))
