# SPDX-License-Identifier: Apache-2.0
"""Neighbours in a chain whose work is one pass over a batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flinkcore.columnar.batch import Batch
from flinkcore.expr.stages import Stages

if TYPE_CHECKING:
    from flinkcore.runtime.task import OperatorRunner


class FusedRun:
    """Operators of which each feeds only the next, and that may be stages of one pass.

    Each keeps its account as if it had run by itself, but for time, which is the first one's.
    """

    def __init__(self, runners: Sequence[OperatorRunner]) -> None:
        self._runners = list(runners)
        self._stages: Stages | None = None
        self._asked = False

    def take(self, batch: Batch) -> bool:
        """Does what the operators would with a batch for the first one; False: it did nothing."""
        if not self._asked:
            self._asked = True
            self._prepare(batch)
        found = None if self._stages is None else self._stages.run(batch)
        if found is None:
            return False
        counts, made = found
        for runner, following, count in zip(self._runners, self._runners[1:], counts):
            runner.metrics.rows_out += count
            following.metrics.rows_in += count
        self._runners[-1].out.batch(made)
        return True

    def _prepare(self, batch: Batch) -> None:
        """The operators are open now, and say which of them can be stages: the first one, and those that follow."""
        stages = []
        for runner in self._runners:
            stage = runner.operator.stage()
            if stage is None:
                break
            stages.append(stage)
        self._runners = self._runners[: len(stages)]
        if stages:
            self._stages = Stages(batch.schema, stages)


def fuse(runners: Iterable[Sequence[OperatorRunner]]) -> None:
    """Has each of some operators take its batches together with those that follow it."""
    for run in runners:
        for i, runner in enumerate(run):
            runner.fused = FusedRun(run[i:])
