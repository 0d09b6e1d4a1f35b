# SPDX-License-Identifier: Apache-2.0
"""Side outputs (PyFlink: pyflink.datastream.output_tag)."""

from __future__ import annotations

from flinkcore.operators.output_tag import OutputTag

__all__ = ["OutputTag"]
