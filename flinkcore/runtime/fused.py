# SPDX-License-Identifier: Apache-2.0
"""Neighbours in a chain whose work is one pass over a batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from flinkcore import options
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.expr.stages import Stage, Stages
from flinkcore.graph.job_graph import Chain, JobGraph, Node
from flinkcore.operators.process import TranslatedRows

if TYPE_CHECKING:
    from flinkcore.runtime.task import OperatorRunner


class FusedRun:
    """Operators of which each feeds only the next, and that may be stages of one pass.

    Each keeps its account as if it had run by itself, but for time, which is the first one's. What came to another one
    in the same pass, without a batch in between, is counted as rows_in_passes.
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
            following.metrics.count("rows_in_passes", count)
        self._runners[-1].out.batch(made)
        return True

    def _prepare(self, batch: Batch) -> None:
        """The operators are open now, and say which of them can be stages: the first one, and those that follow."""
        stages = list(takewhile(lambda stage: stage is not None, (each.operator.stage() for each in self._runners)))
        self._stages, count, _ = _longest_pass(batch.schema, stages)  # type: ignore[arg-type]
        self._runners = self._runners[:count]


def _longest_pass(schema: Schema, stages: Sequence[Stage]) -> tuple[Stages | None, int, str | None]:
    """-> the pass of as many stages as can be in one, from the first on; how many; why not one more"""
    reason = None
    for count in range(len(stages), 0, -1):
        made = Stages(schema, stages[:count])
        without = made.why_not()
        if without is None:
            return made, count, reason
        reason = without
    return None, 0, reason


def lines(chain: Chain) -> list[list[Node]]:
    """Nodes that each feed only the next, from every node that is no source and does not continue such a line."""
    found: list[list[Node]] = []
    for node in chain.nodes:
        if node.transformation.source is not None:
            continue
        last = found[-1][-1] if found else None
        only = last.outputs[0] if last is not None and len(last.outputs) == 1 else None
        if only is not None and only.target is node and only.chained and only.edge.side is None:
            found[-1].append(node)
        else:
            found.append([node])
    return found


def planned_passes(graph: JobGraph, chain: Chain) -> dict[Node, list[Node] | str]:
    """Which operators of a chain share a pass, as far as it is known before there are records: for explain().

    -> for each that could be in one with a neighbour: those of its pass, or why it is not in that of the one before
    """
    found: dict[Node, list[Node] | str] = {}
    if not graph.config.get(options.FUSE):
        return found
    for line in lines(chain):
        while line:
            stages = []
            for node in line:
                operator = node.transformation.factory() if node.transformation.factory is not None else None
                translates = graph.config.get(options.TRANSLATE_FUNCTIONS) or not isinstance(operator, TranslatedRows)
                stage = operator.stage() if operator is not None and translates else None
                if stage is None:
                    break
                stages.append(stage)
            _, count, reason = _longest_pass(line[0].inputs[0].source.transformation.schema, stages)
            if count > 1:
                found.update(dict.fromkeys(line[:count], line[:count]))
            if reason is not None and count:
                found[line[count]] = reason
            line = line[max(1, count) :]
    return found


def fuse(runners: Iterable[Sequence[OperatorRunner]]) -> None:
    """Has each of some operators take its batches together with those that follow it."""
    for run in runners:
        for i, runner in enumerate(run):
            runner.fused = FusedRun(run[i:])
