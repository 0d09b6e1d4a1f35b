# SPDX-License-Identifier: Apache-2.0
"""How tables are built: on streams of their own, which no job runs until a table is executed or becomes a
stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flinkcore import options
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.collection import CollectionSource
from flinkcore.datastream.data_stream import DataStream
from flinkcore.graph.transformation import Transformation
from flinkcore.operators.base import Operator

if TYPE_CHECKING:
    from flinkcore.datastream.stream_execution_environment import StreamExecutionEnvironment
    from flinkcore.runtime.job import JobRun


class Planner:
    """Stands in for the stream environment while tables are built: steps get numbers, but belong to no job
    yet."""

    def __init__(self, env: StreamExecutionEnvironment) -> None:
        self.env = env

    def add(self, transformation: Transformation) -> None:
        """A step of a table; the job that needs it finds it from its end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def stream(self, stream: DataStream) -> DataStream:
        """A stream of the environment as the start of a table."""
        return DataStream(self, stream._edges, stream.schema)  # type: ignore[arg-type]

    def release(self, stream: DataStream) -> DataStream:
        """The stream of a table as one of the environment, whose steps the next execute() runs."""
        known = set(map(id, self.env._transformations))
        for transformation in closure(stream):
            if id(transformation) not in known:
                self.env.add(transformation)
        return DataStream(self.env, stream._edges, stream.schema)

    def launch(self, streams: Sequence[DataStream], job_name: str | None) -> JobRun:
        """Runs the steps that lead to some streams, and no others."""
        steps = closure(*streams)
        if not self.env.get_configuration().contains(options.PARALLELISM) and _is_small(steps, self.env):
            # One batch in memory keeps one subtask busy at most; and rows stay in their order.
            for step in steps:
                step.parallelism = step.parallelism or 1
        return self.env.launch(job_name, steps)


def closure(*streams: DataStream) -> list[Transformation]:
    """All steps that lead to some streams, sources first."""
    found: dict[int, Transformation] = {}

    def visit(transformation: Transformation) -> None:
        if id(transformation) not in found:
            for edge in transformation.inputs:
                visit(edge.source)
            found[id(transformation)] = transformation

    for stream in streams:
        for edge in stream._edges:
            visit(edge.source)
    return sorted(found.values(), key=lambda transformation: transformation.id)


def _is_small(steps: Iterable[Transformation], env: StreamExecutionEnvironment) -> bool:
    sources = [step.source for step in steps if step.source is not None]
    rows_max = env.get_configuration().get(options.BATCH_ROWS)
    return all(
        isinstance(source, CollectionSource) and source.iterator is None and len(source.data) <= rows_max
        for source in sources
    )


def step(
    stream: DataStream, name: str, make: Callable[[], Operator], schema: Schema, **more: Any
) -> DataStream:
    """A stream with one more step."""
    return stream._step(name, make, schema, **more)
