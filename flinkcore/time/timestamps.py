# SPDX-License-Identifier: Apache-2.0
"""Event timestamps out of columns and records: int64 milliseconds, checked.

A timestamp can be at fault in three ways: it is null, it is out of the range that windows can compute with,
or it lies further in the future than allowed. What then happens to the record is the caller's policy; this
module says which rows are at fault and why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import I64, Column
from flinkcore._native.window import least_and_greatest
from flinkcore.errors import SchemaError, UserFunctionError
from flinkcore.time import MIN_TIMESTAMP

#: Windows and lateness add to timestamps; these bounds (about the years -140 million and +140 million) leave
#: room for any sum of two, so that no kernel can overflow.
TIMESTAMP_MIN_MS, TIMESTAMP_MAX_MS = -(2**62), 2**62 - 1

_PER_MS = {"us": 1_000, "ns": 1_000_000}
_MS_PER_SECOND = 1_000
_MS_PER_DAY = 86_400_000

#: What can be wrong with the timestamp of a row; 0 is nothing.
OK, NULL, OUT_OF_RANGE, FUTURE = 0, 1, 2, 3


def timestamps_of_column(column: Column, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Milliseconds since the epoch of a timestamp, date or int64 column.

    Timestamps of any unit and zone are instants (without a zone: UTC wall time, as Flink's TIMESTAMP); finer
    units are floored, so that -1 us is in millisecond -1. Integers are milliseconds already.
    -> (int64[n], uint8[n] of faults or None when every row is OK)
    SchemaError : the column has another type
    """
    type = column.type
    if (
        type is None
        or column.kind != I64
        or pa.types.is_decimal(type)
        or pa.types.is_time(type)
        or pa.types.is_duration(type)
    ):
        raise SchemaError(
            f"'{name}' is {type or 'a Python object'}, expected timestamp, date or int64 milliseconds "
            f"as event time; cast it, or give a TimestampAssigner"
        )
    values = column.to_numpy()
    faults = None
    if pa.types.is_timestamp(type) and type.unit in _PER_MS:
        timestamps = np.floor_divide(values, _PER_MS[type.unit])
    else:
        factor = 1
        if pa.types.is_timestamp(type) and type.unit == "s":
            factor = _MS_PER_SECOND
        elif pa.types.is_date32(type):
            factor = _MS_PER_DAY
        limit = TIMESTAMP_MAX_MS // factor
        least, greatest = least_and_greatest(values) if len(values) else (0, 0)
        if least < -limit - 1 or greatest > limit:
            out = (values > limit) | (values < -limit - 1)
            faults = np.where(out, np.uint8(OUT_OF_RANGE), np.uint8(OK))
            values = np.where(out, 0, values)
        timestamps = values * factor if factor != 1 else values
    valid = column.valid_mask()
    if valid is not None and not valid.all():
        faults = np.zeros(len(column), np.uint8) if faults is None else faults
        faults[~valid] = NULL
    return timestamps, faults


def timestamps_of_rows(
    rows: Sequence[Any], extract: Callable[[Any, int], int], previous: np.ndarray | None, operator: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Milliseconds that a user's extract_timestamp(value, record_timestamp) returns per row.

    previous : int64[n], the timestamp that each record had before; None for none, which is MIN_TIMESTAMP
    -> (int64[n], uint8[n] of faults or None when every row is OK); None from the user is a null timestamp
    UserFunctionError : the assigner raised, or returned something that is no number
    """
    found: list[int] = []
    append = found.append
    nulls: list[int] = []
    outside: list[int] = []
    before_all = repeat(MIN_TIMESTAMP) if previous is None else previous.tolist()
    for row, before in zip(rows, before_all):
        try:
            value = extract(row, before)
            if value is None:
                nulls.append(len(found))
                value = 0
            elif type(value) is not int:
                value = _milliseconds(value)
        except Exception as error:
            raise UserFunctionError(
                operator, "TimestampAssigner.extract_timestamp", error, row, len(found)
            ) from error
        if not TIMESTAMP_MIN_MS <= value <= TIMESTAMP_MAX_MS:
            outside.append(len(found))
            value = 0
        append(value)
    timestamps = np.array(found, np.int64)
    if not nulls and not outside:
        return timestamps, None
    faults = np.zeros(len(found), np.uint8)
    faults[nulls] = NULL
    faults[outside] = OUT_OF_RANGE
    return timestamps, faults


def mark_future(timestamps_ms: np.ndarray, faults: np.ndarray | None, limit_ms: int) -> np.ndarray | None:
    """Adds the fault FUTURE to the rows beyond `limit_ms`: one wrong clock would end event time for all."""
    beyond = timestamps_ms > limit_ms
    if not beyond.any():
        return faults
    faults = np.zeros(len(timestamps_ms), np.uint8) if faults is None else faults
    faults[beyond & (faults == OK)] = FUTURE
    return faults


def fault_text(fault: int, what: str) -> str:
    """Why the timestamp of a row is refused, in words; `what` names the column or the assigner."""
    if fault == NULL:
        return f"{what} is null, expected an event timestamp"
    if fault == OUT_OF_RANGE:
        return (
            f"{what} is out of range for an event timestamp in milliseconds ({TIMESTAMP_MIN_MS} to "
            f"{TIMESTAMP_MAX_MS}); is its unit right?"
        )
    return f"{what} lies further in the future than the watermark strategy allows"


def _milliseconds(value: Any) -> int:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    raise TypeError(
        f"extract_timestamp returned {value!r} ({type(value).__name__}), expected int milliseconds"
    )
