# SPDX-License-Identifier: Apache-2.0
"""The data types of the Table API: PyFlink's names and text forms, and the Arrow types that carry their
values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from flinkcore.errors import SchemaError
from flinkcore.expr import logical
from flinkcore.expr.logical import t

LENGTH_MAX = 0x7FFFFFFF
_UNITS = ("s", "ms", "ms", "ms", "us", "us", "us", "ns", "ns", "ns")  # Arrow's unit that holds a precision


class DataType:
    """A type and whether its values can be null. Immutable, compared by content.

    `parts` are the constructor's arguments before nullable, in the order in which repr shows them.
    """

    sql_name: ClassVar[str] = ""
    arrow: ClassVar[pa.DataType | None] = None

    def __init__(self, nullable: bool = True) -> None:
        self._nullable = nullable

    @property
    def nullable(self) -> bool:
        return self._nullable

    def _parts(self) -> tuple[Any, ...]:
        return ()

    def to_arrow(self) -> pa.DataType:
        """The Arrow type that carries the values. SchemaError for a type that this version cannot carry."""
        if self.arrow is None:
            raise SchemaError(f"{self.as_summary_string()} columns are not supported")
        return self.arrow

    def _sql(self) -> str:
        return self.sql_name

    def as_summary_string(self) -> str:
        """The type in SQL: `BIGINT NOT NULL`."""
        return self._sql() + ("" if self._nullable else " NOT NULL")

    def not_null(self) -> DataType:
        """The same type, without null."""
        return self._with_nullable(False)

    def _with_nullable(self, nullable: bool) -> DataType:
        if nullable == self._nullable:
            return self
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, _nullable=nullable)
        return other

    def __repr__(self) -> str:
        parts = (*map(str, self._parts()), str(self._nullable).lower())
        return f"{type(self).__name__}({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(repr(self))


class AtomicType(DataType):
    """A type without inner types."""


class NumericType(AtomicType):
    """A number."""


class IntegralType(NumericType):
    """A whole number."""


class FractionalType(NumericType):
    """A number with a fraction."""


class NullType(AtomicType):
    sql_name, arrow = "NULL", logical.NULL

    def __init__(self) -> None:
        super().__init__(True)


class BooleanType(AtomicType):
    sql_name, arrow = "BOOLEAN", logical.BOOLEAN


class TinyIntType(IntegralType):
    sql_name, arrow = "TINYINT", logical.INT8


class SmallIntType(IntegralType):
    sql_name, arrow = "SMALLINT", logical.INT16


class IntType(IntegralType):
    sql_name, arrow = "INT", logical.INT32


class BigIntType(IntegralType):
    sql_name, arrow = "BIGINT", logical.INT64


class FloatType(FractionalType):
    sql_name, arrow = "FLOAT", logical.FLOAT


class DoubleType(FractionalType):
    sql_name, arrow = "DOUBLE", logical.DOUBLE


class DateType(AtomicType):
    sql_name, arrow = "DATE", logical.DATE


class _LengthType(AtomicType):
    unbounded = ""  # the name without a length

    def __init__(self, length: int = 1, nullable: bool = True) -> None:
        super().__init__(nullable)
        self.length = length

    def _parts(self) -> tuple[Any, ...]:
        return (self.length,)

    def _sql(self) -> str:
        return (
            self.unbounded
            if self.unbounded and self.length == LENGTH_MAX
            else f"{self.sql_name}({self.length})"
        )


class CharType(_LengthType):
    sql_name, arrow = "CHAR", logical.STRING


class VarCharType(_LengthType):
    sql_name, arrow, unbounded = "VARCHAR", logical.STRING, "STRING"


class BinaryType(_LengthType):
    sql_name, arrow = "BINARY", logical.BYTES


class VarBinaryType(_LengthType):
    sql_name, arrow, unbounded = "VARBINARY", logical.BYTES, "BYTES"


class DecimalType(FractionalType):
    def __init__(self, precision: int = 10, scale: int = 0, nullable: bool = True) -> None:
        super().__init__(nullable)
        if not (1 <= precision <= 38 and 0 <= scale <= precision):
            raise SchemaError(
                f"DECIMAL({precision}, {scale}): expected a precision from 1 to 38 and a scale from 0 to it"
            )
        self.precision = precision
        self.scale = scale

    def _parts(self) -> tuple[Any, ...]:
        return (self.precision, self.scale)

    def _sql(self) -> str:
        return f"DECIMAL({self.precision}, {self.scale})"

    def to_arrow(self) -> pa.DataType:
        return pa.decimal128(self.precision, self.scale)


class _PrecisionType(AtomicType):
    def __init__(self, precision: int = 6, nullable: bool = True) -> None:
        super().__init__(nullable)
        if not 0 <= precision <= 9:
            raise SchemaError(f"{self.sql_name}({precision}): expected a precision from 0 to 9")
        self.precision = precision

    def _parts(self) -> tuple[Any, ...]:
        return (self.precision,)

    def _sql(self) -> str:
        return f"{self.sql_name}({self.precision})"


class TimeType(_PrecisionType):
    sql_name = "TIME"

    def __init__(self, precision: int = 0, nullable: bool = True) -> None:
        super().__init__(precision, nullable)

    def to_arrow(self) -> pa.DataType:
        unit = _UNITS[self.precision]
        return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)


class TimestampType(_PrecisionType):
    sql_name = "TIMESTAMP"

    def to_arrow(self) -> pa.DataType:
        return pa.timestamp(_UNITS[self.precision])


class LocalZonedTimestampType(_PrecisionType):
    sql_name = "TIMESTAMP_LTZ"

    def to_arrow(self) -> pa.DataType:
        return pa.timestamp(_UNITS[self.precision], "UTC")


class ArrayType(DataType):
    def __init__(self, element_type: DataType, nullable: bool = True) -> None:
        super().__init__(nullable)
        self.element_type = element_type

    def _parts(self) -> tuple[Any, ...]:
        return (self.element_type,)

    def _sql(self) -> str:
        return f"ARRAY<{self.element_type.as_summary_string()}>"

    def to_arrow(self) -> pa.DataType:
        return pa.list_(pa.field("item", self.element_type.to_arrow(), self.element_type.nullable))


class MapType(DataType):
    def __init__(self, key_type: DataType, value_type: DataType, nullable: bool = True) -> None:
        super().__init__(nullable)
        self.key_type = key_type
        self.value_type = value_type

    def _parts(self) -> tuple[Any, ...]:
        return (self.key_type, self.value_type)

    def _sql(self) -> str:
        return f"MAP<{self.key_type.as_summary_string()}, {self.value_type.as_summary_string()}>"

    def to_arrow(self) -> pa.DataType:
        return pa.map_(self.key_type.to_arrow(), self.value_type.to_arrow())


class RowField:
    """A field of a row type."""

    def __init__(self, name: str, data_type: DataType, description: str | None = None) -> None:
        self.name = name
        self.data_type = data_type
        self.description = description

    def __repr__(self) -> str:
        if self.description is None:
            return f"RowField({self.name}, {self.data_type!r}, ...)"
        return f"RowField({self.name}, {self.data_type!r}, {self.description})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowField) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self.name, self.data_type))


class RowType(DataType):
    """Named fields. Iterates and indexes (by position or name) as its fields."""

    def __init__(self, fields: Sequence[RowField] | None = None, nullable: bool = True) -> None:
        super().__init__(nullable)
        self.fields = list(fields or [])
        if not all(isinstance(field, RowField) for field in self.fields):
            raise SchemaError(
                "a ROW type takes fields: DataTypes.ROW([DataTypes.FIELD('name', DataTypes.BIGINT())])"
            )

    def add(self, field: RowField | str, data_type: DataType | None = None) -> RowType:
        """Adds a field, given as such or by name and type, and returns the type."""
        if isinstance(field, str):
            if data_type is None:
                raise ValueError("Must specify DataType if passing name of row_field to create.")
            field = RowField(field, data_type)
        self.fields.append(field)
        return self

    @property
    def names(self) -> list[str]:
        return [field.name for field in self.fields]

    def field_names(self) -> list[str]:
        return self.names

    def field_types(self) -> list[DataType]:
        return [field.data_type for field in self.fields]

    def __iter__(self) -> Iterator[RowField]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, str):
            for field in self.fields:
                if field.name == key:
                    return field
            raise KeyError(f"No RowField named {key}")
        return RowType(self.fields[key]) if isinstance(key, slice) else self.fields[key]

    def __repr__(self) -> str:
        return f"RowType({','.join(map(repr, self.fields))})"

    def _sql(self) -> str:
        return "ROW<" + ", ".join(f"`{f.name}` {f.data_type.as_summary_string()}" for f in self.fields) + ">"

    def to_arrow(self) -> pa.DataType:
        return pa.struct(
            [pa.field(f.name, f.data_type.to_arrow(), f.data_type.nullable) for f in self.fields]
        )

    def to_arrow_schema(self) -> pa.Schema:
        """The fields as columns."""
        return pa.schema([(f.name, f.data_type.to_arrow()) for f in self.fields])


class DayTimeIntervalType(AtomicType):
    sql_name, arrow = "INTERVAL SECOND(3)", logical.INTERVAL


class YearMonthIntervalType(AtomicType):
    sql_name, arrow = "INTERVAL MONTH", logical.MONTHS


class RawType(AtomicType):
    """A Python object."""

    sql_name = "RAW"


def of_arrow(type: pa.DataType | None, nullable: bool = True) -> DataType:
    """The data type of a column."""
    simple = next(
        (
            kind
            for kind in (
                BooleanType,
                TinyIntType,
                SmallIntType,
                IntType,
                BigIntType,
                FloatType,
                DoubleType,
                DateType,
                DayTimeIntervalType,
                YearMonthIntervalType,
            )
            if kind.arrow == type
        ),
        None,
    )
    if type is None:
        return RawType(nullable)
    if type == logical.NULL:
        return NullType()
    if simple is not None:
        return simple(nullable)
    if logical.is_string(type):
        return VarCharType(LENGTH_MAX, nullable)
    if t.is_binary(type):
        return VarBinaryType(LENGTH_MAX, nullable)
    if t.is_decimal(type):
        return DecimalType(type.precision, type.scale, nullable)
    if t.is_timestamp(type):
        kind = LocalZonedTimestampType if type.tz else TimestampType
        return kind(logical.UNIT_DIGITS[type.unit], nullable)
    if t.is_time(type):
        return TimeType(logical.UNIT_DIGITS[type.unit], nullable)
    if t.is_map(type):
        return MapType(of_arrow(type.key_type, False), of_arrow(type.item_type), nullable)
    if t.is_struct(type):
        fields = (type.field(i) for i in range(type.num_fields))
        return RowType(
            [RowField(field.name, of_arrow(field.type, field.nullable)) for field in fields], nullable
        )
    if t.is_list(type) or t.is_large_list(type) or t.is_fixed_size_list(type):
        return ArrayType(of_arrow(type.value_type), nullable)
    if t.is_integer(type):
        wider = {8: SmallIntType, 16: IntType}.get(type.bit_width, BigIntType)  # unsigned
        return wider(nullable)
    raise SchemaError(
        f"Arrow type {type} has no counterpart in Flink; cast the column before it enters the table"
    )


class DataTypes:
    """The constructors of data types: DataTypes.BIGINT(), DataTypes.ROW([DataTypes.FIELD("a", ...)])."""

    @staticmethod
    def NULL() -> NullType:
        return NullType()

    @staticmethod
    def CHAR(length: int, nullable: bool = True) -> CharType:
        return CharType(length, nullable)

    @staticmethod
    def VARCHAR(length: int, nullable: bool = True) -> VarCharType:
        return VarCharType(length, nullable)

    @staticmethod
    def STRING(nullable: bool = True) -> VarCharType:
        return VarCharType(LENGTH_MAX, nullable)

    @staticmethod
    def BOOLEAN(nullable: bool = True) -> BooleanType:
        return BooleanType(nullable)

    @staticmethod
    def BINARY(length: int, nullable: bool = True) -> BinaryType:
        return BinaryType(length, nullable)

    @staticmethod
    def VARBINARY(length: int, nullable: bool = True) -> VarBinaryType:
        return VarBinaryType(length, nullable)

    @staticmethod
    def BYTES(nullable: bool = True) -> VarBinaryType:
        return VarBinaryType(LENGTH_MAX, nullable)

    @staticmethod
    def DECIMAL(precision: int, scale: int, nullable: bool = True) -> DecimalType:
        return DecimalType(precision, scale, nullable)

    @staticmethod
    def TINYINT(nullable: bool = True) -> TinyIntType:
        return TinyIntType(nullable)

    @staticmethod
    def SMALLINT(nullable: bool = True) -> SmallIntType:
        return SmallIntType(nullable)

    @staticmethod
    def INT(nullable: bool = True) -> IntType:
        return IntType(nullable)

    @staticmethod
    def BIGINT(nullable: bool = True) -> BigIntType:
        return BigIntType(nullable)

    @staticmethod
    def FLOAT(nullable: bool = True) -> FloatType:
        return FloatType(nullable)

    @staticmethod
    def DOUBLE(nullable: bool = True) -> DoubleType:
        return DoubleType(nullable)

    @staticmethod
    def DATE(nullable: bool = True) -> DateType:
        return DateType(nullable)

    @staticmethod
    def TIME(precision: int = 0, nullable: bool = True) -> TimeType:
        return TimeType(precision, nullable)

    @staticmethod
    def TIMESTAMP(precision: int = 6, nullable: bool = True) -> TimestampType:
        return TimestampType(precision, nullable)

    @staticmethod
    def TIMESTAMP_LTZ(precision: int = 6, nullable: bool = True) -> LocalZonedTimestampType:
        return LocalZonedTimestampType(precision, nullable)

    TIMESTAMP_WITH_LOCAL_TIME_ZONE = TIMESTAMP_LTZ

    @staticmethod
    def ARRAY(element_type: DataType, nullable: bool = True) -> ArrayType:
        return ArrayType(element_type, nullable)

    @staticmethod
    def MAP(key_type: DataType, value_type: DataType, nullable: bool = True) -> MapType:
        return MapType(key_type, value_type, nullable)

    @staticmethod
    def ROW(row_fields: Sequence[RowField] = (), nullable: bool = True) -> RowType:
        return RowType(row_fields, nullable)

    @staticmethod
    def FIELD(name: str, data_type: DataType, description: str | None = None) -> RowField:
        return RowField(name, data_type, description)
