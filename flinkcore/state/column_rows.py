# SPDX-License-Identifier: Apache-2.0
"""ColumnRows: records that wait for something, in columns, with the keys that they go by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import ARROW, BOOL, BYTES, OBJECT, Column
from flinkcore._native.hash import hash_columns
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.fields import ValueFault
from flinkcore.columnar.objects import plain_keys
from flinkcore.columnar.schema import Schema
from flinkcore.errors import FlinkcoreError, SchemaError, StateFormatError, StateMigrationError
from flinkcore.state.blocks import PRESENT, ROWS_MAX, block_schema, read, written
from flinkcore.state.codec import PICKLED
from flinkcore.state.described_schema import describe_schema, schema_of_description
from flinkcore.state.part import Payload

#: Batches of one epoch are put together up to so many rows: a stream of single records makes few batches, in which each
#: record is copied log2 of that often at most; batches of about that many rows are not copied at all.
CHUNK_ROWS = 65_536
_OBJECT_BYTES = 64  # what a Python object is counted as


class ColumnRows:
    """Records of one schema, in the order in which they came; they go all at once. A StatePart.

    Batches are kept as they are, so that a snapshot copies nothing, and an increment is what came since. Rows move to
    other subtasks by the hashes of their keys: they need no index of keys.

    key_schema : of the key, as key_by has it
    key_columns : which columns of the record are the key's; None when it is made by a function
    timed : whether records keep their timestamps
    """

    kind = "rows"

    def __init__(
        self, schema: Schema, key_schema: Schema, key_columns: Sequence[int] | None = None, timed: bool = False
    ) -> None:
        self.schema = schema
        self.timed = timed
        # Python objects and nested values go by their canonical bytes, which are kept: objects are pickled beside.
        if key_columns is not None and any(schema.kinds[i] > BYTES for i in key_columns):
            key_columns = None
        self.key_columns = None if key_columns is None else tuple(key_columns)
        self.key_schema = key_schema
        self._key_types = [
            pa.binary() if kind in (ARROW, OBJECT) else type for type, kind in zip(key_schema.types, key_schema.kinds)
        ]
        self._objects = [i for i, type in enumerate(schema.types) if type is None]
        self._sealed = False  # objects are pickles yet, as a snapshot holds them
        self._epoch = 1
        self._chunks: list[tuple[int, Batch]] = []  # (epoch in which it came, rows)
        self._bytes = 0
        self.row_count = 0

    # -- rows ---------------------------------------------------------------------------------------------

    @property
    def batches(self) -> list[Batch]:
        """The rows, with keys as kernels know them (plain_keys) and hashes."""
        return [batch for _, batch in self._chunks]

    def append(self, batch: Batch) -> None:
        """Adds the rows of a keyed batch."""
        assert not self._sealed, "rows are claimed before some are added"
        assert batch.keys is not None
        columns = batch.columns
        keys = plain_keys(batch.keys) if self.key_columns is None else [columns[i] for i in self.key_columns]
        timestamps = batch.timestamps_ms if self.timed else None
        kept = Batch(
            self.schema, columns, batch.num_rows, timestamps, batch.row_kinds, tuple(keys), batch.hashes()
        )
        self._add(kept, self._epoch)

    def _add(self, batch: Batch, epoch: int) -> None:
        if not batch.num_rows:
            return
        self.row_count += batch.num_rows
        self._bytes += sum(map(_column_bytes, batch.columns))
        chunks = self._chunks
        chunks.append((epoch, batch))
        while len(chunks) > 1 and chunks[-2][0] == epoch:
            one, other = chunks[-2][1], chunks[-1][1]
            if one.num_rows > other.num_rows or one.num_rows + other.num_rows > CHUNK_ROWS:
                break
            chunks[-2:] = [(epoch, self._joined([one, other]))]

    def _joined(self, batches: list[Batch]) -> Batch:
        if self.key_columns is None:
            return Batch.concat(batches)
        hashes = np.concatenate([batch.hashes() for batch in batches])
        whole = Batch.concat([batch.with_keys(None, None) for batch in batches])
        return whole.with_keys(self._keys_of(whole), hashes)

    def _keys_of(self, batch: Batch) -> tuple[Column, ...]:
        assert self.key_columns is not None
        return tuple(batch.column(i) for i in self.key_columns)

    # -- snapshots ----------------------------------------------------------------------------------------

    @property
    def state_bytes(self) -> int:
        return self._bytes

    def describe(self) -> dict[str, Any]:
        return {
            "record": describe_schema(self.schema),
            "key": describe_schema(self.key_schema),
            "key_columns": None if self.key_columns is None else list(self.key_columns),
            "timed": self.timed,
        }

    @classmethod
    def of_description(cls, description: dict[str, Any]) -> ColumnRows:
        """Empty rows as described, to load blocks into. ValueError: it describes none"""
        try:
            schema = schema_of_description(description["record"])
            key_columns = description["key_columns"]
            if key_columns is not None and not all(0 <= i < len(schema) for i in key_columns):
                raise ValueError(f"key columns {key_columns} of {len(schema)}")
            rows = cls(schema, schema_of_description(description["key"]), key_columns, description["timed"] is True)
        except (LookupError, TypeError, ValueError, OSError, pa.ArrowException, FlinkcoreError) as error:
            raise ValueError(f"not the description of rows: {error!r}") from error
        rows._sealed = True
        return rows

    def fit(self, program: ColumnRows) -> None:
        """The program goes on with these rows. ValueError: its records or keys are of other types"""
        for what in ("record", "key", "key_columns", "timed"):
            stored, wanted = self.describe()[what], program.describe()[what]
            if stored != wanted:
                shown = {"record": (self.schema, program.schema), "key": (self.key_schema, program.key_schema)}
                here, there = shown.get(what, (stored, wanted))
                raise ValueError(f"the {what.replace('_', ' ')} is {here}, the program's is {there}")
        self.schema = program.schema
        if self._objects:
            self._chunks = [(epoch, self._opened(batch)) for epoch, batch in self._chunks]
        self._sealed = False

    def freeze(self, since: int, epoch: int) -> FrozenRows:
        self._epoch = epoch + 1
        return FrozenRows(self, [batch for came, batch in self._chunks if came > since], self._sealed)

    def forget(self, epoch: int) -> None:
        """What came in which epoch is known as long as the rows are there."""

    def load(self, payload: memoryview) -> None:
        _, block = read(payload, {PRESENT: self._block_schema()})
        arrays = block.columns
        timestamps: np.ndarray | None = None
        if self.timed:
            if arrays[0].null_count:
                raise StateFormatError("a row lacks its timestamp")
            timestamps = arrays.pop(0).to_numpy()
        kinds = arrays.pop(0)
        if kinds.null_count or (len(kinds) and kinds.to_numpy().max() > 3):
            raise StateFormatError("a row has no row kind from 0 to 3")
        row_kinds = kinds.to_numpy() if kinds.to_numpy().any() else None
        columns = [Column.from_arrow(array) for array in arrays]
        count = len(self.schema)
        batch = Batch(self.schema, columns[:count], block.num_rows, timestamps, row_kinds)
        keys = tuple(columns[count:]) if self.key_columns is None else self._keys_of(batch)
        self._add(batch.with_keys(keys, hash_columns(keys)), self._epoch)

    def loaded(self, epoch: int) -> None:
        self._chunks = [(min(came, epoch), batch) for came, batch in self._chunks]
        self._epoch = epoch + 1

    def absorb(self, other: ColumnRows, key_groups: range, max_parallelism: int) -> None:
        """Takes over the rows of some key groups of another subtask. StateMigrationError: they are of other types"""
        if other.describe() != self.describe():
            raise StateMigrationError(
                f"subtasks hold rows of {other.schema} and of {self.schema}; restore with the parallelism that they "
                f"were written with"
            )
        for batch in other.batches:
            groups = (batch.hashes() % np.uint64(max_parallelism)).astype(np.int64)
            kept = batch.filter((groups >= key_groups.start) & (groups < key_groups.stop))
            columns = kept.columns  # gathered, so that the others can go
            assert kept.keys is not None
            moved = Batch(self.schema, columns, kept.num_rows, kept.timestamps_ms, kept.row_kinds)
            keys = kept.keys if self.key_columns is None else self._keys_of(moved)
            self._add(moved.with_keys(keys, kept.key_hashes), self._epoch)

    def table(self) -> pa.Table:
        """The rows that a snapshot holds, as its blocks have them, objects pickled; for readers without the program."""
        schema = self._block_schema()
        blocks = [pa.RecordBatch.from_arrays(self.arrays(batch, self._sealed), schema=schema) for batch in self.batches]
        return pa.Table.from_batches(blocks, schema)

    def arrays(self, batch: Batch, sealed: bool) -> list[pa.Array]:
        """The columns of a block."""
        columns = [
            self._array(batch.column(i), sealed or type is not None, i) for i, type in enumerate(self.schema.types)
        ]
        if self.key_columns is None:
            assert batch.keys is not None
            columns += [key.to_arrow() for key in batch.keys]
        timestamps = [pa.array(batch.timestamps_ms, pa.int64())] if self.timed else []
        return [*timestamps, pa.array(batch.kinds(), pa.uint8()), *columns]

    def _array(self, column: Column, is_typed: bool, index: int) -> pa.Array:
        if is_typed:
            return column.to_arrow()
        try:
            return PICKLED.encode(column.to_pylist())
        except ValueFault as fault:
            raise SchemaError(
                f"column '{self.schema.names[index]}' of a record that waits holds {fault.value!r}: {fault.reason}"
            ) from fault

    def _opened(self, batch: Batch) -> Batch:
        columns = list(batch.columns)
        for i in self._objects:
            columns[i] = Column.from_objects(PICKLED.decode(columns[i].to_arrow(), True))
        opened = Batch(self.schema, columns, batch.num_rows, batch.timestamps_ms, batch.row_kinds)
        return opened.with_keys(batch.keys, batch.key_hashes)

    def _block_schema(self) -> pa.Schema:
        names, types = self.schema.names, self.schema.types
        fields = [pa.field("timestamp_ms", pa.int64())] if self.timed else []
        fields.append(pa.field("row_kind", pa.uint8()))
        fields += [pa.field(f"value.{name}", pa.binary() if type is None else type) for name, type in zip(names, types)]
        if self.key_columns is None:
            fields += [pa.field(f"key.{name}", type) for name, type in zip(self.key_schema.names, self._key_types)]
        return block_schema(self.kind, PRESENT, fields)


def rows_of(batches: Sequence[Batch], rows: np.ndarray) -> Batch:
    """The rows of some batches, one behind the other, at positions int64[m], in their order; without keys.

    batches : at least one, of one schema
    """
    if len(batches) == 1 or not len(rows):
        return batches[0].with_keys(None, None).take(rows)
    ends = np.cumsum([batch.num_rows for batch in batches])
    batch_of_row = np.searchsorted(ends, rows, side="right")
    parts, places = [], []
    for i in np.unique(batch_of_row).tolist():
        place = np.flatnonzero(batch_of_row == i)
        first = int(ends[i]) - batches[i].num_rows
        parts.append(batches[i].with_keys(None, None).take(rows[place] - first))
        places.append(place)
    if len(parts) == 1:
        return parts[0]
    order = np.empty(len(rows), np.int64)
    order[np.concatenate(places)] = np.arange(len(rows))
    return Batch.concat(parts).take(order)


class FrozenRows:
    """Rows as they were when an epoch ended: batches do not change.

    sealed : whether objects are pickles
    """

    def __init__(self, rows: ColumnRows, batches: list[Batch], sealed: bool) -> None:
        self._rows = rows
        self._batches = batches
        self._sealed = sealed

    def blocks(self) -> Iterator[Payload]:
        schema = self._rows._block_schema()
        for batch in self._batches:
            for start in range(0, batch.num_rows, ROWS_MAX):  # in steps, for objects are pickled under the GIL
                part = batch.slice(start, min(ROWS_MAX, batch.num_rows - start))
                yield from written(schema, self._rows.arrays(part, self._sealed))

    def release(self) -> None:
        self._batches = []


def _column_bytes(column: Column) -> int:
    if column.kind in (ARROW, BYTES):
        return int(column.to_arrow().nbytes)
    return len(column) * (_OBJECT_BYTES if column.kind == OBJECT else 1 if column.kind == BOOL else 8)
