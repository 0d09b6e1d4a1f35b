# SPDX-License-Identifier: Apache-2.0
"""The Nexmark generator. Rows are event numbers: of 50, 46 are bids, 3 auctions, 1 a person."""

from __future__ import annotations

import pytest

from bench.kernels.batches import BATCH_ROWS
from flinkcore._native.nexmark import STREAMS, NexmarkGenerator

PROJECTIONS = {
    "bids: auction, price, date_time": ("bids", ["auction", "price", "date_time"]),
    "bids: numbers": ("bids", ["auction", "bidder", "price", "date_time"]),
    "bids: all": ("bids", list(STREAMS["bids"])),
    "auctions: all": ("auctions", list(STREAMS["auctions"])),
    "persons: all": ("persons", list(STREAMS["persons"])),
    "events: all": ("events", list(STREAMS["events"])),
}


@pytest.mark.parametrize("projection", list(PROJECTIONS))
def bench_generate(timed, size, projection):
    count = size(smoke=10_000, full=10_000_000)
    stream, names = PROJECTIONS[projection]
    generator = NexmarkGenerator()

    def run() -> int:
        rows = 0
        for first in range(0, count, BATCH_ROWS):
            rows += len(generator.columns(stream, names, first, min(BATCH_ROWS, count - first))[0])
        return rows

    sample = generator.columns(stream, names, 0, 5_000)
    bytes_each = sum(column.to_arrow().nbytes for column in sample) / 5_000
    rows = timed(run, rows=count, bytes=round(bytes_each * count))
    share = {"persons": 1, "auctions": 3, "bids": 46, "events": 50}[stream]
    assert rows == count * share // 50
