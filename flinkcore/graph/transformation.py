# SPDX-License-Identifier: Apache-2.0
"""Transformations: the steps that a program describes, before anything runs."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import Source
from flinkcore.operators.base import OperatorFactory
from flinkcore.time.watermark_spec import WatermarkStrategySpec


class Partitioning(enum.Enum):
    """How records travel from the subtasks of one step to those of the next; names as in Flink's plans."""

    FORWARD = "FORWARD"  # subtask i to subtask i
    HASH = "HASH"  # by key group
    REBALANCE = "REBALANCE"  # round robin, batch by batch
    RESCALE = "RESCALE"  # round robin within a local group of subtasks
    SHUFFLE = "SHUFFLE"  # at random
    BROADCAST = "BROADCAST"  # to all
    GLOBAL = "GLOBAL"  # to the first
    CUSTOM = "CUSTOM"  # as a function says


# Target subtask of each record: (batch, subtask count) -> integers[n].
Partitioner = Callable[[Batch, int], np.ndarray]


@dataclass(frozen=True, eq=False)
class Edge:
    """Where an input of a transformation comes from."""

    source: Transformation
    partitioning: Partitioning = Partitioning.FORWARD
    side: str | None = None  # tag of a side output; None for the main output
    input_index: int = 0  # which input of the consumer this feeds
    partitioner: Partitioner | None = None  # for CUSTOM
    strict: bool = False  # the user asked for FORWARD: it must not become anything else
    schema: Schema | None = None  # of a side output, as its reader declared it


@dataclass(eq=False)
class Transformation:
    """One step. A source has `source` and no inputs; everything else has `factory`.

    parallelism : subtasks, None for the environment's default
    parallelism_max : the most that the step can have, e.g. 1 for a step over all records
    hidden : a step of the engine's own that a user's plan does not name, with one input and its parallelism
    keeps_order : it has no more subtasks than any of its inputs, so that records of one stay in their order
    chaining : whether it may share a task with the step before it ("always"), starts a task ("head") or
        stands alone ("never")
    batch_factory : makes the operator of a job in batch mode, where that is another one
    worker : what Flink's Python worker runs of it, for the plan: a "function" of one input without keys, which the
        worker of the step before it runs as well, or "more"
    completes : the step whose results this one only puts in order, made by the same call: what is said of this one
        holds for both, and state and side outputs are that one's
    """

    id: int
    name: str
    kind: str  # "Data Source", "Operator", "Data Sink": words of Flink's plan
    schema: Schema
    inputs: tuple[Edge, ...] = ()
    factory: OperatorFactory | None = None
    batch_factory: OperatorFactory | None = None
    source: Source | None = None
    watermarks: WatermarkStrategySpec | None = None
    parallelism: int | None = None
    parallelism_max: int | None = None
    max_parallelism: int | None = None
    uid: str | None = None
    description: str | None = None
    chaining: str = "always"
    hidden: bool = False
    keeps_order: bool = False
    worker: Literal["function", "more"] | None = None
    completes: Transformation | None = None
