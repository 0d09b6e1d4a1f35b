# SPDX-License-Identifier: Apache-2.0
"""The job graph: transformations with their parallelism settled, grouped into chains that share a task.

All of it is a pure function of the transformations and the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from flinkcore import options
from flinkcore.checkpoint.assignment import operator_id_of, operator_id_of_uid
from flinkcore.config import Configuration
from flinkcore.connectors.base import Boundedness
from flinkcore.errors import ConfigurationError
from flinkcore.graph.execution_plan import plan_json
from flinkcore.graph.transformation import Edge, Partitioning, Transformation
from flinkcore.operators.base import OperatorFactory

MAX_PARALLELISM_LOWER = 128  # Flink: KeyGroupRangeAssignment.DEFAULT_LOWER_BOUND_MAX_PARALLELISM
MAX_PARALLELISM_UPPER = 32768  # Flink: KeyGroupRangeAssignment.UPPER_BOUND_MAX_PARALLELISM


@dataclass(eq=False)
class Node:
    """A transformation with everything settled."""

    transformation: Transformation
    parallelism: int
    max_parallelism: int
    max_parallelism_set: bool  # by the program; else a restored checkpoint's is taken
    operator_id: str
    factory: OperatorFactory | None  # makes its operator; None for a source
    inputs: list[Connection] = field(default_factory=list)
    outputs: list[Connection] = field(default_factory=list)
    chain: Chain | None = None

    @property
    def name(self) -> str:
        return self.transformation.name


@dataclass(eq=False)
class Connection:
    """An edge between two nodes; `chained` when both run in one task."""

    source: Node
    target: Node
    edge: Edge
    partitioning: Partitioning
    chained: bool = False


@dataclass(eq=False)
class Chain:
    """Nodes that run in one task, the head first; each follows the node that feeds it."""

    nodes: list[Node]

    @property
    def head(self) -> Node:
        return self.nodes[0]

    @property
    def parallelism(self) -> int:
        return self.head.parallelism

    @property
    def name(self) -> str:
        return (
            " -> ".join(node.name for node in self.nodes if not node.transformation.hidden) or self.head.name
        )


@dataclass(eq=False)
class JobGraph:
    """What an executor runs."""

    name: str
    nodes: list[Node]
    chains: list[Chain]
    config: Configuration

    def to_json(self) -> str:
        """The plan, as StreamExecutionEnvironment.get_execution_plan gives it."""
        return plan_json(self)


def build(
    transformations: Iterable[Transformation],
    config: Configuration,
    name: str,
    parallelism_default: int,
    max_parallelism_default: int | None = None,
) -> JobGraph:
    """The job graph of the transformations that lead to a sink, in the order in which they were made.

    Its options are those of now, with the mode settled: automatic mode is batch mode where all sources end.
    ConfigurationError when a parallelism does not fit its max parallelism, or a uid stands twice.
    """
    ordered = sorted(_reachable(transformations), key=lambda transformation: transformation.id)
    config = Configuration(config)
    if config.get(options.RUNTIME_MODE) == "AUTOMATIC":
        sources = [transformation.source for transformation in ordered if transformation.source is not None]
        ends = all(source.boundedness is Boundedness.BOUNDED for source in sources)
        config.set(options.RUNTIME_MODE, "BATCH" if ends else "STREAMING")
    batch = config.get(options.RUNTIME_MODE) == "BATCH"
    nodes: dict[Transformation, Node] = {}
    uids: dict[str, str] = {}
    for position, transformation in enumerate(ordered):
        parallelism = transformation.parallelism or parallelism_default
        if transformation.hidden and transformation.inputs:
            # PyFlink: PythonConfigUtil aligns key_by with its input, so that records of a key keep their order.
            parallelism = nodes[transformation.inputs[0].source].parallelism
        elif transformation.keeps_order:
            parallelism = min(nodes[edge.source].parallelism for edge in transformation.inputs)
        if transformation.parallelism_max is not None:
            parallelism = min(parallelism, transformation.parallelism_max)
        max_parallelism_set = bool(transformation.max_parallelism or max_parallelism_default)
        max_parallelism = (
            transformation.max_parallelism or max_parallelism_default or max_parallelism_for(parallelism)
        )
        if parallelism > max_parallelism:
            raise ConfigurationError(
                f"operator '{transformation.name}': parallelism {parallelism} is above its max "
                f"parallelism {max_parallelism}; raise set_max_parallelism or lower the parallelism"
            )
        if transformation.uid is not None:
            if transformation.uid in uids:
                raise ConfigurationError(
                    f"uid '{transformation.uid}' stands on both '{uids[transformation.uid]}' and "
                    f"'{transformation.name}'; every operator needs a uid of its own"
                )
            uids[transformation.uid] = transformation.name
        nodes[transformation] = Node(
            transformation,
            parallelism,
            max_parallelism,
            max_parallelism_set,
            _operator_id(transformation, position),
            (transformation.batch_factory if batch else None) or transformation.factory,
        )
    for transformation, node in nodes.items():
        for edge in transformation.inputs:
            source = nodes[edge.source]
            partitioning = edge.partitioning
            if partitioning is Partitioning.FORWARD and source.parallelism != node.parallelism:
                if edge.strict:
                    raise ConfigurationError(
                        f"Forward partitioning does not allow change of parallelism. Upstream operation: "
                        f"{source.name} parallelism: {source.parallelism}, downstream operation: {node.name} "
                        f"parallelism: {node.parallelism}. You must use another partitioning strategy, such as "
                        f"broadcast, rebalance, shuffle or global."
                    )
                partitioning = Partitioning.REBALANCE  # Flink: StreamGraph.createActualEdge
            connection = Connection(source, node, edge, partitioning)
            source.outputs.append(connection)
            node.inputs.append(connection)
    return JobGraph(name, list(nodes.values()), _chains(nodes.values(), config), config)


def _reachable(transformations: Iterable[Transformation]) -> set[Transformation]:
    """All steps that a sink (a step that nothing reads) depends on, itself included."""
    seen: set[Transformation] = set()
    pending = list(transformations)
    while pending:
        transformation = pending.pop()
        if transformation not in seen:
            seen.add(transformation)
            pending.extend(edge.source for edge in transformation.inputs)
    return seen


# Operators of a chain call each other, three Python frames each, and the functions of the user need some, too.
CHAIN_LENGTH_MAX = 100


def _chains(nodes: Iterable[Node], config: Configuration) -> list[Chain]:
    enabled = config.get(options.OPERATOR_CHAINING)
    chains: list[Chain] = []
    for node in nodes:  # inputs come before their consumers
        if enabled and _can_chain(node, config.get(options.CHAIN_DIFFERENT_MAX_PARALLELISM)):
            connection = node.inputs[0]
            connection.chained = True
            node.chain = connection.source.chain
            assert node.chain is not None
            node.chain.nodes.append(node)
        else:
            node.chain = Chain([node])
            chains.append(node.chain)
    return chains


def _can_chain(node: Node, different_max_parallelism: bool) -> bool:
    """Whether a node may run in the task of its only input.

    different_max_parallelism : also when the two have different numbers of key groups

    Flink chains forward edges of equal parallelism. With one subtask on both sides every way of partitioning
    is the same as forward, so such edges chain as well; a thread hand-over would buy nothing.
    """
    if len(node.inputs) != 1 or node.transformation.chaining != "always":
        return False
    connection = node.inputs[0]
    source = connection.source
    if source.chain is None or len(source.chain.nodes) >= CHAIN_LENGTH_MAX:
        return False
    if source.transformation.chaining == "never" or source.parallelism != node.parallelism:
        return False
    if source.max_parallelism != node.max_parallelism and not different_max_parallelism:
        return False
    return connection.partitioning is Partitioning.FORWARD or node.parallelism == 1


def _operator_id(transformation: Transformation, position: int) -> str:
    """A stable id: of the uid when there is one, else of the step's place and inputs."""
    if transformation.uid is not None:
        return operator_id_of_uid(transformation.uid)
    inputs = ",".join(f"{edge.source.name}/{edge.partitioning.value}/{edge.side}" for edge in transformation.inputs)
    return operator_id_of(f"{position}:{transformation.kind}:{inputs}")


def max_parallelism_for(parallelism: int) -> int:
    """Default max parallelism (Flink: KeyGroupRangeAssignment.computeDefaultMaxParallelism)."""
    wanted = parallelism + parallelism // 2
    power = 1 << max(0, wanted - 1).bit_length()
    return min(max(power, MAX_PARALLELISM_LOWER), MAX_PARALLELISM_UPPER)
