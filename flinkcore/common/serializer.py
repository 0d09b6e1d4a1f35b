# SPDX-License-Identifier: Apache-2.0
"""TypeSerializer: how a window of one's own is written and read back (PyFlink: pyflink.common.serializer)."""

from __future__ import annotations

from flinkcore.state.serializer import TypeSerializer

__all__ = ["TypeSerializer"]
