# SPDX-License-Identifier: Apache-2.0
"""Rows that a checkpoint holds and nobody has claimed yet: they stay as they are stored.

A table or a queue of timers knows the types of its rows, and only the program knows the table. Until it asks, its rows
are kept in blocks; they are part of the next snapshots, move with their keys when the job is rescaled, and can be read
as Arrow without the program. Nothing is unpickled here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.errors import StateFormatError, StateMigrationError
from flinkcore.state.blocks import NOTHING, PRESENT, block_schema, read, written
from flinkcore.state.evolution import joint, migrated
from flinkcore.state.part import Payload


class StoredRows:
    """The blocks of a table or of timers.

    kind, description : of the part that wrote them
    """

    def __init__(self, kind: str, description: dict[str, Any]) -> None:
        self.kind = kind
        self.description = description
        self.payloads: list[Payload] = []
        self.epoch = 0  # up to which the blocks tell what happened
        self._orders = 0  # of timers: above all that are taken
        self._ids = 0  # of operator state: how many rows were appended

    def describe(self) -> dict[str, Any]:
        return self.description

    def batches(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        """(what it says of its rows, rows) of each block, the oldest first."""
        for payload in self.payloads:
            yield read(payload)

    def load(self, payload: memoryview) -> None:
        rows, batch = read(payload)
        if rows == NOTHING:
            self.payloads.clear()
            return
        _check_ids(batch)
        self.payloads.append(payload)

    def loaded(self, epoch: int) -> None:
        self.epoch = epoch

    def forget(self, epoch: int) -> None:
        """What is stored does not change."""

    def freeze(self, since: int, epoch: int) -> _FrozenRows:
        if since >= self.epoch and since:
            return _FrozenRows([])
        # They are all that there is: what older segments hold is void, of which nothing tells once it has been loaded.
        void = list(written(block_schema(self.kind, NOTHING, []), [])) if since else []
        return _FrozenRows([*void, *self.payloads])

    def absorb(self, other: StoredRows, ids: np.ndarray) -> None:
        """Takes over the rows whose group ids have a new one.

        ids : int32[ids of the other], the id here or -1;  StateFormatError: a row has an id that is none
        StateMigrationError : the types of both have nothing in common
        """
        agree([self, other])
        orders = self._orders
        for rows, batch in other.batches():
            old = batch.column("group_id").to_numpy()
            if len(old) and old.max() >= len(ids):
                raise StateFormatError(f"a row has group id {old.max()}, and there are {len(ids)} keys")
            new = ids[old]
            kept = pa.array(new >= 0)
            batch = batch.set_column(
                batch.schema.get_field_index("group_id"), batch.schema.field("group_id"), pa.array(new, pa.int32())
            ).filter(kept)
            if rows == PRESENT and self.kind == "timers":  # the order of registration differs between all timers
                place = batch.schema.get_field_index("order")
                moved = pc.add(batch.column(place), orders)
                batch = batch.set_column(place, batch.schema.field(place), moved)
                self._orders = max(self._orders, (pc.max(moved).as_py() or 0) + 1)
            if batch.num_rows:
                self.payloads += written(batch.schema, batch.columns)

    def append(self, other: StoredRows, places: range) -> None:
        """Takes over some rows of a table of operator state, under ids that follow those here.

        places : which of the rows that are left, counted in the order of their ids
        StateFormatError : they are no rows of operator state
        StateMigrationError : the types of both have nothing in common
        """
        agree([self, other])
        for batch in other._left().slice(places.start, len(places)).to_batches():
            first = self._ids
            self._ids += batch.num_rows
            ids = pa.array(np.arange(first, self._ids), pa.int32())
            batch = batch.set_column(batch.schema.get_field_index("group_id"), batch.schema.field("group_id"), ids)
            self.payloads += written(batch.schema, batch.columns)

    def become(self, description: dict[str, Any]) -> None:
        """Brings all rows under another description, which is joint() of this one and others."""
        payloads: list[Payload] = []
        for payload in self.payloads:
            rows, batch = read(payload)
            if rows == PRESENT:
                batch = migrated(batch, self.description, description)
                payloads += written(batch.schema, batch.columns)
            else:
                payloads.append(payload)
        self.payloads, self.description = payloads, description

    def _left(self) -> pa.Table:
        """The rows of operator state that are left, in the order of their ids."""
        if any("namespace" in batch.schema.names for _, batch in self.batches()):
            raise StateFormatError("operator state has a column of namespaces, which only keyed state has")
        left = self.left()
        return left.sort_by("group_id") if left.num_rows else left

    def left(self, places: Sequence[str] = ("group_id",)) -> pa.Table:
        """The rows that no later block has replaced or removed; a table without columns when there is no block of rows.

        places : the columns that say which row a row is
        StateFormatError : the blocks lack such a column, or do not fit together
        """
        blocks = list(self.batches())
        present = [batch for rows, batch in blocks if rows == PRESENT]
        if not present:
            return pa.table({})
        try:
            table = pa.Table.from_batches(present)
            if len(blocks) == 1:
                return table
            columns = [pa.chunked_array([batch.column(name) for _, batch in blocks]) for name in places]
        except (KeyError, TypeError, pa.ArrowException) as error:
            raise StateFormatError(f"blocks of state do not fit together: {error}") from error
        is_present = np.concatenate([np.full(batch.num_rows, rows == PRESENT) for rows, batch in blocks])
        codes = row_codes(columns)
        _, last = np.unique(codes[::-1], return_index=True)  # what was last said of a row
        last = np.sort(len(codes) - 1 - last)
        return table.take((np.cumsum(is_present) - 1)[last[is_present[last]]]).combine_chunks()

    def group_ids(self) -> np.ndarray:
        """The ids that some row has, or had, ascending."""
        found = [batch.column("group_id").to_numpy() for rows, batch in self.batches() if rows == PRESENT]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int32)

    @property
    def row_count(self) -> int:
        """At most so many."""
        return sum(batch.num_rows for rows, batch in self.batches() if rows == PRESENT)

    @property
    def state_bytes(self) -> int:
        return sum(len(memoryview(payload).cast("B")) for payload in self.payloads)


def agree(parts: Sequence[StoredRows]) -> None:
    """Brings the rows of several subtasks under one description. StateMigrationError: there is none"""
    if not parts:
        return
    found = parts[0].description
    for part in parts[1:]:
        together = found if found == part.description else joint(found, part.description)
        if together is None:
            raise StateMigrationError(
                f"subtasks hold state '{found.get('name')}' in types that do not go together: {found} and "
                f"{part.description}. Restore with the parallelism that it was written with"
            )
        found = together
    for part in parts:
        if part.description != found:
            part.become(found)


class _FrozenRows:
    def __init__(self, payloads: list[Payload]) -> None:
        self._payloads = payloads

    def blocks(self) -> Iterator[Payload]:
        return iter(self._payloads)

    def release(self) -> None:
        self._payloads = []


def row_codes(columns: Sequence[pa.ChunkedArray]) -> np.ndarray:
    """int64[n]: the same number for rows that are equal in all columns; structs by their fields."""
    leaves = list(columns)
    codes = np.zeros(len(leaves[0]), np.int64)
    while leaves:
        leaf = leaves.pop()
        if pa.types.is_struct(leaf.type):
            leaves += leaf.flatten()
            continue
        indices = leaf.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy() + np.int64(1)
        _, codes = np.unique(codes * (len(indices) + 1) + indices, return_inverse=True)
    return codes


def _check_ids(batch: pa.RecordBatch) -> None:
    ids = batch.column("group_id")
    if ids.null_count or (len(ids) and pc.min(ids).as_py() < 0):
        raise StateFormatError("a row of state has no group id, or a negative one")
