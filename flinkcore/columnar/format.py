# SPDX-License-Identifier: Apache-2.0
"""Records as lines of text, a batch at a time: DataStream.print, the print connector, text files.

The forms are PyFlink's, recorded in tests/golden/print.
"""

from __future__ import annotations

from collections.abc import Iterable

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.decode import to_pylist
from flinkcore.columnar.java_text import Style, column_texts
from flinkcore.columnar.row import ROW_KIND_TEXTS
from flinkcore.errors import SchemaError


def print_lines(batch: Batch) -> list[str]:
    """What DataStream.print writes for each record.

    Rows: +I[a,b] without a blank, values as Python prints them (True, None, 1e-05). Tuples and bare values:
    as Java prints them (true, null, 1.0E-5). Untyped records: str(record); SchemaError for bytes, on which
    PyFlink fails too.
    """
    form = batch.schema.form
    if form == "object":
        records = batch.column(0).to_pylist()
        if bytes in set(map(type, records)):
            raise SchemaError(
                "an untyped stream of bytes cannot be printed; give the function before print "
                "output_type=Types.PRIMITIVE_ARRAY(Types.BYTE()), or decode the bytes"
            )
        return list(map(str, records))
    if form == "row":
        texts = [map(str, to_pylist(column)) for column in batch.columns]
        return _bracketed(batch, map(",".join, zip(*texts)) if texts else [""] * batch.num_rows)
    return java_lines(batch)


def java_lines(batch: Batch) -> list[str]:
    """Records as Java's toString: what Encoder.simple_string_encoder writes. Rows are +I[a, b]."""
    form = batch.schema.form
    if form == "object":
        return list(map(str, batch.column(0).to_pylist()))
    texts = [column_texts(column, Style.JAVA) for column in batch.columns]
    if form == "value":
        return texts[0]
    if form == "row":
        return _bracketed(batch, map(", ".join, zip(*texts)) if texts else [""] * batch.num_rows)
    return ["(" + ",".join(fields) + ")" for fields in zip(*texts)] if texts else ["()"] * batch.num_rows


def changelog_lines(batch: Batch) -> list[str]:
    """What the print connector of tables writes: +I[a, b], null, java.time's dates and times."""
    texts = [column_texts(column, Style.TABLE) for column in batch.columns]
    return _bracketed(batch, map(", ".join, zip(*texts)) if texts else [""] * batch.num_rows)


def kind_texts(batch: Batch) -> list[str]:
    """+I, -U, +U or -D of each record."""
    if batch.row_kinds is None:
        return ["+I"] * batch.num_rows
    return [ROW_KIND_TEXTS[kind] for kind in batch.row_kinds.tolist()]


def _bracketed(batch: Batch, bodies: Iterable[str]) -> list[str]:
    if batch.row_kinds is None:
        return [f"+I[{body}]" for body in bodies]
    return [f"{kind}[{body}]" for kind, body in zip(kind_texts(batch), bodies)]
