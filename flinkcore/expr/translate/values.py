# SPDX-License-Identifier: Apache-2.0
"""What a function's expressions stand for while it is read: columns, records of them, and Python's own objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, Union

from flinkcore.expr.translate.exact import BOOL, FLOAT, INT, NONE, STR
from flinkcore.expr.typed import Typed


class NotTranslated(Exception):
    """What of a function has no counterpart on columns."""


@dataclass(frozen=True)
class Record:
    """A tuple, list, Row or dict: its fields.

    kind : "tuple", "list", "row" or "dict";  names : of a Row's fields, or a dict's keys
    """

    kind: str
    fields: tuple[Value, ...]
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Choice:
    """One of two values of different kinds; what is done to it is done to both."""

    condition: Typed
    then: Value
    other: Value


@dataclass(frozen=True)
class Known:
    """A Python object that is there before any record: a module, a function, a class, a collection."""

    object: Any


Value: TypeAlias = Union[Typed, Record, Choice, Known]  # noqa: UP007  Record and its kin are not there yet


def name_of(value: Value) -> str:
    """What a value is, for a reason."""
    if isinstance(value, Choice):
        return f"{name_of(value.then)} or {name_of(value.other)}"
    if isinstance(value, Record):
        return f"a {'Row' if value.kind == 'row' else value.kind}"
    if isinstance(value, Known):
        return getattr(value.object, "__qualname__", None) or f"a {type(value.object).__qualname__}"
    names = {INT: "an int", FLOAT: "a float", BOOL: "a bool", STR: "a str", NONE: "None"}
    return names.get(value.type, f"a value of {value.type}")
