# SPDX-License-Identifier: Apache-2.0
"""Accumulators of functions of the user, kept in native ones: how their fields lie there, and how records get in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import I64, Column, physical_kind
from flinkcore.columnar.batch import Batch
from flinkcore.errors import StateFormatError, StateMigrationError
from flinkcore.expr.translate import Unequal
from flinkcore.expr.translate.exact import BOOL, FLOAT, INT, STR
from flinkcore.expr.translate.fold import Fold, Shape, Update, starting_value

#: The part of an operator's state that holds accumulators of a function, under the start of their window.
FOLDED = "folded"

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
                found.append(Column.from_arrow(pa.repeat(pa.scalar(update.start[0], type), count)))
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

    def put(self, accumulators: Accumulators, ids: np.ndarray, objects: Sequence[Any]) -> None:
        """Makes rows that are not in use of accumulators as Python has them.

        Unequal: they cannot be kept so; then some of the rows may have been made
        """
        columns = self.shape.columns(objects)
        accumulators.update(ids, [(column,) for column in self._arguments(columns, len(ids))])
        if not all(map(_same, self.fields(accumulators, ids), columns)):
            raise Unequal("an accumulator that the function does not make")

    def set(self, accumulators: Accumulators, ids: np.ndarray, columns: Sequence[Column]) -> None:
        """Replaces all fields, where all are kept as they are (`last`)."""
        accumulators.update(ids, [(column,) for column in columns])

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
            if description["kind"] not in ("value", "tuple", "list", "row") or not fields:
                raise ValueError("no kind of an accumulator")
            if any(op not in _OPS or (op == "keep" and start is None) for _, op, start in fields):
                raise ValueError("no updates of fields")
            shape = Shape(description["kind"], tuple(type for type, _, _ in fields), names and tuple(names))
            return FoldedFields(shape, [Update(op, None, start, (0, 0)) for _, op, start in fields])
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
    if one.type == FLOAT:
        a, b = one.to_numpy(), other.to_numpy()
        return bool(((a == b) & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b)).all())
    return bool(one.to_arrow().equals(other.to_arrow()))


class FoldOnColumns:
    """Runs a fold over accumulators that native ones hold.

    every : the accumulators that there are, whose integers say how far sums are from their limits
    """

    def __init__(self, fold: Fold, every: Callable[[], Iterable[Accumulators]]) -> None:
        assert fold.updates is not None
        self.fold = fold
        self.fields = FoldedFields(fold.shape, fold.updates)
        self._every = every
        self._values = [
            (update, type) for update, type in zip(fold.updates, fold.shape.types) if update.value is not None
        ]
        self._most = [0] * len(self._values)  # no sum of integers is further from 0
        self.recount()

    def recount(self) -> None:
        """Sees how far sums are from 0."""
        self._most = [0] * len(self._values)
        sums = [i for i, (update, type) in enumerate(self._values) if update.op == "sum" and type == INT]
        for accumulators in self._every() if sums else ():
            results = accumulators.results(accumulators.used_ids())
            for i in sums:
                self._most[i] = max(self._most[i], _most(results[i].to_numpy()))

    def arguments(self, batch: Batch, ids: np.ndarray | None = None) -> list[tuple[Column, ...]]:
        """What the native accumulators take of a batch. Unequal: Python has to be asked, for all of it

        ids : of the rows; None where they are not known
        """
        columns = self.fold.columns(batch) if self._values else [Column.from_numpy(np.zeros(batch.num_rows, np.int64))]
        for i, (update, type) in enumerate(self._values):
            if type == INT and update.op == "sum":
                self._admit(i, update, columns[i].to_numpy(), ids)
            elif type == FLOAT and update.op in ("min", "max") and update.start is not None:
                columns[i] = _without_nan(columns[i])  # nothing is less than NaN
        return [(column,) for column in columns]

    def update(
        self, panes: list[Accumulators], pane_of_row: np.ndarray, ids: np.ndarray, batch: Batch
    ) -> None:
        """Adds record i to row ids[i] of panes[pane_of_row[i]]. Unequal: nothing was added, Python has to be asked"""
        arguments = self.arguments(batch, ids)
        if len(panes) == 1:
            panes[0].update(ids, arguments)
        else:
            Accumulators.update_panes(panes, pane_of_row, ids, arguments)

    def _admit(self, i: int, update: Update, values: np.ndarray, ids: np.ndarray | None) -> None:
        """Unequal when a sum of integers might leave its limits, which no sum in Python does."""
        room = min(update.limits[1], -update.limits[0]) - abs(update.start[0] if update.start else 0)
        more = _most(values) * len(values)
        if self._most[i] + more > room >> 8:  # not far from it: what does the most filled row get?
            weights = np.abs(values.astype(np.float64))
            total = weights.sum() if ids is None else np.bincount(ids, weights).max()
            more = min(more, int(total * (1 + 2.0**-20)) + 1)
        if self._most[i] + more > room:
            self.recount()
            if self._most[i] + more > room:
                raise Unequal("sums of integers that may need more bits")
        self._most[i] += more


def _most(values: np.ndarray) -> int:
    return max(abs(int(values.min())), abs(int(values.max()))) if len(values) else 0


def _without_nan(column: Column) -> Column:
    values = column.to_numpy()
    absent = np.isnan(values)
    if not absent.any():
        return column
    valid = column.valid_mask()
    return Column.from_numpy(values, column.type, ~absent if valid is None else valid & ~absent)
