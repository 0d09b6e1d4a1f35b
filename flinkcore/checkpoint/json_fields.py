# SPDX-License-Identifier: Apache-2.0
"""JSON that is not trusted: objects whose every field is taken once, by type and range, and none is left over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Any] | dict[str, Any] | None"

INT64_MAX = 2**63 - 1


class JsonFault(ValueError):
    """What is wrong, with the place in front: "operators[2].parallelism is 'x', expected an integer"."""


def parse_object(text: bytes, place: str) -> Fields:
    """The fields of a JSON object. JsonFault when the text is none, or has a number or name JSON does not have."""

    def no_constant(name: str) -> None:
        raise JsonFault(f"it holds {name}, which is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise JsonFault("an object in it has two fields of one name")
        return found

    try:
        value = json.loads(text.decode(), parse_constant=no_constant, object_pairs_hook=unique)
    except JsonFault:
        raise
    except (ValueError, RecursionError) as error:
        raise JsonFault(f"it is not JSON: {error}") from error
    return Fields(value, place)


def check_json(value: object, place: str, depth: int = 0) -> None:
    """JsonFault unless JSON gives the value back as it is: so no tuple, no key but text, no NaN, no class."""
    if depth > 100:
        raise JsonFault(f"{place} is nested more than 100 deep")
    if isinstance(value, dict):
        for name, inner in value.items():
            if type(name) is not str:
                raise JsonFault(f"{place} has the key {name!r}, and JSON has only text for keys")
            check_json(inner, f"{place}.{name}", depth + 1)
    elif type(value) is list:
        for i, inner in enumerate(value):
            check_json(inner, f"{place}[{i}]", depth + 1)
    elif type(value) is float:
        if value - value != 0:
            raise JsonFault(f"{place} is {value}, which JSON cannot say")
    elif type(value) is int:
        if abs(value) >> 1000:
            raise JsonFault(f"{place} is an integer of more than 1000 bits")
    elif value is not None and type(value) not in (bool, str):
        raise JsonFault(f"{place} is of type {type(value).__name__}, which JSON does not have")


class Fields:
    """The fields of one object; each method takes one and raises JsonFault when it is not what is expected."""

    def __init__(self, value: object, place: str) -> None:
        self.place = place
        if not isinstance(value, dict):
            raise JsonFault(f"{place or 'it'} is {_shown(value)}, expected an object")
        self._values = dict(value)

    def end(self) -> None:
        """No field is left."""
        if self._values:
            raise JsonFault(f"{self.place or 'it'} has the field {next(iter(self._values))[:100]!r}, which this format "
                            "does not have")

    def any(self, name: str) -> Any:
        if name not in self._values:
            raise JsonFault(f"{self._at(name)} is missing")
        return self._values.pop(name)

    def integer(self, name: str, lower: int = 0, upper: int = INT64_MAX) -> int:
        value = self.any(name)
        if type(value) is not int or not lower <= value <= upper:
            raise JsonFault(f"{self._at(name)} is {_shown(value)}, expected an integer from {lower} to {upper}")
        return value

    def boolean(self, name: str) -> bool:
        value = self.any(name)
        if type(value) is not bool:
            raise JsonFault(f"{self._at(name)} is {_shown(value)}, expected true or false")
        return value

    def text(self, name: str, pattern: str = "") -> str:
        value = self.any(name)
        if type(value) is not str or (pattern and not re.fullmatch(pattern, value)):
            what = f"text like {pattern}" if pattern else "text"
            raise JsonFault(f"{self._at(name)} is {_shown(value)}, expected {what}")
        return value

    def text_or_none(self, name: str) -> str | None:
        if self._values.get(name, "") is None:
            del self._values[name]
            return None
        return self.text(name)

    def choice(self, name: str, *choices: str) -> str:
        return self.text(name, "|".join(choices))

    def mapping(self, name: str) -> dict[str, Any]:
        """An object whose fields may have any name."""
        value = self.any(name)
        if type(value) is not dict:
            raise JsonFault(f"{self._at(name)} is {_shown(value)}, expected an object")
        return value

    def items(self, name: str) -> list[Any]:
        value = self.any(name)
        if type(value) is not list:
            raise JsonFault(f"{self._at(name)} is {_shown(value)}, expected a list")
        return value

    def objects(self, name: str) -> Iterator[Fields]:
        """The objects of a list."""
        for i, value in enumerate(self.items(name)):
            yield Fields(value, f"{self._at(name)}[{i}]")

    def _at(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else f"a {type(value).__name__}"
    return text if len(text) <= 100 else text[:97] + "..."
