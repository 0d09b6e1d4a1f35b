# SPDX-License-Identifier: Apache-2.0
"""Asynchronous functions in jobs: as PyFlink's programs use them, under threads, and through crashes."""

from __future__ import annotations

import asyncio
import gc

import pytest

from flinkcore.common import Row, Time, Types, WatermarkStrategy
from flinkcore.datastream import (
    AsyncDataStream,
    AsyncFunction,
    AsyncRetryStrategy,
    MapFunction,
    ProcessFunction,
    StreamExecutionEnvironment,
)
from flinkcore.errors import ConfigurationError, FlinkcoreError, JobExecutionError
from flinkcore.testing.simulation import simulate

# A process that crashes leaves coroutines that never ran; Python finds them at some later time.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")


@pytest.fixture(scope="module", autouse=True)
def what_crashes_left_is_found_here():
    yield
    gc.collect()


def environment(parallelism=1):
    return StreamExecutionEnvironment.get_execution_environment().set_parallelism(parallelism)


class Square(AsyncFunction):
    """Takes a time that its record decides."""

    async def async_invoke(self, value):
        await asyncio.sleep(value % 7 / 100)
        return [value * value]


SQUARES = [i * i for i in range(50)]


@pytest.mark.parametrize("seed", range(5))
def test_ordered_wait_keeps_the_order_whatever_the_order_of_everything_else(seed):
    stream = environment().from_sequence(0, 49)
    assert simulate(AsyncDataStream.ordered_wait(stream, Square(), Time.seconds(5), 4), seed) == SQUARES


@pytest.mark.parametrize("seed", range(5))
def test_unordered_wait_gives_the_same_results_at_any_parallelism(seed):
    stream = environment(3).from_sequence(0, 49).rebalance()
    found = simulate(AsyncDataStream.unordered_wait(stream, Square(), Time.seconds(5), 4, Types.LONG()), seed)
    assert sorted(found) == SQUARES


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("wait", [AsyncDataStream.ordered_wait, AsyncDataStream.unordered_wait])
def test_a_crash_and_a_rescale_lose_and_repeat_no_result(seed, wait):
    def build(env):
        stream = env.from_sequence(0, 49).key_by(lambda value: value % 5).map(lambda value: value, Types.LONG())
        return wait(stream, Square(), Time.seconds(5), 3, Types.LONG()).map(lambda value: value, Types.LONG())

    found = simulate(
        build, seed, crashes=3, parallelism=(1, 2, 3), storage_faults=0.02, checkpoint_interval_ms=20
    )
    assert sorted(found) == SQUARES


class Late(ProcessFunction):
    """Says which records came behind a watermark that had passed them."""

    def process_element(self, value, ctx):
        if ctx.timestamp() <= ctx.timer_service().current_watermark():
            yield value


@pytest.mark.parametrize("seed", range(40))
def test_no_crash_makes_a_record_late(seed):
    def build(env):
        strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Now())
        env.get_configuration().set_string("pipeline.auto-watermark-interval", "5 ms")
        stream = env.from_sequence(0, 49).map(lambda value: value, Types.LONG())
        stream = stream.assign_timestamps_and_watermarks(strategy)
        return AsyncDataStream.unordered_wait(stream, Square(), Time.seconds(5), 3).process(Late())

    assert simulate(build, seed, crashes=2, checkpoint_interval_ms=20) == []


class Now:
    def extract_timestamp(self, value, record_timestamp):
        return value * 1000


def test_a_job_under_threads_waits_for_all_that_is_in_flight():
    stream = environment(2).from_sequence(0, 199)
    found = AsyncDataStream.unordered_wait(stream, Square(), Time.seconds(5), 10).execute_and_collect()
    assert sorted(found) == [i * i for i in range(200)]


def test_coroutines_may_hand_work_to_threads():
    class InAThread(AsyncFunction):
        async def async_invoke(self, value):
            return [await asyncio.to_thread(lambda: value + 1)]

    stream = environment().from_collection([1, 2, 3])
    assert list(AsyncDataStream.ordered_wait(stream, InAThread(), Time.seconds(5)).execute_and_collect()) == [2, 3, 4]


def test_a_cancelled_job_leaves_no_coroutine_behind():
    ended = []

    class Forever(AsyncFunction):
        async def async_invoke(self, value):
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(value)

    env = environment()
    AsyncDataStream.ordered_wait(env.from_collection([1, 2]), Forever(), Time.seconds(500)).print()
    client = env.execute_async()
    client.cancel().result()
    with pytest.raises(FlinkcoreError):
        client.get_job_execution_result().result()
    assert sorted(ended) in ([], [1], [1, 2])  # as many as had begun
    assert len(ended) == len(set(ended))


def test_an_async_function_that_fails_ends_the_job_with_its_own_words():
    class Broken(AsyncFunction):
        async def async_invoke(self, value):
            raise ValueError("out of luck")

    stream = AsyncDataStream.unordered_wait(environment().from_collection([1]), Broken(), Time.seconds(5))
    with pytest.raises(JobExecutionError, match=r"async wait operator.*Broken.async_invoke.*out of luck"):
        list(stream.execute_and_collect())


def test_open_and_close_are_called_and_keyed_streams_give_their_values():
    class Opened(AsyncFunction):
        def open(self, runtime_context):
            self.name = runtime_context.get_task_name()

        async def async_invoke(self, value):
            return [(self.name, value)]

    stream = environment().from_collection([Row(k=1, v=2)], Types.ROW_NAMED(["k", "v"], [Types.INT(), Types.INT()]))
    keyed = stream.key_by(lambda row: row.k)
    found = list(AsyncDataStream.ordered_wait(keyed, Opened(), Time.seconds(5)).execute_and_collect())
    assert found == [("async wait operator", Row(k=1, v=2))]


def test_retries_as_a_program_asks_for_them():
    class SecondTime(AsyncFunction):
        def __init__(self):
            self.seen = set()

        async def async_invoke(self, value):
            if value in self.seen:
                return [value]
            self.seen.add(value)
            raise OSError("not now")

    retry = AsyncRetryStrategy.fixed_delay(
        max_attempts=1, backoff_time_millis=10, exception_predicate=lambda error: isinstance(error, OSError)
    )
    stream = environment().from_sequence(0, 9)
    waited = AsyncDataStream.ordered_wait_with_retry(stream, SecondTime(), Time.seconds(5), retry, 3)
    assert simulate(waited) == list(range(10))


# -- what cannot be ------------------------------------------------------------------------------------------


class Synchronous(AsyncFunction):
    def async_invoke(self, value):  # type: ignore[override]
        return [value]


@pytest.mark.parametrize("function, words", [
    (Synchronous(), "should be declared as 'async def'"),
    (Square, "make an object of it"),
    (MapFunction, "expected an AsyncFunction"),
    (lambda value: [value], "expected an AsyncFunction"),
])
def test_what_is_no_async_function_is_refused(function, words):
    with pytest.raises(ConfigurationError, match=words):
        AsyncDataStream.ordered_wait(environment().from_collection([1]), function, Time.seconds(5))


def test_retries_need_a_timeout_and_a_capacity_is_positive():
    stream, retry = environment().from_collection([1]), AsyncRetryStrategy.fixed_delay(1, 1)
    with pytest.raises(ConfigurationError, match="Timeout should be configured when do async with retry"):
        AsyncDataStream.ordered_wait_with_retry(stream, Square(), Time.seconds(0), retry)
    with pytest.raises(ConfigurationError, match="at least 1, got 0"):
        AsyncDataStream.ordered_wait(stream, Square(), Time.seconds(1), 0)
    with pytest.raises(ConfigurationError, match="max_attempts should be greater than zero"):
        AsyncRetryStrategy.fixed_delay(0, 1)
    with pytest.raises(ConfigurationError, match="should not be None"):
        AsyncDataStream.ordered_wait_with_retry(stream, Square(), Time.seconds(1), None)


def test_a_program_in_thread_mode_is_refused_as_in_pyflink():
    env = environment()
    env.get_configuration().set_string("python.execution-mode", "thread")
    with pytest.raises(FlinkcoreError, match="AsyncFunction is still not supported for 'thread' mode"):
        AsyncDataStream.ordered_wait(env.from_collection([1]), Square(), Time.seconds(5))
