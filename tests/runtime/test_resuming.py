# SPDX-License-Identifier: Apache-2.0
"""What --resume goes on from, and when it refuses to."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from flinkcore import options
from flinkcore.checkpoint.home import CheckpointHome, Writing
from flinkcore.checkpoint.layout import METADATA, find_checkpoints, find_jobs, note_stopped, stopped_with
from flinkcore.checkpoint.location import open_store
from flinkcore.columnar.batch import Batch
from flinkcore.common import Types, WatermarkStrategy
from flinkcore.errors import CheckpointError, JobExecutionError
from flinkcore.runtime.simulation import Process
from flinkcore.testing.storage import Calls, Disk, SimulatedStore
from flinkcore.time.clock import ManualClock
from tests.checkpoint.system_faults import Reluctant
from tests.recovery.pipelines import Numbers, committed, environment, records, write_lines


def run(folder: Path, resume: bool | str = False, retained: int = 1, fails_at: int | None = None) -> None:
    """Sums per key, of a source that fails at a record, or does not.

    resume : from the newest checkpoint, or from that of a path
    """

    def make(numbers: np.ndarray) -> Batch:
        if fails_at is not None and numbers[-1] >= fails_at:
            raise RuntimeError("this far")
        return records(numbers)

    env = environment(folder / "checkpoints", 1)
    config = env.get_configuration()
    config.set(options.DATA_INLINE_THRESHOLD, 0)
    config.set(options.CHECKPOINT_NUM_RETAINED, retained)
    config.set(options.RESTART_STRATEGY, "none")
    if resume:
        config.set(options.RECOVERY_PATH, "newest" if resume is True else resume)
        config.set(options.RESTART_STRATEGY, "exponential-delay")
    source = env.from_source(Numbers(1, 0.004, make), WatermarkStrategy.no_watermarks(), "numbers").uid("numbers")
    pair = Types.TUPLE([Types.LONG(), Types.LONG()])
    sums = source.map(lambda row: (row[0], row[1]), pair).key_by(lambda pair: pair[0], Types.LONG())
    write_lines(sums.reduce(lambda a, b: (a[0], a[1] + b[1])).uid("sums"), folder / "output")
    env.execute("sums")


def failed_run(folder: Path, retained: int) -> Path:
    """A run that failed after some checkpoints. -> the folder of its job"""
    with pytest.raises(JobExecutionError, match="this far"):
        run(folder, retained=retained, fails_at=1400)
    assert len(list(job_of(folder).glob("chk-*/_metadata"))) >= retained
    return job_of(folder)


def job_of(folder: Path) -> Path:
    (job_id,) = find_jobs(open_store(folder / "checkpoints"))
    return folder / "checkpoints" / job_id


def chain_of(job: Path, checkpoint: int) -> set[str]:
    """The segment files of the nth newest checkpoint."""
    found = find_checkpoints(open_store(job))[checkpoint]
    assert found.manifest is not None
    return found.manifest.paths()


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_checkpoint_of_a_newer_version_is_not_passed_over(tmp_path):
    job = failed_run(tmp_path, retained=3)
    newest = max(job.glob("chk-*"), key=lambda path: int(path.name[4:])) / METADATA
    data = bytearray(newest.read_bytes())
    data[4] += 1
    newest.write_bytes(bytes(data))
    before = sorted(job.rglob("*"))
    with pytest.raises(CheckpointError, match=r"(?s)does not resume.*restore with a newer flinkcore.*-s PATH"):
        run(tmp_path, resume=True)
    assert sorted(job.rglob("*")) == before


def test_a_job_that_was_stopped_with_a_savepoint_goes_on_from_that(tmp_path):
    store = open_store(failed_run(tmp_path, retained=1))
    note_stopped(store, "/saved/savepoint-1")
    with pytest.raises(CheckpointError, match=r"stopped with savepoint '/saved/savepoint-1'.*go on with -s /saved"):
        run(tmp_path, resume=True)
    assert stopped_with(store) == "/saved/savepoint-1"
    newest = find_checkpoints(store)[0]
    run(tmp_path, resume=newest.location)
    assert stopped_with(store) is None  # there are checkpoints that are newer


def test_a_checkpoint_is_complete_although_an_old_note_cannot_be_removed(caplog):
    job = Reluctant()
    note_stopped(job, "/saved/savepoint-1")
    home = CheckpointHome(Writing("sums", "0" * 32, 0, "none", None), job, 1)
    assert home.complete(1, 0, []).checkpoint_id == 1
    home.collect(())
    assert "cannot delete '_stopped'" in caplog.text and stopped_with(job) is not None
    job.refuses = False
    home.collect(())
    assert stopped_with(job) is None and find_checkpoints(job)[0].fault is None


def test_a_damaged_newest_checkpoint_is_passed_over_and_no_older_one_is_removed_before(tmp_path, caplog):
    job = failed_run(tmp_path, retained=3)
    for path in chain_of(job, 0) - chain_of(job, 1):
        flip_a_bit(job / path)
    run(tmp_path, resume=True)
    assert "is damaged and passed over" in caplog.text and "committed once more" in caplog.text
    run(tmp_path / "undisturbed")
    assert set(committed(tmp_path / "output")) == set(committed(tmp_path / "undisturbed" / "output"))


def test_damage_without_an_older_checkpoint_fails_at_once(tmp_path):
    job = failed_run(tmp_path, retained=1)
    newest = chain_of(job, 0)
    for path in job.rglob("*.seg"):
        flip_a_bit(path)
    with pytest.raises(JobExecutionError, match="damaged"):
        run(tmp_path, resume=True)
    assert chain_of(job, 0) == newest and all((job / path).exists() for path in newest)


def test_the_newest_checkpoint_is_that_of_the_last_run_whatever_its_clock_said():
    disk = Disk()

    def process(now_ms, recovery=None):
        env = environment(None, 1)
        for key, value in ((options.RECOVERY_PATH, recovery), (options.CHECKPOINT_INTERVAL, 20)):
            if value is not None:
                env.get_configuration().set(key, value)
        env.from_collection(list(range(100_000)), Types.LONG()).print()
        clock = ManualClock(now_ms)
        store = SimulatedStore(disk, Calls(random.Random(0), clock))
        return Process(env.job_graph(), clock, random.Random(1), "a test", store, drift=(0.2, 30))

    def after_checkpoints(run, count):
        until = run.coordinator.history.completed_count + count
        while run.coordinator.history.completed_count < until:
            assert not run.run(1)
        run.crash()
        return run.coordinator.latest

    first = after_checkpoints(process(1_000_000), 3)
    afresh = after_checkpoints(process(500_000), 2)  # another job id, on a machine whose clock is behind
    assert afresh.job_id != first.job_id and afresh.created_ms > first.created_ms
    resumed = process(400_000, "newest")
    assert resumed.coordinator.next_id == afresh.checkpoint_id + 1
    assert after_checkpoints(resumed, 1).job_id == afresh.job_id
