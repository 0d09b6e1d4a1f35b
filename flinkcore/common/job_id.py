# SPDX-License-Identifier: Apache-2.0
"""JobID: the identity of one run of a job."""

from __future__ import annotations

__all__ = ["JobID"]


class JobID:
    """32 hexadecimal digits that tell one run of a job from every other."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobID) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"JobID({self._text})"
