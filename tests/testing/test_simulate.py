# SPDX-License-Identifier: Apache-2.0
"""simulate() with a function that builds the job: crashes, rescales, failing storage, and what is said of them."""

from __future__ import annotations

from collections import Counter

import pytest

from flinkcore.common import Types
from flinkcore.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from flinkcore.datastream.state import ValueStateDescriptor
from flinkcore.errors import ConfigurationError, JobExecutionError
from flinkcore.testing import simulate

LONG = Types.LONG()
COUNTS = Counter((key, n) for key in "abcd" for n in range(1, 16))


class InState(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", LONG))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        yield value, self.count.value()


class InAttribute(KeyedProcessFunction):
    def __init__(self):
        self.counts = Counter()

    def process_element(self, value, ctx):
        self.counts[value] += 1
        yield value, self.counts[value]


def counting(function):
    def build(env):
        env.get_configuration().set_string("flinkcore.batch-rows", "4")
        letters = env.from_collection(["abcd"[i % 4] for i in range(60)], Types.STRING())
        return letters.key_by(lambda letter: letter, Types.STRING()).process(function())

    return build


def test_a_function_that_builds_the_job_is_simulated():
    assert Counter(simulate(counting(InAttribute), 1)) == COUNTS


@pytest.mark.parametrize("seed", range(30))
def test_state_survives_crashes_rescales_and_failing_storage(seed):
    found = simulate(counting(InState), seed, crashes=4, parallelism=(1, 2, 3), storage_faults=0.05)
    assert Counter(found) == COUNTS


def test_state_in_an_attribute_is_found():
    wrong = [seed for seed in range(20) if Counter(simulate(counting(InAttribute), seed, crashes=2)) != COUNTS]
    assert wrong


def test_a_seed_repeats_its_run():
    def trace(seed):
        steps = []
        simulate(counting(InState), seed, crashes=3, parallelism=(2, 3), storage_faults=0.05, trace=steps)
        return steps

    assert trace(5) == trace(5)
    assert trace(5) != trace(6)


def test_the_clock_of_a_new_process_may_be_behind():
    def times(seed, **skew):
        steps = []
        found = simulate(counting(InState), seed, crashes=6, trace=steps, **skew)
        assert Counter(found) == COUNTS
        return [int(step.split()[0]) for step in steps]

    for seed in range(4):
        steady, skewed = times(seed), times(seed, clock_skew_ms=10_000)
        assert steady == sorted(steady)
        if skewed != sorted(skewed):
            return
    raise AssertionError("no clock was behind")


def test_a_failure_tells_the_call_that_replays_it():
    def build(env):
        return env.from_collection([1, 0], LONG).map(lambda n: 1 // n)

    with pytest.raises(JobExecutionError, match=r"ZeroDivisionError(.|\n)*seed 7; this replays it: "
                       r"simulate\(.*build, seed=7, crashes=1, parallelism=\(2, 3\)\)") as failure:  # fmt: skip
        simulate(build, 7, crashes=1, parallelism=(2, 3))
    assert isinstance(failure.value.__cause__.__cause__, ZeroDivisionError)


def test_a_job_without_a_result_stream_has_no_records():
    seen = []

    def build(env: StreamExecutionEnvironment):
        env.from_collection([1, 2], LONG).map(seen.append).print()

    assert simulate(build) == [] and sorted(seen) == [1, 2]


def test_what_cannot_be_simulated_is_said():
    with pytest.raises(ConfigurationError, match="or a function that builds a job, got int"):
        simulate(3)
    env = StreamExecutionEnvironment.get_execution_environment()
    with pytest.raises(ConfigurationError, match="a function that builds the job"):
        simulate(env.from_collection([1]), crashes=1)
    with pytest.raises(ConfigurationError, match="storage_faults is 2"):
        simulate(counting(InState), storage_faults=2)
    with pytest.raises(ConfigurationError, match="clock_skew_ms is -1"):
        simulate(counting(InState), clock_skew_ms=-1)
    with pytest.raises(ConfigurationError, match="crashes is -1"):
        simulate(counting(InState), crashes=-1)
