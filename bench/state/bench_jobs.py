# SPDX-License-Identifier: Apache-2.0
"""Whole jobs with a checkpoint every second to a local directory, against the same jobs without.

Both run in turn in one process, each in memory that was in use just before. The ratio of their times says what
checkpoints cost; the notes say how long tasks stopped at barriers, and what was written.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bench.jobs.collect import FoldedChanges, KeptBatches
from bench.jobs.pipelines import PIPELINES
from bench.memory import put_in_use
from flinkcore import options
from flinkcore.datastream import StreamExecutionEnvironment

INTERVAL_MS = 1000
ROUNDS = 5
MEMORY_BYTES = 3 << 30  # more than the state and the results of a run


def table_of(rows: int, keys: int) -> pa.Table:
    """Rows with keys at random, so that updates are scattered, and times that go on by a million rows a second."""
    rng = np.random.default_rng(7)
    times = np.arange(rows) // 1000 - rng.integers(0, 900, rows) + 10_000
    return pa.table(
        {
            "key": rng.integers(0, keys, rows),
            "value": rng.integers(0, 10_000, rows),
            "date_time": pa.array(times.astype("datetime64[ms]")),
        }
    )


def run(
    job: str, table: pa.Table, checkpoints: Path | None, interval_ms: int, is_full: bool
) -> tuple[float, dict[str, int], list]:
    """-> seconds, what came out in sum, what the checkpoints took"""
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    if checkpoints is not None:
        env.enable_checkpointing(interval_ms)
        env.get_configuration().set(options.CHECKPOINT_DIR, str(checkpoints))
    names = ("count", "sum")
    sink = FoldedChanges(names) if job == "W3" else KeptBatches()
    PIPELINES[job](env, table).sink_to(sink)
    if is_full:
        put_in_use(MEMORY_BYTES)
    started_ns = time.perf_counter_ns()
    running = env.launch(job)
    running.wait()
    seconds = (time.perf_counter_ns() - started_ns) / 1e9
    stats = running.checkpoint_stats()
    if isinstance(sink, FoldedChanges):
        return seconds, sink.totals(), stats
    made = sink.table()
    return seconds, {"rows": made.num_rows, **{name: int(np.sum(made[name].to_numpy())) for name in names}}, stats


@pytest.mark.parametrize(
    ("job", "keys", "full_rows"),
    [("W1", 100_000, 80_000_000), ("W3", 1_000_000, 40_000_000), ("W3", 10_000_000, 40_000_000)],
    ids=["W1", "W3-1e6", "W3-1e7"],
)
def bench_a_checkpoint_every_second(
    benchmark, size, is_full: bool, note: Callable[[str], None], tmp_path: Path, job: str, keys: int, full_rows: int
) -> None:
    rows = size(smoke=20_000, full=full_rows)
    table = table_of(rows, min(keys, rows))
    interval_ms = INTERVAL_MS if is_full else 10
    without, with_checkpoints, stats = [], [], []
    for i in range(ROUNDS + 1 if is_full else 1):
        plain_s, expected, _ = run(job, table, None, interval_ms, is_full)
        checked_s, found, some = run(job, table, tmp_path / f"{i}", interval_ms, is_full)
        assert found == expected
        assert found["rows"] > 0
        if i or not is_full:  # the first is for warming up
            without.append(plain_s)
            with_checkpoints.append(checked_s)
            stats += some
    benchmark.extra_info.update(rows=rows, bytes=table.nbytes)
    benchmark.pedantic(lambda: None)
    ratio = statistics.median(without) / statistics.median(with_checkpoints)
    if not is_full:
        return
    pauses_ms = sorted(one.pause_ns_max / 1e6 for one in stats)
    note(
        f"{ratio:.3f} of the throughput without ({rows / statistics.median(without) / 1e6:.1f} M rows/s); "
        f"{len(stats)} checkpoints, pause median {pauses_ms[len(pauses_ms) // 2]:.2f} ms, "
        f"longest {pauses_ms[-1]:.2f} ms; {sum(one.written_bytes for one in stats) / 1e6:.0f} MB written"
    )
