# SPDX-License-Identifier: Apache-2.0
"""The contract between an operator and whoever runs it.

An operator is one step of one subtask. Fields fixed when the job is built are set in __init__; everything that
changes is made in open(). It is called by one thread, in this order:

    open  (process_batch | process_watermark | process_timer | process_idle | prepare_snapshot | notify_*)*
          end_input?  (prepare_snapshot | notify_*)*  close

All that an operator must not forget lies in its `context.state`, which snapshots and restores it: see state.manager.
An operator that `delays` is also asked to resume, between any two of these, and gets end_input when it is not busy.
A bounded input ends with the watermark 2**63 - 1, so that all event time fires, and then end_input. close is called
also after a failure. What an operator emits goes to `self.out`, during any of these calls but close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.errors import UnsupportedOperationError
from flinkcore.expr.stages import Stage
from flinkcore.metrics import OperatorMetrics
from flinkcore.state.manager import StateManager
from flinkcore.time.clock import Clock

if TYPE_CHECKING:
    from flinkcore.time.event_loop import TaskLoop


class Output(Protocol):
    """Where an operator emits: the next operator of its chain, or channels to other subtasks."""

    def batch(self, batch: Batch) -> None:
        """Records, in order."""

    def watermark(self, watermark_ms: int) -> None:
        """No record with a timestamp <= watermark_ms follows, but late ones."""

    def side(self, tag: str, batch: Batch) -> None:
        """Records for the side output `tag`; dropped when nobody asked for it."""

    def idle(self, idle: bool) -> None:
        """Whether this output's watermark is to be ignored for now (Flink: WatermarkStatus)."""


class ProcessingTimers(Protocol):
    """Wakes its operator: process_timer is called once the clock has reached a registered time."""

    def register(self, timestamp_ms: int) -> None:
        """Asks for process_timer at or soon after this processing time; the same time twice is one call."""


def _no_event_loop() -> NoReturn:
    raise UnsupportedOperationError("this operator runs where there is no event loop")


@dataclass
class OperatorContext:
    """What an operator is handed when it opens.

    event_loop : the asyncio loop of the task, made when it is first asked for
    """

    name: str
    clock: Clock
    timers: ProcessingTimers
    config: Configuration
    metrics: OperatorMetrics = field(default_factory=OperatorMetrics)
    subtask_index: int = 0
    parallelism: int = 1
    max_parallelism: int = 128
    operator_id: str = ""
    job_name: str = ""
    state: StateManager = field(default_factory=StateManager)
    interrupted: Callable[[], bool] = lambda: False  # the job is being cancelled, or has failed elsewhere
    job_id: str = ""
    checkpointing: bool = False  # there will be snapshots: what becomes visible outside waits for them
    attempt: int = 0  # how often the job was started anew after a failure
    event_loop: Callable[[], TaskLoop] = _no_event_loop


@dataclass(frozen=True)
class OperatorDescription:
    """How an operator runs, for explain().

    native : whether whole batches go through kernels; False when Python runs for each record
    detail : one line on what it does, e.g. the expressions or the window
    reason : why Python runs for each record, None when it does not
    """

    native: bool
    detail: str = ""
    reason: str | None = None


class Operator:
    """The base of all operators; see the module for the order of calls."""

    context: OperatorContext
    out: Output

    #: Whether what a call leads to may be emitted after it has returned, from resume(). Such an operator keeps the
    #: order of watermarks and records itself, and gets a watermark again that had come before a restored checkpoint.
    delays = False

    def open(self, context: OperatorContext, out: Output) -> None:
        self.context = context
        self.out = out

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        raise NotImplementedError(type(self).__name__)

    def process_watermark(self, watermark_ms: int) -> None:
        """The combined watermark of all inputs advanced. The default passes it on."""
        self.out.watermark(watermark_ms)

    def process_timer(self, now_ms: int) -> None:
        """Processing time reached one or more registered times."""

    def process_idle(self, idle: bool) -> None:
        self.out.idle(idle)

    def end_input(self) -> None:
        """All inputs ended; the final watermark has passed."""

    def resume(self) -> bool:
        """Of an operator that delays: emits what is ready now. -> whether there was anything to do"""
        return False

    @property
    def is_full(self) -> bool:
        """Whether an operator that delays has as much as it can take: no batch comes until that has changed."""
        return False

    @property
    def is_busy(self) -> bool:
        """Whether an operator that delays has still something to emit of what it was given."""
        return False

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """The state is about to be frozen: what is held back elsewhere goes into it now. Must be quick."""

    def persist(self, checkpoint_id: int) -> None:
        """Waits until what prepare_snapshot left outside would survive a loss of power. On another thread."""

    def notify_complete(self, checkpoint_id: int) -> None:
        """The checkpoint, and with it what all earlier ones prepared, can never be lost any more."""

    def notify_aborted(self, checkpoint_id: int) -> None:
        """The checkpoint will never complete; what it would have covered is covered by the next."""

    @property
    def pending(self) -> bool:
        """Whether something waits for a checkpoint, so that the operator cannot end before one."""
        return False

    @property
    def outlives_input(self) -> bool:
        """Whether an operator whose input had ended in the restored checkpoint still has something to do."""
        return False

    def close(self) -> None:
        """Releases what open() took."""

    def output_schema(self) -> Schema:
        """The schema of the main output; known when the job is built."""
        raise NotImplementedError(type(self).__name__)

    def side_schema(self, tag: str) -> Schema | None:
        """The schema of a side output; None when this operator has none of that name."""
        return None

    def stage(self) -> Stage | None:
        """What the operator does to each batch; None where it cannot be part of a pass. One that is not open may say
        what it will be, for explain()."""
        return None

    def describe(self) -> OperatorDescription:
        return OperatorDescription(native=True)

    @property
    def waits_for_watermarks(self) -> bool:
        """Whether results are held back until event time has come so far; for explain()."""
        return False

    def unfired(self) -> str | None:
        """What waits for a watermark that has not come, in words; None when nothing does."""
        return None


OperatorFactory = Callable[[], Operator]
