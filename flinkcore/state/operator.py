# SPDX-License-Identifier: Apache-2.0
"""Operator state: lists and maps that belong to a subtask, not to a key (Flink: OperatorStateStore).

Each is a table of its own, without keys: a row for each item of a list, a row for each entry of a map. So a snapshot
writes what changed, however large the state, and marks it without a copy. The part's parent says how its rows go to the
subtasks of a restored job (flinkcore.state.part.Mode).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flinkcore.errors import ConfigurationError, SchemaError, StateFormatError
from flinkcore.state.codec import Fields, codec_of
from flinkcore.state.content import Content
from flinkcore.state.descriptors import ListStateDescriptor, MapStateDescriptor, StateDescriptor
from flinkcore.state.heap import Convert
from flinkcore.state.interfaces import BroadcastState, ListState, OperatorStateStore, ReadOnlyBroadcastState
from flinkcore.state.manager import StateManager
from flinkcore.state.part import Mode
from flinkcore.state.table import Table
from flinkcore.state.types import converter, nullable


class OperatorStates(OperatorStateStore):
    """The operator state of one operator in one subtask, over the parts of a StateManager."""

    def __init__(self, manager: StateManager) -> None:
        self._manager = manager
        self._states: dict[str, tuple[Mode, Any]] = {}

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        return self._get(state_descriptor, ListStateDescriptor, "split")

    def get_union_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        return self._get(state_descriptor, ListStateDescriptor, "union")

    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> EntryRows:
        return self._get(state_descriptor, MapStateDescriptor, "broadcast")

    def _get(self, descriptor: Any, expected: type[StateDescriptor], mode: Mode) -> Any:
        if not isinstance(descriptor, expected):
            raise TypeError(
                f"operator '{self._manager.operator}': expected a {expected.__name__}, got {descriptor!r}"
            )
        known = self._states.get(descriptor.name)
        if known is None:
            known = self._states[descriptor.name] = mode, self._make(descriptor, mode)
        if known[0] != mode:
            raise ConfigurationError(
                f"operator '{self._manager.operator}': operator state '{descriptor.name}' is a {known[0]} state, it "
                f"cannot be a {mode} state as well; give one of them another name"
            )
        return known[1]

    def _make(self, descriptor: StateDescriptor, mode: Mode) -> Any:
        name = descriptor.name
        if descriptor.ttl_config is not None:
            raise ConfigurationError(
                f"operator '{self._manager.operator}': operator state '{name}' cannot have a time to live; only "
                f"keyed state expires"
            )
        convert = converter(descriptor.type_info, f"state '{name}'")
        value = codec_of(descriptor.type_info)
        if not isinstance(descriptor, MapStateDescriptor):
            return ItemRows(self._table(name, Content("value", value), mode), convert)
        entry = Fields(["key", "value"], [codec_of(descriptor.key_type_info), value], "tuple")
        convert_key = converter(descriptor.key_type_info, f"a key of state '{name}'")
        return EntryRows(
            self._table(name, Content("value", entry), mode),
            None if convert is None else nullable(convert),
            convert_key,
        )

    def _table(self, name: str, content: Content, mode: Mode) -> Table:
        # Pickles are read where the program itself declares that type.
        return self._manager.part(
            f"operator/{name}", lambda: Table(name, content, allow_pickle=True), parent=mode
        )


class ItemRows(ListState[Any]):
    """A list, each item of it a row; the ids of rows ascend in the order of the list."""

    def __init__(self, table: Table, convert: Convert) -> None:
        self._table = table
        self._convert = convert
        self._lend = table.edit if table.content.shares else table.get
        self._end = max(table.rows.get(None, ()), default=-1) + 1

    def get(self) -> list[Any]:
        return [self._lend(None, row_id) for row_id in sorted(self._table.rows.get(None, ()))]

    def add(self, value: Any) -> None:
        if value is None:
            raise SchemaError(f"list state '{self._table.name}': cannot add None")
        self._table.put(None, self._end, value if self._convert is None else self._convert(value))
        self._end += 1

    def add_all(self, values: Iterable[Any]) -> None:
        for value in list(values):
            self.add(value)

    def update(self, values: Iterable[Any]) -> None:
        values = list(values)
        self.clear()
        self.add_all(values)

    def clear(self) -> None:
        _clear(self._table)
        self._end = 0


class _ReadEntries(ReadOnlyBroadcastState[Any, Any]):
    """Reads a map whose entries are rows (key, value) of a table.

    ids : of the rows, by key;  lend : gives the row of an id for its value to be handed out
    """

    def __init__(self, ids: dict[Any, int], lend: Callable[[None, int], Any], convert_key: Convert) -> None:
        self._ids = ids
        self._lend = lend
        self._convert_key = convert_key

    def get(self, key: Any) -> Any:
        row_id = self._ids.get(self._key(key))
        return None if row_id is None else self._lend(None, row_id)[1]

    def contains(self, key: Any) -> bool:
        return self._key(key) in self._ids

    def items(self) -> list[tuple[Any, Any]]:
        return [self._lend(None, row_id) for row_id in self._ids.values()]

    def keys(self) -> list[Any]:
        return list(self._ids)

    def values(self) -> list[Any]:
        return [value for _, value in self.items()]

    def is_empty(self) -> bool:
        return not self._ids

    def _key(self, key: Any) -> Any:
        return key if self._convert_key is None else self._convert_key(key)


class ReadOnlyEntryRows(_ReadEntries):
    """A broadcast map as the other side sees it. What it hands out is the state's own: it must not be changed."""

    def clear(self) -> None:
        raise TypeError("a broadcast state can only be changed in process_broadcast_element")


class EntryRows(_ReadEntries, BroadcastState[Any, Any]):
    """A broadcast map, each entry of it a row; convert takes None, too."""

    def __init__(self, table: Table, convert: Convert, convert_key: Convert) -> None:
        rows: dict[int, Any] = table.rows.get(None, {})
        try:
            ids = {rows[row_id][0]: row_id for row_id in sorted(rows)}
        except TypeError as error:
            raise StateFormatError(f"broadcast state '{table.name}' holds what is no entry: {error}") from error
        super().__init__(ids, table.edit if table.content.shares else table.get, convert_key)
        self._table = table
        self._convert = convert
        self._end = max(rows, default=-1) + 1
        self._free: list[int] = []  # ids below `_end` that entries had before they were removed

    @property
    def read_only(self) -> ReadOnlyEntryRows:
        """The same map for those who may not change it."""
        return ReadOnlyEntryRows(self._ids, self._table.get, self._convert_key)

    def put(self, key: Any, value: Any) -> None:
        key = self._key(key)
        if self._convert is not None:
            value = self._convert(value)
        row_id = self._ids.get(key)
        if row_id is None:
            if self._free:
                row_id = self._free.pop()
            else:
                row_id, self._end = self._end, self._end + 1
            self._ids[key] = row_id
        self._table.put(None, row_id, (key, value))

    def put_all(self, dict_value: dict[Any, Any]) -> None:
        for key, value in dict_value.items():
            self.put(key, value)

    def remove(self, key: Any) -> None:
        row_id = self._ids.pop(self._key(key), None)
        if row_id is not None:
            self._table.remove(None, row_id)
            self._free.append(row_id)

    def clear(self) -> None:
        _clear(self._table)
        self._ids.clear()
        self._free.clear()
        self._end = 0


def _clear(table: Table) -> None:
    for row_id in list(table.rows.get(None, ())):
        table.remove(None, row_id)
