# SPDX-License-Identifier: Apache-2.0
"""What the whole jobs compute: their input, their parameters, the right answer, and how answers are compared.

The right answers come from NumPy and pyarrow alone, so that no engine is its own judge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench import data

WINDOW_MS = 10_000
SLIDE_MS = 1_000
SESSION_GAP_MS = 5_000
OUT_OF_ORDERNESS_MS = 5_000
VALUE_MIN = 5_000  # W5 keeps about half of the rows
BASE = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Workload:
    """One job. `answer` computes the right result, with these columns, from the input."""

    name: str
    title: str
    rows_full: int
    columns: tuple[str, ...]  # of the answer; of a changelog the first one is the key
    table: Callable[[int], pa.Table]
    answer: Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class Checksum:
    """A table without its order: rows, and the sum over them of a hash that mixes their columns."""

    rows: int
    digest: int


def words_of(array: pa.Array) -> np.ndarray:
    """uint64[n] that tells values apart: numbers as they are, strings by length and a polynomial of bytes."""
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        return array.cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64)
    array = array.cast(pa.large_string())
    n = len(array)
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + n + 1]
    if n == 0 or offsets[-1] == offsets[0]:
        return np.zeros(n, np.uint64)
    text = np.frombuffer(array.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].astype(np.uint64)
    # sum of byte * BASE^position from the start of the data; BASE is odd, so it has an inverse mod 2^64
    powers = np.cumprod(np.full(len(text), BASE, np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(text * powers)])
    starts = (offsets - offsets[0]).astype(np.int64)
    inverse = np.cumprod(np.full(len(text) + 1, pow(BASE, -1, 2**64), np.uint64))
    return (sums[starts[1:]] - sums[starts[:-1]]) * inverse[starts[:-1]] + np.diff(starts).astype(np.uint64)


def checksum(table: pa.Table) -> Checksum:
    """The same for the same rows in any order and any chunks; integers of any width count by value."""
    mixed = np.zeros(table.num_rows, np.uint64)
    for name in sorted(table.column_names):
        column = table[name].combine_chunks()
        if column.null_count:
            raise ValueError(
                f"results of these jobs have no nulls, but column '{name}' has {column.null_count}"
            )
        mixed = (mixed ^ words_of(column)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0xD6E8FEB86659FD93)
    return Checksum(table.num_rows, int(mixed.sum()))


def milliseconds(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().view(pa.int64()).to_numpy()


def tumbling(table: pa.Table) -> pa.Table:
    starts = milliseconds(table["date_time"]) // WINDOW_MS * WINDOW_MS
    table = pa.table({"key": table["key"], "window_start": starts, "value": table["value"]})
    grouped = table.group_by(["key", "window_start"]).aggregate(
        [("value", "count"), ("value", "sum"), ("value", "max")]
    )
    return grouped.rename_columns(["key", "window_start", "count", "sum", "max"])


def sliding(table: pa.Table) -> pa.Table:
    panes = pa.table(
        {
            "key": table["key"],
            "window_start": milliseconds(table["date_time"]) // SLIDE_MS * SLIDE_MS,
            "count": np.ones(table.num_rows, np.int64),
        }
    )
    panes = count_by(panes, ["key", "window_start"])
    starts = panes["window_start"].to_numpy()
    shifted = [
        panes.set_column(panes.column_names.index("window_start"), "window_start", pa.array(starts - shift))
        for shift in range(0, WINDOW_MS, SLIDE_MS)
    ]
    return count_by(pa.concat_tables(shifted), ["key", "window_start"])


def count_by(table: pa.Table, keys: list[str]) -> pa.Table:
    return table.group_by(keys).aggregate([("count", "sum")]).rename_columns([*keys, "count"])


def running(table: pa.Table) -> pa.Table:
    """The last value of each key's running aggregate."""
    grouped = table.group_by("key").aggregate([("value", "sum"), ("value", "count")])
    return grouped.rename_columns(["key", "sum", "count"])


def word_count(table: pa.Table) -> pa.Table:
    words = pc.list_flatten(pc.split_pattern(table["line"], " "))
    words = pa.table({"word": words, "count": np.ones(len(words), np.int64)})
    return count_by(words, ["word"])


def filtered(table: pa.Table) -> pa.Table:
    kept = table.filter(pc.greater_equal(table["value"], VALUE_MIN))
    amount = pc.add(pc.multiply(kept["value"], 3), 1)
    return pa.table({"key": kept["key"], "amount": amount, "date_time": kept["date_time"]})


def discounted(value: int) -> int:
    """The Python function of W9, the same for every engine: arithmetic and a conditional."""
    return value - value // 10 if value >= VALUE_MIN else value * 3 + 1


WEIGHTS = 7  # a value counts 1 to 7 times, by its remainder
Weighted = tuple[int, int, int]  # the accumulator of WA: weights, weighted sum, highest value


def add_weighted(accumulator: Weighted, value: int) -> Weighted:
    weights, total, top = accumulator
    weight = value % WEIGHTS + 1
    return weights + weight, total + weight * value, max(top, value)


def merge_weighted(a: Weighted, b: Weighted) -> Weighted:
    return a[0] + b[0], a[1] + b[1], max(a[2], b[2])


def weighted_result(accumulator: Weighted) -> tuple[int, int]:
    """The weighted average, rounded down, and the highest value."""
    weights, total, top = accumulator
    return total // weights, top


def weighted(table: pa.Table) -> pa.Table:
    value = table["value"].to_numpy()
    weight = value % WEIGHTS + 1
    starts = milliseconds(table["date_time"]) // WINDOW_MS
    columns = {"key": table["key"], "start": starts, "weight": weight, "total": weight * value, "top": value}
    grouped = pa.table(columns).group_by(["key", "start"])
    found = grouped.aggregate([("weight", "sum"), ("total", "sum"), ("top", "max")])
    average = pc.divide(found["total_sum"], found["weight_sum"])
    return pa.table({"average": average, "top": found["top_max"]})


def mapped(table: pa.Table) -> pa.Table:
    value = table["value"].to_numpy()
    amount = np.where(value >= VALUE_MIN, value - value // 10, value * 3 + 1)
    return pa.table({"key": table["key"], "amount": amount})


def sessions(table: pa.Table) -> pa.Table:
    keys, times = table["key"].to_numpy(), milliseconds(table["date_time"])
    order = np.lexsort((times, keys))
    keys, times = keys[order], times[order]
    # windows [t, t + gap) that meet are one session (Flink: TimeWindow.intersects includes touching)
    first = np.ones(len(keys), bool)
    first[1:] = (keys[1:] != keys[:-1]) | (times[1:] - times[:-1] > SESSION_GAP_MS)
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(keys))
    return pa.table(
        {
            "key": keys[starts],
            "window_start": times[starts],
            "window_end": times[ends - 1] + SESSION_GAP_MS,
            "count": ends - starts,
        }
    )


def url_count(table: pa.Table) -> pa.Table:
    return table.group_by("url").aggregate([("url", "count")]).rename_columns(["url", "count"])


def events_of(keys: int) -> Callable[[int], pa.Table]:
    return lambda rows: data.events(rows, keys)


def urls_of(keys: int) -> Callable[[int], pa.Table]:
    return lambda rows: data.urls(rows, keys)


WINDOW = ("key", "window_start", "count")

WORKLOADS = {
    name: Workload(name, title, rows_full, columns, table, answer)
    for name, title, rows_full, columns, table, answer in [
        ("W1", "keyed 10 s tumbling count, sum, max; 1e5 keys; watermarks 5 s behind", 10_000_000,
         (*WINDOW, "sum", "max"), events_of(100_000), tumbling),
        ("W2", "keyed 10 s / 1 s sliding count; 1e5 keys; watermarks 5 s behind", 10_000_000,
         WINDOW, events_of(100_000), sliding),
        ("W3", "running sum and count; 1e6 keys", 10_000_000,
         ("key", "sum", "count"), events_of(1_000_000), running),
        ("W4", "word count on real text; rows are lines", 2_000_000,
         ("word", "count"), data.lines, word_count),
        ("W5", "filter and project", 10_000_000,
         ("key", "amount", "date_time"), events_of(100_000), filtered),
        ("W6", "sessions with a gap of 5 s; 1e6 keys; watermarks 5 s behind", 10_000_000,
         ("key", "window_start", "window_end", "count"), events_of(1_000_000), sessions),
        ("W8", "count by url; 1e6 distinct urls of 43 bytes", 10_000_000,
         ("url", "count"), urls_of(1_000_000), url_count),
        ("W9", "a Python function for each record: arithmetic and a conditional", 10_000_000,
         ("key", "amount"), events_of(100_000), mapped),
        ("WA", "a custom accumulator in Python in keyed 10 s tumbling windows; 1e5 keys", 10_000_000,
         ("average", "top"), events_of(100_000), weighted),
    ]
}  # fmt: skip


def base(job: str) -> str:
    """W3 of W3.record: variants of a job have one answer."""
    return job.split(".")[0]
