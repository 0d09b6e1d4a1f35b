# SPDX-License-Identifier: Apache-2.0
"""Jobs that are cancelled or fail at any step: they end once, close every operator once, and leave no thread."""

from __future__ import annotations

import itertools
import random
import threading
from contextlib import contextmanager
from unittest import mock

import pytest

from flinkcore.common import Types, WatermarkStrategy
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.errors import JobCancelledError, JobExecutionError
from flinkcore.runtime import job as jobs
from flinkcore.runtime import local, simulation
from flinkcore.runtime.job import JobStatus
from flinkcore.runtime.task import OperatorRunner, Task
from tests.simulation.campaign import random_job
from tests.simulation.outcome import watched
from tests.simulation.physical import Physical
from tests.simulation.sources import Partitions

WAIT_S = 20
REPLAY = "replay: python -m pytest 'tests/simulation/test_kills.py' -k '{}'"


class Planned(Exception):
    """The failure that a test asked for."""


def graph_of(seed):
    job = random_job(seed)
    physical = Physical(f"kill {seed}", job.ordered, job.batch_mode)
    job.build(physical)
    return physical.env.job_graph()


def calls_of(seed, method):
    """How often the operators of a job are called, when nothing goes wrong."""
    with counted(method, lambda number: None) as count:
        simulation.simulate(graph_of(seed), seed)
    return next(count)


@contextmanager
def counted(method, act):
    """Calls act(number) before each call of a method of an operator's runner, by whatever thread."""
    count = itertools.count()
    original = getattr(OperatorRunner, method)

    def call(runner, *args, **kwargs):
        act(next(count))
        original(runner, *args, **kwargs)

    with mock.patch.object(OperatorRunner, method, call):
        yield count


@contextmanager
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(WAIT_S)
    assert not [thread.name for thread in started if thread.is_alive()]


class Ends:
    """Listens to how often jobs end."""

    def __init__(self):
        self.started, self.ended = [], []

    def job_started(self, job):
        self.started.append(job)

    def job_ended(self, job):
        self.ended.append(job)


@pytest.fixture
def ends(monkeypatch):
    listener = Ends()
    monkeypatch.setattr(jobs, "listeners", [listener])
    return listener


def all_closed_once(job, watch):
    for task in job.tasks:
        for runner in task.runners:
            opened, closed = watch.opened[id(runner.operator)], watch.closed[id(runner.operator)]
            assert opened <= 1 and closed == opened, (
                f"{task.label}, {runner.context.name}: opened {opened} times, closed {closed} times"
            )


@pytest.mark.parametrize("seed", range(40))
def test_a_failing_operator_fails_its_job_once_and_closes_all(seed, ends):
    rng = random.Random(seed)
    method = rng.choice(["batch", "batch", "watermark", "open", "end"])
    count = calls_of(seed, method)
    if not count:
        pytest.skip("a job without records")
    at = rng.randrange(count)
    ends.ended.clear()

    def fail(number):
        if number == at:
            raise Planned(f"call {at} of {method}")

    replay = REPLAY.format(f"failing and {seed}")
    for simulated in (True, False):
        with no_thread_stays(), watched() as watch, counted(method, fail) as called:
            with pytest.raises(JobExecutionError, match=f"call {at} of {method}") as failure:
                if simulated:
                    simulation.simulate(graph_of(seed), seed)
                else:
                    run = local.execute(graph_of(seed))
                    assert run.wait(WAIT_S), replay
                    # Other orders make fewer calls: then nothing failed.
                    assert run.status is JobStatus.FINISHED and next(called) <= at, replay
                    raise JobExecutionError(f"call {at} of {method}") from Planned()
        assert isinstance(failure.value.__cause__, Planned), replay
        (run,) = ends.ended
        assert run.status in (JobStatus.FAILED, JobStatus.FINISHED), replay
        all_closed_once(run, watch)
        ends.ended.clear()


@pytest.mark.parametrize("seed", range(30))
def test_a_job_cancelled_at_any_step_leaves_no_thread_behind(seed, ends):
    rng = random.Random(seed)
    at = rng.choice([0, 1, rng.randrange(20), rng.randrange(200)])
    graph = graph_of(seed)
    count = itertools.count()
    step = Task.step

    def counting(task, *args, **kwargs):
        if next(count) == at:
            for job in ends.started:
                job.cancel()
        return step(task, *args, **kwargs)

    with no_thread_stays(), watched() as watch, mock.patch.object(Task, "step", counting):
        run = local.execute(graph)
        try:
            ended = run.wait(WAIT_S)
        except JobCancelledError:
            ended = True
    assert ended, REPLAY.format(f"cancelled and {seed}")
    assert ends.ended == [run]
    assert run.status is (JobStatus.CANCELED if next(count) > at else JobStatus.FINISHED)
    all_closed_once(run, watch)


def test_a_job_ends_when_cancelled_although_nobody_reads_its_results():
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    env.get_configuration().set_string("flinkcore.batch-rows", "1")
    with no_thread_stays():
        results = env.from_collection(itertools.count(), Types.LONG()).execute_and_collect()
        assert next(results) == 0
        results._job.cancel()
        with pytest.raises(JobCancelledError):
            assert results._job.wait(WAIT_S)


def test_a_job_that_fails_ends_although_nobody_reads_its_results():
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    env.get_configuration().set_string("flinkcore.batch-rows", "1")
    with no_thread_stays():
        numbers = env.from_collection(itertools.count(), Types.LONG())
        numbers.map(lambda n: 1 // (5 - n)).disable_chaining().print()
        results = numbers.execute_and_collect()
        with pytest.raises(JobExecutionError, match="ZeroDivisionError"):
            assert results._job.wait(WAIT_S)
        results.close()


def test_an_operator_that_cannot_be_closed_fails_its_job_and_others_are_closed():
    graph = graph_of(0)
    with no_thread_stays(), watched() as watch:
        run = None
        opens = OperatorRunner.open
        broken = []

        def breaking(runner):
            opens(runner)
            close = runner.operator.close

            def failing():
                close()
                raise Planned("cannot close")

            if not broken:
                broken.append(runner)
                runner.operator.close = failing

        with mock.patch.object(OperatorRunner, "open", breaking):
            run = local.execute(graph)
            with pytest.raises(JobExecutionError, match="cannot close"):
                run.wait(WAIT_S)
    all_closed_once(run, watch)


class Fragile(Partitions):
    """Splits whose readers cannot be closed."""

    def __init__(self, partitions, splits_at_once):
        super().__init__(partitions, splits_at_once)
        self.closed = []

    def create_reader(self, split, context):
        reader = super().create_reader(split, context)

        def close():
            self.closed.append(split.split_id)
            raise Planned(f"split {split.split_id}")

        reader.close = close
        return reader


@pytest.mark.parametrize("splits_at_once", [1, 3])
def test_readers_are_closed_once_each_although_closing_fails(splits_at_once):
    records = [(i, "k", 0, 0, 0, 0.0, "s", 0) for i in range(3)]
    source = Fragile([records, records * 2, records * 3], splits_at_once)
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    env.from_source(source).print()
    with no_thread_stays(), pytest.raises(JobExecutionError, match="split 0"):
        env.execute()
    assert sorted(source.closed) == [str(i) for i in range(splits_at_once)]


def test_a_reader_is_closed_when_the_watermarks_of_its_split_cannot_be_made():
    def no_generator():
        raise ValueError("no generator")

    source = Fragile([[(0, "k", 0, 0, 0, 0.0, "s", 0)]], 1)
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    env.from_source(source, WatermarkStrategy.for_generator(no_generator)).print()
    with no_thread_stays(), pytest.raises(JobExecutionError, match="no generator"):
        env.execute()
    assert source.closed == ["0"]
