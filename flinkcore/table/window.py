# SPDX-License-Identifier: Apache-2.0
"""Group windows: Tumble.over(lit(10).minutes).on(col("ts")).alias("w"), and likewise Slide and Session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flinkcore.errors import ExpressionError
from flinkcore.expr import logical
from flinkcore.expr.nodes import Expr, Literal
from flinkcore.table.expression import Expression
from flinkcore.table.string_expressions import parse

__all__ = ["GroupWindow", "Session", "Slide", "Tumble"]


@dataclass(frozen=True)
class GroupWindow:
    """A window specification with its alias.

    kind : "tumble", "slide" or "session";  size, slide : milliseconds, or rows when `counts`
    """

    kind: str
    size: int
    slide: int
    counts: bool
    time_field: Expr
    name: str


def _size(value: Any, what: str) -> tuple[int, bool]:
    """(milliseconds or rows, whether rows) of an interval expression or a string like "10.minutes"."""
    node = parse(value) if isinstance(value, str) else getattr(value, "node", None)
    if not (isinstance(node, Literal) and isinstance(node.value, int) and node.value > 0):
        raise ExpressionError(
            f"{what} is a positive interval, e.g. lit(10).minutes, or row_interval(100); got {value}"
        )
    if node.type == logical.MONTHS:
        raise ExpressionError(f"{what} cannot be months, which differ in length; use days")
    return node.value, node.type != logical.INTERVAL


def _node(value: Expression | str) -> Expr:
    return parse(value) if isinstance(value, str) else value.node


class _OnTime:
    """A window that needs only its alias."""

    def __init__(self, kind: str, size: int, slide: int, counts: bool, time_field: Expr) -> None:
        self._parts = (kind, size, slide, counts, time_field)

    def alias(self, alias: str) -> GroupWindow:
        """The name that group_by and select know the window by."""
        return GroupWindow(*self._parts, alias)


class TumbleWithSizeOnTime(_OnTime):
    """Tumbling windows over a time attribute."""


class SlideWithSizeAndSlideOnTime(_OnTime):
    """Sliding windows over a time attribute."""


class SessionWithGapOnTime(_OnTime):
    """Session windows over a time attribute."""


class TumbleWithSize:
    def __init__(self, size: int, counts: bool) -> None:
        self._size, self._counts = size, counts

    def on(self, time_field: Expression | str) -> TumbleWithSizeOnTime:
        """The time attribute that the windows cut."""
        return TumbleWithSizeOnTime("tumble", self._size, self._size, self._counts, _node(time_field))


class Tumble:
    """Windows of one size, one after the other."""

    @classmethod
    def over(cls, size: Expression | str) -> TumbleWithSize:
        return TumbleWithSize(*_size(size, "the size of a tumbling window"))


class SlideWithSize:
    def __init__(self, size: int, counts: bool) -> None:
        self._size, self._counts = size, counts

    def every(self, slide: Expression | str) -> SlideWithSizeAndSlide:
        """How far apart the windows start."""
        every, counts = _size(slide, "the slide of a sliding window")
        if counts != self._counts:
            raise ExpressionError("size and slide of a sliding window are both times or both numbers of rows")
        return SlideWithSizeAndSlide(self._size, every, counts)


class SlideWithSizeAndSlide:
    def __init__(self, size: int, slide: int, counts: bool) -> None:
        self._size, self._slide, self._counts = size, slide, counts

    def on(self, time_field: Expression | str) -> SlideWithSizeAndSlideOnTime:
        return SlideWithSizeAndSlideOnTime("slide", self._size, self._slide, self._counts, _node(time_field))


class Slide:
    """Windows of one size that start at regular intervals and may overlap."""

    @classmethod
    def over(cls, size: Expression | str) -> SlideWithSize:
        return SlideWithSize(*_size(size, "the size of a sliding window"))


class SessionWithGap:
    def __init__(self, gap: int) -> None:
        self._gap = gap

    def on(self, time_field: Expression | str) -> SessionWithGapOnTime:
        return SessionWithGapOnTime("session", self._gap, self._gap, False, _node(time_field))


class Session:
    """Windows that end when nothing came for a while."""

    @classmethod
    def with_gap(cls, gap: Expression | str) -> SessionWithGap:
        size, counts = _size(gap, "the gap of a session window")
        if counts:
            raise ExpressionError("the gap of a session window is a time, not a number of rows")
        return SessionWithGap(size)
