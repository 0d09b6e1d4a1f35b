# SPDX-License-Identifier: Apache-2.0
"""A sink that keeps the batches it gets, and what the kept batches say once a changelog is over."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from bench.workloads import WORKLOADS, base, words_of
from flinkcore.columnar.batch import DELETE, UPDATE_BEFORE, Batch
from flinkcore.connectors.base import Sink, SinkContext, SinkWriter
from flinkcore.datastream import DataStream, StreamExecutionEnvironment


class KeptWriter(SinkWriter):
    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def write_batch(self, batch: Batch) -> None:
        self.batches.append(batch)


class KeptBatches(Sink):
    """Everything that the stream emits, row kinds included, in memory: a list per subtask."""

    def __init__(self) -> None:
        self.by_subtask: list[list[Batch]] = []

    def create_writer(self, context: SinkContext) -> SinkWriter:
        self.by_subtask.append([])
        return KeptWriter(self.by_subtask[-1])

    def batches(self) -> list[Batch]:
        return [batch for batches in self.by_subtask for batch in batches]

    def rows(self) -> int:
        return sum(batch.num_rows for batch in self.batches())

    def table(self) -> pa.Table:
        return pa.Table.from_batches([batch.to_arrow() for batch in self.batches()])


def run(build, table: pa.Table, parallelism: int) -> KeptBatches:
    """Runs one of the pipelines over a table; what is timed."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    stream: DataStream = build(env, table)
    sink = KeptBatches()
    stream.sink_to(sink)
    env.execute()
    return sink


def final_table(job: str, kept: KeptBatches) -> pa.Table:
    """The columns of the job's answer; of a changelog, the last row of each key."""
    columns = WORKLOADS[base(job)].columns
    batches = kept.batches()
    table = kept.table().select(columns)
    if all(batch.row_kinds is None for batch in batches):
        return table
    kinds = np.concatenate([batch.kinds() for batch in batches])
    if (kinds == DELETE).any():
        raise ValueError(f"{job} deletes rows, which none of these jobs does")
    table = table.filter(pa.array(kinds != UPDATE_BEFORE))
    words = words_of(table[columns[0]].combine_chunks())
    _, last = np.unique(words[::-1], return_index=True)
    return table.take(pa.array(len(words) - 1 - last))
