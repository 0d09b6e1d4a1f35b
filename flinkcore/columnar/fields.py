# SPDX-License-Identifier: Apache-2.0
"""The fields of rows: from a list of tuples, Rows, dicts or objects to one list of values per field."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from flinkcore.columnar.row import Row


class ValueFault(Exception):
    """One value of a column is at fault: its position among the values, the value, and what was expected."""

    def __init__(self, position: int, value: object, reason: str) -> None:
        super().__init__(position, value, reason)
        self.position = position
        self.value = value
        self.reason = reason


def null_field(name: str) -> str:
    """What a typed tuple says to None (Flink: NullFieldException)."""
    return f"expected a value: field '{name}' is null, but a typed TUPLE holds no null; use Types.ROW"


def split_fields(rows: list[Any], names: list[str], is_tuple: bool) -> list[list[Any]]:
    """The values of rows, by field. ValueFault for a row that does not have these fields.

    is_tuple : rows are tuples, lists or Rows, read by position. Otherwise a Row with names, a dict and an
        object with attributes are read by name (what a dict or object lacks is None), the rest by position.
    """
    kinds = set(map(type, rows))
    if not kinds <= {tuple, list}:
        if kinds == {Row} and (is_tuple or all(row._names is None or row._names == names for row in rows)):
            rows = [row._values for row in rows]
        else:
            rows = [_fields_of(row, position, names, is_tuple) for position, row in enumerate(rows)]
    width = len(names)
    if set(map(len, rows)) - {width}:
        position = next(i for i, row in enumerate(rows) if len(row) != width)
        raise ValueFault(
            position,
            rows[position],
            f"expected {width} fields ({', '.join(names)}), not {len(rows[position])}",
        )
    return [list(map(operator.itemgetter(i), rows)) for i in range(width)]


def _fields_of(row: Any, position: int, names: list[str], is_tuple: bool) -> Sequence[Any]:
    if isinstance(row, Row):
        if is_tuple:
            return row._values
        try:
            return row.get_fields_by_names(names)
        except Exception as error:
            raise ValueFault(position, row, f"expected the fields {', '.join(names)}: {error}") from None
    if isinstance(row, (tuple, list)):
        return row
    if not is_tuple:
        if isinstance(row, dict):
            return [row.get(name) for name in names]
        if hasattr(row, "__dict__") and not isinstance(row, type):
            return [row.__dict__.get(name) for name in names]
    expected = "a tuple" if is_tuple else "a Row, tuple, list or dict"
    raise ValueFault(position, row, f"expected {expected} with the fields {', '.join(names)}")
