# SPDX-License-Identifier: Apache-2.0
"""Windows: time, count and global windows, and their byte forms (PyFlink: pyflink.datastream.window)."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable
from io import BytesIO
from operator import itemgetter
from typing import Any

from flinkcore.state.serializer import TypeSerializer
from flinkcore.time import MAX_WATERMARK

_TWO_LONGS = struct.Struct(">qq")
_ONE_LONG = struct.Struct(">q")
_MASK = 2**64 - 1


def long_to_int_with_bit_mixing(x: int) -> int:
    """Spreads the bits of a 64-bit number (Flink: MathUtils.longToIntWithBitMixing)."""
    x &= _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def mod_inverse(x: int) -> int:
    """The inverse of an odd number modulo 2**32 (Flink: TimeWindow.modInverse)."""
    inverse = x * x * x
    for _ in range(3):
        inverse *= 2 - x * inverse
    return inverse & 0xFFFFFFFF


class Window(ABC):
    """A bucket of elements; its maximum timestamp says when all of them have arrived. Hashable."""

    @abstractmethod
    def max_timestamp(self) -> int:
        """The largest timestamp that still belongs to the window."""


class TimeWindow(tuple[int, int], Window):
    """The time from start, inclusive, to end, exclusive, in milliseconds.

    A tuple, so that windows hash, compare and sort at the speed of C: every element looks its window up.
    """

    __slots__ = ()

    def __new__(cls, start: int, end: int) -> TimeWindow:
        return tuple.__new__(cls, (start, end))

    start: int = property(itemgetter(0))  # type: ignore[assignment]
    end: int = property(itemgetter(1))  # type: ignore[assignment]

    def max_timestamp(self) -> int:
        return self[1] - 1

    def intersects(self, other: TimeWindow) -> bool:
        """Whether the windows overlap or touch."""
        return self[0] <= other[1] and self[1] >= other[0]

    def cover(self, other: TimeWindow) -> TimeWindow:
        """The smallest window that holds both."""
        return TimeWindow(min(self[0], other[0]), max(self[1], other[1]))

    @staticmethod
    def get_window_start_with_offset(timestamp: int, offset: int, window_size: int) -> int:
        """The start of the window that holds a timestamp: floored, so -1 with size 1000 starts at -1000."""
        return timestamp - (timestamp - offset) % window_size

    @staticmethod
    def merge_windows(windows: Iterable[TimeWindow], callback: Any) -> None:
        """Calls callback.merge(windows, result) for each run of windows that overlap or touch."""
        merged: TimeWindow | None = None
        members: set[TimeWindow] = set()
        for window in sorted(windows):
            if merged is not None and merged.intersects(window):
                merged = merged.cover(window)
                members.add(window)
                continue
            if merged is not None and len(members) > 1:
                callback.merge(members, merged)
            merged, members = window, {window}
        if merged is not None and len(members) > 1:
            callback.merge(members, merged)

    def __repr__(self) -> str:
        return f"TimeWindow(start={self.start}, end={self.end})"

    def __reduce__(self) -> tuple[Any, ...]:
        return TimeWindow, (self.start, self.end)


class CountWindow(Window):
    """The window with a number, among windows over counts of elements."""

    def __init__(self, id: int) -> None:
        self.id = id

    def max_timestamp(self) -> int:
        return MAX_WATERMARK

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CountWindow) and self.id == other.id

    def __repr__(self) -> str:
        return f"CountWindow(id={self.id})"


class GlobalWindow(Window):
    """The one window that holds everything."""

    @staticmethod
    def get() -> GlobalWindow:
        return _GLOBAL

    def max_timestamp(self) -> int:
        return MAX_WATERMARK

    def __eq__(self, other: object) -> bool:
        return self.__class__ is other.__class__

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "GlobalWindow"


_GLOBAL = GlobalWindow()


class TimeWindowSerializer(TypeSerializer[TimeWindow]):
    """16 bytes: start and end, big-endian."""

    def serialize(self, element: TimeWindow, stream: BytesIO) -> None:
        stream.write(_TWO_LONGS.pack(element.start, element.end))

    def deserialize(self, stream: BytesIO) -> TimeWindow:
        return TimeWindow(*_TWO_LONGS.unpack(stream.read(16)))


class CountWindowSerializer(TypeSerializer[CountWindow]):
    """8 bytes: the number, big-endian."""

    def serialize(self, element: CountWindow, stream: BytesIO) -> None:
        stream.write(_ONE_LONG.pack(element.id))

    def deserialize(self, stream: BytesIO) -> CountWindow:
        return CountWindow(*_ONE_LONG.unpack(stream.read(8)))


class GlobalWindowSerializer(TypeSerializer[GlobalWindow]):
    """One zero byte, as in Flink."""

    def serialize(self, element: GlobalWindow, stream: BytesIO) -> None:
        stream.write(b"\0")

    def deserialize(self, stream: BytesIO) -> GlobalWindow:
        stream.read(1)
        return _GLOBAL
