# SPDX-License-Identifier: Apache-2.0
"""KeyedState: the keyed state of one operator in one subtask, as its functions see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from flinkcore._native.column import Column
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError, UnsupportedOperationError
from flinkcore.state.codec import Codec, codec_of
from flinkcore.state.content import Content
from flinkcore.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from flinkcore.state.expiring import (
    ExpiringAggregatingState,
    ExpiringListState,
    ExpiringMapState,
    ExpiringReducingState,
    ExpiringValueState,
)
from flinkcore.state.expiry import Cleanup, Expiry
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
from flinkcore.state.manager import StateManager
from flinkcore.state.parts import KEYS
from flinkcore.state.table import Table
from flinkcore.state.timers import TimerQueue
from flinkcore.state.types import converter, nullable


class _NoKey:
    """The group id while no record or timer of a keyed stream is being processed: no table has a row for it."""

    def __init__(self, operator: str) -> None:
        self._operator = operator

    def __hash__(self) -> int:
        self.refuse()

    def refuse(self) -> NoReturn:
        raise UnsupportedOperationError(
            f"operator '{self._operator}': there is no current key; keyed state, timers and keys "
            "exist while a record or timer of a keyed stream is being processed"
        )


class KeyedState(KeyedStateStore):
    """The keys of an operator, and the states of its functions, over the parts of a StateManager.

    The operator interns a batch's keys once, then sets `current` to the group id of each record; states
    handed to users read and write the row of `current`. A group id is given back when no table and no timer
    holds it (hold, let_go) and the operator calls release_unused, at the end of a batch or of a run of
    timers.

    key_schema : how the key looks to a user, None for a bare value
    window : codec of the windows of states that have a scope (of triggers, of window functions)
    """

    def __init__(
        self,
        manager: StateManager,
        clock: Any,
        key_schema: Schema | None = None,
        window: Codec | None = None,
    ) -> None:
        self.no_key = _NoKey(manager.operator)
        self.current: Any = self.no_key  # group id of what is being processed
        self.keys: KeyIndex | None = manager.find(KEYS)  # the restored one until the first batch, which knows the types
        if self.keys is not None and (key_schema is None or None in key_schema.types):
            self.keys.allow_pickle()  # timers and windows of restored keys may come before the first batch
        self._claimed = False
        self.tables: dict[str, Table] = {}
        self.manager = manager
        self._operator = manager.operator
        self._key_schema = key_schema
        self._clock = clock
        self._window = window
        self._cleanups: list[Cleanup] = []  # those that each record pays for
        self._states: dict[str, HeapState] = {}
        self._holds: dict[int, int] = {}  # group id -> rows and timers that need it
        self._unused: set[int] = set()
        # Rows that nobody has claimed yet need their keys, too; whose they are is known when all are claimed.
        self._kept: list[int] = [] if self.keys is None else self.keys.live_ids().tolist()
        for group_id in self._kept:
            self.hold(group_id)

    # -- keys ---------------------------------------------------------------------------------------------

    def intern(self, keys: Sequence[Column], hashes: np.ndarray | None) -> list[int]:
        """Group id of each row of a batch. Ids that get no state are released by the next release_unused."""
        ids: list[int] = self.intern_array(keys, hashes).tolist()
        return ids

    def intern_array(self, keys: Sequence[Column], hashes: np.ndarray | None) -> np.ndarray:
        """The same, int32[n]."""
        before = 0 if self.keys is None else len(self.keys)
        ids = self.intern_kept(keys, hashes)
        assert self.keys is not None
        if len(self.keys) != before:
            holds = self._holds
            self._unused.update(group_id for group_id in ids.tolist() if group_id not in holds)
        return ids

    def intern_kept(self, keys: Sequence[Column], hashes: np.ndarray | None) -> np.ndarray:
        """The same, int32[n]; for operators that say themselves which ids they need, in release_others."""
        if not self._claimed:
            self.keys = self.manager.part(KEYS, lambda: KeyIndex.of_keys(keys, self._key_schema))
            self._claimed = True
        assert self.keys is not None
        ids = self.keys.intern(keys, hashes)
        for cleanup in self._cleanups:
            cleanup.run(len(ids))
        return ids

    def current_key(self) -> Any:
        """The key object of the current record or timer."""
        if self.keys is None or self.current is self.no_key:
            self.no_key.refuse()
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
        self._let_kept_go()
        if self._unused:
            unused = [group_id for group_id in self._unused if group_id not in self._holds]
            self._unused.clear()
            if unused and self.keys is not None:
                self.keys.release(np.array(unused, np.int32))
        self.current = self.no_key

    def release_others(self, used: np.ndarray) -> None:
        """Gives back the ids that nothing needs but those in use. used : bool[id bound]"""
        assert self.keys is not None
        self._let_kept_go()
        self._unused.clear()
        live = self.keys.live_ids()
        others = live[~used[live]]
        if self._holds:
            others = np.array([group_id for group_id in others.tolist() if group_id not in self._holds], np.int32)
        self.keys.release(others)

    def _let_kept_go(self) -> None:
        if self._kept and not self.manager.has_unclaimed:
            kept, self._kept = self._kept, []
            for group_id in kept:
                self.let_go(group_id)

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

    def for_each(self, descriptor: StateDescriptor, function: Callable[[Any, Any], Any]) -> None:
        """function(key, state) for each key that has a value in this state (Flink: applyToAllKeys)."""
        state = self._get(descriptor, StateDescriptor)
        table = self.tables[descriptor.name]
        try:
            for namespace, self.current in table.walk():
                if table.get(namespace, self.current) is not None:
                    function(self.current_key(), state)
        finally:
            self.current = self.no_key

    def table(
        self, name: str, content: Content, namespace: Codec | None = None, expiry: Expiry | None = None
    ) -> Table:
        """A table that holds the group ids it has rows for: for operators that keep their own state."""

        def make() -> Table:
            # Pickles are read where the program itself declares that type.
            return Table(name, content, namespace, self.hold, self.let_go, expiry=expiry, allow_pickle=True)

        self.manager.refuse_restored(f"columns/{name}", "functions of batches use (get_batch_state)")
        table = self.tables[name] = self.manager.part(f"table/{name}", make, shown=content.value.shown)
        return table

    def timers(self, name: str, namespace: Codec | None = None) -> TimerQueue:
        """A queue of timers; whoever registers in it holds and lets go of group ids."""
        queue = self.manager.part(f"timers/{name}", lambda: TimerQueue(namespace))
        for timer in queue:
            self.hold(timer.group_id)
        return queue

    def _get(self, descriptor: Any, expected: type[StateDescriptor], scope: str = "") -> Any:
        if not isinstance(descriptor, expected):
            raise TypeError(
                f"operator '{self._operator}': expected a {expected.__name__}, got {descriptor!r}"
            )
        name = scope + descriptor.name
        state = self._states.get(name)
        if state is None:
            state = self._states[name] = self._make(name, descriptor, self._window if scope else None)
        elif self.tables[name].content.kind != descriptor.kind:
            raise ConfigurationError(
                f"operator '{self._operator}': state '{name}' is already a {self.tables[name].content.kind} state, "
                f"it cannot be a {descriptor.kind} state as well; give one of them another name"
            )
        return state

    def _make(self, name: str, descriptor: StateDescriptor, window: Codec | None) -> HeapState:
        if type(descriptor) not in _STATES:
            raise TypeError(f"operator '{self._operator}': {descriptor!r} is no descriptor of a keyed state")
        plain, expiring = _STATES[type(descriptor)]
        ttl = descriptor.ttl_config
        convert = converter(descriptor.type_info, f"state '{descriptor.name}'")
        key_codec = None
        others: list[Any] = []
        if isinstance(descriptor, MapStateDescriptor):
            convert = None if convert is None else nullable(convert)
            key_codec = codec_of(descriptor.key_type_info)
            others = [converter(descriptor.key_type_info, f"a key of state '{descriptor.name}'")]
        elif isinstance(descriptor, ReducingStateDescriptor):
            others = [descriptor.get_reduce_function()]
        elif isinstance(descriptor, AggregatingStateDescriptor):
            others = [descriptor.get_agg_function()]
        content = Content(descriptor.kind, codec_of(descriptor.type_info), key_codec, ttl is not None)
        if ttl is None:
            return plain(self, self.table(name, content, window), convert, *others)
        expiry = Expiry(ttl, content.shape, self._clock.now_ms)
        table = self.table(name, content, window, expiry)
        cleanup = Cleanup(table, expiry)
        if expiry.at_every_record:
            self._cleanups.append(cleanup)
        return expiring(self, table, convert, *others, expiry=expiry, cleanup=cleanup)


#: The states of a descriptor: without and with a time to live.
_STATES: dict[type[StateDescriptor], tuple[Any, Any]] = {
    ValueStateDescriptor: (HeapValueState, ExpiringValueState),
    ListStateDescriptor: (HeapListState, ExpiringListState),
    MapStateDescriptor: (HeapMapState, ExpiringMapState),
    ReducingStateDescriptor: (HeapReducingState, ExpiringReducingState),
    AggregatingStateDescriptor: (HeapAggregatingState, ExpiringAggregatingState),
}
