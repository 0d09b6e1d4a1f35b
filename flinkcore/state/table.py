# SPDX-License-Identifier: Apache-2.0
"""A table of state: one Python value per group id and namespace, held on the heap."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any


class Table:
    """The values of one state of one subtask, by namespace and group id.

    The void namespace is None; windows and triggers use the window. A namespace with no rows takes no memory.
    `hold` and `let_go` tell the owner of the group ids which of them are still in use.
    """

    __slots__ = ("_hold", "_let_go", "kind", "name", "rows")

    def __init__(
        self, name: str, kind: str, hold: Callable[[int], None], let_go: Callable[[int], None]
    ) -> None:
        self.name = name
        self.kind = kind
        self.rows: dict[Hashable, dict[int, Any]] = {}
        self._hold = hold
        self._let_go = let_go

    def get(self, namespace: Hashable, group_id: int) -> Any:
        """The value, None when there is none."""
        rows = self.rows.get(namespace)
        return None if rows is None else rows.get(group_id)

    def put(self, namespace: Hashable, group_id: int, value: Any) -> None:
        rows = self.rows.get(namespace)
        if rows is None:
            rows = self.rows[namespace] = {}
        if group_id not in rows:
            self._hold(group_id)
        rows[group_id] = value

    def take(self, namespace: Hashable, group_id: int) -> Any:
        """Removes and returns the value, None when there is none."""
        rows = self.rows.get(namespace)
        if rows is None or group_id not in rows:
            return None
        value = rows.pop(group_id)
        if not rows:
            del self.rows[namespace]
        self._let_go(group_id)
        return value

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))

    def __iter__(self) -> Iterator[tuple[Hashable, int, Any]]:
        """(namespace, group id, value) of every row: what a snapshot stores, and put() takes back."""
        for namespace, rows in self.rows.items():
            for group_id, value in rows.items():
                yield namespace, group_id, value
