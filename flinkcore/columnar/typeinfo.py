# SPDX-License-Identifier: Apache-2.0
"""Type information: what PyFlink's Types describe, as plain values.

How a type becomes columns is in flinkcore.columnar.arrow_types. The text forms and the rules of equality are
PyFlink's: two row types are equal when their field types are, whatever the names.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum


class TypeInformation:
    """The type of the records of a stream, of a field, of a state. Immutable."""

    _parts: tuple[object, ...] = ()  # what equality looks at

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TypeInformation) and type(self) is type(other) and self._parts == other._parts
        )

    def __hash__(self) -> int:
        return hash((type(self), self._parts))

    def __repr__(self) -> str:
        return type(self).__name__


class BasicType(Enum):
    """The indivisible types, named as Java names them."""

    STRING = "String"
    BYTE = "Byte"
    BOOLEAN = "Boolean"
    SHORT = "Short"
    INT = "Integer"
    LONG = "Long"
    FLOAT = "Float"
    DOUBLE = "Double"
    CHAR = "Char"
    BIG_INT = "BigInteger"
    BIG_DEC = "BigDecimal"
    INSTANT = "Instant"


class BasicTypeInfo(TypeInformation):
    """Type information of numbers, booleans, strings and instants."""

    def __init__(self, basic_type: BasicType) -> None:
        self.basic_type = basic_type
        self._parts = (basic_type,)

    def __repr__(self) -> str:
        return self.basic_type.value

    @staticmethod
    def STRING_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.STRING)

    @staticmethod
    def BOOLEAN_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.BOOLEAN)

    @staticmethod
    def BYTE_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.BYTE)

    @staticmethod
    def SHORT_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.SHORT)

    @staticmethod
    def INT_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.INT)

    @staticmethod
    def LONG_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.LONG)

    @staticmethod
    def FLOAT_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.FLOAT)

    @staticmethod
    def DOUBLE_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.DOUBLE)

    @staticmethod
    def CHAR_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.CHAR)

    @staticmethod
    def BIG_INT_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.BIG_INT)

    @staticmethod
    def BIG_DEC_TYPE_INFO() -> BasicTypeInfo:
        return BasicTypeInfo(BasicType.BIG_DEC)

    @staticmethod
    def INSTANT_TYPE_INFO() -> InstantTypeInfo:
        return InstantTypeInfo()


class InstantTypeInfo(BasicTypeInfo):
    """Type information of flinkcore.common.Instant."""

    def __init__(self, basic_type: BasicType = BasicType.INSTANT) -> None:
        super().__init__(basic_type)


class DateTypeInfo(TypeInformation):
    """Type information of datetime.date."""


class TimeTypeInfo(TypeInformation):
    """Type information of datetime.time, kept to the millisecond as Flink does."""


class TimestampTypeInfo(TypeInformation):
    """Type information of datetime.datetime, kept to the microsecond."""


class SqlTimeTypeInfo(TypeInformation):
    """The three types of java.sql dates and times."""

    @staticmethod
    def DATE() -> DateTypeInfo:
        return DateTypeInfo()

    @staticmethod
    def TIME() -> TimeTypeInfo:
        return TimeTypeInfo()

    @staticmethod
    def TIMESTAMP() -> TimestampTypeInfo:
        return TimestampTypeInfo()


class LocalTimeTypeInfo(TypeInformation):
    """Type information of java.time's local dates and times."""

    class TimeType(Enum):
        LOCAL_DATE = 0
        LOCAL_TIME = 1
        LOCAL_DATE_TIME = 2

    def __init__(self, time_type: LocalTimeTypeInfo.TimeType) -> None:
        self.time_type = time_type
        self._parts = (time_type,)

    def __repr__(self) -> str:
        return f"LocalTimeTypeInfo<{self.time_type.name}>"


class _ElementsTypeInfo(TypeInformation):
    """Values that hold elements of one type; Python lists."""

    def __init__(self, element_type: TypeInformation) -> None:
        self.element_type = element_type
        self._parts = (element_type,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.element_type}>"


class ListTypeInfo(_ElementsTypeInfo):
    """Type information of lists."""

    @property
    def elem_type(self) -> TypeInformation:
        return self.element_type


class ObjectArrayTypeInfo(_ElementsTypeInfo):
    """Type information of arrays of any type."""


_PRIMITIVE = frozenset(
    (
        BasicType.BOOLEAN,
        BasicType.BYTE,
        BasicType.SHORT,
        BasicType.INT,
        BasicType.LONG,
        BasicType.FLOAT,
        BasicType.DOUBLE,
        BasicType.CHAR,
    )
)


class PrimitiveArrayTypeInfo(_ElementsTypeInfo):
    """Type information of arrays of numbers, without nulls; an array of BYTE is Python bytes."""

    def __init__(self, element_type: TypeInformation) -> None:
        super().__init__(element_type)
        if getattr(element_type, "basic_type", None) not in _PRIMITIVE:
            raise TypeError(
                f"Invalid element type for a primitive array: {element_type}; "
                "expected a number, BOOLEAN or CHAR"
            )


class BasicArrayTypeInfo(_ElementsTypeInfo):
    """Type information of arrays of numbers or strings, nulls allowed."""

    def __init__(self, element_type: TypeInformation) -> None:
        super().__init__(element_type)
        if getattr(element_type, "basic_type", None) not in _PRIMITIVE | {BasicType.STRING}:
            raise TypeError(
                f"Invalid element type for a basic array: {element_type}; expected a number, BOOLEAN, CHAR "
                "or STRING"
            )


class MapTypeInfo(TypeInformation):
    """Type information of dicts."""

    def __init__(self, key_type_info: TypeInformation, value_type_info: TypeInformation) -> None:
        self.key_type = key_type_info
        self.value_type = value_type_info
        self._parts = (key_type_info, value_type_info)

    def __repr__(self) -> str:
        return f"MapTypeInfo<{self.key_type}, {self.value_type}>"


class PickledBytesTypeInfo(TypeInformation):
    """Type information of any Python object: the type of streams for which none was declared."""

    def __repr__(self) -> str:
        return "PickledByteArrayTypeInfo"


class RowTypeInfo(TypeInformation):
    """Type information of Row. Without names, fields are named f0, f1, ..."""

    def __init__(
        self, field_types: Sequence[TypeInformation], field_names: Sequence[str] | None = None
    ) -> None:
        if field_names is not None and len(field_names) != len(field_types):
            raise ValueError(
                f"a row type has as many names as types, not {len(field_names)} and {len(field_types)}"
            )
        self._field_types = list(field_types)
        self._field_names = None if field_names is None else list(field_names)
        self._parts = tuple(field_types)

    def get_field_names(self) -> list[str]:
        return self._field_names or [f"f{i}" for i in range(len(self._field_types))]

    def get_field_index(self, field_name: str) -> int:
        """Position of a field; ValueError when the row has none of this name."""
        return self.get_field_names().index(field_name)

    def get_field_types(self) -> list[TypeInformation]:
        return self._field_types

    def __repr__(self) -> str:
        if self._field_names is None:
            return f"RowTypeInfo({', '.join(map(str, self._field_types))})"
        return (
            "RowTypeInfo("
            + ", ".join(f"{n}: {t}" for n, t in zip(self._field_names, self._field_types))
            + ")"
        )


class TupleTypeInfo(TypeInformation):
    """Type information of Python tuples. A field of a tuple cannot hold None."""

    def __init__(self, field_types: Sequence[TypeInformation]) -> None:
        self._field_types = list(field_types)
        self._parts = tuple(field_types)

    def get_field_types(self) -> list[TypeInformation]:
        return self._field_types

    def __repr__(self) -> str:
        return f"TupleTypeInfo({', '.join(map(str, self._field_types))})"


class ExternalTypeInfo(TypeInformation):
    """Another type, as the Table API hands it to a stream."""

    def __init__(self, type_info: TypeInformation) -> None:
        self.type_info = type_info
        self._parts = (type_info,)

    def __repr__(self) -> str:
        return f"ExternalTypeInfo<{self.type_info}>"
