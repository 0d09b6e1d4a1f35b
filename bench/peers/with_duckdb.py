# SPDX-License-Identifier: Apache-2.0
"""The jobs in DuckDB, on a table of its own in memory. DuckDB is a batch engine: it sees all rows at once and
keeps no event time, so late data and watermarks do not exist for it."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
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

# DuckDB 2.0.1 cannot give epoch_ms of a TIMESTAMP_MS back ("cast INT64 -> INT64"), so it is cast first.
QUERIES = {
    "W1": f"""SELECT key, epoch_ms(date_time::TIMESTAMP) // {WINDOW_MS} * {WINDOW_MS} AS window_start,
                     count(*) AS count, sum(value)::BIGINT AS sum, max(value) AS max
              FROM input GROUP BY ALL""",
    "W2": f"""WITH panes AS (SELECT key, epoch_ms(date_time::TIMESTAMP) // {SLIDE_MS} * {SLIDE_MS} AS pane,
                                    count(*) AS n FROM input GROUP BY ALL)
              SELECT key, pane - shift AS window_start, sum(n)::BIGINT AS count
              FROM panes, range(0, {WINDOW_MS}, {SLIDE_MS}) AS shifts(shift) GROUP BY ALL""",
    "W3": "SELECT key, sum(value)::BIGINT AS sum, count(*) AS count FROM input GROUP BY key",
    "W4": """SELECT word, count(*) AS count FROM (SELECT unnest(string_split(line, ' ')) AS word FROM input)
             GROUP BY word""",
    "W5": f"SELECT key, value * 3 + 1 AS amount, date_time FROM input WHERE value >= {VALUE_MIN}",
    "W6": f"""WITH times AS (SELECT key, epoch_ms(date_time::TIMESTAMP) AS ts FROM input),
                   marked AS (SELECT key, ts, ts - lag(ts) OVER w > {SESSION_GAP_MS} AS new FROM times
                              WINDOW w AS (PARTITION BY key ORDER BY ts)),
                   numbered AS (SELECT key, ts, count(*) FILTER (new) OVER w AS n FROM marked
                                WINDOW w AS (PARTITION BY key ORDER BY ts ROWS UNBOUNDED PRECEDING))
              SELECT key, min(ts) AS window_start, max(ts) + {SESSION_GAP_MS} AS window_end, count(*) AS count
              FROM numbered GROUP BY key, n""",
    "W8": "SELECT url, count(*) AS count FROM input GROUP BY url",
    "W9": "SELECT key, discounted(value) AS amount FROM input",
    "WA": f"""WITH folded AS (SELECT folded(list(value)) AS f FROM input
                              GROUP BY key, epoch_ms(date_time::TIMESTAMP) // {WINDOW_MS})
              SELECT f.average AS average, f.top AS top FROM folded""",
}


def folded(values: list[int]) -> dict[str, int]:
    """DuckDB has no aggregates in Python: a function of the list of a window's values."""
    accumulator = (0, 0, 0)
    for value in values:
        accumulator = add_weighted(accumulator, value)
    average, top = weighted_result(accumulator)
    return {"average": average, "top": top}


def version() -> str:
    return duckdb.__version__


def prepare(
    job: str, table: pa.Table, threads: int, on_arrow: bool = False
) -> tuple[Callable[[], pa.Table], Callable[[pa.Table], pa.Table]]:
    connection = duckdb.connect(config={"threads": threads, "preserve_insertion_order": False})
    if base(job) == "W9":
        connection.create_function("discounted", discounted, ["BIGINT"], "BIGINT")
    if base(job) == "WA":
        connection.create_function("folded", folded, ["BIGINT[]"], "STRUCT(average BIGINT, top BIGINT)")
    connection.register("arrow_input" if not on_arrow else "input", table)
    if not on_arrow:
        connection.execute("CREATE TABLE input AS SELECT * FROM arrow_input")

    def arrow(result: pa.Table) -> pa.Table:
        times = result.schema.get_field_index("date_time")  # DuckDB may hand microseconds back
        return (
            result
            if times < 0
            else result.set_column(times, "date_time", result["date_time"].cast("timestamp[ms]"))
        )

    return lambda: connection.sql(QUERIES[base(job)]).to_arrow_table(), arrow
