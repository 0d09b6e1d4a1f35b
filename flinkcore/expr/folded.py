# SPDX-License-Identifier: Apache-2.0
"""Accumulators of functions of the user, kept in native ones: how their fields lie there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import I64, Column, physical_kind
from flinkcore.columnar.encode import from_pylist
from flinkcore.errors import StateFormatError, StateMigrationError
from flinkcore.expr.translate import Unequal
from flinkcore.expr.translate.exact import BOOL, FLOAT, INT, STR
from flinkcore.expr.translate.fold import Shape
from flinkcore.expr.translate.updates import Update, starting_value

#: The part of an operator's state that holds accumulators of a function, under the start of their window.
FOLDED = "folded"
#: Those of panes that sliding windows share, under the start of their pane.
FOLDED_PANES = "folded-panes"
#: Which session each row of FOLDED is, for windows that are sessions.
FOLDED_SESSIONS = "folded-sessions"

_TYPES = {"int": INT, "float": FLOAT, "bool": BOOL, "str": STR}
_NAMES = {type: name for name, type in _TYPES.items()}
_VALUES: dict[str, Callable[[str], Any]] = {
    "int": int, "float": float.fromhex, "bool": lambda text: text == "True", "str": str,
}  # fmt: skip
_OPS = ("sum", "min", "max", "first", "last", "keep")


class FoldedFields:
    """Where the fields of accumulators lie: each in an aggregate, but those that no record changes.

    shape : of the accumulators;  updates : of their fields, as far as op and start
    """

    def __init__(self, shape: Shape, updates: Sequence[Update]) -> None:
        self.shape = shape
        self.updates = tuple(updates)
        self.kernels: list[tuple[str, int, int]] = []
        self._places: list[int | None] = []  # of each field, among the kernels
        for update, type in zip(self.updates, shape.types):
            self._places.append(None if update.op == "keep" else len(self.kernels))
            if update.op != "keep":
                op = "sum0" if update.op == "sum" and type == INT else update.op
                self.kernels.append((op, physical_kind(type), 0))
        if not self.kernels:  # rows are in use, whatever they hold
            self.kernels.append(("sum0", I64, 0))

    def accumulators(self) -> Accumulators:
        return Accumulators(self.kernels)

    def fields(self, accumulators: Accumulators, ids: np.ndarray) -> list[Column]:
        """The fields of the accumulators of some ids, one column each."""
        return self.of_results(accumulators.results(ids), len(ids))

    def of_results(self, results: Sequence[Column], count: int) -> list[Column]:
        found = []
        for update, type, place in zip(self.updates, self.shape.types, self._places):
            if place is None:
                assert update.start is not None
                found.append(from_pylist([update.start[0]] * count, type))
                continue
            column = results[place]
            if type == STR:
                column = column.with_type(STR)
                if update.start is not None:
                    column = Column.from_arrow(pc.fill_null(column.to_arrow(), update.start[0]))
            elif update.start is not None:
                values = starting_value(column.to_numpy(), column.valid_mask(), update, type)
                column = Column.from_numpy(values, type)
            found.append(column)
        return found

    def objects(self, accumulators: Accumulators, ids: np.ndarray) -> list[Any]:
        """The accumulators of some ids as Python has them."""
        return self.shape.objects(self.fields(accumulators, ids))

    def arrow(self, accumulators: Accumulators, ids: np.ndarray) -> pa.Array:
        """The accumulators of some ids as a reader without the program sees them: values, or structs of fields."""
        columns = [column.to_arrow() for column in self.fields(accumulators, ids)]
        if self.shape.kind == "value":
            return columns[0]
        return pa.StructArray.from_arrays(columns, self.shape.names or [f"f{i}" for i in range(len(columns))])

    def put(self, accumulators: Accumulators, ids: np.ndarray, objects: Sequence[Any]) -> None:
        """Makes rows that are not in use of accumulators as Python has them.

        Unequal: they cannot be kept so; then some of the rows may have been made
        """
        columns = self.shape.columns(objects)
        accumulators.update(ids, [(column,) for column in self._arguments(columns, len(ids))])
        if not all(map(_same, self.fields(accumulators, ids), columns)):
            raise Unequal("an accumulator that the function does not make")

    def _arguments(self, columns: Sequence[Column], count: int) -> list[Column]:
        """What kernels make these fields of, when nothing was there before."""
        found = []
        for update, type, place, column in zip(self.updates, self.shape.types, self._places, columns):
            if place is not None:
                if update.op == "sum" and type == INT and update.start is not None:
                    with np.errstate(over="ignore"):  # what wraps here wraps back
                        column = Column.from_numpy(column.to_numpy() - np.int64(update.start[0]))
                found.append(column)
        return found or [Column.from_numpy(np.zeros(count, np.int64))]

    def check(self, accumulators: Accumulators) -> None:
        """StateFormatError: these hold something else"""
        if self.accumulators().describe() != accumulators.describe():
            raise StateFormatError(f"accumulators of a function are {accumulators!r}, described are {self.describe()}")

    # -- in values of JSON --------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        return {
            "kind": self.shape.kind,
            "names": None if self.shape.names is None else list(self.shape.names),
            "fields": [
                [_NAMES[type], update.op, None if update.start is None else _text(update.start[0])]
                for type, update in zip(self.shape.types, self.updates)
            ],
        }

    @staticmethod
    def of_description(description: Any) -> FoldedFields:
        """StateFormatError: it describes none"""
        try:
            fields = [
                (_TYPES[type], op, None if start is None else (_VALUES[type](start),))
                for type, op, start in description["fields"]
            ]
            names = description["names"]
            if description["kind"] not in ("value", "tuple", "list", "row", "dict") or not fields:
                raise ValueError("no kind of an accumulator")
            if any(op not in _OPS or (op == "keep" and start is None) for _, op, start in fields):
                raise ValueError("no updates of fields")
            if description["kind"] == "dict" and len(names) != len(fields):
                raise ValueError("a key for each field")
            shape = Shape(description["kind"], tuple(type for type, _, _ in fields), names and tuple(names))
            found = FoldedFields(shape, [Update(op, None, start, (0, 0)) for _, op, start in fields])
            found.accumulators()  # kernels know these aggregates
            return found
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StateFormatError(f"accumulators of a function are described by {description!r}: {error!r}") from None


def only(found: Iterable[dict[str, Any] | None]) -> dict[str, Any] | None:
    """The description of the subtasks that have one. StateMigrationError: they are not the same"""
    descriptions = [each for each in found if each is not None]
    if any(each != descriptions[0] for each in descriptions):
        raise StateMigrationError(f"subtasks hold accumulators of several functions: {descriptions}")
    return descriptions[0] if descriptions else None


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, float) else str(value)


def _same(one: Column, other: Column) -> bool:
    """Whether two columns hold the same, to the bit but that of a NaN."""
    if one.valid_mask() is not None or other.valid_mask() is not None:
        return False
    if one.type == STR:
        return one.to_pylist() == other.to_pylist()
    a, b = one.to_numpy(), other.to_numpy()
    if one.type == FLOAT:
        return bool(((a == b) & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b)).all())
    return bool((a == b).all())
