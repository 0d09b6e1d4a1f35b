# SPDX-License-Identifier: Apache-2.0
"""Columns that are made when they are first read: few operators read all columns of a batch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from flinkcore._native.column import Column


class LazyColumn(Protocol):
    """A column to be. Immutable to those who use it; for any number of threads."""

    def made(self) -> Column:
        """The column."""

    def slice(self, offset: int, length: int) -> LazyColumn:
        """Rows [offset, offset + length), as lazy."""


class Gathered:
    """The rows of a column at some positions."""

    __slots__ = ("column", "rows")

    def __init__(self, column: Column | LazyColumn, rows: np.ndarray) -> None:
        self.column = column
        self.rows = rows

    def made(self) -> Column:
        return _made(self.column).take(self.rows)

    def slice(self, offset: int, length: int) -> Gathered:
        return Gathered(self.column, self.rows[offset : offset + length])


class Scattered:
    """A column whose rows have places, for several readers, of whom the first scatters it.

    If each gathered its own rows, all would read the whole column: the exchange of W1 to two subtasks took 14 ns a row
    that way, and takes 8.
    """

    __slots__ = ("_column", "_lock", "_places")

    def __init__(self, column: Column | LazyColumn, places: np.ndarray) -> None:
        self._column = column
        self._places: np.ndarray | None = places
        self._lock = threading.Lock()

    def made(self) -> Column:
        with self._lock:
            if self._places is not None:
                self._column = _made(self._column).scatter(self._places)
                self._places = None
        return _made(self._column)

    def slice(self, offset: int, length: int) -> Share:
        return Share(self, offset, length)


class Share:
    """A part of a column that others have parts of."""

    __slots__ = ("length", "offset", "whole")

    def __init__(self, whole: Scattered, offset: int, length: int) -> None:
        self.whole = whole
        self.offset = offset
        self.length = length

    def made(self) -> Column:
        return self.whole.made().slice(self.offset, self.length)

    def slice(self, offset: int, length: int) -> Share:
        return Share(self.whole, self.offset + offset, length)


def gathered(columns: Sequence[Column | LazyColumn], rows: np.ndarray) -> list[Column | LazyColumn]:
    """Each column at these positions; of one that waits to be gathered already, at its positions at these."""
    composed: dict[int, np.ndarray] = {}
    made: list[Column | LazyColumn] = []
    for column in columns:
        if isinstance(column, Gathered):
            if id(column.rows) not in composed:
                composed[id(column.rows)] = column.rows[rows]
            made.append(Gathered(column.column, composed[id(column.rows)]))
        else:
            made.append(Gathered(column, rows))
    return made


def scattered(columns: Sequence[Column | LazyColumn], places: np.ndarray) -> list[Column | LazyColumn]:
    """Each column with its row i at places[i]."""
    return [Scattered(column, places) for column in columns]


def _made(column: Column | LazyColumn) -> Column:
    return column if isinstance(column, Column) else column.made()
