# SPDX-License-Identifier: Apache-2.0
"""Numbers, durations and points in time as the command line writes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def count(n: int, noun: str) -> str:
    """1 record, 2 records, 1,000 records."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def short(n: float) -> str:
    """At most six characters: 999, 12.3k, 4.56M, 7.89G."""
    for divisor, unit in ((1, ""), (1e3, "k"), (1e6, "M")):
        if abs(n) < 999.5 * divisor:
            value = n / divisor
            return f"{value:.3g}{unit}" if unit else f"{value:.0f}"
    return f"{n / 1e9:.3g}G"


def size(n: int) -> str:
    """Bytes in at most seven characters: 999B, 12.3kB, 4.56MB, 7.89GB."""
    return f"{short(n)}B"


def duration(ms: int) -> str:
    """The two largest units that say something: 250 ms, 5.002 s, 2 min 5 s, 3 h 20 min, 12 d 4 h."""
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    if ms < 1_000:
        return f"{sign}{ms} ms"
    if ms < 60_000:
        return f"{sign}{ms / 1000:.3f}".rstrip("0").rstrip(".") + " s"
    for i, (size, unit) in enumerate(_UNITS[:-1]):
        if ms >= size:
            smaller, smaller_unit = _UNITS[i + 1]
            rest = ms % size // smaller
            return f"{sign}{ms // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    raise AssertionError("every duration of a minute or more has a unit")


def instant(ms: int) -> str:
    """A point in event time, in UTC; bare milliseconds where the calendar does not reach or near its zero."""
    if abs(ms) < 86_400_000:
        return f"{ms} ms"                      # counters and examples that count time from 0
    try:
        return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except OverflowError:
        return f"{ms} ms"


def table(rows: Sequence[tuple[str, ...]], indent: str = "") -> str:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join((indent + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths))).rstrip()
                     for row in rows)
