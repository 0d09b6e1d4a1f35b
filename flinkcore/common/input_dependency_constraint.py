# SPDX-License-Identifier: Apache-2.0
"""InputDependencyConstraint: when a task may start. Here all tasks of a job start together."""

from __future__ import annotations

from enum import Enum

__all__ = ["InputDependencyConstraint"]


class InputDependencyConstraint(Enum):
    """ANY : any input has data;  ALL : every input has data."""

    ANY = 0
    ALL = 1
