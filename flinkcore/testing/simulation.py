# SPDX-License-Identifier: Apache-2.0
"""Whole jobs in one thread, on a clock that stands still, in an order that a seed decides.

    @pytest.mark.parametrize("seed", range(20))
    def test_totals_do_not_depend_on_the_order_of_subtasks(seed):
        env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(3)
        assert sorted(simulate(my_stream(env), seed)) == [("a", 3), ("b", 1)]

What the threads of a real run may do in any order, each seed does in one: the same program with the same seed
gives the same run, so a failure is a number that can be written down.
"""

from __future__ import annotations

from typing import Any, overload

from flinkcore.columnar.rows import to_rows
from flinkcore.common.job_execution_result import JobExecutionResult
from flinkcore.connectors.arrow import ArrowCollectSink
from flinkcore.datastream.data_stream import DataStream
from flinkcore.datastream.stream_execution_environment import StreamExecutionEnvironment
from flinkcore.errors import ConfigurationError
from flinkcore.runtime import simulation
from flinkcore.time.clock import ManualClock


@overload
def simulate(what: DataStream, seed: int = 0, clock: ManualClock | None = None) -> list[Any]: ...
@overload
def simulate(
    what: StreamExecutionEnvironment, seed: int = 0, clock: ManualClock | None = None
) -> JobExecutionResult: ...
def simulate(
    what: DataStream | StreamExecutionEnvironment, seed: int = 0, clock: ManualClock | None = None
) -> list[Any] | JobExecutionResult:
    """Runs a bounded job to its end, as execute() would, and gives its results.

    what : a stream, whose records are the result, as execute_and_collect() gives them; or an environment, whose
        sinks have the records then. Either way everything that was built since the last execute runs.
    seed : decides which subtask goes next, which input it reads, and when the clock advances
    clock : of processing time, to begin elsewhere than at 1_000_000 ms; it advances when nothing else can happen,
        and now and then by a random while
    JobExecutionError : the job failed, or can never end
    """
    if isinstance(what, DataStream):
        sink = ArrowCollectSink(capacity=None)
        what.sink_to(sink).name("Collect")
        _run(what.get_execution_environment(), seed, clock)
        sink.finish()
        return [row for batch in sink for row in to_rows(batch)]
    if isinstance(what, StreamExecutionEnvironment):
        return _run(what, seed, clock)
    raise ConfigurationError(
        f"simulate takes a DataStream or a StreamExecutionEnvironment, got {type(what).__name__}"
    )


def _run(env: StreamExecutionEnvironment, seed: int, clock: ManualClock | None) -> JobExecutionResult:
    graph = env.job_graph()
    env.close()  # executed: the next job begins with nothing built
    return JobExecutionResult.of_run(simulation.simulate(graph, seed, clock))


__all__ = ["simulate"]
