# SPDX-License-Identifier: Apache-2.0
"""The enumerator's part of a checkpoint fits the parts of the readers, at whatever moments they are taken."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from flinkcore.connectors.base import AssignedSplits, RangeSplit, Source, SplitEnumerator, SplitQueue
from flinkcore.runtime.source_driver import SharedEnumerator, merged_readers, restored_enumerator


@dataclass(frozen=True)
class Seen:
    names: tuple
    waiting: tuple


class Folder(SplitEnumerator):
    """Files that appear; each is found once."""

    def __init__(self, files, names=(), waiting=()):
        self.files = files
        self.names = list(names)
        self.waiting = list(waiting)

    def poll(self, now_ms):
        for name, rows in self.files.items():
            if name not in self.names:
                self.names.append(name)
                self.waiting.append(RangeSplit(name, 0, rows))
        return now_ms + 1

    def next_split(self, subtask_index):
        return self.waiting.pop(0) if self.waiting else None

    def is_finished(self):
        return False

    def add_back(self, splits):
        self.waiting[:0] = splits

    def snapshot(self):
        return Seen(tuple(self.names), tuple(self.waiting))


class FolderSource(Source):
    state_types = (Seen,)

    def __init__(self, files):
        self.files = files

    def create_enumerator(self, parallelism):
        return Folder(self.files)

    def restore_enumerator(self, parallelism, state):
        return Folder(self.files, state.names, state.waiting)

    def create_reader(self, split, context):
        raise AssertionError


class Queues(FolderSource):
    def create_enumerator(self, parallelism):
        return SplitQueue(RangeSplit(name, 0, rows) for name, rows in self.files.items())

    def restore_enumerator(self, parallelism, state):
        return Source.restore_enumerator(self, parallelism, state)


class Assigned(Queues):
    def create_enumerator(self, parallelism):
        return AssignedSplits([RangeSplit(name, 0, rows) for name, rows in self.files.items()], parallelism)


def read(splits):
    return Counter((split.split_id, row) for split in splits for row in range(split.start, split.end))


class Run:
    """Subtasks that read split after split, a row at a time, in an order that a seed decides."""

    def __init__(self, source, rng, parallelism, snapshot=None):
        self.source = source
        self.rng = rng
        self.parallelism = parallelism
        enumerator = (
            source.create_enumerator(parallelism)
            if snapshot is None
            else restored_enumerator(source, parallelism, snapshot["enumerator"])
        )
        self.shared = SharedEnumerator(enumerator, parallelism, source.encode_state)
        self.emitted = [Counter() for _ in range(parallelism)]
        self.active = [[] for _ in range(parallelism)]
        if snapshot is not None:
            self.emitted[0] += snapshot["emitted"]
            for i, split in enumerate(snapshot["active"]):
                self.active[i % parallelism].append(split)
        self.now_ms = 0
        self.begun = {}  # checkpoint -> parts of subtasks
        self.done = []

    def step(self, checkpoint_id):
        action = self.rng.randrange(12)
        subtask = self.rng.randrange(self.parallelism)
        if action == 0:
            self.source.files[f"new {len(self.source.files)} {self.rng.random()}"] = self.rng.randrange(1, 5)
            self.now_ms += 1
        elif action == 1 and len(self.begun) < 3:
            self.shared.begin_snapshot(checkpoint_id)
            self.begun[checkpoint_id] = {}
        elif action == 2 and self.begun and self.rng.random() < 0.3:
            aborted = self.rng.choice(list(self.begun))
            del self.begun[aborted]
            self.shared.abort_snapshot(aborted)
            self.shared.subtask_snapshotted(aborted, subtask)  # it hears of it too late
        elif action in (3, 4):
            self.barrier(subtask)
        elif action == 5:
            self.end()
        else:
            self.read(subtask)

    def read(self, subtask):
        active = self.active[subtask]
        if len(active) < 2:
            split = self.shared.next_split(subtask, self.now_ms)
            if split is not None:
                active.append(split)
        if active:
            split = active.pop(0)
            if split.start < split.end:
                self.emitted[subtask][split.split_id, split.start] += 1
                active.append(replace(split, start=split.start + 1))

    def barrier(self, subtask):
        for checkpoint_id in sorted(self.begun):  # barriers come in order
            parts = self.begun[checkpoint_id]
            if subtask not in parts:
                self.shared.subtask_snapshotted(checkpoint_id, subtask)
                parts[subtask] = (self.emitted[subtask].copy(), list(self.active[subtask]))
                return

    def end(self):
        for checkpoint_id, parts in list(self.begun.items()):
            if len(parts) == self.parallelism:
                del self.begun[checkpoint_id]
                stored = json.loads(json.dumps(self.shared.end_snapshot(checkpoint_id)))
                emitted, active = Counter(), []
                for part in parts.values():
                    emitted += part[0]
                    active += part[1]
                self.done.append({"enumerator": stored, "emitted": emitted, "active": active})

    def finish(self):
        self.now_ms += 10
        while True:
            before = [dict(counts) for counts in self.emitted]
            for subtask in range(self.parallelism):
                self.read(subtask)
            if [dict(counts) for counts in self.emitted] == before and not any(self.active):
                return sum(self.emitted, Counter())


@pytest.mark.parametrize("kind", [FolderSource, Queues, Assigned])
@pytest.mark.parametrize("seed", range(40))
def test_no_split_is_lost_or_read_twice_whichever_checkpoint_is_restored(kind, seed):
    rng = random.Random(seed)
    source = kind({str(i): rng.randrange(1, 6) for i in range(rng.randrange(1, 12))})
    run = Run(source, rng, rng.randrange(1, 5))
    for number in range(200):
        run.step(number)
    for snapshot in run.done:
        again = Run(source, rng, rng.randrange(1, 5), snapshot)
        for number in range(rng.randrange(30)):
            again.step(number)
        found = again.finish()
        # Only a folder is looked at again.
        files = {
            name: rows for name, rows in source.files.items() if kind is FolderSource or "new" not in name
        }
        assert found == read(RangeSplit(name, 0, rows) for name, rows in files.items())


def test_a_split_taken_before_the_barrier_is_the_reader_s_and_one_taken_behind_it_the_enumerator_s():
    shared = SharedEnumerator(SplitQueue(RangeSplit(name, 0, 1) for name in "abcd"), 2)
    shared.begin_snapshot(1)
    assert shared.next_split(0, 0).split_id == "a"
    shared.subtask_snapshotted(1, 0)
    assert shared.next_split(0, 0).split_id == "b"  # behind its own barrier
    assert shared.next_split(1, 0).split_id == "c"  # the other one has not snapshotted yet
    shared.subtask_snapshotted(1, 1)
    source = Queues({})
    restored = restored_enumerator(source, 1, shared.end_snapshot(1))
    assert [restored.next_split(0).split_id for _ in range(2)] == ["b", "d"] and restored.is_finished()


def test_the_slowest_reader_that_has_not_finished_decides_for_another_parallelism():
    def reader(watermark_ms, finished=False):
        return {"watermark_ms": watermark_ms, "finished": finished, "next": 0}

    assert merged_readers([reader(7), reader(5), reader(None, True)]) == reader(5)
    assert merged_readers([reader(7), reader(None)]) == reader(None)
    assert merged_readers([reader(7, True)]) == reader(None)
