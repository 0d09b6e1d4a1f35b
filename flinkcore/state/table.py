# SPDX-License-Identifier: Apache-2.0
"""A table of state: one Python value per group id and namespace, held on the heap; a part of snapshots.

Which rows changed in an epoch is noted once per row and epoch. While a frozen table is being written, the first
change of a row also keeps the row as it was, and what would be changed in place is replaced by a copy first; so
the writing thread finds each row either in the table, or among the rows that later epochs kept (Flink:
CopyOnWriteStateMap). The writer looks into the table first and the task's thread keeps a row before it changes it,
so that no lock is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flinkcore.errors import StateFormatError
from flinkcore.state.blocks import NOTHING, PRESENT, REMOVED, block_schema, read
from flinkcore.state.codec import Codec, Description
from flinkcore.state.content import Content
from flinkcore.state.evolution import AS_IS, Compatibility, Reading, compatibility
from flinkcore.state.frozen_table import ABSENT, Epoch, FrozenTable
from flinkcore.state.stored import StoredRows

if TYPE_CHECKING:
    from flinkcore.state.expiry import Expiry

#: Values of these types need no copy, wherever they are handed out.
_ATOMS = frozenset((int, float, str, bytes, bool, type(None)))
_GROUP_ID = pa.field("group_id", pa.int32(), nullable=False)
_NOTED_ROWS_MIN = 65_536
_NOTED_NAMESPACES_MIN = 16


def _nobody(group_id: int) -> None:
    """Who owns no ids."""


class Rows(dict[int, Any]):
    """The rows of one namespace by group id. Change them only as Table.writable() says."""

    __slots__ = ("epoch", "namespace", "touched")

    def __init__(self, namespace: Hashable) -> None:
        self.namespace = namespace
        self.epoch: Epoch | None = None
        self.touched: set[int] | None = None  # group ids that changed in `epoch`; None: nobody wants to know


class Table:
    """The rows of one state of one subtask, by namespace and group id.

    content : what a row holds;  namespace : codec of namespaces, None where the only one is None (the void one)
    hold, let_go : tell the owner of the group ids which of them are still in use
    expiry : time to live of the values, None when they have none
    allow_pickle : whether load() may unpickle

    A namespace with no rows takes no memory.
    """

    kind = "table"

    def __init__(
        self,
        name: str,
        content: Content,
        namespace: Codec | None = None,
        hold: Callable[[int], None] = _nobody,
        let_go: Callable[[int], None] = _nobody,
        *,
        expiry: Expiry | None = None,
        allow_pickle: bool = False,
    ) -> None:
        self.name = name
        self.content = content
        self.namespace = namespace
        self.rows: dict[Hashable, Rows] = {}
        self.allow_pickle = allow_pickle
        self._hold = hold
        self._let_go = let_go
        self._copy = content.copy
        self.expiry = expiry
        self._reading: Reading | None = None
        self._epoch: Epoch | None = None  # the current one; None while nobody wants to know what changes
        self._epochs: list[Epoch] = []  # those not forgotten, the current one last
        self._since = 0  # the smallest epoch since which all changes are noted
        self._pending: list[FrozenTable] = []
        self._noted_max = _NOTED_NAMESPACES_MIN  # namespaces of an epoch, until what is noted is counted
        self.row_bytes = 1024.0  # what a row lately took in a snapshot; many at first, so that few are tried

    # -- rows ---------------------------------------------------------------------------------------------

    def get(self, namespace: Hashable, group_id: int) -> Any:
        """The row, None when there is none. Not for those who change it: see edit."""
        rows = self.rows.get(namespace)
        return None if rows is None else rows.get(group_id)

    def edit(self, namespace: Hashable, group_id: int) -> Any:
        """The row for somebody who may change it in place; None when there is none."""
        rows = self.rows.get(namespace)
        if rows is None:
            return None
        row = rows.get(group_id)
        epoch = self._epoch
        if epoch is None or (rows.epoch is epoch and group_id in rows.touched):  # type: ignore[operator]
            return row
        if row is None or self._copy is None or type(row) in _ATOMS:
            return row
        self.touch(rows, group_id)
        return rows[group_id]

    def put(self, namespace: Hashable, group_id: int, row: Any) -> None:
        rows = self.rows.get(namespace)
        if rows is None:
            rows = self.rows[namespace] = Rows(namespace)
        if group_id not in rows:
            self._hold(group_id)
        epoch = self._epoch
        if epoch is not None and (rows.epoch is not epoch or group_id not in rows.touched):  # type: ignore[operator]
            self.touch(rows, group_id, copies=False)
        rows[group_id] = row

    def remove(self, namespace: Hashable, group_id: int) -> None:
        rows = self.rows.get(namespace)
        if rows is None or group_id not in rows:
            return
        epoch = self._epoch
        if epoch is not None and (rows.epoch is not epoch or group_id not in rows.touched):  # type: ignore[operator]
            self.touch(rows, group_id, copies=False)
        del rows[group_id]
        if not rows:
            del self.rows[namespace]
        self._let_go(group_id)

    def take(self, namespace: Hashable, group_id: int) -> Any:
        """Removes the row and returns it, for somebody who may change it in place; None when there is none."""
        row = self.edit(namespace, group_id)
        self.remove(namespace, group_id)
        return row

    def writable(self, namespace: Hashable) -> Rows:
        """The rows of a namespace for an operator's fast path, until its batch ends.

        Before it changes the row of an id that is not in `touched`, when that is not None, it calls touch();
        or touch_all() once for a batch. It tells hold and let_go what it adds and removes.
        """
        rows = self.rows.get(namespace)
        if rows is None:
            rows = self.rows[namespace] = Rows(namespace)
        if rows.epoch is not self._epoch:
            self._note(rows)
        return rows

    def touch(self, rows: Rows, group_id: int, copies: bool = True) -> None:
        """A row is about to change for the first time in this epoch. copies: maybe in place."""
        if rows.epoch is not self._epoch:
            self._note(rows)
        epoch = self._epoch
        if epoch is None:
            return
        rows.touched.add(group_id)  # type: ignore[union-attr]
        if self._pending:
            before = epoch.before.setdefault(rows.namespace, {})
            if group_id not in before:  # else its namespace was emptied and came back
                row = before[group_id] = rows.get(group_id, ABSENT)
                if copies and row is not ABSENT and self._copy is not None:
                    rows[group_id] = self._copy(row)

    def touch_all(self, rows: Rows, group_ids: Iterable[int]) -> None:
        """touch() for those of some rows that need it."""
        if self._epoch is None:
            return
        for group_id in set(group_ids).difference(rows.touched or ()):
            self.touch(rows, group_id)

    def walk(self) -> Iterator[tuple[Hashable, int]]:
        """(namespace, group id) of every row. The table may change meanwhile; then some are gone when they come."""
        for namespace in list(self.rows):
            for group_id in list(self.rows.get(namespace, ())):
                yield namespace, group_id

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    def __iter__(self) -> Iterator[tuple[Hashable, int, Any]]:
        """(namespace, group id, row) of every row."""
        for namespace, rows in self.rows.items():
            for group_id, row in rows.items():
                yield namespace, group_id, row

    def _note(self, rows: Rows) -> None:
        """The rows of a namespace are about to change for the first time in this epoch."""
        epoch = self._epoch
        if epoch is not None and len(epoch.touched) >= self._noted_max and not self._pending:
            self._forget_costly()
            epoch = self._epoch
        rows.epoch = epoch
        rows.touched = None
        if epoch is not None:
            rows.touched = set()
            epoch.touched.append((rows.namespace, rows.touched))

    def _forget_costly(self) -> None:
        """Noting changes must not cost more than the rows: then the next snapshot takes everything instead."""
        noted = sum(len(touched) for epoch in self._epochs for _, touched in epoch.touched)
        if noted > max(_NOTED_ROWS_MIN, 2 * len(self)):
            self._epoch = None
            self._epochs.clear()
            self._noted_max = _NOTED_NAMESPACES_MIN
        else:
            self._noted_max *= 2

    # -- snapshots ----------------------------------------------------------------------------------------

    @property
    def is_awaited(self) -> bool:
        """Whether a snapshot is still to be written, of rows that may have gone since."""
        return bool(self._pending)

    @property
    def row_count(self) -> int:
        return len(self)

    @property
    def state_bytes(self) -> int:
        return int(len(self) * self.row_bytes)

    def describe(self) -> Description:
        namespace = None if self.namespace is None else self.namespace.describe()
        return {"name": self.name, "namespace": namespace, **self.content.describe()}

    def compatible(self, stored: Description) -> Compatibility:
        """Whether this table can read what a table of another description wrote, and how."""
        return compatibility(stored, self.describe())

    def read_as(self, stored: Description) -> None:
        """What load() is given was written by a table of this description. StateFormatError: it does not fit."""
        self._reading = Reading(stored, self.content, self.compatible(stored), f"state '{self.name}'")

    def take_over(self, stored: StoredRows) -> bool:
        """Takes the rows that a checkpoint holds. -> whether they had to be migrated

        StateFormatError : they do not fit
        """
        found = self.compatible(stored.description)
        self.read_as(stored.description)
        for payload in stored.payloads:
            self.load(memoryview(payload))
        self.loaded(stored.epoch)
        return found is not AS_IS

    def freeze(self, since: int, epoch: int) -> FrozenTable:
        complete = self._epoch is not None and since >= self._since
        following = Epoch(epoch + 1)
        if self._epoch is None:
            self._since = epoch
        else:
            self._epoch.number = epoch
            self._epoch.next = following
        changed = [noted for noted in self._epochs if noted.number > since] if since and complete else None
        self._epoch = following
        self._epochs.append(following)
        self._noted_max = _NOTED_NAMESPACES_MIN
        frozen = FrozenTable(self, following, changed, replaces=bool(since) and not complete)
        self._pending.append(frozen)
        return frozen

    def released(self, frozen: FrozenTable) -> None:
        self._pending.remove(frozen)
        oldest = min((other.following.number for other in self._pending), default=None)
        for epoch in self._epochs:
            if oldest is None or epoch.number < oldest:
                epoch.before = {}

    def forget(self, epoch: int) -> None:
        # The one that goes on has its number when it ends: a table that was claimed late has missed some.
        self._epochs = [noted for noted in self._epochs if noted.number > epoch or noted is self._epoch]
        self._since = max(self._since, epoch)

    def load(self, payload: memoryview) -> None:
        reading = self._reading
        if reading is None:
            reading = Reading(self.describe(), self.content, AS_IS, f"state '{self.name}'")
        places = self.place_fields()
        kind, batch = read(
            payload,
            {
                PRESENT: block_schema(self.kind, PRESENT, [*places, *reading.content.fields]),
                REMOVED: block_schema(self.kind, REMOVED, places),
                NOTHING: block_schema(self.kind, NOTHING, []),
            },
        )
        if kind == NOTHING:
            self.rows.clear()
            return
        namespaces, group_ids = self._places(batch)
        if kind == REMOVED:
            for namespace, group_id in zip(namespaces, group_ids):
                rows = self.rows.get(namespace)
                if rows is not None and rows.pop(group_id, ABSENT) is not ABSENT and not rows:
                    del self.rows[namespace]
            return
        now_ms = 0 if self.expiry is None else self.expiry.now_ms()
        found = reading.rows(batch.columns[len(places) :], now_ms, self.allow_pickle)
        for namespace, group_id, row in zip(namespaces, group_ids, found):
            rows = self.rows.get(namespace)
            if rows is None:
                rows = self.rows[namespace] = Rows(namespace)
            rows[group_id] = row

    def loaded(self, epoch: int) -> None:
        self._reading = None
        # Only now: ids of rows that came and went in between are given back, or belong to other keys.
        for rows in self.rows.values():
            for group_id in rows:
                self._hold(group_id)
        if epoch:  # else the first snapshot is of everything
            self._epoch = Epoch(epoch + 1)
            self._epochs = [self._epoch]
            self._since = epoch

    def place_fields(self) -> list[pa.Field]:
        """The columns of a block that say where its rows are."""
        namespace = [] if self.namespace is None else [pa.field("namespace", self.namespace.type)]
        return [_GROUP_ID, *namespace]

    def _places(self, batch: pa.RecordBatch) -> tuple[Iterable[Hashable], list[int]]:
        """The namespaces and group ids of a block."""
        group_ids = batch.column(0).to_pylist()
        if group_ids and (batch.column(0).null_count or min(group_ids) < 0):
            raise StateFormatError(
                f"state '{self.name}' has a row without a group id, or with a negative one"
            )
        if self.namespace is None:
            return [None] * len(group_ids), group_ids
        if batch.column(1).null_count:
            raise StateFormatError(f"state '{self.name}' has a row without a namespace")
        return self.namespace.decode(batch.column(1)), group_ids
