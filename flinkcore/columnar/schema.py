# SPDX-License-Identifier: Apache-2.0
"""Schema: the names and types of a stream's columns, and how its rows look to a user's function."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import pyarrow as pa

from flinkcore._native.column import normal_type, physical_kind
from flinkcore.errors import SchemaError

Form = Literal["row", "tuple", "value", "object"]


class Schema:
    """Names, logical types and row form of a stream. Immutable, compared by content.

    form : how one record looks to a function that asked for rows:
        "row"     a Row with these field names
        "tuple"   a Python tuple
        "value"   the bare value of the only column
        "object"  any Python object; the only column, "value", has no type
    known : of Python objects: the type that most batches have as Column.known, since the function that makes them was
        read; a hint, and no part of what the schema is
    """

    __slots__ = ("__dict__", "form", "known", "names", "types")

    def __init__(
        self,
        names: Sequence[str],
        types: Sequence[pa.DataType | None],
        form: Form = "row",
        known: pa.DataType | None = None,
    ) -> None:
        self.names = tuple(names)
        self.types = tuple(normal_type(type) for type in types)
        self.form: Form = form
        self.known = known
        if len(self.names) != len(self.types):
            raise SchemaError(
                f"a schema has as many names as types, not {len(self.names)} and {len(self.types)}"
            )
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise SchemaError(f"column names must differ; given more than once: {', '.join(twice)}")
        if form in ("value", "object") and len(self.names) != 1:
            raise SchemaError(f"rows of form '{form}' have one column, not {len(self.names)}")

    @staticmethod
    def of_objects(known: pa.DataType | None = None) -> Schema:
        """The schema of a stream of arbitrary Python objects."""
        return Schema(("value",), (None,), "object", known)

    @staticmethod
    def from_arrow(schema: pa.Schema, form: Form = "row") -> Schema:
        return Schema(schema.names, schema.types, form)

    @cached_property
    def kinds(self) -> tuple[int, ...]:
        """Physical kind of each column (flinkcore._native.column)."""
        return tuple(physical_kind(type) for type in self.types)

    @cached_property
    def arrow(self) -> pa.Schema:
        """The schema in Arrow's words; SchemaError when a column holds Python objects."""
        if None in self.types:
            raise SchemaError(
                "the stream holds Python objects, which have no columns; give the function that makes them "
                "an output type, e.g. map(f, output_type=Types.ROW_NAMED(['word', 'count'], [...]))"
            )
        return pa.schema(list(zip(self.names, self.types)))

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def index_of(self, name: str) -> int:
        """Position of a column; SchemaError naming the columns that exist."""
        index = self._index.get(name)
        if index is None:
            if self.form == "object":
                self.arrow  # noqa: B018  raises, with the remedy for streams of objects
            raise SchemaError(
                f"no column named '{name}'; the stream has {', '.join(self.names) or 'no columns'}"
            )
        return index

    def type_of(self, name: str) -> pa.DataType | None:
        return self.types[self.index_of(name)]

    def select(self, indices: Sequence[int]) -> Schema:
        """The schema of some of the columns, as rows."""
        return Schema([self.names[i] for i in indices], [self.types[i] for i in indices], "row")

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Schema)
            and self.form == other.form
            and self.names == other.names
            and self.types == other.types
        )

    def __hash__(self) -> int:
        return hash((self.form, self.names))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}: {type or 'object'}" for name, type in zip(self.names, self.types))
        return f"Schema({fields}; {self.form})"
