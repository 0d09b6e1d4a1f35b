# SPDX-License-Identifier: Apache-2.0
"""The bids of the Nexmark generator as CSV files, for engines that read no memory of ours: a file for each subtask.

Imports flinkcore only to write them.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from bench import data

COLUMNS = ("auction", "bidder", "price", "date_time", "extra")
PART_EVENTS = 500_000


def folder(events: int, threads: int) -> Path:
    return data.folder() / f"nexmark-bids-{events}-{threads}"


def write_events(events: int, threads: int) -> Path:
    """Writes the files when they are not there. -> their folder"""
    from flinkcore._native.nexmark import NexmarkGenerator

    path = folder(events, threads)
    if path.exists():
        return path
    partial = path.with_name(path.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    options = pyarrow.csv.WriteOptions(include_header=False)
    generator = NexmarkGenerator()
    schema = pa.schema([(name, pa.string() if name == "extra" else pa.int64()) for name in COLUMNS])
    writers = [
        pyarrow.csv.CSVWriter(partial / f"{i}.csv", schema, write_options=options) for i in range(threads)
    ]
    for first in range(0, events, PART_EVENTS):
        count = min(PART_EVENTS, events - first)
        columns = [each.to_arrow() for each in generator.columns("bids", COLUMNS, first, count)]
        columns[3] = columns[3].cast(pa.int64())
        table = pa.table(columns, schema=schema)
        for i, writer in enumerate(writers):
            writer.write_table(table.take(pa.array(range(i, table.num_rows, threads), pa.int64())))
    for writer in writers:
        writer.close()
    return partial.rename(path)
