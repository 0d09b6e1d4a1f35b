# SPDX-License-Identifier: Apache-2.0
"""What users get to test their jobs: a harness for one operator, a simulation of a whole job, a manual clock."""

from __future__ import annotations

from flinkcore.testing.harness import Harness, Snapshot, harness
from flinkcore.testing.simulation import simulate
from flinkcore.time.clock import ManualClock

__all__ = ["Harness", "ManualClock", "Snapshot", "harness", "simulate"]
