# SPDX-License-Identifier: Apache-2.0
"""The checkpoint coordinator of a running job: triggers, collects what tasks report, completes or gives up.

It is a loop without a thread of its own: anyone posts events, one caller steps it. What the steps decide stands in
checkpoint.schedule; what is written, in checkpoint.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from flinkcore import faultpoint
from flinkcore.checkpoint.alignment import Barrier
from flinkcore.checkpoint.home import CheckpointHome, SavepointHome
from flinkcore.checkpoint.manifest import Manifest, OperatorState, SubtaskState
from flinkcore.checkpoint.plan import plan
from flinkcore.checkpoint.schedule import Settings, fails_job, next_trigger_ms
from flinkcore.checkpoint.segment import SegmentRef, SegmentWriter
from flinkcore.errors import CheckpointError, FlinkcoreError, described
from flinkcore.graph.job_graph import JobGraph, Node
from flinkcore.runtime.deploy import upstream_tasks
from flinkcore.runtime.source_driver import SharedEnumerator
from flinkcore.runtime.task import OperatorRunner, Request, Task
from flinkcore.state.part import FrozenState
from flinkcore.time.clock import Clock

log = logging.getLogger(__name__)

#: A piece of work for another thread: each step of the iterator is one piece; nothing is returned.
Job = Iterator[None]


@dataclass
class Pending:
    """A checkpoint on its way.

    awaited : the tasks that have not reported yet;  states : what the others did, by operator id and subtask
    home : where it goes;  future : of whoever asked for a savepoint
    """

    barrier: Barrier
    triggered_ms: int
    awaited: set[Task]
    home: CheckpointHome | SavepointHome
    future: Future[str] | None = None
    states: dict[tuple[str, int], SubtaskState] = field(default_factory=dict)
    writing: set[Task] = field(default_factory=set)  # frozen, and not reported yet
    segments: list[SegmentRef] = field(default_factory=list)
    pauses_ns: list[int] = field(default_factory=list)
    ends_job: bool = False
    abandoned: bool = False

    @property
    def id(self) -> int:
        return self.barrier.checkpoint_id


@dataclass(frozen=True)
class CheckpointStats:
    """What one completed checkpoint took.

    kind : "checkpoint" or "savepoint";  completed_ms : when, since the epoch
    duration_ms : from the trigger to the manifest;  pause_ns_max : the longest stop of a task
    written_bytes : by this checkpoint alone;  full_bytes : what the state takes in all
    """

    checkpoint_id: int
    kind: str
    path: str
    completed_ms: int
    duration_ms: int
    pause_ns_max: int
    written_bytes: int
    full_bytes: int


class CheckpointHistory:
    """The checkpoints of a job through all starts of its tasks. One thread at a time writes, any may read.

    origin : what the job began with when it was to be restored, in words; else None
    """

    def __init__(self) -> None:
        self.origin: str | None = None
        self.completed_count = 0
        self.failed_count = 0
        self.recent: deque[CheckpointStats] = deque(maxlen=1000)  # that completed, the newest last

    def completed(self, stats: CheckpointStats) -> None:
        self.completed_count += 1
        self.recent.append(stats)


class Coordinator:
    """One for each start of the tasks of a job.

    home : where checkpoints go;  submit : runs a job on another thread
    fail : told what fails the job;  stopped : called when a savepoint that ends the job is complete
    first_id : the id of the first checkpoint, above all that the home holds
    """

    def __init__(
        self,
        graph: JobGraph,
        tasks: Sequence[Task],
        home: CheckpointHome,
        settings: Settings,
        clock: Clock,
        submit: Callable[[Job], None],
        wake: Callable[[Task], None],
        fail: Callable[[Exception], None],
        stopped: Callable[[], None],
        chains: dict[tuple[str, int], list[SegmentRef]],
        first_id: int,
        history: CheckpointHistory,
    ) -> None:
        self.graph = graph
        self.tasks = list(tasks)
        self.home = home
        self.settings = settings
        self.clock = clock
        self.latest: Manifest | None = None  # completed in this run
        self.history = history
        self.next_id = first_id
        self.on_event: Callable[[], None] = lambda: None  # an event was posted: step() has something to do
        self._submit = submit
        self._wake = wake
        self._fail = fail
        self._stopped = stopped
        self._events: deque[Callable[[], None]] = deque()
        self._pending: dict[int, Pending] = {}
        self._last_triggered_ms = clock.now_ms()
        self._last_ended_ms: int | None = None
        self._failures_in_a_row = 0
        self._finished: set[Task] = set()
        self._waiting: set[Task] = set()  # over, and waiting for a checkpoint before they finish
        self._chains = chains  # segments of the newest complete checkpoint, by operator id and subtask
        # By checkpoint and operator: the segments that its own builds on.
        self._planned: dict[tuple[int, tuple[str, int]], list[SegmentRef]] = {}
        self._inline_bytes_max = home.writing.inline_bytes_max
        self._lock = threading.Lock()  # of _chains, _planned, what leaves _pending, and _closed
        self._nodes = {node.operator_id: node for node in graph.nodes}
        self._upstream = upstream_tasks(self.tasks)
        self._enumerators: dict[str, SharedEnumerator] = {
            task.head.context.operator_id: task.source.enumerator
            for task in self.tasks
            if task.source is not None
        }
        self._draining: tuple[SavepointHome, Future[str]] | None = None
        self._closed = False

    # -- from anywhere ------------------------------------------------------------------------------------

    def savepoint(self, folder: str | None, stop: bool = False, drain: bool = False) -> Future[str]:
        """Asks for a savepoint. -> its path, or what failed

        folder : where to put it, None for the configured one;  stop : the job ends with it;  drain : before it, all
            event time passes and the input ends
        """
        future: Future[str] = Future()
        with self._lock:  # what is posted is handled, by step() or by close()
            closed = self._closed
            if not closed:
                self._events.append(lambda: self._on_savepoint(folder, stop, drain, future))
        if closed:
            future.set_exception(self._no_state())
        self.on_event()
        return future

    def close(self, error: BaseException) -> None:
        """The tasks have ended: nothing completes any more."""
        with self._lock:
            self._closed = True
        for pending in list(self._pending.values()):
            self._drop(pending, error)
        while self._events:
            self._events.popleft()()
        if self._draining is not None:
            home, future = self._draining
            self._draining = None
            home.discard([])
            future.set_exception(error)

    def _no_state(self) -> CheckpointError:
        return CheckpointError(f"job '{self.graph.name}' does not run now; there is no state to save")

    def _post(self, event: Callable[[], None]) -> None:
        self._events.append(event)
        self.on_event()

    # -- from tasks (runtime.task.CheckpointListener) -----------------------------------------------------

    def since(self, runner: OperatorRunner, barrier: Barrier) -> int:
        """Which epoch a snapshot builds on, and by that which segments it keeps."""
        context = runner.context
        key = (context.operator_id, context.subtask_index)
        with self._lock:
            chain = [] if barrier.full else self._chains.get(key, [])
            planned = plan(chain, context.state.state_bytes, inline_bytes_max=self._inline_bytes_max)
            if barrier.checkpoint_id in self._pending:  # else given up: the snapshot will be let go
                self._planned[barrier.checkpoint_id, key] = chain[: planned.kept]
        return planned.since

    def forgettable(self, runner: OperatorRunner) -> int:
        """No later snapshot of this operator will build on an epoch before this one."""
        with self._lock:
            chain = self._chains.get((runner.context.operator_id, runner.context.subtask_index), [])
        return chain[0].epoch if chain else 0

    def snapshotted(self, task: Task, barrier: Barrier, frozen: list[FrozenState], pause_ns: int) -> None:
        pending = self._pending.get(barrier.checkpoint_id)
        if pending is None:
            task.requests.append((Request.RELEASE, frozen))
            return
        pending.pauses_ns.append(pause_ns)
        pending.writing.add(task)
        self._submit(self._write(pending, task, frozen, task.over))

    def declined(self, task: Task, barrier: Barrier, error: Exception) -> None:
        self._post(lambda: self._on_failed(barrier.checkpoint_id, task, error))

    def waiting(self, task: Task) -> None:
        self._post(lambda: self._waiting.add(task))

    def finished(self, task: Task) -> None:
        self._post(lambda: self._on_finished(task))

    # -- stepping -----------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Handles what was posted and what is due. -> whether there was anything"""
        worked = False
        while self._events:
            self._events.popleft()()
            worked = True
        if self._closed:
            return worked
        now_ms = self.clock.now_ms()
        for pending in list(self._pending.values()):
            if now_ms - pending.triggered_ms >= self.settings.timeout_ms:
                self._give_up(pending, CheckpointError(self._timeout_text(pending, now_ms)))
                worked = True
        if self._only_waiting() and not self._pending:
            self._trigger_final()
            return True
        due_ms = self._due_ms()
        if due_ms is not None and due_ms <= now_ms and len(self._finished) < len(self.tasks):
            self._trigger(self.home, Barrier(self._take_id(), self.settings.aligned))
            return True
        return worked

    def next_wake_ms(self) -> int | None:
        """When step() has something to do although nothing is posted."""
        if len(self._finished) == len(self.tasks):
            return None
        times = [pending.triggered_ms + self.settings.timeout_ms for pending in self._pending.values()]
        due_ms = self._due_ms()
        if due_ms is not None:
            times.append(due_ms)
        return min(times) if times else None

    def _due_ms(self) -> int | None:
        return next_trigger_ms(
            self.settings, self._last_triggered_ms, self._last_ended_ms, len(self._pending)
        )

    def _only_waiting(self) -> bool:
        """Whether all tasks that have not finished wait for a checkpoint."""
        running = len(self.tasks) - len(self._finished)
        return running > 0 and len(self._waiting - self._finished) == running

    def _timeout_text(self, pending: Pending, now_ms: int) -> str:
        late = ", ".join(sorted(task.label for task in pending.awaited)[:5])
        return (
            f"checkpoint {pending.id} of job '{self.graph.name}' was not complete after "
            f"{now_ms - pending.triggered_ms} ms ({self.settings.timeout_ms} ms are allowed); still to come: {late}. "
            f"Raise execution.checkpointing.timeout, or see which operator holds the barrier back"
        )

    # -- triggering ---------------------------------------------------------------------------------------

    def _take_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def _trigger(
        self,
        home: CheckpointHome | SavepointHome,
        barrier: Barrier,
        future: Future[str] | None = None,
        final: bool = False,
    ) -> None:
        now_ms = self.clock.now_ms()
        awaited = set(self.tasks) - self._finished
        pending = Pending(barrier, now_ms, awaited, home, future, ends_job=barrier.suspends or final)
        self._pending[pending.id] = pending
        self._last_triggered_ms = now_ms
        for enumerator in self._enumerators.values():
            enumerator.begin_snapshot(pending.id)
        for task in self.tasks:
            if task in awaited and self._upstream[task] <= self._finished:
                self._ask(task, Request.TRIGGER, barrier)
        faultpoint.reached("barrier.triggered")

    def _trigger_final(self) -> None:
        """All input is over: the last results of sinks wait for a checkpoint to be committed by."""
        home: CheckpointHome | SavepointHome = self.home
        future = None
        if self._draining is not None:
            home, future = self._draining
            self._draining = None
        self._trigger(home, Barrier(self._take_id(), full=home is not self.home), future, final=True)

    def _on_savepoint(self, folder: str | None, stop: bool, drain: bool, future: Future[str]) -> None:
        try:
            if self._closed or len(self._finished) == len(self.tasks):
                raise self._no_state()
            if drain and self._draining is not None:
                raise CheckpointError(f"job '{self.graph.name}' is stopping with a savepoint already")
            home = self.home.savepoint(folder)
            if drain:
                self._draining = (home, future)
                sources_last = sorted(self.tasks, key=lambda task: task.source is not None)
                for task in sources_last:  # the others know of it before input ends
                    if task not in self._finished:
                        self._ask(task, Request.DRAIN, None)
                return
            barrier = Barrier(self._take_id(), self.settings.aligned, full=True, suspends=stop)
            self._trigger(home, barrier, future)
        except Exception as error:
            future.set_exception(error)

    def _ask(self, task: Task, request: Request, payload: Any) -> None:
        task.requests.append((request, payload))
        self._wake(task)

    # -- what tasks report --------------------------------------------------------------------------------

    def _on_written(self, pending: Pending, task: Task, states: dict[tuple[str, int], SubtaskState]) -> None:
        if pending.id not in self._pending:
            pending.home.discard(pending.segments)
            return
        pending.states.update(states)
        pending.awaited.discard(task)
        self._complete_if_done(pending)

    def _on_finished(self, task: Task) -> None:
        self._finished.add(task)
        for pending in list(self._pending.values()):
            if task in pending.awaited and task not in pending.writing:
                pending.states.update((key, _over(key[1])) for key in _keys(task))
                pending.awaited.discard(task)
            for other in pending.awaited:
                if task in self._upstream[other] and self._upstream[other] <= self._finished:
                    self._ask(other, Request.TRIGGER, pending.barrier)
            self._complete_if_done(pending)

    def _on_failed(self, checkpoint_id: int, task: Task, error: Exception) -> None:
        pending = self._pending.get(checkpoint_id)
        if pending is not None:
            text = str(error) if isinstance(error, FlinkcoreError) else described(error)
            failure = CheckpointError(
                f"checkpoint {checkpoint_id} of job '{self.graph.name}' failed in {task.label}\n{text}"
            )
            failure.__cause__ = error
            self._give_up(pending, failure)

    def _on_unwritten(self, pending: Pending, task: Task, error: Exception) -> None:
        if pending.id in self._pending:
            self._on_failed(pending.id, task, error)
        else:
            pending.home.discard(pending.segments)  # those that were finished since it was given up

    # -- writing, on another thread -----------------------------------------------------------------------

    def _write(self, pending: Pending, task: Task, frozen: list[FrozenState], over: bool) -> Job:
        """Writes what one task froze, block by block."""
        states: dict[tuple[str, int], SubtaskState] = {}
        writer: SegmentWriter | None = None
        try:
            for runner, state in zip(task.active, frozen):
                context = runner.context
                key = (context.operator_id, context.subtask_index)
                with self._lock:
                    segments = list(self._planned[pending.id, key]) if state.since else []
                for number, payload in state.blocks():
                    if pending.abandoned:
                        raise CheckpointError(f"checkpoint {pending.id} was given up")
                    if writer is None:
                        writer = pending.home.segment_writer(pending.id, *key, state.since, state.epoch)
                    writer.write(number, payload)
                    yield
                if writer is not None:
                    segment = writer.finish()
                    writer = None
                    pending.segments.append(segment)
                    segments.append(segment)
                states[key] = _subtask_state(context.subtask_index, state, segments, over)
                runner.operator.persist(pending.id)
                yield
        except Exception as error:
            if writer is not None:
                writer.abort()
            failure = error
            self._post(lambda: self._on_unwritten(pending, task, failure))
        else:
            faultpoint.reached("snapshot.acknowledged")
            self._post(lambda: self._on_written(pending, task, states))
        finally:
            self._ask(task, Request.RELEASE, frozen)

    # -- ending -------------------------------------------------------------------------------------------

    def _complete_if_done(self, pending: Pending) -> None:
        if pending.awaited or pending.id not in self._pending:
            return
        try:
            manifest = pending.home.complete(pending.id, self.clock.now_ms(), self._operators_of(pending))
        except Exception as error:
            self._on_failed(pending.id, self.tasks[0], error)
            return
        path = pending.home.path(pending.id)
        self._forget(pending)
        self._last_ended_ms = self.clock.now_ms()
        self._failures_in_a_row = 0
        written = sum(segment.bytes for segment in pending.segments)
        full = sum(part.bytes for state in pending.states.values() for part in state.parts)
        self.history.completed(
            CheckpointStats(
                pending.id,
                manifest.kind,
                path,
                self._last_ended_ms,
                self._last_ended_ms - pending.triggered_ms,
                max(pending.pauses_ns, default=0),
                written,
                full,
            )
        )
        if pending.home is self.home:
            self.latest = manifest
            with self._lock:
                for key, state in pending.states.items():
                    self._chains[key] = list(state.segments)
            for older in [other for other in self._pending.values() if other.id < pending.id and not other.future]:
                self._drop(older, CheckpointError(f"checkpoint {older.id} was overtaken by {pending.id}"))
        if pending.ends_job and pending.home is not self.home:
            self.home.stopped(path)
        if pending.home is self.home or pending.ends_job:  # Flink: a savepoint in between commits nothing
            for task in self.tasks:
                if task not in self._finished:
                    self._ask(task, Request.COMPLETE, pending.id)
                    if pending.ends_job:
                        self._ask(task, Request.END, None)
        if pending.home is self.home:
            self._submit(self._collect())
        if pending.future is not None:
            pending.future.set_result(path)
        if pending.barrier.suspends:
            self._stopped()

    def _collect(self) -> Job:
        with self._lock:
            held = {ref.path for kept in self._planned.values() for ref in kept if ref.path is not None}
        self.home.collect(held)
        yield

    def _forget(self, pending: Pending) -> None:
        """The checkpoint is over, one way or the other."""
        with self._lock:
            del self._pending[pending.id]
            for key in [key for key in self._planned if key[0] == pending.id]:
                del self._planned[key]

    def _operators_of(self, pending: Pending) -> list[OperatorState]:
        enumerators = {key: found.end_snapshot(pending.id) for key, found in self._enumerators.items()}
        operators = []
        for operator_id, node in self._nodes.items():
            states = [
                pending.states.get((operator_id, index), _over(index))
                for index in range(node.parallelism)
            ]
            operators.append(_operator_state(node, states, enumerators.get(operator_id)))
        return operators

    def _give_up(self, pending: Pending, error: CheckpointError) -> None:
        """The checkpoint failed."""
        self._drop(pending, error)
        self._last_ended_ms = self.clock.now_ms()
        self.history.failed_count += 1
        if pending.future is not None:  # a savepoint that somebody asked for is their news, not the job's
            return
        self._failures_in_a_row += 1
        if fails_job(self.settings, self._failures_in_a_row):
            self._fail(error)
        else:
            log.warning("%s", error)

    def _drop(self, pending: Pending, error: BaseException) -> None:
        self._forget(pending)
        pending.abandoned = True
        for enumerator in self._enumerators.values():
            enumerator.abort_snapshot(pending.id)
        pending.home.discard(pending.segments)
        for task in self.tasks:
            if task not in self._finished:
                self._ask(task, Request.ABORT, pending.id)
                if pending.barrier.suspends:
                    self._ask(task, Request.RESUME, None)
        if pending.future is not None:
            pending.future.set_exception(error)


def _keys(task: Task) -> list[tuple[str, int]]:
    return [(runner.context.operator_id, runner.context.subtask_index) for runner in task.runners]


def _subtask_state(index: int, state: FrozenState, segments: list[SegmentRef], over: bool) -> SubtaskState:
    return SubtaskState(
        index,
        (state.key_groups.start, state.key_groups.stop),
        state.epoch,
        over,
        state.fields,
        state.lists,
        tuple(state.entries),
        tuple(segments),
    )


def _over(index: int) -> SubtaskState:
    """Of a subtask whose input ended before the barrier: it holds nothing any more."""
    return SubtaskState(index, (0, 0), 0, finished=True)


def _operator_state(node: Node, states: list[SubtaskState], enumerator: Any) -> OperatorState:
    return OperatorState(
        operator_id=node.operator_id,
        uid=node.transformation.uid,
        name=node.name,
        parallelism=node.parallelism,
        max_parallelism=node.max_parallelism,
        coordinator=enumerator,
        subtasks=tuple(states),
    )
