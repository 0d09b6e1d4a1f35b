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

from bench.nexmark.files import COLUMNS as STREAM_COLUMNS
from bench.nexmark.files import TEXTS, folder, streams_of
from bench.peers.with_pyflink import create_sink, environment, read_results, run_insert, version

__all__ = ["run", "totals", "version"]

# Since the epoch; times of windows are those of the session's time zone, which is UTC here.
MILLISECONDS = "1000 * CAST(TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', {}) AS BIGINT)"
QUERIES = {
    "q0": "SELECT auction, bidder, price, date_time, extra FROM bids",
    "q1": "SELECT auction, bidder, 0.908e0 * price AS price, date_time, extra FROM bids",
    "q2": "SELECT auction, price FROM bids WHERE MOD(auction, 123) = 0",
    "q5": """SELECT c.auction, c.num, {start} AS starttime, {end} AS endtime
             FROM ({counted}) c JOIN (
                 SELECT MAX(num) AS most, window_start, window_end FROM ({counted}) GROUP BY window_start, window_end) m
             ON c.num = m.most AND c.window_start = m.window_start AND c.window_end = m.window_end""".format(
        start=MILLISECONDS.format("c.window_start"),
        end=MILLISECONDS.format("c.window_end"),
        counted="""SELECT auction, window_start, window_end, COUNT(*) AS num
                   FROM TABLE(HOP(TABLE bids, DESCRIPTOR(rowtime), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
                   GROUP BY auction, window_start, window_end"""
    ),
    "q7": """SELECT b.auction, b.price, b.bidder, b.date_time, b.extra
             FROM (SELECT * FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(rowtime), INTERVAL '10' SECOND))) b JOIN (
                 SELECT MAX(price) AS highest, window_start, window_end
                 FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(rowtime), INTERVAL '10' SECOND))
                 GROUP BY window_start, window_end) m
             ON b.price = m.highest AND b.window_start = m.window_start AND b.window_end = m.window_end""",
    "q8": f"""SELECT p.id, p.name, {MILLISECONDS.format("p.window_start")} AS window_start FROM (
                 SELECT id, name, window_start, window_end
                 FROM TABLE(TUMBLE(TABLE persons, DESCRIPTOR(rowtime), INTERVAL '10' SECOND))
                 GROUP BY id, name, window_start, window_end) p JOIN (
                 SELECT seller, window_start, window_end
                 FROM TABLE(TUMBLE(TABLE auctions, DESCRIPTOR(rowtime), INTERVAL '10' SECOND))
                 GROUP BY seller, window_start, window_end) a
             ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end""",
    "q11": """SELECT bidder, COUNT(*) AS bid_count FROM
                 TABLE(SESSION(TABLE bids PARTITION BY bidder, DESCRIPTOR(rowtime), INTERVAL '10' SECOND))
              GROUP BY bidder, window_start, window_end""",
}
COLUMNS = {
    "q0": "auction BIGINT, bidder BIGINT, price BIGINT, date_time BIGINT, extra STRING",
    "q1": "auction BIGINT, bidder BIGINT, price DOUBLE, date_time BIGINT, extra STRING",
    "q2": "auction BIGINT, price BIGINT",
    "q5": "auction BIGINT, num BIGINT, starttime BIGINT, endtime BIGINT",
    "q7": "auction BIGINT, price BIGINT, bidder BIGINT, date_time BIGINT, extra STRING",
    "q8": "id BIGINT, name STRING, window_start BIGINT",
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
    tables.get_config().set_local_timezone("UTC")
    for stream in streams_of(query):
        columns = ", ".join(f"{name} {'STRING' if name in TEXTS else 'BIGINT'}" for name in STREAM_COLUMNS[stream])
        tables.execute_sql(f"""
            CREATE TABLE {stream} (
                {columns},
                rowtime AS TO_TIMESTAMP_LTZ(date_time, 3), WATERMARK FOR rowtime AS rowtime - INTERVAL '4' SECOND
            ) WITH ('connector' = 'filesystem', 'path' = '{folder(stream, events, threads).as_uri()}',
                    'format' = 'csv')""")
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
