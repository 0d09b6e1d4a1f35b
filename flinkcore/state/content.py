# SPDX-License-Identifier: Apache-2.0
"""Content: what one row of a table of state holds, as Python keeps it and as columns of a snapshot.

    kind                              without time to live    with it
    value, reducing, aggregating      value                   (value, touched_ms)
    list                              [value, ...]            [(value, touched_ms), ...]
    map                               {key: value, ...}       {key: (value, touched_ms), ...}

touched_ms is the processing time of the last access that counts (flinkcore.state.expiry).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import pyarrow as pa

from flinkcore._native.values import detached
from flinkcore.errors import StateFormatError
from flinkcore.state.codec import LONG, PICKLED, Codec, Description, ListOf, MapOf, codec_of_description


class Shape(Enum):
    """How many values a row holds, and how they are found."""

    ONE = 0
    LIST = 1
    MAP = 2


_SHAPES = {
    "value": Shape.ONE,
    "reducing": Shape.ONE,
    "aggregating": Shape.ONE,
    "list": Shape.LIST,
    "map": Shape.MAP,
}


class Content:
    """The type of a table's rows.

    kind : of state, as descriptors name it
    value, key : codecs of a value, of an element, of an entry of a map
    stamped : whether values carry touched_ms
    owned : values are never handed out nor changed, so that only lists and maps themselves change in place
    """

    def __init__(
        self,
        kind: str,
        value: Codec = PICKLED,
        key: Codec | None = None,
        stamped: bool = False,
        owned: bool = False,
    ) -> None:
        self.kind = kind
        self.shape = _SHAPES[kind]
        self.value = value
        self.key = key
        self.stamped = stamped
        self.shares = not (value.immutable or owned)  # whether somebody else may change a value in place
        whole: dict[Shape, Callable[[Codec], Codec]] = {
            Shape.ONE: lambda codec: codec,
            Shape.LIST: ListOf,
            Shape.MAP: lambda codec: MapOf(PICKLED if key is None else key, codec),
        }
        self._whole = whole[self.shape](value)
        self._stamps: Codec = LONG if self.shape is Shape.ONE else ListOf(LONG)

    @property
    def fields(self) -> list[pa.Field]:
        """The columns of a snapshot."""
        stamps = [pa.field("touched_ms", self._stamps.type)] if self.stamped else []
        return [pa.field("value", self._whole.type), *stamps]

    @property
    def names(self) -> list[str]:
        """Of these columns."""
        return [field.name for field in self.fields]

    @property
    def copy(self) -> Callable[[Any], Any] | None:
        """How a row is copied before it is changed in place; None when rows are only ever replaced."""
        if self.shares:
            return self.value.copy if self.shape is Shape.ONE and not self.stamped else detached
        return {Shape.ONE: None, Shape.LIST: list.copy, Shape.MAP: dict.copy}[self.shape]

    def describe(self) -> Description:
        key = {} if self.key is None else {"key": self.key.describe()}
        return {"kind": self.kind, "value": self.value.describe(), **key, "ttl": self.stamped}

    def encode(self, rows: list[Any]) -> list[pa.Array]:
        """The columns of some rows. ValueFault for the first row that does not fit its type."""
        if not self.stamped:
            return [self._whole.encode(rows)]
        if self.shape is Shape.ONE:
            values, stamps = [row[0] for row in rows], [row[1] for row in rows]
        elif self.shape is Shape.LIST:
            values = [[value for value, _ in row] for row in rows]
            stamps = [[touched_ms for _, touched_ms in row] for row in rows]
        else:
            values = [{key: value for key, (value, _) in row.items()} for row in rows]
            stamps = [[touched_ms for _, touched_ms in row.values()] for row in rows]
        return [self._whole.encode(values), self._stamps.encode(stamps)]

    def decode(self, columns: list[pa.Array], allow_pickle: bool = False) -> list[Any]:
        """The rows of some columns. ValueError for what is none."""
        values = self._whole.decode(columns[0], allow_pickle)
        if self.shape is not Shape.ONE and None in values:
            raise StateFormatError(f"a row of a {self.kind} state is null")
        if not self.stamped:
            return values
        stamps = self._stamps.decode(columns[1])
        if self.shape is Shape.ONE:
            if None in stamps:
                raise StateFormatError("a value with a time to live has no touched_ms")
            return list(zip(values, stamps))
        for value, stamp in zip(values, stamps):
            if stamp is None or len(stamp) != len(value) or None in stamp:
                raise StateFormatError(f"a {self.kind} with a time to live has not one touched_ms per value")
        if self.shape is Shape.LIST:
            return [list(zip(value, stamp)) for value, stamp in zip(values, stamps)]
        return [dict(zip(value, zip(value.values(), stamp))) for value, stamp in zip(values, stamps)]

    def mapped(self, change: Callable[[Any], Any], row: Any) -> Any:
        """A row with each of its values, as stored, changed by a function."""
        if self.shape is Shape.ONE:
            return change(row)
        if self.shape is Shape.LIST:
            return [change(value) for value in row]
        return {key: change(value) for key, value in row.items()}


def content_of_description(description: Description) -> Content:
    """The content that a snapshot describes. StateFormatError for what describes none."""
    try:
        key = description.get("key")
        return Content(
            description["kind"],
            codec_of_description(description["value"]),
            None if key is None else codec_of_description(key),
            description["ttl"] is True,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise StateFormatError(f"{str(description)[:80]} describes no state: {error!r}") from None
