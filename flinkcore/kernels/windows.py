# SPDX-License-Identifier: Apache-2.0
"""Windows in event time. All times are int64 milliseconds; windows are half-open."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from flinkcore._native import window as _window
from flinkcore._native.column import I64
from flinkcore.kernels.columns import ColumnLike, column_of, ids_of

MIN_TIMESTAMP = _window.MIN_TIMESTAMP


def milliseconds_of(times: ColumnLike, what: str) -> npt.NDArray[np.int64]:
    """int64[n], without a copy when that, or timestamps in milliseconds, is what came."""
    if (
        isinstance(times, np.ndarray)
        and times.dtype == np.int64
        and times.ndim == 1
        and times.flags.c_contiguous
    ):
        return times
    column = column_of(times)
    t = pa.types
    if len(column) == 0 and column.kind != I64 and not isinstance(times, np.ndarray | pa.Array):
        return np.empty(0, np.int64)  # a list without values has no type that it means
    if column.type is None or not (
        t.is_integer(column.type) or t.is_timestamp(column.type) or t.is_date(column.type)
    ):
        raise TypeError(
            f"{what}: expected integers (milliseconds since the epoch) or timestamps, got {column.type}"
        )
    if column.null_count:
        raise ValueError(
            f"{what}: {column.null_count} of {len(column)} are null; drop these rows, or give them a time"
        )
    if (t.is_timestamp(column.type) and column.type.unit != "ms") or t.is_date(column.type):
        zone = getattr(column.type, "tz", None)
        try:
            column = column_of(column.to_arrow().cast(pa.timestamp("ms", tz=zone)))
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"{what}: {column.type} cannot become milliseconds: {error}; floor it first, e.g. with "
                "pyarrow.compute.floor_temporal"
            ) from error
    values: npt.NDArray[np.int64] = column.to_numpy()
    return values


def pane_starts(timestamps: ColumnLike, size_ms: int, offset_ms: int = 0) -> npt.NDArray[np.int64]:
    """Start of the tumbling pane that holds each timestamp: int64[n], starts[i] <= timestamp < starts[i] + size_ms.

    timestamps : integers, milliseconds since the epoch, may be negative; or Arrow or NumPy timestamps of any unit
    size_ms : pane length, > 0;  offset_ms : shift of the grid from the epoch
    TypeError : no times;  ValueError : size_ms <= 0, nulls, or a time within size_ms of the limits of int64
    Threads : any number at once; the GIL is released.  Source : Flink, TimeWindow.getWindowStartWithOffset

    >>> pane_starts([0, 999, 1000, -1], 1000).tolist()
    [0, 0, 1000, -1000]
    """
    return _window.pane_starts(milliseconds_of(timestamps, "timestamps"), size_ms, offset_ms)


def pane_index(starts: ColumnLike) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The distinct panes of a batch, and the pane of each row, e.g. for Accumulators.update_panes.

    starts : as pane_starts gives them
    -> (panes int64[p] ascending, pane_of_row int32[n]) with panes[pane_of_row[i]] == starts[i]
    Threads : any number at once; the GIL is released.

    >>> panes, pane_of_row = pane_index([1000, 0, 1000])
    >>> panes.tolist(), pane_of_row.tolist()
    ([0, 1000], [1, 0, 1])
    """
    return _window.pane_index(milliseconds_of(starts, "starts"))


def sliding_starts(
    timestamps: ColumnLike, size_ms: int, slide_ms: int, offset_ms: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Every sliding window of every timestamp.

    timestamps : as for pane_starts;  size_ms, slide_ms : > 0;  offset_ms : shift of the grid of starts from the epoch
    -> (rows int64[m], starts int64[m]): window [starts[j], starts[j] + size_ms) holds the time of row rows[j]; rows
       ascend, the windows of a row from the latest to the earliest. A row may have none when slide_ms > size_ms.
    TypeError, ValueError : as for pane_starts
    Threads : any number at once; the GIL is released.  Source : Flink, SlidingEventTimeWindows.assignWindows

    >>> rows, starts = sliding_starts([1500], 1000, 500)
    >>> rows.tolist(), starts.tolist()
    ([0, 0], [1500, 1000])
    """
    return _window.sliding_starts(milliseconds_of(timestamps, "timestamps"), size_ms, slide_ms, offset_ms)


class SessionIndex:
    """The sessions of every group, merged as Flink merges them.

    Each live session has a slot: an int32 that Accumulators use as their row. Slots of released sessions are given
    out again. For one thread at a time; a second one gets a RuntimeError. Calls release the GIL.

    >>> from flinkcore.kernels import Accumulators
    >>> sessions, counts = SessionIndex(), Accumulators(("count_star",))
    >>> slots, into, merged = sessions.assign([0, 0, 0], [0, 50, 20], gap_ms=30)
    >>> counts.merge(counts, into, merged)
    >>> counts.clear(merged)
    >>> counts.update(slots)
    >>> done = sessions.expired(watermark_ms=79)
    >>> sessions.starts(done).tolist(), sessions.ends(done).tolist(), counts.results(done)[0].to_pylist()
    ([0], [80], [3])
    >>> counts.clear(done)
    >>> sessions.release(done)
    """

    def __init__(self) -> None:
        self._native = _window.SessionIndex()

    def __repr__(self) -> str:
        return repr(self._native)

    def __len__(self) -> int:
        """How many sessions are live."""
        return self._native.live_count

    def assign(
        self,
        ids: npt.ArrayLike,
        timestamps: ColumnLike,
        gap_ms: int | npt.NDArray[np.int64],
        watermark_ms: int = MIN_TIMESTAMP,
        allowed_lateness_ms: int = 0,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Put n records, in order, into the sessions of their groups.

        ids : n group ids;  timestamps : n times, as for pane_starts
        gap_ms : int or int64[n], > 0: a record's own window is [timestamp, timestamp + gap_ms)
        watermark_ms, allowed_lateness_ms : a record is late when its window, merged with the sessions that it
            intersects or touches, has end - 1 + allowed_lateness_ms <= watermark_ms; it then changes nothing
        -> (slots, into, merged): int32[n], the slot of each record's session at the end of the call, -1 for late
           ones; and int32[k] twice, the merges in order: slot merged[j] went into slot into[j]

        The caller then calls accumulators.merge(accumulators, into, merged) and accumulators.clear(merged), updates
        with the slots of records that are not late, and before the next call releases what purgeable() gives. The
        merged slots are free and may be given out by the next call. The oldest of merged sessions keeps its slot.
        TypeError, ValueError, and nothing changed : as for pane_starts, or gap_ms <= 0, a negative id or lateness,
            another number of timestamps than of ids
        Source : Flink, MergingWindowSet.addWindow, WindowOperator.isWindowLate
        """
        return self._native.assign(
            ids_of(ids), milliseconds_of(timestamps, "timestamps"), gap_ms, watermark_ms, allowed_lateness_ms
        )

    def expired(self, watermark_ms: int) -> npt.NDArray[np.int32]:
        """Slots of the sessions that are complete (end - 1 <= watermark_ms) and not fired, by end, start and slot."""
        return self._native.expired(watermark_ms)

    def purgeable(self, watermark_ms: int, allowed_lateness_ms: int = 0) -> npt.NDArray[np.int32]:
        """Slots of the sessions that no record can reach any more, fired or not, in the order of expired()."""
        return self._native.purgeable(watermark_ms, allowed_lateness_ms)

    def slots(self) -> npt.NDArray[np.int32]:
        """The slots of all live sessions, ascending."""
        return self._native.slots()

    def starts(self, slots: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The first millisecond of each session. ValueError : a slot without a live session"""
        return self._native.starts(ids_of(slots))

    def ends(self, slots: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The last timestamp + gap of each session. ValueError : a slot without a live session"""
        return self._native.ends(ids_of(slots))

    def group_ids(self, slots: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """The group of each session. ValueError : a slot without a live session"""
        return self._native.group_ids(ids_of(slots))

    def mark_fired(self, slots: npt.ArrayLike) -> None:
        """The results of these sessions are out: expired() names one again only after another record.
        ValueError : a slot without a live session"""
        self._native.mark_fired(ids_of(slots))

    def release(self, slots: npt.ArrayLike) -> None:
        """Forget these sessions; their slots are given out again. ValueError : a slot without a live session"""
        self._native.release(ids_of(slots))
