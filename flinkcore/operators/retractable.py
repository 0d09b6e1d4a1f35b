# SPDX-License-Identifier: Apache-2.0
"""MIN, MAX, FIRST_VALUE, LAST_VALUE and their kin over groups whose records can be taken back.

No kernel does this: the next smallest value must be known when the smallest goes. Each group keeps its
values, and Python runs per record (an operator says so in describe()).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.expr.aggregate import AggregateCall


class OrderedValues:
    """The values of one group from small to large, repeated as often as they came."""

    def __init__(self) -> None:
        self._values: list[Any] = []

    def add(self, value: Any, _: Any) -> None:
        insort(self._values, value, key=_sort_key)

    def remove(self, value: Any, _: Any) -> None:
        at = bisect_left(self._values, _sort_key(value), key=_sort_key)
        if at < len(self._values) and self._values[at] == value:
            del self._values[at]

    def first(self) -> Any:
        return self._values[0] if self._values else None

    def last(self) -> Any:
        return self._values[-1] if self._values else None


class ArrivedValues:
    """The values of one group in the order in which they came; of equal values the oldest goes first."""

    def __init__(self) -> None:
        self._values: list[Any] = []

    def add(self, value: Any, _: Any) -> None:
        self._values.append(value)

    def remove(self, value: Any, _: Any) -> None:
        if value in self._values:
            self._values.remove(value)

    first = OrderedValues.first
    last = OrderedValues.last


class ComparedValues:
    """Pairs of a comparand and a value, ordered by the comparand; the first that came of equals."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Any]] = []

    def add(self, value: Any, comparand: Any) -> None:
        if comparand is not None:
            insort(self._pairs, (comparand, value), key=_pair_key)

    def remove(self, value: Any, comparand: Any) -> None:
        if comparand is not None and (comparand, value) in self._pairs:
            self._pairs.remove((comparand, value))

    def first(self) -> Any:
        return self._pairs[0][1] if self._pairs else None

    def last(self) -> Any:
        if not self._pairs:
            return None
        at = bisect_left(self._pairs, _pair_key(self._pairs[-1]), key=_pair_key)
        return self._pairs[at][1]


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (value != value, value)  # NaN is above all numbers, as in Flink


def _pair_key(pair: tuple[Any, Any]) -> tuple[bool, Any]:
    return _sort_key(pair[0])


_KEPT: dict[str, tuple[Callable[[], Any], str]] = {
    "min": (OrderedValues, "first"),
    "max": (OrderedValues, "last"),
    "first": (ArrivedValues, "first"),
    "last": (ArrivedValues, "last"),
    "min_by": (ComparedValues, "first"),
    "max_by": (ComparedValues, "last"),
}


class RetractableValues:
    """One such aggregate over all groups."""

    def __init__(self, call: AggregateCall) -> None:
        self.type: pa.DataType = call.result_type
        self._make, self._end = _KEPT[call.op]
        self._groups: dict[int, Any] = {}

    def update_running(
        self, ids: np.ndarray, args: tuple[Column, ...], signs: np.ndarray
    ) -> tuple[Column, Column]:
        """Adds and takes back records one after the other; the results before and after each."""
        before, after = [], []
        values = args[0].to_pylist()
        comparands = args[1].to_pylist() if len(args) > 1 else values
        for group_id, value, comparand, sign in zip(ids.tolist(), values, comparands, signs.tolist()):
            group = self._groups.get(group_id)
            if group is None:
                group = self._groups[group_id] = self._make()
            end = getattr(group, self._end)
            before.append(end())
            if value is not None or len(args) > 1:
                (group.add if sign > 0 else group.remove)(value, comparand)
            after.append(end())
        return self._column(before), self._column(after)

    def results(self, ids: np.ndarray) -> Column:
        groups = (self._groups.get(group_id) for group_id in ids.tolist())
        return self._column([None if group is None else getattr(group, self._end)() for group in groups])

    def clear(self, ids: np.ndarray) -> None:
        for group_id in ids.tolist():
            self._groups.pop(group_id, None)

    def _column(self, values: list[Any]) -> Column:
        return Column.from_arrow(pa.array(values, self.type))
