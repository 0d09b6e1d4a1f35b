# SPDX-License-Identifier: Apache-2.0
"""Time to live: whether what a row holds is still alive, and the removal of what is not.

Flink's rules: processing time; expired once touched + ttl <= now. Each value, list element and map entry has its
own touched_ms (flinkcore.state.content). What is never read again is found by looking at a few more rows at each
access (incremental cleanup), so that state does not grow for ever.
Source: Flink, TtlUtils, TtlIncrementalCleanup, TtlStateSnapshotTransformer
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from flinkcore.errors import ConfigurationError
from flinkcore.state.content import Shape
from flinkcore.state.table import Table
from flinkcore.state.ttl import StateTtlConfig
from flinkcore.state.ttl_options import StateVisibility, UpdateType

#: What is stored: (value, processing time of the last touch).
Stamped = tuple[Any, int]


class Expiry:
    """The decision whether stamped values are still alive.

    shape : how many values a row holds;  now_ms : the clock
    """

    def __init__(self, config: StateTtlConfig, shape: Shape, now_ms: Callable[[], int]) -> None:
        self.ttl_ms = config.ttl_ms
        if self.ttl_ms <= 0:
            raise ConfigurationError(f"state time to live must be positive, got {self.ttl_ms} ms")
        cleanup = config.get_cleanup_strategies()
        incremental = cleanup.get_incremental_cleanup_strategy()
        self.prolonged_by_reads = config.get_update_type() is UpdateType.OnReadAndWrite
        self.shows_expired = config.get_state_visibility() is StateVisibility.ReturnExpiredIfNotCleanedUp
        self.rows_per_access = 0 if incremental is None else incremental.get_cleanup_size()
        self.at_every_record = incremental is not None and incremental.run_cleanup_for_every_record()
        self.in_full_snapshot = cleanup.in_full_snapshot()
        self.now_ms = now_ms
        remaining: dict[Shape, Callable[[Any, int], Any]] = {
            Shape.ONE: self._one,
            Shape.LIST: self._list,
            Shape.MAP: self._map,
        }
        self._remaining = remaining[shape]

    def is_over(self, stamped: Stamped, now_ms: int) -> bool:
        return stamped[1] + self.ttl_ms <= now_ms

    def remaining(self, row: Any, now_ms: int) -> Any:
        """What is alive of a row: the row itself when all of it is, None when nothing is."""
        return self._remaining(row, now_ms)

    def remaining_at(self, now_ms: int) -> Callable[[Any], Any]:
        """remaining() at one time."""
        return lambda row: self._remaining(row, now_ms)

    def _one(self, row: Stamped, now_ms: int) -> Stamped | None:
        return None if self.is_over(row, now_ms) else row

    def _list(self, row: list[Stamped], now_ms: int) -> list[Stamped] | None:
        alive = [stamped for stamped in row if not self.is_over(stamped, now_ms)]
        return row if len(alive) == len(row) else alive or None

    def _map(self, row: dict[Any, Stamped], now_ms: int) -> dict[Any, Stamped] | None:
        alive = {key: stamped for key, stamped in row.items() if not self.is_over(stamped, now_ms)}
        return row if len(alive) == len(row) else alive or None


class Cleanup:
    """Goes round a table and removes what expired, a few rows at a time."""

    def __init__(self, table: Table, expiry: Expiry) -> None:
        self._table = table
        self._expiry = expiry
        self._walk: Iterator[tuple[Hashable, int]] = iter(())

    def run(self, accesses: int = 1) -> None:
        """Looks at the rows that so many accesses pay for; a round that ends begins anew with the next call."""
        table, expiry = self._table, self._expiry
        for _ in range(accesses * expiry.rows_per_access):
            place = next(self._walk, None)
            if place is None:
                self._walk = table.walk()
                return
            row = table.get(*place)
            if row is None:
                continue
            alive = expiry.remaining(row, expiry.now_ms())
            if alive is None:
                table.remove(*place)
            elif alive is not row:
                table.put(*place, alive)
