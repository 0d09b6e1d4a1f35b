# SPDX-License-Identifier: Apache-2.0
"""Instant: a point on the time line, the Python value of Types.INSTANT() and of zoned Arrow timestamps."""

from __future__ import annotations

import datetime


class Instant:
    """Seconds since the epoch and the nanoseconds after them, like java.time.Instant."""

    __slots__ = ("nanos", "seconds")

    def __init__(self, seconds: int, nanos: int) -> None:
        self.seconds = seconds
        self.nanos = nanos

    def to_epoch_milli(self) -> int:
        return self.seconds * 1000 + self.nanos // 1_000_000

    @staticmethod
    def of_epoch_milli(epoch_milli: int) -> Instant:
        return Instant(epoch_milli // 1000, epoch_milli % 1000 * 1_000_000)

    def to_datetime(self) -> datetime.datetime:
        """In UTC, cut to microseconds (beyond PyFlink). OverflowError outside the years 1 to 9999."""
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return epoch + datetime.timedelta(seconds=self.seconds, microseconds=self.nanos // 1000)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instant) and self.seconds == other.seconds and self.nanos == other.nanos

    def __lt__(self, other: Instant) -> bool:
        return (self.seconds, self.nanos) < (other.seconds, other.nanos)

    def __le__(self, other: Instant) -> bool:
        return (self.seconds, self.nanos) <= (other.seconds, other.nanos)

    def __hash__(self) -> int:
        return hash((self.seconds, self.nanos))

    def __reduce__(self) -> tuple[type[Instant], tuple[int, int]]:
        return Instant, (self.seconds, self.nanos)

    def __repr__(self) -> str:
        return f"Instant<{self.seconds}, {self.nanos}>"
