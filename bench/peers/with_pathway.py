# SPDX-License-Identifier: Apache-2.0
"""The jobs in Pathway, one worker.

The input is a CSV file that its own reader reads, as a static table: all of it is one mini-batch, so nothing is late.
Results go through its writer to a file, which is what is checked.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pathway as pw
import pyarrow as pa
import pyarrow.csv
from pathway.internals.parse_graph import G

from bench.workloads import SESSION_GAP_MS, WINDOW_MS, base, discounted


def version() -> str:
    return str(pw.__version__)


class Event(pw.Schema):
    key: int
    value: int
    ts: int


def tumbling(events: pw.Table) -> pw.Table:
    windows = pw.temporal.tumbling(duration=WINDOW_MS)
    return events.windowby(pw.this.ts, window=windows, instance=pw.this.key).reduce(
        key=pw.this._pw_instance,
        window_start=pw.this._pw_window_start,
        count=pw.reducers.count(),
        sum=pw.reducers.sum(pw.this.value),
        max=pw.reducers.max(pw.this.value),
    )


def sessions(events: pw.Table) -> pw.Table:
    windows = pw.temporal.session(max_gap=SESSION_GAP_MS + 1)  # theirs parts at the gap, Flink's beyond it
    return events.windowby(pw.this.ts, window=windows, instance=pw.this.key).reduce(
        key=pw.this._pw_instance,
        window_start=pw.this._pw_window_start,
        window_end=pw.this._pw_window_end + SESSION_GAP_MS,
        count=pw.reducers.count(),
    )


def running(events: pw.Table) -> pw.Table:
    return events.groupby(pw.this.key).reduce(
        pw.this.key, sum=pw.reducers.sum(pw.this.value), count=pw.reducers.count()
    )


def mapped(events: pw.Table) -> pw.Table:
    return events.select(pw.this.key, amount=pw.apply_with_type(discounted, int, pw.this.value))


QUERIES = {"W1": tumbling, "W3": running, "W6": sessions, "W9": mapped}


def prepare(job: str, table: pa.Table, threads: int) -> tuple[Callable[[], Path], Callable[[Path], pa.Table]]:
    if threads != 1:
        raise ValueError("Pathway takes its number of workers from the command line; this runs one")
    root = Path(tempfile.mkdtemp(prefix="flinkcore-bench-"))
    roots.append(root)
    columns = table.set_column(2, "ts", table["date_time"].cast(pa.int64()))
    pyarrow.csv.write_csv(columns, root / "events.csv")

    def run() -> Path:
        G.clear()  # of the run before
        events = pw.io.csv.read(str(root / "events.csv"), schema=Event, mode="static")
        pw.io.csv.write(QUERIES[base(job)](events), str(root / "results.csv"))
        pw.run(monitoring_level=pw.MonitoringLevel.NONE)
        return root / "results.csv"

    return run, arrow


def arrow(path: Path) -> pa.Table:
    table = pyarrow.csv.read_csv(path)
    if "diff" in table.column_names and set(table["diff"].to_pylist()) - {1}:
        raise ValueError("a static table gave a changelog with retractions")
    return table.drop_columns(["time", "diff"])


roots: list[Path] = []


def close() -> None:
    for root in roots:
        shutil.rmtree(root, ignore_errors=True)
