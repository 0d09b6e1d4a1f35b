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
    from flinkcore.state.manager import StateManager

#: Makes a value what its declared type can hold, e.g. rounds to 32 bits; None when any value will do.
Convert = Callable[[Any], Any] | None


class HeapState(State):
    """A view on one table at the current group id and a namespace."""

    def __init__(self, manager: StateManager, table: Table, convert: Convert) -> None:
        self._manager = manager
        self._table = table
        self._convert = convert
        self._namespace: Hashable = None

    def set_current_namespace(self, namespace: Hashable) -> None:
        self._namespace = namespace

    def clear(self) -> None:
        self._table.take(self._namespace, self._manager.current)

    def _get(self) -> Any:
        return self._table.get(self._namespace, self._manager.current)

    def _put(self, value: Any) -> None:
        self._table.put(self._namespace, self._manager.current, value)


class HeapValueState(HeapState, ValueState[Any]):
    """One value; a value of None is no value."""

    def value(self) -> Any:
        return self._get()

    def update(self, value: Any) -> None:
        if value is None:
            self.clear()
        else:
            self._put(value if self._convert is None else self._convert(value))


class HeapListState(HeapState, ListState[Any]):
    """A list; get() gives a copy, so that it may be kept and iterated while the state changes."""

    def get(self) -> list[Any]:
        values = self._get()
        return [] if values is None else list(values)

    def add(self, value: Any) -> None:
        if value is None:
            raise SchemaError(f"list state '{self._table.name}': cannot add None")
        if self._convert is not None:
            value = self._convert(value)
        values = self._get()
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
        group_id = self._manager.current
        merged = self._table.get(target, group_id)
        for source in sources:
            values = self._table.take(source, group_id)
            if values is not None:
                merged = values if merged is None else merged + values
        if merged is not None:
            self._table.put(target, group_id, merged)


class HeapMapState(HeapState, MapState[Any, Any]):
    """A map in a Python dict, in order of insertion."""

    def __init__(self, manager: StateManager, table: Table, convert: Convert, convert_key: Convert) -> None:
        super().__init__(manager, table, convert)
        self._convert_key = convert_key

    def _key(self, key: Any) -> Any:
        return key if self._convert_key is None else self._convert_key(key)

    def get(self, key: Any) -> Any:
        entries = self._get()
        return None if entries is None else entries.get(self._key(key))

    def put(self, key: Any, value: Any) -> None:
        if self._convert is not None and value is not None:
            value = self._convert(value)
        entries = self._get()
        if entries is None:
            self._put({self._key(key): value})
        else:
            entries[self._key(key)] = value

    def put_all(self, dict_value: dict[Any, Any]) -> None:
        for key, value in dict_value.items():
            self.put(key, value)

    def remove(self, key: Any) -> None:
        entries = self._get()
        if entries is not None and entries.pop(self._key(key), self) is not self and not entries:
            self.clear()

    def contains(self, key: Any) -> bool:
        entries = self._get()
        return entries is not None and self._key(key) in entries

    def items(self) -> Iterable[tuple[Any, Any]]:
        return list((self._get() or {}).items())

    def keys(self) -> Iterable[Any]:
        return list(self._get() or ())

    def values(self) -> Iterable[Any]:
        return list((self._get() or {}).values())

    def is_empty(self) -> bool:
        return not self._get()


class HeapReducingState(HeapState, ReducingState[Any]):
    """One value that each added value is reduced into."""

    def __init__(
        self, manager: StateManager, table: Table, convert: Convert, function: ReduceFunction
    ) -> None:
        super().__init__(manager, table, convert)
        self._reduce = function.reduce

    def get(self) -> Any:
        return self._get()

    def add(self, value: Any) -> None:
        before = self._get()
        after = value if before is None else self._reduce(before, value)
        self._put(after if self._convert is None else self._convert(after))

    def merge_namespaces(self, target: Hashable, sources: Iterable[Hashable]) -> None:
        group_id = self._manager.current
        merged = self._table.get(target, group_id)
        for source in sources:
            value = self._table.take(source, group_id)
            if value is not None:
                merged = value if merged is None else self._reduce(merged, value)
        if merged is not None:
            self._table.put(target, group_id, merged)


class HeapAggregatingState(HeapState, AggregatingState[Any, Any]):
    """One accumulator that each value is added to."""

    def __init__(
        self, manager: StateManager, table: Table, convert: Convert, function: AggregateFunction
    ) -> None:
        super().__init__(manager, table, convert)
        self._function = function

    def get(self) -> Any:
        accumulator = self._get()
        return None if accumulator is None else self._function.get_result(accumulator)

    def add(self, value: Any) -> None:
        accumulator = self._get()
        if accumulator is None:
            accumulator = self._function.create_accumulator()
        accumulator = self._function.add(value, accumulator)
        self._put(accumulator if self._convert is None else self._convert(accumulator))

    def merge_namespaces(self, target: Hashable, sources: Iterable[Hashable]) -> None:
        group_id = self._manager.current
        merged = self._table.get(target, group_id)
        for source in sources:
            accumulator = self._table.take(source, group_id)
            if accumulator is not None:
                merged = accumulator if merged is None else self._function.merge(merged, accumulator)
        if merged is not None:
            self._table.put(target, group_id, merged)
