# SPDX-License-Identifier: Apache-2.0
"""Task: one parallel copy of an operator chain. `step()` does one bounded thing; an executor decides when.

A task reads no clock but the one it is given, starts no thread and never sleeps, so that the same graph runs
under threads and under a simulation alike.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Protocol

from flinkcore import faultpoint
from flinkcore.checkpoint.alignment import Barrier
from flinkcore.columnar.batch import Batch
from flinkcore.errors import FlinkcoreError, JobCancelledError, UserFunctionError
from flinkcore.operators.base import Operator, OperatorContext
from flinkcore.runtime.channel import Channel, ElementKind, InputGate
from flinkcore.runtime.fused import FusedRun
from flinkcore.runtime.routing import OperatorOutput
from flinkcore.runtime.source_driver import SourceDriver
from flinkcore.state.part import FrozenState, RestoredState
from flinkcore.time import MAX_WATERMARK, MIN_TIMESTAMP
from flinkcore.time.clock import Clock

if TYPE_CHECKING:
    from flinkcore.time.event_loop import TaskLoop


class Progress(enum.Enum):
    """What a step came to."""

    WORKED = "worked"  # call again at once
    IDLE = "idle"  # nothing to do until an input arrives or a timer is due
    BLOCKED = "blocked"  # a channel it writes to is full
    FINISHED = "finished"  # it will never do anything again


class Request(enum.Enum):
    """What the checkpoint coordinator asks of a task."""

    TRIGGER = "trigger"  # a barrier that no channel will bring: payload Barrier
    COMPLETE = "complete"  # a checkpoint is complete: payload its id
    ABORT = "abort"  # ... or given up
    RELEASE = "release"  # a snapshot is written, or will not be: payload [FrozenState]
    RESUME = "resume"  # the savepoint behind which the source stopped has failed
    DRAIN = "drain"  # the job ends with a savepoint: sources read no more, as if their input had ended
    END = "end"  # that savepoint is complete


class CheckpointListener(Protocol):
    """Who is told what becomes of barriers; called by the task's thread."""

    def since(self, runner: OperatorRunner, barrier: Barrier) -> int:
        """The epoch that a snapshot of this operator builds on; 0 for none."""

    def snapshotted(self, task: Task, barrier: Barrier, frozen: list[FrozenState], pause_ns: int) -> None:
        """The task is frozen: the parts can be written. They come back with Request.RELEASE."""

    def declined(self, task: Task, barrier: Barrier, error: Exception) -> None:
        """The task cannot snapshot."""

    def forgettable(self, runner: OperatorRunner) -> int:
        """No later snapshot of this operator will build on an epoch before this one."""

    def waiting(self, task: Task) -> None:
        """All input of the task is over; it ends when a checkpoint has completed."""

    def finished(self, task: Task) -> None:
        """The task will never see a barrier again."""


class TaskTimers:
    """Processing timers of all operators of a task, in time order."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, OperatorRunner]] = []
        self._known: set[tuple[int, int]] = set()
        self._order = 0

    def register(self, timestamp_ms: int, runner: OperatorRunner) -> None:
        if (timestamp_ms, id(runner)) not in self._known:
            self._known.add((timestamp_ms, id(runner)))
            self._order += 1
            heappush(self._heap, (timestamp_ms, self._order, runner))

    def next_ms(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_ms: int) -> OperatorRunner | None:
        if not self._heap or self._heap[0][0] > now_ms:
            return None
        timestamp_ms, _, runner = heappop(self._heap)
        self._known.discard((timestamp_ms, id(runner)))
        return runner


# How long an operator that calls Python for each record should take for one slice of a batch.
SLICE_NS = 20_000_000
# How many records its first slice has.
ROWS_FIRST = 1


class OperatorRunner:
    """Calls one operator and keeps its account: records in, and time spent in it alone. It is also the face of
    the task's timers towards its operator (operators.base.ProcessingTimers)."""

    context: OperatorContext

    def __init__(self, task: Task, operator: Operator, out: OperatorOutput) -> None:
        self.task = task
        self.operator = operator
        self.metrics = out.metrics
        self.out = out
        self.restored: RestoredState | None = None  # what it goes on from
        self._watermark_ms = MIN_TIMESTAMP  # the last one that the operator was given
        self.fused: FusedRun | None = None  # what takes batches for the operator, and for those behind it
        self.is_native = operator.describe().native
        self._rows_at_once: int | None = None if self.is_native else ROWS_FIRST

    def register(self, timestamp_ms: int) -> None:
        self.task.timers.register(timestamp_ms, self)

    def open(self) -> None:
        previous = self.task.enter(self)
        if self.restored is not None:
            faultpoint.reached("restore.begun")
            self.context.state.restore(self.restored)
            self.restored = None
            faultpoint.reached("restore.done")
        self._watermark_ms = self.context.state.field(
            "operator_watermark_ms", MIN_TIMESTAMP, lambda: self._watermark_ms
        )
        self.operator.open(self.context, self.out)
        self.task.leave(previous)

    def batch(self, batch: Batch, input_index: int = 0) -> None:
        self.metrics.rows_in += batch.num_rows
        previous = self.task.enter(self)
        if self._rows_at_once is None:
            if self.fused is None or not self.fused.take(batch):
                self.operator.process_batch(batch, input_index)
        else:
            self._in_slices(batch, input_index)
        if self.context.state.memory is not None:
            self.metrics.counts["state_resident_bytes"] = self.context.state.resident_bytes
            self.metrics.counts["state_spilled_bytes"] = self.context.state.spilled_bytes
        self.task.leave(previous)

    def _in_slices(self, batch: Batch, input_index: int) -> None:
        """A batch for an operator that calls Python for each record: in slices of about SLICE_NS each.

        So the results of a slow function do not wait for those of a whole batch, nor does a cancel.
        """
        assert self._rows_at_once is not None
        now_ns, start = self.task.clock.now_ns, 0
        while start < batch.num_rows:
            if self.context.interrupted():
                raise JobCancelledError(f"operator '{self.context.name}' was stopped within a batch")
            count = min(self._rows_at_once, batch.num_rows - start)
            began_ns = now_ns()
            try:
                self.operator.process_batch(batch.slice(start, count), input_index)
            except UserFunctionError as error:
                if error.position is not None and error.operator == self.context.name:
                    error.position += start
                raise
            start += count
            elapsed_ns = now_ns() - began_ns
            if elapsed_ns > 2 * SLICE_NS:
                self._rows_at_once = max(1, count * SLICE_NS // elapsed_ns)
            elif 4 * elapsed_ns < SLICE_NS and count == self._rows_at_once:
                self._rows_at_once = 4 * count

    def watermark(self, watermark_ms: int) -> None:
        # It had come before the checkpoint that was restored. Of what delays, records from before it may be in flight.
        if watermark_ms <= self._watermark_ms and not self.operator.delays:
            self.out.watermark(watermark_ms)
            return
        self._watermark_ms = max(self._watermark_ms, watermark_ms)
        previous = self.task.enter(self)
        self.operator.process_watermark(watermark_ms)
        self.task.leave(previous)

    def idle(self, idle: bool) -> None:
        previous = self.task.enter(self)
        self.operator.process_idle(idle)
        self.task.leave(previous)

    def timer(self, now_ms: int) -> None:
        previous = self.task.enter(self)
        self.operator.process_timer(now_ms)
        self.task.leave(previous)

    def resume(self) -> bool:
        previous = self.task.enter(self)
        worked = self.operator.resume()
        self.task.leave(previous)
        return worked

    def end(self) -> None:
        """The input is over: the operator's, or when it still has something to emit, soon."""
        if self.operator.is_busy:
            self.task.ending.append(self)
            return
        previous = self.task.enter(self)
        self.operator.end_input()
        self.out.end()
        self.task.leave(previous)


class Task:
    """Made by runtime.deploy. A source task has `source`, all others `gate`; `head` takes what the gate gives."""

    def __init__(self, name: str, subtask_index: int, parallelism: int, clock: Clock) -> None:
        self.name = name
        self.subtask_index = subtask_index
        self.parallelism = parallelism
        self.clock = clock
        self.timers = TaskTimers()
        self.gate: InputGate | None = None
        self.source: SourceDriver | None = None
        self.runners: list[OperatorRunner] = []  # inputs before their consumers
        self.loop: TaskLoop | None = None  # made when an operator asks for it
        self.ending: list[OperatorRunner] = []  # whose input is over, while they still have something to emit
        self.channels_out: list[Channel] = []
        self.requests: deque[tuple[Request, Any]] = deque()  # appended to by any thread
        self.listener: CheckpointListener | None = None  # None: nothing is checkpointed
        self.over = False  # all input has been processed and the operators have been told
        self.finished = False  # ... and nothing waits for a checkpoint
        self.was_over = False  # it was over already in the checkpoint that it was restored from
        self._held = False  # a source behind the barrier of a savepoint that ends the job
        self._last_checkpoint_id = 0  # that it has snapshotted for, or tried to
        self._drains = False  # the task is to have part in a savepoint before it ends
        self.current: OperatorRunner | None = None  # whose code runs now, or ran when it failed
        self._entered_ns = 0

    @property
    def head(self) -> OperatorRunner:
        return self.runners[0]

    @property
    def waits(self) -> bool:
        """Whether a step may wait for something else than the processor: a source for records, a user's function that
        Python calls for whatever it likes."""
        if self.source is not None and self.source.source.waits:
            return True
        return not all(runner.is_native for runner in self.runners)

    @property
    def backlog(self) -> int:
        """How many elements wait in its channels."""
        return 0 if self.gate is None else len(self.gate)

    @property
    def active(self) -> list[OperatorRunner]:
        """The operators that have something to do: of a task that was over, those that outlive their input."""
        return [runner for runner in self.runners if not self.was_over or runner.operator.outlives_input]

    @property
    def label(self) -> str:
        return f"{self.name} ({self.subtask_index + 1}/{self.parallelism})"

    def open(self) -> None:
        """Opens the operators, the last of the chain first, so that each may emit from its open()."""
        for runner in reversed(self.active):
            runner.open()

    def step(self, choose: Callable[[Sequence[int]], int] | None = None, timeout_ms: int = 0) -> Progress:
        """Does one thing: obeys a request, fires the due timers of one operator, or takes one element, or reads one
        batch.

        choose : picks among input channels that hold something, for simulations
        timeout_ms : how long a source may wait for records
        """
        if self.finished:
            return Progress.FINISHED
        if self.was_over and not self.over:
            self._end_again()
            return self._worked()
        if self.requests:
            self._obey(*self.requests.popleft())
            return self._worked()
        if self._is_blocked:
            return Progress.BLOCKED
        resumed = self.loop is not None and not self.over and self._resume(self.loop)
        progress = self._next(choose, timeout_ms)
        return self._worked() if resumed else progress

    def event_loop(self) -> TaskLoop:
        """The loop of those of its operators that wait for coroutines."""
        if self.loop is None:
            from flinkcore.time.event_loop import TaskLoop  # asyncio takes 30 ms to import, and few need it

            self.loop = TaskLoop(self.clock)
        return self.loop

    def _resume(self, loop: TaskLoop) -> bool:
        """Lets coroutines go on for a moment, and the operators that waited for them. -> whether anything happened"""
        worked = loop.turn()
        for runner in self.runners:
            if runner.operator.delays:
                worked = runner.resume() or worked
        ended = [runner for runner in self.ending if not runner.operator.is_busy]
        for runner in ended:
            self.ending.remove(runner)
            runner.end()
        if ended:
            self._input_over()
        return worked or bool(ended)

    @property
    def _is_full(self) -> bool:
        """Whether an operator can take nothing more, or all that the source had is on its way."""
        return bool(self.ending and self.source) or any(runner.operator.is_full for runner in self.runners)

    @property
    def _is_blocked(self) -> bool:
        """Whether a channel that it writes to is full."""
        return not all(channel.has_room for channel in self.channels_out)

    @property
    def _takes(self) -> bool:
        """Whether it can take one more element, or read one more batch."""
        return not self._held and (self.loop is None or not self._is_full)

    def _next(self, choose: Callable[[Sequence[int]], int] | None, timeout_ms: int) -> Progress:
        """Fires the due timers of one operator, or takes one element, or reads one batch."""
        if self.over:
            return self._wait_for_checkpoint()
        if self.timers.next_ms() is not None:
            now_ms = self.clock.now_ms()
            due = self.timers.pop_due(now_ms)
            if due is not None:
                due.timer(now_ms)
                return Progress.WORKED
        if not self._takes:
            return Progress.IDLE
        if self.source is not None:
            return self._step_source(timeout_ms)
        assert self.gate is not None
        element = self.gate.poll(choose)
        if element is None:
            return Progress.IDLE
        self._process(*element)
        return self._worked()

    def _worked(self) -> Progress:
        return Progress.FINISHED if self.finished else Progress.WORKED

    def next_wake_ms(self) -> int | None:
        """The processing time at which step() has something to do although no input arrives; None: never."""
        if self.over or self._is_blocked:
            return None
        times = [self.timers.next_ms()]
        if self.source is not None and self._takes:
            times.append(self.source.next_wake_ms())
        if self.loop is not None:
            times.append(self.loop.next_wake_ms())
        known = [time for time in times if time is not None]
        return min(known) if known else None

    def close(self) -> list[BaseException]:
        """Closes everything, whatever has failed; the failures of closing."""
        failures: list[BaseException] = []
        culprit = self.current
        for runner in self.runners:
            try:
                runner.operator.close()
            except BaseException as error:  # also SystemExit: whatever is not reported here is lost
                culprit = culprit or runner
                failures.append(error)
        self.current = culprit
        if self.loop is not None:
            self.loop.close()
        return failures

    def enter(self, runner: OperatorRunner) -> OperatorRunner | None:
        """Time from now on is `runner`'s; returns whose it was."""
        now_ns = self.clock.now_ns()
        previous = self.current
        if previous is not None:
            previous.metrics.busy_ns += now_ns - self._entered_ns
        self.current = runner
        self._entered_ns = now_ns
        return previous

    def leave(self, previous: OperatorRunner | None) -> None:
        """Undoes enter. Not called when the operator raised, so that `current` names the culprit."""
        now_ns = self.clock.now_ns()
        if self.current is not None:
            self.current.metrics.busy_ns += now_ns - self._entered_ns
        self.current = previous
        self._entered_ns = now_ns

    def _step_source(self, timeout_ms: int) -> Progress:
        assert self.source is not None
        previous = self.enter(self.head)
        worked = self.source.poll(timeout_ms)
        if not worked:
            self._entered_ns = self.clock.now_ns()  # it waited, which is no work
        if self.source.finished:
            self._end_source()
        self.leave(previous)
        return Progress.FINISHED if self.finished else Progress.WORKED if worked else Progress.IDLE

    def _end_source(self) -> None:
        self.head.out.watermark(MAX_WATERMARK)
        self.head.out.end()
        self._input_over()

    def _process(self, kind: ElementKind, payload: Any, input_index: int) -> None:
        if kind is ElementKind.BATCH:
            self.head.batch(payload, input_index)
        elif kind is ElementKind.WATERMARK:
            if payload is not None:
                self.head.watermark(payload)
        elif kind is ElementKind.IDLE:
            watermark_ms, idle = payload
            if watermark_ms is not None:
                self.head.watermark(watermark_ms)
            if idle is not None:
                self.head.idle(idle)
        elif kind is ElementKind.BARRIER:
            if payload is not None:
                faultpoint.reached("barrier.aligned")
                self._snapshot(payload)
        elif payload:  # END of the last open channel
            self.head.end()
            self._input_over()

    # -- checkpoints --------------------------------------------------------------------------------------

    def _obey(self, request: Request, payload: Any) -> None:
        if request is Request.TRIGGER:
            if self.source is not None or self.gate is None:
                self._snapshot(payload)
            else:
                self.gate.expect(payload)
        elif request is Request.COMPLETE:
            for runner in self.active:
                self._call(runner, runner.operator.notify_complete, payload)
                if self.listener is not None:
                    runner.context.state.forget(self.listener.forgettable(runner))
            self._finish_if_done()
        elif request is Request.ABORT:
            if self.gate is not None:
                self.gate.abort(payload)
            for runner in self.active:
                self._call(runner, runner.operator.notify_aborted, payload)
        elif request is Request.RELEASE:
            for frozen in payload:
                frozen.release()
        elif request is Request.RESUME:
            self._held = False
        elif request is Request.DRAIN:
            self._drains = True
            if self.source is not None and not self.over and not self.ending:
                self._held = False
                self._end_source()
        elif request is Request.END:
            self._drains = False
            self._finish_if_done()

    def _call(self, runner: OperatorRunner, method: Callable[[int], None], checkpoint_id: int) -> None:
        previous = self.enter(runner)
        method(checkpoint_id)
        self.leave(previous)

    def _snapshot(self, barrier: Barrier) -> None:
        """Freezes all operators and sends the barrier on. What fails here fails the checkpoint, not the task."""
        listener = self.listener
        if listener is None or barrier.checkpoint_id <= self._last_checkpoint_id:
            return
        self._last_checkpoint_id = barrier.checkpoint_id
        began_ns = self.clock.now_ns()
        frozen: list[FrozenState] = []
        failure: Exception | None = None
        previous = self.current
        try:
            for runner in self.active:
                self._call(runner, runner.operator.prepare_snapshot, barrier.checkpoint_id)
                frozen.append(runner.context.state.freeze(listener.since(runner, barrier)))
        except Exception as error:
            failure = error
            culprit = self.current
            self.current = previous
            for part in frozen:
                part.release()
            if not isinstance(error, FlinkcoreError) and culprit is not None:
                failure = UserFunctionError(culprit.context.name, "snapshot", error)
        pause_ns = self.clock.now_ns() - began_ns
        faultpoint.reached("snapshot.frozen")
        for channel in self.channels_out:
            channel.put(ElementKind.BARRIER, barrier)
        faultpoint.reached("barrier.forwarded")
        self._held = barrier.suspends and self.source is not None
        if failure is None:
            listener.snapshotted(self, barrier, frozen, pause_ns)
        else:
            listener.declined(self, barrier, failure)

    def _input_over(self) -> None:
        if self.ending:
            return
        self.over = True
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        """A task ends when its input is over and nothing of it waits for a checkpoint."""
        if not self.over or self.finished:
            return
        if self.listener is not None:
            if self._drains or any(runner.operator.pending for runner in self.active):
                self.listener.waiting(self)
                return
            self.listener.finished(self)
        self.finished = True

    def _wait_for_checkpoint(self) -> Progress:
        """All input is over: only barriers are still to come."""
        element = None if self.gate is None else self.gate.poll()
        if element is None:
            return Progress.IDLE
        if element[0] is ElementKind.BARRIER:
            self._process(*element)
        return self._worked()

    def _end_again(self) -> None:
        """The operators had ended when the checkpoint was made: their consumers are told, they themselves are not."""
        for channel in self.channels_out:
            channel.put(ElementKind.WATERMARK, MAX_WATERMARK)
            channel.put(ElementKind.END)
        self._input_over()
