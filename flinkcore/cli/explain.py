# SPDX-License-Identifier: Apache-2.0
"""`flinkcore explain`: the job graphs of a program, in place of running them."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

from flinkcore import options
from flinkcore.cli.program import Program, failure_text
from flinkcore.cli.text import count
from flinkcore.graph.job_graph import Chain, JobGraph, Node
from flinkcore.graph.transformation import Partitioning
from flinkcore.operators.base import OperatorDescription
from flinkcore.operators.timestamps import AssignTimestamps
from flinkcore.runtime import launch
from flinkcore.runtime.fused import planned_passes
from flinkcore.runtime.job import JobRun
from flinkcore.time.clock import SystemClock


def explain(program: Program, *, engine_frames: bool = False) -> int:
    """Runs the program, its jobs ending at once without a record; prints their graphs. -> the exit code"""
    graphs, failure = graphs_of(program)
    print("\n".join(map(describe, graphs)), end="")
    if failure is not None:
        tell_failure(failure, bool(graphs), engine_frames=engine_frames)
        return 0 if graphs else 1
    if not graphs:
        print(NO_JOB)
    return 0


NO_JOB = "the program executed no job: nothing ends in a sink, or execute() is never called"


def graphs_of(program: Program) -> tuple[list[JobGraph], Exception | None]:
    """Runs the program, its jobs ending at once without a record. -> (their graphs, what the program raised)"""
    graphs: list[JobGraph] = []

    def show(graph: JobGraph) -> JobRun:
        graphs.append(graph)
        job = JobRun(graph, SystemClock())
        job.started(lambda: None)
        job.ended()
        return job

    before, launch.executor = launch.executor, show
    try:
        with redirect_stdout(sys.stderr):
            program.run()
    except SystemExit:
        pass                                 # what a program makes of jobs without results says nothing
    except Exception as error:
        return graphs, error
    finally:
        launch.executor = before
    return graphs, None


def tell_failure(failure: Exception, after_jobs: bool, *, engine_frames: bool) -> None:
    """Writes why the program failed."""
    if after_jobs:
        sys.stderr.write("note: the program failed after what is shown, perhaps for want of results\n")
    sys.stderr.write(failure_text(failure, engine_frames=engine_frames))


def describe(graph: JobGraph) -> str:
    """The job graph as text: a block for each task, its operators in the order in which records pass them."""
    visible = [node for node in graph.nodes if not node.transformation.hidden]
    lines = [f"job '{graph.name}': {count(len(visible), 'operator')} in {count(len(graph.chains), 'task')}"]
    budget_bytes = graph.config.get(options.MANAGED_MEMORY_SIZE)
    if budget_bytes is not None:
        lines.append(
            f"numbers that aggregates hold: up to {budget_bytes} bytes in memory, the rest in a local file; "
            "keys, strings and Python objects all in memory"
        )
    if not graph.config.get(options.TRANSLATE_FUNCTIONS):
        lines.append(f"no function runs on columns: {options.TRANSLATE_FUNCTIONS.key} is false")
    numbers = {id(chain): i for i, chain in enumerate(graph.chains, 1)}
    made = {node for node in graph.nodes if _makes_watermarks(node)}
    for chain in graph.chains:
        passes = planned_passes(graph, chain)
        lines += ["", f"task {numbers[id(chain)]}, parallelism {chain.parallelism}"]
        lines += [f"  from {text}" for text in _inputs(chain, numbers)]
        for node in chain.nodes:
            if not node.transformation.hidden or _calls_python(node):
                lines.append(f"  {node.name}")
                lines += [f"      {fact}" for fact in [*_facts(node, made), *_shares(node, passes)]]
    return "\n".join(lines) + "\n"


def _inputs(chain: Chain, numbers: dict[int, int]) -> list[str]:
    texts = []
    for connection in chain.head.inputs:
        assert connection.source.chain is not None
        how = connection.partitioning.value
        if connection.partitioning is Partitioning.HASH:
            how += f" {_description(connection.source).detail}"
        side = f" of its side output '{connection.edge.side}'" if connection.edge.side else ""
        texts.append(f"task {numbers[id(connection.source.chain)]}, {how}{side}")
    return texts


def _description(node: Node) -> OperatorDescription:
    return OperatorDescription(native=True) if node.factory is None else node.factory().describe()


def _calls_python(node: Node) -> bool:
    return not _description(node).native


def _facts(node: Node, made: set[Node]) -> list[str]:
    """What there is to say about one operator; at least one line."""
    transformation = node.transformation
    facts = []
    if node.factory is not None:
        operator = node.factory()
        facts.append(_speed(operator.describe()))
        if operator.waits_for_watermarks:
            facts.append(_waits(node, made))
    elif transformation.description:
        facts.append(transformation.description)
    if transformation.watermarks is not None:
        strategy = AssignTimestamps(transformation.watermarks, transformation.schema).describe()
        facts.append(f"watermarks are made here, for each split: {strategy.detail}")
    elif node in made:
        facts.append("watermarks are made here")
    return facts or ["source" if transformation.source is not None else "native"]


def _shares(node: Node, passes: dict[Node, list[Node] | str]) -> list[str]:
    """With whom an operator shares a pass over a batch."""
    found = passes.get(node, [])
    if isinstance(found, str):
        return [f"not in the pass of the one before it, in which this has no place: {found}"]
    others = [other.name for other in found if other is not node and not other.transformation.hidden]
    return [f"one pass with {', '.join(others)}"] if others else []


def _speed(description: OperatorDescription) -> str:
    text = "native" if description.native else "Python for each record"
    if description.detail:
        text += f": {description.detail}"
    return f"{text} ({description.reason})" if description.reason else text


def _waits(node: Node, made: set[Node]) -> str:
    makers = [maker.name for maker in _upstream(node) if maker in made]
    if makers:
        return f"waits for the watermark of {', '.join(makers)}"
    return ("waits for a watermark that nobody makes: fires only at the end of the input; call "
            "assign_timestamps_and_watermarks before it")


def _upstream(node: Node) -> list[Node]:
    """All nodes that feed this one, each once, the sources first."""
    seen: dict[Node, None] = {}
    pending = [connection.source for connection in node.inputs]
    while pending:
        source = pending.pop()
        if source not in seen:
            seen[source] = None
            pending += [connection.source for connection in source.inputs]
    return list(reversed(seen))


def _makes_watermarks(node: Node) -> bool:
    if node.transformation.watermarks is not None:
        return True
    factory = node.transformation.factory
    return factory is not None and isinstance(factory(), AssignTimestamps)
