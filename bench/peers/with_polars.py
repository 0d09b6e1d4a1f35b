# SPDX-License-Identifier: Apache-2.0
"""The jobs in Polars: a DataFrame in memory, lazy queries. Polars is a batch engine: it sees all rows at once
and keeps no event time, so late data and watermarks do not exist for it."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pyarrow as pa

from bench.workloads import (
    SESSION_GAP_MS,
    SLIDE_MS,
    VALUE_MIN,
    WINDOW_MS,
    add_weighted,
    base,
    discounted,
    weighted_result,
)

ENGINE = "in-memory"  # with_polars_streaming runs the same queries on the other one


def version() -> str:
    return pl.__version__


def tumbling(frame: pl.LazyFrame) -> pl.LazyFrame:
    start = (pl.col("date_time").to_physical() // WINDOW_MS * WINDOW_MS).alias("window_start")
    value = pl.col("value")
    return frame.group_by("key", start).agg(
        pl.len().alias("count"), value.sum().alias("sum"), value.max().alias("max")
    )


def sliding(frame: pl.LazyFrame) -> pl.LazyFrame:
    pane = (pl.col("date_time").to_physical() // SLIDE_MS * SLIDE_MS).alias("window_start")
    panes = frame.group_by("key", pane).agg(pl.len().alias("count"))
    shifts = pl.LazyFrame({"shift": range(0, WINDOW_MS, SLIDE_MS)}, schema={"shift": pl.Int64})
    moved = panes.join(shifts, how="cross").with_columns(pl.col("window_start") - pl.col("shift"))
    return moved.group_by("key", "window_start").agg(pl.col("count").sum())


def running(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.group_by("key").agg(pl.col("value").sum().alias("sum"), pl.len().alias("count"))


def word_count(frame: pl.LazyFrame) -> pl.LazyFrame:
    words = frame.select(pl.col("line").str.split(" ").alias("word")).explode("word")
    return words.group_by("word").agg(pl.len().alias("count"))


def filtered(frame: pl.LazyFrame) -> pl.LazyFrame:
    kept = frame.filter(pl.col("value") >= VALUE_MIN)
    return kept.select("key", (pl.col("value") * 3 + 1).alias("amount"), "date_time")


def sessions(frame: pl.LazyFrame) -> pl.LazyFrame:
    key, time = pl.col("key"), pl.col("date_time").to_physical()
    new = (key != key.shift()) | (time - time.shift() > SESSION_GAP_MS)
    marked = (
        frame.select("key", time)
        .sort("key", "date_time")
        .with_columns(new.fill_null(True).cum_sum().alias("n"))
    )
    return marked.group_by("n").agg(
        key.first(),
        time.first().alias("window_start"),
        (time.last() + SESSION_GAP_MS).alias("window_end"),
        pl.len().alias("count"),
    )


def url_count(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.group_by("url").agg(pl.len().alias("count"))


def mapped(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select(
        "key", pl.col("value").map_elements(discounted, return_dtype=pl.Int64).alias("amount")
    )


def folded(values: pl.Series) -> dict[str, int]:
    accumulator = (0, 0, 0)
    for value in values:
        accumulator = add_weighted(accumulator, value)
    average, top = weighted_result(accumulator)
    return {"average": average, "top": top}


def weighted(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The values of each window as a list, which a Python function folds."""
    start = (pl.col("date_time").to_physical() // WINDOW_MS).alias("window_start")
    result = pl.Struct({"average": pl.Int64, "top": pl.Int64})
    listed = frame.group_by("key", start).agg("value")
    return listed.select(pl.col("value").map_elements(folded, return_dtype=result)).unnest("value")


QUERIES = {
    "W1": tumbling,
    "W2": sliding,
    "W3": running,
    "W4": word_count,
    "W5": filtered,
    "W6": sessions,
    "W8": url_count,
    "W9": mapped,
    "WA": weighted,
}


def prepare(
    job: str, table: pa.Table, threads: int, engine: str = ENGINE
) -> tuple[Callable[[], pl.DataFrame], Callable[[pl.DataFrame], pa.Table]]:
    if pl.thread_pool_size() != threads:
        raise RuntimeError(
            f"Polars has {pl.thread_pool_size()} threads, expected {threads}: set POLARS_MAX_THREADS"
        )
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    query = QUERIES[base(job)](frame.rechunk().lazy())

    def arrow(result: pl.DataFrame) -> pa.Table:
        return result.drop("n", strict=False).to_arrow()

    return lambda: query.collect(engine=engine), arrow  # type: ignore[call-overload]
