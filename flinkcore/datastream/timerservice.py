# SPDX-License-Identifier: Apache-2.0
"""Time and timers of a process function (PyFlink: pyflink.datastream.timerservice)."""

from __future__ import annotations

from flinkcore.operators.functions import TimerService

__all__ = ["TimerService"]
