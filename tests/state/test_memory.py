# SPDX-License-Identifier: Apache-2.0
"""The memory budget of a job: it holds, the answer is the same, and nothing is left behind."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flinkcore import faultpoint, options
from flinkcore._native.agg import Accumulators
from flinkcore._native.column import I64, Column
from flinkcore.config import Configuration
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.errors import ConfigurationError
from flinkcore.state.manager import StateManager
from flinkcore.state.memory import BUDGET_BYTES_MIN, MemoryBudget, folders_of
from flinkcore.state.part import RestoredState
from flinkcore.table import EnvironmentSettings, StreamTableEnvironment
from flinkcore.table.expressions import col

ROWS = 400_000  # of 32 bytes: twelve times the least budget
KERNELS = [("count_star", I64, 0), ("sum", I64, 0), ("max", I64, 0)]
BLOCK_BYTES = 2 * 256 * 16_384


def anonymous_bytes() -> int:
    """Memory of this process that no file backs, and what it has mapped of files it wrote."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon", "RssShmem")))


def update(accumulators: Accumulators, ids: np.ndarray) -> None:
    values = Column.from_numpy(ids.astype(np.int64))
    accumulators.update(ids.astype(np.int32), [(), (values,), (values,)])


def test_the_resident_set_stays_within_the_budget(tmp_path):
    budget = MemoryBudget(BUDGET_BYTES_MIN, [str(tmp_path)])
    accumulators = Accumulators(KERNELS)
    accumulators.draw_on(budget.share())
    rng, rows, peak = np.random.default_rng(1), 2_000_000, 0
    gc.collect()
    before = anonymous_bytes()
    for start in range(0, rows, 20_000):
        update(accumulators, np.arange(start, start + 20_000))
        update(accumulators, rng.integers(0, start + 20_000, 20_000))
        peak = max(peak, anonymous_bytes())
        assert budget.resident_bytes <= budget.size_bytes + BLOCK_BYTES
    assert accumulators.row_count == rows
    assert budget.spilled_bytes > 60_000_000
    assert peak - before < 25_000_000  # the state is 64 MB


def test_the_file_has_no_name(tmp_path):
    budget = MemoryBudget(BUDGET_BYTES_MIN, [str(tmp_path)])
    accumulators = Accumulators(KERNELS)
    accumulators.draw_on(budget.share())
    update(accumulators, np.arange(ROWS))
    assert budget.spilled_bytes > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").exists(), reason="every folder can be written")
def test_a_folder_that_takes_no_file_is_passed_over(tmp_path):
    absent = str(tmp_path / "absent")
    assert MemoryBudget(BUDGET_BYTES_MIN, [absent, str(tmp_path)]).folder == str(tmp_path)
    with pytest.raises(ConfigurationError, match=r"absent': No such file or directory; set io\.tmp\.dirs"):
        MemoryBudget(BUDGET_BYTES_MIN, [absent])
    with pytest.raises(ConfigurationError, match=r"in '/proc': .*; set io\.tmp\.dirs"):
        MemoryBudget(BUDGET_BYTES_MIN, ["/proc"])


def test_a_budget_comes_from_flinks_options(tmp_path):
    config = Configuration()
    assert MemoryBudget.of(config) is None
    config.set_string(options.MANAGED_MEMORY_SIZE.key, "2 mb")
    config.set_string(options.TMP_DIRS.key, f"{tmp_path}/none,{tmp_path}")
    budget = MemoryBudget.of(config)
    assert budget is not None
    assert (budget.size_bytes, budget.folder) == (2 << 20, str(tmp_path))
    assert folders_of("/a,/b:/c") == ["/a", "/b", "/c"]
    config.set_string(options.MANAGED_MEMORY_SIZE.key, "1 kb")
    with pytest.raises(ConfigurationError, match=r"managed\.size is 1024 bytes; expected at least 1048576"):
        MemoryBudget.of(config)


def test_every_step_of_spilling_is_told_to_a_hook(tmp_path, monkeypatch):
    reached: list[str] = []
    monkeypatch.setattr(faultpoint, "hook", reached.append)
    budget = MemoryBudget(BUDGET_BYTES_MIN, [str(tmp_path)])
    accumulators = Accumulators(KERNELS)
    accumulators.draw_on(budget.share())
    update(accumulators, np.arange(60_000))
    assert reached[:2] == ["spill.begun", "spill.written"]
    assert reached[-1] == "spill.done"

    def refuse(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(faultpoint, "hook", refuse)
    with pytest.raises(KeyError, match=r"spill\.begun"):
        update(accumulators, np.arange(60_000, 120_000))


def managed(budget: MemoryBudget) -> StateManager:
    return StateManager(memory=budget.share())


class Stored:
    """What one manager wrote."""

    def __init__(self, manager: StateManager) -> None:
        frozen = manager.freeze(0)
        self.key_groups, self.epoch, self.entries = frozen.key_groups, frozen.epoch, frozen.entries
        self._blocks = [(number, bytes(payload)) for number, payload in frozen.blocks()]
        frozen.release()

    def blocks(self, parts):
        return ((number, memoryview(payload)) for number, payload in self._blocks if number in parts)


def test_state_is_restored_within_the_budget(tmp_path):
    first = MemoryBudget(BUDGET_BYTES_MIN, [str(tmp_path)])
    manager = managed(first)
    part = manager.part("values", lambda: Accumulators(KERNELS), parent=None)
    update(part, np.arange(ROWS))
    stored = Stored(manager)
    second = MemoryBudget(BUDGET_BYTES_MIN, [str(tmp_path)])
    restored = managed(second)
    restored.restore(RestoredState([stored], [], {}, False, "checkpoint 1"))
    again = restored.part("values", lambda: Accumulators(KERNELS), parent=None)
    assert restored.spilled_bytes > 10 * BUDGET_BYTES_MIN
    assert second.resident_bytes <= BUDGET_BYTES_MIN + BLOCK_BYTES
    ids = np.arange(ROWS, dtype=np.int32)
    assert [column.to_pylist() for column in again.results(ids)] == [
        column.to_pylist() for column in part.results(ids)
    ]


# -- jobs ----------------------------------------------------------------------------------------------------


def grouped(table: pa.Table, tmp_path: Path, size: str | None, mode: str) -> tuple[list[tuple], int]:
    """GROUP BY, one row per group; and the most bytes that were spilled."""
    settings = EnvironmentSettings.in_batch_mode() if mode == "batch" else EnvironmentSettings.in_streaming_mode()
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(2)
    t_env = StreamTableEnvironment.create(env, settings)
    config = t_env.get_config()
    if size is not None:
        config.set(options.MANAGED_MEMORY_SIZE.key, size)
        config.set(options.TMP_DIRS.key, str(tmp_path))
    result = t_env.from_arrow(table).group_by(col("k")).select(
        col("k"), col("v").sum.alias("total"), col("v").max.alias("most"), col("v").count.alias("n")
    ).execute()
    rows = {}
    with result.collect() as changes:
        for row in changes:
            rows[row[0]] = tuple(row)
    run = result.get_job_client()._run
    return sorted(rows.values()), run.count("state_spilled_bytes")


@pytest.mark.parametrize("mode", ["batch", "streaming"])
def test_a_job_gives_the_same_result_with_a_budget(tmp_path, mode):
    rng = np.random.default_rng(3)
    keys = np.concatenate([np.arange(120_000), (120_000 * rng.random(60_000) ** 4).astype(np.int64)])
    table = pa.table({"k": keys, "v": rng.integers(-1000, 1000, len(keys))})
    expected, none = grouped(table, tmp_path, None, mode)
    rows, spilled = grouped(table, tmp_path, "1 mb", mode)
    assert rows == expected
    assert none == 0
    assert spilled > 2 << 20
    assert list(tmp_path.iterdir()) == []
