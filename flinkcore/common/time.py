# SPDX-License-Identifier: Apache-2.0
"""Amounts of time and points in time."""

from __future__ import annotations

import operator
from functools import total_ordering

from flinkcore.columnar.instant import Instant

__all__ = ["Duration", "Instant", "Time"]


@total_ordering
class Duration:
    """An amount of time, to the nanosecond. Made by Duration.of_seconds(10) and the like.

    Beyond PyFlink: to_millis, to_nanos, order, hash, and Java's text form (PT10S).
    """

    __slots__ = ("_nanos",)

    def __init__(self, nanos: int) -> None:
        self._nanos = operator.index(nanos)

    @staticmethod
    def of_days(days: int) -> Duration:
        return Duration(operator.index(days) * 86_400_000_000_000)

    @staticmethod
    def of_hours(hours: int) -> Duration:
        return Duration(operator.index(hours) * 3_600_000_000_000)

    @staticmethod
    def of_minutes(minutes: int) -> Duration:
        return Duration(operator.index(minutes) * 60_000_000_000)

    @staticmethod
    def of_seconds(seconds: int) -> Duration:
        return Duration(operator.index(seconds) * 1_000_000_000)

    @staticmethod
    def of_millis(millis: int) -> Duration:
        return Duration(operator.index(millis) * 1_000_000)

    @staticmethod
    def of_nanos(nanos: int) -> Duration:
        return Duration(nanos)

    def to_millis(self) -> int:
        """Whole milliseconds."""
        return self._nanos // 1_000_000

    def to_nanos(self) -> int:
        return self._nanos

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self._nanos == other._nanos

    def __lt__(self, other: Duration) -> bool:
        return self._nanos < other._nanos if isinstance(other, Duration) else NotImplemented

    def __hash__(self) -> int:
        return hash((Duration, self._nanos))

    def __repr__(self) -> str:
        # java.time.Duration.toString
        if self._nanos == 0:
            return "PT0S"
        sign = -1 if self._nanos < 0 else 1
        seconds, nanos = divmod(abs(self._nanos), 1_000_000_000)
        hours, seconds = divmod(seconds, 3600)
        minutes, seconds = divmod(seconds, 60)
        text = "PT" + (f"{sign * hours}H" if hours else "") + (f"{sign * minutes}M" if minutes else "")
        if seconds or nanos:
            fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
            text += f"{'-' if sign < 0 else ''}{seconds}{fraction}S"
        return text


class Time:
    """An amount of time in milliseconds, for windows: Time.seconds(10)."""

    __slots__ = ("_milliseconds",)

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = operator.index(milliseconds)

    def to_milliseconds(self) -> int:
        return self._milliseconds

    @staticmethod
    def milliseconds(milliseconds: int) -> Time:
        return Time(milliseconds)

    @staticmethod
    def seconds(seconds: int) -> Time:
        return Time(operator.index(seconds) * 1000)

    @staticmethod
    def minutes(minutes: int) -> Time:
        return Time(operator.index(minutes) * 60_000)

    @staticmethod
    def hours(hours: int) -> Time:
        return Time(operator.index(hours) * 3_600_000)

    @staticmethod
    def days(days: int) -> Time:
        return Time(operator.index(days) * 86_400_000)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self._milliseconds == other._milliseconds

    def __hash__(self) -> int:
        return hash((Time, self._milliseconds))

    def __repr__(self) -> str:
        return f"{self._milliseconds} ms"
