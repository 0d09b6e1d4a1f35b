# SPDX-License-Identifier: Apache-2.0
"""Codecs: values of a declared type as an Arrow column and back, for snapshots.

What comes back is equal to what went in and of the same Python types. A column of state is therefore wider than
a column of a stream (columnar/arrow_types.py) where a stream loses something:

    FLOAT             float64      state is not rounded to 32 bits (state/types.py)
    SQL_TIME          time64[us]   and LOCAL_TIME
    INSTANT           struct<seconds: int64, nanos: int32>
    BIG_INT BIG_DEC   string       decimal digits; a Decimal keeps its exponent
    ROW               struct, and a last field "$row_kind" of Flink's numbers, as RowSerializer keeps it
    TUPLE             struct
    PICKLED, none     binary       pickles, the only type that has them; read only where that is allowed

The others are those of a stream. A description is the same in values of JSON: {"type": "LIST", "element": {"type":
"LONG"}}. It stands in every snapshot, so that state can be read, checked and migrated without the program.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from io import BytesIO
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore._native.column import Column
from flinkcore._native.values import detached
from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.arrow_types import is_tuple_type, type_info_of_arrow
from flinkcore.columnar.decode import to_pylist
from flinkcore.columnar.encode import from_pylist
from flinkcore.columnar.fields import ValueFault, split_fields
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.row import ROW_KINDS, make_row
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import BasicType
from flinkcore.errors import SchemaError, StateFormatError
from flinkcore.state.serializer import TypeSerializer

Description = dict[str, Any]
ROW_KIND = "$row_kind"


class Codec:
    """Values of one type as a column.

    type : the column's Arrow type
    immutable : whether nobody can change a value in place, so that it may be shared with a snapshot
    """

    type: pa.DataType
    immutable = False

    def copy(self, value: Any) -> Any:
        """A copy of a value, to change in place; see flinkcore._native.values."""
        return detached(value)

    def describe(self) -> Description:
        """The type in values of JSON; see codec_of_description."""
        raise NotImplementedError(type(self).__name__)

    def encode(self, values: list[Any]) -> pa.Array:
        """A column of values, None as null. ValueFault for the first value that does not fit."""
        raise NotImplementedError(type(self).__name__)

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        """The values of a column. ValueError for what is no such value, or is pickled and that is not allowed."""
        raise NotImplementedError(type(self).__name__)


class _Plain(Codec):
    """A type whose columns in streams and in state are the same."""

    immutable = True

    def __init__(self, name: str, type: pa.DataType) -> None:
        self.name = name
        self.type = type

    def describe(self) -> Description:
        return {"type": self.name}

    def encode(self, values: list[Any]) -> pa.Array:
        return from_pylist(values, self.type).to_arrow()

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        return to_pylist(Column.from_arrow(array))


class _Text(_Plain):
    """A type whose values have an exact text."""

    def __init__(self, name: str, write: Callable[[Any], str], read: Callable[[str], Any]) -> None:
        super().__init__(name, pa.string())
        self._write = write
        self._read = read

    def encode(self, values: list[Any]) -> pa.Array:
        return pa.array(
            [None if value is None else _fitting(self._write, value, i) for i, value in enumerate(values)],
            self.type,
        )

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        try:
            return [None if text is None else self._read(text) for text in array.to_pylist()]
        except ArithmeticError as error:
            raise StateFormatError(f"expected the text of a {self.name}: {error!r}") from None


def _fitting(write: Callable[[Any], Any], value: Any, position: int) -> Any:
    try:
        return write(value)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueFault(position, value, str(error)) from None


_DIGITS_OF_INT = (
    600  # Python reads and writes longer ints only where a global limit allows it; Decimal always
)
_INT = re.compile(r"-?[0-9]+", re.ASCII)


def _int_text(value: Any) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("expected an int")
    return str(Decimal(value)) if value.bit_length() > 3 * _DIGITS_OF_INT else str(value)


def _text_int(text: str) -> int:
    if _INT.fullmatch(text) is None:
        raise StateFormatError(f"expected the digits of a BIG_INT, got {text[:40]!r}")
    return int(text) if len(text) < _DIGITS_OF_INT else int(Decimal(text))


def _decimal_text(value: Any) -> str:
    if not isinstance(value, Decimal):
        raise TypeError("expected a Decimal")
    return str(value)


class _Instants(Codec):
    type = pa.struct([("seconds", pa.int64()), ("nanos", pa.int32())])
    immutable = True

    def describe(self) -> Description:
        return {"type": "INSTANT"}

    def encode(self, values: list[Any]) -> pa.Array:
        for i, value in enumerate(values):
            if value is not None and not isinstance(value, Instant):
                raise ValueFault(i, value, "expected an Instant")
        parts = [
            pa.array([None if value is None else value.seconds for value in values], pa.int64()),
            pa.array([None if value is None else value.nanos for value in values], pa.int32()),
        ]
        return pa.StructArray.from_arrays(parts, fields=list(self.type), mask=_absent(values))

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        seconds, nanos = array.field(0), array.field(1)
        absent = np.asarray(array.is_null())
        if (np.asarray(pc.or_(seconds.is_null(), nanos.is_null())) & ~absent).any():
            raise StateFormatError("an INSTANT lacks its seconds or its nanos")
        parts = [part.fill_null(0).to_numpy() for part in (seconds, nanos)]
        if ((parts[1] < 0) | (parts[1] >= 1_000_000_000)).any():
            raise StateFormatError("an INSTANT has nanos outside 0 .. 999999999")
        return _with_nulls(list(map(Instant, *(part.tolist() for part in parts))), array)


class Pickled(Codec):
    """Any Python object: where no type was declared."""

    type = pa.binary()

    def describe(self) -> Description:
        return {"type": "PICKLED"}

    def encode(self, values: list[Any]) -> pa.Array:
        return pa.array(
            [None if value is None else _pickle(value, i) for i, value in enumerate(values)], self.type
        )

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        if not allow_pickle:
            raise StateFormatError(
                "the state holds pickled Python objects, and unpickling runs code; allow it (allow_pickle=True) "
                "only for a snapshot that you trust, or declare a type other than PICKLED_BYTE_ARRAY"
            )
        try:
            return [None if data is None else pickle.loads(data) for data in array.to_pylist()]
        except Exception as error:  # a pickle can raise anything
            raise StateFormatError(
                f"a pickled value cannot be read: {type(error).__name__}: {error}"
            ) from error


def _pickle(value: Any, position: int) -> bytes:
    try:
        return pickle.dumps(value, protocol=5)
    except Exception as error:  # an object's own methods can raise anything
        raise ValueFault(
            position, value, f"it cannot be pickled ({type(error).__name__}: {error}); declare a type"
        ) from error


class ArrowValues(Codec):
    """Values as Arrow itself gives and takes them: of columns that operators keep value by value."""

    immutable = True  # nobody but an operator has them

    def __init__(self, type: pa.DataType) -> None:
        self.type = type

    def describe(self) -> Description:
        return {"type": "ARROW", "arrow": str(self.type)}

    def encode(self, values: list[Any]) -> pa.Array:
        return pa.array(values, self.type)

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        return array.to_pylist()


class Serialized(Codec):
    """Values with bytes of a serializer's own, e.g. windows of a user's assigner."""

    type = pa.binary()
    immutable = True  # what has a serializer here is hashed, too

    def __init__(self, serializer: TypeSerializer[Any]) -> None:
        self._serializer = serializer

    def describe(self) -> Description:
        kind = type(self._serializer)
        return {"type": "SERIALIZED", "serializer": f"{kind.__module__}.{kind.__qualname__}"}

    def encode(self, values: list[Any]) -> pa.Array:
        return pa.array(
            [None if value is None else self._bytes(value, i) for i, value in enumerate(values)], self.type
        )

    def _bytes(self, value: Any, position: int) -> bytes:
        stream = BytesIO()
        try:
            self._serializer.serialize(value, stream)
        except Exception as error:  # of a user
            raise ValueFault(position, value, f"{self._serializer!r} raised {error!r}") from error
        return stream.getvalue()

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        return [None if data is None else self._value(data) for data in array.to_pylist()]

    def _value(self, data: bytes) -> Any:
        stream = BytesIO(data)
        try:
            value = self._serializer.deserialize(stream)
        except Exception as error:  # of a user
            raise StateFormatError(f"{self._serializer!r} cannot read {data[:40]!r}: {error!r}") from error
        if stream.read(1):
            raise StateFormatError(f"{self._serializer!r} did not read all of {data[:40]!r}")
        return value


class Fields(Codec):
    """Rows, or tuples, as a struct."""

    def __init__(self, names: Sequence[str], fields: Sequence[Codec], form: str) -> None:
        self.names = list(names)
        self.fields = list(fields)
        self.form = form  # "row" or "tuple"
        self.immutable = form == "tuple" and all(field.immutable for field in fields)
        # A struct without fields has no buffer that says how long it is, so an empty tuple has a kind as well.
        self._has_kind = form == "row" or not fields
        kinds = [pa.field(ROW_KIND, pa.int8())] if self._has_kind else []
        self.type = pa.struct([*(pa.field(name, field.type) for name, field in zip(names, fields)), *kinds])

    def describe(self) -> Description:
        fields = [[name, field.describe()] for name, field in zip(self.names, self.fields)]
        return {"type": self.form.upper(), "fields": fields}

    def encode(self, values: list[Any]) -> pa.Array:
        nothing = (None,) * len(self.names)
        present = [nothing if value is None else value for value in values]
        if self.fields:
            columns = split_fields(present, self.names, self.form == "tuple")
            arrays = [field.encode(column) for field, column in zip(self.fields, columns)]
        else:
            arrays = []
        if self._has_kind:
            insert = ROW_KINDS[0]  # and _value_, since value is several times slower
            kinds = [getattr(value, "_row_kind", insert)._value_ for value in values]
            arrays.append(pa.array(kinds, pa.int8()))
        return pa.StructArray.from_arrays(arrays, fields=list(self.type), mask=_absent(values))

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        columns = [field.decode(array.field(i), allow_pickle) for i, field in enumerate(self.fields)]
        records = list(zip(*columns)) if columns else [()] * len(array)
        if self.form == "tuple":
            return _with_nulls(records, array)
        numbers = array.field(len(self.fields)).fill_null(0).to_numpy(zero_copy_only=False)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() <= 3:
            raise StateFormatError(f"expected row kinds 0 to 3, got {numbers.min()} to {numbers.max()}")
        names = self.names
        if numbers.any():
            kinds = [ROW_KINDS[number] for number in numbers.tolist()]
            rows = [make_row(names, list(record), kind) for record, kind in zip(records, kinds)]
        else:
            rows = [make_row(names, list(record)) for record in records]
        return _with_nulls(rows, array)


class ListOf(Codec):
    """Lists, and arrays of all kinds but that of BYTE, which is bytes."""

    def __init__(self, element: Codec) -> None:
        self.element = element
        self.type = pa.list_(element.type)

    def describe(self) -> Description:
        return {"type": "LIST", "element": self.element.describe()}

    def encode(self, values: list[Any]) -> pa.Array:
        elements = self.element.encode(
            list(chain.from_iterable(value for value in values if value is not None))
        )
        return pa.ListArray.from_arrays(_offsets(values), elements, type=self.type)

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        start, bounds = _bounds(array)
        elements = self.element.decode(array.values.slice(start, bounds[-1]), allow_pickle)
        return _with_nulls([elements[a:b] for a, b in pairwise(bounds)], array)


class MapOf(Codec):
    """Dicts, in their order."""

    def __init__(self, key: Codec, value: Codec) -> None:
        self.key = key
        self.value = value
        self.type = pa.map_(key.type, value.type)

    def describe(self) -> Description:
        return {"type": "MAP", "key": self.key.describe(), "value": self.value.describe()}

    def encode(self, values: list[Any]) -> pa.Array:
        maps = [value for value in values if value is not None]
        keys = list(chain.from_iterable(maps))
        if None in keys:
            at = next(i for i, value in enumerate(values) if value is not None and None in value)
            raise ValueFault(at, values[at], "expected a map without a null key")
        parts = (
            self.key.encode(keys),
            self.value.encode(list(chain.from_iterable(entries.values() for entries in maps))),
        )
        return pa.MapArray.from_arrays(_offsets(values), *parts, type=self.type)

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        start, bounds = _bounds(array)
        keys = self.key.decode(array.keys.slice(start, bounds[-1]), allow_pickle)
        items = self.value.decode(array.items.slice(start, bounds[-1]), allow_pickle)
        try:
            return _with_nulls([dict(zip(keys[a:b], items[a:b])) for a, b in pairwise(bounds)], array)
        except TypeError as error:  # a pickle, or a list where a key is expected
            raise StateFormatError(f"a key of a map cannot be hashed: {error}") from None


def _bounds(array: pa.Array) -> tuple[int, list[int]]:
    """Where the elements of lists or maps begin, and where those of each do relative to that; then the end."""
    offsets = array.offsets.to_numpy()
    start = int(offsets[0]) if len(offsets) else 0
    return start, (offsets - start).tolist() if len(offsets) else [0]


def _with_nulls(values: list[Any], array: pa.Array) -> list[Any]:
    """The values with None where the array is null."""
    if array.null_count:
        for i in np.flatnonzero(np.asarray(array.is_null())).tolist():
            values[i] = None
    return values


def _absent(values: list[Any]) -> pa.Array | None:
    """Arrow's mask of a struct: which values are None; None when none are."""
    absent = [value is None for value in values]
    return pa.array(absent) if True in absent else None


def _offsets(values: list[Any]) -> pa.Array:
    """Arrow's offsets of values of variable length; a null offset marks a null value."""
    lengths = np.fromiter((0 if value is None else len(value) for value in values), np.int64, len(values))
    bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    absent = np.fromiter((value is None for value in values), bool, len(values))
    mask = np.append(absent, False) if absent.any() else None
    return pa.array(bounds, pa.int32(), mask=mask)


# -- codecs of types -----------------------------------------------------------------------------------------

_SIMPLE: dict[str, Codec] = {
    codec.describe()["type"]: codec
    for codec in (
        _Plain("STRING", pa.string()),
        _Plain("BOOLEAN", pa.bool_()),
        _Plain("BYTE", pa.int8()),
        _Plain("SHORT", pa.int16()),
        _Plain("INT", pa.int32()),
        _Plain("LONG", pa.int64()),
        _Plain("FLOAT", pa.float64()),
        _Plain("DOUBLE", pa.float64()),
        _Plain("CHAR", pa.string()),
        _Plain("BYTES", pa.binary()),
        _Plain("DATE", pa.date32()),
        _Plain("TIME", pa.time64("us")),
        _Plain("TIMESTAMP", pa.timestamp("us")),
        _Plain("DURATION", pa.duration("us")),
        _Text("BIG_INT", _int_text, _text_int),
        _Text("BIG_DEC", _decimal_text, Decimal),
        _Instants(),
        Pickled(),
    )
}
LONG, PICKLED = _SIMPLE["LONG"], _SIMPLE["PICKLED"]
_LOCAL = {
    ti.LocalTimeTypeInfo.TimeType.LOCAL_DATE: "DATE",
    ti.LocalTimeTypeInfo.TimeType.LOCAL_TIME: "TIME",
    ti.LocalTimeTypeInfo.TimeType.LOCAL_DATE_TIME: "TIMESTAMP",
}


def codec_of(info: Any) -> Codec:
    """The codec of a declared type; None is any Python object. SchemaError for what is no type information."""
    match info:
        case None | ti.PickledBytesTypeInfo():
            return PICKLED
        case ti.ExternalTypeInfo():
            return codec_of(info.type_info)
        case ti.BasicTypeInfo():
            return _SIMPLE[info.basic_type.name]
        case ti.DateTypeInfo():
            return _SIMPLE["DATE"]
        case ti.TimeTypeInfo():
            return _SIMPLE["TIME"]
        case ti.TimestampTypeInfo():
            return _SIMPLE["TIMESTAMP"]
        case ti.LocalTimeTypeInfo():
            return _SIMPLE[_LOCAL[info.time_type]]
        case ti.RowTypeInfo():
            return Fields(info.get_field_names(), list(map(codec_of, info.get_field_types())), "row")
        case ti.TupleTypeInfo():
            fields = list(map(codec_of, info.get_field_types()))
            return Fields([f"f{i}" for i in range(len(fields))], fields, "tuple")
        case ti.MapTypeInfo():
            return MapOf(codec_of(info.key_type), codec_of(info.value_type))
        case ti.PrimitiveArrayTypeInfo() if info.element_type == ti.BasicTypeInfo(BasicType.BYTE):
            return _SIMPLE["BYTES"]
        case (
            ti.ListTypeInfo()
            | ti.ObjectArrayTypeInfo()
            | ti.PrimitiveArrayTypeInfo()
            | ti.BasicArrayTypeInfo()
        ):
            return ListOf(codec_of(info.element_type))
    raise SchemaError(f"expected type information such as Types.LONG(), got {info!r}")


def codec_of_arrow(type: pa.DataType | None) -> Codec:
    """The codec of the Python values of a stream's column."""
    if type is None:
        return PICKLED
    t = pa.types
    if t.is_duration(type):
        return _SIMPLE["DURATION"]
    if t.is_struct(type):
        fields = [codec_of_arrow(field.type) for field in type]
        return Fields([field.name for field in type], fields, "tuple" if is_tuple_type(type) else "row")
    if t.is_map(type):
        return MapOf(codec_of_arrow(type.key_type), codec_of_arrow(type.item_type))
    if t.is_list(type) or t.is_large_list(type) or t.is_fixed_size_list(type):
        return ListOf(codec_of_arrow(type.value_type))
    return codec_of(type_info_of_arrow(type))


def codec_of_schema(schema: Schema) -> Codec:
    """The codec of the records of a stream."""
    columns = list(map(codec_of_arrow, schema.types))
    return Fields(schema.names, columns, schema.form) if schema.form in ("row", "tuple") else columns[0]


def codec_of_description(description: Description) -> Codec:
    """The codec of a type that a snapshot describes.

    StateFormatError for what describes no type; values of a user's serializer can only be read by its program
    """
    try:
        kind = description["type"]
        if kind in ("ROW", "TUPLE"):
            fields = [(str(name), codec_of_description(field)) for name, field in description["fields"]]
            return Fields([name for name, _ in fields], [field for _, field in fields], kind.lower())
        if kind == "LIST":
            return ListOf(codec_of_description(description["element"]))
        if kind == "MAP":
            return MapOf(codec_of_description(description["key"]), codec_of_description(description["value"]))
        return _SIMPLE[kind]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, StateFormatError):
            raise
        raise StateFormatError(f"{str(description)[:80]} describes no type of state") from None
