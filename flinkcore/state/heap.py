# SPDX-License-Identifier: Apache-2.0
"""The states a user holds, over tables: each reads and writes the row of the manager's current group id."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any

from flinkcore.errors import SchemaError
from flinkcore.state.functions import AggregateFunction, ReduceFunction
from flinkcore.state.interfaces import AggregatingState, ListState, MapState, ReducingState, State, ValueState
from flinkcore.state.table import Table

if TYPE_CHECKING:
    from flinkcore.state.keyed import KeyedState

#: Makes a value what a row stores: what its declared type can hold; None when any value will do.
Convert = Callable[[Any], Any] | None


class HeapState(State):
    """A view on one table at the current group id and a namespace.

    What is handed out or changed in place is asked for with Table.edit, which keeps it apart from a snapshot
    that is being written, and counts it as changed: a user may change what value() gave without an update().
    """

    def __init__(self, manager: KeyedState, table: Table, convert: Convert) -> None:
        self._manager = manager
        self._table = table
        self._convert = convert
        self._namespace: Hashable = None
        self._lend = table.edit if table.content.shares else table.get

    def set_current_namespace(self, namespace: Hashable) -> None:
        self._namespace = namespace

    def clear(self) -> None:
        self._table.remove(self._namespace, self._manager.current)

    def _read(self) -> Any:
        """What the row holds, for the user; None when there is none."""
        return self._lend(self._namespace, self._manager.current)

    def _edit(self) -> Any:
        """The row, to be changed in place."""
        return self._table.edit(self._namespace, self._manager.current)

    def _put(self, row: Any) -> None:
        self._table.put(self._namespace, self._manager.current, row)

    def _stored(self, value: Any) -> Any:
        return value if self._convert is None else self._convert(value)


class HeapValueState(HeapState, ValueState[Any]):
    """One value; a value of None is no value."""

    def value(self) -> Any:
        return self._lend(self._namespace, self._manager.current)

    def update(self, value: Any) -> None:
        if value is None:
            self.clear()
            return
        if self._convert is not None:
            value = self._convert(value)
        self._table.put(self._namespace, self._manager.current, value)


class HeapListState(HeapState, ListState[Any]):
    """A list; get() gives a copy, so that it may be kept and iterated while the state changes."""

    def get(self) -> list[Any]:
        values = self._read()
        return [] if values is None else list(values)

    def add(self, value: Any) -> None:
        if value is None:
            raise SchemaError(f"list state '{self._table.name}': cannot add None")
        if self._convert is not None:
            value = self._convert(value)
        values = self._table.edit(self._namespace, self._manager.current)
        if values is None:
            self._put([value])
        else:
            values.append(value)

    def add_all(self, values: Iterable[Any]) -> None:
        for value in list(values):
            self.add(value)

    def update(self, values: Iterable[Any]) -> None:
        values = list(values)
        self.clear()
        self.add_all(values)

    def merge_namespaces(self, target: Hashable, sources: Iterable[Hashable]) -> None:
        """The lists of `sources` go to the end of the one of `target`."""
        table, group_id = self._table, self._manager.current
        merged = table.get(target, group_id)
        for source in sources:
            values = table.take(source, group_id)
            if values is not None:
                merged = values if merged is None else merged + values
        if merged is not None:
            table.put(target, group_id, merged)


class HeapMapState(HeapState, MapState[Any, Any]):
    """A map in a Python dict, in order of insertion. convert : takes None, too"""

    def __init__(self, manager: KeyedState, table: Table, convert: Convert, convert_key: Convert) -> None:
        super().__init__(manager, table, convert)
        self._convert_key = convert_key

    def _key(self, key: Any) -> Any:
        return key if self._convert_key is None else self._convert_key(key)

    def get(self, key: Any) -> Any:
        entries = self._read()
        return None if entries is None else entries.get(self._key(key))

    def put(self, key: Any, value: Any) -> None:
        if self._convert is not None:
            value = self._convert(value)
        entries = self._edit()
        if entries is None:
            self._put({self._key(key): value})
        else:
            entries[self._key(key)] = value

    def put_all(self, dict_value: dict[Any, Any]) -> None:
        for key, value in dict_value.items():
            self.put(key, value)

    def remove(self, key: Any) -> None:
        key = self._key(key)
        entries = self._table.get(self._namespace, self._manager.current)
        if entries is None or key not in entries:
            return
        if len(entries) == 1:
            self.clear()
        else:
            del self._edit()[key]

    def contains(self, key: Any) -> bool:
        entries = self._table.get(self._namespace, self._manager.current)
        return entries is not None and self._key(key) in entries

    def items(self) -> list[tuple[Any, Any]]:
        return list((self._read() or {}).items())

    def keys(self) -> list[Any]:
        return list(self._read() or ())

    def values(self) -> list[Any]:
        return list((self._read() or {}).values())

    def is_empty(self) -> bool:
        return not self._read()


class _HeapCombiningState(HeapState):
    """One value that all that is added becomes part of."""

    _combine: Callable[[Any, Any], Any]  # two values of rows as one

    def _alive(self, row: Any) -> Any:
        """The value of a row, for combining; None when there is none."""
        return row

    def _before(self) -> Any:
        return self._alive(self._lend(self._namespace, self._manager.current))

    def merge_namespaces(self, target: Hashable, sources: Iterable[Hashable]) -> None:
        table, group_id = self._table, self._manager.current
        merged = self._alive(table.take(target, group_id))
        for source in sources:
            value = self._alive(table.take(source, group_id))
            if value is not None:
                merged = value if merged is None else self._combine(merged, value)
        if merged is not None:
            table.put(target, group_id, self._stored(merged))


class HeapReducingState(_HeapCombiningState, ReducingState[Any]):
    """One value that each added value is reduced into."""

    def __init__(
        self, manager: KeyedState, table: Table, convert: Convert, function: ReduceFunction
    ) -> None:
        super().__init__(manager, table, convert)
        self._combine = function.reduce

    def get(self) -> Any:
        return self._read()

    def add(self, value: Any) -> None:
        before = self._before()
        self._put(self._stored(value if before is None else self._combine(before, value)))


class HeapAggregatingState(_HeapCombiningState, AggregatingState[Any, Any]):
    """One accumulator that each value is added to."""

    def __init__(
        self, manager: KeyedState, table: Table, convert: Convert, function: AggregateFunction
    ) -> None:
        super().__init__(manager, table, convert)
        self._function = function
        self._combine = function.merge

    def get(self) -> Any:
        accumulator = self._read()
        return None if accumulator is None else self._function.get_result(accumulator)

    def add(self, value: Any) -> None:
        accumulator = self._before()
        if accumulator is None:
            accumulator = self._function.create_accumulator()
        self._put(self._stored(self._function.add(value, accumulator)))
