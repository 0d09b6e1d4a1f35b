# SPDX-License-Identifier: Apache-2.0
"""Whole jobs in one thread, on a clock that stands still, in an order that a seed decides.

    @pytest.mark.parametrize("seed", range(20))
    def test_totals_do_not_depend_on_the_order_of_subtasks(seed):
        env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(3)
        assert sorted(simulate(my_stream(env), seed)) == [("a", 3), ("b", 1)]

What the threads of a real run may do in any order, each seed does in one: the same program with the same seed
gives the same run, so a failure is a number that can be written down.

A function that builds the job is run through crashes, each followed by a new process that builds it anew:

    def build(env):
        return my_stream(env)

    assert sorted(simulate(build, seed, crashes=3, parallelism=(2, 3), storage_faults=0.02)) == expected
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, overload

from flinkcore.columnar.rows import to_rows
from flinkcore.common.job_execution_result import JobExecutionResult
from flinkcore.connectors.arrow import ArrowCollectSink
from flinkcore.datastream.data_stream import DataStream
from flinkcore.datastream.stream_execution_environment import StreamExecutionEnvironment
from flinkcore.errors import ConfigurationError, JobExecutionError
from flinkcore.graph.job_graph import JobGraph
from flinkcore.runtime import simulation
from flinkcore.testing import processes
from flinkcore.testing.processes import Disturbance, as_choices
from flinkcore.testing.results import Results, TransactionalSink
from flinkcore.time.clock import ManualClock

Build: TypeAlias = Callable[[StreamExecutionEnvironment], "DataStream | None"]


@overload
def simulate(what: DataStream, seed: int = 0, clock: ManualClock | None = None) -> list[Any]: ...
@overload
def simulate(
    what: StreamExecutionEnvironment, seed: int = 0, clock: ManualClock | None = None
) -> JobExecutionResult: ...
@overload
def simulate(
    what: Build,
    seed: int = 0,
    clock: ManualClock | None = None,
    *,
    crashes: int = 0,
    parallelism: int | Sequence[int] = 1,
    storage_faults: float = 0.0,
    checkpoint_interval_ms: int | None = None,
    clock_skew_ms: int = 0,
    trace: list[str] | None = None,
) -> list[Any]: ...
def simulate(
    what: DataStream | StreamExecutionEnvironment | Build,
    seed: int = 0,
    clock: ManualClock | None = None,
    *,
    crashes: int = 0,
    parallelism: int | Sequence[int] = 1,
    storage_faults: float = 0.0,
    checkpoint_interval_ms: int | None = None,
    clock_skew_ms: int = 0,
    trace: list[str] | None = None,
) -> list[Any] | JobExecutionResult:
    """Runs a bounded job to its end, as execute() would, and gives its results.

    what : a stream, whose records are the result, as execute_and_collect() gives them; or an environment, whose
        sinks have the records then; either way everything that was built since the last execute runs. Or a function
        that builds the job in an environment, and returns the stream whose records are the result, None for none.
    seed : decides which subtask goes next, which input it reads, and when the clock advances
    clock : of processing time, to begin elsewhere than at 1_000_000 ms; it advances when nothing else can happen,
        and now and then by a random while

    All else is for a function that builds the job, which is called for every simulated process; what it does not
    keep in Flink's state is lost with the process. The records are those that a reader behind a sink with two-phase
    commit has seen, each once. The seed also decides what is said here:

    crashes : how often the process stops, anywhere: between two steps, within the writing of a snapshot, between a
        manifest and the commit, within a restore. A new one then goes on from the newest complete checkpoint.
    parallelism : of the environment; of several, each process takes one
    storage_faults : share of the calls of the checkpoint storage that fail or are slow; a few dozen at most do
    checkpoint_interval_ms : when the job sets none; default 20 when there are crashes or faults, else no checkpoints
    clock_skew_ms : the clock of a process is ahead of or behind that of the one before it, by so much at most
    trace : a list, to which every step is added as text: equal for equal seeds
    JobExecutionError : the job failed, or can never end; says the call that replays it
    """
    disturbance = Disturbance(
        crashes, as_choices(parallelism), storage_faults, checkpoint_interval_ms, clock_skew_ms
    )
    plain = disturbance == Disturbance() and trace is None
    if isinstance(what, (DataStream, StreamExecutionEnvironment)) and not plain:
        raise ConfigurationError(
            "crashes, parallelism, storage faults, checkpoints, skewed clocks and traces are for a function that "
            "builds the job, since every simulated process needs a job of its own; pass one, not what it has built"
        )
    if isinstance(what, DataStream):
        sink = ArrowCollectSink(capacity=None)
        what.sink_to(sink).name("Collect")
        _run(what.get_execution_environment(), seed, clock)
        sink.finish()
        return [row for batch in sink for row in to_rows(batch)]
    if isinstance(what, StreamExecutionEnvironment):
        return _run(what, seed, clock)
    if callable(what):
        return _simulate_processes(what, seed, clock, disturbance, trace)
    raise ConfigurationError(
        f"simulate takes a DataStream, a StreamExecutionEnvironment or a function that builds a job, got "
        f"{type(what).__name__}"
    )


def _run(env: StreamExecutionEnvironment, seed: int, clock: ManualClock | None) -> JobExecutionResult:
    graph = env.job_graph()
    env.close()  # executed: the next job begins with nothing built
    return JobExecutionResult.of_run(simulation.simulate(graph, seed, clock))


def _simulate_processes(
    build: Build, seed: int, clock: ManualClock | None, disturbance: Disturbance, trace: list[str] | None
) -> list[Any]:
    results = Results()

    def graph_of(parallelism: int) -> JobGraph:
        env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(parallelism)
        stream = build(env)
        if stream is not None:
            stream.sink_to(TransactionalSink(results)).name("Collect")
        return env.job_graph()

    try:
        processes.run(graph_of, seed, disturbance, clock, trace)
    except JobExecutionError as error:
        replay = JobExecutionError(f"{error}\nseed {seed}; this replays it: {_call(build, seed, disturbance)}")
        raise replay from error.__cause__
    return results.records()


def _call(build: Build, seed: int, disturbance: Disturbance) -> str:
    name = getattr(build, "__qualname__", type(build).__name__)
    arguments = [name, f"seed={seed}"]
    for key, value in vars(disturbance).items():
        if value != getattr(Disturbance, key):
            arguments.append(f"{key}={value}")
    return f"simulate({', '.join(arguments)})"


__all__ = ["Build", "simulate"]
