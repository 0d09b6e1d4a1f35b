# SPDX-License-Identifier: Apache-2.0
"""What all columnar window operators share: keys to group ids, late records, results to batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from flinkcore import options
from flinkcore._native.agg import Accumulators
from flinkcore._native.column import BYTES, Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import DataError, SchemaError
from flinkcore.expr.aggregate import AggregateCall, Aggregation
from flinkcore.expr.described import describe_aggregation
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.state.keys import KeyIndex
from flinkcore.state.parts import KEYS

WINDOW_START, WINDOW_END = "window_start", "window_end"
WINDOW_TYPE = pa.timestamp("ms")


class WindowedAggregate(Operator):
    """The base of columnar window operators. Results have the key's columns, the window's bounds, the aggregates.

    key_schema : the key's columns; without names when all records have one key, which is then not emitted
    names : of the results, one per call
    late_tag : side output of late records; None drops and counts them
    """

    has_bounds = True  # whether results carry window_start and window_end
    merges = False  # whether accumulators are merged, in whatever order their records came

    def __init__(
        self,
        schema: Schema,
        key_schema: Schema,
        calls: Sequence[AggregateCall],
        names: Sequence[str],
        late_tag: str | None = None,
    ) -> None:
        for name, kind in zip(key_schema.names, key_schema.kinds):
            if kind > BYTES:
                raise SchemaError(
                    f"key '{name}' is {key_schema.type_of(name) or 'a Python object'}; columnar windows "
                    f"take keys of numbers, strings, booleans or times: key by such columns, or declare key_type"
                )
        self.schema = schema
        self.key_schema = key_schema
        self.calls = tuple(calls)
        self.late_tag = late_tag
        self.aggregation = Aggregation(calls)
        bounds = [(WINDOW_START, WINDOW_TYPE), (WINDOW_END, WINDOW_TYPE)] if self.has_bounds else []
        self.schema_out = Schema(
            [*key_schema.names, *(name for name, _ in bounds), *names],
            [*key_schema.types, *(type for _, type in bounds), *self.aggregation.types],
        )

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self.aggregation = Aggregation(self.calls, context.clock.now_ms, merges=self.merges)
        self.index = context.state.part(KEYS, lambda: KeyIndex(self.key_schema))
        self._arrived: int = context.state.field("arrived", 0, lambda: self._arrived, max)
        self._overflows = 0
        self._batch_rows = context.config.get(options.BATCH_ROWS)
        self.shown = describe_aggregation(self.aggregation)

    def accumulators(self) -> Accumulators:
        return Accumulators(self.aggregation.kernels)

    def arguments(self, batch: Batch) -> list[tuple[Column, ...]]:
        """What accumulators take from the next batch of records, in the order in which they came."""
        arrived = self._arrived
        self._arrived += batch.num_rows
        return self.aggregation.arguments(batch, arrived=arrived)

    def event_times(self, batch: Batch) -> np.ndarray:
        """The timestamps of a batch; DataError when its records have none."""
        if batch.timestamps_ms is None:
            raise DataError(
                f"operator '{self.context.name}': records have no timestamps; call "
                f"assign_timestamps_and_watermarks before an event-time window"
            )
        return batch.timestamps_ms

    def intern(self, batch: Batch) -> np.ndarray:
        """Group ids of a batch's keys, int32[n]; new keys get new ids."""
        assert batch.keys is not None, "a window follows key_by"
        ids = self.index.intern(batch.keys, batch.key_hashes)
        self.index.tell(self.context.metrics)
        return ids

    def drop_late(self, batch: Batch) -> None:
        """Records whose windows are gone: to the side output, or dropped and counted."""
        if self.late_tag is not None:
            self.out.side(self.late_tag, batch)
        else:
            self.context.metrics.late_dropped += batch.num_rows

    def emit(
        self,
        accumulators: Accumulators,
        rows: np.ndarray,
        groups: np.ndarray,
        starts_ms: np.ndarray | int,
        ends_ms: np.ndarray | int,
    ) -> None:
        """Results of accumulator rows `rows`, whose keys are group ids `groups`, a batch at a time.

        starts_ms, ends_ms : bounds of the windows, of each result or one for all. Results carry the window's last
            millisecond as timestamp, as Flink's do.
        """
        for start in range(0, len(rows), self._batch_rows):
            part = slice(start, start + self._batch_rows)
            self._emit_batch(
                accumulators,
                rows[part],
                groups[part],
                starts_ms if isinstance(starts_ms, int) else starts_ms[part],
                ends_ms if isinstance(ends_ms, int) else ends_ms[part],
            )

    def _emit_batch(
        self,
        accumulators: Accumulators,
        rows: np.ndarray,
        groups: np.ndarray,
        starts_ms: np.ndarray | int,
        ends_ms: np.ndarray | int,
    ) -> None:
        n = len(rows)
        columns = self._keys(groups)
        ends = np.full(n, ends_ms) if isinstance(ends_ms, int) else ends_ms
        if self.has_bounds:
            starts = np.full(n, starts_ms) if isinstance(starts_ms, int) else starts_ms
            columns += [Column.from_numpy(starts, WINDOW_TYPE), Column.from_numpy(ends, WINDOW_TYPE)]
        columns += self.aggregation.results(accumulators.results(rows))
        self.out.batch(Batch(self.schema_out, columns, n, ends - 1))

    def count_overflows(self, accumulators: Accumulators, counted: int = 0) -> int:
        """Sums that left 64 bits wrap, as Flink's do, but never unseen.

        counted : how many of these accumulators were counted before;  -> how many are now
        """
        overflows = accumulators.sum_overflows
        if overflows > counted:
            self.context.metrics.count("sum_overflows", overflows - counted)
        return overflows

    def _keys(self, groups: np.ndarray) -> list[Column]:
        return self.index.key_columns(groups)

    def output_schema(self) -> Schema:
        return self.schema_out

    def side_schema(self, tag: str) -> Schema | None:
        return self.schema if tag == self.late_tag else None

    def describe(self) -> OperatorDescription:
        return OperatorDescription(
            self.aggregation.native,
            f"{self.window_text()}: {', '.join(map(str, self.calls))}",
            self.aggregation.reason,
        )

    def window_text(self) -> str:
        raise NotImplementedError(type(self).__name__)


def time_text(timestamp_ms: int) -> str:
    """Milliseconds since the epoch as people read them; the number itself where a date cannot say it."""
    try:
        return (
            str(np.datetime64(timestamp_ms, "ms")).replace("T", " ")
            if abs(timestamp_ms) < 2**57
            else str(timestamp_ms)
        )
    except ValueError:
        return str(timestamp_ms)
