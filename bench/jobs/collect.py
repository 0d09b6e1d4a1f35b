# SPDX-License-Identifier: Apache-2.0
"""Sinks of the benchmarks: one keeps everything, one takes a changelog in as it flows by."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.workloads import WORKLOADS, base, words_of
from flinkcore._native.column import BYTES
from flinkcore.columnar.batch import DELETE, UPDATE_BEFORE, Batch
from flinkcore.connectors.base import Sink, SinkContext, SinkWriter
from flinkcore.datastream import StreamExecutionEnvironment


class KeptBatches(Sink):
    """Everything that a stream emits, row kinds included, in memory: a list per subtask."""

    takes_batches = True

    def __init__(self) -> None:
        self.by_subtask: list[list[Batch]] = []

    def create_writer(self, context: SinkContext) -> SinkWriter:
        self.by_subtask.append([])
        return KeptWriter(self.by_subtask[-1])

    def batches(self) -> list[Batch]:
        return [batch for batches in self.by_subtask for batch in batches]

    def table(self) -> pa.Table:
        return pa.Table.from_batches([batch.to_arrow() for batch in self.batches()])


class KeptWriter(SinkWriter):
    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def write_batch(self, batch: Batch) -> None:
        self.batches.append(batch)


class FoldedChanges(Sink):
    """What a changelog comes to: rows added less rows taken back, and the same of the sums of its numbers."""

    takes_batches = True

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.by_subtask: list[dict[str, int]] = []

    def create_writer(self, context: SinkContext) -> SinkWriter:
        self.by_subtask.append(dict.fromkeys(("rows", *self.names), 0))
        return FoldingWriter(self.by_subtask[-1])

    def totals(self) -> dict[str, int]:
        return {name: sum(part[name] for part in self.by_subtask) for name in ("rows", *self.names)}


class FoldingWriter(SinkWriter):
    def __init__(self, totals: dict[str, int]) -> None:
        self.totals = totals

    def write_batch(self, batch: Batch) -> None:
        signs = np.where((batch.kinds() == UPDATE_BEFORE) | (batch.kinds() == DELETE), -1, 1)
        for name in self.totals:
            values = signs if name == "rows" else batch.column(name).to_numpy() * signs
            self.totals[name] += int(values.sum())


class FoldedTotals(Sink):
    """What a stream comes to: its rows, the sum of each column of numbers or times, the bytes of each of text. Reads
    every column, and lets go of it."""

    takes_batches = True

    def __init__(self) -> None:
        self.by_subtask: list[dict[str, float]] = []

    def create_writer(self, context: SinkContext) -> SinkWriter:
        self.by_subtask.append({"rows": 0, **dict.fromkeys(context.schema.names, 0)})
        return TotallingWriter(self.by_subtask[-1])

    def totals(self) -> dict[str, float]:
        return {name: sum(part[name] for part in self.by_subtask) for name in self.by_subtask[0]}


class TotallingWriter(SinkWriter):
    def __init__(self, totals: dict[str, float]) -> None:
        self.totals = totals

    def write_batch(self, batch: Batch) -> None:
        self.totals["rows"] += batch.num_rows
        for name in batch.schema.names:
            column = batch.column(name)
            if column.kind == BYTES:
                self.totals[name] += pc.sum(pc.binary_length(column.to_arrow())).as_py() or 0
            else:
                self.totals[name] += column.to_numpy().sum().item()


def run_into(sink: Sink, build, table: pa.Table, parallelism: int) -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    build(env, table).sink_to(sink)
    env.execute()


def run(job: str, build, table: pa.Table, parallelism: int) -> KeptBatches | FoldedChanges:
    """Runs a job over a table; what is timed. Results are kept, unless they are a changelog of changes."""
    changes = job in ("W3", "W3.record", "W8.batch")
    numbers = WORKLOADS[base(job)].columns[1:]
    sink = FoldedChanges(numbers) if changes else KeptBatches()
    run_into(sink, build, table, parallelism)
    return sink


def result_table(job: str, made: KeptBatches | FoldedChanges, build, table: pa.Table) -> pa.Table:
    """The columns of the job's answer, from what run() made.

    A changelog that was folded is made again and kept, to compare the last row of each key; both must agree.
    """
    if isinstance(made, KeptBatches):
        return made.table().select(WORKLOADS[base(job)].columns)
    kept = KeptBatches()
    run_into(kept, build, table, 1)
    last = last_rows(kept, WORKLOADS[base(job)].columns)
    totals = {"rows": last.num_rows, **{name: pc.sum(last[name]).as_py() for name in made.names}}
    if made.totals() != totals:
        raise ValueError(f"{job}: the changes come to {made.totals()}, the last rows to {totals}")
    return last


def last_rows(kept: KeptBatches, columns: tuple[str, ...]) -> pa.Table:
    """Of a changelog that deletes nothing, the last row of each value of the first column."""
    kinds = np.concatenate([batch.kinds() for batch in kept.batches()])
    if (kinds == DELETE).any():
        raise ValueError("a row was deleted, which none of these jobs does")
    table = kept.table().select(columns).filter(pa.array(kinds != UPDATE_BEFORE))
    words = words_of(table[columns[0]].combine_chunks())
    _, last = np.unique(words[::-1], return_index=True)
    return table.take(pa.array(len(words) - 1 - last))
