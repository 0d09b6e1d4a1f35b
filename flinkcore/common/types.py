# SPDX-License-Identifier: Apache-2.0
"""Row and RowKind."""

from __future__ import annotations

from flinkcore.columnar.row import Row, RowKind

__all__ = ["Row", "RowKind"]
