# SPDX-License-Identifier: Apache-2.0
"""ExternalizedCheckpointRetention (PyFlink: pyflink.datastream.externalized_checkpoint_retention)."""

from __future__ import annotations

from enum import Enum


class ExternalizedCheckpointRetention(Enum):
    """Whether checkpoints stay when a job is cancelled."""

    DELETE_ON_CANCELLATION = 0
    RETAIN_ON_CANCELLATION = 1
    NO_EXTERNALIZED_CHECKPOINTS = 2
