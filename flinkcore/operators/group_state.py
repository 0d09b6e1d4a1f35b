# SPDX-License-Identifier: Apache-2.0
"""GroupState: the accumulators of some aggregates for the groups of one subtask, with or without
retraction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import I64, Column
from flinkcore.columnar.batch import DELETE, UPDATE_BEFORE, Batch
from flinkcore.expr.aggregate import AggregateCall, Aggregation
from flinkcore.expr.described import describe_aggregation
from flinkcore.expr.evaluate import CompiledProjection
from flinkcore.expr.typed import Typed
from flinkcore.metrics import OperatorMetrics
from flinkcore.operators.distinct import DistinctValues
from flinkcore.operators.retractable import RetractableValues
from flinkcore.state.manager import StateManager


def signs_of(batch: Batch) -> np.ndarray:
    """int64[n]: 1 for a record added (+I, +U), -1 for one taken back (-U, -D)."""
    kinds = batch.kinds()
    return np.where((kinds == UPDATE_BEFORE) | (kinds == DELETE), -1, 1)


class GroupState:
    """Results of `calls` by group id. Kernels hold what they can; values that must be kept one by one are in
    Python.

    state : where all of it is kept;  retracts : updates come with signs;  now_ms : the clock that arguments may read
    """

    def __init__(
        self, state: StateManager, calls: Sequence[AggregateCall], now_ms: Callable[[], int], retracts: bool
    ) -> None:
        native = [i for i, call in enumerate(calls) if call.retractable or not retracts]
        kept = [i for i in range(len(calls)) if i not in native]
        self._aggregation = Aggregation([calls[i] for i in native], now_ms, retracts)
        self._accumulators = state.part(
            "aggregates",
            lambda: Accumulators(self._aggregation.kernels),
            shown=describe_aggregation(self._aggregation),
        )
        self._distinct: dict[Typed, DistinctValues] = {
            arg: DistinctValues(state, f"distinct {i}") for i, arg in enumerate(self._aggregation.distinct)
        }
        self._kept = [RetractableValues(state, f"values {i}", calls[i]) for i in kept]
        arguments = list(dict.fromkeys(arg for i in kept for arg in calls[i].args))
        self._kept_projection = CompiledProjection(arguments, [None] * len(arguments), now_ms)
        self._kept_arguments = [[arguments.index(arg) for arg in calls[i].args] for i in kept]
        self._order = np.argsort(
            [*native, *kept]
        ).tolist()  # from kernels' and kept results to the calls' order
        self._overflows = 0

    def update_running(
        self, batch: Batch, ids: np.ndarray, signs: np.ndarray | None
    ) -> tuple[list[Column], list[Column]]:
        """Takes records one after the other; the results of each record's group before and after it."""
        before: list[Column] = []
        after: list[Column] = []
        if self._aggregation.kernels:
            was_all, now_all, _ = self._accumulators.update_running(ids, self._arguments(batch, ids, signs))
            before, after = self._aggregation.results(was_all), self._aggregation.results(now_all)
        for kept, args in self._kept_with_arguments(batch):
            assert signs is not None
            was, now = kept.update_running(ids, args, signs)
            before.append(was)
            after.append(now)
        return [before[i] for i in self._order], [after[i] for i in self._order]

    def update(self, batch: Batch, ids: np.ndarray, signs: np.ndarray | None) -> None:
        """Takes records; nobody asks for what is between them."""
        if self._aggregation.kernels:
            self._accumulators.update(ids, self._arguments(batch, ids, signs))
        for kept, args in self._kept_with_arguments(batch):
            assert signs is not None
            kept.update_running(ids, args, signs)

    def results(self, ids: np.ndarray) -> list[Column]:
        """One column per call, one row per id."""
        columns = (
            self._aggregation.results(self._accumulators.results(ids)) if self._aggregation.kernels else []
        )
        columns += [kept.results(ids) for kept in self._kept]
        return [columns[i] for i in self._order]

    def clear(self, ids: np.ndarray) -> None:
        """The groups start anew."""
        if self._aggregation.kernels:
            self._accumulators.clear(ids)
        for kept in self._kept:
            kept.clear(ids)

    def count_overflows(self, metrics: OperatorMetrics) -> None:
        """Reports integer sums that left 64 bits since the last call; they wrap, as Java's do."""
        overflows = self._accumulators.sum_overflows
        if overflows > self._overflows:
            metrics.count("sum_overflows", overflows - self._overflows)
            self._overflows = overflows

    def _arguments(self, batch: Batch, ids: np.ndarray, signs: np.ndarray | None) -> list[tuple[Column, ...]]:
        aggregation = self._aggregation
        values = aggregation.values(batch)
        counted = {
            arg: distinct.counted(ids, aggregation.value(values, arg), signs)
            for arg, distinct in self._distinct.items()
        }
        return aggregation.arguments(batch, counted, values, signs)

    def _kept_with_arguments(self, batch: Batch) -> list[tuple[RetractableValues, tuple[Column, ...]]]:
        if not self._kept:
            return []
        columns = self._kept_projection.project(batch)
        return [(kept, tuple(columns[i] for i in at)) for kept, at in zip(self._kept, self._kept_arguments)]


class RecordCounts:
    """How many records each group holds, where records can be taken back."""

    def __init__(self, state: StateManager) -> None:
        self._counts = state.part("records", lambda: Accumulators([("sum0", I64, 0)]), shown={"names": ["records"]})

    def update(self, ids: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Takes records one after the other -> (kept bool[n], before int64[n], after int64[n]).

        A record taken back from an empty group is not kept, as Flink ignores it; its counts mean nothing.
        """
        (was,), (now,), _ = self._counts.update_running(ids, [(Column.from_numpy(signs),)])
        before, after = was.to_numpy(), now.to_numpy()
        kept = np.ones(len(ids), bool)
        if (after < 0).any():
            before, after = before.copy(), after.copy()
            self._ignore_early(ids, signs, kept, before, after)
        return kept, before, after

    def _ignore_early(
        self, ids: np.ndarray, signs: np.ndarray, kept: np.ndarray, before: np.ndarray, after: np.ndarray
    ) -> None:
        """Rare: counts anew, record by record, the groups that went below zero."""
        for group_id in np.unique(ids[after < 0]).tolist():
            rows = np.flatnonzero(ids == group_id)
            count = int(before[rows[0]])
            for row in rows.tolist():
                kept[row] = count > 0 or signs[row] > 0
                before[row] = count
                count += int(signs[row]) if kept[row] else 0
                after[row] = count
            ignored = np.count_nonzero(~kept[rows])
            self._counts.update(np.array([group_id], np.int32), [(Column.from_numpy(np.array([ignored])),)])

    def of(self, ids: np.ndarray) -> np.ndarray:
        return self._counts.results(ids)[0].to_numpy()

    def clear(self, ids: np.ndarray) -> None:
        self._counts.clear(ids)


def segments(ids: np.ndarray, before: np.ndarray, after: np.ndarray) -> list[tuple[int, int]]:
    """Cuts a batch so that no group is emptied and filled again within one part: it starts anew, without
    rests of floating-point sums, and state is cleared between parts."""
    emptied = np.flatnonzero(after == 0)
    if not len(emptied):
        return [(0, len(ids))]
    refills = np.flatnonzero((before == 0) & np.isin(ids, ids[emptied]))
    bounds, last_emptied, at = [0], {}, 0
    emptied_rows = emptied.tolist()
    for row in refills.tolist():
        while at < len(emptied_rows) and emptied_rows[at] < row:
            last_emptied[int(ids[emptied_rows[at]])] = emptied_rows[at]
            at += 1
        if last_emptied.get(int(ids[row]), -1) >= bounds[-1]:
            bounds.append(row)
    return list(zip(bounds, [*bounds[1:], len(ids)]))
