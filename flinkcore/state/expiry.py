# SPDX-License-Identifier: Apache-2.0
"""State with a time to live: every value, list element and map entry carries when it was last touched.

Flink's rules: processing time; expired once touched + ttl <= now; the first read of an expired value removes
it, and returns it only under ReturnExpiredIfNotCleanedUp. What is never read again is found by looking at a
few more keys at each access (incremental cleanup), so that state does not grow for ever.
Source: Flink, TtlStateContext, TtlListState, TtlMapState, TtlIncrementalCleanup
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from flinkcore.errors import ConfigurationError, SchemaError
from flinkcore.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from flinkcore.state.heap import Convert, HeapState
from flinkcore.state.interfaces import AggregatingState, ListState, MapState, ReducingState, ValueState
from flinkcore.state.table import Table
from flinkcore.state.ttl import StateTtlConfig
from flinkcore.state.ttl_options import StateVisibility, UpdateType
from flinkcore.state.types import converter

if TYPE_CHECKING:
    from flinkcore.state.manager import StateManager

#: What is stored: (value, processing time of the last touch).
Stamped = tuple[Any, int]


class Expiry:
    """The decision whether a stamped value is still alive."""

    def __init__(self, config: StateTtlConfig, clock: Any) -> None:
        self.ttl_ms = config.ttl_ms
        if self.ttl_ms <= 0:
            raise ConfigurationError(f"state time to live must be positive, got {self.ttl_ms} ms")
        self.prolonged_by_reads = config.get_update_type() is UpdateType.OnReadAndWrite
        self.shows_expired = config.get_state_visibility() is StateVisibility.ReturnExpiredIfNotCleanedUp
        cleanup = config.get_cleanup_strategies().get_incremental_cleanup_strategy()
        self.keys_per_access = 0 if cleanup is None else cleanup.get_cleanup_size()
        self.now_ms: Callable[[], int] = clock.now_ms

    def is_over(self, stamped: Stamped, now_ms: int) -> bool:
        return stamped[1] + self.ttl_ms <= now_ms


class _ExpiringState(HeapState):
    def __init__(self, manager: StateManager, table: Table, convert: Convert, expiry: Expiry) -> None:
        super().__init__(manager, table, convert)
        self._expiry = expiry
        self._sweep: Iterator[tuple[Hashable, int]] = iter(())

    def _converted(self, value: Any) -> Any:
        return value if self._convert is None else self._convert(value)

    def _clean_some(self) -> None:
        """Looks at the next few rows and removes what expired in them."""
        for _ in range(self._expiry.keys_per_access):
            where = next(self._sweep, None)
            if where is None:
                self._sweep = iter([(namespace, group_id) for namespace, group_id, _ in self._table])
                return
            content = self._table.get(*where)
            if content is not None and not self._purged(content, self._expiry.now_ms()):
                self._table.take(*where)

    def _purged(self, content: Any, now_ms: int) -> bool:
        """Removes what expired inside a row's content; False when nothing is left of it."""
        return not self._expiry.is_over(content, now_ms)


class _ExpiringOne(_ExpiringState):
    """A state of one stamped value."""

    def _read(self) -> Any:
        self._clean_some()
        stamped = self._get()
        if stamped is None:
            return None
        now_ms = self._expiry.now_ms()
        if self._expiry.is_over(stamped, now_ms):
            self.clear()
            return stamped[0] if self._expiry.shows_expired else None
        if self._expiry.prolonged_by_reads:
            self._put((stamped[0], now_ms))
        return stamped[0]

    def _live(self) -> Any:
        stamped = self._get()
        return None if stamped is None or self._expiry.is_over(stamped, self._expiry.now_ms()) else stamped[0]

    def _write(self, value: Any) -> None:
        self._put((self._converted(value), self._expiry.now_ms()))


class ExpiringValueState(_ExpiringOne, ValueState[Any]):
    """A value state with a time to live."""

    def value(self) -> Any:
        return self._read()

    def update(self, value: Any) -> None:
        if value is None:
            self.clear()
        else:
            self._write(value)


class ExpiringReducingState(_ExpiringOne, ReducingState[Any]):
    """A reducing state with a time to live."""

    def __init__(
        self, manager: StateManager, table: Table, convert: Convert, expiry: Expiry, function: Any
    ) -> None:
        super().__init__(manager, table, convert, expiry)
        self._reduce = function.reduce

    def get(self) -> Any:
        return self._read()

    def add(self, value: Any) -> None:
        before = self._live()
        self._write(value if before is None else self._reduce(before, value))


class ExpiringAggregatingState(_ExpiringOne, AggregatingState[Any, Any]):
    """An aggregating state with a time to live."""

    def __init__(
        self, manager: StateManager, table: Table, convert: Convert, expiry: Expiry, function: Any
    ) -> None:
        super().__init__(manager, table, convert, expiry)
        self._function = function

    def get(self) -> Any:
        accumulator = self._read()
        return None if accumulator is None else self._function.get_result(accumulator)

    def add(self, value: Any) -> None:
        accumulator = self._live()
        if accumulator is None:
            accumulator = self._function.create_accumulator()
        self._write(self._function.add(value, accumulator))


class ExpiringListState(_ExpiringState, ListState[Any]):
    """A list whose elements expire one by one."""

    def _purged(self, content: list[Stamped], now_ms: int) -> bool:
        content[:] = [stamped for stamped in content if not self._expiry.is_over(stamped, now_ms)]
        return bool(content)

    def get(self) -> list[Any]:
        self._clean_some()
        content = self._get()
        if content is None:
            return []
        found = [stamped[0] for stamped in content]
        now_ms = self._expiry.now_ms()
        if not self._purged(content, now_ms):
            self.clear()
        elif self._expiry.prolonged_by_reads:
            content[:] = [(stamped[0], now_ms) for stamped in content]
        return found if self._expiry.shows_expired else [stamped[0] for stamped in content]

    def add(self, value: Any) -> None:
        if value is None:
            raise SchemaError(f"list state '{self._table.name}': cannot add None")
        stamped = (self._converted(value), self._expiry.now_ms())
        content = self._get()
        if content is None:
            self._put([stamped])
        else:
            content.append(stamped)

    def add_all(self, values: Iterable[Any]) -> None:
        for value in list(values):
            self.add(value)

    def update(self, values: Iterable[Any]) -> None:
        values = list(values)
        self.clear()
        self.add_all(values)


class ExpiringMapState(_ExpiringState, MapState[Any, Any]):
    """A map whose entries expire one by one."""

    def __init__(
        self, manager: StateManager, table: Table, convert: Convert, expiry: Expiry, convert_key: Convert
    ) -> None:
        super().__init__(manager, table, convert, expiry)
        self._convert_key = convert_key

    def _key(self, key: Any) -> Any:
        return key if self._convert_key is None else self._convert_key(key)

    def _purged(self, content: dict[Any, Stamped], now_ms: int) -> bool:
        for key in [key for key, stamped in content.items() if self._expiry.is_over(stamped, now_ms)]:
            del content[key]
        return bool(content)

    def get(self, key: Any) -> Any:
        self._clean_some()
        content, key = self._get(), self._key(key)
        if content is None or key not in content:
            return None
        stamped, now_ms = content[key], self._expiry.now_ms()
        if self._expiry.is_over(stamped, now_ms):
            self.remove(key)
            return stamped[0] if self._expiry.shows_expired else None
        if self._expiry.prolonged_by_reads:
            content[key] = (stamped[0], now_ms)
        return stamped[0]

    def put(self, key: Any, value: Any) -> None:
        stamped = (None if value is None else self._converted(value), self._expiry.now_ms())
        content = self._get()
        if content is None:
            self._put({self._key(key): stamped})
        else:
            content[self._key(key)] = stamped

    def put_all(self, dict_value: dict[Any, Any]) -> None:
        for key, value in dict_value.items():
            self.put(key, value)

    def remove(self, key: Any) -> None:
        content = self._get()
        if content is not None and content.pop(self._key(key), None) is not None and not content:
            self.clear()

    def contains(self, key: Any) -> bool:
        content, key = self._get(), self._key(key)
        return (
            content is not None
            and key in content
            and not self._expiry.is_over(content[key], self._expiry.now_ms())
        )

    def items(self) -> list[tuple[Any, Any]]:
        self._clean_some()
        content = self._get()
        if content is None:
            return []
        found = [(key, stamped[0]) for key, stamped in content.items()]
        now_ms = self._expiry.now_ms()
        if not self._purged(content, now_ms):
            self.clear()
        elif self._expiry.prolonged_by_reads:
            for key, stamped in content.items():
                content[key] = (stamped[0], now_ms)
        return (
            found if self._expiry.shows_expired else [(key, stamped[0]) for key, stamped in content.items()]
        )

    def keys(self) -> list[Any]:
        return [key for key, _ in self.items()]

    def values(self) -> list[Any]:
        return [value for _, value in self.items()]

    def is_empty(self) -> bool:
        return not self.items()


def make_expiring(
    manager: StateManager, table: Table, descriptor: StateDescriptor, convert: Convert, expiry: Expiry
) -> HeapState:
    """The state of a descriptor that has a time to live."""
    if isinstance(descriptor, ValueStateDescriptor):
        return ExpiringValueState(manager, table, convert, expiry)
    if isinstance(descriptor, ListStateDescriptor):
        return ExpiringListState(manager, table, convert, expiry)
    if isinstance(descriptor, MapStateDescriptor):
        of_key = converter(descriptor.key_type_info, f"a key of state '{descriptor.name}'")
        return ExpiringMapState(manager, table, convert, expiry, of_key)
    if isinstance(descriptor, ReducingStateDescriptor):
        return ExpiringReducingState(manager, table, convert, expiry, descriptor.get_reduce_function())
    if isinstance(descriptor, AggregatingStateDescriptor):
        return ExpiringAggregatingState(manager, table, convert, expiry, descriptor.get_agg_function())
    raise TypeError(f"{descriptor!r} is no descriptor of a keyed state")
