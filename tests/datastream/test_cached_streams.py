# SPDX-License-Identifier: Apache-2.0
"""cache(): the first job in batch mode keeps a stream, later ones read it (Flink: CacheTransformationTranslator)."""

from __future__ import annotations

import threading

import pytest

from flinkcore.common import RestartStrategies, Types, WatermarkStrategy
from flinkcore.common.watermark_strategy import TimestampAssigner
from flinkcore.datastream import OutputTag, ProcessFunction, RuntimeExecutionMode, StreamExecutionEnvironment
from flinkcore.errors import ConfigurationError, JobExecutionError
from tests.datastream.jobs import collected, environment


def batch(parallelism: int = 1) -> StreamExecutionEnvironment:
    return environment(parallelism).set_runtime_mode(RuntimeExecutionMode.BATCH)


@pytest.mark.parametrize("parallelism", [1, 2])
def test_what_one_job_computed_later_ones_read(parallelism: int) -> None:
    computed: list[int] = []
    numbers = batch(parallelism).from_sequence(1, 6).map(lambda value: computed.append(value) or value, Types.LONG())
    cached = numbers.cache()
    assert sorted(collected(cached.map(lambda value: value * 2))) == [2, 4, 6, 8, 10, 12]
    assert sorted(collected(cached)) == [1, 2, 3, 4, 5, 6]
    assert sorted(collected(cached.filter(lambda value: value > 4))) == [5, 6]
    assert sorted(computed) == [1, 2, 3, 4, 5, 6]
    assert cached.get_type() == Types.LONG()


def test_an_invalidated_cache_is_computed_anew_and_kept_again() -> None:
    computed: list[int] = []
    env = batch()
    cached = env.from_sequence(1, 2).map(lambda value: computed.append(value) or value).cache()
    for _ in range(2):
        collected(cached)
        collected(cached)
        cached.invalidate()
    assert computed == [1, 2, 1, 2]
    collected(cached)
    env.close()
    assert collected(cached) == [1, 2] and len(computed) == 8


def test_a_job_in_streaming_mode_keeps_nothing() -> None:
    computed: list[int] = []
    cached = environment().from_sequence(1, 2).map(lambda value: computed.append(value) or value).cache()
    assert collected(cached) == collected(cached) == [1, 2]
    assert computed == [1, 2, 1, 2]


def test_a_job_that_failed_keeps_nothing() -> None:
    def fails(value: int) -> int:
        raise ValueError("not yet" if value == 2 else "never")

    cached = batch().from_sequence(1, 2).map(lambda value: value).cache()
    with pytest.raises(JobExecutionError):
        collected(cached.map(fails))
    assert collected(cached) == [1, 2]


def test_a_job_that_began_anew_keeps_what_its_last_start_computed() -> None:
    starts: list[int] = []

    def fails_once(value: int) -> int:
        if value == 3 and not starts:
            starts.append(value)
            raise ValueError("once")
        return value

    env = batch()
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(1, 0))
    cached = env.from_sequence(1, 3).map(lambda value: value).cache()
    cached.map(fails_once).print()
    env.execute()
    assert collected(cached) == [1, 2, 3]


def test_a_plan_that_is_asked_for_meanwhile_does_not_lose_what_a_job_keeps() -> None:
    computed: list[int] = []
    asked = threading.Event()
    env = batch()
    cached = env.from_sequence(1, 2).map(lambda value: computed.append(value) or value).cache()
    cached.map(lambda value: asked.wait(20)).print()
    client = env.execute_async()
    cached.print()
    env.get_execution_plan()
    asked.set()
    client.get_job_execution_result().result()
    env.execute()
    assert computed == [1, 2]


class Itself(TimestampAssigner):
    def extract_timestamp(self, value: int, record_timestamp: int) -> int:
        return value


class Timestamps(ProcessFunction):
    def process_element(self, value, ctx):
        yield value, ctx.timestamp()


def test_records_keep_their_timestamps() -> None:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Itself())
    cached = batch().from_sequence(1, 2).assign_timestamps_and_watermarks(strategy).cache()
    for _ in range(2):
        assert collected(cached.process(Timestamps())) == [(1, 1), (2, 2)]


def test_records_with_timestamps_and_without_are_kept_together() -> None:
    env = batch()
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Itself())
    timed = env.from_sequence(1, 2).assign_timestamps_and_watermarks(strategy)
    cached = timed.union(env.from_sequence(8, 9)).map(lambda value: value).cache()
    for _ in range(2):
        assert sorted(collected(cached.process(Timestamps()))) == [(1, 1), (2, 2), (8, None), (9, None)]


def test_what_functions_change_in_a_record_is_not_changed_for_later_jobs() -> None:
    cached = batch().from_collection([[1], [2]]).map(lambda value: value).cache()
    for _ in range(3):
        assert collected(cached.map(lambda value: value.append(9) or value)) == [[1, 9], [2, 9]]
    assert collected(cached) == [[1], [2]]


ODD = OutputTag("odd", Types.LONG())


class Odd(ProcessFunction):
    def process_element(self, value, ctx):
        if value % 2:
            yield ODD, value


def test_a_side_output_can_be_cached() -> None:
    cached = batch().from_sequence(1, 3).process(Odd()).get_side_output(ODD).cache()
    assert collected(cached) == collected(cached) == [1, 3]


def test_what_cannot_be_cached_or_configured_is_said() -> None:
    stream = batch().from_sequence(1, 3)
    for wrong in (stream.rebalance(), stream.union(stream)):
        with pytest.raises(ConfigurationError, match="cache takes the result of one operator"):
            wrong.cache()
    with pytest.raises(ConfigurationError, match="cache cannot be called on a KeyedStream"):
        stream.key_by(lambda value: value).cache()
    with pytest.raises(ConfigurationError, match="name cannot be called on a CachedDataStream"):
        stream.cache().name("x")
