# SPDX-License-Identifier: Apache-2.0
"""CachedDataStream: a stream that one job computes and later ones read (PyFlink: pyflink.datastream.data_stream)."""

from __future__ import annotations

from typing import NoReturn

from flinkcore import options
from flinkcore.columnar.batch import Batch
from flinkcore.common.job_status import JobStatus
from flinkcore.connectors.cached import CachedSource
from flinkcore.datastream.data_stream import DataStream
from flinkcore.datastream.not_an_operator import NotAnOperator
from flinkcore.errors import ConfigurationError
from flinkcore.graph.transformation import Partitioning
from flinkcore.operators.cached import KeepBatches
from flinkcore.runtime.job import JobRun


class CachedDataStream(NotAnOperator, DataStream):
    """A stream whose records the first job in batch mode that computes them keeps, in memory; made by
    DataStream.cache(). Later jobs of its environment read them. Jobs in streaming mode compute them anew, as in Flink.
    """

    def __init__(self, stream: DataStream) -> None:
        edge, *others = stream._edges
        if others or edge.partitioning is not Partitioning.FORWARD:
            raise ConfigurationError(
                "cache takes the result of one operator; call it before union and before the records are partitioned"
            )
        self._parts: dict[int, list[Batch]] = {}  # of the job that is built next
        self._run: tuple[JobRun, dict[int, list[Batch]]] | None = None
        schema = stream._schema
        kept = stream._step("CacheWrite", lambda: KeepBatches(schema, self._parts), schema, hidden=True)
        super().__init__(stream._env, kept._edges, schema)
        step = self._transformation
        self._computed = step.inputs, step.factory
        stream._env.add_cache(self)

    def cache(self) -> CachedDataStream:
        return self

    def invalidate(self) -> None:
        """Forgets what was kept; the next job computes it anew."""
        step = self._transformation
        self._run = None
        step.name, step.kind, step.hidden, step.parallelism = "CacheWrite", "Operator", True, None
        (step.inputs, step.factory), step.source = self._computed, None

    def prepare(self) -> None:
        """A job is about to be built: it reads what was kept, or keeps anew. For the environment."""
        self._parts = {}
        if self._run is None:
            return
        run, parts = self._run
        if run.is_running:  # the next job computes for itself
            return
        self._run = None
        if run.status.name == JobStatus.FINISHED.name and run.graph.config.get(options.RUNTIME_MODE) == "BATCH":
            step = self._transformation
            step.name, step.kind, step.hidden, step.parallelism = "CacheRead", "Data Source", False, len(parts)
            step.inputs, step.factory, step.source = (), None, CachedSource(self._schema, parts)

    def runs_in(self, job: JobRun) -> None:
        """A job has started that was built after prepare(). For the environment."""
        step = self._transformation
        if step.source is None and any(node.transformation is step for node in job.graph.nodes):
            self._run = job, self._parts

    def _refuse(self, what: str) -> NoReturn:
        raise ConfigurationError(f"{what} cannot be called on a CachedDataStream: call it on the stream before cache")
