# SPDX-License-Identifier: Apache-2.0
"""The jobs in Polars on its streaming engine, which works on parts of the data at a time."""

from __future__ import annotations

from bench.peers.with_polars import prepare as prepare_polars
from bench.peers.with_polars import version

__all__ = ["prepare", "version"]


def prepare(job, table, threads):
    return prepare_polars(job, table, threads, engine="streaming")
