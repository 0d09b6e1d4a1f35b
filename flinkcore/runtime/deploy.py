# SPDX-License-Identifier: Apache-2.0
"""From a job graph to its tasks, wired by channels. Nothing runs yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flinkcore import options
from flinkcore.checkpoint.assignment import Restoration, key_group_range
from flinkcore.connectors.base import SplitEnumerator
from flinkcore.errors import ConfigurationError, FlinkcoreError, SchemaError, UserFunctionError
from flinkcore.graph.job_graph import Chain, Connection, JobGraph, Node
from flinkcore.metrics import OperatorMetrics
from flinkcore.operators.base import Operator, OperatorContext
from flinkcore.runtime.channel import Channel, InputGate
from flinkcore.runtime.fused import fuse, lines
from flinkcore.runtime.routing import (
    DeclaredTarget,
    OperatorOutput,
    Target,
    channel_target,
    reachable_subtasks,
)
from flinkcore.runtime.source_driver import SharedEnumerator, SourceDriver, restored_enumerator
from flinkcore.runtime.task import OperatorRunner, Task
from flinkcore.state.manager import StateManager
from flinkcore.state.memory import MemoryBudget
from flinkcore.time.clock import Clock

# Two exchanges between 300 subtasks each. More of them take minutes to connect, and help nobody in one process.
CHANNELS_MAX = 200_000

Channels = dict[tuple[Connection, int, int], Channel]  # (edge, subtask of the source, subtask of the target)


@dataclass(frozen=True)
class RunFacts:
    """What is the same for all tasks of one start of a job.

    checkpointing : snapshots are made periodically;  attempt : how often the job was started anew after a failure
    """

    restoration: Restoration = field(default_factory=Restoration)
    job_id: str = ""
    checkpointing: bool = False
    attempt: int = 0


def deploy(
    graph: JobGraph,
    clock: Clock,
    interrupted: Callable[[], bool] = lambda: False,
    run: RunFacts | None = None,
) -> list[Task]:
    """The tasks of a job, sources first. Enumerators are created here, so that a source that cannot be read
    fails before anything runs. Restored state is read when the tasks open.

    run : what the tasks go on from, and whose they are; None for a job that starts afresh and is not checkpointed
    """
    run = run or RunFacts()
    capacity = graph.config.get(options.CHANNEL_BATCHES)
    channels: Channels = {}
    for node in graph.nodes:
        for connection in node.outputs:
            if not connection.chained:
                for i in range(node.parallelism):
                    for j in reachable_subtasks(
                        connection.partitioning, i, node.parallelism, connection.target.parallelism
                    ):
                        channels[connection, i, j] = Channel(capacity)
                    if len(channels) > CHANNELS_MAX:
                        raise ConfigurationError(
                            f"a parallelism of {node.parallelism} and {connection.target.parallelism} between "
                            f"'{node.name}' and '{connection.target.name}' makes more than {CHANNELS_MAX} channels "
                            f"in one process; lower the parallelism"
                        )
    memory = MemoryBudget.of(graph.config)
    enumerators = {
        node: SharedEnumerator(_enumerator(node, run.restoration), node.parallelism, source.encode_state)
        for node in graph.nodes
        if (source := node.transformation.source) is not None
    }
    tasks = [
        _Deployment(graph, chain, index, clock, channels, enumerators, interrupted, run, memory).task
        for chain in graph.chains
        for index in range(chain.parallelism)
    ]
    for task, writers in upstream_tasks(tasks).items():
        # With another parallelism before it, a subtask whose input had ended may have input again.
        task.was_over = task.was_over and all(writer.was_over for writer in writers)
    return tasks


def upstream_tasks(tasks: Sequence[Task]) -> dict[Task, set[Task]]:
    """For each task those whose channels it reads."""
    writers = {id(channel): task for task in tasks for channel in task.channels_out}
    return {
        task: set() if task.gate is None else {writers[id(channel)] for channel in task.gate.channels}
        for task in tasks
    }


def _enumerator(node: Node, restoration: Restoration) -> SplitEnumerator:
    """The enumerator of a source, a new one or a restored one. UserFunctionError when the source cannot make it."""
    source = node.transformation.source
    assert source is not None
    stored = restoration.enumerators.get(node.operator_id)
    method = f"{type(source).__name__}.{'create' if stored is None else 'restore'}_enumerator"
    try:
        if stored is None:
            enumerator = source.create_enumerator(node.parallelism)
        else:
            enumerator = restored_enumerator(source, node.parallelism, stored)
    except FlinkcoreError:
        raise
    except Exception as error:
        raise UserFunctionError(node.name, method, error) from error
    if not isinstance(enumerator, SplitEnumerator):
        raise SchemaError(
            f"operator '{node.name}': {method} returned {type(enumerator).__name__}, expected a SplitEnumerator"
        )
    return enumerator


class _Deployment:
    """The making of one task."""

    def __init__(
        self,
        graph: JobGraph,
        chain: Chain,
        index: int,
        clock: Clock,
        channels: Channels,
        enumerators: dict[Node, SharedEnumerator],
        interrupted: Callable[[], bool],
        run: RunFacts,
        memory: MemoryBudget | None,
    ) -> None:
        self.run = run
        self.memory = memory
        self.graph = graph
        self.chain = chain
        self.index = index
        self.channels = channels
        self.enumerators = enumerators
        self.interrupted = interrupted
        self.task = Task(chain.name, index, chain.parallelism, clock)
        runners: dict[Node, OperatorRunner] = {}
        for node in reversed(chain.nodes):  # consumers first, their producers need them
            runners[node] = self._runner(node, runners)
        if chain.head.transformation.source is None:
            self.task.gate = self._gate(chain.head)
        self.task.runners = [runners[node] for node in chain.nodes]
        if graph.config.get(options.FUSE):
            fuse([[runners[node] for node in run] for run in lines(chain)])
        self.task.was_over = all((node.operator_id, index) in run.restoration.over for node in chain.nodes)

    def _runner(self, node: Node, runners: dict[Node, OperatorRunner]) -> OperatorRunner:
        main: list[Target] = []
        sides: dict[str, list[Target]] = {}
        for connection in node.outputs:
            target = self._target(connection, runners)
            if connection.edge.side is None:
                main.append(target)
            else:
                tag, schema = connection.edge.side, connection.edge.schema
                declared = target if schema is None else DeclaredTarget(target, tag, schema)
                sides.setdefault(tag, []).append(declared)
        metrics = OperatorMetrics()
        runner = OperatorRunner(self.task, self._operator(node), OperatorOutput(metrics, main, sides))
        runner.context = OperatorContext(
            name=node.name,
            clock=self.task.clock,
            timers=runner,
            config=self.graph.config,
            metrics=metrics,
            state=self._state(node),
            subtask_index=self.index,
            parallelism=node.parallelism,
            max_parallelism=node.max_parallelism,
            operator_id=node.operator_id,
            job_name=self.graph.name,
            interrupted=self.interrupted,
            job_id=self.run.job_id,
            checkpointing=self.run.checkpointing,
            attempt=self.run.attempt,
            event_loop=self.task.event_loop,
        )
        runner.restored = self.run.restoration.states.get((node.operator_id, self.index))
        return runner

    def _state(self, node: Node) -> StateManager:
        groups = key_group_range(node.max_parallelism, node.parallelism, self.index)
        memory = None if self.memory is None else self.memory.share()
        return StateManager(node.name, groups, node.max_parallelism, memory)

    def _operator(self, node: Node) -> Operator:
        transformation = node.transformation
        if transformation.source is not None:
            driver = SourceDriver(transformation.source, self.enumerators[node], transformation.watermarks)
            self.task.source = driver
            return driver
        assert node.factory is not None
        return node.factory()

    def _target(self, connection: Connection, runners: dict[Node, OperatorRunner]) -> Target:
        if connection.chained:
            return runners[connection.target]
        ends = reachable_subtasks(
            connection.partitioning, self.index, connection.source.parallelism, connection.target.parallelism
        )
        channels = [self.channels[connection, self.index, end] for end in ends]
        self.task.channels_out.extend(channels)
        return channel_target(
            connection.partitioning,
            channels,
            connection.target.max_parallelism,
            self.index,
            connection.edge.partitioner,
        )

    def _gate(self, head: Node) -> InputGate:
        inputs = [
            (
                self.channels[connection, i, self.index],
                connection.edge.input_index,
                f"{connection.source.name} ({i + 1}/{connection.source.parallelism})",
            )
            for connection in head.inputs
            for i in range(connection.source.parallelism)
            if (connection, i, self.index) in self.channels
        ]
        return InputGate(
            [channel for channel, _, _ in inputs],
            [index for _, index, _ in inputs],
            [name for _, _, name in inputs],
        )
