# SPDX-License-Identifier: Apache-2.0
"""State four times its memory budget, against the same all in memory: 1e7 rows of 32 bytes, zipf keys.

Group ids are dealt out as keys first come, which for zipf keys is about by frequency: that is the order "arrival". In
the order "scattered" frequent keys are spread over all pages, as after a load in the order of keys.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from bench import data
from bench.kernels.batches import BATCH_ROWS
from bench.operators.bench_operators import COUNT_SUM_MAX, KEY, calls, keyed
from bench.state.bench_pages import AGGREGATES, PAGE_BYTES, ROW_BYTES, assert_counts
from flinkcore._native.agg import Accumulators
from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.config import Configuration
from flinkcore.operators.base import OperatorContext
from flinkcore.operators.group_aggregate import GroupAggregate
from flinkcore.state.manager import StateManager
from flinkcore.state.memory import BUDGET_BYTES_MIN, MemoryBudget
from flinkcore.testing.harness import CollectedOutput, ManualTimers
from flinkcore.time.clock import ManualClock

ROWS = {"smoke": 200_000, "full": 10_000_000}
BATCHES = {"smoke": 4, "full": 300}
BLOCK_BYTES = 2 * 256 * PAGE_BYTES  # what a kernel may have in memory beyond the budget


def ids_by_rank(rows: int, order: str) -> np.ndarray:
    """int32[rows]: the id of the key that is drawn in proportion to 1 / (rank + 1)."""
    rng = np.random.default_rng(data.SEED)
    first_seen = rng.random(rows) if order == "scattered" else rng.exponential(np.arange(1.0, rows + 1))
    ids = np.empty(rows, np.int32)
    ids[np.argsort(first_seen)] = np.arange(rows, dtype=np.int32)
    return ids


def quarter(rows: int, folder: str) -> MemoryBudget:
    return MemoryBudget(max(rows * ROW_BYTES // 4, BUDGET_BYTES_MIN), [folder])


def filled(rows: int, budget: MemoryBudget | None) -> Accumulators:
    accumulators = Accumulators(AGGREGATES)
    if budget is not None:
        accumulators.draw_on(budget.share())
    for start in range(0, rows, BATCH_ROWS):
        ids = np.arange(start, min(start + BATCH_ROWS, rows))
        values = Column.from_numpy(ids)
        accumulators.update(ids.astype(np.int32), [(), (values,), (values,)])
    return accumulators


def update(accumulators: Accumulators) -> Callable[[np.ndarray], object]:
    ones = Column.from_numpy(np.ones(BATCH_ROWS, np.int64))
    return lambda ids: accumulators.update(ids, [(), (ones,), (ones,)])


def update_running(accumulators: Accumulators) -> Callable[[np.ndarray], object]:
    ones = Column.from_numpy(np.ones(BATCH_ROWS, np.int64))
    return lambda ids: accumulators.update_running(ids, [(), (ones,), (ones,)])


@pytest.mark.parametrize("is_spilling", [False, True], ids=["memory", "quarter"])
@pytest.mark.parametrize("order", ["arrival", "scattered"])
@pytest.mark.parametrize("way", [update, update_running], ids=["update", "update_running"])
def bench_update_of_zipf_keys(timed, note, size, tmp_path, way, order, is_spilling):
    """Bytes are those of the rows that are updated, once for each update."""
    rows, batches = size(**ROWS), size(**BATCHES)
    budget = quarter(rows, str(tmp_path)) if is_spilling else None
    accumulators = filled(rows, budget)
    keys = data.key_positions(min(batches, 100) * BATCH_ROWS, rows, "zipf").reshape(-1, BATCH_ROWS)
    ids, one = ids_by_rank(rows, order)[keys], way(accumulators)
    rounds = 0

    def run() -> None:
        nonlocal rounds
        rounds += 1
        for batch in range(batches):
            one(ids[batch % len(ids)])
            if budget is not None:
                assert budget.resident_bytes <= budget.size_bytes + BLOCK_BYTES

    timed(run, rows=batches * BATCH_ROWS, bytes=batches * BATCH_ROWS * ROW_BYTES)
    if budget is not None:
        note(f"in memory {budget.resident_bytes / 1e6:.0f} MB, in the file {budget.spilled_bytes / 1e6:.0f} MB")
    assert_counts(accumulators, rows, rounds * batches * BATCH_ROWS)


class Counted(CollectedOutput):
    """Results are counted, and forgotten."""

    rows = 0

    def batch(self, batch: Batch) -> None:
        self.rows += batch.num_rows


def batch_of(keys: np.ndarray) -> Batch:
    table = pa.table({"key": keys, "value": np.ones(len(keys), np.int64)})
    return Batch.from_arrow(table.to_batches()[0])


@pytest.mark.parametrize("is_spilling", [False, True], ids=["memory", "quarter"])
@pytest.mark.parametrize("emit", ["final", "batch", "record"])
def bench_group_by_of_zipf_keys(timed, note, size, tmp_path, emit, is_spilling):
    """The whole operator: its index of keys, which stays in memory, the aggregates, and the changes that it makes."""
    rows, batches = size(**ROWS), size(smoke=4, full=60)
    order = np.argsort(ids_by_rank(rows, "arrival"))
    drawn = data.key_positions(batches * BATCH_ROWS, rows, "zipf").reshape(-1, BATCH_ROWS)
    budget = quarter(rows, str(tmp_path)) if is_spilling else None
    aggregates, names = calls(*COUNT_SUM_MAX)
    inputs = keyed([batch_of(keys).with_timestamps(np.zeros(BATCH_ROWS, np.int64)) for keys in drawn])
    operator, out = GroupAggregate(inputs[0].schema, KEY, aggregates, names, emit), Counted()
    state = StateManager(memory=None if budget is None else budget.share())
    operator.open(OperatorContext("bench", ManualClock(), ManualTimers(), Configuration(), state=state), out)
    for start in range(0, rows, BATCH_ROWS):
        keys = order[start : start + BATCH_ROWS]
        (first,) = keyed([batch_of(keys).with_timestamps(np.zeros(len(keys), np.int64))])
        operator.process_batch(first)
    rounds = 0

    def run() -> None:
        nonlocal rounds
        rounds += 1
        for batch in inputs:
            operator.process_batch(batch)

    timed(run, rows=batches * BATCH_ROWS, bytes=batches * BATCH_ROWS * ROW_BYTES)
    if budget is not None:
        note(f"in memory {budget.resident_bytes / 1e6:.0f} MB, in the file {budget.spilled_bytes / 1e6:.0f} MB")
    counts = state.find("aggregates").results(np.arange(rows, dtype=np.int32))[0].to_numpy()
    assert counts.sum() == rows + rounds * batches * BATCH_ROWS
