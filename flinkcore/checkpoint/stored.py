# SPDX-License-Identifier: Apache-2.0
"""StoredSubtask: what a checkpoint holds of one subtask of an operator, read block by block."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from flinkcore import faultpoint
from flinkcore.checkpoint.manifest import SubtaskState
from flinkcore.checkpoint.segment import read_segment
from flinkcore.checkpoint.store import Store
from flinkcore.state.part import PartState


class StoredSubtask:
    """state.part.StoredState over the segments of a checkpoint."""

    def __init__(self, store: Store, subtask: SubtaskState) -> None:
        self._store = store
        self._segments = subtask.segments
        self.key_groups = range(*subtask.key_groups)
        self.epoch = subtask.epoch
        self.entries: Sequence[PartState] = subtask.parts

    def blocks(self, parts: Container[int]) -> Iterator[tuple[int, memoryview]]:
        for segment in self._segments:
            yield from read_segment(self._store, segment, parts)
            faultpoint.reached("restore.segment")
