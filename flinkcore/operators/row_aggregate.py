# SPDX-License-Identifier: Apache-2.0
"""Built-in aggregates where windows run on rows: under a trigger, an evictor or an assigner of the user's choice.

The accumulator of a window is an Accumulators of one row, fed record by record: Flink's semantics for single
elements, at the price of Python for each. Windows with their own trigger have columnar operators instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import from_rows
from flinkcore.columnar.schema import Schema
from flinkcore.expr.aggregate import AggregateCall, Aggregation
from flinkcore.expr.described import describe_aggregation
from flinkcore.metrics import OperatorMetrics
from flinkcore.operators.functions import AggregateFunction, ProcessWindowFunction
from flinkcore.operators.windowed import WINDOW_END, WINDOW_START, WINDOW_TYPE
from flinkcore.state.accumulators import AccumulatorRows
from flinkcore.state.codec import Codec
from flinkcore.state.manager import StateManager
from flinkcore.time.assigners import WindowAssigner
from flinkcore.time.windows import TimeWindowSerializer

_ONLY = np.zeros(1, np.int32)


class ExpressionAggregate(AggregateFunction):
    """Aggregate calls over records of a schema, as an AggregateFunction."""

    def __init__(self, schema: Schema, calls: Sequence[AggregateCall]) -> None:
        self.schema = schema
        self.calls = tuple(calls)
        self._aggregation = Aggregation(calls, merges=True)
        self._arrived = 0
        self._metrics: OperatorMetrics | None = None

    def open(self, runtime_context: Any) -> None:
        self._metrics = runtime_context.operator_metrics
        state: StateManager = runtime_context.operator_state
        self._arrived = state.field("arrived", 0, lambda: self._arrived, max)

    def accumulator_codec(self) -> Codec:
        """How accumulators become part of snapshots."""
        return AccumulatorRows(self._aggregation.kernels, describe_aggregation(self._aggregation))

    def create_accumulator(self) -> Accumulators:
        return Accumulators(self._aggregation.kernels)

    def add(self, value: Any, accumulator: Accumulators) -> Accumulators:
        record = Batch(self.schema, from_rows([value], self.schema, "window aggregate"), 1)
        before = accumulator.sum_overflows
        accumulator.update(_ONLY, self._aggregation.arguments(record, arrived=self._arrived))
        self._count(accumulator.sum_overflows - before)
        self._arrived += 1
        return accumulator

    def get_result(self, accumulator: Accumulators) -> tuple[Any, ...]:
        columns = self._aggregation.results(accumulator.results(_ONLY))
        return tuple(column.to_pylist()[0] for column in columns)

    def merge(self, acc_a: Accumulators, acc_b: Accumulators) -> Accumulators:
        before = acc_a.sum_overflows
        acc_a.merge(acc_b, _ONLY, _ONLY)
        self._count(acc_a.sum_overflows - before)
        return acc_a

    def _count(self, overflows: int) -> None:
        """Sums that left 64 bits wrap, as Flink's do, but never unseen."""
        if overflows and self._metrics is not None:
            self._metrics.count("sum_overflows", overflows)

    def __deepcopy__(self, memo: dict[int, Any]) -> ExpressionAggregate:
        return ExpressionAggregate(self.schema, self.calls)


class WithWindow(ProcessWindowFunction):
    """Puts the key and the window's bounds before the results."""

    def __init__(self, key_schema: Schema, has_bounds: bool) -> None:
        self.key_schema = key_schema
        self.has_bounds = has_bounds

    def process(self, key: Any, context: Any, elements: Iterable[Any]) -> Iterable[tuple[Any, ...]]:
        (results,) = elements
        key = () if not len(self.key_schema) else (key,) if self.key_schema.form == "value" else tuple(key)
        window = context.window()
        bounds = tuple(map(_time, (window.start, window.end))) if self.has_bounds else ()
        yield (*key, *bounds, *results)


def _time(timestamp_ms: int) -> Any:
    return np.datetime64(timestamp_ms, "ms").astype(object)


def expression_windows(
    schema: Schema, key_schema: Schema, calls: Sequence[AggregateCall], names: Sequence[str], has_bounds: bool
) -> tuple[dict[str, Any], Schema]:
    """The functions that a RowWindow needs to compute `calls`, and the schema of what it then emits."""
    bounds = [(WINDOW_START, WINDOW_TYPE), (WINDOW_END, WINDOW_TYPE)] if has_bounds else []
    schema_out = Schema(
        [*key_schema.names, *(name for name, _ in bounds), *names],
        [*key_schema.types, *(type for _, type in bounds), *Aggregation(calls).types],
    )
    functions = {
        "aggregate": ExpressionAggregate(schema, calls),
        "window_function": WithWindow(key_schema, has_bounds),
    }
    return functions, schema_out


def has_time_bounds(assigner: WindowAssigner[Any, Any]) -> bool:
    """Whether an assigner makes windows with a start and an end in time."""
    return isinstance(assigner.get_window_serializer(), TimeWindowSerializer)
