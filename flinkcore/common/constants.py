# SPDX-License-Identifier: Apache-2.0
"""Constants of the API."""

from __future__ import annotations

from typing import Final

#: The highest value of a 64-bit integer; as a watermark, the end of event time.
MAX_LONG_VALUE: Final = 0x7FFFFFFFFFFFFFFF

#: The lowest value of a 64-bit integer; as a timestamp, "has none".
MIN_LONG_VALUE: Final = -MAX_LONG_VALUE - 1

#: The tag of the main output.
DEFAULT_OUTPUT_TAG: Final = ""

__all__ = ["DEFAULT_OUTPUT_TAG", "MAX_LONG_VALUE", "MIN_LONG_VALUE"]
