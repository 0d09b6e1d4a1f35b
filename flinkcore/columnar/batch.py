# SPDX-License-Identifier: Apache-2.0
"""Batch: some records of a stream as columns, with their timestamps, row kinds and key hashes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from flinkcore._native.column import OBJECT, Column
from flinkcore._native.passes import mask_rows
from flinkcore._native.values import detached_list
from flinkcore._native.window import least_and_greatest
from flinkcore.columnar.schema import Schema
from flinkcore.errors import DataError, SchemaError

# Row kinds as in Flink's RowKind.toByteValue.
INSERT, UPDATE_BEFORE, UPDATE_AFTER, DELETE = 0, 1, 2, 3


class Batch:
    """Records of one stream. Immutable: every method returns a new batch that shares what it can.

    timestamps_ms : int64[n], event time of each record; None when records carry none
    row_kinds : uint8[n], place of each record in a changelog; None when all are inserts
    keys, key_hashes : key columns and uint64[n], present between key_by and the keyed operator
    rows : positions at which columns of another length than num_rows are taken, each when it is read first; None: none
    """

    __slots__ = (
        "_columns",
        "_rows",
        "_time_bounds",
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
        columns: Sequence[Column],
        num_rows: int | None = None,
        timestamps_ms: np.ndarray | None = None,
        row_kinds: np.ndarray | None = None,
        keys: tuple[Column, ...] | None = None,
        key_hashes: np.ndarray | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self.schema = schema
        self._columns = list(columns)
        self._rows = rows
        self.num_rows: int = len(columns[0]) if num_rows is None else num_rows
        self.timestamps_ms = timestamps_ms
        self._time_bounds: tuple[int, int] | None = None
        self.row_kinds = row_kinds
        self.keys = keys
        self.key_hashes = key_hashes

    # -- columns ------------------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(self.column(i) for i in range(len(self._columns)))

    def column(self, which: int | str) -> Column:
        """One column, by position or name; a pending selection is applied to it at the first call."""
        index = self.schema.index_of(which) if isinstance(which, str) else which
        column = self._columns[index]
        if self._rows is not None and len(column) != self.num_rows:
            column = self._columns[index] = column.take(self._rows)
        return column

    # -- rows ---------------------------------------------------------------------------------------------

    def take(self, rows: np.ndarray) -> Batch:
        """The rows at these positions, in their order. Columns are gathered when they are read, keys at once."""
        count = len(rows)
        keys = None if self.keys is None else tuple(key.take(rows) for key in self.keys)
        selected = rows if self._rows is None else self._rows[rows]
        batch = Batch(
            self.schema,
            self._columns,
            count,
            None if self.timestamps_ms is None else self.timestamps_ms[rows],
            None if self.row_kinds is None else self.row_kinds[rows],
            keys,
            None if self.key_hashes is None else self.key_hashes[rows],
            selected,
        )
        for i, column in enumerate(batch._columns):
            if keys and self.keys and column in self.keys:  # gathered already
                batch._columns[i] = keys[self.keys.index(column)]
            elif len(column) == self.num_rows and (self._rows is not None or count == self.num_rows):
                batch._columns[i] = column.take(rows)  # of this batch's rows, not of those selected from
            elif len(column) == count:
                batch._columns[i] = column.take(selected)  # its length would say that it is gathered
        return batch

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
            [column.slice(offset, length) for column in self.columns],
            length,
            None if self.timestamps_ms is None else self.timestamps_ms[offset:end],
            None if self.row_kinds is None else self.row_kinds[offset:end],
            None if self.keys is None else tuple(key.slice(offset, length) for key in self.keys),
            None if self.key_hashes is None else self.key_hashes[offset:end],
        )

    # -- parts --------------------------------------------------------------------------------------------

    def with_columns(self, schema: Schema, columns: Sequence[Column]) -> Batch:
        """Other columns for the same records; keys do not survive, since they may have been among the old."""
        return Batch(schema, columns, self.num_rows, self.timestamps_ms, self.row_kinds)

    def with_timestamps(self, timestamps_ms: np.ndarray | None) -> Batch:
        return self._with(timestamps_ms=timestamps_ms, _time_bounds=None)

    def time_bounds(self) -> tuple[int, int]:
        """The earliest and the latest timestamp, looked for once; for a batch that has rows, and timestamps."""
        if self._time_bounds is None:
            assert self.timestamps_ms is not None
            self._time_bounds = least_and_greatest(self.timestamps_ms)
        return self._time_bounds

    def with_row_kinds(self, row_kinds: np.ndarray | None) -> Batch:
        return self._with(row_kinds=row_kinds)

    def with_keys(self, keys: tuple[Column, ...] | None, key_hashes: np.ndarray | None) -> Batch:
        return self._with(keys=keys, key_hashes=key_hashes)

    def select(self, indices: Sequence[int]) -> Batch:
        """Some of the columns, as rows; a pending selection stays pending."""
        return Batch(
            self.schema.select(indices),
            [self._columns[i] for i in indices],
            self.num_rows,
            self.timestamps_ms,
            self.row_kinds,
            rows=self._rows,
        )

    def _with(self, **parts: object) -> Batch:
        batch = Batch.__new__(Batch)
        for name in Batch.__slots__:
            setattr(batch, name, getattr(self, name))
        for name, part in parts.items():
            setattr(batch, name, part)
        return batch

    def detached(self) -> Batch:
        """The batch with copies of its Python objects, for a second consumer; the batch itself without objects."""
        if OBJECT not in self.schema.kinds:
            return self
        columns = [
            Column.from_objects(detached_list(column.to_pylist())) if column.kind == OBJECT else column
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
        """Batches of one schema as one. SchemaError when schemas differ, ValueError without a batch."""
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
        if all(batch.timestamps_ms is not None for batch in batches):
            timestamps = np.concatenate([batch.timestamps_ms for batch in batches])
        if any(batch.row_kinds is not None for batch in batches):
            row_kinds = np.concatenate([batch.kinds() for batch in batches])
        if first.keys is not None:
            keys = tuple(
                Column.concat([batch.keys[i] for batch in batches if batch.keys is not None])
                for i in range(len(first.keys))
            )
            hashes = np.concatenate([batch.key_hashes for batch in batches])
        return Batch(first.schema, columns, count, timestamps, row_kinds, keys, hashes)

    def kinds(self) -> np.ndarray:
        """Row kinds, uint8[n], also when all are inserts."""
        return np.zeros(self.num_rows, np.uint8) if self.row_kinds is None else self.row_kinds

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        return f"Batch({self.num_rows} rows, {self.schema})"
