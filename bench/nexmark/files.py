# SPDX-License-Identifier: Apache-2.0
"""Events of the Nexmark generator as CSV files, for engines that read no memory of ours: a file for each subtask.

Imports flinkcore only to write them.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from bench import data

COLUMNS = {
    "bids": ("auction", "bidder", "price", "date_time", "extra"),
    "persons": ("id", "name", "date_time"),
    "auctions": ("seller", "date_time"),
}
TEXTS = ("name", "extra")
PART_EVENTS = 500_000


def streams_of(query: str) -> tuple[str, ...]:
    """The streams that a query reads."""
    return ("persons", "auctions") if query == "q8" else ("bids",)


def folder(stream: str, events: int, threads: int) -> Path:
    return data.folder() / f"nexmark-{stream}-{events}-{threads}"


def write_events(stream: str, events: int, threads: int) -> Path:
    """Writes the files of a stream when they are not there. -> their folder"""
    from flinkcore._native.nexmark import NexmarkGenerator

    path, names = folder(stream, events, threads), COLUMNS[stream]
    if path.exists():
        return path
    partial = path.with_name(path.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    options = pyarrow.csv.WriteOptions(include_header=False)
    generator = NexmarkGenerator()
    schema = pa.schema([(name, pa.string() if name in TEXTS else pa.int64()) for name in names])
    writers = [
        pyarrow.csv.CSVWriter(partial / f"{i}.csv", schema, write_options=options) for i in range(threads)
    ]
    for first in range(0, events, PART_EVENTS):
        count = min(PART_EVENTS, events - first)
        columns = [each.to_arrow() for each in generator.columns(stream, names, first, count)]
        columns = [column.cast(type) for column, type in zip(columns, schema.types)]
        table = pa.table(columns, schema=schema)
        for i, writer in enumerate(writers):
            writer.write_table(table.take(pa.array(range(i, table.num_rows, threads), pa.int64())))
    for writer in writers:
        writer.close()
    return partial.rename(path)
