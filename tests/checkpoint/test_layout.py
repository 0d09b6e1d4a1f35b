# SPDX-License-Identifier: Apache-2.0
"""What lies in a checkpoint directory is found, and what is wrong with it is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from flinkcore.checkpoint import layout
from flinkcore.checkpoint.layout import METADATA, find_checkpoints, find_newest, open_checkpoint
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import write_manifest
from flinkcore.checkpoint.store import Store
from flinkcore.errors import CheckpointStorageError, StateFormatError
from tests.checkpoint.manifests import (
    JOB_ID,
    blocks_of,
    chain_of,
    manifest_of,
    write_checkpoint,
    write_segment,
)

OTHER_JOB_ID = "f" * 32


def test_checkpoints_are_found_newest_first(store: Store) -> None:
    job = store.below(JOB_ID)
    first = write_checkpoint(job, 2)
    write_checkpoint(job, 10, chain_of(first))
    found = find_checkpoints(job, JOB_ID)
    assert [(checkpoint.checkpoint_id, checkpoint.fault) for checkpoint in found] == [(10, None), (2, None)]
    assert found[1].complete() == first
    assert found[0].location == job.name_of("chk-10")


def test_nothing_is_found_where_nothing_is(store: Store) -> None:
    assert find_checkpoints(store.below(JOB_ID)) == []
    assert find_newest(store, "bids per minute") == (None, [])


def test_other_names_are_no_checkpoints(folder: Path) -> None:
    job = open_store(folder / JOB_ID)
    write_checkpoint(job, 1)
    for name in ("chk-0", "chk-01", "chk--1", "chk-", "chk-x", "taskowned", "chk-1 copy", "chk-" + "9" * 30):
        (folder / JOB_ID / name).mkdir()
    (folder / JOB_ID / "chk-7").write_bytes(b"a file")
    assert [checkpoint.checkpoint_id for checkpoint in find_checkpoints(job)] == [1]
    (folder / "not a job").mkdir()
    assert layout.find_jobs(open_store(folder)) == [JOB_ID]


def test_each_verdict_says_what_is_wrong(folder: Path) -> None:
    place = folder / JOB_ID
    job = open_store(place)
    for checkpoint_id in range(1, 8):
        write_checkpoint(job, checkpoint_id)
    (place / "chk-1" / METADATA).unlink()
    (place / "chk-2" / METADATA).write_bytes(b"PK\3\4" + bytes(100))
    (place / "shared" / "op-0-3.seg").unlink()
    (place / "shared" / "op-0-4.seg").write_bytes(b"short")
    shutil.copy(place / "chk-6" / METADATA, place / "chk-5" / METADATA)
    other = open_store(folder / OTHER_JOB_ID)
    write_checkpoint(other, 6, job_id=OTHER_JOB_ID)
    shutil.copy(folder / OTHER_JOB_ID / "chk-6" / METADATA, place / "chk-6" / METADATA)
    found = {checkpoint.checkpoint_id: checkpoint for checkpoint in find_checkpoints(job, JOB_ID)}
    expected = {
        1: "chk-1/_metadata' is missing: the checkpoint was not completed, or is being written; use another",
        2: "is no manifest of flinkcore: it begins with b'PK",
        3: "shared/op-0-3.seg' is missing; put the original file back",
        4: "shared/op-0-4.seg' has 5 bytes, and had",
        5: "is that of checkpoint 6; put the folders back under their own names",
        6: f"is that of job {OTHER_JOB_ID}; put it back into the folder of that job",
    }
    for checkpoint_id, text in expected.items():
        assert text in str(found[checkpoint_id].fault)
        assert found[checkpoint_id].damaged == (checkpoint_id > 1)
        with pytest.raises(StateFormatError):
            found[checkpoint_id].complete()
    assert found[7].fault is None


def test_the_newest_of_a_job_is_found_across_its_runs(store: Store) -> None:
    write_checkpoint(store.below("a" * 32), 9, job_id="a" * 32, created_ms=5_000)
    write_checkpoint(store.below("b" * 32), 3, job_id="b" * 32, created_ms=7_000)
    write_checkpoint(store.below("b" * 32), 4, job_id="b" * 32, created_ms=8_000)
    write_checkpoint(store.below("c" * 32), 1, job_id="c" * 32, created_ms=9_000, job_name="another job")
    newest, skipped = find_newest(store, "bids per minute")
    assert newest is not None and skipped == []
    assert newest.complete().job_id == "b" * 32 and newest.checkpoint_id == 4
    assert find_newest(store, "a job that never ran") == (None, [])


def test_a_damaged_newest_is_reported_and_the_one_before_is_used(folder: Path) -> None:
    store = open_store(folder)
    job = store.below(JOB_ID)
    for checkpoint_id in (1, 2, 3):
        write_checkpoint(job, checkpoint_id)
    (folder / JOB_ID / "chk-3" / METADATA).unlink()  # a crash while it was written: no news
    (folder / JOB_ID / "shared" / "op-0-2.seg").unlink()
    newest, skipped = find_newest(store, "bids per minute")
    assert newest is not None and newest.checkpoint_id == 1
    assert [checkpoint.checkpoint_id for checkpoint in skipped] == [2]


def test_a_checkpoint_is_opened_by_its_folder_or_manifest(folder: Path) -> None:
    write_checkpoint(open_store(folder / JOB_ID), 7)
    place = folder / JOB_ID / "chk-7"
    (folder / "latest").symlink_to(place)
    for location in (place, f"{place}/", place / METADATA, f"file://{place}", folder / "latest"):
        assert open_checkpoint(location).complete().checkpoint_id == 7
    assert open_checkpoint(str(place), pafs.LocalFileSystem()).complete().checkpoint_id == 7
    with pytest.raises(CheckpointStorageError, match=r"there is no checkpoint in '.*chk-8': no such folder"):
        open_checkpoint(folder / JOB_ID / "chk-8")


def test_a_savepoint_refers_to_nothing_outside(folder: Path) -> None:
    new = layout.new_savepoint(open_store(folder), "a job")
    segment = layout.segment_name("ab" * 16, 0, 3)
    ref = write_segment(new.home, segment, blocks_of(1))
    assert open_checkpoint(new.home.location).begun
    write_manifest(new.home, METADATA, manifest_of([ref], checkpoint_id=3, kind="savepoint"))
    new.complete()
    moved = folder / "moved"
    shutil.move(new.home.location, moved)
    found = open_checkpoint(moved)
    assert found.fault is None and found.complete().kind == "savepoint"
    assert {path.name for path in moved.iterdir()} == {METADATA, segment}
    shutil.copytree(moved, folder / "savepoint-0123456789ab")
    assert [savepoint.checkpoint_id for savepoint in layout.find_savepoints(open_store(folder))] == [3]
    (moved / segment).unlink()
    assert "is missing" in str(open_checkpoint(moved).fault)


def test_the_manifest_of_a_checkpoint_makes_no_savepoint(folder: Path) -> None:
    write_checkpoint(open_store(folder / JOB_ID), 7)
    shutil.copytree(folder / JOB_ID / "chk-7", folder / "savepoint-0123456789ab")
    assert "is that of checkpoint 7; put it back into a folder 'chk-7'" in str(
        open_checkpoint(folder / "savepoint-0123456789ab").fault)


def test_a_savepoint_that_is_given_up_leaves_nothing(folder: Path) -> None:
    new = layout.new_savepoint(open_store(folder), "a job")
    write_segment(new.home, "x.seg", blocks_of(1))
    new.abort()
    assert list(folder.iterdir()) == []
