# SPDX-License-Identifier: Apache-2.0
"""The jobs in DuckDB, reading the Arrow table where it is."""

from __future__ import annotations

from bench.peers.with_duckdb import prepare as prepare_duckdb
from bench.peers.with_duckdb import version

__all__ = ["prepare", "version"]


def prepare(job, table, threads):
    return prepare_duckdb(job, table, threads, on_arrow=True)
