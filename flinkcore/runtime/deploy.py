# SPDX-License-Identifier: Apache-2.0
"""From a job graph to its tasks, wired by channels. Nothing runs yet."""

from __future__ import annotations

from collections.abc import Callable

from flinkcore import options
from flinkcore.columnar.faults import BadRecords
from flinkcore.connectors.base import SourceContext
from flinkcore.graph.job_graph import Chain, Connection, JobGraph, Node
from flinkcore.operators.base import Operator, OperatorContext
from flinkcore.runtime.channel import Channel, InputGate
from flinkcore.runtime.routing import OperatorOutput, Target, channel_target, reachable_subtasks
from flinkcore.runtime.source_driver import SharedEnumerator, SourceDriver
from flinkcore.runtime.task import OperatorRunner, RunnerTimers, Task
from flinkcore.time.clock import Clock

Channels = dict[tuple[Connection, int, int], Channel]  # (edge, subtask of the source, subtask of the target)


def deploy(graph: JobGraph, clock: Clock, interrupted: Callable[[], bool] = lambda: False) -> list[Task]:
    """The tasks of a job, sources first. Enumerators are created here, so that a source that cannot be read
    fails before anything runs."""
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
    enumerators = {
        node: SharedEnumerator(node.transformation.source.create_enumerator(node.parallelism))
        for node in graph.nodes
        if node.transformation.source is not None
    }
    return [
        _Deployment(graph, chain, index, clock, channels, enumerators, interrupted).task
        for chain in graph.chains
        for index in range(chain.parallelism)
    ]


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
    ) -> None:
        self.graph = graph
        self.chain = chain
        self.index = index
        self.channels = channels
        self.interrupted = interrupted
        self.task = Task(chain.name, index, chain.parallelism, clock)
        runners: dict[Node, OperatorRunner] = {}
        for node in reversed(chain.nodes):  # consumers first, their producers need them
            runners[node] = self._runner(node, runners)
        source = chain.head.transformation.source
        if source is None:
            self.task.gate = self._gate(chain.head)
        else:
            self._add_source(runners[chain.head], enumerators[chain.head])
        self.task.runners = [runners[node] for node in chain.nodes if node.transformation.factory is not None]

    def _runner(self, node: Node, runners: dict[Node, OperatorRunner]) -> OperatorRunner:
        context = OperatorContext(
            name=node.name,
            clock=self.task.clock,
            timers=None,
            config=self.graph.config,  # type: ignore[arg-type]
            subtask_index=self.index,
            parallelism=node.parallelism,
            max_parallelism=node.max_parallelism,
            operator_id=node.operator_id,
            job_name=self.graph.name,
            interrupted=self.interrupted,
        )
        factory = node.transformation.factory
        operator = Operator() if factory is None else factory()
        main: list[Target] = []
        sides: dict[str, list[Target]] = {}
        for connection in node.outputs:
            target = self._target(connection, runners)
            if connection.edge.side is None:
                main.append(target)
            else:
                sides.setdefault(connection.edge.side, []).append(target)
        runner = OperatorRunner(self.task, operator, context, OperatorOutput(context.metrics, main, sides))
        context.timers = RunnerTimers(self.task.timers, runner)
        return runner

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

    def _add_source(self, runner: OperatorRunner, enumerator: SharedEnumerator) -> None:
        transformation = self.chain.head.transformation
        assert transformation.source is not None
        context, out = runner.context, runner.out
        policy = getattr(transformation.source, "bad_records", None)
        bad_records = (
            BadRecords.of(policy, context.metrics, out) if policy is not None else BadRecords("fail")
        )
        source_context = SourceContext(
            name=context.name,
            clock=context.clock,
            bad_records=bad_records,
            config=context.config,
            metrics=context.metrics,
            subtask_index=self.index,
            parallelism=context.parallelism,
            interrupted=self.interrupted,
        )

        def timer_of(operator: Operator) -> RunnerTimers:
            return RunnerTimers(self.task.timers, OperatorRunner(self.task, operator, context, out))

        self.task.source_runner = runner
        self.task.source = SourceDriver(
            transformation.source,
            enumerator,
            transformation.watermarks,
            context,
            source_context,
            out,
            timer_of,
            context.config.get(options.BATCH_ROWS),
        )
