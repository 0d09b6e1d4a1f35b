# SPDX-License-Identifier: Apache-2.0
"""Bytewax is in the extra `examples`, not among what the tests install."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

bytewax = pytest.importorskip("bytewax", reason="Bytewax is not installed: pip install 'flinkcore[examples]'")


def test_it_gives_what_fold_final_gives_and_prints_a_ratio(example) -> None:
    (line,) = example("bytewax_aggregate.py", "--rows", "3000", "--keys", "50", "--batch-rows", "700")
    assert line.startswith("50 keys: ") and line.endswith("times as fast")


def test_a_flow_that_was_aborted_goes_on_from_its_snapshots(source_of, tmp_path: Path) -> None:
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.recovery import RecoveryConfig, init_db_dir
    from bytewax.testing import TestingSink, TestingSource, run_main

    module = source_of("bytewax_aggregate.py")
    batches = module.some_batches(1000, 30, 100)
    init_db_dir(tmp_path, 1)
    found: list[pa.Table] = []
    source = TestingSource([*batches[:6], TestingSource.ABORT(), *batches[6:]])
    for run in ("ends at the abort", "goes on"):
        flow = Dataflow("flow")
        sums = module.aggregate_batches("sums", op.input("input", flow, source), ["user"], {
            "n": ("count_star",), "total": ("sum", "price"), "highest": ("max", "price")})
        op.output("output", sums, TestingSink(found))
        run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(tmp_path))
        assert bool(found) == (run == "goes on")
    expected = module.with_fold(batches)
    assert pa.concat_tables(found).sort_by("user").combine_chunks().equals(expected.sort_by("user").combine_chunks())
