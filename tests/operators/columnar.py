# SPDX-License-Identifier: Apache-2.0
"""A harness for columnar window operators: batches of (key, value, time) in, results out, no threads."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore._native.hash import hash_columns
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.expr.aggregate import plan
from flinkcore.expr.nodes import Alias, Call, FieldReference, Literal
from flinkcore.operators.base import OperatorContext
from flinkcore.time.clock import ManualClock

SCHEMA = Schema(["k", "v"], [pa.int64(), pa.int64()])
KEY = Schema(["k"], [pa.int64()])
AGGREGATES = plan(
    [
        Alias(Call("count", (Literal.of(1),)), ("n",)),
        Alias(Call("sum", (FieldReference("v"),)), ("total",)),
        Alias(Call("max", (FieldReference("v"),)), ("top",)),
    ],
    SCHEMA,
    ["k"],
)


class Runner:
    """Opens an operator and gathers what it emits."""

    def __init__(self, operator, now_ms=0, config=None):
        self.operator = operator
        self.clock = ManualClock(now_ms)
        self.timers: set[int] = set()
        self.batches: list[Batch] = []
        self.late: list[Batch] = []
        self.watermarks: list[int] = []
        timers = type("Timers", (), {"register": lambda _, time: self.timers.add(time)})()
        self.context = OperatorContext("window", self.clock, timers, config or Configuration())
        operator.open(self.context, self)

    def batch(self, batch):
        self.batches.append(batch)

    def side(self, tag, batch):
        self.late.append(batch)

    def watermark(self, watermark_ms):
        self.watermarks.append(watermark_ms)

    def idle(self, idle):
        pass

    def send(self, rows, batch_rows=None):
        """rows : (key, value, time) each, as batches of `batch_rows`."""
        step = batch_rows or max(1, len(rows))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            keys, values, times = (np.array(column, np.int64) for column in zip(*part))
            columns = [Column.from_numpy(keys), Column.from_numpy(values)]
            batch = Batch(SCHEMA, columns, len(part), times)
            self.operator.process_batch(batch.with_keys((columns[0],), hash_columns([columns[0]])))

    def until(self, watermark_ms):
        self.operator.process_watermark(watermark_ms)

    def advance(self, duration_ms):
        """Moves the clock on, firing timers at their times."""
        end = self.clock.now_ms() + duration_ms
        while self.timers and min(self.timers) <= end:
            due = min(self.timers)
            self.clock.advance(max(0, due - self.clock.now_ms()))
            self.timers = {time for time in self.timers if time > self.clock.now_ms()}
            self.operator.process_timer(self.clock.now_ms())
        self.clock.advance(end - self.clock.now_ms())

    def results(self):
        """Everything emitted since the last call, times as milliseconds."""
        rows = []
        for batch in self.batches:
            rows += zip(*(column.to_numpy().tolist() for column in batch.columns))
        self.batches = []
        return rows

    def late_rows(self):
        rows = [
            row
            for batch in self.late
            for row in zip(*(column.to_pylist() for column in batch.columns), batch.timestamps_ms.tolist())
        ]
        self.late = []
        return rows
