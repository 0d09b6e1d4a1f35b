# SPDX-License-Identifier: Apache-2.0
"""AssignTimestamps: gives records their event time and the stream its watermarks."""

from __future__ import annotations

from typing import Any

import numpy as np

from flinkcore import options
from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.faults import BadRecords
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.errors import UserFunctionError
from flinkcore.expr.translate import Translation, translate_timestamp
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.operators.functions import function_name
from flinkcore.operators.translated import Translated
from flinkcore.time import MAX_WATERMARK
from flinkcore.time.timestamps import (
    FUTURE,
    NULL,
    OK,
    OUT_OF_RANGE,
    fault_text,
    mark_future,
    timestamps_of_column,
    timestamps_of_rows,
)
from flinkcore.time.watermark_spec import WatermarkStrategySpec
from flinkcore.time.watermarks import WatermarkFacts, WatermarkTracker, make_generator, merged_snapshots


class AssignTimestamps(Operator):
    """A watermark strategy at work, in a source for each split, or in the middle of a stream.

    Timestamps come from a column, from a TimestampAssigner per row, or stay as they are. Watermarks and
    idleness from upstream end here, as they are about other timestamps; only the last watermark passes.
    Source: Flink, TimestampsAndWatermarksOperator
    """

    def __init__(self, spec: WatermarkStrategySpec, schema: Schema, of_split: bool = False) -> None:
        self.of_split = of_split  # then the source snapshots and restores it, with the split
        self.spec = spec
        self.schema = schema
        self._column: int | None = None
        self._what = "the record's timestamp"
        if spec.timestamp_column is not None:
            self._column = schema.index_of(spec.timestamp_column)
            self._what = f"timestamp column '{spec.timestamp_column}'"
            type = schema.types[self._column]
            timestamps_of_column(
                Batch.empty(Schema((spec.timestamp_column,), (type,))).column(0), spec.timestamp_column
            )
        elif spec.timestamp_assigner is not None:
            self._what = f"the timestamp from {function_name(spec.timestamp_assigner)}"

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        spec, config = self.spec, context.config
        self._translated = self._translation(config)
        batch_mode = config.get(options.RUNTIME_MODE) == "BATCH"  # event time then only ends
        self._tracker = WatermarkTracker(
            make_generator(spec),
            context.clock,
            0 if batch_mode else config.get(options.AUTO_WATERMARK_INTERVAL),
            config.get(options.BATCH_ROWS),
            spec.idle_timeout_ms,
        )
        self._idle = False
        self._bad = BadRecords.of(spec.on_bad_timestamp, context.metrics, out)
        self._future = BadRecords.of(spec.on_future, context.metrics, out)
        self._wake()
        if not self.of_split:
            self.restore(context.state.field("watermarks", None, self.snapshot, merged_snapshots))

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        timestamps, faults = self._timestamps(batch)
        rows = to_rows(batch) if self._tracker.needs_rows else None
        if timestamps is not None and self.spec.future_ms_max is not None:
            faults = mark_future(timestamps, faults, self.context.clock.now_ms() + self.spec.future_ms_max)
        if faults is not None:
            kept = np.flatnonzero(faults == OK)
            self._refuse(batch, faults)
            batch, timestamps = batch.take(kept), timestamps[kept]  # type: ignore[index]
            rows = None if rows is None else [rows[row] for row in kept]
        if not batch.num_rows:
            return
        if timestamps is None:
            self.out.batch(batch)
            return
        self._emit(batch.with_timestamps(timestamps), timestamps, rows)
        self._poll()

    def process_watermark(self, watermark_ms: int) -> None:
        if watermark_ms == MAX_WATERMARK:
            self._say_idle(False)
            self.out.watermark(watermark_ms)

    def process_idle(self, idle: bool) -> None:
        """What upstream says about its own watermarks does not matter here."""

    def process_timer(self, now_ms: int) -> None:
        self._poll()
        self._wake()

    def snapshot(self) -> dict[str, Any]:
        """What goes into a checkpoint, as plain data."""
        return self._tracker.snapshot()

    def restore(self, snapshot: dict[str, Any] | None) -> None:
        """Goes on from snapshot(). The last watermark is emitted again, so that records that were
        late are late again. None: begins anew."""
        watermark_ms = self.restore_tracker(snapshot)
        if watermark_ms is not None:
            self.out.watermark(watermark_ms)

    def restore_tracker(self, snapshot: dict[str, Any] | None) -> int | None:
        """The same, but the last watermark is the caller's to emit."""
        return None if snapshot is None else self._tracker.restore(snapshot)

    def facts(self) -> WatermarkFacts:
        """What this operator's watermark stands on: why a window further down has not fired."""
        return self._tracker.facts()

    def output_schema(self) -> Schema:
        return self.schema

    def describe(self) -> OperatorDescription:
        spec = self.spec
        watermarks = {"bounded": f"bounded by {spec.bound_ms} ms", "none": "no watermarks"}.get(
            spec.kind, "custom"
        )
        detail = f"{self._what}, {watermarks}"
        called = [
            name
            for name, used in (
                ("the TimestampAssigner", self._by_row and self._translation().translation is None),
                ("the WatermarkGenerator", spec.kind == "custom"),
            )
            if used
        ]
        reason = f"{' and '.join(called)} is called for each record" if called else None
        return OperatorDescription(not called, detail, reason)

    # -- timestamps ---------------------------------------------------------------------------------------

    def _translation(self, config: Configuration | None = None) -> Translated:
        return Translated(
            lambda: translate_timestamp(self.spec.timestamp_assigner, "extract_timestamp", self.schema), config
        )

    @property
    def _by_row(self) -> bool:
        return self._column is None and self.spec.timestamp_assigner is not None

    def _timestamps(self, batch: Batch) -> tuple[np.ndarray | None, np.ndarray | None]:
        """int64[n] and uint8[n] of faults; the former is None when records have no timestamps at all."""
        if self._column is not None:
            column: Column = batch.column(self._column)
            return timestamps_of_column(column, self.schema.names[self._column])
        if self.spec.timestamp_assigner is None:
            return batch.timestamps_ms, None
        columns = self._translated.ask(batch, self.context.metrics, Translation.columns)
        if columns is not None:
            return timestamps_of_column(columns[0], "timestamp")
        rows = to_rows(batch)
        return timestamps_of_rows(rows, self.spec.timestamp_assigner, batch.timestamps_ms, self.context.name)

    def _refuse(self, batch: Batch, faults: np.ndarray) -> None:
        for fault in (NULL, OUT_OF_RANGE, FUTURE):
            bad = np.flatnonzero(faults == fault)
            if len(bad):
                policy = self._future if fault == FUTURE else self._bad
                where = f"operator '{self.context.name}', record {bad[0]} of its batch"
                policy.rows(batch.take(bad), fault_text(fault, self._what), where)

    # -- watermarks ---------------------------------------------------------------------------------------

    def _emit(self, batch: Batch, timestamps: np.ndarray, rows: list[Any] | None) -> None:
        """The records, with punctuated watermarks in their places between them."""
        try:
            marks = self._tracker.on_batch(timestamps, batch.time_bounds()[1], rows)
        except Exception as error:
            raise UserFunctionError(self.context.name, "WatermarkGenerator.on_event", error) from error
        start = 0
        for end, watermark_ms in marks:
            self.out.batch(batch.slice(start, end - start))
            self._say_idle(False)
            self.out.watermark(watermark_ms)
            start = end
        if start < batch.num_rows:
            self.out.batch(batch.slice(start, batch.num_rows - start))

    def _poll(self) -> None:
        try:
            watermark_ms = self._tracker.poll()
        except Exception as error:
            raise UserFunctionError(
                self.context.name, "WatermarkGenerator.on_periodic_emit", error
            ) from error
        self._say_idle(self._tracker.idle)
        if watermark_ms is not None:
            self.out.watermark(watermark_ms)

    def _say_idle(self, idle: bool) -> None:
        if idle != self._idle:
            self._idle = idle
            self.out.idle(idle)

    def _wake(self) -> None:
        next_ms = self._tracker.next_poll_ms()
        if next_ms is not None and (self.spec.kind != "none" or self.spec.idle_timeout_ms is not None):
            self.context.timers.register(next_ms)
