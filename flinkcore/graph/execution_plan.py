# SPDX-License-Identifier: Apache-2.0
"""The plan of a job in the JSON form of StreamExecutionEnvironment.get_execution_plan (Flink: JSONGenerator).

A step of the plan is a node of the job graph, or several that Flink would have one Python worker run: functions behind
each other are one step there, "Map, Filter" (PyFlink: PythonOperatorChainingOptimizer). Hidden nodes are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flinkcore import options
from flinkcore.graph.transformation import Partitioning

if TYPE_CHECKING:
    from flinkcore.graph.job_graph import JobGraph, Node

#: What Flink puts before the name of a step of this kind.
_KIND_NAMES = {"Data Source": "Source: ", "Data Sink": "Sink: "}


def plan_json(graph: JobGraph) -> str:
    """The plan of a job graph as JSON."""
    steps: list[list[Node]] = []
    step_of: dict[Node, list[Node]] = {}
    joining = graph.config.get(options.PYTHON_OPERATOR_CHAINING)
    for node in graph.nodes:  # inputs come before their consumers
        if node.transformation.hidden:
            continue
        if joining and _joins(node):
            step = step_of[node.inputs[0].source]
            step.append(node)
        else:
            step = [node]
            steps.append(step)
        step_of[node] = step
    numbers = {id(step): number for number, step in enumerate(steps, 1)}
    plan = []
    for step in steps:
        head = step[0]
        name = ", ".join(node.name for node in step)
        entry: dict[str, object] = {
            "id": numbers[id(step)],
            "type": _KIND_NAMES.get(head.transformation.kind, "") + name,
            "pact": head.transformation.kind,
            "contents": head.transformation.description if len(step) == 1 and head.transformation.description else name,
            "parallelism": head.parallelism,
        }
        predecessors = [
            {"id": numbers[id(step_of[source])], "ship_strategy": partitioning.value, "side": "second"}
            for source, partitioning in _visible_inputs(head)
        ]
        if predecessors:
            entry["predecessors"] = predecessors
        plan.append(entry)
    return json.dumps({"nodes": plan}, indent=2)


def _joins(node: Node) -> bool:
    """Whether a function is one step with what its only input comes from."""
    if node.transformation.worker != "function" or len(node.inputs) != 1:
        return False
    connection = node.inputs[0]
    source = connection.source
    return (
        source.transformation.worker is not None
        and len(source.outputs) == 1
        and connection.partitioning is Partitioning.FORWARD
        and connection.edge.side is None
        and (source.parallelism, source.max_parallelism) == (node.parallelism, node.max_parallelism)
        and source.transformation.chaining != "never"
        and node.transformation.chaining == "always"
    )


def _visible_inputs(node: Node) -> Iterable[tuple[Node, Partitioning]]:
    """The inputs of a node with hidden nodes in between left out; the last step decides how records travel."""
    for connection in node.inputs:
        if connection.source.transformation.hidden:
            for source, _ in _visible_inputs(connection.source):
                yield source, connection.partitioning
        else:
            yield connection.source, connection.partitioning
