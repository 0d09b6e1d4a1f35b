# SPDX-License-Identifier: Apache-2.0
"""FrozenTable: a table of state as it was when an epoch ended, for the thread that writes it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flinkcore.columnar.fields import ValueFault
from flinkcore.errors import SchemaError
from flinkcore.state.blocks import BLOCK_BYTES, NOTHING, PRESENT, REMOVED, ROWS_MAX, block_schema, written

if TYPE_CHECKING:
    from flinkcore.state.table import Table

#: What stands for a row where there was none.
ABSENT: Any = object()


class Epoch:
    """What is known of the changes of one epoch."""

    __slots__ = ("before", "next", "number", "touched")

    def __init__(self, number: int) -> None:
        self.number = number
        self.touched: list[tuple[Hashable, set[int]]] = []
        self.before: dict[
            Hashable, dict[int, Any]
        ] = {}  # rows as earlier epochs left them, or ABSENT
        self.next: Epoch | None = None


class FrozenTable:
    """A table as it was when an epoch ended.

    following : the epoch that began then
    changed : the epochs whose changes are wanted, None for all rows
    replaces : what earlier snapshots hold is void, since not all changes since then are known
    """

    def __init__(self, table: Table, following: Epoch, changed: list[Epoch] | None, replaces: bool) -> None:
        self.following = following
        self._table = table
        self._changed = changed
        self._replaces = replaces
        expiry = table.expiry
        cleans_up = expiry is not None and expiry.in_full_snapshot and changed is None
        self._remaining = expiry.remaining_at(expiry.now_ms()) if cleans_up and expiry is not None else None

    def blocks(self) -> Iterator[pa.Buffer]:
        table = self._table
        places = table.place_fields()
        present = block_schema(table.kind, PRESENT, [*places, *table.content.fields])
        removed = block_schema(table.kind, REMOVED, places)
        if self._replaces:
            yield from written(block_schema(table.kind, NOTHING, []), [])
        listed = self._all_rows() if self._changed is None else self._changed_rows()
        gone_from: list[Hashable] = []
        gone: list[int] = []
        for chunk in _chunks(listed, lambda: min(ROWS_MAX, 1 + int(BLOCK_BYTES / table.row_bytes))):
            namespaces: list[Hashable] = []
            kept: list[int] = []
            rows: list[Any] = []
            for namespace, group_ids in chunk:
                found = self._rows(namespace, group_ids)
                absent = [group_id for group_id, row in zip(group_ids, found) if row is ABSENT]
                if absent:
                    gone_from += [namespace] * len(absent)
                    gone += absent
                    group_ids = [group_id for group_id, row in zip(group_ids, found) if row is not ABSENT]
                    found = [row for row in found if row is not ABSENT]
                if self._remaining is not None:
                    alive = [self._remaining(row) for row in found]
                    group_ids = [group_id for group_id, row in zip(group_ids, alive) if row is not None]
                    found = [row for row in alive if row is not None]
                namespaces += [namespace] * len(found)
                kept += group_ids
                rows += found
            if rows:
                blocks = list(self._written(present, namespaces, kept, rows))
                table.row_bytes = sum(block.size for block in blocks) / len(rows)
                yield from blocks
        if self._changed is not None:
            for start in range(0, len(gone), ROWS_MAX):
                end = start + ROWS_MAX
                yield from self._written(removed, gone_from[start:end], gone[start:end])

    def release(self) -> None:
        self._table.released(self)

    def _written(
        self,
        schema: pa.Schema,
        namespaces: list[Hashable],
        group_ids: list[int],
        rows: list[Any] | None = None,
    ) -> Iterator[pa.Buffer]:
        table = self._table
        try:
            arrays = [pa.array(group_ids, pa.int32())]
            if table.namespace is not None:
                arrays.append(table.namespace.encode(namespaces))
            if rows is not None:
                arrays += table.content.encode(rows)
        except ValueFault as fault:
            raise SchemaError(
                f"state '{table.name}' holds {fault.value!r:.80} ({type(fault.value).__name__}), which its type "
                f"{table.content.value.describe()} cannot: {fault.reason}"
            ) from fault
        return written(schema, arrays)

    def _changed_rows(self) -> Iterator[tuple[Hashable, list[int]]]:
        assert self._changed is not None
        changed: dict[Hashable, set[int]] = {}
        for namespace, touched in chain.from_iterable(epoch.touched for epoch in self._changed):
            known = changed.get(namespace)
            changed[namespace] = touched if known is None else known | touched
        for namespace, group_ids in changed.items():
            yield namespace, list(group_ids)

    def _all_rows(self) -> Iterator[tuple[Hashable, list[int]]]:
        """Where rows are now, and where rows were when the epoch ended: also some that came later."""
        listed = {}
        for namespace in list(self._table.rows):  # each list() is one step that no other thread interrupts
            listed[namespace] = list(self._table.rows.get(namespace, ()))
        yield from listed.items()
        for namespace in {namespace for epoch in self._later() for namespace in list(epoch.before)}:
            known = set(listed.get(namespace, ()))
            later = [list(epoch.before.get(namespace, ())) for epoch in self._later()]
            yield namespace, list(set(chain.from_iterable(later)) - known)

    def _rows(self, namespace: Hashable, group_ids: list[int]) -> list[Any]:
        """The rows as they were when the epoch ended, ABSENT where there was none."""
        rows: dict[int, Any] = self._table.rows.get(namespace, {})
        found = [rows.get(group_id, ABSENT) for group_id in group_ids]
        for epoch in reversed(self._later()):  # what the earliest epoch kept is what was there
            kept = epoch.before.get(namespace)
            if kept:
                found = [kept.get(group_id, row) for group_id, row in zip(group_ids, found)]
        return found

    def _later(self) -> list[Epoch]:
        """The epochs that began since, in order."""
        epochs: list[Epoch] = []
        epoch: Epoch | None = self.following
        while epoch is not None:
            epochs.append(epoch)
            epoch = epoch.next
        return epochs


def _chunks(
    listed: Iterable[tuple[Hashable, list[int]]], rows_max: Callable[[], int]
) -> Iterator[list[tuple[Hashable, list[int]]]]:
    """Places of rows in portions of so many rows at most."""
    chunk: list[tuple[Hashable, list[int]]] = []
    room = rows_max()
    for namespace, group_ids in listed:
        start = 0
        while start < len(group_ids):
            part = group_ids[start : start + room]
            chunk.append((namespace, part))
            start += len(part)
            room -= len(part)
            if not room:
                yield chunk
                chunk, room = [], rows_max()
    if chunk:
        yield chunk
