# SPDX-License-Identifier: Apache-2.0
"""Old checkpoints go, garbage goes, and what a complete checkpoint refers to stays."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from flinkcore.checkpoint import layout
from flinkcore.checkpoint.inspect import faults_of
from flinkcore.checkpoint.layout import METADATA, find_checkpoints
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import Manifest, write_manifest
from flinkcore.checkpoint.memory_store import MemoryStore
from flinkcore.checkpoint.retention import Retention, sweep_savepoints
from flinkcore.checkpoint.store import Store
from tests.checkpoint.manifests import (
    JOB_ID,
    blocks_of,
    chain_of,
    manifest_of,
    write_checkpoint,
    write_segment,
)
from tests.checkpoint.system_faults import Reluctant


def complete(job: Store) -> list[int]:
    return [checkpoint.checkpoint_id for checkpoint in find_checkpoints(job) if checkpoint.fault is None]


def segments(job: Store) -> list[str]:
    return [entry.name for entry in job.list("shared")]


def test_the_newest_are_kept_with_what_they_refer_to(store: Store) -> None:
    job = store.below(JOB_ID)
    retention = Retention(job, retained=2)
    one = write_checkpoint(job, 1)
    two = write_checkpoint(job, 2, chain_of(one))
    three = write_checkpoint(job, 3, chain_of(two)[:1])  # 2's tail is replaced
    four = write_checkpoint(job, 4)
    for manifest, ids, files in (
        (one, [1], ["op-0-1.seg", "op-0-2.seg", "op-0-3.seg", "op-0-4.seg"]),
        (two, [2, 1], ["op-0-1.seg", "op-0-2.seg", "op-0-3.seg", "op-0-4.seg"]),
        (three, [3, 2], ["op-0-1.seg", "op-0-2.seg", "op-0-3.seg", "op-0-4.seg"]),
        (four, [4, 3], ["op-0-1.seg", "op-0-3.seg", "op-0-4.seg"]),
    ):
        retention.add(manifest)
        retention.collect()
        assert [i for i in complete(job) if i in ids] == ids
        assert segments(job) == files
    assert complete(job) == [4, 3]
    assert [entry.name for entry in job.list() if entry.size is None] == ["chk-3", "chk-4", "shared"]


def test_what_is_being_made_keeps_its_segments(store: Store) -> None:
    job = store.below(JOB_ID)
    retention = Retention(job, retained=1)
    one = write_checkpoint(job, 1)
    retention.add(one)
    retention.add(write_checkpoint(job, 2))
    retention.discard(["shared/op-0-2.seg"])  # a mistake harms nobody
    retention.collect(held=one.paths())
    assert segments(job) == ["op-0-1.seg", "op-0-2.seg"]
    retention.collect()
    assert segments(job) == ["op-0-2.seg"]
    write_segment(job, "shared/late.seg", blocks_of(1))
    retention.discard(["shared/late.seg"])
    retention.collect()
    assert segments(job) == ["op-0-2.seg"]


def test_a_sweep_removes_what_a_crash_left(store: Store) -> None:
    job = store.below(JOB_ID)
    write_checkpoint(job, 1)
    write_segment(job, "shared/nobodys.seg", blocks_of(1))
    for path in ("shared/x.seg.0123.tmp", "chk-1/_metadata.0123.tmp", "chk-2/_metadata.0123.tmp", "shared/notes.txt"):
        job.create_if_absent(path, [b"half"])
    found = Retention(job, retained=1).sweep()
    assert [(checkpoint.checkpoint_id, checkpoint.begun) for checkpoint in found] == [(2, True), (1, False)]
    assert segments(job) == ["notes.txt", "op-0-1.seg"]  # what is not ours is not ours to delete
    assert job.list("chk-2") == [] and [entry.name for entry in job.list("chk-1")] == [METADATA]
    assert complete(job) == [1]
    Retention(job, retained=1).sweep()
    assert complete(job) == [1]


def test_a_sweep_of_nothing_is_nothing(store: Store) -> None:
    assert Retention(store.below(JOB_ID), retained=1).sweep() == []


def test_a_manifest_that_cannot_be_read_protects_all_segments(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    job = open_store(folder)
    one = write_checkpoint(job, 1)
    write_checkpoint(job, 2, chain_of(one))
    (folder / "chk-2" / METADATA).write_bytes(b"FCMF\2\0" + bytes(100))  # of a newer flinkcore
    retention = Retention(job, retained=1)
    retention.sweep()
    assert segments(job) == ["op-0-1.seg", "op-0-2.seg"]
    assert "are kept, as it is not known which of them are those of 'chk-2'" in caplog.text
    assert "restore with a newer flinkcore" in caplog.text
    retention.add(write_checkpoint(job, 3, chain_of(one)))
    retention.collect()
    assert complete(job) == [3] and job.list("chk-2") == []
    Retention(job, retained=1).sweep()
    assert segments(job) == ["op-0-1.seg", "op-0-3.seg"]


def test_the_damaged_do_not_count_as_retained(folder: Path) -> None:
    job = open_store(folder)
    for checkpoint_id in (1, 2, 3, 4):
        write_checkpoint(job, checkpoint_id)
    (folder / "shared" / "op-0-2.seg").unlink()
    (folder / "shared" / "op-0-4.seg").unlink()
    retention = Retention(job, retained=2)
    retention.sweep()
    retention.collect()
    assert complete(job) == [3, 1]
    assert (folder / "chk-4").exists() and not (folder / "chk-2").exists()  # 4 may yet get its segment back


def test_older_checkpoints_stay_until_there_is_a_new_one(store: Store) -> None:
    """A run that keeps one may have been started on three, and the newest cannot be read after all."""
    job = store.below(JOB_ID)
    for checkpoint_id in (1, 2, 3):
        write_checkpoint(job, checkpoint_id)
    retention = Retention(job, retained=1)
    retention.sweep()
    assert complete(job) == [3, 2, 1]
    retention.add(write_checkpoint(job, 4))
    retention.collect()
    assert complete(job) == [4]


def test_what_cannot_be_deleted_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    job = Reluctant()
    retention = Retention(job, retained=1)
    retention.add(write_checkpoint(job, 1))
    retention.add(write_checkpoint(job, 2))
    with caplog.at_level(logging.WARNING):
        retention.collect()
    assert "old checkpoint files stay for now: cannot delete 'chk-1/_metadata'" in caplog.text
    assert complete(job) == [2, 1]  # its manifest is there, so its segments are
    job.refuses = False
    retention.collect()
    assert complete(job) == [2] and segments(job) == ["op-0-2.seg"]


def test_nothing_is_left_when_all_goes(store: Store) -> None:
    job = store.below(JOB_ID)
    retention = Retention(job, retained=1)
    one = write_checkpoint(job, 1)
    retention.add(one)
    retention.add(write_checkpoint(job, 2, chain_of(one)))
    retention.remove_all()
    assert [entry for entry in job.list() if entry.size is not None or job.list(entry.name)] == []


@pytest.mark.parametrize("seed", range(30))
def test_no_order_of_events_loses_or_leaks_anything(seed: int) -> None:
    """Checkpoints complete, fail, build on any earlier one that is being kept; runs end and begin."""
    rng = random.Random(seed)
    job = MemoryStore()
    retained = rng.choice((1, 2, 3))
    retention = Retention(job, retained)
    retention.sweep()
    newest: Manifest | None = None
    flying: Manifest | None = None  # a checkpoint that was begun when an older one was the newest
    for checkpoint_id in range(1, 40):
        event = rng.random()
        if event < 0.15:
            retention = Retention(job, retained)  # the process died; so did what it was making
            flying = None
            retention.sweep()
        elif event < 0.3:
            path = f"shared/failed-{checkpoint_id}.seg"
            write_segment(job, path, blocks_of(checkpoint_id))
            retention.discard([path])
        else:
            base = flying or newest
            chain = chain_of(base)[: rng.randint(0, 5)] if base is not None else []
            if rng.random() < 0.3:
                flying = newest
            else:
                flying = None
            newest = write_checkpoint(job, checkpoint_id, chain, inline_bytes_max=rng.choice((0, 1000)))
            retention.add(newest)
        retention.collect(held=flying.paths() if flying is not None else ())
        for checkpoint in find_checkpoints(job):
            assert list(faults_of(checkpoint)) == []
    found = find_checkpoints(job)
    assert len(found) <= retained
    Retention(job, retained).sweep()
    assert {f"shared/{name}" for name in segments(job)} == set().union(
        *(checkpoint.complete().paths() for checkpoint in found))


def test_savepoints_that_were_not_completed_are_swept(folder: Path) -> None:
    store = open_store(folder)
    done = layout.new_savepoint(store, "a job")
    write_manifest(done.home, METADATA, manifest_of([], kind="savepoint"))
    done.complete()
    crashed = layout.new_savepoint(store, "a job")
    write_segment(crashed.home, "x.seg", blocks_of(1))
    crashed.lock.release()  # as the death of its process does
    writing = layout.new_savepoint(store, "another job")
    (folder / "savepoints of mine").mkdir()
    sweep_savepoints(store)
    assert {path.name for path in folder.iterdir()} == {
        Path(done.home.location).name, Path(writing.home.location).name, "savepoints of mine"}
    writing.abort()
