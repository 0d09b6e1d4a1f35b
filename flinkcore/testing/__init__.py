# SPDX-License-Identifier: Apache-2.0
"""What users get to test their jobs: a harness for one operator or function, with a manual clock."""

from __future__ import annotations

from flinkcore.testing.harness import Harness, harness
from flinkcore.time.clock import ManualClock

__all__ = ["Harness", "ManualClock", "harness"]
