# SPDX-License-Identifier: Apache-2.0
"""The states of flinkcore.state.heap with a time to live: writes stamp each value, reads look at the stamp.

Flink's rules: the first read of an expired value removes it, and returns it only under
ReturnExpiredIfNotCleanedUp, where adding to it goes on from it, too; every access pays for some cleanup.
Source: Flink, AbstractTtlDecorator, TtlValueState, TtlListState, TtlMapState, TtlReduceFunction
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flinkcore.state.expiry import Cleanup, Expiry, Stamped
from flinkcore.state.heap import (
    Convert,
    HeapAggregatingState,
    HeapListState,
    HeapMapState,
    HeapReducingState,
    HeapState,
    HeapValueState,
)
from flinkcore.state.table import Table

if TYPE_CHECKING:
    from flinkcore.state.keyed import KeyedState


class _Expiring(HeapState):
    """What all of them add: stamps, and cleanup at each access."""

    def __init__(
        self,
        manager: KeyedState,
        table: Table,
        convert: Convert,
        *others: Any,
        expiry: Expiry,
        cleanup: Cleanup,
    ) -> None:
        def stamped(value: Any) -> Stamped:
            cleanup.run()
            return (value if convert is None else convert(value), expiry.now_ms())

        super().__init__(manager, table, stamped, *others)
        self._expiry = expiry
        self._cleanup = cleanup

    def _read(self) -> Any:
        row = super()._read()
        self._cleanup.run()  # not before, which would hide what is expired but not yet cleaned up
        if row is None:
            return None
        expiry = self._expiry
        now_ms = expiry.now_ms()
        alive = expiry.remaining(row, now_ms)
        if alive is None:
            self.clear()
        elif expiry.prolonged_by_reads:
            self._put(self._table.content.mapped(lambda stamped: (stamped[0], now_ms), alive))
        elif alive is not row:
            self._put(alive)
        shown = row if expiry.shows_expired else alive
        return None if shown is None else self._table.content.mapped(_value_of, shown)


def _value_of(stamped: Stamped) -> Any:
    return stamped[0]


class ExpiringValueState(_Expiring, HeapValueState):
    """A value with a time to live."""

    def value(self) -> Any:
        return self._read()


class ExpiringListState(_Expiring, HeapListState):
    """A list whose elements expire one by one."""


class _ExpiringOne(_Expiring):
    """What is combined; it begins anew when it has expired."""

    def _alive(self, row: Stamped | None) -> Any:
        expiry = self._expiry
        if row is None or (not expiry.shows_expired and expiry.is_over(row, expiry.now_ms())):
            return None
        return row[0]


class ExpiringReducingState(_ExpiringOne, HeapReducingState):
    """A reduced value with a time to live."""


class ExpiringAggregatingState(_ExpiringOne, HeapAggregatingState):
    """An accumulator with a time to live."""


class ExpiringMapState(_Expiring, HeapMapState):
    """A map whose entries expire one by one."""

    def get(self, key: Any) -> Any:
        stamped = self._entry(key)
        return None if stamped is None else stamped[0]

    def contains(self, key: Any) -> bool:
        return self._entry(key) is not None

    def _entry(self, key: Any) -> Stamped | None:
        """An entry as a read sees it."""
        key = self._key(key)
        entries: dict[Any, Stamped] | None = self._lend(self._namespace, self._manager.current)
        self._cleanup.run()
        stamped = None if entries is None else entries.get(key)
        if entries is None or stamped is None:
            return None
        now_ms = self._expiry.now_ms()
        if self._expiry.is_over(stamped, now_ms):
            self.remove(key)
            return stamped if self._expiry.shows_expired else None
        if self._expiry.prolonged_by_reads:
            self._edit()[key] = (stamped[0], now_ms)
        return stamped
