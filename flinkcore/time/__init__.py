# SPDX-License-Identifier: Apache-2.0
"""Event time and processing time: clocks, watermarks, timers, windows and triggers.

All times are int64 milliseconds since the epoch, as in Flink.
"""

from __future__ import annotations

from typing import Final

#: Flink's Long.MIN_VALUE: the marker of a record without a timestamp, and the watermark before the first one.
MIN_TIMESTAMP: Final = -(2**63)

#: Flink's Watermark.MAX_WATERMARK: event time is over.
MAX_WATERMARK: Final = 2**63 - 1

__all__ = ["MAX_WATERMARK", "MIN_TIMESTAMP"]
