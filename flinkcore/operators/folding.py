# SPDX-License-Identifier: Apache-2.0
"""Folds of functions of the user at work: records go into the accumulators that are kept in columns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import numpy as np

from flinkcore._native.agg import Accumulators
from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.expr.folded import FoldedFields
from flinkcore.expr.translate import Unequal
from flinkcore.expr.translate.exact import FLOAT, INT
from flinkcore.expr.translate.fold import Fold, Update
from flinkcore.operators.base import OperatorContext

log = logging.getLogger(__name__)


def leaves_columns(context: OperatorContext, function_name: str, reason: str) -> None:
    """Says that a function that ran on columns is called for each record from now on."""
    log.info("operator '%s': %s is called for each record from now on: %s", context.name, function_name, reason)
    context.metrics.count("functions_by_python")


class FoldOnColumns:
    """Runs a fold over accumulators that native ones hold.

    every : the accumulators that there are, whose integers say how far sums are from their limits
    """

    def __init__(self, fold: Fold, every: Callable[[], Iterable[Accumulators]]) -> None:
        assert fold.updates is not None
        self.fold = fold
        self.fields = FoldedFields(fold.shape, fold.updates)
        self._every = every
        self._values = [
            (update, type) for update, type in zip(fold.updates, fold.shape.types) if update.value is not None
        ]
        self._most = [0] * len(self._values)  # no sum of integers is further from 0
        self.recount()

    def recount(self) -> None:
        """Sees how far sums are from 0."""
        self._most = [0] * len(self._values)
        sums = [i for i, (update, type) in enumerate(self._values) if update.op == "sum" and type == INT]
        for accumulators in self._every() if sums else ():
            results = accumulators.results(accumulators.used_ids())
            for i in sums:
                self._most[i] = max(self._most[i], _most(results[i].to_numpy()))

    def arguments(self, batch: Batch, ids: np.ndarray | None = None) -> list[tuple[Column, ...]]:
        """What the native accumulators take of a batch. Unequal: Python has to be asked, for all of it

        ids : of the rows; None where they are not known
        """
        columns = self.fold.columns(batch) if self._values else [Column.from_numpy(np.zeros(batch.num_rows, np.int64))]
        for i, (update, type) in enumerate(self._values):
            if type == INT and update.op == "sum":
                self._admit(i, update, columns[i].to_numpy(), ids)
            elif type == FLOAT and update.op in ("min", "max") and update.start is not None:
                columns[i] = _without_nan(columns[i])  # nothing is less than NaN
        return [(column,) for column in columns]

    def update(
        self, panes: list[Accumulators], pane_of_row: np.ndarray, ids: np.ndarray, batch: Batch
    ) -> None:
        """Adds record i to row ids[i] of panes[pane_of_row[i]]. Unequal: nothing was added, Python has to be asked"""
        arguments = self.arguments(batch, ids)
        if len(panes) == 1:
            panes[0].update(ids, arguments)
        else:
            Accumulators.update_panes(panes, pane_of_row, ids, arguments)

    def running(self, accumulators: Accumulators, ids: np.ndarray, batch: Batch) -> list[Column]:
        """Adds record i to row ids[i]; the fields of the row after each. Unequal: nothing was added"""
        _, after, _ = accumulators.update_running(ids, self.arguments(batch, ids))
        return self.fields.of_results(after, len(ids))

    def _admit(self, i: int, update: Update, values: np.ndarray, ids: np.ndarray | None) -> None:
        """Unequal when a sum of integers might leave its limits, which no sum in Python does."""
        room = min(update.limits[1], -update.limits[0]) - abs(update.start[0] if update.start else 0)
        more = _most(values) * len(values)
        if self._most[i] + more > room >> 8:  # not far from it: what does the most filled row get?
            weights = np.abs(values.astype(np.float64))
            total = weights.sum() if ids is None else np.bincount(ids, weights).max()
            more = min(more, int(total * (1 + 2.0**-20)) + 1)
        if self._most[i] + more > room:
            self.recount()
            if self._most[i] + more > room:
                raise Unequal("sums of integers that may need more bits")
        self._most[i] += more


def _most(values: np.ndarray) -> int:
    return max(abs(int(values.min())), abs(int(values.max()))) if len(values) else 0


def _without_nan(column: Column) -> Column:
    values = column.to_numpy()
    absent = np.isnan(values)
    if not absent.any():
        return column
    valid = column.valid_mask()
    return Column.from_numpy(values, column.type, ~absent if valid is None else valid & ~absent)
