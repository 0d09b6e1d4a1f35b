# SPDX-License-Identifier: Apache-2.0
"""Windows: panes of timestamps, numbering of the panes in a batch, and sessions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bench import data, workloads
from bench.kernels.batches import BATCH_ROWS
from flinkcore._native.window import SessionIndex, pane_index, pane_starts


def batches_of(values: np.ndarray) -> list[np.ndarray]:
    return [values[start : start + BATCH_ROWS] for start in range(0, len(values), BATCH_ROWS)]


@pytest.mark.parametrize("size_ms", [1_000, 60_000])
def bench_pane_starts(timed, size, size_ms):
    times = data.times_ms(size(smoke=10_000, full=10_000_000))
    batches = batches_of(times)
    starts = timed(
        lambda: [pane_starts(batch, size_ms) for batch in batches], rows=len(times), bytes=2 * times.nbytes
    )
    np.testing.assert_array_equal(np.concatenate(starts), times // size_ms * size_ms)


@pytest.mark.parametrize("disorder_ms", [0, data.DISORDER_MS])
def bench_pane_index(timed, size, disorder_ms):
    """Which of the batch's few panes each row belongs to, in order and out of it."""
    times = data.times_ms(size(smoke=10_000, full=10_000_000), disorder_ms)
    batches = batches_of(times // 1_000 * 1_000)
    found = timed(lambda: [pane_index(batch) for batch in batches], rows=len(times), bytes=12 * len(times))
    for batch, (panes, pane_of_row) in zip(batches, found):
        np.testing.assert_array_equal(panes[pane_of_row], batch)


@pytest.mark.parametrize("keys", [1_000, 1_000_000])
def bench_sessions(timed, size, keys):
    """Records into sessions, and sessions out of the index as the watermark passes them."""
    rows = size(smoke=20_000, full=10_000_000)
    ids = data.key_positions(rows, keys, "uniform").astype(np.int32)
    times = data.times_ms(rows)
    batches = list(zip(batches_of(ids), batches_of(times)))

    def run() -> tuple[int, int]:
        index = SessionIndex()
        count = length_ms = 0
        highest_ms = watermark_ms = -(2**62)
        for batch_ids, batch_times in [*batches, (ids[:0], times[:0])]:
            index.assign(batch_ids, batch_times, workloads.SESSION_GAP_MS, watermark_ms)
            highest_ms = max(highest_ms, int(batch_times.max())) if len(batch_times) else 2**62
            watermark_ms = highest_ms - workloads.OUT_OF_ORDERNESS_MS - 1
            done = index.expired(watermark_ms)
            count += len(done)
            length_ms += int((index.ends(done) - index.starts(done)).sum())
            index.release(done)
        return count, length_ms

    found = timed(run, rows=rows, bytes=12 * rows)
    table = pa.table({"key": ids.astype(np.int64), "date_time": pa.array(times).view(pa.timestamp("ms"))})
    answer = workloads.sessions(table)
    lengths = answer["window_end"].to_numpy() - answer["window_start"].to_numpy()
    assert found == (answer.num_rows, int(lengths.sum()))
