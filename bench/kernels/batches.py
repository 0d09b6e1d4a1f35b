# SPDX-License-Identifier: Apache-2.0
"""Columns cut into batches of the engine's size."""

from __future__ import annotations

from collections.abc import Sequence

from flinkcore._native.column import Column

BATCH_ROWS = 131_072


def batches_of(columns: Sequence[Column]) -> list[list[Column]]:
    rows = len(columns[0])
    return [
        [column.slice(start, min(BATCH_ROWS, rows - start)) for column in columns]
        for start in range(0, rows, BATCH_ROWS)
    ]


def bytes_of(columns: Sequence[Column]) -> int:
    return sum(column.to_arrow().nbytes for column in columns)
