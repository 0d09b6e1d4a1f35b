# SPDX-License-Identifier: Apache-2.0
"""StateManager: all keyed state of one subtask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flinkcore._native.column import Column
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError, UnsupportedOperationError
from flinkcore.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from flinkcore.state.expiry import Expiry, make_expiring
from flinkcore.state.heap import (
    HeapAggregatingState,
    HeapListState,
    HeapMapState,
    HeapReducingState,
    HeapState,
    HeapValueState,
)
from flinkcore.state.interfaces import (
    AggregatingState,
    KeyedStateStore,
    ListState,
    MapState,
    ReducingState,
    ValueState,
)
from flinkcore.state.keys import KeyIndex
from flinkcore.state.table import Table
from flinkcore.state.types import converter


class StateManager(KeyedStateStore):
    """Owns the keys and the state tables of one keyed operator in one subtask.

    The operator interns a batch's keys once, then sets `current` to the group id of each record; states
    handed to users read and write the row of `current`. A group id is given back when no table and no timer
    holds it (hold, let_go) and the operator calls release_unused, at the end of a batch or of a run of
    timers.
    """

    def __init__(self, clock: Any, operator: str = "operator", key_schema: Schema | None = None) -> None:
        self.current = -1  # group id; -1: no record is being processed
        self.keys: KeyIndex | None = None  # made at the first batch, which knows the key's types
        self.tables: dict[str, Table] = {}
        self._operator = operator
        self._key_schema = key_schema
        self._clock = clock
        self._states: dict[str, HeapState] = {}
        self._holds: dict[int, int] = {}  # group id -> rows and timers that need it
        self._unused: set[int] = set()

    # -- keys ---------------------------------------------------------------------------------------------

    def intern(self, keys: Sequence[Column], hashes: np.ndarray) -> list[int]:
        """Group id of each row of a batch. Ids that get no state are released by the next release_unused."""
        if self.keys is None:
            self.keys = KeyIndex.of_keys(keys, self._key_schema)
        before = len(self.keys)
        ids: list[int] = self.keys.intern(keys, hashes).tolist()
        if len(self.keys) != before:
            holds = self._holds
            self._unused.update(group_id for group_id in ids if group_id not in holds)
        return ids

    def current_key(self) -> Any:
        """The key object of the current record or timer."""
        if self.keys is None or self.current < 0:
            raise UnsupportedOperationError(
                f"operator '{self._operator}': there is no current key; keyed state and keys "
                "exist while a record or timer of a keyed stream is being processed"
            )
        return self.keys.key(self.current)

    def hold(self, group_id: int) -> None:
        """One more row or timer needs this id."""
        self._holds[group_id] = self._holds.get(group_id, 0) + 1

    def let_go(self, group_id: int) -> None:
        """One row or timer less needs this id."""
        left = self._holds[group_id] - 1
        if left:
            self._holds[group_id] = left
        else:
            del self._holds[group_id]
            self._unused.add(group_id)

    def release_unused(self) -> None:
        """Gives back the ids that nothing needs; none of them may be in use by the caller any more."""
        if self._unused:
            unused = [group_id for group_id in self._unused if group_id not in self._holds]
            self._unused.clear()
            if unused and self.keys is not None:
                self.keys.release(np.array(unused, np.int32))
        self.current = -1

    # -- states -------------------------------------------------------------------------------------------

    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]:
        return self._get(state_descriptor, ValueStateDescriptor)

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        return self._get(state_descriptor, ListStateDescriptor)

    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]:
        return self._get(state_descriptor, MapStateDescriptor)

    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]:
        return self._get(state_descriptor, ReducingStateDescriptor)

    def get_aggregating_state(
        self, state_descriptor: AggregatingStateDescriptor
    ) -> AggregatingState[Any, Any]:
        return self._get(state_descriptor, AggregatingStateDescriptor)

    def state(self, descriptor: StateDescriptor, scope: str = "") -> Any:
        """The state of any descriptor. States of one name in several scopes are several states."""
        return self._get(descriptor, StateDescriptor, scope)

    def table(self, name: str, kind: str) -> Table:
        """A new table that holds the group ids it has rows for: for operators that keep their own state."""
        table = self.tables[name] = Table(name, kind, self.hold, self.let_go)
        return table

    def _get(self, descriptor: Any, expected: type[StateDescriptor], scope: str = "") -> Any:
        if not isinstance(descriptor, expected):
            raise TypeError(
                f"operator '{self._operator}': expected a {expected.__name__}, got {descriptor!r}"
            )
        name = scope + descriptor.name
        state = self._states.get(name)
        if state is None:
            state = self._states[name] = self._make(name, descriptor)
        elif self.tables[name].kind != descriptor.kind:
            raise ConfigurationError(
                f"operator '{self._operator}': state '{name}' is already a {self.tables[name].kind} state, "
                f"it cannot be a {descriptor.kind} state as well; give one of them another name"
            )
        return state

    def _make(self, name: str, descriptor: StateDescriptor) -> HeapState:
        table = self.table(name, descriptor.kind)
        convert = converter(descriptor.type_info, f"state '{descriptor.name}'")
        if descriptor.ttl_config is not None:
            return make_expiring(self, table, descriptor, convert, Expiry(descriptor.ttl_config, self._clock))
        if isinstance(descriptor, ValueStateDescriptor):
            return HeapValueState(self, table, convert)
        if isinstance(descriptor, ListStateDescriptor):
            return HeapListState(self, table, convert)
        if isinstance(descriptor, MapStateDescriptor):
            return HeapMapState(
                self,
                table,
                convert,
                converter(descriptor.key_type_info, f"a key of state '{descriptor.name}'"),
            )
        if isinstance(descriptor, ReducingStateDescriptor):
            return HeapReducingState(self, table, convert, descriptor.get_reduce_function())
        if isinstance(descriptor, AggregatingStateDescriptor):
            return HeapAggregatingState(self, table, convert, descriptor.get_agg_function())
        raise TypeError(f"operator '{self._operator}': {descriptor!r} is no descriptor of a keyed state")
