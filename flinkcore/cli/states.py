# SPDX-License-Identifier: Apache-2.0
"""`flinkcore checkpoint read` and `diff`: the rows of states, as text or into a file."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pyarrow as pa

from flinkcore.cli.text import instant, table
from flinkcore.errors import ConfigurationError, ConnectorError, FlinkcoreError

_CHARS_MAX = 60


def read(path: str, operator: str, state: str, limit: int | None, output: str | None) -> int:
    """Prints a state, or writes it to a file. -> the exit code"""
    from flinkcore.checkpoint.read import read_state

    try:
        if output is not None:
            _check_output(output)
        rows = read_state(path, operator, state)
        if limit is not None:
            rows = rows.slice(0, limit)
        if output is not None:
            _write(rows, output)
            return 0
    except FlinkcoreError as error:
        return _failed(error, 1)
    print(as_text(rows))
    return 0


def diff(before: str, after: str, operator: str | None, state: str | None) -> int:
    """Prints what is different. -> the exit code: 0 nothing, 1 something, 2 it cannot be said"""
    from flinkcore.checkpoint.diff import diff_rows, diff_states

    try:
        if operator is None or state is None:
            found = diff_states(before, after, operator)
        else:
            found = diff_rows(before, after, operator, state)
    except FlinkcoreError as error:
        return _failed(error, 2)
    if found.num_rows:
        print(as_text(found))
    return 1 if found.num_rows else 0


def as_text(rows: pa.Table) -> str:
    """A table with a line per row."""
    cells = [[_cell(value, column.type) for value in column] for column in rows.columns]
    return table([tuple(name.upper() for name in rows.column_names), *zip(*cells)])


def _cell(value: pa.Scalar, type: pa.DataType) -> str:
    if not value.is_valid:
        return "null"
    if pa.types.is_timestamp(type) and type.unit == "ms" and type.tz is None:
        return instant_of(value.cast(pa.int64()).as_py())
    try:
        text = _text(value.as_py())
    except (ValueError, OverflowError):  # a point in time that Python has not
        text = str(value.cast(pa.int64()).as_py()) if pa.types.is_temporal(type) else repr(value)
    return text if len(text) <= _CHARS_MAX else text[: _CHARS_MAX - 3] + "..."


def instant_of(ms: int) -> str:
    """A date and a time; bare milliseconds where the calendar does not reach."""
    text = instant(ms)
    if text.endswith(" ms") and abs(ms) < 86_400_000:
        return str(pa.scalar(ms, pa.timestamp("ms")).as_py().isoformat(" ", "milliseconds"))
    return text


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"0x{value[:_CHARS_MAX].hex()}"
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=_text, ensure_ascii=False)
    return str(value)


def _check_output(output: str) -> None:
    """What can be said before anything is read. ConfigurationError: the name of the file says no format, or it has no
    folder to be in"""
    if not output.endswith((".parquet", ".csv", ".arrow")):
        raise ConfigurationError(f"--output '{output}': expected a name that ends in .parquet, .csv or .arrow")
    folder = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(folder):
        what = "is a file" if os.path.exists(folder) else "does not exist"
        raise ConfigurationError(f"--output '{output}': expected a file in a folder that is there, but '{folder}' "
                                 f"{what}; make the folder first, or give another file")


def _write(rows: pa.Table, output: str) -> None:
    """Writes a file in the format that its name says. ConnectorError: it cannot be written"""
    try:
        if output.endswith(".parquet"):
            import pyarrow.parquet as pq

            pq.write_table(rows, output)
        elif output.endswith(".csv"):
            import pyarrow.csv

            pyarrow.csv.write_csv(_flat(rows), output)
        else:
            with pa.OSFile(output, "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
                writer.write_table(rows)
    except OSError as error:
        text = os.strerror(error.errno) if error.errno else str(error)
        raise ConnectorError(f"--output '{output}' cannot be written: {text}; check that this user may write there and "
                             "that the disk has room, or give another file") from error
    except pa.ArrowException as error:
        raise ConnectorError(f"--output '{output}' cannot be written: the format cannot hold the state's columns: "
                             f"{error}; give a name that ends in .arrow, which holds all") from error


def _flat(rows: pa.Table) -> pa.Table:
    """Lists, maps and rows, which CSV has not, as JSON; bytes in hexadecimal."""
    columns = [
        pa.array([None if value is None else _text(value) for value in column.to_pylist()], pa.string())
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type)
        else column
        for column in rows.columns
    ]
    return pa.table(columns, rows.column_names)


def _failed(error: BaseException, code: int) -> int:
    sys.stderr.write(f"{type(error).__name__}: {error}\n")
    return code
