# SPDX-License-Identifier: Apache-2.0
"""Batch: some records of a stream as columns, with their timestamps, row kinds and key hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from flinkcore._native.column import BOOL, F64, I64, OBJECT, Column
from flinkcore._native.passes import mask_rows
from flinkcore._native.scatter import scattered_values
from flinkcore._native.values import detached_list
from flinkcore._native.window import MIN_TIMESTAMP, least_and_greatest
from flinkcore.columnar.lazy import LazyColumn, gathered, scattered
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.schema import Schema
from flinkcore.errors import DataError, SchemaError

# Row kinds as in Flink's RowKind.toByteValue.
INSERT, UPDATE_BEFORE, UPDATE_AFTER, DELETE = 0, 1, 2, 3


class Batch:
    """Records of one stream. Immutable: every method returns a new batch that shares what it can.

    timestamps_ms : int64[n], event time of each record; None when records carry none
    row_kinds : uint8[n], place of each record in a changelog; None when all are inserts
    keys : key columns, present between key_by and the keyed operator
    key_hashes : uint64[n], their hashes if they are at hand; hashes() makes them
    times_within : bounds that no timestamp is outside of, as far as they are known
    """

    __slots__ = (
        "_columns",
        "_time_bounds",
        "_times_within",
        "key_hashes",
        "keys",
        "num_rows",
        "row_kinds",
        "schema",
        "timestamps_ms",
    )

    def __init__(
        self,
        schema: Schema,
        columns: Sequence[Column | LazyColumn],
        num_rows: int | None = None,
        timestamps_ms: np.ndarray | None = None,
        row_kinds: np.ndarray | None = None,
        keys: tuple[Column, ...] | None = None,
        key_hashes: np.ndarray | None = None,
        times_within: tuple[int, int] | None = None,
    ) -> None:
        self.schema = schema
        self._columns = list(columns)
        self.num_rows: int = len(self.column(0)) if num_rows is None else num_rows
        self.timestamps_ms = timestamps_ms
        self._time_bounds: tuple[int, int] | None = None
        self._times_within = times_within
        self.row_kinds = row_kinds
        self.keys = keys
        self.key_hashes = key_hashes

    # -- columns ------------------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(self.column(i) for i in range(len(self._columns)))

    def column(self, which: int | str) -> Column:
        """One column, by position or name; one that is made lazily is made at the first call."""
        index = self.schema.index_of(which) if isinstance(which, str) else which
        column = self._columns[index]
        if not isinstance(column, Column):
            column = self._columns[index] = column.made()
        return column

    # -- rows ---------------------------------------------------------------------------------------------

    def take(self, rows: np.ndarray) -> Batch:
        """The rows at these positions, in their order. Columns are gathered when they are read, keys at once."""
        keys = None if self.keys is None else tuple(key.take(rows) for key in self.keys)
        return Batch(
            self.schema,
            _with_keys(gathered(self._columns, rows), self._columns, self.keys, keys),
            len(rows),
            None if self.timestamps_ms is None else self.timestamps_ms[rows],
            None if self.row_kinds is None else self.row_kinds[rows],
            keys,
            None if self.key_hashes is None else self.key_hashes[rows],
            self._times_within,
        )

    def scatter(self, to: np.ndarray, bounds: np.ndarray) -> Iterator[tuple[int, Batch]]:
        """The targets that have rows, with a batch of their rows in their order.

        to, bounds : where rows go, as places() gives them
        The batches share what they hold. A column is scattered for all of them when the first reads it, keys at once.
        """
        edges = bounds.tolist()
        filled = [target for target in range(len(edges) - 1) if edges[target] < edges[target + 1]]
        if len(filled) == 1:
            yield filled[0], self
            return
        keys = None if self.keys is None else tuple(key.scatter(to) for key in self.keys)
        whole = Batch(
            self.schema,
            _with_keys(scattered(self._columns, to), self._columns, self.keys, keys),
            self.num_rows,
            None if self.timestamps_ms is None else scattered_values(self.timestamps_ms, to),
            None if self.row_kinds is None else scattered_values(self.row_kinds, to),
            keys,
            None if self.key_hashes is None else scattered_values(self.key_hashes, to),
            self._times_within,
        )
        for target in filled:
            yield target, whole.slice(edges[target], edges[target + 1] - edges[target])

    def filter(self, mask: np.ndarray) -> Batch:
        """The rows where bool[n] `mask` is True."""
        rows = mask_rows(np.ascontiguousarray(mask).view(np.uint8))
        return self if len(rows) == self.num_rows else self.take(rows)

    def slice(self, offset: int, length: int) -> Batch:
        """Rows [offset, offset + length), without a copy."""
        if offset == 0 and length == self.num_rows:
            return self
        end = offset + length
        return Batch(
            self.schema,
            [column.slice(offset, length) for column in self._columns],
            length,
            None if self.timestamps_ms is None else self.timestamps_ms[offset:end],
            None if self.row_kinds is None else self.row_kinds[offset:end],
            None if self.keys is None else tuple(key.slice(offset, length) for key in self.keys),
            None if self.key_hashes is None else self.key_hashes[offset:end],
            self._times_within,
        )

    # -- parts --------------------------------------------------------------------------------------------

    def with_columns(self, schema: Schema, columns: Sequence[Column]) -> Batch:
        """Other columns for the same records; keys do not survive, since they may have been among the old."""
        return Batch(schema, columns, self.num_rows, self.timestamps_ms, self.row_kinds)

    def with_timestamps(self, timestamps_ms: np.ndarray | None) -> Batch:
        return self._with(timestamps_ms, self.row_kinds, self.keys, self.key_hashes)

    def time_bounds(self) -> tuple[int, int]:
        """The earliest and the latest timestamp, looked for once; for a batch that has rows, and timestamps."""
        if self._time_bounds is None:
            assert self.timestamps_ms is not None
            self._time_bounds = self._times_within = least_and_greatest(self.timestamps_ms)
        return self._time_bounds

    def has_time_until(self, time_ms: int) -> bool:
        """Whether a timestamp is not after `time_ms`: mostly answered by the bounds of what this is a part of."""
        if not self.num_rows or (self._times_within is not None and self._times_within[0] > time_ms):
            return False
        return self.time_bounds()[0] <= time_ms

    def with_row_kinds(self, row_kinds: np.ndarray | None) -> Batch:
        return self._with(self.timestamps_ms, row_kinds, self.keys, self.key_hashes)

    def with_keys(self, keys: tuple[Column, ...] | None, key_hashes: np.ndarray | None) -> Batch:
        return self._with(self.timestamps_ms, self.row_kinds, keys, key_hashes)

    @property
    def keys_are_words(self) -> bool:
        """Whether keys are of fixed width: to hash them again takes less than to take their hashes along."""
        return self.keys is not None and all(key.kind in (I64, F64, BOOL) for key in self.keys)

    def hashes(self) -> np.ndarray:
        """uint64[n]: the hashes of the keys, made once."""
        if self.key_hashes is None:
            assert self.keys is not None, "what needs hashes follows key_by"
            self.key_hashes = hash_keys(self.keys)
        return self.key_hashes

    def select(self, indices: Sequence[int]) -> Batch:
        """Some of the columns, as rows; what is made lazily stays so."""
        return Batch(
            self.schema.select(indices),
            [self._columns[i] for i in indices],
            self.num_rows,
            self.timestamps_ms,
            self.row_kinds,
            times_within=self._times_within,
        )

    def _with(
        self,
        timestamps_ms: np.ndarray | None,
        row_kinds: np.ndarray | None,
        keys: tuple[Column, ...] | None,
        key_hashes: np.ndarray | None,
    ) -> Batch:
        """The same columns, made once for both, with other parts beside them."""
        batch = Batch.__new__(Batch)
        batch.schema = self.schema
        batch._columns = self._columns
        batch.num_rows = self.num_rows
        batch.timestamps_ms = timestamps_ms
        same_times = timestamps_ms is self.timestamps_ms
        batch._time_bounds = self._time_bounds if same_times else None
        batch._times_within = self._times_within if same_times else None
        batch.row_kinds = row_kinds
        batch.keys = keys
        batch.key_hashes = key_hashes
        return batch

    def detached(self) -> Batch:
        """The batch with copies of its Python objects, for a second consumer; the batch itself without objects."""
        if OBJECT not in self.schema.kinds:
            return self
        columns = [
            Column.from_objects(detached_list(column.to_pylist())) if _may_change(column) else column
            for column in self.columns
        ]
        return Batch(
            self.schema,
            columns,
            self.num_rows,
            self.timestamps_ms,
            self.row_kinds,
            self.keys,
            self.key_hashes,
        )

    # -- borders ------------------------------------------------------------------------------------------

    @staticmethod
    def from_arrow(data: pa.RecordBatch, schema: Schema | None = None) -> Batch:
        """A batch over a pyarrow RecordBatch, zero copy where types are the kernels' own.

        DataError : a column holds what no kernel can, e.g. a uint64 above 2^63 - 1
        """
        schema = schema or Schema.from_arrow(data.schema)
        columns = []
        for name, array in zip(schema.names, data.columns):
            try:
                columns.append(Column.from_arrow(array))
            except (pa.ArrowException, OverflowError) as error:
                what = "; cast it to decimal or string" if pa.types.is_uint64(array.type) else ""
                raise DataError(f"column '{name}' is {array.type}: {error}{what}") from error
        return Batch(schema, columns, data.num_rows)

    def to_arrow(self) -> pa.RecordBatch:
        """The columns as a pyarrow RecordBatch; timestamps, kinds and keys stay behind."""
        return pa.RecordBatch.from_arrays(
            [column.to_arrow() for column in self.columns], schema=self.schema.arrow
        )

    @staticmethod
    def empty(schema: Schema) -> Batch:
        columns = [
            Column.from_objects([]) if type is None else Column.from_arrow(pa.array([], type))
            for type in schema.types
        ]
        return Batch(schema, columns, 0)

    @staticmethod
    def concat(batches: Sequence[Batch]) -> Batch:
        """Batches of one schema as one; where some have event time, the records of others have MIN_TIMESTAMP.

        SchemaError when schemas differ, ValueError without a batch.
        """
        if not batches:
            raise ValueError("concat needs at least one batch")
        first = batches[0]
        if len(batches) == 1:
            return first
        if any(batch.schema != first.schema for batch in batches):
            raise SchemaError(
                f"batches of different schemas cannot be one: {first.schema} and "
                f"{next(b.schema for b in batches if b.schema != first.schema)}"
            )
        count = sum(batch.num_rows for batch in batches)
        columns = [Column.concat([batch.column(i) for batch in batches]) for i in range(len(first.schema))]
        timestamps = row_kinds = keys = hashes = None
        if any(batch.timestamps_ms is not None for batch in batches):
            timestamps = np.concatenate([
                np.full(batch.num_rows, MIN_TIMESTAMP) if batch.timestamps_ms is None else batch.timestamps_ms
                for batch in batches
            ])
        if any(batch.row_kinds is not None for batch in batches):
            row_kinds = np.concatenate([batch.kinds() for batch in batches])
        if first.keys is not None:
            keys = tuple(
                Column.concat([batch.keys[i] for batch in batches if batch.keys is not None])
                for i in range(len(first.keys))
            )
            if all(batch.key_hashes is not None for batch in batches):
                hashes = np.concatenate([batch.key_hashes for batch in batches])
        return Batch(first.schema, columns, count, timestamps, row_kinds, keys, hashes)

    def kinds(self) -> np.ndarray:
        """Row kinds, uint8[n], also when all are inserts."""
        return np.zeros(self.num_rows, np.uint8) if self.row_kinds is None else self.row_kinds

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        return f"Batch({self.num_rows} rows, {self.schema})"


def _with_keys(
    made: list[Column | LazyColumn],
    columns: Sequence[Column | LazyColumn],
    keys: tuple[Column, ...] | None,
    keys_made: tuple[Column, ...] | None,
) -> list[Column | LazyColumn]:
    """`made` of `columns`, where those that are keys are what was made of the keys."""
    for key, key_made in zip(keys or (), keys_made or ()):
        for i, column in enumerate(columns):
            if column is key:
                made[i] = key_made
    return made


def _may_change(column: Column) -> bool:
    """Whether somebody can change a value: the Python objects of a typed column are numbers and texts."""
    return column.kind == OBJECT and column.known is None
