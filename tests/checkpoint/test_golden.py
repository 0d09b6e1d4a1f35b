# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of every format version there ever was are read, to the last byte and field."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from flinkcore.checkpoint.inspect import faults_of
from flinkcore.checkpoint.layout import Checkpoint, open_checkpoint
from flinkcore.checkpoint.segment import read_segment

FOLDER = Path(__file__).parents[1] / "golden" / "checkpoint-v1"
JOB = FOLDER / "0123456789abcdef0123456789abcdef"


def blocks_of(checkpoint: Checkpoint) -> list[list[tuple[int, bytes]]]:
    return [[(part, bytes(payload)) for part, payload in read_segment(checkpoint.home, ref)]
            for ref in checkpoint.complete().segments()]


def test_the_checkpoint_of_version_1_is_read() -> None:
    checkpoint = open_checkpoint(JOB / "chk-5")
    assert list(faults_of(checkpoint)) == []
    manifest = checkpoint.complete()
    assert (manifest.format_version, manifest.flinkcore_version) == (1, "0.1.0")
    assert (manifest.job_name, manifest.job_id, manifest.kind) == ("bids per minute", JOB.name, "checkpoint")
    assert (manifest.checkpoint_id, manifest.created_ms) == (5, 1_760_000_000_000)
    assert manifest.trigger == {"reason": "periodic"}
    source, counter = manifest.operators
    assert (source.operator_id, source.uid, source.name) == ("f" * 32, None, "Source: bids")
    assert source.coordinator == {"next": 3, "open": ["b", "c"]}
    subtask = source.subtasks[0]
    assert (subtask.key_groups, subtask.epoch, subtask.finished) == ((0, 0), 5, True)
    assert subtask.fields == {"watermark": -(2**63), "file": "bids-ä.csv"}
    assert {name: (state.mode, state.items) for name, state in subtask.lists.items()} == {
        "splits": ("split", [{"path": "a", "offset": 7}, None, [1, 2.5, True]]), "all": ("union", ["x"]),
        "rules": ("broadcast", [])}
    assert (counter.uid, counter.parallelism, counter.max_parallelism) == ("counter", 2, 128)
    first, second = counter.subtasks
    assert [(part.number, part.name, part.kind, part.rows, part.bytes, part.description, part.namespace, part.parent)
            for part in first.parts] == [
        (0, "keys", "keys", 3, 120, {"types": ["string"]}, None, None),
        (1, "total", "accumulators", 3, 96, {"aggregates": ["sum"]}, None, "keys"),
        (2, "panes", "accumulators", 0, 0, {}, {"start": -5}, None)]
    assert (second.index, second.key_groups, second.parts, second.segments) == (1, (64, 128), (), ())
    assert [(ref.path, ref.since, ref.epoch) for ref in first.segments] == [
        ("shared/none.seg", 0, 1), ("shared/lz4.seg", 1, 2), ("shared/zstd.seg", 2, 4), (None, 4, 5)]
    assert blocks_of(checkpoint) == [
        [(0, b"keys of epoch 1"), (1, bytes(range(256))), (2, b"\0" * 100)],
        [(0, b"keys of epoch 2 " * 20), (1, bytes(range(256)))],
        [(0, b"keys of epoch 4 " * 20), (7, b"x")],
        [(1, b"totals of epoch 5 " * 10)]]


def test_the_savepoint_of_version_1_is_read() -> None:
    savepoint = open_checkpoint(FOLDER / "savepoint-0123456789ab")
    assert list(faults_of(savepoint)) == []
    assert (savepoint.complete().kind, savepoint.checkpoint_id) == ("savepoint", 6)
    assert blocks_of(savepoint) == [[(0, b"keys of epoch 1"), (1, bytes(range(256))), (2, b"\0" * 100)]]


@pytest.mark.parametrize("path", ["savepoint-0123456789ab/_metadata", "savepoint-0123456789ab/none.seg",
                                  f"{JOB.name}/shared/none.seg"])
def test_what_is_written_today_is_still_version_1(folder: Path, path: str) -> None:
    runpy.run_path(str(FOLDER / "make.py"))["main"](folder)
    assert (folder / path).read_bytes() == (FOLDER / path).read_bytes()
