# SPDX-License-Identifier: Apache-2.0
"""The queries in Flink SQL, with the columns and results of bench.nexmark.queries.

Timed runs write to the blackhole sink; the check runs the query once more into files.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bench.nexmark.files import folder
from bench.peers.with_pyflink import create_sink, environment, read_results, run_insert, version

__all__ = ["run", "totals", "version"]

QUERIES = {
    "q0": "SELECT auction, bidder, price, date_time, extra FROM bid",
    "q1": "SELECT auction, bidder, 0.908e0 * price AS price, date_time, extra FROM bid",
    "q2": "SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0",
    "q5": """SELECT MAX(num) AS num, COUNT(*) AS auctions FROM (
                 SELECT auction, window_start, window_end, COUNT(*) AS num
                 FROM TABLE(HOP(TABLE bid, DESCRIPTOR(rowtime), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
                 GROUP BY auction, window_start, window_end)
             GROUP BY window_start, window_end""",
    "q7": """SELECT MAX(price) AS price FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(rowtime), INTERVAL '10' SECOND))
             GROUP BY window_start, window_end""",
    "q11": """SELECT bidder, COUNT(*) AS bid_count FROM
                 TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(rowtime), INTERVAL '10' SECOND))
              GROUP BY bidder, window_start, window_end""",
}
COLUMNS = {
    "q0": "auction BIGINT, bidder BIGINT, price BIGINT, date_time BIGINT, extra STRING",
    "q1": "auction BIGINT, bidder BIGINT, price DOUBLE, date_time BIGINT, extra STRING",
    "q2": "auction BIGINT, price BIGINT",
    "q5": "num BIGINT, auctions BIGINT",
    "q7": "price BIGINT",
    "q11": "bidder BIGINT, bid_count BIGINT",
}


@dataclass(frozen=True)
class Ran:
    """totals : None, the timed run keeps nothing"""

    seconds: float
    totals: None = None


def insert(query: str, events: int, threads: int, options: str) -> float:
    """Runs a query into a sink. -> seconds, Flink's net run time"""
    tables = environment(threads)
    tables.execute_sql(f"""
        CREATE TABLE bid (
            auction BIGINT, bidder BIGINT, price BIGINT, date_time BIGINT, extra STRING,
            rowtime AS TO_TIMESTAMP_LTZ(date_time, 3), WATERMARK FOR rowtime AS rowtime - INTERVAL '4' SECOND
        ) WITH ('connector' = 'filesystem', 'path' = '{folder(events, threads).as_uri()}', 'format' = 'csv')""")
    create_sink(tables, COLUMNS[query], options)
    return run_insert(tables.sql_query(QUERIES[query]))


def run(query: str, events: int, threads: int) -> Ran:
    return Ran(insert(query, events, threads, "'connector' = 'blackhole'"))


def totals(query: str, events: int, threads: int) -> dict[str, float]:
    """Rows of the result, and the sum of each column, of text its bytes."""
    with tempfile.TemporaryDirectory() as kept:
        insert(
            query,
            events,
            threads,
            f"'connector' = 'filesystem', 'path' = '{Path(kept).as_uri()}', 'format' = 'csv'",
        )
        table = read_results(Path(kept), COLUMNS[query])
    found: dict[str, float] = {"rows": table.num_rows}
    for name in table.column_names:
        column = table[name]
        found[name] = pc.sum(pc.binary_length(column) if column.type == pa.string() else column).as_py()
    return found
