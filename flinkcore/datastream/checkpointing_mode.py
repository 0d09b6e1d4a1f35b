# SPDX-License-Identifier: Apache-2.0
"""CheckpointingMode (PyFlink: pyflink.datastream.checkpointing_mode)."""

from __future__ import annotations

from enum import Enum


class CheckpointingMode(Enum):
    """What a restored job promises: each record counted once, or at least once."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
