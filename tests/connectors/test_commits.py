# SPDX-License-Identifier: Apache-2.0
"""Two-phase commit, killed at every step: each record is seen once, and nothing unfinished is left behind."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import pytest

from flinkcore.connectors.files.buckets import ColumnBuckets
from flinkcore.connectors.files.ipc import ArrowIpc, ArrowIpcWriter
from flinkcore.connectors.files.parquet import Parquet, ParquetWriter
from flinkcore.connectors.files.sink import FileSink, RollingPolicy
from flinkcore.connectors.files.source import FileSource
from flinkcore.connectors.files.text import TextLines
from flinkcore.connectors.files.writers import TextWriter
from tests.connectors.commits import CommitJob, LogSink, SqliteSink, Steps, partitions

# Writers that were killed are never closed, which pyarrow's Parquet writer minds when it is collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

FORMATS = {
    "text": (TextWriter, TextLines),
    "parquet": (ParquetWriter, Parquet),
    "ipc": (ArrowIpcWriter, ArrowIpc),
}


class Files:
    """A file sink, what its readers see, and what is hidden from them."""

    def __init__(self, folder, format="text", **options):
        self.folder = folder
        writer, self.format = FORMATS[format]
        self.new_sink = lambda: FileSink(folder, writer(), **options)

    def records(self, reading):
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        rows = reading.rows(FileSource(self.folder, self.format())) if files else []
        return [row if isinstance(row, str) else row.value for row in rows]

    def leftovers(self):
        return [path.name for path in self.folder.rglob(".*")]


class Log:
    def __init__(self, folder, steps):
        self.folder = folder
        self.new_sink = lambda: LogSink(folder, steps)

    def records(self, reading):
        return LogSink(self.folder).committed()[1]

    def leftovers(self):
        return list(self.folder.glob("staged-*"))


class Sqlite:
    def __init__(self, folder, steps):
        folder.mkdir()
        self.path = folder / "results.db"
        self.new_sink = lambda: SqliteSink(self.path, steps)

    def records(self, reading):
        return self.select("select value from results")

    def leftovers(self):
        return self.select("select value from staging")

    def select(self, query):
        with closing(sqlite3.connect(self.path)) as database:
            return [value for (value,) in database.execute(query)]


TARGETS = {
    "files": lambda folder, steps: Files(folder),
    "rolled files": lambda folder, steps: Files(folder, rolling=RollingPolicy(part_size=8)),
    "parquet": lambda folder, steps: Files(folder, "parquet"),
    "files in buckets": lambda folder, steps: Files(folder, "ipc", buckets=ColumnBuckets(("value",))),
    "log": Log,
    "sqlite": Sqlite,
}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)


def killed(reading, tmp_path, target, seed, kills, **options):
    """Runs a job with kills, looks at what it left, and gives the names of its steps."""
    steps = Steps(kills)
    target = TARGETS[target](tmp_path, steps)
    parts = partitions(seed)
    CommitJob(target.new_sink, parts, seed, **options).run(steps)
    expected = sorted(record for part in parts for record in part)
    replay = f"kills {sorted(kills)} of {steps.names}"
    assert sorted(target.records(reading)) == expected, replay
    assert target.leftovers() == [], replay
    return steps.names


@pytest.mark.parametrize("in_process", [False, True], ids=["new process", "same process"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_kill_at_each_step_leaves_no_trace(reading, tmp_path, target, in_process):
    options = {"in_process": in_process}
    names = killed(reading, tmp_path / "none", target, 4, [], **options)
    assert {"commit.begun", "commit.done", "barrier", "complete", "notified"} <= set(names)
    for at in range(len(names)):
        killed(reading, tmp_path / str(at), target, 4, [at], **options)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(12))
def test_many_kills_at_any_steps_leave_no_trace(reading, tmp_path, target, seed):
    rng = random.Random(seed)
    kills = rng.sample(range(120), rng.randrange(2, 12))
    killed(reading, tmp_path / "x", target, seed, kills, in_process=rng.random() < 0.3)


def test_what_other_jobs_left_is_theirs(reading, tmp_path):
    parts = partitions(1)
    target = Files(tmp_path)
    other = CommitJob(target.new_sink, [["other"]], 1, job_id="other job")
    steps = Steps([3])
    with pytest.raises(AssertionError):  # left in the middle, for good
        other.attempt = once(other.attempt)
        other.run(steps)
    theirs = target.leftovers()
    assert len(theirs) == 1 and theirs[0].endswith(".inprogress.other job-sink-1")
    CommitJob(target.new_sink, parts, 1).run(Steps())
    assert target.leftovers() == theirs
    assert sorted(target.records(reading)) == sorted(record for part in parts for record in part)


def once(attempt):
    calls = []

    def call(*args):
        assert not calls
        calls.append(args)
        attempt(*args)

    return call


def test_names_of_attempts_never_meet(reading, tmp_path):
    names = set()
    for seed in range(5):
        folder = tmp_path / "all"
        before = set(folder.rglob("part-*")) if folder.exists() else set()
        CommitJob(Files(folder).new_sink, partitions(seed), seed).run(Steps([5 + seed]))
        written = set(folder.rglob("part-*")) - before
        assert written and not names & {path.name for path in written}
        names |= {path.name for path in written}
    assert len(set((tmp_path / "all").rglob("part-*"))) == len(names)
