# SPDX-License-Identifier: Apache-2.0
"""Operators that share a pass give, count and fail as each by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from flinkcore.cli import explain
from flinkcore.common import Row, Types
from flinkcore.connectors.blackhole import BlackHoleSink
from flinkcore.datastream import DataStream, StreamExecutionEnvironment
from flinkcore.runtime.fused import FusedRun
from flinkcore.table.expressions import col

ROWS = 20_000


def table() -> pa.Table:
    return pa.table(
        {
            "a": pa.array(range(ROWS), pa.int64()),
            "b": pa.array([None if i % 7 == 0 else i % 5 - 2 for i in range(ROWS)], pa.int32()),
            "s": pa.array([f"s{i % 11}" for i in range(ROWS)]),
        }
    )


def stream(env: StreamExecutionEnvironment) -> DataStream:
    out = Types.ROW_NAMED(["s", "c"], [Types.STRING(), Types.LONG()])
    kept = env.from_arrow(table()).filter(col("a") % 3 == 0).with_columns((col("b") + 1).alias("b"))
    return kept.filter(col("b").is_not_null).map(lambda r: Row(s=r.s, c=r.a * 2 if r.b > 0 else -r.b), out)


def environment(fuse: bool) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.get_configuration().set_string("flinkcore.operators.fuse", str(fuse).lower())
    return env


def run(build: Callable[[StreamExecutionEnvironment], DataStream], fuse: bool) -> list[Any]:
    return build(environment(fuse)).execute_and_collect_arrow().read_all().to_pylist()


def test_a_chain_gives_the_same_whether_it_is_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    take = FusedRun.take

    def watched(self: FusedRun, batch: Any) -> bool:
        taken.append(take(self, batch))
        return taken[-1]

    monkeypatch.setattr(FusedRun, "take", watched)
    expected = run(stream, fuse=False)
    assert not taken
    assert run(stream, fuse=True) == expected
    assert any(taken)
    assert len(expected) == sum(1 for i in range(0, ROWS, 3) if i % 7)


def test_a_record_that_fails_is_told_as_without_a_pass() -> None:
    def build(env: StreamExecutionEnvironment) -> DataStream:
        return env.from_arrow(table()).filter(col("a") >= 0).select((col("a") / (col("a") - 17)).alias("q"))

    def failure(fuse: bool) -> str:
        with pytest.raises(Exception, match="/ by zero") as caught:
            run(build, fuse)
        return str(caught.value)

    assert failure(True) == failure(False)


def test_each_operator_counts_its_own_rows() -> None:
    def counts(fuse: bool) -> list[tuple[int, int]]:
        env = environment(fuse)
        stream(env).sink_to(BlackHoleSink())
        job = env.launch("counts")
        assert job.wait(30)
        return [(metrics.rows_in, metrics.rows_out) for _, metrics in job.operator_metrics()]

    assert counts(True) == counts(False)


def test_a_pass_ends_before_what_has_no_place_in_it_and_explain_says_so() -> None:
    def build(env: StreamExecutionEnvironment) -> DataStream:
        kept = env.from_arrow(table()).filter(col("a") % 3 == 0).name("Kept")
        more = kept.with_columns((col("a") + 1).alias("a")).name("More")
        return more.with_columns(col("s").upper_case.alias("s")).name("Upper")

    env = environment(fuse=True)
    build(env).sink_to(BlackHoleSink())
    text = explain.describe(env.job_graph())
    assert "one pass with More" in text and "one pass with Kept" in text
    assert "not in the pass of the one before it, in which this has no place: " in text
    job = env.launch("counts")
    assert job.wait(30)
    rows = {context.name: metrics.counts["rows_in_passes"] for context, metrics in job.operator_metrics()}
    assert rows["More"] == ROWS // 3 + 1 and rows["Kept"] == rows["Upper"] == 0
    assert run(build, fuse=True) == run(build, fuse=False)


def test_explain_knows_of_no_pass_where_none_is_made() -> None:
    env = environment(fuse=False)
    stream(env).sink_to(BlackHoleSink())
    assert "pass" not in explain.describe(env.job_graph())
