# SPDX-License-Identifier: Apache-2.0
"""How connector tests read a source and run a sink without a job."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest

from flinkcore.columnar.faults import BadRecords
from flinkcore.columnar.rows import to_rows
from flinkcore.connectors.base import SinkContext, SourceContext
from flinkcore.time.clock import ManualClock


class Metrics:
    def __init__(self):
        self.counts = Counter()

    def count(self, name, n=1):
        self.counts[name] += n


@dataclass
class Reading:
    """A source read as a job of `parallelism` subtasks would, split by split."""

    clock: ManualClock = field(default_factory=ManualClock)
    metrics: Metrics = field(default_factory=Metrics)
    side: list = field(default_factory=list)

    def context(self, policy="fail"):
        bad = BadRecords(
            policy, self.metrics, lambda tag, batch: self.side.extend((tag, row) for row in to_rows(batch))
        )
        return SourceContext("source under test", self.clock, bad)

    def rows(self, source, parallelism=1, batch_rows=1000, resume=False):
        """All rows, in the order of splits. With resume, each reader is closed after each batch, and another one goes
        on from its position."""
        enumerator = source.create_enumerator(parallelism)
        enumerator.poll(self.clock.now_ms())
        return self.take(source, enumerator, parallelism, batch_rows, resume)

    def take(self, source, enumerator, parallelism=1, batch_rows=1000, resume=False):
        context = self.context(getattr(source, "bad_records", "fail"))
        found = []
        idle = subtask = 0
        while idle < parallelism:
            split = enumerator.next_split(subtask % parallelism)
            subtask += 1
            if split is None:
                idle += 1
                continue
            reader = source.create_reader(split, context)
            while (rows := reader.read(batch_rows, 0)) is not None:
                batch = source.batch_of(rows)
                assert batch.num_rows <= batch_rows
                found.extend(to_rows(batch))
                if resume:
                    position = reader.position()
                    assert position.split_id == split.split_id
                    reader.close()
                    reader = source.create_reader(position, context)
            reader.close()
        return found


@pytest.fixture
def reading():
    return Reading()


@dataclass
class Writing:
    """A sink run by hand: one writer, and its committer."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(1_000_000))
    metrics: Metrics = field(default_factory=Metrics)
    timers: list = field(default_factory=list)

    def context(self, schema, subtask_index=0, parallelism=1, run_id="run-one-0000", name="sink under test"):
        return SinkContext(
            name,
            self.clock,
            schema,
            self.timers.append,
            metrics=self.metrics,
            subtask_index=subtask_index,
            parallelism=parallelism,
            run_id=run_id,
        )

    def write(self, sink, batches, **context):
        """Writes batches and commits them, as a bounded job does."""
        writer = sink.create_writer(self.context(batches[0].schema, **context))
        committer = sink.create_committer()
        for batch in batches:
            writer.write_batch(batch)
        writer.flush(True)
        prepared = writer.prepare_commit()
        if committer is not None:
            committer.commit(prepared)
        writer.close()
        return prepared


@pytest.fixture
def writing():
    return Writing()
