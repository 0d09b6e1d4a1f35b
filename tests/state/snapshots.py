# SPDX-License-Identifier: Apache-2.0
"""What the tests of parts share: writing frozen parts, in a thread of its own, and loading them."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from flinkcore.state.codec import codec_of
from flinkcore.state.content import Content
from flinkcore.state.part import FrozenState, RestoredState
from flinkcore.state.table import Table

_WRITER = ThreadPoolExecutor(1)


class Stored:
    """Snapshots of one subtask, where a store would keep them."""

    key_groups = range(128)

    def __init__(self) -> None:
        self.epoch = 0
        self.entries: Any = []
        self.fields: dict[str, Any] = {}
        self.lists: dict[str, Any] = {}
        self._blocks: list[tuple[int, int, bytes]] = []  # (epoch of the segment, part number, payload)

    def add(self, frozen: FrozenState) -> None:
        self._blocks = [block for block in self._blocks if block[0] <= frozen.since]
        self._blocks += [(frozen.epoch, number, bytes(payload)) for number, payload in frozen.blocks()]
        frozen.release()
        self.epoch, self.entries = frozen.epoch, frozen.entries
        self.fields, self.lists = frozen.fields, {name: one.items for name, one in frozen.lists.items()}

    def blocks(self, parts: Any) -> Any:
        return ((number, memoryview(payload)) for _, number, payload in self._blocks if number in parts)

    def restored(self) -> RestoredState:
        return RestoredState([self], [self.fields], self.lists, False, "a test")


def written(frozen: Any) -> list[bytes]:
    """The blocks of a frozen part, which is then released."""
    blocks = [bytes(block) for block in frozen.blocks()]
    frozen.release()
    return blocks


def being_written(frozen: Any) -> Future[list[bytes]]:
    """The blocks of a frozen part, from another thread; release is the caller's."""
    return _WRITER.submit(lambda: [bytes(block) for block in frozen.blocks()])


def load(part: Any, blocks: list[bytes], epoch: int = 1) -> Any:
    """Applies blocks to a part."""
    for block in blocks:
        part.load(memoryview(block))
    part.loaded(epoch)
    return part


def table(kind: str = "value", value: Any = None, key: Any = None, **options: Any) -> Table:
    """A table of values of a type; of Python objects without one."""
    stamped = options.get("expiry") is not None
    content = Content(kind, codec_of(value), None if kind != "map" else codec_of(key), stamped)
    return Table("t", content, **{"allow_pickle": True, **options})


def rows_of(table: Table) -> dict[tuple[Any, int], Any]:
    return {(namespace, group_id): row for namespace, group_id, row in table}
