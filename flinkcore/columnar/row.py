# SPDX-License-Identifier: Apache-2.0
"""Row and RowKind: one record of a stream as a user's function sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Any

from flinkcore._native.values import detached
from flinkcore.errors import UnsupportedOperationError


class RowKind(Enum):
    """The place of a row in a changelog. Values are Flink's RowKind.toByteValue."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3

    def __str__(self) -> str:
        return ROW_KIND_TEXTS[self._value_]

    def to_j_row_kind(self) -> Any:
        """UnsupportedOperationError: there is no JVM."""
        raise UnsupportedOperationError(f"{self} has no Java object: flinkcore runs without a JVM")


#: Flink's RowKind.shortString, by value.
ROW_KIND_TEXTS = ("+I", "-U", "+U", "-D")
#: The kinds by value: indexing is several times faster than RowKind(value).
ROW_KINDS = tuple(RowKind)


class Row:
    """Fields by position and, when they have names, by name.

        Row(name="Alice", age=11).age           # 11; the order of the keywords is kept
        Row("Alice", 11)[0]                     # "Alice"; a row without names prints as <Row('Alice', 11)>
        Person = Row("name", "age")             # a row without names is also a template for rows with names
        Person("Bob", 12)                       # Row(name='Bob', age=12)

    Rows are equal when names (in any order), values and kinds are. `item in row` looks through the names, or
    through the values when there are no names, as in PyFlink.
    """

    __slots__ = ("_from_dict", "_names", "_row_kind", "_values")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs:
            if args:
                raise ValueError("Can not use both args and kwargs to create Row")
            self._names: list[str] | None = list(kwargs)
            self._values: list[Any] = list(kwargs.values())
            self._from_dict = True
        else:
            self._names = None
            self._values = list(args)
            self._from_dict = False
        self._row_kind = RowKind.INSERT

    @staticmethod
    def of_kind(row_kind: RowKind, *args: Any, **kwargs: Any) -> Row:
        """A row with a kind other than INSERT."""
        row = Row(*args, **kwargs)
        row._row_kind = row_kind
        return row

    # PyFlink's rows have an attribute _fields only when they have names; programs ask with hasattr.
    @property
    def _fields(self) -> list[str]:
        if self._names is None:
            raise AttributeError("_fields")
        return self._names

    @_fields.setter
    def _fields(self, names: list[str]) -> None:
        self._names = names

    def get_row_kind(self) -> RowKind:
        return self._row_kind

    def set_row_kind(self, row_kind: RowKind) -> None:
        self._row_kind = row_kind

    def set_field_names(self, field_names: list[str]) -> None:
        self._names = field_names

    def get_fields_by_names(self, names: list[str]) -> list[Any]:
        """The values in the order of `names`; all values when the row has no names."""
        if self._names is None or names == self._names:
            return self._values
        missing = [name for name in names if name not in self._names]
        if missing:
            raise Exception(f"Field names {missing} not exist in {self._names}.")
        return [self._values[self._names.index(name)] for name in names]

    def as_dict(self, recursive: bool = False) -> dict[str, Any]:
        """Values by name; rows inside, also in lists and dicts, become dicts too when `recursive`."""
        if self._names is None:
            raise TypeError("Cannot convert a Row class into dict")
        return dict(zip(self._names, map(_deep_dict, self._values) if recursive else self._values))

    def __call__(self, *args: Any) -> Row:
        """A row of these values, named by the values of this one."""
        if len(args) > len(self._values):
            raise ValueError(
                f"Can not create Row with fields {self}, expected {len(self)} values but got {args}"
            )
        return make_row(self._values, list(args), self._row_kind)

    def __contains__(self, item: object) -> bool:
        return item in (self._values if self._names is None else self._names)

    def __getitem__(self, item: int | slice | str) -> Any:
        if isinstance(item, (int, slice)):
            return self._values[item]
        return self._values[self._index_of(item)]

    def __setitem__(self, key: int | slice | str, value: Any) -> None:
        if isinstance(key, (int, slice)):
            self._values[key] = value
        else:
            self._values[self._index_of(key)] = value

    def _index_of(self, name: str) -> int:
        # The classes of these errors are PyFlink's.
        if self._names is None:
            raise KeyError(name)
        try:
            return self._names.index(name)
        except ValueError:
            raise ValueError(
                f"no field named {name!r}; the row has {', '.join(map(str, self._names))}"
            ) from None

    def __getattr__(self, item: str) -> Any:
        if item.startswith("_"):
            raise AttributeError(item)
        names = self._names
        if names is None or item not in names:
            raise AttributeError(
                f"no field named '{item}'; the row has "
                + (", ".join(map(str, names)) if names else "no names, only positions")
            )
        index = names.index(item)
        if index >= len(self._values):
            raise AttributeError(item)
        return self._values[index]

    def _detached(self) -> Row:
        """A copy that nobody else can change (see flinkcore._native.values)."""
        return make_row(self._names, list(map(detached, self._values)), self._row_kind)

    def __reduce__(self) -> tuple[Any, ...]:
        return make_row, (self._names, list(self._values), self._row_kind)

    def __repr__(self) -> str:
        if self._names is None:
            return "<Row(" + ", ".join(map(repr, self._values)) + ")>"
        return "Row(" + ", ".join(f"{name}={value!r}" for name, value in zip(self._names, self._values)) + ")"

    def __eq__(self, other: object) -> bool:
        if (
            not isinstance(other, Row)
            or self.__class__ != other.__class__
            or self._row_kind != other._row_kind
        ):
            return False
        if self._names == other._names:
            return self._values == other._values
        if self._names is None or other._names is None or len(self._names) != len(other._names):
            return False
        return self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        # By name order, so that rows which are equal in another order of fields hash alike; PyFlink's do not.
        if self._names is None:
            return hash(tuple(self._values))
        return hash(
            tuple(value for _, value in sorted(zip(self._names, self._values), key=lambda field: field[0]))
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _deep_dict(value: Any) -> Any:
    if isinstance(value, Row):
        return value.as_dict(True)
    if isinstance(value, list):
        return [_deep_dict(item) for item in value]
    if isinstance(value, dict):
        return {key: _deep_dict(item) for key, item in value.items()}
    return value


def make_row(names: list[str] | None, values: list[Any], row_kind: RowKind = RowKind.INSERT) -> Row:
    """A row that takes over `values` and shares `names`."""
    row = Row.__new__(Row)
    row._names = names
    row._values = values
    row._row_kind = row_kind
    row._from_dict = False
    return row


def make_rows(
    names: Sequence[str], columns: Sequence[Iterable[Any]], count: int, row_kinds: Iterable[int] | None = None
) -> list[Row]:
    """`count` rows from columns of Python values; `row_kinds` are numbers of RowKind, None: all inserts."""
    shared = list(names)
    if not columns:
        rows = [make_row(shared, []) for _ in range(count)]
    else:
        rows = [make_row(shared, list(values)) for values in zip(*columns)]
    if row_kinds is not None:
        for row, kind in zip(rows, row_kinds):
            row._row_kind = ROW_KINDS[kind]
    return rows
