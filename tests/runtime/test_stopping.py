# SPDX-License-Identifier: Apache-2.0
"""How a job ends when it is told to, what a savepoint's future promises, and which checkpoints stay."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest

from flinkcore.checkpoint.layout import LOCK, open_checkpoint
from flinkcore.checkpoint.local_store import SystemCalls
from flinkcore.columnar.schema import Schema
from flinkcore.common import JobStatus, WatermarkStrategy
from flinkcore.connectors.base import Boundedness, Source, SourceReader, SourceSplit, SplitQueue
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.errors import CheckpointError, JobCancelledError, JobExecutionError
from flinkcore.runtime.coordinator import Coordinator
from flinkcore.runtime.job import JobRun


@dataclass(frozen=True)
class Position(SourceSplit):
    number: int = 0


class Numbers(Source):
    """0, 1, 2, ... up to the number that the test allows."""

    boundedness = Boundedness.CONTINUOUS_UNBOUNDED
    schema = Schema(["n"], [pa.int64()], "value")

    def __init__(self) -> None:
        self.allowed = 0

    def create_enumerator(self, parallelism):
        return SplitQueue([Position("all")])

    def create_reader(self, split, context):
        return NumbersReader(self, split)


class NumbersReader(SourceReader):
    def __init__(self, source, split):
        self.source, self.split = source, split

    def read(self, max_rows, timeout_ms):
        start, stop = self.split.number, self.source.allowed
        self.split = replace(self.split, number=stop)
        return list(range(start, stop))

    def position(self):
        return self.split


class Started:
    """A job that passes on numbers, its source, and the numbers that came out."""

    def __init__(self, folder: Path, function=lambda n: n, parallelism: int = 1, **options: str) -> None:
        self.source, self.seen, self.arrived = Numbers(), [], threading.Condition()
        env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(parallelism)
        env.get_configuration().set_string("execution.checkpointing.savepoint-dir", os.fspath(folder / "saved"))
        for key, value in options.items():
            env.get_configuration().set_string(key.replace("__", ".").replace("_", "-"), value)
        numbers = env.from_source(self.source, WatermarkStrategy.no_watermarks(), "numbers")
        sums = numbers.map(function).map(self.see).key_by(lambda n: n % 3).reduce(lambda a, b: a + b)
        sums.uid("sums").print()
        self.client = env.execute_async("numbers")
        self.run: JobRun = self.client._run

    def see(self, n):
        with self.arrived:
            self.seen.append(n)
            self.arrived.notify_all()
        return n

    def let_through(self, count: int) -> None:
        self.source.allowed += count
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.seen) >= self.source.allowed, 20)

    def wait_for_status(self, status: str) -> None:
        while self.run.status.name != status:
            assert self.run.is_running

    def cancel(self, **how: bool) -> None:
        self.run.cancel(**how)
        with pytest.raises(JobCancelledError):
            self.run.wait(20)


CHECKPOINTS = {"execution__checkpointing__interval": "10 ms"}


def failed(future: Future[str]) -> str:
    with pytest.raises(CheckpointError) as error:
        future.result(20)
    return str(error.value)


def test_the_path_of_a_savepoint_that_ends_the_job_is_there_when_it_has_ended(tmp_path):
    job = Started(tmp_path)
    job.let_through(3)
    on_the_way = job.client.trigger_savepoint().result()
    assert os.path.exists(os.path.join(on_the_way, "_metadata"))
    assert job.client.get_job_status().result() is JobStatus.RUNNING
    path = job.client.stop_with_savepoint(False, os.fspath(tmp_path / "elsewhere")).result()
    assert job.client.get_job_status().result() is JobStatus.FINISHED
    assert os.path.dirname(path) == os.fspath(tmp_path / "elsewhere")
    assert [stats.kind for stats in job.run.checkpoint_stats()] == ["savepoint", "savepoint"]
    assert job.run.checkpoint_history().completed_count == 2
    assert isinstance(job.client.get_job_execution_result().result().get_net_runtime(), int)


@pytest.mark.parametrize("parallelism", [1, 2])
def test_a_drained_job_ends_too_and_leaves_one_savepoint(tmp_path, parallelism):
    job = Started(tmp_path, parallelism=parallelism)
    job.let_through(3)
    path = job.client.stop_with_savepoint(True).result()
    assert os.listdir(tmp_path / "saved") == [os.path.basename(path)]
    assert job.run.status.name == "FINISHED"
    (sums,) = [operator for operator in open_checkpoint(path).complete().operators if operator.uid == "sums"]
    assert sum(part.rows for subtask in sums.subtasks for part in subtask.parts if part.kind == "table") == 3


def test_a_job_that_has_ended_has_no_state_to_save(tmp_path):
    job = Started(tmp_path)
    job.cancel()
    assert "does not run now, it is CANCELED" in failed(job.run.savepoint())
    assert "does not run now" in failed(job.run.attempt.coordinator.savepoint(None))
    assert isinstance(job.client.trigger_savepoint().exception(), CheckpointError)


def test_a_savepoint_that_the_end_of_the_job_overtakes_fails(tmp_path):
    gate = threading.Event()

    def slow(n):
        gate.wait(20)
        return n

    job = Started(tmp_path, slow)
    job.source.allowed = 1
    savepoints = [job.run.savepoint(), job.run.savepoint(stop=True), job.run.savepoint(stop=True, drain=True)]
    job.run.cancel()
    gate.set()
    for savepoint in savepoints:
        failed(savepoint)
    assert not list(tmp_path.glob("saved/*/_metadata"))


def test_a_savepoint_whose_folder_can_neither_be_written_nor_deleted_leaves_the_job_alone(
    tmp_path, monkeypatch, caplog
):
    job = Started(tmp_path, **CHECKPOINTS)
    job.let_through(3)
    with monkeypatch.context() as broken:
        for name in ("open", "remove_folder"):
            real = getattr(SystemCalls, name)

            def refuse(calls, path, *args, real=real):
                if "/savepoint-" in path and not path.endswith(LOCK):
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                return real(calls, path, *args)

            broken.setattr(SystemCalls, name, refuse)
        assert "Input/output error" in failed(job.run.savepoint())
    assert "what was written of a savepoint is left, until another one is made" in caplog.text
    job.let_through(1)
    path = job.client.stop_with_savepoint(False).result()
    assert os.listdir(tmp_path / "saved") == [os.path.basename(path)]
    assert job.run.status.name == "FINISHED"


def test_a_fault_of_the_coordinator_ends_the_tasks_with_the_job(tmp_path, monkeypatch):
    job = Started(tmp_path, restart_strategy__type="none")
    job.let_through(1)

    def broken(coordinator):
        raise AssertionError("a fault of the engine")

    monkeypatch.setattr(Coordinator, "step", broken)
    job.run.attempt.coordinator.on_event()
    with pytest.raises(JobExecutionError, match="a fault of the engine"):
        job.run.wait(20)
    assert not any(worker.is_alive() for worker in job.run.attempt.workers)


def test_a_job_that_restarts_has_no_state_to_save_and_its_history_goes_on(tmp_path):
    broken = True

    def break_at_three(n):
        if n == 3 and broken:
            raise ValueError("three")
        return n

    job = Started(tmp_path, break_at_three, restart_strategy__type="fixed-delay",
                  restart_strategy__fixed_delay__attempts="1", restart_strategy__fixed_delay__delay="1 min")
    job.let_through(3)
    job.run.savepoint().result(20)
    job.source.allowed += 1
    job.wait_for_status("RESTARTING")
    assert job.client.get_job_status().result() is JobStatus.RESTARTING
    assert "does not run now, it is RESTARTING" in failed(job.run.savepoint())
    assert "does not run now" in failed(job.run.attempt.coordinator.savepoint(None))
    assert (job.run.restarts, job.run.checkpoint_history().completed_count) == (1, 1)
    job.cancel()


@pytest.mark.parametrize(("how", "retention", "stay"), [
    ({}, "NO_EXTERNALIZED_CHECKPOINTS", False),
    ({}, "DELETE_ON_CANCELLATION", False),
    ({}, "RETAIN_ON_CANCELLATION", True),
    ({"keep_checkpoints": True}, "NO_EXTERNALIZED_CHECKPOINTS", True),
])  # fmt: skip
def test_which_checkpoints_a_cancel_leaves(how, retention, stay, tmp_path):
    job = Started(tmp_path, **CHECKPOINTS, execution__checkpointing__dir=os.fspath(tmp_path / "checkpoints"),
                  execution__checkpointing__externalized_checkpoint_retention=retention)
    while not job.run.checkpoint_stats():
        assert job.run.is_running
    job.cancel(**how)
    assert bool(list(tmp_path.glob(f"checkpoints/{job.run.job_id}/chk-*/_metadata"))) == stay
