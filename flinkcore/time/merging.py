# SPDX-License-Identifier: Apache-2.0
"""Which windows of a key are in flight when windows merge, and where each keeps its contents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

#: What happens at a merge: (result, merged windows, state window of the result, state windows given up).
OnMerge = Callable[[Any, list[Any], Any, list[Any]], None]


class _Merges:
    def __init__(self) -> None:
        self.found: list[tuple[Any, set[Any]]] = []

    def merge(self, to_be_merged: Iterable[Any], merge_result: Any) -> None:
        self.found.append((merge_result, set(to_be_merged)))


class MergingWindowSet:
    """The in-flight windows of one key: window -> the state window under which its contents are stored.

    When windows merge, the contents stay where those of one of them are, so only the others move.
    Source: Flink, MergingWindowSet.
    """

    __slots__ = ("mapping",)

    def __init__(self, mapping: dict[Any, Any]) -> None:
        self.mapping = mapping

    def state_window(self, window: Any) -> Any:
        """Where the contents of an in-flight window are; None when it is not in flight."""
        return self.mapping.get(window)

    def retire(self, window: Any) -> None:
        """The window is gone."""
        del self.mapping[window]

    def add(self, assigner: Any, new: Any, on_merge: OnMerge) -> Any:
        """Adds a window, merging what has to be merged. -> the window that now holds it."""
        mapping = self.mapping
        if new in mapping:
            return new
        if not mapping:
            mapping[new] = new
            return new
        merges = _Merges()
        assigner.merge_windows([*mapping, new], merges)
        result, merged_new = new, False
        for merge_result, found in merges.found:
            if new in found:
                merged_new = True
                result = merge_result
            members = [window for window in mapping if window in found]  # the oldest first, which keeps its place
            if not members:
                continue
            if len(members) == 1 and members[0] == merge_result:
                continue  # a window that only swallowed a smaller new one has not changed
            kept, *given_up = [mapping[member] for member in members]
            entries = list(mapping.items())
            mapping.clear()
            for window, state_window in entries:
                if window == members[0]:
                    mapping[merge_result] = state_window
                elif window not in found:
                    mapping[window] = state_window
            on_merge(merge_result, members, kept, given_up)
        if not merged_new:
            mapping[new] = new
        return result
