# SPDX-License-Identifier: Apache-2.0
"""Type information: what PyFlink's Types describe, as plain values.

How a type becomes columns is in flinkcore.columnar.arrow_types. The text forms and the rules of equality are
PyFlink's: two row types are equal when their field types are, whatever the names. So are the internal forms of
values (to_internal_type, from_internal_type), which nothing here uses: values live in columns.
"""

from __future__ import annotations

import calendar
import datetime
import time
from collections.abc import Sequence
from enum import Enum
from typing import Any

from flinkcore.columnar.instant import Instant
from flinkcore.columnar.row import Row, RowKind
from flinkcore.errors import UnsupportedOperationError

MICROSECONDS = 10**6


class TypeInformation:
    """The type of the records of a stream, of a field, of a state. Immutable."""

    _parts: tuple[object, ...] = ()  # what equality looks at

    def need_conversion(self) -> bool:
        """Whether the internal form of a value differs from the value."""
        return False

    def to_internal_type(self, obj: Any) -> Any:
        """A value in the form that PyFlink's serializers take."""
        return obj

    def from_internal_type(self, obj: Any) -> Any:
        """The value of an internal form."""
        return obj

    def get_java_type_info(self) -> Any:
        """UnsupportedOperationError: there is no JVM."""
        raise UnsupportedOperationError(
            f"{self!r} has no Java object: flinkcore runs without a JVM; use the type information itself"
        )

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

    def need_conversion(self) -> bool:
        return True

    def to_internal_type(self, obj: Any) -> Any:
        """Microseconds since the epoch."""
        return obj.to_epoch_milli() * 1000

    def from_internal_type(self, obj: Any) -> Any:
        return Instant.of_epoch_milli(obj // 1000)


class _ConvertedTypeInfo(TypeInformation):
    """Values whose internal form is a number; None stays None."""

    def need_conversion(self) -> bool:
        return True


class DateTypeInfo(_ConvertedTypeInfo):
    """Type information of datetime.date."""

    EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()

    def to_internal_type(self, d: Any) -> Any:
        """Days since the epoch."""
        return None if d is None else d.toordinal() - self.EPOCH_ORDINAL

    def from_internal_type(self, v: Any) -> Any:
        return None if v is None else datetime.date.fromordinal(v + self.EPOCH_ORDINAL)


class TimeTypeInfo(_ConvertedTypeInfo):
    """Type information of datetime.time, kept to the millisecond as Flink does."""

    #: Microseconds from the epoch in this machine's time zone to the epoch.
    EPOCH_ORDINAL = calendar.timegm(time.localtime(0)) * MICROSECONDS

    def to_internal_type(self, t: Any) -> Any:
        """Microseconds since midnight, in UTC; a time without a zone is one of this machine's zone."""
        if t is None:
            return None
        offset = self.EPOCH_ORDINAL
        if t.tzinfo is not None:
            offset = (t.utcoffset() or datetime.timedelta()) // datetime.timedelta(microseconds=1)
        return ((t.hour * 60 + t.minute) * 60 + t.second) * MICROSECONDS + t.microsecond - offset

    def from_internal_type(self, t: Any) -> Any:
        if t is None:
            return None
        seconds, microseconds = divmod(t + self.EPOCH_ORDINAL, MICROSECONDS)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return datetime.time(hours, minutes, seconds, microseconds)


class TimestampTypeInfo(_ConvertedTypeInfo):
    """Type information of datetime.datetime, kept to the microsecond."""

    def to_internal_type(self, dt: Any) -> Any:
        """Microseconds since the epoch; a datetime without a zone is one of this machine's zone."""
        if dt is None:
            return None
        seconds = calendar.timegm(dt.utctimetuple()) if dt.tzinfo else time.mktime(dt.timetuple())
        return int(seconds) * MICROSECONDS + dt.microsecond

    def from_internal_type(self, ts: Any) -> Any:
        if ts is None:
            return None
        seconds, microseconds = divmod(ts, MICROSECONDS)
        return datetime.datetime.fromtimestamp(seconds).replace(microsecond=microseconds)


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

    def need_conversion(self) -> bool:
        return True

    def to_internal_type(self, obj: Any) -> Any:
        """The number of the row kind, then the fields. Rows, tuples, lists, dicts and objects with attributes are
        taken; ValueError for anything else."""
        if obj is None:
            return None
        kind = obj.get_row_kind() if isinstance(obj, Row) else RowKind.INSERT
        if isinstance(obj, Row):
            fields = obj.get_fields_by_names(self.get_field_names())
        elif isinstance(obj, (list, tuple)):
            fields = list(obj)
        elif isinstance(obj, dict) or hasattr(obj, "__dict__"):
            by_name = obj if isinstance(obj, dict) else vars(obj)
            fields = [by_name.get(name) for name in self.get_field_names()]
        else:
            raise ValueError(f"Unexpected tuple {obj!r} with RowTypeInfo")
        return kind.value, *_to_internal(self._field_types, fields)

    def from_internal_type(self, obj: Any) -> Any:
        """A tuple of the fields."""
        return _from_internal(self._field_types, obj)

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

    def need_conversion(self) -> bool:
        return True

    def to_internal_type(self, obj: Any) -> Any:
        """A tuple of the fields. ValueError: it is neither a tuple nor a list nor a Row."""
        if obj is None:
            return None
        if not isinstance(obj, (list, tuple, Row)):
            raise ValueError(f"Unexpected tuple {obj!r} with TupleTypeInfo")
        return _to_internal(self._field_types, list(obj))

    def from_internal_type(self, obj: Any) -> Any:
        return _from_internal(self._field_types, obj)

    def __repr__(self) -> str:
        return f"TupleTypeInfo({', '.join(map(str, self._field_types))})"


class ExternalTypeInfo(TypeInformation):
    """Another type, as the Table API hands it to a stream."""

    def __init__(self, type_info: TypeInformation) -> None:
        self.type_info = type_info
        self._parts = (type_info,)

    def __repr__(self) -> str:
        return f"ExternalTypeInfo<{self.type_info}>"


def _to_internal(types: Sequence[TypeInformation], fields: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(type_info.to_internal_type(field) for type_info, field in zip(types, fields))


def _from_internal(types: Sequence[TypeInformation], obj: Any) -> Any:
    # PyFlink's pickler converts the fields of tuples and lists itself.
    if obj is None or isinstance(obj, (tuple, list)):
        return obj
    return tuple(type_info.from_internal_type(field) for type_info, field in zip(types, obj))
