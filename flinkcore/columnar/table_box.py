# SPDX-License-Identifier: Apache-2.0
"""TableBox: the box that TableResult.print draws around rows.

Source: Flink, TableauStyle. A column is as wide as its type needs, whatever it holds, so that a stream can be
printed as it comes; longer cells end in "...". Complete results (SHOW TABLES) are as wide as their cells.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.format import kind_texts
from flinkcore.columnar.java_text import Style, column_texts
from flinkcore.columnar.schema import Schema

NULL_TEXT = "<NULL>"
_CUT = "..."
#: table.display.max-column-width
WIDTH_MAX = 30


class TableBox:
    """Draws batches of one schema, line by line.

        for batch in batches:
            print(*box.lines(batch), sep="\\n")      # the head of the box comes with the first row
        print(*box.end(), sep="\\n")                 # "2 rows in set"; "Empty set" without a row

    with_kinds : a first column "op" with the row kinds, as in streaming mode
    by_data : column widths from the cells of all batches; all lines then come from end()
    """

    def __init__(
        self, schema: Schema, with_kinds: bool = True, width_max: int = WIDTH_MAX, by_data: bool = False
    ) -> None:
        self._names = (["op"] if with_kinds else []) + list(schema.names)
        self._with_kinds = with_kinds
        self._width_max = width_max
        self._by_data = by_data
        self._held: list[Sequence[str]] = []
        self._count = 0
        self._widths = [
            max(len(name), type_width(type, width_max)) for name, type in zip(schema.names, schema.types)
        ]
        if with_kinds:
            self._widths.insert(0, 2)

    def lines(self, batch: Batch) -> list[str]:
        """The lines of more rows."""
        cells = [column_texts(column, Style.CELL, NULL_TEXT) for column in batch.columns]
        if self._with_kinds:
            cells.insert(0, kind_texts(batch))
        rows = list(zip(*cells))
        is_first = self._count == 0 and bool(rows)
        self._count += len(rows)
        if self._by_data:
            self._held.extend(rows)
            return []
        return (self._head() if is_first else []) + [self._row(row) for row in rows]

    def end(self) -> list[str]:
        """The last lines: the bottom of the box and how many rows there were."""
        if self._count == 0:
            return ["Empty set"]
        body: list[str] = []
        if self._by_data:
            columns = zip(self._names, *self._held)
            self._widths = [min(max(map(display_width, column)), self._width_max) for column in columns]
            body = self._head() + [self._row(row) for row in self._held]
        return [*body, self._border(), f"{self._count} {'row' if self._count == 1 else 'rows'} in set"]

    def _head(self) -> list[str]:
        return [self._border(), self._row(self._names), self._border()]

    def _border(self) -> str:
        return "+" + "".join("-" * (width + 2) + "+" for width in self._widths)

    def _row(self, cells: Sequence[str]) -> str:
        return "|" + "".join(f" {_fit(cell, width)} |" for cell, width in zip(cells, self._widths))


def type_width(type: pa.DataType | None, width_max: int = WIDTH_MAX) -> int:
    """How wide a column of a type is, at least as wide as NULL_TEXT."""
    t = pa.types
    width = width_max
    if type is None:
        return width
    if t.is_integer(type):
        # digits and a sign; an unsigned number is the next wider type in Flink
        bits = type.bit_width * (1 if t.is_signed_integer(type) else 2)
        width = {8: 4, 16: 6, 32: 11}.get(bits, 20)
    elif t.is_decimal(type):
        width = type.precision + 2
    elif t.is_boolean(type):
        width = 5
    elif t.is_date(type):
        width = 10
    elif t.is_time(type):
        digits = _digits(type.unit)
        width = digits + 9 if digits else 8
    elif t.is_timestamp(type):
        digits = _digits(type.unit)
        width = 19 + (digits + 1 if digits else 0)
    return max(width, len(NULL_TEXT))


def _digits(unit: str) -> int:
    return {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]


def display_width(text: str) -> int:
    """Places that a text takes on a terminal, as Flink counts them: UTF-16 units, wide characters twice."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    units = 2 if ord(character) > 0xFFFF else 1
    return units + (unicodedata.east_asian_width(character) in "FW")


def _fit(cell: str, width: int) -> str:
    """A cell right-aligned to a width, cut when it is longer."""
    cell_width = display_width(cell)
    if cell_width <= width:
        return " " * (width - cell_width) + cell
    room = width - len(_CUT)
    kept = used = 0
    for character in cell:
        used += _character_width(character)
        if used > room:
            used -= _character_width(character)
            break
        kept += 1
    return " " * (room - used) + cell[:kept] + _CUT
