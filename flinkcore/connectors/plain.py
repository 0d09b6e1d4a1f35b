# SPDX-License-Identifier: Apache-2.0
"""Plain data as values of JSON and back, exactly: what splits, enumerators and committables are in a checkpoint.

    None, True, 7, 0.5, "text"      themselves
    [1, 2]                          a list
    {"tuple": [1, 2]}               everything else is an object with one field, its kind; see _ENCODERS

A frozen dataclass is {"dataclass": [class, {field: value}]}. The class is named as module:qualified name, and found
among those that the reader allows: nothing that is read imports a module, or calls anything but the constructors of
these classes and of the kinds below. A field that was added with a default takes it.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import math
import re
import zoneinfo
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np

from flinkcore.errors import SchemaError, StateFormatError

JsonValue: TypeAlias = Any
Place: TypeAlias = "tuple[Any, ...]"  # fields, positions and keys that lead to a value, for errors

#: Deeper values are refused: they contain themselves, or were made to exhaust the stack.
DEPTH_MAX = 100
# Larger integers are hexadecimal texts: not every reader of JSON takes them, and Python refuses long decimal ones.
_INT_LIMIT = 2**63
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def encode(value: Any, types: Iterable[type] | None = None) -> JsonValue:
    """A plain value as a value of JSON.

    value : None, bool, int, float, str, bytes, tuple, list, set, frozenset, dict, date, time, datetime, timedelta,
        Decimal, and frozen dataclasses of such; NumPy's scalars become Python's
    types : the dataclasses that will be allowed when it is read; None: any
    SchemaError : something else, with its place in the value
    """
    return _encode(value, None if types is None else frozenset(types), ())


def decode(value: JsonValue, types: Iterable[type] = ()) -> Any:
    """What encode() was given; `types` are the dataclasses that may be in it.

    StateFormatError : `value` is not what encode() makes, or a class in it is not among `types`
    """
    by_name = {class_name(type): type for type in types}
    try:
        return _decode(value, by_name, 0)
    except StateFormatError:
        raise
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        raise StateFormatError(f"stored data is damaged: {type(error).__name__}: {error}") from error


def class_name(type: type) -> str:
    """The name under which a dataclass is stored."""
    return f"{type.__module__}:{type.__qualname__}"


# -- to JSON ------------------------------------------------------------------------------------------------


def _encode(value: Any, types: frozenset[type] | None, place: Place) -> JsonValue:
    kind = type(value)
    if kind is str:
        return value if _is_text(value) else {"text": value.encode("utf-8", "surrogatepass").hex()}
    if value is None or kind is bool:
        return value
    if kind is int:
        return value if -_INT_LIMIT <= value < _INT_LIMIT else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if len(place) >= DEPTH_MAX:
        raise SchemaError(f"plain data is nested deeper than {DEPTH_MAX}, or contains itself")
    if kind is list:
        return _encode_all(value, types, place)
    if kind in (tuple, set, frozenset):
        return {kind.__name__: _encode_all(value, types, place)}
    if kind is dict:
        return {
            "dict": [
                [_encode(key, types, (*place, "a key")), _encode(item, types, (*place, key))]
                for key, item in value.items()
            ]
        }
    scalar = _ENCODERS.get(kind)
    if scalar is not None:
        return {kind.__name__: scalar(value)}
    if isinstance(value, np.generic):
        return _encode(_python_scalar(value, place), types, place)
    if dataclasses.is_dataclass(kind):
        return _encode_dataclass(value, kind, types, place)
    raise SchemaError(
        f"{_at(place)}{kind.__name__} is no plain data, as a checkpoint can hold; use numbers, texts, "
        f"bytes, times, tuples, lists, sets, dicts, or frozen dataclasses of such"
    )


def _encode_all(values: Iterable[Any], types: frozenset[type] | None, place: Place) -> list[JsonValue]:
    return [_encode(item, types, (*place, i)) for i, item in enumerate(values)]


def _encode_dataclass(value: Any, kind: type, types: frozenset[type] | None, place: Place) -> JsonValue:
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise SchemaError(
            f"{_at(place)}{kind.__qualname__} is a dataclass that can change after it was put into a "
            f"checkpoint; declare it with @dataclass(frozen=True)"
        )
    if types is not None and kind not in types:
        raise SchemaError(
            f"{_at(place)}{kind.__qualname__} is not declared, so it could not be read back; "
            + _advice(class_name(kind))
        )
    fields = {
        field.name: _encode(getattr(value, field.name), types, (*place, field.name))
        for field in dataclasses.fields(value)
        if field.init
    }
    return {"dataclass": [class_name(kind), fields]}


def _python_scalar(value: np.generic, place: Place) -> Any:
    found = value.item()
    times = isinstance(value, (np.datetime64, np.timedelta64))
    if isinstance(found, np.generic) or (times and isinstance(found, int)):
        raise SchemaError(
            f"{_at(place)}a NumPy {value.dtype} has no Python value that is the same; convert it, "
            "times to microseconds and long doubles to float64"
        )
    return found


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # names of files that are not UTF-8 have lone surrogates
        return False
    return True


def _at(place: Place) -> str:
    return f"in {' / '.join(f'{part!s:.40}' for part in place)}: " if place else ""


def _advice(name: str) -> str:
    return (
        f"name {name.rpartition(':')[2]} in the `committable_types` of its Sink or the `state_types` of its Source; "
        "a class of splits is a subclass of SourceSplit"
    )


def _encode_datetime(value: datetime.datetime) -> JsonValue:
    return [*_encode_zone(value), value.fold]


def _encode_zone(value: Any) -> list[JsonValue]:
    """ISO text and name of the zone, None when the text says it."""
    if isinstance(value.tzinfo, zoneinfo.ZoneInfo) and value.tzinfo.key:
        return [value.replace(tzinfo=None).isoformat(), value.tzinfo.key]
    if value.tzinfo is not None and not isinstance(value.tzinfo, datetime.timezone):
        raise SchemaError(
            f"a {type(value).__name__} in the zone {value.tzinfo!r} is no plain data; use "
            "zoneinfo.ZoneInfo or datetime.timezone"
        )
    return [value.isoformat(), None]


_ENCODERS: dict[type, Callable[[Any], JsonValue]] = {
    bytes: lambda value: base64.b64encode(value).decode(),
    Decimal: str,
    datetime.date: lambda value: value.isoformat(),
    datetime.time: _encode_datetime,
    datetime.datetime: _encode_datetime,
    datetime.timedelta: lambda value: [value.days, value.seconds, value.microseconds],
}


# -- from JSON ----------------------------------------------------------------------------------------------


def _decode(value: JsonValue, types: dict[str, type], depth: int) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth > DEPTH_MAX:
        raise StateFormatError(f"stored data is nested deeper than {DEPTH_MAX}")
    if isinstance(value, list):
        return [_decode(item, types, depth + 1) for item in value]
    if not isinstance(value, dict) or len(value) != 1:
        raise StateFormatError(
            f"stored data is damaged: expected an object with one field, got {_shown(value)}"
        )
    ((kind, content),) = value.items()
    if kind == "dataclass":
        return _decode_dataclass(content, types, depth)
    if kind in _COLLECTIONS:
        return _COLLECTIONS[kind](_decode(_checked(content, list), types, depth + 1))
    if kind == "dict":
        pairs = _checked(content, list)
        return {_decode(key, types, depth + 1): _decode(item, types, depth + 1) for key, item in pairs}
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise StateFormatError(
            f"stored data has the kind '{kind}', which this build does not know; restore it with a "
            "newer flinkcore"
        )
    return decoder(content)


def _decode_dataclass(content: JsonValue, types: dict[str, type], depth: int) -> Any:
    name, stored = _checked(content, list)
    kind = types.get(_checked(name, str))
    if kind is None:
        raise StateFormatError(
            f"stored data has an object of the class {name}, which is not declared here; "
            f"if it moved, put it back where it was; else {_advice(name)}"
        )
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    unknown = sorted(set(_checked(stored, dict)) - known)
    if unknown:
        raise StateFormatError(
            f"stored data has the field '{unknown[0]}' of {name}, which the class does not have; "
            f"it has {', '.join(sorted(known))}. Put it back, with a default if it is not used any more"
        )
    fields = {field: _decode(item, types, depth + 1) for field, item in stored.items()}
    try:
        return kind(**fields)
    except Exception as error:  # a field without a default is missing, or the class checks its fields
        raise StateFormatError(
            f"stored data of {name} does not make an object of the class: {error}; a field that was "
            "added needs a default"
        ) from error


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise StateFormatError(f"stored data is damaged: expected a {kind.__name__}, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return f"{value!r:.80}"


def _decode_bytes(content: JsonValue) -> bytes:
    return base64.b64decode(_checked(content, str), validate=True)


def _decode_float(content: JsonValue) -> float:
    if content not in ("inf", "-inf", "nan"):
        raise StateFormatError(f"stored data is damaged: {_shown(content)} is no float")
    return float(content)


def _decode_timed(kind: Any) -> Callable[[JsonValue], Any]:
    def decode_timed(content: JsonValue) -> Any:
        text, zone, fold = _checked(content, list)
        value = kind.fromisoformat(_checked(text, str)).replace(fold=fold)
        return value if zone is None else value.replace(tzinfo=_zone(zone))

    return decode_timed


def _zone(name: JsonValue) -> zoneinfo.ZoneInfo:
    if not _ZONE.fullmatch(_checked(name, str)):
        raise StateFormatError(f"stored data is damaged: {_shown(name)} is no time zone")
    return zoneinfo.ZoneInfo(name)


_COLLECTIONS: dict[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_DECODERS: dict[str, Callable[[JsonValue], Any]] = {
    "text": lambda content: bytes.fromhex(_checked(content, str)).decode("utf-8", "surrogatepass"),
    "int": lambda content: int(_checked(content, str), 16),
    "float": _decode_float,
    "bytes": _decode_bytes,
    "Decimal": lambda content: Decimal(_checked(content, str)),
    "date": lambda content: datetime.date.fromisoformat(_checked(content, str)),
    "time": _decode_timed(datetime.time),
    "datetime": _decode_timed(datetime.datetime),
    "timedelta": lambda content: datetime.timedelta(*_checked(content, list)),
}
