# SPDX-License-Identifier: Apache-2.0
"""TimeDomain: event time or processing time."""

from __future__ import annotations

from enum import Enum


class TimeDomain(Enum):
    """The two kinds of time that a timer can wait for."""

    EVENT_TIME = 0
    PROCESSING_TIME = 1
