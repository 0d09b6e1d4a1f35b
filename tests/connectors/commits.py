# SPDX-License-Identifier: Apache-2.0
"""A job that is only sinks and checkpoints, killed at any step: what two-phase commit promises, without threads.

Partitions of records are written by the subtask that owns them. A checkpoint is what the subtasks' barriers gave; a
kill leaves everything as it is, and the next attempt goes on from the newest complete checkpoint, with as many subtasks
as it likes.
"""

from __future__ import annotations

import json
import random
import sqlite3
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from flinkcore import faultpoint
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.connectors.base import Committer, Sink, SinkContext, SinkWriter
from flinkcore.connectors.fit import batch_of_values
from flinkcore.operators.base import OperatorContext
from flinkcore.operators.sink import SinkOperator
from flinkcore.testing.harness import CollectedOutput, ManualTimers
from flinkcore.time.clock import ManualClock

SCHEMA = Schema(["value"], [pa.string()], "value")


class Killed(BaseException):
    """The process is gone."""


class Steps:
    """Counts the steps of all attempts, and kills at some of them."""

    def __init__(self, kills=()):
        self.kills = set(kills)
        self.names = []

    def __call__(self, name):
        self.names.append(name)
        if len(self.names) - 1 in self.kills:
            raise Killed(name)


def batch(values):
    return batch_of_values(list(values), SCHEMA, "test")


class CommitJob:
    """See the module.

    new_sink : makes the sink anew, as a process does that begins;  in_process : attempts share one sink and are closed
    """

    def __init__(self, new_sink, partitions, seed=0, *, in_process=False, rescale=True, job_id="job"):
        self.new_sink = new_sink
        self.partitions = partitions
        self.rng = random.Random(seed)
        self.in_process = in_process
        self.rescale = rescale
        self.job_id = job_id
        self.sink = None
        self.complete = None  # the newest checkpoint: (positions, committables as text)
        self.number = 0

    def run(self, steps):
        """Attempts until one ends. The hook of fault points is a step too."""
        faultpoint.hook = steps
        try:
            while True:
                operators = []
                try:
                    self.attempt(steps, operators)
                    return
                except Killed:
                    if self.in_process:
                        faultpoint.hook = None
                        for operator in operators:
                            operator.close()
                        faultpoint.hook = steps
        finally:
            faultpoint.hook = None

    def attempt(self, steps, operators):
        rng, parallelism = self.rng, 2
        if self.rescale:
            parallelism = rng.randrange(1, 4)
        if self.sink is None or not self.in_process:
            self.sink = self.new_sink()
        for index in range(parallelism):
            operators.append(self.opened(index, parallelism))
            steps("opened")
        positions = [0] * len(self.partitions)
        if self.complete is not None:
            positions, committables = json.loads(self.complete)
            for index, operator in enumerate(operators):
                operator.restore_committables(committables[index::parallelism])
                steps("restored")
        owners = [index % parallelism for index in range(len(positions))]
        running = set(range(parallelism))
        while running or any(operator.pending for operator in operators):
            for index in rng.sample(sorted(running), len(running)):
                mine = [p for p, owner in enumerate(owners) if owner == index]
                left = [p for p in mine if positions[p] < len(self.partitions[p])]
                if left:
                    chosen = rng.choice(left)
                    end = positions[chosen] + rng.randrange(1, 4)
                    operators[index].process_batch(batch(self.partitions[chosen][positions[chosen] : end]))
                    positions[chosen] = min(end, len(self.partitions[chosen]))
                    steps("written")
                else:
                    operators[index].end_input()
                    running.discard(index)
                    steps("ended")
            if rng.random() < 0.5 or not running:
                self.checkpoint(steps, operators, positions)
        for operator in operators:
            operator.close()

    def checkpoint(self, steps, operators, positions):
        self.number += 1
        number, committables = self.number, []
        aborted = self.rng.random() < 0.2
        for operator in operators:
            operator.prepare_snapshot(number)
            committables += operator.snapshot_committables()
            steps("barrier")
        manifest = json.dumps([positions, committables])
        if self.rng.random() < 0.3:  # records behind the barrier, before the checkpoint is complete
            self.behind(steps, operators, positions)
        for operator in operators:
            operator.persist(number)
            steps("persisted")
        if aborted:
            for operator in operators:
                operator.notify_aborted(number)
            return
        self.complete = manifest
        steps("complete")
        for operator in operators:
            operator.notify_complete(number)
            operator.notify_complete(number)  # twice is once
            steps("notified")

    def behind(self, steps, operators, positions):
        p = self.rng.randrange(len(positions))
        operator = operators[p % len(operators)]
        if positions[p] < len(self.partitions[p]):
            operator.process_batch(batch([self.partitions[p][positions[p]]]))
            positions[p] += 1
            steps("written behind")

    def opened(self, index, parallelism):
        operator = SinkOperator(self.sink, SCHEMA, self.context_of)
        context = OperatorContext(
            "sink", ManualClock(1_000_000), ManualTimers(), Configuration(),
            subtask_index=index, parallelism=parallelism, operator_id="sink-1", job_id=self.job_id, checkpointing=True,
        )  # fmt: skip
        operator.open(context, CollectedOutput())
        return operator

    @staticmethod
    def context_of(context, schema):
        return SinkContext(
            context.name, context.clock, schema, context.timers.register, context.config, context.metrics,
            context.subtask_index, context.parallelism, uuid.uuid4().hex, context.job_id, context.operator_id,
            context.checkpointing, context.interrupted,
        )  # fmt: skip


def partitions(seed, count=3):
    rng = random.Random(seed)
    return [[f"{p}-{i}" for i in range(rng.randrange(1, 9))] for p in range(count)]


# -- sinks as a user writes them ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Transaction:
    name: str


class LogSink(Sink):
    """One file to which transactions are appended: a name, records, and `end`.

    Staged records lie in files of their own.
    """

    committable_types = (Transaction,)

    def __init__(self, folder, step=lambda name: None):
        self.folder = Path(folder)
        self.step = step
        self.open = set()
        self.folder.mkdir(exist_ok=True)

    def create_writer(self, context):
        return LogWriter(self, context)

    def create_committer(self):
        return LogCommitter(self)

    def remove_leftovers(self, context):
        for path in self.folder.glob(f"staged-{context.job_id}-*"):
            if path.name.split("-")[2] not in self.open:
                path.unlink()

    def committed(self):
        """(names, records) of the whole transactions, and how many bytes they are."""
        names, records, whole = set(), [], 0
        log = self.folder / "log"
        *blocks, _ = (log.read_bytes() if log.exists() else b"").split(b"end\n")
        for block in blocks:
            name, *found = block.decode().splitlines()
            names.add(name)
            records += found
            whole += len(block) + len(b"end\n")
        return names, records, whole


class LogWriter(SinkWriter):
    def __init__(self, sink, context):
        self.sink = sink
        self.context = context
        self.count = 0
        self.lines = []
        sink.open.add(context.run_id)

    def write(self, value, context):
        self.lines.append(value)

    def prepare_commit(self):
        if not self.lines:
            return []
        name = f"staged-{self.context.job_id}-{self.context.run_id}-{self.count}"
        self.count += 1
        (self.sink.folder / name).write_text("".join(f"{line}\n" for line in self.lines))
        self.lines = []
        return [Transaction(name)]

    def close(self):
        self.sink.open.discard(self.context.run_id)


class LogCommitter(Committer):
    def __init__(self, sink):
        self.sink = sink

    def commit(self, committables):
        for transaction in committables:
            names, _, whole = self.sink.committed()
            if transaction.name not in names:
                staged = (self.sink.folder / transaction.name).read_bytes()
                with (self.sink.folder / "log").open("ab") as log:
                    log.truncate(whole)  # what a kill left in the middle
                    log.write(f"{transaction.name}\n".encode() + staged[: len(staged) // 2])
                    log.flush()
                    self.sink.step("torn")
                    log.write(staged[len(staged) // 2 :] + b"end\n")
                self.sink.step("appended")
            (self.sink.folder / transaction.name).unlink(missing_ok=True)
            self.sink.step("staged file removed")


def connected(path):
    database = sqlite3.connect(path)
    database.execute("pragma synchronous = off")  # the disk outlives these kills
    return database


class SqliteSink(Sink):
    """A table, with a staging table beside it; see the docstring of connectors.base."""

    committable_types = (Transaction,)

    def __init__(self, path, step=lambda name: None):
        self.path = path
        self.step = step
        self.open = set()
        with closing(connected(path)) as database, database:
            database.execute("create table if not exists results (value text)")
            database.execute("create table if not exists staging (job text, run text, name text, value text)")

    def create_writer(self, context):
        return SqliteWriter(self, context)

    def create_committer(self):
        return SqliteCommitter(self)

    def remove_leftovers(self, context):
        with closing(connected(self.path)) as database, database:
            runs = [run for (run,) in database.execute("select distinct run from staging")]
            database.executemany(
                "delete from staging where job = ? and run = ?",
                [(context.job_id, run) for run in runs if run not in self.open],
            )


class SqliteWriter(SinkWriter):
    def __init__(self, sink, context):
        self.sink = sink
        self.context = context
        self.database = connected(sink.path)
        self.transaction = uuid.uuid4().hex
        sink.open.add(context.run_id)

    def write_batch(self, batch):
        with self.database:
            self.database.executemany(
                "insert into staging values (?, ?, ?, ?)",
                [
                    (self.context.job_id, self.context.run_id, self.transaction, value)
                    for value in batch.column(0).to_arrow().to_pylist()
                ],
            )

    def prepare_commit(self):
        done, self.transaction = self.transaction, uuid.uuid4().hex
        return [Transaction(done)]

    def close(self):
        self.database.close()
        self.sink.open.discard(self.context.run_id)


class SqliteCommitter(Committer):
    def __init__(self, sink):
        self.sink = sink
        self.database = connected(sink.path)

    def commit(self, committables):
        for transaction in committables:
            with self.database:
                name = (transaction.name,)
                self.database.execute("insert into results select value from staging where name = ?", name)
                self.sink.step("inserted")
                self.database.execute("delete from staging where name = ?", name)
            self.sink.step("moved")

    def close(self):
        self.database.close()
