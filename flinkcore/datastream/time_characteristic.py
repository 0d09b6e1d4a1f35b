# SPDX-License-Identifier: Apache-2.0
"""TimeCharacteristic (PyFlink until 1.20: pyflink.datastream.time_characteristic)."""

from __future__ import annotations

from enum import Enum


class TimeCharacteristic(Enum):
    """Which time a job goes by; since Flink 1.12 each window and timer says so itself, and event time is the default.

    EventTime and IngestionTime emit watermarks every 200 ms; with ProcessingTime there are none before the end.
    """

    ProcessingTime = 0
    IngestionTime = 1
    EventTime = 2
