# SPDX-License-Identifier: Apache-2.0
"""RuntimeExecutionMode (PyFlink: pyflink.datastream.execution_mode)."""

from __future__ import annotations

from enum import Enum


class RuntimeExecutionMode(Enum):
    """How a program runs.

    STREAMING : results are updated as records come
    BATCH : the input is bounded and only final results are wanted
    AUTOMATIC : BATCH when all sources are bounded; taken as STREAMING here, whose final results are the same
    """

    STREAMING = 0
    BATCH = 1
    AUTOMATIC = 2
