# SPDX-License-Identifier: Apache-2.0
"""What came out of a run: the records of each of its outputs, and what every run must leave behind."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import to_rows
from flinkcore.connectors.base import Sink, SinkContext, SinkWriter
from flinkcore.graph.transformation import Partitioning
from flinkcore.metrics import OperatorMetrics
from flinkcore.runtime.job import JobRun
from flinkcore.runtime.routing import OperatorOutput
from flinkcore.runtime.task import OperatorRunner
from flinkcore.time import MAX_WATERMARK
from tests.simulation.data import plain


@dataclass(frozen=True)
class Result:
    """One record of an output; `row` is plain: a tuple of its fields, or of its one value."""

    row: tuple[Any, ...]
    timestamp_ms: int | None
    kind: int  # 0 +I, 1 -U, 2 +U, 3 -D


class Keep(Sink):
    """Keeps the batches that it gets, in the order in which they came."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.closed = 0
        self.lock = threading.Lock()

    def create_writer(self, context: SinkContext) -> SinkWriter:
        return _Writer(self)

    def results(self) -> list[Result]:
        return results_of(self.batches)


def results_of(batches: list[Batch]) -> list[Result]:
    """The records of batches, in order."""
    found = []
    for batch in batches:
        stamps = [None] * len(batch) if batch.timestamps_ms is None else batch.timestamps_ms.tolist()
        kinds = [0] * len(batch) if batch.row_kinds is None else batch.row_kinds.tolist()
        for row, timestamp_ms, kind in zip(to_rows(batch), stamps, kinds):
            value = plain(row)
            found.append(Result(value if isinstance(value, tuple) else (value,), timestamp_ms, kind))
    return found


class _Writer(SinkWriter):
    def __init__(self, sink: Keep) -> None:
        self.sink = sink

    def write_batch(self, batch: Batch) -> None:
        with self.sink.lock:
            self.sink.batches.append(batch)

    def close(self) -> None:
        with self.sink.lock:
            self.sink.closed += 1


@dataclass
class Watch:
    """What is seen of a run while it runs."""

    watermarks: dict[int, int] = field(default_factory=dict)  # by id of a runner: its last
    went_back: list[str] = field(default_factory=list)
    to_sides: Counter[int] = field(default_factory=Counter)  # by id of an operator's metrics: records
    opened: Counter[int] = field(default_factory=Counter)  # by id of an operator
    closed: Counter[int] = field(default_factory=Counter)
    after_last_watermark: list[str] = field(default_factory=list)
    after_end: list[str] = field(default_factory=list)


@contextmanager
def watched() -> Iterator[Watch]:
    """Looks at every watermark, side output, opening and closing of the runs within."""
    watch = Watch()
    watermark, opens, batch, end = (
        OperatorRunner.watermark,
        OperatorRunner.open,
        OperatorRunner.batch,
        OperatorRunner.end,
    )
    side = OperatorOutput.side
    ended: set[int] = set()

    def on_watermark(runner: OperatorRunner, watermark_ms: int) -> None:
        last = watch.watermarks.get(id(runner))
        if last is not None and watermark_ms <= last:
            watch.went_back.append(f"{runner.context.name}: {watermark_ms} after {last}")
        watch.watermarks[id(runner)] = watermark_ms
        watermark(runner, watermark_ms)

    def on_open(runner: OperatorRunner) -> None:
        operator = runner.operator
        close = operator.close

        def closing() -> None:
            watch.closed[id(operator)] += 1
            close()

        watch.opened[id(operator)] += 1
        operator.close = closing  # type: ignore[method-assign]
        opens(runner)

    def on_batch(runner: OperatorRunner, records: Batch, input_index: int = 0) -> None:
        where = f"{runner.context.name}: {records.num_rows} records"
        if id(runner) in ended:
            watch.after_end.append(f"{where} after the end")
        elif watch.watermarks.get(id(runner)) == MAX_WATERMARK:
            watch.after_last_watermark.append(f"{where} after the last watermark")
        batch(runner, records, input_index)

    def on_end(runner: OperatorRunner) -> None:
        if id(runner) in ended:
            watch.after_end.append(f"{runner.context.name}: ended twice")
        ended.add(id(runner))
        end(runner)

    def on_side(out: OperatorOutput, tag: str, records: Batch) -> None:
        watch.to_sides[id(out.metrics)] += records.num_rows
        side(out, tag, records)

    with mock.patch.multiple(
        OperatorRunner, watermark=on_watermark, open=on_open, batch=on_batch, end=on_end
    ), mock.patch.multiple(OperatorOutput, side=on_side):
        yield watch


def check_run(job: JobRun, watch: Watch, clocked: bool = False) -> None:
    """What holds for every run that ends: watermarks ascend to the last, nothing waits, all is counted once.

    clocked : timers of processing time may fire between the last watermark and the end, in Flink too
    """
    assert clocked or not watch.after_last_watermark, watch.after_last_watermark
    assert not watch.went_back, f"watermarks went back: {watch.went_back}"
    assert not watch.after_end, watch.after_end
    for task in job.tasks:
        if task.gate is not None:
            for name, channel in zip(task.gate.names, task.gate.channels):
                assert not len(channel), f"{len(channel)} elements left in the channel {name} -> {task.label}"
                assert channel._batches_put == channel._batches_taken
        for runner in task.runners:
            if task.source is None or runner is not task.head:
                last = watch.watermarks.get(id(runner))
                assert last == MAX_WATERMARK, f"{runner.context.name} ended at watermark {last}"
            assert watch.opened[id(runner.operator)] == watch.closed[id(runner.operator)] == 1
    _check_counts(job, watch)


def _check_counts(job: JobRun, watch: Watch) -> None:
    metrics: dict[str, list[OperatorMetrics]] = {}
    for runner in job.runners():
        metrics.setdefault(runner.context.operator_id, []).append(runner.metrics)
    for node in job.graph.nodes:
        if not node.inputs:
            continue
        expected, fed_by_sides = 0, False
        for connection in node.inputs:
            if connection.edge.side is not None:
                fed_by_sides = True
                continue
            copies = node.parallelism if connection.partitioning is Partitioning.BROADCAST else 1
            for each in metrics[connection.source.operator_id]:
                expected += copies * (each.rows_out - watch.to_sides[id(each)])
        came = sum(each.rows_in for each in metrics[node.operator_id])
        fits = came >= expected if fed_by_sides else came == expected
        assert fits, f"'{node.name}' took {came} records in, its inputs gave {expected}"
