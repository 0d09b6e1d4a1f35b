# SPDX-License-Identifier: Apache-2.0
"""The jobs in Polars on its streaming engine, which works on parts of the data at a time."""

from __future__ import annotations

from bench.peers.with_polars import ROWS_MAX, THREADED, version
from bench.peers.with_polars import prepare as prepare_polars

__all__ = ["ROWS_MAX", "THREADED", "prepare", "version"]


def prepare(job, table, threads):
    return prepare_polars(job, table, threads, engine="streaming")
