# SPDX-License-Identifier: Apache-2.0
"""Windows, and elements with timestamps, as columns of snapshots."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from flinkcore.columnar.fields import ValueFault
from flinkcore.errors import StateFormatError
from flinkcore.state.codec import Codec, Description, Serialized
from flinkcore.state.serializer import TypeSerializer
from flinkcore.time.evictors import TimestampedValue
from flinkcore.time.windows import TimeWindow, TimeWindowSerializer


class TimeWindows(Codec):
    """Time windows as their bounds, int64 milliseconds."""

    type = pa.struct([("start_ms", pa.int64()), ("end_ms", pa.int64())])
    immutable = True

    def describe(self) -> Description:
        return {"type": "TIME_WINDOW"}

    def encode(self, values: list[Any]) -> pa.Array:
        for position, value in enumerate(values):
            if not isinstance(value, TimeWindow):
                raise ValueFault(position, value, "expected a TimeWindow")
        bounds = ([value[side] for value in values] for side in (0, 1))
        return pa.StructArray.from_arrays([pa.array(b, pa.int64()) for b in bounds], fields=list(self.type))

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        starts, ends = array.field(0), array.field(1)
        if array.null_count or starts.null_count or ends.null_count:
            raise StateFormatError("a window lacks its start or its end")
        return list(map(TimeWindow, starts.to_pylist(), ends.to_pylist()))


class TimestampedValues(Codec):
    """Elements of windows with an evictor. value : codec of the elements"""

    def __init__(self, value: Codec) -> None:
        self._value = value
        self.type = pa.struct([("value", value.type), ("timestamp_ms", pa.int64())])

    def describe(self) -> Description:
        return {"type": "TIMESTAMPED", "value": self._value.describe()}

    def encode(self, values: list[Any]) -> pa.Array:
        elements = self._value.encode([value.value for value in values])
        timestamps = pa.array([value.timestamp_ms for value in values], pa.int64())
        return pa.StructArray.from_arrays([elements, timestamps], fields=list(self.type))

    def decode(self, array: pa.Array, allow_pickle: bool = False) -> list[Any]:
        elements, timestamps = self._value.decode(array.field(0), allow_pickle), array.field(1)
        if array.null_count or timestamps.null_count:
            raise StateFormatError("an element of a window lacks its timestamp")
        return list(map(TimestampedValue, elements, timestamps.to_pylist()))


def window_codec(serializer: TypeSerializer[Any]) -> Codec:
    """The codec of an assigner's windows: columns for time windows, the serializer's bytes for all others."""
    return TimeWindows() if type(serializer) is TimeWindowSerializer else Serialized(serializer)
