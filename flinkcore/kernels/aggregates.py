# SPDX-License-Identifier: Apache-2.0
"""Running aggregates by group id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flinkcore._native import agg as _agg
from flinkcore._native.column import BOOL, BYTES, F64, I64, Column, normal_type, physical_kind
from flinkcore.errors import UnsupportedOperationError
from flinkcore.kernels.columns import ColumnLike, OneCaller, TypeLike, column_as, column_of, ids_of, type_of

Op: TypeAlias = Literal[
    "count", "count_star", "sum", "sum0", "min", "max", "avg", "first", "last", "min_by", "max_by"
]
OPS: tuple[Op, ...] = get_args(Op)

#: Ops that can take records back.
RETRACTABLE_OPS = ("count", "count_star", "sum", "sum0", "avg")


class Aggregate(NamedTuple):
    """One aggregate: what is computed, and of which type its values are.

    op : meanings are Flink SQL's. Nulls do not count, except for count_star.
        count_star                  how many records;  takes no column
        count                       how many values;  takes a column of any type
        sum, sum0, avg              of integers, floats and durations; of no value null, 0 for sum0. Integers sum in
                                    64 bits and wrap (see Accumulators.sum_overflows), floats in double; avg of
                                    integers truncates: declare pa.float64() for a mean of integer columns
        min, max, first, last       of anything but nested values and decimals of more than 18 digits; the type stays
        min_by, max_by              the value of the record with the least (greatest) comparand, the earlier on ties
    type : of the value column; None for count and count_star
    by : of the comparand column of min_by and max_by
    """

    op: Op
    type: TypeLike | None = None
    by: TypeLike | None = None


class _Planned(NamedTuple):
    """An aggregate as it is computed."""

    name: str  # for errors
    spec: tuple[str, int, int] | tuple[str, int, int, int]  # for the kernels
    takes: tuple[pa.DataType | None, ...]  # its columns' types, None for any
    result: pa.DataType


def _planned(position: int, given: Aggregate | tuple[object, ...], retractable: bool) -> _Planned:
    try:
        op, type, by = Aggregate(*given)
    except TypeError:
        raise TypeError(
            f"aggregate {position}: expected (op, type) or (op, type, comparand type), got {given!r}"
        ) from None
    name = f"aggregate {position} ({op})"
    if op not in OPS:
        raise ValueError(f"{name}: expected one of {', '.join(OPS)}")
    if retractable and op not in RETRACTABLE_OPS:
        raise ValueError(f"{name} cannot take records back; retractable are {', '.join(RETRACTABLE_OPS)}")
    if op in ("count", "count_star"):
        return _Planned(name, (op, I64, 0), () if op == "count_star" else (None,), pa.int64())
    is_by = op in ("min_by", "max_by")
    if type is None or (by is None) == is_by:
        expected = "a value type and a comparand type" if is_by else "a value type"
        raise TypeError(f"{name}: expected {expected}, e.g. pa.int64(), got {given!r}")
    value = normal_type(type_of(type))
    assert value is not None
    kind = physical_kind(value)
    if op in ("sum", "sum0", "avg"):
        t = pa.types
        if not (t.is_integer(value) or t.is_floating(value) or t.is_duration(value)):
            raise TypeError(
                f"{name} of {value}: expected integers, floats or a duration; cast decimals to "
                "float64, or sum their unscaled integers"
            )
        result = value if t.is_duration(value) else pa.int64() if kind == I64 else pa.float64()
        flags = _agg.RETRACTABLE if retractable and op == "sum" else 0
        return _Planned(name, (op, kind, flags), (value,), result)
    comparand = normal_type(type_of(by)) if by is not None else None
    for each in (value, comparand):
        if each is not None and physical_kind(each) not in (I64, F64, BOOL, BYTES):
            raise TypeError(
                f"{name} of {each}: expected a number, boolean, time, string or binary, or a decimal of at "
                "most 18 digits"
            )
    if comparand is None:
        return _Planned(name, (op, kind, 0), (value,), value)
    return _Planned(name, (op, kind, 0, physical_kind(comparand)), (value, comparand), value)


class Accumulators:
    """The running state of some aggregates, a row per group id.

    Ids are the caller's: those of a GroupIndex, of a SessionIndex, dictionary codes, or any small numbers from 0.
    Memory is taken in pages of 16 KB that hold an id in use. At most 63 aggregates.

    For one thread at a time; a second one gets a RuntimeError. Every call releases the GIL while it works through
    rows. A MemoryError may leave a batch half applied; all other errors come before anything is written.

    >>> import numpy as np, pyarrow as pa
    >>> state = Accumulators(("count_star",), ("sum", pa.int64()), ("max_by", pa.string(), pa.int64()))
    >>> price = np.array([5, 7, 6])
    >>> state.update([0, 1, 0], price, ["a", "b", "c"], price)
    >>> [result.to_pylist() for result in state.results([0, 1, 2])]
    [[2, 1, 0], [11, 7, None], ['c', 'b', None]]
    """

    def __init__(self, *aggregates: Aggregate | tuple[object, ...], retractable: bool = False) -> None:
        """No rows yet.

        aggregates : each an Aggregate, or a tuple of its fields
        retractable : records can be taken back; for count, count_star, sum, sum0 and avg only
        TypeError, ValueError : an op that there is not, or not of such a type;  OverflowError : too many of them
        """
        self._planned = [_planned(i, given, retractable) for i, given in enumerate(aggregates)]
        self.aggregates: tuple[Aggregate, ...] = tuple(Aggregate(*given) for given in aggregates)
        self.retractable = retractable
        #: The Arrow type of each result.
        self.types: tuple[pa.DataType, ...] = tuple(planned.result for planned in self._planned)
        self._takes = [
            (planned.name if len(planned.takes) < 2 else f"{planned.name}, {part}", type)
            for planned in self._planned
            for part, type in zip(("value", "comparand"), planned.takes)
        ]
        self.native = _agg.Accumulators([planned.spec for planned in self._planned])
        self._alone = OneCaller("an Accumulators")

    def __repr__(self) -> str:
        return f"Accumulators({', '.join(planned.spec[0] for planned in self._planned)}; {len(self)} rows)"

    def __len__(self) -> int:
        """How many rows are in use."""
        return self.native.row_count

    @property
    def sum_overflows(self) -> int:
        """How many additions of integers left int64 so far, and wrapped."""
        return self.native.sum_overflows

    @property
    def memory_bytes(self) -> int:
        """What the rows take, in use or kept for later use."""
        return self.native.memory_bytes

    def update(self, ids: npt.ArrayLike, *columns: ColumnLike) -> None:
        """Add n records, record i to row ids[i].

        ids : n integers from 0 on, int32 without a copy
        columns : of n values, in the order of the aggregates: none for count_star, value and comparand for min_by
            and max_by, one for the others. The same object given twice is converted once
        TypeError : a column of another type than declared, where it is not one that widens to it
        ValueError : another number of columns or of values, a negative id, a value that the declared type cannot hold
        """
        with self._alone:
            self.native.update(ids_of(ids), self.arguments(columns))

    def retract(self, ids: npt.ArrayLike, *columns: ColumnLike) -> None:
        """Take n records back. Rows stay in use, empty or not.

        Arguments and errors as for update; UnsupportedOperationError unless made with retractable=True
        """
        with self._alone:
            self.native_retract()(ids_of(ids), self.arguments(columns))

    def update_running(
        self, ids: npt.ArrayLike, *columns: ColumnLike
    ) -> tuple[list[pa.Array], list[pa.Array], npt.NDArray[np.bool_]]:
        """Add n records one after the other, and say what each changed.

        -> (before, after, was_new): per aggregate its results before and after each record, and bool[n], True where
           the record was the first of its row
        Arguments and errors as for update
        """
        with self._alone:
            before, after, was_new = self.native.update_running(ids_of(ids), self.arguments(columns))
        return self._arrow(before), self._arrow(after), was_new

    @staticmethod
    def update_panes(
        panes: Sequence[Accumulators], pane_of_row: npt.ArrayLike, ids: npt.ArrayLike, *columns: ColumnLike
    ) -> None:
        """Add n records, record i to row ids[i] of panes[pane_of_row[i]], as pane_index gives it.

        panes : distinct Accumulators of the same aggregates. Overflows of sums are counted in the first
        TypeError, ValueError : as for update, a pane number outside of panes, panes of other aggregates
        """
        if not panes:
            raise ValueError("update_panes: expected at least one pane")
        with ExitStack() as alone:
            for pane in panes:
                alone.enter_context(pane._alone)
                if not pane.is_like(panes[0]):
                    raise TypeError(f"{pane!r} and {panes[0]!r} have different aggregates")
            _agg.Accumulators.update_panes(
                [pane.native for pane in panes], ids_of(pane_of_row), ids_of(ids), panes[0].arguments(columns)
            )

    def merge(self, other: Accumulators, ids: npt.ArrayLike, other_ids: npt.ArrayLike) -> None:
        """Merge row other_ids[i] of `other` into row ids[i], one pair after the other.

        other : of the same aggregates, may be self; its rows stay as they are
        What self held counts as the earlier half: first, and ties of *_by, are its; last is the other's. A row that
        is not in use changes nothing. TypeError : other aggregates;  ValueError : a negative id, or another number
        """
        with self._alone, ExitStack() as alone:
            if other is not self:
                alone.enter_context(other._alone)
            if not other.is_like(self):
                raise TypeError(f"{other!r} and {self!r} have different aggregates")
            self.native.merge(other.native, ids_of(ids), ids_of(other_ids))

    def results(self, ids: npt.ArrayLike) -> list[pa.Array]:
        """The results of rows, one Arrow array per aggregate. The arrays own their memory.

        ids : any order; one that is not in use gives the results of nothing: 0 for counts and sum0, else null
        ValueError : a negative id;  OverflowError : more than 2^31 - 1 bytes of strings in one result
        """
        with self._alone:
            results = self.native.results(ids_of(ids))
        return self._arrow(results)

    def ids(self) -> npt.NDArray[np.int32]:
        """The ids of rows in use, ascending."""
        with self._alone:
            return self.native.used_ids()

    def clear(self, ids: npt.ArrayLike | None = None) -> None:
        """Empty some rows, or all. Ids that are not in use are passed over. ValueError : a negative id"""
        with self._alone:
            if ids is None:
                self.native.clear_all()
            else:
                self.native.clear(ids_of(ids))

    # -- for the modules beside this one ---------------------------------------------------------------------

    def is_like(self, other: Accumulators) -> bool:
        """Whether both have the same aggregates."""
        return self._planned == other._planned

    def native_retract(self) -> Callable[[npt.NDArray[np.int32], list[tuple[Column, ...]]], None]:
        """UnsupportedOperationError : records cannot be taken back"""
        if not self.retractable:
            raise UnsupportedOperationError(
                f"{self!r} cannot take records back; make it with retractable=True"
            )
        return self.native.retract

    def arguments(self, columns: Sequence[ColumnLike]) -> list[tuple[Column, ...]]:
        """The columns as the kernels take them. Errors as update."""
        if len(columns) != len(self._takes):
            expected = ", ".join(name for name, _ in self._takes) or "none"
            raise ValueError(f"expected {len(self._takes)} columns ({expected}), got {len(columns)}")
        made: dict[tuple[int, pa.DataType | None], Column] = {}
        flat: list[Column] = []
        for (name, type), values in zip(self._takes, columns):
            column = made.get((id(values), type))
            if column is None:
                column = column_of(values) if type is None else column_as(values, type, name)
                made[id(values), type] = column
            flat.append(column)
        rest = iter(flat)
        return [tuple(next(rest) for _ in planned.takes) for planned in self._planned]

    def _arrow(self, columns: Sequence[Column]) -> list[pa.Array]:
        return [
            (column if column.type == type else column.with_type(type)).to_arrow()
            for column, type in zip(columns, self.types)
        ]
