# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: barriers, what is written and where, which one to go back to, and what may be removed.

For users, to be imported from here:

    read_state, list_states             the state in a checkpoint or savepoint, as Arrow tables
    diff_states                         what changed between two of them
    SavepointWriter, write_savepoint    a savepoint made of Arrow tables
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flinkcore.checkpoint.bootstrap import SavepointWriter, write_savepoint
    from flinkcore.checkpoint.diff import diff_states
    from flinkcore.checkpoint.read import list_states, read_state

_HOMES = {
    "SavepointWriter": "bootstrap",
    "diff_states": "diff",
    "list_states": "read",
    "read_state": "read",
    "write_savepoint": "bootstrap",
}

__all__ = ["SavepointWriter", "diff_states", "list_states", "read_state", "write_savepoint"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"flinkcore.checkpoint.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'flinkcore.checkpoint' has no attribute '{name}'")
