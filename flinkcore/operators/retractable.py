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
from flinkcore.state.codec import ArrowValues, Codec, Fields
from flinkcore.state.content import Content
from flinkcore.state.manager import StateManager
from flinkcore.state.table import Table


class OrderedValues:
    """The values of a group from small to large, repeated as often as they came."""

    @staticmethod
    def add(values: list[Any], value: Any, _: Any) -> None:
        insort(values, value, key=_sort_key)

    @staticmethod
    def remove(values: list[Any], value: Any, _: Any) -> None:
        at = bisect_left(values, _sort_key(value), key=_sort_key)
        if at < len(values) and values[at] == value:
            del values[at]

    @staticmethod
    def first(values: list[Any]) -> Any:
        return values[0] if values else None

    @staticmethod
    def last(values: list[Any]) -> Any:
        return values[-1] if values else None


class ArrivedValues:
    """The values of a group in the order in which they came; of equal values the oldest goes first."""

    @staticmethod
    def add(values: list[Any], value: Any, _: Any) -> None:
        values.append(value)

    @staticmethod
    def remove(values: list[Any], value: Any, _: Any) -> None:
        if value in values:
            values.remove(value)

    first = OrderedValues.first
    last = OrderedValues.last


class ComparedValues:
    """Pairs of a comparand and a value, ordered by the comparand; the first that came of equals."""

    @staticmethod
    def add(pairs: list[Any], value: Any, comparand: Any) -> None:
        if comparand is not None:
            insort(pairs, (comparand, value), key=_pair_key)

    @staticmethod
    def remove(pairs: list[Any], value: Any, comparand: Any) -> None:
        if comparand is not None and (comparand, value) in pairs:
            pairs.remove((comparand, value))

    @staticmethod
    def first(pairs: list[Any]) -> Any:
        return pairs[0][1] if pairs else None

    @staticmethod
    def last(pairs: list[Any]) -> Any:
        if not pairs:
            return None
        at = bisect_left(pairs, _pair_key(pairs[-1]), key=_pair_key)
        return pairs[at][1]


def _sort_key(value: Any) -> tuple[bool, Any]:
    return (value != value, value)  # NaN is above all numbers, as in Flink


def _pair_key(pair: tuple[Any, Any]) -> tuple[bool, Any]:
    return _sort_key(pair[0])


#: How the values of an aggregate are kept, and which of them is the result.
_KEPT: dict[str, tuple[Any, str]] = {
    "min": (OrderedValues, "first"),
    "max": (OrderedValues, "last"),
    "first": (ArrivedValues, "first"),
    "last": (ArrivedValues, "last"),
    "min_by": (ComparedValues, "first"),
    "max_by": (ComparedValues, "last"),
}


class RetractableValues:
    """One such aggregate over all groups.

    state, name : where the values are kept
    """

    def __init__(self, state: StateManager, name: str, call: AggregateCall) -> None:
        self.type: pa.DataType = call.result_type
        self._kept, end = _KEPT[call.op]
        self._end: Callable[[list[Any]], Any] = getattr(self._kept, end)
        codecs: list[Codec] = [ArrowValues(arg.type) for arg in call.args]
        value = codecs[0] if len(codecs) == 1 else Fields(["comparand", "value"], codecs[::-1], "tuple")
        self._table = state.part(name, lambda: Table(name, Content("list", value, owned=True)))

    def update_running(
        self, ids: np.ndarray, args: tuple[Column, ...], signs: np.ndarray
    ) -> tuple[Column, Column]:
        """Adds and takes back records one after the other; the results before and after each."""
        before, after = [], []
        values = args[0].to_pylist()
        comparands = args[1].to_pylist() if len(args) > 1 else values
        group_ids = ids.tolist()
        groups = self._table.writable(None)
        self._table.touch_all(groups, group_ids)
        add, remove, end = self._kept.add, self._kept.remove, self._end
        for group_id, value, comparand, sign in zip(group_ids, values, comparands, signs.tolist()):
            group = groups.get(group_id)
            if group is None:
                group = groups[group_id] = []
            before.append(end(group))
            if value is not None or len(args) > 1:
                (add if sign > 0 else remove)(group, value, comparand)
            after.append(end(group))
        return self._column(before), self._column(after)

    def results(self, ids: np.ndarray) -> Column:
        groups = (self._table.get(None, group_id) for group_id in ids.tolist())
        return self._column([None if group is None else self._end(group) for group in groups])

    def clear(self, ids: np.ndarray) -> None:
        for group_id in ids.tolist():
            self._table.remove(None, group_id)

    def _column(self, values: list[Any]) -> Column:
        return Column.from_arrow(pa.array(values, self.type))
