# SPDX-License-Identifier: Apache-2.0
"""StreamExecutionEnvironment: running, asking and stopping jobs; parallelism; plans."""

from __future__ import annotations

import gc
import itertools
import json
import os
import signal
import threading
import time

import pytest

from flinkcore.common import Configuration, JobStatus, Types
from flinkcore.datastream import KeyedProcessFunction, OutputTag
from flinkcore.errors import ConfigurationError, JobCancelledError, JobExecutionError, SchemaError
from tests.datastream.jobs import collected, environment, printed

pytestmark = pytest.mark.timeout(30)


def threads_of_jobs():
    return [
        thread for thread in threading.enumerate() if "Source" in thread.name or "supervisor" in thread.name
    ]


def assert_no_job_runs():
    gc.collect()
    for _ in range(200):
        if not threads_of_jobs():
            return
        time.sleep(0.02)
    raise AssertionError(f"still running: {threads_of_jobs()}")


# -- running -----------------------------------------------------------------------------------------------------


def test_nothing_to_execute_is_an_error_also_after_an_execute():
    env = environment()
    with pytest.raises(ConfigurationError, match="No operators defined in streaming topology"):
        env.execute()
    env.from_collection([1]).print()
    assert printed(env) == ["1"]
    with pytest.raises(ConfigurationError, match="No operators defined"):
        env.execute()


def test_an_environment_can_be_used_again_after_a_failure():
    env = environment()
    env.from_collection([1]).map(lambda value: 1 / 0).print()
    with pytest.raises(JobExecutionError):
        env.execute()
    assert collected(env.from_collection([5])) == [5]


def test_a_stream_can_be_executed_again_with_more_steps():
    stream = environment().from_collection([1, 2])
    assert collected(stream) == [1, 2]
    assert collected(stream.map(lambda value: value * 10)) == [10, 20]


def test_two_jobs_run_at_once_and_a_job_runs_inside_another():
    results = [
        environment(2).from_sequence(1, 20_000).key_by(lambda value: value % 7).sum().execute_and_collect()
        for _ in range(2)
    ]
    assert [len(list(result)) for result in results] == [20_000, 20_000]

    def inner(value):
        return collected(environment().from_collection([value]).map(lambda each: each * 2))[0]

    assert collected(environment().from_collection([1, 2]).map(inner)) == [2, 4]


def test_execute_async_gives_a_client():
    env = environment()
    env.from_collection([1, 2]).filter(lambda value: False).print()
    client = env.execute_async("job")
    result = client.get_job_execution_result().result()
    assert client.get_job_status().result() is JobStatus.FINISHED
    assert str(client.get_job_id()) == str(result.get_job_id())
    client.cancel().result()  # nothing to stop any more

    env.from_collection([1]).map(lambda value: 1 / 0).print()
    client = env.execute_async("job")
    with pytest.raises(JobExecutionError, match="division by zero"):
        client.get_job_execution_result().result()
    assert client.get_job_status().result() is JobStatus.FAILED


# -- results -----------------------------------------------------------------------------------------------------


def test_a_limit_ends_an_endless_job():
    assert environment().from_collection(itertools.count()).execute_and_collect(limit=3) == [0, 1, 2]
    assert environment().from_collection(range(10)).execute_and_collect("name", 2) == [0, 1]
    assert_no_job_runs()


@pytest.mark.parametrize("limit", [0, -1, "3"])
def test_a_limit_is_a_positive_number(limit):
    with pytest.raises(ConfigurationError, match="Limit must be greater than 0"):
        environment().from_collection([1]).execute_and_collect(limit=limit)


def test_closing_early_ends_the_job():
    results = environment(2).from_sequence(1, 10**12).execute_and_collect()
    next(results)
    results.close()
    assert_no_job_runs()


@pytest.mark.parametrize("method", ["execute_and_collect", "execute_and_collect_arrow"])
def test_dropping_the_results_ends_the_job(method):
    results = getattr(environment(2).from_sequence(1, 10**12), method)()
    next(iter(results))
    del results
    assert_no_job_runs()


def test_ctrl_c_ends_a_job_that_never_ends():
    env = environment(2)
    env.from_sequence(1, 10**15).filter(lambda value: False).print()
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        env.execute()
    assert_no_job_runs()


def test_a_cancel_does_not_wait_for_the_batch_of_a_slow_function():
    env = environment()
    reached = threading.Event()

    def slow(value):
        reached.set()
        time.sleep(0.01)
        return value

    env.from_collection(list(range(100_000))).map(slow).filter(lambda value: False).print()
    client = env.execute_async()
    reached.wait()
    started = time.monotonic()
    client.cancel()
    with pytest.raises(JobCancelledError):
        client.get_job_execution_result().result()
    assert time.monotonic() - started < 10


def test_a_failure_does_not_wait_for_a_slow_function_elsewhere():
    env = environment()
    numbers = env.from_collection(list(range(100_000)))
    numbers.map(lambda value: time.sleep(0.01)).disable_chaining().print()
    numbers.map(lambda value: 1 // (value - 50)).filter(lambda value: False).disable_chaining().print()
    started = time.monotonic()
    with pytest.raises(JobExecutionError, match="division"):
        printed(env)
    assert time.monotonic() - started < 15


# -- parallelism -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parallelism", [0, -1, "2", 1.5, None, True, 10**6])
def test_parallelism_is_a_whole_number_up_to_flinks_limit(parallelism):
    for take in (
        environment().set_parallelism,
        environment().set_max_parallelism,
        environment().from_collection([1]).map(str).set_parallelism,
        environment().from_collection([1]).map(str).set_max_parallelism,
    ):
        with pytest.raises(ConfigurationError, match="whole number from 1 to 32768"):
            take(parallelism)


def test_many_subtasks_and_few_records():
    numbers = environment(48).from_collection(range(10)).map(lambda value: value)
    summed = numbers.key_by(lambda value: value).sum().rebalance().map(lambda value: value)
    assert sorted(collected(summed)) == list(range(10))


def test_more_subtasks_than_one_process_should_have_are_refused():
    env = environment(1000)
    env.from_sequence(1, 10).key_by(lambda value: value).sum().print()
    with pytest.raises(ConfigurationError, match="makes more than 200000 channels in one process"):
        env.execute()


def test_parallelism_above_the_max_parallelism_is_refused():
    summed = environment(4).from_collection([1]).key_by(lambda value: value).sum().set_max_parallelism(2)
    with pytest.raises(ConfigurationError, match="parallelism 4 is above its max parallelism 2"):
        collected(summed)


def test_the_subtasks_of_a_step_are_as_many_as_said():
    class Where(KeyedProcessFunction):
        def open(self, runtime_context):
            self.subtask = runtime_context.get_index_of_this_subtask()

        def process_element(self, value, ctx):
            yield self.subtask

    keyed = environment(2).from_collection(range(200)).key_by(lambda value: value)
    assert set(collected(keyed.process(Where()).set_parallelism(3))) == {0, 1, 2}


def test_a_uid_stands_once():
    stream = environment().from_collection([1]).map(str).uid("a").map(str).uid("a")
    with pytest.raises(ConfigurationError, match="uid 'a' stands on both"):
        collected(stream)


@pytest.mark.parametrize("method", ["name", "uid"])
@pytest.mark.parametrize("value", [None, 5, ""])
def test_names_are_texts(method, value):
    with pytest.raises(ConfigurationError, match="is a text"):
        getattr(environment().from_collection([1]), method)(value)


# -- streams together --------------------------------------------------------------------------------------------


def test_a_union_is_of_streams_of_one_schema():
    env = environment()
    numbers = env.from_collection([1, 2])
    assert sorted(collected(numbers.union(numbers, env.from_collection([3])))) == [1, 1, 2, 2, 3]
    with pytest.raises(SchemaError, match="union needs streams of one schema"):
        numbers.union(env.from_collection([1], Types.INT()))
    with pytest.raises(ConfigurationError, match="union takes streams, got int 5"):
        numbers.union(5)


def test_each_stream_of_a_union_travels_in_its_own_way():
    env = environment(2)
    everywhere = env.from_collection([1]).broadcast()
    once = env.from_collection([2]).global_()
    counted = everywhere.union(once).map(lambda value: value).set_parallelism(3)
    assert sorted(collected(counted)) == [1, 1, 1, 2]


def test_forward_does_not_change_the_parallelism():
    one = environment(2).from_sequence(1, 3).map(lambda value: value).set_parallelism(1)
    with pytest.raises(ConfigurationError, match="Forward partitioning does not allow change of parallelism"):
        collected(one.forward().map(lambda value: value).set_parallelism(2))


def test_a_partitioner_of_ones_own():
    def subtasks(stream):
        return collected(stream.map(lambda value: value))

    numbers = environment(2).from_sequence(1, 4)
    assert sorted(
        subtasks(numbers.partition_custom(lambda key, count: key % count, lambda value: value))
    ) == [1, 2, 3, 4]
    for partitioner, message in [
        (lambda key, count: 5, "chose subtask 5 of 2"),
        (lambda key, count: "a", "partition_custom"),
        (lambda key, count: 1 / 0, "division by zero"),
    ]:
        with pytest.raises(JobExecutionError, match=message):
            subtasks(environment(2).from_sequence(1, 4).partition_custom(partitioner, lambda value: value))


def test_a_side_output_that_nobody_writes_is_empty():
    assert collected(environment().from_collection([1]).get_side_output(OutputTag("other"))) == []


# -- plans -------------------------------------------------------------------------------------------------------


def contents(env):
    return [node["contents"] for node in json.loads(env.get_execution_plan())["nodes"]]


def test_functions_behind_each_other_are_one_step_of_the_plan():
    env = environment(2)
    numbers = env.from_sequence(1, 3)
    numbers.map(str).name("text").filter(bool).flat_map(list).print().name("out")
    assert contents(env) == ["Sequence Source", "text, Filter, FlatMap", "out"]
    nodes = json.loads(env.get_execution_plan())["nodes"]
    assert [node["predecessors"][0]["id"] for node in nodes[1:]] == [1, 2]


def test_functions_of_several_inputs_are_one_step_with_what_follows():
    env = environment(2)
    numbers = env.from_sequence(1, 3)
    keyed = numbers.key_by(lambda value: value).map(str)
    keyed.map(str).key_by(len).map(str).union(numbers.map(str)).map(str).print()
    assert contents(env) == ["Sequence Source", "Map, Map", "Map", "Map", "Map", "Print to Std. Out"]


@pytest.mark.parametrize(
    "apart",
    [
        lambda mapped: mapped.rebalance(),
        lambda mapped: mapped.start_new_chain() and None,
        lambda mapped: mapped.set_max_parallelism(7) and None,
        lambda mapped: mapped.print() and None,
    ],
)
def test_functions_that_are_apart_are_steps_of_their_own(apart):
    env = environment(2)
    mapped = env.from_sequence(1, 3).map(str).map(str)
    (apart(mapped) or mapped).map(str)
    assert "Map, Map, Map" not in contents(env)


def test_a_plan_can_show_each_function():
    env = environment(2)
    env.configure(Configuration.from_dict({"python.operator-chaining.enabled": "false"}))
    env.from_sequence(1, 3).map(str).map(str).print().name("out")
    assert contents(env) == ["Sequence Source", "Map", "Map", "out"]


def test_the_execution_plan_is_flinks_json():
    env = environment(2)
    mapped = env.from_collection([1]).map(lambda value: value).name("double")
    reduced = mapped.union(env.from_collection([2])).key_by(lambda value: value).reduce(lambda a, b: a)
    reduced.shuffle().map(str).print().name("out")
    nodes = json.loads(env.get_execution_plan())["nodes"]
    assert [(node["pact"], node["contents"], node["parallelism"]) for node in nodes] == [
        ("Data Source", "Collection Source", 1),
        ("Operator", "double", 2),
        ("Data Source", "Collection Source", 1),
        ("Operator", "Reduce", 2),
        ("Operator", "Map", 2),
        ("Data Sink", "out", 2),
    ]
    edges = {
        (before["id"], node["id"]): before["ship_strategy"]
        for node in nodes
        for before in node.get("predecessors", [])
    }
    ids = [node["id"] for node in nodes]
    assert edges == {
        (ids[0], ids[1]): "REBALANCE",
        (ids[1], ids[3]): "HASH",
        (ids[2], ids[3]): "HASH",
        (ids[3], ids[4]): "SHUFFLE",
        (ids[4], ids[5]): "FORWARD",
    }


def test_a_chain_may_be_longer_than_pythons_stack():
    stream = environment().from_collection([0])
    for _ in range(400):
        stream = stream.map(lambda value: value + 1)
    assert collected(stream) == [400]


def test_modes_of_checkpoints_are_of_their_enums():
    config = environment().get_checkpoint_config()
    with pytest.raises(ConfigurationError, match=r"CheckpointingMode, e.g. CheckpointingMode.EXACTLY_ONCE, got str"):
        config.set_checkpointing_mode("EXACTLY_ONCE")
    with pytest.raises(ConfigurationError, match="takes a ExternalizedCheckpointRetention"):
        config.set_externalized_checkpoint_retention("RETAIN_ON_CANCELLATION")
