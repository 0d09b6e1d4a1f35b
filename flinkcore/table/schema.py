# SPDX-License-Identifier: Apache-2.0
"""Schema: the columns of a table as a program declares them, before anything is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flinkcore.errors import SchemaError
from flinkcore.table.expression import Expression
from flinkcore.table.table_schema import ResolvedSchema
from flinkcore.table.type_text import parse_type
from flinkcore.table.types import DataType, RowType

__all__ = ["Schema"]


@dataclass(frozen=True)
class PhysicalColumn:
    """A column that the connector reads or writes."""

    name: str
    type: DataType | str

    @property
    def data_type(self) -> DataType:
        return parse_type(self.type) if isinstance(self.type, str) else self.type

    def __str__(self) -> str:
        return f"`{self.name}` {_type_text(self.type)}"


@dataclass(frozen=True)
class ComputedColumn:
    """A column that is computed from others; a text is an expression of SQL."""

    name: str
    expression: Expression | str

    def __str__(self) -> str:
        return f"`{self.name}` AS [{self.expression}]"


@dataclass(frozen=True)
class MetadataColumn:
    """A column that the connector knows beside the data."""

    name: str
    type: DataType | str
    key: str | None
    is_virtual: bool

    def __str__(self) -> str:
        key = f" FROM '{self.key}'" if self.key is not None else ""
        return f"`{self.name}` {_type_text(self.type)} METADATA{key}{' VIRTUAL' if self.is_virtual else ''}"


@dataclass(frozen=True)
class Watermark:
    """How far the event time of a column has come; a text is an expression of SQL."""

    column: str
    expression: Expression | str

    def __str__(self) -> str:
        return f"WATERMARK FOR `{self.column}` AS [{self.expression}]"


@dataclass(frozen=True)
class PrimaryKey:
    """Columns that tell rows apart. The data is believed to keep it."""

    name: str
    columns: tuple[str, ...]

    def __str__(self) -> str:
        columns = ", ".join(f"`{column}`" for column in self.columns)
        return f"CONSTRAINT `{self.name}` PRIMARY KEY ({columns}) NOT ENFORCED"


Column = PhysicalColumn | ComputedColumn | MetadataColumn


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order, with its watermarks and its primary key. Made by Schema.new_builder()."""

    columns: tuple[Column, ...] = ()
    watermarks: tuple[Watermark, ...] = ()
    key: PrimaryKey | None = None

    @staticmethod
    def new_builder() -> Schema.Builder:
        return Schema.Builder()

    def __str__(self) -> str:
        parts = [*self.columns, *self.watermarks, *([] if self.key is None else [self.key])]
        return "(\n" + ",\n".join(f"  {part}" for part in parts) + "\n)"

    class Builder:
        """Adds what a schema has, one by one. Nothing is checked before a table is made of it."""

        def __init__(self) -> None:
            self._schema = Schema()

        def build(self) -> Schema:
            return self._schema

        def from_schema(self, unresolved_schema: Schema) -> Schema.Builder:
            """All that another schema has."""
            other = unresolved_schema
            self._add(*other.columns)
            self._schema = replace(
                self._schema,
                watermarks=self._schema.watermarks + other.watermarks,
                key=other.key or self._schema.key,
            )
            return self

        def from_resolved_schema(self, resolved_schema: ResolvedSchema) -> Schema.Builder:
            """The columns of a table."""
            return self._add(*(PhysicalColumn(c.name, c.data_type) for c in resolved_schema.columns))

        def from_row_data_type(self, data_type: DataType) -> Schema.Builder:
            """The fields of a row type as columns."""
            if not isinstance(data_type, RowType):
                raise SchemaError(f"from_row_data_type takes DataTypes.ROW(...), got {data_type!r}")
            return self._add(*(PhysicalColumn(field.name, field.data_type) for field in data_type))

        def from_fields(
            self, field_names: Sequence[str], field_data_types: Sequence[DataType]
        ) -> Schema.Builder:
            """Columns by their names and types, which are equally many."""
            if len(field_names) != len(field_data_types):
                raise SchemaError(
                    f"from_fields got {len(field_names)} names for {len(field_data_types)} types"
                )
            return self._add(*map(PhysicalColumn, field_names, field_data_types))

        def column(self, column_name: str, data_type: DataType | str) -> Schema.Builder:
            """A column that is read or written. data_type : also as text: "BIGINT NOT NULL"."""
            return self._add(PhysicalColumn(column_name, data_type))

        def column_by_expression(self, column_name: str, expr: Expression | str) -> Schema.Builder:
            """A column that is computed from others. expr : a text is an expression of SQL."""
            return self._add(ComputedColumn(column_name, expr))

        def column_by_metadata(
            self,
            column_name: str,
            data_type: DataType | str,
            metadata_key: str | None = None,
            is_virtual: bool = False,
        ) -> Schema.Builder:
            """A column that the connector knows beside the data. is_virtual : it is not written."""
            return self._add(MetadataColumn(column_name, data_type, metadata_key, is_virtual))

        def watermark(self, column_name: str, watermark_expr: Expression | str) -> Schema.Builder:
            """The column is the event time; the expression says how far it has come with a row."""
            watermark = Watermark(column_name, watermark_expr)
            self._schema = replace(self._schema, watermarks=(*self._schema.watermarks, watermark))
            return self

        def primary_key(self, *column_names: str) -> Schema.Builder:
            """Columns that tell rows apart."""
            return self.primary_key_named("_".join(["PK", *column_names]), *column_names)

        def primary_key_named(self, constraint_name: str, *column_names: str) -> Schema.Builder:
            """Columns that tell rows apart, under a name."""
            self._schema = replace(self._schema, key=PrimaryKey(constraint_name, column_names))
            return self

        def _add(self, *columns: Column) -> Schema.Builder:
            self._schema = replace(self._schema, columns=self._schema.columns + columns)
            return self


def _type_text(type: DataType | str) -> str:
    return f"[{type}]" if isinstance(type, str) else type.as_summary_string()
