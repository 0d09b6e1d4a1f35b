# SPDX-License-Identifier: Apache-2.0
"""The data of the benchmarks: seeded, the same on every machine, kept as Arrow files once they are large.

Large tables are kept in FLINKCORE_BENCH_DATA, or in a folder `flinkcore-bench` of the system's temporary
folder; deleting it is always safe.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

VERSION = 1  # part of the file names: raise it when a table's content changes
KEEP_ROWS_MIN = 500_000  # smaller tables are made anew
SEED = 42
BASE_TIME_MS = 1_700_000_000_000
EVENT_TIME_MS = 100_000  # event time from the first to the last record
DISORDER_MS = 4_000  # a record is at most this late; the jobs' watermarks allow 5 s

Distribution = Literal["uniform", "zipf"]


def folder() -> Path:
    path = os.environ.get("FLINKCORE_BENCH_DATA")
    return Path(path) if path else Path(tempfile.gettempdir()) / "flinkcore-bench"


def kept(name: str, rows: int, make: Callable[[], pa.Table]) -> pa.Table:
    """The table of that name from its file, or made and, when large, written there."""
    if rows < KEEP_ROWS_MIN:
        return make()
    path = folder() / f"{name}-{rows}-v{VERSION}.arrow"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        table = make()
        partial = path.with_suffix(f".{os.getpid()}")
        with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        partial.rename(path)
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def key_positions(rows: int, keys: int, distribution: Distribution, seed: int = SEED) -> np.ndarray:
    """int64[rows] in [0, keys). "zipf": position p is drawn in proportion to 1 / (p + 1)."""
    random = np.random.default_rng(seed)
    if distribution == "uniform":
        return random.integers(0, keys, rows)
    cumulative = np.cumsum(1.0 / np.arange(1, keys + 1))
    return np.searchsorted(cumulative, random.random(rows) * cumulative[-1]).astype(np.int64)


def sparse(positions: np.ndarray) -> np.ndarray:
    """Distinct int64 values spread over the whole range, as account or device numbers are; same for same."""
    words = positions.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    words ^= words >> np.uint64(29)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    return words.view(np.int64)


def times_ms(rows: int, disorder_ms: int = DISORDER_MS, seed: int = SEED + 1) -> np.ndarray:
    """int64[rows], event times that rise over EVENT_TIME_MS, each up to disorder_ms behind its place."""
    steady = np.arange(rows) * EVENT_TIME_MS // max(rows, 1)
    if disorder_ms:
        steady -= np.random.default_rng(seed).integers(0, disorder_ms + 1, rows)
    return BASE_TIME_MS + np.maximum(steady, 0)


def events(rows: int, keys: int, distribution: Distribution = "uniform") -> pa.Table:
    """key: int64 (sparse), value: int64 in [0, 10000), date_time: timestamp[ms] out of order by up to 4 s."""

    def make() -> pa.Table:
        values = np.random.default_rng(SEED + 2).integers(0, 10_000, rows)
        return pa.table(
            {
                "key": sparse(key_positions(rows, keys, distribution)),
                "value": values,
                "date_time": pa.array(times_ms(rows)).view(pa.timestamp("ms")),
            }
        )

    return kept(f"events-{distribution}-{keys}", rows, make)


def urls(rows: int, keys: int, distribution: Distribution = "uniform") -> pa.Table:
    """url: string of 43 bytes, `keys` distinct ones."""

    def make() -> pa.Table:
        used, position = np.unique(key_positions(rows, keys, distribution), return_inverse=True)
        digits = np.char.mod("%014x", sparse(used).view(np.uint64) >> np.uint64(8))
        distinct = pc.binary_join_element_wise("https://www.example.com/item/", pa.array(digits), "")
        return pa.table({"url": distinct.take(pa.array(position))})

    return kept(f"urls-{distribution}-{keys}", rows, make)


def text_files(root: Path) -> Iterator[Path]:
    """Sources and notes under a folder, but for installed packages, in the order of their names."""
    for entry in sorted(root.iterdir()):
        if entry.is_dir() and entry.name != "site-packages":
            yield from text_files(entry)
        elif entry.suffix in (".py", ".txt", ".rst"):
            yield entry


def lines(rows: int) -> pa.Table:
    """line: string, real text: the standard library's own sources and notes, in the order of their names.

    Runs of white space are one space, so that a word is what lies between spaces for every engine. Which
    words there are depends on the Python installation; the text repeats when it is shorter than `rows`.
    """

    def make() -> pa.Table:
        found: list[str] = []
        for path in text_files(Path(sysconfig.get_paths()["stdlib"])):
            if len(found) >= rows:
                break
            text = path.read_text(encoding="utf-8", errors="ignore")
            found += [line for line in (" ".join(line.split()) for line in text.splitlines()) if line]
        text = pa.array(found[:rows], pa.string())
        repeats = -(-rows // len(text))
        return pa.table({"line": pa.chunked_array([text] * repeats).slice(0, rows).combine_chunks()})

    return kept(f"lines-python{sys.version_info.major}.{sys.version_info.minor}", rows, make)
